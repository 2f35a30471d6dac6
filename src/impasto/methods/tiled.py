"""One pass of a network over a picture of any size, tile by tile, in one style or in several at once.

The statistics of every instance norm are measured first and then used for all tiles
(`impasto.networks.statistics`): of the whole picture where it fits into memory, else of a sample of
windows. With the same statistics the tiles equal the whole picture to rounding, so there are no
seams. A sample's statistics differ from the picture's, and so does what is painted, a little.
"""

import random
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.networks.statistics import Statistics, measure, mixed, replayed
from impasto.networks.transform_net import TransformNet
from impasto.pictures.tiles import Resized, View
from impasto.windows import Tile, Window, tiles

__all__ = ["PassBudget", "Shares", "TiledPass", "mask_crop"]

# Of the embedded network, measured: bytes for each pixel that is computed at once, at 16 bits (twice
# as much at 32), where freed memory is kept, and where it is returned; and what a process has besides.
_A_PIXEL, _RETURNED, _PROCESS = 450, 160, 0.4e9
_HELD = 60  # bytes a pixel for whole pictures in floating point
# And for those in 8 bits: the photo, the picture, the one it is enlarged from, and Pillow's copies.
_KEPT = 30
_SAMPLES, _SAMPLE = 12, 512  # windows of the sample, and their largest side, px
_LARGEST, _SMALLEST = 2048, 256  # sides of tiles


@dataclass(frozen=True)
class PassBudget:
    """The memory, in bytes, that a network may take that computes in `dtype`."""

    memory: float
    dtype: torch.dtype

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether a picture of (H, W) may be painted whole, with what is freed returned if `short`."""
        return self._whole(size, _RETURNED) <= self.memory

    def short(self, size: tuple[int, int]) -> bool:
        """Whether it fits only where freed memory is returned, which takes a third longer."""
        return self.fits(size) and self._whole(size, _A_PIXEL) > self.memory

    def side(self, halo: int) -> int:
        """The side of tiles, px, without their halo; never so small that they are mostly halo."""
        found: float = (self._for_tiles / self._a_pixel) ** 0.5 - 2 * halo
        return int(min(_LARGEST, max(_SMALLEST, found)))

    @property
    def sample(self) -> int:
        """The side of the sample's windows, px."""
        found: float = (self._for_tiles / self._a_pixel / _SAMPLES) ** 0.5
        return int(min(_SAMPLE, max(_SMALLEST / 2, found)))

    def needed(self, size: tuple[int, int], halo: int) -> float:
        """The memory for one pass over a picture of (H, W), about, in bytes."""
        pixels = size[0] * size[1]
        if self.fits(size):
            return min(self._whole(size, _A_PIXEL), max(self.memory, self._whole(size, _RETURNED)))
        at_once = max((self.side(halo) + 2 * halo) ** 2, _SAMPLES * self.sample**2)
        # Tiles and whole pictures are not largest at the same time, and share what is allowed.
        kept = _PROCESS + _KEPT * pixels
        return min(kept + at_once * self._a_pixel, max(self.memory, kept))

    @property
    def _for_tiles(self) -> float:
        """Bytes for what is computed at once: a tile, or the sample."""
        # The rest is for whole pictures in 8 bits, for saving them, and for the holes in the heap.
        return max(0.0, self.memory - _PROCESS) / 2.5

    @property
    def _a_pixel(self) -> float:
        return _A_PIXEL * self._bits

    @property
    def _bits(self) -> float:
        return torch.finfo(self.dtype).bits / 16

    def _whole(self, size: tuple[int, int], a_pixel: float) -> float:
        return _PROCESS + size[0] * size[1] * (a_pixel * self._bits + _HELD)


@dataclass(frozen=True, eq=False)
class Shares:
    """How much of each style each position has: soft `masks`, `(1, R, H, W)`, of any size.

    They are divided by their sum, which makes them sum to 1; where all are 0, they become equal.
    """

    masks: Tensor

    def crop(self, size: tuple[int, int], window: Window) -> Tensor:
        """The masks in a window of a picture of `size`, `(1, R, h, w)`, summing to 1. What is 0 stays
        exactly 0.
        """
        masks = mask_crop(self.masks, size, window)
        total = masks.sum(1, keepdim=True)
        nobody = (total < 1e-3).to(masks)
        return (masks + nobody) / (total + nobody * masks.shape[1])


def mask_crop(mask: Tensor, size: tuple[int, int], window: Window) -> Tensor:
    """That window of a soft mask, `(1, R, h, w)` of any size, on a picture of `size`."""
    return Resized(mask, size).crop(window).clamp(0, 1)


class TiledPass:
    """`net` over pictures of one size, in the styles of `vectors`, `(R, V)`.

    `views[r]`: the picture that the statistics of style `r` are measured on, painted in that style
    alone: far from its border a region looks as it would without the others. `whole[r]`: that
    painted picture, where it fits into memory. In a film the statistics are running means over the
    frames, as without tiles.
    """

    @torch.no_grad()
    def __init__(
        self, net: TransformNet, views: Sequence[View], vectors: Tensor, budget: PassBudget
    ) -> None:
        self.net, self.vectors, self.size = net, vectors, views[0].size
        self.fits, self.side = budget.fits(self.size), budget.side(net.reach)
        self.sample = budget.sample
        self.known, self.whole = list[Statistics](), list[Tensor]()
        for view, vector in zip(views, vectors, strict=True):
            known, painted = measure(net, self._sample(view), vector[None])
            self.known.append(known)
            if self.fits:
                self.whole.append(painted)

    def only(self, style: int) -> "TiledPass":
        """The same in one of the styles."""
        one = copy(self)
        one.vectors, one.known = self.vectors[style : style + 1], [self.known[style]]
        return one

    def tiles(self) -> Iterator[Tile]:
        """The tiles to paint; a single one where the picture fits into memory."""
        side = max(self.size) if self.fits else self.side
        return tiles(self.size, side, self.net.reach, 8)

    @torch.no_grad()
    def paint(self, view: View, tile: Tile, shares: Shares | None = None) -> Tensor:
        """The inner window of a tile of `view`, painted in the first style, or in all by `shares`:
        `(1, 3, h, w)`.
        """
        outer = tile.outer
        if shares is None:
            norms = replayed(self.net, self.known[0], self.vectors[:1])
        else:
            part = shares.crop(self.size, outer).to(self.vectors)
            norms = mixed(self.net, self.known, self.vectors, part)
        photo = view.crop(outer).clamp(0, 1).to(self.vectors.device)
        place = (outer.top // 8, outer.left // 8)
        painted: Tensor = self.net(photo, self.vectors[:1], place, norms)
        return tile.inner.within(outer).of(painted)

    def _sample(self, view: View) -> Tensor:
        """The picture, or a batch of windows: one at a random place in each cell of a grid."""
        height, width = self.size
        if self.fits:
            photo = view.crop(Window(0, height, 0, width))
            return photo.clamp(0, 1).to(self.vectors.device)
        across = max(1, min(_SAMPLES, round((_SAMPLES * width / height) ** 0.5)))
        down = max(1, _SAMPLES // across)
        chance = random.Random(0)
        h, w = min(self.sample, height // down), min(self.sample, width // across)
        windows = []
        for row in range(down):
            for column in range(across):
                top = chance.randint(height * row // down, height * (row + 1) // down - h)
                left = chance.randint(width * column // across, width * (column + 1) // across - w)
                windows.append(Window(top, top + h, left, left + w))
        photos = torch.cat([view.crop(window) for window in windows])
        return photos.clamp(0, 1).to(self.vectors.device)
