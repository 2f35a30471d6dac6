"""Makes the pictures of the documentation, from the sample photos and styles alone.

python docs/make_pictures.py [NAME …]

Without names, all of them; some minutes on two cores. Most that are optimised are smaller than the
commands would make them.
"""

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

import impasto
from impasto.analysis.deltas import delta_sheet, smoothed
from impasto.analysis.grid import ratio_grid, sweep
from impasto.analysis.inspect import feature_sheet, gram_maps, gram_sheet, strongest
from impasto.analysis.reconstruct import content_reconstructions, style_reconstructions
from impasto.analysis.sheets import Cell, Sheet, draw_sheet
from impasto.losses.base import STYLE_LOSSES
from impasto.losses.presets import PRESETS
from impasto.pictures.image import open_picture, resize, to_pil
from impasto.pictures.samples import STYLES, sample, sample_style
from impasto.pictures.sources import open_source

FOLDER = Path(__file__).with_name("pictures")
PHOTO, PAINTING = "cat", "night-swirl"
WIDTH, QUALITY = 1000, 82
SIDE = 256


def strip(title: str, pictures: Sequence[tuple[str, Image.Image]], columns: int = 0) -> Image.Image:
    """Pictures in a row, or in rows of `columns`, each with its name below."""
    across = columns or len(pictures)
    cells = [
        Cell(*divmod(place, across), open_picture(picture).image, name)
        for place, (name, picture) in enumerate(pictures)
    ]
    return draw_sheet(Sheet(title, ("",) * (cells[-1].row + 1), ("",) * across, tuple(cells)))


def opened(name: str) -> Image.Image:
    """A sample photo or style as it goes in."""
    return to_pil(open_source(name, SIDE).image)


def plate(name: str, size: tuple[int, int]) -> Image.Image:
    """A sample style of that width and height."""
    width, height = size
    return to_pil(resize(open_picture(sample_style(name)).image, (height, width)))


def plate_of(photo: str, size: tuple[int, int]) -> Image.Image:
    """A sample photo of that width and height."""
    return opened(photo).resize(size)


def painted(photo: str, style: str | list[str], **options: object) -> Image.Image:
    """As `impasto.stylize` does it, at the size of these pictures."""
    return impasto.stylize(photo, style, **({"size": SIDE} | options))


def three_ways() -> Image.Image:
    photo, style, size = "coffee", "night-swirl", 384
    plain = painted(photo, style, method="arbitrary", strength=0, size=size)
    return strip(
        "One photo and one style, three ways",
        [
            (f"photo: {photo}", plain),
            ("--method fast", painted(photo, style, method="fast", size=size)),
            ("--method arbitrary", painted(photo, style, method="arbitrary", size=size)),
            (f"style: {style}", plate(style, plain.size)),
            (
                "--method arbitrary --refine 35",
                painted(photo, style, method="arbitrary", refine=35, size=size),
            ),
            ("--method optimize, the default", painted(photo, style, size=size)),
        ],
        3,
    )


def strength() -> Image.Image:
    style, values = "autumn-knife", (0, 0.25, 0.5, 0.75, 1)
    return strip(
        "--strength, by --method arbitrary",
        [
            (f"{value:g}", painted("coffee", style, method="arbitrary", strength=value, size=512))
            for value in values
        ],
    )


def style_scale() -> Image.Image:
    work = sweep(
        "cat", "pointillism", "style-scale", (0.5, 1, 2), encoder=impasto.load_encoder(), size=SIDE
    )
    return draw_sheet(work.finish())


def keep_color() -> Image.Image:
    photo, style, size = "coffee", "waves", 512
    plain = painted(photo, style, method="arbitrary", strength=0, size=size)
    pictures = [(f"photo: {photo}", plain), (f"style: {style}", plate(style, plain.size))]
    for value in ("none", "luminance", "statistics"):
        pictures.append(
            (
                f"--keep-color {value}",
                painted(photo, style, method="arbitrary", keep_color=value, size=size),
            )
        )
    return strip("Whose colours", pictures)


def blends() -> Image.Image:
    pair = ["night-swirl", "mosaic"]
    shares = (0, 0.25, 0.5, 0.75, 1)
    return strip(
        "night-swirl and mosaic: --blend",
        [
            (
                f"{1 - share:g},{share:g}",
                painted("cat", pair, blend=[1 - share, share], method="fast", size=512),
            )
            for share in shares
        ],
    )


def refinement() -> Image.Image:
    pair = ("cat", "orphism")
    return strip(
        "One pass, and pixels optimised from there",
        [
            ("one pass", painted(*pair, method="arbitrary")),
            ("--refine 35", painted(*pair, method="arbitrary", refine=35)),
            ("the default", painted(*pair)),
        ],
    )


def flat_photos() -> dict[str, Image.Image]:
    """Photos of little or nothing: plain, graded, one thing on white, lines, a night sky."""
    size = (SIDE, SIDE * 3 // 4)
    found = {name: Image.new("RGB", size, name) for name in ("white", "black", "gray")}
    found["product"] = Image.new("RGB", size, "white")
    ImageDraw.Draw(found["product"]).ellipse((150, 50, 230, 150), fill=(153, 38, 26))
    found["line art"] = Image.new("RGB", size, "white")
    for x in range(160, size[0], 16):
        ImageDraw.Draw(found["line art"]).line((x, 20, x - 30, 170), fill="black", width=2)
    above, below = (Image.new("RGB", size, color) for color in ((77, 102, 204), (230, 179, 102)))
    found["evening"] = Image.composite(below, above, Image.linear_gradient("L").resize(size))
    found["night"] = Image.new("RGB", size, (8, 10, 26))
    places = random.Random(1)
    for _ in range(40):
        at = places.randrange(size[0]), places.randrange(size[1] // 2)
        found["night"].putpixel(at, (230, 230, 230))
    return found


def flats() -> Image.Image:
    methods: dict[str, dict[str, object]] = {
        "--method fast": {"method": "fast"},
        "--method arbitrary": {"method": "arbitrary"},
        "the default": {},
    }
    photos, networks = flat_photos(), impasto.Networks()
    pictures = list(photos.items())
    for name, options in methods.items():
        for photo in photos.values():
            pictures.append(
                (name, impasto.stylize(photo, PAINTING, size=SIDE, networks=networks, **options))
            )
    return strip(f"Plain and graded areas, in the style {PAINTING}", pictures, len(photos))


def samples() -> Image.Image:
    return strip("The sample styles, drawn by code", [(name, opened(name)) for name in STYLES], 5)


def content_layers() -> Image.Image:
    return draw_sheet(
        content_reconstructions(PHOTO, encoder=impasto.load_encoder(), size=SIDE).finish()
    )


def style_layers() -> Image.Image:
    return draw_sheet(
        style_reconstructions(PAINTING, encoder=impasto.load_encoder(), size=192).finish()
    )


def grid() -> Image.Image:
    return draw_sheet(
        ratio_grid("coffee", PAINTING, encoder=impasto.load_encoder(), size=160).finish()
    )


def presets() -> Image.Image:
    photo, style, steps, side = "cat", "night-swirl", 100, 192
    size = opened(photo).resize((side, side * 2 // 3)).size
    made = [
        (name, painted(photo, style, preset=name, steps=min(steps, each.steps), size=side))
        for name, each in PRESETS.items()
    ]
    given = [(f"photo: {photo}", plate_of(photo, size)), (f"style: {style}", plate(style, size))]
    return strip(f"Every --preset, for {steps} steps at most", [*given, *made], 4)


PAIRS = (
    ("cat", "night-swirl"),
    ("astronaut", "mosaic"),
    ("coffee", "waves"),
    ("rocket", "pointillism"),
    ("cat", "woodcut"),
    ("astronaut", "autumn-knife"),
)


def style_losses() -> Image.Image:
    """A row a pair: every style loss, and self-similarity as content."""
    ways = {name: {"style_loss": name} for name in STYLE_LOSSES}
    ways["selfsim"] = {"content_loss": "selfsim"}
    cells = [
        Cell(row, column, open_picture(painted(photo, style, **options)).image)
        for row, (photo, style) in enumerate(PAIRS)
        for column, options in enumerate(ways.values())
    ]
    rows = tuple(f"{photo}\n{style}" for photo, style in PAIRS)
    sheet = draw_sheet(
        Sheet("Style losses, each at its own balance", rows, tuple(ways), tuple(cells))
    )
    return sheet.resize((780, round(sheet.height * 780 / sheet.width)), Image.Resampling.LANCZOS)


def variation() -> Image.Image:
    rough = open_picture(painted("coffee", "orphism")).image
    *_, last = smoothed(rough, encoder=impasto.load_encoder())
    photo = resize(open_picture(opened("coffee")).image, (rough.shape[-2], rough.shape[-1]))
    return draw_sheet(delta_sheet(("photo", "painted", "smoothed"), (photo, rough, last.image)))


def features() -> Image.Image:
    photo = open_source(PHOTO, 512).image
    return draw_sheet(feature_sheet(strongest(impasto.load_encoder(), photo, "relu3_1", top=4)))


def upscaled() -> Image.Image:
    """At 100 %: reduced, and enlarged again in two ways."""
    cells: list[tuple[str, Image.Image]] = []
    for photo, times, (left, top) in (
        ("cat", 4, (60, 40)),
        ("astronaut", 4, (130, 10)),
        ("coffee", 2, (200, 90)),
    ):
        large = sample(photo).crop((left, top, left + 296, top + 216))
        size = (large.width // times, large.height // times)
        small = large.resize(size, Image.Resampling.BICUBIC)
        cells += [
            (f"bicubic, times {times}", small.resize(large.size, Image.Resampling.BICUBIC)),
            (f"impasto upscale --times {times}", impasto.upscale(small, times)),
            (f"what was reduced: {photo}", large),
        ]
    return strip("Reduced, and enlarged again", cells, 3)


def grams() -> Image.Image:
    return draw_sheet(
        gram_sheet(gram_maps(impasto.load_encoder(), open_source(PAINTING, 512).image))
    )


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "blends": blends,
    "content-layers": content_layers,
    "features": features,
    "flats": flats,
    "grams": grams,
    "grid": grid,
    "keep-color": keep_color,
    "presets": presets,
    "refinement": refinement,
    "samples": samples,
    "strength": strength,
    "style-layers": style_layers,
    "style-scale": style_scale,
    "style-losses": style_losses,
    "three-ways": three_ways,
    "upscaled": upscaled,
    "variation": variation,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        picture = PICTURES[name]()
        if picture.width > WIDTH:
            picture = picture.resize(
                (WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS
            )
        picture.save(FOLDER / f"{name}.jpg", quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
