"""Pixel optimisation (Gatys et al. 2015): gradient descent on the picture itself, coarse to fine.

Where this leaves the paper, by default and why:
- terms are relative (squared distances divided by the target's squared norm), so one balance suits
  every pair;
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.losses.base import STYLE_LOSSES, StyleLoss
from impasto.losses.gram import GRAM
from impasto.losses.objective import Objective, Term, content_term, style_term, variation_term
from impasto.losses.self_similarity import self_similarity_term
from impasto.losses.temporal import temporal_term
from impasto.methods.base import Before
from impasto.methods.descent import Tuning, descend, pyramid
from impasto.methods.guided import SEEN, Targets, at_layer, covered, guided, in_frame, joined
from impasto.methods.matching import matched
from impasto.methods.reading import parts
from impasto.methods.sections import assembled, needed_for_descent, room_for_descent
from impasto.methods.style_grams import StyleGrams
from impasto.methods.stylizer import Forecast, Places, Progress, normalise_weights
from impasto.networks.encoder import SMALLEST, Encoder
from impasto.pictures.image import resample, resize
from impasto.settings import Settings
from impasto.sizes import memory

__all__ = ["PALE", "MakeTerms", "PixelOptimizer", "Style"]

# The most sizes of a pyramid. A picture to start from has its large forms already: they are looked
# at again at half its size, no coarser.
SIZES, RESTART = 8, 2
# What a settled layer counts for at the last size. Its cells see half the picture there, and asked
# for in full they are had most cheaply by a few spots of glaring noise.
SETTLED = 0.2
# What self-similarity counts for beside the distance of features that it stands for: it is smaller
# by about so much for pictures that hold the photo's forms as well.
SELF_SIMILARITY = 5.0
# In a film, what a mean squared difference of 1 from the picture before costs, in units of all that
# the other terms come to at the start of a frame. A difference of 0.1 costs half of them.
TEMPORAL = 50.0
# The contrast of a noise to start from. White noise of full contrast stays wherever no layer sees
# it, and shows as speckle; pale noise is nearly grey there, and any form can still grow from it.
PALE = 0.2


MakeTerms: TypeAlias = Callable[[Tensor, Encoder], Iterable[Term]]
"""Terms of one's own for a photo, at the size it is optimised at."""


@dataclass(frozen=True)
class Style:
    """Style pictures, each `(1, 3, H, W)` in [0, 1], or what is known of one by its Gram matrices,
    and their weights, which sum to 1.

    `seen`: the alpha of each, `(1, 1, H, W)`, or None where all of it is seen.
    """

    pictures: tuple[Tensor | StyleGrams, ...]
    weights: tuple[float, ...]
    seen: tuple[Tensor | None, ...]


class PixelOptimizer:
    """A `Stylizer` that optimises pixels under `encoder`'s features, on the encoder's device.

    Of `settings` it honours what is about balance, layers and descent. `terms`: more of them, asked
    for at every size of the pyramid with the photo of that size in its frame, `(1, 3, H, W)`, and
    the encoder. Raises `ImpastoError` at once for a layer the encoder lacks.
    """

    def __init__(
        self, encoder: Encoder, settings: Settings | None = None, *, terms: Sequence[MakeTerms] = ()
    ) -> None:
        self.encoder, self.settings, self.terms = encoder, settings or Settings(), tuple(terms)
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
        no `start`.
        """
        recipe = self.recipe
        if self.settings.strength == 0:
            # Nothing to aim at but what is there, whatever the start.
            yield Progress(content.detach().cpu().float().clamp(0, 1), 1, 1)
            return
        if before is not None and start is None:
            start = torch.lerp(content.cpu().float(), before.picture, before.trust)
        framed = in_frame(content.detach().cpu().float(), recipe.frame)
        regions = guided(style, places, content, recipe.frame)
        full = (framed.shape[-2], framed.shape[-1])
        # Strokes are measured by the picture, not by its frame.
        scale = max(content.shape[-2:]) / max(full) * self.settings.style_scale
        levels = pyramid(*full, recipe.steps, self._sizes(start))
        # What every size works on is this picture made small, and what comes of it goes back as a
        # correction: so the fine detail of a start, its strokes or a photo's contours, is there
        # when the size comes that can see it.
        kept = self._first(framed, levels[0][:2], start)
        done, of = 0, recipe.steps
        for level, (height, width, steps) in enumerate(levels):
            photo = resize(framed, (height, width)).to(self.encoder.device)
            side = self._side((height, width))
            with torch.autocast(photo.device.type, enabled=False):
                objective = self._objective(
                    photo, regions, scale, 0 < level == len(levels) - 1, side
                )
            begun = resize(kept, (height, width)).clamp(0, 1)
            if before is not None:
                objective = self._held(objective, begun.to(photo.device), before)
            detail = (
                kept - resize(begun, (kept.shape[-2], kept.shape[-1]))
                if begun.shape != kept.shape
                else None
            )
            picture, planned = begun, done + steps
            for found, losses, note in descend(
                self.encoder,
                objective,
                begun.to(photo.device),
                steps,
                recipe.optimizer,
                recipe.learning_rate,
                self.settings.early_stop,
                recipe.grids,
                side,
                Tuning(recipe.betas, recipe.epsilon, recipe.decay, recipe.clipped),
            ):
                picture, done = found.cpu(), done + 1
                seen = None if detail is None else _unframed(detail, recipe.frame, full)
                shown = Progress(
                    _unframed(picture, recipe.frame, full), done, of, losses, note, seen
                )
                yield shown if places is None else covered(shown, content, places)
            kept = kept + resample(picture - begun, (kept.shape[-2], kept.shape[-1]))
            # An early stop leaves steps undone; they are not owed.
            of -= planned - done

    def _sizes(self, start: Tensor | None) -> int:
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

    def _side(self, size: tuple[int, int]) -> int:
        """Of the parts that the gradient is taken by at that size, px; 0: at once."""
        return room_for_descent(memory(self.settings.max_memory), size, self.encoder.dtype)

    def forecast(self, size: tuple[int, int]) -> Forecast:
        """What a photo of (H, W) will take, by the pace of a step on a small one, made now."""
        probe = torch.full((1, 3, 192, 192), 0.5, device=self.encoder.device, dtype=torch.float32)
        layers = (*self.recipe.style_layers, *self.recipe.content_layers)
        for _ in range(2):  # the first one also prepares
            begun = time.perf_counter()
            with torch.enable_grad():
                features = self.encoder.features(probe.requires_grad_(True), layers)
                sum(x.float().square().mean() for x in features.values()).backward()  # type: ignore[union-attr]
        pace = (time.perf_counter() - begun) / probe[0, 0].numel()
        pixels, side = size[0] * size[1], self._side(size)
        steps = sum(h * w * n for h, w, n in pyramid(*size, self.recipe.steps, self._sizes(None)))
        needed = needed_for_descent(size, self.encoder.dtype, side)
        # By parts there are two sweeps and a halo.
        return Forecast(
            pace * steps * (2 if side else 1), needed, max(1, pixels // (side or pixels) ** 2)
        )

    @torch.no_grad()
    def _objective(
        self,
        photo: Tensor,
        regions: Sequence[tuple[Style, Tensor | None]],
        scale: float,
        last: bool,
        side: int,
    ) -> Objective:
        """What one size of the pyramid aims at; `scale`: of the style to `photo`; `last`: after
        coarser ones; `side`: of parts.
        """
        recipe = self.recipe
        long_side = round(max(photo.shape[-2:]) * scale)
        found = [self._targets(style, long_side) for style, _ in regions]
        areas = [1.0 if mask is None else float(mask.square().mean()) for _, mask in regions]
        of_content = joined([each for _, each in found], areas)
        terms = self._content_terms(photo, self._aims(photo, of_content, GRAM, side), side)
        shares = self.matched.style_shares(photo)
        for place, ((of_style, _), (_, mask)) in enumerate(zip(found, regions, strict=True)):
            for layer, aim in self._aims(photo, of_style, self.loss, side).items():
                share = shares[layer] * self.loss.balance
                share *= SETTLED if last and layer in recipe.settled else 1
                if mask is None:
                    terms.append(style_term(layer, aim, share, self.loss))
                elif float(at_layer(mask, photo, self.encoder, layer).max()) >= SEEN:
                    # By its area, so that each position is pulled as hard as without regions.
                    term = style_term(layer, aim, share * areas[place], self.loss, mask)
                    terms.append(replace(term, name=f"{term.name}/{place + 1}"))
        if recipe.tv_weight > 0:
            terms.append(variation_term(recipe.tv_weight, recipe.tv_scale))
        terms += [term for make in self.terms for term in make(photo, self.encoder)]
        return Objective(terms)

    @torch.no_grad()
    def _held(self, objective: Objective, begun: Tensor, before: Before) -> Objective:
        """The same, and to agree with the picture before where that can be trusted."""
        size, frame = (begun.shape[-2], begun.shape[-1]), self.recipe.frame
        picture, trust = (
            resize(in_frame(x, frame), size).to(begun.device)
            for x in (before.picture, before.trust)
        )
        now = objective(self.encoder.features(begun, objective.layers), begun).total.item()
        return Objective([*objective.terms, temporal_term(picture, trust, TEMPORAL * now)])

    def _content_terms(self, photo: Tensor, aims: Mapping[str, Tensor], side: int) -> list[Term]:
        """What holds the photo's forms, made to suit a pale or a strong style where terms are
        relative; `aims`: the Gram matrices of the content layers then.
        """
        recipe = self.recipe
        if recipe.content_weight == 0:
            return []
        shares = self.matched.content_shares(photo)
        if self.settings.content_loss == "selfsim":
            return [
                self_similarity_term(layer, own, shares[layer] * SELF_SIMILARITY)
                for layer, own in self.encoder.features(photo, recipe.content_layers).items()
            ]
        terms = []
        for layer, own in assembled(self.encoder, photo, recipe.content_layers, side).items():
            target, share = own, shares[layer]
            if aims:
                contrast = _contrast(own, aims[layer])
                target, share = own * min(1.0, contrast), share * min(1.0, 1 / contrast)
            terms.append(content_term(layer, target, share, recipe.content_scale))
        return terms

    def _targets(self, style: Style, long_side: int) -> tuple[Targets, Targets]:
        """What the styles are at that size: to the style loss, and, where something asks for them,
        the Gram matrices of the content layers.
        """
        recipe = self.recipe
        weighed = self.settings.content_loss != "selfsim" and recipe.content_weight > 0
        relative = recipe.content_scale == "relative" and weighed
        asked = (
            (recipe.style_layers if recipe.style_weight > 0 else (), self.loss),
            (recipe.content_layers if relative else (), GRAM),
        )
        found: tuple[Targets, Targets] = ({}, {})
        layers = list(dict.fromkeys(layer for each, _ in asked for layer in each))
        for picture, weight, alpha in zip(style.pictures, style.weights, style.seen, strict=True):
            if isinstance(picture, StyleGrams):
                for (each, _), everything in zip(asked, found, strict=True):
                    for layer in each:
                        aim = picture.at(layer, long_side).to(self.encoder.device)
                        everything.setdefault(layer, []).append((weight, aim))
                continue
            size = _scaled(picture, long_side)
            seen = None if alpha is None else resize(alpha, size)
            own: tuple[Targets, Targets] = ({}, {})
            for part in parts(self.encoder, resize(picture, size), seen, layers):
                for (each, loss), into in zip(asked, own, strict=True):
                    for layer in each:
                        target = loss.target(part.features[layer], part.masks.get(layer))
                        into.setdefault(layer, []).append((part.share(layer), target))
            for into, everything in zip(own, found, strict=True):
                for layer, targets in into.items():
                    whole = sum(share for share, _ in targets)
                    everything.setdefault(layer, []).extend(
                        (weight * (share / whole), target) for share, target in targets if share
                    )
        return found

    def _aims(self, photo: Tensor, targets: Targets, loss: StyleLoss, side: int) -> dict[str, Any]:
        """The target of each layer: of the styles by their weights, and of the photo by what
        strength leaves to it.
        """
        strength = self.settings.strength
        # What Gram matrices are of is kept by layer; of a large picture that is much.
        plain = assembled(self.encoder, photo, list(targets), side) if strength < 1 else {}
        aims = {}
        for layer, each in targets.items():
            aims[layer] = loss.mix([target for _, target in each], [share for share, _ in each])
            if plain:
                aims[layer] = loss.mix(
                    [loss.target(plain[layer]), aims[layer]], [1 - strength, strength]
                )
        return aims


def _contrast(photo: Tensor, style: Tensor) -> float:
    """The root mean square of a layer, by its Gram matrix `style`, in units of the photo's: it
    balances the terms.

    A pale style (below 1) leaves room for that share of the photo's contrast: asked for all of it,
    a picture that must also have the style's moments answers with the loudest of the photo's forms
    and loses the others. Under a strong style (above 1) the photo's features are small beside the
    picture's own; their distance, relative to themselves, would outweigh the style, and counts for
    less in that measure.
    """
    energy = style.diagonal(dim1=1, dim2=2).mean() / photo.float().square().mean().clamp_min(1e-12)
    return energy.clamp(1e-4, 1e4).sqrt().item()


def _scaled(picture: Tensor, long_side: int) -> tuple[int, int]:
    """The size with that long side, enlarged if need be; the short side stays large enough to
    encode.
    """
    height, width = picture.shape[-2:]
    factor = long_side / max(height, width)
    return max(SMALLEST, round(height * factor)), max(SMALLEST, round(width * factor))


def _unframed(image: Tensor, frame: int, framed: tuple[int, int]) -> Tensor:
    """Without the frame, at whatever size the picture with it, at full size `framed`, has become."""
    height, width = image.shape[-2:]
    down, right = (
        round(frame * size / whole) for size, whole in zip((height, width), framed, strict=True)
    )
    return image[..., down : height - down, right : width - right]
