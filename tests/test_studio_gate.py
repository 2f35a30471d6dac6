"""Who is let into the studio, what is written down of it, and what its visitors may hold."""

import asyncio
import gc
import logging
from pathlib import Path
from typing import Any

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")

from impasto.apps.studio import clients as knocking  # noqa: E402
from impasto.apps.studio.budget import Budget, FullError  # noqa: E402
from impasto.apps.studio.clients import Clients, client_name  # noqa: E402
from impasto.apps.studio.gate import Access, Gate, access, hostname  # noqa: E402
from impasto.apps.studio.journal import Journal, logging_to_stderr  # noqa: E402
from impasto.apps.studio.limits import Limits, open_upload  # noqa: E402
from impasto.apps.studio.visits import Visits  # noqa: E402
from impasto.errors import ImpastoError  # noqa: E402
from impasto.pictures.samples import sample  # noqa: E402


async def hall(scope: Any, receive: Any, send: Any) -> None:
    """What is behind the gate: tells which path it was asked for and under which forwarded name."""
    if scope["path"] == "/break":
        raise KeyError("a\nb")
    names = [value for name, value in scope["headers"] if name == b"x-forwarded-host"]
    body = scope["path"].encode() + b" " + b",".join(names)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ask(entrance: Access, path: str = "/", method: str = "GET", **headers: str) -> Any:
    """The answer to one request, or to as many as there are paths with spaces between."""

    async def all_of_them() -> list[Any]:
        transport = httpx.ASGITransport(Journal(Gate(hall, entrance)), client=("10.0.0.9", 1))
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.request(method, each, headers=told) for each in path.split()]

    answers = asyncio.run(all_of_them())
    return answers if len(answers) > 1 else answers[0]


# ------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200),
        ("[::1]:7860", 200),
        ("127.0.0.1", 200),
        ("LOCALHOST.", 200),
        ("evil.example", 403),
        ("10.0.0.2", 403),
        ("[::1]evil", 400),
        ("[::1]@evil.example", 400),
        ("localhost:80:90", 400),
        ("localhost/evil", 400),
        ("", 400),
    ],
)
def test_a_studio_for_this_machine_knows_its_own_names_only(host: str, status: int) -> None:
    answer = ask(access(), host=host)
    assert answer.status_code == status
    if status != 200:
        assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("10.0.0.2:7860", 200),
        ("[2001:db8::1]", 200),
        ("paint.example", 200),
        ("evil.example", 403),
    ],
)
def test_a_studio_for_others_knows_addresses_and_the_names_it_is_given(
    host: str, status: int
) -> None:
    assert ask(access("0.0.0.0", allowed=("paint.example",)), host=host).status_code == status
    assert ask(access("0.0.0.0", allowed=("*",)), host=host).status_code == 200


def test_pages_of_other_sites_send_nothing() -> None:
    entrance = access("0.0.0.0", allowed=("paint.example",))
    for origin, status in (
        ("http://10.0.0.2:7860", 200),
        ("https://paint.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ):
        headers = {"host": "10.0.0.2:7860", "x_forwarded_host": "paint.example", "origin": origin}
        assert ask(entrance, method="POST", **headers).status_code == status
        assert ask(entrance, **headers).status_code == 200


def test_a_forwarded_name_is_passed_on_only_if_it_is_the_studios() -> None:
    entrance = access(allowed=("paint.example",))
    assert ask(entrance, x_forwarded_host="paint.example").text == "/ paint.example"
    for name in ("evil.example", "paint.example, evil.example", "paint.example<b>"):
        answer = ask(entrance, x_forwarded_host=name)
        assert (answer.status_code, answer.text) == (200, "/ ")
    headers = {"x_forwarded_host": "evil.example", "origin": "https://evil.example"}
    assert ask(entrance, method="POST", **headers).status_code == 403


def test_paths_are_the_same_with_and_without_the_root_a_proxy_shows() -> None:
    entrance = access(root_path="/paint")
    answers = ask(entrance, "/paint/a /a /paint /painter")
    assert [each.text for each in answers] == ["/a ", "/a ", "/ ", "/painter "]


def test_nobody_else_frames_it_and_types_are_what_they_say() -> None:
    answer = ask(access(frames=("https://example.org",)))
    assert answer.headers["content-security-policy"] == "frame-ancestors 'self' https://example.org"
    assert answer.headers["x-content-type-options"] == "nosniff"
    refused = ask(access(), host="evil.example")
    assert refused.headers["content-security-policy"] == "frame-ancestors 'self'"


@pytest.mark.parametrize(
    ("host", "name"), [("[::1]:1", "::1"), ("a.b:80", "a.b"), ("::1", "::1"), ("a b", "")]
)
def test_host_names(host: str, name: str) -> None:
    assert hostname(host) == name


# ---------------------------------------------------------------------------------- keys and clients


def test_user_and_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(knocking, "_SLOWEST", 0.02)
    entrance = access(auth=("ada", "s:ecrét"))

    def knock(user: str, password: str) -> Any:
        request = httpx.Request("GET", "http://x")
        sent = next(httpx.BasicAuth(user, password).auth_flow(request))
        return ask(entrance, "/x", authorization=sent.headers["authorization"])

    assert ask(entrance, "/api/v1/health").status_code == 200
    first = ask(entrance, "/x")
    assert first.status_code == 401
    assert first.headers["www-authenticate"].startswith("Basic")
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    for user, password in (("ada", "secret"), ("", ""), ("ada", "s:ecrét ")):
        assert knock(user, password).status_code == 401
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(told) == 3
    assert all("wrong user or password" in each and "ecr" not in each for each in told)
    assert knock("ada", "s:ecrét").status_code == 200


def test_each_wrong_password_waits_longer() -> None:
    now = [0.0]
    clients = Clients(now=lambda: now[0])
    waits = [clients.failed("a") for _ in range(8)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.5, 8.0)
    assert clients.failed("b") == 0.5
    now[0] = 3600
    assert clients.failed("a") == 0.5


def test_a_client_has_its_rate_and_no_other_pays_for_it() -> None:
    now = [0.0]
    clients = Clients(rate=60, now=lambda: now[0])
    passed = sum(clients.wait("a") == 0 for _ in range(100))
    assert passed == 15  # a quarter of a minute's at once
    assert clients.wait("a") == pytest.approx(1)
    assert clients.wait("b") == 0
    for _ in range(60):
        now[0] += 1
        passed += clients.wait("a") == 0
    assert passed == 75


def test_too_many_at_once_and_too_often_are_told_when_to_come_back() -> None:
    clients = Clients(rate=4, at_once=1)
    entrance = Access(clients=clients)
    answers = ask(entrance, "/a /b /assets/x.js /api/v1/health")
    assert [each.status_code for each in answers] == [200, 429, 200, 200]
    assert int(answers[1].headers["retry-after"]) == 15
    clients = Clients(at_once=1)
    clients.enter("10.0.0.9")
    assert ask(Access(clients=clients), "/a").status_code == 429
    clients.leave("10.0.0.9")
    assert ask(Access(clients=clients), "/a").status_code == 200


def test_clients_without_end_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knocking, "_KNOWN", 10)
    clients = Clients(rate=4, at_once=1)
    clients.enter("busy")
    for number in range(100):
        clients.wait(str(number))
    assert len(clients._clients) <= 11
    assert clients.wait("busy") > 0


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_an_address_or_its_network(address: str, name: str) -> None:
    assert client_name(address) == name


# ------------------------------------------------------------------------------------------ journal


def test_each_request_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    long = "/" + "a" * 5000
    with logging_to_stderr():
        ask(access(), "/fine")
        assert capsys.readouterr().err == ""
        for path in ("/evil%0d%0aGET", long, "/break"):
            host = "localhost" if path == "/break" else "evil.example"
            answer = ask(access(), path, host=host)
            said = capsys.readouterr().err
            assert said.count("\n") == 1
            assert len(said) < 700
            assert "\r" not in said
            assert list(answer.json()) == ["error"]
        assert answer.status_code == 500
        assert "KeyError" in said
        assert " hall" in said
    with logging_to_stderr(requests=True):
        ask(access(), "/fine")
        assert '10.0.0.9 "GET /fine" 200 6 ' in capsys.readouterr().err


# ------------------------------------------------------------------------------------------- memory


def test_leases_end_with_what_holds_them() -> None:
    budget = Budget(100)
    one, two = budget.lease(60), budget.lease(40)
    with pytest.raises(FullError):
        one.grow(1)
    two.settle(10)
    one.grow(20)
    assert budget.held == 90
    one.release()
    one.release()
    assert budget.held == 10
    del two
    gc.collect()
    assert (budget.held, budget.peak) == (0, 100)


def test_what_can_be_given_up_is_before_anyone_is_refused() -> None:
    budget = Budget(100)
    old = [budget.lease(30) for _ in range(3)]
    budget.relieve(lambda: bool(old) and old.pop(0).release() is None)
    budget.lease(10)
    assert len(old) == 3, "the lease before ended at once"
    kept = budget.lease(50)
    assert len(old) == 1
    with pytest.raises(FullError):
        budget.lease(101)
    assert len(old) == 1, "what can never be had costs nobody anything"
    kept.release()


def test_uploads_visits_and_pictures_are_one_budget(tmp_path: Path) -> None:
    limits, picture = Limits(size=64, memory=100_000), 4 * 64 * 64
    budget = Budget(limits.memory)
    visits = Visits(tmp_path, limits, budget)
    file = tmp_path / "cat.png"

    def painting() -> Path:
        sample("cat").resize((64, 64)).save(file)
        return file

    idle = visits.of("idle")
    idle.take_photo(painting())
    assert not file.exists(), "what was opened is not kept as a file as well"
    assert budget.held == picture
    idle.seen -= 100
    busy = visits.of("busy")
    for _ in range(100_000 // picture):
        busy.take_painting(painting())
    with pytest.raises(FullError):
        busy.take_painting(painting())
    assert not idle.folder.exists(), "the idle one made room"
    assert len(busy.paintings) == 100_000 // picture
    assert busy.folder.exists()
    busy.close()
    del busy, idle
    visits._visits.clear()
    gc.collect()
    assert budget.held == 0
    assert budget.peak <= limits.memory


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    path = tmp_path / "wide.png"
    sample("cat").resize((400, 100)).save(path)
    return path


def test_a_picture_counts_as_it_is_kept(opened: Path) -> None:
    budget = Budget(10**6)
    upload = open_upload(opened, Limits(size=200), budget=budget)
    assert upload.image.size == (200, 50)
    assert budget.held == 4 * 200 * 50
    with pytest.raises(ImpastoError):
        open_upload(b"no picture", Limits(), budget=budget)
    assert budget.held == 4 * 200 * 50
