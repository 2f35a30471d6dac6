"""The studio over HTTP: its API, the gate before it, and `impasto serve` from start to SIGTERM."""

import asyncio
import errno
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
if find_spec("gradio") is None:  # which takes seconds to import
    pytest.skip("the page needs the extra `web`", allow_module_level=True)

from fastapi.testclient import TestClient  # noqa: E402

from impasto.apps.cli import serve as cli_serve  # noqa: E402
from impasto.apps.studio import intake  # noqa: E402
from impasto.apps.studio.engine import Engine, Order  # noqa: E402
from impasto.apps.studio.forms import SentFile  # noqa: E402
from impasto.apps.studio.limits import Limits, Upload  # noqa: E402
from impasto.apps.studio.serve import sweep  # noqa: E402
from impasto.apps.studio.uploads import Uploads  # noqa: E402
from impasto.apps.studio.web import api  # noqa: E402
from impasto.home import own_bank  # noqa: E402
from impasto.networks.header import network_header  # noqa: E402
from impasto.networks.style_bank import StyleBank  # noqa: E402
from impasto.pictures.recipes import read_recipe  # noqa: E402
from impasto.pictures.samples import sample  # noqa: E402
from impasto.settings import Settings  # noqa: E402

STYLIZE = "/api/v1/stylize"
LIMITS = Limits(upload_bytes=400_000, pixels=1_000_000, waiting=4, steps=1_000_000)
CAT = Upload(sample("cat"), "cat")
SMALL = {"size": "64"}
PAINTING = sample("coffee").resize((96, 64))


def png(picture: Image.Image | None = None) -> bytes:
    file = BytesIO()
    (picture or sample("cat").resize((90, 60))).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine("cpu", LIMITS) as engine:
        yield engine


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(api(engine)) as client:
        yield client


@pytest.fixture(scope="module")
def learned(engine: Engine) -> str:
    return next(card.name for card in engine.styles() if card.learned and not card.sample)


def photo(data: bytes | None = None, name: str = "photo.png") -> tuple[str, tuple[str, bytes]]:
    return "photo", (name, data or png())


# ------------------------------------------------------------------------------------------ the API


def test_a_picture_comes_back_with_its_recipe(
    client: TestClient, engine: Engine, learned: str, tmp_path: Path
) -> None:
    answer = client.post(
        STYLIZE,
        files=[photo(name="../a/cät.png")],
        data=SMALL | {"style": learned, "strength": "0.5", "recipe": "full"},
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    path = tmp_path / "out.png"
    path.write_bytes(answer.content)
    recipe = read_recipe(path)
    assert recipe is not None
    assert recipe["content"]["name"] == "cät.png"  # type: ignore[index]
    assert recipe["strength"] == 0.5
    order = Order(
        Upload(sample("cat").resize((90, 60))), (learned,), Settings(strength=0.5, size=64)
    )
    (*_, end) = engine.place(order)
    assert end.image is not None
    with Image.open(path) as image:
        assert image.tobytes() == end.image.tobytes()


def test_styles_by_picture_in_their_order(client: TestClient, tmp_path: Path) -> None:
    files = [photo(), ("style", ("one.png", png(PAINTING))), ("style", ("two.png", png()))]
    answer = client.post(
        STYLIZE,
        files=files,
        data=SMALL | {"blend": "1,3", "refine": "2", "keep_color": "statistics"},
    )
    assert answer.status_code == 200, answer.text
    (tmp_path / "out.png").write_bytes(answer.content)
    recipe = read_recipe(tmp_path / "out.png")
    assert recipe is not None
    assert [style["name"] for style in recipe["styles"]] == ["one.png", "two.png"]  # type: ignore[attr-defined]
    assert (recipe["blend"], recipe["refine"], recipe["steps_done"]) == ([0.25, 0.75], 2, 2)


def test_what_there_is_to_know(client: TestClient, engine: Engine, learned: str) -> None:
    styles = {card["name"]: card for card in client.get("/api/v1/styles").json()}
    assert styles[learned]["refinable"] is True
    assert styles["waves"]["refinable"] is True
    assert client.get("/api/v1/health").json() == {
        "status": "ok",
        "ready": engine.ready,
        "orders": 0,
    }


def test_the_list_of_styles_is_sent_again_only_where_it_changed(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    first = client.get("/api/v1/styles")
    seen = {"If-None-Match": f'W/"other", {first.headers["etag"]}'}
    again = client.get("/api/v1/styles", headers=seen)
    assert (again.status_code, again.content) == (304, b"")
    StyleBank(network_header().network).learned("harbour", torch.zeros(4)).save(own_bank())
    changed = client.get("/api/v1/styles", headers=seen)
    assert changed.status_code == 200
    assert {each["name"] for each in changed.json()} - {each["name"] for each in first.json()} == {
        "harbour"
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"photo": "/etc/hostname", "style": "waves"}, "neither paths nor addresses"),
        ({"photo": "http://127.0.0.1:1/a.png", "style": "waves"}, "neither paths nor addresses"),
        ({"photo": png(), "style": "/etc/hostname"}, "no style called"),
        ({"photo": png(), "style": "http://127.0.0.1:1/a.png"}, "no style called"),
        ({"photo": png(), "style": "waves", "path": "/etc/hostname"}, "no field"),
        ({"photo": b"hello", "style": "waves"}, "not a picture I can read"),
        ({"photo": png()[:3000], "style": "waves"}, "damaged or cut short"),
        ({"photo": b"", "style": "waves"}, "empty"),
        ({"photo": png()}, "style is missing"),
        ({"style": "waves"}, "photo is missing"),
        ({"photo": png(), "style": "waves", "size": "big"}, "`size` takes a whole number"),
        ({"photo": png(), "style": "waves", "size": "9999"}, "`size` must be between"),
        ({"photo": png(), "style": "waves", "size": "1" + "0" * 400}, "`size` must be between"),
        ({"photo": png(), "style": "waves", "refine": "1" + "0" * 400}, "`refine` must be between"),
        ({"photo": png(), "style": "waves", "strength": "nan"}, "`strength` takes a finite number"),
        ({"photo": png(), "style": "waves", "blend": "1,x"}, "`blend` takes numbers"),
        ({"photo": png(), "style": "waves", "size": b"64"}, "size is no file"),
    ],
)
def test_mistakes_are_told_in_one_line(
    client: TestClient, fields: dict[str, str | bytes], words: str
) -> None:
    files: dict[str, Any] = {
        name: (name, value) for name, value in fields.items() if isinstance(value, bytes)
    }
    data = {name: value for name, value in fields.items() if isinstance(value, str)}
    if not files:
        files = {name: (None, value) for name, value in data.items()}  # a form all the same
        data = {}
    answer = client.post(STYLIZE, files=files, data=data)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert words in error
    assert "\n" not in error


def test_what_is_no_form_is_refused(client: TestClient) -> None:
    header = {"content-type": "multipart/form-data"}
    for sent in (
        {"content": b"hello", "headers": header},
        {"json": {"photo": "/etc/hostname"}},
        {},
    ):
        answer = client.post(STYLIZE, **sent)  # type: ignore[arg-type]
        assert answer.status_code == 400
        assert list(answer.json()) == ["error"]


def test_too_much_is_refused(client: TestClient) -> None:
    many = client.post(
        STYLIZE, files=[photo(png(Image.new("1", (2000, 1000))))], data={"style": "waves"}
    )
    assert (many.status_code, "2 megapixels" in many.text) == (413, True)
    long = client.post(STYLIZE, files=[photo(bytes(400_001))], data={"style": "waves"})
    assert (long.status_code, "0.4 MB" in long.text) == (413, True)
    declared = client.post(STYLIZE, files=[photo(bytes(3_000_000))], data={"style": "waves"})
    assert (declared.status_code, "this request" in declared.text) == (413, True)


def test_a_form_that_was_cut_short_is_said_to_be(client: TestClient) -> None:
    request = httpx.Request("POST", "http://x", files=[photo()], data={"style": "waves"})
    whole = request.read()
    for part in (whole[: len(whole) // 2], whole[:-4]):
        answer = client.post(
            STYLIZE, content=part, headers={"content-type": request.headers["content-type"]}
        )
        assert (answer.status_code, "cut short" in answer.json()["error"]) == (400, True)


def test_which_of_several_files_is_meant(client: TestClient) -> None:
    files = [photo(), ("style", ("one.png", png())), ("style", ("two.png", png()[:900]))]
    answer = client.post(STYLIZE, files=files)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("style 2 (two.png): ")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "/api/v1/health", 200, None),
        ("HEAD", "/api/v1/styles", 200, None),
        ("GET", STYLIZE, 405, "POST"),
        ("PUT", "/api/v1/jobs/x", 405, "DELETE, GET, HEAD"),
        ("POST", "/api/v1/health", 405, "GET, HEAD"),
        ("GET", "/api/v1/nothing", 404, None),
        ("GET", "/docs", 404, None),
    ],
)
def test_methods_and_paths(
    client: TestClient, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    if status >= 400:
        assert list(answer.json()) == ["error"]


def test_a_full_disk_is_said_and_leaves_nothing(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(api(engine, Uploads(tmp_path, engine.budget)))
    held = engine.budget.held

    def full(_data: Any, file: Any) -> None:
        file.write(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    answer = client.post("/gradio_api/upload", files={"files": ("a.png", png())})
    assert (answer.status_code, list(answer.json())) == (507, ["error"])
    assert list(tmp_path.iterdir()) == []
    gc.collect()
    assert engine.budget.held == held


def test_an_upload_that_is_broken_off_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    app, held = api(engine, Uploads(tmp_path, engine.budget)), engine.budget.held

    def body() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        yield bytes(100_000)

    async def leave(line: Line) -> None:
        line.scope["path"] = "/gradio_api/upload"
        line.gone.set()
        await line.call()

    lines = [Line(app, body(), FORM) for _ in range(20)]
    for line in lines:
        asyncio.run(leave(line))
    assert list(tmp_path.iterdir()) == []
    gc.collect()
    assert engine.budget.held == held
    again = TestClient(app).post("/gradio_api/upload", files={"files": ("ü/b ?.png", png())})
    (path,) = again.json()
    assert Path(path).read_bytes() == png()
    assert Path(path).is_relative_to(tmp_path)
    assert Path(path).name == "b_.png"


class Line:
    """A connection as an ASGI server gives it: what was sent, then silence or the end."""

    def __init__(self, app: Any, body: Iterator[bytes], headers: dict[str, str]) -> None:
        self.app, self.body, self.read = app, body, 0
        self.gone, self.answer = asyncio.Event(), b""
        self.status: int | None = None
        self.scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": STYLIZE,
            "raw_path": STYLIZE.encode(), "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 7860),
        }  # fmt: skip

    async def receive(self) -> MutableMapping[str, Any]:
        chunk = next(self.body, None)
        if chunk is None:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self.read += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": chunk != b""}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.answer += message.get("body", b"")

    async def call(self) -> None:
        await self.app(self.scope, self.receive, self.send)


FORM = {"content-type": "multipart/form-data; boundary=x"}


def test_a_body_without_a_length_is_counted_as_it_comes(engine: Engine) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
        while True:
            yield bytes(50_000)

    line = Line(api(engine), body(), FORM)
    asyncio.run(line.call())
    assert line.status == 413
    assert "2 MB" in json.loads(line.answer)["error"]
    assert line.read < 5 * LIMITS.upload_bytes + 100_000


def test_a_client_that_goes_away_takes_its_order_along(engine: Engine, learned: str) -> None:
    request = httpx.Request(
        "POST",
        "http://x",
        files=[photo(), ("style", ("s.png", png()))],
        data=SMALL | {"refine": "1000000"},
    )
    line = Line(
        api(engine), iter([request.read(), b""]), {"content-type": request.headers["content-type"]}
    )

    async def leave() -> None:
        call = asyncio.create_task(line.call())
        while not len(engine):
            await asyncio.sleep(0.01)
        line.gone.set()
        await call

    asyncio.run(leave())
    (*_, end) = engine.place(
        Order(CAT, (learned,), Settings(size=64))
    )  # else its turn would never come
    assert end.image is not None
    assert not line.answer


def test_one_that_goes_away_while_it_sends_leaves_nothing(engine: Engine) -> None:
    line = Line(api(engine), iter([b"--x\r\n"]), FORM)
    line.gone.set()
    asyncio.run(line.call())
    assert (line.answer, len(engine)) == (b"", 0)


def test_those_who_never_finish_sending_hold_up_nobody(
    engine: Engine, learned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = api(engine)
    stalled = [Line(app, iter([b"--x\r\n"]), FORM) for _ in range(LIMITS.waiting + 3)]
    request = httpx.Request("POST", "http://x", files=[photo()], data=SMALL | {"style": learned})
    other = Line(
        app, iter([request.read(), b""]), {"content-type": request.headers["content-type"]}
    )

    async def call() -> None:
        slow = [asyncio.create_task(line.call()) for line in stalled]
        await asyncio.sleep(0.05)
        await asyncio.wait_for(other.call(), 20)
        assert not any(task.done() for task in slow)
        await asyncio.wait_for(asyncio.gather(*slow), 20)

    monkeypatch.setattr(intake, "_SILENCE", 3.0)
    asyncio.run(call())
    assert other.status == 200
    assert {line.status for line in stalled} == {408}
    assert "too long" in json.loads(stalled[0].answer)["error"]


def test_one_that_trickles_is_cut_off(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_SILENCE", 0.1)
    monkeypatch.setattr(intake, "_GRACE", 0.2)
    begin = b'--x\r\ncontent-disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
    line = Line(api(engine), iter([begin, *[b"a"] * 1000]), FORM)
    receive = line.receive

    async def slowly() -> MutableMapping[str, Any]:
        await asyncio.sleep(0.02)  # never silent for long
        return await receive()

    line.receive = slowly  # type: ignore[method-assign]
    asyncio.run(asyncio.wait_for(line.call(), 10))
    assert line.status == 408
    assert line.read < 200


def test_what_was_sent_is_not_held_while_the_order_is_worked_at(engine: Engine) -> None:
    request = httpx.Request(
        "POST",
        "http://x",
        files=[photo(), ("style", ("s.png", png()))],
        data=SMALL | {"refine": "1000000"},
    )
    line = Line(
        api(engine), iter([request.read(), b""]), {"content-type": request.headers["content-type"]}
    )

    def held() -> bool:
        gc.collect()
        return any(type(thing) is SentFile for thing in gc.get_objects())

    async def look() -> bool:
        call = asyncio.create_task(line.call())
        while not len(engine):
            await asyncio.sleep(0.01)
        until = time.monotonic() + 3  # it is placed a little before its bytes go
        while (still := held()) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        line.gone.set()
        await call
        return still

    assert not asyncio.run(look())


def test_twenty_at_once_are_answered_or_refused_and_each_gets_its_own(
    client: TestClient, engine: Engine, learned: str
) -> None:
    while len(
        engine
    ):  # what an earlier test gave up is worked at until its next step, and takes a place
        time.sleep(0.01)
    at_work = engine.place(Order(CAT, (CAT,), Settings(size=64, refine=1_000_000)))

    def ask(number: int) -> Any:
        data = {"style": learned, "size": str(60 + number)}  # the size tells whose picture it is
        return client.post(STYLIZE, files=[photo()], data=data)

    with ThreadPoolExecutor(20) as people:
        asked: dict[Future[Any], int] = {people.submit(ask, number): number for number in range(20)}
        answers, refused = [], 0
        for done in as_completed(asked):
            answers.append(answer := done.result())
            if answer.status_code == 200:
                with Image.open(BytesIO(answer.content)) as image:
                    assert max(image.size) == 60 + asked[done]
                continue
            assert answer.status_code in (429, 503)
            assert "try again in a moment" in answer.json()["error"]
            assert int(answer.headers["retry-after"]) > 0
            refused += 1
            if refused == 16:
                at_work.stop()
    assert (len(answers), refused) == (20, 16)
    assert at_work.result.result().image is not None


# ------------------------------------------------------------------------------------ impasto serve

APP = typer.Typer()
APP.callback()(lambda: None)
cli_serve.register(APP)
RUN = (
    "import typer; from impasto.apps.cli import serve as cli_serve; "
    "app = typer.Typer(); cli_serve.register(app); app()"
)


def test_help_shows_how(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(APP, ["serve", "--help"], terminal_width=200)
    assert done.exit_code == 0
    assert "impasto serve --port 8000" in done.output


@pytest.mark.parametrize(
    "wrong",
    [
        ["--auth", "ada"],
        ["--network", "nowhere"],
        ["--device", "abacus"],
        ["--host", "no.invalid"],
        ["--max-upload-mb", "nan"],
        ["--max-megapixels", "1e400"],
        ["--max-memory-mb", "-inf"],
        ["--rate-limit", "inf"],
        ["--root-path", "paint"],
        ["--allowed-host", "[::1]evil"],
        ["--embed-in", "javascript:alert(1)"],
    ],
)
def test_what_cannot_be_served_is_one_line(wrong: list[str]) -> None:
    done = CliRunner().invoke(APP, ["serve", "--port", "0", *wrong])
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert done.output.startswith("error: ")


def test_a_port_that_is_taken_and_an_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(APP, ["serve", "--port", port])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert f"127.0.0.1:{port}" in done.output
    assert "--port" in done.output
    monkeypatch.setitem(sys.modules, "gradio", None)
    done = CliRunner().invoke(APP, ["serve"])
    assert done.exit_code == 2
    assert 'pip install "impasto[web]"' in done.output


def test_the_page_does_not_wait_for_torch() -> None:
    code = """if True:
        import sys, tempfile, pathlib
        from impasto.apps.studio.engine import Engine
        from impasto.apps.studio.serve import application
        with tempfile.TemporaryDirectory() as root, Engine("cpu") as engine:
            application(engine, pathlib.Path(root))
            engine.styles()
            sys.exit("torch" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# What libraries read of the environment, none of it as it should be: the studio does not hear it.
MALFORMED = dict.fromkeys(
    (
        "FORWARDED_ALLOW_IPS",
        "GRADIO_ALLOWED_PATHS",
        "GRADIO_ANALYTICS_MAX_EVENTS",
        "GRADIO_DEFAULT_CONCURRENCY_LIMIT",
        "GRADIO_HEARTBEAT_INTERVAL",
        "GRADIO_NODE_NUM_PORTS",
        "GRADIO_NUM_PORTS",
        "GRADIO_ROOT_PATH",
        "GRADIO_SERVER_PORT",
        "HF_HUB_DOWNLOAD_TIMEOUT",
        "PROMETHEUS_MULTIPROC_DIR",
        "WEB_CONCURRENCY",
    ),
    "two, or more",
)


def studio(folder: Path, *options: str, before: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, **MALFORMED, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", before + RUN, "--port", "0", "--device", "cpu", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def quickest(address: str) -> float:
    """Seconds of the quickest of some small answers on one connection."""
    with httpx.Client(base_url=address) as client:
        return min(client.get("/api/v1/health").elapsed.total_seconds() for _ in range(20))


def test_served_from_start_to_the_end_in_mid_picture(tmp_path: Path) -> None:
    with studio(tmp_path) as process, ThreadPoolExecutor(1) as person:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "is open at http://127.0.0.1:" in line
        address = line.split()[5]
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert httpx.get(address + "/", timeout=60).status_code == 200

        def ask() -> Any:
            files = [photo(), ("style", ("s.png", png()))]
            return httpx.post(
                address + STYLIZE, files=files, data={"size": "256", "refine": "400"}, timeout=60
            )

        answer = person.submit(ask)
        while not httpx.get(address + "/api/v1/health", timeout=60).json()["orders"]:
            time.sleep(0.05)
        assert quickest(address) < 0.02, "without TCP_NODELAY each takes 40 ms"
        process.terminate()
        assert answer.result().status_code == 503
        assert "closing" in answer.result().json()["error"]
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


STUCK = """if True:
    import time
    from impasto.apps.studio.engine import Engine
    Engine._warm = lambda self: time.sleep(60)
    """


def test_it_ends_in_time_in_the_middle_of_a_long_step(tmp_path: Path) -> None:
    left = tmp_path / "impasto-studio-killed"
    left.mkdir()
    (left / "lock").touch()
    (left / "photo.jpg").touch()
    with studio(tmp_path, "--access-log", "--host", "0.0.0.0", before=STUCK) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[5].replace("0.0.0.0", "127.0.0.1")
        assert "warning: everyone who can reach 0.0.0.0" in process.stderr.readline()
        assert not left.exists(), "what a killed one left is swept at the start"
        with httpx.stream("GET", address + "/gradio_api/heartbeat/a", timeout=60) as beat:
            assert beat.status_code == 200
            begun = time.monotonic()
            process.terminate()
            assert process.wait(60) == 0
            assert time.monotonic() - begun < 3
        assert "Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_studio_holds_is_not_swept(tmp_path: Path) -> None:
    living, fresh = tmp_path / "impasto-studio-a", tmp_path / "impasto-studio-b"
    for each in (living, fresh, tmp_path / "impasto-other"):
        each.mkdir()
    code = "import fcntl, sys, time; fcntl.flock(held := open(sys.argv[1], 'w'), 2); print(flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(living / "lock")], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        sweep(tmp_path)
        holder.kill()
    assert living.exists()
    assert fresh.exists(), "it may be about to lock its folder"
    sweep(tmp_path)
    assert not living.exists()
    assert (tmp_path / "impasto-other").exists()


def test_ctrl_c_while_it_opens_leaves_nothing(tmp_path: Path) -> None:
    with studio(tmp_path) as process:
        while not list(tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []
