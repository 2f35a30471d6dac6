"""Losses of the picture itself: total variation, and unevenness of areas that were alike."""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses.precision import wide

__all__ = ["natural_prior", "powered_variation", "total_variation", "unevenness"]


def total_variation(image: Tensor) -> Tensor:
    """Sum of absolute differences between neighbours, right and below, of `(B, C, H, W)`.

    As TensorFlow's `image.total_variation`: not divided by the number of pixels, summed over the
    batch here.
    """
    across = (image[..., :, 1:] - image[..., :, :-1]).abs().sum()
    down = (image[..., 1:, :] - image[..., :-1, :]).abs().sum()
    return across + down


def powered_variation(image: Tensor, beta: float = 2.5) -> Tensor:
    """`sum ((dx)^2 + (dy)^2)^(beta / 2)` over `(B, C, H, W)`, where a pixel has both neighbours.

    Mahendran and Vedaldi 2014 (arXiv:1412.0035), eq. 5. Above 1, `beta` spreads a jump over several
    pixels where `total_variation` would keep it; Keras' example has 2.5.
    """
    across = image[..., :-1, 1:] - image[..., :-1, :-1]
    down = image[..., 1:, :-1] - image[..., :-1, :-1]
    return (across.square() + down.square() + 1e-12).pow(beta / 2).sum()


def natural_prior(image: Tensor) -> Tensor:
    """What keeps a picture among natural ones: mean squared steps between neighbours, in units of
    1 / 6.5, and the mean sixth power of the distance from grey, in units of a half.

    Mahendran and Vedaldi 2016 (arXiv:1512.02017), section 3.3: `V = B / 6.5`, `alpha = 6`; `beta = 2`.
    About 0.1 to 0.5 for a photo, 20 and more for white noise.
    """
    steps = powered_variation(image, 2.0) * 6.5**2
    return (steps + (2 * image - 1).pow(6).sum()) / image.numel()


def unevenness(photo: Tensor, picture: Tensor, cell: int = 16, sigma: float = 0.03) -> Tensor:
    """How far apart large areas are in colour where the photo's are alike: `(B,)`, 0 is even.

    Both `(B, 3, H, W)` in [0, 1] and averaged over cells of `cell` x `cell` px, `c_i` and `o_i`.
    With `w_ij = exp(-|c_i - c_j|^2 / (2 sigma^2))` it is `sum w_ij |o_i - o_j| / sum w_ij`: halos,
    vignettes and bars are above the scale of a stroke and follow a contour or the frame, not the
    photo's colours. Differentiable in `picture`. (Self-similarity as in Kolkin et al. 2019,
    arXiv:1904.12785, of low-pass colour.)
    """
    cells, painted = (F.avg_pool2d(wide(image), cell).flatten(2).mT for image in (photo, picture))
    weights = torch.exp(-_distances(cells).square() / (2 * sigma**2))
    return (weights * _distances(painted)).sum((1, 2)) / weights.sum((1, 2))


def _distances(points: Tensor) -> Tensor:
    """`(B, N, D)` -> `(B, N, N)`, with a slope where they are 0; by differences, since products
    would cancel.
    """
    return ((points[:, :, None] - points[:, None]).square().sum(3) + 1e-12).sqrt()
