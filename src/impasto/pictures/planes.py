"""Pixels as planes of float32, at a size: what every picture that is opened goes through.

PyTorch is not imported here.
"""

import math

import numpy as np
from PIL import Image

from impasto.errors import InputError
from impasto.pictures.files import Array
from impasto.pictures.transparency import continued

__all__ = ["MIN_SIDE", "fit", "planes", "unit"]

MIN_SIDE = 16
"""Shortest side of a picture, in pixels: below it the deeper layers of an encoder have nothing to
see.
"""


def planes(name: str, pixels: Array, size: tuple[int, int]) -> tuple[Array, Array | None]:
    """Colour (3, H, W) and alpha (1, H, W), or None if opaque, float32, of (H, W, 1 | 3 | 4) reduced
    to `size`.

    One channel at a time, so that a large photo is never held whole in floating point.
    """
    colors = range(min(3, pixels.shape[2]))
    veil = unit(pixels[..., 3]) if pixels.shape[2] == 4 else None
    if veil is None or veil.min() == 1:
        found = [_lanczos(unit(pixels[..., c]), size) for c in colors]
        return _stacked(found * (3 // len(found))), None
    alpha = _lanczos(veil, size)
    # Below this, a colour that was reduced is made of rounding.
    least = 0 if size == veil.shape else 1 / 255
    weight = np.where(alpha > least, alpha, np.float32(0))
    if not weight.any():
        raise InputError(f"{name} is transparent all over; give one with something to see")
    found = []
    for c in colors:
        plane = unit(pixels[..., c])
        if size != plane.shape:
            plane = _lanczos(plane * veil, size) / np.maximum(alpha, least)
        found.append(continued(plane, weight))
    return _stacked(found), _stacked([alpha])


def _stacked(planes: list[Array]) -> Array:
    """(C, H, W) of planes, the ringing of the filter cut off."""
    found: Array = np.clip(np.stack(planes), 0, 1)
    return found


def unit(plane: Array) -> Array:
    """uint8, uint16 or float (H, W) as contiguous float32 in [0, 1]."""
    if plane.dtype.kind == "u":
        return np.ascontiguousarray(plane, dtype=np.float32) / np.float32(np.iinfo(plane.dtype).max)
    return np.clip(np.ascontiguousarray(plane, dtype=np.float32), 0, 1)


def _lanczos(plane: Array, size: tuple[int, int]) -> Array:
    if size == plane.shape:
        return plane
    return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.LANCZOS))


def fit(h: int, w: int, long_side: int) -> tuple[int, int]:
    """(h, w) with the longer side reduced to `long_side`, the other rounded; never enlarged or
    below 1.
    """
    longest = max(h, w)
    if longest <= long_side:
        return h, w
    return max(1, math.floor(h * long_side / longest + 0.5)), max(
        1, math.floor(w * long_side / longest + 0.5)
    )
