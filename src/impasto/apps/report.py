"""What a command says: results on stdout, everything else on stderr, mistakes in one line."""

import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from impasto.apps.cli.options import in_flags
from impasto.apps.interrupt import INTERRUPTED, ignore_interrupts, requests_interrupt
from impasto.errors import ImpastoError, printable
from impasto.networks.header import learned_styles
from impasto.pictures.samples import UnknownSampleError

__all__ = ["emit", "one_line", "own_process", "printable", "reporting", "say", "verdict"]

# What torch's allocators and drivers say; only some of them have an exception of their own.
_NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory", re.I
)


def own_process() -> None:
    """What a command asks of its process: three open streams, and no warnings of libraries unless
    asked for.

    A stream that was closed before the start (`2>&-`) is opened to nowhere: the next file to be
    opened would take its place, and get what is said.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def say(text: str) -> None:
    """A line on stderr; nowhere, where nobody reads there any more or its disk is full."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def emit(path: Path | str) -> None:
    """The path or URL of a result, alone on a line of stdout, as the very bytes the file system knows."""
    typer.echo(os.fsencode(path))


def one_line(text: str) -> str:
    """`text` without its line breaks."""
    return " ".join(text.split())


@contextmanager
def reporting(debug: bool) -> Iterator[None]:
    """What goes wrong inside becomes one line on stderr and an exit code: 2 for what the user can
    mend, else 1.

    The traceback is shown with `debug` only. Ctrl-C, SIGTERM and SIGHUP exit with `INTERRUPTED`. Raises
    `typer.Exit`.
    """
    try:
        with requests_interrupt():
            yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        ignore_interrupts()
        say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader (`| head`) has gone. Python would complain once more when it flushes at the
        # end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except Exception as error:
        if debug:
            traceback.print_exc()
        message, code = verdict(error)
        say(f"error: {in_flags(message)}")
        raise typer.Exit(code) from None


def verdict(error: Exception) -> tuple[str, int]:
    """What to say of an error, and the exit code it calls for: 2 for what the user can mend, else 1."""
    if isinstance(error, UnknownSampleError) and _is_learned(error.called):
        return (
            f"{error.called} is a learned style, which has no picture; "
            "give a file of the painting that it was learned from",
            2,
        )
    if isinstance(error, ImpastoError):
        return str(error), 2
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))
    ):
        return "not enough memory for this size; lower `size`, in a training `crop` or `batch`", 2
    if isinstance(error, OSError) and error.strerror:
        return printable(f"{error.strerror}: {error.filename or 'while reading or writing'}"), 2
    said = one_line(str(error))
    return f"unexpected {type(error).__name__}: {said}; run again with `debug`", 1


def _is_learned(name: str) -> bool:
    """Whether the embedded network paints in a style of that name, shipped or the user's own."""
    try:
        return any(each.name == name for each in learned_styles())
    except ImpastoError:  # of a bank that cannot be read, which is another matter
        return False
