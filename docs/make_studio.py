"""Makes docs/studio.jpg: the studio in Chromium, with a sample photo and a region painted over it.

python docs/make_studio.py
"""

import io
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).with_name("studio.jpg")
WINDOW = {"width": 1280, "height": 900}


def opened(process: "subprocess.Popen[str]") -> str:
    """The address of a studio, once it has said so."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    sys.exit("the studio did not open")


def painted(page: Any) -> bytes:
    """A sample photo in one style, and what is behind the cat in another."""
    page.wait_for_function("document.querySelectorAll('#style .tile img').length > 21")
    page.uncheck("#onward input")
    page.click("#photo .tile[data-key=cat]")
    page.wait_for_selector(".plain img")
    page.click("#style .tile[data-key=great-wave]")
    page.wait_for_selector("#status >> text=pixels")
    page.click("#brush")
    page.fill("#brush-room input[type=range]", "22")
    box = page.locator("#brush-room canvas").bounding_box()
    path = [(0.97, 0.02), (0.93, 0.2), (0.95, 0.4), (0.93, 0.6), (0.95, 0.8), (0.85, 0.98)]
    path += [(0.82, 0.8), (0.86, 0.6), (0.88, 0.9)]
    for number, (x, y) in enumerate(path):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
        if not number:
            page.mouse.down()
    page.mouse.up()
    page.select_option("#brush-room select >> nth=0", "starry-night")
    page.click("#brush-room .main")
    page.wait_for_selector("#status >> text=/in the painted region.*pixels/")
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.evaluate("document.querySelector('#style .groups').scrollTo(0, 0)")
    page.mouse.move(640, 20)
    time.sleep(1)
    return bytes(page.screenshot())


def main() -> None:
    """Open a studio, paint, and take the picture."""
    chromium = shutil.which("chromium") or sys.exit("there is no Chromium here")
    command = [sys.executable, "-m", "impasto", "serve", "--port", "0"]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as studio,
        sync_playwright() as playwright,
    ):
        try:
            arguments = ["--no-sandbox", "--headless", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            page = browser.new_page(viewport=WINDOW)
            page.set_default_timeout(120_000)
            page.goto(opened(studio))
            shot = painted(page)
            browser.close()
        finally:
            studio.terminate()
    Image.open(io.BytesIO(shot)).convert("RGB").save(OUT, quality=88, optimize=True)


if __name__ == "__main__":
    main()
