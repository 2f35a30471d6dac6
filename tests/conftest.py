"""Shared by all tests."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.apps.cli import main as cli
from impasto.networks.encoder import Architecture, Encoder
from impasto.networks.weights import load_encoder

# Files that take longest, first: no worker is to begin one when the others are done.
LONGEST = (
    *("studio_page", "cli", "cli_networks", "onnx", "processes", "web_page", "upscale"),
    *("presets", "flats", "film", "guest", "painting"),
)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files in their order, but for the longest."""
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def compact() -> Encoder:
    """The embedded encoder in float32 on the CPU, so that laws hold to rounding."""
    return load_encoder("compact", device="cpu", dtype=torch.float32)


@pytest.fixture(scope="session")
def tiny() -> Encoder:
    """An encoder with the layers of the embedded one, each of a few random filters, for laws that
    hold whatever it sees: it takes a tenth of the time.
    """
    blocks = ((8, 8), (8, 8), (16, 8, 8, 8), (16, 8, 8, 8), (16,))
    encoder = Encoder(Architecture.vgg(blocks, mean=(0.5,) * 3, std=(0.25,) * 3), name="tiny")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith(
                "weight"
            ):  # He et al. 2015: features as large as what they are made of
                spread = (2 / parameter[0].numel()) ** 0.5
                parameter.normal_(std=spread, generator=generator)
            else:
                parameter.zero_()
    return encoder.freeze()


@pytest.fixture(scope="session", autouse=True)
def heard_signals() -> None:
    """A run in the background (`&`, nohup) ignores signals, and so would all that it starts: tests
    that send some would wait for ever.
    """
    for each in SIGNALS:
        if signal.getsignal(each) is signal.SIG_IGN:
            is_ctrl_c = each == signal.SIGINT
            signal.signal(each, signal.default_int_handler if is_ctrl_c else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def same_signals(heard_signals: None) -> Iterator[None]:
    """What was interrupted ignores signals to its end, and here the end is not that of the process."""
    before = {each: signal.getsignal(each) for each in SIGNALS}
    yield
    for each, handler in before.items():
        if signal.getsignal(each) is not handler:
            signal.signal(each, handler)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Pictures this small are no work for two: where the processor is busy, two wait for each other
    at every step.
    """
    torch.set_num_threads(1)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def pictures(workplace: Path) -> Path:
    """The same with `photo.png`, and with `waves.png` and `dots.png` for paintings."""
    random = np.random.default_rng(0)
    for name, cells in (("photo", 3), ("waves", 9), ("dots", 21)):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        noise.resize((80, 64), Image.Resampling.BICUBIC).save(workplace / f"{name}.png")
    return workplace


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str, str]]:
    """`run("stylize", …)` -> exit code, stdout, stderr."""

    def call(*args: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(args)
        return (ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def kill_after() -> Callable[..., None]:
    """`kill_after(3, "batch", …)`: the command in a process of its own, killed when it has written
    so many lines.
    """

    def call(lines: int, *args: str) -> None:
        line = [sys.executable, "-m", "impasto", *args]
        with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(lines):
                process.stdout.readline()
            process.kill()

    return call
