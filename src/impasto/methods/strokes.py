"""Strokes in proportion to the picture: a large one is painted small, enlarged, and painted again.

A network has learned strokes at one size in pixels. Painted at once, a poster would be another
picture than its preview: texture, without a large form. So it is painted at the preview's size, and
that picture, enlarged, with the contours that only the photo's full size has, is painted in finer
strokes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.methods.tiled import PassBudget, Shares, TiledPass
from impasto.networks.transform_net import TransformNet
from impasto.pictures.tiles import Resized, Shown, View, bytes_of
from impasto.windows import Tile, Window, tiles

__all__ = [
    "PREVIEW",
    "Layer",
    "Strokes",
    "beyond",
    "divided",
    "painted_size",
    "preview",
    "reduced",
]

PREVIEW = 1024
"""The long side, px, up to which a network's strokes suit a picture as they are."""
# The shortest side, in pixels, that the transform net can pad.
_LEAST = 16


def beyond(size: tuple[int, int]) -> float:
    """How many times as long as a preview a picture of (H, W) is; 1 for all that are shorter."""
    return max(1.0, max(size) / PREVIEW)


def divided(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) divided by `scale`, not below what the network can paint."""
    return max(_LEAST, round(size[0] / scale)), max(_LEAST, round(size[1] / scale))


def painted_size(size: tuple[int, int], style_scale: float) -> tuple[int, int]:
    """The largest size at which a network paints for a picture of (H, W), with such strokes."""
    return divided(size, min(1.0, style_scale * beyond(size)))


class Layer(Protocol):
    """A picture that is painted tile by tile."""

    def tiles(self) -> Iterator[Tile]:
        """In the order of reading."""
        ...

    def paint(self, tile: Tile) -> Tensor:
        """The inner part, `(1, 3, h, w)`."""
        ...

    def preview(self, window: Window) -> Tensor | None:
        """What stands there until it is painted, if there is something."""
        ...


@dataclass(frozen=True, eq=False)
class Strokes:
    """How `photo` is painted by `net`, with strokes of `style_scale` times what suits its size."""

    net: TransformNet
    photo: Shown
    style_scale: float
    budget: PassBudget

    def layer(self, vectors: Tensor, shares: Shares | None) -> Layer:
        """The photo in the styles `vectors`, `(R, V)`, mixed by `shares`; in the first one without."""
        size = self.photo.size
        scale = self.style_scale * beyond(size)
        small = divided(size, scale)
        source: View = self.photo if small == size else Resized(self._at(small), small)
        first = TiledPass(self.net, [source] * len(vectors), vectors, self.budget)
        if scale > 1:
            return self._finer(first, source, shares, min(1.0, scale - 1))
        layer = _Once(first, source, shares)
        return layer if small == size else _Copied(size, _canvas(layer, first.size), first)

    def _finer(
        self, first: TiledPass, source: View, shares: Shares | None, share: float
    ) -> "_Again":
        """The second pass, over the first one enlarged. Its statistics are those of the picture in each
        style alone; what is painted over is the mixed picture.
        """
        alone = first.whole or [
            _canvas(_Once(first.only(row), source, None), first.size)
            for row in range(len(first.vectors))
        ]
        together = alone[0] if shares is None else _canvas(_Once(first, source, shares), first.size)
        seen = self._at(divided(self.photo.size, beyond(self.photo.size)))
        views = [_Enlarged(picture.cpu(), self.photo, seen) for picture in (*alone, together)]
        again = TiledPass(self.net, views[:-1], first.vectors, self.budget)
        return _Again(again, views[-1], shares, share)

    def _at(self, size: tuple[int, int]) -> Tensor:
        """The photo at a smaller size, float32, or a larger one, which nobody holds whole."""
        own = self.photo
        return own.picture if size[0] >= own.size[0] else reduced(own, size)


def preview(photo: Shown) -> Tensor:
    """A large photo at the size of its preview, `(1, 3, H, W)` float32."""
    return reduced(photo, divided(photo.size, beyond(photo.size)))


def reduced(photo: Shown, size: tuple[int, int]) -> Tensor:
    """A large photo made small by bands, `(1, 3, *size)` float32."""
    if size == photo.size:
        return photo.crop(Window(0, size[0], 0, size[1]))
    view = Resized(photo.picture, size)
    bands: Sequence[Window] = [tile.inner for tile in tiles(size, 512, 0, 1)]
    small = torch.empty((1, 3, *size), dtype=torch.float32)
    for band in bands:
        band.of(small).copy_(view.crop(band).clamp(0, 1))
    return small


def _canvas(layer: "_Once", size: tuple[int, int]) -> Tensor:
    """A layer painted as one picture: in float32 where it is one tile, else in 8 bits."""
    todo = list(layer.tiles())
    if len(todo) == 1:
        return layer.paint(todo[0]).cpu()
    canvas = torch.empty((1, 3, *size), dtype=torch.uint8)
    for tile in todo:
        tile.inner.of(canvas).copy_(bytes_of(layer.paint(tile)))
    return canvas


@dataclass(frozen=True, eq=False)
class _Once:
    painter: TiledPass
    view: View
    shares: Shares | None

    def tiles(self) -> Iterator[Tile]:
        return self.painter.tiles()

    def paint(self, tile: Tile) -> Tensor:
        return self.painter.paint(self.view, tile, self.shares)

    def preview(self, window: Window) -> Tensor | None:  # noqa: ARG002
        return None


@dataclass(frozen=True, eq=False)
class _Again:
    """A second pass over an enlarged picture; `share`, 0 to 1: how much of it is kept."""

    painter: TiledPass
    view: "_Enlarged"
    shares: Shares | None
    share: float

    def tiles(self) -> Iterator[Tile]:
        return self.painter.tiles()

    def paint(self, tile: Tile) -> Tensor:
        again = self.painter.paint(self.view, tile, self.shares)
        if self.share == 1:
            return again
        return torch.lerp(self.view.crop(tile.inner).to(again), again, self.share)

    def preview(self, window: Window) -> Tensor | None:
        return self.view.crop(window)


@dataclass(frozen=True, eq=False)
class _Copied:
    """A picture that was painted larger than asked for, and is reduced to `size`."""

    size: tuple[int, int]
    canvas: Tensor
    painter: TiledPass

    def tiles(self) -> Iterator[Tile]:
        return tiles(self.size, self.painter.side, 0, 8)

    def paint(self, tile: Tile) -> Tensor:
        return Resized(self.canvas, self.size).crop(tile.inner)

    def preview(self, window: Window) -> Tensor | None:
        return Resized(self.canvas, self.size).crop(window)


@dataclass(frozen=True, eq=False)
class _Enlarged:
    """A painted picture enlarged to the photo's size, plus the photo's fine detail: the photo less
    `seen`, which is the photo reduced.
    """

    painted: Tensor
    photo: Shown
    seen: Tensor

    @property
    def size(self) -> tuple[int, int]:
        return self.photo.size

    def crop(self, window: Window) -> Tensor:
        large = Resized(self.painted, self.size).crop(window).clamp(0, 1)
        if self.seen.shape[-2:] != self.size:
            large += self.photo.crop(window) - Resized(self.seen, self.size).crop(window)
        return large.clamp(0, 1)
