"""What stands before the page's server: what the page needs goes through, whole and no larger than
it needs to be; nothing else does.
"""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from impasto.apps.studio.asgi import (
    Application,
    Message,
    Receive,
    Scope,
    Send,
    entry,
    refuse,
    say_error,
)
from impasto.apps.studio.budget import Budget, FullError
from impasto.apps.studio.intake import GoneError, Intake, SlowError
from impasto.apps.studio.limits import TooLargeError
from impasto.errors import ImpastoError

__all__ = ["Guard", "refuse_foreign_files"]

# What a browser asks for while it shows the page, and what Gradio's client does. Its server has
# far more: a proxy, a recorder, an editor, logins, schemas, every handler by its name.
_READ = re.compile(
    r"/|/theme\.css|/config|/favicon\.ico|/robots\.txt"
    r"|/(?:assets|static)(?:/[\w-][\w.-]*)+"
    r"|/gradio_api/info|/gradio_api/call/stylize/\w+"
    r"|/gradio_api/queue/data|/gradio_api/heartbeat/[\w-]{1,64}"
    r"|/gradio_api/file=[^:]+"
)
_SENT = re.compile(r"/gradio_api/queue/join|/gradio_api/call/stylize")
_STREAMS = ("/gradio_api/queue/data", "/gradio_api/heartbeat/", "/gradio_api/call/")
_HEARTBEAT = "/gradio_api/heartbeat/"
_FILE = "/gradio_api/file="
_JSON_BYTES = 1_000_000
_CLOSE = {"Connection": "close"}
_UNSAID = {404: "there is nothing here", 503: "the studio is busy; try again in a moment"}

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
"""Content-Security-Policy: whatever the page may be brought to do, the browser sends nothing to
anyone else.
"""

_CONTENT_POLICY = (b"content-security-policy", _POLICY.encode())


class Guests(Protocol):
    """Who keeps the visits."""

    def connected(self, session: str) -> AbstractContextManager[None]:
        """While this lasts, the session's page is open in a browser."""


class Guard:
    """An ASGI application around the page's: lets through what the page needs.

    Files are read from under `root` only, the folder that visits have theirs in. A body is handed
    on once it has come whole, and counts in `budget` until then: what a sender breaks off is never
    begun. `guests` hears whose pages are open. Errors become `{"error": "one line"}`.
    """

    def __init__(
        self, app: Application, root: Path, budget: Budget, guests: Guests | None = None
    ) -> None:
        self._app, self._root, self._budget, self._guests = app, root, budget, guests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        allowed = ("POST",) if _SENT.fullmatch(path) else ("GET", "HEAD")
        if not (_SENT.fullmatch(path) or _READ.fullmatch(path)) or not self._own_file(path):
            await refuse(scope, send, 404, "there is nothing here")
        elif method not in allowed:
            told = {"Allow": ", ".join(allowed)}
            await refuse(scope, send, 405, f"this takes {told['Allow']} only", told)
        elif method == "POST":
            await self._sent(scope, receive, send)
        elif method == "HEAD" and path.startswith(_STREAMS):
            await say_error(scope, send, 405, "this is a stream", {"Allow": "GET"})
        else:
            asked = {**scope, "method": "GET"} if method == "HEAD" else scope
            with self._watched(path):
                await self._app(asked, receive, _Words(scope, send))

    def _watched(self, path: str) -> AbstractContextManager[None]:
        if self._guests is None or not path.startswith(_HEARTBEAT):
            return nullcontext()
        return self._guests.connected(path.removeprefix(_HEARTBEAT))

    def _own_file(self, path: str) -> bool:
        if not path.startswith(_FILE):
            return True
        named = Path(path.removeprefix(_FILE))
        return ".." not in named.parts and named.is_relative_to(self._root)

    async def _sent(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            lease = self._budget.lease()
            body = await Intake(scope, receive, _JSON_BYTES, lease).whole()
        except GoneError:
            entry(scope).refused = "hung up while sending"
            return
        except TooLargeError as error:
            await refuse(scope, send, 413, str(error), _CLOSE)
            return
        except SlowError as error:
            await refuse(scope, send, 408, str(error), _CLOSE)
            return
        except FullError as error:
            await refuse(scope, send, 507, str(error), _CLOSE)
            return
        try:
            known = isinstance(json.loads(body), dict)
        except (ValueError, RecursionError):
            known = False
        if not known:
            await refuse(scope, send, 400, "this is no JSON object")
            return
        given = False

        async def whole() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, whole, _Words(scope, send))


class _Words:
    """An ASGI `send` that turns what another server says of its errors into the studio's form."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._status, self._told = 200, b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status < 400:
                headers = [*message.get("headers", []), _CONTENT_POLICY]
                await self._send({**message, "headers": headers})
        elif self._status >= 400:
            self._told += message.get("body", b"")[:10_000]
            if not message.get("more_body", False):
                await say_error(self._scope, self._send, self._status, self._words())
        elif self._scope["method"] == "HEAD":
            if not message.get("more_body", False):
                await self._send({"type": "http.response.body", "body": b""})
        else:
            await self._send(message)

    def _words(self) -> str:
        try:
            said = json.loads(self._told)
        except ValueError:
            said = {}
        detail = said.get("detail") if isinstance(said, dict) else None
        return _UNSAID.get(self._status) or (
            detail if isinstance(detail, str) else "this request is not as it should be"
        )


def refuse_foreign_files(data: object) -> None:
    """`ImpastoError` if a URL, or a path that climbs, stands anywhere in `data` where a file is
    meant.
    """
    for found in _files(data):
        path = str(found.get("path") or "")
        url = str(found.get("url") or "")
        if (
            re.match(r"(?i)[a-z][a-z0-9+.-]*:", path)
            or ".." in PurePosixPath(path).parts
            or url.lower().startswith("data:")
        ):
            raise ImpastoError("the studio takes uploaded files only, no addresses")


def _files(data: object) -> Iterator[dict[str, Any]]:
    if isinstance(data, dict):
        if "path" in data or "url" in data:
            yield data
        for value in data.values():
            yield from _files(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _files(value)
