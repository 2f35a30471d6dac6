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
from impasto.losses.content import (
    CONTENT_SCALES,
    content_loss,
    relative_content_loss,
    squared_norm,
)
from impasto.losses.gram import gram
from impasto.losses.style.gram import GRAM, GramLoss
from impasto.losses.variation import natural_prior, powered_variation, total_variation
from impasto.windows import Window

__all__ = [
    "Losses",
    "Objective",
    "Section",
    "Sums",
    "Term",
    "content_term",
    "gram_sums",
    "mask_at",
    "prior_term",
    "style_term",
    "variation_term",
]


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a picture, with what surrounds it: its `features` by layer, and itself.

    `inside[layer]`: the positions that are its own, of `features[layer]`; `places[layer]`: the same
    ones on the map of the whole picture. `own` and `neighbours`: its pixels on `image`, and those
    with one more to the right and below where there is one. `size`: (H, W) of the whole.
    """

    features: Mapping[str, Tensor]
    image: Tensor
    inside: Mapping[str, Window]
    places: Mapping[str, Window]
    own: Window
    neighbours: Window
    size: tuple[int, int]


@dataclass(frozen=True)
class Sums:
    """A loss as a function of sums over positions: `of` a section, added up over the picture, and
    what to `finish` makes of the total. `counted`: which of the sums is that of the squared mask,
    where the loss is of a region.
    """

    of: Callable[[Section], Tensor]
    finish: Callable[[Tensor], Tensor]
    counted: int | None = None


@dataclass(frozen=True)
class Term:
    """`weight * loss(features, image)`, under a name. `layers` are the features it reads.

    `sums`: the same by sections of the picture, for what is a function of sums over positions.
    """

    name: str
    weight: float
    layers: tuple[str, ...]
    loss: Callable[[Mapping[str, Tensor], Tensor], Tensor]
    sums: Sums | None = None


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
        return self.of({term.name: term.loss(features, image) for term in self.terms})

    def of(self, raw: Mapping[str, Tensor]) -> Losses:
        """The losses, where those of the terms are known by name."""
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

    def apart(section: Section) -> Tensor:
        place = section.places[layer]
        own, aim = section.inside[layer].of(section.features[layer]), place.of(target)
        counted = None if seen is None else place.of(seen)
        return content_loss(own, aim, "sum", counted)

    def finish(total: Tensor) -> Tensor:
        if scale == "relative":
            # As a picture that is black to this layer, which is 1 by definition, has it.
            return total / squared_norm(target, seen).clamp_min(1e-12)
        return CONTENT_SCALES[scale](target.shape[1], target.shape[2] * target.shape[3]) * total

    return Term(f"content/{layer}", weight, (layer,), loss, Sums(apart, finish))


def style_term(
    layer: str, target: Any, weight: float, loss: StyleLoss = GRAM, mask: Tensor | None = None
) -> Term:
    """Bring `layer` to a style: `target` is of `loss.target`, or `loss.mix` of several.

    `mask`: the region that is to have this style, soft, of any size, `(1, 1, H, W)` in [0, 1].
    """

    def distance(features: Mapping[str, Tensor], _: Tensor) -> Tensor:
        found = features[layer]
        return loss.distance(found, target, None if mask is None else mask_at(mask, found))

    def seen(section: Section) -> Tensor:
        assert mask is not None
        whole = section.features[layer].new_empty((1, 1, *_map_size(section, layer)))
        return section.places[layer].of(mask_at(mask, whole.float()))

    sums = None
    if isinstance(loss, GramLoss):
        sums = gram_sums(layer, target, loss, None if mask is None else seen)
    return Term(f"style/{layer}", weight, (layer,), distance, sums)


def gram_sums(
    layer: str, target: Tensor, loss: GramLoss, seen: Callable[[Section], Tensor] | None
) -> Sums:
    """The style loss of `layer` by sections: products of features, and how much of the picture they
    are of, as one vector.

    `seen`: the mask at the section's own positions of that layer, `(1, 1, h, w)`; None for all.
    """

    def of(section: Section) -> Tensor:
        found = section.inside[layer].of(section.features[layer])
        count = found.new_tensor([found.shape[-2] * found.shape[-1]], dtype=torch.float32)
        if seen is None:
            return torch.cat([(gram(found) * count).flatten(), count, count])
        mask = seen(section)
        products = gram(found * mask.to(found.dtype)) * count
        return torch.cat([products.flatten(), mask.square().sum()[None], count])

    def finish(total: Tensor) -> Tensor:
        share, positions = total[-2].detach(), total[-1].detach()
        second = (total[:-2] / share.clamp_min(1e-12 * float(positions))).view_as(target)
        return loss.apart(second, target, round(float(share)))

    return Sums(of, finish, None if seen is None else -2)


def _map_size(section: Section, layer: str) -> tuple[int, int]:
    """Of a layer's map of the whole picture: it is as much smaller as that of the section."""
    step = round(section.image.shape[-1] / section.features[layer].shape[-1])
    return section.size[0] // step, section.size[1] // step


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

    def of(section: Section) -> Tensor:
        seen, own = section.neighbours.of(section.image), section.own.size
        across = (seen[..., : own[0], 1:] - seen[..., : own[0], :-1]).abs().sum()
        down = (seen[..., 1:, : own[1]] - seen[..., :-1, : own[1]]).abs().sum()
        positions = section.size[0] * section.size[1] if scale == "mean" else 1
        return (across + down) / positions

    sums = None if scale == "powers" else Sums(of, lambda total: total)
    return Term("variation", weight, (), loss, sums)


def prior_term(weight: float) -> Term:
    """`natural_prior` of the image."""
    return Term("prior", weight, (), lambda _, image: natural_prior(image))


def _check_scale(scale: str, known: tuple[str, ...]) -> None:
    if scale not in known:
        raise OptionError(f"unknown scale {scale!r}; choose one of {', '.join(known)}")
