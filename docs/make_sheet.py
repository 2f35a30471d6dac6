"""Makes docs/sheet.jpg, the contact sheet of the README: six sample photos in six sample styles, all defaults.

python docs/make_sheet.py
"""

from pathlib import Path

from PIL import Image, ImageOps

import impasto

PAIRS = (
    ("coffee", "night-swirl"),
    ("cat", "autumn-knife"),
    ("coffee", "water-garden"),
    ("cat", "woodcut"),
    ("cat", "stained-glass"),
    ("coffee", "orphism"),
)
CELL, GAP, COLUMNS = (512, 384), 6, 3


def main() -> None:
    rows = -(-len(PAIRS) // COLUMNS)
    size = (COLUMNS * (CELL[0] + GAP) - GAP, rows * (CELL[1] + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for index, (photo, style) in enumerate(PAIRS):
        row, column = divmod(index, COLUMNS)
        picture = ImageOps.fit(impasto.stylize(photo, style), CELL, Image.Resampling.LANCZOS, centering=(0.5, 0.3))
        sheet.paste(picture, (column * (CELL[0] + GAP), row * (CELL[1] + GAP)))
    sheet.save(Path(__file__).with_name("sheet.jpg"), quality=88)


if __name__ == "__main__":
    main()
