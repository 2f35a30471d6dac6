"""Style as Gram matrices and histograms: Risser et al. 2017 (arXiv:1701.08893)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.sampling import Sampled
from impasto.losses.sliced import sampled_distance
from impasto.losses.style.gram import GRAM

__all__ = ["HISTOGRAM", "HistogramLoss"]


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
        channels = torch.eye(features.shape[1], dtype=torch.float32)
        histograms = sampled_distance(features, sampled, channels, mask)
        return (GRAM.distance(features, second, mask) + histograms) / 2


HISTOGRAM = HistogramLoss()
"""The style loss `histogram`."""
