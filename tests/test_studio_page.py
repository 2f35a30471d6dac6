"""The studio's page in a real browser, as a visitor and as someone who means harm; its parts
without one.
"""

import asyncio
import base64
import importlib
import json
import re
import runpy
import shutil
import struct
import threading
import time
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from PIL import Image, ImageChops, ImageStat

from impasto.apps.studio import look
from impasto.apps.studio.album import Choice
from impasto.apps.studio.budget import Budget
from impasto.apps.studio.engine import BusyError, Engine, StyleCard
from impasto.apps.studio.guard import Guard, refuse_foreign_files
from impasto.apps.studio.jobs import Jobs
from impasto.apps.studio.limits import Limits, Upload
from impasto.apps.studio.shelf import credit
from impasto.apps.studio.visit import Visit
from impasto.apps.studio.visits import Visits
from impasto.errors import ImpastoError
from impasto.networks.checkpoint import load_network
from impasto.networks.style_bank import UNSAID
from impasto.networks.style_file import StyleFile
from impasto.pictures.image import read_recipe
from impasto.pictures.samples import sample
from impasto.settings import Settings

if find_spec("gradio") is None:  # whose import, of seconds, is left to whoever runs this file
    pytest.skip("the page needs the extra `web`", allow_module_level=True)
uvicorn = pytest.importorskip("uvicorn")

ROOT = Path(__file__).parents[1]
SIZE = 192
LIMITS = Limits(size=SIZE, waiting=24, upload_bytes=1_000_000, steps=5000, background=0, poster=400)
FLAGS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
PATIENCE = 40_000  # ms; for machines that are busy


class Quick(Engine):
    """Thumbnails are the engine's own matter; painting them here would only take time."""

    def thumbnail(self, name: str) -> Image.Image:
        return Image.new(
            "RGB",
            (40, 40),
            tuple(b % 256 for b in zlib.crc32(name.encode()).to_bytes(4, "big")[:3]),
        )


@dataclass(frozen=True)
class Site:
    url: str
    root: Path
    engine: Engine
    locked: str  # the same, behind a password


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from impasto.apps.studio.gate import Gate, access
    from impasto.apps.studio.serve import application
    from impasto.apps.studio.wire import address, listening

    root = tmp_path_factory.mktemp("studio").resolve()
    with (
        pytest.MonkeyPatch.context() as patch,
        Quick("cpu", LIMITS) as engine,
        listening("127.0.0.1", 0) as open_door,
        listening("127.0.0.1", 0) as locked_door,
    ):
        patch.setenv("GRADIO_TEMP_DIR", str(root))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        app = application(engine, root)
        locked, port = Gate(app, access(auth=("ada", "secret"))), locked_door.getsockname()[1]

        async def doors(scope: Any, receive: Any, send: Any) -> None:
            is_locked = scope["type"] == "http" and scope["server"][1] == port
            await (locked if is_locked else app)(scope, receive, send)

        config = uvicorn.Config(doors, log_level="error", ws="none")
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=[[open_door, locked_door]])
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        where = (address("127.0.0.1", each) for each in (open_door, locked_door))
        yield Site(next(where), root, engine, next(where))
        server.should_exit = True
        engine.close()
        thread.join(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if chromium is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


class Tab:
    """A visit in a browser; every address the page asks for is written down."""

    def __init__(self, context: Any, site: Site) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked: list[str] = []
        self.broken: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.broken.append(str(error)))
        self.page.goto(site.url)
        self.page.wait_for_selector("#photo .tile")
        self.page.evaluate("studio.forget()")  # what other tabs have left in the browser

    def visits(self, count: int) -> None:
        """Wait until the history has so many pictures."""
        many = "count => document.querySelectorAll('#visit .tile').length === count"
        self.page.wait_for_function(many, arg=count)

    def in_store(self, count: int) -> None:
        """Wait until the browser's own store has so many pictures."""
        many = "count => studio.kept.all().then((found) => found.length === count)"
        self.page.wait_for_function(many, arg=count)

    def steps(self) -> None:
        """As many steps of refining as there may be."""
        self.page.click("text=More")
        self.page.fill("#steps input[type=number]", str(LIMITS.steps))
        self.page.keyboard.press("Tab")

    def drop(self, where: str, *files: Path) -> None:
        self.page.set_input_files(f"{where} input[type=file]", [str(file) for file in files])

    def paint(self, style: str = "woodcut") -> str:
        """Press a style; the picture, when there is a new one."""
        before = self.picture()
        self.page.click(f"#style .tile[data-key={style}]")
        return self.changed(before)

    def picture(self) -> str:
        shown = self.page.query_selector(".compare .after")
        return shown.get_attribute("src") if shown else ""

    def changed(self, before: str) -> str:
        self.page.wait_for_function(
            """before => { const shown = document.querySelector('.compare .after');
            return shown && shown.src !== before && !shown.closest('figure').dataset.sketch }""",
            arg=before,
        )
        return self.picture()

    def settled(self) -> str:
        """What the page says when it rests."""
        self.page.wait_for_selector("#status >> text=pixels")
        return self.page.inner_text("#status")

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def close(self) -> None:
        """Nobody else was asked for anything, and nothing broke."""
        hosts = {
            urlsplit(url).hostname for url in self.asked if not url.startswith(("data:", "blob:"))
        }
        assert hosts == {"127.0.0.1"}
        assert not self.broken
        self.page.close()

    def download(self) -> Path:
        with self.page.expect_download() as got:
            self.page.click("#download")
        return Path(got.value.path())


@pytest.fixture(scope="module")
def window(browser: Any) -> Iterator[Any]:
    """What tabs share: the browser's cache, and nothing of their visits."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def tab(window: Any, site: Site) -> Iterator[Tab]:
    tab = Tab(window, site)
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "cat.jpg"
    sample("cat").resize((300, 200)).save(path)
    return path


def seen(url: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")


def apart(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference, of 255, at the size of the first."""
    return (
        sum(
            ImageStat.Stat(
                ImageChops.difference(one, other.resize(one.size, Image.Resampling.LANCZOS))
            ).mean
        )
        / 3
    )


# --------------------------------------------------------------------------------------- a visitor


def test_a_photo_becomes_a_picture_to_keep(tab: Tab, photo: Path) -> None:
    page = tab.page
    tab.drop("#photo", photo)
    page.wait_for_selector(".plain img")
    assert apart(seen(page.get_attribute("#photo .drop img", "src")), sample("cat")) < 6
    painted = tab.paint()
    assert apart(seen(painted), sample("cat")) > 10

    page.focus(".compare input")
    clip = "getComputedStyle(document.querySelector('.compare .before')).clipPath"
    closed = page.evaluate(clip)
    page.keyboard.press("End")
    assert page.evaluate(clip) != closed

    page.focus("#strength input[type=range]")
    page.keyboard.press("Home")  # strength 0
    plain = tab.changed(painted)
    tab.visits(1)
    assert apart(seen(plain), sample("cat")) < 6, "no strength, no change"
    page.keyboard.press("End")
    assert apart(seen(tab.changed(plain)), seen(painted)) < 1

    page.click("#refine")
    page.wait_for_selector("#status >> text=/Refining: step \\d+ of 60/")
    assert re.search(r"style \d\.\d+, from the photo \d", page.inner_text("#status .detail"))
    page.click("#stop")
    page.wait_for_selector("#refine")
    assert f"{SIZE} x {SIZE * 2 // 3} pixels" in tab.settled()
    refined = tab.picture()
    assert refined != painted

    file = tab.download()
    recipe = read_recipe(file)
    with Image.open(file) as kept:
        assert kept.format == "PNG"
        assert kept.size == (SIZE, SIZE * 2 // 3)
        assert look.data_url(kept, look.PREVIEW) == refined, "what was seen, to the pixel"
    assert recipe is not None
    assert "woodcut" in json.dumps(recipe)

    tab.visits(2)
    page.click("#visit .tile >> nth=1")
    assert apart(seen(tab.changed(refined)), seen(painted)) < 1, "an earlier picture of this visit"


def test_settings_are_used_again_and_a_reload_finds_all_as_it_was(tab: Tab) -> None:
    page = tab.page
    page.click("#photo .tile[data-key=coffee]")
    first = tab.paint("mosaic")
    page.click("#keep >> text=Of the photo")
    second = tab.changed(first)
    third = tab.paint("waves")
    page.click("#keep >> text=Of the painting")
    fourth = tab.changed(third)
    tab.visits(2)
    page.wait_for_function("!studio.unsaved")  # in the browser's store, before another is shown
    page.click("#visit .tile >> nth=1")
    assert apart(seen(tab.changed(fourth)), seen(second)) < 1
    page.wait_for_timeout(700)  # a press at the very end of an event's stream may be lost
    page.click("#again")
    page.wait_for_selector("#style .tile[data-key=mosaic][aria-pressed=true]")
    assert page.is_checked("#keep >> label:has-text('Of the photo') >> input")
    assert "Mosaic" in tab.settled()

    tab.in_store(3)
    page.wait_for_function("!studio.unsaved")
    shown = tab.picture()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    page.wait_for_selector(".compare .after")
    assert tab.picture() == shown
    assert page.is_checked("#keep >> label:has-text('Of the photo') >> input")
    page.wait_for_selector("#style .tile[data-key=mosaic][aria-pressed=true]")
    tab.visits(3)
    page.wait_for_selector("#kept", state="hidden")  # what the visit has is shown once
    page.wait_for_function("!studio.unsaved")

    page.evaluate("sessionStorage.clear()")  # the studio was started anew, and knows nobody
    page.reload()
    page.wait_for_selector("#kept .tile >> nth=2")
    assert not page.is_visible("#visit")
    assert not asked, "nothing is lost"
    page.click("#kept .tile >> nth=0")
    with page.expect_download() as got:
        page.click("#kept-room >> text=Download")
    assert got.value.suggested_filename == "coffee-mosaic.png"
    with Image.open(got.value.path()) as kept:
        assert look.data_url(kept, look.PREVIEW) == shown
    page.click("#kept-room >> text=Remove")
    tab.in_store(2)
    page.click("#kept >> text=Remove all")
    tab.in_store(0)
    page.wait_for_selector("#kept", state="hidden")


def test_paintings_and_a_style_file_are_found_mixed_and_let_go(tab: Tab, tmp_path: Path) -> None:
    page = tab.page
    assert page.locator("#style .group").all_inner_texts() == ["After painters", "Patterns"]
    page.fill("#search input", "gogh 1890")
    shown = page.locator("#style .tile:visible")
    assert shown.count() == 1
    assert shown.inner_text().split("\n") == ["Almond Blossom", "Vincent van Gogh, 1890"]
    page.fill("#search input", "")
    red, blue, other = tmp_path / "red.png", tmp_path / "my cup.png", tmp_path / "of.impasto"
    sample("galaxies").resize((96, 96)).save(red)
    sample("coffee").resize((96, 96)).save(blue)
    StyleFile.of(load_network(device="cpu").bank, "irises", sample("cat"), UNSAID).save(other)
    page.click("#photo .tile[data-key=cat]")
    page.wait_for_selector(".plain img")
    tab.drop("#style", red, blue)
    both = tab.changed("")
    assert page.locator("#style .tile[aria-pressed=true]").count() == 2
    assert "red and my cup" in tab.settled()
    page.focus(".weight input[type=range] >> nth=0")
    page.keyboard.press("Home")  # all weight on the other
    one = tab.changed(both)
    page.uncheck("#mix input")
    alone = tab.changed(one)
    assert "red," in tab.settled()
    page.click("#form >> text=JPEG")
    with page.expect_download() as got:
        page.click("#download")
    assert got.value.suggested_filename == "cat-red.jpg"
    with Image.open(got.value.path()) as kept:
        assert kept.format == "JPEG"
    assert read_recipe(Path(got.value.path())) is not None
    tab.drop("#photo", other)  # wherever it is dropped
    taken = tab.changed(alone)
    assert "irises-" in tab.settled(), "there is one of that name"
    assert page.is_disabled("#refine")
    page.click("#style .tile[data-key=irises]")
    page.wait_for_selector("#status >> text=/^Irises, /")
    assert tab.picture() == taken, "it is that style"
    for left in (2, 1, 0):
        page.click("#style .remove >> nth=0")
        page.wait_for_function(
            "left => document.querySelectorAll('#style .own').length === left", arg=left
        )
    assert page.locator("#visit .tile").count() > 1, "what was made with them stays"


def test_the_keyboard_is_enough_also_to_paint_a_region(tab: Tab) -> None:
    page = tab.page

    def to(what: str, key: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.closest('{what}') !== null"):
                break
        page.keyboard.press(key)

    page.focus("#photo input[type=file]")
    to("#photo .tile", "Enter")
    page.wait_for_selector(".plain img")
    to("#style .tile", "Space")
    whole = tab.changed("")
    page.focus("#brush")
    page.keyboard.press("Enter")
    page.wait_for_selector("#brush-room canvas:focus")
    assert page.is_disabled("#brush-room >> text=Use this region"), "nothing is painted yet"
    for key in ("]", "]", "]", "Space", *["Shift+ArrowLeft"] * 5, *["ArrowDown"] * 8, "Space"):
        page.keyboard.press(key)
    assert page.is_enabled("#brush-room >> text=Use this region")
    page.keyboard.press("Control+z")
    assert page.is_disabled("#brush-room >> text=Use this region"), "undone"
    for key in ("Space", *["Shift+ArrowLeft"] * 5, "Space"):
        page.keyboard.press(key)
    page.focus("#brush-room .main")
    page.keyboard.press("Enter")
    part = tab.changed(whole)
    assert "in the painted region" in tab.settled()
    before = seen(page.get_attribute("#photo .drop img", "src"))
    right = (before.width * 3 // 4, 0, before.width, before.height)
    assert apart(seen(part).crop(right), before.resize(seen(part).size).crop(right)) < 6
    page.focus("#region button")
    page.keyboard.press("Enter")
    assert apart(seen(tab.changed(part)), seen(whole)) < 1


def test_a_region_survives_other_styles_and_nobody_refines_it_for_a_closed_window(
    tab: Tab, site: Site
) -> None:
    page = tab.page
    page.click("#photo .tile[data-key=cat]")
    page.wait_for_selector(".plain img")
    whole = tab.paint("irises")
    page.click("#brush")
    box = page.locator("#brush-room canvas").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.fill("#brush-room input[type=range]", "40")
    page.mouse.move(*at(0.2, 0.1))
    page.mouse.down()
    page.mouse.move(*at(0.2, 0.9), steps=8)
    page.mouse.up()
    page.select_option("#brush-room select >> nth=0", "udnie")
    page.click("#brush-room >> text=Use this region")
    both = tab.changed(whole)
    assert "Udnie in the painted region, Irises around it" in tab.settled()
    width, height = seen(whole).size
    left, right = (0, 0, width // 4, height), (width * 3 // 4, 0, width, height)
    here, there = (apart(seen(both).crop(part), seen(whole).crop(part)) for part in (left, right))
    assert here > 3 * there
    tab.paint("adele")
    assert "Udnie in the painted region, Portrait of Adele Bloch-Bauer I around it" in tab.settled()
    page.click("#brush")  # to go on with it
    assert page.input_value("#brush-room select >> nth=0") == "udnie"
    assert page.is_enabled("#brush-room .main")
    page.click("#brush-room >> text=Close")
    tab.steps()
    page.click("#refine")
    page.wait_for_selector(f"#status >> text=of {LIMITS.steps}")
    assert len(site.engine) == 1
    page.close()
    until = time.monotonic() + 10
    while len(site.engine) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(site.engine) == 0


def test_a_poster_is_painted_aside_and_fetched(tab: Tab) -> None:
    page = tab.page
    page.click("#photo .tile[data-key=rocket]")
    page.wait_for_selector(".plain img")
    tab.paint()
    page.click("#large")
    page.select_option("#poster-room select", "")
    page.fill("#poster-room input", "9000")
    page.click("#poster-room >> text=Paint the poster")
    page.wait_for_selector(f".toast-body >> text=between 32 and {LIMITS.poster}")
    page.click(".toast-close")
    page.click("#large")
    page.select_option("#poster-room select", "")
    page.fill("#poster-room input", "3x4cm@200dpi")
    page.click("#poster-room >> text=Paint the poster")
    page.wait_for_selector("#poster >> text=The poster is done")
    with page.expect_download() as got:
        page.click("#poster >> text=JPEG")
    assert got.value.suggested_filename == "rocket-woodcut-315.jpg"
    with Image.open(got.value.path()) as made:
        assert max(made.size) == 315
        assert made.info["dpi"] == (200, 200)
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.click("#poster >> text=Remove")
    page.wait_for_selector(".poster", state="detached")


def test_a_phone_shows_it_all_and_nothing_of_another_visitor(
    tab: Tab, browser: Any, site: Site, photo: Path
) -> None:
    tab.drop("#photo", photo)
    tab.page.wait_for_selector(".plain img")
    mine = tab.paint()
    context = browser.new_context(
        viewport={"width": 375, "height": 720}, has_touch=True, is_mobile=True
    )
    other = Tab(context, site)
    page = other.page
    assert other.picture() == ""
    assert not page.is_visible("#visit")
    assert other.overflow() == 0
    page.tap("#photo .tile[data-key=rocket]")
    page.wait_for_selector(".plain img")
    assert other.paint("night-swirl") != mine
    other.settled()
    assert other.overflow() == 0
    box = page.locator(".compare").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375
    assert 0 <= box["y"] < 400, "whoever chose a style sees the picture"
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    assert 0 <= page.locator(".compare").bounding_box()["y"] < 60, "beside the sliders"
    page.evaluate("studio.brush()")
    page.wait_for_selector("#brush-room canvas")
    room = page.locator("#brush-room").bounding_box()
    assert room["x"] >= 0
    assert room["x"] + room["width"] <= 375
    other.close()
    context.close()
    assert tab.picture() == mine
    tab.visits(1)


def test_words_stand_out_in_light_and_dark(tab: Tab) -> None:
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        tab.page.reload()
        tab.page.click("#photo .tile[data-key=cat]")
        tab.page.wait_for_selector(".plain img")
        paper = "getComputedStyle(document.body).backgroundColor"
        ground = luminance(tab.page.evaluate(paper))
        assert (ground < 0.1) == (scheme == "dark")
        words = ("h1", "header p", "#style h2", ".tile .name", ".drop .words", "#status p")
        for what in (*words, "#mix span"):
            color = "what => getComputedStyle(document.querySelector(what)).color"
            ink = luminance(tab.page.evaluate(color, what))
            contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
            assert contrast >= 4.5, what  # WCAG 2, level AA


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2) of a CSS color rgb(r, g, b)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_newest_click_counts_in_whatever_order_they_arrive(tab: Tab) -> None:
    tab.page.click("#photo .tile[data-key=cat]")
    tab.page.wait_for_selector(".plain img")
    late: list[Any] = []

    def arrive(route: Any) -> None:
        if late:
            route.continue_()
        else:
            late.append(route)

    tab.page.route("**/queue/join*", arrive)
    tab.page.click("#style .tile[data-key=woodcut]")
    second = tab.paint("mosaic")
    assert len(late) == 1
    with tab.page.expect_response("**/queue/join*"):
        late[0].continue_()
    tab.page.wait_for_timeout(1000)
    assert tab.picture() == second
    assert "Mosaic" in tab.settled()
    tab.visits(1)
    pressed = tab.page.locator("#style .tile[aria-pressed=true]")
    assert pressed.get_attribute("data-key") == "mosaic"


def test_a_slider_does_not_throw_a_refinement_away(tab: Tab) -> None:
    page = tab.page
    page.click("#photo .tile[data-key=cat]")
    page.wait_for_selector(".plain img")
    painted = tab.paint()
    tab.steps()
    page.click("#refine")
    page.wait_for_selector("#status >> text=/step \\d+ of/")
    page.focus("#strength input[type=range]")
    page.keyboard.press("Home")
    page.wait_for_selector("#apply")
    page.wait_for_selector("#status >> text=/step \\d+ of/")

    seen_at = "window.seen = document.querySelector('.compare .after').src"
    tab.changed(painted)
    with page.expect_download() as got:
        page.evaluate(f"{seen_at}; document.querySelector('#download').click()")
    with Image.open(got.value.path()) as kept:
        assert look.data_url(kept, look.PREVIEW) == page.evaluate("window.seen")
    assert got.value.suggested_filename == "cat-woodcut.png"

    page.click("#apply")
    tab.visits(3)
    tab.settled()
    assert apart(seen(tab.picture()), sample("cat")) < 6, "the strength that had to wait"
    last = tab.picture()
    page.click("#visit .tile >> nth=1")
    tab.changed(last)
    with page.expect_download() as got:
        page.click("#download")
    assert got.value.suggested_filename == "cat-woodcut-refined.png", "as far as it had come"


def test_a_slider_is_followed_and_the_picture_comes_when_it_rests(tab: Tab) -> None:
    page = tab.page
    page.click("#photo .tile[data-key=cat]")
    page.wait_for_selector(".plain img")
    painted = tab.paint()
    page.evaluate(
        """() => { window.sketches = new Set();
        new MutationObserver(() => { const figure = document.querySelector('.compare');
          if (figure?.dataset.sketch) window.sketches.add(figure.querySelector('.after').src); })
        .observe(document.body, {subtree: true, attributes: true, childList: true}) }"""
    )
    page.focus("#strength input[type=range]")
    for _ in range(19):
        page.keyboard.press("ArrowLeft")  # by five, down to 5
        page.wait_for_timeout(40)
    with page.expect_download() as got:  # waits for the picture itself
        page.click("#download")
    assert page.evaluate("window.sketches.size") >= 1
    last = tab.picture()
    assert last != painted
    assert not page.evaluate("document.querySelector('.compare').dataset.sketch ?? ''")
    with Image.open(got.value.path()) as kept:
        assert look.data_url(kept, look.PREVIEW) == last
        assert apart(kept.convert("RGB"), sample("cat")) < 8, "the strength it came to rest at"
    tab.visits(1)  # sketches are not kept


def test_a_picture_refines_by_itself_until_a_newer_wish(tab: Tab) -> None:
    page = tab.page
    page.check("#onward input")
    tab.steps()
    page.click("#photo .tile[data-key=cat]")
    page.wait_for_selector(".plain img")
    first = tab.paint()
    page.wait_for_selector("#status >> text=/step \\d+ of/")
    refined = tab.changed(first)
    page.click("#style .tile[data-key=mosaic]")
    tab.visits(2)  # each in its own place
    page.wait_for_selector("#status >> text=/step \\d+ of/")
    second = tab.picture()
    page.click("#stop")
    page.wait_for_selector("#refine")
    assert "Mosaic" in tab.settled()
    assert second not in (first, refined)
    page.uncheck("#onward input")
    tab.paint("waves")
    tab.settled()
    assert not page.is_visible("#stop")


def test_the_camera_gives_a_photo_and_a_part_of_it_is_cut_out(tab: Tab) -> None:
    page = tab.page
    page.click("#camera")
    page.click("#camera-room >> text=Take the photo")
    whole = "#photo .drop img"
    page.wait_for_selector(whole)
    width, height = seen(page.get_attribute(whole, "src")).size
    page.click("#crop")
    page.focus("#crop-room input >> nth=2")
    page.keyboard.press("Home")  # the right edge as far to the left as it goes, a tenth
    before = page.get_attribute(whole, "src")
    page.click("#crop-room >> text=Use this part")
    new = "before => document.querySelector('#photo .drop img').src !== before"
    page.wait_for_function(new, arg=before)
    assert seen(page.get_attribute(whole, "src")).size == (round(width / 10), height)
    before = page.get_attribute(whole, "src")
    page.click("#crop")
    page.click("#crop-room >> text=The whole photo")
    page.wait_for_function(new, arg=before)
    assert seen(page.get_attribute(whole, "src")).size == (width, height)


def test_the_stage_stays_in_view_and_takes_a_photo(tab: Tab, photo: Path) -> None:
    page = tab.page
    page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const dropped = new DataTransfer();
            dropped.items.add(new File([bytes], "cat.jpg", { type: "image/jpeg" }));
            const stage = document.querySelector("#canvas");
            stage.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
        }""",
        base64.b64encode(photo.read_bytes()).decode(),
    )
    page.wait_for_selector(".plain img")
    assert apart(seen(page.get_attribute("#photo .drop img", "src")), sample("cat")) < 6
    tab.paint()
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("() => scrollY > 100")
    box = page.locator("#stage").bounding_box()
    assert 0 <= box["y"] < 60
    page.click(".zoom")
    width = "() => document.querySelector('#zoom img').getBoundingClientRect().width"
    page.wait_for_function(f"({width})() === {SIZE}")
    page.keyboard.press("Escape")
    page.wait_for_selector("#zoom", state="detached")


# ------------------------------------------------------------------------------------ broken and hostile


def bomb(width: int, height: int) -> bytes:
    """A PNG of one-bit white, a few dozen kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress((b"\0" + b"\xff" * ((width + 7) // 8)) * height, 1)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_what_is_wrong_with_a_file_is_said_in_words(tab: Tab, tmp_path: Path, photo: Path) -> None:
    told = {
        "bomb.png": (bomb(20_000, 10_000), "200 megapixels"),
        "torn.jpg": (photo.read_bytes()[:2000], "damaged"),
        "text.png": (b"no picture at all", "not a picture I can read"),
        "large.bmp": (bytes(1_200_000), "takes up to 1"),
    }
    for name, (data, words) in told.items():
        (tmp_path / name).write_bytes(data)
        tab.drop("#photo", tmp_path / name)
        tab.page.wait_for_selector(f".toast-body >> text={words}")
        tab.page.click(".toast-close")
        tab.page.wait_for_selector(".toast-body", state="detached")
    assert "Traceback" not in tab.page.inner_text("body")
    assert tab.page.query_selector("#photo .drop img") is None
    tab.drop("#photo", photo)  # and all goes on
    assert tab.page.wait_for_selector(".plain img")


def test_requests_at_once_lose_nothing(site: Site, tmp_path: Path) -> None:
    client_module = pytest.importorskip("gradio_client")
    client = client_module.Client(
        site.url, verbose=False, download_files=str(tmp_path), analytics_enabled=False
    )
    assert client.view_api(return_format="dict")["named_endpoints"].keys() == {"/stylize"}
    files = [tmp_path / f"{number}.png" for number in range(8)]
    for number, file in enumerate(files):
        Image.new("RGB", (48, 32), (30 * number, 255 - 30 * number, 90)).save(file)
    jobs = [
        client.submit(
            photo=client_module.handle_file(str(file)),
            styles=["mosaic"],
            strength=0.0,
            size=48,
            api_name="/stylize",
        )
        for file in files
    ]
    for file, job in zip(files, jobs, strict=True):
        with (
            Image.open(job.result(60)) as made,
            Image.open(file) as sent,
        ):  # at strength 0 each is its own photo
            assert apart(made.convert("RGB"), sent) <= 1


def test_gradios_client_is_told_its_mistakes_and_gives_a_password(
    site: Site, tmp_path: Path, photo: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client_module = pytest.importorskip("gradio_client")
    key = base64.b64encode(b"ada:secret").decode()
    client = client_module.Client(
        site.locked,
        headers={"Authorization": f"Basic {key}"},
        verbose=False,
        download_files=str(tmp_path),
        analytics_enabled=False,
    )
    asked = {"photo": client_module.handle_file(str(photo)), "styles": ["mosaic"], "size": 48}
    capfd.readouterr()
    for wrong, words in (
        ({"size": "big"}, "Size takes a whole number, not '"),
        ({"refine": "x"}, "Refine takes a whole number, not '"),
        ({"strength": [1]}, "Strength takes a number"),
        ({"styles": ["nothing"]}, "no style called 'nothing'"),
        ({"styles": 5}, "did not work"),
    ):
        with pytest.raises(client_module.exceptions.AppError, match=words):
            client.predict(**(asked | wrong), api_name="/stylize")
    assert "Traceback" not in capfd.readouterr().err
    assert Path(client.predict(**asked, api_name="/stylize")).is_file()


def ask(site: Site, path: str, body: object = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    request = Request(site.url + path, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except HTTPError as error:
        return error.code, error.read().decode(errors="replace")


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=https://example.com/",
        "/gradio_api/proxy=https://example.com/",
        "/gradio_api/process_recording",
        "/gradio_api/run-history/buckets",
        "/gradio_api/deep_link",
        "/gradio_api/openapi.json",
        "/gradio_api/app_id",
        "/gradio_api/user",
        "/gradio_api/login_check",
        "/gradio_api/startup-events",
        "/gradio_api/queue/status",
        "/gradio_api/cancel",
        "/gradio_api/reset",
        "/gradio_api/run/pick",
        "/gradio_api/api/take_photo",
        "/gradio_api/call/refined",
        "/gradio_api/upload_progress?upload_id=a",
        "/openapi.json",
        "/login",
        "/logout",
        "/monitoring",
        "/static/../../etc/passwd",
    ],
)
def test_what_the_page_does_not_need_is_closed(site: Site, path: str) -> None:
    for body in (None, {}):
        status, answer = ask(site, path, body)
        assert status in (404, 405)
        assert list(json.loads(answer)) == ["error"]


@pytest.mark.parametrize(
    "sent",
    [
        {"path": "PHOTO"},
        {"path": "/etc/../PHOTO"},
        {"path": "https://example.com/cat.jpg"},
        {"path": "cat.jpg", "url": "https://example.com/cat.jpg"},
        {"path": "cat.jpg", "url": "data:image/png;base64,AAAA"},
    ],
)
def test_only_uploaded_files_are_taken(site: Site, sent: dict[str, str], photo: Path) -> None:
    sent = {
        **sent,
        "path": sent["path"].replace("PHOTO", str(photo)),
        "meta": {"_type": "gradio.FileData"},
    }
    body = {"data": [sent, ["mosaic"], [], 1.0, 1.0, "none", 48, 0]}
    status, answer = ask(site, "/gradio_api/call/stylize", body)
    assert status == 200
    _, told = ask(site, f"/gradio_api/call/stylize/{json.loads(answer)['event_id']}")
    assert "event: error" in told
    assert "/gradio_api/file=" not in told


def test_an_upload_beyond_the_limit_is_cut_off(site: Site) -> None:
    connection = HTTPConnection(urlsplit(site.url).netloc, timeout=30)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", "2000000")
    connection.endheaders()
    assert connection.getresponse().status == 413  # before a byte of it is sent
    connection.close()


# -------------------------------------------------------------------------------------- without a browser


def answered(guard: Guard, path: str, *chunks: bytes) -> list[Any]:
    """What an ASGI application answers to a POST whose body comes in chunks, with no length told
    before.
    """
    sent: list[Any] = []
    left = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def receive() -> Any:
        return left.pop(0) if left else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def whole() -> None:
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        await guard(scope, receive, send)

    with ThreadPoolExecutor(1) as aside:  # Playwright has a loop running in this thread
        aside.submit(asyncio.run, whole()).result()
    return sent


def test_the_pages_server_sees_whole_bodies_only(tmp_path: Path) -> None:
    read: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        read.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    budget = Budget(3_000_000)
    guard = Guard(app, tmp_path, budget)
    sent = [b'{"data": "', b"a" * 600_000, b'"}']
    assert answered(guard, "/gradio_api/queue/join", *sent)[0]["status"] == 200
    assert read == [b"".join(sent)]
    read.clear()
    assert answered(guard, "/gradio_api/queue/join", *[bytes(600_000)] * 9)[0]["status"] == 413
    assert answered(guard, "/gradio_api/queue/join", b"[1]")[0]["status"] == 400
    assert answered(guard, "/gradio_api/queue/join", b"[" * 100_000)[0]["status"] == 400
    assert not read
    assert budget.held == 0
    taken = budget.lease(2_900_000)
    assert answered(guard, "/gradio_api/queue/join", *sent)[0]["status"] == 507
    taken.release()


@pytest.mark.parametrize(
    "good", [None, {"path": "/tmp/a/cat.jpg"}, [{"path": "cat.jpg", "url": None}], "https://a.b"]
)
def test_files_that_were_uploaded_pass(good: object) -> None:
    refuse_foreign_files([good, 1, {"a": good}])


@pytest.mark.parametrize(
    "bad", ["HTTP://a.b/c.jpg", "file:///etc/passwd", "ftp://a/b", "/tmp/../etc/passwd", "data:,a"]
)
def test_addresses_in_place_of_files_are_refused(bad: str) -> None:
    with pytest.raises(ImpastoError, match="uploaded files only"):
        refuse_foreign_files([{"deep": [{"path": bad}]}])


def test_a_visit_takes_no_path_from_elsewhere(tmp_path: Path, photo: Path) -> None:
    (tmp_path / "root").mkdir()
    visit = Visits(tmp_path / "root", LIMITS).of("a")
    inside = shutil.copy(photo, tmp_path / "root" / "cat.jpg")
    (tmp_path / "root" / "link.jpg").symlink_to(photo)
    assert visit.received({"paths": [inside]}) == [Path(inside)]
    for path in (
        photo,
        tmp_path / "root" / ".." / "cat.jpg",
        tmp_path / "root" / "link.jpg",
        tmp_path / "root",
        "",
    ):
        with pytest.raises(ImpastoError, match="did not arrive"):
            visit.received({"paths": [str(path)]})


def test_visits_are_apart_and_end(tmp_path: Path) -> None:
    visits = Visits(tmp_path, Limits(keep=1))
    one, two = visits.of("one"), visits.of("two")
    assert one is visits.of("one")
    assert one.folder != two.folder
    assert one.folder.stat().st_mode & 0o077 == 0
    one.seen -= 2
    visits.of("three")
    assert not one.folder.exists()
    assert two.folder.exists()


def test_names_of_sessions_without_end_make_no_visits_without_end(tmp_path: Path) -> None:
    visits = Visits(tmp_path, Limits())
    first, second = visits.of("0"), visits.of("1")
    for number in range(2, 64):
        visits.of(str(number))
    visits.of("0")
    for number in range(64, 100):
        visits.of(str(number))
    assert len(list(tmp_path.iterdir())) == 64
    assert visits.of("0") is first, "seen lately"
    assert not second.folder.exists()


def test_who_is_here_or_at_work_makes_no_room(tmp_path: Path) -> None:
    visits = Visits(tmp_path, Limits())
    first = visits.of("0")
    with ExitStack() as pages:
        for number in range(64):
            visits.of(str(number))
            pages.enter_context(visits.connected(str(number)))
        with pytest.raises(BusyError, match="full: 64 visitors"):
            visits.of("newcomer")
        for visit in map(visits.of, map(str, range(64))):
            visit.seen -= 100
        assert not visits.yield_room()
    assert visits.yield_room()
    assert not first.folder.exists()
    visits.of("newcomer")


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (
            "Impression, Sunrise, Claude Monet, 1872",
            ("Impression, Sunrise", "Claude Monet", "1872"),
        ),
        ("The Wave, Hokusai, about 1831", ("The Wave", "Hokusai", "about 1831")),
        ("Water Lilies, Claude Monet", ("Water Lilies", "Claude Monet", "")),
        ("learned from a file", ("A name", "", "")),
    ],
)
def test_a_style_names_its_painter(note: str, told: tuple[str, str, str]) -> None:
    assert credit(StyleCard("a-name", "A name", note, learned=True, sample=False)) == told


def test_a_late_wish_does_not_undo_a_newer_one(tmp_path: Path) -> None:
    visit = Visit(tmp_path, LIMITS)
    assert visit.hears("style", 2)
    assert not visit.hears("style", 1)
    assert visit.hears("photo", 1), "another matter"
    assert visit.hears("style", 3)


def test_leaving_begins_no_visit(tmp_path: Path) -> None:
    from impasto.apps.studio.page import _Page

    with Quick("cpu", LIMITS) as engine:
        page = _Page(engine, tmp_path, Jobs(engine))
        request = importlib.import_module("gradio").Request(session_hash="stranger")
        page.leave(request)
        assert list(tmp_path.iterdir()) == []
        page.visit(request)
        page.leave(request)
        assert len(list(tmp_path.iterdir())) == 1


def test_a_visit_is_resumed_by_its_key_alone_and_not_from_an_open_page(tmp_path: Path) -> None:
    visits = Visits(tmp_path, LIMITS)
    first = visits.of("one")
    first.hears("style", 9)
    for key in ("no such key", "", "é"):
        assert visits.resumed("two", key) is not first
    assert visits.resumed("one", first.key) is first, "its own"
    with visits.connected("one"):
        assert visits.resumed("three", first.key) is not first
    assert visits.resumed("two", first.key) is first
    assert visits.begun("one") is None
    assert first.hears("style", 1), "a page that is loaded again counts anew"


def test_a_photo_in_every_style_is_packed_with_a_sheet(tmp_path: Path) -> None:
    with Engine("cpu", LIMITS) as engine:
        visit = Visit(tmp_path, LIMITS)
        with pytest.raises(ImpastoError, match="drop a photo"):
            next(visit.try_all(engine, ["mosaic"]))
        visit.use_photo(Upload(sample("cat"), "cat"))
        names = [card.name for card in engine.styles() if card.learned][:3]
        assert list(visit.try_all(engine, names)) == [1, 2, 3]
        with zipfile.ZipFile(visit.archive(str.upper)) as archive:
            assert set(archive.namelist()) == {
                "styles/all.jpg",
                *(f"styles/{name}.jpg" for name in names),
            }
            with Image.open(BytesIO(archive.read(f"styles/{names[1]}.jpg"))) as image:
                assert max(image.size) == SIZE
                alone = image.convert("RGB")
            with Image.open(BytesIO(archive.read("styles/all.jpg"))) as sheet:
                left = 12 + alone.width + 12
                part = sheet.crop((left, 12, left + alone.width, 12 + alone.height))
                assert apart(part, alone) < 3
        assert not visit.history, "nothing of the visit's pictures was touched"
        visit.use_photo(Upload(sample("coffee"), "coffee"))
        assert not visit.tried


def test_refining_aside_takes_the_place_of_the_picture_and_a_wish_ends_it(tmp_path: Path) -> None:
    with Engine("cpu", Limits(size=64, steps=1_000_000)) as engine:
        visit = Visit(tmp_path, engine.limits)
        visit.use_photo(Upload(sample("cat"), "cat"))
        assert list(visit.improve(engine, 5)) == [], "there is no picture"
        visit.chosen = ["woodcut"]
        list(visit.paint(engine, Choice(("woodcut",), Settings(size=64))))
        file = visit.made
        glimpses = visit.improve(engine, 1_000_000)
        while next(glimpses).step < 3:
            pass
        assert visit.improving
        assert not visit.at_work
        assert list(visit.improve(engine, 5)) == [], "one at a time"
        visit.chosen = ["mosaic"]
        *_, last = visit.paint(engine, Choice(("mosaic",), Settings(size=64)))
        assert last.done
        assert [glimpse for glimpse in glimpses if glimpse.done]
        assert [(kept.choice.styles, kept.refined) for kept in visit.history.values()] == [
            (("woodcut",), True),
            (("mosaic",), False),
        ]
        assert not file.exists()
        assert all(kept.file.exists() for kept in visit.history.values())
        *_, end = visit.improve(engine, 4)
        assert (end.step, end.done) == (4, True)
        assert visit.current is not None
        assert visit.current.refined
        assert list(visit.improve(engine, 4)) == [], "it is refined already"


def test_a_part_of_a_photo_is_those_pixels_and_the_whole_comes_back(tmp_path: Path) -> None:
    visit = Visit(tmp_path, LIMITS)
    with pytest.raises(ImpastoError, match="drop a photo"):
        visit.crop([0, 0, 1, 1])
    whole = visit.use_photo(Upload(sample("cat").resize((300, 200)), "cat", "0" * 64))
    part = visit.crop([0.5, 0.25, 1, 0.75])
    assert (
        ImageChops.difference(part.image, whole.image.crop((150, 50, 300, 150))).getbbox() is None
    )
    assert part.sha256 == "", "it is not the file any more"
    assert visit.crop([0, 0, 0.5, 2]).image.size == (75, 100), "of what is shown"
    for box in (
        [0, 0, 1],
        "all",
        [0.5, 0, 0.5, 1],
        [0, float("nan"), 1, float("nan")],
        [0, 0, "1", 1],
    ):
        with pytest.raises(ImpastoError):
            visit.crop(box)
    assert visit.crop(None) is whole
    assert visit.photo is whole


def test_choosing_and_mixing(tmp_path: Path) -> None:
    visit = Visit(tmp_path, Limits(styles=2))
    visit.choose(["a"], mix=False)
    visit.choose(["b"], mix=False)
    assert visit.chosen == ["b"]
    visit.choose(["a"], mix=True)
    assert visit.chosen == ["b", "a"]
    with pytest.raises(ImpastoError, match="up to 2"):
        visit.choose(["c"], mix=True)
    visit.choose(["b"], mix=True)
    assert visit.chosen == ["a"]
    visit.choose(["a"], mix=True)
    assert visit.chosen == ["a"], "one style at least"


def test_a_newer_wish_overtakes_an_older_one(tmp_path: Path) -> None:
    with Engine("cpu", Limits(size=64, steps=1_000_000)) as engine:
        visit = Visit(tmp_path, engine.limits)
        visit.use_photo(Upload(sample("cat"), "cat"))
        slow = visit.paint(engine, Choice(("woodcut",), Settings(size=64)), refine=1_000_000)
        next(slow)
        *_, last = visit.paint(engine, Choice(("mosaic",), Settings(size=64)))
        assert last.done
        assert not [glimpse for glimpse in slow if glimpse.done], (
            "the older one ends without a word"
        )
        assert [kept.choice.styles for kept in visit.history.values()] == [("mosaic",)]
        assert len(engine) == 0


def test_a_wish_that_is_refused_leaves_the_one_before(tmp_path: Path) -> None:
    with Engine("cpu", Limits(size=64, steps=1_000_000, waiting=1)) as engine:
        visit, other = Visit(tmp_path, engine.limits), Visit(tmp_path, engine.limits)
        for each in (visit, other):
            each.use_photo(Upload(sample("cat"), "cat"))
        slow = visit.paint(engine, Choice(("woodcut",), Settings(size=64)), refine=1_000_000)
        while not next(slow).step:
            pass
        with pytest.raises(ImpastoError, match="`size` must be between"):
            next(visit.paint(engine, Choice(("woodcut",), Settings(size=4096))))
        waits = other.paint(engine, Choice(("mosaic",), Settings(size=64)))
        assert next(waits).ahead == 1
        with pytest.raises(ImpastoError, match="busy"):
            next(visit.paint(engine, Choice(("mosaic",), Settings(size=64))))
        instead = other.paint(engine, Choice(("waves",), Settings(size=64)))
        assert next(instead).ahead == 1, "in a full queue, in the place of one's own order before"
        assert list(waits) == []
        assert visit.at_work
        visit.stop()
        *_, last = slow
        assert last.step
        assert [kept.choice.styles for kept in visit.history.values()] == [("woodcut",)]
        assert [glimpse.done for glimpse in instead][-1]
        assert not other.at_work


def test_settings_and_controls_are_each_others_inverse() -> None:
    for choice in (
        Choice(("a",), Settings(strength=0.35, style_scale=1.5, keep_color="luminance", size=512)),
        Choice(("a", "b", "c"), Settings(blend=(0.2, 0.0, 1.0), style_scale=0.25, size=2048)),
    ):
        assert Choice.read(choice.styles, choice.controls(4)) == choice


def test_pictures_in_the_page_are_what_they_were() -> None:
    image = sample("coffee")
    shown = seen(look.data_url(image, 300))
    assert max(shown.size) == 300
    assert apart(shown, image) < 5


def test_what_visitors_write_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    for html in (
        look.tiles(evil, [look.Tile(evil, evil, evil, evil)]),
        look.progress(evil, hint=evil),
        look.drop(evil, evil),
    ):
        assert "<script" not in html
        assert '"">' not in html


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (2, "a few seconds"),
        (12, "about 10 seconds"),
        (44, "about 45 seconds"),
        (62, "about a minute"),
        (200, "about 3 minutes"),
    ],
)
def test_time_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert look.time_words(seconds) == words


def test_the_space_serves_what_the_command_does(monkeypatch: pytest.MonkeyPatch) -> None:
    served: dict[str, Any] = {}
    monkeypatch.setattr(
        "impasto.apps.studio.serve.serve",
        lambda engine, **where: served.update(where, engine=engine),
    )
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "deploy" / "space" / "app.py"), run_name="__main__")
    assert not end.value.code
    assert (served["host"], served["port"]) == ("0.0.0.0", 7860)
    served["engine"].close()


def test_containers_and_spaces_are_what_they_say() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    torch = next(need for need in project["dependencies"] if need.startswith("torch"))
    docker = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert f'"{torch}"' in docker
    assert docker.rindex("USER studio") < docker.rindex("ENTRYPOINT"), "it runs without rights"
    space = ROOT / "deploy" / "space"
    assert torch in (space / "requirements.txt").read_text(encoding="utf-8").split()
    header = (space / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert (space / re.search(r"^app_file: (.+)$", header, re.MULTILINE)[1]).is_file()
    assert "sdk: gradio" in header
