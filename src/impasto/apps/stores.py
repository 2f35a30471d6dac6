"""Files that lie elsewhere, in buckets and on servers, by the URL that fsspec knows them by:
`s3://bucket/photos`. Only here.

    for url, name in pictures("s3://bucket/photos", lambda path: path.endswith(".jpg")):
        fetch(url, Path("photo.jpg"))
    put(Path("painted.png"), "s3://bucket/painted/a.png")

What fails for a moment is tried again, `TRIES` times in all. A file of this machine (`file://`) is
a path like any other: see `plain`.
"""

import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from impasto.errors import ImpastoError, InputError, OptionError
from impasto.pictures.recipes import read_recipe

__all__ = [
    "TRIES",
    "below",
    "fetch",
    "is_url",
    "modified",
    "of_one_process",
    "pictures",
    "plain",
    "prepare",
    "put",
    "recipe_of",
    "text",
]

T = TypeVar("T")

TRIES = 3
"""How often something is tried that fails for another reason than that it cannot be."""

PAUSE = 0.5
"""Seconds before something is tried again; twice as long before the next time."""

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://")
_FILES = re.compile(r"(?:file|local)://")
# What is put there is there whole or not at all. Elsewhere a file grows under its name.
_OBJECTS = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a"}
)
_HEAD = 1 << 18  # bytes of a picture in which its recipe is found, but for some formats
_OLD = 3600.0  # seconds after which a half-written file is nobody's


def is_url(path: str) -> bool:
    """Whether it names a file elsewhere, and not on this machine."""
    return _URL.match(path) is not None and _FILES.match(path) is None


def plain(path: str) -> str:
    """The path of a `file://` URL; anything else as it is."""
    return path[found.end() :] if (found := _FILES.match(path)) else path


def of_one_process(path: str) -> bool:
    """Whether only this process sees it."""
    return path.startswith("memory://")


def below(folder: str, *names: str) -> str:
    """A file below a folder, of this machine or elsewhere."""
    return (
        "/".join([folder.rstrip("/"), *names]) if is_url(folder) else os.path.join(folder, *names)
    )


def pictures(source: str, wanted: Callable[[str], bool]) -> list[tuple[str, str]]:
    """The files that a URL names, in order: those of a folder and all below it, of a pattern with
    `*`, or one file. Of each the URL, and its path below the folder.

    `wanted`: whether to take a path. Raises `ImpastoError` where nothing of that name is found.
    """

    def look() -> list[tuple[str, str]]:
        files, root = _opened(source)
        root = root.rstrip("/") or root
        if "*" in root:
            paths, start = [path for path in files.glob(root) if wanted(path)], None
        elif files.isfile(root):
            paths, start = [root], None
        else:
            # A folder's own name may be a file of no bytes in a bucket.
            paths, start = [path for path in files.find(root) if wanted(path)], root
        names = [
            PurePosixPath(path).name if start is None else path[len(start) :] for path in paths
        ]
        # As it was given, with a server's name, which paths do not have.
        given = source.rstrip("/")
        front = given[: -len(root)] if given.endswith(root) else None
        urls = [
            str(files.unstrip_protocol(path) if front is None else front + path) for path in paths
        ]
        return sorted(zip(urls, [name.lstrip("/") for name in names], strict=True))

    found = _persistent(source, look)
    if not found and "*" in source:
        raise InputError(f"{source} names no photos; give a folder or a pattern")
    return found


def text(url: str) -> str:
    """A text file."""

    def read() -> bytes:
        files, path = _opened(url)
        return bytes(files.cat_file(path))

    return _persistent(url, read).decode("utf-8", "surrogateescape")


def fetch(url: str, into: Path) -> None:
    """A copy of the file in this machine's; `ImpastoError` where there is none."""

    def get() -> None:
        files, path = _opened(url)
        files.get_file(path, str(into))

    _persistent(url, get)


def modified(url: str) -> float | None:
    """When it was last written, in seconds since 1970; None where there is no such file. 0 where the
    store does not say.
    """

    def ask() -> float | None:
        files, path = _opened(url)
        try:
            return float(files.modified(path).timestamp())
        except FileNotFoundError:
            return None
        except NotImplementedError:
            return 0.0 if files.exists(path) else None

    return _persistent(url, ask)


def recipe_of(url: str, aside: Path) -> dict[str, object] | None:
    """The recipe of a painted picture, by its first bytes where these are enough; None for one that
    has none. `aside`: a name for a copy in a folder of this machine.
    """

    def head() -> bytes:
        files, path = _opened(url)
        return bytes(files.cat_file(path, start=0, end=_HEAD))

    aside.write_bytes(_persistent(url, head))
    try:
        found = read_recipe(aside)
    except InputError:
        found = None
    if found is None and aside.stat().st_size == _HEAD:
        fetch(url, aside)
        found = read_recipe(aside)
    return found


def put(file: Path, url: str) -> None:
    """A copy of this machine's file as `url`, whole or not at all."""

    def send() -> None:
        files, path = _opened(url)
        if _protocol(url) in _OBJECTS:
            files.pipe_file(path, file.read_bytes())
            return
        parent = str(PurePosixPath(path).parent)
        partial = f"{parent}/.impasto-{secrets.token_hex(8)}.partial"
        files.makedirs(parent, exist_ok=True)
        try:
            files.put_file(str(file), partial)
            files.mv(partial, path)
        except BaseException:
            if files.exists(partial):
                files.rm_file(partial)
            raise

    _persistent(url, send)


def prepare(folder: str) -> None:
    """Make a folder, see that it can be written to, and clear away what a killed run left there
    half-written. `ImpastoError` where it cannot.
    """

    def probe() -> None:
        files, path = _opened(folder)
        name = f"{path.rstrip('/')}/.impasto-{secrets.token_hex(8)}.partial"
        if _protocol(folder) not in _OBJECTS:
            files.makedirs(path, exist_ok=True)
        files.pipe_file(name, b"probe")
        files.rm_file(name)
        for old in files.glob(f"{path.rstrip('/')}/.impasto-*.partial"):
            if time.time() - files.modified(old).timestamp() > _OLD:
                files.rm_file(old)

    _persistent(folder, probe)


def _protocol(url: str) -> str:
    found = _URL.match(url)
    assert found is not None
    return found[1]


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and its path there."""
    import fsspec

    # Others write there, too: what was listed once is asked again.
    files, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return files, str(path)


def _persistent(url: str, action: Callable[[], T]) -> T:
    """What `action` gives, tried again where it fails for a moment."""
    for number in range(1, TRIES + 1):
        try:
            return action()
        except ImpastoError:
            raise
        except Exception as error:
            reason = _refusal(url, error)
            if reason is None and number < TRIES:
                time.sleep(PAUSE * 2 ** (number - 1))
                continue
            raise reason or InputError(
                f"{url} fails ({_spoken(error)}), tried {TRIES} times; go on by the same command"
            ) from error
    raise AssertionError("unreachable")


def _refusal(url: str, error: Exception) -> ImpastoError | None:
    """What to say where there is no use in trying again."""
    if isinstance(error, ImportError):
        return OptionError(
            f"{_protocol(url)}:// needs another package ({_spoken(error)}); for S3: "
            "pip install 'impasto[buckets]'"
        )
    if isinstance(error, FileNotFoundError):
        return InputError(f"{url} does not exist; check the spelling")
    if isinstance(error, PermissionError):
        return InputError(f"{url} may not be used ({_spoken(error)}); check the credentials")
    if isinstance(error, NotImplementedError | ValueError):
        return InputError(f"{url} cannot be used ({_spoken(error)}); check the address")
    return None


def _spoken(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
