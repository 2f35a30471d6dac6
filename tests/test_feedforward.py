"""Painting in one pass, refining what came of it, and what strength and sizes mean to the
optimiser.
"""

import copy
import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.errors import ImpastoError, OptionError
from impasto.losses.gram import gram
from impasto.methods.base import Frame, Prepared
from impasto.methods.feedforward import FeedForward
from impasto.methods.optimize import PixelOptimizer
from impasto.methods.stylizer import Progress
from impasto.methods.two_stage import TwoStage
from impasto.networks.checkpoint import Painter, fingerprint, load_network
from impasto.networks.encoder import STYLE_LAYERS, Encoder
from impasto.networks.style_bank import StyleBank
from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.pictures.image import open_picture, resize
from impasto.pictures.samples import sample
from impasto.settings import Settings
from plates import draw

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def noise(*size: int, seed: int = 1) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return open_picture(sample("cat"), size=64).image


@pytest.fixture(scope="module")
def plates() -> tuple[Tensor, Tensor]:
    first, second = (open_picture(draw(name, 64)).image for name in ("waves", "mosaic"))
    return first, second


@pytest.fixture(scope="module")
def reader(tiny: Encoder) -> Painter:
    """A painter that has learned nothing, but answers every picture and every name in its own way."""
    size = 2 * sum(tiny.architecture.widths[layer] for layer in STYLE_LAYERS)
    assert size == 2 * (8 + 8 + 16 + 16 + 16)
    torch.manual_seed(7)
    net = TransformNet(TransformNetConfig(channels=(8, 8, 8), blocks=(1, 1, 1)))
    predictor = StylePredictor(
        StylePredictorConfig(size, net.vector_size, components=8, hidden=8, embedding=4)
    )
    predictor.axes.normal_(std=0.1)
    torch.nn.init.normal_(predictor.speak.weight, std=0.3)
    bank = StyleBank(fingerprint(net))
    for name in ("harbour", "sea"):
        bank = bank.learned(name, 0.3 * torch.randn(net.vector_size))
    for part in (net, predictor):
        part.requires_grad_(False).eval()
    return Painter(net, bank, predictor)


@pytest.fixture(scope="module")
def listener(reader: Painter) -> Painter:
    """The same network without a predictor: it knows names, and the vector that should give a photo
    back.
    """
    identity = 0.3 * torch.randn(
        reader.transform_net.vector_size, generator=torch.Generator().manual_seed(8)
    )
    return Painter(reader.transform_net, reader.bank, identity=identity)


def only(steps: Iterator[Progress]) -> Progress:
    (step,) = steps
    return step


# ---------------------------------------------------------------------------------------- one pass


@pytest.mark.parametrize("size", [(33, 47), (64, 41), (40, 64), (131, 32)])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_picture_comes_in_one_step_at_the_photos_size(
    tiny: Encoder, reader: Painter, size: tuple[int, int], strength: float
) -> None:
    quick = FeedForward(reader, tiny, strength=strength)
    step = only(quick.render(noise(*size), quick.prepare(noise(50, 37, seed=2))))
    assert (step.step, step.of, step.note, dict(step.losses)) == (1, 1, "", {})
    assert (step.image.shape, step.image.dtype, step.image.requires_grad) == (
        (1, 3, *size),
        torch.float32,
        False,
    )
    assert 0 <= step.image.min() <= step.image.max() <= 1


def test_at_full_strength_it_is_the_network_and_nothing_else(reader: Painter) -> None:
    quick = FeedForward(reader)
    vector = quick.named("sea")
    assert torch.equal(vector, reader.bank.vector("sea")[None])
    image = only(quick.render(noise(40, 48), vector)).image
    assert torch.equal(image, reader.transform_net(noise(40, 48), vector))


def test_a_style_is_read_by_its_means_and_root_mean_squares(tiny: Encoder, reader: Painter) -> None:
    """In float64, from the definition."""
    style = noise(48, 40)
    vector = FeedForward(reader, tiny).prepare(style)
    features = tiny.features(style, STYLE_LAYERS)
    numbers: list[Tensor] = []
    for layer in STYLE_LAYERS:
        flat = features[layer].double().flatten(2)
        numbers += [flat.mean(2), flat.square().mean(2).sqrt()]
    assert reader.predictor is not None
    expected = copy.deepcopy(reader.predictor).double()(torch.cat(numbers, dim=1))
    assert vector.shape == (1, reader.transform_net.vector_size)
    torch.testing.assert_close(vector, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(vector, FeedForward(reader, tiny).prepare(style * 0.5), atol=1e-2)


def test_a_strip_of_a_painting_is_a_style_too(tiny: Encoder, reader: Painter) -> None:
    quick = FeedForward(reader, tiny)
    strip = noise(1, 90).expand(
        -1, -1, 20, -1
    )  # the same row again and again: what matters has no height
    found, expected = quick.prepare(strip), quick.prepare(strip[:, :, :1].expand(-1, -1, 32, -1))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_all_weight_on_one_style_is_that_style_to_the_bit(
    tiny: Encoder, reader: Painter, photo: Tensor, plates: tuple[Tensor, Tensor]
) -> None:
    quick = FeedForward(reader, tiny)
    styles = [*(quick.prepare(plate) for plate in plates), quick.named("sea")]
    for chosen, style in enumerate(styles):
        weights = [0.7 if index == chosen else 0.0 for index in range(3)]
        blended = quick.blend(styles, weights)
        assert torch.equal(blended, style)
        assert torch.equal(
            only(quick.render(photo, blended)).image, only(quick.render(photo, style)).image
        )
    pictures = [only(quick.render(photo, style)).image for style in styles]
    assert all((pictures[i] - pictures[i - 1]).abs().max() > 0.05 for i in range(3))


def test_blend_weights_are_divided_by_their_sum(reader: Painter) -> None:
    quick = FeedForward(reader)
    a, b = quick.named("harbour"), quick.named("sea")
    expected = (a.double() + 3 * b.double()) / 4
    for scale in (1.0, 1e-3, 1e3):
        torch.testing.assert_close(
            quick.blend([a, b], [scale, 3 * scale]).double(), expected, rtol=0, atol=1e-6
        )
    nested = quick.blend([quick.blend([a, b], [1, 1]), b], [1, 1])
    torch.testing.assert_close(nested.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "weights", [[1.0], [0.0, 0.0], [-1.0, 2.0], [math.nan, 1.0], [math.inf, 1.0]]
)
def test_impossible_blends_are_refused(reader: Painter, weights: list[float]) -> None:
    quick = FeedForward(reader)
    with pytest.raises(ImpastoError, match="weights"):
        quick.blend([quick.named("sea")] * 2, weights)


def test_an_unknown_style_is_answered_with_those_there_are(reader: Painter) -> None:
    with pytest.raises(ImpastoError, match=r"'dunes'.*harbour, sea"):
        FeedForward(reader).named("dunes")


def test_without_a_predictor_no_picture_is_read(
    tiny: Encoder, listener: Painter, photo: Tensor
) -> None:
    with pytest.raises(ImpastoError, match="`method=fast`"):
        FeedForward(listener, tiny).prepare(photo)


# ---------------------------------------------------------------------------------------- strength


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["reader", "listener"])
def test_without_strength_the_photo_comes_back(
    tiny: Encoder, kind: str, dtype: torch.dtype, request: pytest.FixtureRequest
) -> None:
    painter: Painter = request.getfixturevalue(kind)
    changed = Painter(
        copy.deepcopy(painter.transform_net).to(dtype),
        painter.bank,
        painter.predictor,
        painter.identity,
    )
    quick = FeedForward(changed, tiny, strength=0)
    content = noise(45, 52)
    content[..., :8, :] = 0  # to the ends of the range
    content[..., 8:16, :] = 1
    for name in ("sea", "harbour"):
        image = only(quick.render(content, quick.named(name))).image
        torch.testing.assert_close(image, content, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.09, 4.1, math.nan])
def test_strokes_of_an_impossible_size_are_refused(reader: Painter, scale: float) -> None:
    with pytest.raises(ImpastoError, match="style_scale"):
        FeedForward(reader, style_scale=scale)


@pytest.mark.parametrize("scale", [0.5, 1.7])
def test_without_strength_the_photo_comes_back_with_strokes_of_any_size(
    tiny: Encoder, reader: Painter, photo: Tensor, plates: tuple[Tensor, Tensor], scale: float
) -> None:
    quick = FeedForward(reader, tiny, strength=0, style_scale=scale)
    torch.testing.assert_close(
        only(quick.render(photo, quick.prepare(plates[0]))).image, photo, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("strength", [-0.1, 1.001, math.nan, math.inf])
def test_a_strength_outside_its_range_is_refused(
    reader: Painter, tiny: Encoder, strength: float
) -> None:
    with pytest.raises(ImpastoError, match="strength"):
        FeedForward(reader, tiny, strength=strength)
    with pytest.raises(ImpastoError, match="strength"):
        Settings(strength=strength)


def test_who_cannot_give_a_photo_back_takes_no_strength(
    tiny: Encoder, reader: Painter, listener: Painter, photo: Tensor
) -> None:
    mute = Painter(reader.transform_net, reader.bank)
    for painter, encoder in ((mute, None), (mute, tiny), (reader, None)):
        FeedForward(painter, encoder)
        with pytest.raises(ImpastoError, match="`strength` at 1"):
            FeedForward(painter, encoder, strength=0.5)
    FeedForward(listener, strength=0.5)
    # A vector of its own goes before what a predictor says of the photo.
    both = Painter(reader.transform_net, reader.bank, reader.predictor, listener.identity)
    vector = FeedForward(reader).named("sea")
    pictures = [
        only(FeedForward(painter, tiny, strength=0.5).render(photo, vector)).image
        for painter in (both, listener, reader)
    ]
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.allclose(pictures[0], pictures[2], atol=1e-3)


def styles_of(encoder: Encoder, picture: Tensor) -> list[Tensor]:
    return [gram(x) for x in encoder.features(picture, STYLE_LAYERS).values()]


def style_distance(encoder: Encoder, picture: Tensor, reference: Tensor) -> float:
    """Of Gram matrices, relative to the reference's, the mean over layers."""
    pairs = zip(styles_of(encoder, picture), styles_of(encoder, reference), strict=True)
    return sum(float((found - goal).norm() / goal.norm()) for found, goal in pairs) / len(
        STYLE_LAYERS
    )


def test_the_style_grows_with_the_strength_of_the_embedded_painter(compact: Encoder) -> None:
    painter = load_network(device="cpu", dtype=torch.float32)
    content, plate = (
        open_picture(sample("coffee"), size=128).image,
        open_picture(draw("mosaic", 128)).image,
    )

    def painted(strength: float) -> Tensor:
        quick = FeedForward(painter, compact, strength=strength)
        return only(quick.render(content, quick.prepare(plate))).image

    pictures = [painted(strength) for strength in STRENGTHS]
    away = [style_distance(compact, picture, content) for picture in pictures]
    assert away[0] < 1e-4
    assert all(later > earlier for earlier, later in itertools.pairwise(away)), away
    assert style_distance(compact, pictures[-1], plate) < style_distance(compact, content, plate)


def test_the_style_grows_with_the_strength_of_the_optimiser(
    tiny: Encoder, photo: Tensor, plates: tuple[Tensor, Tensor]
) -> None:
    def painted(strength: float) -> Tensor:
        optimizer = PixelOptimizer(tiny, Settings(steps=20, strength=strength))
        *_, step = optimizer.render(photo, optimizer.prepare(plates[0]))
        return step.image

    pictures = [painted(strength) for strength in (0.0, 0.5, 1.0)]
    assert torch.equal(pictures[0], photo)
    away = [style_distance(tiny, picture, photo) for picture in pictures]
    assert 0 == away[0] < away[1] < away[2]
    to = [style_distance(tiny, picture, plates[0]) for picture in pictures]
    assert to[0] > to[1] > to[2]


@pytest.mark.parametrize(
    "options", [{"init": "noise"}, {"preset": "gatys2015"}, {"content_weight": 0.0}, {"steps": 9}]
)
def test_without_strength_the_optimiser_gives_the_photo_whatever_else_is_asked(
    tiny: Encoder, photo: Tensor, plates: tuple[Tensor, Tensor], options: dict[str, Any]
) -> None:
    optimizer = PixelOptimizer(tiny, Settings(strength=0, **options))
    assert optimizer.steps == 1
    step = only(optimizer.render(photo, optimizer.prepare(plates[0]), start=plates[1]))
    assert torch.equal(step.image, photo)
    assert (step.step, step.of) == (1, 1)


# ------------------------------------------------------------------------------------------- sizes


def sizes(optimizer: PixelOptimizer, content: Tensor, style: Tensor) -> list[tuple[int, ...]]:
    """Those of the steps, each once."""
    steps = optimizer.render(content, optimizer.prepare(style))
    return list(dict.fromkeys(tuple(step.image.shape[-2:]) for step in steps))


@pytest.mark.parametrize(
    ("preset", "pyramid", "expected"),
    [
        ("impasto", None, [(65, 96), (130, 192)]),
        ("impasto", False, [(130, 192)]),
        ("gatys2015", None, [(130, 192)]),
        ("gatys2015", True, [(65, 96), (130, 192)]),
    ],
)
def test_the_pyramid_is_the_presets_unless_asked_for(
    tiny: Encoder,
    plates: tuple[Tensor, Tensor],
    preset: str,
    pyramid: bool | None,
    expected: list[tuple[int, int]],
) -> None:
    optimizer = PixelOptimizer(tiny, Settings(preset=preset, pyramid=pyramid, steps=2))
    assert optimizer.recipe.pyramid is (len(expected) > 1)
    assert sizes(optimizer, noise(130, 192), plates[0]) == expected


# -------------------------------------------------------------------------------------- refinement


def refined(quick: FeedForward, slow: PixelOptimizer, style: Tensor) -> TwoStage:
    return TwoStage(Prepared(quick, quick.prepare(style)), Prepared(slow, slow.prepare(style)))


@pytest.mark.parametrize("options", [{"pyramid": False}, {"preset": "gatys2015"}])
def test_refinement_begins_with_the_one_pass_picture_at_full_size(
    tiny: Encoder, reader: Painter, plates: tuple[Tensor, Tensor], options: dict[str, Any]
) -> None:
    quick = FeedForward(reader, tiny)
    both = refined(quick, PixelOptimizer(tiny, Settings(steps=2, **options)), plates[0])
    content = resize(plates[1], (130, 192))
    first, *others = both.render(Frame(content))
    assert torch.equal(first.image, only(quick.render(content, quick.prepare(plates[0]))).image)
    assert not first.losses
    assert [(step.step, step.of) for step in (first, *others)] == [(0, 2), (1, 2), (2, 2)]
    assert {step.image.shape for step in others} == {content.shape}
    assert all(math.isfinite(step.losses["total"]) for step in others)
    assert not torch.equal(others[-1].image, first.image)


def test_refinement_without_motion_stays_where_it_began(
    tiny: Encoder, reader: Painter, photo: Tensor, plates: tuple[Tensor, Tensor]
) -> None:
    slow = PixelOptimizer(tiny, Settings(steps=3, learning_rate=0.0, pyramid=False))
    both = refined(FeedForward(reader, tiny), slow, plates[0])
    first, *_, last = both.render(Frame(photo))
    torch.testing.assert_close(last.image, first.image, rtol=0, atol=1e-6)


def test_refinement_brings_the_picture_nearer_to_the_style(
    tiny: Encoder, reader: Painter, photo: Tensor, plates: tuple[Tensor, Tensor]
) -> None:
    slow = PixelOptimizer(tiny, Settings(steps=20, content_weight=0.0))
    both = refined(FeedForward(reader, tiny), slow, plates[0])
    first, *_, last = both.render(Frame(photo))
    distances = [style_distance(tiny, step.image, plates[0]) for step in (first, last)]
    assert distances[1] < 0.8 * distances[0]


def test_refinement_can_go_from_coarse_to_fine(
    tiny: Encoder, reader: Painter, plates: tuple[Tensor, Tensor]
) -> None:
    slow = PixelOptimizer(tiny, Settings(steps=4, learning_rate=0.0, pyramid=True))
    both = refined(FeedForward(reader, tiny), slow, plates[0])
    first, *others = both.render(Frame(resize(plates[1], (130, 192))))
    sizes = [tuple(step.image.shape[-2:]) for step in others]
    assert set(sizes) == {(65, 96), (130, 192)}
    assert sizes == sorted(sizes)
    # Without motion the coarse picture is the one-pass picture made small; along the border, with
    # its mirror image.
    seen, expected = (x[..., 2:-2, 2:-2] for x in (others[0].image, resize(first.image, (65, 96))))
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-6)
    # And the fine one has every stroke of it.
    torch.testing.assert_close(others[-1].image, first.image, rtol=0, atol=1e-6)


def test_a_start_of_ones_own_takes_the_first_stages_place(
    tiny: Encoder, reader: Painter, photo: Tensor, plates: tuple[Tensor, Tensor]
) -> None:
    slow = PixelOptimizer(tiny, Settings(steps=2, learning_rate=0.0, pyramid=False))
    steps = list(
        refined(FeedForward(reader, tiny), slow, plates[0]).render(Frame(photo, start=plates[1]))
    )
    assert [(step.step, step.of) for step in steps] == [(1, 2), (2, 2)]
    began = resize(plates[1], (photo.shape[-2], photo.shape[-1]))
    torch.testing.assert_close(steps[-1].image, began, rtol=0, atol=1e-6)


def test_one_pass_starts_from_no_picture(reader: Painter, photo: Tensor) -> None:
    quick = FeedForward(reader)
    with pytest.raises(OptionError, match="`start`"):
        list(quick.render(photo, quick.named("sea"), start=photo))


def test_refinement_without_strength_ends_at_the_photo(
    tiny: Encoder, reader: Painter, photo: Tensor, plates: tuple[Tensor, Tensor]
) -> None:
    slow = PixelOptimizer(tiny, Settings(steps=4, strength=0))
    both = refined(FeedForward(reader, tiny, strength=0), slow, plates[0])
    first, last = both.render(Frame(photo))
    assert [(step.step, step.of) for step in (first, last)] == [(0, 1), (1, 1)], (
        "no step is promised and not made"
    )
    torch.testing.assert_close(first.image, photo, rtol=0, atol=1e-6)
    assert torch.equal(last.image, photo)
