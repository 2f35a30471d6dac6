"""Pictures in memory and on their way out: shapes and sizes by law, every output read back."""

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import ImpastoError
from impasto.pictures.image import (
    check_output,
    fit,
    open_picture,
    read_recipe,
    resize,
    save_notes,
    save_picture,
    to_pil,
)
from impasto.pictures.samples import sample, sample_names

RNG = np.random.default_rng(7)
NOISE = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)  # no symmetry, no equal sides
SUFFIXES = (".avif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def as_array(image: torch.Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).numpy()


def smooth(height: int = 48, width: int = 64) -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([x, y, (x + y) / 2])[None]


# -------------------------------------------------------------------------------------- arrays, tensors


def test_arrays_and_tensors_of_every_kind_agree() -> None:
    expected = open_picture(NOISE).image
    tensor = torch.from_numpy(NOISE).permute(2, 0, 1)
    unit = tensor / 255
    for same in (
        tensor,
        tensor[None],
        unit,
        unit[None],
        unit.double(),
        NOISE / 255.0,
        NOISE.astype(np.uint16) * 257,
    ):
        assert torch.allclose(open_picture(same).image, expected, atol=1e-7)
    assert (open_picture(unit.to(torch.bfloat16)).image - expected).abs().max() < 1 / 255
    grey = open_picture(NOISE[..., 0])
    for same in (NOISE[..., :1], tensor[:1], unit[None, :1]):
        assert torch.equal(open_picture(same).image, grey.image)
    assert torch.equal(grey.image[0, 1], expected[0, 0])
    four = open_picture(torch.cat([unit, unit[:1]]))
    assert four.alpha is not None
    assert torch.equal(four.alpha[0, 0], unit[0])
    seen = unit[0] > 0
    assert torch.equal(four.image[..., seen], expected[..., seen])
    unit.requires_grad_()
    assert not open_picture(unit).image.requires_grad


def test_opening_copies_and_leaves_the_source_alone() -> None:
    tensor = torch.rand(1, 3, 20, 30)
    before = tensor.clone()
    open_picture(tensor).image.zero_()
    assert torch.equal(tensor, before)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((20, 30, 2)),
        np.zeros((3, 20, 30)),
        np.zeros((20, 30), dtype=np.int64),
        np.zeros((0, 30, 3)),
        np.full((20, 30, 3), np.nan),
        np.full((20, 30, 3), 255.0),
        np.full((20, 30, 3), -0.01),
        torch.zeros(2, 3, 20, 30),
        torch.zeros(20, 30),
        torch.full((3, 20, 30), torch.inf),
        torch.zeros(3, 20, 30, dtype=torch.int32),
        torch.zeros(3, 15, 30),
        None,
        17,
    ],
)
def test_what_is_no_picture_in_memory_is_refused(bad: object) -> None:
    with pytest.raises(ImpastoError) as caught:
        open_picture(bad)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


# ----------------------------------------------------------------------------------------------- size


def test_size_is_the_long_side_and_never_enlarges(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    photo = to_pil(smooth(90, 200))
    photo.save(path)
    reduced = open_picture(path, size=100)
    assert reduced.image.shape == (1, 3, 45, 100)
    theirs = np.asarray(photo.resize((100, 45), Image.Resampling.LANCZOS))
    assert np.abs(as_array(reduced.image) * 255 - theirs).max() < 1.01
    assert torch.equal(open_picture(path, size=5000).image, open_picture(path).image)
    with pytest.raises(ImpastoError, match="32 x 14"):
        open_picture(path, size=32)
    for size in (0, 15, 100.5):
        with pytest.raises(ImpastoError, match="size"):
            open_picture(path, size=size)  # type: ignore[arg-type]


def test_a_fine_checkerboard_reduces_to_grey_not_to_moire() -> None:
    board = (np.indices((400, 400)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(as_array(open_picture(board, size=70).image)[4:-4, 4:-4] - 0.5).max() < 0.01


def test_transparent_colour_does_not_bleed_when_reduced() -> None:
    y, x = np.indices((200, 200))
    disc = (y - 100) ** 2 + (x - 100) ** 2 < 60**2
    rgba = np.where(disc[..., None], [200, 30, 30, 255], [0, 255, 0, 0]).astype(np.uint8)
    picture = open_picture(rgba, size=37)
    assert picture.alpha is not None
    seen = picture.alpha[0, 0].numpy() > 1 / 255
    assert seen.sum() > 200
    assert np.abs(as_array(picture.image)[seen] - np.array([200, 30, 30]) / 255).max() < 1e-4
    assert np.allclose(as_array(picture.image)[0, 0], np.array([200, 30, 30]) / 255, atol=1e-4)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((300, 400, 200), (150, 200)),
        ((400, 300, 200), (200, 150)),
        ((3, 2, 9), (3, 2)),
        ((1000, 1, 10), (10, 1)),
    ],
)
def test_fit(args: tuple[int, int, int], expected: tuple[int, int]) -> None:
    assert fit(*args) == expected


def test_fit_keeps_the_long_side_and_the_proportions() -> None:
    for h, w, side in RNG.integers(16, 5000, (200, 3)).tolist():
        new = fit(h, w, side)
        assert max(new) == min(side, max(h, w))
        assert abs(min(new) - min(h, w) * max(new) / max(h, w)) <= 0.5


def test_resize_laws() -> None:
    image = torch.rand(2, 3, 24, 32)
    assert resize(image, (24, 32)) is image
    flat = resize(torch.full((1, 3, 24, 32), 0.3), (50, 11))
    assert torch.allclose(flat, torch.tensor(0.3), atol=1e-6)
    ramp = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 3, 64, 64)
    inner = resize(ramp, (64, 16))[0, 0, 5, 3:-3]
    centres = ((torch.arange(16, dtype=torch.float64) + 0.5) * 4 - 0.5) / 63
    assert torch.allclose(inner, centres[3:-3], atol=1e-9)  # a cubic reproduces straight lines
    board = (torch.arange(90)[:, None] + torch.arange(90)).remainder(2).float().expand(1, 3, 90, 90)
    assert (resize(board, (20, 20))[..., 2:-2, 2:-2] - 0.5).abs().max() < 0.01  # no aliasing
    for size in ((7, 9), (60, 70)):
        out = resize((image > 0.5).float(), size)
        assert out.shape == (2, 3, *size)
        assert out.min() >= 0
        assert out.max() <= 1
    with pytest.raises(ImpastoError):
        resize(image, (0, 5))


# ------------------------------------------------------------------------------------------------ out


def test_to_pil_rounds_to_the_nearest_level() -> None:
    levels = torch.arange(256).float()
    for offset in (-0.49, 0.0, 0.49):
        image = ((levels + offset) / 255).view(1, 1, 16, 16).expand(1, 3, 16, 16)
        assert np.array_equal(np.asarray(to_pil(image))[..., 1], np.arange(256).reshape(16, 16))
    assert np.asarray(to_pil(torch.full((1, 3, 16, 16), 1.01))).min() == 255
    pair = to_pil(smooth(), smooth()[:, :1])
    assert pair.mode == "RGBA"
    assert np.array_equal(np.asarray(pair)[..., 3], np.asarray(pair)[..., 0])


def test_to_pil_refuses_what_it_cannot_show() -> None:
    nan = smooth().clone()
    nan[0, 0, 3, 3] = torch.nan
    for bad in (
        nan,
        smooth()[0],
        smooth().expand(2, -1, -1, -1),
        smooth()[:, :1],
        (smooth() * 255).to(torch.uint8),
    ):
        with pytest.raises(ImpastoError):
            to_pil(bad)
    with pytest.raises(ImpastoError, match="alpha"):
        to_pil(smooth(), torch.ones(1, 1, 5, 5))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_saved_pictures_open_again(tmp_path: Path, suffix: str) -> None:
    image = open_picture(to_pil(smooth())).image
    path = save_picture(tmp_path / f"out{suffix.upper()}", image)
    assert path == tmp_path / f"out{suffix.upper()}"
    back = open_picture(path)
    assert back.notes == ()
    lossless = suffix in (".png", ".tif", ".tiff")
    assert (back.image - image).abs().max() <= (0 if lossless else 0.03)
    assert read_recipe(path) is None
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".avif", ".png", ".tif", ".webp"])
def test_transparency_survives(tmp_path: Path, suffix: str) -> None:
    image, alpha = (open_picture(to_pil(t)).image for t in (smooth(), smooth().flip(3)))
    path = save_picture(tmp_path / f"out{suffix}", image, alpha=alpha[:, :1])
    back = open_picture(path)
    assert back.alpha is not None
    assert (back.alpha - alpha[:, :1]).abs().max() <= (0 if suffix in (".png", ".tif") else 0.03)
    assert save_notes(path, image, alpha=alpha[:, :1]) == ()


def test_jpeg_is_flattened_on_white_and_says_so(tmp_path: Path) -> None:
    image, alpha = torch.zeros(1, 3, 32, 32), torch.full((1, 1, 32, 32), 0.25)
    path = tmp_path / "flat.jpg"
    save_picture(path, image, alpha=alpha)
    assert (open_picture(path).image - 0.75).abs().max() < 0.02
    assert save_notes(path, image, alpha=alpha) == ("JPEG has no transparency: flattened on white",)
    assert save_notes(path, to_pil(image, alpha)) == save_notes(path, image, alpha=alpha)
    assert save_notes(path, image) == save_notes(path, image, alpha=torch.ones_like(alpha)) == ()
    with Image.open(path) as jpeg:
        assert [component[1:3] for component in jpeg.layer] == [(1, 1)] * 3  # 4:4:4
    one, two = (save_picture(path, smooth(), quality=q).stat().st_size for q in (30, 95))
    assert one < two
    with pytest.raises(ImpastoError, match="quality"):
        save_picture(path, image, quality=101)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_picture(tmp_path / "out.webp", smooth())
    old = path.read_bytes()
    with pytest.raises(ImpastoError, match="cannot save"):
        save_picture(path, torch.zeros(1, 3, 16, 16_500))  # WebP ends at 16 383
    assert path.read_bytes() == old

    def interrupted(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_picture(path, smooth().flip(3))
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["out.webp"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")
def test_permissions_and_links_are_respected(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "out.png", smooth())
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    path.chmod(0o640)
    link = tmp_path / "link.png"
    link.symlink_to(path)
    save_picture(link, smooth().flip(3))
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert np.array_equal(
        np.asarray(to_pil(open_picture(path).image)), np.asarray(to_pil(smooth().flip(3)))
    )


def test_check_output_names_the_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_output(str(tmp_path / "a.JPG")) == tmp_path / "a.JPG"
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    for name, words in {
        "a.gif": ".avif .jpeg .jpg .png .tif .tiff .webp",
        "a": "suffix",
        "none/a.png": "does not exist",
        "file/a.png": "does not exist",
        "folder.png": "is a folder",
    }.items():
        with pytest.raises(ImpastoError, match=words):
            check_output(tmp_path / name)
    monkeypatch.delitem(Image.SAVE, "AVIF")
    with pytest.raises(ImpastoError, match="cannot write AVIF"):
        check_output(tmp_path / "a.avif")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


# --------------------------------------------------------------------------------------------- recipe

RECIPE = {
    "style": "Große Welle, 富嶽三十六景 🌊",
    "weights": [1, 0.5, 1e-7],
    "nested": {"none": None, "on": True},
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_recipe_round_trip(tmp_path: Path, suffix: str) -> None:
    path = save_picture(tmp_path / f"out{suffix}", smooth(), recipe=RECIPE)
    assert read_recipe(path) == RECIPE
    assert (open_picture(path).image - smooth()).abs().max() < 0.03
    long = {"text": "x" * 59_900}
    assert read_recipe(save_picture(path, smooth(), recipe=long)) == long
    assert read_recipe(save_picture(path, smooth(), recipe={})) == {}


def test_recipes_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    for recipe in ({"a": object()}, {"a": float("nan")}, {"a": "x" * 60_000}):
        with pytest.raises(ImpastoError, match="recipe"):
            save_picture(tmp_path / "out.png", smooth(), recipe=recipe)
    assert os.listdir(tmp_path) == []


# -------------------------------------------------------------------------------------------- samples


def test_samples_are_colour_photos() -> None:
    assert sample_names() == tuple(sorted(set(sample_names())))
    for name in sample_names():
        photo = sample(name)
        assert photo.mode == "RGB"
        assert 300 <= min(photo.size) <= max(photo.size) <= 1000
        assert np.asarray(photo).astype(float).std(axis=2).max() > 20
    with pytest.raises(ImpastoError, match="astronaut"):
        sample("monalisa")
