"""The etcher's needle: tone is nothing but how thick and how crossed the lines are."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from plates.fields import Array, Frame, sample, scatter, vectors
from plates.palette import colours, jitter
from plates.strokes import Canvas, Strokes, make_brush, trace, vary

__all__ = ["Scene", "draw_contours", "draw_grass", "draw_leaves", "hatch"]

_STUDY = 448
_INK = "2a1b14"
_LEANS = 8  # directions of the hatching's lattices in half a turn


class Scene:
    """What the needle follows: darkness, the lie of the lines, what covers what, the outlines to be
    drawn.

    `u` and `v` are the place as shares of the picture's width and height; every method speaks in
    them.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.long = _STUDY  # of the grid that its fields are made on
        x, y = frame.mesh(_STUDY)
        self.u, self.v = x / frame.width, y / frame.height
        self.dark: Array = np.zeros_like(x)  # 0 is bare paper, 1 as dark as lines get
        self.angle: Array = np.zeros_like(x)  # of the form's own lines, radians
        self.leafy: Array = np.zeros_like(x)  # 1 where it is drawn in leaves
        self.owner = np.zeros(x.shape, dtype=np.int32)  # number of the form in front
        self.outlines: list[
            tuple[Array, int, float]
        ] = []  # path in picture units, its form, weight
        self.forms = 0

    def polygon(self, corners: Array) -> Array:
        """Where a polygon with these corners (N, 2) lies: (rows, columns) in [0, 1]."""
        rows, columns = self.u.shape
        image = Image.new("L", (columns * 3, rows * 3), 0)
        flat = [tuple(p) for p in (corners * np.array([columns * 3, rows * 3])).tolist()]
        ImageDraw.Draw(image).polygon(flat, fill=255)
        return (
            np.asarray(image.resize((columns, rows), Image.Resampling.BOX), dtype=np.float32) / 255
        )

    def cover(
        self,
        inside: Array | npt.NDArray[np.bool_],
        dark: Array | float,
        angle: Array | float,
        leafy: float = 0.0,
        place: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> None:
        """Put a form in front of all before it, where `inside` is above a half.

        `inside`, `dark` and `angle` are fields over the scene, or over the `place` in it.
        """
        self.forms += 1
        here = np.nonzero(inside > 0.5)
        self.dark[place][here] = np.clip(np.broadcast_to(dark, inside.shape)[here], 0, 1)
        self.angle[place][here] = np.broadcast_to(angle, inside.shape)[here]
        self.leafy[place][here] = leafy
        self.owner[place][here] = self.forms

    def outline(self, points: Array, weight: float = 1.0) -> None:
        """Draw this line (N, 2) wherever the last form put in stays uncovered."""
        path = points * np.array([self.frame.width, self.frame.height])
        self.outlines.append((path, self.forms, weight))

    def face(
        self, corners: Sequence[tuple[float, float]], dark: Array | float, angle: Array | float
    ) -> None:
        """A polygon with its outline."""
        shape = np.array(corners)
        self.cover(self.polygon(shape), dark, angle)
        self.outline(np.concatenate([shape, shape[:1]]))

    def cell(self, points: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Row and column of the scene's grid for points (N, 2) in picture units."""
        rows, columns = self.u.shape
        column = np.clip(points[:, 0] / self.frame.width * columns, 0, columns - 1).astype(np.intp)
        row = np.clip(points[:, 1] / self.frame.height * rows, 0, rows - 1).astype(np.intp)
        return row, column


def hatch(
    rng: np.random.Generator, canvas: Canvas, scene: Scene, turn: float, depth: float, pitch: float
) -> None:
    """One direction of hatching, `turn` from each form's own lines and `pitch` apart, where darker
    than `depth`.
    """
    frame, length = canvas.frame, 0.042
    # Each form is hatched from rows that lie along its lines: of eight lattices a place takes the
    # nearest.
    sector = np.mod(np.round((scene.angle + turn) / (np.pi / _LEANS)), _LEANS)
    found = []
    for k in range(_LEANS):
        lean = k * np.pi / _LEANS
        u, v = np.meshgrid(np.arange(-0.75, 0.75, length * 0.75), np.arange(-0.75, 0.75, pitch))
        u = u + (np.arange(len(v))[:, None] * 0.618 % 1) * length + rng.normal(size=u.shape) * 0.005
        v = v + rng.normal(size=v.shape) * pitch * 0.10
        px = frame.width / 2 + u * np.cos(lean) - v * np.sin(lean)
        py = frame.height / 2 + u * np.sin(lean) + v * np.cos(lean)
        at = vectors(px, py).reshape(-1, 2)
        at = at[((at > -0.02) & (at < np.array([frame.width, frame.height]) + 0.02)).all(axis=1)]
        found.append(at[sector[scene.cell(at)] == k])
    at = np.concatenate(found)
    dark = sample(scene.dark, at, frame)
    keep = dark > depth + 0.045 * rng.standard_normal(len(at))
    at, dark = at[keep], dark[keep]
    n = len(at)
    # A stroke ends where the tone changes or another form begins.
    form = np.stack([scene.dark, (scene.owner % 7) / 7, (scene.owner % 3) / 3], axis=-1)
    angle = (turn + rng.standard_normal(n) * 0.03).astype(np.float32)
    path = trace(
        vectors(np.cos(scene.angle), np.sin(scene.angle)),
        at,
        np.float32(length) * vary(rng, n, 0.2),
        frame,
        study=form,
        tolerance=0.16,
        turn=angle,
        points=10,
    )
    _ink(
        rng,
        canvas,
        path,
        (0.0018 + 0.0018 * np.clip((dark - depth) / 0.4, 0, 1)) * vary(rng, n, 0.15),
    )


def _ink(rng: np.random.Generator, canvas: Canvas, path: Array, width: Array) -> None:
    """Lines that swell and thin as the acid bit them."""
    n = len(path)
    if n == 0:
        return
    pen = make_brush(rng, 18, bristles=3, head=2.0, tail=4.0, dry=0.06, ragged=0.10, variants=12)
    tone = jitter(rng, np.repeat(colours(_INK), n, axis=0), 0.03, 0.1)
    strokes = Strokes(path.astype(np.float32), width.astype(np.float32), tone, tone)
    canvas.lay(strokes, pen, opacity=0.9, streaks=0.0, thickness=0.0)


def draw_contours(rng: np.random.Generator, canvas: Canvas, scene: Scene) -> None:
    """The uncovered part of each outline, in short wavering strokes."""
    pieces, forms, weights = [], [], []
    for line, form, weight in scene.outlines:
        run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        for start in np.arange(0, run[-1], 0.024):
            at = np.linspace(start - 0.003, min(start + 0.028, run[-1] + 0.002), 7)
            piece = np.stack([np.interp(at, run, line[:, k]) for k in (0, 1)], axis=-1)
            shake = (
                rng.normal(size=2) * 0.0006 + np.cumsum(rng.normal(size=(7, 2)), axis=0) * 0.0003
            )
            pieces.append(piece + shake)
            forms.append(form)
            weights.append(weight)
    path = np.array(pieces)
    seen = scene.owner[scene.cell(path[:, 3])] <= np.array(forms)
    width = 0.0026 * np.array(weights) * vary(rng, len(path), 0.2)
    _ink(rng, canvas, path[seen], width[seen])


def draw_leaves(rng: np.random.Generator, canvas: Canvas, scene: Scene) -> None:
    """Foliage: looping scribbles, closer and heavier in the shade."""
    at = scatter(rng, canvas.frame, 0.0085)
    leafy, dark = (sample(field, at, canvas.frame) for field in (scene.leafy, scene.dark))
    keep = (leafy > 0.5) & (rng.random(len(at)) < 0.35 + 0.7 * dark)
    at, dark = at[keep], dark[keep]
    n = len(at)
    t = np.linspace(0, 1, 16)[None]
    arc = rng.uniform(0, 2 * np.pi, (n, 1)) + 3.6 * t
    r = 0.0085 * rng.uniform(0.6, 1.2, (n, 1)) * (1 + 0.45 * np.abs(np.sin(3 * np.pi * t)))
    loop = vectors(at[:, :1] + r * np.cos(arc), at[:, 1:] + 0.8 * r * np.sin(arc))
    _ink(rng, canvas, loop, 0.0017 + 0.0010 * dark)


def draw_grass(rng: np.random.Generator, canvas: Canvas, roots: Array) -> None:
    """Blades from `roots` (N, 2), shares of the picture; longer towards the bottom, leaning with
    the wind.
    """
    n = len(roots)
    t = np.linspace(0, 1, 8)[None]
    tall = rng.uniform(0.03, 0.075, (n, 1)) * (0.3 + 4 * (roots[:, 1:] - 0.82))
    lean = rng.normal(size=(n, 1)) * 0.45 + 0.3
    x = roots[:, :1] * canvas.frame.width + lean * tall * t**2
    y = roots[:, 1:] * canvas.frame.height - tall * t
    _ink(rng, canvas, vectors(x, y), rng.uniform(0.0020, 0.0033, n))
