"""Pictures and scenes painted by many processes on many machines, by Ray, which is optional and
stands only here.

What travels is a task and what became of it, as JSON has them: `Settings`, paths, numbers. Every
worker holds its networks for as long as it lives. Ray Data is not used: it moves rows in blocks
through its object store and gives a block out again whole, while here a row is a path, and what
counts is the file that a worker has written.
"""

import json
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from math import ceil
from typing import Any, Generic, TypeVar

from impasto.apps.batch import Outcome, Task, Worker
from impasto.apps.film import FilmWork
from impasto.apps.finding import absolute, reached
from impasto.apps.report import verdict
from impasto.errors import InputError, OptionError
from impasto.settings import Settings

__all__ = ["TRIES", "outcomes_by_ray", "scenes_by_ray"]

J = TypeVar("J")

_TOLD = ("state", "seconds", "said", "code", "last")

TRIES = 3
"""How often a task is given out, where workers die of it or fail unexpectedly, before it is left
out.
"""


def outcomes_by_ray(
    settings: Settings,
    tasks: Iterator[Task],
    address: str,
    workers: int | None = None,
    ahead: int = 2,
) -> Generator[Outcome]:
    """What became of the tasks, in the order in which they are done.

    `address`: `local` starts Ray on this machine, `auto` joins what this machine is part of,
    anything else is where a cluster listens. `workers`: how many; by default one a GPU or, where
    there is none, one a processor. `ahead`: how many tasks each has, to hide what a store takes.
    A worker that dies is replaced, and its tasks are given out
    again, each alone: pictures that it had written count as there. Raises `OptionError` where the
    extra `ray` is missing, `InputError` where no cluster answers, or no worker lives.
    """
    told = json.dumps(absolute(settings).dump())
    with _pool(_Painter, told, address, workers, ahead=ahead) as painters:
        given = ((task, _arguments(task)) for task in tasks)
        for task, answer in filter(None, painters.answers(given, again=_unexpected)):
            if isinstance(answer, _Died):
                said = f"{task.photo} was given up: {answer.tries} workers died over it"
                yield Outcome(task, "left out", 0.0, said, code=1)
            else:
                yield Outcome(task, **answer)


def _unexpected(answer: dict[str, Any]) -> bool:
    """Whether a task may do better another time."""
    return bool(answer["code"] == 1)


def _arguments(task: Task) -> tuple[Any, ...]:
    """A task for a process in another folder."""
    styles = [reached(each) if os.path.isfile(each) else each for each in task.styles]
    return reached(task.photo), styles, reached(task.output)


def scenes_by_ray(
    film: FilmWork, address: str, workers: int | None = None
) -> Generator[tuple[int, int]]:
    """Paint a film scene by scene, the scenes by many workers: the same frames as `film.paint`
    makes. Told every second: how many frames are there, and how many scenes were found so far.

    A scene is one worker's; a worker that dies is replaced, and another goes on with its scene from
    the last frame that it kept. Arguments and errors as of `outcomes_by_ray`; `InputError` also
    for frames that cannot be read or kept.
    """
    runs, found = film.frames.begin(), 0

    def parts() -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        nonlocal found
        for first, last in film.scenes():
            found += 1
            if not any(run.first <= first and last <= run.last for run in runs):
                yield (first, last), (first, last)

    missing = parts()
    begun = list(islice(missing, 1))
    if not begun:
        return
    with _pool(_Filmer, json.dumps(film.dump()), address, workers) as filmers:
        for answered in filmers.answers(chain(begun, missing), again=_unexpected, every=1.0):
            if answered is not None:
                (first, last), answer = answered
                if isinstance(answer, _Died):
                    raise InputError(f"{answer.tries} workers died over frames {first} to {last}")
                if answer["said"]:
                    raise InputError(answer["said"])
            yield film.frames.count, found


class _Filmer:
    """An actor that paints scenes of one film."""

    def __init__(self, film: str) -> None:
        self.film = FilmWork.read(json.loads(film))

    def work(self, first: int, last: int) -> dict[str, Any]:
        try:
            for _ in self.film.paint(first, last):
                pass
        except Exception as error:
            said, code = verdict(error)
            return {"said": said, "code": code}
        return {"said": "", "code": 0}


class _Painter:
    """An actor: a `Worker` that takes and gives what JSON has. Photos are fetched, and pictures put,
    by the threads in which Ray calls it; one thread paints.
    """

    def __init__(self, settings: str) -> None:
        self.worker = Worker(Settings.read(json.loads(settings)))
        self.hand = ThreadPoolExecutor(1)

    def work(self, photo: str, styles: list[str], output: str) -> dict[str, Any]:
        fetched = self.worker.fetch(Task(photo, tuple(styles), output))
        made = self.hand.submit(self.worker.make, fetched).result()
        outcome = self.worker.put(made)
        return {name: getattr(outcome, name) for name in _TOLD}


@contextmanager
def _pool(
    kind: type, job: str, address: str, workers: int | None = None, *, ahead: int = 1
) -> Iterator["_Pool"]:
    """Workers of that kind, each made of `job`, whose `work` takes up to `ahead` tasks at once.

    Arguments and errors as of `outcomes_by_ray`. Ray ends with the block.
    """
    ray = _ray()
    _connect(ray, address)
    try:
        there = ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 1))
        count = workers or gpus or cpus
        needs = {**_needs(count, gpus, cpus), "max_concurrency": ahead}
        yield _Pool(ray, ray.remote(kind).options(**needs), job, count, ahead)
    finally:
        ray.shutdown()


def _needs(count: int, gpus: int, cpus: int) -> dict[str, Any]:
    """What Ray is to keep for each of so many workers: never so much that one finds no place."""
    if gpus:
        return {"num_gpus": 1 / ceil(count / gpus), "num_cpus": 0}
    return {"num_cpus": 1 if count <= cpus else 0, "scheduling_strategy": "SPREAD"}


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise OptionError(
            "`ray` needs the extra ray: pip install 'impasto[ray]', on every machine"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    # Ray would repeat here what its workers print there.
    given: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        given["include_dashboard"] = False
    try:
        host, _, port = address.rpartition("/")[2].rpartition(":")
        if port.isdigit():
            # Ray itself would try for minutes.
            socket.create_connection((host, int(port)), timeout=10).close()
        with _same_signals():
            ray.init(address=address, **given)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray answers at {address!r} ({error}); start one, or use `ray=local`"
        ) from error


@contextmanager
def _same_signals() -> Iterator[None]:
    """What SIGTERM does here stays as it was: Ray would end the process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class _Died:
    """In place of an answer: so many workers died over a task."""

    tries: int


@dataclass(eq=False)
class _Given(Generic[J]):
    """A task and its arguments, how often it was given out, and where it is now."""

    task: J
    arguments: tuple[Any, ...]
    tries: int = 0
    place: Any = None
    actor: Any = None


@dataclass(eq=False)
class _Place:
    """Where an actor works, the one that is there now, and how many tasks it has; `alone`: one that
    is to have no other beside it.
    """

    actor: Any
    load: int = 0
    alone: bool = False


@dataclass(eq=False)
class _Pool:
    """So many actors, each with up to `ahead` tasks at a time, the one it works at among them."""

    ray: Any
    remote: Any
    job: str
    count: int
    ahead: int
    places: list[_Place] = field(default_factory=list)
    waiting: dict[Any, _Given[Any]] = field(default_factory=dict)

    def answers(
        self,
        tasks: Iterator[tuple[J, tuple[Any, ...]]],
        again: Callable[[Any], bool] = lambda _: False,
        every: float | None = None,
    ) -> Iterator[tuple[J, Any] | None]:
        """Each task with what `work` gave for its arguments, or `_Died`, as they come; None when
        `every` seconds have passed without one.

        No more tasks are taken than there is room for. Those whose worker died, or of whose answer
        `again` is true, are given out once more, `TRIES` times in all: at the end and alone, so
        that nothing else is lost with one that kills.
        """
        self.places = [_Place(self.remote.remote(self.job)) for _ in range(self.count)]
        coming, later = (_Given(*each) for each in tasks), deque[_Given[J]]()
        self._fill(coming, later)
        deaths = 0
        while self.waiting:
            ready, _ = self.ray.wait(list(self.waiting), num_returns=1, timeout=every)
            if not ready:
                yield None
                continue
            given = self.waiting.pop(ready[0])
            place, answer = given.place, None
            place.load, place.alone = place.load - 1, False
            try:
                answer, deaths = self.ray.get(ready[0]), 0
                failed = again(answer)
            except self.ray.exceptions.RayActorError as error:
                answer, deaths, failed = _Died(given.tries), deaths + 1, True
                if place.actor is given.actor:
                    place.actor = self.remote.remote(self.job)
                if deaths > TRIES * self.count * self.ahead:
                    raise InputError(f"no worker stays alive: {_last_line(error)}") from error
            if failed and given.tries < TRIES:
                later.append(given)
            self._fill(coming, later)
            if not failed or given.tries >= TRIES:
                yield given.task, answer

    def _fill(self, coming: Iterator[_Given[J]], later: deque[_Given[J]]) -> None:
        """Give out what there is room for, to whoever has least to do."""
        while True:
            free = [each for each in self.places if each.load < self.ahead and not each.alone]
            if not free:
                return
            place, given = min(free, key=lambda each: each.load), next(coming, None)
            if given is None:
                if place.load or not later:
                    return
                given = later.popleft()
                place.alone = True
            given.tries += 1
            given.place, given.actor = place, place.actor
            place.load += 1
            self.waiting[place.actor.work.remote(*given.arguments)] = given


def _last_line(error: Exception) -> str:
    """What Ray says last is what was raised there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
