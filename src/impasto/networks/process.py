"""What an application asks of its process for speed: memory is kept, waiting threads sleep."""

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["keep_freed_memory", "returning_freed_memory", "trim", "wait_passively"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@functools.cache
def keep_freed_memory() -> None:
    """Ask glibc's malloc, process-wide, to keep freed memory instead of returning it.

    By default every block over 32 MB is mapped anew and zeroed page by page by the kernel; a
    feature map of 512 x 512 px and 64 channels is just over that, and a step makes a dozen: a
    quarter of its time. Does nothing elsewhere than under glibc.

    For applications, whose process is their own: the command line calls it. A library that loads a
    network leaves the process as it is; who optimises pictures in one may call it first.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def returning_freed_memory() -> Iterator[None]:
    """Within, every large block that is freed goes back to the system: for long work that was given
    little memory.

    Kept, freed memory lies between blocks in use in pieces too small for the next ones, and a
    process holds twice of what it uses. Returned, it costs a step a fourth of its time (see above).
    Smaller blocks are returned by `trim`. Where memory is not kept, as in a library, nothing
    changes.
    """
    if not keep_freed_memory.cache_info().currsize or platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 2**22)
    _returning.append(libc)
    trim()
    try:
        yield
    finally:
        _returning.pop()
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)


# glibc, once for every block of `returning_freed_memory` that is open.
_returning: list[ctypes.CDLL] = []


def trim() -> None:
    """Return what is free between the small blocks, too, where freed memory is returned.

    After every part of a large picture: the holes of hundreds of parts come to more than what is in
    use.
    """
    for libc in _returning[-1:]:
        libc.malloc_trim(0)


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, unless the user has said otherwise.

    By default they spin: alone that is about 5 % faster, beside one other busy process two to four
    times slower, since a thread that spins takes the very processor that the one it waits for
    needs. OpenMP reads this once, when it is loaded; called after PyTorch was imported it does
    nothing. For applications, as above.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
