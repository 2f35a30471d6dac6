"""What a plate is composed on: the frame, and the fields over it: noise, flow, blends.

All positions are in picture units: the long side of the picture is 1, x grows to the right and y
downwards. A field is an array over the whole frame, `(rows, columns)` or `(rows, columns, k)`; how
finely it is sampled is its own affair, so a field made on a coarse grid can steer strokes on a
canvas of any size.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.filters import gaussian

__all__ = [
    "Array",
    "Frame",
    "blur",
    "curl",
    "gradient",
    "mix",
    "noise",
    "resize",
    "sample",
    "scatter",
    "smoothstep",
    "vectors",
    "warp",
]

Array = npt.NDArray[np.floating[Any]]  # real numbers; float32 wherever a whole canvas is held


@dataclass(frozen=True)
class Frame:
    """A picture `width` by `height` units; the longer one is 1."""

    width: float
    height: float

    @property
    def unit(self) -> float:
        """Side of the square of the same area: what the sizes of things in the picture are measured
        in.
        """
        return math.sqrt(self.width * self.height)

    def shape(self, long: int) -> tuple[int, int]:
        """(rows, columns) of a grid whose longer side has `long` points, and whose shorter at least
        2.
        """
        return max(2, round(self.height * long)), max(2, round(self.width * long))

    def mesh(self, long: int) -> tuple[Array, Array]:
        """x and y of the cell centres of that grid, each (rows, columns), in picture units."""
        rows, columns = self.shape(long)
        x = (np.arange(columns, dtype=np.float32) + np.float32(0.5)) * np.float32(
            self.width / columns
        )
        y = (np.arange(rows, dtype=np.float32) + np.float32(0.5)) * np.float32(self.height / rows)
        xx, yy = np.meshgrid(x, y)
        return xx, yy

    def window(self, long: int, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """Rows and columns of that grid within `reach` of a place: where a small form is worth
        working out.
        """
        rows, columns = self.shape(long)
        spans = []
        for at, side, count in ((y, self.height, rows), (x, self.width, columns)):
            low, high = (at - reach) / side * count, (at + reach) / side * count
            spans.append(slice(min(max(int(low), 0), count), min(max(int(high) + 2, 0), count)))
        return spans[0], spans[1]


def resize(field: Array, shape: tuple[int, int]) -> Array:
    """`field` (h, w) or (h, w, k) on a grid of `shape`: bicubic upwards, antialiased downwards."""
    planes = field[..., None] if field.ndim == 2 else field
    size = (shape[1], shape[0])
    done = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(planes[..., k])).resize(
                size, Image.Resampling.BICUBIC
            )
        )
        for k in range(planes.shape[-1])
    ]
    return done[0] if field.ndim == 2 else np.stack(done, axis=-1)


def blur(field: Array, sigma: float) -> Array:
    """Gaussian blur of a (h, w) or (h, w, k) field; `sigma` is in units of the field's longer side."""
    axis = None if field.ndim == 2 else -1
    out = gaussian(
        field, sigma * max(field.shape[:2]), mode="nearest", channel_axis=axis, preserve_range=True
    )  # type: ignore[no-untyped-call]
    return np.asarray(out, dtype=np.float32)


def noise(
    rng: np.random.Generator,
    frame: Frame,
    long: int,
    scale: float | tuple[float, float],
    octaves: int = 1,
) -> Array:
    """Smooth noise of about unit variance, (rows, columns); features `scale` (x, y) units across.

    The random lattice depends on the frame and the scale only, so the same generator gives the same
    noise at every `long`.
    """
    sx, sy = scale if isinstance(scale, tuple) else (scale, scale)
    rows, columns = frame.shape(long)
    total = np.zeros((rows, columns), dtype=np.float32)
    power = 0.0
    for octave in range(octaves):
        nx = max(2, round(frame.width / sx * 2**octave) + 1)
        ny = max(2, round(frame.height / sy * 2**octave) + 1)
        lattice = rng.standard_normal((ny + 2, nx + 2)).astype(np.float32)
        image = Image.fromarray(lattice).resize(
            (columns, rows), Image.Resampling.BICUBIC, box=(1.0, 1.0, nx + 1.0, ny + 1.0)
        )
        total += np.float32(0.5**octave) * np.asarray(image)
        power += 0.25**octave
    return total / np.float32(0.75 * power**0.5)


def gradient(field: Array) -> tuple[Array, Array]:
    """d/dx and d/dy of a (rows, columns) field, per picture unit."""
    scale = np.float32(max(field.shape))  # the longer side is 1 unit
    dy, dx = (np.asarray(d) * scale for d in np.gradient(field))
    return dx, dy


def curl(potential: Array) -> Array:
    """Divergence-free flow (rows, columns, 2) of a stream function: (dp/dy, -dp/dx) (Bridson et al.
    2007).
    """
    dx, dy = gradient(potential)
    return vectors(dy, -dx)


def sample(field: Array, points: Array, frame: Frame) -> Array:
    """Bilinear values of a field over `frame` at `points` (..., 2), clamped at the edges."""
    rows, columns = field.shape[:2]
    fx = np.clip(
        points[..., 0] * np.float32(columns / frame.width) - np.float32(0.5), 0, columns - 1
    )
    fy = np.clip(points[..., 1] * np.float32(rows / frame.height) - np.float32(0.5), 0, rows - 1)
    x0, y0 = fx.astype(np.intp), fy.astype(np.intp)
    x1, y1 = np.minimum(x0 + 1, columns - 1), np.minimum(y0 + 1, rows - 1)
    tx, ty = fx - x0.astype(np.float32), fy - y0.astype(np.float32)
    if field.ndim == 3:
        tx, ty = tx[..., None], ty[..., None]
    upper = field[y0, x0] * (1 - tx) + field[y0, x1] * tx
    lower = field[y1, x0] * (1 - tx) + field[y1, x1] * tx
    return np.asarray(upper * (1 - ty) + lower * ty, dtype=np.float32)


def warp(field: Array, dx: Array, dy: Array, frame: Frame) -> Array:
    """`field` read at positions moved by (dx, dy) picture units, each (rows, columns) like the
    field.
    """
    x, y = frame.mesh(max(field.shape[:2]))
    return sample(field, np.stack([x + dx, y + dy], axis=-1).astype(np.float32), frame)


def scatter(rng: np.random.Generator, frame: Frame, spacing: float, margin: float = 0.0) -> Array:
    """Points (N, 2) of a jittered hexagonal grid `spacing` apart, shuffled, up to `margin` beyond
    the frame.
    """
    rise = spacing * 0.866
    x = np.arange(-margin, frame.width + margin + spacing, spacing)
    y = np.arange(-margin, frame.height + margin + rise, rise)
    xx, yy = np.meshgrid(x, y)
    xx[1::2] += spacing / 2
    points = np.stack([xx, yy], axis=-1).reshape(-1, 2)
    points += rng.uniform(-0.45, 0.45, points.shape) * spacing
    rng.shuffle(points)
    return points.astype(np.float32)


def vectors(x: Array | float, y: Array | float) -> Array:
    """A vector field (…, 2) from its components, which broadcast."""
    return np.stack(np.broadcast_arrays(x, y), axis=-1).astype(np.float32)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, a cubic between (the other way round when low > high)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def mix(a: Array, b: Array, t: Array | float) -> Array:
    """a (…, k) towards b (…, k) by t (…): 0 gives a, 1 gives b; the three broadcast, so b may be
    one colour.
    """
    return np.asarray(a + (b - a) * np.asarray(t)[..., None], dtype=np.float32)
