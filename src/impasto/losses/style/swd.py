"""Style as the distribution of features: the sliced Wasserstein distance, Heitz et al. 2021
(arXiv:2006.07229).
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.sampling import Sampled
from impasto.losses.sliced import sampled_distance

__all__ = ["SWD", "SlicedLoss"]


class SlicedLoss(StyleLoss):
    """A style as the distribution of its features: `sliced_distance` over as many random directions
    as there are channels, new ones at every call (Heitz et al. 2021, section 4).

    Of layers with more than `sliced.POSITIONS` positions a part is looked at, at the same places of the
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
        return sampled_distance(features, target, axes / axes.norm(dim=1, keepdim=True), mask)


SWD = SlicedLoss()
"""The style loss `swd`."""
