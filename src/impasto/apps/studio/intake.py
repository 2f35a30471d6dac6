"""The bodies of requests on their way in: no longer, no slower and no less whole than they may be."""

import asyncio
import re
import time

from impasto.apps.studio.asgi import Message, Receive, Scope, header
from impasto.apps.studio.budget import Lease
from impasto.apps.studio.limits import TooLargeError
from impasto.errors import ImpastoError

__all__ = ["GoneError", "Intake", "SlowError"]

_SILENCE = 15.0  # seconds between two parts of a body
_GRACE = 10.0  # seconds before the pace is judged
_PACE = 10_000  # bytes a second, at least, from then on
_PATIENCE = 300.0  # seconds for all of it
_TAIL = 1000  # bytes of the end that are looked at


class GoneError(Exception):
    """The sender has hung up: nobody is there to be answered."""


class SlowError(ImpastoError):
    """The sender takes longer than the studio waits."""


class Intake:
    """The body of a request, as an ASGI `receive` for whoever reads it.

    Raises `TooLargeError` past `most` bytes, be they announced or sent; `SlowError` for a sender
    that pauses or trickles; `GoneError` for one that hangs up; `FullError` where `lease`, which
    grows with what has come, cannot.
    """

    def __init__(
        self, scope: Scope, receive: Receive, most: int, lease: Lease | None = None
    ) -> None:
        self._receive, self._most, self._lease = receive, most, lease
        self._length = header(scope, b"content-length")
        self._type = header(scope, b"content-type")
        self._begun, self._read, self._tail = time.monotonic(), 0, b""

    async def __call__(self) -> Message:
        """The next part."""
        if self._length.isdecimal() and int(self._length[:20]) > self._most:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._left()):
                message = await self._receive()
        except TimeoutError:
            raise SlowError("the upload took too long; try again") from None
        if message["type"] == "http.disconnect":
            raise GoneError
        body: bytes = message.get("body", b"")
        self._read += len(body)
        if self._read > self._most:
            raise self._too_large()
        if self._lease is not None:
            self._lease.grow(len(body))
        self._tail = (self._tail + body[-_TAIL:])[-_TAIL:]
        return message

    async def whole(self) -> bytes:
        """All of it."""
        parts, more = [], True
        while more:
            message = await self()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        return b"".join(parts)

    def check_end(self) -> None:
        """`ImpastoError` where what came is a multipart form without its last boundary: cut short."""
        found = re.search(r'boundary="?([^";,]+)', self._type)
        if found and f"--{found[1].strip()}--".encode("latin-1") not in self._tail:
            raise ImpastoError(
                "the form was cut short: its closing boundary is missing; send it again"
            )

    def _left(self) -> float:
        spent = time.monotonic() - self._begun
        pace = max(_GRACE, self._read / _PACE + _SILENCE)
        return max(0.0, min(_SILENCE, pace - spent, _PATIENCE - spent))

    def _too_large(self) -> TooLargeError:
        return TooLargeError(
            f"this request has more than {self._most / 1e6:.0f} MB, which is all the studio takes"
        )
