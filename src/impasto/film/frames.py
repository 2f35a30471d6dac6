"""What a film is here: frames in their order, read as often as it is asked, one at a time, and never
held whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from impasto.pictures.files import Array

__all__ = ["ANIMATIONS", "VIDEOS", "Film", "FilmFrame", "even_sides"]

VIDEOS = (".mkv", ".mov", ".mp4", ".webm")
"""The suffixes of videos that are written; any that FFmpeg knows is read."""

ANIMATIONS = (".gif", ".webp")


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


def even_sides(pixels: Array) -> Array:
    """Without its last row and column where their number is odd: what 4:2:0 video can hold."""
    height, width = pixels.shape[:2]
    return pixels[: height - height % 2, : width - width % 2]
