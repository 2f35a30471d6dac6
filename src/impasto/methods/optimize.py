"""Pixel optimisation (Gatys et al. 2015): gradient descent on the picture itself, coarse to fine.

Where this leaves the paper, by default and why:
- terms are relative (distances divided by the target's norm, squared for content and to the power
  of 1.5 for style), so one balance suits every pair;
- a pyramid of sizes, each starting from the one before: large forms settle where a step costs a
  sixteenth;
- steps on several grids at once (`impasto.methods.descent`), so that forms move before flats fill
  with noise;
- the answer is the running mean of the late iterates, which cancels the jitter that shows as grain
  in flat areas;
- features are bfloat16 on processors built for it; the picture, Gram matrices and losses stay
  float32.
Any of the sources' own conventions is a preset (`impasto.losses.presets`).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.losses.base import STYLE_LOSSES
from impasto.losses.objective import Objective
from impasto.methods.aims import Aims, MakeTerms, Style
from impasto.methods.base import Before
from impasto.methods.descent import Tuning, descend, pyramid
from impasto.methods.guided import covered, guided, in_frame
from impasto.methods.large import LARGEST, foretell, in_turn, paint
from impasto.methods.matching import matched
from impasto.methods.needs import descent_budget
from impasto.methods.stylizer import Forecast, Places, Progress, normalise_weights
from impasto.networks.encoder import Encoder
from impasto.networks.process import returning_freed_memory
from impasto.pictures.image import resample, resize
from impasto.settings import Settings

__all__ = ["PALE", "MakeTerms", "PixelOptimizer", "Style"]

# The most sizes of a pyramid. A picture to start from has its large forms already: they are looked
# at again at half its size, no coarser.
SIZES, RESTART = 8, 2
# The contrast of a noise to start from. White noise of full contrast stays wherever no layer sees
# it, and shows as speckle; pale noise is nearly grey there, and any form can still grow from it.
PALE = 0.2


class PixelOptimizer:
    """A `Stylizer` that optimises pixels under `encoder`'s features, on the encoder's device.

    Of `settings` it honours what is about balance, layers and descent. `terms`: more of them, asked
    for at every size of the pyramid with the photo of that size in its frame, `(1, 3, H, W)`, and
    the encoder. Raises `ImpastoError` at once for a layer the encoder lacks.
    """

    def __init__(
        self, encoder: Encoder, settings: Settings | None = None, *, terms: Sequence[MakeTerms] = ()
    ) -> None:
        self.encoder, self.settings = encoder, settings or Settings()
        recipe = self.settings.resolved(start=True)
        self.loss = STYLE_LOSSES.get(self.settings.style_loss).scaled(recipe.style_scale)
        if self.loss.stochastic and recipe.optimizer == "lbfgs":
            raise OptionError(
                f"`style_loss={self.settings.style_loss}` looks at other places at every step, which "
                "`optimizer=lbfgs` cannot follow; use `optimizer=adam`"
            )
        if self.settings.content_loss == "selfsim" and recipe.content_scale != "relative":
            raise OptionError(
                f"`content_loss=selfsim` has no scale {recipe.content_scale!r}; choose another `preset`"
            )
        self.matched = matched(encoder, recipe, self.settings)
        self.recipe = self.matched.recipe
        self.budget = descent_budget(self.settings, encoder.dtype)
        self.aims = Aims(encoder, self.settings, self.matched, self.loss, terms)

    @property
    def steps(self) -> int:
        """As many as were asked for; one where there is nothing to aim at."""
        return self.recipe.steps if self.settings.strength > 0 else 1

    def prepare(self, style: Tensor, mask: Tensor | None = None) -> Style:
        """`(1, 3, H, W)` in [0, 1]. The statistics wait for `render`, which knows the sizes.

        `mask`, `(1, 1, h, w)`: the part of it that is looked at, as its alpha says.
        """
        return Style((style,), (1.0,), (mask,))

    def blend(self, styles: Sequence[Style], weights: Sequence[float]) -> Style:
        """Second moments between the styles': `sum_i w_i G_i`."""
        each = [
            (p, share * u, seen)
            for s, share in zip(styles, normalise_weights(styles, weights), strict=True)
            for p, u, seen in zip(s.pictures, s.weights, s.seen, strict=True)
        ]
        pictures, shares, alphas = zip(*(kept for kept in each if kept[1] > 0), strict=True)
        return Style(pictures, shares, alphas)

    @torch.inference_mode(False)
    def render(
        self,
        content: Tensor,
        style: Style,
        *,
        start: Tensor | None = None,
        places: Places[Style] | None = None,
        before: Before | None = None,
    ) -> Iterator[Progress]:
        """Descend from the coarsest size to the photo's own; one `Progress` an iteration.

        `start`: a picture to start from instead of the preset's start, `(1, 3, H, W)`, resized as
        needed. Its strokes are kept: what is done at half its size is added to it as a correction.
        `before`: what a frame of a film is held to (Ruder et al. 2016), and begins at if there is
        no `start`. Very large pictures may be uint8: see `impasto.methods.large`.
        """
        large = content.dtype == torch.uint8
        steps = (
            paint(self, content, style, start, places)
            if large
            else self.at_once(content, style, start, places, before)
        )
        del start  # whatever is held of a large picture is counted
        short = large or self.budget.side((content.shape[-2], content.shape[-1])) > 0
        with returning_freed_memory() if short else nullcontext():
            yield from steps

    @torch.inference_mode(False)
    def at_once(
        self,
        content: Tensor,
        style: Style,
        start: Tensor | None,
        places: Places[Style] | None = None,
        before: Before | None = None,
    ) -> Iterator[Progress]:
        """`render` of what is held in floating point."""
        recipe = self.recipe
        if self.settings.strength == 0:
            # Nothing to aim at but what is there, whatever the start.
            yield Progress(content.detach().cpu().float().clamp(0, 1), 1, 1)
            return
        if before is not None and start is None:
            start = torch.lerp(content.cpu().float(), before.picture, before.trust)
        regions = guided(style, places, content, recipe.frame)
        full = (content.shape[-2] + 2 * recipe.frame, content.shape[-1] + 2 * recipe.frame)
        # Strokes are measured by the picture, not by its frame.
        scale = max(content.shape[-2:]) / max(full) * self.settings.style_scale
        levels = pyramid(*full, recipe.steps, self.sizes(start))
        # What every size works on is this picture made small, and what comes of it goes back as a
        # correction: so the fine detail of a start, its strokes or a photo's contours, is there
        # when the size comes that can see it.
        kept = self._first(_framed(content, recipe.frame), levels[0][:2], start)
        del start
        done, of = 0, recipe.steps
        for level, (height, width, steps) in enumerate(levels):
            last = level == len(levels) - 1
            photo = resize(_framed(content, recipe.frame), (height, width)).to(self.encoder.device)
            side = self.budget.side((height, width), full)
            with torch.autocast(photo.device.type, enabled=False):
                objective = self.aims.objective(photo, regions, scale, level > 0 and last, side)
            begun = resize(kept, (height, width)).clamp(0, 1)
            if before is not None:
                objective = self.aims.held(objective, begun.to(photo.device), before)
            detail = (
                kept - resize(begun, (kept.shape[-2], kept.shape[-1]))
                if begun.shape != kept.shape
                else None
            )
            picture, planned = begun, done + steps
            del photo
            if last:
                kept = begun  # nothing comes after
            for found, losses, note in self.descend(
                objective, begun.to(self.encoder.device), steps, side
            ):
                picture, done = found.cpu(), done + 1
                seen = None if detail is None else _unframed(detail, recipe.frame, full)
                shown = Progress(
                    _unframed(picture, recipe.frame, full), done, of, losses, note, seen
                )
                yield shown if places is None else covered(shown, content, places)
            if not last:
                kept = kept + resample(picture - begun, (kept.shape[-2], kept.shape[-1]))
            # An early stop leaves steps undone; they are not owed.
            of -= planned - done

    def descend(
        self, objective: Objective, begun: Tensor, steps: int, side: int = 0
    ) -> Iterator[tuple[Tensor, dict[str, float], str]]:
        """`impasto.methods.descent.descend` as the recipe says."""
        recipe = self.recipe
        return descend(
            self.encoder,
            objective,
            begun,
            steps,
            recipe.optimizer,
            recipe.learning_rate,
            self.settings.early_stop,
            recipe.grids,
            side,
            Tuning(recipe.betas, recipe.epsilon, recipe.decay, recipe.clipped),
        )

    def sizes(self, start: Tensor | None) -> int:
        """The most sizes of its pyramid."""
        if not self.recipe.pyramid:
            return 1
        return SIZES if start is None else RESTART

    def _first(self, framed: Tensor, coarsest: tuple[int, int], start: Tensor | None) -> Tensor:
        """Where to begin, as large as the `framed` photo, on the CPU."""
        size = (framed.shape[-2], framed.shape[-1])
        if start is not None:
            frame = self.recipe.frame
            return in_frame(resize(start.cpu(), (size[0] - 2 * frame, size[1] - 2 * frame)), frame)
        if self.recipe.init == "noise":
            # Of the coarsest size: made small, noise of the full one would be a flat grey.
            noise = torch.rand(
                (1, 3, *coarsest),
                generator=torch.Generator("cpu").manual_seed(self.settings.seed),
                device="cpu",
                dtype=torch.float32,
            )
            return resize(0.5 + PALE * (noise - 0.5), size)
        return framed

    def forecast(self, size: tuple[int, int]) -> Forecast:
        """What a photo of (H, W) will take, by the pace of steps on a small one, made now."""
        probe = torch.full((1, 3, 192, 192), 0.5, device=self.encoder.device, dtype=torch.float32)
        style = Style((probe.cpu(),), (1.0,), (None,))
        objective = self.aims.objective(probe, [(style, None)], 1.0, False, 0)
        begun = 0.0
        for _ in self.descend(objective, probe, 2):  # the first one also prepares
            begun, before = time.perf_counter(), begun
        pace = (begun - before) / probe[0, 0].numel()
        if max(size) > LARGEST and in_turn(self):
            return foretell(self, size, pace)
        pixels, side = size[0] * size[1], self.budget.side(size)
        # Besides, photo and paintings are read at every size: two ways forth, and none back.
        levels = pyramid(*size, self.recipe.steps, self.sizes(None))
        steps = sum(height * width * (count + 1) for height, width, count in levels)
        # By parts there are two sweeps and a halo.
        seconds, parts = pace * steps * (2 if side else 1), (side or max(size)) ** 2
        return Forecast(seconds, self.budget.needed(size), max(1, pixels // parts))


def _framed(content: Tensor, frame: int) -> Tensor:
    """The photo on the CPU with its frame."""
    return in_frame(content.detach().cpu().float(), frame)


def _unframed(image: Tensor, frame: int, framed: tuple[int, int]) -> Tensor:
    """Without the frame, at whatever size the picture with it, at full size `framed`, has become."""
    height, width = image.shape[-2:]
    down, right = (
        round(frame * size / whole) for size, whole in zip((height, width), framed, strict=True)
    )
    return image[..., down : height - down, right : width - right]
