"""Sizes as people say them, amounts of memory, and what a file says of its paper."""

from pathlib import Path

import pytest
import torch
from PIL import Image

import impasto
from impasto.errors import OptionError
from impasto.settings import Settings
from impasto.sizes import memory, size
from impasto.windows import tiles


@pytest.mark.parametrize(
    ("text", "photo", "long_side"),
    [
        ("1024", (300, 400), 1024),
        ("1024px", (300, 400), 1024),
        ("original", (300, 400), 400),
        ("2x", (300, 400), 800),
        ("1.5x", (300, 400), 600),
        # 40 cm at 300 dots of 2.54 cm are 4724 px, and the short side, 3543 px, is 30 cm exactly.
        ("30x40cm@300dpi", (300, 400), 4724),
        ("40x30cm@300dpi", (400, 300), 4724),
        # The photo is longer than the paper: it fits by its long side.
        ("300x400mm@300dpi", (100, 400), 4724),
        # And squarer: by its short side.
        ("10x40in@100dpi", (400, 400), 1000),
        ("10x8in", (300, 400), 3000),
    ],
)
def test_a_size_is_a_long_side(text: str, photo: tuple[int, int], long_side: int) -> None:
    assert size(text).long_side(*photo) == long_side


@pytest.mark.parametrize(
    "text", ["", "big", "0x", "2y", "30x40", "0x40cm", "30x40cm@0dpi", "-5", "1e3"]
)
def test_what_is_no_size_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(OptionError, match=r"`size` takes .*30x40cm@300dpi") as error:
        size(text)
    assert "\n" not in str(error.value)


def test_memory_is_counted_in_thousands() -> None:
    assert memory("4GB") == 4e9
    assert memory("1.5 gb") == 1.5e9
    assert memory("800MB") == 8e8
    for wrong in ("4", "GB", "0GB", "-1GB"):
        with pytest.raises(OptionError, match="`max_memory` takes an amount"):
            Settings(max_memory=wrong)


def test_paper_is_in_the_plan_and_in_the_file(tmp_path: Path) -> None:
    options = {"method": "fast", "device": "cpu"}
    job = impasto.plan("cat", "starry-night", size="2x3cm@96dpi", **options)
    # 3 cm are 113.4 px; the sample is 451 x 300, longer than 3:2.
    assert job.content.image.shape[-1] == job.settings.size == job.recipe["size"] == 113
    assert job.dpi == job.recipe["dpi"] == 96
    for suffix in ("png", "jpg", "tif"):
        path = impasto.save_picture(tmp_path / f"p.{suffix}", job.content.image, dpi=job.dpi)
        with Image.open(path) as image:
            assert image.info["dpi"] == pytest.approx((96, 96), abs=0.02)
    assert impasto.plan("cat", "starry-night", size="0.25x", **options).settings.size == 113
    with pytest.raises(OptionError, match="`size` must be between 32 and 16384, not 45100"):
        impasto.plan("cat", "starry-night", size="100x", **options)


def test_too_little_memory_is_said_before_work_begins() -> None:
    with pytest.raises(OptionError, match=r"`max_memory=300MB` is too little .* needed"):
        impasto.plan(
            "cat", "starry-night", method="fast", device="cpu", size=96, max_memory="300MB"
        )
    job = impasto.plan(
        "cat", "starry-night", method="fast", device="cpu", size=96, max_memory="3GB"
    )
    assert any("96 x 64 px: about" in note for note in job.notes)


@pytest.mark.parametrize(("picture", "side", "halo"), [((101, 67), 32, 11), ((16, 300), 64, 8)])
def test_tiles_cover_every_pixel_once_and_see_their_surroundings(
    picture: tuple[int, int], side: int, halo: int
) -> None:
    count = torch.zeros(picture, dtype=torch.int)
    for tile in tiles(picture, side, halo, 8):
        tile.inner.of(count).add_(1)
        inner, outer = tile.inner, tile.outer
        assert inner.top % 8 == inner.left % 8 == outer.top % 8 == outer.left % 8 == 0
        assert outer.top == 0 or inner.top - outer.top >= halo
        assert outer.bottom == picture[0] or outer.bottom - inner.bottom >= halo
        assert outer.right == picture[1] or outer.right - inner.right >= halo
    assert bool((count == 1).all())
