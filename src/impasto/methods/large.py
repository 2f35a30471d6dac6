"""The optimiser on pictures that are too large for floating point: coarse to fine, and at the last
sizes part by part (`impasto.methods.in_turn`).

Photo, start and picture are `(1, 3, H, W)` uint8. Sizes that fit into memory are painted as ever.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.objective import Objective, Term, style_term, variation_term
from impasto.losses.presets import Preset
from impasto.losses.style.gram import GRAM, GramLoss
from impasto.methods.aims import SETTLED, Aims, Style, contrasted
from impasto.methods.descent import pyramid
from impasto.methods.guided import cover, guided, joined
from impasto.methods.in_turn import Changed, Framed, InTurn, grams, photo_term, region_term
from impasto.methods.matching import Matched
from impasto.methods.sections import DescentRoom
from impasto.methods.strokes import reduced
from impasto.methods.stylizer import Forecast, Places, Progress
from impasto.methods.tiled import mask_crop
from impasto.networks.encoder import Encoder
from impasto.pictures.tiles import Resized, Shown, View, bytes_of, floats_of
from impasto.settings import Settings
from impasto.windows import tiles

__all__ = ["LARGEST", "Descending", "foretell", "in_turn", "needed", "paint"]

LARGEST = 4096
"""The long side, px, up to which a picture is held in floating point."""
# Bytes a pixel: photo, start and picture in 8 bits, with those of half the size; what Pillow has on
# the way to a file.
_HELD, _SAVED = 12, 14
# What a process has, and px around a part.
_PROCESS, _AROUND = 0.7e9, 192


Regions: TypeAlias = Sequence[tuple[Style, Tensor | None]]
"""Styles with the soft masks of their places, `(1, 1, H, W)` of any size."""


class Descending(Protocol):
    """What is asked of an optimiser here: `impasto.methods.optimize.PixelOptimizer` is one."""

    encoder: Encoder
    settings: Settings
    recipe: Preset
    loss: StyleLoss
    matched: Matched
    room: DescentRoom
    aims: Aims

    def sizes(self, start: Tensor | None) -> int:
        """The most sizes of its pyramid."""

    def descend(
        self, objective: Objective, begun: Tensor, steps: int, side: int = 0
    ) -> Iterator[tuple[Tensor, dict[str, float], str]]:
        """`impasto.methods.descent.descend` as its recipe says."""

    def at_once(
        self,
        content: Tensor,
        style: Style,
        start: Tensor | None,
        places: Places[Style] | None = None,
    ) -> Iterator[Progress]:
        """A picture that is held in floating point."""


def in_turn(optimizer: Descending) -> bool:
    """Whether all that it aims at are sums over positions."""
    recipe, settings = optimizer.recipe, optimizer.settings
    sums = isinstance(optimizer.loss, GramLoss) and settings.content_loss == "features"
    return (
        sums and not optimizer.aims.terms and not (recipe.tv_weight and recipe.tv_scale == "powers")
    )


def side_of_parts(room: DescentRoom, size: tuple[int, int]) -> int:
    """Of the parts that a picture of (H, W) is descended by, px."""
    left = room.memory - _PROCESS - _HELD * size[0] * size[1]
    return int(min(1024, max(256, (max(0.0, left) / room.step) ** 0.5 - _AROUND)))


def needed(room: DescentRoom, size: tuple[int, int]) -> float:
    """Bytes that a picture of (H, W) takes, about."""
    at_once = room.step * (side_of_parts(room, size) + _AROUND) ** 2
    return _PROCESS + max(_HELD * size[0] * size[1] + at_once, _SAVED * size[0] * size[1])


def foretell(optimizer: Descending, size: tuple[int, int], pace: float) -> Forecast:
    """What a picture of (H, W) takes; `pace`: seconds for a pixel of a step."""
    side, pixels = side_of_parts(optimizer.room, size), size[0] * size[1]
    at_once = (side + _AROUND) ** 2
    steps = pyramid(*size, optimizer.recipe.steps, optimizer.sizes(None))
    # A sweep to begin with is two steps forward, which are a third of one.
    work = sum(h * w * (n + 0.7) for h, w, n in steps) * at_once / side**2
    return Forecast(pace * work, needed(optimizer.room, size), max(1, pixels // side**2))


def paint(
    optimizer: Descending,
    content: Tensor,
    style: Style,
    start: Tensor | None,
    places: Places[Style] | None,
) -> Iterator[Progress]:
    """As `PixelOptimizer.render`; a `Progress` for every step of every part, on one uint8 picture."""
    if not in_turn(optimizer):
        whole = None if start is None else floats_of(start)
        for step in optimizer.at_once(floats_of(content), style, whole, places):
            yield replace(step, image=bytes_of(step.whole(*_size(content))), detail=None)
        return
    if optimizer.settings.strength == 0:
        yield Progress(content, 1, 1)
        return
    if start is not None and (start.dtype != torch.uint8 or _size(start) != _size(content)):
        given, start = start, torch.empty_like(content)
        _fill(start, Changed(Resized(given, _size(content)), ()))
    levels = pyramid(*_size(content), optimizer.recipe.steps, optimizer.sizes(start))
    todo = [_Level(optimizer, (h, w), n) for h, w, n in levels]
    canvas = (content if start is None else start).clone()
    of, done = sum(level.count for level in todo), 0
    regions = _regions(style, places)
    changes = list[tuple[Tensor, Tensor]]()
    small = [level for level in todo if level.fits]
    if small:
        steps = _at_once(optimizer, small, content, style, start, places, changes)
        yield from _counted(steps, canvas, of)
        done = sum(level.count for level in small)
    for level in todo[len(small) :]:
        first = Shown(content if start is None else start)
        after = [(Resized(a, level.size), Resized(b, level.size)) for a, b in changes]
        begun = Changed(_sized(first, level.size), after)
        if start is None and optimizer.recipe.init == "noise" and after:
            begun = Changed(after[-1][0], ())  # noise has no fine detail to keep
        is_last = level is todo[-1]
        picture = canvas if is_last else torch.empty((1, 3, *level.size), dtype=torch.uint8)
        _fill(picture, begun)
        before = None if is_last else picture.clone()
        work = level.work(
            _sized(Shown(content), level.size), begun, regions, is_last and len(todo) > 1
        )
        for losses, note in work.descend(picture, optimizer.descend, level.steps):
            done += 1
            yield Progress(canvas, done, of, losses, note)
        if before is not None:
            changes.append((picture, before))
    if places is not None:
        _cover(canvas, content, places)


@dataclass(frozen=True, eq=False)
class _Level:
    """One size of the pyramid, `(H, W)`, and its steps."""

    optimizer: Descending
    size: tuple[int, int]
    steps: int

    @property
    def fits(self) -> bool:
        """Whether it may be held in floating point."""
        room = self.optimizer.room
        return max(self.size) <= LARGEST and room.needed(self.size) <= room.memory

    @property
    def side(self) -> int:
        """Of its parts, px."""
        return side_of_parts(self.optimizer.room, self.size)

    @property
    def count(self) -> int:
        """How often it tells of a step: of each part by itself, where it is done so."""
        return self.steps * (1 if self.fits else len(list(tiles(self.size, self.side, 0, 16))))

    def work(self, photo: View, begun: View, regions: Regions, settled: bool) -> InTurn:
        """What it aims at, for a `photo` and a beginning of its size."""
        optimizer, recipe = self.optimizer, self.optimizer.recipe
        frame = recipe.frame
        photo, begun = Framed(photo, frame), Framed(begun, frame)
        terms = self._terms(photo, regions, settled)
        contents = recipe.content_layers if recipe.content_weight > 0 else ()
        masks = [Framed(Resized(mask, self.size), frame) for _, mask in regions if mask is not None]
        return InTurn(optimizer.encoder, photo, begun, terms, contents, self.side, frame, masks)

    @torch.no_grad()
    def _terms(self, photo: View, regions: Regions, settled: bool) -> list[Term]:
        """As `PixelOptimizer` has them."""
        optimizer, recipe = self.optimizer, self.optimizer.recipe
        strength = optimizer.settings.strength
        long_side = min(round(max(self.size) * optimizer.settings.style_scale), LARGEST)
        found = [optimizer.aims.targets(style, long_side) for style, _ in regions]
        areas = [1.0 if mask is None else float(mask.square().mean()) for _, mask in regions]
        of_content = joined([each for _, each in found], areas)
        held = recipe.content_layers if recipe.content_weight > 0 else ()
        asked = dict.fromkeys((*held, *(recipe.style_layers if strength < 1 else ())))
        encoder = optimizer.encoder
        own = grams(encoder, photo, list(asked), self.side, encoder.device)

        def aims(targets: Mapping[str, list[tuple[float, Tensor]]]) -> dict[str, Tensor]:
            found = {}
            for layer, each in targets.items():
                aim = GRAM.mix([target for _, target in each], [share for share, _ in each])
                found[layer] = torch.lerp(own[layer], aim, strength) if strength < 1 else aim
            return found

        like = torch.empty((1, 3, *photo.size), device="meta")
        terms, wanted = list[Term](), aims(of_content)
        for layer in held:
            share, gain = optimizer.matched.content_shares(like)[layer], 1.0
            energy = own[layer].diagonal(dim1=1, dim2=2).mean()
            if wanted:
                contrast = contrasted(energy, wanted[layer])
                gain, share = min(1.0, contrast), share * min(1.0, 1 / contrast)
            terms.append(photo_term(layer, share, recipe.content_scale, gain, float(energy)))
        shares = optimizer.matched.style_shares(like)
        for place, ((of_style, _), (_, mask)) in enumerate(zip(found, regions, strict=True)):
            for layer, aim in aims(of_style).items():
                share = shares[layer] * optimizer.loss.balance * areas[place]
                share *= SETTLED if settled and layer in recipe.settled else 1
                terms.append(
                    style_term(layer, aim, share, optimizer.loss)
                    if mask is None
                    else region_term(layer, aim, share, optimizer.loss, place)
                )
        if recipe.tv_weight > 0:
            terms.append(variation_term(recipe.tv_weight, recipe.tv_scale))
        return terms


def _at_once(
    optimizer: Descending,
    levels: list[_Level],
    content: Tensor,
    style: Style,
    start: Tensor | None,
    places: Places[Style] | None,
    changes: list[tuple[Tensor, Tensor]],
) -> Iterator[Progress]:
    """The sizes that fit into memory, as `PixelOptimizer.render` paints them; what they change is
    added to `changes`.
    """
    size = levels[-1].size
    small = copy(optimizer)
    steps = sum(level.steps for level in levels)
    small.recipe = optimizer.recipe.changed(steps=steps, pyramid=len(levels) > 1)
    photo = reduced(Shown(content), size)
    begun = photo if start is None else reduced(Shown(start), size)
    for step in small.at_once(photo, style, None if start is None else begun, places):
        yield step
    changes.append((step.image, begun))


def _regions(style: Style, places: Places[Style] | None) -> Regions:
    """The styles with their masks, as large as these were given."""
    given = None if places is None else places.rest if places.masks is None else places.masks
    like = torch.empty((1, 3, 1, 1) if given is None else (1, 3, *given.shape[-2:]), device="meta")
    return guided(style, places, like, 0)


def _cover(canvas: Tensor, content: Tensor, places: Places[Style]) -> None:
    """The photo, put back where nothing is painted."""
    size = _size(canvas)
    for band in tiles(size, 1024, 0, 1):
        window = band.inner
        painted = cover(places, lambda mask: mask_crop(mask, size, window))  # noqa: B023
        picture, photo = (floats_of(window.of(x)) for x in (canvas, content))
        window.of(canvas).copy_(bytes_of(torch.lerp(photo, picture, painted)))


def _counted(steps: Iterator[Progress], canvas: Tensor, of: int) -> Iterator[Progress]:
    """Steps at a small size, on the large picture, which waits."""
    for done, step in enumerate(steps, start=1):
        yield Progress(canvas, done, of, step.losses, step.note)


def _sized(view: Shown, size: tuple[int, int]) -> Shown:
    """The same at a smaller size, in 8 bits."""
    return view if view.size == size else Shown(bytes_of(reduced(view, size)))


def _fill(picture: Tensor, view: View) -> None:
    for band in tiles(view.size, 1024, 0, 1):
        band.inner.of(picture).copy_(bytes_of(view.crop(band.inner)))


def _size(picture: Tensor) -> tuple[int, int]:
    return picture.shape[-2], picture.shape[-1]
