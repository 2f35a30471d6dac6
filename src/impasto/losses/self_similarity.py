"""Content as what in a photo is like what else: self-similarity (Kolkin et al. 2019).

Kolkin, Salavon and Shakhnarovich 2019, "Style Transfer by Relaxed Optimal Transport and
Self-Similarity" (arXiv:1904.12785), eq. 5. The features themselves may become anything, so long as
places that were alike stay alike and places that differed differ: a style that changes every
colour and contrast is not held back by them.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from impasto.losses.objective import Term, mask_at
from impasto.losses.sampling import Draw, Points, points

__all__ = ["self_similarity_loss", "self_similarity_term"]

# Of larger layers so many positions are compared, others at each step (as many as the paper's).
POSITIONS = 1024


def self_similarity_loss(features: Points, target: Points) -> Tensor:
    """`1/N sum_ij |D_ij / sum_i D_ij - D'_ij / sum_i D'_ij|`, `D` cosine distances between positions.

    `features`, `target`: `(C, N)` at the same positions; from 0 to 2, and 0 where all directions
    are turned alike or lengths differ. Each column counts by the weight of its position.
    """
    apart = (_distances(features) - _distances(target)).abs().sum(0)
    weights = target.weights
    return apart.mean() if weights is None else (apart * weights).sum() / weights.sum()


def _distances(found: Points) -> Tensor:
    """Cosine distances `(N, N)`, each column divided by its sum."""
    lengths = (found.values.square().sum(0, keepdim=True) + 1e-12).sqrt()
    directions = found.values / lengths
    apart = (1 - directions.mT @ directions).clamp_min(0)
    return apart / apart.sum(0, keepdim=True).clamp_min(1e-6)


def self_similarity_term(
    layer: str, target: Tensor, weight: float, mask: Tensor | None = None
) -> Term:
    """Keep the self-similarity of `layer` near that of `target`, `(1, C, H, W)`, of the same size.

    `mask`: a soft one of any size, `(1, 1, H, W)` in [0, 1]; what it leaves out counts nothing.
    """
    seen, draw = None if mask is None else mask_at(mask, target), Draw()
    wanted = points(target, seen)

    def loss(features: Mapping[str, Tensor], _: Tensor) -> Tensor:
        found, places = points(features[layer], seen), draw.places(POSITIONS)
        if not found.values.shape[1]:
            return features[layer].sum() * 0
        with torch.autocast(found.values.device.type, enabled=False):
            return self_similarity_loss(found.at(places), wanted.at(places))

    return Term(f"content/{layer}", weight, (layer,), loss)
