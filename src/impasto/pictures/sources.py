"""What is given as a picture, a file or the name of a sample, opened."""

import os
from pathlib import Path

from PIL import Image
from torch import Tensor

from impasto.errors import InputError
from impasto.pictures.files import opened
from impasto.pictures.image import Picture, Source, open_picture
from impasto.pictures.samples import STYLES, sample, sample_names, sample_style

__all__ = ["dimensions", "named", "open_source"]


def open_source(source: Source, size: int) -> Picture:
    """`open_picture`, which also knows the sample styles and photos by name (a file of that name
    wins).

    `size`: the long side in pixels, to which larger pictures are reduced.
    """
    return open_picture(named(source), size=size)


def named(source: Source) -> Source:
    """The sample of that name, and anything else as it is; `InputError` for a name of none."""
    if isinstance(source, str) and not os.path.exists(source):
        if source in STYLES:
            return sample_style(source)
        if source in sample_names():
            return sample(source)
        if not Path(source).suffix and "://" not in source:
            raise InputError(
                f"no file and no sample called {source!r}; sample styles: {', '.join(STYLES)}; "
                f"sample photos: {', '.join(sample_names())}"
            )
    return source


def dimensions(source: Source) -> tuple[int, int]:
    """Two sides of a picture in px, of a file by its header: turned by its EXIF tag or not."""
    source = named(source)
    if isinstance(source, str | os.PathLike):
        with opened(Path(source)) as image:
            return image.height, image.width
    if isinstance(source, Image.Image):
        return source.height, source.width
    shape = tuple(getattr(source, "shape", ()))
    if len(shape) < 2:
        raise InputError(f"a {type(source).__name__} is not a picture; give a path or an array")
    # Tensors have their channels first, arrays last.
    return shape[-2:] if isinstance(source, Tensor) else shape[:2]  # type: ignore[return-value]
