"""What is transparent has no colour: whatever stands there, what is seen is the same, byte for
byte.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.analysis.metrics import reference, score
from impasto.apps.cli.learning import Lesson, learn
from impasto.errors import InputError
from impasto.home import own_bank
from impasto.losses.gram import gram
from impasto.methods.feedforward import FeedForward
from impasto.methods.reading import WHOLE, moments, parts
from impasto.networks.checkpoint import load_network
from impasto.networks.encoder import STYLE_LAYERS, VGG19, Encoder
from impasto.networks.style_bank import StyleBank
from impasto.pictures.color import statistics_map
from impasto.pictures.image import open_picture, resize
from impasto.pictures.samples import sample, sample_style
from impasto.pictures.transparency import continued
from impasto.pipeline import stylize

HIDDEN = ("black", "white", "lime")


def cut_out(image: Image.Image, hidden: str, size: int = 64) -> Image.Image:
    """A disc of the picture with a soft edge; `hidden`: the colour where nobody sees it."""
    image = image.convert("RGB").resize((size, size))
    y, x = np.indices((size, size)) / size - 0.5
    alpha = np.clip(255 * (0.42 - np.hypot(x, y)) * 12, 0, 255).astype(np.uint8)
    bare = Image.new("RGB", image.size, hidden)
    image.paste(bare, mask=Image.fromarray(np.where(alpha == 0, 255, 0).astype(np.uint8)))
    image.putalpha(Image.fromarray(alpha))
    return image


def photo(hidden: str) -> Image.Image:
    return cut_out(sample("cat"), hidden)


def painting(hidden: str) -> Image.Image:
    return cut_out(sample_style("mosaic"), hidden)


WAYS: dict[str, Callable[[str], Image.Image]] = {
    "photo": lambda hidden: stylize(photo(hidden), "waves", size=64, steps=2),
    "style": lambda hidden: stylize("cat", painting(hidden), size=64, steps=2),
    "smaller": lambda hidden: stylize(photo(hidden), painting(hidden), size=48, steps=1),
    "larger": lambda hidden: stylize(photo(hidden), painting(hidden), size=80, steps=1),
    "one pass": lambda hidden: stylize(
        photo(hidden), painting(hidden), size=64, method="arbitrary", strength=0.7
    ),
    "refined": lambda hidden: stylize(
        "cat", painting(hidden), size=64, method="arbitrary", refine=1, style_scale=1.5
    ),
    "statistics": lambda hidden: stylize(
        photo(hidden), painting(hidden), size=64, method="arbitrary", keep_color="statistics"
    ),
    "luminance": lambda hidden: stylize(
        photo(hidden), "waves", size=64, method="arbitrary", keep_color="luminance"
    ),
    "start": lambda hidden: stylize("cat", "waves", size=64, steps=1, start=photo(hidden)),
}


@pytest.mark.parametrize("way", WAYS)
def test_colours_that_nobody_sees_change_nothing(way: str) -> None:
    first, *others = (WAYS[way](hidden).tobytes() for hidden in HIDDEN)
    assert others == [first] * len(others)


def test_colours_that_nobody_sees_are_not_measured(compact: Encoder) -> None:
    found = []
    for hidden in HIDDEN:
        of, by = open_picture(photo(hidden)), open_picture(painting(hidden))
        known = reference(of.image, by.image, (64, 64), compact, seen=by.alpha)
        out = open_picture(cut_out(sample("coffee"), hidden))
        found.append(score(out.image, known, seen=out.alpha))
    assert found[1:] == [found[0]] * 2


def test_colours_that_nobody_sees_are_not_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    config = {"steps": 1, "crop": 80, "batch": 1, "style_size": 64}
    for hidden in HIDDEN[1:]:
        painting(hidden).save(tmp_path / f"{hidden}.png")
        learn(Lesson(str(tmp_path / f"{hidden}.png"), hidden), config, device="cpu", quiet=True)
    white, lime = (StyleBank.load(own_bank()).vector(hidden) for hidden in HIDDEN[1:])
    assert torch.equal(white, lime)


@pytest.mark.parametrize("size", [None, 40])
def test_a_hidden_place_continues_what_is_seen_around_it(size: int | None) -> None:
    ramp = np.tile(np.linspace(40, 200, 64, dtype=np.uint8), (64, 1))
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[24:40, 24:40] = 0
    found = open_picture(np.dstack([ramp, ramp, ramp, alpha]), size=size)
    expected = open_picture(ramp, size=size).image
    assert (found.image - expected).abs().max() < 0.12
    with pytest.raises(InputError, match="transparent all over"):
        open_picture(np.dstack([ramp, ramp, ramp, 0 * alpha]), size=size)


def test_what_has_a_weight_stays_and_one_colour_is_continued_as_it_is() -> None:
    random = np.random.default_rng(0)
    plane = random.random((37, 21), dtype=np.float32)
    weight = (random.random((37, 21)) > 0.7).astype(np.float32)
    assert np.array_equal(continued(plane, weight)[weight > 0], plane[weight > 0])
    assert continued(plane, weight).min() >= plane[weight > 0].min() - 1e-6
    assert continued(plane, weight).max() <= plane[weight > 0].max() + 1e-6
    flat = np.where(weight > 0, np.float32(0.3), np.float32(7))
    assert np.allclose(continued(flat, weight), 0.3, atol=1e-6)


def test_statistics_of_colours_are_of_what_is_seen() -> None:
    whole, seen = torch.rand(1, 3, 20, 30), torch.zeros(1, 1, 20, 30)
    seen[..., :12, :17] = 1
    other = torch.rand(1, 3, 9, 9)
    for ours, theirs in zip(
        statistics_map(whole, other, seen),
        statistics_map(whole[..., :12, :17], other),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


# ------------------------------------------------------------------------------- part by part


def vgg(kind: Any = VGG19) -> Encoder:
    torch.manual_seed(0)
    return Encoder(kind, name="random").freeze()


@pytest.fixture(params=["compact", "vgg19"])
def encoder(request: pytest.FixtureRequest, compact: Encoder) -> Encoder:
    return compact if request.param == "compact" else vgg()


@pytest.mark.parametrize("veiled", [False, True])
def test_parts_are_the_whole(
    encoder: Encoder, veiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = resize(open_picture(sample("coffee"), size=150).image, (167, 230))
    seen = torch.rand(1, 1, 167, 230) if veiled else None
    layers = STYLE_LAYERS[:4]
    (whole,) = parts(encoder, picture, seen, layers)
    aims = {layer: gram(whole.features[layer], whole.masks.get(layer)) for layer in layers}
    means = moments(encoder, picture, seen, layers)
    monkeypatch.setattr("impasto.methods.reading.WHOLE", 1000)
    monkeypatch.setattr("impasto.methods.reading._SIDE", 120)
    found = list(parts(encoder, picture, seen, layers))
    assert len(found) == 4
    for layer in layers:
        shares = [part.share(layer) for part in found]
        assert sum(shares) == pytest.approx(whole.share(layer))
        mixed = sum(
            share / sum(shares) * gram(part.features[layer], part.masks.get(layer))
            for share, part in zip(shares, found, strict=True)
        )
        torch.testing.assert_close(mixed, aims[layer], rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(moments(encoder, picture, seen, layers), means, strict=True):
        for layer in layers:
            torch.testing.assert_close(ours[layer], theirs[layer], rtol=1e-3, atol=1e-4)


def test_a_part_of_which_nothing_is_seen_is_not_read(
    compact: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.methods.reading.WHOLE", 1000)
    monkeypatch.setattr("impasto.methods.reading._SIDE", 64)
    seen = torch.zeros(1, 1, 128, 128)
    seen[..., :64, :64] = 1
    assert len(list(parts(compact, torch.rand(1, 3, 128, 128), seen, STYLE_LAYERS))) == 1
    assert WHOLE > 512 * 512  # what is read at once at the usual size stays so


def test_a_network_reads_a_cut_out_as_what_is_seen_of_it() -> None:
    painter = load_network(device="cpu", dtype=torch.float32)
    from impasto.networks.weights import load_encoder

    quick = FeedForward(painter, load_encoder(painter.encoder, device="cpu", dtype=torch.float32))
    plate = open_picture(sample_style("mosaic"), size=128).image
    beside = torch.cat([plate, torch.zeros_like(plate)], dim=3)
    seen = torch.cat([torch.ones_like(plate[:, :1]), torch.zeros_like(plate[:, :1])], dim=3)
    far = (quick.prepare(beside) - quick.prepare(plate)).norm()
    assert (quick.prepare(beside, seen) - quick.prepare(plate)).norm() < 0.5 * far
