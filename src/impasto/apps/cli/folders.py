"""Many pictures from a command line: one bar for all of them, what was left out, a table at the
end.
"""

import os
import time
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace

from impasto.apps.batch import AHEAD, Batch, Outcome, Worker
from impasto.apps.cli.options import in_flags
from impasto.apps.finding import Arrivals
from impasto.apps.interrupt import INTERRUPTED, ignore_interrupts
from impasto.apps.progress import Display, display
from impasto.apps.report import emit, one_line, printable, say
from impasto.errors import InputError
from impasto.methods.stylizer import Progress

__all__ = ["Tally", "paint_all", "paint_arrivals"]

_LATELY = 60.0  # seconds over which the pace is measured
_LOOK = 1.0  # seconds between two looks at a folder that is watched


def paint_all(work: Batch, *, ray: str | None, workers: int | None, quiet: bool) -> int:
    """Every picture of the batch, here or by Ray; the exit code.

    Raises `ImpastoError`, long work not yet begun, for whatever is no photo's fault.
    """
    if not work.photos:
        raise InputError("there are no photos in that folder; name another")
    worker = _ready(work)
    count = len(work.photos) * len(work.styles)
    with display(quiet) as show:
        tally = Tally(show, count)
        if ray is None and work.elsewhere:
            outcomes = worker.outcomes(work.tasks(), tally.step)
        elif ray is None:
            outcomes = (worker.paint(task, tally.step) for task in work.tasks())
        else:
            from impasto.apps.ray_workers import outcomes_by_ray

            ahead = AHEAD if work.elsewhere else 2  # so that it never waits for a task
            outcomes = outcomes_by_ray(work.settings, work.tasks(), ray, workers, ahead)
        try:
            # Closed in any case: what Ray has started ends with the generator.
            with closing(outcomes):
                tally.take(outcomes)
        except KeyboardInterrupt:
            ignore_interrupts()
            tally.code = INTERRUPTED
    if not quiet:
        tally.table(work)
    if tally.code == INTERRUPTED:
        say("interrupted; what is done stays, and the same command goes on")
    return tally.code


def paint_arrivals(work: Batch, source: str, *, quiet: bool) -> int:
    """Every photo that is in a folder or comes to it, until Ctrl-C; the exit code."""
    worker, arrivals = _ready(work), Arrivals(source, work.output)
    with display(quiet) as show:
        tally = Tally(show, 0)
        try:
            while not tally.ended:
                new = arrivals.new()
                tally.of += len(new) * len(work.styles)
                tasks = replace(work, photos=new).tasks()
                tally.take(worker.paint(task, tally.step) for task in tasks)
                time.sleep(0 if new else _LOOK)
        except KeyboardInterrupt:
            ignore_interrupts()
    if not quiet:
        tally.table(work)
    return tally.code


def _ready(work: Batch) -> Worker:
    """A worker that has read every style."""
    worker = Worker(work.settings)
    for style in work.styles:
        worker.job(style)
    work.check()  # last, for it makes folders
    return worker


class Tally:
    """What became of the tasks so far, and how long the others will take.

    `of`: how many tasks there are. `code`: the exit code that the outcomes call for. `ended`:
    whether nothing more can be written.
    """

    def __init__(self, show: Display, of: int) -> None:
        self.show, self.of, self.code, self.ended = show, of, 0, False
        self.counts = Counter[tuple[tuple[str, ...], str]]()
        self._begun = time.perf_counter()
        self._skipped = 0
        self._marks = deque([(self._begun, 0.0)])  # when how much was done, lately

    def step(self, step: Progress) -> None:
        """One task is at this step."""
        if step.of > 1:
            self._tell(step.step / step.of)

    def take(self, outcomes: Iterable[Outcome]) -> None:
        """Count them as they come; stops where nothing more can be written."""
        for outcome in outcomes:
            self.counts[outcome.task.styles, outcome.state] += 1
            if outcome.state == "painted":
                emit(outcome.task.output)
            elif outcome.state == "there":
                self._skipped += 1
            else:
                self.show.note(f"left out: {printable(one_line(in_flags(outcome.said)))}")
                self.code = max(self.code, outcome.code)
            self._tell()
            if outcome.last:
                self.ended = True
                self.show.note("nothing more can be written; what is done stays")
                return

    @property
    def done(self) -> int:
        """How many tasks are."""
        return self.counts.total()

    def _tell(self, share: float = 0.0) -> None:
        """Where they all are; `share`: of the task that is being painted."""
        now, worked = time.perf_counter(), self.done - self._skipped + share
        self._marks.append((now, worked))
        while len(self._marks) > 10 and now - self._marks[0][0] > _LATELY:
            self._marks.popleft()
        since, before = self._marks[0]
        pace_now = (worked - before) / (now - since)
        left = (self.of - self.done - share) / pace_now if pace_now > 0 else None
        pace = f"{_short(60 * pace_now)} pictures a minute" if pace_now > 0 else ""
        self.show.update(self.done, self.of, pace, left)

    def table(self, work: Batch) -> None:
        """On stderr: a line a style, and one for all."""
        states = ("painted", "there", "left out")
        rows: list[tuple[str, ...]] = [("style", *states)]
        for style in work.styles:
            counts = [self.counts[style, state] for state in states]
            name = " + ".join(os.path.basename(each) for each in style)
            rows.append((printable(name), *map(str, counts)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for first, *others in rows:
            cells = [f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True)]
            say("  ".join([f"{first:<{widths[0]}}", *cells]))
        seconds = time.perf_counter() - self._begun
        painted = sum(count for (_, state), count in self.counts.items() if state == "painted")
        pace = f", {_short(60 * painted / seconds)} a minute" if painted else ""
        say(f"{self.done} of {self.of} pictures in {seconds:.1f} s{pace}")


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
