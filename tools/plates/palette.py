"""Colour as a painter handles it: named mixtures, ramps between them, and touches that differ a
little.
"""

from collections.abc import Sequence

import numpy as np

from plates.fields import Array

__all__ = ["colour", "colours", "jitter", "ramp"]


def colours(*codes: str) -> Array:
    """Hex codes such as "1d3f72" as RGB rows (N, 3) in [0, 1]."""
    return np.array(
        [[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in codes], dtype=np.float32
    )


def colour(code: str) -> Array:
    """A hex code such as "1d3f72" as RGB (3,) in [0, 1]."""
    return np.asarray(colours(code)[0])


def ramp(palette: Array, t: Array, stops: Sequence[float] | None = None) -> Array:
    """Colours (…, 3) along `palette` (N, 3) at t, held at its ends outside [0, 1]; `stops` places
    the colours.
    """
    at = np.linspace(0, 1, len(palette)) if stops is None else np.asarray(stops)
    return np.stack([np.interp(t, at, palette[:, k]) for k in range(3)], axis=-1).astype(np.float32)


# OKLab (Björn Ottosson 2020), on gamma-encoded values taken to linear light by a plain power of
# 2.2.
_TO_LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929],
     [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468],
     [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip


def jitter(
    rng: np.random.Generator,
    colour: Array,
    light: float = 0.0,
    hue: float = 0.0,
    chroma: float = 0.0,
) -> Array:
    """Colours (N, 3) shaken in OKLab: lightness by `light`, hue by `hue` radians, log chroma by
    `chroma`.

    The three are standard deviations. This is how neighbouring strokes come to differ as a
    painter's do: a lighter or warmer touch of the same colour, never a grey one.
    """
    lab = np.cbrt(np.clip(colour, 0, 1).astype(np.float64) ** 2.2 @ _TO_LMS.T) @ _TO_LAB.T
    n = len(colour)
    angle = rng.standard_normal(n) * hue
    gain = np.exp(rng.standard_normal(n) * chroma)
    a = (lab[:, 1] * np.cos(angle) - lab[:, 2] * np.sin(angle)) * gain
    b = (lab[:, 1] * np.sin(angle) + lab[:, 2] * np.cos(angle)) * gain
    shaken = np.stack([lab[:, 0] + rng.standard_normal(n) * light, a, b], axis=-1)
    linear = (shaken @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_LMS).T
    return np.asarray(np.clip(linear, 0, 1) ** (1 / 2.2), dtype=np.float32)
