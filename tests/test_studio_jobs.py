"""Jobs over HTTP, the schema and the page that tell of them, and the examples of the guide."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

from fastapi.testclient import TestClient  # noqa: E402

from impasto.apps.studio.engine import Engine  # noqa: E402
from impasto.apps.studio.limits import Limits  # noqa: E402
from impasto.apps.studio.metrics import Metrics  # noqa: E402
from impasto.apps.studio.web import api  # noqa: E402
from impasto.pictures.recipes import read_recipe  # noqa: E402
from impasto.pictures.samples import sample  # noqa: E402
from impasto.settings import OPTIONS  # noqa: E402

ROOT = Path(__file__).parents[1]
JOBS = "/api/v1/jobs"
LIMITS = Limits(waiting=2, steps=100_000, size=512, memory=8_000_000)
STYLE = "starry-night"


def png() -> bytes:
    file = BytesIO()
    sample("cat").resize((90, 60)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine("cpu", LIMITS) as engine:
        yield engine


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(api(engine, metrics=Metrics({"orders": ("o", lambda: len(engine))}))) as it:
        yield it


def place(client: TestClient, **fields: str) -> str:
    files = {"photo": ("a.png", png())}
    answer = client.post(JOBS, files=files, data={"style": STYLE, "size": "64"} | fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"{JOBS}/{answer.json()['id']}"
    return str(answer.json()["id"])


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)
    return [(kind, json.loads(data)) for kind, data in found]


def test_a_job_from_form_to_picture(client: TestClient, tmp_path: Path) -> None:
    job = place(client, strength="0.5")
    told = events(client.get(f"{JOBS}/{job}/events").text)
    assert told[-1][0] == "done"
    assert told[-1][1]["id"] == job
    assert client.get(f"{JOBS}/{job}").json() == told[-1][1]
    pictures = {}
    for form, accept in (("png", "*/*"), ("jpeg", "image/jpeg"), ("webp", "text/html, image/webp")):
        asked = client.get(f"{JOBS}/{job}/picture", params={"format": form})
        accepted = client.get(f"{JOBS}/{job}/picture", headers={"accept": accept})
        assert asked.headers["content-type"] == f"image/{form}"
        assert asked.content == accepted.content
        path = tmp_path / f"out.{form}"
        path.write_bytes(asked.content)
        recipe = read_recipe(path)
        assert recipe is not None
        assert recipe["strength"] == 0.5
        pictures[form] = Image.open(path).convert("RGB")
    for form in ("jpeg", "webp"):
        assert pictures[form].size == pictures["png"].size
    assert client.get(f"{JOBS}/{job}/picture", params={"format": "bmp"}).status_code == 400
    assert client.delete(f"{JOBS}/{job}").status_code == 204
    gone = client.get(f"{JOBS}/{job}/picture")
    assert (gone.status_code, list(gone.json())) == (404, ["error"])


def test_progress_and_previews_come_on_the_way_and_a_cancelled_job_ends(
    client: TestClient, engine: Engine
) -> None:
    job = place(client, style="waves", refine="100000")
    early = client.get(f"{JOBS}/{job}/picture")
    assert (early.status_code, "not finished" in early.json()["error"]) == (409, True)

    def cancel() -> None:
        while client.get(f"{JOBS}/{job}").json()["step"] < 5:
            time.sleep(0.05)
        time.sleep(1.2)  # for a preview
        assert client.delete(f"{JOBS}/{job}").status_code == 204

    someone = threading.Thread(target=cancel)
    someone.start()
    told = events(client.get(f"{JOBS}/{job}/events").text)
    someone.join()
    kinds = [kind for kind, _ in told]
    assert {"progress", "preview"} <= set(kinds)
    assert kinds[-1] == "failed"
    assert told[-1][1]["error"] == "this picture was given up"
    steps = [data["step"] for kind, data in told if kind == "progress"]
    assert steps == sorted(steps)
    shown = next(data["picture"] for kind, data in told if kind == "preview")
    assert shown.startswith("data:image/webp;base64,")
    place(client)  # else its turn would never come
    assert client.get(f"{JOBS}/{job}").status_code == 404


def test_pictures_that_were_fetched_make_room_and_others_are_never_lost(
    client: TestClient, engine: Engine
) -> None:
    def done(job: str) -> str:
        assert events(client.get(f"{JOBS}/{job}/events").text)[-1][0] == "done"
        return job

    before, big = engine.budget.held, {"size": "512"}
    fetched = [done(place(client, **big)) for _ in range(3)]
    for job in fetched:
        assert client.get(f"{JOBS}/{job}/picture").status_code == 200
    kept: list[str] = []
    files = {"photo": ("a.png", png())}
    while len(kept) < 20:
        answer = client.post(JOBS, files=files, data={"style": STYLE, **big})
        if answer.status_code != 202:
            break
        kept.append(done(answer.json()["id"]))
    assert answer.status_code == 507
    assert len(kept) >= 5
    assert engine.budget.peak <= LIMITS.memory
    assert all(client.get(f"{JOBS}/{job}").json()["state"] == "done" for job in kept)
    assert client.get(f"{JOBS}/{fetched[0]}").status_code == 404
    for job in kept:
        assert client.get(f"{JOBS}/{job}/picture").status_code == 200
        client.delete(f"{JOBS}/{job}")
    assert engine.budget.held <= before + 3 * 4 * 512**2


def test_the_schema_is_that_of_the_settings_and_the_page_shows_it(client: TestClient) -> None:
    schema = client.get("/api/v1/openapi.json").json()
    forms = [
        schema["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        for path in (JOBS, "/api/v1/stylize")
    ]
    assert forms[0] == forms[1]
    visitors = {name for name, option in OPTIONS.items() if option.visitor}
    assert set(forms[0]["properties"]) == visitors | {"photo", "style"}
    assert forms[0]["properties"]["size"]["maximum"] == LIMITS.size
    page = client.get("/api/v1/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in schema["paths"]:
        assert path in page.text
    for name in visitors:
        assert OPTIONS[name].help.replace("'", "&#x27;") in page.text
    assert not re.search(r"<script|https?://(?!127\.0\.0\.1)|//cdn", page.text)


def test_health_is_live_before_it_is_ready(client: TestClient) -> None:
    with Engine("cpu") as engine:
        fresh = TestClient(api(engine))
        assert fresh.get("/api/v1/health/live").status_code == 200
        waits = fresh.get("/api/v1/health/ready")
        assert (waits.status_code, "retry-after" in waits.headers) == (503, True)
    assert fresh.get("/api/v1/health/live").status_code == 503
    events(client.get(f"{JOBS}/{place(client)}/events").text)
    assert client.get("/api/v1/health/ready").status_code == 200


def test_metrics_are_what_prometheus_reads(engine: Engine) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    metrics = Metrics({"orders": ("Orders", lambda: 3)})
    metrics.answered("/api/v1/styles", 200, 0.01, refused=False)
    metrics.answered("/evil\n/path{}", 404, 0.01, refused=True)
    text = TestClient(api(engine, metrics=metrics)).get("/metrics").text
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["impasto_requests_total", "api", "200"] == 1
    assert found["impasto_requests_total", "other", "404"] == 1
    assert found["impasto_requests_refused_total",] == 1
    assert found["impasto_orders",] == 3
    assert "evil" not in text


# ------------------------------------------------------------------------------------- the examples


def blocks(kind: str) -> list[str]:
    """The examples of the guide that use jobs."""
    text = (ROOT / "docs" / "how-to" / "studio.md").read_text(encoding="utf-8")
    found = re.findall(rf"```{kind}\n(.*?)```", text, re.S)
    return [each for each in found if "/jobs" in each]


@pytest.fixture(scope="module")
def address(engine: Engine) -> Iterator[str]:
    config = uvicorn.Config(api(engine), port=0, log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


@pytest.mark.parametrize("kind", ["sh", "python"])
def test_the_examples_of_the_guide_run(kind: str, address: str, tmp_path: Path) -> None:
    if kind == "sh" and not shutil.which("curl"):
        pytest.skip("there is no curl here")
    (example,) = blocks(kind)
    sample("cat").resize((90, 60)).save(tmp_path / "photo.jpg")
    code = example.replace("http://127.0.0.1:7860", address)
    command = ["sh", "-eu", "-c", code] if kind == "sh" else [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("out.*")
    with Image.open(made) as image:
        assert max(image.size) == 512
        assert image.format == "JPEG"
