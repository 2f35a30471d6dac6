"""A film by its path."""

from fractions import Fraction
from pathlib import Path

from impasto.errors import InputError, OptionError
from impasto.film.frames import ANIMATIONS, VIDEOS, Film
from impasto.film.stills import Animation, FolderFilm
from impasto.pictures.recipes import parsed, read_recipe
from impasto.pictures.writing import FORMATS

__all__ = ["film_recipe", "open_film"]

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


def film_recipe(path: Path) -> dict[str, object] | None:
    """The recipe in a film that was painted here, a folder of frames among them; None if there is
    none. A picture is read as `read_recipe` does.

    Raises `InputError` for what cannot be read, `OptionError` where the extra `film` is missing.
    """
    if path.is_dir():
        frames = FolderFilm(path, _RATE).files
        return read_recipe(frames[0]) if frames else None
    if path.suffix.lower() not in VIDEOS or not path.exists():
        return read_recipe(path)
    from impasto.film.video import comment

    return parsed(comment(path))
