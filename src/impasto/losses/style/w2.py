"""Style as a Gaussian of features, compared by optimal transport: the squared 2-Wasserstein distance.

Mroueh 2020 (arXiv:1905.12828) transports styles by it; as a loss for an optimiser it is known from
K. Crowson's style-transfer-pytorch. A Gram matrix mixes what a channel is on average with how it
varies; here both are compared, each in its own square root, so that weak directions of the features
count beside the strong ones, whose squares rule a Gram matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.gram import gram
from impasto.losses.precision import wide

__all__ = ["W2", "Gaussian", "GaussianLoss", "gaussian_w2"]


@dataclass(frozen=True)
class Gaussian:
    """Mean `(C,)` and covariance `(C, C)` of the features of one layer."""

    mean: Tensor
    covariance: Tensor


def gaussian_w2(mean: Tensor, covariance: Tensor, target: Gaussian, root: Tensor) -> Tensor:
    """`|m - m'|^2 + tr(C + C' - 2 (C'^1/2 C C'^1/2)^1/2)`; `root` is `C'^1/2` (Dowson and Landau 1982).

    Differentiable in `mean` and `covariance`: the trace of a matrix's root is the sum of its
    eigenvalues' roots, whose slopes need no difference of two eigenvalues.
    """
    inner = root @ covariance @ root
    values = torch.linalg.eigvalsh((inner + inner.mT) / 2)
    # Below this an eigenvalue is rounding, or a direction that one of the two does not have.
    floor = 1e-10 * target.covariance.diagonal().sum().square().clamp_min(1e-24)
    roots = torch.where(values > floor, values.clamp_min(floor).sqrt(), 0.0).sum()
    traces = covariance.diagonal().sum() + target.covariance.diagonal().sum()
    return (mean - target.mean).square().sum() + traces - 2 * roots


@dataclass(frozen=True)
class _Aim:
    """A target: the Gaussian, the root of its covariance, and its distance from no features at all."""

    gaussian: Gaussian
    root: Tensor
    whole: Tensor

    @staticmethod
    def of(mean: Tensor, second: Tensor) -> "_Aim":
        gaussian = Gaussian(mean, second - mean[:, None] * mean)
        values, vectors = torch.linalg.eigh(gaussian.covariance)
        root = (vectors * values.clamp_min(0).sqrt()) @ vectors.mT
        return _Aim(gaussian, root, second.diagonal().sum().clamp_min(1e-12))


class GaussianLoss(StyleLoss):
    """A style as mean and covariance, compared by `gaussian_w2` over the target's distance from 0.

    That is `|m'|^2 + tr C'`, so the loss is exactly 1 for features gone dark. Matrices are float64,
    on the CPU where the device has none: roots of small eigenvalues are lost in float32. Masks are
    squared, as a guided Gram matrix has them.
    """

    name: ClassVar[str] = "w2"

    def target(self, features: Tensor, mask: Tensor | None = None) -> _Aim:
        """From `(1, C, H, W)`."""
        return _Aim.of(*_moments(features, mask))

    def mix(self, targets: Sequence[_Aim], weights: Sequence[float]) -> _Aim:
        """The moments of all pictures hung side by side, in widths by the weights; one alone is
        itself.
        """
        kept = [(each, w) for each, w in zip(targets, weights, strict=True) if w > 0]
        if len(kept) == 1:
            return kept[0][0]
        total = sum(w for _, w in kept)
        found = [
            (w / total, g.mean, g.covariance + g.mean[:, None] * g.mean)
            for g, w in ((aim.gaussian, w) for aim, w in kept)
        ]
        return _Aim.of(
            torch.stack([w * mean for w, mean, _ in found]).sum(0),
            torch.stack([w * second for w, _, second in found]).sum(0),
        )

    def distance(self, features: Tensor, target: _Aim, mask: Tensor | None = None) -> Tensor:
        """`gaussian_w2`, relative; float32, or float64 where the features are."""
        mean, second = _moments(features, mask)
        covariance = second - mean[:, None] * mean
        apart = gaussian_w2(mean, covariance, target.gaussian, target.root) / target.whole
        return apart.to(features.device, wide(features).dtype)


def _moments(features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean `(C,)` and raw second moments `(C, C)` in float64; each position counts by its mask
    squared.
    """
    weights = None if mask is None else wide(mask).square()
    mean = (
        features.mean((2, 3), dtype=wide(features).dtype)
        if weights is None
        else (features * weights).sum((2, 3)) / weights.sum().clamp_min(1e-12)
    )
    return _double(mean[0]), _double(gram(features, mask)[0])


def _double(x: Tensor) -> Tensor:
    return (x.cpu() if x.device.type == "mps" else x).double()


W2 = GaussianLoss()
"""The style loss `w2`."""
