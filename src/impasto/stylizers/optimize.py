"""Pixel optimisation (Gatys et al. 2015): gradient descent on the picture itself, coarse to fine.

Where this leaves the paper, by default and why:
- terms are relative (squared distances divided by the target's squared norm), so one balance suits every pair;
- a pyramid of sizes, each starting from the one before: large forms settle where a step costs a sixteenth;
- steps on several grids at once (`impasto.stylizers.descent`), so that forms move before flats fill with noise;
- the answer is the running mean of the late iterates, which cancels the jitter that shows as grain in flat areas;
- features are bfloat16 on processors built for it; the picture, Gram matrices and losses stay float32.
Any of the sources' own conventions is a preset (`impasto.presets`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.image import resample, resize
from impasto.losses import Moments, moments
from impasto.nets.encoder import SMALLEST, Encoder
from impasto.objective import Objective, Term, content_term, style_term, variation_term
from impasto.presets import Init, OptimizerName, Preset, preset
from impasto.stylizers.core import Step, shares
from impasto.stylizers.descent import descend, pyramid

__all__ = ["OptimizeConfig", "PixelOptimizer", "Style"]

# The most sizes of a pyramid. A picture to start from has its large forms already: they are looked at again at half
# its size, no coarser.
SIZES, RESTART = 8, 2
# What a settled layer counts for at the last size. Its cells see half the picture there, and asked for in full they
# are had most cheaply by a few spots of glaring noise.
SETTLED = 0.2


@dataclass(frozen=True)
class OptimizeConfig:
    """How to optimise. `None` and empty mean: as the preset says.

    `content_weight` and `style_weight` multiply the preset's balance, which suits itself to the pair: 1 is that
    balance, 2 twice as much. `tv_weight` is absolute (see `variation_term`). `style_scale` is the style picture's
    long side relative to the output's: larger is larger strokes. `steps` is the sum over all sizes.
    `early_stop` ends a size when its loss fell by less than that fraction over the last twenty steps. `strength`
    moves the style aimed at from the photo's own (0: the photo comes back) to the painting's (1). `pyramid`: coarse
    to fine, or only at the picture's own size.
    """

    preset: str = "impasto"
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    content_weight: float = 1.0
    style_weight: float = 1.0
    tv_weight: float | None = None
    style_scale: float = 1.0
    steps: int | None = None
    optimizer: OptimizerName | None = None
    learning_rate: float | None = None
    init: Init | None = None
    early_stop: float = 0.0
    strength: float = 1.0
    pyramid: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("content_weight", "style_weight", "early_stop"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ImpastoError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.content_weight == 0 and self.style_weight == 0:
            raise ImpastoError("content_weight and style_weight are both 0; there is nothing to optimise")
        if not 0 <= self.strength <= 1:
            raise ImpastoError(f"strength must be between 0 and 1, not {self.strength}")
        if not 0.1 <= self.style_scale <= 4:
            raise ImpastoError(f"style_scale must be between 0.1 and 4, not {self.style_scale}")
        if self.steps is not None and not 1 <= self.steps <= 1_000_000:
            raise ImpastoError(f"steps must be at least 1, not {self.steps}")
        for name in ("optimizer", "init"):
            allowed = {"optimizer": ("adam", "lbfgs"), "init": ("content", "noise")}[name]
            if getattr(self, name) not in (None, *allowed):
                raise ImpastoError(f"unknown {name} {getattr(self, name)!r}; choose {' or '.join(allowed)}")
        for name in ("tv_weight", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ImpastoError(f"{name} must be 0 or more, not {value}")

    def resolve(self) -> Preset:
        """The preset with everything that was given here in its place."""
        base = preset(self.preset)
        given = {
            name: getattr(self, name)
            for name in (
                "content_layers",
                "style_layers",
                "tv_weight",
                "steps",
                "optimizer",
                "learning_rate",
                "init",
                "pyramid",
            )
            if getattr(self, name) not in (None, ())
        }
        if self.optimizer == "lbfgs" and base.optimizer != "lbfgs" and self.learning_rate is None:
            given["learning_rate"] = 1.0
        if self.optimizer == "adam" and base.optimizer != "adam" and self.learning_rate is None:
            given["learning_rate"] = 0.02
        return replace(
            base,
            content_weight=base.content_weight * self.content_weight,
            style_weight=base.style_weight * self.style_weight,
            **given,
        )


@dataclass(frozen=True)
class Style:
    """Style pictures, each `(1, 3, H, W)` in [0, 1], and their weights, which sum to 1."""

    pictures: tuple[Tensor, ...]
    weights: tuple[float, ...]


class PixelOptimizer:
    """A `Stylizer` that optimises pixels under `encoder`'s features, on the encoder's device.

    `start`: a picture to start from instead of the preset's start, `(1, 3, H, W)`, resized as needed. Its strokes are
    kept: what is done at half its size is added to it as a correction.
    Raises `ImpastoError` at once for a layer the encoder lacks.
    """

    def __init__(self, encoder: Encoder, config: OptimizeConfig | None = None, *, start: Tensor | None = None) -> None:
        self.encoder, self.config, self.start = encoder, config or OptimizeConfig(), start
        recipe = self.config.resolve()
        try:
            self.recipe = replace(
                recipe,
                content_layers=tuple(dict.fromkeys(encoder.canonical(recipe.content_layers))),
                style_layers=tuple(dict.fromkeys(encoder.canonical(recipe.style_layers))),
            )
        except ImpastoError as error:
            raise ImpastoError(
                f"{error}. Choose other layers (--content-layers, --style-layers) or another encoder (--encoder vgg19)"
            ) from None

    def prepare(self, style: Tensor) -> Style:
        """`(1, 3, H, W)` in [0, 1]. The statistics wait for `render`, which knows the sizes."""
        return Style((style,), (1.0,))

    def blend(self, styles: Sequence[Style], weights: Sequence[float]) -> Style:
        """Second moments between the styles': `sum_i w_i G_i`."""
        pairs = [
            (p, share * u)
            for s, share in zip(styles, shares(styles, weights), strict=True)
            for p, u in zip(s.pictures, s.weights, strict=True)
        ]
        kept = [(p, w) for p, w in pairs if w > 0]
        return Style(tuple(p for p, _ in kept), tuple(w for _, w in kept))

    def render(self, content: Tensor, style: Style) -> Iterator[Step]:
        """Descend from the coarsest size to the photo's own; one `Step` an iteration."""
        recipe = self.recipe
        if self.config.strength == 0:
            # Nothing to aim at but what is there, whatever the start.
            yield Step(content.detach().cpu().float().clamp(0, 1), 1, 1)
            return
        framed = _framed(content.detach().cpu().float(), recipe.frame)
        full = (framed.shape[-2], framed.shape[-1])
        # Strokes are measured by the picture, not by its frame.
        scale = max(content.shape[-2:]) / max(full) * self.config.style_scale
        levels = pyramid(*full, recipe.steps, self._sizes())
        # What every size works on is this picture made small, and what comes of it goes back as a correction: so the
        # fine detail of a start, its strokes or a photo's contours, is there when the size comes that can see it.
        kept = self._first(framed, levels[0][:2])
        done, of = 0, recipe.steps
        for level, (height, width, steps) in enumerate(levels):
            photo = resize(framed, (height, width)).to(self.encoder.device)
            objective = self._objective(photo, style, scale, last=0 < level == len(levels) - 1)
            start = resize(kept, (height, width)).clamp(0, 1)
            detail = kept - resize(start, (kept.shape[-2], kept.shape[-1])) if start.shape != kept.shape else None
            picture, planned = start, done + steps
            for found, losses, note in descend(
                self.encoder,
                objective,
                start.to(photo.device),
                steps,
                recipe.optimizer,
                recipe.learning_rate,
                self.config.early_stop,
                recipe.grids,
            ):
                picture, done = found.cpu(), done + 1
                seen = None if detail is None else _unframed(detail, recipe.frame, full)
                yield Step(_unframed(picture, recipe.frame, full), done, of, losses, note, seen)
            kept = kept + resample(picture - start, (kept.shape[-2], kept.shape[-1]))
            # An early stop leaves steps undone; they are not owed.
            of -= planned - done

    def _sizes(self) -> int:
        if not self.recipe.pyramid:
            return 1
        return SIZES if self.start is None else RESTART

    def _first(self, framed: Tensor, coarsest: tuple[int, int]) -> Tensor:
        """Where to begin, as large as the `framed` photo, on the CPU."""
        size = (framed.shape[-2], framed.shape[-1])
        if self.start is not None:
            frame = self.recipe.frame
            return _framed(resize(self.start.cpu(), (size[0] - 2 * frame, size[1] - 2 * frame)), frame)
        if self.recipe.init == "noise":
            # Of the coarsest size: made small, noise of the full one would be a flat grey.
            noise = torch.rand((1, 3, *coarsest), generator=torch.Generator().manual_seed(self.config.seed))
            return resize(noise, size)
        return framed

    @torch.no_grad()
    def _objective(self, photo: Tensor, style: Style, scale: float, last: bool) -> Objective:
        """What one size of the pyramid aims at; `scale`: of the style to `photo`; `last`: after coarser ones."""
        recipe, encoder = self.recipe, self.encoder
        terms: list[Term] = []
        mixed = self._style_moments(style, round(max(photo.shape[-2:]) * scale))
        if self.config.strength < 1:
            plain = encoder.features(photo, mixed)
            shares = [1 - self.config.strength, self.config.strength]
            mixed = {layer: Moments.mix([moments(plain[layer]), aim], shares) for layer, aim in mixed.items()}
        if recipe.content_weight > 0:
            for layer, own in encoder.features(photo, recipe.content_layers).items():
                target, share = own, recipe.content_share
                if recipe.content_scale == "relative":
                    contrast = _contrast(own, mixed[layer])
                    target, share = own * min(1.0, contrast), share * min(1.0, 1 / contrast)
                terms.append(content_term(layer, target, share, recipe.content_scale))
        if recipe.style_weight > 0:
            for layer in recipe.style_layers:
                share = recipe.style_share * (SETTLED if last and layer in recipe.settled else 1.0)
                terms.append(style_term(layer, mixed[layer], share, recipe.style_scale))
        if recipe.tv_weight > 0:
            terms.append(variation_term(recipe.tv_weight, recipe.tv_scale))
        return Objective(terms)

    def _style_moments(self, style: Style, long_side: int) -> dict[str, Moments]:
        layers = dict.fromkeys((*self.recipe.style_layers, *self.recipe.content_layers))
        found: list[dict[str, Moments]] = []
        for picture in style.pictures:
            scaled = resize(picture, _scaled(picture, long_side)).to(self.encoder.device)
            features = self.encoder.features(scaled, layers)
            found.append({layer: moments(features[layer]) for layer in layers})
        return {layer: Moments.mix([each[layer] for each in found], list(style.weights)) for layer in layers}


def _contrast(photo: Tensor, style: Moments) -> float:
    """The style's root mean square of a layer, in units of the photo's: what balances the terms for a pair.

    A pale style (below 1) leaves room for that share of the photo's contrast: asked for all of it, a picture that
    must also have the style's moments answers with the loudest of the photo's forms and loses the others. Under a
    strong style (above 1) the photo's features are small beside the picture's own; their distance, relative to
    themselves, would outweigh the style, and counts for less in that measure.
    """
    energy = style.gram.diagonal(dim1=1, dim2=2).mean() / photo.float().square().mean().clamp_min(1e-12)
    return energy.clamp(1e-4, 1e4).sqrt().item()


def _scaled(picture: Tensor, long_side: int) -> tuple[int, int]:
    """The size with that long side, enlarged if need be; the short side stays large enough to encode."""
    height, width = picture.shape[-2:]
    factor = long_side / max(height, width)
    return max(SMALLEST, round(height * factor)), max(SMALLEST, round(width * factor))


def _framed(image: Tensor, frame: int) -> Tensor:
    """With `frame` px of its mirror image around it."""
    return F.pad(image, (frame,) * 4, mode="reflect")


def _unframed(image: Tensor, frame: int, framed: tuple[int, int]) -> Tensor:
    """Without the frame, at whatever size the picture with it, at full size `framed`, has become."""
    height, width = image.shape[-2:]
    down, right = (round(frame * size / whole) for size, whole in zip((height, width), framed, strict=True))
    return image[..., down : height - down, right : width - right]
