"""The studio served: page and API as one application, a port, signals, and nothing left behind."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn

from impasto.apps.report import say
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.web import Gate, api
from impasto.errors import ImpastoError
from impasto.signals import stopping

__all__ = ["application", "serve"]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PATIENCE = 3  # seconds that answers under way have left when the server ends
# Read by Gradio and its libraries when they are imported: nothing is looked up, counted or told
# elsewhere.
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}


def application(
    engine: Engine, root: Path, *, host: str = "127.0.0.1", auth: tuple[str, str] | None = None
) -> Gate:
    """The page and the API as one ASGI application, temporary files under `root`.

    `root` must be Gradio's temporary folder (`GRADIO_TEMP_DIR`) before Gradio is imported. `host`:
    where it will be served; the names of this machine alone are let in where that is one of them.
    `auth`: user and password.
    """
    from impasto.apps.studio.page import mount

    hosts = _LOOPBACK if host in _LOOPBACK else None
    return Gate(mount(api(engine), engine, root=root), auth=auth, hosts=hosts)


def serve(
    engine: Engine,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: tuple[str, str] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then end with `SystemExit(0)`: the picture in work is left at
    its next step.

    Says the address on stderr when the page can be opened; port 0 is any free one. `engine` is
    warmed up meanwhile, and closed. Temporary files live in a folder of their own, for this user
    only, removed at the end. Raises `ImpastoError` for an address that cannot be had. For the main
    thread.
    """
    with _leaving(), engine, _listening(host, port) as listener, _folder() as root:
        config = uvicorn.Config(
            application(engine, root, host=host, auth=auth),
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
            ws="none",
        )
        _Server(config, engine, _address(host, listener)).run([listener])


class _Server(uvicorn.Server):
    """Begins to paint when it is up and ends what is painted first: open answers wait for that."""

    def __init__(self, config: uvicorn.Config, engine: Engine, address: str) -> None:
        super().__init__(config)
        self._engine, self._address = engine, address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, say where, and only then load what is heavy."""
        await super().startup(sockets)
        if self.started:
            say(f"the studio is open at {self._address} (Ctrl-C closes it)")
            self._engine.warm()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As always, while the engine closes beside it."""
        with ThreadPoolExecutor(1) as aside:
            aside.submit(self._engine.close)
            await super().shutdown(sockets)


@contextmanager
def _leaving() -> Iterator[None]:
    """Signals that end the process raise `SystemExit(0)`, so that everything is put away; see
    `capture_signals`.

    Uvicorn takes them over while it serves and afterwards sends them again, which would kill the
    process.
    """

    def leave(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    before: Sequence[tuple[signal.Signals, Any]] = [
        (each, signal.signal(each, leave)) for each in stopping()
    ]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


@contextmanager
def _folder() -> Iterator[Path]:
    """A new temporary folder, private (0700), in which this process puts every other; removed at
    the end.
    """
    path, before = Path(tempfile.mkdtemp(prefix="impasto-")), tempfile.tempdir
    told = _QUIET | {"GRADIO_TEMP_DIR": str(path), "TMPDIR": str(path)}
    environment = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    tempfile.tempdir = str(path)
    try:
        yield path
    finally:
        tempfile.tempdir = before
        for name, value in environment.items():
            os.environ.pop(name)
            os.environ |= {} if value is None else {name: value}
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to the address; `ImpastoError` where that cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
    except (OSError, UnicodeError, OverflowError):
        raise ImpastoError(
            f"{host}:{port} is no address of this machine; use --host 127.0.0.1"
        ) from None
    with listener:
        # A port just left may be taken again at once.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ImpastoError(
                f"cannot serve at {host}:{port} ({reason}); choose another --port"
            ) from None
        yield listener


def _address(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
