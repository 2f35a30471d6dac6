"""The history of losses: every number back from the CSV, a plot that opens, errors that say what to
do.
"""

import csv
import sys

import pytest
import torch
from PIL import Image

from impasto.apps.cli.trace import Trace, require_plot
from impasto.errors import ImpastoError
from impasto.methods.stylizer import Progress

WEIGHTS = {"content/relu4_1": 0.3, "style/relu1_1": 5.0}


def step(number: int, side: int = 8) -> Progress:
    """A step whose losses are awkward fractions."""
    raw = {name: number / 7 + weight / 3 for name, weight in WEIGHTS.items()}
    weighted = {name: WEIGHTS[name] * value for name, value in raw.items()}
    losses = (
        {"total": sum(weighted.values())}
        | weighted
        | {f"raw/{name}": value for name, value in raw.items()}
    )
    return Progress(torch.zeros(1, 3, side, side // 2), number, 3, losses)


def trace(*steps: Progress) -> Trace:
    kept = Trace()
    for each in steps:
        kept.add(each)
    return kept


def test_csv_gives_every_number_back_exactly(tmp_path):
    steps = [step(1), step(2), step(3, side=16)]
    trace(*steps).save(tmp_path / "losses.csv")
    with (tmp_path / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row.pop("step")) for row in rows] == [1, 2, 3]
    assert [{name: float(value) for name, value in row.items()} for row in rows] == [
        each.losses for each in steps
    ]


def test_columns_are_total_then_weighted_then_raw(tmp_path):
    trace(step(1)).save(tmp_path / "losses.csv")
    names = (tmp_path / "losses.csv").read_text().splitlines()[0].split(",")
    assert names == ["step", "total", *WEIGHTS, *(f"raw/{name}" for name in WEIGHTS)]


def test_a_step_that_was_undone_is_an_empty_row(tmp_path):
    undone = Progress(torch.zeros(1, 3, 8, 8), 1, 3, {}, "undone")
    trace(undone, step(2)).save(tmp_path / "losses.csv")
    lines = (tmp_path / "losses.csv").read_text().splitlines()
    assert lines[1] == "1" + "," * 5
    assert lines[2].startswith("2,")


@pytest.mark.parametrize("count", [1, 2, 30])
def test_plot_is_a_picture_with_ink(tmp_path, count):
    pytest.importorskip("matplotlib")
    trace(*(step(i + 1, side=8 if i < 10 else 16) for i in range(count))).plot(
        tmp_path / "losses.png"
    )
    with Image.open(tmp_path / "losses.png") as plot:
        assert plot.format == "PNG"
        assert min(plot.size) > 300
        assert len(plot.convert("RGB").getcolors(2**24)) > 50
    assert [path.name for path in tmp_path.iterdir()] == ["losses.png"]


def test_plot_takes_losses_of_zero_and_none(tmp_path):
    pytest.importorskip("matplotlib")
    zero = Progress(torch.zeros(1, 3, 8, 8), 1, 3, {"total": 0.0, "content/relu4_1": 0.0})
    trace(zero, Progress(torch.zeros(1, 3, 8, 8), 2, 3)).plot(tmp_path / "losses.png")
    assert Image.open(tmp_path / "losses.png").size[0] > 300


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImpastoError, match=r"impasto\[plot\]"):
        require_plot()


def test_nothing_is_left_where_the_file_cannot_be_written(tmp_path):
    (tmp_path / "losses.csv").mkdir()
    with pytest.raises(ImpastoError, match="cannot save"):
        trace(step(1)).save(tmp_path / "losses.csv")
    with pytest.raises(ImpastoError, match="cannot save"):
        trace(step(1)).save(tmp_path / "nowhere" / "losses.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["losses.csv"]
