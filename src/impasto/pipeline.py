"""From what a person has (files, pictures, names) to a picture they keep: one job, for the API and
every app.

    job = plan("photo.jpg", ["painting.jpg"], Settings(size=1024))
    for step in job.steps():
        ...                       # progress, previews, cancelling
    job.save(step, "out.png")     # with its recipe; job.finish(step) is the same as a PIL image
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any, Unpack, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import InputError, OptionError, kind_of
from impasto.habits import brought
from impasto.memory import check as check_memory
from impasto.methods.base import (
    METHODS,
    Frame,
    Method,
    Renderer,
    StyleInput,
    named_style,
    refuse_of_learned,
    refuse_unhonoured,
)
from impasto.methods.forecast import foretold
from impasto.methods.regions import Ground, read_ground
from impasto.methods.strokes import preview
from impasto.methods.stylizer import Progress
from impasto.methods.two_stage import Refined
from impasto.networks.encoder import SMALLEST
from impasto.networks.header import learned_styles
from impasto.networks.loaded import Networks
from impasto.networks.weights import pick_device
from impasto.pictures.color import luminance_transfer, match_statistics
from impasto.pictures.exif import sifted
from impasto.pictures.identity import identities, identity
from impasto.pictures.image import (
    Picture,
    Source,
    bytes_to_pil,
    open_bytes,
    resize,
    save_picture,
    to_pil,
)
from impasto.pictures.masks import open_mask
from impasto.pictures.painted import PaintedImage
from impasto.pictures.samples import STYLES
from impasto.pictures.sources import long_side, open_source, resolved
from impasto.pictures.tiles import Shown, bytes_of, floats_of
from impasto.settings import Options, Settings
from impasto.windows import tiles

__all__ = ["Job", "method_of", "plan", "stylize"]


_FLOATS = 4096  # long side, px, beyond which a photo is held in 8 bits where the method can
_COLORLESS = (
    1.5 / 255
)  # the most by which channels of a picture without colour differ on average: JPEG's rounding


@dataclass(frozen=True, eq=False)
class Job:
    """A picture about to be made. `notes` are things to tell the user; `recipe` is enough to make
    it again, with `recipe=short` but for the photo's name.

    `grey`: no style has any colour, and so the picture has none. Features know colour only roughly,
    and would tint it. `dpi`: for the file, where a size on paper was asked for.
    """

    settings: Settings
    renderer: Renderer
    content: Picture
    start: Tensor | None
    recipe: dict[str, object]
    notes: tuple[str, ...]
    grey: bool = False
    ground: Ground = field(default_factory=Ground)
    dpi: int | None = None

    @torch.inference_mode(False)
    def steps(self) -> Iterator[Progress]:
        """Render, step by step; see `Progress`. Also inside a program's `torch.inference_mode()`."""
        ground = self.ground
        frame = Frame(self.content.image, self.start, regions=ground.regions, rest=ground.rest)
        yield from self.renderer.render(frame)

    def of(self, content: Source) -> "Job":
        """The same for another photo. The styles stay as they were read: also the palette that
        `keep_color=statistics` gave them.

        Raises `InputError` for a photo that cannot be used.
        """
        given = _Inputs(content, self.settings)
        photo, recipe = given.photo, self.recipe_of(content)
        return replace(self, content=photo, recipe=recipe, notes=tuple(dict.fromkeys(given.notes)))

    def recipe_of(self, content: Source) -> dict[str, object]:
        """The recipe of `of(content)`, without opening it."""
        return {**self.recipe, "content": _own(content, self.settings)}

    def finish(self, step: Progress, *, unfinished: bool | None = None) -> PaintedImage:
        """The picture of any step at full size, the photo's colours and transparency put back where
        asked for. It knows its recipe, which says how far it came, and `save`s it.

        `unfinished`: whether there was more to come; where it is not said, the step tells (but
        with `early_stop`, when no step knows).
        """
        if self.content.image.dtype == torch.uint8:
            picture = bytes_to_pil(self._by_bands(step.image), self.content.alpha)
        else:
            whole = step.whole(self.content.image.shape[-2], self.content.image.shape[-1])
            image = self._recolored(whole, self.content.image)
            picture = to_pil(image, self.content.alpha)
        exif = sifted(self.content.exif, self.settings.keep_exif)
        return PaintedImage.of(picture, self._told(step, unfinished), exif)

    def _recolored(self, image: Tensor, photo: Tensor) -> Tensor:
        """With the colours that were asked for, of a picture or a part of it."""
        if self.grey:
            image = luminance_transfer(image, torch.full_like(image, 0.5))
        if self.settings.keep_color == "luminance":
            image = luminance_transfer(image, photo)
        return luminance_transfer(photo, image) if self.settings.colors_only else image

    def _by_bands(self, image: Tensor) -> Tensor:
        """The same of a large picture, in 8 bits."""
        if not (self.grey or self.settings.colors_only or self.settings.keep_color == "luminance"):
            return image
        found = torch.empty_like(image)
        for band in tiles((image.shape[-2], image.shape[-1]), 1024, 0, 1):
            part, photo = (floats_of(band.inner.of(x)) for x in (image, self.content.image))
            band.inner.of(found).copy_(bytes_of(self._recolored(part, photo)))
        return found

    def save(
        self,
        step: Progress,
        path: str | os.PathLike[str],
        *,
        unfinished: bool | None = None,
        quality: int = 95,
    ) -> Path:
        """Write the picture of any step, with its recipe, whole or not at all: `save_picture`."""
        picture = self.finish(step, unfinished=unfinished)
        return save_picture(path, picture, quality=quality, dpi=self.dpi)

    def _told(self, step: Progress, unfinished: bool | None) -> dict[str, object] | None:
        """The recipe of a step, or None where there is to be none."""
        if self.settings.recipe == "none":
            return None
        if unfinished is None:
            unfinished = step.step < step.of and not self.settings.early_stop
        more = {"unfinished": True} if unfinished else {}
        return {**self.recipe, "steps_done": step.step, **more}


@torch.inference_mode(False)
def plan(
    content: Source,
    styles: Source | Iterable[Source],
    settings: Settings | None = None,
    *,
    start: Source | None = None,
    regions: Sequence[Source] | None = None,
    style_masks: Sequence[Source | None] | None = None,
    strength_mask: Source | None = None,
    networks: Networks | None = None,
    **options: Unpack[Options],
) -> Job:
    """Open and check everything, load the networks, read the styles, and return a `Job`: all but
    the painting.

    `content`, `styles`, `start`: paths, PIL images, arrays or tensors (see `open_picture`); of
    styles one or several; a style
    may also be the name of a sample style or of one that a network has learned, and the content
    that of a sample photo. `settings`: what to do, and `options` any of its fields, which go before
    it; `size` may be one of `impasto.sizes`, as "2x". `start`: a picture to start from. `regions`:
    for each style the mask of where it is painted, `(1, 1, H, W)` in [0, 1], a picture whose white
    is meant, or `luminance`, `darkness`, `subject` or `background`; where there is none the photo
    stays. `style_masks`: likewise for each style what of it is looked at. `strength_mask`: by how
    much of `strength` to go, where. `networks`: give the same to many plans, and each network
    is loaded once. Raises `ImpastoError` for whatever cannot be read, does not fit together, or
    makes no difference to the method.
    """
    if not isinstance(settings or Settings(), Settings):
        raise OptionError(
            f"settings are given as Settings(…) or each by its name, as in size=512; not as {settings!r}"
        )
    if not isinstance(networks or Networks(), Networks):
        raise OptionError(
            f"networks are what impasto.Networks() keeps, and not {kind_of(networks)}"
        )
    asked_size, dpi = long_side(content, options.get("size"))
    settings, styles = (settings or Settings()).but(**{**options, **asked_size}), _several(styles)
    if settings.engine != "torch":
        raise OptionError(
            "`engine=onnx` makes no difference here, where PyTorch is loaded; use impasto.lite.stylize"
        )
    settings = _with_method(settings, styles)
    method = method_of(settings)
    given = _Inputs(content, settings, method.large, style_masks)
    if regions is not None and settings.blend is not None:
        raise OptionError("`blend` makes no difference where each style has one of the `regions`")
    inputs = given.styles(styles)
    # A start of one's own stands for what a method begins at by itself.
    asked = settings if start is None else _started(settings)
    also = {"regions": regions, "strength_mask": strength_mask}
    also = {name: value for name, value in also.items() if value is not None}
    refuse_unhonoured(method, settings, start is not None, also)
    method.check(inputs, settings)
    beginning = open_source(start, settings.size).image if start is not None else None
    photo = given.photo
    ground = read_ground(given.small, regions, strength_mask, len(styles))
    _check_memory(method, asked, photo)
    renderer = method.prepare(inputs, asked, networks or Networks())
    given.notes += getattr(renderer, "notes", ())
    recipe = {
        "impasto": metadata.version("impasto"),
        "torch": torch.__version__,
        "content": _own(content, settings),
        "styles": [identity(style) for style in styles],
        **_said(settings, method),
        "blend": [style.weight / sum(each.weight for each in inputs) for style in inputs],
        **(
            {"start": _own(start, settings) if start is not None else None}
            if "start" in method.honours
            else {}
        ),
        **renderer.recipe,
        **{name: identities(value) for name, value in also.items()},
        **({"style_masks": identities(style_masks)} if style_masks else {}),
        **({"dpi": dpi} if dpi else {}),
    }
    given.notes += foretold(renderer, (photo.image.shape[-2], photo.image.shape[-1]), settings)
    # Short of full strength the photo's own colours are wanted, too.
    grey = ground.everywhere and settings.strength == 1
    grey = grey and len(given.grey) == len(styles) and all(given.grey.values())
    notes = tuple(dict.fromkeys(given.notes))
    return Job(settings, renderer, photo, beginning, recipe, notes, grey, ground, dpi)


def stylize(
    content: Source,
    style: Source | Iterable[Source],
    settings: Settings | None = None,
    *,
    start: Source | None = None,
    regions: Sequence[Source] | None = None,
    style_masks: Sequence[Source | None] | None = None,
    strength_mask: Source | None = None,
    networks: Networks | None = None,
    **options: Unpack[Options],
) -> PaintedImage:
    """A photo in the style of a painting, or of several; arguments as `plan` takes them.

    Returns a PIL image, RGB or, where the photo has transparency, RGBA, whose `save` writes how it
    was made into the file. Raises `ImpastoError` for input that cannot be used.
    """
    places: dict[str, Any] = {"regions": regions, "style_masks": style_masks}
    places["strength_mask"] = strength_mask
    job = plan(content, style, settings, start=start, networks=networks, **places, **options)
    return job.finish(deque(job.steps(), maxlen=1).pop())


def _with_method(settings: Settings, styles: Sequence[Source]) -> Settings:
    """The settings with the first method that takes all these styles, where none was asked for by
    name.

    A style is a picture or the name of one that a network has learned: all names are in one space.
    `InputError` where the method asked for does not take a learned style, `OptionError` for a
    setting that the one found has no use for.
    """
    names = [named_style(style) for style in styles if isinstance(style, str)]
    closed = [style for style in names if not style.pictured]
    method = METHODS.get(settings.method)
    if not closed or "network" in method.honours:  # who has a network asks it for names
        return settings
    learned = {each.name for each in learned_styles(settings.network)}
    for style in closed:
        if style.name not in learned and (near := brought(str(style.name), {*STYLES, *learned})):
            raise InputError(f"no file and no style called {style.name!r}; did you mean {near!r}?")
    refused = [each for each in closed if each.name in learned and not method.takes(each, learned)]
    if not refused:
        return settings
    pictures = len(styles) - len(closed)
    others = [
        name
        for name, other in METHODS.all().items()
        if all(other.takes(style, learned) for style in names)
        and (pictures == 0 or other.takes(named_style(next(iter(STYLES))), learned))
    ]
    if "method" in settings.model_fields_set or not others:
        way = (
            f"use {' or '.join(f'`method={name}`' for name in others)}"
            if others
            else "leave it out"
        )
        raise InputError(f"{refused[0].source} is a learned style and no picture: {way}")
    chosen = settings.but(method=others[0])
    refuse_of_learned(refused[0], method_of(chosen), chosen)
    return chosen


_SINGLE = (str, bytes, os.PathLike, Image.Image, np.ndarray, Tensor, Mapping)


def _several(styles: Source | Iterable[Source]) -> Sequence[Source]:
    """One style, or as many as there are."""
    if isinstance(styles, _SINGLE) or not isinstance(styles, Iterable):
        return [cast("Source", styles)]
    return list(styles)


def _check_memory(method: Method, settings: Settings, photo: Picture) -> None:
    """`OptionError` where the picture takes more memory than there is, on a CPU."""
    if pick_device(settings.device).type != "cpu":
        return
    height, width = photo.image.shape[-2:]
    longest = max(height, width)

    def needed(size: int) -> float:
        tall, wide = (max(1, round(side * size / longest)) for side in (height, width))
        return method.memory(settings, tall, wide)

    check_memory(needed, longest)


def method_of(settings: Settings) -> Method:
    """The method asked for, refined if that is."""
    method = METHODS.get(settings.method)
    return Refined(method) if settings.refine and "refine" in method.honours else method


def _started(settings: Settings) -> Settings:
    if settings.init is not None:
        raise OptionError("give either a start picture or `init=content` or `init=noise`, not both")
    return settings.but(init="content")


class _Inputs:
    """The pictures of one plan, opened when they are first looked at, and what is to be told of
    them.
    """

    def __init__(
        self,
        content: Source,
        settings: Settings,
        large: bool = False,
        style_masks: Sequence[Source | None] | None = None,
    ) -> None:
        self.content, self.settings, self.notes = content, settings, list[str]()
        self.large, self.style_masks = large, style_masks or ()
        # By the place of the style: whether its picture, of those that were opened, has no colour.
        self.grey: dict[int, bool] = {}

    @cached_property
    def photo(self) -> Picture:
        """The content at its size."""
        size = self.settings.size
        if self.large and size > _FLOATS:
            photo = open_bytes(resolved(self.content), size)
        else:
            photo = _enlarged(open_source(self.content, size), size)
        self.notes += photo.notes
        if min(photo.image.shape[-2:]) < SMALLEST:
            raise InputError(
                f"the photo is only {photo.image.shape[-1]}x{photo.image.shape[-2]} px at this size; "
                f"it needs {SMALLEST} px or more on each side: take a larger photo or a larger `size`"
            )
        return photo

    @property
    def small(self) -> Tensor:
        """The photo in floating point, made smaller where it is large."""
        image = self.photo.image
        return image if image.dtype != torch.uint8 else preview(Shown(image))

    def styles(self, sources: Sequence[Source]) -> tuple[StyleInput, ...]:
        """The styles with their weights, still closed."""
        blend = self.settings.blend
        if not sources:
            raise OptionError("give at least one style picture")
        if self.style_masks and len(self.style_masks) != len(sources):
            raise OptionError(
                f"{len(self.style_masks)} `style_masks` for {len(sources)} styles; give one, or None, for each"
            )
        if blend is not None and len(blend) != len(sources):
            raise OptionError(
                f"`blend` has {len(blend)} weights for {len(sources)} styles; give one for each"
            )
        weights = blend or (1.0,) * len(sources)
        pairs = enumerate(zip(sources, weights, strict=True))
        return tuple(
            StyleInput(source, weight, partial(self._style, i, source))
            for i, (source, weight) in pairs
        )

    def _style(self, place: int, source: Source, side: int) -> Picture:
        painting = open_source(source, side)
        self.notes += painting.notes
        painting = self._masked(place, _enlarged(painting, side))
        if self.settings.keep_color == "statistics":
            photo, seen = self.photo, painting.alpha
            whole = photo.image.dtype != torch.uint8
            alpha = photo.alpha if whole else None
            recolored = match_statistics(painting.image, self.small, seen, alpha)
            painting = replace(painting, image=recolored)
        self.grey[place] = _colorless(painting)
        return painting

    def _masked(self, place: int, painting: Picture) -> Picture:
        """The painting less what its mask leaves out, which is not looked at, like what is
        transparent.
        """
        mask = self.style_masks[place] if self.style_masks else None
        if mask is None:
            return painting
        seen = open_mask(mask, painting.image, whose="the painting")
        seen = resize(seen, (painting.image.shape[-2], painting.image.shape[-1]))
        return replace(painting, alpha=seen if painting.alpha is None else seen * painting.alpha)


def _colorless(picture: Picture) -> bool:
    """Whether nothing that is seen of it has any colour."""
    apart = picture.image.amax(1, keepdim=True) - picture.image.amin(1, keepdim=True)
    seen = torch.ones_like(apart) if picture.alpha is None else picture.alpha
    return bool((apart * seen).sum() / seen.sum() < _COLORLESS)


def _enlarged(photo: Picture, size: int) -> Picture:
    """The photo with that long side even where it is smaller: strokes are new detail, and can be as
    fine as asked.
    """
    height, width = photo.image.shape[-2:]
    factor = size / max(height, width)
    if factor <= 1:
        return photo
    grown = (round(height * factor), round(width * factor))
    alpha = None if photo.alpha is None else resize(photo.alpha, grown)
    return replace(photo, image=resize(photo.image, grown), alpha=alpha)


def _said(settings: Settings, method: Method) -> dict[str, object]:
    """The settings that make a difference to the method, networks by their files."""
    heard = method.honours | {"method", "size", "keep_color", "colors_only"}
    said: dict[str, object] = {
        name: value for name, value in settings.dump().items() if name in heard
    }
    return said | {
        name: _file_identity(getattr(settings, name))
        for name in ("encoder", "network")
        if name in heard
    }


def _file_identity(source: str) -> dict[str, object]:
    """Of an encoder or a network: its name, or its file's."""
    return identity(source) if os.path.isfile(source) else {"name": source}


def _own(source: Source, settings: Settings) -> dict[str, object]:
    """What to call a picture of the user's own: its file by name only where that is asked for."""
    named = isinstance(source, str | os.PathLike) and os.path.isfile(source)
    return {"kind": "file"} if named and settings.recipe != "full" else identity(source)
