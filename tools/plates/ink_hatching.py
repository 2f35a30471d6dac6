"""`ink-hatching`: an etching of a castle above a bridge, with clouds and an overhanging tree."""

import numpy as np

from plates.fields import Array, Frame, blur, gradient, mix, noise, smoothstep
from plates.needle import Scene, draw_contours, draw_grass, draw_leaves, hatch
from plates.palette import colour
from plates.strokes import Canvas

__all__ = ["picture"]

_WATER = 0.757  # where the bridge stands in the river, in picture heights
_HATCHINGS = (  # turn from the form's lines, darkness at which it begins, pitch
    (0.0, 0.13, 0.0080), (0.75, 0.38, 0.0080), (-0.70, 0.56, 0.0075), (0.35, 0.70, 0.0070), (1.4, 0.84, 0.0070),
)  # fmt: skip
_CLOUDS = (  # x, y of the base, half width, height, puffs
    (0.66, 0.20, 0.20, 0.13, 26), (0.99, 0.43, 0.15, 0.10, 16), (0.38, 0.44, 0.12, 0.07, 14),
    (0.97, 0.09, 0.12, 0.06, 12),
)  # fmt: skip
_CASTLE = (  # back to front; towers: middle, half width, top, foot, roof; walls: left, right, top, foot
    (0.585, 0.016, 0.345, 0.46, 0.065), (0.735, 0.018, 0.335, 0.46, 0.070), (0.590, 0.745, 0.395, 0.47),
    (0.665, 0.030, 0.265, 0.46, 0.105), (0.625, 0.014, 0.355, 0.47, 0.050), (0.540, 0.020, 0.405, 0.52, 0.060),
    (0.545, 0.700, 0.440, 0.51), (0.705, 0.024, 0.385, 0.53, 0.075), (0.785, 0.018, 0.430, 0.55, 0.055),
)  # fmt: skip
_ARCHES = (
    (0.27, 0.085, 0.075),
    (0.52, 0.110, 0.105),
    (0.77, 0.085, 0.075),
)  # middle, half width, rise
_BUSHES = (  # x, y, spread, heads
    (0.07, 0.64, 0.050, 9), (0.95, 0.64, 0.045, 9), (0.44, 0.585, 0.030, 5), (0.88, 0.60, 0.030, 5),
    (0.98, 0.80, 0.050, 8), (0.02, 0.80, 0.050, 7),
)  # fmt: skip
_BOUGHS = (  # course from the foot up, half thickness there
    (((0.10, 1.02), (0.135, 0.80), (0.115, 0.60), (0.13, 0.40), (0.11, 0.22)), 0.050),
    (((0.12, 0.52), (0.20, 0.36), (0.29, 0.22)), 0.020),
    (((0.12, 0.56), (0.05, 0.42), (0.00, 0.34)), 0.020),
    (((0.125, 0.42), (0.19, 0.24), (0.22, 0.12)), 0.016),
)
_CROWN = (
    (0.10, 0.16, 0.11, 26),
    (0.27, 0.09, 0.09, 18),
    (0.03, 0.33, 0.06, 10),
    (0.25, 0.26, 0.05, 8),
)


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    scene = Scene(frame)
    _sky(rng, scene)
    _hills(rng, scene)
    for part in _CASTLE:
        _tower(scene, *part) if len(part) == 5 else _wall(scene, *part)
    _bridge(rng, scene)
    _banks(rng, scene)
    _tree(rng, scene)
    canvas = Canvas(frame, long, _paper(rng, frame, long))
    for turn, depth, pitch in _HATCHINGS:
        hatch(rng, canvas, scene, turn, depth, pitch)
    draw_contours(rng, canvas, scene)
    draw_leaves(rng, canvas, scene)
    draw_grass(rng, canvas, _grass(rng))
    return np.clip(canvas.colour, 0, 1)


def _noise(rng: np.random.Generator, scene: Scene, scale: float, octaves: int = 1) -> Array:
    return noise(rng, scene.frame, scene.long, scale, octaves)


def _line(x: Array, y: Array) -> Array:
    return np.stack(np.broadcast_arrays(x, y), axis=-1)


def _sky(rng: np.random.Generator, scene: Scene) -> None:
    """Long level lines, and heaped clouds."""
    slow, rough = _noise(rng, scene, 0.3), _noise(rng, scene, 0.03, 2)
    dark = 0.34 + 0.14 * np.clip(1 - 2 * scene.v, 0, 1) + 0.06 * slow
    scene.cover(np.ones_like(dark), dark, 0.05 + 0.22 * slow + 0.3 * (scene.u - 0.5))
    for cx, cy, wide, tall, count in _CLOUDS:
        across = rng.uniform(-1, 1, count)
        lift = rng.random(count) * (1 - across**2) * tall
        for k in np.argsort(-lift):  # the high puffs first, the low ones before them
            r = wide * rng.uniform(0.20, 0.34) * (1 - 0.45 * abs(across[k]))
            _puff(scene, cx + across[k] * wide, cy - lift[k], r, 1 - lift[k] / tall, rough)


def _puff(scene: Scene, cx: float, cy: float, r: float, low: float, rough: Array) -> None:
    """One swelling of a cloud: bright above, hatched beneath, outlined on top; `low` is 1 at the
    cloud's base.
    """
    frame = scene.frame
    rx, ry = r * frame.unit / frame.width, r * frame.unit / frame.height
    place = frame.window(scene.long, cx * frame.width, cy * frame.height, 1.3 * r * frame.unit)
    dx, dy, rough = (scene.u[place] - cx) / rx, (scene.v[place] - cy) / ry, rough[place]
    d = np.hypot(dx, dy * np.where(dy > 0, 1.6, 1.0)) * (1 + 0.06 * rough)
    tone = 0.125 + 0.26 * (0.55 * dx + dy) + 0.16 * low * smoothstep(-0.3, 0.6, dy) + 0.03 * rough
    scene.cover(d < 1, np.clip(tone, 0.05, 0.66), 0.75 + 0.55 * dx - 0.35 * dy, place=place)
    a = np.linspace(-3.5, 0.4, 24)
    wave = 1 + 0.03 * np.sin(5 * a + 40 * cx)
    scene.outline(
        _line(cx + rx * wave * np.cos(a), cy + ry * wave * np.sin(a) * np.where(a > 0, 0.62, 1)),
        0.8,
    )


def _hills(rng: np.random.Generator, scene: Scene) -> None:
    """Two far ridges and the rock that carries the castle, hatched down their slopes."""
    u, v = scene.u, scene.v
    rough = _noise(rng, scene, 0.06, 3)
    line = np.linspace(0, 1, 120)

    def ridge(at: Array, level: float, phase: float) -> Array:
        return np.asarray(
            level - 0.035 * np.sin(4.6 * at + phase) - 0.012 * np.sin(12 * at + 2 * phase)
        )

    def rock(at: Array) -> Array:
        mass = 0.235 * np.exp(-(np.abs((at - 0.66) / 0.19) ** 3)) + 0.05 * np.exp(
            -(((at - 0.40) / 0.10) ** 2)
        )
        return np.asarray(0.655 - mass - 0.006 * np.sin(60 * at) - 0.004 * np.sin(143 * at))

    for level, phase, tint in ((0.50, 0.2, 0.20), (0.55, 2.6, 0.34)):
        top = ridge(u, level, phase)
        slope = gradient(top)[0]
        tone = np.clip(tint + 0.5 * slope + 0.05 * rough, 0.1, 0.8)
        scene.cover(v > top, tone, 0.6 + 0.5 * slope + 0.15 * rough)
        scene.outline(_line(line, ridge(line, level, phase)), 0.8)
    below = v - rock(u)
    gully = np.sin(38 * u + 7 * below + 1.6 * rough)
    tone = 0.36 + np.clip(2.6 * (u - 0.60), -0.25, 0.45) + 0.20 * gully + 0.10 * rough
    tone = np.clip(tone - 0.25 * np.exp(-np.maximum(below, 0) / 0.02), 0.05, 0.95)
    scene.cover(below > 0, tone, 1.15 - 1.8 * (u - 0.6) + 0.3 * gully)
    scene.outline(_line(line, rock(line)), 1.1)


def _wall(scene: Scene, left: float, right: float, top: float, foot: float) -> None:
    """A lit wall with battlements."""
    scene.face(((left, foot), (left, top), (right, top), (right, foot)), 0.22, 0.04)
    low, high = top + 0.004, top - 0.010
    for k in np.arange(left, right, 0.016):
        scene.face(((k, low), (k, high), (k + 0.008, high), (k + 0.008, low)), 0.30, 0.0)


def _tower(scene: Scene, middle: float, half: float, top: float, foot: float, roof: float) -> None:
    """A round tower, dark on its right, with windows, a pointed roof and a spike."""
    across = (scene.u - middle) / half
    left, right, eave = middle - half, middle + half, 1.28 * half
    shade = np.clip(0.16 + 0.62 * smoothstep(-0.5, 1.0, across), 0, 0.85)
    scene.face(((left, foot), (left, top), (right, top), (right, foot)), shade, 1.5)
    for level, lean in ((0.25, -0.35), (0.55, 0.2)):
        x, y = middle + lean * half, top + level * (foot - top)
        low, high = y + 0.012, y - 0.008
        window = (
            (x - 0.004, low),
            (x - 0.004, high),
            (x, y - 0.014),
            (x + 0.004, high),
            (x + 0.004, low),
        )
        scene.face(window, 0.97, 0.8)
    shade = np.clip(0.42 + 0.42 * smoothstep(-0.4, 0.6, across), 0, 0.93)
    tip = (middle, top - roof)
    scene.face(
        ((middle - eave, top + 0.004), tip, (middle + eave, top + 0.004)),
        shade,
        1.35 + 0.35 * across,
    )
    scene.outline(np.array([tip, (middle, top - roof - 0.03)]), 0.8)


def _bridge(rng: np.random.Generator, scene: Scene) -> None:
    """A bridge of three arches, and the river with its reflection."""
    u, v = scene.u, scene.v
    slow = _noise(rng, scene, 0.2)
    ripple = np.sin(2 * np.pi * 26 * np.maximum(v - 0.6, 0) ** 0.75 + 1.5 * slow)
    line = np.linspace(-0.02, 1.02, 90)
    deck = 0.655 - 0.045 * np.exp(-(((line - 0.52) / 0.26) ** 2))
    course = v / 0.018
    joint = np.sin(2 * np.pi * (u / 0.04 + 0.5 * np.floor(course))) > -0.7
    stone = 0.30 + 0.10 * np.sin(2 * np.pi * course) * joint + 0.06 * slow + 0.2 * (v > 0.74)
    outline = np.concatenate([_line(line, deck), [[1.02, 0.76], [-0.02, 0.76]]])
    scene.cover(scene.polygon(outline), stone, 0.02)
    scene.outline(_line(line, deck), 1.3)
    scene.outline(_line(line, deck + 0.014), 0.9)
    a = np.linspace(np.pi, 2 * np.pi, 40)
    for middle, half, rise in _ARCHES:
        hole = _line(middle + half * np.cos(a), _WATER + rise * np.sin(a))
        ring = _line(middle + (half + 0.014) * np.cos(a), _WATER + (rise + 0.016) * np.sin(a))
        scene.outline(ring, 0.9)
        for k in range(2, 40, 3):  # voussoirs
            scene.outline(np.stack([hole[k], ring[k]]), 0.8)
        open_ = np.hypot((u - middle - 0.045) / half, (v - _WATER) / rise) < 0.93
        scene.cover(
            scene.polygon(hole),
            np.where(open_, 0.13 + 0.06 * slow, 0.95),
            np.where(open_, 0.0, 1.2),
        )
        scene.outline(hole, 1.2)
    # The river: what stands above it turned over, broken by the ripples and lost towards us.
    rows = len(v)
    source = (2 * _WATER - (np.arange(rows) + 0.5) / rows) * rows
    image = blur(scene.dark, 0.008)[np.clip(source, 0, rows - 1).astype(int)]
    fade = smoothstep(0.99, 0.76, v)
    tone = 0.20 + (0.85 * image - 0.10) * fade + 0.16 * ripple * (0.4 + image)
    scene.cover(v > _WATER, tone, 0.03 * slow)


def _clump(scene: Scene, cx: float, cy: float, r: float, tint: float, rough: Array) -> None:
    """A head of foliage: uneven edge, light from the upper left, drawn in leaves."""
    frame = scene.frame
    r *= frame.unit
    place = frame.window(scene.long, cx * frame.width, cy * frame.height, 2.2 * r)
    dx = (scene.u[place] - cx) * frame.width / r
    dy = (scene.v[place] - cy) * frame.height / (0.85 * r)
    rough = rough[place]
    tone = np.clip(tint + 0.34 * (0.6 * dx + 0.8 * dy) + 0.10 * rough, 0.06, 1)
    scene.cover(
        np.hypot(dx, dy) * (1 + 0.22 * rough) < 1, tone, 0.7 + 0.4 * dx, leafy=1.0, place=place
    )


def _banks(rng: np.random.Generator, scene: Scene) -> None:
    """The near banks on both sides, and bushes."""
    u, v = scene.u, scene.v
    rough = _noise(rng, scene, 0.025, 2)
    near = (v > 0.80 + 0.30 * u + 0.01 * rough) | (v > 0.86 - 0.9 * (u - 0.84) + 0.01 * rough)
    tone = np.clip(0.45 + 0.12 * rough + 0.9 * (v - 0.86), 0.1, 0.9)
    scene.cover(near, tone, 0.25 + 0.5 * (u - 0.5) + 0.1 * rough)
    for cx, cy, spread, count in _BUSHES:
        for _ in range(count):
            x, y = cx + rng.normal() * spread, cy + rng.normal() * 0.4 * spread
            _clump(scene, x, y, rng.uniform(0.6, 1.0) * spread, rng.uniform(0.42, 0.58), rough)


def _grass(rng: np.random.Generator) -> Array:
    """Roots (N, 2) of the grass: in tufts on both near banks."""
    root = np.stack([rng.random(1500), 0.84 + 0.20 * rng.random(1500) ** 0.8], axis=-1)
    u, v = root[:, 0], root[:, 1]
    tuft = np.sin(11 * u + 2.4) + 0.6 * np.sin(27 * u + 9 * v) + rng.normal(size=len(u)) * 0.7
    ashore = (u < 0.40 - 1.2 * (0.98 - v)) | (u > 0.86 + 0.6 * (0.98 - v))
    return root[(tuft > 0) & ashore]


def _tree(rng: np.random.Generator, scene: Scene) -> None:
    """A great tree on the left: the shaded side of its crown, its boughs, the leaves before them."""
    rough = _noise(rng, scene, 0.022, 2)
    for cx, cy, spread, count in _CROWN:
        for _ in range(count // 2):
            x, y = cx + rng.normal() * spread, cy + rng.normal() * 0.6 * spread
            _clump(scene, x, y, rng.uniform(0.035, 0.06), 0.72, rough)
    for course, thick in _BOUGHS:
        _bough(scene, np.array(course), thick, rough)
    for cx, cy, spread, count in _CROWN:
        heads = np.array([cx, cy]) + rng.normal(size=(count, 2)) * np.array([spread, 0.6 * spread])
        for x, y in heads[np.argsort(-heads[:, 1])]:
            if abs(x - 0.12) > 0.05 or y < 0.25:  # the fork stays bare
                _clump(scene, x, y, rng.uniform(0.028, 0.052), rng.uniform(0.36, 0.56), rough)


def _bough(scene: Scene, course: Array, thick: float, rough: Array) -> None:
    """A limb along `course` (N, 2) from the foot up, furrowed, dark on its right."""
    t = np.linspace(0, 1, 40)
    at = t * (len(course) - 1)
    x, y = (np.interp(at, np.arange(len(course)), course[:, k]) for k in (0, 1))
    x = np.convolve(np.pad(x, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    half = (
        thick
        * (1 - 0.7 * t)
        * (1 + 0.8 * np.exp(-9 * t) * (thick > 0.03))
        * (1 + 0.07 * np.sin(19 * t))
    )
    left, right = _line(x - half, y), _line(x + half, y)
    v = scene.v[:, :1]
    across = (scene.u - np.interp(v, y[::-1], x[::-1])) / np.interp(v, y[::-1], half[::-1])
    tone = np.clip(
        0.40 + 0.42 * across + 0.14 * np.sin(9 * across + 14 * v + 1.2 * rough), 0.06, 0.97
    )
    scene.cover(
        scene.polygon(np.concatenate([left, right[::-1]])),
        tone,
        1.35 + 0.25 * np.sin(11 * v + 3 * across),
    )
    scene.outline(left, 1.3)
    scene.outline(right, 1.5)


def _paper(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """Warm laid paper with a veil of plate tone."""
    veil = np.clip(0.25 + 0.22 * noise(rng, frame, long, 0.35, 3), 0, 0.8)
    fibre = 0.024 * noise(rng, frame, long, 0.0045, 2) + 0.016 * noise(
        rng, frame, long, (0.12, 0.0035)
    )
    sheet = mix(colour("f0e2c2"), colour("dcbf90"), veil)
    return np.asarray(np.clip(sheet * (1 + fibre)[..., None], 0, 1))
