"""One film from a command line: check, paint with progress, write; what is done stays."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import typer

from impasto.apps.film import FilmWork
from impasto.apps.interrupt import INTERRUPTED, OneInterrupt
from impasto.apps.progress import display
from impasto.apps.report import emit, printable, say
from impasto.film.opening import open_film
from impasto.film.scores import SCORES, film_scores

__all__ = ["paint_film", "score_films"]


def paint_film(work: FilmWork, *, quiet: bool = False) -> None:
    """Make the film and print its path on stdout.

    Ctrl-C or SIGTERM keeps the frames that are done and raises `typer.Exit(130)`. Raises
    `ImpastoError`, long work not yet begun, for anything that does not fit.
    """
    work.check()
    begun, done = time.perf_counter(), 0
    with OneInterrupt():
        try:
            with display(quiet) as show:
                for note in work.job.notes:
                    show.note(note)
                for step in work.paint():
                    if step.note == "there":
                        show.note(f"{step.step} frames are there already")
                        begun = time.perf_counter()
                        continue
                    done += 1
                    pace = done / (time.perf_counter() - begun)
                    left = (step.of - step.step) / pace if step.of > step.step else None
                    show.update(step.step, step.of, f"{pace:.2f} frames a second", left)
            notes = work.finish()
        except KeyboardInterrupt:
            where = work.frames.folder
            say(f"interrupted; the frames so far are in {where}, and the same command goes on")
            raise typer.Exit(INTERRUPTED) from None
        if not quiet:
            for note in notes:
                say(f"note: {note}")
            say(f"{done} frames in {time.perf_counter() - begun:.1f} s")
        emit(work.output)


def score_films(source: Path, painted: Sequence[Path], *, as_json: bool) -> None:
    """Print the scores of painted films beside the film they were made of, and that film's own."""
    original = open_film(source)
    found = {path: film_scores(original, open_film(path)) for path in (source, *painted)}
    if as_json:
        rows = [{"film": path.name, "scores": scores} for path, scores in found.items()]
        print(json.dumps(rows, indent=2))
        return
    width = max(len(printable(path.name)) for path in found)
    print("  ".join([" " * width, *SCORES]))
    for path, scores in found.items():
        cells = [f"{value:>{len(name)}.4g}" for name, value in scores.items()]
        print("  ".join([f"{printable(path.name):<{width}}", *cells]))
    print()
    for name, meaning in SCORES.items():
        print(f"{name}: {meaning}")
