"""Pictures painted by many processes on many machines, by Ray, which is optional and stands only
here.

What travels is `Settings` as JSON, a path, and what became of it. Every worker holds its networks
for as long as it lives.
"""

import json
import signal
import socket
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

from impasto.apps.batch import Outcome, Task, Worker
from impasto.errors import InputError, OptionError
from impasto.settings import Settings

__all__ = ["outcomes_by_ray"]

_TOLD = ("state", "seconds", "said", "code", "last")

AHEAD = 2
"""Tasks a worker has at most, the one it paints among them: it never waits, and little is lost with
it.
"""

TRIES = 3
"""How often a task is given out, where workers die of it, before it is left out."""


def outcomes_by_ray(
    settings: Settings, tasks: Iterator[Task], address: str, workers: int | None = None
) -> Generator[Outcome, None, None]:
    """What became of the tasks, in the order in which they are done.

    `address`: `local` starts Ray on this machine, `auto` joins what this machine is part of,
    anything else is where a cluster listens. `workers`: how many; by default one a GPU or, where
    there is none, one a processor. A worker that dies is replaced, and its tasks are given out
    again: pictures that it had written count as there. Raises `OptionError` where the extra `ray`
    is missing, `InputError` where no cluster answers.
    """
    ray = _ray()
    _connect(ray, address)
    try:
        there = ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 1))
        count = workers or gpus or cpus
        yield from _Pool(ray, settings, count, _needs(count, gpus, cpus)).outcomes(tasks)
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


class _Remote:
    """An actor: a `Worker` that takes and gives what JSON has."""

    def __init__(self, settings: str) -> None:
        self.worker = Worker(Settings.read(json.loads(settings)))

    def paint(self, photo: str, styles: tuple[str, ...], output: str) -> dict[str, Any]:
        outcome = self.worker.paint(Task(photo, styles, output))
        return {name: getattr(outcome, name) for name in _TOLD}


class _Pool:
    """So many actors, each with a few tasks at a time."""

    def __init__(self, ray: Any, settings: Settings, count: int, needs: dict[str, Any]) -> None:
        self.ray, self.settings = ray, json.dumps(settings.dump())
        self.remote = ray.remote(_Remote).options(**needs)
        self.places = [self._actor() for _ in range(count)]
        # What is under way -> where, in whose hands, what, and for which time.
        self.waiting: dict[Any, tuple[int, Any, Task, int]] = {}

    def outcomes(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        again = deque[tuple[Task, int]]()
        given = ((task, 1) for task in tasks)
        for place in [*range(len(self.places))] * AHEAD:
            self._give(place, next(given, None))
        while self.waiting:
            (ready, *_), _ = self.ray.wait(list(self.waiting), num_returns=1)
            place, actor, task, tries = self.waiting.pop(ready)
            try:
                yield Outcome(task, **self.ray.get(ready))
            except self.ray.exceptions.RayActorError:
                if self.places[place] is actor:
                    self.places[place] = self._actor()
                if tries < TRIES:
                    again.append((task, tries + 1))
                else:
                    said = f"{task.photo} was given up: {tries} workers died over it"
                    yield Outcome(task, "left out", 0.0, said, code=1)
            self._give(place, again.popleft() if again else next(given, None))

    def _actor(self) -> Any:
        return self.remote.remote(self.settings)

    def _give(self, place: int, what: tuple[Task, int] | None) -> None:
        if what is None:
            return
        (task, tries), actor = what, self.places[place]
        ticket = actor.paint.remote(task.photo, task.styles, task.output)
        self.waiting[ticket] = (place, actor, task, tries)
