"""Films that Pillow reads: animations, and folders of pictures."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.errors import InputError
from impasto.film.frames import FilmFrame
from impasto.pictures.files import Array, decode, decoding, opened
from impasto.pictures.writing import FORMATS

__all__ = ["Animation", "FolderFilm"]


class FolderFilm:
    """The pictures of a folder, in the order of their names, numbers by their value. What cannot be
    read is left out, and noted.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self.rate, self.tick, self.notes = path, rate, 1 / rate, list[str]()
        inside = [each for each in path.iterdir() if each.suffix.lower() in FORMATS]
        inside = [each for each in inside if each.is_file() and not each.name.startswith(".")]
        self.files = sorted(inside, key=lambda each: _natural(each.name))
        stems = {each.stem for each in inside}
        # Of two formats, names alone would be the same.
        self._named = "stem" if len(stems) == len(inside) else "name"
        self.count: int | None = len(self.files)

    def frames(self) -> Iterator[FilmFrame]:
        """See `Film`."""
        if not self.files:
            raise InputError(f"the folder {self.path} holds no pictures; name another")
        broken = list[str]()
        for place, path in enumerate(self.files):
            try:
                with opened(path) as image:
                    pixels = _colours(image)
            except InputError:
                broken.append(path.name)
                continue
            yield FilmFrame(pixels, place / self.rate, getattr(path, self._named))
        if len(broken) == len(self.files):
            raise InputError(f"no picture in {self.path} can be read; name another folder")
        if broken:
            self.notes.append(f"{len(broken)} broken pictures left out, the first is {broken[0]}")


class Animation:
    """A GIF, or an animated WebP, PNG or AVIF."""

    def __init__(self, path: Path) -> None:
        self.path, self.notes = path, list[str]()
        self.tick = Fraction(1, 1000)
        with opened(path) as image:
            self.count: int | None = getattr(image, "n_frames", 1)
            if self.count == 1:
                raise InputError(
                    f"{path} is a picture and no film: impasto stylize paints it, impasto score measures it"
                )
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
    if pixels.shape[2] == 4 and pixels[..., 3].min() == 255:
        return pixels[..., :3]  # room for transparency, and none
    return pixels if pixels.shape[2] > 1 else pixels.repeat(3, axis=2)


def _natural(name: str) -> list[tuple[int, str]]:
    """`frame-9` before `frame-10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
