"""What is given as a picture, a file or the name of a sample, opened."""

from impasto.pictures.image import Picture, Source, open_picture
from impasto.pictures.samples import named

__all__ = ["open_source"]


def open_source(source: Source, size: int) -> Picture:
    """`open_picture`, which also knows the sample styles and photos by name (a file of that name
    wins).

    `size`: the long side in pixels, to which larger pictures are reduced.
    """
    sample = named(source) if isinstance(source, str) else None
    return open_picture(source if sample is None else sample, size=size)
