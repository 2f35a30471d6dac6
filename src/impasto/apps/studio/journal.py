"""The studio's journal: a line for each request, and nobody's request writes more than one."""

import asyncio
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from impasto.apps.report import one_line, printable
from impasto.apps.studio.asgi import Application, Message, Receive, Scope, Send, entry, say_error

__all__ = ["Journal", "Meter", "logging_to_stderr", "short"]

_LOG = logging.getLogger("impasto.access")
_LONGEST = 200  # characters of a path
_FRAMES = 4  # of a traceback, the innermost, in its line


class Meter(Protocol):
    """Counts what was answered; see `Metrics`."""

    def answered(self, path: str, status: int, seconds: float, *, refused: bool) -> None:
        """A request has ended."""


class Journal:
    """Around an ASGI application: writes down each request once, when it has ended.

    A refusal is a warning, any other request information: 127.0.0.1 "GET /path" 200 12 0.003s. An
    exception that nobody caught becomes a 500 in words and an error in one line; a request that the
    server calls off as it ends is none.
    """

    def __init__(self, app: Application, meter: Meter | None = None) -> None:
        self._app, self._meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        noted, path, begun = entry(scope), scope["path"], time.monotonic()
        status, size, broken = 0, 0, ""

        async def sending(message: Message) -> None:
            nonlocal status, size
            status = message.get("status", status)
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            broken = short(error)
            if not status:
                await say_error(scope, sending, 500, "something went wrong here; the log says more")
        finally:
            took = time.monotonic() - begun
            status = status or 499  # nobody was there to be answered
            level = logging.ERROR if broken else logging.WARNING if noted.refused else logging.INFO
            why = broken or noted.refused
            client = scope["client"][0] if scope.get("client") else "-"
            _LOG.log(
                level,
                '%s "%s %s" %d %d %.3fs%s',
                client,
                printable(scope["method"])[:20],
                printable(path)[:_LONGEST],
                status,
                size,
                took,
                f" {why}" if why else "",
            )
            if self._meter is not None:
                self._meter.answered(path, status, took, refused=bool(noted.refused))


def short(error: BaseException) -> str:
    """An exception in one line, the innermost frames of its traceback with it."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = " < ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[::-1]
    )
    return printable(one_line(f"{type(error).__name__}: {error}"))[:500] + f" ({where})"


class _OneLine(logging.Formatter):
    """A record as one line, its exception, if any, at the end of it."""

    def format(self, record: logging.LogRecord) -> str:
        text = printable(one_line(record.getMessage()))
        error = record.exc_info[1] if record.exc_info else None
        return f"{text}: {short(error)}" if error is not None else text


@contextmanager
def logging_to_stderr(*, requests: bool = False, tracebacks: bool = False) -> Iterator[None]:
    """Warnings of everyone on stderr meanwhile, a line each; with `requests` every request too.

    `tracebacks`: whole ones, over many lines.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s") if tracebacks else _OneLine())
    root, before = logging.getLogger(), _LOG.level
    root.addHandler(handler)
    _LOG.setLevel(logging.INFO if requests else logging.WARNING)
    try:
        yield
    finally:
        root.removeHandler(handler)
        _LOG.setLevel(before)
