"""What is given as a picture, a file or the name of a sample, opened."""

import os
from pathlib import Path

from impasto.errors import InputError
from impasto.pictures.image import Picture, Source, open_picture
from impasto.pictures.samples import STYLES, sample, sample_names, sample_style

__all__ = ["open_source"]


def open_source(source: Source, size: int) -> Picture:
    """`open_picture`, which also knows the sample styles and photos by name (a file of that name
    wins).

    `size`: the long side in pixels, to which larger pictures are reduced.
    """
    if isinstance(source, str) and not os.path.exists(source):
        if source in STYLES:
            return open_picture(sample_style(source), size=size)
        if source in sample_names():
            return open_picture(sample(source), size=size)
        if not Path(source).suffix and "://" not in source:
            raise InputError(
                f"no file and no sample called {source!r}; sample styles: {', '.join(STYLES)}; "
                f"sample photos: {', '.join(sample_names())}"
            )
    return open_picture(source, size=size)
