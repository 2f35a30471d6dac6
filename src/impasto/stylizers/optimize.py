"""Pixel optimisation (Gatys et al. 2015): gradient descent on the picture itself, coarse to fine.

Where this leaves the paper, by default and why:
- terms are relative (squared distances divided by the target's squared norm), so one balance suits every pair;
- a pyramid of sizes, each starting from the one before: large forms settle where a step costs a sixteenth;
- the answer is the running mean of the late iterates, which cancels the jitter that shows as grain in flat areas;
- features are bfloat16 on processors built for it; the picture, Gram matrices and losses stay float32.
Any of the sources' own conventions is a preset (`impasto.presets`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.image import resize
from impasto.losses import Moments, moments
from impasto.nets.encoder import SMALLEST, Encoder
from impasto.objective import Losses, Objective, Term, content_term, style_term, variation_term
from impasto.presets import Init, OptimizerName, Preset, preset
from impasto.stylizers.core import Step

__all__ = ["OptimizeConfig", "PixelOptimizer", "Style", "descend", "pyramid"]


# A step at half the size costs a quarter: each coarser size takes this many times the steps of the next.
COARSER = 1.4
# What the running mean of the late iterates keeps at each step: five steps of memory calm the grain; twenty would lag.
KEEP = 0.8


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

    `start`: a picture to start from instead of the preset's start, `(1, 3, H, W)`, resized as needed.
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
        if len(styles) != len(weights) or not styles:
            raise ImpastoError(f"{len(styles)} styles need {len(styles)} weights, not {len(weights)}")
        if any(not 0 <= w < float("inf") for w in weights) or sum(weights) <= 0:
            raise ImpastoError("blend weights must be 0 or more, and one of them above 0")
        total = sum(weights)
        pairs = [
            (p, w / total * u)
            for s, w in zip(styles, weights, strict=True)
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
        levels = pyramid(content.shape[-2], content.shape[-1], recipe.steps, recipe.pyramid)
        picture: Tensor | None = None
        done, of = 0, sum(steps for _, _, steps in levels)
        for height, width, steps in levels:
            photo = resize(content, (height, width)).to(self.encoder.device)
            objective = self._objective(photo, style, max(height, width))
            start = self._first(photo) if picture is None else resize(picture, (height, width))
            planned = done + steps
            for picture, losses, note in descend(
                self.encoder, objective, start, steps, recipe.optimizer, recipe.learning_rate, self.config.early_stop
            ):
                done += 1
                yield Step(picture.cpu(), done, of, losses, note)
            # An early stop leaves steps undone; they are not owed.
            of -= planned - done

    def _first(self, photo: Tensor) -> Tensor:
        if self.start is not None:
            return resize(self.start, (photo.shape[-2], photo.shape[-1])).to(photo.device)
        if self.recipe.init == "noise":
            noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(self.config.seed))
            return noise.to(photo.device)
        return photo.clone()

    @torch.no_grad()
    def _objective(self, photo: Tensor, style: Style, long_side: int) -> Objective:
        recipe, encoder = self.recipe, self.encoder
        terms: list[Term] = []
        mixed = self._style_moments(style, round(long_side * self.config.style_scale))
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
            terms += [
                style_term(layer, mixed[layer], recipe.style_share, recipe.style_scale) for layer in recipe.style_layers
            ]
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


def pyramid(height: int, width: int, steps: int, coarse: bool) -> list[tuple[int, int, int]]:
    """Sizes from coarse to fine with their share of the steps: `[(height, width, steps), …]`.

    Each size is half of the next, the coarsest with a long side of 96 px or more; the last is the picture's own.
    """
    sizes = [(height, width)]
    while coarse and max(sizes[0]) >= 192 and min(sizes[0]) >= 4 * SMALLEST:
        h, w = sizes[0]
        sizes.insert(0, (round(h / 2), round(w / 2)))
    sizes = sizes[-min(len(sizes), steps) :]
    shares = [COARSER ** (len(sizes) - 1 - level) for level in range(len(sizes))]
    counts = [max(1, int(steps * share / sum(shares))) for share in shares]
    counts[0] += steps - sum(counts)
    return [(h, w, count) for (h, w), count in zip(sizes, counts, strict=True)]


def descend(
    encoder: Encoder,
    objective: Objective,
    start: Tensor,
    steps: int,
    optimizer: OptimizerName = "adam",
    rate: float = 0.02,
    early_stop: float = 0.0,
) -> Iterator[tuple[Tensor, dict[str, float], str]]:
    """Minimise `objective` over the picture: yields `(picture so far, losses, note)` after each step.

    `start` is `(1, 3, H, W)` in [0, 1] on the encoder's device; the pictures yielded are the running mean of the
    late iterates, in [0, 1]. A step whose loss or gradient is not finite is undone and the rate halved, said in the
    note; `ImpastoError` when that does not help five times in a row.
    """
    image = start.clone().requires_grad_(True)
    mean, history, failures, scale = start.clone(), [], 0, 1.0
    descent = _optimizer(image, optimizer, rate)
    for step in range(steps):
        for group in descent.param_groups:
            group["lr"] = rate * scale * (_schedule(step / steps, step) if optimizer == "adam" else 1.0)
        losses = _step(encoder, objective, image, descent)
        if losses is None or not bool(torch.isfinite(image).all()):
            failures, scale = failures + 1, scale / 2
            if failures == 5:
                raise ImpastoError("the loss overflows again and again; lower --style-weight or use another --preset")
            image = mean.clone().requires_grad_(True)
            descent = _optimizer(image, optimizer, rate)
            yield mean.clone(), {}, "a loss that was not finite was undone, and the steps made smaller"
            continue
        failures = 0
        with torch.no_grad():
            if optimizer == "adam":
                image.clamp_(0, 1)
            # Before a third of the way the picture still travels; a mean over that would only lag behind.
            keep = KEEP if step > 0.3 * steps else 0.0
            mean = keep * mean + (1 - keep) * image.detach().clamp(0, 1)
        numbers = losses.numbers()
        history.append(numbers["total"])
        yield mean.clone(), numbers, ""
        if early_stop and len(history) > 20 and history[-21] - history[-1] < early_stop * abs(history[-21]):
            return


def _schedule(fraction: float, step: int) -> float:
    """A short warm-up, then a straight line to a tenth: large moves first, fine strokes last."""
    return min(1.0, (step + 1) / 5) * (1 - 0.9 * fraction)


def _optimizer(image: Tensor, name: OptimizerName, rate: float) -> torch.optim.Optimizer:
    if name == "lbfgs":
        return torch.optim.LBFGS([image], lr=rate, max_iter=1, history_size=20, tolerance_grad=0, tolerance_change=0)
    return torch.optim.Adam([image], lr=rate, betas=(0.9, 0.99))


def _step(encoder: Encoder, objective: Objective, image: Tensor, descent: torch.optim.Optimizer) -> Losses | None:
    """One step of the optimiser in place; the losses before it, or None where they or the gradient overflow."""
    found: list[Losses] = []

    def closure() -> Tensor:
        descent.zero_grad()
        losses = objective(encoder.features(image, objective.layers), image)
        losses.total.backward()  # type: ignore[no-untyped-call]
        if not torch.isfinite(losses.total) or image.grad is None or not bool(torch.isfinite(image.grad).all()):
            raise _NotFiniteError
        found.append(losses)
        return losses.total

    try:
        descent.step(closure)  # type: ignore[arg-type]
    except _NotFiniteError:
        return None
    return found[0]


class _NotFiniteError(ArithmeticError):
    pass
