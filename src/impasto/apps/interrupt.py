"""Being interrupted once: Ctrl-C, or a polite request to end, and then nothing more until what was
made is saved.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

__all__ = ["INTERRUPTED", "OneInterrupt", "ignore_interrupts", "sigterm_interrupts"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class OneInterrupt:
    """Lets the first SIGINT or SIGTERM through, as `KeyboardInterrupt`, and holds off the rest.

    `came`: whether there was one. Where there was, signals stay held off: there is only the way out
    left. For the main thread.
    """

    def __init__(self) -> None:
        self.came = False
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before = [signal.signal(each, self._interrupt) for each in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        if not self.came:
            for each, handler in zip(_SIGNALS, self._before, strict=True):
                signal.signal(each, handler or signal.SIG_DFL)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.hold()
        self.came = True
        raise KeyboardInterrupt

    def hold(self) -> None:
        """From here on, signals do nothing."""
        ignore_interrupts()


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM is what Ctrl-C is: what was made is kept. For the main thread; elsewhere it changes
    nothing.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is interrupt:
            signal.signal(signal.SIGTERM, before)


def ignore_interrupts() -> None:
    """Whatever comes from here on, what is being saved is saved."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
