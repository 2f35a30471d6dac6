"""A bucket to try things with: a folder of this machine behind a delay, which may also fail, known to
fsspec as `slow://`, in other processes, too.

    with slow_store(Path("/tmp/bucket"), seconds=0.1):
        ...  # slow://photos is /tmp/bucket/photos, and every call takes 0.1 s
"""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

_WHERE, _SECONDS, _FAILS = "SLOW_STORE", "SLOW_STORE_SECONDS", "SLOW_STORE_FAILS"


class SlowStore(DirFileSystem):
    """Every file asked for or given costs some seconds; the first call for each of the first
    `SLOW_STORE_FAILS` files that are fetched fails.
    """

    protocol = "slow"

    def __init__(self, **options: Any) -> None:
        super().__init__(path=os.environ[_WHERE], fs=LocalFileSystem(), **options)

    def _wait(self) -> None:
        time.sleep(float(os.environ.get(_SECONDS, "0")))

    def get_file(self, rpath: str, lpath: str, **options: Any) -> Any:
        """A file fetched."""
        self._wait()
        tried = Path(f"{lpath}.tried")
        if os.path.basename(rpath) in os.environ.get(_FAILS, "").split(",") and not tried.exists():
            tried.touch()
            raise OSError(errno.ECONNRESET, "the connection was reset")
        return super().get_file(rpath, lpath, **options)

    def put_file(self, lpath: str, rpath: str, **options: Any) -> Any:
        """A file put."""
        self._wait()
        return super().put_file(lpath, rpath, **options)

    def modified(self, path: str) -> Any:
        """One request, as any."""
        self._wait()
        return super().modified(path)


@contextmanager
def slow_store(folder: Path, seconds: float = 0.0, fails: str = "") -> Iterator[None]:
    """`slow://` is that folder, here and in all processes begun meanwhile. `fails`: names of files,
    between commas, that are not fetched at the first call.
    """
    with tempfile.TemporaryDirectory() as place:
        # As an installed package would say it.
        info = Path(place) / "slow_store-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-store\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[fsspec.specs]\nslow = slow_store:SlowStore\n")
        paths = [place, str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        given = {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            _WHERE: str(folder.resolve()),
            _SECONDS: str(seconds),
            _FAILS: fails,
        }
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        fsspec.register_implementation("slow", SlowStore, clobber=True)
        SlowStore.clear_instance_cache()
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
