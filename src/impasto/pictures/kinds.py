"""What a file is that was given for another: told by its first bytes, and answered with what takes
it.

    mistaken(Path("clip.mp4"), PICTURE)   # "clip.mp4 is a film, not a picture: impasto film paints it …"
"""

import os
import re
from pathlib import Path

from PIL import Image

__all__ = ["FILM", "PICTURE", "STYLE", "WEIGHTS", "mistaken"]

PICTURE = "a picture"
"""Any that Pillow reads."""

FILM = "a film"
"""As FFmpeg reads them; not what Pillow reads, such as a GIF."""

STYLE = "a style file"
"""Of `impasto styles export`."""

WEIGHTS = "a network's weights"
"""A safetensors file."""

_HEAD = 1 << 16  # bytes; what a style's header says of itself stands there

# What is found, and what to do with it.
_REMEDIES = {
    FILM: "impasto film paints it, impasto score --film measures it",
    STYLE: "impasto styles add takes it, and then its name is a style",
    WEIGHTS: "it is given as `network` or `encoder`",
    PICTURE: "impasto stylize takes it as the photo or the style, impasto learn as a style to learn",
    "a HEIC picture": "export it as JPEG",
    "a camera's raw file": "develop it to JPEG or TIFF first",
    "a document": "export the page as PNG",
    "a drawing in vectors": "export it as PNG",
    "a pickle of Python": "nothing in it is run here; save its weights as safetensors",
    "an archive": "unpack it, and name what is in it",
    "a network for ONNX Runtime": "impasto export writes it for other programs",
    "a list or a text": "impasto batch takes a list of photos, in a .txt file",
}

_MAGIC = {
    FILM: rb"\x1aE\xdf\xa3|RIFF....AVI |OggS|FLV\x01|\x00\x00\x01[\xb3\xba]|\x30\x26\xb2\x75\x8e\x66|"
    rb"....ftyp(?!avi[fs]|hei|hev|mif1|msf1|crx |jp2)",
    "a HEIC picture": rb"....ftyp(hei|hev|mif1|msf1)",
    "a document": rb"%PDF",
    "a drawing in vectors": rb"\s*(<\?xml[^>]*>\s*|<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]",
    "a pickle of Python": rb"PK\x03\x04.{26}[^/]{1,80}/data\.pkl|\x80[\x02-\x05]",
    "an archive": rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ",
    STYLE: rb"........\{[^\x00]*\"kind\":\s*\"impasto style\"",
    WEIGHTS: rb".......\x00\{",
}
# By their names alone: nothing at their beginning is theirs only.
_RAW = frozenset(
    [".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"]
)
_SUFFIXES = dict.fromkeys(_RAW, "a camera's raw file") | {
    ".onnx": "a network for ONNX Runtime",
    ".txt": "a list or a text",
}


def mistaken(path: Path, wanted: str) -> str | None:
    """One line for a file that cannot be read as what was `wanted`: what it is, and what takes it.

    The same for one that may not be read. None where it is not known, or what was wanted, and damaged.
    """
    if path.is_file() and not os.access(path, os.R_OK):
        return f"{path} may not be read; check its permissions"
    found = _kind(path)
    if found is None or found == wanted:
        return None
    return f"{path} is {found}, not {wanted}: {_REMEDIES[found]}"


def _kind(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    by_name = _SUFFIXES.get(path.suffix.lower())
    if by_name and by_name != "a list or a text":
        return by_name
    found = (kind for kind, magic in _MAGIC.items() if re.match(magic, head, re.DOTALL))
    return next(found, None) or (PICTURE if _is_picture(path) else by_name)


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path):
            return True
    except Exception:  # a decoder raises nearly anything
        return False
