"""The static page: the folder without a browser, and painting in a real one, offline."""

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.apps.cli import main as cli
from impasto.errors import ImpastoError, InputError
from impasto.export import runtime, web
from impasto.networks.checkpoint import Painter, load_network
from impasto.networks.style_bank import StyleBank
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.pictures.samples import sample, sample_style
from impasto.training.painting import seeded

SIDE = 128
PAGE = Path(web.__file__).parent / "page"
MODELS = {"painter": b"a painter", "reader": b"a reader"}
RUNTIME = {name: name.encode() for name in runtime.FILES}
FLAGS = ["--no-sandbox", "--headless", "--disable-gpu", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
PATIENCE = 60_000  # ms; for machines that are busy


# ---------------------------------------------------------------------------------------- the folder


@pytest.fixture(scope="module")
def painter() -> Painter:
    with seeded(3):
        net = TransformNet(TransformNetConfig(channels=(8, 12, 16), blocks=(0, 1, 1)))
        vector = 0.3 * torch.randn(net.vector_size)
    bank = StyleBank("").learned("été-1", vector, "Summer, nobody, 1900").learned("two", -vector)
    return Painter(net.eval().requires_grad_(False), bank)


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_site_has_all_that_its_page_asks_for(tmp_path: Path, painter: Painter) -> None:
    site = tmp_path / "site"
    web.write_site(site, painter, MODELS, RUNTIME)
    there = files(site)
    assert json.loads((site / "site.json").read_text("utf-8")) == sorted(there)
    assert {f"runtime/{name}" for name in RUNTIME} < there
    assert (site / "models" / "reader.onnx").read_bytes() == b"a reader"
    said = json.loads((site / "styles.json").read_text("utf-8"))
    assert (said["reads"], said["blends"], said["identity"]) == (True, True, None)
    assert [style["title"] for style in said["styles"]] == ["Two", "Été 1"]
    for style in said["styles"]:
        name = style["name"]
        vector = np.fromfile(site / "styles" / f"{name}.style.bin", dtype="<f4")
        assert np.array_equal(vector, painter.bank.vector(name).numpy())
        assert Image.open(site / "styles" / f"{name}.style.webp").size[0] == 160
    asked = re.findall(r'(?:src|href)="([^"]+)"', (site / "index.html").read_text("utf-8"))
    asked += re.findall(r"runtime/[\w.-]+mjs", (site / "worker.js").read_text("utf-8"))
    assert len(asked) == 5
    assert set(asked) < there


def test_a_network_that_reads_nothing_offers_no_reading(tmp_path: Path, painter: Painter) -> None:
    web.write_site(tmp_path / "site", painter, {"painter": b""}, RUNTIME)
    said = json.loads((tmp_path / "site" / "styles.json").read_text("utf-8"))
    assert (said["reads"], said["blends"]) == (False, False)


def test_a_site_takes_the_place_of_a_site_and_of_nothing_else(
    tmp_path: Path, painter: Painter
) -> None:
    site = tmp_path / "site"
    site.mkdir()  # an empty folder is free
    web.write_site(site, painter, MODELS, RUNTIME)
    web.write_site(site, painter, {"painter": b"new"}, RUNTIME)
    assert not (site / "models" / "reader.onnx").exists()
    (site / "notes.txt").write_text("mine")
    before = files(site)
    with pytest.raises(InputError, match=r"other things in it \(notes\.txt\)"):
        web.write_site(site, painter, MODELS, RUNTIME)
    assert files(site) == before
    with pytest.raises(InputError, match="is a file"):
        web.check_site(site / "notes.txt")
    with pytest.raises(InputError, match="make it first"):
        web.check_site(tmp_path / "no" / "site")
    assert os.listdir(tmp_path) == ["site"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_half_written(
    tmp_path: Path, painter: Painter, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    site = tmp_path / "site"
    web.write_site(site, painter, {"painter": b"old"}, RUNTIME)
    write = Path.write_bytes

    def failing(path: Path, data: bytes) -> int:
        if path.name == "styles.json":
            raise error
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(ImpastoError if isinstance(error, OSError) else KeyboardInterrupt):
        web.write_site(site, painter, {"painter": b"new"}, RUNTIME)
    assert (site / "models" / "painter.onnx").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["site"]


def test_the_page_names_no_other_host() -> None:
    text = {path.name: path.read_text("utf-8") for path in PAGE.iterdir()}
    assert set(text) == {"index.html", "page.css", "page.js", "worker.js"}
    assert not [name for name, each in text.items() if re.search(r"https?:|//[a-z]+\.", each)]
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text["index.html"])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("script-src") == "'self' 'wasm-unsafe-eval'"
    assert rules.pop("worker-src") == "'self' blob:"
    assert rules.pop("default-src") == "'self'"
    assert set(rules.values()) == {"'none'"}


# --------------------------------------------------------------------------------------- the runtime


def package(folder: Path) -> Path:
    for name, place in runtime.FILES.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(name.encode())
    return folder


def test_the_runtime_comes_from_a_folder(tmp_path: Path) -> None:
    folder = package(tmp_path)
    assert runtime.runtime_files(folder) == RUNTIME
    (folder / "dist" / "ort.wasm.min.mjs").unlink()
    with pytest.raises(InputError, match=r"no dist/ort\.wasm\.min\.mjs"):
        runtime.runtime_files(folder)


def test_an_archive_that_is_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(address: str, timeout: float) -> BytesIO:
        asked.append(address)
        return BytesIO(b"not the package")

    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://registry.example/npm/")
    monkeypatch.setattr(runtime, "urlopen", answer)
    with pytest.raises(ImpastoError, match="not the package it should be"):
        runtime.runtime_files()
    path = f"onnxruntime-web/-/onnxruntime-web-{runtime.VERSION}.tgz"
    assert asked == [f"https://registry.example/npm/{path}"]
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "file:///etc")
    with pytest.raises(InputError, match="no web address"):
        runtime.runtime_files()


def test_the_command_writes_the_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra `onnx`")
    pytest.importorskip("onnxruntime", reason="the extra `lite`")
    site, folder = tmp_path / "site", package(tmp_path / "package")
    with pytest.raises(SystemExit) as left:
        cli.main(["export", "web", str(site), "--runtime", str(folder)])
    assert not left.value.code
    assert capsys.readouterr().out.strip() == str(site)
    assert {"models/painter.onnx", "models/reader.onnx", "index.html"} < files(site)
    for path in (site / "models").iterdir():
        widest = max(len(node.output) for node in onnx.load(str(path)).graph.node)
        assert widest < 7, "WebGPU has eight buffers on some devices, inputs among them"


# --------------------------------------------------------------------------------------- the browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site of the embedded network. `ONNXRUNTIME_WEB` may name the folder of the
    unpacked npm package.
    """
    made = pytest.importorskip("impasto.export.onnx")
    for extra in ("onnx", "onnxruntime"):
        pytest.importorskip(extra, reason="the extra `onnx`")
    given = os.environ.get("ONNXRUNTIME_WEB")
    try:
        found = runtime.runtime_files(Path(given) if given else None)
    except ImpastoError as error:
        pytest.skip(f"there is no npm package onnxruntime-web: {error}")
    painter = load_network(device="cpu", dtype=torch.float32)
    models = {
        name: made.halved(made.few_outputs(each)).SerializeToString()
        for name, each in made.embedded_models(painter).items()
    }
    bank = StyleBank(painter.bank.network)
    for name in ("starry-night", "woodcut"):  # a thumbnail each
        bank = bank.learned(name, painter.bank.vector(name))
    site = tmp_path_factory.mktemp("web") / "site"
    few = Painter(painter.transform_net, bank, painter.predictor, painter.identity)
    web.write_site(site, few, models, found)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(20)
    server.server_close()


@pytest.fixture(scope="module")
def page(served: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A visit with a photo taken; what was asked for and what went wrong are written down."""
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    folder = tmp_path_factory.mktemp("pictures")
    photo = sample("cat")
    photo.thumbnail((SIDE, SIDE))
    photo.save(folder / "cat.png")
    painting = sample_style("waves").resize((SIDE, SIDE))
    painting.save(folder / "waves.png")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page()
        tab.set_default_timeout(PATIENCE)
        visit = SimpleNamespace(tab=tab, folder=folder, asked=[], broken=[], url=served)
        tab.context.on("request", lambda request: visit.asked.append(request.url))
        tab.on("pageerror", lambda error: visit.broken.append(str(error)))
        tab.on("console", lambda message: visit.broken.append(message.text))
        tab.goto(served)
        tab.evaluate(
            "side => document.querySelector('#size').append(new Option('test', side))", SIDE
        )
        tab.select_option("#size", str(SIDE))
        tab.set_input_files("#photo", folder / "cat.png")
        yield visit
        browser.close()


def painted(page: Any, act: Any) -> np.ndarray:
    """The picture, downloaded as PNG, after `act` has asked for one; levels `(H, W, 3)`."""
    page.tab.evaluate("document.querySelector('#status').textContent = ''")
    act()
    page.tab.wait_for_selector("#status:text-matches('^Painted'), #error:not(:empty)")
    assert page.tab.inner_text("#error") == ""
    with page.tab.expect_download() as coming:
        page.tab.click("text=Download PNG")
    with Image.open(coming.value.path()) as image:
        return np.asarray(image.convert("RGB")).astype(float)


def apart(page: Any, found: np.ndarray, style: str | Path, **options: Any) -> float:
    """Mean difference from PyTorch's picture, levels of 255."""
    expected = impasto.stylize(page.folder / "cat.png", style, size=SIDE, device="cpu", **options)
    assert found.shape == np.asarray(expected).shape
    return float(np.abs(found - np.asarray(expected).astype(float)).mean())


def choose(page: Any, style: str) -> Any:
    return lambda: page.tab.check(f"input[value={style}]", force=True)


def test_a_browser_paints_what_pytorch_paints(page: Any) -> None:
    found = painted(page, choose(page, "woodcut"))
    assert apart(page, found, "woodcut", method="fast") < 1
    assert apart(page, found, "starry-night", method="fast") > 10, "that is another picture"
    weaker = painted(page, lambda: slide(page, 40))
    assert apart(page, weaker, "woodcut", method="fast", strength=0.4) < 1
    plain = painted(page, lambda: slide(page, 0))
    with Image.open(page.folder / "cat.png") as photo:
        assert np.abs(plain - np.asarray(photo)).max() <= 1
    painted(page, lambda: slide(page, 100))


def slide(page: Any, value: int) -> None:
    page.tab.evaluate(
        "value => { const s = document.querySelector('#strength'); s.value = value;"
        " s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); }",
        value,
    )


def test_a_painting_of_ones_own_is_a_style(page: Any) -> None:
    own = page.folder / "waves.png"
    found = painted(page, lambda: page.tab.set_input_files("#painting", own))
    assert page.tab.is_checked("input[value=own-1]")
    assert apart(page, found, own, method="arbitrary") < 1


def test_what_is_no_picture_is_said_in_one_line(page: Any) -> None:
    (page.folder / "notes.txt").write_text("not a picture")
    page.tab.set_input_files("#photo", page.folder / "notes.txt")
    page.tab.wait_for_selector("#error:not(:empty)")
    assert page.tab.inner_text("#error").startswith("notes.txt is no picture")
    assert page.tab.is_enabled("text=Download JPEG"), "the picture before is still there"


def test_everything_has_a_name(page: Any) -> None:
    """What a screen reader says of each control."""
    named = page.tab.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter(e => e.checkVisibility())"
        ".map(e => (e.labels?.[0]?.innerText || e.innerText || '').trim())"
    )
    assert len(named) > 8
    assert all(named)


def test_nothing_is_asked_of_another_host(page: Any) -> None:
    """Not in all that was done above, and not by a worker that tries."""
    assert page.broken == []
    assert len(page.asked) > 10
    assert not [url for url in page.asked if not url.startswith((page.url, f"blob:{page.url}"))]
    script = """async (url) => {
        const code = `fetch(${JSON.stringify(url)}, {mode: "no-cors"})
            .then(() => postMessage("sent"), () => postMessage("stopped"));`;
        const blob = new Blob([code], {type: "text/javascript"});
        const worker = new Worker(URL.createObjectURL(blob), {type: "module"});
        return await new Promise((done) => worker.onmessage = ({data}) => done(data));
    }"""
    assert page.tab.evaluate(script, page.url) == "sent"
    elsewhere = page.url.replace("127.0.0.1", "localhost")
    assert page.tab.evaluate(script, elsewhere) == "stopped"
