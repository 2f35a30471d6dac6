"""Style as a store of feature vectors: each one of the picture is drawn to the nearest of the
style's.

Kolkin et al. 2022, "Neural Neighbor Style Transfer" (arXiv:2203.13215): the nearest by the cosine of
vectors less their mean, found anew as the picture changes. Where this leaves the paper: the vector is
then drawn to its neighbour by squared distance, as in Li and Wand 2016 (arXiv:1601.04589, eq. 2),
not by the cosine again. A cosine knows no contrast and no colour, which the paper puts right after.
"""

from typing import ClassVar

import torch
from torch import Tensor

from impasto.losses.sampling import Points, Sampled, SampledLoss, points

__all__ = ["NNST", "NeighbourLoss", "nearest"]

# Every position looked at is compared with every one of the style's that is. Of larger layers a
# part, others at each step.
POSITIONS = 1024
STORE = 4096


@torch.no_grad()
def nearest(x: Points, style: Points) -> Tensor:
    """For each vector of `x`, `(C, N)`, the number of the style's of largest cosine, `(N,)`.

    Both are taken less the mean of their layer, by which an area that is the picture's usual one
    finds the style's usual one (Kolkin et al. 2022, section 3.1).
    """
    ours, theirs = (
        each.centred / each.centred.norm(dim=0, keepdim=True).clamp_min(1e-12)
        for each in (x, style)
    )
    found: Tensor = (ours.mT @ theirs).argmax(1)
    return found


class NeighbourLoss(SampledLoss):
    """The mean of `|f_i - s_nn(i)|^2` over the picture's vectors `f_i`, over the mean of `|s_j|^2`.

    Of several styles each is a store of its own, and the loss the weighted mean of the distances to
    them. A mask weighs the picture's positions, and lets in the style's, by its square.
    """

    name: ClassVar[str] = "nnst"
    balance: ClassVar[float] = 0.2

    def distance(self, features: Tensor, target: Sampled, mask: Tensor | None = None) -> Tensor:
        """See the class; differentiable in `features`, the neighbours held."""
        places = target.draw.places(STORE)
        x = points(features, mask).at(places[:POSITIONS])
        found = x.values.sum() * 0
        if not x.values.shape[1]:
            return found
        for share, store in target.at(places):
            apart = (x.values - store.values[:, nearest(x, store)]).square().sum(0)
            whole = store.values.square().sum(0).mean().clamp_min(1e-12)
            found = found + share * _mean(apart, x.weights) / whole
        return found


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.mean() if weights is None else (values * weights).sum() / weights.sum()


NNST = NeighbourLoss()
"""The style loss `nnst`."""
