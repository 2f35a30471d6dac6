"""What a file says of its picture: how it was made and how far it came, and what its owner says; never
where it was taken, unless asked.
"""

import io
import json
import pickle
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

import impasto
from impasto.analysis.sheets import Cell, Sheet, save_sheet
from impasto.apps.cli.recipe import command
from impasto.pictures.exif import read_exif, sifted, tags
from impasto.pictures.image import open_picture, read_recipe, save_picture
from impasto.pictures.painted import PaintedImage
from impasto.pictures.samples import sample
from impasto.pipeline import plan, stylize

SUFFIXES = (".avif", ".jpg", ".png", ".tif", ".webp")
QUICK: dict[str, Any] = {"size": 48, "method": "arbitrary"}
DESCRIPTION, DATE, ARTIST, COPYRIGHT, CAMERA, TURN = 0x010E, 0x0132, 0x013B, 0x8298, 0x0110, 0x0112
EXIF, TAKEN, GPS = 0x8769, 0x9003, 0x8825


def block(found: dict[int, Any] | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif.update(
        {
            DESCRIPTION: "Ein Café in Zürich".encode(),
            DATE: "2024:05:06 07:08:09",
            ARTIST: "Anna",
            COPYRIGHT: "(c) Anna",
            CAMERA: "Box",
        }
        | (found or {})
    )
    exif.get_ifd(EXIF).update({TAKEN: "2024:01:02 03:04:05", 0x829A: 0.02, 0x927C: b"own"})
    exif.get_ifd(GPS).update({1: "N", 2: (47.0, 22.0, 0.0)})
    return exif


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "holiday.jpg"
    sample("cat").resize((60, 48)).save(path, exif=block({TURN: 6}).tobytes())
    return path


def texts(path: Path) -> tuple[dict[int, str], dict[int, Any], dict[int, Any]]:
    with Image.open(path) as image:
        exif = image.getexif()
        taken = {TAKEN: exif[TAKEN]} if TAKEN in exif else dict(exif.get_ifd(EXIF))
        wanted = (DESCRIPTION, DATE, ARTIST, COPYRIGHT, CAMERA, TURN)
        return (
            {tag: str(exif[tag]).encode("latin-1").decode() for tag in wanted if tag in exif},
            taken,
            dict(exif.get_ifd(GPS)),
        )


CREDIT = {
    DESCRIPTION: "Ein Café in Zürich",
    DATE: "2024:05:06 07:08:09",
    ARTIST: "Anna",
    COPYRIGHT: "(c) Anna",
}

# --------------------------------------------------------------------------------------- one way


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_way_to_save_says_the_same(photo: Path, tmp_path: Path, suffix: str) -> None:
    job = plan(photo, ["mosaic"], **QUICK)
    step = deque(job.steps(), maxlen=1).pop()
    made = job.finish(step)
    expected = job.recipe | {"steps_done": 1}
    ways = {
        "job": lambda path: job.save(step, path),
        "pillow": made.save,
        "function": lambda path: save_picture(path, made),
        "with the job's recipe": lambda path: save_picture(path, made, recipe=job.recipe),
        "at once": lambda path: stylize(photo, "mosaic", **QUICK).save(path),
        "copied": lambda path: pickle.loads(pickle.dumps(made)).copy().convert("RGB").save(path),
        "open": lambda path: path.write_bytes(encoded(made, suffix)),
    }
    for number, (way, save) in enumerate(ways.items()):
        path = tmp_path / f"{number}{suffix}"
        save(path)
        assert read_recipe(path) == json.loads(json.dumps(expected)), way
        assert texts(path) == (CREDIT, {TAKEN: "2024:01:02 03:04:05"}, {}), way
    assert made.resize((8, 8)).info.keys() == made.info.keys()
    assert type(made.resize((8, 8))) is Image.Image


def encoded(image: Image.Image, suffix: str) -> bytes:
    file = io.BytesIO()
    image.save(file, Image.registered_extensions()[suffix])
    return file.getvalue()


def test_a_picture_stopped_half_way_says_so_and_where(tmp_path: Path) -> None:
    job = plan("cat", ["waves"], size=48, steps=4)
    seen = []
    for step in job.steps():
        for number, save in enumerate((job.save, lambda s, p: job.finish(s).save(p))):
            path = tmp_path / f"{step.step}-{number}.png"
            save(step, path)
            recipe = read_recipe(path)
            assert recipe is not None
            assert recipe["steps_done"] == step.step
            assert recipe.get("unfinished", False) == (step.step < 4)
            seen.append(recipe)
        older = save_picture(tmp_path / "old.png", job.finish(step), recipe=job.recipe)
        assert read_recipe(older) == seen[-1]
    assert len(seen) == 8
    assert stylize("cat", "waves", size=48, steps=4).recipe == seen[-1]


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_sheet_carries_its_recipe(tmp_path: Path, suffix: str) -> None:
    cell = Cell(0, 0, open_picture(sample("cat"), size=64).image)
    sheet = Sheet("A sheet", ("",), ("",), (cell,), {"sheet": "one", "steps": 3})
    assert read_recipe(save_sheet(tmp_path / f"a{suffix}", sheet)) == dict(sheet.recipe or {})
    other = save_sheet(tmp_path / f"b{suffix}", sheet, recipe={"sheet": "two"})
    assert read_recipe(other) == {"sheet": "two"}


def test_recipes_where_they_stood_before_are_still_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[DESCRIPTION] = json.dumps({"impasto": {"method": "fast"}})
    Image.new("RGB", (32, 32)).save(tmp_path / "old.jpg", exif=exif.tobytes())
    assert read_recipe(tmp_path / "old.jpg") == {"method": "fast"}
    # And are no description of a picture made of it.
    made = stylize(tmp_path / "old.jpg", "mosaic", **QUICK)
    assert made.exif == b""


# ----------------------------------------------------------------------------------- what is told


def test_the_photo_is_named_only_where_that_is_asked(photo: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.png"
    sample("coffee").save(start)
    for kind in ("short", "full", "none"):
        made = stylize(photo, "waves", size=48, steps=1, start=start, recipe=kind)
        path = tmp_path / f"{kind}.jpg"
        made.save(path)
        recipe, data = read_recipe(path), path.read_bytes()
        assert (recipe is None) == (kind == "none")
        assert (b"holiday" in data, b"start.png" in data) == ((kind == "full"),) * 2
        if recipe is None:
            continue
        again = command(recipe, "again.png") or ""
        expected = ("holiday.jpg", "start.png") if kind == "full" else ("PHOTO", "START")
        assert again.startswith(f"impasto stylize {expected[0]} waves -o again.png")
        assert again.endswith(f"--init {expected[1]}")
        assert "sha256" not in json.dumps(recipe["content"]) or kind == "full"
    # A sample's name tells nothing of anybody.
    assert plan("cat", ["mosaic"], **QUICK).recipe["content"] == {"name": "cat"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("keep", ["credit", "all", "none"])
def test_what_the_owner_says_is_kept_and_the_place_only_if_asked(
    photo: Path, tmp_path: Path, suffix: str, keep: str
) -> None:
    path = tmp_path / f"out{suffix}"
    job = plan(photo, ["mosaic"], keep_exif=keep, **QUICK)
    job.save(deque(job.steps(), maxlen=1).pop(), path)
    first, taken, place = texts(path)
    assert read_recipe(path) is not None
    assert TURN not in first  # the pixels were turned
    assert first == {"credit": CREDIT, "all": CREDIT | {CAMERA: "Box"}, "none": {}}[keep]
    assert taken.get(TAKEN) == (None if keep == "none" else "2024:01:02 03:04:05")
    assert 0x927C not in taken
    # libtiff writes no directories.
    assert bool(place) == (keep == "all" and suffix != ".tif")


def test_exif_is_read_from_every_format(tmp_path: Path) -> None:
    expected = {tag: text.encode() for tag, text in CREDIT.items()}
    for suffix in SUFFIXES:
        path = tmp_path / f"a{suffix}"
        Image.new("RGB", (32, 32)).save(path, exif=block())
        with Image.open(path) as image:
            found = tags(sifted(read_exif(image), "credit"), "JPEG")
        assert {tag: found[tag] for tag in CREDIT} == expected
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Author", "Žofie")
    info.add_text("Copyright", "mine")
    Image.new("RGB", (32, 32)).save(tmp_path / "texts.png", pnginfo=info)
    found = tags(open_picture(tmp_path / "texts.png").exif, "JPEG")
    assert dict(found) == {ARTIST: "Žofie".encode(), COPYRIGHT: b"mine"}


def test_broken_or_endless_exif_costs_no_picture(tmp_path: Path) -> None:
    photo = sample("cat").resize((48, 48))
    for number, exif in enumerate((b"Exif\0\0MM\0*\0\0\0\x08\0\xff\xff", b"Exif\0\0junk")):
        photo.save(tmp_path / f"{number}.jpg", exif=exif)
        assert open_picture(tmp_path / f"{number}.jpg").exif == b""
    long = block({DESCRIPTION: b"x" * 50_000})
    photo.save(tmp_path / "long.jpg", exif=long.tobytes())
    kept = open_picture(tmp_path / "long.jpg").exif
    assert 1000 < len(kept) < 5000
    recipe = {"text": "x" * 59_000}
    out = save_picture(tmp_path / "out.jpg", PaintedImage.of(photo, recipe, kept))
    assert read_recipe(out) == recipe
    noise = block()
    noise.get_ifd(EXIF)[0x9286] = b"y" * 39_000
    photo.save(tmp_path / "out.jpg", exif=noise.tobytes())
    kept = open_picture(tmp_path / "out.jpg").exif
    out = save_picture(tmp_path / "out.jpg", PaintedImage.of(photo, {"text": "x" * 40_000}, kept))
    assert texts(out)[0] == CREDIT, "what does not fit goes, and the credit last"


def test_a_plain_picture_brings_nothing_along(photo: Path, tmp_path: Path) -> None:
    with Image.open(photo) as image:
        path = save_picture(tmp_path / "out.jpg", image)
    assert read_recipe(path) is None
    assert texts(path) == ({}, {}, {})
    assert impasto.stylize is stylize
