"""`stained-glass`: a sun over hills and water, each pane its own sheet of glass, lit from behind."""

import numpy as np
import numpy.typing as npt

from plates.cells import cells
from plates.fields import Array, Frame, blur, gradient, mix, noise, sample, smoothstep, vectors
from plates.palette import colour, colours, jitter

__all__ = ["picture"]

_MARGIN = 0.052  # width of the surround, in frame units
_RIM_PANES = 9  # along each side
_SKY = ("ffcf33", "ffa51f", "f46a24", "e0324a", "ad2a86", "6a33b4", "3a45c4", "2468cc", "2a93d4", "1f5fc4",
        "2b3fae", "5a35a8")  # fmt: skip
_LAND = (
    "ffd23f",
    "a8cf3a",
    "46a84a",
    "1b8a5f",
    "17858f",
    "1d62b4",
    "1c3d98",
    "43297c",
    "6a2f86",
    "2a2f6a",
)
_RINGS = (8, 9, 18, 18, 18, 18, 36, 36, 36, 36, 36, 36)  # panes in each ring round the sun
_Owner = npt.NDArray[np.int32]


def picture(rng: np.random.Generator, frame: Frame, long: int) -> Array:
    """The plate (rows, columns, 3) with `long` pixels along its longer side."""
    owner, border, tints = _panes(rng, frame, long)
    glass = _glass(rng, frame, long, tints, owner, border)
    half = 0.0050 * (1 + 0.10 * noise(rng, frame, long, 0.08))
    lead = smoothstep(0.0012, -0.0004, border - half)
    glass = mix(
        glass, glass * 0.35, smoothstep(0.012, 0.0, border - half) * 0.6
    )  # grime along the lead
    window = mix(glass, _came(rng, frame, long, border, half), lead)
    halo = blur(glass * (1 - lead)[..., None], 0.014)
    return np.clip(window + 0.22 * halo * (1 - 0.5 * window), 0, 1)


def _panes(rng: np.random.Generator, frame: Frame, long: int) -> tuple[_Owner, Array, Array]:
    """For every pixel its pane and the distance to the pane's border; and the colours (M, 3) of the
    panes.
    """
    x, y = frame.mesh(long)
    w, h = frame.width, frame.height
    seeds, group, tints = _window(rng, frame)
    bent = [d + 0.006 * noise(rng, frame, long, 0.14, 2) for d in (x, y)]
    inner = cells(seeds, (bent[0], bent[1]), group=group, upto=0.04)
    # The surround: short panes of ruby and blue between the frame and a straight lead.
    margin = _MARGIN * frame.unit
    sides = np.stack([x, w - x, y, h - y])
    inset, side = sides.min(axis=0), sides.argmin(axis=0)
    along = np.where(side < 2, y / h, x / w) * _RIM_PANES
    step = np.mod(along, 1)
    rim = len(tints) + side * _RIM_PANES + np.clip(along.astype(int), 0, _RIM_PANES - 1)
    rim_border = np.minimum(np.minimum(step, 1 - step) / _RIM_PANES * frame.unit, margin - inset)
    rim_border = np.minimum(rim_border, np.maximum(inset, 0.004))
    rim_tints = colours("a5142b", "1c2f9c", "d9861a")[np.tile([0, 1, 0, 1, 2, 1, 0, 1, 0], 4)]
    outside = inset < margin
    owner = np.where(outside, rim, group[inner.owner]).astype(np.int32)
    border = np.where(outside, rim_border, np.minimum(inner.border, inset - margin))
    return owner, blur(border, 0.0012), np.concatenate([tints, rim_tints])


def _window(rng: np.random.Generator, frame: Frame) -> tuple[Array, _Owner, Array]:
    """Seeds (N, 2), the pane (N,) that each belongs to, and the panes' colours (M, 3).

    Many seeds make one pane: arcs and rays round the sun, long waves below.
    """
    w, h, unit = frame.width, frame.height, frame.unit
    sx, sy = 0.5 * w, 0.40 * h
    skies, lands = colours(*_SKY), colours(*_LAND)
    points = [(sx + 0.012 * np.cos(a), sy + 0.012 * np.sin(a)) for a in range(6)]
    group, tints = [0] * 6, [colour("fff3c0")]

    def wave(px: float, row: int) -> float:
        return 0.665 * h + (0.052 * row + 0.030 * float(np.sin(8.5 * px / w + 0.55 * row))) * unit

    for k, count in enumerate(_RINGS):
        fine = 6 if k < 2 else 4  # seeds to a pane
        turn = 0.0 if k == 3 else 0.5 * (k % 2)
        first = len(tints)
        for s in range(count):
            tints.append(
                skies[np.clip(k - (s % 2) * (k > 1) + rng.choice([0, 0, 0, 1]), 0, len(skies) - 1)]
            )
        for j in range(count * fine):
            s = j // fine
            a = (s + (j % fine + 0.5) / fine + turn) * 2 * np.pi / count + 0.1
            r = (0.072 + 0.060 * k) * unit
            px, py = sx + r * np.cos(a), sy + r * np.sin(a)
            if -0.1 < px < w + 0.1 and -0.1 < py < wave(px, 0) - 0.026 * unit:
                points.append((px, py))
                # Every second pane of the third ring runs on through the fourth, as a ray.
                group.append(first + s - (_RINGS[2] if k == 3 and s % 2 == 0 else 0))
    for row in range(12):
        left = 0
        for px in np.arange(-0.02, w + 0.04, 0.02):
            if left == 0:
                left = int(rng.integers(4, 10))
                tints.append(lands[np.clip(row + rng.choice([0, 0, 1, -1]), 0, len(lands) - 1)])
            left -= 1
            points.append((px, wave(px, row)))
            group.append(len(tints) - 1)
    tint = jitter(rng, np.array(tints), 0.03, 0.10, 0.10)
    return np.array(points, np.float32), np.array(group, np.int32), tint


def _glass(
    rng: np.random.Generator, frame: Frame, long: int, tints: Array, owner: _Owner, border: Array
) -> Array:
    """The light through every pane: two tones across it, streaks in its own direction, a glow at
    its heart.
    """
    x, y = frame.mesh(long)
    n = len(tints)
    turn = rng.uniform(0, 2 * np.pi, n).astype(np.float32)[owner]
    cos, sin = np.cos(turn), np.sin(turn)
    size = np.maximum(np.bincount(owner.ravel(), minlength=n), 1)
    mx, my = (
        (np.bincount(owner.ravel(), d.ravel(), n) / size).astype(np.float32)[owner] for d in (x, y)
    )
    across = np.clip(((x - mx) * cos + (y - my) * sin) / 0.07, -1, 1)
    turned = vectors(
        np.mod(x * cos + y * sin, frame.width), np.mod(y * cos - x * sin, frame.height)
    )
    streak = sample(noise(rng, frame, 512, (0.16, 0.012), 3), turned, frame)
    cloudy = noise(rng, frame, long, 0.03, 3)
    other = jitter(rng, tints, 0.07, 0.45, 0.1)
    glass = mix(tints[owner], other[owner], np.clip(0.5 + 0.45 * across + 0.22 * streak, 0, 1))
    pale = np.clip(0.12 + 0.18 * streak * (0.5 + 0.5 * np.sin(3 * turn)) + 0.07 * cloudy, 0, 0.6)
    glass = mix(glass, 0.35 + 0.65 * np.sqrt(np.clip(glass, 0, 1)), pale)
    bright = rng.normal(1.0, 0.10, n).astype(np.float32)[owner]
    glow = bright * (0.80 + 0.36 * smoothstep(0.0, 0.035, border) + 0.16 * across + 0.07 * cloudy)
    # Beer and Lambert: thicker glass takes the colour deeper, never towards grey.
    return np.asarray(np.clip(glass, 0.01, 1) ** np.clip(2.1 - 1.15 * glow, 0.45, 1.9)[..., None])


def _came(rng: np.random.Generator, frame: Frame, long: int, border: Array, half: Array) -> Array:
    """The lead (rows, columns, 3): rounded, lit from the upper left, dull and scratched."""
    bulge = np.sqrt(np.clip(1 - (border / half) ** 2, 0, 1)) * half
    dx, dy = gradient(blur(bulge, 0.0008))
    facing = 0.6 * dx + 0.75 * dy
    rough = 0.02 * noise(rng, frame, long, 0.008, 2)
    value = np.clip(0.085 + 0.10 * np.clip(facing, -0.6, 1.6) + rough, 0.01, 0.55)
    return value[..., None] * np.array([1.0, 1.0, 1.12], dtype=np.float32)
