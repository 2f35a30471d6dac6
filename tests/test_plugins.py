"""Another package adds a method by an entry point: found, checked, painted with, from the command
line too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import impasto
from impasto.errors import OptionError
from impasto.methods.base import METHODS
from impasto.registry import Registry

Run = Callable[..., tuple[Any, str, str]]
TOY = '''
"""A method that gives the photo back with every style's mean colour mixed in."""

from dataclasses import dataclass

import torch

import impasto
from impasto.methods.stylizer import Progress


@dataclass
class Tinted:
    color: torch.Tensor
    strength: float
    steps: int = 1

    @property
    def recipe(self):
        return {"toy": "tinted"}

    def render(self, frame):
        yield Progress(frame.image.lerp(self.color, self.strength), 1, 1)


class Tint(impasto.Method):
    name = "tint"
    help = "a colour over the photo"
    honours = frozenset({"strength"})
    instant = True

    def prepare(self, styles, settings, networks):
        means = [style.weight * style.open(settings.size).mean((2, 3), keepdim=True) for style in styles]
        return Tinted(sum(means) / sum(style.weight for style in styles), settings.strength)


TINT = Tint()


class Mean(impasto.StyleLoss):
    name = "mean"

    def target(self, features, mask=None):
        return features.float().mean((2, 3))

    def mix(self, targets, weights):
        return sum(w * t for w, t in zip(weights, targets)) / sum(weights)

    def distance(self, features, target, mask=None):
        return (self.target(features) - target).square().sum() / target.square().sum()


MEAN = Mean()
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip leaves it: the package, and beside it what it says of itself."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "toy_tint.py").write_text(TOY)
    said = folder / "toy_tint-1.0.dist-info"
    said.mkdir()
    (said / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-tint\nVersion: 1.0\n")
    (said / "entry_points.txt").write_text(
        "[impasto.methods]\ntint = toy_tint:TINT\nbroken = toy_tint:NOTHING\n"
        "[impasto.style_losses]\nmean = toy_tint:MEAN\n"
    )
    return folder


def test_a_method_of_another_package_paints(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    assert METHODS.names[:3] == ("optimize", "fast", "arbitrary")
    assert "tint" in METHODS.names
    red, grey = Image.new("RGB", (64, 48), (255, 0, 0)), Image.new("RGB", (64, 48), (100, 100, 100))
    made = impasto.stylize(grey, red, method="tint", strength=0.5, size=64)
    assert made.getpixel((5, 5)) == (178, 50, 50)
    both = impasto.stylize(grey, [red, grey], method="tint", blend=[1, 3], size=64)
    assert both.getpixel((5, 5)) == (139, 75, 75)
    job = impasto.plan(grey, [red], method="tint", size=64)
    assert job.recipe["toy"] == "tinted"
    assert job.recipe["strength"] == 1
    with pytest.raises(
        OptionError,
        match=r"`steps` has no effect with `method=tint`; it has with `method=optimize`",
    ):
        impasto.plan(grey, [red], method="tint", steps=3)
    with pytest.raises(
        OptionError, match=r"`method` 'broken' cannot be loaded from toy_tint:NOTHING"
    ):
        impasto.plan(grey, [red], method="broken")


def test_it_does_so_from_the_command_line(
    site: Path, workplace: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site))
    Image.new("RGB", (64, 48), (255, 0, 0)).save(workplace / "red.png")
    Image.new("RGB", (64, 48), (100, 100, 100)).save(workplace / "grey.png")
    paint = ("stylize", "grey.png", "red.png", "--size", "64", "-o", "out.png")
    code, out, err = run(*paint, "--method", "tint", "--strength", "0.5")
    assert (code, out) == (0, "out.png\n"), err
    with Image.open("out.png") as made:
        assert made.getpixel((5, 5)) == (178, 50, 50)
    assert "--method tint" in run("info", "out.png")[1]
    assert "tint" in run("stylize", "--help")[1]
    code, out, err = run(*paint, "--style-loss", "mean", "--steps", "2")
    assert (code, out) == (0, "out.png\n"), err
    assert "--style-loss mean" in run("info", "out.png")[1]


def test_names_of_this_package_are_its_files_and_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "things").mkdir()
    for name in ("__init__", "a", "own"):
        (tmp_path / "things" / f"{name}.py").write_text(f"{name.upper()} = {name!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    there: Registry[object] = Registry("no.such.group", "things", "thing", first=("own",))
    assert there.get("a") == "a"
    with pytest.raises(OptionError, match="`thing` 'own' is there already"):
        there.add("own", object())
    there.add("more", 3)
    assert there.names == tuple(there) == ("own", "a", "more")
    assert there.get("more") == 3
    with pytest.raises(OptionError, match="unknown `thing` 'other'; there are: own, a, more"):
        there.get("other")
