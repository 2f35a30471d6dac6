"""Content: squared distances between features of one layer, in the scale of whoever's loss it is.

Every source's content loss is a squared distance times a factor that depends only on the layer's
filters N and positions M; the factors have names here, so that a published weight means the same
thing here as it did there.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from impasto.losses.precision import wide

__all__ = ["CONTENT_SCALES", "content_loss", "relative_content_loss", "squared_norm"]

_FILTERS = 32

# F, P: features, N filters x M positions. The loss is scale(N, M) * sum (F - P)^2.
CONTENT_SCALES: Mapping[str, Callable[[int, int], float]] = MappingProxyType(
    {
        "half-sum": lambda *_: 0.5,  # Gatys et al. 2015, eq. 1
        "sum": lambda *_: 1.0,
        "mean": lambda n, m: 1 / (n * m),
        "quarter-mean": lambda n, m: 1 / (4 * n * m),  # the Coursera notes
    }
)


def content_loss(
    features: Tensor, target: Tensor, scale: str = "half-sum", mask: Tensor | None = None
) -> Tensor:
    """`scale(N, M) * sum (F - P)^2` over `(B, C, H, W)`; see `CONTENT_SCALES`. Gatys et al. 2015,
    eq. 1.

    `mask`, `(1, 1, H, W)` in [0, 1]: how much each position counts; M counts them all.
    """
    _, n, height, width = features.shape
    return (
        CONTENT_SCALES[scale](n, height * width)
        * _counted((wide(features) - wide(target)).square(), mask).sum()
    )


def relative_content_loss(features: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """`||F - P||^2 / ||P||^2`: 0 for the photo itself, 1 for a layer gone dark, whatever the
    layer's scale.

    `mask`, `(1, 1, H, W)` in [0, 1]: how much each position counts, above and below the line.
    """
    apart = content_loss(features, target, "sum", mask)
    return apart / squared_norm(target, mask).clamp_min(1e-12)


def squared_norm(target: Tensor, mask: Tensor | None = None) -> Tensor:
    """`||P||^2`, a few filters at a time: large features are never held in float32 as a whole."""
    each = [_counted(wide(part).square(), mask).sum() for part in torch.split(target, _FILTERS, 1)]
    return torch.stack(each).sum()


def _counted(squares: Tensor, mask: Tensor | None) -> Tensor:
    return squares if mask is None else squares * mask
