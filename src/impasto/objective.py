"""A loss for a picture, composed of named, weighted terms.

    objective = Objective([content_term("relu4_2", target, 1.0), style_term("relu1_1", moments, 0.2)])
    losses = objective(encoder.features(image, objective.layers), image)
    losses.total.backward()

A reconstruction is an objective with one term; a ratio grid is a loop over objectives.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from impasto.errors import ImpastoError
from impasto.losses import (
    CONTENT_SCALES,
    STYLE_SCALES,
    Moments,
    content_loss,
    gram,
    relative_content_loss,
    relative_style_loss,
    style_loss,
    total_variation,
)

__all__ = ["Losses", "Objective", "Term", "content_term", "style_term", "variation_term"]


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
        """`features`: layer -> `(B, C, H, W)` of `image`, `(B, 3, H, W)`; all of `self.layers` must be there."""
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


def content_term(layer: str, target: Tensor, weight: float, scale: str = "relative") -> Term:
    """Keep `layer` near `target` `(B, C, H, W)`; `scale` is `relative` or one of `losses.CONTENT_SCALES`."""
    _check_scale(scale, ("relative", *CONTENT_SCALES))

    def loss(features: Mapping[str, Tensor], _: Tensor) -> Tensor:
        if scale == "relative":
            return relative_content_loss(features[layer], target)
        return content_loss(features[layer], target, scale)

    return Term(f"content/{layer}", weight, (layer,), loss)


def style_term(layer: str, target: Moments, weight: float, scale: str = "relative") -> Term:
    """Bring `layer`'s second moments to `target`'s; `scale` is `relative` or one of `losses.STYLE_SCALES`."""
    _check_scale(scale, ("relative", *STYLE_SCALES))

    def loss(features: Mapping[str, Tensor], _: Tensor) -> Tensor:
        second, positions = gram(features[layer]), features[layer].shape[2] * features[layer].shape[3]
        if scale == "relative":
            return relative_style_loss(second, target.gram)
        return style_loss(second, target.gram, positions, scale)

    return Term(f"style/{layer}", weight, (layer,), loss)


def variation_term(weight: float, scale: str = "sum") -> Term:
    """Total variation of the image: the sum of absolute differences, or their `mean` per pixel (summed / H W)."""
    _check_scale(scale, ("sum", "mean"))

    def loss(_: Mapping[str, Tensor], image: Tensor) -> Tensor:
        positions = image.shape[-2] * image.shape[-1] if scale == "mean" else 1
        return total_variation(image) / positions

    return Term("variation", weight, (), loss)


def _check_scale(scale: str, known: tuple[str, ...]) -> None:
    if scale not in known:
        raise ImpastoError(f"unknown scale {scale!r}; choose one of {', '.join(known)}")
