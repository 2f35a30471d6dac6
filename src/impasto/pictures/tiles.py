"""Large pictures piece by piece: views that give any window of a picture.

A picture that is too large for floating point is held in 8 bits, `(1, 3, H, W)` uint8, and enlarged
or reduced where somebody looks at it: a window of a resized view holds the very numbers that
resizing the whole would give.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.windows import Window

__all__ = ["Resized", "Shown", "View", "bytes_of", "floats_of"]

_KEYS = -0.5  # the parameter of the cubic kernel (Keys 1981), as `pictures.image.resample` has it


class View(Protocol):
    """A picture that is looked at by windows."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        ...

    def crop(self, window: Window) -> Tensor:
        """That window, `(1, C, h, w)` float32."""
        ...


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture as it is, `(1, C, H, W)`: float32, or uint8 for [0, 1]."""

    picture: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[-2], self.picture.shape[-1]

    def crop(self, window: Window) -> Tensor:
        """See `View`."""
        return floats_of(window.of(self.picture))


@dataclass(frozen=True, eq=False)
class Resized:
    """A picture, `(1, C, H, W)` float32 or uint8, at another size: `resample` of the whole, by
    windows.
    """

    picture: Tensor
    size: tuple[int, int]

    def crop(self, window: Window) -> Tensor:
        """See `View`; not clamped."""
        height, width = self.picture.shape[-2:]
        if (height, width) == self.size:
            return floats_of(window.of(self.picture))
        top, rows = _weights(height, self.size[0], window.top, window.bottom)
        left, columns = _weights(width, self.size[1], window.left, window.right)
        seen = self.picture[..., top : top + rows.shape[1], left : left + columns.shape[1]]
        seen = floats_of(seen)
        return rows.to(seen) @ seen @ columns.to(seen).mT


def _weights(length: int, onto: int, start: int, end: int) -> tuple[int, Tensor]:
    """What entries `start` to `end` of `onto` are made of: the first of `length` entries, and
    weights `(end - start, seen)`.

    The antialiased bicubic of PyTorch (and Pillow): Keys' kernel, widened by the reduction.
    """
    scale = length / onto
    reach = 2 * max(scale, 1.0)
    centres = (torch.arange(start, end, dtype=torch.float64) + 0.5) * scale
    first = max(0, math.floor(float(centres[0]) - reach))
    last = min(length, math.ceil(float(centres[-1]) + reach))
    places = torch.arange(first, last, dtype=torch.float64) + 0.5
    # A centre sees the entries that begin within its reach, whole ones only.
    lowest = (centres - reach + 0.5).trunc().clamp_min(0)
    highest = (centres + reach + 0.5).trunc().clamp_max(length)
    seen = (places > lowest[:, None]) & (places < highest[:, None])
    weights = _keys((places - centres[:, None]) / max(scale, 1.0)) * seen
    return first, (weights / weights.sum(1, keepdim=True)).float()


def _keys(x: Tensor) -> Tensor:
    x = x.abs()
    near = ((_KEYS + 2) * x - (_KEYS + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * _KEYS - 4 * _KEYS
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def floats_of(picture: Tensor) -> Tensor:
    """float32; of uint8, in [0, 1]."""
    return picture.float() / 255 if picture.dtype == torch.uint8 else picture.float()


def bytes_of(picture: Tensor) -> Tensor:
    """`round(255 x)` of [0, 1], clamped, as uint8."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)
