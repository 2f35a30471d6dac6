"""The stroke painter: curved brush strokes, coarse to fine, with bristles and relief.

After A. Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes" (SIGGRAPH
1998): a study (a soft colour composition) is painted in passes from wide to narrow brushes; every
stroke takes its colour from the study where it starts, follows a direction field and stops where
the study's colour has left the stroke's. We differ in three ways: the direction field is given by
the plate instead of taken from image gradients, a stroke carries two half-mixed colours that its
bristles pull apart, and every stroke leaves a thickness of paint behind that is lit at the end.

Strokes live in picture units and are drawn the same whatever the canvas; only their rasterisation
is finer on a larger one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plates.fields import Array, Frame, blur, gradient, mix, resize, sample, scatter
from plates.palette import jitter

__all__ = ["Brush", "Canvas", "Pass", "Strokes", "make_brush", "paint", "trace", "vary"]

_CHUNK = 3_000_000  # samples rasterised at once: bounds the memory of a layer
_DENSITY = (
    1.35  # samples per pixel along and across a stroke: enough that a curved one has no pinholes
)


@dataclass(frozen=True)
class Strokes:
    """N ribbons: `path` (N, K, 2), full `width` (N,), and two colours (N, 3) that the bristles pull
    apart.
    """

    path: Array
    width: Array
    colour: Array
    second: Array


@dataclass(frozen=True)
class Brush:
    """V prints of a brush, (V, along, across): paint `height`, `streak` about -1 to 1, `cover` > 0
    inside.
    """

    height: Array
    streak: Array
    cover: Array


def make_brush(
    rng: np.random.Generator,
    aspect: float,
    *,
    bristles: int = 10,
    head: float = 0.5,
    tail: float = 0.5,
    power: float = 0.5,
    dry: float = 0.5,
    ragged: float = 0.2,
    ridge: float = 0.4,
    grain: float = 0.3,
    variants: int = 24,
) -> Brush:
    """Prints of a brush whose strokes are about `aspect` times as long as wide.

    `head` and `tail` are the lengths, in stroke widths, over which the ends close, as distance to
    the `power` (0.5 round, 1 pointed); `dry` is how far the paint runs out towards the tail,
    `ragged` how far bristles stray over the edge, `ridge` how much paint is pushed aside into a lip
    and `grain` how deep the bristles score it.
    """
    along, across = 96, 28
    u = np.linspace(0, 1, along, dtype=np.float32)[:, None]
    v = np.abs(np.linspace(-1, 1, across, dtype=np.float32))[None, :]
    opening = np.clip(u * aspect / max(head, 1e-3), 0, 1) ** power
    closing = np.clip((1 - u) * aspect / max(tail, 1e-3), 0, 1) ** power
    worn = np.clip((u - (1 - dry)) / max(dry, 1e-3), 0, 1) ** 2
    lip = np.exp(-(((v - 0.82) / 0.13) ** 2)) + 0.8 * np.exp(
        -(((1 - u) * aspect / 0.35 - 0.6) ** 2)
    )
    prints = []
    for _ in range(variants):
        # Bristle marks: many across, nearly constant along.
        lattice = rng.standard_normal((4, bristles)).astype(np.float32)
        lattice += rng.standard_normal((1, bristles)).astype(np.float32)
        streak = np.clip(resize(lattice, (along, across)) / np.float32(1.6), -1.5, 1.5)
        cover = opening * closing - v + ragged * (streak - 0.5)
        cover = np.minimum(cover, np.where(worn > 0, 1.1 + streak - 2.2 * worn, 1.0))
        body = np.sqrt(np.clip(1 - v**3, 0, 1)) * (0.62 + grain * streak)
        height = (body + ridge * lip * (0.7 + grain * streak)) * (1 - 0.6 * worn)
        prints.append((height, streak, cover))
    height, streak, cover = (np.stack([p[k] for p in prints]).astype(np.float32) for k in range(3))
    return Brush(height, streak, cover)


class Canvas:
    """Wet paint: `colour` (rows, columns, 3) in [0, 1] and `height` (rows, columns) in picture
    units.
    """

    def __init__(self, frame: Frame, long: int, ground: Array) -> None:
        """`ground` is a field over the frame (h, w, 3); the canvas has `long` pixels along its
        longer side.
        """
        self.frame = frame
        self.scale = long
        shape = frame.shape(long)
        self.colour: Array = np.clip(resize(ground, shape), 0, 1)
        self.height: Array = np.zeros(shape, dtype=np.float32)
        self._owner = np.full(shape[0] * shape[1], -1, dtype=np.int32)

    def lay(
        self,
        strokes: Strokes,
        brush: Brush,
        *,
        opacity: float = 1.0,
        streaks: float = 0.5,
        thickness: float = 0.12,
    ) -> None:
        """Paint the strokes in order, later over earlier.

        `opacity` lets what lies below show through, `streaks` is how far the bristles part the
        stroke's two colours, `thickness` the paint's height in stroke widths. A stroke narrower
        than a pixel covers one, the more faintly the narrower it is.
        """
        n = len(strokes.path)
        if n == 0:
            return
        # Which print a stroke gets hangs on where it starts, so that it is the same on every
        # canvas.
        lot = np.mod(strokes.path[:, 0].astype(np.float64) @ np.array([7919.1, 10472.9]), 1)
        print_of = (lot * len(brush.height)).astype(np.intp)
        lengths = np.linalg.norm(np.diff(strokes.path, axis=1), axis=-1).sum(axis=1)
        ns = int(np.ceil(float(lengths.max()) * self.scale * _DENSITY)) + 2
        nt = int(np.ceil(float(strokes.width.max()) * self.scale * _DENSITY)) + 2
        height, streak, cover = (
            np.moveaxis(resize(np.moveaxis(part, 0, -1), (ns, nt)), -1, 0)
            for part in (brush.height, brush.streak, brush.cover)
        )
        step = max(1, _CHUNK // (ns * nt))
        for start in range(0, n, step):
            part = slice(start, start + step)
            owned, code = self._rasterise(
                strokes.path[part], strokes.width[part], cover > 0, print_of[part], nt
            )
            which, inside = np.divmod(code, ns * nt)
            which += start
            texel = print_of[which] * (ns * nt) + inside
            pulled = np.clip(0.5 + streaks * streak.reshape(-1)[texel], 0, 1)
            paint_colour = mix(strokes.colour[which], strokes.second[which], pulled)
            flat = self.colour.reshape(-1, 3)
            solid = opacity * np.minimum(strokes.width[which] * self.scale, 1)
            flat[owned] = mix(flat[owned], paint_colour, solid)
            deep = self.height.reshape(-1)
            added = height.reshape(-1)[texel] * strokes.width[which] * np.float32(thickness)
            deep[owned] = deep[owned] * np.float32(0.35) + added

    def _rasterise(
        self,
        path: Array,
        width: Array,
        cover: npt.NDArray[np.bool_],
        print_of: npt.NDArray[np.int64],
        nt: int,
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The pixels that the strokes own and, for each, the sample (stroke, along, across) laid
        last.
        """
        ns = cover.shape[1]
        at = np.linspace(0, path.shape[1] - 1, ns, dtype=np.float32)
        low = np.minimum(at.astype(np.intp), path.shape[1] - 2)
        t = (at - low)[None, :, None]
        line = path[:, low] * (1 - t) + path[:, low + 1] * t
        tangent = np.gradient(path, axis=1)
        tangent = tangent[:, low] * (1 - t) + tangent[:, low + 1] * t
        tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + np.float32(1e-9)
        # A point marks the whole pixel it falls in, so a ribbon of points comes out one pixel too
        # wide.
        inner = np.maximum(width - np.float32(1 / self.scale), 0)[:, None, None]
        side = np.linspace(-0.5, 0.5, nt, dtype=np.float32)[None, None, :] * inner
        rows, columns = self.height.shape
        x = ((line[..., 0, None] - tangent[..., 1, None] * side) * np.float32(self.scale)).ravel()
        y = ((line[..., 1, None] + tangent[..., 0, None] * side) * np.float32(self.scale)).ravel()
        ok = cover[print_of].ravel() & (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
        code = np.flatnonzero(ok)
        pixel = y[code].astype(np.int32) * np.int32(columns) + x[code].astype(np.int32)
        self._owner[pixel] = code.astype(np.int32)
        owned = np.flatnonzero(self._owner >= 0)
        last = self._owner[owned].astype(np.intp)
        self._owner[owned] = -1
        return owned, last

    def lit(self, depth: float = 1.0, gloss: float = 0.10, soften: float = 0.0007) -> Array:
        """The picture (rows, columns, 3) with its paint lit from the upper left.

        `depth` exaggerates the relief, `gloss` is the strength of the highlights, `soften` (picture
        units) the size of the detail that casts no shadow.
        """
        relief = blur(self.height, soften)
        dx, dy = (d * np.float32(depth) for d in gradient(relief))
        light = np.array([-0.50, -0.62, 0.60], dtype=np.float32)
        light /= np.linalg.norm(light)
        length = np.sqrt(dx * dx + dy * dy + 1)
        facing = (-dx * light[0] - dy * light[1] + light[2]) / length
        shade = np.clip(facing / light[2], 0.25, 1.7)
        half = light + np.array([0, 0, 1], dtype=np.float32)
        half /= np.linalg.norm(half)
        shine = np.clip((-dx * half[0] - dy * half[1] + half[2]) / length, 0, 1) ** 40
        flat_shine = np.float32(half[2] ** 40)
        lit = self.colour * (0.30 + 0.70 * shade)[..., None]
        return np.asarray(np.clip(lit + np.float32(gloss) * (shine - flat_shine)[..., None], 0, 1))


@dataclass(frozen=True)
class Pass:
    """One brush over the study, along `flow` (h, w, 2): sizes in picture units, jitters as in
    `palette.jitter`.
    """

    brush: Brush
    flow: Array
    width: float
    length: float
    cover: float  # how many times over the strokes would cover the area
    where: Array | None = None  # (h, w) in [0, 1]: strokes start only where it allows
    light: float = 0.03
    hue: float = 0.10
    chroma: float = 0.10
    tolerance: float = (
        0.18  # a stroke stops where the study is this far (RGB distance) from its colour
    )
    wander: float = 0.0  # turns the flow by this many radians (standard deviation) per stroke
    opacity: float = 0.96
    streaks: float = 0.5
    thickness: float = 0.12
    error: float = 0.0  # paint only where the canvas is this far (RGB distance) from the study


def vary(rng: np.random.Generator, n: int, amount: float) -> Array:
    """(n,) factors around 1, log-normal with deviation `amount`, without the tails that would cost
    time.
    """
    return np.exp(np.clip(rng.standard_normal(n), -1.8, 1.8) * amount).astype(np.float32)


def trace(
    flow: Array,
    starts: Array,
    length: Array,
    frame: Frame,
    *,
    study: Array | None = None,
    tolerance: float = 0.2,
    turn: Array | None = None,
    points: int = 12,
) -> Array:
    """Paths (N, points, 2) through `starts` (N, 2), half of `length` (N,) along `flow` to either
    side.

    With a `study`, each half ends where that is further than `tolerance` from its value at the
    start; `turn` (N,) radians sets each stroke at an angle to the flow.
    """
    step = (length / (points - 1))[:, None]
    home = None if study is None else sample(study, starts, frame)
    cos = sin = None
    if turn is not None:
        cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    halves = []
    for sign in (-1.0, 1.0):
        at, alive = starts, np.ones((len(starts), 1), dtype=bool)
        half = [at]
        for _ in range((points + 1) // 2):
            way = sample(flow, at, frame)
            if cos is not None and sin is not None:
                way = way * cos + np.stack([-way[:, 1], way[:, 0]], axis=-1) * sin
            way = way / (np.linalg.norm(way, axis=-1, keepdims=True) + np.float32(1e-9))
            after = at + way * step * np.float32(sign)
            if study is not None and home is not None:
                gone = (
                    np.linalg.norm(sample(study, after, frame) - home, axis=-1, keepdims=True)
                    > tolerance
                )
                alive &= ~gone
            at = np.where(alive, after, at)
            half.append(at)
        halves.append(np.stack(half, axis=1))
    path = np.concatenate([halves[0][:, :0:-1], halves[1]], axis=1)
    return _respace(path, points)


def _respace(path: Array, points: int) -> Array:
    """The same curves with `points` vertices at equal distances along each."""
    pieces = np.linalg.norm(np.diff(path, axis=1), axis=-1)
    run = np.concatenate(
        [np.zeros((len(path), 1), dtype=np.float32), np.cumsum(pieces, axis=1)], axis=1
    )
    want = run[:, -1:] * np.linspace(0, 1, points, dtype=np.float32)[None]
    # One search for all rows: rows are shifted apart so that a single sorted array holds them.
    gap = float(run.max()) + 1.0
    shift = (np.arange(len(path)) * gap)[:, None]
    found = np.searchsorted((run + shift).ravel(), (want + shift).ravel(), side="right").reshape(
        want.shape
    )
    high = np.clip(found - np.arange(len(path))[:, None] * run.shape[1], 1, run.shape[1] - 1)
    row = np.arange(len(path))[:, None]
    a, b = run[row, high - 1], run[row, high]
    t = np.clip((want - a) / np.maximum(b - a, 1e-9), 0, 1)[..., None]
    return np.asarray(path[row, high - 1] * (1 - t) + path[row, high] * t, dtype=np.float32)


def paint(rng: np.random.Generator, canvas: Canvas, study: Array, *passes: Pass) -> None:
    """Paint the study (h, w, 3) on the canvas, pass after pass."""
    for stage in passes:
        strokes = _strokes(rng, canvas.frame, study, stage)
        if stage.error > 0:
            middle = strokes.path[:, strokes.path.shape[1] // 2]
            there = resize(canvas.colour, (study.shape[0], study.shape[1]))
            wrong = np.linalg.norm(blur(there, stage.width / 2) - study, axis=-1)
            keep = sample(wrong, middle, canvas.frame) > stage.error
            strokes = Strokes(
                *(
                    part[keep]
                    for part in (strokes.path, strokes.width, strokes.colour, strokes.second)
                )
            )
        canvas.lay(
            strokes,
            stage.brush,
            opacity=stage.opacity,
            streaks=stage.streaks,
            thickness=stage.thickness,
        )


def _strokes(rng: np.random.Generator, frame: Frame, study: Array, stage: Pass) -> Strokes:
    """Every stroke that a pass may lay. None of it hangs on the canvas, so every size draws the
    same lots.
    """
    spacing = float(np.sqrt(stage.width * stage.length / stage.cover))
    starts = scatter(rng, frame, spacing, margin=stage.length / 3)
    if stage.where is not None:
        starts = starts[sample(stage.where, starts, frame) > rng.random(len(starts))]
    n = len(starts)
    length = np.float32(stage.length) * vary(rng, n, 0.22)
    turn = (rng.standard_normal(n) * stage.wander).astype(np.float32) if stage.wander else None
    path = trace(
        stage.flow, starts, length, frame, study=study, tolerance=stage.tolerance, turn=turn
    )
    first = jitter(
        rng, np.clip(sample(study, starts, frame), 0, 1), stage.light, stage.hue, stage.chroma
    )
    second = jitter(rng, first, stage.light, stage.hue, stage.chroma)
    return Strokes(path, np.float32(stage.width) * vary(rng, n, 0.15), first, second)
