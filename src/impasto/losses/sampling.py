"""A random part of a layer's features, another at every look: what losses that compare many positions
can afford.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.precision import wide

__all__ = ["Draw", "Points", "Sampled", "SampledLoss", "points"]


@dataclass(frozen=True)
class Points:
    """Feature vectors of one layer, `values` `(C, N)`, and what each counts for, `weights` `(N,)`.

    `mean`, `(C, 1)`: of the whole layer, where these are a part of it.
    """

    values: Tensor
    weights: Tensor | None = None
    mean: Tensor | None = None

    @property
    def centred(self) -> Tensor:
        """The vectors less the mean of the layer."""
        mean = _mean(self.values, self.weights) if self.mean is None else self.mean
        return wide(self.values) - mean

    def at(self, places: Tensor) -> "Points":
        """Those at `places`, numbers from 0 to 1, float32 at least; all where they are no more than
        that.

        The same places of two pictures of one size are the same positions.
        """
        count = self.values.shape[1]
        if count <= len(places):
            return Points(wide(self.values), self.weights, self.mean)
        index = (places * count).long().to(self.values.device)
        weights = None if self.weights is None else self.weights[index]
        return Points(wide(self.values[:, index]), weights, self.mean)


def points(features: Tensor, mask: Tensor | None = None) -> Points:
    """All positions of `(1, C, H, W)` that a soft mask lets through; each counts by its mask squared.

    A guided Gram matrix (Gatys et al. 2017) weighs positions so.
    """
    values = features[0].flatten(1)
    if mask is None:
        return Points(values, mean=_mean(values, None))
    weights = wide(mask).square().flatten()
    seen = weights > 0
    values, weights = values[:, seen], weights[seen]
    return Points(values, weights, _mean(values, weights))


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """`(C, 1)`, no gradient."""
    values = values.detach()
    if weights is None:
        return values.mean(1, keepdim=True, dtype=wide(values).dtype)
    return (values * weights).sum(1, keepdim=True) / weights.sum().clamp_min(1e-12)


@dataclass
class Draw:
    """Random numbers, float64 on the CPU, one after the other; begun anew, they are the same."""

    seed: int = 0
    _generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Back to the first number."""
        self._generator = torch.Generator().manual_seed(self.seed)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return torch.randn(*shape, generator=self._generator, dtype=torch.float64)

    def places(self, count: int) -> Tensor:
        """`count` numbers from 0 to 1, `Points.at` which to look."""
        return torch.rand(count, generator=self._generator, dtype=torch.float64)


@dataclass(frozen=True)
class Sampled:
    """A target made of features themselves: `parts`, the points of several pictures with their
    shares, which sum to 1, and the random numbers by which they are looked at.
    """

    parts: tuple[tuple[float, Points], ...]
    draw: Draw = field(default_factory=Draw)

    @staticmethod
    def of(features: Tensor, mask: Tensor | None = None) -> "Sampled":
        """Of one picture; arguments as `points` takes them."""
        return Sampled(((1.0, points(features, mask)),))

    @staticmethod
    def mixed(targets: Sequence["Sampled"], weights: Sequence[float]) -> "Sampled":
        """All parts, their shares by the weights; what has no weight is left out."""
        total = sum(weights)
        parts = [
            (weight / total * share, part)
            for target, weight in zip(targets, weights, strict=True)
            for share, part in target.parts
            if weight > 0
        ]
        return Sampled(tuple(parts))

    def at(self, places: Tensor) -> list[tuple[float, Points]]:
        """Every part, looked at at these places."""
        return [(share, part.at(places)) for share, part in self.parts]


class SampledLoss(StyleLoss):
    """A style loss whose target is the style's features themselves."""

    stochastic: ClassVar[bool] = True

    def target(self, features: Tensor, mask: Tensor | None = None) -> Sampled:
        """From `(1, C, H, W)`."""
        return Sampled.of(features, mask)

    def mix(self, targets: Sequence[Sampled], weights: Sequence[float]) -> Sampled:
        """All parts with their shares; what has no weight is left out."""
        return Sampled.mixed(targets, weights)
