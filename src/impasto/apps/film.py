"""A film painted, frame by frame, so that it can be stopped at any frame and goes on from there.

    work = FilmWork(Path("clip.mp4"), ["painting.jpg"], Path("out.mp4"), Settings(method="arbitrary"))
    for progress in work.paint():
        print(progress.step, "of", progress.of)
    work.finish()

Painted frames are kept as PNGs in a folder, `out.mp4.frames`, and beside them what the next frame
goes by. When all are there the film is written, and the folder deleted.
"""

import json
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.errors import InputError, OptionError
from impasto.film.following import Following, Seen
from impasto.film.frames import Film, FilmFrame
from impasto.film.opening import open_film
from impasto.film.writing import check_film_output, write_film
from impasto.methods.stylizer import Progress
from impasto.networks.loaded import Networks
from impasto.pictures.files import read_recipe, recipe_options, recipe_text
from impasto.pictures.writing import atomic_write
from impasto.pipeline import Job, method_of, plan
from impasto.settings import Settings

__all__ = ["FilmWork"]

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
        frame = next(self.film.frames())
        networks = self.networks or Networks()
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

    def _between(self, first: Job) -> int:
        return self.between or max(1, first.renderer.steps // FEWER)

    @cached_property
    def frames(self) -> "_Kept":
        """The frames that are painted."""
        if self.is_folder:
            return _Kept(self.output, ".impasto-film", self.job.recipe)
        beside = self.output.with_name(f"{self.output.name}.frames")
        return _Kept(beside, "state", self.job.recipe)

    def paint(self) -> Iterator[Progress]:
        """Paint the frames that are missing: a `Progress` for each, `step` its number.

        Raises `InputError` for a film that breaks off before its first frame and for a disk that is
        full; what is done stays.
        """
        job, kept, count = self.job, self.frames, self.film.count
        renderer = job.renderer
        done = kept.restore(renderer if isinstance(renderer, Following) else None)
        number = 0
        for number, frame in enumerate(self.film.frames(), 1):
            if number < done:
                continue
            here = job.of(frame.pixels)
            if number == done:
                if isinstance(renderer, Following) and renderer.seen is not None:
                    renderer.seen = replace(renderer.seen, frame=here.content.image)
                yield Progress(here.content.image, number, max(count or 0, number), note="there")
                continue
            step = deque(here.steps(), maxlen=1).pop()
            kept.add(number, frame, here.finish(step), renderer)
            yield replace(step, step=number, of=max(count or 0, number))

    def finish(self) -> list[str]:
        """Write the film of the painted frames, and delete them; notes of what is worth knowing."""
        notes = [*self.film.notes]
        if self.is_folder:
            return notes
        text = recipe_text(self.job.recipe)
        notes += write_film(self.output, self.frames.read(), self.film, text)
        self.frames.delete()
        return notes


class _Kept:
    """Painted frames in a folder, and what the next one goes by."""

    def __init__(self, folder: Path, state: str, recipe: Mapping[str, object]) -> None:
        self.folder, self.recipe = folder, recipe
        self.state = folder / f"{state}.safetensors"
        aside = ("impasto", "torch")
        self._asked = json.dumps({k: v for k, v in recipe.items() if k not in aside})

    def check(self) -> None:
        """Make the folder; `InputError` where that cannot be, or others' files are in it."""
        try:
            self.folder.mkdir(exist_ok=True)
            # Of a run that was killed at its first frame there may be that frame alone.
            found = [] if self.state.exists() else list(self.folder.iterdir())
            with atomic_write(self.folder / "x") as probe:
                probe.touch()
            (self.folder / "x").unlink()
        except OSError as error:
            raise InputError(
                f"cannot write into {self.folder} ({error.strerror}); choose another place"
            ) from error
        if not all(map(_is_own, found)):
            raise InputError(f"{self.folder} is not empty; choose another name, or empty it")

    def restore(self, renderer: Following | None) -> int:
        """How many frames are there, made as is asked now; `renderer` then goes on from the last."""
        if not self.state.exists():
            return 0
        with safe_open(self.state, framework="pt") as file:
            known = file.metadata()
            if known.get("asked") != self._asked:
                return 0
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if renderer is not None:
            renderer.seen = Seen(torch.empty(0), found["picture"].float() / 255)
            half = (len(found) - 1) // 2
            renderer.moments.means = [found[f"mean/{place}"] for place in range(half)]
            renderer.moments.variances = [found[f"variance/{place}"] for place in range(half)]
        return int(known["done"])

    def add(self, number: int, frame: FilmFrame, picture: Image.Image, renderer: Any) -> None:
        """Keep the picture of a frame; `InputError` where there is no room for it."""
        told = {"time": str(frame.time)}
        recipe = {**self.recipe, "frame": number, **told}
        name = f"{frame.name or f'{number:08}'}.png"
        found: dict[str, Tensor] = {"none": torch.empty(0)}
        if isinstance(renderer, Following) and renderer.seen is not None:
            found = {"picture": (renderer.seen.picture * 255).round().to(torch.uint8)}
            pairs = zip(renderer.moments.means, renderer.moments.variances, strict=True)
            for place, (mean, variance) in enumerate(pairs):
                found |= {f"mean/{place}": mean, f"variance/{place}": variance}
        try:
            with atomic_write(self.folder / name) as partial:
                options = recipe_options("PNG", recipe)
                picture.save(partial, format="PNG", compress_level=1, **options)
            with atomic_write(self.state) as partial:
                save_file(found, partial, {"asked": self._asked, "done": str(number)})
        except Exception as error:  # safetensors has errors of its own
            raise InputError(
                f"cannot keep frame {number} in {self.folder} ({error}); make room, and go on by "
                "the same command"
            ) from error

    def read(self) -> Iterator[FilmFrame]:
        """The frames in their order."""
        for path in sorted(self.folder.glob("[0-9]*.png")):
            told = read_recipe(path) or {}
            with Image.open(path) as image:
                yield FilmFrame(np.asarray(image), Fraction(str(told["time"])))

    def delete(self) -> None:
        """The folder with all that is in it."""
        shutil.rmtree(self.folder)


def _is_own(path: Path) -> bool:
    """Whether a file is a painted frame, or was about to become one."""
    if path.name.startswith(".impasto-"):
        return True
    with suppress(InputError):
        return "frame" in (read_recipe(path) or {})
    return False
