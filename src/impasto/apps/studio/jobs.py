"""Jobs: orders that whoever placed them may leave and come back to, by an id nobody can guess."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from impasto.apps.studio.budget import Lease
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.look import data_url
from impasto.apps.studio.orders import Glimpse, Order, Ticket
from impasto.errors import ImpastoError

__all__ = ["Job", "Jobs", "NoJobError", "UnfinishedError"]

_LOOK = 0.2  # seconds between looks for news
_FRAME = 0.8  # seconds between previews: each costs the painter some of its time
_ALIVE = 10.0  # seconds after which a stream says that it still is one
_PREVIEW = 512  # px, the long side of a preview
_PIXEL = 4  # bytes


class NoJobError(ImpastoError):
    """There is no such job, or no longer."""


class UnfinishedError(ImpastoError):
    """The job has no picture: not yet, or it failed."""


@dataclass(eq=False)
class Job:
    """An order taken on. `fetched`: whether its picture was given out."""

    id: str
    ticket: Ticket
    lease: Lease
    placed: float = field(default_factory=time.monotonic)
    fetched: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ticket.result.done()

    def status(self) -> dict[str, Any]:
        """How far it is, as JSON has it."""
        if not self.over:
            return _told(self.id, self.ticket.glance()[1]())
        return {"id": self.id, **_outcome(self.ticket.result)}

    def picture(self) -> Glimpse:
        """The last of it, with a picture; `UnfinishedError` where there is none."""
        if not self.over:
            raise UnfinishedError("this picture is not finished; its events tell when it is")
        if (error := self.ticket.result.exception()) is not None:
            raise UnfinishedError(str(error))
        glimpse = self.ticket.result.result()
        if glimpse.image is None:
            raise UnfinishedError(glimpse.note or "there is no picture")
        return glimpse

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events: `progress`, `preview`, and at the end `done` or `failed`.

        Whoever stops listening stops nothing. A preview is `{"picture": "data:image/jpeg;..."}`.
        """
        seen, shown, spoke = -1, 0.0, time.monotonic()
        while not self.over:
            version, look = self.ticket.glance()
            now = time.monotonic()
            if version != seen and now - shown > _FRAME:
                seen, shown, spoke = version, now, now
                glimpse = await asyncio.to_thread(look)
                yield _event("progress", _told(self.id, glimpse))
                if glimpse.image is not None:
                    picture = await asyncio.to_thread(data_url, glimpse.image, _PREVIEW)
                    yield _event("preview", {"picture": picture})
            elif now - spoke > _ALIVE:
                spoke = now
                yield b": still here\n\n"
            await asyncio.sleep(_LOOK)
        told = self.status()
        yield _event(told["state"], told)


class Jobs:
    """The jobs of one engine; a finished one is kept for `Limits.keep` seconds.

    Its picture counts in the engine's budget from the start, so that none is lost for want of room;
    those that were fetched make room for others.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._lock = engine, threading.Lock()
        self._jobs: dict[str, Job] = {}
        engine.budget.relieve(self._relieve)

    def __len__(self) -> int:
        """Jobs there are, finished ones too."""
        return len(self._jobs)

    def place(self, order: Order) -> Job:
        """Take an order on; raises what `Engine.place` does, and `FullError`."""
        self._sweep()
        lease = self._engine.budget.lease(_PIXEL * order.settings.size**2)
        job = Job(secrets.token_urlsafe(16), self._engine.place(order), lease)
        with self._lock:
            self._jobs[job.id] = job
        return job

    def of(self, id: str) -> Job:
        """The job of that id; `NoJobError` if there is none."""
        self._sweep()
        with self._lock:
            job = self._jobs.get(id)
        if job is None:
            hours = self._engine.limits.keep / 3600
            raise NoJobError(f"there is no such job; pictures are kept for {hours:.2g} h")
        return job

    def running(self, id: str) -> bool:
        """Whether there is a job of that id, and more will come of it."""
        with self._lock:
            return id in self._jobs and not self._jobs[id].over

    def __contains__(self, id: str) -> bool:
        return id in self._jobs

    def cancel(self, id: str) -> None:
        """Give it up, or throw its picture away; `NoJobError` if there is none."""
        job = self.of(id)
        with self._lock:
            self._jobs.pop(id, None)
        self._end(job)

    def _sweep(self) -> bool:
        """Let go of what has been kept long enough, counted from when it was placed; whether any
        was.
        """
        keep = self._engine.limits.keep + self._engine.limits.seconds
        now = time.monotonic()
        with self._lock:
            old = [job for job in self._jobs.values() if job.over and now - job.placed > keep]
            for job in old:
                del self._jobs[job.id]
        for job in old:
            self._end(job)
        return bool(old)

    def _relieve(self) -> bool:
        if self._sweep():
            return True
        with self._lock:
            job = next((job for job in self._jobs.values() if job.over and job.fetched), None)
            if job is not None:
                del self._jobs[job.id]
        if job is not None:
            self._end(job)
        return job is not None

    def _end(self, job: Job) -> None:
        job.ticket.abandon()
        job.lease.release()


def _told(id: str, glimpse: Glimpse) -> dict[str, Any]:
    state = "painting" if glimpse.of or glimpse.note else "waiting"
    told: dict[str, Any] = {"id": id, "state": state, "ahead": glimpse.ahead}
    told |= {"step": glimpse.step, "of": glimpse.of}
    return told | ({} if glimpse.left is None else {"seconds_left": round(glimpse.left, 1)})


def _outcome(result: "Future[Glimpse]") -> dict[str, Any]:
    if (error := result.exception()) is not None:
        return {"state": "failed", "error": str(error)}
    end = result.result()
    return {"state": "done", "step": end.step, "of": end.of, "note": end.note}


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
