"""One switch for all fast kernels: inside `portable()` only plain PyTorch runs.

A fast kernel is a `torch.autograd.Function` or an operator of PyTorch's that is not public; tracing
and export (ONNX, `torch.export`, `torch.compile`) understand neither. Each has a twin of public,
differentiable operations that gives the same numbers, and asks `is_portable` which of the two to
take.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

__all__ = ["is_portable", "portable"]


class _Switch(local):  # a ContextVar would do, but PyTorch's tracer cannot read one
    on = False


_SWITCH = _Switch()


@contextmanager
def portable() -> Iterator[None]:
    """Switch every fast kernel off, in this thread, until the block ends.

    The gradient of what was computed inside is portable, too, wherever it is asked for.
    """
    before, _SWITCH.on = _SWITCH.on, True
    try:
        yield
    finally:
        _SWITCH.on = before


def is_portable() -> bool:
    """Whether the caller runs inside `portable()`."""
    return _SWITCH.on
