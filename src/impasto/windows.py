"""Parts of a picture: windows, and tiles with a halo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["Tile", "Window", "tiles"]


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom` and columns `left` to `right` of a picture, ends excluded, in px."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def of(self, picture: Tensor) -> Tensor:
        """That part of `(..., H, W)`; a view of it."""
        return picture[..., self.top : self.bottom, self.left : self.right]

    def within(self, outer: Window) -> Window:
        """The same place, counted from the corner of `outer`."""
        return Window(
            self.top - outer.top,
            self.bottom - outer.top,
            self.left - outer.left,
            self.right - outer.left,
        )

    def scaled(self, stride: int) -> Window:
        """The same place on a map with a position every `stride` px, rounded down."""
        return Window(*(side // stride for side in (self.top, self.bottom, self.left, self.right)))


@dataclass(frozen=True)
class Tile:
    """A part of a picture, `inner`, and what has to be seen of its surroundings, `outer`."""

    inner: Window
    outer: Window


def tiles(size: tuple[int, int], side: int, halo: int, align: int) -> Iterator[Tile]:
    """Tiles that cover a picture of `size` = (H, W), each position once, line by line.

    The inner sides are equal to one `align` and at most about `side`; all but the picture's own
    borders lie at multiples of `align`. The outer window goes `halo` px further, rounded up to
    `align`, and ends at the picture's border.
    """
    height, width = size
    reach = -(-halo // align) * align
    rows, columns = _cuts(height, side, align), _cuts(width, side, align)
    for top, bottom in rows:
        for left, right in columns:
            outer = Window(
                max(0, top - reach),
                min(height, bottom + reach),
                max(0, left - reach),
                min(width, right + reach),
            )
            yield Tile(Window(top, bottom, left, right), outer)


def _cuts(length: int, side: int, align: int) -> list[tuple[int, int]]:
    """`length` in equal parts of at most about `side`, cut at multiples of `align`."""
    count = max(1, math.ceil(length / max(side, align)))
    cuts = [round(length * i / count / align) * align for i in range(count)] + [length]
    return [(a, b) for a, b in pairwise(cuts) if b > a]
