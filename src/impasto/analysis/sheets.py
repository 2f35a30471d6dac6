"""A sheet of pictures with labels: laid out, and saved as PNG or PDF.

How its cells are made, `impasto.analysis.work` knows.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from impasto.errors import InputError
from impasto.pictures.image import check_output, save_picture, to_pil
from impasto.pictures.recipes import recipe_text
from impasto.pictures.writing import atomic_write, check_place

__all__ = [
    "Box",
    "Cell",
    "Layout",
    "Sheet",
    "Text",
    "check_sheet",
    "draw_sheet",
    "layout",
    "save_sheet",
]

# Smaller pictures are enlarged, by whole pixels so that nothing is invented, towards this long
# side.
READABLE = 256
# A label's height to the sheet's longer side: 18 pt on a slide of 10 inches, the least that a back
# row reads.
LABEL = 1 / 40

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
    return check_place(path)


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
