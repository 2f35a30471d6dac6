"""Progress on stderr: a live bar on a terminal, a few plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from math import isfinite, log
from typing import Protocol, Self

from rich import progress as live
from rich.console import Console

from impasto.apps.report import say
from impasto.methods.stylizer import Progress

__all__ = ["Bar", "Clock", "Display", "Lines", "Pace", "Silent", "display", "summary"]


class Display(Protocol):
    """Shows how long work goes, from `with` to its end."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def update(self, done: int, of: int, text: str, left: float | None) -> None:
        """`done` steps of `of` are made, `left` seconds to go; None where that is not known."""
        ...

    def note(self, text: str) -> None:
        """Something the user should know."""
        ...


def display(quiet: bool) -> Display:
    """The display that suits stderr as it is now."""
    if quiet:
        return Silent()
    console = Console(stderr=True)
    return Bar(console) if sys.stderr.isatty() and not console.is_dumb_terminal else Lines()


def summary(losses: Mapping[str, float]) -> str:
    """`total 1.23  content 0.31  style 0.92`: the weighted losses, summed over the layers of each
    kind.
    """
    sums: dict[str, float] = {}
    for name, value in losses.items():
        kind = name.partition("/")[0]
        if kind != "raw":
            sums[kind] = sums.get(kind, 0.0) + value
    return "  ".join(f"{kind} {value:.3g}" for kind, value in sums.items())


class Clock:
    """Measures the pace of a rendering's steps, per pixel, and so the time left."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._last: float | None = None
        self._pace: float | None = None

    def left(self, step: Progress, full: int) -> float | None:
        """Seconds left after this step, towards a picture of `full` pixels; call it at every step.

        The first step, which also prepares, tells nothing yet. A coarse-to-fine method makes its
        first steps at small sizes, where they cost less: from the size now, pixels are taken to
        grow by a constant factor a step, so that a step still to come has `(full - now) / ln(full /
        now)` of them on average.
        """
        now, last = self._now(), self._last
        self._last = now
        if last is None:
            return None
        pixels = min(step.image.shape[-2] * step.image.shape[-1], full)
        pace = (now - last) / pixels
        self._pace = pace if self._pace is None else 0.9 * self._pace + 0.1 * pace
        mean = (full - pixels) / log(full / pixels) if pixels < full else full
        return (step.of - step.step) * mean * self._pace


class Pace:
    """Measures work whose steps are alike, and so the time left; not by the first step, which also
    loads and prepares.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._begun: tuple[int, float] | None = None

    def left(self, done: int, of: int) -> float | None:
        """Seconds left with `done` of `of` steps made; call it at every step."""
        if self._begun is None:
            self._begun = done, self._now()
        first, begun = self._begun
        return (self._now() - begun) / (done - first) * (of - done) if done > first else None


def _left(seconds: float | None) -> str:
    if seconds is None or not isfinite(seconds):
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, done: int, of: int, text: str, left: float | None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class Lines(Silent):
    """Plain lines for logs: at the first step, at every tenth of the way and at the last step."""

    def __init__(self) -> None:
        self._next = 0.0

    def update(self, done: int, of: int, text: str, left: float | None) -> None:
        """A line when another tenth is done."""
        if done >= min(self._next, of):
            # Not by adding to what it was: `of` may shrink on the way.
            self._next = of / 10 * (done * 10 // of + 1)
            say(f"step {done}/{of}  {text}  {_left(left)}".rstrip())

    def note(self, text: str) -> None:
        """A line of its own."""
        say(f"note: {text}")


class Bar:
    """A live bar; it disappears when done."""

    def __init__(self, console: Console) -> None:
        self._progress = live.Progress(
            live.TextColumn("{task.description}"),
            live.BarColumn(bar_width=None),
            live.TextColumn("{task.fields[text]}", markup=False),
            live.TimeElapsedColumn(),
            live.TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            expand=True,
            redirect_stdout=False,  # stdout is for the result
        )
        self._task = self._progress.add_task("preparing", total=None, text="", left="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, done: int, of: int, text: str, left: float | None) -> None:
        """Moves the bar."""
        self._progress.update(
            self._task,
            description=f"{done}/{of}",
            completed=done,
            total=of,
            text=text,
            left=_left(left),
        )

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
