"""The gate before all the studio serves: who is let in, under which names, and how often."""

import asyncio
import base64
import re
import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address

from impasto.apps.studio.asgi import (
    Application,
    Receive,
    Scope,
    Send,
    entry,
    header,
    refuse,
    say_error,
)
from impasto.apps.studio.clients import Clients, client_name
from impasto.errors import ImpastoError

__all__ = ["OPEN", "Access", "Gate", "access"]

OPEN = ("/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready")
"""What is told to anyone, without a password."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# A host name or an IPv4 address, or an IPv6 one in brackets; then the port.
_HOST = re.compile(
    r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)\.?)(?::\d{1,5})?", re.I
)
_FREE = ("/assets/", "/static/")  # files of the page, which a browser asks for by the dozen
_SITES = re.compile(r"https?://[a-z0-9.*-]+(?::\d+)?", re.I)


@dataclass(frozen=True)
class Access:
    """Who may come in.

    `names`: those by which the studio may be called (`Host`), None for any. `addresses`: whether it
    may be called by any address, which no other site can make its own name lead to. `auth`: user
    and password. `root_path`: what a proxy's visitors see before every path, such as `/paint`.
    `frames`: sites whose pages may show the studio in a frame. `clients`: see `Clients`.
    """

    names: frozenset[str] | None = _LOOPBACK
    addresses: bool = False
    auth: tuple[str, str] | None = None
    root_path: str = ""
    frames: tuple[str, ...] = ()
    clients: Clients = field(default_factory=Clients)

    def knows(self, host: str) -> bool:
        """Whether a `Host`, of the form that `Gate` checks, is one of the studio's."""
        name = hostname(host)
        return self.names is None or name in self.names or (self.addresses and _is_address(name))


def access(
    host: str = "127.0.0.1",
    *,
    auth: tuple[str, str] | None = None,
    allowed: tuple[str, ...] = (),
    root_path: str = "",
    frames: tuple[str, ...] = (),
    rate: float = 0,
) -> Access:
    """Who may come in where the studio listens at `host`.

    It answers to this machine's own names, to those `allowed` (`*` for any), and, where it listens
    to others, to addresses. `rate`: requests a minute from one client, 0 for any number.
    `ImpastoError` for what is no name, path, site or rate.
    """
    for name in allowed:
        if name != "*" and not _HOST.fullmatch(name):
            raise ImpastoError(f"{name!r} is no host; give a name such as paint.example.org")
    for site in frames:
        if not _SITES.fullmatch(site):
            raise ImpastoError(f"{site!r} is no site; give one such as https://example.org")
    if root_path and not re.fullmatch(r"(?:/[\w.~-]+)+", root_path):
        raise ImpastoError(f"{root_path!r} is no path; give one such as /paint")
    if not 0 <= rate < float("inf"):
        raise ImpastoError(f"the rate must be 0 or more requests a minute, not {rate}")
    local = host.lower() in _LOOPBACK
    own = {*_LOOPBACK, hostname(host), *map(hostname, allowed)}
    return Access(
        None if "*" in allowed else frozenset(own),
        not local,
        auth,
        root_path,
        frames,
        Clients(rate),
    )


def hostname(host: str) -> str:
    """`127.0.0.1:7860` -> `127.0.0.1`, `[::1]:7860` -> `::1`; empty for what is no host."""
    found = _HOST.fullmatch(host) or _HOST.fullmatch(f"[{host}]")
    return (found[1] or found[2]).lower() if found else ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Gate:
    """Before an ASGI application: lets in whom `access` does, and counts who comes.

    A studio answers to names of its own only, so that no web page can reach it under a name of its
    own making (DNS rebinding). No page of another site, told by the `Origin` that browsers send
    along, can have a visitor's browser post to the studio. What a proxy says of the name it was
    called by (`X-Forwarded-Host`) is believed of names the studio has, and not passed on otherwise.
    Wrong passwords are written down and answered later each time.
    """

    def __init__(self, app: Application, access: Access) -> None:
        self._app, self._access, self._clients = app, access, access.clients
        self._key = base64.b64encode(":".join(access.auth).encode()) if access.auth else None
        frames = " ".join(("frame-ancestors 'self'", *access.frames))
        # Beside a policy that the answer may have of its own: a browser keeps to both.
        self._headers = [
            (b"content-security-policy", frames.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. There is nothing here for a WebSocket."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Scope) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *self._headers]}
            await send(message)

        client = client_name(scope["client"][0]) if scope.get("client") else ""
        self._under_root(scope)
        if await self._counted(client, scope, sending):
            return
        self._clients.enter(client)
        try:
            if not (
                await self._wrong_name(scope, sending)
                or await self._wrong_key(client, scope, sending)
            ):
                await self._app(scope, receive, sending)
        finally:
            self._clients.leave(client)

    def _under_root(self, scope: Scope) -> None:
        """Paths as the applications know them, whether or not the proxy took the root off."""
        entry(scope).root = root = self._access.root_path
        if root and (scope["path"] == root or scope["path"].startswith(f"{root}/")):
            scope["path"] = scope["path"].removeprefix(root) or "/"
            scope["raw_path"] = scope["path"].encode("utf-8", "surrogateescape")

    async def _counted(self, client: str, scope: Scope, send: Send) -> bool:
        if scope["path"].startswith(_FREE) or scope["path"] in OPEN:
            return False
        wait = self._clients.wait(client)
        if wait:
            retry = {"Retry-After": str(int(wait) + 1)}
            await refuse(scope, send, 429, "too many requests; try again in a moment", retry)
        return wait > 0

    async def _wrong_name(self, scope: Scope, send: Send) -> bool:
        host, origin = header(scope, b"host"), header(scope, b"origin")
        several = sum(name == b"host" for name, _ in scope["headers"]) > 1
        if several or not _HOST.fullmatch(host):
            await refuse(scope, send, 400, "the request names no host as it should")
            return True
        if not self._access.knows(host):
            await refuse(
                scope,
                send,
                403,
                "the studio does not answer to this name; whoever runs it may allow it "
                "(impasto serve --allowed-host)",
            )
            return True
        own = {host, *self._forwarded(scope)}
        if (
            origin
            and origin.partition("://")[2] not in own
            and scope["method"] not in ("GET", "HEAD")
        ):
            await refuse(scope, send, 403, "the studio takes nothing from the pages of other sites")
            return True
        return False

    def _forwarded(self, scope: Scope) -> list[str]:
        """The names a proxy was called by, if the studio has them all; else nobody hears of them."""
        said = header(scope, b"x-forwarded-host")
        names = [name.strip() for name in said.split(",")] if said else []
        if names and all(_HOST.fullmatch(name) and self._access.knows(name) for name in names):
            return names
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"x-forwarded-host"]
        return []

    async def _wrong_key(self, client: str, scope: Scope, send: Send) -> bool:
        if self._key is None or scope["path"] in OPEN:
            return False
        scheme, _, given = header(scope, b"authorization").partition(" ")
        sent = given.strip().encode("latin-1")
        if scheme.lower() == "basic" and secrets.compare_digest(sent, self._key):
            return False
        asked = {"WWW-Authenticate": 'Basic realm="impasto", charset="UTF-8"'}
        if not scheme:  # a browser's first knock
            await say_error(scope, send, 401, "user and password, please", asked)
        else:
            await asyncio.sleep(self._clients.failed(client))
            await refuse(scope, send, 401, "wrong user or password", asked)
        return True
