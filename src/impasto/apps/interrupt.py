"""Being interrupted once: Ctrl-C, or a polite request to end, and then nothing more until what was
made is saved.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from impasto.signals import leave_terminal, stopping

__all__ = ["INTERRUPTED", "OneInterrupt", "ignore_interrupts", "requests_interrupt"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""


class OneInterrupt:
    """Lets the first SIGINT, SIGTERM or SIGHUP through, as `KeyboardInterrupt`, and holds off the
    rest.

    `came`: whether there was one. Where there was, signals stay held off: there is only the way out
    left. For the main thread.
    """

    def __init__(self) -> None:
        self.came = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._interrupt) for each in stopping()}
        return self

    def __exit__(self, *_: object) -> None:
        if not self.came:
            for each, handler in self._before.items():
                signal.signal(each, handler or signal.SIG_DFL)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        self.hold()
        self.came = True
        leave_terminal(number)
        raise KeyboardInterrupt

    def hold(self) -> None:
        """From here on, signals do nothing."""
        ignore_interrupts()


@contextmanager
def requests_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP are what Ctrl-C is: what was made is kept. For the main thread; elsewhere
    it changes nothing.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        leave_terminal(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = [each for each in stopping() if each != signal.SIGINT]
    before = {each: signal.signal(each, interrupt) for each in asked}
    try:
        yield
    finally:
        for each, handler in before.items():
            if signal.getsignal(each) is interrupt:
                signal.signal(each, handler or signal.SIG_DFL)


def ignore_interrupts() -> None:
    """Whatever comes from here on, what is being saved is saved."""
    for each in stopping():
        signal.signal(each, signal.SIG_IGN)
