"""Style as the distribution of features, seen along lines: sliced Wasserstein distance, histograms.

Along one direction two sets of points are compared exactly by sorting: the k-th smallest of one
belongs to the k-th smallest of the other. Over random directions that is the sliced Wasserstein
distance (Heitz et al. 2021, arXiv:2006.07229, eq. 4): 0 only where the whole distributions agree,
of which Gram matrices are the second moments. Along the channels themselves it is the histogram
loss of Risser et al. 2017 (arXiv:1701.08893).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.gram import GRAM
from impasto.losses.sampling import Points, Sampled, points

__all__ = ["HISTOGRAM", "SWD", "HistogramLoss", "SlicedLoss", "sliced_distance"]

# Sorting is what this costs. Of a larger layer so many positions are looked at, others at each step:
# an estimate whose error, averaged over the steps, is below what a step moves.
POSITIONS = 4096


def sliced_distance(x: Points, parts: Sequence[tuple[float, Points]], axes: Tensor) -> Tensor:
    """Mean over the rows of `axes`, `(K, C)`, of the squared distance of quantiles, over the style's
    own square.

    `parts`: points of several styles with their shares; their quantiles are averaged, which is the
    barycentre along each line. 1 for an `x` that is 0 everywhere. Differentiable in `x.values`.
    """
    found, order = (axes @ x.values).sort(1)
    levels, weights = _levels(x.weights, order)
    wanted = torch.stack([w * _quantiles(part, axes, levels) for w, part in parts]).sum(0)
    apart = ((found - wanted).square() * weights).sum(1).mean()
    return apart / (wanted.square() * weights).sum(1).mean().clamp_min(1e-12)


def _levels(weights: Tensor | None, order: Tensor) -> tuple[Tensor, Tensor]:
    """Of sorted points `(K, N)`: how much of all lies below the middle of each, and its share."""
    count = order.shape[1]
    if weights is None:
        share = torch.full((1, count), 1 / count, device=order.device, dtype=torch.float32)
        return (
            torch.arange(count, device=order.device, dtype=torch.float32)[None] + 0.5
        ) / count, share
    share = (weights / weights.sum().clamp_min(1e-12))[order]
    return share.cumsum(1) - share / 2, share


@torch.no_grad()
def _quantiles(part: Points, axes: Tensor, levels: Tensor) -> Tensor:
    """Where, along each axis, that much of a style lies below: `levels` `(K or 1, N)` -> `(K, N)`.

    As many unweighted points as levels are themselves, to the last bit; else linear in between.
    """
    found, order = (axes @ part.values).sort(1)
    if part.weights is None and len(levels) == 1 and found.shape[1] == levels.shape[1]:
        return found
    own, _ = _levels(part.weights, order)
    own, levels = (t.expand(len(found), -1).contiguous().to(found.dtype) for t in (own, levels))
    after = torch.searchsorted(own, levels).clamp(1, max(1, own.shape[1] - 1))
    if own.shape[1] == 1:
        return found.expand(-1, levels.shape[1])
    low, high = own.gather(1, after - 1), own.gather(1, after)
    part_way: Tensor = ((levels - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    below, above = found.gather(1, after - 1), found.gather(1, after)
    return torch.lerp(below, above, part_way)


class SlicedLoss(StyleLoss):
    """A style as the distribution of its features: `sliced_distance` over as many random directions
    as there are channels, new ones at every call (Heitz et al. 2021, section 4).

    Of layers with more than `POSITIONS` positions a part is looked at, at the same places of the
    picture and of the style, so that a style is at distance 0 from itself. A mask weighs positions
    by its square.
    """

    name: ClassVar[str] = "swd"
    stochastic: ClassVar[bool] = True
    balance: ClassVar[float] = 2.0

    def target(self, features: Tensor, mask: Tensor | None = None) -> Sampled:
        """From `(1, C, H, W)`."""
        return Sampled.of(features, mask)

    def mix(self, targets: Sequence[Sampled], weights: Sequence[float]) -> Sampled:
        """Quantiles averaged by the weights (Rabin et al. 2011); what has no weight is left out."""
        return Sampled.mixed(targets, weights)

    def distance(self, features: Tensor, target: Sampled, mask: Tensor | None = None) -> Tensor:
        """`sliced_distance`."""
        axes = target.draw.normal(features.shape[1], features.shape[1])
        return _along(axes / axes.norm(dim=1, keepdim=True), features, target, mask)


class HistogramLoss(StyleLoss):
    """A style as its Gram matrices and the histogram of every channel, in equal parts.

    Risser et al. 2017, eq. 8 and 10: a Gram matrix alone may be had by contrasts that no channel of
    the style has, and the histograms rule those out. Sorted values stand for their histogram
    matching, which is the same map without bins.
    """

    name: ClassVar[str] = "histogram"
    stochastic: ClassVar[bool] = True

    def target(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Sampled]:
        """The Gram matrix, and the points."""
        return GRAM.target(features, mask), Sampled.of(features, mask)

    def mix(
        self, targets: Sequence[tuple[Tensor, Sampled]], weights: Sequence[float]
    ) -> tuple[Tensor, Sampled]:
        """Both parts as `gram` and `swd` mix them."""
        grams, points = zip(*targets, strict=True)
        return GRAM.mix(grams, weights), Sampled.mixed(points, weights)

    def distance(
        self, features: Tensor, target: tuple[Tensor, Sampled], mask: Tensor | None = None
    ) -> Tensor:
        """The mean of both."""
        second, sampled = target
        histograms = _along(
            torch.eye(features.shape[1], dtype=torch.float32), features, sampled, mask
        )
        return (GRAM.distance(features, second, mask) + histograms) / 2


def _along(axes: Tensor, features: Tensor, target: Sampled, mask: Tensor | None) -> Tensor:
    """`sliced_distance` at the next places of the target."""
    places = target.draw.places(POSITIONS)
    x = points(features, mask).at(places)
    if not x.values.shape[1]:  # a mask that lets nothing through
        return x.values.sum()
    return sliced_distance(x, target.at(places), axes.to(x.values))


SWD = SlicedLoss()
"""The style loss `swd`."""
HISTOGRAM = HistogramLoss()
"""The style loss `histogram`."""
