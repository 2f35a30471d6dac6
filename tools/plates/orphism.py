"""`orphism`: discs after Robert Delaunay, whose rings change colour wherever a spoke crosses them."""

from functools import partial

import numpy as np

from plates.fields import Array, Frame, blur, mix, noise, vectors
from plates.palette import colours
from plates.strokes import Canvas, Pass, make_brush, paint

__all__ = ["picture"]

_STUDY = 384
_WARM = ("d8281f", "f0701a", "f9c51c", "f6ecd6", "e9883a", "b3203a", "f2a7a0", "f7dc6f")
_COOL = ("14827a", "1c63b8", "22307f", "5a3b94", "57a05a", "141d3a", "3fa3c4", "a9bfe0")
# x, y, radius, rings, tilt of the spokes. The first is all ground: arcs round a centre outside the
# picture.
_DISCS = (
    (-0.25, 1.20, 2.20, 15, 0.0), (0.36, 0.36, 0.36, 8, 0.35), (0.79, 0.23, 0.24, 6, -0.5),
    (0.74, 0.70, 0.31, 7, 0.9), (0.20, 0.82, 0.25, 6, -0.2), (0.52, 0.98, 0.20, 5, 0.2),
    (0.03, 0.08, 0.17, 4, 0.6), (1.00, 0.45, 0.16, 4, 0.1),
)  # fmt: skip


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    study, flow = _rings(rng, frame)
    canvas = Canvas(frame, long, blur(study, 0.004))
    broad = make_brush(rng, 4, bristles=14, dry=0.35, ragged=0.15, ridge=0.35, grain=0.22)
    small = make_brush(rng, 4, bristles=8, dry=0.4, ragged=0.15, ridge=0.4, grain=0.25)
    facet = partial(Pass, flow=flow, hue=0.09, thickness=0.10)
    paint(
        rng,
        canvas,
        study,
        facet(broad, width=0.030, length=0.11, cover=2.2, tolerance=0.22, light=0.035),
        facet(broad, width=0.018, length=0.07, cover=1.6, tolerance=0.15, light=0.04),
        facet(small, width=0.010, length=0.045, cover=1.6, tolerance=0.10, light=0.04, error=0.07),
        facet(small, width=0.006, length=0.03, cover=1.6, tolerance=0.10, light=0.03, error=0.12),
    )
    return canvas.lit(0.9, gloss=0.06)


def _rings(rng: np.random.Generator, frame: Frame) -> tuple[Array, Array]:
    """Facet colours and the direction of the brush: round the disc that owns the place."""
    x, y = frame.mesh(_STUDY)
    warm, cool = colours(*_WARM), colours(*_COOL)
    sway = 0.006 * noise(rng, frame, _STUDY, 0.15)
    study = np.zeros((*x.shape, 3), dtype=np.float32)
    flow = np.zeros((*x.shape, 2), dtype=np.float32)
    for number, (cx, cy, radius, rings, tilt) in enumerate(_DISCS):
        dx, dy = x - cx * frame.width + sway, y - cy * frame.height - sway
        d, turn = (
            np.hypot(dx, dy) / (radius * frame.unit),
            np.mod(np.arctan2(dy, dx) + tilt, 2 * np.pi),
        )
        ring = np.minimum((d * rings).astype(int), rings)
        # Quarters everywhere; in the discs two further spokes, at other angles in every ring.
        quarter = (turn > np.pi).astype(int) + 2 * (np.mod(turn + np.pi / 2, np.pi) > np.pi / 2)
        cuts = rng.uniform(0, 2 * np.pi, (rings + 1, 2))
        sector = (
            quarter if number == 0 else 2 * quarter + np.sum(turn[..., None] > cuts[ring], axis=-1)
        )
        # Simultaneous contrast: warm and cool change places across every spoke and from ring to
        # ring.
        order = np.stack([rng.permutation(len(warm)) for _ in range(rings + 1)])
        pick = order[ring, sector % len(warm)]
        tint = np.where(((quarter + ring) % 2 == 0)[..., None], warm[pick], cool[pick])
        light = 0.16 * (np.mod(d * rings, 1) - 0.5) + 0.10 * np.sin(3 * turn + number)
        tint = np.clip(tint + np.where(light > 0, light, 0.8 * light)[..., None], 0, 1)
        inside = 1.0 * ((d < 1) | (number == 0))
        study = mix(study, tint, inside)
        flow = mix(flow, vectors(-dy, dx) / (np.hypot(dx, dy)[..., None] + 1e-6), inside)
    return study, flow
