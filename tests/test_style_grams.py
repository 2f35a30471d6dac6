"""Styles without pictures: Gram matrices at low rank against those in full, and what is refined by
them against what is refined by the picture; the photo's palette.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.errors import OptionError, WeightsError
from impasto.losses.gram import gram, relative_style_loss
from impasto.methods import style_grams
from impasto.methods.base import Frame
from impasto.methods.recolour import Recoloured
from impasto.methods.style_grams import LAYERS, load_grams, measure, save_grams
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import Encoder
from impasto.networks.grams import StyleGrams
from impasto.networks.header import EMBEDDED, known_grams, learned_styles, located, shipped_grams
from impasto.networks.loaded import Networks
from impasto.networks.weights import load_encoder
from impasto.pictures.color import statistics_map
from impasto.pictures.image import resize
from impasto.pictures.samples import STYLES, sample
from impasto.pictures.sources import open_source
from impasto.pipeline import plan, stylize

PAINTING, SIDES = "mosaic", (96, 144)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("compact", device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def painting() -> Tensor:
    return open_source(PAINTING, 144).image


@pytest.fixture(scope="module")
def grams(painting: Tensor, encoder: Encoder) -> StyleGrams:
    return measure(painting, encoder, SIDES)


@torch.no_grad()
def whole(painting: Tensor, side: int, encoder: Encoder) -> dict[str, Tensor]:
    size = [round(edge * side / max(painting.shape[-2:])) for edge in painting.shape[-2:]]
    features = encoder.features(resize(painting, (size[0], size[1])), tuple(LAYERS))
    return {layer: gram(features[layer]) for layer in LAYERS}


@pytest.mark.parametrize("side", SIDES)
def test_low_rank_leaves_out_little_and_nothing_of_the_diagonal(
    grams: StyleGrams, painting: Tensor, encoder: Encoder, side: int
) -> None:
    for layer, full in whole(painting, side, encoder).items():
        low = grams.at(layer, side)
        assert low.shape == full.shape
        assert relative_style_loss(low, full) < 0.1**2, layer
        torch.testing.assert_close(
            low.diagonal(dim1=1, dim2=2), full.diagonal(dim1=1, dim2=2), rtol=2e-3, atol=1e-3
        )


def test_at_full_rank_nothing_is_left_out(
    painting: Tensor, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = dict(encoder.architecture.widths)
    monkeypatch.setattr(style_grams, "LAYERS", {layer: widths[layer] for layer in LAYERS})
    grams = measure(painting, encoder, SIDES[:1])
    for layer, full in whole(painting, SIDES[0], encoder).items():
        assert relative_style_loss(grams.at(layer, SIDES[0]), full) < 1e-4, "half precision"


def test_between_two_sizes_they_are_mixed(grams: StyleGrams) -> None:
    low, high = (grams.at("relu3_1", side) for side in SIDES)
    middle = grams.at("relu3_1", round((SIDES[0] * SIDES[1]) ** 0.5))
    assert (middle - (low + high) / 2).norm() < 0.01 * middle.norm(), "whole pixels"
    assert torch.equal(grams.at("relu3_1", 8), low)
    assert torch.equal(grams.at("relu3_1", 5000), high)


def test_a_file_gives_back_what_was_measured(
    grams: StyleGrams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grams.safetensors"
    save_grams(path, {"known": grams}, "compact", {"known": "0" * 64})
    again = load_grams(path, "known")
    assert again.sizes == SIDES
    for layer in LAYERS:
        torch.testing.assert_close(again.at(layer, 120), grams.at(layer, 120), rtol=2e-3, atol=1e-4)
    with pytest.raises(WeightsError, match="no Gram matrices of 'other'"):
        load_grams(path, "other")
    load_grams.cache_clear()
    monkeypatch.setattr(style_grams, "encoder_digest", lambda _: "f" * 16)
    with pytest.raises(WeightsError, match="another edition"):
        load_grams(path, "known")


def test_every_style_of_the_package_can_be_refined() -> None:
    without = {style.name for style in learned_styles() if not style.own} - STYLES.keys()
    assert without <= known_grams(), "python tools/style_grams.py NAME=PICTURE … measures them"
    for name in sorted(without):
        assert load_grams(shipped_grams(), name).layers.keys() == LAYERS.keys()
    assert shipped_grams().stat().st_size < 130_000 * len(known_grams())
    assert not known_grams(located(EMBEDDED, EMBEDDED)), "of a file nobody knows whose it is"


@pytest.mark.slow
def test_the_judge_finds_a_refinement_by_gram_matrices_as_near_as_by_the_picture(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(style.name for style in learned_styles() if style.name not in STYLES)
    painting = open_source(PAINTING, 192).image
    path = tmp_path / "grams.safetensors"
    save_grams(path, {name: measure(painting, encoder, (64, 128))}, "compact", {})
    asked = {"size": 128, "device": "cpu", "networks": Networks()}
    one_pass = stylize("cat", name, **asked)
    by_picture = stylize("cat", PAINTING, method="arbitrary", refine=16, **asked)
    monkeypatch.setattr(style_grams, "shipped_grams", lambda: path)
    by_grams = stylize("cat", name, refine=16, **asked)

    judge = load_encoder("compact-2", device="cpu", dtype=torch.float32)
    aim = whole(painting, 128, judge)
    first, picture, known = (
        sum(
            float(relative_style_loss(found, aim[layer]))
            for layer, found in whole(open_source(each, 128).image, 128, judge).items()
        )
        for each in (one_pass, by_picture, by_grams)
    )
    assert known < 0.6 * first
    assert known < 2 * picture, "which began at a picture of this style, not of another"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"encoder": "compact-2"}, "`encoder=compact-2`"),
        ({"style_loss": "w2"}, "`style_loss=w2`"),
        ({"style_layers": ("relu2_2",)}, "the layer relu2_2"),
    ],
)
def test_what_was_not_measured_is_refused_by_name(option: dict[str, object], said: str) -> None:
    name = next(style.name for style in learned_styles() if style.name not in STYLES)
    with pytest.raises(OptionError, match=said):
        plan("cat", name, size=64, refine=2, **option)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------ the palette


class Paints:
    """A renderer that shows what it was given."""

    steps, recipe = 1, dict[str, object]()

    def __init__(self, *pictures: Tensor) -> None:
        self.pictures = pictures

    def render(self, _: Frame) -> Iterator[Progress]:
        for number, picture in enumerate(self.pictures, 1):
            yield Progress(picture, number, len(self.pictures))


def test_what_is_painted_gets_the_photos_palette() -> None:
    photo, painted = (open_source(name, 96).image for name in ("coffee", "waves"))
    photo = 0.3 + 0.4 * photo  # far from black and white, where colours are cut off
    (step,) = Recoloured(Paints(painted)).render(Frame(photo))
    matrix, offset = statistics_map(step.image, photo)
    assert (matrix - torch.eye(3)).abs().max() < 0.05
    assert offset.abs().max() < 0.02


def test_a_large_picture_is_recoloured_like_a_small_one() -> None:
    photo, painted = (open_source(name, 96).image for name in ("coffee", "waves"))
    (small,) = Recoloured(Paints(painted)).render(Frame(photo))
    as_bytes = [(each * 255).round().to(torch.uint8) for each in (photo, painted)]
    *early, large = Recoloured(Paints(as_bytes[1], as_bytes[1])).render(Frame(as_bytes[0]))
    assert torch.equal(early[0].image, as_bytes[1]), "the canvas that is still painted on"
    assert (large.image.float() / 255 - small.image).abs().max() < 4 / 255


def test_learned_and_drawn_styles_go_together() -> None:
    job = plan(sample("cat"), ["starry-night", "waves"], keep_color="statistics", size=64, refine=2)
    *_, step = job.steps()
    assert step.step == 2
