"""Picture files: every mode, profile and orientation made into upright sRGB arrays."""

import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from impasto.errors import ImpastoError, InputError
from impasto.pictures.exif import read_exif
from impasto.pictures.kinds import PICTURE, mistaken
from impasto.pictures.salvage import completed, lacks, loaded

__all__ = [
    "MAX_PIXELS",
    "Array",
    "check_file",
    "decode",
    "decode_all",
    "decoding",
    "opened",
    "unwarned",
]

Array = NDArray[Any]

MAX_PIXELS = 200_000_000
"""Largest picture accepted, width times height; a larger one is refused from its header, before
decoding.
"""

_ORIENTATION = 0x0112
_PHOTOMETRIC = 262
_BITS_PER_SAMPLE = 258

# EXIF orientation (JEITA CP-3451, tag 0x0112) -> the turn that sets (H, W, C) upright; all of them
# are views.
_UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}

# The colour space a profile describes -> the Pillow mode it can read.
_PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}

_ADDRESS = re.compile(r"([a-z]{2,8}):/+(.*)", re.I)

_NO_EXIF = 14  # bytes of a block with a header and nothing else
_PILLOW_LOCK = threading.Lock()


@contextmanager
def unwarned() -> Iterator[None]:
    """Pillow warns of damaged metadata with a line of its own source; one thread at a time, for
    filters are the process's.
    """
    with _PILLOW_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _only_our_limit() -> Iterator[None]:
    """Pillow warns or refuses at a limit of its own while it opens; ours is checked right after
    instead.
    """
    with unwarned():
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """What a decoder raises inside (nearly anything, on broken data) becomes `ImpastoError`."""
    try:
        yield
    except ImpastoError:
        raise
    except MemoryError as err:
        raise InputError(f"{name} does not fit into memory; reduce it first") from err
    except Exception as err:
        reason = " ".join(str(err).split()) or type(err).__name__
        raise InputError(
            f"{name} is damaged or cut short ({reason}); fetch or export it again"
        ) from err


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The picture in `path`, its header read and its size judged, its pixels not yet decoded.

    Raises `ImpastoError` for anything that is not a readable picture of at most `MAX_PIXELS`
    pixels, and for any error of the decoder inside the `with` block.
    """
    check_file(path)
    with decoding(str(path)):
        try:
            with _only_our_limit():
                image = Image.open(completed(path) or path)
        except UnidentifiedImageError as err:
            if lacks(path) > 0:
                raise OSError("image file is truncated") from err
            unknown = f"{path} is not a picture that can be read; save it as PNG or JPEG"
            raise InputError(mistaken(path, PICTURE) or unknown) from err
        except PermissionError as err:
            raise InputError(f"{path} may not be read; check its permissions") from err
    with image, decoding(str(path)):
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise InputError(
                f"{path} declares {width} x {height} pixels, more than {MAX_PIXELS}; reduce it first"
            )
        if image.format == "EPS":  # Pillow would run Ghostscript on it
            raise InputError(f"{path} is a PostScript program, not a picture; export it as PNG")
        yield image


def check_file(path: Path) -> None:
    """`InputError`, in one line, for what is no file that can be opened."""
    try:
        if path.is_dir():
            raise InputError(
                f"{path} is a folder; name a picture in it, or give all of it to impasto batch"
            )
        if not path.exists():
            if address := _ADDRESS.match(str(path)):  # as a path it has lost a slash
                raise InputError(
                    f"{address[1]}://{address[2]} is an address, and nothing is fetched from one; "
                    "save the picture to a file, and name that"
                )
            raise InputError(f"{path} does not exist; check the spelling")
        if not path.is_file():
            raise InputError(f"{path} is not a regular file; save the picture to a file first")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty; fetch or export it again")
    except ImpastoError:
        raise
    except (OSError, ValueError) as err:  # ValueError: a NUL byte in the name
        raise InputError(f"{str(path)!r} cannot be opened ({err}); check the path") from err


def decode(image: Image.Image) -> tuple[Array, tuple[str, ...]]:
    """Pixels and notes of a Pillow picture of any mode, upright (EXIF) and in sRGB (ICC).

    Returns an array (H, W, C) that is uint8 with C = 3 or 4, or for deep greyscale uint16 or
    float32 in [0, 1] with C = 1 or 4; the fourth channel is alpha, colours are not multiplied by
    it. The notes say what was decided on the way. An animation gives the frame it stands at, the
    first of a freshly opened file.
    """
    notes = _frame_note(image) + _depth_note(image)
    image, more = loaded(image)
    notes += more
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        array, more = _deep_grey(image)
    else:
        array, more = _srgb(image)
    # Asked only now: a TIFF is turned by Pillow while it loads, which also takes the tag away.
    orientation, damage = _orientation(image)
    turn = _UPRIGHT.get(orientation)
    return (turn(array) if turn else array), notes + more + damage


def decode_all(image: Image.Image) -> tuple[Array, tuple[str, ...], bytes]:
    """As `decode`, and what EXIF says of it, as a block."""
    # A TIFF is read no more once it is decoded; a PNG is decoded by asking what it says.
    before = read_exif(image) if image.format == "TIFF" else b""
    pixels, notes = decode(image)
    return pixels, notes, before or read_exif(image)


def _orientation(image: Image.Image) -> tuple[int, tuple[str, ...]]:
    """And a note where it cannot be known."""
    # EXIF is written by anyone; a broken block must not cost the picture.
    damaged = ("its EXIF data is damaged: taken to be upright",)
    try:
        with unwarned():
            exif = image.getexif()
            found = int(exif.get(_ORIENTATION, 1))
        return found, () if exif or len(image.info.get("exif", b"")) <= _NO_EXIF else damaged
    except Exception:
        return 1, damaged


def _frame_note(image: Image.Image) -> tuple[str, ...]:
    frames = getattr(image, "n_frames", 1)
    if (
        frames == 1 or image.format == "PSD"
    ):  # the "frames" of a PSD are layers, and it opens merged
        return ()
    here = "first" if image.tell() == 0 else f"number {image.tell() + 1}"
    if image.format == "TIFF":
        return (f"{here} page of {frames} used",)
    return (f"{here} frame of {frames} used; impasto film takes them all",)


def _depth_note(image: Image.Image) -> tuple[str, ...]:
    """Pillow has no 16-bit colour: such a file is read by its high bytes, which its raw mode tells."""
    for tile in getattr(image, "tile", []):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        raw = args[0] if args and isinstance(args[0], str) else ""
        if ";16" in raw and not image.mode.startswith(("I", "F")):
            return ("16-bit colour read at 8 bits per channel",)
    return ()


def _deep_grey(image: Image.Image) -> tuple[Array, tuple[str, ...]]:
    """Greyscale of more than 8 bits: uint16 from 16 and 12 bits, otherwise float32 in [0, 1]."""
    values = np.asarray(image)
    notes: tuple[str, ...] = ()
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16"):
        if tags.get(_BITS_PER_SAMPLE) == (12,):
            values = np.rint(values * (65535 / 4095)).astype(np.uint16)
        if (
            tags.get(_PHOTOMETRIC) == 0
        ):  # white is zero; Pillow inverts this at 8 bits but not at 16
            values = 65535 - values
        grey = values.astype(np.uint16)
    elif image.mode == "I" and values.min() >= 0 and values.max() <= 65535:
        grey = values.astype(np.uint16)  # how Pillow holds 16-bit PGM
    else:
        grey, notes = _unit_range(values)
    if image.info.get("icc_profile"):
        notes += ("colour profile of a deep greyscale picture ignored",)
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey[..., None], notes
    opaque = np.where(np.asarray(image) == key, 0, 65535 if grey.dtype == np.uint16 else 1).astype(
        grey.dtype
    )
    return np.dstack([grey, grey, grey, opaque]), notes


def _unit_range(values: Array) -> tuple[Array, tuple[str, ...]]:
    if not np.isfinite(values).all():
        raise InputError(
            "the picture holds values that are not finite; export it again without them"
        )
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values.astype(np.float32), ()
    span = high - low if high > low else 1.0
    unit = np.clip((values.astype(np.float64) - low) / span, 0, 1).astype(np.float32)
    return unit, (f"values from {low:g} to {high:g} stretched to black and white",)


def _srgb(image: Image.Image) -> tuple[Array, tuple[str, ...]]:
    """8-bit pictures of every mode as uint8 (H, W, 3), or (H, W, 4) where there is transparency."""
    alpha = None
    if image.has_transparency_data:
        if image.mode in ("La", "RGBa"):  # premultiplied: no direct way from here to plain colours
            image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    if image.mode in ("1", "L", "LA"):
        base = image.convert("L")
    elif image.mode in ("CMYK", "LAB", "RGB"):
        base = image
    else:  # by way of RGBA, for Pillow warns when a palette's transparency is dropped
        base = image.convert("RGBA").convert("RGB")
    color, notes = _through_profile(base, image.info.get("icc_profile"))
    pixels = np.asarray(color)
    return (pixels if alpha is None else np.dstack([pixels, alpha])), notes


def _through_profile(
    base: Image.Image, profile: bytes | None
) -> tuple[Image.Image, tuple[str, ...]]:
    """RGB by the embedded ICC profile where it can be used, else by Pillow's own arithmetic."""
    notes = (f"{base.mode} converted to sRGB",) if base.mode in ("CMYK", "LAB") else ()
    if not profile:
        return base.convert("RGB"), notes
    from PIL import ImageCms

    try:
        embedded = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = _PROFILE_MODES.get(embedded.profile.xcolor_space.strip(), "")
        if mode == "RGB" and base.mode == "L":
            base = base.convert("RGB")
        if mode != base.mode:
            return base.convert("RGB"), (*notes, "colour profile of another colour space ignored")
        converted = ImageCms.profileToProfile(
            base,
            embedded,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        title = " ".join(ImageCms.getProfileDescription(embedded).split())
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return base.convert("RGB"), (*notes, "broken colour profile ignored")
    assert converted is not None  # None only when converting in place
    if "srgb" not in title.lower() and not notes:
        notes = (f"colour profile {title or 'without a name'} converted to sRGB",)
    return converted, notes
