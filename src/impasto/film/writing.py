"""Films written, by the suffix of their name: videos, and animations."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

from PIL import Image

from impasto.errors import InputError
from impasto.film.frames import ANIMATIONS, VIDEOS, Film, FilmFrame
from impasto.pictures.recipes import recipe_options, recipe_text
from impasto.pictures.writing import atomic_write, check_place

__all__ = ["check_film_output", "write_film"]


def check_film_output(path: Path) -> None:
    """`InputError` where no film can be written to `path`: call it before long work."""
    suffix = path.suffix.lower()
    if suffix not in (*VIDEOS, *ANIMATIONS):
        known = " ".join(sorted((*VIDEOS, *ANIMATIONS)))
        raise InputError(f"{path} has no film's suffix; use one of {known}, or a folder's name")
    check_place(path)


def write_film(
    path: Path, frames: Iterator[FilmFrame], like: Film, recipe: Mapping[str, object]
) -> list[str]:
    """Write the film, whole or not at all, with the rate, sound and proportions of `like`; what is
    worth knowing comes back.

    `recipe`, JSON-able, is kept in it: as the comment of a video or a GIF, in a WebP's EXIF. Raises
    `InputError` where it cannot be written.
    """
    first = next(frames)
    frames = _alike(chain([first], frames), first)
    try:
        with atomic_write(path) as partial:
            if path.suffix.lower() in ANIMATIONS:
                return _animation(partial, path.suffix.lower(), frames, like, recipe)
            return _video(partial, path.suffix.lower(), frames, like, recipe_text(recipe))
    except OSError as error:  # FFmpeg's errors among them
        raise InputError(
            f"cannot write {path} ({error.strerror or error}); check the disk"
        ) from error


def _alike(frames: Iterator[FilmFrame], first: FilmFrame) -> Iterator[FilmFrame]:
    height, width = first.pixels.shape[:2]
    for number, frame in enumerate(frames, 1):
        if frame.pixels.shape[:2] != (height, width):
            raise InputError(
                f"frame {number} is not {width}x{height} like the first; write to a folder instead"
            )
        yield frame


def _video(
    path: Path, suffix: str, frames: Iterator[FilmFrame], like: Film, recipe: str
) -> list[str]:
    from impasto.film.video import Video, VideoWriter

    sounding = isinstance(like, Video)
    writer = VideoWriter(
        path,
        suffix,
        rate=like.rate,
        tick=like.tick,
        source=like.path if sounding else None,
        aspect=like.aspect if isinstance(like, Video) else Fraction(1),
        recipe=recipe,
    )
    with writer:
        for frame in frames:
            writer.write(frame)
    return writer.notes


def _animation(
    path: Path,
    suffix: str,
    frames: Iterator[FilmFrame],
    like: Film,
    recipe: Mapping[str, object],
) -> list[str]:
    """By Pillow, which holds the frames of an animation until it is written."""
    pictures, times = list[Image.Image](), list[Fraction]()
    for frame in frames:
        pictures.append(Image.fromarray(frame.pixels))
        times.append(frame.time)
    times.append(times[-1] + 1 / like.rate)
    options: dict[str, object] = {
        "save_all": True,
        "append_images": pictures[1:],
        "duration": [max(1, round((b - a) * 1000)) for a, b in pairwise(times)],
    }
    loop = getattr(like, "loop", 0)
    # A GIF that is played once says nothing of loops.
    options |= {"loop": loop} if suffix == ".webp" or loop != 1 else {}
    options |= {"quality": 90, "method": 2} if suffix == ".webp" else {"disposal": 2}
    said = {"comment": recipe_text(recipe)} if suffix == ".gif" else recipe_options("WEBP", recipe)
    pictures[0].save(path, format=suffix[1:].upper(), **options, **said)
    return ["a GIF has 256 colours a frame"] if suffix == ".gif" else []
