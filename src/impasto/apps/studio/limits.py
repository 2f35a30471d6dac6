"""How much the studio takes on, and how a picture that someone sends is opened within that."""

import hashlib
import threading
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from impasto.apps.studio.budget import Budget, Lease
from impasto.errors import ImpastoError
from impasto.pictures.files import Array, decode_all, decoding

__all__ = ["Limits", "TooLargeError", "Upload", "open_upload"]

# What people have. The rest of what Pillow reads (PostScript, fonts, scientific data) is no photo,
# and one more way in.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "BMP")
_READABLE = "JPEG, PNG, WebP, TIFF, AVIF, GIF or BMP"
_PREFIX = 16  # bytes that tell a format
_LONGEST_NAME = 100
_NONE = ("steps", "background", "waiting", "poster")  # limits that may be 0
_SIDES = (32, 16384)  # px, between which sizes are

# Decoding takes several times a picture's size in memory: one at a time, however many are sent at
# once.
_DECODING = threading.Lock()


class TooLargeError(ImpastoError):
    """More than the studio takes; the message says how much that is."""


@dataclass(frozen=True)
class Limits:
    """What the studio takes.

    `upload_bytes`: of one file. `pixels`: of one upload, decoded. `size`: the longest side of a
    picture it makes, in pixels, and `poster`: of a large one, made part after part; 0 for none.
    `styles`: at most so many blended. `steps`: of the optimiser
    (refine). `background`: of these, what a picture on the page is given by itself, unless its
    visitor says otherwise. `waiting`: orders in the queue, beyond the one worked at. `seconds`: of work at one
    order. `keep`: seconds that temporary files live. `memory`: bytes of all that visitors have here,
    beside the one picture being opened or painted. `ImpastoError` for one that is not above 0
    (`steps`, `background`, `waiting` and `poster` may be 0) or, but for times, no whole number.
    """

    upload_bytes: int = 30_000_000
    pixels: int = 60_000_000
    size: int = 2048
    poster: int = 4096
    styles: int = 4
    steps: int = 400
    background: int = 60
    waiting: int = 16
    seconds: float = 600
    keep: float = 3600
    memory: int = 1_000_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in _NONE else 1
            if not least <= value < float("inf"):
                raise ImpastoError(f"the limit {field.name} must be {least} or more, not {value}")
            if value != int(value) and field.type is int:
                raise ImpastoError(f"the limit {field.name} must be a whole number, not {value}")
        low, high = _SIDES
        for size in (self.size, self.poster or low):
            if not low <= size <= high:
                raise ImpastoError(
                    f"the largest size must be between {low} and {high} px, not {size}"
                )

    @property
    def highest(self) -> dict[str, int]:
        """The settings of an order that are limited, and how far they may go."""
        return {"size": self.size, "refine": self.steps}


@dataclass(frozen=True, eq=False)
class Upload:
    """A picture that someone sent, opened.

    `image`: RGB or RGBA, 8 bits, upright, sRGB, no longer than `Limits.size` where `open_upload`
    made it, what its EXIF says in its `info`. `name`: what its owner calls it, without folders.
    `sha256`: of the file, empty where there was none. `notes`: what was decided on the way, such as
    "first frame of 12 used".
    `lease`: what its pixels have of the studio's memory, as long as there is the upload.
    `Upload(sample("cat"), "cat")` is a sample photo.
    """

    image: Image.Image
    name: str = "picture"
    sha256: str = ""
    notes: tuple[str, ...] = ()
    lease: Lease | None = None


def open_upload(
    source: Path | bytes | BinaryIO, limits: Limits, *, name: str = "", budget: Budget | None = None
) -> Upload:
    """The picture in a file, in bytes or in a stream (at its start), reduced to `limits.size` if it
    is larger.

    The number of bytes is judged first, then the format and the number of pixels, from the header;
    only then it is decoded, once. `name`: as its sender calls it; a path's own name if not given.
    `budget`: what its pixels count in. Raises `TooLargeError` for more than the limits allow,
    `FullError` for more than the budget has left, and `ImpastoError` for what is no picture or a
    broken one, in words for whoever sent it.
    """
    data = _read(source, limits)
    digest = hashlib.sha256(data).hexdigest()
    given = name or (source.name if isinstance(source, Path) else "")
    image = _header(data)
    with image, decoding("this picture"):
        if image.width * image.height > limits.pixels:
            raise TooLargeError(
                f"this picture has {_mega(image.width * image.height)} megapixels; "
                f"the studio takes up to {_mega(limits.pixels)}: reduce it first"
            )
        lease = None if budget is None else budget.lease(_reduced(image.size, limits.size))
        with _DECODING:
            pixels, notes, exif = decode_all(image)
            opened = Image.fromarray(_eight_bits(pixels))
            opened.thumbnail((limits.size, limits.size), Image.Resampling.LANCZOS)
            opened.info |= {"exif": exif} if exif else {}
    return Upload(opened, _plain(given), digest, notes, lease)


def _read(source: Path | bytes | BinaryIO, limits: Limits) -> bytes:
    """All of it; `TooLargeError` as soon as it proves too long."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _read(file, limits)
    # A byte more than allowed tells, and no more than that is read.
    data = (
        source[: limits.upload_bytes + 1]
        if isinstance(source, bytes)
        else source.read(limits.upload_bytes + 1)
    )
    if len(data) > limits.upload_bytes:
        raise TooLargeError(
            f"this file has more than {_mega(limits.upload_bytes)} MB, which is all the studio takes"
        )
    if not data:
        raise ImpastoError("this file is empty; choose another")
    return data


def _header(data: bytes) -> Image.Image:
    """The picture with nothing decoded but its header.

    Not `Image.open`: it has a limit of its own, the same for the whole process, and does not tell
    the size.
    """
    Image.init()
    for form in _FORMATS:
        factory, accept = Image.OPEN.get(form, (None, None))
        if factory is None or (accept is not None and accept(data[:_PREFIX]) is not True):
            continue
        try:
            return factory(BytesIO(data), "")
        except Exception as error:  # on broken data, nearly anything
            raise ImpastoError(
                "this picture is damaged or cut short; fetch or export it again"
            ) from error
    raise ImpastoError(f"this file is not a picture I can read; save it as {_READABLE}")


def _eight_bits(pixels: Array) -> Array:
    """(H, W, 1 | 3 | 4) of uint8, uint16 or float in [0, 1] -> uint8 (H, W, 3 | 4)."""
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels)


def _reduced(size: tuple[int, int], side: int) -> int:
    """Bytes of a picture of that size once its long side is no longer than `side`."""
    factor = min(1.0, side / max(size))
    return int(4 * size[0] * size[1] * factor**2)


def _mega(number: int) -> str:
    """Millions, with one decimal where that says more."""
    return f"{number / 1e6:.1f}".removesuffix(".0")


def _plain(name: str) -> str:
    """The last part of a name, without folders of any system and without what cannot be printed."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:_LONGEST_NAME] or "picture"
