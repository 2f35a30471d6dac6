"""Files whose end is missing: the same pixels where nothing but an end mark is, a note where a few
rows are, and an error in one line where it is more.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.errors import InputError
from impasto.film.opening import open_film
from impasto.pictures.image import open_picture
from impasto.pictures.salvage import MISSING
from impasto.pictures.samples import sample

HEIGHT = 800

KINDS: dict[str, dict[str, Any]] = {
    "baseline.jpg": {},
    "progressive.jpg": {"progressive": True},
    "restarts.jpg": {"restart_marker_rows": 2},
    "grey.jpg": {"mode": "L"},
    "inks.jpg": {"mode": "CMYK"},
    "plain.png": {},
    "veiled.png": {"mode": "RGBA"},
    "plain.bmp": {},
    "plain.tif": {},
    "lossy.webp": {},
    "lossless.webp": {"lossless": True},
    "plain.avif": {},
}


def encoded(kind: str) -> bytes:
    options = dict(KINDS[kind])
    image = sample("coffee").resize((120, HEIGHT)).convert(options.pop("mode", "RGB"))
    file = io.BytesIO()
    form = Image.registered_extensions()[f".{kind.rpartition('.')[2]}"]
    image.save(file, form, quality=90, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.endswith(("jpg", "png"))])
def test_without_its_end_mark_a_file_has_the_same_pixels(kind: str, tmp_path: Path) -> None:
    path, data = tmp_path / kind, encoded(kind)
    path.write_bytes(data)
    whole = open_picture(path).image
    for count in (1, 2):
        path.write_bytes(data[:-count])
        found = open_picture(path)
        assert (found.image == whole).all()
        assert kind.endswith("png") or any("end mark" in note for note in found.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_accepted_is_nearly_whole_and_says_what_is_missing(
    kind: str, tmp_path: Path
) -> None:
    path, data = tmp_path / kind, encoded(kind)
    path.write_bytes(data)
    whole = open_picture(path).image
    taken, refused = list[float](), list[float]()
    for part in (*np.linspace(0.05, 0.9, 12), *np.linspace(0.91, 0.999, 12)):
        path.write_bytes(data[: round(part * len(data))])
        try:
            found = open_picture(path)
        except InputError:
            refused.append(part)
            continue
        taken.append(part)
        rows = round(HEIGHT * (1 - MISSING))
        # A unit of a JPEG cut short has neighbours that were smoothed towards it.
        away = (found.image - whole).abs().amax(dim=(0, 1, 3))
        kept = away[-rows:] if kind.endswith("bmp") else away[:rows]
        assert kept[8:-8].max() <= (0.15 if kind == "progressive.jpg" else 0)
        if away.max() > 0:
            assert any("missing" in note or "end mark" in note for note in found.notes)
    assert taken
    assert min(taken) > 0.85
    assert max(refused) < 0.999
    assert len(refused) > 10


@pytest.mark.parametrize("kind", ["lossy.webp", "lossless.webp", "plain.avif"])
def test_what_stands_behind_the_pixels_may_be_missing(kind: str, tmp_path: Path) -> None:
    """A WebP whose EXIF is cut off, an animation whose second frame is: the first is all there."""
    path, image, file = tmp_path / kind, sample("coffee").resize((64, 96)), io.BytesIO()
    form = Image.registered_extensions()[path.suffix]
    image.save(file, form, save_all=True, append_images=[image.rotate(180)], **KINDS[kind])
    path.write_bytes(file.getvalue())
    whole = open_picture(path).image
    path.write_bytes(file.getvalue()[:-20])
    found = open_picture(path)
    assert (found.image == whole).all()
    assert any("none of its 96 rows is missing" in note for note in found.notes)


def test_a_header_is_not_believed_without_end(tmp_path: Path) -> None:
    """A file that says it is far longer than it is stays what it is: damaged, at once."""
    path, data = tmp_path / "lossy.webp", encoded("lossy.webp")
    path.write_bytes(data[:4] + b"\xf0\xff\xff\xff" + data[8:])
    with pytest.raises(InputError):
        open_picture(path)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.95, 0.999])
def test_a_gif_cut_short_is_the_same_picture_or_refused(
    count: int, part: float, tmp_path: Path
) -> None:
    """Nothing of a GIF is repaired: its frames are whole, or it is damaged, in one line."""
    image, path = sample("coffee").resize((96, 64)), tmp_path / "a.gif"
    frames = [image.rotate(90 * number) for number in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    whole, data = open_picture(path).image, path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    try:
        assert (open_picture(path).image == whole).all()
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
    try:
        assert len(list(open_film(path).frames())) <= count
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
