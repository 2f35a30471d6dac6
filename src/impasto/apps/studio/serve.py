"""The studio served: page and API as one application, signals, and nothing left behind."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from impasto.apps.report import say
from impasto.apps.studio.asgi import Application, Receive, Scope, Send
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.gate import Access, Gate, access
from impasto.apps.studio.jobs import Jobs
from impasto.apps.studio.journal import Journal, logging_to_stderr
from impasto.apps.studio.metrics import Metrics
from impasto.apps.studio.uploads import Uploads
from impasto.apps.studio.web import api, bare
from impasto.apps.studio.wire import Server, address, listening
from impasto.signals import stopping

__all__ = ["application", "serve", "sweep"]

_PREFIX, _LOCK = "impasto-studio-", "lock"
_MINUTE = 60
_TRIES = 10
_NEW = 600  # seconds after which a folder that nobody has locked is nobody's
# Read by Gradio and its libraries when they are imported: nothing is looked up, counted or told
# elsewhere. All else that they would read is hidden from them: what the studio does is said by its
# own options, and a number that is none would stop it in words of theirs.
_UNHEARD = ("GRADIO_", "HF_HUB_", "PROMETHEUS_")
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}


def application(engine: Engine, root: Path, entrance: Access | None = None) -> Application:
    """The page and the API as one ASGI application, temporary files under `root`.

    `root` must be Gradio's temporary folder (`GRADIO_TEMP_DIR`) before Gradio is imported.
    `entrance`: who may come in; this machine only, if it is not given.
    """
    from impasto.apps.studio.page import mount

    entrance, root = entrance or access(), root.resolve()
    budget = engine.budget
    metrics = Metrics(
        {
            "orders": ("Orders that wait or are worked at", lambda: len(engine)),
            "ready": ("Whether it can paint at once", lambda: engine.ready),
            "memory_held_bytes": ("Of what visitors have here", lambda: budget.held),
            "memory_limit_bytes": ("The most they may have", lambda: budget.most),
            "memory_peak_bytes": ("The most they have had", lambda: budget.peak),
        }
    )
    uploads, jobs = Uploads(root, budget), Jobs(engine)
    page = mount(bare(), engine, jobs, root=root, root_path=entrance.root_path)
    either = _Either(api(engine, uploads, metrics, jobs), page, uploads.sweep)
    return Journal(Gate(either, entrance), metrics)


class _Either:
    """The API or the page, by the path; what the page's server does at start and end is done.

    `chore` is called every minute in between.
    """

    def __init__(self, here: Application, page: Application, chore: Callable[[], object]) -> None:
        self._here, self._page, self._chore = here, page, chore

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            tidying = asyncio.create_task(self._tidy())
            try:
                await self._page(scope, receive, send)
            finally:
                tidying.cancel()
            return
        path = scope.get("path", "")
        ours = path.startswith("/api/") or path in ("/metrics", "/gradio_api/upload")
        await (self._here if ours else self._page)(scope, receive, send)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_MINUTE)
            await asyncio.to_thread(self._chore)


def serve(
    engine: Engine,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    entrance: Access | None = None,
    proxy: str = "127.0.0.1",
    requests: bool = False,
    tracebacks: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM, then end the process, with 0, within three seconds: whoever
    waits for a picture is told, answers under way have a second, and the step in work is left where
    it is.

    Says the address on stderr when the page can be opened; port 0 is any free one. `engine` is
    warmed up meanwhile, and closed. `entrance`: who may come in. `proxy`: see `Server`. `requests`:
    a line on stderr for every request, and not for those alone that were turned away. Temporary
    files live in a folder of their own, for this user only, removed at the end; those that a killed
    studio left are removed at the start. Raises `ImpastoError` for an address that cannot be had.
    For the main thread.
    """
    entrance = entrance or access(host)
    with _leaving(), logging_to_stderr(requests=requests, tracebacks=tracebacks):
        try:
            with listening(host, port) as listener, _folder() as root:
                where = address(host, listener) + entrance.root_path

                def opened() -> None:
                    say(f"the studio is open at {where} (Ctrl-C closes it)")
                    _warn(host, entrance)
                    engine.warm()

                Server(
                    application(engine, root, entrance),
                    opened=opened,
                    closing=lambda: engine.close(0),
                    proxy=proxy,
                ).run([listener])
        finally:
            engine.close(0)
            if isinstance(sys.exception(), SystemExit | None):
                _end()


def _end() -> NoReturn:
    """End the process where it is, all being put away: a step at work cannot be left otherwise, and
    the interpreter's own tidying of all that was loaded takes another second.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(0)


def _warn(host: str, entrance: Access) -> None:
    """Say who can come in where that may not be meant."""
    if entrance.addresses and entrance.auth is None:
        say(
            f"warning: everyone who can reach {host} may use this studio; "
            "ask for a password with IMPASTO_AUTH=USER:PASSWORD"
        )
    if entrance.names is None:
        say("warning: the studio answers to any name; name its own with --allowed-host")


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
    sweep(Path(tempfile.gettempdir()))
    path, before = Path(tempfile.mkdtemp(prefix=_PREFIX)), tempfile.tempdir
    environment = dict(os.environ)
    for name in environment:
        if name.startswith(_UNHEARD):
            del os.environ[name]
    os.environ |= _QUIET | {"GRADIO_TEMP_DIR": str(path), "TMPDIR": str(path)}
    tempfile.tempdir = str(path)
    try:
        with (path / _LOCK).open("w") as lock:
            _locked(lock.fileno())
            yield path
    finally:
        tempfile.tempdir = before
        os.environ.clear()
        os.environ |= environment
        _removed(path)


def _removed(folder: Path) -> None:
    """Remove a folder into which a thread may still be writing."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def sweep(folder: Path) -> None:
    """Remove what studios that were killed have left in a folder: their visitors' photos are there.

    The lock of a studio's folder ends with its process, however that ends. Only folders of this
    user's are looked at.
    """
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            said = left.lstat()
            ours = not hasattr(os, "getuid") or said.st_uid == os.getuid()
            if left.is_symlink() or not left.is_dir() or not ours:
                continue
            try:
                with (left / _LOCK).open("r+") as lock:
                    free = _locked(lock.fileno())
            except FileNotFoundError:  # between being made and being locked, or never
                free = time.time() - said.st_mtime > _NEW
            if free:
                shutil.rmtree(left, ignore_errors=True)


def _locked(file: int) -> bool:
    """Lock an open file for this process; False where another one has it, or nobody can tell."""
    try:
        import fcntl
    except ImportError:  # Windows: folders are left to its own cleaning
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
