"""Files that are written whole or not at all, and the suffixes that name a picture's format."""

import os
import secrets
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from impasto.errors import InputError

__all__ = [
    "FORMATS",
    "atomic_folder",
    "atomic_write",
    "check_no_pipe",
    "check_output",
    "check_place",
    "format_options",
    "make_folder",
    "sweep",
]

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


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Gives a folder to fill beside `path`, which takes its place at the end, or is deleted where
    something goes wrong.

    What stands at `path` until then is deleted: ask first whether it may be.
    """
    target = Path(os.path.realpath(path))
    partial, old = (
        target.with_name(f".impasto-{secrets.token_hex(8)}.{end}") for end in ("partial", "old")
    )
    try:
        partial.mkdir()
        yield partial
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(partial, target)
        except BaseException:
            if old.exists():
                os.replace(old, target)
            raise
    finally:
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)


def sweep(folder: Path, age: float = 3600.0) -> None:
    """Delete what processes that were killed left half-written in a folder: files of `atomic_write`
    not touched for `age` seconds.
    """
    for partial in folder.glob(".impasto-*.partial"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > age:
                partial.unlink()


def make_folder(folder: Path) -> None:
    """With those above it; `InputError` where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder} ({error.strerror}); choose another"
        ) from error


def check_output(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path, known to be one `save_picture` can write; call it before long work.

    Raises `ImpastoError` if the suffix names no known format or one this Pillow cannot write, the
    folder is missing or not writable, or the target is a folder or write-protected.
    """
    path = check_no_pipe(Path(path))
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise InputError(f"{path} has no picture suffix; use one of {' '.join(sorted(FORMATS))}")
    Image.preinit()  # the common formats: to load all of them takes 30 ms
    if form not in Image.SAVE:
        Image.init()
    if form not in Image.SAVE:
        raise InputError(
            f"this Pillow cannot write {form}; save as .png or install a Pillow that has it"
        )
    return check_place(path)


def check_no_pipe(path: Path) -> Path:
    """`path`, known not to stand for a stream."""
    if str(path) in ("-", "/dev/stdout", "/dev/stderr"):
        raise InputError("nothing is written to a pipe: name a file, such as out.png")
    return path


def check_place(path: Path) -> Path:
    """`path`, known to be a place for a file of any kind: new, or in place of one that is there."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():  # a pipe, a device
        raise InputError(f"{path} is not a regular file; choose another name")
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist; make it first")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{path} is write-protected; choose another name")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as err:
        raise InputError(
            f"cannot write into {path.parent} ({err.strerror}); choose another folder"
        ) from err
    return path


def format_options(form: str, quality: int) -> dict[str, Any]:
    """How Pillow is to write a format, at a quality of 1 to 100 where there is one."""
    options: dict[str, dict[str, Any]] = {
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
        "JPEG": {"quality": quality, "subsampling": "4:4:4", "optimize": True},
        # Paint repeats nothing but runs of a value: as small as by the usual search, in a third
        # of its time.
        "PNG": {"compress_type": zlib.Z_RLE},
        "TIFF": {"compression": "tiff_adobe_deflate"},
        "WEBP": {"quality": quality, "exact": True},  # exact: colours under transparency stay
    }
    return options[form]
