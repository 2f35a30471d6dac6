"""What EXIF says of a photo to people: read, sifted, and written into other formats.

Tags are those of Exif 2.32 (CIPA DC-008) and of TIFF/EP (ISO 12234-2).
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from PIL import Image

__all__ = ["read_exif", "sifted", "tags"]

_EXIF, _GPS = 0x8769, 0x8825  # directories of their own
_DESCRIPTION, _DATE, _ARTIST, _COPYRIGHT = 0x010E, 0x0132, 0x013B, 0x8298
_WINDOWS = range(0x9C9B, 0x9CA0)  # title, comment, author, keywords, subject, of Windows
_TAKEN = (0x9003, 0x9004, 0x9010, 0x9011, 0x9012)  # dates and their time zones
_CREDIT = (_DESCRIPTION, _DATE, _ARTIST, _COPYRIGHT, *_WINDOWS)
# And what else the first directory may say that holds for another picture, too: where it was
# scanned from, camera, program, rating. All other tags describe the file they stand in.
_MORE = (0x010D, 0x010F, 0x0110, 0x0131, 0x013C, 0x4746)
# Of the photo's file, its maker's own format (whose addresses would be wrong), a directory.
_OF_THE_FILE = (0x927C, 0xA001, 0xA002, 0xA003, 0xA005)
# PNG, section 11.3.4.2.
_PNG_TEXTS = {
    "Description": _DESCRIPTION,
    "Creation Time": _DATE,
    "Author": _ARTIST,
    "Copyright": _COPYRIGHT,
}
_LONGEST = 2000  # characters of a text
_MOST = 40_000  # bytes; in a JPEG there are 65 533 for this and the recipe


def read_exif(image: Image.Image) -> bytes:
    """All that EXIF, or PNG's own texts, say of a picture and not of its file, as an EXIF block.

    Empty where nothing is said, or where it cannot be read: EXIF is written by anyone.
    """
    try:
        found = image.getexif()
        kept = _copied(found, (*_CREDIT, *_MORE))
        for directory in (_EXIF, _GPS):
            inside = found.get_ifd(directory)
            own = {tag: inside[tag] for tag in inside if tag not in _OF_THE_FILE}
            if directory == _EXIF:  # a TIFF has these among the first
                own = {tag: found[tag] for tag in _TAKEN if tag in found} | own
            if own:
                kept.get_ifd(directory).update(own)
        if image.format == "PNG":
            for name, tag in _PNG_TEXTS.items():
                text = image.info.get(name)
                if tag not in kept and isinstance(text, str) and text:
                    kept[tag] = _plain(text.encode())
        block = _block(kept)
    except Exception:
        return b""
    return block if len(block) <= _MOST else sifted(block, "credit")


def sifted(block: bytes, keep: str) -> bytes:
    """Of an EXIF block `all`, `none`, or the `credit`: who made it, when, what it shows, whose it
    is.
    """
    if keep == "all" or not block:
        return block
    if keep == "none":
        return b""
    found = _loaded(block)
    kept = _copied(found, _CREDIT)
    taken = {tag: value for tag, value in found.get_ifd(_EXIF).items() if tag in _TAKEN}
    if taken:
        kept.get_ifd(_EXIF).update(taken)
    return _block(kept)


def tags(block: bytes, form: str) -> Image.Exif:
    """An EXIF block as Pillow writes it into a file of that format.

    libtiff writes no directories of EXIF. TIFF/EP has the dates in the first one.
    """
    exif = _loaded(block)
    if form != "TIFF":
        return exif
    flat = _copied(exif, (*_CREDIT, *_MORE))
    for tag, value in exif.get_ifd(_EXIF).items():
        if tag in _TAKEN:
            flat[tag] = value
    return flat


def _loaded(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    if block:
        exif.load(block)
        # Read now, for they are written only if they were, and their texts as the bytes they were.
        for directory in (_EXIF, _GPS):
            exif.get_ifd(directory)
        for tag, value in list(exif.items()):
            exif[tag] = _plain(value)
    return exif


def _copied(exif: Image.Exif, wanted: Iterable[int]) -> Image.Exif:
    kept = Image.Exif()
    for tag in wanted:
        value = _plain(exif.get(tag))
        # A description may be the recipe of a picture that was made before.
        if value and not (isinstance(value, bytes) and value.startswith(b'{"impasto"')):
            kept[tag] = value
    return kept


def _plain(value: Any) -> Any:
    """A text as the bytes that it was in the file: Pillow reads them as Latin-1, and most are
    UTF-8.
    """
    if not isinstance(value, str):
        return value[: 2 * _LONGEST] if isinstance(value, bytes) else value
    with suppress(UnicodeEncodeError):
        return value.encode("latin-1")[:_LONGEST]
    return value.encode()[:_LONGEST]


def _block(exif: Image.Exif) -> bytes:
    return exif.tobytes() if len(exif) else b""
