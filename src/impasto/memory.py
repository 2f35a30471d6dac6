"""How much memory there is, and what to say where a picture needs more.

A process that takes more than its container has is killed without a word. So what is needed is
estimated before long work, and refused in words.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from impasto.errors import OptionError

__all__ = ["SPARE", "available", "check", "spoken"]

SPARE = 0.95
"""The share of what is available that an estimate may reach."""

# A limit that is none: v1 says "the largest number of pages".
_UNLIMITED = 2**60


def available(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take: what the system has free or can free, or what is left
    of the limit of any cgroup it is in (v1 or v2), as containers have. None where nobody knows.

    `root`: where `proc` and `sys` are.
    """
    known = [*_of_the_system(root), *_of_cgroups(root)]
    return max(0, min(known)) if known else None


def check(needed: Callable[[int], float], size: int, free: float | None = None) -> None:
    """`OptionError`, with the largest size that fits, where a picture of a long side of `size` px
    needs more than there is.

    `needed`: bytes for a long side, about, beyond those already taken; it rises. `free`: what may be
    taken, `available()` if not given.
    """
    free = available() if free is None else free
    if free is None or needed(size) <= SPARE * free:
        return
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if needed(middle) <= SPARE * free else (low, middle)
    fits = f"`size={low // 16 * 16}` fits" if low >= 64 else "no size fits"
    raise OptionError(
        f"`size={size}` needs about {spoken(needed(size))} of memory and {spoken(free)} are free: {fits}"
    )


def spoken(amount: float) -> str:
    """Bytes for people: `3.2 GB`, `640 MB`."""
    return f"{amount / 1e9:.1f} GB" if amount >= 1e9 else f"{amount / 1e6:.0f} MB"


def _of_the_system(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc" / "meminfo"):
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            yield int(amount.split()[0]) * 1024


def _of_cgroups(root: Path) -> Iterator[int]:
    """What is left of every limit above this process."""
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        files = _V1 if controllers else _V2
        top = mounted / "memory" if controllers else mounted
        inner = top / path.strip("/")
        # In a container its own group is mounted at the top, under whatever name it has outside.
        for folder in [inner, *inner.parents]:
            yield from _left(folder, *files)
            if folder == top:
                break


_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def _left(folder: Path, most: str, now: str, cache: str) -> Iterator[int]:
    limit, taken = _lines(folder / most), _lines(folder / now)
    if not limit or not taken or limit[0] == "max" or int(limit[0]) >= _UNLIMITED:
        return
    # What is kept of files is given back on demand.
    held = [line.split() for line in _lines(folder / "memory.stat")]
    freed = sum(int(each[1]) for each in held if each[0] == cache)
    yield int(limit[0]) - int(taken[0]) + freed


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
