"""`water-garden`: lily pads afloat on what the water reflects, under hanging willow."""

from functools import partial

import numpy as np

from plates.fields import Array, Frame, blur, mix, noise, smoothstep, vectors, warp
from plates.palette import colour, colours, jitter, ramp
from plates.strokes import Brush, Canvas, Pass, Strokes, make_brush, paint

__all__ = ["picture"]

_STUDY = 384
_ISLANDS = (  # x, y, pads
    (0.24, 0.24, 9), (0.72, 0.16, 8), (0.55, 0.42, 12), (0.13, 0.55, 9), (0.84, 0.60, 12), (0.40, 0.75, 14),
    (0.80, 0.90, 9), (0.10, 0.90, 8),
)  # fmt: skip
_Flower = tuple[float, float, float]  # x, y, size


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    pads, floating, flowers = _pads(rng, frame)
    study = mix(_water(rng, frame), pads, floating)
    wave = 0.30 * noise(rng, frame, _STUDY, (0.2, 0.05), 2)
    upright, level = vectors(wave, 1.0), vectors(1.0, 0.5 * wave)
    free = 1 - 0.9 * floating
    breeze = free * smoothstep(-0.3, 0.8, noise(rng, frame, _STUDY, (0.3, 0.1), 2))

    canvas = Canvas(frame, long, blur(study, 0.02))
    soft = make_brush(rng, 5, bristles=14, dry=0.6, ragged=0.35, ridge=0.15)
    touch = make_brush(rng, 4, bristles=8, dry=0.5, ragged=0.3, ridge=0.3)
    put = partial(Pass, hue=0.20, chroma=0.15, thickness=0.07)
    paint(
        rng,
        canvas,
        study,
        put(soft, upright, 0.036, 0.120, 2.0, tolerance=0.40, wander=0.25, opacity=0.90),
        put(
            soft,
            upright,
            0.020,
            0.080,
            1.6,
            free,
            tolerance=0.30,
            wander=0.20,
            opacity=0.75,
            light=0.04,
        ),
        put(
            soft,
            level,
            0.013,
            0.070,
            1.4,
            breeze,
            tolerance=0.30,
            wander=0.15,
            opacity=0.70,
            light=0.05,
        ),
        put(touch, level, 0.013, 0.045, 2.4, floating, tolerance=0.20, wander=0.15, light=0.04),
        put(touch, level, 0.008, 0.030, 1.2, tolerance=0.16, wander=0.15, light=0.06, error=0.06),
    )
    _willow(rng, canvas, touch)
    _blossoms(rng, canvas, flowers)
    return canvas.lit(0.9, gloss=0.06)


def _water(rng: np.random.Generator, frame: Frame) -> Array:
    """Deep green under the trees, lilac and pink where the evening sky lies on the pond."""
    x, y = frame.mesh(_STUDY)
    deep = noise(rng, frame, _STUDY, (0.16, 0.5), 2)
    veil = noise(rng, frame, _STUDY, (0.05, 0.22), 2)
    tones = colours("17384a", "1f5a5a", "3d7f78", "6f93b8", "a18fc6", "d3a9cf", "f0c7cf")
    t = (
        0.42
        + 0.26 * deep
        + 0.09 * veil
        + 0.18 * np.sin(3.2 * x / frame.width + 1.2 * y / frame.height)
    )
    sway = 0.03 * noise(rng, frame, _STUDY, (0.25, 0.09), 3)
    return ramp(tones, warp(t, sway, 0.5 * sway, frame))


def _pads(rng: np.random.Generator, frame: Frame) -> tuple[Array, Array, list[_Flower]]:
    """Islands of pads: their colours, where they float, and where flowers stand, far ones first."""
    x, y = frame.mesh(_STUDY)
    study = np.zeros((*x.shape, 3), dtype=np.float32)
    floating = np.zeros_like(x)
    flowers = []
    greens = colours("23594a", "3f8a55", "86b35a", "c5cf7a", "d9b7a6")
    fine = noise(rng, frame, _STUDY, 0.03, 2)
    for ix, iy, count in _ISLANDS:
        near = 0.45 + 0.75 * iy
        for _ in range(count):
            cx = (ix + rng.normal() * 0.085 * near) * frame.width
            cy = (iy + rng.normal() * 0.032 * near) * frame.height
            r = near * rng.uniform(0.034, 0.066)
            place = frame.window(_STUDY, cx, cy, 1.4 * r)
            dx, dy = (x[place] - cx) / r, (y[place] - cy) / r
            d = np.hypot(dx, dy / 0.36) * (1 + 0.05 * fine[place])
            leaf = ramp(
                greens, 0.15 + 0.5 * d**2 - 0.35 * dy + 0.10 * fine[place] + rng.normal() * 0.1
            )
            inside = smoothstep(1.06, 0.94, d)
            shadow = smoothstep(1.25, 0.9, np.hypot(dx, (dy - 0.12) / 0.36))
            study[place] = mix(
                mix(study[place], colour("163a48"), shadow * (1 - inside)), leaf, inside
            )
            floating[place] = np.maximum(floating[place], np.maximum(0.7 * shadow, inside))
            if rng.random() < 0.34:
                flowers.append((cx, cy - 0.2 * r, r * rng.uniform(0.5, 0.8)))
    return study, floating, sorted(flowers, key=lambda flower: flower[1])


def _willow(rng: np.random.Generator, canvas: Canvas, brush: Brush) -> None:
    """Fronds hanging in from above, with their leaves."""
    frame, n = canvas.frame, 130
    t = np.linspace(0, 1, 12)[None]
    root = (
        rng.choice([0.05, 0.12, 0.50, 0.93, 0.97], (n, 1)) + rng.normal(size=(n, 1)) * 0.05
    ) * frame.width
    fall = rng.uniform(0.08, 0.34, (n, 1)) * frame.height
    sway = 0.006 * np.sin(4 * t + rng.uniform(0, 6, (n, 1))) + 0.012 * rng.normal(size=(n, 1)) * t
    stem = vectors(root + sway, fall * t - 0.02)
    tone = ramp(colours("1c4a3a", "3f7a48", "86ab58", "b9c98a"), rng.random(n))
    tone = jitter(rng, tone, 0.03, 0.15, 0.1)
    canvas.lay(Strokes(stem, np.full(n, 0.004, np.float32), tone, tone), brush, opacity=0.8)

    m = 11 * n  # leaves: short touches off every joint, to the left or the right
    foot = stem[:, 1:].reshape(m, 1, 2) + rng.normal(size=(m, 1, 2)) * 0.004
    side = rng.choice([-1, 1], (m, 1)) * rng.uniform(0.002, 0.008, (m, 1))
    leaf = foot + vectors(side, 0.022) * np.linspace(0, 1, 4)[:, None]
    green = jitter(rng, np.repeat(tone, 11, axis=0), 0.05, 0.2, 0.15)
    strokes = Strokes(leaf, np.full(m, 0.0062, np.float32), green, jitter(rng, green, 0.06, 0.2))
    canvas.lay(strokes, brush, opacity=0.9)


def _blossoms(rng: np.random.Generator, canvas: Canvas, flowers: list[_Flower]) -> None:
    """Each flower is three fans of petals, the outer ones darker, round a yellow heart."""
    paths, tones, widths = [], [], []
    t = np.linspace(0, 1, 8)[:, None]
    shades = colours("d4568f", "f08fb0", "fbd3d6", "fff3dd", "c58fd8")
    for cx, cy, r in flowers:
        shade = shades[rng.integers(0, len(shades))]
        for count, reach, lift, pale in (
            (7, 1.0, 0.30, -0.18),
            (6, 0.85, 0.62, 0.0),
            (4, 0.5, 0.75, 0.3),
        ):
            for a in np.linspace(0.08, np.pi - 0.08, count) + rng.normal(size=count) * 0.12:
                tip = np.array([np.cos(a) * reach, -np.sin(a) * lift - 0.06]) * r
                bow = np.array([0.0, 0.16]) * r * np.sin(np.pi * t) * np.abs(np.cos(a))
                paths.append(np.array([cx, cy]) + tip * t + bow)
                tones.append(np.clip(shade * (1 + pale) + 0.12 * max(pale, 0), 0, 1))
                widths.append(0.34 * r * rng.uniform(0.8, 1.2))
        for _ in range(3):
            start = np.array([cx, cy - 0.18 * r]) + rng.normal(size=2) * 0.10 * r
            paths.append(start + np.array([0.0, -0.22 * r]) * t)
            tones.append(colour("f4c23a"))
            widths.append(0.14 * r)
    if not paths:
        return
    petal = make_brush(
        rng, 2.2, bristles=5, head=0.9, tail=0.9, dry=0.05, ragged=0.08, ridge=0.5, grain=0.15
    )
    tone = jitter(rng, np.array(tones), 0.03, 0.12, 0.1)
    second = jitter(rng, tone, 0.06, 0.2)
    canvas.lay(
        Strokes(np.array(paths, np.float32), np.array(widths, np.float32), tone, second), petal
    )
