"""The photos of a batch: in a folder, under a pattern, in a list, here or in a bucket, and those that
come later. And what they are called by processes in other folders.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from impasto.apps import stores
from impasto.errors import InputError, OptionError
from impasto.settings import Settings

__all__ = ["Arrivals", "Photo", "absolute", "find", "reached"]

_LIST = ".txt"


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a batch: its file or URL, and its name, the path without ending below the folder
    where it was found.
    """

    path: str
    name: str


def find(source: str, output: Path | str) -> list[Photo]:
    """The photos that `source` names, in order: a folder and all below it but for `output`, a
    pattern with `*`, a list of paths in a `.txt` file, or one file; each may be a URL.

    A folder may be empty. Raises `InputError` where there is nothing of that name, and
    `OptionError` where a folder's pictures would be written among its photos.
    """
    source, output = stores.plain(source), stores.plain(str(output))
    if stores.is_url(source):
        return _elsewhere(source, output)
    if os.path.isdir(source):
        return list(_below(source, os.path.realpath(output)))
    if os.path.isfile(source) and source.lower().endswith(_LIST):
        with open(source, encoding="utf-8", errors="surrogateescape") as file:
            paths = _listed(file, os.path.dirname(source))
    elif os.path.isfile(source):
        paths = [source]
    else:
        paths = [path for path in sorted(glob.glob(source, recursive=True)) if _is_picture(path)]
    if not paths:
        raise InputError(f"{source} names no photos; give a folder, a pattern or a list of files")
    return [Photo(path, Path(path).stem) for path in paths]


def _listed(lines: Iterable[str], beside: str) -> list[str]:
    """The paths of a list, those that are relative from the folder it lies in."""
    names = [stores.plain(line.strip()) for line in lines if line.strip()]
    return [name if stores.is_url(name) else stores.below(beside, name) for name in names]


def _elsewhere(source: str, output: str) -> list[Photo]:
    if source.lower().endswith(_LIST):
        lines = stores.text(source).splitlines()
        return [Photo(url, Path(url).stem) for url in _listed(lines, source.rpartition("/")[0])]
    inside = output.rstrip("/") + "/"
    if (source.rstrip("/") + "/").startswith(inside):
        raise OptionError(f"the photos of {source} lie in the output folder; choose another")
    return [
        Photo(url, os.path.splitext(Path(url).name if "*" in source else name)[0])
        for url, name in stores.pictures(source, _named_picture)
        if not url.startswith(inside)
    ]


def _below(folder: str, output: str) -> Iterator[Photo]:
    if os.path.commonpath([os.path.realpath(folder), output]) == output:
        raise OptionError(f"the photos of {folder} lie in the output folder; choose another")
    for inside, folders, files in os.walk(folder):
        # In place: `os.walk` goes where these say.
        folders[:] = sorted(
            name for name in folders if os.path.realpath(os.path.join(inside, name)) != output
        )
        for name in sorted(files):
            path = os.path.join(inside, name)
            if _is_picture(path):
                yield Photo(path, os.path.splitext(os.path.relpath(path, folder))[0])


def _is_picture(path: str) -> bool:
    """Whether there is a file with a picture's ending that is not hidden."""
    return _named_picture(path) and os.path.isfile(path)


def _named_picture(path: str) -> bool:
    ending, name = os.path.splitext(path)[1].lower(), os.path.basename(path)
    return not name.startswith(".") and ending in _readable()


@cache
def _readable() -> frozenset[str]:
    endings = Image.registered_extensions()
    return frozenset(ending for ending, form in endings.items() if form in Image.OPEN)


def reached(path: str) -> str:
    """A path as other processes know it; a URL as it is."""
    return path if stores.is_url(path) else os.path.abspath(path)


def absolute(settings: Settings) -> Settings:
    """The same for a process in another folder: files by their whole paths."""
    files = {
        name: reached(value)
        for name in ("encoder", "network")
        if os.path.isfile(value := getattr(settings, name))
    }
    return settings.but(**files) if files else settings


class Arrivals:
    """Photos that come to a folder, or under a pattern: each is given once, when it no longer
    grows, and again when it has changed.
    """

    def __init__(self, source: str, output: Path | str) -> None:
        self.source, self.output = source, output
        self._seen: dict[Photo, tuple[int, int]] = {}
        self._given: dict[Photo, tuple[int, int]] = {}

    def new(self) -> list[Photo]:
        """Those that are as they were when last looked at; call it every second or so."""
        before, self._seen = self._seen, {}
        for photo in find(self.source, self.output):
            with suppress(OSError):
                found = os.stat(photo.path)
                self._seen[photo] = (found.st_mtime_ns, found.st_size)
        ready = {
            photo: stamp
            for photo, stamp in self._seen.items()
            if before.get(photo) == stamp != self._given.get(photo)
        }
        self._given |= ready
        return list(ready)
