"""Figures say what the program does: cells are what `stylize` makes, reconstructions are pictures,
tables fit.
"""

import pytest
import torch
from torch import Tensor

import impasto
from impasto.analysis.grid import ratio_grid, sweep
from impasto.analysis.reconstruct import content_reconstructions
from impasto.analysis.usual import Descent
from impasto.apps.cli.tables import presets
from impasto.errors import InputError, OptionError
from impasto.losses.presets import PRESETS
from impasto.losses.variation import natural_prior, powered_variation
from impasto.networks.encoder import Encoder
from impasto.networks.weights import load_encoder
from impasto.pictures.image import open_picture
from impasto.pictures.sources import open_source
from impasto.settings import Settings

SIZE = 64


@pytest.fixture(scope="module")
def compact() -> Encoder:
    return load_encoder("compact")


def made(**options: object) -> Tensor:
    """What `impasto.stylize` makes of the pair."""
    return open_picture(impasto.stylize("cat", "waves", size=SIZE, **options)).image  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("over", "value", "options"),
    [
        ("steps", 3, {"steps": 3}),
        ("method", "arbitrary", {"method": "arbitrary"}),
        ("keep-color", "luminance", {"keep_color": "luminance", "steps": 2}),
        ("preset", "gatys2015", {"preset": "gatys2015", "steps": 2}),
    ],
)
def test_a_cell_is_what_stylize_makes(
    compact: Encoder, over: str, value: object, options: dict[str, object]
) -> None:
    kept = {name: value for name, value in options.items() if name == "steps"}
    work = sweep(
        "cat", "waves", over, (value,), encoder=compact, size=SIZE, settings=Settings(**kept)
    )  # type: ignore[arg-type]
    (cell,) = [each for each in work.finish().cells if each.column == 0]
    assert torch.equal(cell.picture, made(**options))


def test_figure_3_is_a_preset_and_nothing_else(compact: Encoder) -> None:
    settings = Settings(preset="gatys2015", steps=1)
    work = ratio_grid("cat", "waves", encoder=compact, size=SIZE, settings=settings)
    assert work.rows == ("relu1_1", "+ relu2_1", "+ relu3_1", "+ relu4_1", "+ relu5_1")
    assert [label.split("\n")[1] for label in work.columns[:4]] == [
        "1e-05",
        "0.0001",
        "0.001",
        "0.01",
    ]
    cell = Settings(**work.settings["cells"][0][2]).resolved()  # type: ignore[index]
    assert (cell.init, cell.optimizer, cell.pooling) == ("noise", "lbfgs", "average")
    assert cell.content_weight / cell.style_weight == pytest.approx(1e-3)


def test_a_blend_goes_from_one_painting_to_the_other(compact: Encoder) -> None:
    settings = Settings(method="arbitrary")
    options = {"encoder": compact, "size": SIZE, "settings": settings, "second": "mosaic"}
    work = sweep("cat", "waves", "blend", (0.0, 1.0), **options)  # type: ignore[arg-type]
    first, last = (cell.picture for cell in work.finish().cells if cell.column < 2 and cell.numbers)
    assert torch.equal(first, made(method="arbitrary"))
    assert not torch.equal(first, last)
    with pytest.raises(OptionError, match="two paintings"):
        sweep("cat", "waves", "blend", encoder=compact, size=SIZE)


def test_a_learned_style_goes_over_what_one_pass_honours(compact: Encoder) -> None:
    """Without a picture there is no number for style, and no ratio to it."""
    options = {"encoder": compact, "size": SIZE}
    work = sweep("cat", "starry-night", "strength", (0.5,), **options)  # type: ignore[arg-type]
    (cell,) = [each for each in work.finish().cells if each.numbers]
    assert set(cell.numbers) == {"content"}
    assert "0 for the painting" not in work.title
    made = impasto.stylize("cat", "starry-night", size=SIZE, strength=0.5)
    assert torch.equal(cell.picture, open_picture(made).image)
    work = sweep("cat", "starry-night", "keep_color", **options)  # type: ignore[arg-type]
    assert [label.split("\n")[1] for label in work.columns[:2]] == ["none", "luminance"]
    with pytest.raises(InputError, match="learned style"):
        ratio_grid("cat", "starry-night", encoder=compact, size=SIZE)
    with pytest.raises(OptionError, match="style_weight"):
        sweep("cat", "starry-night", "style_weight", **options)  # type: ignore[arg-type]


def test_a_reconstruction_of_a_deep_layer_is_no_static(compact: Encoder) -> None:
    """With the prior it is smooth where the photo is, at hardly a price in what the layer sees."""
    found = {}
    for prior in (None, 0.0):
        descent = Descent(steps=40, prior=prior)
        work = content_reconstructions(
            "cat", ("relu5_1",), encoder=compact, size=96, descent=descent
        )
        (found[prior],) = [cell for cell in work.finish().cells if cell.numbers]
    photo = open_source("cat", 96).image
    natural = {prior: float(natural_prior(cell.picture)) for prior, cell in found.items()}
    assert natural[None] < 0.5 * natural[0.0]
    assert natural[None] < 6 * float(natural_prior(photo))
    assert found[None].numbers["loss"] < found[0.0].numbers["loss"] + 0.1
    assert found[None].numbers["pixel error"] < found[0.0].numbers["pixel error"]


def test_the_prior_and_its_variation_by_hand() -> None:
    ramp = torch.tensor([[0.0, 0.5], [0.5, 1.0]]).expand(1, 3, 2, 2)
    # One pixel has both neighbours: (1/4 + 1/4)^(beta / 2), in three channels.
    assert float(powered_variation(ramp, 2.5)) == pytest.approx(3 * 0.5**1.25)
    # Two of four pixels are a half from grey, which is 1 there: 6 in all, of 12 numbers.
    assert float(natural_prior(ramp)) == pytest.approx((3 * 0.5 * 6.5**2 + 6) / 12)
    assert float(natural_prior(torch.full((1, 3, 8, 8), 0.5))) == pytest.approx(0, abs=1e-9)
    generator = torch.Generator().manual_seed(0)
    noise = float(natural_prior(torch.rand(1, 3, 64, 64, generator=generator)))
    assert noise > 10 * float(natural_prior(open_source("coffee", 128).image))


def test_the_list_of_presets_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    presets()
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    said = " ".join(text.split())
    for name, preset in PRESETS.items():
        assert f"\n{name}\n" in f"\n{text}"
        assert preset.source in said
        assert all(layer in said for layer in (*preset.content_layers, *preset.style_layers))
