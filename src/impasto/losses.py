"""What it means for two pictures to share content, or style: functions of features, and nothing else.

One statistic carries a style: the raw second moments of a layer's features, divided by the number of positions,
with their mean (`Moments`). Both are averages over pixels, so pictures, regions and tiles combine by adding.
Every source's Gram matrix and every source's loss is that statistic, or a squared distance, times a factor that
depends only on the layer's filters N and positions M; the factors have names here (`CONTENT_SCALES`,
`STYLE_SCALES`), so that a published weight means the same thing here as it did there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "CONTENT_SCALES",
    "STYLE_SCALES",
    "Moments",
    "content_loss",
    "cooccurrence",
    "gram",
    "moments",
    "relative_content_loss",
    "relative_style_loss",
    "style_loss",
    "total_variation",
    "unevenness",
]

Scale = Callable[[int, int], float]

# F, P: features, N filters x M positions. The loss is scale(N, M) * sum (F - P)^2.
CONTENT_SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "half-sum": lambda *_: 0.5,  # Gatys et al. 2015, eq. 1
        "sum": lambda *_: 1.0,
        "mean": lambda n, m: 1 / (n * m),
        "quarter-mean": lambda n, m: 1 / (4 * n * m),  # the Coursera notes
    }
)

# G, A: second moments *divided by M*, as `gram` gives them. The loss is scale(N, M) * sum (G - A)^2.
STYLE_SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        # 1/(4 N^2 M^2) on sums over positions (Gatys et al. 2015, eq. 4): with the division by M inside G, M cancels.
        "gatys": lambda n, _: 1 / (4 * n**2),
        "mean": lambda n, _: 1 / n**2,
        "mean-of-sums": lambda n, m: m**2 / n**2,  # G as M M^T, undivided
    }
)


class _BandedProducts(torch.autograd.Function):
    """F F'^T / M of large bfloat16 features, F' those `shift` positions on, to a few parts in 10^4.

    There is no float32 copy of the features: a bfloat16 product keeps 8 bits of its sum; summed by bands of positions
    and the bands added in float32, the roundings average out (but for a flat picture, whose bands all round alike:
    2^-8).
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
        for one in range(batch):  # rows of a picture are evenly spaced in memory, those of a batch are not
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
            of_features = torch.bmm(flat, (grads[0] + grads[0].mT).div(height * width).to(features.dtype))
        return of_features.view(batch, height, width, channels).permute(0, 3, 1, 2), None


def gram(features: Tensor) -> Tensor:
    """Raw second moments `G_ij = 1/M sum_k F_ik F_jk`: `(B, C, H, W)` -> `(B, C, C)`, float32 (or float64).

    Gatys et al. 2015, eq. 3, divided by the M = H W positions so that pictures of different sizes compare.
    Multiply by M for the sums of the paper.
    """
    return cooccurrence(features, 0, 0)


def cooccurrence(features: Tensor, down: int, right: int) -> Tensor:
    """`1/M sum_k F_ik F_jk'`, `k'` lying `down` rows and `right` columns on: `(B, C, H, W)` -> `(B, C, C)`.

    Berger and Memisevic 2017 (arXiv:1606.01286). Positions are counted line by line, as if each line went on in the
    next: at the right border `k'` is of the line below. float32 (or float64); `down`, `right`: 0 or more.
    """
    shift = down * features.shape[3] + right
    positions = features.shape[2] * features.shape[3] - shift
    if features.dtype == torch.bfloat16 and positions >= 64 * _BandedProducts.BANDS:
        return _BandedProducts.apply(features, shift)  # type: ignore[no-any-return, no-untyped-call]
    flat = _wide(features).flatten(2)
    with torch.autocast(flat.device.type, enabled=False):
        return flat[..., :positions] @ flat[..., shift:].mT / positions


def _wide(x: Tensor) -> Tensor:
    """float32 at least: sums over a layer blur or overflow in less."""
    return x if x.dtype == torch.float64 else x.float()


@dataclass(frozen=True)
class Moments:
    """A layer's style: `mean` `(B, C)` and `gram` `(B, C, C)`, averages over `positions` pixels.

    `a + b` is the statistic of both sets of pixels together (tiles of one picture, regions, pictures side by
    side); `mix` weighs pictures regardless of their size.
    """

    mean: Tensor
    gram: Tensor
    positions: int

    def __add__(self, other: "Moments") -> "Moments":
        total = self.positions + other.positions
        a, b = self.positions / total, other.positions / total
        return Moments(a * self.mean + b * other.mean, a * self.gram + b * other.gram, total)

    @staticmethod
    def mix(parts: list["Moments"], weights: list[float]) -> "Moments":
        """The weighted mean of several styles; weights are divided by their sum."""
        total = sum(weights)
        return Moments(
            torch.stack([w / total * p.mean for p, w in zip(parts, weights, strict=True)]).sum(0),
            torch.stack([w / total * p.gram for p, w in zip(parts, weights, strict=True)]).sum(0),
            sum(p.positions for p in parts),
        )


def moments(features: Tensor) -> Moments:
    """Mean and raw second moments of `(B, C, H, W)` over its H W positions."""
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    return Moments(features.mean(dim=(2, 3), dtype=dtype), gram(features), features.shape[2] * features.shape[3])


def content_loss(features: Tensor, target: Tensor, scale: str = "half-sum") -> Tensor:
    """`scale(N, M) * sum (F - P)^2` over `(B, C, H, W)`; see `CONTENT_SCALES`. Gatys et al. 2015, eq. 1."""
    _, n, height, width = features.shape
    return CONTENT_SCALES[scale](n, height * width) * (_wide(features) - _wide(target)).square().sum()


def style_loss(second: Tensor, target: Tensor, positions: int, scale: str = "gatys") -> Tensor:
    """`scale(N, M) * sum (G - A)^2` of two `gram` matrices `(B, N, N)`; see `STYLE_SCALES`. Gatys et al. 2015, eq. 4.

    `positions` is the M of the generated picture: where a source sums over positions, the target is brought to it.
    """
    return STYLE_SCALES[scale](second.shape[-1], positions) * (second - target).square().sum()


def relative_content_loss(features: Tensor, target: Tensor) -> Tensor:
    """`||F - P||^2 / ||P||^2`: 0 for the photo itself, 1 for a layer gone dark, whatever the layer's scale."""
    target = _wide(target)
    return (_wide(features) - target).square().sum() / target.square().sum().clamp_min(1e-12)


def relative_style_loss(second: Tensor, target: Tensor) -> Tensor:
    """`||G - A||^2 / ||A||^2` (Frobenius): 0 for the style itself, 1 for a layer gone dark."""
    return (second - target).square().sum() / target.square().sum().clamp_min(1e-12)


def total_variation(image: Tensor) -> Tensor:
    """Sum of absolute differences between neighbours, right and below, of `(B, C, H, W)`.

    As TensorFlow's `image.total_variation`: not divided by the number of pixels, summed over the batch here.
    """
    across = (image[..., :, 1:] - image[..., :, :-1]).abs().sum()
    down = (image[..., 1:, :] - image[..., :-1, :]).abs().sum()
    return across + down


def unevenness(photo: Tensor, picture: Tensor, cell: int = 16, sigma: float = 0.03) -> Tensor:
    """How far apart a picture's large areas are in colour where the photo's are alike; `(B,)`, 0 is even.

    Both `(B, 3, H, W)` in [0, 1] and averaged over cells of `cell` x `cell` px, `c_i` and `o_i`. With
    `w_ij = exp(-|c_i - c_j|^2 / (2 sigma^2))` it is `sum w_ij |o_i - o_j| / sum w_ij`: halos, vignettes and bars are
    above the scale of a stroke and follow a contour or the frame, not the photo's colours. Differentiable in `picture`.
    (Self-similarity as in Kolkin et al. 2019, arXiv:1904.12785, of low-pass colour.)
    """
    cells, painted = (F.avg_pool2d(_wide(image), cell).flatten(2).mT for image in (photo, picture))
    weights = torch.exp(-_distances(cells).square() / (2 * sigma**2))
    return (weights * _distances(painted)).sum((1, 2)) / weights.sum((1, 2))


def _distances(points: Tensor) -> Tensor:
    """`(B, N, D)` -> `(B, N, N)`, with a slope where they are 0; by differences, since products would cancel."""
    return ((points[:, :, None] - points[:, None]).square().sum(3) + 1e-12).sqrt()
