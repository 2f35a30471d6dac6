"""Makes the sheet of regions for the docs: `python docs/make_regions.py`.

Photos above, what was painted of them below: sky and ground, subject and background, three styles
by a painted map, strength as a gradient.
"""

from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageChops, ImageDraw, ImageOps
from torch import Tensor

import impasto
from impasto.pictures.samples import sample

CELL, GAP = (420, 320), 6
OPTIONS: dict[str, Any] = {"method": "arbitrary", "size": 768, "device": "cpu"}
# Drawn by hand, as fractions of the width and the height.
OUTLINE = (
    *(0.3, 0.22, 0.29, 0.13, 0.34, 0.05, 0.44, 0.02, 0.54, 0.05, 0.6, 0.14, 0.58, 0.24, 0.53, 0.26),
    *(0.52, 0.33, 0.58, 0.39, 0.6, 0.46, 0.68, 0.54, 0.71, 0.68, 0.85, 1, 0.06, 1, 0.05, 0.78),
    *(0.1, 0.55, 0.21, 0.43, 0.22, 0.34, 0.3, 0.29, 0.36, 0.28),
)
HELMET = (0.55, 0.66, 1.0, 1.2)
SAUCER, RIM = (0.125, 0.13, 0.8, 0.97), (0.285, 0.045, 0.682, 0.49)
CUP = (0.285, 0.25, 0.685, 0.25, 0.66, 0.5, 0.6, 0.62, 0.53, 0.68, 0.41, 0.68, 0.33, 0.55)


def drawn(size: tuple[int, int], *shapes: tuple[float, ...]) -> Image.Image:
    """A mask with white polygons, whose corners are fractions of the width and the height."""
    mask = Image.new("L", size)
    for shape in shapes:
        corners = [(x * size[0], y * size[1]) for x, y in zip(shape[::2], shape[1::2], strict=True)]
        ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask


def ellipse(size: tuple[int, int], *box: float) -> Image.Image:
    """A mask with a white ellipse: left, top, right and bottom as fractions."""
    mask = Image.new("L", size)
    corners = [share * size[place % 2] for place, share in enumerate(box)]
    ImageDraw.Draw(mask).ellipse(corners, fill=255)
    return mask


def gradient(width: int, height: int) -> Tensor:
    return torch.linspace(-0.15, 1.1, width).clamp(0, 1).expand(1, 1, height, width)


def sheet() -> Image.Image:
    rocket, person, cat, coffee = (
        sample(name) for name in ("rocket", "astronaut", "cat", "coffee")
    )
    sky = drawn(rocket.size, (0, 0, 1, 0, 1, 0.79, 0, 0.79))
    her = ImageChops.lighter(drawn(person.size, OUTLINE), ellipse(person.size, *HELMET))
    cup = ImageChops.lighter(ellipse(coffee.size, *RIM), drawn(coffee.size, CUP))
    saucer = ImageChops.subtract(ellipse(coffee.size, *SAUCER), cup)
    table = ImageOps.invert(ImageChops.lighter(saucer, cup))
    made = [
        (rocket, ["night-swirl", "autumn-knife"], {"regions": [sky, ImageOps.invert(sky)]}),
        (person, ["autumn-knife", "night-swirl"], {"regions": [her, ImageOps.invert(her)]}),
        (coffee, ["woodcut", "orphism", "night-swirl"], {"regions": [cup, saucer, table]}),
        (cat, ["autumn-knife"], {"strength_mask": gradient(*cat.size)}),
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
