"""The frames of a film that are painted, in a folder, and what the next one goes by.

Frames are painted in runs: from the first of the film on, or from the first of a scene. With each
run stands a state, of its last frame, and from there it goes on to the same film, in this process
or another.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.errors import InputError
from impasto.film.following import Following, Seen
from impasto.film.frames import FilmFrame
from impasto.pictures.recipes import read_recipe, recipe_options
from impasto.pictures.writing import atomic_write, sweep

__all__ = ["PaintedFrames", "Run"]


@dataclass(frozen=True)
class Run:
    """Frames `first` to `last` are painted, and `state` is what the next one goes by."""

    first: int
    last: int
    state: Path


class PaintedFrames:
    """Painted frames, as PNGs, and the states of their runs, in files of the name `state`.

    `whole`: whether the folder is the result, and not deleted in the end.
    """

    def __init__(
        self, folder: Path, state: str, recipe: Mapping[str, object], *, whole: bool
    ) -> None:
        self.folder, self.state, self.recipe, self.whole = folder, state, recipe, whole
        aside = ("impasto", "torch")
        self._asked = json.dumps({k: v for k, v in recipe.items() if k not in aside})

    def check(self) -> None:
        """Make the folder; `InputError` where that cannot be, or others' files are in it."""
        try:
            self.folder.mkdir(exist_ok=True)
            # Of a run that was killed at its first frame there may be that frame alone.
            found = [] if list(self._states()) else list(self.folder.iterdir())
            with atomic_write(self.folder / "x") as probe:
                probe.touch()
            (self.folder / "x").unlink()
        except OSError as error:
            raise InputError(
                f"cannot write into {self.folder} ({error.strerror}); choose another place"
            ) from error
        if not all(map(_is_own, found)):
            raise InputError(f"{self.folder} is not empty; choose another name, or empty it")
        sweep(self.folder)

    def begin(self) -> list[Run]:
        """The runs that were made as is asked now; whatever was not is deleted."""
        found = self.runs()
        for path in set(self._states()) - {run.state for run in found}:
            path.unlink()
        if not found and not self.whole:
            for path in self.folder.glob("[0-9]*.png"):
                path.unlink()
        return found

    def runs(self) -> list[Run]:
        """Those that were made as is asked now."""
        found = []
        for path in self._states():
            # Others may be writing here, and deleting.
            with suppress(OSError, SafetensorError), safe_open(path, framework="pt") as file:
                known = file.metadata() or {}
                if known.get("asked") == self._asked:
                    found.append(Run(int(known.get("first", 1)), int(known["done"]), path))
        return found

    @property
    def count(self) -> int:
        """How many frames are there."""
        count = last = 0
        for run in sorted(self.runs(), key=lambda each: each.first):
            count += max(0, run.last - max(last, run.first - 1))
            last = max(last, run.last)
        return count

    def restore(self, run: Run, renderer: Following) -> None:
        """`renderer` goes on from the last frame of a run, once it is shown that frame."""
        with safe_open(run.state, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if "picture" not in found:  # nothing was seen of that frame
            renderer.reset()
            return
        renderer.seen = Seen(torch.empty(0), found["picture"].float() / 255)
        half = (len(found) - 1) // 2
        renderer.moments.means = [found[f"mean/{place}"] for place in range(half)]
        renderer.moments.variances = [found[f"variance/{place}"] for place in range(half)]

    def add(
        self, number: int, frame: FilmFrame, picture: Image.Image, renderer: Any, first: int
    ) -> None:
        """Keep the picture of a frame, of the run that begins at `first`; `InputError` where there
        is no room for it.
        """
        recipe = {**self.recipe, "frame": number, "time": str(frame.time)}
        # A folder keeps the names that its frames had; otherwise they are read again in their order.
        name = frame.name if self.whole and frame.name else f"{number:08}"
        found: dict[str, Tensor] = {"none": torch.empty(0)}
        if isinstance(renderer, Following) and renderer.seen is not None:
            found = {"picture": (renderer.seen.picture * 255).round().to(torch.uint8)}
            pairs = zip(renderer.moments.means, renderer.moments.variances, strict=True)
            for place, (mean, variance) in enumerate(pairs):
                found |= {f"mean/{place}": mean, f"variance/{place}": variance}
        told = {"asked": self._asked, "first": str(first), "done": str(number)}
        try:
            with atomic_write(self.folder / f"{name}.png") as partial:
                options = recipe_options("PNG", recipe)
                picture.save(partial, format="PNG", compress_level=1, **options)
            with atomic_write(self._of(first)) as partial:
                save_file(found, partial, told)
        except Exception as error:  # safetensors has errors of its own
            # Another process that painted the same film has ended, and deleted them.
            gone = not self.folder.is_dir()
            remedy = "the folder is gone" if gone else "make room, and go on by the same command"
            raise InputError(
                f"cannot keep frame {number} in {self.folder} ({error}); {remedy}"
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

    def _states(self) -> Iterator[Path]:
        return self.folder.glob(f"{self.state}*.safetensors")

    def _of(self, first: int) -> Path:
        place = "" if first == 1 else f"-{first:08}"
        return self.folder / f"{self.state}{place}.safetensors"


def _is_own(path: Path) -> bool:
    """Whether a file is a painted frame, or was about to become one."""
    if path.name.startswith(".impasto-"):
        return True
    with suppress(InputError):
        return "frame" in (read_recipe(path) or {})
    return False
