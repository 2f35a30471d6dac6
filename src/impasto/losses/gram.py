"""Style as second moments of features: Gram matrices and their distances.

One statistic carries a style here: the raw second moments of a layer's features, divided by the
number of positions. They are averages over pixels, so pictures, regions and tiles combine by
adding. Every source's Gram matrix and loss is that statistic, or a squared distance, times a factor
that depends only on the layer's filters N and positions M; the factors have names here, so that a
published weight means the same thing here as it did there.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from impasto.losses.precision import wide
from impasto.portable import is_portable

__all__ = [
    "STYLE_SCALES",
    "cooccurrence",
    "eased_style_loss",
    "gram",
    "relative_style_loss",
    "style_loss",
]

# G, A: second moments *divided by M*, as `gram` gives them. The loss is scale(N, M) * sum (G -
# A)^2.
STYLE_SCALES: Mapping[str, Callable[[int, int], float]] = MappingProxyType(
    {
        # 1/(4 N^2 M^2) on sums over positions (Gatys et al. 2015, eq. 4): with the division by M
        # inside G, M cancels.
        "gatys": lambda n, _: 1 / (4 * n**2),
        "mean": lambda n, _: 1 / n**2,
        "mean-of-sums": lambda n, m: m**2 / n**2,  # G as M M^T, undivided
        "per-filter": lambda n, _: 1 / n**4,  # means of G / N (PyTorch's tutorial, jcjohnson)
        # 1/(4 3^2 (HW)^2) of the *picture's* HW (Keras' example): a 16th a block beside this.
        "keras": lambda *_: 1 / 36,
    }
)


class _BandedProducts(torch.autograd.Function):
    """F F'^T / M of large bfloat16 features, F' those `shift` positions on, to a few parts in 10^4.

    There is no float32 copy of the features: a bfloat16 product keeps 8 bits of its sum; summed by
    bands of positions and the bands added in float32, the roundings average out (but for a flat
    picture, whose bands all round alike: 2^-8).
    """

    BANDS = 32

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, features: Tensor, shift: int) -> Tensor:
        batch, channels, height, width = features.shape
        ctx.save_for_backward(features)
        ctx.shift = shift  # type: ignore[attr-defined]
        flat = features.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        here, there = flat[:, : height * width - shift], flat[:, shift:]
        # No more bands than keep their matrices smaller than the features themselves.
        bands = max(1, min(_BandedProducts.BANDS, here.shape[1] // channels))
        rows = here.shape[1] // bands
        total = features.new_zeros(batch, channels, channels, dtype=torch.float32)
        for one in range(
            batch
        ):  # rows of a picture are evenly spaced in memory, those of a batch are not
            a, b = (x[one, : bands * rows].reshape(bands, rows, channels) for x in (here, there))
            total[one] = torch.bmm(a.mT, b).float().sum(0)
        rest = bands * rows
        if rest < here.shape[1]:
            total += torch.bmm(here[:, rest:].mT, there[:, rest:]).float()
        return total / here.shape[1]

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (features,) = ctx.saved_tensors  # type: ignore[attr-defined]
        shift: int = ctx.shift  # type: ignore[attr-defined]
        batch, channels, height, width = features.shape
        flat = features.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        slope = (grads[0] / (height * width - shift)).to(features.dtype)
        if shift:
            of_features = torch.zeros_like(flat)
            of_features[:, : height * width - shift] = torch.bmm(flat[:, shift:], slope.mT)
            of_features[:, shift:] += torch.bmm(flat[:, : height * width - shift], slope)
        else:
            of_features = torch.bmm(
                flat, (grads[0] + grads[0].mT).div(height * width).to(features.dtype)
            )
        return of_features.view(batch, height, width, channels).permute(0, 3, 1, 2), None


def gram(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Raw second moments `G_ij = 1/M sum_k F_ik F_jk`: `(B, C, H, W)` -> `(B, C, C)`, float32 (or
    float64).

    Gatys et al. 2015, eq. 3, divided by the M = H W positions so that pictures of different sizes
    compare. Multiply by M for the sums of the paper. With a soft `mask` T, `(1, 1, H, W)`, it is
    guided (Gatys et al. 2017, arXiv:1611.07865): `sum_k T_k^2 F_ik F_jk / sum_k T_k^2`; 0 for a
    mask that lets nothing through.
    """
    if mask is not None:
        share = wide(mask).square().mean().clamp_min(1e-12)
        return gram(features * mask.to(features.dtype)) / share
    return cooccurrence(features, 0, 0)


def cooccurrence(features: Tensor, down: int, right: int) -> Tensor:
    """`1/M sum_k F_ik F_jk'`, `k'` lying `down` rows and `right` columns on: `(B, C, H, W)` -> `(B,
    C, C)`.

    Berger and Memisevic 2017 (arXiv:1606.01286). Positions are counted line by line, as if each
    line went on in the next: at the right border `k'` is of the line below. float32 (or float64);
    `down`, `right`: 0 or more.
    """
    shift = down * features.shape[3] + right
    positions = features.shape[2] * features.shape[3] - shift
    is_large = features.dtype == torch.bfloat16 and positions >= 64 * _BandedProducts.BANDS
    if is_large and not is_portable():
        return _BandedProducts.apply(features, shift)  # type: ignore[no-any-return, no-untyped-call]
    flat = wide(features).flatten(2)
    with torch.autocast(flat.device.type, enabled=False):
        return flat[..., :positions] @ flat[..., shift:].mT / positions


def style_loss(second: Tensor, target: Tensor, positions: int, scale: str = "gatys") -> Tensor:
    """`scale(N, M) * sum (G - A)^2` of two `gram` matrices `(B, N, N)`; see `STYLE_SCALES`. Gatys
    et al. 2015, eq. 4.

    `positions` is the M of the generated picture: where a source sums over positions, the target is
    brought to it.
    """
    return STYLE_SCALES[scale](second.shape[-1], positions) * (second - target).square().sum()


def eased_style_loss(second: Tensor, target: Tensor) -> Tensor:
    """`(||G - A|| / ||A||)^1.5 / 2`: as much as `relative_style_loss` at a distance of a quarter.

    The pull of a square fades as fast as a layer comes near; here the last tenths still count, and
    so they are had in fewer steps. A plain distance, whose pull never fades, would not settle.
    """
    # No slope at the style itself, where the root's own would be infinite.
    return relative_style_loss(second, target).clamp_min(1e-12).pow(0.75) / 2


def relative_style_loss(second: Tensor, target: Tensor) -> Tensor:
    """`||G - A||^2 / ||A||^2` (Frobenius): 0 for the style itself, 1 for a layer gone dark."""
    return (second - target).square().sum() / target.square().sum().clamp_min(1e-12)
