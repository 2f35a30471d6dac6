"""Makes the sheet of regions for the docs: `python docs/make_regions.py`.

Photos above, what was painted of them below: sky and ground, subject and background, three styles
by a painted map, strength as a gradient.
"""

from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

import impasto
from impasto.pictures.samples import sample

CELL, GAP = (420, 320), 6
OPTIONS: dict[str, Any] = {"method": "arbitrary", "size": 640, "device": "cpu"}


def drawn(size: tuple[int, int], *shapes: tuple[float, ...]) -> Image.Image:
    """A mask with white polygons, whose corners are fractions of the width and the height."""
    mask = Image.new("L", size)
    for shape in shapes:
        corners = [(x * size[0], y * size[1]) for x, y in zip(shape[::2], shape[1::2], strict=True)]
        ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask


def gradient(width: int, height: int) -> Tensor:
    return torch.linspace(0, 1, width).expand(1, 1, height, width)


def sheet() -> Image.Image:
    rocket, person, cat, coffee = (
        sample(name) for name in ("rocket", "astronaut", "cat", "coffee")
    )
    sky = drawn(rocket.size, (0, 0, 1, 0, 1, 0.79, 0, 0.79))
    left = drawn(cat.size, (0, 0, 0.38, 0, 0.3, 1, 0, 1))
    middle = drawn(cat.size, (0.38, 0, 0.72, 0, 0.64, 1, 0.3, 1))
    right = drawn(cat.size, (0.72, 0, 1, 0, 1, 1, 0.64, 1))
    made = [
        (rocket, ["night-swirl", "autumn-knife"], {"regions": [sky, ImageOps.invert(sky)]}),
        (person, ["stained-glass", "woodcut"], {"regions": ["subject", "background"]}),
        (cat, ["waves", "autumn-knife", "mosaic"], {"regions": [left, middle, right]}),
        (coffee, ["orphism"], {"strength_mask": gradient(*coffee.size)}),
    ]
    networks = impasto.Networks()
    paper = Image.new("RGB", (4 * (CELL[0] + GAP) - GAP, 2 * (CELL[1] + GAP) - GAP), "white")
    for column, (photo, styles, places) in enumerate(made):
        painted = impasto.stylize(photo, styles, networks=networks, **places, **OPTIONS)
        for row, picture in enumerate((photo, painted)):
            cell = ImageOps.fit(picture, CELL, Image.Resampling.LANCZOS, centering=(0.5, 0.3))
            paper.paste(cell, (column * (CELL[0] + GAP), row * (CELL[1] + GAP)))
    return paper


if __name__ == "__main__":
    sheet().save(Path(__file__).parent / "pictures" / "regions.jpg", quality=88)
