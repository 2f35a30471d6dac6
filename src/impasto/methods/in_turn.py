"""Gradient descent on a picture that is too large to be held in floating point: its parts one after
another.

A loss that is a function of sums over positions needs the whole picture only for the sums. They are
computed once, of the picture as it begins. Then each part takes all its steps by itself, with the
loss that the whole picture would have if every part changed as this one does: with the sums T of the
whole, S of the part, S_0 of the part as it began, and its share p of all positions,

    loss(T + (S - S_0) / p)

At the first step the gradient is that of the whole picture times 1 / p. A part is moved by as much as
the whole picture differs from the target, and need not have the target's statistics itself: a plain
sky may stay plain. For the style of a region, p is the part's share of the region, and the term is
weighted by what that is of the part's share of the picture, so that the gradient keeps its factor.

Of the whole picture only copies in 8 bits are held. The parts overlap, and their changes are
cross-faded. `impasto.methods.sections` computes the exact gradient at every step, and holds five
times as much, in floating point, for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.content import CONTENT_SCALES, content_loss
from impasto.losses.gram import gram
from impasto.losses.objective import (
    Losses,
    Objective,
    Section,
    Sums,
    Term,
    gram_sums,
    mask_at,
    style_term,
)
from impasto.losses.style.gram import GramLoss
from impasto.methods.sections import overlap, read, section, sections, steps_of
from impasto.networks.encoder import Encoder
from impasto.networks.process import trim
from impasto.pictures.tiles import View, bytes_of, floats_of
from impasto.windows import Tile, Window, tiles

__all__ = ["Changed", "Descent", "Framed", "InTurn", "grams", "photo_term", "region_term"]

Descent: TypeAlias = Callable[
    [Objective, Tensor, int], Iterator[tuple[Tensor, dict[str, float], str]]
]
"""`impasto.methods.descent.descend` of an objective, a start and a number of steps."""


@dataclass(frozen=True, eq=False)
class Framed:
    """A `View` padded by reflection, `frame` px on each side."""

    view: View
    frame: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, with the frame."""
        height, width = self.view.size
        return height + 2 * self.frame, width + 2 * self.frame

    def crop(self, window: Window) -> Tensor:
        """See `View`."""
        height, width = self.view.size
        rows = _mirrored(window.top - self.frame, window.bottom - self.frame, height)
        columns = _mirrored(window.left - self.frame, window.right - self.frame, width)
        top, left = int(rows.min()), int(columns.min())
        seen = Window(top, int(rows.max()) + 1, left, int(columns.max()) + 1)
        return self.view.crop(seen)[..., rows - top, :][..., columns - left]


def _mirrored(start: int, end: int, length: int) -> Tensor:
    """The pixels that `start` to `end` of a line of that length are, padded by reflection."""
    places = torch.arange(start, end).abs()
    return length - 1 - (length - 1 - places).abs()


@dataclass(frozen=True, eq=False)
class Changed:
    """A `View` plus what was changed at smaller sizes: pairs of views of its size, after and before."""

    view: View
    changes: Sequence[tuple[View, View]]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.view.size

    def crop(self, window: Window) -> Tensor:
        """See `View`."""
        found = self.view.crop(window)
        for after, before in self.changes:
            found = found + after.crop(window) - before.crop(window)
        return found.clamp(0, 1)


@dataclass(frozen=True, eq=False)
class _Part(Section):
    """`photo`: the photo's features at the part's own positions, by layer. `masks`: those of the
    regions, each `(1, 1, h, w)` over `image`.
    """

    photo: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Sequence[Tensor] = ()


def photo_term(layer: str, weight: float, scale: str, gain: float, energy: float) -> Term:
    """`content_term` by parts: its target is `gain` times the photo's features, which are computed
    with each part. `energy`: their mean square over all positions and filters.
    """

    def of(part: Section) -> Tensor:
        assert isinstance(part, _Part)
        own = part.inside[layer].of(part.features[layer])
        apart = content_loss(own, gain * part.photo[layer], "sum")
        numbers = apart.new_tensor(float(own.numel()))
        return torch.stack([apart, numbers, numbers / own.shape[1]])

    def finish(total: Tensor) -> Tensor:
        numbers, positions = total[1].detach(), float(total[2].detach())
        if scale == "relative":
            return total[0] / (numbers * gain**2 * energy).clamp_min(1e-12)
        channels = round(float(numbers) / positions)
        return CONTENT_SCALES[scale](channels, round(positions)) * total[0]

    def nowhere(_: Mapping[str, Tensor], __: Tensor) -> Tensor:
        raise NotImplementedError("this term is of parts only")

    return Term(f"content/{layer}", weight, (layer,), nowhere, Sums(of, finish))


def region_term(layer: str, target: Tensor, weight: float, loss: StyleLoss, region: int) -> Term:
    """`style_term` by parts, in one of the `masks` of `InTurn`, by its number. The loss is one of Gram
    matrices.
    """
    assert isinstance(loss, GramLoss)

    def seen(part: Section) -> Tensor:
        assert isinstance(part, _Part)
        return part.inside[layer].of(mask_at(part.masks[region], part.features[layer]))

    return replace(
        style_term(layer, target, weight, loss), sums=gram_sums(layer, target, loss, seen)
    )


@torch.no_grad()
def grams(encoder: Encoder, photo: View, layers: Sequence[str], side: int) -> dict[str, Tensor]:
    """The Gram matrices of a large picture, `(1, C, C)` by layer, computed part by part."""
    found, counted = dict[str, Tensor](), dict[str, int]()
    if not layers:
        return found
    for _, part in sections(encoder, photo, layers, side):
        for layer, window in part.inside.items():
            own = window.of(part.features[layer])
            count = own.shape[-2] * own.shape[-1]
            found[layer] = found.get(layer, 0) + count * gram(own)
            counted[layer] = counted.get(layer, 0) + count
        del part, own
    return {layer: total / counted[layer] for layer, total in found.items()}


@dataclass(frozen=True, eq=False)
class InTurn:
    """One size of a picture: the `photo`, the picture to start from (`begun`) and the `masks` of
    regions, all with their `frame`, and the `terms` of the loss, which are functions of sums over
    positions.

    `contents`: the layers whose target is the photo. `side`: of the parts, about, in px.
    """

    encoder: Encoder
    photo: View
    begun: View
    terms: Sequence[Term]
    contents: Sequence[str]
    side: int
    frame: int
    masks: Sequence[View] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that a term reads, each once."""
        return tuple(dict.fromkeys(layer for term in self.terms for layer in term.layers))

    def parts(self) -> list[tuple[Tile, Window]]:
        """Tiles, and the window of each that is its own. The inner windows go two positions of the
        coarsest layer further on each side: there the parts are cross-faded.
        """
        align, reach = overlap(self.encoder, self.layers)
        height, width = self.begun.size
        fade = 2 * align
        found = []
        for tile in tiles(self.begun.size, max(self.side, 2 * fade), fade + reach, align):
            own = tile.inner
            wide = Window(
                max(0, own.top - fade),
                min(height, own.bottom + fade),
                max(0, own.left - fade),
                min(width, own.right + fade),
            )
            found.append((Tile(wide, tile.outer), own))
        return found

    def descend(
        self, canvas: Tensor, descent: Descent, steps: int
    ) -> Iterator[tuple[dict[str, float], str]]:
        """Take `steps` steps with each part and add its change to `canvas`, `(1, 3, H, W)` uint8
        without the frame, which holds the start. Yields losses and note of every step.
        """
        totals = self._totals()
        for tile, own in self.parts():
            if self.masks and not any(bool(m.crop(tile.outer).any()) for m in self.masks):
                yield from [({}, "")] * steps  # nothing is painted there
                continue
            begun, photo = self.begun.crop(tile.outer), self._seen(tile)
            share = _area(tile.inner) / _area(Window(0, self.begun.size[0], 0, self.begun.size[1]))
            aim = _Alike(self, tile, photo, totals, share)
            picture = begun
            for found, losses, note in descent(aim, begun.to(self.encoder.device), steps):
                picture = found
                yield losses, note
            change = tile.inner.within(tile.outer).of(picture.cpu() - begun)
            self._paint(canvas, tile.inner, own, change)
            del begun, photo, aim, picture, found, change
            trim()

    def of(self, tile: Tile, photo: Mapping[str, Tensor], part: Section) -> _Part:
        """A part as the terms see it, with the features of the `photo` there."""
        masks = [mask.crop(tile.outer).clamp(0, 1) for mask in self.masks]
        return _Part(**vars(part), photo=photo, masks=masks)

    @torch.no_grad()
    def _totals(self) -> list[Tensor]:
        """The sums of every term over the start."""
        totals = list[Tensor]()
        for tile, begun in sections(self.encoder, self.begun, self.layers, self.side):
            part = self.of(tile, self._seen(tile), begun)
            found = [term.sums.of(part) for term in self.terms if term.sums is not None]
            totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
            del begun, part
        return totals

    @torch.no_grad()
    def _seen(self, tile: Tile) -> dict[str, Tensor]:
        """The photo's features at the positions of a tile's inner window."""
        if not self.contents:
            return {}
        part = read(self.encoder, self.photo, tile, self.contents)
        return {layer: part.inside[layer].of(x).clone() for layer, x in part.features.items()}

    def _paint(self, canvas: Tensor, wide: Window, own: Window, change: Tensor) -> None:
        """Add a part's change to the picture, cross-faded with the parts beside it."""
        down, across = (
            _fade(*sides)
            for sides in (
                (wide.top, wide.bottom, own.top, own.bottom),
                (wide.left, wide.right, own.left, own.right),
            )
        )
        change = change * down[:, None] * across
        height, width = canvas.shape[-2:]
        seen = Window(
            max(self.frame, wide.top),
            min(self.frame + height, wide.bottom),
            max(self.frame, wide.left),
            min(self.frame + width, wide.right),
        )
        into = seen.within(Window(self.frame, 0, self.frame, 0)).of(canvas)
        into.copy_(bytes_of(floats_of(into) + seen.within(wide).of(change)))


class _Alike(Objective):
    """The loss of the whole picture if every part of it changed as this one does."""

    def __init__(
        self,
        work: InTurn,
        tile: Tile,
        photo: Mapping[str, Tensor],
        totals: Sequence[Tensor],
        share: float,
    ) -> None:
        super().__init__(work.terms)
        self.work, self.tile, self.photo = work, tile, photo
        self.totals, self.share = totals, share
        self.begun = list[Tensor]()

    def __call__(self, features: Mapping[str, Tensor], image: Tensor) -> Losses:
        steps = steps_of(self.work.encoder, self.layers)
        part = section(self.tile, self.work.begun.size, steps, features, image)
        part = self.work.of(self.tile, self.photo, part)
        sums = [term.sums for term in self.terms if term.sums is not None]
        found = [each.of(part) for each in sums]
        if not self.begun:
            self.begun = [each.detach() for each in found]
        raw = {}
        for term, each, total, now, then in zip(
            self.terms, sums, self.totals, found, self.begun, strict=True
        ):
            raw[term.name] = self._extrapolated(each, total, now, then)
        return self.of(raw)

    def _extrapolated(self, sums: Sums, total: Tensor, now: Tensor, then: Tensor) -> Tensor:
        """The term for the whole picture, or its region, if all of it changed as the part does."""
        share = self.share
        if sums.counted is not None:
            share = float(then[sums.counted] / total[sums.counted].clamp_min(1e-12))
        if not share:
            return 0 * now.sum()  # nothing of the region is here
        return share / self.share * sums.finish(total + (now - then) / share)


def _area(window: Window) -> int:
    return window.size[0] * window.size[1]


def _fade(start: int, end: int, own_start: int, own_end: int) -> Tensor:
    """Cross-fading weights of the pixels `start` to `end`: ramps centred on the ends of what is the
    part's own; 1 at the picture's border, where there is no neighbour.
    """
    places = torch.arange(start, end, dtype=torch.float32) + 0.5
    weights = torch.ones_like(places)
    if start < own_start:
        weights = weights * ((places - start) / (2 * (own_start - start))).clamp(0, 1)
    if own_end < end:
        weights = weights * ((end - places) / (2 * (end - own_end))).clamp(0, 1)
    return weights
