"""The optimiser on pictures that are too large to be held in floating point: coarse to fine, the last
sizes of the pyramid part by part (`impasto.methods.in_turn`).

Photo, start and picture are `(1, 3, H, W)` uint8. The sizes that fit into memory are optimised in
floating point, as `PixelOptimizer` does all of a smaller picture.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.objective import Objective, Term
from impasto.losses.presets import Preset
from impasto.losses.style.gram import GramLoss
from impasto.methods.aims import Aims, Content, Regions, Style
from impasto.methods.descent import pyramid
from impasto.methods.guided import cover, guided
from impasto.methods.in_turn import Changed, Framed, InTurn, grams, photo_term, region_term
from impasto.methods.matching import Matched
from impasto.methods.sections import DescentBudget
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
_STROKES = (
    f"beyond {LARGEST} px paintings are read at {LARGEST} px: `style_scale` makes the optimiser's "
    "strokes no larger there"
)


class Descending(Protocol):
    """The optimiser as this module needs it: `impasto.methods.optimize.PixelOptimizer` is one."""

    encoder: Encoder
    settings: Settings
    recipe: Preset
    loss: StyleLoss
    matched: Matched
    budget: DescentBudget
    aims: Aims

    def sizes(self, start: Tensor | None) -> int:
        """The most sizes of its pyramid."""

    def descend(
        self, objective: Objective, begun: Tensor, steps: int, side: int = 0
    ) -> Iterator[tuple[Tensor, dict[str, float], str]]:
        """`impasto.methods.descent.descend` with the optimiser and the rate of its recipe."""

    def at_once(
        self,
        content: Tensor,
        style: Style,
        start: Tensor | None,
        places: Places[Style] | None = None,
    ) -> Iterator[Progress]:
        """`render` of a picture that is held in floating point."""


def in_turn(optimizer: Descending) -> bool:
    """Whether every term of its loss is a function of sums over positions."""
    recipe, settings = optimizer.recipe, optimizer.settings
    sums = isinstance(optimizer.loss, GramLoss) and settings.content_loss == "features"
    return (
        sums and not optimizer.aims.terms and not (recipe.tv_weight and recipe.tv_scale == "powers")
    )


def beside(budget: DescentBudget, size: tuple[int, int]) -> DescentBudget:
    """What is left beside a large picture of (H, W)."""
    return replace(budget, memory=budget.memory - _HELD * size[0] * size[1])


def side_of_parts(budget: DescentBudget, size: tuple[int, int]) -> int:
    """The side, px, of the parts that a picture of (H, W) is optimised in."""
    left = beside(budget, size).memory - _PROCESS
    return int(min(1024, max(256, (max(0.0, left) / budget.step) ** 0.5 - _AROUND)))


def needed(budget: DescentBudget, size: tuple[int, int]) -> float:
    """The memory that a picture of (H, W) takes, about, in bytes."""
    at_once = budget.step * (side_of_parts(budget, size) + _AROUND) ** 2
    return _PROCESS + max(_HELD * size[0] * size[1] + at_once, _SAVED * size[0] * size[1])


def foretell(optimizer: Descending, size: tuple[int, int], pace: float) -> Forecast:
    """Time and memory for a picture of (H, W); `pace`: seconds per pixel and step."""
    side, pixels = side_of_parts(optimizer.budget, size), size[0] * size[1]
    at_once = (side + _AROUND) ** 2
    steps = pyramid(*size, optimizer.recipe.steps, optimizer.sizes(None))
    # The sums are taken first: a forward pass of the photo and one of the start, each a third of a
    # step.
    work = sum(h * w * (n + 0.7) for h, w, n in steps) * at_once / side**2
    notes = (_STROKES,) if optimizer.settings.style_scale > 1 else ()
    return Forecast(pace * work, needed(optimizer.budget, size), max(1, pixels // side**2), notes)


def paint(
    optimizer: Descending,
    content: Tensor,
    style: Style,
    start: Tensor | None,
    places: Places[Style] | None,
) -> Iterator[Progress]:
    """`PixelOptimizer.render` for uint8: one `Progress` for every step of every part. All of them show
    the same tensor, which is painted on.
    """
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
    todo = [_Level(optimizer, _size(content), (h, w), n) for h, w, n in levels]
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
        begun = _begun(optimizer, level, content, start, changes)
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
    """One size of the pyramid of a picture, `whole`, both (H, W), and its number of steps."""

    optimizer: Descending
    whole: tuple[int, int]
    size: tuple[int, int]
    steps: int

    @property
    def fits(self) -> bool:
        """Whether it may be held in floating point."""
        budget = beside(self.optimizer.budget, self.whole)
        return max(self.size) <= LARGEST and budget.needed(self.size) <= budget.memory

    @property
    def side(self) -> int:
        """The side of its parts, px."""
        return side_of_parts(self.optimizer.budget, self.whole)

    @property
    def count(self) -> int:
        """How many `Progress` it yields: one for a step, or one for a step of each part."""
        return self.steps * (1 if self.fits else len(list(tiles(self.size, self.side, 0, 16))))

    def work(self, photo: View, begun: View, regions: Regions, settled: bool) -> InTurn:
        """Its task, for a `photo` and a start of its size. `settled`: as `last` of `Aims.own_terms`."""
        optimizer, recipe = self.optimizer, self.optimizer.recipe
        frame = recipe.frame
        photo, begun = Framed(photo, frame), Framed(begun, frame)
        contents = recipe.content_layers if recipe.content_weight > 0 else ()
        asked = (*contents, *(recipe.style_layers if optimizer.settings.strength < 1 else ()))
        own = grams(optimizer.encoder, photo, list(dict.fromkeys(asked)), self.side)
        # No file has more to give, and of a poster finer strokes are wanted.
        largest = min(max(self.size), LARGEST)
        long_side = round(largest * min(1.0, optimizer.settings.style_scale))
        terms = optimizer.aims.own_terms(_Read(photo.size, own), regions, long_side, settled)
        masks = [Framed(Resized(mask, self.size), frame) for _, mask in regions if mask is not None]
        return InTurn(optimizer.encoder, photo, begun, terms, contents, self.side, frame, masks)


@dataclass(frozen=True, eq=False)
class _Read:
    """A `Photo` that was read by parts, of which the Gram matrices are kept."""

    size: tuple[int, int]
    grams: Mapping[str, Tensor]

    def contents(self, layers: Sequence[str]) -> dict[str, Content]:
        return {layer: _ReadContent(self.grams[layer]) for layer in layers}

    def targets(self, layers: Sequence[str], loss: StyleLoss) -> dict[str, Tensor]:  # noqa: ARG002
        return {layer: self.grams[layer] for layer in layers}

    def style(
        self, layer: str, aim: Tensor, weight: float, loss: StyleLoss, region: tuple[int, Tensor]
    ) -> Term:
        return region_term(layer, aim, weight, loss, region[0])


@dataclass(frozen=True, eq=False)
class _ReadContent:
    gram: Tensor
    features: None = None

    @property
    def energy(self) -> Tensor:
        return self.gram.diagonal(dim1=1, dim2=2).mean()

    def term(self, layer: str, weight: float, scale: str, gain: float) -> Term:
        return photo_term(layer, weight, scale, gain, float(self.energy))


def _begun(
    optimizer: Descending,
    level: _Level,
    content: Tensor,
    start: Tensor | None,
    changes: Sequence[tuple[Tensor, Tensor]],
) -> View:
    """What that size begins with: start or photo, and what was changed at smaller sizes."""
    after = [(Resized(a, level.size), Resized(b, level.size)) for a, b in changes]
    if start is None and optimizer.recipe.init == "noise" and after:
        return Changed(after[-1][0], ())  # noise has no fine detail to keep
    return Changed(_sized(Shown(content if start is None else start), level.size), after)


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
    small.budget = beside(optimizer.budget, _size(content))
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
    if view.size == size:
        return view
    small = torch.empty((1, 3, *size), dtype=torch.uint8)
    _fill(small, Resized(view.picture, size))
    return Shown(small)


def _fill(picture: Tensor, view: View) -> None:
    # Resizing a window takes time in proportion to its side, for each pixel.
    for band in tiles(view.size, 256, 0, 1):
        band.inner.of(picture).copy_(bytes_of(view.crop(band.inner)))


def _size(picture: Tensor) -> tuple[int, int]:
    return picture.shape[-2], picture.shape[-1]
