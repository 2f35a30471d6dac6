"""The wire: a port, its connections and their end, and the one place that knows the HTTP server."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from impasto.apps.studio.asgi import Application
from impasto.errors import ImpastoError

__all__ = ["Server", "address", "listening"]

_CONNECTIONS = 512  # at a time; each costs little, and a page has six
_HEAD = 10.0  # seconds that the head of a request may take, from the first connection on
_END = 1  # seconds that answers under way have left when the server ends
_LOG = logging.getLogger("impasto.access")
_BUSY = b'{"error": "the studio has as many connections as it can; try again later"}'
_WRONG = b'{"error": "this is no HTTP request"}'


class _Protocol(H11Protocol):
    """A connection: one of so many, which has to say soon what it wants."""

    def connection_made(self, transport: Any) -> None:
        """Wait for a request, though not for long."""
        super().connection_made(transport)
        if len(self.connections) > _CONNECTIONS:
            self._end(503, b"Service Unavailable", _BUSY, "too many connections")
            return
        self._head = self.loop.call_later(_HEAD, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        if hasattr(self, "_head"):
            self._head.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A part of a request, or of the next one after a while of silence."""
        if self.transport.is_closing():
            return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:  # its head has come
            self._head.cancel()
        elif before is None or before.response_complete:
            self._head.cancel()
            self._head = self.loop.call_later(_HEAD, self._late)

    def send_400_response(self, _msg: str) -> None:
        """What was sent is no HTTP."""
        self._end(400, b"Bad Request", _WRONG, "no HTTP request")

    def _should_upgrade(self) -> bool:
        return False  # no WebSockets here; the request is answered as any other

    def _late(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _end(self, status: int, phrase: bytes, body: bytes, why: str) -> None:
        client = self.client[0] if self.client else "-"
        _LOG.warning('%s "-" %d %d 0.000s %s', client, status, len(body), why)
        head = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nconnection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(head % (status, phrase) + length + body)
        self.transport.close()


class Server(uvicorn.Server):
    """An ASGI application on a listening socket, until SIGINT or SIGTERM.

    `opened` is called when it answers, `closing` when it has been told to end: in a thread of its
    own, while answers under way have a second left; open ones wait for that. `proxy`: addresses,
    with commas between, of whom `X-Forwarded-For` and `-Proto` are believed.
    """

    def __init__(
        self,
        app: Application,
        *,
        opened: Callable[[], object],
        closing: Callable[[], object],
        proxy: str = "127.0.0.1",
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            workers=1,  # whatever WEB_CONCURRENCY says
            access_log=False,
            log_config=None,
            server_header=False,
            forwarded_allow_ips=proxy,
            timeout_graceful_shutdown=_END,
        )
        super().__init__(config)
        self._opened, self._closing = opened, closing
        # What is no HTTP is told here, once.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then say so."""
        await super().startup(sockets)
        if self.started:
            self._opened()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As always, while what is behind the application closes beside it."""
        # Of every stream that it calls off, the server would tell as of an error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        with ThreadPoolExecutor(1) as aside:
            done = asyncio.get_running_loop().run_in_executor(aside, self._closing)
            await super().shutdown(sockets)
            await done


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to the address; `ImpastoError` where that cannot be had."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With its protocol: asyncio sets TCP_NODELAY only where that is told, and without it each
        # small answer waits 40 ms for the other side's acknowledgement.
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError):
        raise ImpastoError(
            f"{host}:{port} is no address of this machine; use --host 127.0.0.1"
        ) from None
    with listener:
        # A port just left may be taken again at once.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(where)
            listener.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ImpastoError(
                f"cannot serve at {host}:{port} ({reason}); choose another --port"
            ) from None
        yield listener


def address(host: str, listener: socket.socket) -> str:
    """`http://127.0.0.1:7860`."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
