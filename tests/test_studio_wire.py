"""Connections to the studio: how many, how patient, how quick."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn")

from impasto.apps.studio import wire


async def small(scope: Any, receive: Any, send: Any) -> None:
    """An application whose answers are small."""
    if scope["type"] == "http":
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(wire, "_HEAD", 0.3)
    monkeypatch.setattr(wire, "_CONNECTIONS", 3)
    told: list[str] = []
    with wire.listening("127.0.0.1", 0) as listener:
        server = wire.Server(
            small, opened=lambda: told.append("open"), closing=lambda: told.append("closing")
        )
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        while not told:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(20)
    assert told == ["open", "closing"]


def said(line: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    parts = []
    while part := line.recv(10_000):
        parts.append(part)
    return b"".join(parts)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


def test_small_answers_do_not_wait_for_acknowledgements(port: int) -> None:
    with connect(port) as line:
        quickest = 1.0
        for _ in range(20):
            begun = time.perf_counter()
            line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            while not line.recv(1000).endswith(b"ok"):
                pass
            quickest = min(quickest, time.perf_counter() - begun)
    assert quickest < 0.02, "without TCP_NODELAY it is 0.04"


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHos", b"G"])
def test_who_does_not_say_what_they_want_is_hung_up_on(port: int, begun: bytes) -> None:
    with connect(port) as line:
        line.sendall(begun)
        start = time.monotonic()
        assert said(line) == b""
        assert time.monotonic() - start < 5


def test_who_begins_a_second_request_and_stops_is_hung_up_on(port: int) -> None:
    with connect(port) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert line.recv(1000)
        line.sendall(b"GET / HT")
        said(line)


def test_what_is_no_http_is_told_so_in_one_line(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(port) as line:
        line.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert said(line).endswith(b'{"error": "this is no HTTP request"}')
    assert [each.levelno for each in caplog.records] == [logging.WARNING]


def test_so_many_connections_and_no_more(port: int) -> None:
    held = [connect(port) for _ in range(3)]
    try:
        with connect(port) as line:
            assert said(line).startswith(b"HTTP/1.1 503 ")
    finally:
        for each in held:
            each.close()
    time.sleep(0.1)
    with connect(port) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert said(line).endswith(b"ok")
