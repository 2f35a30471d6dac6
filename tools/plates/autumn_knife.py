"""`autumn-knife`: an alley of trees, its light and its wet reflection, in slabs of thick paint."""

from functools import partial

import numpy as np

from plates.fields import Array, Frame, blur, mix, noise, smoothstep, vectors
from plates.palette import colour, colours, ramp
from plates.strokes import Canvas, Pass, make_brush, paint

__all__ = ["picture"]

_STUDY = 384
_SHORE = 0.60  # the water's edge, in picture heights


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    x, y = frame.mesh(_STUDY)
    above, trunk = _alley(rng, frame)
    lower = smoothstep(-0.003, 0.003, y - _SHORE * frame.height)
    study = mix(above, _water(rng, frame, above), lower)
    edge = np.exp(-(((y / frame.height - _SHORE) / 0.012) ** 2)) * (
        np.abs(x / frame.width - 0.5) > 0.05
    )
    study = mix(study, colour("2a1738"), 0.75 * edge)

    angle = 2.2 * noise(rng, frame, _STUDY, 0.10)
    angle += np.arctan2(y - 0.42 * frame.height, x - 0.5 * frame.width)
    leafy = vectors(np.cos(angle), np.sin(angle))
    upright = vectors(0.10 * noise(rng, frame, _STUDY, 0.2), 1.0)
    level = vectors(1.0, 0.06 * noise(rng, frame, _STUDY, 0.2))
    canvas = Canvas(frame, long, blur(study, 0.02))
    paint(rng, canvas, study, *_slabs(rng, leafy, upright, level, trunk, lower))
    return canvas.lit(0.85, gloss=0.10)


def _slabs(
    rng: np.random.Generator, leafy: Array, upright: Array, level: Array, trunk: Array, lower: Array
) -> list[Pass]:
    """What the knife does, in order: the water level, the trees every way, the trunks upright,
    leaves last.
    """
    knife = partial(make_brush, rng, dry=0.15, ridge=0.8, grain=0.08)
    slab = knife(2.4, bristles=14, head=0.08, tail=0.15, ragged=0.07)
    edge = knife(3.5, bristles=9, head=0.10, tail=0.30, ragged=0.12, grain=0.12)
    leaf = knife(1.6, bristles=6, head=0.40, tail=0.30, ragged=0.15)
    upper = 1 - lower
    air, solid = upper * (1 - trunk), upper * trunk
    flow = mix(leafy, upright, np.maximum(trunk, lower))
    put = partial(Pass, hue=0.16, streaks=0.4, thickness=0.13)
    return [
        put(slab, level, 0.044, 0.110, 2.4, lower, tolerance=0.50, wander=0.10),
        put(slab, flow, 0.046, 0.090, 2.4, upper, tolerance=0.60, wander=0.30),
        put(slab, flow, 0.028, 0.060, 1.6, air, tolerance=0.35, wander=0.40, light=0.05),
        put(slab, level, 0.026, 0.080, 1.4, lower, tolerance=0.35, wander=0.10, light=0.05),
        put(edge, upright, 0.018, 0.060, 0.7, lower, tolerance=0.35, wander=0.10, light=0.06),
        put(edge, upright, 0.013, 0.070, 2.4, solid, tolerance=0.30, wander=0.10, light=0.05),
        put(edge, flow, 0.015, 0.040, 1.2, tolerance=0.25, light=0.06, error=0.14),
        put(edge, level, 0.012, 0.070, 0.4, lower, tolerance=0.40, wander=0.06, light=0.09),
        put(
            leaf, leafy, 0.015, 0.022, 0.35, air, tolerance=1.0, wander=1.0, light=0.09, chroma=0.2
        ),
    ]


def _alley(rng: np.random.Generator, frame: Frame) -> tuple[Array, Array]:
    """The trees above the water (rows, columns, 3), and where the trunks stand."""
    x, y = frame.mesh(_STUDY)
    u, v = x / frame.width, y / frame.height
    clumps, fine = noise(rng, frame, _STUDY, 0.13, 3), noise(rng, frame, _STUDY, 0.04, 2)
    glow = colours("fff3b8", "ffd95e", "ff9f2e", "f2601f", "b92a2c", "6a2465", "38245f")
    study = ramp(glow, 1.45 * np.hypot(u - 0.5, 0.9 * (v - 0.47)) + 0.13 * clumps + 0.06 * fine)
    greens = ramp(colours("e9c93a", "8f9a2a", "2e5b3e", "1f3a4a"), 0.5 + 0.4 * fine)
    study = mix(study, greens, 0.65 * smoothstep(0.6, 1.5, noise(rng, frame, _STUDY, 0.2, 2)))
    gaps = smoothstep(0.9, 1.5, -clumps) * smoothstep(0.5, 0.2, v)
    study = mix(study, ramp(colours("8fd0e8", "6fa4dd", "6a6fc4"), 0.5 + 0.3 * clumps), 0.8 * gaps)
    trunk = np.zeros_like(x)
    bark = colours("1c1030", "3a1f52", "7a3352")
    for side in (-1, 1):
        for k in range(5):
            near = 0.62**k
            foot = _SHORE - 0.05 * (1 - near)
            lean = -0.10 * side * near * np.clip(foot - v, 0, 1) ** 1.5
            bend = 0.012 * near * np.sin(9 * v / near**0.3 + 3 * k + side)
            thick = 0.024 * near * (1 + 1.2 * np.clip((v - foot + 0.10 * near) / 0.12, 0, 1))
            off = (x - (0.5 + 0.47 * side * near + lean) * frame.width - bend) / thick
            mark = smoothstep(1.3, 0.8, np.abs(off)) * (v < foot + 0.02)
            study = mix(study, ramp(bark, 0.4 + 0.3 * fine - side * off / 3), 0.95 * mark)
            trunk = np.maximum(trunk, mark)
    leaves = smoothstep(0.35, 0.9, noise(rng, frame, _STUDY, 0.07, 2)) * smoothstep(0.48, 0.25, v)
    warm = ramp(colours("ffdf57", "ff9c1f", "ee5a1d", "c52a33"), 0.45 + 0.35 * clumps)
    return mix(study, warm, 0.9 * leaves), trunk * (1 - leaves)


def _water(rng: np.random.Generator, frame: Frame, above: Array) -> Array:
    """The alley turned over and stretched towards the viewer, with violet on the ripples."""
    rows = len(above)
    down = (np.arange(rows) + 0.5) / rows - _SHORE
    source = (_SHORE - 0.92 * down * _SHORE / (1 - _SHORE)) * rows
    mirrored = above[np.clip(source, 0, rows - 1).astype(np.intp)]
    ripple = smoothstep(0.1, 0.7, noise(rng, frame, _STUDY, (0.16, 0.02), 2))
    return mix(mirrored, colour("3a2f7a"), 0.08 + 0.8 * ripple * smoothstep(0, 0.35, down)[:, None])
