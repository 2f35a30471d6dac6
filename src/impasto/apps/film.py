"""A film painted, frame by frame, so that it can be stopped at any frame and goes on from there.

    work = FilmWork(Path("clip.mp4"), ["painting.jpg"], Path("out.mp4"), Settings(method="arbitrary"))
    for progress in work.paint():
        print(progress.step, "of", progress.of)
    work.finish()

Painted frames are kept as PNGs in a folder, `out.mp4.frames`, and beside them what the next frame
goes by. When all are there the film is written, and the folder deleted.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from impasto.apps.finding import absolute
from impasto.apps.painted_frames import PaintedFrames
from impasto.errors import InputError, OptionError
from impasto.film.following import Following
from impasto.film.frames import Film, FilmFrame
from impasto.film.opening import open_film
from impasto.film.scenes import scenes
from impasto.film.writing import check_film_output, write_film
from impasto.methods.stylizer import Progress
from impasto.networks.loaded import Networks
from impasto.pictures.tiles import floats_of
from impasto.pictures.writing import check_no_pipe
from impasto.pipeline import Job, method_of, plan
from impasto.settings import Settings

__all__ = ["FilmWork"]

PIECE = 25
"""Frames of a piece, where each is painted by itself."""

FEWER = 4
"""Of an optimiser's steps, a frame that begins at the one before takes one in so many."""


@dataclass(frozen=True, eq=False)
class FilmWork:
    """A film to be painted: `source`, a file or a folder, in `styles`, blended, as `output`.

    An `output` without a suffix is a folder, and its frames are the result. `between`: an
    optimiser's steps for a frame that has one before it. `apart`: paint every frame by itself,
    to see what that would be like. `rate`: frames a second, of a folder.
    """

    source: Path
    styles: Sequence[str]
    output: Path
    settings: Settings
    between: int | None = None
    apart: bool = False
    rate: Fraction | None = None
    networks: Networks | None = None

    @property
    def is_folder(self) -> bool:
        """Whether the result is a folder of frames."""
        return not self.output.suffix

    def check(self) -> None:
        """`ImpastoError`, long work not yet begun, for what cannot be read, painted or written."""
        film = self.film
        check_no_pipe(self.output)
        if not self.is_folder:
            check_film_output(self.output)
        if self.output.exists() and self.output.samefile(film.path):
            raise OptionError(f"{self.output} is the film itself; choose another name")
        if self.between is not None and self.job.renderer.steps == 1:
            raise OptionError("`between` counts steps, and this method has one; leave it out")
        self.frames.check()

    @cached_property
    def film(self) -> Film:
        """The film that is painted."""
        return open_film(self.source, self.rate)

    @cached_property
    def job(self) -> Job:
        """Everything that is the same for all frames, planned with the first."""
        number, frame = self._first_seen()
        networks = self.networks or Networks()
        with self._naming(number):
            first = plan(frame.pixels, self.styles, self.settings, networks=networks)
        source = self.source.name if self.source.is_dir() else self.source
        recipe = first.recipe | {"content": first.recipe_of(source)["content"]}
        recipe |= {"film": {"apart": True} if self.apart else {"between": self._between(first)}}
        if self.apart:
            return replace(first, recipe=recipe)
        then = first
        if first.renderer.steps > 1:
            count = "refine" if self.settings.refine else "steps"
            fewer = self.settings.but(**{count: self._between(first)})
            then = plan(frame.pixels, self.styles, fewer, networks=networks)
        honoured = "before" in method_of(first.settings).honours
        following = Following(first.renderer, then.renderer, honoured=honoured)
        return replace(first, renderer=following, recipe=recipe)

    def _first_seen(self) -> tuple[int, FilmFrame]:
        for number, frame in enumerate(self.film.frames(), 1):
            if not _hidden(frame):
                return number, frame
        raise InputError(f"{self.film.path} is transparent all over; name another film")

    def _between(self, first: Job) -> int:
        return self.between or max(1, first.renderer.steps // FEWER)

    @cached_property
    def frames(self) -> PaintedFrames:
        """The frames that are painted."""
        if self.is_folder:
            return PaintedFrames(self.output, ".impasto-film", self.job.recipe, whole=True)
        beside = self.output.with_name(f"{self.output.name}.frames")
        return PaintedFrames(beside, "state", self.job.recipe, whole=False)

    def dump(self) -> dict[str, Any]:
        """As JSON has it, for a process in another folder; `read` makes it again."""
        known = [os.path.abspath(each) if os.path.isfile(each) else each for each in self.styles]
        return {
            "source": os.path.abspath(self.source),
            "styles": known,
            "output": os.path.abspath(self.output),
            "settings": absolute(self.settings).dump(),
            "between": self.between,
            "apart": self.apart,
            "rate": None if self.rate is None else str(self.rate),
        }

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "FilmWork":
        """What `dump` said."""
        given = {**told, "source": Path(told["source"]), "output": Path(told["output"])}
        given["settings"] = Settings.read(told["settings"])
        given["rate"] = None if told["rate"] is None else Fraction(told["rate"])
        return cls(**given)

    def scenes(self) -> Iterator[tuple[int, int]]:
        """The first and the last frame of each part of the film that can be painted without the
        others, to the same frames: of scenes, or, of a film whose frames are painted apart, of
        pieces.
        """
        if self.apart:
            first = number = 0
            for number, _ in enumerate(self.film.frames(), 1):
                first = first or number
                if number - first + 1 == PIECE:
                    yield first, number
                    first = 0
            if first:
                yield first, number
            return
        frames = enumerate(self.film.frames(), 1)
        nothing = torch.zeros(1, 3, 1, 1)  # of another size than any frame: not compared with one
        yield from scenes(
            nothing if _hidden(frame) else self._job_of(number, frame).content.image
            for number, frame in frames
        )

    def paint(self, first: int = 1, last: int | None = None) -> Iterator[Progress]:
        """Paint the frames that are missing, from the beginning of a scene to its end: a `Progress`
        for each, `step` its number.

        Raises `InputError` for a film that breaks off before its first frame and for a disk that is
        full; what is done stays.
        """
        job, painted, count = self.job, self.frames, self.film.count
        following = job.renderer if isinstance(job.renderer, Following) else None
        if following is not None:
            following.reset()
        runs = painted.begin() if (first, last) == (1, None) else painted.runs()
        done, start = first - 1, first
        frames = self._reading.since(first)
        for number, frame in islice(frames, None if last is None else last - first + 1):
            ahead = [run for run in runs if run.first <= number <= run.last]
            if number > done and ahead:
                run = max(ahead, key=lambda each: each.last)
                # What follows on from there continues that run, unless it was begun elsewhere.
                done, start = run.last, start if start < number else run.first
                if following is not None:
                    painted.restore(run, following)
            if number < done:
                continue
            if _hidden(frame):
                yield from self._keep_hidden(number, frame, start, there=number == done)
                continue
            here = self._job_of(number, frame)
            if number == done:
                if following is not None and following.seen is not None:
                    photo = floats_of(here.content.image)
                    following.seen = replace(following.seen, frame=photo)
                yield Progress(here.content.image, number, max(count or 0, number), note="there")
                continue
            step = deque(here.steps(), maxlen=1).pop()
            painted.add(number, frame, here.finish(step), job.renderer, start)
            yield replace(step, step=number, of=max(count or 0, number))

    def _job_of(self, number: int, frame: FilmFrame) -> Job:
        """The job of a frame; `InputError` for one that does not go with the others."""
        with self._naming(number):
            here = self.job.of(frame.pixels)
        (height, width), own = (job.content.image.shape[-2:] for job in (self.job, here))
        if own != (height, width) and not self.is_folder:
            raise InputError(
                f"frame {number} is not {width}x{height} like the first; write to a folder instead"
            )
        return here

    @contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        """What is wrong with an array is that frame's."""
        try:
            yield
        except InputError as error:
            said = str(error).replace("the array", f"frame {number} of {self.film.path}")
            raise InputError(said) from error

    def _keep_hidden(
        self, number: int, frame: FilmFrame, start: int, *, there: bool
    ) -> Iterator[Progress]:
        """A frame of which nothing is seen stays as it is, and the next begins a scene."""
        job = self.job
        if isinstance(job.renderer, Following):
            job.renderer.reset()
        image = torch.zeros_like(job.content.image)
        if not there:
            size = (image.shape[-1], image.shape[-2])
            self.frames.add(number, frame, Image.new("RGBA", size), job.renderer, start)
        note = "there" if there else ""
        yield Progress(image, number, max(self.film.count or 0, number), note=note)

    @cached_property
    def _reading(self) -> "_Reading":
        return _Reading(self.film)

    def finish(self) -> list[str]:
        """Write the film of the painted frames, and delete them; notes of what is worth knowing."""
        notes = [*self.film.notes]
        if self.is_folder:
            return notes
        notes += write_film(self.output, self.frames.read(), self.film, self.job.recipe)
        self.frames.delete()
        return notes


def _hidden(frame: FilmFrame) -> bool:
    """Whether nothing of it is seen."""
    return frame.pixels.shape[2] == 4 and not frame.pixels[..., 3].any()


class _Reading:
    """A film that is read on, for whoever needs it from some frame on: scene after scene it is read
    once.
    """

    def __init__(self, film: Film) -> None:
        self.film, self.last = film, 0
        self._frames: Iterator[tuple[int, FilmFrame]] = iter(())

    def since(self, first: int) -> Iterator[tuple[int, FilmFrame]]:
        """Frames and their numbers from `first` on."""
        if self.last >= first or self.last == 0:
            self._frames = enumerate(self.film.frames(), 1)
        for number, frame in self._frames:
            self.last = number
            if number >= first:
                yield number, frame
