"""Makes the contact sheets of the README and the docs from sample photos, all defaults.

python docs/make_sheet.py [sheet] [bank] [arbitrary]

sheet.jpg: pairs of photos and sample styles by the optimiser. bank.jpg: four photos in every
learned style, one pass. arbitrary.jpg: four photos in every sample style, which the network has
never seen, one pass.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

import impasto
from impasto.networks.checkpoint import load_network
from impasto.pictures.image import open_picture, to_pil
from impasto.pictures.samples import STYLES, sample_style

PAIRS = (
    ("coffee", "night-swirl"),
    ("cat", "autumn-knife"),
    ("coffee", "water-garden"),
    ("cat", "woodcut"),
    ("cat", "stained-glass"),
    ("coffee", "orphism"),
)
PHOTOS = ("astronaut", "cat", "coffee", "rocket")
GAP = 6


def fitted(picture: Image.Image, cell: tuple[int, int]) -> Image.Image:
    return ImageOps.fit(picture, cell, Image.Resampling.LANCZOS, centering=(0.5, 0.3))


def grid(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet.paste(picture, (column * (width + GAP), row * (height + GAP)))
    return sheet


def named(rows: Iterable[tuple[str, list[Image.Image]]], across: int) -> Image.Image:
    """Rows of pictures, `across` of them side by side, each with its name below."""
    strips = []
    for name, pictures in rows:
        row = grid(pictures, len(pictures))
        strip = Image.new("RGB", (row.width + 2 * GAP, row.height + 26), "white")
        strip.paste(row, (0, 0))
        ImageDraw.Draw(strip).text(
            (2, row.height + 2), name, fill="black", font=ImageFont.load_default(16)
        )
        strips.append(strip)
    return grid(strips, across)


def sheet() -> Image.Image:
    return grid([fitted(impasto.stylize(photo, style), (512, 384)) for photo, style in PAIRS], 3)


def bank() -> Image.Image:
    cell = (256, 192)
    return named(
        (
            (name, [fitted(impasto.stylize(photo, name, method="fast"), cell) for photo in PHOTOS])
            for name in load_network().bank.names
        ),
        2,
    )


def arbitrary() -> Image.Image:
    cell = (256, 192)
    return named(
        (
            (
                name,
                [
                    fitted(to_pil(open_picture(sample_style(name), size=512).image), cell),
                    *(
                        fitted(impasto.stylize(photo, name, method="arbitrary"), cell)
                        for photo in PHOTOS[:3]
                    ),
                ],
            )
            for name in STYLES
        ),
        2,
    )


def main() -> None:
    sheets = {"sheet": sheet, "bank": bank, "arbitrary": arbitrary}
    for name in sys.argv[1:] or sheets:
        sheets[name]().save(Path(__file__).with_name(f"{name}.jpg"), quality=88)


if __name__ == "__main__":
    main()
