"""What goes into a picture: the photo and the styles, as they were given, opened as they are needed."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import InputError, OptionError
from impasto.methods.base import StyleInput
from impasto.methods.strokes import preview
from impasto.networks.encoder import SMALLEST
from impasto.pictures.color import match_statistics
from impasto.pictures.identity import identity
from impasto.pictures.image import Picture, Source, open_bytes, resize
from impasto.pictures.masks import open_mask
from impasto.pictures.sources import open_source, resolved
from impasto.pictures.tiles import Shown
from impasto.settings import Settings

__all__ = ["Inputs", "named", "several"]

_FLOATS = 4096  # long side, px, beyond which a photo is held in 8 bits where the method can
# The most by which channels of a picture without colour differ on average: JPEG's rounding.
_COLORLESS = 1.5 / 255


class Inputs:
    """The pictures of one plan, opened when they are first looked at; `notes`: what is to be told of
    them.

    `large`: whether a large photo may be held in 8 bits. `style_masks`: for each style what of it
    is looked at.
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
        self._grey: dict[int, bool] = {}

    @cached_property
    def photo(self) -> Picture:
        """The content at its size."""
        size = self.settings.size
        if self.large and size > _FLOATS:
            photo = open_bytes(resolved(self.content), size)
        else:
            photo = _enlarged(open_source(self.content, size), size)
        self.notes += photo.notes
        enlarge = self.settings.enlarge
        height, width = (-(-side // enlarge) for side in photo.image.shape[-2:])
        if min(height, width) < SMALLEST:
            ways = "a larger photo or a larger `size`" + ", or a smaller `enlarge`" * (enlarge > 1)
            raise InputError(
                f"the photo is only {width}x{height} px at this size; it needs {SMALLEST} px or more on each "
                f"side: take {ways}"
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

    def all_grey(self, count: int) -> bool:
        """Whether all of so many styles were opened, and none has any colour."""
        return len(self._grey) == count and all(self._grey.values())

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
        self._grey[place] = _colorless(painting)
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


_SINGLE = (str, bytes, os.PathLike, Image.Image, np.ndarray, Tensor, Mapping)


def several(styles: Source | Iterable[Source]) -> Sequence[Source]:
    """One style, or as many as there are."""
    if isinstance(styles, _SINGLE) or not isinstance(styles, Iterable):
        return [cast("Source", styles)]
    return list(styles)


def named(source: Source, settings: Settings) -> dict[str, object]:
    """What to call a picture of the user's own: its file by name only where that is asked for."""
    is_file = isinstance(source, str | os.PathLike) and os.path.isfile(source)
    return {"kind": "file"} if is_file and settings.recipe != "full" else identity(source)
