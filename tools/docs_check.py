"""Runs every command and snippet of README and docs once, as printed: `make docs-check`.

    python tools/docs_check.py [--from PAGE] [PAGE …]

Each page has a folder of its own with the files that its examples name, made from sample data. A
line that would take long is run with more options behind its own, by `SHORTER`; what cannot be run
is listed in `LEFT_OUT` with the reason. Both are said in the report, and nothing else is left out.
Servers listen at a free port in place of the one printed. No time is judged: a limit is there only
for what hangs. A table of the pages ends the report.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "deploy" / "README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"\s+#\s.*$")

# What a command is to be run with besides, by a pattern of the line; the first that is found.
_TRAINING = "--steps 1 --batch 1 --crop 64"
SHORTER = {
    r"impasto stylize .*--refine": "--size 96 --refine 2",
    r"impasto stylize .*--method": "--size 96",
    r"impasto stylize .* (starry-night|harbour)\b": "--size 96",
    r"impasto (stylize|demo)": "--size 96 --steps 2",
    r"impasto grid .*--over steps": "--size 64",
    r"impasto (reconstruct|grid)": "--size 64 --steps 2",
    r"impasto (batch|film) .*--method": "--size 64",
    r"impasto (batch|film)": "--size 64 --steps 1",
    r"impasto deltas .*--smooth": "--size 96 --steps 2",
    r"impasto styles add \S+\.impasto$": "--replace",
    r"impasto learn": f"{_TRAINING} --replace",
    r"impasto train": _TRAINING,
    r"impasto pairs": "--size 64 --steps 1",
    r"^curl ": "--fail --silent --show-error",
}
LEFT_OUT = {
    r"^make ": "it sets up an environment; CI runs it",
    r"^(pip|npm|git|apt-get) ": "it installs",
    r"node_modules": "it needs a package of npm",
    r"^docker ": "it needs Docker",
    r"hf://": "it fetches from the Hub",
    r"s3://": "it needs a bucket; the tests have one",
    r"--watch\b": "it waits for more photos until it is stopped",
    r"--ray\b": "it needs Ray; make test-ray has it",
    r"^(fabric|torchrun|srun) ": "the tests of several processes run it",
}
VERDICTS = ("ok", "left out", "offline", "FAILED")
LIMIT = 1800  # seconds: longer than any example takes on a busy machine
PORT = "7860"  # the one that pages print

# Said by a command that needs a network where there is none.
OFFLINE = "no vgg19: cannot fetch"

# Before every snippet of Python: the names that pages take for granted, and small pictures.
PRELUDE = """
import torch, impasto
from PIL import Image
import impasto.pipeline as _pipeline
_plan = _pipeline.plan
def _small(content, styles, settings=None, **options):
    if settings is None:
        options.setdefault("size", 96)
        if options.get("method", "optimize") == "optimize":
            options["steps"] = 2 if _painted(styles) else None
    return _plan(content, styles, settings, **options)
def _painted(styles):
    return not isinstance(styles, str) or "." in styles
_pipeline.plan = _small
photo, a, b = (Image.open(f"{name}.jpg") for name in ("photo", "a", "b"))
image, mask = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 96, 128)
"""


def files(folder: Path) -> None:
    """What examples name: small pictures from sample data, folders of them, pictures that were
    made.
    """
    from PIL import Image

    from impasto.pictures.samples import STYLES, sample, sample_names, sample_style

    paintings = {name: sample_style(name).resize((96, 96)) for name in STYLES}
    sample("cat").resize((128, 96)).save(folder / "photo.jpg")
    for name, style in (("painting", "waves"), ("a", "mosaic"), ("b", "orphism")):
        paintings[style].save(folder / f"{name}.jpg")
    for name in ("photos", "paintings", "one", "results", "painted"):
        (folder / name).mkdir()
    for name in sample_names():
        for side in (80, 96, 112):
            sample(name).resize((128, side)).save(folder / "photos" / f"{name}{side}.jpg")
    for name, picture in (paintings | {"harbour": paintings["waves"]}).items():
        picture.save(folder / "paintings" / f"{name}.jpg")
    paintings["waves"].save(folder / "one" / "waves.jpg")
    sky = Image.new("L", (128, 96), 0)
    sky.paste(255, (0, 0, 128, 48))
    for name in ("sky", "mask"):
        sky.save(folder / f"{name}.png")
    sky.point(lambda level: 255 - level).save(folder / "ground.png")
    _film(folder / "clip.mp4", sample("cat").resize((128, 96)))
    run("impasto stylize photo.jpg waves --size 96 --method arbitrary -q -o out.png", folder)
    for name in ("painted.png", "a.png", "b.png", "results/a.png", "results/b.png"):
        shutil.copy(folder / "out.png", folder / name)


def _film(path: Path, picture: Any) -> None:
    """Four frames of a picture that moves a little."""
    import av

    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = *picture.size, "yuv420p"
        for place in range(4):
            moved = picture.transform(picture.size, 0, (1, 0, place, 0, 1, 0))
            film.mux(stream.encode(av.VideoFrame.from_image(moved)))
        film.mux(stream.encode(None))


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in that folder; it fails where it takes longer than `LIMIT`."""
    command = ["bash", "-c", line]
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"it did not end in {LIMIT} s")


def free_port() -> str:
    """A port at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """This Python's commands first, and a home for learned styles of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "IMPASTO_HOME": str(folder / "home")}


def examples(page: Path) -> Iterator[tuple[str, str]]:
    """`("sh", line)` and `("python", snippet)`, in their order."""
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in ("python", "py"):
            yield "python", text
        elif re.search(
            r"^[A-Z]+=(\S+|\$\(.*\))$", text, re.MULTILINE
        ):  # lines that share variables
            yield "sh", "set -e\n" + "\n".join(COMMENT.sub("", each) for each in text.splitlines())
        elif language in ("", "sh", "console"):
            for line in text.replace("\\\n", " ").splitlines():
                if re.match(
                    r"(\w+=\S+ )*(impasto|make|pip|npm|git|apt-get|docker|fabric|curl|python) ",
                    line,
                ):
                    yield "sh", COMMENT.sub("", line)


def shortened(line: str) -> str:
    """The line with what makes it short."""
    found = next((more for pattern, more in SHORTER.items() if re.search(pattern, line)), "")
    return f"{line} {found}".rstrip()


class Page:
    """One page's examples, run one after the other in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[subprocess.Popen[bytes]] = []
        self.unmade: set[str] = set()  # files of lines that were not run
        self.port = free_port()

    def check(self, kind: str, text: str) -> tuple[str, str]:
        """`ok`, `left out`, `offline` or `FAILED`, and what to say of it."""
        text = text.replace(PORT, self.port)
        if kind == "python":
            script = self.folder / "snippet.py"
            small = re.sub(r"\bsize=\d+", "size=96", re.sub(r"\bsteps=\d+", "steps=2", text))
            script.write_text(PRELUDE + small, encoding="utf-8")
            return self._verdict(run("python snippet.py", self.folder), "small pictures, two steps")
        for pattern, why in LEFT_OUT.items():
            if re.search(pattern, text):
                return "left out", why
        if lacking := self.unmade & set(text.split()):
            return "left out", f"it needs {', '.join(lacking)} of a line that was not run"
        if "impasto serve" in text:
            return self._serve(text, "--port", "/api/v1/health")
        if "http.server" in text:
            return self._serve(text, "", "/")
        line = shortened(text)
        verdict = self._verdict(run(line, self.folder), line[len(text) :].strip())
        if verdict[0] == "offline":
            self.unmade |= set(re.findall(r"-o (\S+)", text))
        return verdict

    def _verdict(self, done: subprocess.CompletedProcess[str], how: str) -> tuple[str, str]:
        if done.returncode == 0:
            return "ok", how
        if OFFLINE in done.stderr:
            return "offline", "it fetches VGG-19"
        return "FAILED", (done.stderr or done.stdout).strip()[-600:]

    def _serve(self, line: str, option: str, path: str) -> tuple[str, str]:
        """Started, with its port behind `option`, asked for `path`, and left running for the lines
        that follow.
        """
        asked = re.search(r"--port (\d+)", line)
        # The page's first server is the one that its other lines speak to.
        port = asked[1] if asked else free_port() if self.servers else self.port
        line += "" if asked else f" {option} {port}"
        server = subprocess.Popen(
            ["bash", "-c", f"exec env {line}"],
            cwd=self.folder,
            env=environment(self.folder),
            stderr=subprocess.DEVNULL,
        )
        self.servers.append(server)
        address = f"http://127.0.0.1:{port}{path}"
        begun = time.monotonic()
        while server.poll() is None and time.monotonic() - begun < LIMIT:
            try:
                with urlopen(address, timeout=2):
                    return "ok", "started, and ended after the page"
            except OSError as error:
                if getattr(error, "code", None):  # it answers, if only that it wants a password
                    return "ok", "started, and ended after the page"
            time.sleep(0.5)
        return "FAILED", f"nothing answers at {address}"

    def close(self) -> None:
        """End the servers."""
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            server.wait(LIMIT)


def checked(path: Path, template: Path) -> Counter[str]:
    """Run the examples of a page in a copy of the folder `template`, say each, and count them by
    verdict.
    """
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="docs-check-") as folder:
        page = Page(Path(shutil.copytree(template, folder, dirs_exist_ok=True)))
        try:
            for kind, text in examples(path):
                begun = time.perf_counter()
                verdict, said = page.check(kind, text)
                counts[verdict] += 1
                shown = text if kind == "sh" else f"python: {text.strip().splitlines()[0]} …"
                seconds = time.perf_counter() - begun
                print(f"  {verdict:8} {seconds:5.1f} s  {shown}", flush=True)
                if said:
                    print(f"{'':20}{said}", flush=True)
        finally:
            page.close()
    return counts


def named(path: Path) -> str:
    """The page as its repository calls it."""
    return str(path.resolve().relative_to(ROOT))


def chosen(pages: list[Path], first: Path | None) -> list[Path]:
    """Those with examples, from `first` on."""
    if first is not None:
        names = [named(page) for page in pages]
        if named(first) not in names:
            raise SystemExit(f"no page {named(first)}; there are {', '.join(names)}")
        pages = pages[names.index(named(first)) :]
    return [page for page in pages if any(examples(page))]


def main() -> None:
    """Run the pages named, or all, and exit with 1 where an example failed."""
    parser = argparse.ArgumentParser(
        description="Runs every command and snippet of the documentation."
    )
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    parser.add_argument(
        "--from", dest="first", type=Path, metavar="PAGE", help="this page and those after it"
    )
    asked = parser.parse_args()
    table: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="docs-check-") as folder:
        files(Path(folder))
        for path in chosen(asked.pages, asked.first):
            print(f"\n{named(path)}", flush=True)
            table[named(path)] = checked(path, Path(folder))
    table["together"] = sum(table.values(), Counter())
    print(f"\n{'':32}" + "".join(f"{verdict:>10}" for verdict in VERDICTS))
    for name, counts in table.items():
        print(f"{name:32}" + "".join(f"{counts[verdict]:10}" for verdict in VERDICTS))
    sys.exit(table["together"]["FAILED"] > 0)


if __name__ == "__main__":
    main()
