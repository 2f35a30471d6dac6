"""Batches over the S3 protocol itself, against a server of this machine: by fsspec and s3fs, with
what the environment says, as with a real bucket.
"""

import os
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.apps import stores
from impasto.apps.batch import Task, Worker
from impasto.settings import Settings

NEEDS = "needs s3fs and a server of S3: pip install 's3fs' 'moto[server]'"
s3fs = pytest.importorskip("s3fs", reason=NEEDS)
pytest.importorskip("flask", reason=NEEDS)
moto = pytest.importorskip("moto.moto_server.werkzeug_app", reason=NEEDS)
serving = pytest.importorskip("werkzeug.serving", reason=NEEDS)

QUICK = Settings(method="arbitrary", size=48, device="cpu")
TYPED = ("--method", "arbitrary", "--size", "48", "--device", "cpu")


class Server:
    """S3 for one test. `puts`: the names that were written; `fails(method, path)`: whether a request
    is answered by 503, as a store that is overloaded does.
    """

    def __init__(self) -> None:
        self.puts: list[str] = []
        self.fails: Callable[[str, str], bool] = lambda *_: False
        self.app = moto.DomainDispatcherApplication(moto.create_backend_app)
        self.server = serving.make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _answer(self, environ, start):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if self.fails(method, path):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>wait</Message></Error>"]
        if method == "PUT" and path.count("/") > 1 and ".impasto-" not in path:
            self.puts.append(path)
        return self.app(environ, start)


@pytest.fixture
def server(workplace, monkeypatch):
    """A server with two buckets, `photos`, which holds some, and `painted`."""
    found = Server()
    monkeypatch.setattr(stores, "PAUSE", 0.01)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{found.server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # botocore's own, which it makes for seconds
    s3fs.S3FileSystem.clear_instance_cache()
    reset = urllib.request.Request(
        f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST"
    )
    urllib.request.urlopen(reset).close()  # its state is the process's
    files = s3fs.S3FileSystem()
    for bucket in ("photos", "painted"):
        files.mkdir(bucket)
    yield found
    s3fs.S3FileSystem.clear_instance_cache()
    found.server.shutdown()
    found.server.server_close()


def fill(count: int) -> None:
    for number in range(count):
        cells = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        picture = Image.fromarray(cells).resize((60, 48), Image.Resampling.BICUBIC)
        picture.save("photo.png")
        s3fs.S3FileSystem().put_file("photo.png", f"photos/{number % 2}/{number:02}.png")


def test_a_bucket_is_painted_once_though_the_server_fails_now_and_then(server, run) -> None:
    fill(4)
    server.puts.clear()
    asked: dict[tuple[str, str], int] = {}

    def fails(method: str, path: str) -> bool:
        asked[method, path] = asked.get((method, path), 0) + 1
        return asked[method, path] == 1 and path.endswith(".png")

    server.fails = fails
    args = ("batch", "s3://photos", "mosaic", "-o", "s3://painted/here", *TYPED)
    code, out, err = run(*args)
    assert code == 0, err
    expected = [f"s3://painted/here/{n % 2}/{n:02}.png" for n in (0, 2, 1, 3)]
    assert out.split() == expected
    assert sorted(server.puts) == sorted(each.removeprefix("s3:/") for each in expected)
    Path("photo.png").unlink()
    stores.fetch("s3://photos/1/03.png", Path("photo.png"))
    run("batch", "photo.png", "mosaic", "-o", "out", *TYPED)
    stores.fetch(expected[-1], Path("there.png"))
    assert Path("there.png").read_bytes() == Path("out/photo.png").read_bytes()
    server.puts.clear()
    assert run(*args)[:2] == (0, "")
    assert server.puts == []


def test_a_server_that_always_fails_costs_the_picture_and_no_more(server, monkeypatch) -> None:
    fill(2)
    server.fails = lambda method, path: method == "PUT" and path.endswith("00.png")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    worker, states = Worker(QUICK), []
    for name in ("0/00.png", "1/01.png"):
        outcome = worker.paint(Task(f"s3://photos/{name}", ("mosaic",), f"s3://painted/{name}"))
        states.append(outcome.state)
    assert states == ["left out", "painted"]
    s3fs.S3FileSystem.clear_instance_cache()
    assert s3fs.S3FileSystem().find("painted") == ["painted/1/01.png"]


@pytest.mark.slow
def test_killed_and_run_again_makes_all_in_the_bucket_and_none_twice(
    server, run, kill_after
) -> None:
    fill(12)
    server.puts.clear()
    args = ("batch", "s3://photos", "mosaic", "-o", "s3://painted", *TYPED)
    kill_after(3, *args)
    assert 3 <= len(server.puts) < 12
    assert run(*args)[0] == 0
    assert sorted(server.puts) == sorted(f"/painted/{n % 2}/{n:02}.png" for n in range(12))
