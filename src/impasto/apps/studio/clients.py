"""Who asks how much: the pace and the number of each client's requests, and its failed logins.

A client is an address, of IPv6 its network (/64), which is what one household or machine has.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

__all__ = ["Clients", "client_name"]

_KNOWN = 4096  # clients remembered; those heard of least lately are forgotten
_SLOWEST = 8.0  # seconds that a failed login waits, at most
_FORGIVEN = 600.0  # seconds after which failed logins no longer count
_BURST = 0.25  # of a minute's requests that may come at once


@dataclass
class _Client:
    tokens: float
    seen: float
    under_way: int = 0
    failures: int = 0
    failed: float = 0.0


class Clients:
    """`rate`: requests a minute that each may make, 0 for any number; `at_once`: under way."""

    def __init__(
        self, rate: float = 0, at_once: int = 64, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._at_once, self._now = rate, at_once, now
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def wait(self, name: str) -> float:
        """Count a request: 0 if it may go on, else the seconds after which another one might."""
        client, now = self._client(name), self._now()
        if client.under_way >= self._at_once:
            return 1.0
        if not self._rate:
            return 0.0
        pace = self._rate / 60
        most = max(1.0, self._rate * _BURST)
        client.tokens = min(most, client.tokens + (now - client.seen) * pace)
        client.seen = now
        if client.tokens < 1:
            return (1 - client.tokens) / pace
        client.tokens -= 1
        return 0.0

    def enter(self, name: str) -> None:
        """One more request is under way."""
        self._client(name).under_way += 1

    def leave(self, name: str) -> None:
        """One less."""
        self._client(name).under_way -= 1

    def failed(self, name: str) -> float:
        """A wrong password: the seconds its answer is to wait, twice as many each time."""
        client, now = self._client(name), self._now()
        if now - client.failed > _FORGIVEN:
            client.failures = 0
        client.failures, client.failed = client.failures + 1, now
        return float(min(_SLOWEST, 2.0 ** min(client.failures - 2, 10)))

    def _client(self, name: str) -> _Client:
        client = self._clients.get(name)
        if client is None:
            client = _Client(max(1.0, self._rate * _BURST), self._now())
            self._clients[name] = client
            self._forget()
        self._clients.move_to_end(name)
        return client

    def _forget(self) -> None:
        """Let go of the oldest, but of none with a request under way."""
        for name in list(self._clients)[: max(0, len(self._clients) - _KNOWN)]:
            if not self._clients[name].under_way:
                del self._clients[name]


def client_name(address: str) -> str:
    """`2001:db8:1:2:3::4` -> `2001:db8:1:2::/64`; any other address as it is."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return f"{IPv6Address(int(known) >> 64 << 64)}/64"
