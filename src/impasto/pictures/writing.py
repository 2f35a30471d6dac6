"""Files that are written whole or not at all, and the suffixes that name a picture's format."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

__all__ = ["FORMATS", "atomic_write", "sweep"]

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        ".avif": "AVIF",
        ".jpeg": "JPEG",
        ".jpg": "JPEG",
        ".png": "PNG",
        ".tif": "TIFF",
        ".tiff": "TIFF",
        ".webp": "WEBP",
    }
)
"""The suffixes of pictures that are written here, and Pillow's names of their formats."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a file to write beside `path`, which takes its place at the end, or is deleted where
    something goes wrong.

    Through a link the file that it names is replaced, as `open` would. Its permissions stay; a new
    file's are those of the umask (`tempfile`'s would be private to its owner).
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".impasto-{secrets.token_hex(8)}.partial")
    try:
        yield partial
        if target.exists():
            shutil.copymode(target, partial)
        os.replace(partial, target)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def sweep(folder: Path, age: float = 3600.0) -> None:
    """Delete what processes that were killed left half-written in a folder: files of `atomic_write`
    not touched for `age` seconds.
    """
    for partial in folder.glob(".impasto-*.partial"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > age:
                partial.unlink()
