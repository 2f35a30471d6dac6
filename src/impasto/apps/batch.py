"""Many photos in many styles: every picture is a task of its own, done once, whatever happens
between.

    output = Path("out")
    batch = Batch(find("photos", output), [("painting.jpg",)], output, Settings(size=1024))
    batch.check()
    worker = Worker(batch.settings)
    for task in batch.tasks():
        outcome = worker.paint(task)

Whether a picture is there already is read from the picture itself: from the recipe in its file. So
a run that was stopped, or killed, goes on with the same call, and so does one on many machines.
"""

import errno
import glob
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from impasto.apps.report import verdict
from impasto.errors import InputError, OptionError
from impasto.methods.stylizer import Progress
from impasto.networks.loaded import Networks
from impasto.pictures.image import check_output, read_recipe
from impasto.pictures.writing import FORMATS, sweep
from impasto.pipeline import Job, plan
from impasto.settings import Settings

__all__ = ["Arrivals", "Batch", "Outcome", "Photo", "Task", "Worker", "find"]

State = Literal["painted", "there", "left out"]
Told = Callable[[Progress], None]

# Of a recipe, what may differ although the picture is the one asked for.
_ASIDE = frozenset({"impasto", "torch", "steps_done", "device", "dtype"})
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_LIST = ".txt"


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a batch: its file, and its name, the path without ending below the folder where it
    was found.
    """

    path: str
    name: str


@dataclass(frozen=True)
class Task:
    """One picture to be made: `photo` in `styles`, blended where there are several, as `output`."""

    photo: str
    styles: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    `state`: "painted", "there" already, or "left out", and then `said` tells why. `code`: the exit
    code that this one calls for. `last`: nothing more can be written, so nothing more should be
    tried. `seconds`: how long it took.
    """

    task: Task
    state: State
    seconds: float
    said: str = ""
    code: int = 0
    last: bool = False


@dataclass(frozen=True)
class Batch:
    """Every photo in every style of `styles` (each a blend of one or more), below the folder
    `output`.

    Of one style the pictures are `output/NAME.png`; of several, `output/STYLE/NAME.png`. `form` is
    the suffix.
    """

    photos: Sequence[Photo]
    styles: Sequence[tuple[str, ...]]
    output: Path
    settings: Settings
    form: str = ".png"

    def check(self) -> None:
        """Make the folders and clear away what a killed run left half-written there.

        Raises `ImpastoError`, long work not yet begun, for folders that cannot be written.
        """
        if self.form not in FORMATS:
            raise OptionError(f"`form` is a suffix of pictures: {' '.join(sorted(FORMATS))}")
        if not self.styles:
            raise InputError("name a style after the photos (impasto styles lists some)")
        for folder in {self._folder(style) for style in self.styles}:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"cannot make the folder {folder} ({error.strerror}); choose another"
                ) from error
            check_output(folder / f"x{self.form}")
            sweep(folder)

    def tasks(self) -> Iterator[Task]:
        """Photo by photo, each in all the styles. A second photo of one name keeps its ending."""
        taken = set[str]()
        for photo in self.photos:
            name = photo.name
            if name in taken:
                name += os.path.splitext(photo.path)[1]
            taken.add(name)
            for style in self.styles:
                output = self._folder(style) / f"{name}{self.form}"
                yield Task(photo.path, style, str(output))

    def _folder(self, style: tuple[str, ...]) -> Path:
        if len(self.styles) == 1:
            return self.output
        place = self.styles.index(style)
        stems = ["-".join(Path(name).stem for name in each) for each in self.styles[: place + 1]]
        stem = stems.pop()
        same = stems.count(stem)  # paintings of one name, from different folders
        return self.output / (f"{stem}-{same + 1}" if same else stem)


def find(source: str, output: Path) -> list[Photo]:
    """The photos that `source` names, in order: a folder and all below it but for `output`, a
    pattern with `*`, a list of paths in a `.txt` file, or one file.

    A folder may be empty. Raises `InputError` where there is nothing of that name, and
    `OptionError` where a folder's pictures would be written among its photos.
    """
    if os.path.isdir(source):
        return list(_below(source, os.path.realpath(output)))
    if os.path.isfile(source) and source.lower().endswith(_LIST):
        beside = os.path.dirname(source)
        with open(source, encoding="utf-8", errors="surrogateescape") as file:
            paths = [os.path.join(beside, line.strip()) for line in file if line.strip()]
    elif os.path.isfile(source):
        paths = [source]
    else:
        paths = [path for path in sorted(glob.glob(source, recursive=True)) if _is_picture(path)]
    if not paths:
        raise InputError(f"{source} names no photos; give a folder, a pattern or a list of files")
    return [Photo(path, Path(path).stem) for path in paths]


def _below(folder: str, output: str) -> Iterator[Photo]:
    if os.path.commonpath([os.path.realpath(folder), output]) == output:
        raise OptionError(f"the photos of {folder} lie in the output folder; choose another")
    for inside, folders, files in os.walk(folder):
        # In place: `os.walk` goes where these say.
        folders[:] = sorted(
            name for name in folders if os.path.realpath(os.path.join(inside, name)) != output
        )
        for name in sorted(files):
            path = os.path.join(inside, name)
            if _is_picture(path):
                yield Photo(path, os.path.splitext(os.path.relpath(path, folder))[0])


def _is_picture(path: str) -> bool:
    """Whether a file has a picture's ending and is not hidden."""
    ending, name = os.path.splitext(path)[1].lower(), os.path.basename(path)
    return not name.startswith(".") and ending in _readable() and os.path.isfile(path)


@cache
def _readable() -> frozenset[str]:
    endings = Image.registered_extensions()
    return frozenset(ending for ending, form in endings.items() if form in Image.OPEN)


class Arrivals:
    """Photos that come to a folder, or under a pattern: each is given once, when it no longer
    grows, and again when it has changed.
    """

    def __init__(self, source: str, output: Path) -> None:
        self.source, self.output = source, output
        self._seen: dict[Photo, tuple[int, int]] = {}
        self._given: dict[Photo, tuple[int, int]] = {}

    def new(self) -> list[Photo]:
        """Those that are as they were when last looked at; call it every second or so."""
        before, self._seen = self._seen, {}
        for photo in find(self.source, self.output):
            with suppress(OSError):
                found = os.stat(photo.path)
                self._seen[photo] = (found.st_mtime_ns, found.st_size)
        ready = {
            photo: stamp
            for photo, stamp in self._seen.items()
            if before.get(photo) == stamp != self._given.get(photo)
        }
        self._given |= ready
        return list(ready)


class Worker:
    """Paints tasks one after another; networks are loaded and styles read once."""

    def __init__(self, settings: Settings) -> None:
        if settings.recipe == "none":
            raise OptionError(
                "`recipe=none` leaves nothing by which a folder is gone on with; take `recipe=short`"
            )
        self.settings, self.networks = settings, Networks()
        self._jobs: dict[tuple[str, ...], Job] = {}

    def job(self, styles: tuple[str, ...]) -> Job:
        """The job of these styles, on grey paper: what is wrong with a style or a setting is no
        photo's fault, and is raised here as `ImpastoError`.
        """
        if styles not in self._jobs:
            paper = Image.new("RGB", (64, 64), "grey")
            self._jobs[styles] = plan(paper, styles, self.settings, networks=self.networks)
        return self._jobs[styles]

    def paint(self, task: Task, told: Told | None = None) -> Outcome:
        """Make the picture, unless it is there; what is wrong with it is said in the outcome.

        `told` is called with every step.
        """
        begun = time.perf_counter()
        try:
            state = self._paint(task, told)
        except (
            Exception
        ) as error:  # one photo, or one fault of a decoder, is not to cost the others
            said, code = verdict(error)
            seconds = time.perf_counter() - begun
            return Outcome(task, "left out", seconds, said, code, last=_full(error))
        return Outcome(task, state, time.perf_counter() - begun)

    def _paint(self, task: Task, told: Told | None) -> State:
        ready, output = self.job(task.styles), Path(task.output)
        if output.exists():
            found = read_recipe(output)
            if found is None:
                raise InputError(f"{output} is there and was not made by impasto; move it away")
            if output.samefile(task.photo):
                raise InputError(f"{output} is the photo itself; choose another folder")
            # A photo that the recipe does not name has another one in its place if that is newer.
            stale = output.stat().st_mtime < os.path.getmtime(task.photo)
            if _alike(found, ready.recipe_of(task.photo)) and not stale:
                return "there"
        if self.settings.keep_color == "statistics":
            # Every photo has its own palette for the style.
            job = plan(task.photo, task.styles, self.settings, networks=self.networks)
        else:
            job = ready.of(task.photo)
        for step in job.steps():
            if told is not None:
                told(step)
        output.parent.mkdir(parents=True, exist_ok=True)
        job.save(step, output)
        return "painted"


def _alike(found: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a finished picture with the recipe `found` is the one that is asked for."""
    known: Mapping[str, Any] = json.loads(json.dumps(asked))
    names = ({*found} | {*known}) - _ASIDE
    return all(found.get(name) == known.get(name) for name in names)


def _full(error: BaseException) -> bool:
    """Whether there is no place left to write to."""
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, OSError) and error.errno in _FULL
