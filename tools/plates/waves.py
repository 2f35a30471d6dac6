"""`waves`: a great wave about to break, as a woodblock print: outlines, flat inks with their grain,
claws of foam.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from plates.fields import Array, Frame, blur, mix, noise, resize, smoothstep
from plates.palette import colour

__all__ = ["picture"]

_PAPER, _KEY = "f1e4c4", "14233f"
_DEEP, _BLUE, _MID, _PALE, _FOAM = "17376b", "2a5c98", "6f9dbf", "b9cfcf", "f6eedb"
_CLOUDS = (  # height, from, to, ink
    (0.03, -0.10, 0.42, "e8dab6"), (0.07, 0.66, 1.10, "e6d6b0"), (0.16, 0.80, 1.10, "e3d3ac"),
    (0.15, -0.10, 0.22, "e3d3ac"), (0.30, 0.66, 0.95, "dfcda6"), (0.38, -0.10, 0.20, "dccaa6"),
    (0.40, 0.86, 1.10, "dccaa6"),
)  # fmt: skip
_PEAK = (
    (0.60, 0.62),
    (0.68, 0.52),
    (0.745, 0.455),
    (0.765, 0.452),
    (0.785, 0.457),
    (0.86, 0.53),
    (0.96, 0.62),
)
_SNOW = (
    (0.703, 0.497), (0.745, 0.455), (0.765, 0.452), (0.785, 0.457), (0.828, 0.498), (0.810, 0.493),
    (0.800, 0.512), (0.785, 0.490), (0.768, 0.515), (0.752, 0.490), (0.735, 0.512), (0.722, 0.490),
)  # fmt: skip
_BACK = (
    (-0.12, 0.80),
    (-0.02, 0.55),
    (0.10, 0.33),
    (0.24, 0.17),
    (0.40, 0.10),
    (0.54, 0.13),
    (0.63, 0.25),
)
_FACE = (
    (0.66, 0.95),
    (0.50, 0.80),
    (0.41, 0.62),
    (0.38, 0.45),
    (0.42, 0.33),
    (0.51, 0.27),
    (0.62, 0.265),
)
_STRIPES = (  # of the breaker: from, to, ink; 0 at its back, 1 at its face
    (0.03, 0.085, _DEEP), (0.12, 0.20, _PALE), (0.225, 0.30, _DEEP), (0.325, 0.36, _FOAM), (0.40, 0.49, _DEEP),
    (0.52, 0.545, _MID), (0.58, 0.66, _DEEP), (0.685, 0.72, _PALE), (0.75, 0.83, _DEEP), (0.85, 0.88, _MID),
    (0.905, 0.985, _DEEP),
)  # fmt: skip
_SPRAY = ((0.66, 0.33, 0.075, 90), (0.50, 0.06, 0.07, 40), (0.28, 0.10, 0.06, 30), (0.96, 0.55, 0.05, 50),
          (0.62, 0.58, 0.06, 40))  # fmt: skip


class _Sheet:
    """Flat shapes on an RGB sheet `long` pixels long; paths (N, 2) and widths are in picture units."""

    def __init__(self, frame: Frame, long: int) -> None:
        rows, columns = frame.shape(long)
        self.long, self.unit = long, frame.unit
        self.place = np.array(
            [frame.width, frame.height]
        )  # takes shares of the picture to picture units
        self.image = Image.new("RGB", (columns, rows), f"#{_PAPER}")
        self.pen = ImageDraw.Draw(self.image)

    def shape(self, path: Array, ink: str, outline: float = 0.0) -> None:
        self.pen.polygon([tuple(p) for p in (path * self.long).tolist()], fill=f"#{ink}")
        if outline:
            self.line(np.concatenate([path, path[:1]]), outline)

    def line(self, path: Array, width: float, ink: str = _KEY) -> None:
        flat = [tuple(p) for p in (path * self.long).tolist()]
        self.pen.line(flat, fill=f"#{ink}", width=max(1, round(width * self.long)), joint="curve")

    def union(self, paths: Sequence[Array], ink: str, outline: float, key: str = _KEY) -> None:
        """Shapes that melt into one: all outlines first, then all insides."""
        for path in paths:
            self.shape(path, key)
            self.line(np.concatenate([path, path[:2]]), 2 * outline, key)
        for path in paths:
            self.shape(path, ink)


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    sheet = _Sheet(frame, 2 * long if long <= 2048 else long)
    _clouds(rng, sheet)
    sheet.shape(_spline(_PEAK) * sheet.place, "4d76a3", 0.002)
    sheet.shape(np.array(_SNOW) * sheet.place, _FOAM, 0.0015)
    _swell(rng, sheet, 0.60, 0.035, 1.9, 0.7, (_MID, _BLUE, _PALE, _BLUE))
    _swell(rng, sheet, 0.68, 0.050, 1.4, 2.9, (_BLUE, _PALE, _DEEP, _MID))
    _breaker(rng, sheet, np.array([0.0, 0.0]), 1.0)
    _breaker(rng, sheet, np.array([0.70, 0.45]), 0.48)
    _swell(rng, sheet, 0.84, 0.055, 1.2, 4.4, (_DEEP, _MID, _BLUE, _PALE))
    _swell(rng, sheet, 0.95, 0.035, 1.7, 1.0, (_BLUE, _DEEP, _PALE, _DEEP))
    for cx, cy, spread, count in _SPRAY:
        for drop in (np.array([cx, cy]) + rng.normal(size=(count, 2)) * spread) * sheet.place:
            sheet.shape(_disc(drop, sheet.unit * rng.uniform(0.0018, 0.0050)), _FOAM, 0.0011)
    flat = np.asarray(sheet.image, dtype=np.float32) / 255
    return _press(rng, frame, long, resize(flat, frame.shape(long)))


def _spline(knots: Sequence[tuple[float, float]], count: int = 80) -> Array:
    """A Catmull-Rom curve (count, 2) through the knots."""
    p = np.array([knots[0], *knots, knots[-1]])
    at = np.linspace(0, len(knots) - 1 - 1e-6, count)
    i, t = at.astype(int), (at % 1)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve = (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return np.asarray(curve / 2)


def _round(angle: Array) -> Array:
    """Points (N, 2) on the unit circle."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _disc(centre: Array, radius: float) -> Array:
    return np.asarray(centre + radius * _round(np.linspace(0, 2 * np.pi, 20, endpoint=False)))


def _spiral(centre: Array, radius: float, start: float, wound: float = 1.0) -> Array:
    """An arc from angle `start` that grows out to `radius`; `wound` 0 keeps it a circle's."""
    a = np.linspace(0, 4.5, 16)
    return np.asarray(centre + radius * (1 - wound * (1 - a / 4.5))[:, None] * _round(a + start))


def _claw(foot: Array, aim: float, size: float, hook: float) -> Array:
    """One finger of foam: leaves `foot` towards `aim` (radians), bends by `hook` and thins to a
    point.
    """
    t = np.linspace(0, 1, 14)
    angle = aim + hook * t**1.3
    step = _round(angle) * size / 13
    spine = foot + np.cumsum(step, axis=0) - step[0]
    side = _round(angle + np.pi / 2) * (0.19 * size * (1 - t) ** 0.75)[:, None]
    return np.concatenate([spine + side, (spine - side)[::-1]])


def _foam(
    rng: np.random.Generator,
    sheet: _Sheet,
    lip: Array,
    size: float,
    aim: float,
    hook: float,
    every: float,
) -> None:
    """Hands of claws along `lip`, one over the other, each with its own outline."""
    run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(lip, axis=0), axis=1))])
    for at in np.arange(0, run[-1], every):
        foot = (
            np.array([np.interp(at, run, lip[:, k]) for k in (0, 1)])
            + rng.normal(size=2) * 0.1 * size
        )
        grow = size * (0.75 + 0.5 * rng.random())
        hand = [_disc(foot, 0.27 * grow)]
        for lean in (-0.8, -0.1, 0.55):
            reach = grow * rng.uniform(0.8, 1.35)
            hand.append(
                _claw(foot, aim + lean + rng.normal() * 0.15, reach, hook * rng.uniform(0.7, 1.4))
            )
            if rng.random() < 0.7:  # a smaller finger off the first
                branch = foot + 0.45 * reach * _round(np.array(aim + lean))
                hand.append(_claw(branch, aim + lean + rng.choice([-0.7, 0.7]), 0.55 * reach, hook))
        sheet.union(hand, _FOAM, 0.0019)
        curl = foot + rng.normal(size=2) * 0.08 * grow
        sheet.line(_spiral(curl, 0.17 * grow, rng.uniform(0, 6)), 0.0017, _MID)


def _clouds(rng: np.random.Generator, sheet: _Sheet) -> None:
    """Banks of round cloud, each lump with its arcs."""
    for height, left, right, ink in _CLOUDS:
        across = np.arange(left, right, 0.045)
        centres = (
            np.stack([across, height + rng.normal(size=len(across)) * 0.010], axis=-1) * sheet.place
        )
        radii = 0.034 * sheet.unit * rng.uniform(0.6, 1.3, len(across))
        sheet.union(
            [_disc(c, r) for c, r in zip(centres, radii, strict=True)], ink, 0.0014, "8a7c66"
        )
        for centre, radius in zip(centres, radii, strict=True):
            for part in (0.72, 0.46, 0.22):
                arc = _spiral(centre, part * radius, np.pi + rng.uniform(-0.4, 0.4), wound=0.0)
                sheet.line(arc, 0.0012, "b59d74")


def _swell(
    rng: np.random.Generator,
    sheet: _Sheet,
    level: float,
    rise: float,
    often: float,
    shift: float,
    inks: Sequence[str],
) -> None:
    """A long wave across the picture: contour stripes below its crest, a fringe of claws on it."""
    unit, x = sheet.unit, np.linspace(-0.05, 1.05, 160)
    wave = np.abs(np.sin(np.pi * (often * x + shift)))  # cusped crests, round troughs
    crest = (
        np.stack([x, level + rise * (wave - 0.6) + 0.008 * np.sin(17 * x + shift)], axis=-1)
        * sheet.place
    )
    floor = np.array([[1.05, 1.1], [-0.05, 1.1]]) * sheet.place
    sheet.shape(np.concatenate([crest, floor]), inks[0], 0.0030)
    depth = 0.0
    for k in range(9):
        depth += (0.010 + 0.004 * k) * unit * rng.uniform(0.8, 1.2)
        thick = (
            (0.0065 + 0.002 * k)
            * unit
            * (0.35 + 0.65 * np.clip(wave + 0.3 * np.sin(9 * x + k), 0, 1))
        )
        roll = 0.0375 * rise * k * unit * np.cos(2 * np.pi * often * x + shift)
        upper = crest + np.stack([0.006 * np.sin(5 * x + k), depth + roll], axis=-1)
        lower = upper + np.stack([np.zeros_like(x), thick], axis=-1)
        sheet.shape(np.concatenate([upper, lower[::-1]]), inks[1 + k % 3], 0.0012)
    top = np.flatnonzero(wave < 0.36)
    for piece in np.split(top, np.flatnonzero(np.diff(top) > 1) + 1):
        if len(piece) > 6:
            _foam(rng, sheet, crest[piece], 0.028 * unit, -0.5, 1.6, 0.012 * unit)


def _breaker(rng: np.random.Generator, sheet: _Sheet, at: Array, size: float) -> None:
    """A curling wave: striped body, foam over the crest and claws along the lip."""
    back, face = ((_spline(knots) * size + at) * sheet.place for knots in (_BACK, _FACE))
    sheet.shape(np.concatenate([back, face[::-1]]), _BLUE, 0.0035)
    taper = 1 - 0.75 * np.linspace(0, 1, len(back))[:, None] ** 2
    for low, high, ink in _STRIPES:
        mid = (low + high) / 2
        edges = [back + (face - back) * (mid + (share - mid) * taper) for share in (low, high)]
        sheet.shape(np.concatenate([edges[0], edges[1][::-1]]), ink, 0.0015)
    # Foam: a cap of knuckles, then hands that run down the face, up the back and hang from the lip.
    width = sheet.unit * size
    crown = back[34:] + (face[34:] - back[34:]) * np.linspace(0.02, 0.26, len(back) - 34)[:, None]
    for line in (back[30::2], crown[::2]):
        spots = line + rng.normal(size=line.shape) * 0.010 * width
        sheet.union([_disc(p, width * rng.uniform(0.014, 0.026)) for p in spots], _FOAM, 0.0018)
    lip = np.concatenate([back[58:], face[:56:-1]])
    _foam(rng, sheet, crown[:34], 0.055 * width, 2.1, -1.2, 0.026 * width)
    _foam(rng, sheet, back[24:64], 0.048 * width, -1.0, 1.7, 0.021 * width)
    _foam(rng, sheet, (crown[14:] + back[48:]) / 2, 0.050 * width, 0.6, 1.5, 0.024 * width)
    _foam(rng, sheet, lip, 0.082 * width, 0.85, 1.5, 0.020 * width)
    for k, share in zip(
        rng.integers(20, 62, 70), rng.beta(1.5, 2.5, 70), strict=True
    ):  # flecks on the face
        fleck = back[k] + (face[k] - back[k]) * share
        sheet.shape(_disc(fleck, width * rng.uniform(0.0016, 0.0045)), _FOAM)


def _press(rng: np.random.Generator, frame: Frame, long: int, flat: Array) -> Array:
    """Ink into paper: graded sky, the block's grain, the baren's rubbing, laid paper."""
    y = frame.mesh(long)[1]
    v = y / frame.height
    paper = colour(_PAPER)
    # Sky and cloud, not foam, are wiped darker towards the top and warmer towards the horizon.
    sky = smoothstep(0.62, 0.9, flat.mean(axis=-1)) * smoothstep(0.9, 0.83, flat[..., 2])
    wiped = mix(colour("e9b98a"), colour("8fa3ae"), smoothstep(0.3, 0.0, v)) / paper
    grade = np.maximum(0.75 * smoothstep(0.16, 0.0, v), 0.55 * np.exp(-(((v - 0.52) / 0.12) ** 2)))
    flat = flat * mix(np.ones_like(flat), wiped, grade * sky)
    bend = noise(rng, frame, long, (0.5, 0.10), 2)
    rings = np.sin(2 * np.pi * (34 * y + 1.6 * bend) + 0.9 * noise(rng, frame, long, (0.25, 0.012)))
    fibre = noise(rng, frame, long, (0.10, 0.0035), 2)
    grain = 0.5 * rings + 0.45 * fibre + 0.4 * noise(rng, frame, long, 0.09, 3)
    inked = paper + (flat - paper) * np.clip(0.93 + 0.085 * grain, 0.6, 1.08)[..., None]
    laid = 0.012 * noise(rng, frame, long, 0.004, 2) + 0.010 * noise(
        rng, frame, long, (0.05, 0.003)
    )
    veil = 1 + sky * (0.050 * rings + 0.034 * fibre) + laid
    return np.clip(blur(np.clip(inked, 0, 1), 0.0005) * veil[..., None], 0, 1)
