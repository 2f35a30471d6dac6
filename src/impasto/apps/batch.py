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

Photos and pictures may lie elsewhere, by URLs that fsspec knows (`impasto.apps.stores`). Then
`Worker.outcomes` fetches the next photos and puts the last pictures while it paints.
"""

import errno
import json
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from impasto.apps import stores
from impasto.apps.finding import Photo
from impasto.apps.report import verdict
from impasto.errors import InputError, OptionError
from impasto.methods.stylizer import Progress
from impasto.networks.loaded import Networks
from impasto.pictures.image import check_output, read_recipe
from impasto.pictures.writing import FORMATS, check_no_pipe, make_folder, sweep
from impasto.pipeline import Job, plan
from impasto.settings import Settings

__all__ = ["AHEAD", "Batch", "Outcome", "Task", "Underway", "Worker"]

State = Literal["painted", "there", "left out"]
Told = Callable[[Progress], None]

# Of a recipe, what may differ although the picture is the one asked for.
_ASIDE = frozenset({"impasto", "torch", "steps_done", "device", "dtype"})
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

AHEAD = 8
"""Pictures that a worker has under way at most: one is painted, the others are fetched or put. So a
slow store is not waited for, and what is held is little.
"""


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
    the suffix. Raises `ImpastoError` for no styles, or a suffix that no picture has.
    """

    photos: Sequence[Photo]
    styles: Sequence[tuple[str, ...]]
    output: Path | str
    settings: Settings
    form: str = ".png"

    def __post_init__(self) -> None:
        if self.form not in FORMATS:
            raise OptionError(f"`form` is a suffix of pictures: {' '.join(sorted(FORMATS))}")
        if not self.styles:
            raise InputError("name a style after the photos (impasto styles lists some)")
        check_no_pipe(Path(self.output))

    def check(self) -> None:
        """Make the folders and clear away what a killed run left half-written there.

        Raises `ImpastoError`, long work not yet begun, for folders that cannot be written.
        """
        for name in {self._folder(style) for style in self.styles}:
            if stores.is_url(name):
                stores.prepare(name)
                continue
            folder = Path(name)
            make_folder(folder)
            check_output(folder / f"x{self.form}")
            sweep(folder)

    @property
    def elsewhere(self) -> bool:
        """Whether photos or pictures do not lie on this machine."""
        return stores.is_url(str(self.output)) or any(
            stores.is_url(photo.path) for photo in self.photos
        )

    def tasks(self) -> Iterator[Task]:
        """Photo by photo, each in all the styles. A second photo of one name keeps its ending."""
        taken = set[str]()
        for photo in self.photos:
            name = photo.name
            if name in taken:
                name += os.path.splitext(photo.path)[1]
            taken.add(name)
            for style in self.styles:
                output = stores.below(self._folder(style), f"{name}{self.form}")
                yield Task(photo.path, style, output)

    def _folder(self, style: tuple[str, ...]) -> str:
        output = stores.plain(str(self.output))
        if len(self.styles) == 1:
            return output
        place = self.styles.index(style)
        stems = ["-".join(Path(name).stem for name in each) for each in self.styles[: place + 1]]
        stem = stems.pop()
        same = stems.count(stem)  # paintings of one name, from different folders
        return stores.below(output, f"{stem}-{same + 1}" if same else stem)


@dataclass
class Underway:
    """A picture on its way through a `Worker`: `photo` and `output` are files of this machine,
    copies where the task's own lie elsewhere. `outcome`: once it is decided.
    """

    task: Task
    photo: str
    output: str
    seconds: float = 0.0
    outcome: Outcome | None = None


class Worker:
    """Paints tasks one after another; networks are loaded and styles read once.

    A picture is fetched, made and put: `fetch` and `put` wait for a store, if for anything, and may
    run in other threads meanwhile; `make` computes.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.recipe == "none":
            raise OptionError(
                "`recipe=none` leaves nothing by which a folder is gone on with; take `recipe=short`"
            )
        self.settings, self.networks = settings, Networks()
        self._jobs: dict[tuple[str, ...], Job] = {}
        self._loading = threading.Lock()
        self._aside = tempfile.TemporaryDirectory(prefix="impasto-", ignore_cleanup_errors=True)

    def job(self, styles: tuple[str, ...]) -> Job:
        """The job of these styles, on grey paper: what is wrong with a style or a setting is no
        photo's fault, and is raised here as `ImpastoError`.
        """
        with self._loading:
            if styles not in self._jobs:
                paper = Image.new("RGB", (64, 64), "grey")
                self._jobs[styles] = plan(paper, styles, self.settings, networks=self.networks)
            return self._jobs[styles]

    def paint(self, task: Task, told: Told | None = None) -> Outcome:
        """Make the picture, unless it is there; what is wrong with it is said in the outcome.

        `told` is called with every step.
        """
        return self.put(self.make(self.fetch(task), told))

    def outcomes(
        self, tasks: Iterable[Task], told: Told | None = None, ahead: int = AHEAD
    ) -> Generator[Outcome]:
        """What `paint` says of each task, in their order, with so many under way at once."""
        more = iter(tasks)
        coming, going = deque[Future[Underway]](), deque[Future[Outcome]]()
        with ThreadPoolExecutor(ahead) as pool:
            try:
                first = islice(more, max(1, ahead - 1))
                coming.extend(pool.submit(self.fetch, task) for task in first)
                while coming or going:
                    if coming:
                        made = self.make(coming.popleft().result(), told)
                        going.append(pool.submit(self.put, made))
                        coming.extend(pool.submit(self.fetch, task) for task in islice(more, 1))
                    while going and (going[0].done() or len(going) >= ahead or not coming):
                        yield going.popleft().result()
            finally:
                for fetching in coming:
                    fetching.cancel()

    def fetch(self, task: Task) -> Underway:
        """Look whether the picture is there and, if it is not, have the photo on this machine."""
        found = Underway(task, task.photo, task.output)
        return self._stage(found, self._fetch)

    def make(self, found: Underway, told: Told | None = None) -> Underway:
        """Paint what was fetched, and write it to a file of this machine."""
        return self._stage(found, lambda each: self._make(each, told))

    def put(self, made: Underway) -> Outcome:
        """Have the picture where the task wants it, and nothing left of its copies."""
        outcome = self._stage(made, self._put).outcome
        for copy, own in ((made.photo, made.task.photo), (made.output, made.task.output)):
            if copy != own:
                shutil.rmtree(Path(copy).parent, ignore_errors=True)
        assert outcome is not None
        return outcome

    def _stage(self, each: Underway, work: Callable[[Underway], State | None]) -> Underway:
        """`work` done, unless all is decided; what goes wrong, or the state, is the outcome."""
        if each.outcome is not None:
            return each
        begun = time.perf_counter()
        said, code, last = "", 0, False
        try:
            state = work(each)
        except (
            Exception
        ) as error:  # one photo, or one fault of a decoder, is not to cost the others
            (said, code), state, last = verdict(error), "left out", _full(error)
            for copy, own in ((each.photo, each.task.photo), (each.output, each.task.output)):
                said = said.replace(copy, own)
        each.seconds += time.perf_counter() - begun
        if state is not None:
            each.outcome = Outcome(each.task, state, each.seconds, said, code, last)
        return each

    def _fetch(self, each: Underway) -> State | None:
        task, ready = each.task, self.job(each.task.styles)
        if stores.is_url(task.output):
            each.output = self._copy(task.output)
        there = stores.is_url(task.photo) or stores.is_url(task.output)
        if self._is_there_elsewhere(each, ready) if there else self._is_there(task, ready):
            return "there"
        if stores.is_url(task.photo):
            each.photo = self._copy(task.photo)
            stores.fetch(task.photo, Path(each.photo))
        return None

    def _is_there(self, task: Task, ready: Job) -> bool:
        output = Path(task.output)
        if not output.exists():
            return False
        found = read_recipe(output)
        if found is None:
            raise InputError(f"{output} is there and was not made by impasto; move it away")
        if output.samefile(task.photo):
            raise InputError(f"{output} is the photo itself; choose another folder")
        # A photo that the recipe does not name has another one in its place if that is newer.
        stale = output.stat().st_mtime < os.path.getmtime(task.photo)
        return _alike(found, ready.recipe_of(task.photo)) and not stale

    def _is_there_elsewhere(self, each: Underway, ready: Job) -> bool:
        """By the times that the store has written down, not by the photo, which is not fetched to
        know it again.
        """
        photo, output = each.task.photo, each.task.output
        written = _modified(output)
        if written is None:
            return False
        if photo == output:
            raise InputError(f"{output} is the photo itself; choose another folder")
        found = (
            stores.recipe_of(output, Path(each.output))
            if stores.is_url(output)
            else read_recipe(output)
        )
        if found is None:
            raise InputError(f"{output} is there and was not made by impasto; move it away")
        asked = {**ready.recipe, "content": found.get("content")}
        return _alike(found, asked) and written >= (_modified(photo) or 0.0)

    def _make(self, each: Underway, told: Told | None) -> State | None:
        task, ready = each.task, self.job(each.task.styles)
        if self.settings.keep_color == "statistics":
            # Every photo has its own palette for the style.
            job = plan(each.photo, task.styles, self.settings, networks=self.networks)
        else:
            job = ready.of(each.photo)
        for step in job.steps():
            if told is not None:
                told(step)
        output = Path(each.output)
        output.parent.mkdir(parents=True, exist_ok=True)
        job.save(step, output)
        return None if stores.is_url(task.output) else "painted"

    def _put(self, each: Underway) -> State:
        stores.put(Path(each.output), each.task.output)
        return "painted"

    def _copy(self, url: str) -> str:
        """A name on this machine for what lies elsewhere, alone in a folder."""
        return os.path.join(tempfile.mkdtemp(dir=self._aside.name), url.rpartition("/")[2])


def _modified(path: str) -> float | None:
    if stores.is_url(path):
        return stores.modified(path)
    return os.path.getmtime(path) if os.path.exists(path) else None


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
