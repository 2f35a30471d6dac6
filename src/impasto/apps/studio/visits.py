"""Everyone's visits: who has one, and who makes room where there are too many."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from impasto.apps.studio.budget import Budget
from impasto.apps.studio.limits import Limits
from impasto.apps.studio.orders import BusyError
from impasto.apps.studio.visit import Visit

__all__ = ["Visits"]

_VISITS = 64  # at a time: whoever calls names the session, so that there could be any number
_CLOSING = 2.0  # seconds that a page which is loaded again may still seem to be open
_IDLE = 60.0  # seconds after which a visit may have to make room for others


class Visits:
    """The visits, by session; one not seen for `Limits.keep` seconds is closed when the next
    begins.

    Where there would be more than 64, the one seen least recently is, but none that is at work or
    whose page is open: then `BusyError`, and nobody loses anything.
    """

    def __init__(self, root: Path, limits: Limits, budget: Budget | None = None) -> None:
        self._root, self._limits, self._budget = root.resolve(), limits, budget
        self._visits: dict[str, Visit] = {}
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()
        if budget is not None:
            budget.relieve(self.yield_room)

    def of(self, session: str) -> Visit:
        """The visit of a session, begun if need be."""
        with self._lock:
            if session not in self._visits:
                self._sweep()
                self._visits[session] = self._new()
            visit = self._visits[session]
            visit.seen = time.monotonic()
            return visit

    def resumed(self, session: str, key: str) -> Visit:
        """The visit with that key, which is this session's from now on, unless its page is still
        open elsewhere; else the session's own.
        """
        until = time.monotonic() + _CLOSING
        while True:
            with self._lock:
                old = next(
                    (
                        name
                        for name, visit in self._visits.items()
                        if name != session
                        and secrets.compare_digest(visit.key.encode(), key.encode())
                    ),
                    None,
                )
                if old is not None and old not in self._open:
                    fresh = self._visits.pop(session, None)
                    if fresh is not None:
                        fresh.close()
                    self._visits[session] = self._visits.pop(old)
                    self._visits[session].begin_anew()
                    break
            if old is None or time.monotonic() > until:
                break
            time.sleep(0.05)  # until the browser has let go of the page before
        return self.of(session)

    @contextmanager
    def connected(self, session: str) -> Iterator[None]:
        """While this lasts, the session's page is open in a browser."""
        with self._lock:
            self._open[session] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[session] -= 1
                if not self._open[session]:
                    del self._open[session]

    def begun(self, session: str) -> Visit | None:
        """The visit of a session, if there is one."""
        return self._visits.get(session)

    def passing(self) -> Visit:
        """A visit of nobody's, for one picture; it ends as those that are no longer seen do."""
        return self.of(secrets.token_hex(16))

    def yield_room(self) -> bool:
        """Close the visit seen least recently of those that have been idle for a minute and whose
        page is not open; whether there was one.
        """
        with self._lock:
            idle = [
                (visit.seen, session)
                for session, visit in self._visits.items()
                if self._leaves(session, visit) and time.monotonic() - visit.seen > _IDLE
            ]
            if idle:
                self._visits.pop(min(idle)[1]).close()
        return bool(idle)

    def _new(self) -> Visit:
        return Visit(self._folder(), self._limits, budget=self._budget)

    def _folder(self) -> Path:
        folder = self._root / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        return folder

    def _sweep(self) -> None:
        """Make room for one more, or say that there is none."""
        now = time.monotonic()
        for session, visit in list(self._visits.items()):
            if now - visit.seen > self._limits.keep and not visit.at_work:
                self._visits.pop(session).close()
        idle = [each for each in self._visits.items() if self._leaves(*each)]
        while len(self._visits) >= _VISITS:
            if not idle:
                raise BusyError(
                    f"the studio is full: {len(self._visits)} visitors are here; "
                    "try again in a few minutes"
                )
            idle.remove(oldest := min(idle, key=lambda item: item[1].seen))
            self._visits.pop(oldest[0]).close()

    def _leaves(self, session: str, visit: Visit) -> bool:
        return not visit.at_work and session not in self._open
