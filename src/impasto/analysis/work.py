"""A sheet made cell by cell: with previews, and resumed where it stopped.

    work = content_reconstructions("photo.jpg", encoder=load_encoder())
    for progress in work.make(folder):  # with a folder, resumed
        ...
    save_sheet("sheet.png", work.sheet(cells))

A `progress` that finishes a cell has it as `progress.cell`.
"""

import hashlib
import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from impasto.analysis.sheets import Cell, Sheet
from impasto.errors import ImpastoError, InputError, OptionError
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import SMALLEST, Encoder
from impasto.pictures.image import (
    MAX_PIXELS,
    Picture,
    Source,
    open_picture,
    read_recipe,
    save_picture,
)
from impasto.pictures.sources import open_source
from impasto.pictures.writing import atomic_write

__all__ = [
    "CellProgress",
    "Task",
    "Work",
    "fingerprint",
    "open_cell",
    "settings_of",
    "title_of",
]

RECIPE = "recipe.json"


@dataclass(frozen=True, eq=False)
class Task:
    """A cell to be made: what `finish` makes of the last of `steps()`, at most `of` of them, and
    what `measure` finds on it.
    """

    row: int
    column: int
    name: str
    of: int
    steps: Callable[[], Iterator[Progress]]
    measure: Callable[[Tensor], Mapping[str, float]]
    finish: Callable[[Progress], Tensor] = lambda step: step.image

    @property
    def file(self) -> str:
        """What the finished cell is called on disk."""
        return f"{self.row}-{self.column}.png"


@dataclass(frozen=True, eq=False)
class CellProgress(Progress):
    """`Progress` of a whole sheet: at the cell called `name`, and with the `cell` once it is whole.

    `kept`: the cell was made in an earlier run.
    """

    name: str = ""
    cell: Cell | None = None
    kept: bool = False


@dataclass(frozen=True, eq=False)
class Work:
    """A sheet to be made: cells that are there already, tasks for the others, and the settings all
    of them share.

    `settings` are JSON-able and hold whatever changes a pixel; `notes` are worth telling.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    given: tuple[Cell, ...]
    tasks: tuple[Task, ...]
    settings: Mapping[str, object]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        height, width = self.given[0].picture.shape[-2:]
        cells = len(self.given) + len(self.tasks)
        if cells * height * width > MAX_PIXELS // 4:
            raise OptionError(
                f"{cells} pictures of {width} x {height} px make too large a sheet; lower `size`"
            )

    def make(self, folder: Path | None = None) -> Iterator[CellProgress]:
        """One cell after the other, a `CellProgress` at each step and at each finished cell.

        With a `folder`, finished cells are kept there and those of an earlier run are taken from
        it; `ImpastoError` where they were made with other settings.
        """
        if folder is not None:
            _enter(folder, self.settings)
        done, of = 0, sum(task.of for task in self.tasks)
        for task in self.tasks:
            cell = None if folder is None else _kept(folder, task)
            kept = cell is not None
            if cell is None:
                for step in task.steps():
                    made = done + min(step.step, task.of)
                    yield CellProgress(step.image, made, of, step.losses, step.note, name=task.name)
                    last = step
                picture = task.finish(last)
                cell = Cell(task.row, task.column, picture, task.name, task.measure(picture))
                if folder is not None:
                    save_picture(
                        folder / task.file, picture, recipe={"numbers": dict(cell.numbers)}
                    )
            done += task.of
            yield CellProgress(cell.picture, done, of, name=task.name, cell=cell, kept=kept)

    def sheet(self, cells: Iterable[Cell]) -> Sheet:
        """The sheet with these of its cells, and those that were given; its recipe says so where
        some are missing.
        """
        made = tuple(cells)
        unfinished = {"unfinished": True} if len(made) < len(self.tasks) else {}
        recipe = {**self.settings, **unfinished}
        return Sheet(self.title, self.rows, self.columns, (*self.given, *made), recipe)

    def finish(self) -> Sheet:
        """All of it at once."""
        return self.sheet(progress.cell for progress in self.make() if progress.cell)

    def forget(self, folder: Path) -> None:
        """Remove what `make` kept in `folder`, and the folder where nothing else is in it."""
        for name in (RECIPE, *(task.file for task in self.tasks)):
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def _enter(folder: Path, settings: Mapping[str, object]) -> None:
    """Make the folder, or go on in it if its recipe is this one."""
    wanted, recipe = json.loads(json.dumps(dict(settings))), folder / RECIPE
    try:
        if not folder.exists() or not any(folder.iterdir()):
            _begin(folder, json.dumps(wanted, indent=2))
        found = json.loads(recipe.read_text(encoding="utf-8"))
    except ImpastoError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is in the way and holds no cells of this sheet; choose another name"
        ) from error
    if found != wanted:
        names = wanted.keys() | found.keys() if isinstance(found, dict) else set()
        other = [name for name in sorted(names) if found.get(name) != wanted.get(name)]
        raise OptionError(
            f"{folder} holds cells made with other {', '.join(other) or 'settings'} than now; "
            "choose another name, or delete it to begin anew"
        )


def _begin(folder: Path, recipe: str) -> None:
    try:
        folder.mkdir(exist_ok=True)
        with atomic_write(folder / RECIPE) as partial:
            partial.write_text(recipe, encoding="utf-8")
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        raise InputError(
            f"cannot write into {folder} ({error.strerror}); choose another place"
        ) from error


def _kept(folder: Path, task: Task) -> Cell | None:
    path = folder / task.file
    if not path.is_file():
        return None
    try:
        numbers = (read_recipe(path) or {}).get("numbers")
        if not isinstance(numbers, dict):
            return None
        return Cell(task.row, task.column, open_picture(path).image, task.name, numbers)
    except InputError:  # damaged since: it is made again
        return None


def open_cell(source: Source, size: int) -> Picture:
    """A picture, or a sample's name, reduced to a long side of `size` px; `ImpastoError` where no
    encoder could see it.

    Transparency is left out, and said so in the notes.
    """
    picture = open_source(source, size)
    height, width = picture.image.shape[-2:]
    if min(height, width) < SMALLEST:
        raise OptionError(
            f"{title_of(source)} is only {width} x {height} px at this size; each side needs {SMALLEST}: raise `size`"
        )
    if picture.alpha is None:
        return picture
    return Picture(
        picture.image, None, (*picture.notes, f"the transparency of {title_of(source)} is left out")
    )


def title_of(source: Source) -> str:
    """What a sheet calls it: the file's name, without its folder and accents, cut to 40 letters."""
    if not isinstance(source, str | os.PathLike):
        return "the picture"
    # Pillow's own font knows few letters beyond ASCII.
    letters = (
        c for c in unicodedata.normalize("NFKD", Path(source).name) if not unicodedata.combining(c)
    )
    return "".join(c if c.isascii() else "?" for c in letters)[:40]


def settings_of(sheet: str, encoder: Encoder | None, *pictures: Tensor) -> dict[str, object]:
    """What every sheet's settings hold: its kind, the version, the encoder if there is one, and the
    pictures.
    """
    seen: dict[str, object] = {}
    if encoder is not None:
        seen = {
            "encoder": {"name": encoder.name, "sha256": fingerprint(*encoder.parameters())},
            "pooling": encoder.pooling,
            "device": str(encoder.device),
            "dtype": str(encoder.dtype).removeprefix("torch."),
        }
    drawn = {"impasto": metadata.version("impasto"), "sheet": sheet}
    return {**drawn, **seen, "pictures": [fingerprint(picture) for picture in pictures]}


def fingerprint(*tensors: Tensor) -> str:
    """The SHA-256 of their shapes and bytes."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
