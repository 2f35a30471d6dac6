"""A sheet of pictures with labels: made cell by cell, laid out, and saved as PNG or PDF.

    work = content_reconstructions("photo.jpg", encoder=load_encoder())
    for progress in work.make(folder):  # previews; with a folder, resumed where it stopped
        ...
    save_sheet("sheet.png", work.sheet(cells))

A `progress` that finishes a cell has it as `progress.cell`.
"""

import hashlib
import json
import os
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from impasto.errors import InputError, OptionError
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import SMALLEST, Encoder
from impasto.pictures.files import recipe_text
from impasto.pictures.image import (
    MAX_PIXELS,
    Picture,
    Source,
    check_output,
    open_picture,
    read_recipe,
    save_picture,
    to_pil,
)
from impasto.pictures.sources import open_source
from impasto.pictures.writing import atomic_write

__all__ = [
    "Box",
    "Cell",
    "CellProgress",
    "Layout",
    "Sheet",
    "Task",
    "Text",
    "Work",
    "check_sheet",
    "draw_sheet",
    "fingerprint",
    "layout",
    "open_cell",
    "save_sheet",
    "settings_of",
    "title_of",
]

# Smaller pictures are enlarged, by whole pixels so that nothing is invented, towards this long
# side.
READABLE = 256
# A label's height to the sheet's longer side: 18 pt on a slide of 10 inches, the least that a back
# row reads.
LABEL = 1 / 40
RECIPE = "recipe.json"

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels; right and bottom are the first outside."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a sheet, `(1, 3, H, W)` in [0, 1], at its row and column, counted from 0.

    `name`, for what its row and column do not say, and `numbers`, measured on it, are printed
    below.
    """

    row: int
    column: int
    picture: Tensor
    name: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def caption(self) -> str:
        """The lines below the picture."""
        lines = [self.name] if self.name else []
        return "\n".join(
            lines + [f"{name} {_short(value)}" for name, value in self.numbers.items()]
        )


@dataclass(frozen=True, eq=False)
class Sheet:
    """Cells under their labels, one for each row and column; labels may be empty. A place may be
    free. `recipe`: how it was made, JSON-able, for its file.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    recipe: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        places = [(cell.row, cell.column) for cell in self.cells]
        if not places or len(set(places)) < len(places):
            raise ValueError(f"a sheet needs cells at different places, not {places}")
        if not all(
            0 <= row < len(self.rows) and 0 <= column < len(self.columns) for row, column in places
        ):
            raise ValueError(
                f"a cell lies outside {len(self.rows)} rows and {len(self.columns)} columns: {places}"
            )


@dataclass(frozen=True)
class Text:
    """Lines of text, each centred in the box; `size` is the font's, in px."""

    box: Box
    size: int
    text: str


@dataclass(frozen=True)
class Layout:
    """Where everything goes: `pictures[row, column]`, enlarged `scale` times, and the texts.
    `size`: width, height.
    """

    size: tuple[int, int]
    scale: int
    pictures: Mapping[tuple[int, int], Box]
    texts: tuple[Text, ...]


def layout(sheet: Sheet) -> Layout:
    """Columns as wide as their widest picture or text, rows likewise; no two boxes of the result
    overlap.
    """
    sizes = {(cell.row, cell.column): cell.picture.shape[-2:] for cell in sheet.cells}
    scale = max(1, round(READABLE / max(max(size) for size in sizes.values())))
    tall, wide = (scale * max(size[axis] for size in sizes.values()) for axis in (0, 1))
    label = max(16, round(max(wide * len(sheet.columns), tall * len(sheet.rows)) * LABEL))
    small, large, gap = round(label * 0.75), round(label * 1.2), label // 2
    texts: list[Text] = []

    def put(text: str, size: int, left: int, top: int, room: int) -> int:
        """Centred in `room` px; where it ends below."""
        width, height = _extent(text, size)
        left += max(0, (room - width) // 2)
        if text:
            texts.append(Text((left, top, left + width, top + height), size, text))
        return top + height

    lefts, widths, right = [], [], label + max(_extent(text, label)[0] for text in sheet.rows)
    right += gap if any(sheet.rows) else 0
    for column, text in enumerate(sheet.columns):
        captions = [
            _extent(cell.caption, small)[0] for cell in sheet.cells if cell.column == column
        ]
        widths.append(max(wide, _extent(text, label)[0], *captions))
        lefts.append(right)
        right += widths[-1] + gap
    across = max(right - gap, label + _extent(sheet.title, large)[0]) + label
    bottom = put(sheet.title, large, 0, label, across) + gap
    bottom = max(
        put(text, label, *place) for text, place in _heads(sheet.columns, lefts, widths, bottom)
    )
    pictures: dict[tuple[int, int], Box] = {}
    for row, text in enumerate(sheet.rows):
        top = bottom + gap
        middle = top + max(0, (tall - _extent(text, label)[1]) // 2)
        bottom = max(top + tall, put(text, label, label, middle, 0))
        for cell in (cell for cell in sheet.cells if cell.row == row):
            height, width = (scale * side for side in cell.picture.shape[-2:])
            left = lefts[cell.column] + (widths[cell.column] - width) // 2
            pictures[row, cell.column] = (left, top, left + width, top + height)
            end = put(
                cell.caption,
                small,
                lefts[cell.column],
                top + height + gap // 2,
                widths[cell.column],
            )
            bottom = max(bottom, end)
    return Layout((across, bottom + label), scale, MappingProxyType(pictures), tuple(texts))


def _heads(
    columns: tuple[str, ...], lefts: list[int], widths: list[int], top: int
) -> list[tuple[str, tuple[int, int, int]]]:
    return [
        (text, (left, top, room)) for text, left, room in zip(columns, lefts, widths, strict=True)
    ]


def _extent(text: str, size: int) -> tuple[int, int]:
    """Width and height of lines of text, in px."""
    if not text:
        return 0, 0
    font = ImageFont.load_default(size)
    lines = text.split("\n")
    # Room for a letter that leans out of its own width.
    return max(int(font.getlength(line)) + 1 for line in lines) + size // 5, _line(size) * len(
        lines
    )


def _line(size: int) -> int:
    return round(size * 1.25)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def draw_sheet(sheet: Sheet) -> Image.Image:
    """The sheet on white paper, RGB, as `layout` says."""
    plan = layout(sheet)
    paper = Image.new("RGB", plan.size, "white")
    for cell in sheet.cells:
        left, top, right, bottom = plan.pictures[cell.row, cell.column]
        picture = to_pil(cell.picture).resize(
            (right - left, bottom - top), Image.Resampling.NEAREST
        )
        paper.paste(picture, (left, top))
    pen = ImageDraw.Draw(paper)
    for text in plan.texts:
        left, top, right, _ = text.box
        font = ImageFont.load_default(text.size)
        for number, line in enumerate(text.text.split("\n")):
            start = left + (right - left - font.getlength(line)) // 2
            pen.text((start, top + number * _line(text.size)), line, fill="black", font=font)
    return paper


def check_sheet(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path that `save_sheet` can write, .png or .pdf; `ImpastoError` otherwise, before
    long work.
    """
    path = Path(path)
    if path.suffix.lower() == ".png":
        return check_output(path)
    if path.suffix.lower() != ".pdf":
        raise InputError(f"a sheet is saved as .png or .pdf, not {path.name}; choose another name")
    check_output(
        path.with_name(f".impasto-{secrets.token_hex(8)}.png")
    )  # what is said of the folder holds here too
    if path.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
        raise InputError(f"{path} is a folder or write-protected; choose another name")
    return path


def save_sheet(
    path: str | os.PathLike[str], sheet: Sheet, *, recipe: Mapping[str, object] | None = None
) -> Path:
    """Write the sheet with its recipe, whole or not at all: PNG exactly; PDF for print, as a JPEG
    at 95. `recipe`: another than the sheet's own.

    `ImpastoError` where it cannot be written.
    """
    path = check_sheet(path)
    paper, recipe = draw_sheet(sheet), sheet.recipe if recipe is None else recipe
    if path.suffix.lower() == ".png":
        return save_picture(path, paper, recipe=recipe)
    said: dict[str, Any] = {} if recipe is None else {"subject": recipe_text(recipe)}
    try:
        with atomic_write(path) as partial, partial.open("xb") as file:
            paper.save(
                file,
                format="PDF",
                resolution=150,
                quality=95,
                subsampling=0,
                title=sheet.title,
                **said,
            )
    except (OSError, ValueError) as error:
        raise InputError(f"cannot save {path} ({error}); check the disk or try .png") from error
    return path


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
        folder.mkdir(exist_ok=True)
        if not any(folder.iterdir()):
            recipe.write_text(json.dumps(wanted, indent=2), encoding="utf-8")
        found = json.loads(recipe.read_text(encoding="utf-8"))
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
