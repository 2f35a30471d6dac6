"""Picture files: every kind of input against explicit arithmetic, broken and hostile ones refused."""

import json
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from impasto.errors import ImpastoError
from impasto.pictures.files import opened
from impasto.pictures.image import (
    MAX_PIXELS,
    open_picture,
    read_recipe,
    save_picture,
)

RNG = np.random.default_rng(7)
NOISE = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)  # no symmetry, no equal sides
FILMS = "; impasto film takes them all"


def as_array(image: torch.Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).numpy()


def hand_made_png(width: int, height: int, depth: int, color: int, raw: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def hand_made_tiff(width: int, height: int, bits: int, photometric: int, raw: bytes) -> bytes:
    """One greyscale strip, little endian."""
    values = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric)]
    values += [(273, 8), (277, 1), (278, height), (279, len(raw))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values)
    return (
        b"II*\0"
        + struct.pack("<I", 8 + len(raw))
        + raw
        + struct.pack("<H", len(values))
        + entries
        + bytes(4)
    )


def hand_made_profile(columns: np.ndarray, gamma: float) -> bytes:
    """An ICC v2 matrix profile (D50 columns: red, green, blue) with one gamma for all channels."""

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(n * 65536) for n in numbers))

    title = b"hand made\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(title)) + title + bytes(78),
        b"wtpt": b"XYZ "
        + bytes(4)
        + fixed(0.9505, 1.0, 1.0890),  # the white of the medium; to be ignored
        b"cprt": b"text" + bytes(4) + b"none\0",
    }
    for name, column in zip(b"rgb", columns.T, strict=True):
        tags[bytes([name]) + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*column)
        tags[bytes([name]) + b"TRC"] = (
            b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
        )
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    size = 128 + len(table) + len(data)
    header = struct.pack(
        ">I4sI4s4s4s12s4s", size, b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp"
    )
    return header.ljust(68, b"\0") + fixed(0.9642, 1.0, 0.8249) + bytes(48) + table + data


# Columns of red, green and blue in XYZ, adapted to D50 (Lindbloom's tables).
SRGB = np.array(
    [[0.43607, 0.38506, 0.14308], [0.22250, 0.71688, 0.06062], [0.01393, 0.09710, 0.71417]]
)
ADOBE = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)


# ------------------------------------------------------------------------------------------------ files


def test_png_is_read_exactly(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(NOISE).save(path)
    picture = open_picture(path)
    assert picture.image.dtype == torch.float32
    assert picture.image.shape == (1, 3, 20, 30)
    assert picture.alpha is None
    assert picture.notes == ()
    assert np.array_equal(as_array(picture.image), NOISE.astype(np.float32) / np.float32(255))
    assert torch.equal(open_picture(str(path)).image, picture.image)


# The words of the EXIF standard: which visual side the stored row 0 and the stored column 0 are.
SIDES = [
    "top left",
    "top right",
    "bottom right",
    "bottom left",
    "left top",
    "right top",
    "right bottom",
    "left bottom",
]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_sets_the_picture_upright(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    height, width = NOISE.shape[:2]
    along = {
        "top": np.arange(height),
        "bottom": np.arange(height)[::-1],
        "left": np.arange(width),
        "right": np.arange(width)[::-1],
    }
    rows, columns = SIDES[orientation - 1].split()
    turned = rows in ("left", "right")
    stored = NOISE[along[columns][None, :], along[rows][:, None]] if turned else None
    if stored is None:
        stored = NOISE[along[rows][:, None], along[columns][None, :]]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    upright = open_picture(path)
    assert np.array_equal(np.rint(as_array(upright.image) * 255), NOISE)
    with Image.open(path) as image:
        assert torch.equal(open_picture(image).image, upright.image)


@pytest.mark.parametrize(
    "columns", [SRGB[:, ::-1], ADOBE], ids=["red and blue swapped", "Adobe RGB"]
)
def test_icc_profile_against_its_own_arithmetic(tmp_path: Path, columns: np.ndarray) -> None:
    muted = 90 + NOISE // 4  # inside both gamuts
    gamma = 563 / 256
    path = tmp_path / "wide.png"
    Image.fromarray(muted).save(path, icc_profile=hand_made_profile(columns, gamma))
    linear = (muted / 255.0) ** gamma @ columns.T @ np.linalg.inv(SRGB).T
    expected = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    )
    picture = open_picture(path)
    assert np.abs(as_array(picture.image) - expected).max() < 1.6 / 255
    assert np.abs(as_array(picture.image) - muted / 255.0).max() > 5 / 255
    assert picture.notes == ("colour profile hand made converted to sRGB",)


def test_srgb_profile_is_the_identity_and_a_broken_one_is_noted(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, tagged, broken, misfit = (tmp_path / f"{n}.png" for n in range(4))
    Image.fromarray(NOISE).save(plain)
    Image.fromarray(NOISE).save(tagged, icc_profile=srgb)
    Image.fromarray(NOISE).save(broken, icc_profile=srgb[:150])
    gray = bytearray(srgb)
    gray[16:20] = b"GRAY"
    Image.fromarray(NOISE).save(misfit, icc_profile=bytes(gray))
    expected = open_picture(plain).image
    assert (open_picture(tagged).image - expected).abs().max() < 1.01 / 255
    assert open_picture(tagged).notes == ()
    assert torch.equal(open_picture(broken).image, expected)
    assert open_picture(broken).notes == ("broken colour profile ignored",)
    assert torch.equal(open_picture(misfit).image, expected)
    assert "ignored" in open_picture(misfit).notes[0]


RAMP = np.linspace(0, 65535, 20 * 32).round().astype(np.uint16).reshape(20, 32)


@pytest.mark.parametrize("name", ["ramp.png", "ramp.tif", "ramp.pgm"])
def test_sixteen_bit_grey_keeps_its_precision(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(RAMP).save(path)
    image = open_picture(path).image
    assert np.array_equal(image[0, 0].numpy(), RAMP.astype(np.float32) / np.float32(65535))
    assert torch.equal(image[:, :1].expand(-1, 3, -1, -1), image)


def test_sixteen_and_twelve_bit_tiffs_of_other_makers(tmp_path: Path) -> None:
    inverse, twelve = tmp_path / "inverse.tif", tmp_path / "twelve.tif"
    inverse.write_bytes(hand_made_tiff(32, 20, 16, 0, RAMP.astype("<u2").tobytes()))
    assert np.allclose(open_picture(inverse).image[0, 1].numpy(), 1 - RAMP / 65535.0, atol=1e-6)
    levels = (RAMP >> 4).astype(np.uint32)
    pairs = levels.reshape(-1, 2)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1
    )
    twelve.write_bytes(hand_made_tiff(32, 20, 12, 1, packed.astype(np.uint8).tobytes()))
    assert np.allclose(open_picture(twelve).image[0, 1].numpy(), levels / 4095.0, atol=1e-5)


def test_sixteen_bit_colour_is_scaled_and_noted(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    deep[0, 0], deep[0, 1] = 0, 65535
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    path = tmp_path / "deep.png"
    path.write_bytes(hand_made_png(30, 20, 16, 2, raw))
    picture = open_picture(path)
    assert np.abs(as_array(picture.image) - deep / 65535.0).max() < 1 / 255
    assert (picture.image[0, :, 0, 0] == 0).all()
    assert (picture.image[0, :, 0, 1] == 1).all()
    assert picture.notes == ("16-bit colour read at 8 bits per channel",)


def test_sixteen_bit_grey_with_a_transparent_value(tmp_path: Path) -> None:
    path = tmp_path / "key.png"
    Image.fromarray(RAMP).save(path, transparency=int(RAMP[3, 4]))
    alpha = open_picture(path).alpha
    assert alpha is not None
    expected = torch.ones(20, 32)
    expected[3, 4] = 0
    assert torch.equal(alpha[0, 0], expected)


def test_float_tiff_within_and_beyond_its_range(tmp_path: Path) -> None:
    values = RNG.random((20, 30), dtype=np.float32)
    for name, scaled in (("unit.tif", values), ("wide.tif", values * 40 - 10)):
        Image.fromarray(scaled).save(tmp_path / name)
    unit, wide = open_picture(tmp_path / "unit.tif"), open_picture(tmp_path / "wide.tif")
    assert np.array_equal(unit.image[0, 2].numpy(), values)
    assert unit.notes == ()
    stretched = (values - values.min()) / (values.max() - values.min())
    assert np.allclose(wide.image[0, 2].numpy(), stretched, atol=1e-5)
    assert "stretched to black and white" in wide.notes[0]
    values[5, 5] = np.nan
    Image.fromarray(values).save(tmp_path / "nan.tif")
    with pytest.raises(ImpastoError, match="not finite"):
        open_picture(tmp_path / "nan.tif")


def test_cmyk_lab_and_ycbcr_become_srgb(tmp_path: Path) -> None:
    inks = RNG.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    Image.fromarray(inks, mode="CMYK").save(tmp_path / "inks.tif")
    picture = open_picture(tmp_path / "inks.tif")
    expected = (1 - inks[..., :3] / 255.0) * (1 - inks[..., 3:] / 255.0)
    assert np.abs(as_array(picture.image) - expected).max() < 1.5 / 255
    assert picture.notes == ("CMYK converted to sRGB",)

    Image.new("LAB", (30, 20), (round(50 * 2.55), 128, 128)).save(tmp_path / "grey.tif")
    grey = open_picture(tmp_path / "grey.tif")
    assert (grey.image - 0.466).abs().max() < 2 / 255  # L* = 50 is sRGB 118.9 / 255
    assert grey.notes == ("LAB converted to sRGB",)

    ycc = open_picture(Image.fromarray(NOISE).convert("YCbCr")).image
    y, cb, cr = np.asarray(Image.fromarray(NOISE).convert("YCbCr")).astype(float).transpose(2, 0, 1)
    red = np.clip(y + 1.402 * (cr - 128), 0, 255)  # JFIF
    assert np.abs(ycc[0, 0].numpy() * 255 - red).max() < 1.01
    blue = np.clip(y + 1.772 * (cb - 128), 0, 255)
    assert np.abs(ycc[0, 2].numpy() * 255 - blue).max() < 1.01


def test_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    assert (
        open_picture(tmp_path / "red.jpg").image[0, :, 16, 16] - torch.tensor([1.0, 0, 0])
    ).abs().max() < 0.02


def test_grey_bilevel_and_palette_with_and_without_transparency(tmp_path: Path) -> None:
    grey, veil = NOISE[..., 0], NOISE[..., 1]
    Image.fromarray(np.dstack([grey, veil]), mode="LA").save(tmp_path / "la.png")
    la = open_picture(tmp_path / "la.png")
    assert la.alpha is not None
    assert np.array_equal(as_array(la.image)[..., 2][veil > 0] * 255, grey[veil > 0])
    assert np.array_equal(la.alpha[0, 0].numpy() * 255, veil)

    Image.fromarray(grey > 127).save(tmp_path / "bits.png")
    assert np.array_equal(as_array(open_picture(tmp_path / "bits.png").image)[..., 0], grey > 127)

    index = grey % 3
    palette = Image.fromarray(index, mode="P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.save(tmp_path / "p.png", transparency=bytes([255, 0, 51]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = open_picture(tmp_path / "p.png")
    assert p.alpha is not None
    seen = index != 1
    assert np.array_equal(as_array(p.image)[seen], np.eye(3, dtype=np.float32)[index][seen])
    assert np.array_equal(p.alpha[0, 0].numpy() * 255, np.array([255, 0, 51])[index])

    Image.fromarray(NOISE).save(
        tmp_path / "key.png", transparency=tuple(int(v) for v in NOISE[2, 3])
    )
    key = open_picture(tmp_path / "key.png").alpha
    assert key is not None
    assert np.array_equal(key[0, 0].numpy() == 0, (NOISE[2, 3] == NOISE).all(axis=2))


def test_alpha_is_kept_apart_and_opaque_alpha_is_none() -> None:
    rgba = np.dstack([NOISE, NOISE[..., 0]])
    picture = open_picture(Image.fromarray(rgba))
    assert picture.alpha is not None
    seen = rgba[..., 3] > 0
    assert np.array_equal(as_array(picture.image)[seen] * 255, NOISE[seen])
    assert np.array_equal(picture.alpha[0, 0].numpy() * 255, NOISE[..., 0])
    for mode in ("LA", "RGBA"):
        image = Image.fromarray(rgba).convert(mode)
        plain, multiplied = (
            open_picture(image),
            open_picture(image.convert({"LA": "La", "RGBA": "RGBa"}[mode])),
        )
        assert plain.alpha is not None
        assert multiplied.alpha is not None
        assert torch.equal(plain.alpha, multiplied.alpha)
        assert ((plain.image - multiplied.image) * plain.alpha).abs().max() < 1.01 / 255
    rgba[..., 3] = 255
    assert open_picture(Image.fromarray(rgba)).alpha is None


def test_animation_gives_its_first_frame_and_says_so(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 24), color) for color in ("red", "lime", "blue")]
    for name, word, more in (
        ("a.gif", "frame", FILMS),
        ("a.webp", "frame", FILMS),
        ("a.png", "frame", FILMS),
        ("a.tif", "page", ""),
    ):
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        picture = open_picture(tmp_path / name)
        assert picture.notes == (f"first {word} of 3 used{more}",)
        assert torch.equal(picture.image[0, :, 5, 5], torch.tensor([1.0, 0, 0]))


# --------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_truncated_files_are_never_taken_for_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(NOISE).save(path)
    whole = path.read_bytes()
    for part in (0.2, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ImpastoError, match=r"again|not a picture"):
            open_picture(path)


def test_what_is_not_a_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("a thousand words")
    (tmp_path / "program.eps").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n"
    )
    Image.new("RGB", (1, 1)).save(tmp_path / "pixel.png")
    Image.new("RGB", (400, 15)).save(tmp_path / "thin.png")
    cases = {
        "missing.png": "does not exist",
        "": "is a folder",
        "empty.png": "is empty",
        "text.jpg": "not a picture",
        "program.eps": "PostScript",
        "pixel.png": "1 x 1",
        "thin.png": "400 x 15",
        "nul\0byte.png": r"check the (path|spelling)",
    }
    for name, words in cases.items():
        with pytest.raises(ImpastoError, match=words) as caught:
            open_picture(os.path.join(tmp_path, name))
        assert "\n" not in str(caught.value)
        assert (name.split("\0")[0] or tmp_path.name) in str(caught.value)


def test_a_decompression_bomb_is_refused_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb, large = tmp_path / "bomb.png", tmp_path / "large.png"
    bomb.write_bytes(hand_made_png(100_000, 100_000, 8, 2, b""))
    large.write_bytes(hand_made_png(15_000, 13_000, 8, 2, b""))  # above Pillow's limits, below ours
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_345)
    with pytest.raises(ImpastoError, match=f"100000 x 100000 pixels, more than {MAX_PIXELS}"):
        open_picture(bomb)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with opened(large) as image:
            assert image.size == (15_000, 13_000)
    assert Image.MAX_IMAGE_PIXELS == 12_345  # as it was found


@pytest.mark.parametrize(
    "text",
    [
        "a holiday",
        "{",
        "[1]",
        '{"impasto": 3}',
        '{"other": {}}',
        "[" * 50_000,
        '{"impasto": {"a": NaN}}',
        " " * 99_999,
    ],
)
def test_foreign_metadata_is_no_recipe(tmp_path: Path, text: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = text
    Image.fromarray(NOISE).save(tmp_path / "a.tif", exif=exif)
    assert read_recipe(tmp_path / "a.tif") is None


def test_foreign_png_text_and_non_pictures(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    for text in ("{", "[1]", json.dumps({"a": "x" * 70_000})):
        info = PngInfo()
        info.add_text("impasto", text)
        Image.fromarray(NOISE).save(tmp_path / "a.png", pnginfo=info)
        assert read_recipe(tmp_path / "a.png") is None
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "missing.png"):
        with pytest.raises(ImpastoError):
            read_recipe(tmp_path / name)


def test_pil_images_are_saved_upright_in_srgb_and_without_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 3, "a camera"
    Image.fromarray(NOISE).save(
        tmp_path / "in.png", exif=exif, icc_profile=hand_made_profile(SRGB[:, ::-1], 2.2)
    )
    with Image.open(tmp_path / "in.png") as image:
        expected = open_picture(image).image
        for suffix in (".png", ".tif"):
            out = save_picture(tmp_path / f"out{suffix}", image)
            with Image.open(out) as clean:
                assert "icc_profile" not in clean.info
                assert clean.getexif().get(0x010F) is None
                assert clean.getexif().get(0x0112) is None
            assert torch.equal(open_picture(out).image, expected)
    save_picture(tmp_path / "deep.png", Image.fromarray(RAMP))
    assert (
        open_picture(tmp_path / "deep.png").image[0, 0] - torch.from_numpy(RAMP / 65535)
    ).abs().max() <= 0.51 / 255
    with pytest.raises(ImpastoError, match="alpha"):
        save_picture(tmp_path / "out.png", Image.fromarray(NOISE), alpha=torch.ones(1, 1, 20, 30))
