"""`night-swirl`: stars and whorls over a valley, every stroke along one flow."""

import numpy as np

from plates.fields import Array, Frame, blur, curl, mix, noise, smoothstep, vectors
from plates.palette import colour, colours, ramp
from plates.strokes import Canvas, Pass, make_brush, paint

__all__ = ["picture"]

_STUDY = 384
_WHORLS = (
    (0.40, 0.33, 0.15, 1.0),
    (0.62, 0.47, 0.11, -0.8),
    (0.10, 0.52, 0.07, -0.5),
)  # x, y, radius, turn
_STARS = (
    (0.85, 0.16, 0.085), (0.12, 0.13, 0.045), (0.27, 0.09, 0.034), (0.60, 0.11, 0.042), (0.46, 0.08, 0.028),
    (0.93, 0.45, 0.040), (0.76, 0.33, 0.034), (0.24, 0.58, 0.036), (0.06, 0.34, 0.032), (0.80, 0.60, 0.030),
)  # fmt: skip


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    study, flow = _sky(rng, frame)
    valley, along, land = _valley(rng, frame)
    study, flow = mix(study, valley, land), mix(flow, along, land)
    tree, grain, inside = _cypress(rng, frame)
    study, flow = mix(study, tree, inside), mix(flow, grain, inside)

    canvas = Canvas(frame, long, study)
    wide = make_brush(rng, 6, bristles=12, dry=0.3)
    fine = make_brush(rng, 7, bristles=8, dry=0.4)
    paint(
        rng,
        canvas,
        study,
        Pass(wide, flow, 0.026, 0.15, 2.0, tolerance=0.35),
        Pass(wide, flow, 0.016, 0.10, 1.6, tolerance=0.25, light=0.045),
        Pass(fine, flow, 0.010, 0.065, 1.3, tolerance=0.16, light=0.05, hue=0.15),
        Pass(fine, flow, 0.007, 0.04, 1.5, tolerance=0.12, light=0.05, error=0.10),
    )
    return canvas.lit(1.0)


def _sky(rng: np.random.Generator, frame: Frame) -> tuple[Array, Array]:
    """Colours and flow of the sky: ribbons of blue along a stream function, whorls, haloed stars."""
    x, y = frame.mesh(_STUDY)
    w, h = frame.width, frame.height
    stream = 0.05 * noise(rng, frame, _STUDY, 0.45) + 0.55 * (y + 0.05 * np.sin(9 * x + 1.0))
    stream += 0.012 * noise(rng, frame, _STUDY, 0.22)
    bands = noise(rng, frame, _STUDY, 0.06, 2)
    pale = np.zeros_like(x)
    for cx, cy, r, turn in _WHORLS:
        d = np.hypot(x - cx * w, y - cy * h) / (r * frame.unit)
        stream += 1.1 * turn * r * frame.unit * np.exp(-0.7 * d**2)
        pale += 0.22 * np.exp(-((d - 0.55) ** 2) * 5) + 0.08 * np.exp(-((d - 1.3) ** 2) * 6)
    # Colour is read along the stream function, so that it lies in ribbons along the flow.
    ribbons = np.sin(stream * 95 + 1.2 * noise(rng, frame, _STUDY, 0.18, 2))
    ribbons = 0.5 + 0.5 * np.clip(0.8 * ribbons + 0.35 * bands, -1, 1)
    blues = colours("0d1a4a", "16307f", "2350a8", "3f7cc4", "86b8dc", "dfe9d8")
    study = ramp(blues, 0.08 + 0.62 * ribbons * (0.75 + 0.35 * (y / h)) + pale)
    flow = curl(stream)
    flow /= np.linalg.norm(flow, axis=-1, keepdims=True) + 1e-6

    golds = colours("fffbe0", "ffe873", "f7b92c", "e8902a", "f2d36b", "9fbf9c", "d9dfae", "5f93bf")
    stops = (0, 0.28, 0.56, 0.77, 0.98, 1.19, 1.43, 1.75)
    for sx, sy, r in _STARS:
        dx, dy = x - sx * w, y - sy * h
        away = np.hypot(dx, dy) / (r * frame.unit)
        around = vectors(-dy, dx) / (np.hypot(dx, dy)[..., None] + 1e-6)
        flow = mix(flow, around, smoothstep(2.1, 1.2, away))
        d = away * (1 + 0.06 * noise(rng, frame, _STUDY, 0.05))
        broken = 0.75 + 0.35 * noise(rng, frame, _STUDY, 0.03) - 0.3 * np.cos(8.5 * d)
        halo = smoothstep(2.1, 0.9, d) * np.clip(np.where(d < 0.9, 1, broken), 0, 1)
        study = mix(study, ramp(golds, d, stops), halo)
    glow = np.exp(-(((y - 0.72 * h) / (0.06 * h)) ** 2))
    return mix(study, colour("b3d6c4"), 0.55 * glow), flow


def _valley(rng: np.random.Generator, frame: Frame) -> tuple[Array, Array, Array]:
    """Colours of the valley, the way its fields run, and where it is."""
    x, y = frame.mesh(_STUDY)
    u, h = x / frame.width, frame.height
    hill = h * (0.745 + 0.045 * np.sin(5.5 * u + 0.4) + 0.03 * np.sin(12 * u + 2))
    hill += 0.008 * noise(rng, frame, _STUDY, 0.22)
    depth = np.clip((y - hill) / (0.26 * h), 0, 1)
    rolls = np.sin(26 * depth + 5 * np.sin(4.0 * u) + noise(rng, frame, _STUDY, 0.2))
    greens = colours("0c1a33", "14324d", "1f5a5c", "3c7a55", "86953f", "c8ab3c")
    study = ramp(greens, 0.36 + 0.28 * rolls + 0.12 * noise(rng, frame, _STUDY, 0.05, 2))
    along = curl(blur(y - hill + 0.03 * np.sin(7 * u + 9 * depth), 0.01))
    return study, along, smoothstep(-0.004, 0.004, y - hill)


def _cypress(rng: np.random.Generator, frame: Frame) -> tuple[Array, Array, Array]:
    """Colours of a cypress, the way it flames, and where it stands."""
    x, y = frame.mesh(_STUDY)
    t = (frame.height - y) / (0.80 * frame.height)
    sway = 0.155 * frame.width + 0.018 * np.sin(7 * t + 0.5) + 0.015 * t
    half = 0.12 * np.clip(1 - t, 0, 1) ** 0.85 * (0.92 + 0.10 * np.sin(11 * t + 0.6)) + 0.006 * (
        t < 1
    )
    off = (x - sway) / np.maximum(half, 1e-4)
    off *= np.clip(1 + 0.15 * noise(rng, frame, _STUDY, (0.02, 0.09)), 0.7, 1.4)
    darks = colours("0a1224", "10302a", "1f4a35", "4a6a2c", "a07a2a")
    flame = (
        0.34 + 0.30 * np.sin(10 * off + 16 * t) + 0.22 * noise(rng, frame, _STUDY, (0.02, 0.08), 2)
    )
    grain = vectors(0.5 * np.sin(16 * t + 3 * off) - 0.2 * off, -1.0)
    return ramp(darks, flame), grain, smoothstep(1.05, 0.95, np.abs(off)) * (t < 0.98)
