"""From what a person has (files, pictures, names) to a picture they keep: one job, for the API and
every app.

job = plan("photo.jpg", ["painting.jpg"], Settings(size=1024))
for step in job.steps():
    ...                       # progress, previews, cancelling
picture = job.finish(step)    # a PIL image; job.recipe says how it was made
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import metadata
from typing import Unpack, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import InputError, OptionError, kind_of
from impasto.methods.base import METHODS, Frame, Method, Renderer, StyleInput, refuse_unhonoured
from impasto.methods.stylizer import Progress
from impasto.methods.two_stage import Refined
from impasto.networks.encoder import SMALLEST
from impasto.networks.loaded import Networks
from impasto.pictures.color import luminance_transfer, match_statistics
from impasto.pictures.identity import identity
from impasto.pictures.image import Picture, Source, resize, to_pil
from impasto.pictures.sources import open_source
from impasto.settings import Options, Settings

__all__ = ["Job", "method_of", "plan", "stylize"]


_COLORLESS = (
    1.5 / 255
)  # the most by which channels of a picture without colour differ on average: JPEG's rounding


@dataclass(frozen=True, eq=False)
class Job:
    """A picture about to be made. `notes` are things to tell the user; `recipe` is enough to make
    it again.

    `grey`: no style has any colour, and so the picture has none. Features know colour only roughly,
    and would tint it.
    """

    settings: Settings
    renderer: Renderer
    content: Picture
    start: Tensor | None
    recipe: dict[str, object]
    notes: tuple[str, ...]
    grey: bool = False

    @torch.inference_mode(False)
    def steps(self) -> Iterator[Progress]:
        """Render, step by step; see `Progress`. Also inside a program's `torch.inference_mode()`."""
        yield from self.renderer.render(Frame(self.content.image, self.start))

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
        return {**self.recipe, "content": identity(content)}

    def finish(self, step: Progress) -> Image.Image:
        """The picture of any step at full size, the photo's colours and transparency put back where
        asked for.
        """
        image = step.whole(self.content.image.shape[-2], self.content.image.shape[-1])
        if self.grey:
            image = luminance_transfer(image, torch.full_like(image, 0.5))
        if self.settings.keep_color == "luminance":
            image = luminance_transfer(image, self.content.image)
        if self.settings.colors_only:
            image = luminance_transfer(self.content.image, image)
        return to_pil(image, self.content.alpha)


@torch.inference_mode(False)
def plan(
    content: Source,
    styles: Source | Iterable[Source],
    settings: Settings | None = None,
    *,
    start: Source | None = None,
    networks: Networks | None = None,
    **options: Unpack[Options],
) -> Job:
    """Open and check everything, load the networks, read the styles, and return a `Job`: all but
    the painting.

    `content`, `styles`, `start`: paths, PIL images, arrays or tensors (see `open_picture`); of
    styles one or several; a style
    may also be the name of a sample style or of one that a network has learned, and the content
    that of a sample photo. `settings`: what to do, and `options` any of its fields, which go before
    it. `start`: a picture to start from. `networks`: give the same to many plans, and each network
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
    settings, styles = (settings or Settings()).but(**options), _several(styles)
    method = method_of(settings)
    given = _Inputs(content, settings)
    inputs = given.styles(styles)
    # A start of one's own stands for what a method begins at by itself.
    asked = settings if start is None else _started(settings)
    refuse_unhonoured(method, settings, start is not None)
    if settings.engine != "torch":
        raise OptionError(
            "`engine=onnx` makes no difference here, where PyTorch is loaded; use impasto.lite.stylize"
        )
    method.check(inputs, settings)
    beginning = open_source(start, settings.size).image if start is not None else None
    photo = given.photo
    renderer = method.prepare(inputs, asked, networks or Networks())
    recipe = {
        "impasto": metadata.version("impasto"),
        "torch": torch.__version__,
        "content": identity(content),
        "styles": [identity(style) for style in styles],
        **_said(settings, method),
        "blend": [style.weight / sum(each.weight for each in inputs) for style in inputs],
        **(
            {"start": identity(start) if start is not None else None}
            if "start" in method.honours
            else {}
        ),
        **renderer.recipe,
    }
    # Short of full strength the photo's own colours are wanted, too.
    grey = settings.strength == 1 and len(given.grey) == len(styles) and all(given.grey.values())
    return Job(
        settings, renderer, photo, beginning, recipe, tuple(dict.fromkeys(given.notes)), grey
    )


def stylize(
    content: Source,
    style: Source | Iterable[Source],
    settings: Settings | None = None,
    *,
    start: Source | None = None,
    networks: Networks | None = None,
    **options: Unpack[Options],
) -> Image.Image:
    """A photo in the style of a painting, or of several; arguments as `plan` takes them.

    Returns a PIL image, RGB or, where the photo has transparency, RGBA. Raises `ImpastoError` for
    input that cannot be used.
    """
    job = plan(content, style, settings, start=start, networks=networks, **options)
    return job.finish(deque(job.steps(), maxlen=1).pop())


_SINGLE = (str, bytes, os.PathLike, Image.Image, np.ndarray, Tensor, Mapping)


def _several(styles: Source | Iterable[Source]) -> Sequence[Source]:
    """One style, or as many as there are."""
    if isinstance(styles, _SINGLE) or not isinstance(styles, Iterable):
        return [cast("Source", styles)]
    return list(styles)


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

    def __init__(self, content: Source, settings: Settings) -> None:
        self.content, self.settings, self.notes = content, settings, list[str]()
        # By the place of the style: whether its picture, of those that were opened, has no colour.
        self.grey: dict[int, bool] = {}

    @cached_property
    def photo(self) -> Picture:
        """The content at its size."""
        size = self.settings.size
        photo = _enlarged(open_source(self.content, size), size)
        self.notes += photo.notes
        if min(photo.image.shape[-2:]) < SMALLEST:
            raise InputError(
                f"the photo is only {photo.image.shape[-1]}x{photo.image.shape[-2]} px at this size; "
                f"it needs {SMALLEST} px or more on each side: take a larger photo or a larger `size`"
            )
        return photo

    def styles(self, sources: Sequence[Source]) -> tuple[StyleInput, ...]:
        """The styles with their weights, still closed."""
        blend = self.settings.blend
        if not sources:
            raise OptionError("give at least one style picture")
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
        painting = _enlarged(painting, side)
        if self.settings.keep_color == "statistics":
            photo, seen = self.photo, painting.alpha
            recolored = match_statistics(painting.image, photo.image, seen, photo.alpha)
            painting = replace(painting, image=recolored)
        self.grey[place] = _colorless(painting)
        return painting


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
