"""Films as frames in their order: of a video file, an animation, or a folder of pictures.

A film is read as often as it is asked, a frame at a time, and never held whole.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from impasto.errors import InputError
from impasto.pictures.files import Array, decode, decoding, opened
from impasto.pictures.writing import FORMATS

__all__ = ["ANIMATIONS", "VIDEOS", "Film", "FilmFrame", "open_film", "upright_even"]

VIDEOS = (".mkv", ".mov", ".mp4", ".webm")
"""The suffixes of videos that are written; any that FFmpeg knows is read."""

ANIMATIONS = (".gif", ".webp")

_RATE = Fraction(25)  # frames a second of a folder, which has none of its own


@dataclass(frozen=True, eq=False)
class FilmFrame:
    """One frame, upright: `pixels`, uint8 `(H, W, 3)` or, with transparency, `(H, W, 4)`; `time`,
    when it is shown, in seconds; `name`, of its file in a folder.
    """

    pixels: Array
    time: Fraction
    name: str = ""


class Film(Protocol):
    """A film that can be read.

    `count`: how many frames it has, as far as it says. `rate`: frames a second, on average. `tick`:
    the unit that its times are multiples of. `notes`: what was decided on the way, complete when
    the frames were read.
    """

    path: Path
    count: int | None
    rate: Fraction
    tick: Fraction
    notes: list[str]

    def frames(self) -> Iterator[FilmFrame]:
        """All of them from the first on. Raises `InputError` where it cannot be read, or has none."""
        ...


def open_film(path: Path, rate: Fraction | None = None) -> Film:
    """The film in a file or a folder; `rate`: that of a folder.

    Raises `InputError` for what is no film, `OptionError` where the extra `film` is missing.
    """
    if path.is_dir():
        return FolderFilm(path, rate or _RATE)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the spelling")
    if path.suffix.lower() in FORMATS or path.suffix.lower() in ANIMATIONS:
        return Animation(path)
    from impasto.film.video import Video

    return Video(path)


class FolderFilm:
    """The pictures of a folder, in the order of their names, numbers by their value."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self.rate, self.tick, self.notes = path, rate, 1 / rate, list[str]()
        inside = [each for each in path.iterdir() if each.suffix.lower() in FORMATS]
        inside = [each for each in inside if each.is_file() and not each.name.startswith(".")]
        self.files = sorted(inside, key=lambda each: _natural(each.name))
        self.count: int | None = len(self.files)

    def frames(self) -> Iterator[FilmFrame]:
        """See `Film`."""
        if not self.files:
            raise InputError(f"the folder {self.path} holds no pictures; name another")
        for place, path in enumerate(self.files):
            with opened(path) as image:
                yield FilmFrame(_colours(image), place / self.rate, path.stem)


class Animation:
    """A GIF, or an animated WebP, PNG or AVIF."""

    def __init__(self, path: Path) -> None:
        self.path, self.notes = path, list[str]()
        self.tick = Fraction(1, 1000)
        with opened(path) as image:
            self.count: int | None = getattr(image, "n_frames", 1)
            if self.count == 1:
                raise InputError(f"{path} is a picture and no film; paint it with impasto stylize")
            self.loop = int(image.info.get("loop", 1 if image.format == "GIF" else 0))
            seconds = sum(self._durations(image), Fraction(0))
        self.rate = self.count / seconds

    def _durations(self, image: Image.Image) -> Iterator[Fraction]:
        for place in range(self.count or 1):
            image.seek(place)
            image.load()
            # Browsers show what asks for less than 20 ms for 100.
            asked = image.info.get("duration", 0)
            yield Fraction(round(asked) if asked >= 20 else 100, 1000)

    def frames(self) -> Iterator[FilmFrame]:
        """See `Film`."""
        time = Fraction(0)
        with opened(self.path) as image:
            for place, duration in enumerate(self._durations(image)):
                with decoding(f"frame {place + 1} of {self.path}"):
                    pixels = _colours(image)
                yield FilmFrame(pixels, time)
                time += duration


def _colours(image: Image.Image) -> Array:
    """Upright sRGB, 8 bits a channel, `(H, W, 3)` or `(H, W, 4)`."""
    pixels, _ = decode(image)
    if pixels.dtype != np.uint8:
        unit = pixels / np.float32(65535) if pixels.dtype == np.uint16 else pixels
        pixels = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return pixels if pixels.shape[2] > 1 else pixels.repeat(3, axis=2)


def _natural(name: str) -> list[tuple[int, str]]:
    """`frame-9` before `frame-10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def upright_even(pixels: Array) -> Array:
    """Without its last row and column where their number is odd: what 4:2:0 video can hold."""
    height, width = pixels.shape[:2]
    return pixels[: height - height % 2, : width - width % 2]
