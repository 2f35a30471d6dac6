"""A loss for a picture, composed of named, weighted terms.

    objective = Objective([content_term("relu4_2", target, 1.0), style_term("relu1_1", gram, 0.2)])
    losses = objective(encoder.features(image, objective.layers), image)
    losses.total.backward()

A reconstruction is an objective with one term; a ratio grid is a loop over objectives.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.errors import OptionError
from impasto.losses.base import StyleLoss
from impasto.losses.content import CONTENT_SCALES, content_loss, relative_content_loss
from impasto.losses.gram import GRAM
from impasto.losses.variation import natural_prior, powered_variation, total_variation

__all__ = [
    "Losses",
    "Objective",
    "Term",
    "content_term",
    "mask_at",
    "prior_term",
    "style_term",
    "variation_term",
]


@dataclass(frozen=True)
class Term:
    """`weight * loss(features, image)`, under a name. `layers` are the features it reads."""

    name: str
    weight: float
    layers: tuple[str, ...]
    loss: Callable[[Mapping[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class Losses:
    """One evaluation: the differentiable total, and every term's value before and after its weight."""

    total: Tensor
    raw: Mapping[str, Tensor]
    weighted: Mapping[str, Tensor]

    def numbers(self) -> dict[str, float]:
        """`total`, `NAME` (weighted) and `raw/NAME`, as plain floats for a log."""
        return (
            {"total": self.total.item()}
            | {name: value.item() for name, value in self.weighted.items()}
            | {f"raw/{name}": value.item() for name, value in self.raw.items()}
        )


class Objective:
    """The sum of its terms. Term names are unique; a weight of zero is allowed and still logged."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self.terms = tuple(terms)
        names = [term.name for term in self.terms]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"an objective needs terms with different names, not {names}")

    @property
    def layers(self) -> tuple[str, ...]:
        """The features this objective reads, each once."""
        return tuple(dict.fromkeys(layer for term in self.terms for layer in term.layers))

    def __call__(self, features: Mapping[str, Tensor], image: Tensor) -> Losses:
        """`features`: layer -> `(B, C, H, W)` of `image`, `(B, 3, H, W)`; all of `self.layers` must
        be there.
        """
        raw = {term.name: term.loss(features, image) for term in self.terms}
        weighted = {term.name: term.weight * raw[term.name] for term in self.terms}
        total = next(iter(weighted.values())).new_zeros(())
        for value in weighted.values():
            total = total + value
        return Losses(
            total,
            {name: value.detach() for name, value in raw.items()},
            {name: value.detach() for name, value in weighted.items()},
        )


def content_term(
    layer: str, target: Tensor, weight: float, scale: str = "relative", mask: Tensor | None = None
) -> Term:
    """Keep `layer` near `target` `(B, C, H, W)`; `scale` is `relative` or one of
    `losses.CONTENT_SCALES`.

    `mask`: a soft one of any size, `(1, 1, H, W)` in [0, 1]; what it leaves out counts nothing.
    """
    _check_scale(scale, ("relative", *CONTENT_SCALES))
    seen = None if mask is None else mask_at(mask, target)

    def loss(features: Mapping[str, Tensor], _: Tensor) -> Tensor:
        if scale == "relative":
            return relative_content_loss(features[layer], target, seen)
        return content_loss(features[layer], target, scale, seen)

    return Term(f"content/{layer}", weight, (layer,), loss)


def style_term(
    layer: str, target: Any, weight: float, loss: StyleLoss = GRAM, mask: Tensor | None = None
) -> Term:
    """Bring `layer` to a style: `target` is what `loss.target` gave for it, or `loss.mix` of
    several.

    `mask`: the region that is to have this style, soft, of any size, `(1, 1, H, W)` in [0, 1].
    """

    def distance(features: Mapping[str, Tensor], _: Tensor) -> Tensor:
        found = features[layer]
        return loss.distance(found, target, None if mask is None else mask_at(mask, found))

    return Term(f"style/{layer}", weight, (layer,), distance)


def mask_at(mask: Tensor, features: Tensor) -> Tensor:
    """A soft mask, `(1, 1, H, W)`, as those features see it: averaged down to their size, on their
    device.
    """
    kind = torch.float64 if features.dtype == torch.float64 else torch.float32
    return interpolate(mask.to(features.device, kind), size=features.shape[-2:], mode="area")


def variation_term(weight: float, scale: str = "sum") -> Term:
    """Total variation of the image: the sum of absolute differences, their `mean` per pixel (summed
    / H W), or of their `powers` (`powered_variation`).
    """
    _check_scale(scale, ("sum", "mean", "powers"))

    def loss(_: Mapping[str, Tensor], image: Tensor) -> Tensor:
        if scale == "powers":
            return powered_variation(image)
        positions = image.shape[-2] * image.shape[-1] if scale == "mean" else 1
        return total_variation(image) / positions

    return Term("variation", weight, (), loss)


def prior_term(weight: float) -> Term:
    """`natural_prior` of the image."""
    return Term("prior", weight, (), lambda _, image: natural_prior(image))


def _check_scale(scale: str, known: tuple[str, ...]) -> None:
    if scale not in known:
        raise OptionError(f"unknown scale {scale!r}; choose one of {', '.join(known)}")
