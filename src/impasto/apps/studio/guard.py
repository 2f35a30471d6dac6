"""What stands before the page's server: only what the page needs goes through, no larger than it
needs to be.
"""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.apps.studio.limits import Limits
from impasto.errors import ImpastoError

__all__ = ["Guard", "refuse_foreign_files"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Gradio serves more than this page needs: a proxy, a recorder, an editor, a history on a hub.
_CLOSED = re.compile(
    r"^/(?:monitoring|dev|svelte|pwa_icon)(?:/|$)"
    r"|^/gradio_api/(?:proxy|stream|component_server|custom_component|process_recording|vibe|undo-vibe|runs|run-history"
    r"|profiling|deep_link|dev|token|mcp)"
    r"|^/gradio_api/file=[a-z][a-z0-9+.-]+:",
    re.IGNORECASE,
)
_JSON_BYTES = 1_000_000
_FORM_BYTES = 10_000  # around each file of a form
_UPLOADS = 100  # of the largest size, or more smaller ones

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
"""Content-Security-Policy: whatever the page may be brought to do, the browser sends nothing to
anyone else.
"""

_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Guard:
    """An ASGI application around another: closes what is not needed, counts bytes while they come
    in.

    `root`: the folder that files are kept in for a while; once it holds a hundred uploads of the
    largest size, no more are taken (507) until some have gone.
    """

    def __init__(self, app: Application, limits: Limits, root: Path) -> None:
        self._app, self._root, self._room = app, root, _UPLOADS * limits.upload_bytes
        self._form = limits.upload_bytes + _FORM_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
        elif _CLOSED.search(scope["path"]):
            await _answer(send, 404, "There is nothing here.")
        elif not scope["path"].startswith("/gradio_api/upload"):
            await self._counted(scope, receive, send, _JSON_BYTES)
        elif await asyncio.to_thread(_held, self._root) > self._room:
            await _answer(send, 507, "The studio holds as many files as it can; try again later.")
        else:
            await self._counted(scope, receive, send, self._form)

    async def _counted(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        came, began, too_long = 0, False, _length(scope) > most

        async def counting() -> Message:
            nonlocal came, too_long
            message = await receive()
            came += len(message.get("body", b""))
            too_long = too_long or came > most
            # As if the sender had hung up: that ends the reading, wherever it is done.
            return {"type": "http.disconnect"} if too_long else message

        async def sending(message: Message) -> None:
            nonlocal began
            if too_long and not began:
                return
            if message["type"] == "http.response.start":
                began = True
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        try:
            if not too_long:
                await self._app(scope, counting, sending)
        except Exception:
            if not too_long:
                raise
        if too_long and not began:
            await _answer(send, 413, "This is more than the studio takes.")


def _held(folder: Path) -> int:
    """Bytes of all the files in a folder and those in it."""
    held = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # gone meanwhile
                held += os.stat(os.path.join(inside, name)).st_size
    return held


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _answer(send: Send, status: int, words: str) -> None:
    body = json.dumps({"error": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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
