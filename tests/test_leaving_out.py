"""One file that cannot be read costs no other: in scores, in sheets that go on, in folders."""

from pathlib import Path

import pytest

from impasto.analysis.sheets import Cell
from impasto.analysis.work import Task, Work
from impasto.apps.cli.main import main
from impasto.apps.cli.measure import measure
from impasto.errors import ImpastoError, InputError
from impasto.methods.stylizer import Progress
from impasto.pictures.image import open_picture, save_picture
from impasto.pictures.samples import sample
from impasto.training.data import read_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "results"
    inside.mkdir()
    for name in ("a", "c"):
        sample("cat").resize((64, 48)).save(inside / f"{name}.png")
    (inside / "b.png").write_bytes((inside / "a.png").read_bytes()[:700])
    (inside / "d.jpg").write_text("no picture")
    return inside


def test_a_score_of_a_folder_leaves_out_what_cannot_be_read_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measure("cat", "mosaic", [folder])
    assert sorted(each.path.name for each in found) == ["a.png", "c.png"]
    with pytest.raises(SystemExit) as left:
        main(["score", "cat", "mosaic", str(folder)])
    assert left.value.code == 0
    err = capsys.readouterr().err
    assert err.count("left out:") == 2
    assert "b.png" in err
    assert "d.jpg" in err
    with pytest.raises(InputError):  # one that was named is missed
        measure("cat", "mosaic", [folder / "a.png", folder / "b.png"])
    for name in ("a.png", "c.png"):
        (folder / name).unlink()
    with pytest.raises(ImpastoError, match="none of the pictures"):
        measure("cat", "mosaic", [folder])


def test_a_cell_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    picture, made = open_picture(sample("cat"), size=64).image, []

    def steps() -> list[Progress]:
        made.append(1)
        return [Progress(picture, 1, 1)]

    task = Task(0, 0, "one", 1, lambda: iter(steps()), lambda _: {"n": 1.0})
    work = Work("t", ("",), ("", ""), (Cell(0, 1, picture),), (task,), {"sheet": "test"})
    for damage in (None, None, b"no picture", b""):
        cells = [progress.cell for progress in work.make(tmp_path / "cells") if progress.cell]
        assert len(cells) == 1
        if damage is not None:
            (tmp_path / "cells" / task.file).write_bytes(damage)
    assert len(made) == 2  # kept once, made again after the damage


def test_training_takes_what_is_nearly_whole_and_names_what_is_not(folder: Path) -> None:
    jpeg = save_picture(folder / "e.jpg", sample("coffee"))
    jpeg.write_bytes(jpeg.read_bytes()[:-2])
    found = {reading.path.name: reading for reading in read_pictures([folder])}
    assert {name for name, each in found.items() if each.picture is None} == {"b.png", "d.jpg"}
    assert "b.png" in found["b.png"].problem
