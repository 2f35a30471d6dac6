"""The wheel holds everything a picture needs, and works away from the source tree."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_weights_their_card_and_nothing_else_large(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert (
        max(sizes[f"impasto/assets/{name}.safetensors"] for name in ("compact", "compact-2"))
        <= 8_000_000
    )
    assert "impasto/assets/compact.md" in sizes
    assert "impasto/py.typed" in sizes
    styles = [name for name in sizes if name.startswith("impasto/assets/styles/")]
    assert len(styles) == 10
    assert sum(sizes[name] for name in styles) < 4_000_000
    rest = {
        name: size
        for name, size in sizes.items()
        if not name.endswith(".safetensors") and name not in styles
    }
    assert max(rest.values()) < 60_000, "a graph is 39 kB, the largest source 18"
    sources = sum(size for name, size in rest.items() if name.endswith(".py"))
    assert sum(rest.values()) - sources < 200_000
    assert not [name for name in sizes if name.startswith(("tests", "tools", "benchmarks"))]


def test_a_picture_from_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:  # all that installing one of pure Python does
        archive.extractall(site)
    program = (
        "import impasto, json; from impasto.apps.cli.main import main; print(json.dumps(impasto.__file__));"
        "main(['stylize', 'cat', 'ink-hatching', '-o', 'out.png', '--size', '64', '--steps', '1'])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert Path(json.loads(run.stdout.splitlines()[0])).is_relative_to(site)
    with Image.open(tmp_path / "out.png") as picture:
        assert max(picture.size) == 64
