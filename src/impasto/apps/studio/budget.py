"""One budget of memory for all that visitors bring and leave: uploads, paintings, pictures, visits.

Temporary files count as well: they may be in memory themselves (tmpfs).
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable

from impasto.errors import ImpastoError

__all__ = ["Budget", "FullError", "Lease"]


class FullError(ImpastoError):
    """The studio holds as much as it may: nothing was taken, try again later."""


class Budget:
    """So many bytes, leased; `FullError` where there are no more.

    Before that is raised, what has been registered with `relieve` is asked to give something up.
    """

    def __init__(self, most: int) -> None:
        self.most, self.peak = most, 0
        self._held = 0
        self._lock = threading.Lock()
        self._reliefs: list[Callable[[], bool]] = []
        # Leases end wherever garbage is collected, also while the lock is held: this needs none.
        self._returned: deque[int] = deque()

    @property
    def held(self) -> int:
        """Bytes that are leased."""
        with self._lock:
            return self._settled()

    def lease(self, size: int = 0) -> "Lease":
        """So many bytes, until the lease is released or let go of."""
        lease = Lease(self)
        lease.grow(size)
        return lease

    def relieve(self, relief: Callable[[], bool]) -> None:
        """Ask `relief` for room where there is none: it lets something go and says whether it did.

        Called in the thread that needs room, without any lock of the budget's.
        """
        self._reliefs.append(relief)

    def take(self, size: int) -> None:
        """For `Lease`."""
        while not self._took(size):
            if size > self.most or not any(relief() for relief in self._reliefs):
                raise FullError("the studio holds as much as it can; try again later")

    def give_back(self, size: list[int]) -> None:
        """For `Lease`."""
        self._returned.append(size[0])

    def _took(self, size: int) -> bool:
        with self._lock:
            if self._settled() + size > self.most:
                return False
            self._held += size
            self.peak = max(self.peak, self._held)
            return True

    def _settled(self) -> int:
        while self._returned:
            self._held -= self._returned.popleft()
        return self._held


class Lease:
    """Some of a budget; it ends with `release`, or with whatever holds it."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._size = budget, [0]
        self._end = weakref.finalize(self, budget.give_back, self._size)
        self._end.atexit = False

    def grow(self, size: int) -> None:
        """So many bytes more; `FullError` where they cannot be had."""
        self._budget.take(size)
        self._size[0] += size

    def settle(self, size: int) -> None:
        """So many bytes, no more and no less: what was leased beforehand was a guess, and the thing
        is there now, so that this is never refused.
        """
        self._budget.give_back([self._size[0] - size])
        self._size[0] = size

    def release(self) -> None:
        """Give everything back, once."""
        self._end()
