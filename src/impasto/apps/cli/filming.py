"""One film from a command line: check, paint with progress, write; what is done stays."""

import json
import time
from collections.abc import Sequence
from contextlib import closing
from math import isnan
from pathlib import Path

import typer

from impasto.apps.film import FilmWork
from impasto.apps.interrupt import INTERRUPTED, OneInterrupt
from impasto.apps.progress import Display, display
from impasto.apps.report import emit, printable, say
from impasto.errors import InputError
from impasto.film.opening import open_film
from impasto.film.scores import SCORES, film_scores
from impasto.pictures.files import opened

__all__ = ["paint_film", "painted_films", "score_films"]


def paint_film(
    work: FilmWork, *, ray: str | None = None, workers: int | None = None, quiet: bool = False
) -> None:
    """Make the film, here or by Ray, and print its path on stdout.

    Ctrl-C or SIGTERM keeps the frames that are done and raises `typer.Exit(130)`. Raises
    `ImpastoError`, long work not yet begun, for anything that does not fit.
    """
    work.check()
    begun = time.perf_counter()
    with OneInterrupt():
        try:
            with display(quiet) as show:
                for note in work.job.notes:
                    show.note(note)
                painted = _painted(work, show) if ray is None else _by_ray(work, show, ray, workers)
            notes = work.finish()
        except KeyboardInterrupt:
            where = work.frames.folder
            say(f"interrupted; the frames so far are in {where}, and the same command goes on")
            raise typer.Exit(INTERRUPTED) from None
        if not quiet:
            for note in notes:
                say(f"note: {note}")
            say(f"{painted} in {time.perf_counter() - begun:.1f} s")
        emit(work.output)


def _painted(work: FilmWork, show: Display) -> str:
    """All of it painted here, and how much that was."""
    begun, done = time.perf_counter(), 0
    for step in work.paint():
        if step.note == "there":
            show.note(f"{step.step} frames are there already")
            begun = time.perf_counter()
            continue
        done += 1
        _tell(show, step.step, step.of, done / (time.perf_counter() - begun))
    return f"{done} frame{'' if done == 1 else 's'}"


def _by_ray(work: FilmWork, show: Display, address: str, workers: int | None) -> str:
    from impasto.apps.ray_workers import scenes_by_ray

    begun, there, count, found = time.perf_counter(), work.frames.count, 0, 0
    if there:
        show.note(f"{there} frames are there already")
    # Closed in any case: what Ray has started ends with the generator.
    with closing(scenes_by_ray(work, address, workers)) as told:
        for count, scenes in told:
            found = scenes
            if count > there:
                pace = (count - there) / (time.perf_counter() - begun)
                _tell(show, count, max(work.film.count or 0, count), pace)
    return f"{max(count, there) - there} frames of {found} scenes, each by one worker,"


def _tell(show: Display, done: int, of: int, pace: float) -> None:
    left = (of - done) / pace if of > done else None
    show.update(done, of, f"{pace:.2f} frames a second", left)


def painted_films(painting: str, outputs: Sequence[Path]) -> Sequence[Path]:
    """The films to measure. The painting has no part in that; a film in its place is one of them.

    `InputError` where there are none, or the painting is neither.
    """
    path, found = Path(painting), [*outputs]
    if path.suffix or path.exists():  # else it is a style's name
        try:
            open_film(path)
            found.insert(0, path)
        except InputError:
            with opened(path):  # which says what is wrong with it
                pass
    if not found:
        raise InputError("name what to measure: impasto score FILM OUTPUT --film")
    return found


def score_films(source: Path, painted: Sequence[Path], *, as_json: bool) -> None:
    """Print the scores of painted films beside the film they were made of, and that film's own."""
    original = open_film(source)
    found = {path: film_scores(original, open_film(path)) for path in (source, *painted)}
    if as_json:
        rows = [
            {"film": path.name, "scores": {k: None if isnan(v) else v for k, v in scores.items()}}
            for path, scores in found.items()
        ]
        print(json.dumps(rows, indent=2, allow_nan=False))
        return
    width = max(len(printable(path.name)) for path in found)
    print("  ".join([" " * width, *SCORES]))
    for path, scores in found.items():
        texts = {name: "-" if isnan(value) else f"{value:.4g}" for name, value in scores.items()}
        cells = [f"{text:>{len(name)}}" for name, text in texts.items()]
        print("  ".join([f"{printable(path.name):<{width}}", *cells]))
    print()
    for name, meaning in SCORES.items():
        print(f"{name}: {meaning}")
    if any(isnan(value) for scores in found.values() for value in scores.values()):
        print("-: there is nothing to measure it by, as where no part of the film stands still")
