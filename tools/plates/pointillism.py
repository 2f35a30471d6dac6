"""`pointillism`: a sunny bay in dots; the colours are kept apart on the canvas and mix in the eye."""

import numpy as np

from plates.fields import Array, Frame, blur, mix, noise, sample, scatter, smoothstep
from plates.palette import colour, colours, jitter, ramp
from plates.strokes import Brush, Canvas, Strokes, make_brush, vary

__all__ = ["picture"]

_STUDY = 384
_HORIZON = 0.43
_BOATS = ((0.56, 0.50, 0.085, "fff4dc"), (0.66, 0.47, 0.05, "ffd7c0"), (0.16, 0.49, 0.06, "fff0d0"),
          (0.42, 0.60, 0.12, "ffeccb"))  # fmt: skip
_CROWNS = (
    (0.78, 0.14, 0.13), (0.66, 0.20, 0.09), (0.90, 0.07, 0.13), (0.97, 0.20, 0.10), (0.86, 0.24, 0.08),
    (0.74, 0.05, 0.10), (0.56, 0.13, 0.06),
)  # fmt: skip


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    study, shade = _shore(rng, frame, _sails(_sea(rng, frame, _sky(rng, frame)), frame))
    study, shade = _pines(rng, frame, study, shade)
    canvas = Canvas(frame, long, mix(blur(study, 0.01), colour("f6e3c0"), 0.45))
    dab = make_brush(
        rng, 1.2, bristles=4, head=0.55, tail=0.55, dry=0.02, ragged=0.12, ridge=0.25, grain=0.1
    )
    for width, cover in ((0.0190, 1.7), (0.0135, 1.4), (0.0100, 1.0)):
        _dots(rng, canvas, study, shade, dab, width, cover)
    return canvas.lit(0.8, gloss=0.08)


def _dots(
    rng: np.random.Generator,
    canvas: Canvas,
    study: Array,
    shade: Array,
    dab: Brush,
    width: float,
    cover: float,
) -> None:
    """Dots of one size, `cover` times over the area."""
    at = scatter(rng, canvas.frame, float(np.sqrt(1.1 * width * width / cover)), margin=width)
    n = len(at)
    tone = jitter(rng, np.clip(sample(study, at, canvas.frame), 0, 1), 0.06, 0.45, 0.28)
    # Some touches answer the local colour: sun where it is light, violet and blue where it is
    # shaded.
    shaded = sample(shade, at, canvas.frame) >= 0.5
    lot = rng.random(n)
    sun = colours("ffd23f", "ff9e4f", "ffe9a8", "ffb3a0")[rng.integers(0, 4, n)]
    dusk = colours("3d49c5", "7a46c8", "2f8fc8", "b3408f")[rng.integers(0, 4, n)]
    tone = mix(tone, sun, np.where(~shaded & (lot < 0.20), 0.65, 0.0))
    tone = mix(tone, dusk, np.where(shaded & (lot < 0.5), 0.7, 0.0))
    angle = rng.uniform(0, np.pi, n)
    half = 0.55 * width * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    path = (at[:, None] + half[:, None] * np.array([-1, 0, 1])[:, None]).astype(np.float32)
    strokes = Strokes(
        path, np.float32(width) * vary(rng, n, 0.12), tone, jitter(rng, tone, 0.02, 0.1)
    )
    canvas.lay(strokes, dab, streaks=0.3, thickness=0.16)


def _sky(rng: np.random.Generator, frame: Frame) -> Array:
    """Morning: blue above, apricot below, and a sun in its rings."""
    x, y = frame.mesh(_STUDY)
    v = y / frame.height
    soft = noise(rng, frame, _STUDY, 0.16, 3)
    sky = ramp(colours("4f92e0", "86bdf0", "d9c6ee", "ffd9a8", "ffbf5e"), v / 0.42 + 0.07 * soft)
    banks = soft + 0.5 * noise(rng, frame, _STUDY, (0.25, 0.06), 2)
    sky = mix(sky, colour("fff2e6"), 0.75 * smoothstep(0.2, 1.1, banks) * smoothstep(0.40, 0.25, v))
    away = np.hypot(x - 0.30 * frame.width, y - 0.30 * frame.height)
    sky = mix(sky, colour("fff6c0"), smoothstep(0.085, 0.055, away))
    sky = mix(sky, colour("ffb038"), 0.85 * np.exp(-(((away - 0.115) / 0.035) ** 2)))
    return mix(sky, colour("f7d7e8"), 0.5 * np.exp(-(((away - 0.19) / 0.03) ** 2)))


def _sea(rng: np.random.Generator, frame: Frame, study: Array) -> Array:
    """The bay with the sun's path on it, and violet hills behind."""
    x, y = frame.mesh(_STUDY)
    u, v = x / frame.width, y / frame.height
    deep = np.clip((v - _HORIZON) / 0.35, 0, 1)
    swell = noise(rng, frame, _STUDY, (0.16, 0.025), 2)
    sea = ramp(colours("8fd0de", "4fb0d0", "2f86c4", "2a5fae"), deep + 0.10 * swell)
    path = np.exp(-(((u - 0.30) / (0.05 + 0.13 * deep)) ** 2))
    glitter = path * (0.55 + 0.35 * noise(rng, frame, _STUDY, (0.07, 0.014), 2))
    sea = mix(sea, colour("ffdc8a"), np.clip(glitter, 0, 0.95))
    study = mix(study, sea, smoothstep(_HORIZON - 0.003, _HORIZON + 0.003, v))
    ridge = (
        _HORIZON
        - 0.085 * np.exp(-(((u - 0.78) / 0.2) ** 2))
        - 0.05 * np.exp(-(((u - 0.52) / 0.1) ** 2))
    )
    fine = noise(rng, frame, _STUDY, 0.035, 2)
    hill = ramp(
        colours("c48fc4", "8f86d0", "6a7fc8", "e6a58a"), 0.4 + 0.35 * fine + 2 * (v - ridge)
    )
    return mix(study, hill, smoothstep(-0.004, 0.004, v - ridge) * (v < _HORIZON))


def _sails(study: Array, frame: Frame) -> Array:
    """Boats with their reflections."""
    x, y = frame.mesh(_STUDY)
    for bx, by, size, code in _BOATS:
        dx, dy = (x - bx * frame.width) / size, (y - by * frame.height) / size
        up = np.clip(-dy, 0, 1)
        main = (dy < -0.06) & (dy > -1) & (dx > -0.02) & (dx < 0.46 * (1 - up) ** 0.8)
        jib = (dy < -0.08) & (dy > -0.85) & (dx < -0.05) & (dx > -0.34 * (0.9 - up))
        hull = (dy > -0.05) & (dy < 0.09) & (np.abs(dx - 0.03) < 0.45 - dy)
        mirrored = (dy > 0.09) & (dy < 0.75) & (np.abs(dx - 0.06) < 0.25 * (1 - dy))
        study = mix(study, colour(code), 0.5 * mirrored)
        for place, tint in ((main, code), (jib, "ff9f6b"), (hull, "a8324a")):
            study = mix(study, colour(tint), 1.0 * place)
    return study


def _shore(rng: np.random.Generator, frame: Frame, study: Array) -> tuple[Array, Array]:
    """A meadow above the beach with long violet shadows; and how shaded each place is."""
    x, y = frame.mesh(_STUDY)
    u, v = x / frame.width, y / frame.height
    soft = noise(rng, frame, _STUDY, 0.16, 3)
    fine = noise(rng, frame, _STUDY, 0.035, 2)
    shore = 0.74 + 0.10 * np.sin(2.6 * u + 3.6) + 0.012 * soft
    grass = colours("2f8f5a", "7fbf4a", "d8d84a", "ffd25f", "f59a4a")
    meadow = ramp(grass, 0.55 + 0.22 * soft + 0.14 * fine)
    meadow = mix(meadow, colour("ffe3b0"), 0.9 * np.exp(-(((v - shore) / 0.022) ** 2)))
    fallen = smoothstep(0.05, 0.5, noise(rng, frame, _STUDY, (0.22, 0.05), 2) + 1.5 * (v - 0.93))
    meadow = mix(meadow, colour("33519e"), 0.75 * fallen * (v > shore + 0.03))
    land = smoothstep(-0.004, 0.004, v - shore)
    return mix(study, meadow, land), fallen * land


def _pines(
    rng: np.random.Generator, frame: Frame, study: Array, shade: Array
) -> tuple[Array, Array]:
    """Two leaning pines on the right, gold above and blue beneath."""
    x, y = frame.mesh(_STUDY)
    u, v = x / frame.width, y / frame.height
    for foot, lean, crown, thick in ((0.86, -0.10, 0.20, 0.016), (0.95, -0.03, 0.10, 0.020)):
        t = np.clip((0.88 - v) / (0.88 - crown), 0, 1)
        off = (u - foot - lean * t**1.6 - 0.012 * np.sin(7 * t)) / thick
        bark = smoothstep(1.2, 0.8, np.abs(off) / (1.15 - 0.6 * t)) * (v > crown) * (v < 0.88)
        study = mix(study, ramp(colours("e08a5a", "a0527a", "4a3a8f"), 0.5 + 0.5 * off), bark)
        shade = np.maximum(shade, 0.6 * bark)
    needles = colours("f2d84a", "9cc44a", "3f9a5a", "1f6a70", "2f3f8f")
    fine = noise(rng, frame, _STUDY, 0.04, 2)
    for cx, cy, r in _CROWNS:
        dx, dy = (u - cx) / r, (v - cy) / (0.55 * r)
        leaf = smoothstep(1.08, 0.92, np.hypot(dx, dy) * (1 + 0.14 * fine))
        under = 0.5 + 0.65 * dy + 0.4 * dx + 0.15 * fine
        study = mix(study, ramp(needles, under), leaf)
        shade = np.maximum(shade * (1 - leaf), leaf * smoothstep(0.45, 0.7, under))
    return study, shade
