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
from impasto.pictures.image import open_picture
from impasto.pictures.salvage import MISSING
from impasto.pictures.samples import sample

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
}


def encoded(kind: str) -> bytes:
    options = dict(KINDS[kind])
    image = sample("coffee").resize((240, 400)).convert(options.pop("mode", "RGB"))
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
    taken, refused = [], []
    for part in (*np.linspace(0.05, 0.9, 12), *np.linspace(0.91, 0.999, 12)):
        path.write_bytes(data[: round(part * len(data))])
        try:
            found = open_picture(path)
        except InputError:
            refused.append(part)
            continue
        taken.append(part)
        rows = round(400 * (1 - MISSING))
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
