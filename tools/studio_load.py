"""What the studio stands, measured on this machine: many visitors at once, and a day's hostile requests.

    python tools/studio_load.py visitors     64 visits, 20 of them painting
    python tools/studio_load.py hostile      3,000 requests that mean harm, in a minute
    python tools/studio_load.py answers      how long small answers take

Each starts a studio of its own on 127.0.0.1 and sends to that one only, from addresses of this
machine's (127.0.0.2 and so on, which Linux has), since the studio counts by address. It prints what
it measured, and ends with 1 where something was lost or a limit passed.
"""

import http.client
import json
import os
import random
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

VISITS, AT_WORK, ROUNDS = 64, 20, 3
MEMORY = 500  # MB
HOSTILE, SECONDS = 3000, 60
SIDE = 512  # px, of the pictures painted


@dataclass
class Studio:
    """A studio that runs: its port, its process and the file that its stderr goes to."""

    port: int
    process: int
    log: Path

    def memory(self, what: str = "VmRSS") -> float:
        """MB of the process now; `VmHWM`: at most so far."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="utf-8")
        return int(re.findall(rf"{what}:\s+(\d+)", status)[0]) / 1000

    def metric(self, name: str) -> float:
        """One figure of /metrics."""
        text = ask(self.port, "GET", "/metrics")[1].decode()
        return float(re.findall(rf"^{name} (\S+)", text, re.M)[0])

    def lines(self) -> list[str]:
        """What it has said so far."""
        return self.log.read_text(encoding="utf-8").splitlines()


@contextmanager
def studio(*options: str) -> Iterator[Studio]:
    """A studio that is ready to paint."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "impasto", "serve", "--port", "0", "--device", "cpu"]
        environment = {**os.environ, "TMPDIR": folder}
        with (
            log.open("w") as out,
            subprocess.Popen([*command, *options], stderr=out, env=environment) as process,
        ):
            try:
                while not (found := re.search(r"127\.0\.0\.1:(\d+)", log.read_text())):
                    time.sleep(0.1)
                here = Studio(int(found[1]), process.pid, log)
                while ask(here.port, "GET", "/api/v1/health/ready")[0] != 200:
                    time.sleep(0.2)
                yield here
            finally:
                begun = time.monotonic()
                process.terminate()
                process.wait(30)
                print(f"ended {time.monotonic() - begun:.2f} s after SIGTERM, which may take 3")


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    source: int = 1,
) -> tuple[int, bytes]:
    """Status and body of one answer, asked for from 127.0.0.`source`."""
    line = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=300, source_address=(f"127.0.0.{source}", 0)
    )
    try:
        line.request(method, path, body, headers or {})
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


def form(name: str, file: str, data: bytes) -> tuple[bytes, dict[str, str]]:
    """A form with one file, and its headers."""
    head = f'--x\r\ncontent-disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    return head.encode() + data + b"\r\n--x--\r\n", kind


def pictures(told: Any) -> list[str]:
    """The paths of all finished pictures that the page was told to show, in order."""
    return re.findall(r'data-full=\\?"(gradio_api/file=[^"\\\\]+)', json.dumps(told))


# ------------------------------------------------------------------------------------------ visitors


class Visitor:
    """A browser window with the page, as far as the studio can tell."""

    def __init__(self, here: Studio, number: int, config: dict[str, Any]) -> None:
        self.port, self.source = here.port, 2 + number % 250
        self.session, self.config = secrets.token_hex(8), config
        self.values = {each["id"]: each["props"].get("value") for each in config["components"]}
        self.values |= {
            each["id"]: SIDE
            for each in config["components"]
            if each["props"].get("elem_id") == "size"
        }
        self.beat = self._stream(f"/gradio_api/heartbeat/{self.session}")

    def _stream(self, path: str) -> http.client.HTTPResponse:
        line = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=300, source_address=(f"127.0.0.{self.source}", 0)
        )
        line.request("GET", path)
        return line.getresponse()

    def event(self, name: str, data: dict[str, Any]) -> list[Any]:
        """Let something happen on the page; all that the studio sent until it had ended."""
        number, what = next(
            (number, each)
            for number, each in enumerate(self.config["dependencies"])
            if each["api_name"] == name
        )
        body = {
            "data": [self.values[each] for each in what["inputs"]],
            "fn_index": what.get("id", number),
            "session_hash": self.session,
            "event_data": data,
            "trigger_id": what["targets"][0][0],
        }
        kind = {"Content-Type": "application/json"}
        told = ask(
            self.port,
            "POST",
            "/gradio_api/queue/join",
            json.dumps(body).encode(),
            kind,
            self.source,
        )
        if told[0] != 200:
            raise RuntimeError(f"{name}: {told}")
        heard = []
        with self._stream(f"/gradio_api/queue/data?session_hash={self.session}") as stream:
            for line in stream:
                if line.startswith(b"data: "):
                    heard.append(json.loads(line[6:]))
                    if heard[-1]["msg"] in ("process_completed", "close_stream"):
                        return heard
        return heard

    def bring(self, photo: bytes) -> None:
        """Drop a photo."""
        body, kind = form("files", "photo.jpg", photo)
        status, told = ask(self.port, "POST", "/gradio_api/upload", body, kind, self.source)
        if status != 200:
            raise RuntimeError(f"upload: {status} {told!r}")
        self.event("take_photo", {"paths": json.loads(told)})

    def paint(self, style: str) -> bool:
        """Press a style; whether a picture of the right size came back, to be downloaded."""
        shown = pictures(self.event("pick", {"key": style}))
        if not shown:
            return False
        status, data = ask(self.port, "GET", f"/{shown[-1]}", source=self.source)
        return status == 200 and max(Image.open(BytesIO(data)).size) == SIDE


def visitors() -> bool:
    """64 visits, of which 20 paint three pictures each; then every other paints one as well. At the
    end the 20 are at work again, and the studio is told to end.
    """
    photo = Image.effect_noise((1200, 900), 80).convert("RGB")
    coded = BytesIO()
    photo.save(coded, "JPEG")
    styles = ["mosaic", "woodcut", "waves"]
    limits = ("--max-memory-mb", str(MEMORY), "--queue", "24")
    with ThreadPoolExecutor(VISITS) as people, studio(*limits) as here:
        config = json.loads(ask(here.port, "GET", "/config")[1])
        before = here.memory()
        all_of_them = [Visitor(here, number, config) for number in range(VISITS)]
        list(people.map(lambda one: one.bring(coded.getvalue()), all_of_them))
        print(
            f"{VISITS} visits with a photo: {here.metric('impasto_memory_held_bytes') / 1e6:.0f} MB held"
        )
        begun = time.monotonic()
        busy, rest = all_of_them[:AT_WORK], all_of_them[AT_WORK:]
        made = sum(
            sum(people.map(lambda one, style=style: one.paint(style), busy))
            for style in styles[:ROUNDS]
        )
        print(
            f"{AT_WORK} at work: {made} of {AT_WORK * ROUNDS} pictures, {time.monotonic() - begun:.0f} s"
        )
        kept = sum(
            sum(people.map(lambda one: one.paint("mosaic"), rest[start : start + AT_WORK]))
            for start in range(0, len(rest), AT_WORK)
        )
        print(
            f"the {len(rest)} others, who waited meanwhile: {kept} pictures of the photos they had"
        )
        peak = here.metric("impasto_memory_peak_bytes") / 1e6
        most = here.memory("VmHWM")
        print(f"budget {MEMORY} MB, most of it held {peak:.0f} MB")
        print(f"process: {before:.0f} MB before the first visitor, {most:.0f} MB at most")
        print(*here.lines()[1:], sep="\n")
        for one in busy:  # what becomes of these, nobody will know
            people.submit(one.paint, "mosaic")
        while here.metric("impasto_orders") < 2:
            time.sleep(0.1)
        return made == AT_WORK * ROUNDS and kept == len(rest) and peak <= MEMORY


# ------------------------------------------------------------------------------------------- hostile


def hostile_requests(port: int) -> dict[str, Any]:
    """Kinds of requests that mean harm, each a call that sends one from an address."""
    png = BytesIO()
    Image.new("1", (9000, 9000)).save(png, "PNG")
    body, _ = form("files", "long.png", bytes(2_000_000))
    bomb, bomb_kind = form("photo", "bomb.png", png.getvalue())
    json_kind = {"Content-Type": "application/json"}

    def raw(data: bytes, source: int) -> None:
        address = (f"127.0.0.{source}", 0)
        with socket.create_connection(("127.0.0.1", port), 30, source_address=address) as line:
            line.sendall(data)

    def sent(method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        return lambda source: ask(port, method, path, body, headers, source)

    def broken_off(source: int) -> None:
        head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000000\r\n"
        raw(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body[:70_000], source)

    join = {"data": ["<script>"] * 9, "fn_index": 4, "session_hash": "s", "event_data": [1]}
    return {
        "another name": sent("GET", "/", None, {"Host": "evil.example"}),
        "a strange name": sent("GET", "/", None, {"Host": "[::1]evil"}),
        "another site": sent("POST", "/api/v1/stylize", b"", {"Origin": "https://evil.example"}),
        "a closed path": sent("GET", "/gradio_api/proxy=https://example.com/"),
        "a file of the machine": sent("GET", "/gradio_api/file=/etc/passwd"),
        "a path that climbs": sent("GET", "/static/..%2f..%2f..%2fetc%2fpasswd"),
        "a login": sent("POST", "/login", b"username=a&password=b"),
        "no JSON": sent("POST", "/gradio_api/queue/join", b"[" * 5000, json_kind),
        "a long body": sent("POST", "/gradio_api/queue/join", bytes(1_100_000), json_kind),
        "an upload broken off": broken_off,
        "a picture far too large": sent("POST", "/api/v1/stylize", bomb, bomb_kind),
        "no HTTP": lambda source: raw(b"\x16\x03\x01\x02\x00 hello\r\n\r\n", source),
        "an event of no such kind": sent(
            "POST",
            "/gradio_api/queue/join",
            json.dumps({**join, "session_hash": secrets.token_hex(500)}).encode(),
            json_kind,
        ),
    }


def hostile() -> bool:
    """So many in a minute, of every kind alike; lines written and memory held before and after."""
    with studio("--rate-limit", "0") as here, ThreadPoolExecutor(12) as people:
        kinds = hostile_requests(here.port)
        order = [name for name in kinds for _ in range(HOSTILE // len(kinds))]
        random.Random(0).shuffle(order)
        for number, name in enumerate(order[:120]):  # buffers and caches are filled once
            with suppress(ConnectionError):
                kinds[name](2 + number % 250)
        time.sleep(2)
        known, memory, begun = len(here.lines()), [here.memory()], time.monotonic()
        files = set(here.log.parent.rglob("*"))

        def send(number: int) -> None:
            time.sleep(max(0.0, begun + number * SECONDS / len(order) - time.monotonic()))
            with suppress(ConnectionError):  # refused before all of it was sent
                kinds[order[number]](2 + number % 250)

        for part in range(4):
            size = len(order) // 4
            list(people.map(send, range(part * size, (part + 1) * size)))
            memory.append(here.memory())
        took = time.monotonic() - begun
        time.sleep(2)
        written, sent = here.lines()[known:], len(order) // 4 * 4
        print(
            f"{sent} requests of {len(kinds)} kinds in {took:.0f} s; {len(written)} lines written"
        )
        print("lines with a traceback:", sum("Traceback" in line for line in written))
        print("longest line:", max(map(len, written)), "characters")
        print("MB of the process, by quarters:", *(f"{each:.0f}" for each in memory))
        left = set(here.log.parent.rglob("*")) - files
        print(f"{len(left)} files left; {here.metric('impasto_memory_held_bytes'):.0f} bytes held")
        for status, count in Counter(
            line.split('" ')[-1].split()[0] for line in written if '" ' in line
        ).most_common():
            print(f"  {status}: {count}")
        quick = ask(here.port, "GET", "/api/v1/health")[0]
        return quick == 200 and len(written) <= sent and not left and memory[-1] < memory[0] + 30


def answers() -> bool:
    """The time of small answers on one connection."""
    with studio() as here:
        line, medians = http.client.HTTPConnection("127.0.0.1", here.port), []
        for path in ("/api/v1/health", "/api/v1/styles", "/gradio_api/nothing"):
            times = []
            for _ in range(200):
                begun = time.perf_counter()
                line.request("GET", path)
                line.getresponse().read()
                times.append(1e3 * (time.perf_counter() - begun))
            medians.append(statistics.median(times))
            print(f"{path}: median {medians[-1]:.2f} ms, slowest {max(times):.2f} ms")
        return max(medians) < 2


if __name__ == "__main__":
    threading.stack_size(512 * 1024)
    what = {"visitors": visitors, "hostile": hostile, "answers": answers}
    if len(sys.argv) != 2 or sys.argv[1] not in what:
        sys.exit(__doc__)
    sys.exit(0 if what[sys.argv[1]]() else 1)
