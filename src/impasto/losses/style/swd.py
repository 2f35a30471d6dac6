"""Style as the distribution of features: the sliced Wasserstein distance, Heitz et al. 2021
(arXiv:2006.07229).
"""

from typing import ClassVar

from torch import Tensor

from impasto.losses.sampling import Sampled, SampledLoss
from impasto.losses.sliced import sampled_distance

__all__ = ["SWD", "SlicedLoss"]


class SlicedLoss(SampledLoss):
    """A style as the distribution of its features: `sliced_distance` over as many random directions
    as there are channels, new ones at every call (Heitz et al. 2021, section 4).

    Of layers with more than `sliced.POSITIONS` positions a part is looked at, at the same places of the
    picture and of the style, so that a style is at distance 0 from itself. A mask weighs positions
    by its square. Of several styles the quantiles are averaged by the weights (Rabin et al. 2011).
    """

    name: ClassVar[str] = "swd"
    balance: ClassVar[float] = 2.0

    def distance(self, features: Tensor, target: Sampled, mask: Tensor | None = None) -> Tensor:
        """`sliced_distance`."""
        axes = target.draw.normal(features.shape[1], features.shape[1])
        return sampled_distance(features, target, axes / axes.norm(dim=1, keepdim=True), mask)


SWD = SlicedLoss()
"""The style loss `swd`."""
