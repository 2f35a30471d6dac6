"""Cells round seeds: Voronoi panes, and near-square tesserae turned each its own way."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plates.fields import Array

__all__ = ["Cells", "cells", "thin"]

_BLOCK = 24  # pixels: seeds are searched block by block, among the few that can matter there


@dataclass(frozen=True)
class Cells:
    """For every pixel: its `owner` seed, the distance to the cell's `border`, the `offset` (x, y)
    from the seed.

    Distances are in picture units; the offset is in the seed's own axes where it has an angle.
    """

    owner: npt.NDArray[np.int32]
    border: Array
    offset: Array


def cells(
    seeds: Array,
    position: tuple[Array, Array],
    *,
    angle: Array | None = None,
    group: npt.NDArray[np.int32] | None = None,
    upto: float = 0.03,
) -> Cells:
    """Cells of `seeds` (N, 2) over pixels at `position` (x, y), each (rows, columns), picture
    units.

    Without `angle` the cells are Voronoi's; seeds of one `group` (N,) share a cell, whose outline
    can so take any shape. The border is then exact around the seeds that have a neighbour in
    another group, and read too near around those that have none. With `angle` (N,) radians a seed's
    distance is the fourth-power norm in its own turned axes, so that its cell is a square with its
    corners eased, cut where a neighbour is nearer (after A. Hausner, "Simulating decorative
    mosaics", SIGGRAPH 2001, who used the Manhattan norm the same way). Borders further away than
    `upto` are not looked for and read `upto`.
    """
    x, y = position
    rows, columns = x.shape
    owner = np.zeros((rows, columns), dtype=np.int32)
    border = np.zeros((rows, columns), dtype=np.float32)
    offset = np.zeros((rows, columns, 2), dtype=np.float32)
    for top in range(0, rows, _BLOCK):
        for left in range(0, columns, _BLOCK):
            place = (slice(top, top + _BLOCK), slice(left, left + _BLOCK))
            bx, by = x[place], y[place]
            mx, my = (bx.max() + bx.min()) / 2, (by.max() + by.min()) / 2
            half = float(np.hypot(np.ptp(bx), np.ptp(by))) / 2
            away = np.hypot(seeds[:, 0] - mx, seeds[:, 1] - my)
            # No seed further than this can own a pixel of the block or border on it within `upto`.
            index = np.flatnonzero(away <= away.min() + 2 * half + 2 * upto)
            if angle is None:
                kin = index if group is None else group[index]
                own, edge, off = _panes(seeds[index], kin, bx, by)
            else:
                own, edge, off = _tiles(seeds[index], angle[index], bx, by)
            owner[place], border[place], offset[place] = index[own], np.minimum(edge, upto), off
    return Cells(owner, border, offset)


_Block = tuple[npt.NDArray[np.intp], Array, Array]


def _panes(seeds: Array, group: npt.NDArray[np.signedinteger], x: Array, y: Array) -> _Block:
    """Voronoi cells over one block: owner, distance to the nearest bisector with another group,
    offset.
    """
    dx, dy = x[None] - seeds[:, 0, None, None], y[None] - seeds[:, 1, None, None]
    far = dx * dx + dy * dy
    own = far.argmin(axis=0)
    first = np.take_along_axis(far, own[None], 0)
    apart = 2 * np.linalg.norm(seeds[:, None] - seeds[None], axis=-1).astype(np.float32)
    apart[group[:, None] == group[None]] = 0
    between = apart[:, own]
    gap = np.where(
        between > 0, (far - first) / np.maximum(between, np.float32(1e-9)), np.float32(np.inf)
    )
    return own, gap.min(axis=0), _own_offset(dx, dy, own)


def _tiles(seeds: Array, angle: Array, x: Array, y: Array) -> _Block:
    """Turned squares over one block: owner, half the lead over the next seed, offset in the owner's
    axes.
    """
    gx, gy = x[None] - seeds[:, 0, None, None], y[None] - seeds[:, 1, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    dx, dy = gx * cos + gy * sin, gy * cos - gx * sin
    far = np.square(np.square(dx)) + np.square(np.square(dy))
    own = far.argmin(axis=0)
    first = np.take_along_axis(far, own[None], 0)[0]
    np.put_along_axis(far, own[None], np.float32(np.inf), 0)
    edge = (np.sqrt(np.sqrt(far.min(axis=0))) - np.sqrt(np.sqrt(first))) / 2
    return own, edge, _own_offset(dx, dy, own)


def _own_offset(dx: Array, dy: Array, own: npt.NDArray[np.intp]) -> Array:
    return np.stack([np.take_along_axis(d, own[None], 0)[0] for d in (dx, dy)], axis=-1)


def thin(points: Array, apart: float) -> npt.NDArray[np.intp]:
    """Indices of the points (N, 2) that stay when, in order, any closer than `apart` to a kept one
    is dropped.
    """
    kept: dict[tuple[int, int], list[tuple[float, float]]] = {}
    stay = []
    for number, (px, py) in enumerate(points.tolist()):
        cx, cy = int(px // apart), int(py // apart)
        near = (p for i in (-1, 0, 1) for j in (-1, 0, 1) for p in kept.get((cx + i, cy + j), ()))
        if all((qx - px) ** 2 + (qy - py) ** 2 >= apart * apart for qx, qy in near):
            kept.setdefault((cx, cy), []).append((px, py))
            stay.append(number)
    return np.array(stay, dtype=np.intp)
