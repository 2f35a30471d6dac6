"""`mosaic`: two fish in a sea of tesserae, whose rows follow the contours as a setter lays them."""

import numpy as np
import numpy.typing as npt
from skimage.measure import find_contours

from plates.cells import cells, thin
from plates.fields import Array, Frame, blur, gradient, mix, noise, sample, scatter, smoothstep
from plates.palette import colour, colours, jitter, ramp

__all__ = ["picture"]

_STUDY = 384
_TILE = 0.0195  # from one tessera to the next
_GAP = 0.0013  # half the grout between them
_FISH = (  # x, y, size, which way it swims, its coat from back to belly
    (0.50, 0.33, 0.33, 0.12, ("5a1220", "b5271f", "e8702a", "f6c04a", "fbeec4")),
    (0.46, 0.70, 0.29, np.pi - 0.18, ("1c2447", "5a3a86", "b5577f", "f0a68a", "fbe6cc")),
)
_Mask = npt.NDArray[np.bool_]
_Guide = tuple[Array, _Mask]  # a field whose levels the rows follow, and where it rules


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    study, guides = _design(rng, frame)
    seeds, angle = _rows(rng, frame, guides)
    n = len(seeds)
    stone = jitter(rng, np.clip(sample(study, seeds, frame), 0, 1), 0.035, 0.10, 0.14)
    x, y = frame.mesh(long)
    hand = [
        d + 0.0011 * noise(rng, frame, long, 0.02) for d in (x, y)
    ]  # nothing is cut quite straight
    tile = cells(seeds, (hand[0], hand[1]), angle=angle, upto=0.012)
    half = (_TILE * rng.normal(0.53, 0.02, n)).astype(np.float32)[tile.owner]
    border = np.minimum(tile.border, half - np.abs(tile.offset).max(axis=-1)) - _GAP

    grit = noise(rng, frame, long, 0.006, 3)
    height = np.sqrt(np.clip(border / 0.0032, 0, 1)) * 0.0030 + 0.00006 * grit
    dx, dy = gradient(blur(height, 0.0005))
    # Every stone sits a little askew and catches its own light.
    tilt = rng.normal(0, 0.10, (n, 2)).astype(np.float32)[tile.owner]
    slope = dx + tilt[..., 0], dy + tilt[..., 1]
    facing = (
        (0.50 * slope[0] + 0.62 * slope[1] + 0.60)
        / np.sqrt(slope[0] ** 2 + slope[1] ** 2 + 1)
        / 0.60
    )
    vein = noise(rng, frame, long, (0.02, 0.008), 2)
    shade = 1 + 0.045 * vein + 0.03 * grit + 0.05 * tile.offset.sum(axis=-1) / _TILE
    shade *= 0.45 + 0.55 * np.clip(facing, 0.2, 1.8)
    grout = colour("b9a98c") * (0.52 + 0.10 * grit)[..., None]
    face = stone[tile.owner] * shade[..., None]
    return np.clip(mix(grout, face, smoothstep(-0.0004, 0.0006, border)), 0, 1)


def _outline(x: Array, y: Array, turn: float) -> tuple[Array, Array, Array]:
    """Coordinates along and across a fish of size 1 at the origin, and the distance to its outline,
    inside < 0.
    """
    u = x * np.cos(turn) + y * np.sin(turn)
    v = y * np.cos(turn) - x * np.sin(turn) + 0.16 * np.sin(2.2 * u)
    half = (
        0.34 * np.sqrt(np.clip(1 - ((u - 0.12) / 0.88) ** 2, 0, 1)) * (1 - 0.30 * np.clip(-u, 0, 1))
    )
    beyond = np.maximum(u - 1.0, -0.76 - u)
    body = 0.9 * np.where(beyond > 0, np.hypot(beyond, v), np.abs(v) - half)
    fork = np.clip(-0.58 - u, 0, 1)
    tail = np.abs(np.abs(v) - 0.75 * fork) - 0.10 - 0.42 * fork
    tail = np.maximum(tail, np.maximum(u + 0.58, -1.08 - u))
    fin = np.maximum(np.hypot(u - 0.05, 1.3 * (v + 0.30)) - 0.30, v + 0.22)
    return u, v, np.minimum(np.minimum(body, tail), fin)


def _coat(u: Array, v: Array, back_up: int, coat: tuple[str, ...]) -> tuple[Array, Array]:
    """Colours of a fish (rows, columns, 3), and the distance from its eye."""
    scales = 0.10 * np.cos(26 * u) * np.cos(30 * v)
    tone = ramp(colours(*coat), 0.5 + 1.25 * v * back_up + scales)
    rays = ramp(colours(coat[1], coat[3], coat[2], coat[4]), np.mod(7 * np.abs(v) + 2 * u, 1))
    tone = np.where((u < -0.60)[..., None], rays, tone)
    gill = np.abs(np.hypot(u - 0.95, v) - 0.42) < 0.045
    tone = np.where(gill[..., None], colour(coat[0]), tone)
    return tone, np.hypot(u - 0.72, v + 0.07 * back_up)


def _design(rng: np.random.Generator, frame: Frame) -> tuple[Array, list[_Guide]]:
    """Colours (rows, columns, 3), and what the rows follow: the border, each fish, the swell."""
    x, y = frame.mesh(_STUDY)
    w, h = frame.width, frame.height
    swell = y + 0.030 * np.sin(11 * x / w + 0.5) + 0.018 * np.sin(23 * x / w - 5 * y / h) + 0.05 * x
    sea = colours("0f3f6e", "1a6a9c", "2f9bb4", "7cc8c4", "d8ead8", "2580a8", "14507f")
    study = ramp(sea, np.mod(swell / h * 2.6 + 0.06 * noise(rng, frame, _STUDY, 0.15), 1))
    inset = np.minimum(np.minimum(x, w - x), np.minimum(y, h - y))
    band = inset < 4 * _TILE
    guides: list[_Guide] = [(inset, band)]
    free = ~band
    for cx, cy, size, turn, coat in _FISH:
        scale = size * frame.unit
        u, v, d = _outline((x - cx * w) / scale, (y - cy * h) / scale, turn)
        d = d * scale
        tone, eye = _coat(u, v, -1 if np.cos(turn) < 0 else 1, coat)
        tone = np.where(((d > -_TILE) & (eye > 0.12))[..., None], colour(coat[0]), tone)
        tone = np.where((eye < 0.115)[..., None], colour("fdf6e0"), tone)
        tone = np.where((eye < 0.065)[..., None], colour("101018"), tone)
        study = np.where((d < 0)[..., None], tone, study)
        study = np.where(((d >= 0) & (d < _TILE))[..., None], colour("f3e6c8"), study)
        near = d < 2.05 * _TILE
        guides.append((d, near & free))
        free = free & ~near
    course = np.clip((inset / _TILE).astype(int), 0, 3)
    rope = 1 + (np.mod((x / w + y / h) * 16, 1) >= 0.5)
    edging = colours("3a1a1e", "e9c15a", "b8402c", "f6ecd2")
    edge = edging[np.where((course == 0) | (course == 3), course, rope)]
    return np.where(band[..., None], edge, study), [*guides, (swell, free)]


def _rows(rng: np.random.Generator, frame: Frame, guides: list[_Guide]) -> tuple[Array, Array]:
    """Seeds (N, 2) one tile apart along the levels of each guide, then in what gaps remain; and
    their angles.
    """
    points, angles = [np.zeros((0, 2))], [np.zeros(0)]
    for field, rule in guides:
        if not rule.any():
            continue
        levels = (
            np.arange(np.floor(field[rule].min() / _TILE) + 0.5, field[rule].max() / _TILE) * _TILE
        )
        for level in levels:
            for line in find_contours(field, level):  # type: ignore[no-untyped-call]
                at, angle = _walk(rng, (line[:, ::-1] + 0.5) * (frame.width / field.shape[1]))
                cell = at * np.array([field.shape[1] / frame.width, field.shape[0] / frame.height])
                column, row = np.clip(cell.astype(int), 0, np.array(field.shape)[::-1] - 1).T
                points.append(at[rule[row, column]])
                angles.append(angle[rule[row, column]])
    seeds, angle = np.concatenate(points), np.concatenate(angles)
    stay = thin(seeds, 0.74 * _TILE)
    seeds, angle = seeds[stay], angle[stay]
    filling = np.concatenate([seeds, scatter(rng, frame, 0.33 * _TILE)])
    stay = thin(filling, 0.80 * _TILE)
    extra = filling[stay[stay >= len(seeds)]]
    angle = np.concatenate([angle, rng.uniform(0, np.pi, len(extra))])
    return np.concatenate([seeds, extra]).astype(np.float32), angle.astype(np.float32)


def _walk(rng: np.random.Generator, line: Array) -> tuple[Array, Array]:
    """Points (n, 2) one tile apart along a line (m, 2), and the line's direction there."""
    run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.arange(rng.uniform(0, _TILE), run[-1], _TILE)

    def point(distance: Array) -> Array:
        return np.stack([np.interp(distance, run, line[:, k]) for k in (0, 1)], axis=-1)

    chord = point(at + 0.6 * _TILE) - point(at - 0.6 * _TILE)
    return point(at), np.arctan2(chord[:, 1], chord[:, 0])
