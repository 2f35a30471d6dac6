"""What is given as a picture, a file or the name of a sample, opened."""

import os
from pathlib import Path

from PIL import Image
from torch import Tensor

from impasto.errors import InputError
from impasto.pictures.files import opened
from impasto.pictures.image import Picture, Source, open_picture
from impasto.pictures.samples import named
from impasto.sizes import size as size_of

__all__ = ["long_side", "open_source", "resolved"]


def open_source(source: Source, size: int) -> Picture:
    """`open_picture`, which also knows the sample styles and photos by name (a file of that name
    wins).

    `size`: the long side in pixels, to which larger pictures are reduced.
    """
    return open_picture(resolved(source), size=size)


def resolved(source: Source) -> Source:
    """The sample of that name, and anything else as it is; `InputError` for a name of none."""
    found = named(source) if isinstance(source, str) else None
    return source if found is None else found


def _dimensions(source: Source) -> tuple[int, int]:
    """Two sides of a picture in px, of a file by its header: turned by its EXIF tag or not."""
    source = resolved(source)
    if isinstance(source, str | os.PathLike):
        with opened(Path(source)) as image:
            return image.height, image.width
    if isinstance(source, Image.Image):
        return source.height, source.width
    shape = tuple(getattr(source, "shape", ()))
    if len(shape) < 2:
        raise InputError(f"a {type(source).__name__} is not a picture; give a path or an array")
    # Tensors have their channels first, arrays last.
    return shape[-2:] if isinstance(source, Tensor) else shape[:2]


def long_side(content: Source, asked: object) -> tuple[dict[str, int], int | None]:
    """The setting `size` for one that depends on the photo, none for a number, and the dots per inch
    of one on paper.
    """
    if not isinstance(asked, str):
        return {}, None
    wanted = size_of(asked)
    found = wanted.long_side(*(_dimensions(content) if wanted.relative else (1, 1)))
    return {"size": found}, wanted.dpi
