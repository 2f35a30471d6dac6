"""What the layers before the studio's applications share: ASGI's types, and refusals as JSON.

An error is `{"error": "one line"}`, wherever it comes from.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from impasto.apps.report import one_line

__all__ = [
    "Application",
    "Entry",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "entry",
    "header",
    "refuse",
    "say_error",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_ENTRY = "impasto"


@dataclass
class Entry:
    """What is known of a request besides what everyone can see.

    `refused`: why it was turned away before anything was done for it; empty where it was not.
    `root`: what stands before its path where its sender sees it.
    """

    refused: str = ""
    root: str = ""


def entry(scope: Scope) -> Entry:
    """The entry of a request, the same in every layer: those behind share what they copied."""
    found: Entry = scope.setdefault(_ENTRY, Entry())
    return found


def header(scope: Scope, name: bytes) -> str:
    """The first header of that name (lower case), or an empty text."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found.decode("latin-1")
    return ""


async def refuse(
    scope: Scope, send: Send, status: int, words: str, headers: Mapping[str, str] | None = None
) -> None:
    """Answer with an error and write down that it was a refusal."""
    entry(scope).refused = words
    await say_error(scope, send, status, words, headers)


async def say_error(
    scope: Scope, send: Send, status: int, words: str, headers: Mapping[str, str] | None = None
) -> None:
    """Answer `{"error": words}`, without a body where the request was a HEAD."""
    body = json.dumps({"error": one_line(words)}, ensure_ascii=False).encode()
    told = {"content-type": "application/json", "content-length": str(len(body))} | dict(
        headers or {}
    )
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send(
        {
            "type": "http.response.body",
            "body": b"" if scope.get("method") == "HEAD" else body,
        }
    )
