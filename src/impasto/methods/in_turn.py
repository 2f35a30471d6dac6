"""A descent on a picture that is too large for floating point: its parts one after another.

A loss of sums over positions needs the whole picture only for the sums. They are added up once, of
the picture as it begins. Then each part takes all its steps by itself, and its loss is that of the
whole picture if every part changed as it does: with sums T of the whole, S of the part, S_0 of the
part as it began, and its share p of all positions,

    loss(T + (S - S_0) / p)

At the first step the gradient is that of the whole picture, but for the factor 1 / p. A part is
brought as far as the whole lacks, and need not become the average itself: a sky may stay one. What
is held of the whole picture are two copies in 8 bits. The parts overlap, and their changes are
cross-faded. (`impasto.methods.sections` takes the exact gradient of all steps, and holds five times
as much in floating point for it.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor

from impasto.losses.content import CONTENT_SCALES, content_loss
from impasto.losses.gram import GramLoss, gram
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
from impasto.methods.sections import overlap, section, steps_of
from impasto.networks.encoder import Encoder
from impasto.pictures.tiles import View, bytes_of, floats_of
from impasto.windows import Tile, Window, tiles

__all__ = ["Changed", "Descent", "Framed", "InTurn", "grams", "photo_term", "region_term"]

Descent: TypeAlias = Callable[
    [Objective, Tensor, int], Iterator[tuple[Tensor, dict[str, float], str]]
]
"""`impasto.methods.descent.descend` but for objective, start and steps."""


@dataclass(frozen=True, eq=False)
class Framed:
    """A `View` with `frame` px of its mirror image around it."""

    view: View
    frame: int

    @property
    def size(self) -> tuple[int, int]:
        """With the frame."""
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
    """Places `start` to `end` of a line of that length that goes on as its mirror image."""
    places = torch.arange(start, end).abs()
    return length - 1 - (length - 1 - places).abs()


@dataclass(frozen=True, eq=False)
class Changed:
    """A `View` and what was done to it at smaller sizes: pairs of views of its size, after and before."""

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
    """`photo`: the photo's features in the same place, by layer. `masks`: those of the regions, each
    `(1, 1, h, w)` over `image`.
    """

    photo: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Sequence[Tensor] = ()


def photo_term(layer: str, weight: float, scale: str, gain: float, energy: float) -> Term:
    """`content_term` for parts in turn: its target is the photo's features times `gain`, computed
    where they are needed; `energy` is their mean square over all positions and channels.
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


def region_term(layer: str, target: Tensor, weight: float, loss: GramLoss, region: int) -> Term:
    """`style_term` for parts in turn, in the place of that mask of the work's."""

    def seen(part: Section) -> Tensor:
        assert isinstance(part, _Part)
        return part.inside[layer].of(mask_at(part.masks[region], part.features[layer]))

    term = style_term(layer, target, weight, loss)
    sums = gram_sums(layer, target, loss, seen)
    return replace(term, name=f"{term.name}/{region + 1}", sums=sums)


@torch.no_grad()
def grams(
    encoder: Encoder, photo: View, layers: Sequence[str], side: int, device: torch.device
) -> dict[str, Tensor]:
    """Gram matrices of a large picture, `(1, C, C)` by layer, by parts."""
    found, counted = dict[str, Tensor](), dict[str, int]()
    if not layers:
        return found
    steps, (align, reach) = steps_of(encoder, layers), overlap(encoder, layers)
    for tile in tiles(photo.size, side, reach, align):
        image = photo.crop(tile.outer).to(device)
        part = section(tile, photo.size, steps, encoder.features(image, steps), image)
        for layer, window in part.inside.items():
            own = window.of(part.features[layer])
            count = own.shape[-2] * own.shape[-1]
            found[layer] = found.get(layer, 0) + count * gram(own)
            counted[layer] = counted.get(layer, 0) + count
        del part, own
    return {layer: total / counted[layer] for layer, total in found.items()}


@dataclass(frozen=True, eq=False)
class InTurn:
    """One size of a picture: `photo` and what is `begun` with, both in their frame, and what it aims
    at: `terms` of sums over positions, of which `contents` are layers whose target is the photo.
    `masks`: of regions, in their frame.
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
        """All that are read."""
        return tuple(dict.fromkeys(layer for term in self.terms for layer in term.layers))

    def parts(self) -> list[tuple[Tile, Window]]:
        """Tiles whose inner parts overlap by two positions of the coarsest layer on each side, and
        what of each is its own.
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
        """Take `steps` steps with each part, and paint it on `canvas`, `(1, 3, H, W)` uint8, which
        holds the picture as it begins; yields losses and notes of every step.
        """
        totals = self._totals()
        for tile, own in self.parts():
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

    def of(
        self, tile: Tile, photo: Mapping[str, Tensor], features: Mapping[str, Tensor], image: Tensor
    ) -> _Part:
        """A tile as the terms see it."""
        steps = steps_of(self.encoder, self.layers)
        part = section(tile, self.begun.size, steps, features, image)
        masks = [mask.crop(tile.outer).clamp(0, 1) for mask in self.masks]
        return _Part(**vars(part), photo=photo, masks=masks)

    @torch.no_grad()
    def _totals(self) -> list[Tensor]:
        """The sums of every term over the picture as it begins."""
        align, reach = overlap(self.encoder, self.layers)
        totals = list[Tensor]()
        for tile in tiles(self.begun.size, self.side, reach, align):
            image = self.begun.crop(tile.outer).to(self.encoder.device)
            photo = self._seen(tile)
            part = self.of(tile, photo, self.encoder.features(image, self.layers), image)
            found = [term.sums.of(part) for term in self.terms if term.sums is not None]
            totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
            del part, photo, image
        return totals

    @torch.no_grad()
    def _seen(self, tile: Tile) -> dict[str, Tensor]:
        """The photo's features of a tile's inner part."""
        if not self.contents:
            return {}
        steps = steps_of(self.encoder, self.contents)
        image = self.photo.crop(tile.outer).to(self.encoder.device)
        features = self.encoder.features(image, steps)
        part = section(tile, self.begun.size, steps, features, image)
        return {layer: part.inside[layer].of(x).clone() for layer, x in features.items()}

    def _paint(self, canvas: Tensor, wide: Window, own: Window, change: Tensor) -> None:
        """What has changed, cross-faded with the parts beside it, onto the picture without its frame."""
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
        part = self.work.of(self.tile, self.photo, features, image)
        sums = [term.sums for term in self.terms if term.sums is not None]
        found = [each.of(part) for each in sums]
        if not self.begun:
            self.begun = [each.detach() for each in found]
        raw = {}
        for term, each, total, now, then in zip(
            self.terms, sums, self.totals, found, self.begun, strict=True
        ):
            share, gain = self.share, 1.0
            if each.counted is not None:  # the others are those in the region, however many
                share = float(then[each.counted] / total[each.counted].clamp_min(1e-12))
                gain = share / self.share
            if gain:
                raw[term.name] = gain * each.finish(total + (now - then) / share)
            else:
                raw[term.name] = now.new_zeros(())
        return self.of(raw)


def _area(window: Window) -> int:
    return window.size[0] * window.size[1]


def _fade(start: int, end: int, own_start: int, own_end: int) -> Tensor:
    """Weights of places `start` to `end`: ramps centred at the ends of what is its own, and 1 where
    nothing goes beyond these.
    """
    places = torch.arange(start, end, dtype=torch.float32) + 0.5
    weights = torch.ones_like(places)
    if start < own_start:
        weights = weights * ((places - start) / (2 * (own_start - start))).clamp(0, 1)
    if own_end < end:
        weights = weights * ((end - places) / (2 * (end - own_end))).clamp(0, 1)
    return weights
