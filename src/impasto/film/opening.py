"""A film by its path."""

from fractions import Fraction
from pathlib import Path

from impasto.errors import InputError, OptionError
from impasto.film.frames import ANIMATIONS, Film
from impasto.film.stills import Animation, FolderFilm
from impasto.pictures.writing import FORMATS

__all__ = ["open_film"]

_RATE = Fraction(25)  # frames a second of a folder, which has none of its own


def open_film(path: Path, rate: Fraction | None = None) -> Film:
    """The film in a file or a folder; `rate`: that of a folder, of no other.

    Raises `InputError` for what is no film, `OptionError` where the extra `film` is missing.
    """
    if path.is_dir():
        return FolderFilm(path, rate or _RATE)
    if rate is not None:
        raise OptionError(f"`rate` is of a folder of frames, and {path} has its own; leave it out")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the spelling")
    if path.suffix.lower() in FORMATS or path.suffix.lower() in ANIMATIONS:
        return Animation(path)
    from impasto.film.video import Video

    return Video(path)
