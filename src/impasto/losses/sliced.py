"""Style as the distribution of features, seen along lines: sliced Wasserstein distance, histograms.

Along one direction two sets of points are compared exactly by sorting: the k-th smallest of one
belongs to the k-th smallest of the other. Over random directions that is the sliced Wasserstein
distance (Heitz et al. 2021, arXiv:2006.07229, eq. 4): 0 only where the whole distributions agree,
of which Gram matrices are the second moments. Along the channels themselves it is the histogram
loss of Risser et al. 2017 (arXiv:1701.08893).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.losses.sampling import Points, Sampled, points

__all__ = ["sampled_distance", "sliced_distance"]

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


def sampled_distance(
    features: Tensor, target: Sampled, axes: Tensor, mask: Tensor | None
) -> Tensor:
    """`sliced_distance` of `features`, `(1, C, H, W)`, along `axes`, `(K, C)`, at the next places of
    the target.
    """
    places = target.draw.places(POSITIONS)
    x = points(features, mask).at(places)
    if not x.values.shape[1]:  # a mask that lets nothing through
        return x.values.sum()
    return sliced_distance(x, target.at(places), axes.to(x.values))
