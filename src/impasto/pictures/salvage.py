"""Files whose end is missing: what decodes nearly whole is taken, and said so.

What is missing is found out, never guessed. Most formats leave the rows that were not decoded at
zero. A JPEG is decoded twice, with different noise in place of the end that is not there: where the
two differ, the file did not say what stands there. Where they agree everywhere, it lacks no more
than its end mark. A WebP or an AVIF is no file to its decoder before it is as long as it says: it is
`completed`, and likewise decoded with several ends.
"""

import os
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

__all__ = ["Completed", "completed", "lacks", "loaded"]

MISSING = 0.05
"""The most of a picture's rows that may be missing."""

_END = b"\xff\xd9"
# How many of them are compared, and how many tried: some are no data that can be decoded.
_ENDS, _TRIED = 4, 12
_IN_ROWS = ("BMP", "PNG", "PPM", "TIFF")  # and what is not decoded stays zero


class Completed(BytesIO):
    """A file of that `data` with zeros in place of the `lacking` bytes at its end."""

    def __init__(self, data: bytes, lacking: int) -> None:
        super().__init__(data + bytes(lacking))
        self.data, self.lacking = data, lacking


def completed(path: Path) -> Completed | None:
    """The file at its full length, where it is a WebP or an AVIF that says it is longer than it is;
    by at most a tenth, since more of its rows would be missing than may.
    """
    lacking = lacks(path)
    if not 0 < lacking <= path.stat().st_size / 10:
        return None
    return Completed(*_roomy(path.read_bytes(), lacking))


def lacks(path: Path) -> int:
    """How many bytes longer a WebP or an AVIF says it is than it is; 0 or less for none."""
    with path.open("rb") as file:
        return _said_size(file) - os.fstat(file.fileno()).st_size


def _roomy(data: bytes, lacking: int) -> tuple[bytes, int]:
    """A WebP that ends within its pixels, with headers that allow it a longer end: some ends take
    more bytes than the right one, and its decoder refuses what runs out.
    """
    place = 12  # of a chunk: four bytes of kind, four of size, and an even number of others
    while data[:4] == b"RIFF" and place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if place + 8 + size > len(data) and data[place : place + 4] in (b"VP8 ", b"VP8L"):
            whole = len(data) + lacking + len(data) // 2
            whole += whole % 2
            sizes = [(whole - start - 8).to_bytes(4, "little") for start in (0, place)]
            head = data[:4] + sizes[0] + data[8 : place + 4] + sizes[1]
            return head + data[place + 8 :], whole - len(data)
        place += 8 + size + size % 2
    return data, lacking


def _said_size(file: BinaryIO) -> int:
    """How many bytes the header says there are, of formats that say so; else 0."""
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8
    if head[4:8] != b"ftyp" or head[8:] not in (b"avif", b"avis"):
        return 0
    place = (
        0  # of a box: four bytes of size, four of kind, and eight of size where four are too few
    )
    while len(head) >= 8:
        size = int.from_bytes(head[:4])
        if size == 1:
            size = int.from_bytes(file.read(8))
        if size < 8:
            return 0
        place += size
        file.seek(place)
        head = file.read(8)
    return place


def loaded(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture with its pixels decoded, and notes.

    Where the file ends too early and no more than `MISSING` of the rows are missing, the picture is
    another one, in which they repeat the last there is. Otherwise what the decoder raised.
    """
    if isinstance(end := getattr(image, "fp", None), Completed):
        found = _repeated(*_certain(end, image.tell()))
        if found is None:
            raise OSError("image file is truncated")
        return found[0], (_cut_short(found[1], image.height),)
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
        return whole, (_cut_short(missing, image.height),)
    return image, ()


def _cut_short(missing: int, height: int) -> str:
    if not missing:
        return f"the file is cut short, and none of its {height} rows is missing"
    return f"the file is cut short: {missing} of {height} rows {'is' if missing == 1 else 'are'} missing"


def _certain(end: Completed, frame: int) -> tuple[Image.Image, int, int]:
    """The picture of a completed file, how many of its rows stand whatever the end, and how many
    there are.

    Zeros and ones are the two extremes for the arithmetic decoders of these formats: a symbol that
    is the same with both is the file's own.
    """
    rows: list[np.ndarray] = []
    for tail in _tails(end.lacking):
        try:
            image = Image.open(BytesIO(end.data + tail))
            image.seek(frame)
            image.load()
        except (OSError, RuntimeError, SyntaxError, ValueError):
            continue  # this end is no data
        if not rows:
            first = image
        rows.append(np.asarray(image).reshape(image.height, -1))
        if len(rows) == _ENDS:
            break
    if len(rows) < 2:
        raise OSError("image file is truncated")
    differ = (np.stack(rows[1:]) != rows[0]).any(axis=(0, 2))
    return first, int(np.argmax(differ)) if differ.any() else first.height, first.height


def _tails(count: int) -> Iterator[bytes]:
    yield bytes(count)
    yield b"\xff" * count
    for seed in range(_TRIED - 2):
        yield np.random.default_rng(seed).bytes(count)


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
