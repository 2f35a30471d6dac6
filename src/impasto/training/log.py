"""A training's events as a CSV file that goes on where the training does."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.training.run import TrainingProgress

__all__ = ["logged"]

_COLUMNS = ("step", "rate", "notes")


def logged(records: Iterable[TrainingProgress], path: Path) -> Iterator[TrainingProgress]:
    """The same records, each of them a row of `path` by the time it is passed on.

    Columns: step, rate, notes, then losses and validation figures by name, as they come up. A
    training that begins at step 0 begins the file anew; one that is resumed keeps the rows up to
    the step where it resumes. Raises `ImpastoError` if the file cannot be written, or is there and
    no such log.
    """
    columns: list[str] = list(_COLUMNS)
    rows: list[dict[str, str]] = []
    for number, record in enumerate(records):
        if number == 0 and record.step > 0 and path.is_file():
            columns, rows = _read(path, record.step)
        row = _row(record)
        rows.append(row)
        new = [name for name in row if name not in columns]
        columns += new
        if new or number == 0:
            _write(path, "w", columns, rows)
        else:
            _write(path, "a", columns, [row])
        yield record


def _row(record: TrainingProgress) -> dict[str, str]:
    figures = {"rate": record.rate, **record.losses, **record.validation}
    row = {name: f"{value:.6g}" for name, value in figures.items()}
    return {"step": str(record.step), **row, "notes": record.note}


def _read(path: Path, last: int) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if int(row["step"]) <= last]
            return list(reader.fieldnames or _COLUMNS), rows
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ImpastoError(f"{path} is not a log that can be continued; move it away") from error


def _write(path: Path, mode: str, columns: list[str], rows: list[dict[str, str]]) -> None:
    try:
        with path.open(mode, newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if mode == "w":
                writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise ImpastoError(
            f"the log {path} cannot be written ({error}); choose another place"
        ) from error
