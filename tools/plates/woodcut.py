"""`woodcut`: sun, mountains, furrows and a bare tree in two blocks; what the gouge leaves standing
prints black.
"""

import numpy as np
from PIL import Image, ImageDraw

from plates.fields import (
    Array,
    Frame,
    blur,
    gradient,
    mix,
    noise,
    resize,
    sample,
    scatter,
    smoothstep,
    vectors,
    warp,
)
from plates.palette import colour, colours, ramp
from plates.strokes import Canvas, Strokes, make_brush, trace, vary

__all__ = ["picture"]

_STUDY = 384
_BLACK, _CREAM = "1a1613", "f3e6c8"
_SUN = (0.64, 0.27)
_CLOUDS = (
    (0.12, 0.18, 0.20),
    (0.22, 0.30, 0.14),
    (0.40, 0.80, 0.22),
    (0.08, 0.88, 0.15),
)  # y, x, half length
_RANGES = (  # peaks: x, y, steepness
    ((0.10, 0.44, 0.9), (0.34, 0.36, 1.1), (0.56, 0.47, 0.9), (0.86, 0.40, 1.0), (1.1, 0.46, 1.0)),
    ((-0.05, 0.50, 0.9), (0.20, 0.53, 0.8), (0.46, 0.56, 0.7), (0.72, 0.49, 0.9), (1.0, 0.55, 0.8)),
)
_Design = tuple[Array, Array, Array]  # lightness, direction of the cuts, where the red block prints


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    light, flow, red = _fields(rng, frame, _mountains(rng, frame, _sky(rng, frame)))
    block = Canvas(frame, long, np.zeros((2, 2, 3), dtype=np.float32))  # 0 stands, 1 is cut away
    for width, length, cover in ((0.0125, 0.10, 1.25), (0.008, 0.07, 1.15), (0.0055, 0.045, 0.8)):
        _cut(rng, block, light, flow, width, length, cover)
    tree, bark, along = _tree(rng, frame)
    tree = resize(tree, frame.shape(long))
    halo = smoothstep(0.10, 0.22, blur(tree, 0.0032) + 0.05 * noise(rng, frame, long, 0.02))
    standing = 1 - smoothstep(0.35, 0.65, tree)
    block.colour = np.maximum(block.colour, halo[..., None]) * standing[..., None]
    _cut(rng, block, bark, along, 0.0075, 0.06, 1.2)
    return _press(rng, frame, long, block.colour[..., 0], red * (1 - bark))


def _cut(
    rng: np.random.Generator,
    block: Canvas,
    light: Array,
    flow: Array,
    width: float,
    length: float,
    cover: float,
) -> None:
    """Gouge along the flow: each cut is the wider and longer the lighter the place."""
    gouge = make_brush(
        rng, length / width, bristles=4, head=2.6, tail=4.2, power=0.75, dry=0.02, ragged=0.10
    )
    at = scatter(rng, block.frame, float(np.sqrt(width * length / cover)), margin=length / 2)
    tone = sample(light, at, block.frame)
    keep = tone > 0.10 + 0.25 * rng.random(len(at))
    at, tone = at[keep], tone[keep]
    n = len(at)
    reach = length * (0.6 + 0.5 * tone) * vary(rng, n, 0.25)
    path = trace(flow, at, reach, block.frame, study=light[..., None], tolerance=0.24)
    wide = width * (0.30 + 0.75 * tone) * vary(rng, n, 0.12)
    white = np.ones((n, 3), dtype=np.float32)
    block.lay(Strokes(path, wide, white, white), gouge, streaks=0.0, thickness=0.0)


def _put(
    design: _Design, inside: Array, light: Array | float, flow: Array, red: Array | float
) -> _Design:
    """A form in front of what was designed before, with its own light, cuts and red."""
    return (
        np.where(inside, light, design[0]).astype(np.float32),
        np.where(inside[..., None], flow, design[1]).astype(np.float32),
        np.where(inside, red, design[2]).astype(np.float32),
    )


def _sky(rng: np.random.Generator, frame: Frame) -> _Design:
    """Rays that bend a little, in tongues of light and dark; the sun in its rings; banks of cloud."""
    x, y = frame.mesh(_STUDY)
    w, h = frame.width, frame.height
    dx, dy = x - _SUN[0] * w, y - _SUN[1] * h
    d, a = np.hypot(dx, dy) / frame.unit, np.arctan2(dy, dx)
    ray = np.cos(26 * a + 2.5 * np.sin(7 * d) + 0.8 * noise(rng, frame, _STUDY, 0.2))
    light = np.clip(0.62 - 0.55 * d + 0.34 * ray * smoothstep(0.10, 0.2, d), 0, 1)
    bent = a + 0.5 * np.sin(9 * d)
    sky = (light, vectors(np.cos(bent), np.sin(bent)), np.ones_like(x))
    around = vectors(-np.sin(a), np.cos(a))
    sky = _put(sky, d < 0.122, 0.0, around, 1.0)
    sky = _put(sky, d < 0.105, 0.9 - 0.75 * (np.cos(2 * np.pi * d / 0.021) > 0.5), around, 0.0)
    for cy, cx, wide in _CLOUDS:
        e = np.hypot((x - cx * w) / wide, (y - cy * h + 0.012 * np.sin(22 * x)) / 0.026)
        level = vectors(1.0, 0.26 * np.cos(22 * x))
        sky = _put(sky, e < 1.12, 0.0, level, sky[2])
        sky = _put(sky, e < 1, np.where(y > cy * h, 0.1, 1.0), level, 0.0)
    return sky


def _mountains(rng: np.random.Generator, frame: Frame, design: _Design) -> _Design:
    """Two ranges, lit from the right and folded, cut down their slopes."""
    x, y = frame.mesh(_STUDY)
    w, h = frame.width, frame.height
    for number, peaks in enumerate(_RANGES):
        jag = 0.010 * noise(rng, frame, _STUDY, 0.05, 2)
        slopes = np.stack([py * h + steep * np.abs(x - px * w) + jag for px, py, steep in peaks])
        which, below = slopes.argmin(axis=0), y - slopes.min(axis=0)
        summit = np.array([peak[0] * w for peak in peaks], dtype=np.float32)[which]
        off = x - summit - 0.35 * below * np.sin(40 * below + which) - 0.06 * below
        lit = off > 0
        folds = 0.5 + 0.5 * np.cos(70 * off / (1 + 4 * np.abs(below)) + 5 * which)
        tone = np.where(lit, 0.45 + 0.5 * folds, 0.05 + 0.40 * folds) - 0.10 * number
        tone = np.where(below < 0.006, 0.0, tone)
        down = vectors(np.where(lit, 0.75, -0.75) + 0.25 * np.sin(30 * y), 1.0)
        design = _put(design, below > 0, tone, down, 1.0 * ~lit * number)
    return design


def _fields(rng: np.random.Generator, frame: Frame, design: _Design) -> _Design:
    """Furrows that run together towards the hills, every other one red in the near field."""
    x, y = frame.mesh(_STUDY)
    u, v = x / frame.width, y / frame.height
    sway = noise(rng, frame, _STUDY, 0.2)
    for number, (level, swell, vanish) in enumerate(((0.645, 0.018, 0.9), (0.74, 0.035, 0.15))):
        depth = v - level - swell * np.sin(6 * u + 2.2 * number + 0.5)
        bow = (u - vanish) / (0.16 + 1.5 * np.maximum(depth, 0))
        furrow = np.cos(15 * bow + 1.5 * depth + 0.2 * sway)
        tone = np.clip(0.45 + 0.55 * furrow + 0.1 * number, 0.03, 1)
        tone = np.where(depth < 0.007, 0.0, tone)
        red = np.cos(7.5 * bow + 0.75 * depth) > 0 if number else np.ones_like(depth)
        design = _put(design, depth > 0, tone, vectors(1.5 * bow, 1.0), 1.0 * red)
    return design


def _tree(rng: np.random.Generator, frame: Frame) -> tuple[Array, Array, Array]:
    """A bare tree: where it stands (on a finer grid), its lit bark, and the way the bark runs."""
    rows, columns = frame.shape(3 * _STUDY)
    image = Image.new("L", (columns, rows), 0)
    pen = ImageDraw.Draw(image)
    scale = columns / frame.width

    def grow(x: float, y: float, angle: float, size: float, thick: float) -> None:
        bend = rng.normal() * (0.10 if thick < 0.04 else 0.03)
        for k in range(7):
            nx, ny = x + size / 7 * np.cos(angle), y + size / 7 * np.sin(angle)
            r = thick * (1 - 0.05 * k) / 2
            pen.line(
                [x * scale, y * scale, nx * scale, ny * scale],
                fill=255,
                width=max(1, round(2 * r * scale)),
            )
            pen.ellipse(
                [(nx - r) * scale, (ny - r) * scale, (nx + r) * scale, (ny + r) * scale], fill=255
            )
            x, y = nx, ny
            angle += (
                bend + rng.normal() * 0.09 - 0.07 * (angle + np.pi / 2)
            )  # and always a little upwards
        if thick > 0.0065:
            spread = rng.uniform(0.35, 0.6)
            grow(x, y, angle - spread, size * rng.uniform(0.70, 0.84), thick * 0.62)
            grow(
                x,
                y,
                angle + spread * rng.uniform(0.7, 1.2),
                size * rng.uniform(0.68, 0.84),
                thick * 0.62,
            )

    grow(
        0.20 * frame.width,
        1.02 * frame.height,
        -np.pi / 2 + 0.12,
        0.34 * frame.height,
        0.080 * frame.unit,
    )
    stands = np.asarray(image, dtype=np.float32) / 255
    small = resize(stands, frame.shape(_STUDY))
    dx, dy = gradient(blur(small, 0.010))
    bark = 0.8 * smoothstep(0.55, 0.8, blur(small, 0.006)) * smoothstep(2.3, 8.4, -dx)
    return stands, bark, vectors(-dy, dx) + np.float32(1e-6)


def _press(rng: np.random.Generator, frame: Frame, long: int, carved: Array, red: Array) -> Array:
    """Cream paper, the red block in a rainbow roll a hair out of register, then the black; each
    with its ink.
    """
    x, y = frame.mesh(long)
    grain = np.sin(2 * np.pi * (30 * x + 1.4 * noise(rng, frame, long, (0.08, 0.6), 2)))
    speck, patch = noise(rng, frame, long, 0.0045, 2), noise(rng, frame, long, 0.07, 3)
    fibre = 0.018 * noise(rng, frame, long, (0.02, 0.004), 2) + 0.012 * noise(
        rng, frame, long, 0.005, 2
    )
    paper = colour(_CREAM) * (1 + fibre)[..., None]
    reds = colours("b51f24", "d93a22", "ee7a2a", "f4a83c", "dd5a2a", "c22f26")
    roll = ramp(reds, y / frame.height, (0, 0.2, 0.42, 0.55, 0.72, 1))
    away = np.full_like(x, 0.004), np.full_like(x, -0.003)
    inked = smoothstep(0.4, 0.6, warp(resize(red, frame.shape(long)), *away, frame))
    inked *= np.clip(0.90 + 0.05 * grain + 0.05 * patch + 0.03 * speck, 0, 1)
    sheet = mix(paper, paper * roll * 1.04, inked)
    # The black lies thin along the grain, and a few specks of its block do not print.
    black = 1 - smoothstep(0.42, 0.58, blur(carved, 0.0006) + 0.05 * speck)
    bare = 0.5 * smoothstep(1.75, 2.3, speck + 0.35 * grain)
    return np.clip(
        mix(sheet, colour(_BLACK), black * np.clip(0.955 + 0.03 * (grain + patch) - bare, 0, 1)),
        0,
        1,
    )
