"""Files whose end is missing: what decodes nearly whole is taken, and said so.

What is missing is found out, never guessed. Most formats leave the rows that were not decoded at
zero. A JPEG is decoded twice, with different noise in place of the end that is not there: where the
two differ, the file did not say what stands there. Where they agree everywhere, it lacks no more
than its end mark.
"""

import re
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

__all__ = ["loaded"]

MISSING = 0.05
"""The most of a picture's rows that may be missing."""

_END = b"\xff\xd9"
_IN_ROWS = ("BMP", "PNG", "PPM", "TIFF")  # and what is not decoded stays zero


def loaded(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture with its pixels decoded, and notes.

    Where the file ends too early and no more than `MISSING` of the rows are missing, the picture is
    another one, in which they repeat the last there is. Otherwise what the decoder raised.
    """
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error):
            raise
        found = _jpeg(image) if image.format in ("JPEG", "MPO") else _rows(image)
        if found is None:
            raise
        whole, missing = found
        if not missing:
            return whole, ("the file lacks its end mark; the picture is whole",)
        return whole, (f"the file is cut short: {missing} of {image.height} rows are missing",)
    return image, ()


def _jpeg(image: Image.Image) -> tuple[Image.Image, int] | None:
    """The picture and how many rows it lacks, or None where those are too many."""
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    if image.fp is None:
        return None
    image.fp.seek(0)
    data = image.fp.read().removesuffix(b"\xff")
    if not _ends_in_its_last_part(data):
        return None
    # As much noise as there is file: none of it may run out before the picture does. Without 0xFF,
    # which would begin a mark.
    noises = (np.random.default_rng(seed).integers(0, 255, len(data)) for seed in (0, 1))
    one, other = (
        np.asarray(_decoded(data + noise.astype(np.uint8).tobytes() + _END)) for noise in noises
    )
    differ = (one != other).reshape(len(one), -1).any(axis=1)
    there = int(np.argmax(differ)) if differ.any() else len(differ)
    return _repeated(_decoded(data + _END), there, len(differ))


def _decoded(data: bytes) -> Image.Image:
    image = JpegImagePlugin.JpegImageFile(BytesIO(data))
    image.load()
    return image


def _ends_in_its_last_part(data: bytes) -> bool:
    """Whether noise at the end of a JPEG would reach all that is missing.

    It does not reach beyond the next restart, nor, in a progressive file, into another scan: that
    is whole after its first and sharp after its last, when the last bits of every coefficient were
    begun.
    """
    interval, known = 0, set[tuple[int, bool]]()
    frame, progressive = b"", False
    for mark, body, place in _segments(data):
        if mark in (0xC0, 0xC1, 0xC2):
            frame, progressive = body, mark == 0xC2
        elif mark == 0xDD:
            interval = int.from_bytes(body[:2])
        elif mark == 0xDA and not progressive:
            restarts = len(re.findall(rb"\xff[\xd0-\xd7]", data[place:]))
            return not interval or (restarts + 1) * interval >= _units(frame)
        elif mark == 0xDA and body[-1] & 0x0F == 0:
            known |= {(body[1 + 2 * index], body[-3] > 0) for index in range(body[0])}
    return bool(frame) and not interval and len(known) == 2 * frame[5]


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marks of a JPEG with what stands in their segments, and where that ends."""
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        mark = data[place + 1]
        if mark in (0x00, 0xFF) or 0xD0 <= mark <= 0xD9:
            place += 1 if mark == 0xFF else 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4])
        yield mark, data[place + 4 : place + 2 + length], place + 2 + length
        place += 2 + length


def _units(frame: bytes) -> int:
    """Minimum coded units of a picture, by its frame header."""
    height, width = (int.from_bytes(frame[at : at + 2]) for at in (1, 3))
    factors = [frame[7 + 3 * index] for index in range(frame[5])]
    wide = 8 * max(factor >> 4 for factor in factors)
    tall = 8 * max(factor & 15 for factor in factors)
    return -(-height // tall) * -(-width // wide)


def _rows(image: Image.Image) -> tuple[Image.Image, int] | None:
    """As `_jpeg`, by the rows that were not reached."""
    assert isinstance(image, ImageFile.ImageFile)
    wide = (0, image.width)
    strips = all(each[1] and each[1][::2] == wide for each in image.tile)
    if image.format not in _IN_ROWS or image.info.get("interlace") or not strips:
        return None
    image.tile = []  # nothing more is to be decoded
    image.load()
    # A picture that is black there is taken to lack more than it does.
    filled = np.flatnonzero(np.asarray(image).reshape(image.height, -1).any(axis=1))
    if not len(filled):
        return None
    if filled[0] == 0:
        return _repeated(image, int(filled[-1]) + 1, image.height)
    # A BMP begins below.
    image.paste(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    found = _repeated(image, image.height - int(filled[0]), image.height)
    image.paste(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    return found


def _repeated(image: Image.Image, there: int, height: int) -> tuple[Image.Image, int] | None:
    """The picture with all after its first `there` rows like the last of them."""
    missing = height - there
    if missing > MISSING * height:
        return None
    if missing:
        last = image.crop((0, there - 1, image.width, there))
        image.paste(last.resize((image.width, missing), Image.Resampling.NEAREST), (0, there))
    return image, missing
