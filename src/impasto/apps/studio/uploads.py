"""Files that browsers send for the page, from when they have come until a visit has opened them."""

import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from impasto.apps.studio.budget import Budget, Lease

__all__ = ["Uploads"]

_WAIT = 600.0  # seconds that a file waits to be opened
_LONGEST = 100  # characters of a name


@dataclass(frozen=True, eq=False)
class _Waiting:
    file: Path
    come: float
    lease: Lease


class Uploads:
    """Files under `root`, each in a folder of a name that nobody can guess, counted in `budget`.

    Whoever opens one deletes it; one that nobody opens is deleted after ten minutes.
    """

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root, self._lock = root, threading.Lock()
        self._waiting: list[_Waiting] = []
        budget.relieve(self.sweep)

    def keep(self, files: Iterable[tuple[str, BinaryIO]], lease: Lease) -> list[Path]:
        """Write them down, all or none; their paths. `lease`: for the bytes of all of them.

        Raises `OSError` where the disk is full, say.
        """
        self.sweep()
        made: list[Path] = []
        try:
            for name, data in files:
                path = self._root / secrets.token_hex(16) / _plain(name)
                path.parent.mkdir(mode=0o700)
                made.append(path)
                with path.open("wb") as file:
                    shutil.copyfileobj(data, file)
        except BaseException:
            for path in made:
                shutil.rmtree(path.parent, ignore_errors=True)
            raise
        now = time.monotonic()
        with self._lock:
            self._waiting += [_Waiting(path, now, lease) for path in made]
        return made

    def sweep(self) -> bool:
        """Let go of what was opened or has waited too long; whether there was any."""
        with self._lock:
            before, now = self._waiting, time.monotonic()
            self._waiting = [
                each for each in before if each.file.exists() and now - each.come < _WAIT
            ]
            kept = set(map(id, self._waiting))
        over = [each for each in before if id(each) not in kept]
        for each in over:
            shutil.rmtree(each.file.parent, ignore_errors=True)
        return bool(over)


def _plain(name: str) -> str:
    """The last part of a name, of letters that every file system and address takes."""
    last = re.sub(r"[^\w.-]+", "_", name.replace("\\", "/").rpartition("/")[2])
    return last.strip("._")[-_LONGEST:] or "picture"
