"""The notebooks run from top to bottom, offline and quietly, with pictures; and are stored as they
should be.

Each asserts the laws it teaches, so a run without an error is a test of them too.
"""

import base64
import io
import os
import re
import runpy
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  (its cache, made once on a machine with a word to stderr, is there now)
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

import impasto

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"

# Name -> what its first code cell is overruled with, and how many pictures it shows.
SMALL: dict[str, tuple[dict[str, int], int]] = {
    "losses_by_hand": ({"SIZE": 64}, 3),
    "reconstructions": ({"SIZE": 64, "STEPS": 16}, 4),
    "three_ways": ({"SIZE": 64, "STEPS": 4, "REFINE": 3}, 4),
    "train_a_style": ({"SIZE": 64, "STEPS": 3, "BATCH": 1}, 4),
}
# A folder of someone's, on any system.
MACHINE = re.compile(r"(?<![\w.:/~-])/(home|root|Users|tmp|var|mnt|opt|usr)\b|\b[A-Z]:\\|file://")


def read(name: str) -> NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def parameters(notebook: NotebookNode) -> int:
    """Which cell is tagged so; there is one."""
    (place,) = [
        i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])
    ]
    return place


def overruled(notebook: NotebookNode, values: dict[str, int]) -> NotebookNode:
    """With a cell after the tagged one that sets these of its names, and no others."""
    place, source = (
        parameters(notebook),
        "\n".join(f"{name} = {value!r}" for name, value in values.items()),
    )
    assert set(values) <= set(
        re.findall(r"^(\w+) = ", notebook.cells[place].source, flags=re.MULTILINE)
    )
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(source))
    return notebook


def test_every_notebook_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_runs_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    values, pictures = SMALL[name]
    client = NotebookClient(overruled(read(name), values), timeout=120, kernel_name="python3")
    # Nothing can be fetched, nothing of the user's is read or written, and two cores are not fought
    # over.
    alone = {"HF_HUB_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1"}
    homes = {
        "HF_HOME": str(tmp_path / "hub"),
        "IMPASTO_HOME": str(tmp_path),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    package = str(Path(impasto.__file__).parents[1])  # the one under test, from whatever folder
    client.execute(cwd=str(tmp_path), env={**os.environ, **alone, **homes, "PYTHONPATH": package})

    outputs = [output for cell in client.nb.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    shown = [
        output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]
    assert len(shown) == pictures
    for encoded in shown:
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            assert min(picture.size) >= 200
            assert np.asarray(picture.convert("L")).std() > 10
    assert str(tmp_path) not in str(outputs)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("ipython", "hub")] == []


@pytest.mark.parametrize("name", SMALL)
def test_it_is_stored_without_what_a_run_leaves(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert code[0] is notebook.cells[parameters(notebook)]
    assert notebook.metadata.kernelspec.name == "python3"
    cleaned = runpy.run_path(str(FOLDER / "clean.py"))["cleaned"]
    assert text == cleaned(text), "run python docs/notebooks/clean.py"


@pytest.mark.parametrize("name", SMALL)
def test_it_tells_of_no_machine(name: str) -> None:
    for cell in read(name).cells:
        assert not MACHINE.search(cell.source)


def test_cleaning_takes_all_that_a_run_leaves_and_nothing_else() -> None:
    notebook = read("losses_by_hand")
    place = parameters(notebook)
    cell = notebook.cells[place]
    cell.outputs, cell.execution_count = [nbformat.v4.new_output("stream", text="hello")], 7
    cell.metadata["execution"] = {"iopub.status.busy": "now"}
    notebook.metadata["language_info"] = {"name": "python", "version": "3.0"}
    cleaned = runpy.run_path(str(FOLDER / "clean.py"))["cleaned"]
    before = (FOLDER / "losses_by_hand.ipynb").read_text(encoding="utf-8")
    assert cleaned(nbformat.writes(notebook)) == before


@pytest.mark.parametrize(
    "text", ["open('/home/ann/x.png')", "/Users/ann", r"C:\pictures", "file:///x"]
)
def test_paths_of_machines_are_known(text: str) -> None:
    assert MACHINE.search(text)


@pytest.mark.parametrize(
    "text", ["photos/x.png", "~/.impasto", "https://arxiv.org/abs/1", "books/home"]
)
def test_what_is_no_path_of_a_machine(text: str) -> None:
    assert not MACHINE.search(text)
