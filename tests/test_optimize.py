"""Pixel optimisation: what must hold whatever the picture."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.errors import ImpastoError, OptionError
from impasto.losses.base import STYLE_LOSSES, StyleLoss
from impasto.losses.objective import Objective, Term
from impasto.methods import optimize
from impasto.methods.aims import SETTLED
from impasto.methods.descent import Tuning, descend, pyramid
from impasto.methods.optimize import PixelOptimizer, Style
from impasto.networks.encoder import Encoder
from impasto.pictures.image import open_picture, resize
from impasto.pictures.samples import sample
from impasto.settings import Settings
from plates import draw


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return open_picture(sample("cat"), size=64).image


@pytest.fixture(scope="module")
def plate() -> Tensor:
    return open_picture(draw("waves", 64)).image


@pytest.fixture(scope="module")
def other() -> Tensor:
    return open_picture(draw("mosaic", 64)).image


def last(optimizer: PixelOptimizer, content: Tensor, style: object) -> Tensor:
    *_, step = optimizer.render(content, style)  # type: ignore[arg-type]
    return step.image


def test_steps_count_up_to_of_and_end_at_the_photos_size(
    tiny: Encoder, photo: Tensor, plate: Tensor
) -> None:
    optimizer = PixelOptimizer(tiny, Settings(steps=7))
    content = resize(photo, (130, 192))
    steps = list(optimizer.render(content, optimizer.prepare(plate)))
    assert [step.step for step in steps] == list(range(1, 8))
    assert {step.of for step in steps} == {7}
    assert steps[0].image.shape[-2:] == (65, 96)  # coarse first
    assert steps[-1].image.shape == content.shape
    for step in steps:
        assert step.image.dtype == torch.float32
        assert 0 <= step.image.min() <= step.image.max() <= 1
        weighted = sum(
            value
            for name, value in step.losses.items()
            if name != "total" and not name.startswith("raw/")
        )
        assert weighted == pytest.approx(step.losses["total"], rel=1e-5)


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_the_loss_falls(tiny: Encoder, photo: Tensor, plate: Tensor, name: str) -> None:
    optimizer = PixelOptimizer(tiny, Settings(steps=30, optimizer=name))  # type: ignore[arg-type]
    totals = [step.losses["total"] for step in optimizer.render(photo, optimizer.prepare(plate))]
    assert totals[-1] < 0.5 * totals[0]


def test_same_seed_same_bytes_and_another_seed_another_picture(
    tiny: Encoder, photo: Tensor, plate: Tensor
) -> None:
    def run(seed: int) -> Tensor:
        optimizer = PixelOptimizer(tiny, Settings(steps=3, init="noise", seed=seed))
        return last(optimizer, photo, optimizer.prepare(plate))

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_without_style_the_photo_stays_the_photo(
    tiny: Encoder, photo: Tensor, plate: Tensor
) -> None:
    optimizer = PixelOptimizer(tiny, Settings(steps=5, style_weight=0))
    torch.testing.assert_close(
        last(optimizer, photo, optimizer.prepare(plate)), photo, atol=1e-6, rtol=0
    )


def test_the_more_content_weighs_the_farther_the_style(
    tiny: Encoder, photo: Tensor, plate: Tensor
) -> None:
    def style_distance(content_weight: float) -> float:
        optimizer = PixelOptimizer(tiny, Settings(steps=12, content_weight=content_weight))
        *_, step = optimizer.render(photo, optimizer.prepare(plate))
        return sum(value for name, value in step.losses.items() if name.startswith("raw/style"))

    distances = [style_distance(weight) for weight in (1.0, 10.0, 100.0)]
    assert distances == sorted(distances)


def test_a_one_hot_blend_is_that_style_to_the_byte(
    tiny: Encoder, photo: Tensor, plate: Tensor, other: Tensor
) -> None:
    optimizer = PixelOptimizer(tiny, Settings(steps=3))
    first, second = optimizer.prepare(plate), optimizer.prepare(other)
    alone = last(optimizer, photo, first)
    assert torch.equal(last(optimizer, photo, optimizer.blend([first, second], [2.0, 0.0])), alone)
    assert torch.equal(last(optimizer, photo, optimizer.blend([second, first], [0.0, 0.5])), alone)
    assert not torch.equal(
        last(optimizer, photo, optimizer.blend([first, second], [1.0, 1.0])), alone
    )


def test_blends_nest(tiny: Encoder, plate: Tensor, other: Tensor) -> None:
    optimizer = PixelOptimizer(tiny)
    a, b = optimizer.prepare(plate), optimizer.prepare(other)
    nested = optimizer.blend([optimizer.blend([a, b], [1, 1]), b], [1, 1])
    assert nested.weights == pytest.approx([0.25, 0.25, 0.5])


@pytest.mark.parametrize(
    "weights", [[1.0], [0.0, 0.0], [-1.0, 2.0], [math.nan, 1.0], [math.inf, 1.0]]
)
def test_impossible_blends_are_refused(tiny: Encoder, plate: Tensor, weights: list[float]) -> None:
    optimizer = PixelOptimizer(tiny)
    style = optimizer.prepare(plate)
    with pytest.raises(ImpastoError, match="weights"):
        optimizer.blend([style, style], weights)


@pytest.mark.parametrize(
    ("name", "rate", "grids"), [("adam", 0.05, 0), ("adam", 0.05, 3), ("lbfgs", 1.0, 0)]
)
def test_descent_finds_the_minimum_of_a_quadratic(
    tiny: Encoder, name: str, rate: float, grids: int
) -> None:
    goal = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 0.8 + 0.1
    distance = Objective(
        [Term("distance", 1.0, (), lambda _, image: (image - goal).square().sum())]
    )
    *_, (image, _, note) = descend(
        tiny, distance, torch.full_like(goal, 0.5), 200, name, rate, grids=grids
    )  # type: ignore[arg-type]
    assert note == ""
    torch.testing.assert_close(image, goal, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (37, 50)])
def test_on_grids_a_form_moves_before_noise_does(tiny: Encoder, height: int, width: int) -> None:
    """A gradient that is one form with noise ten times as strong: on pixels Adam takes the noise
    for the form.
    """
    generator = torch.Generator().manual_seed(8)
    form = torch.zeros(1, 3, height, width)
    form[..., : width // 2] = 1
    noise = 10 * torch.randn(1, 3, height, width, generator=generator)
    pull = Objective([Term("pull", 1.0, (), lambda _, image: -((form + noise) * image).sum())])
    start = torch.full_like(form, 0.5)

    def clarity(grids: int) -> float:
        *_, (image, _, _) = descend(tiny, pull, start, 6, "adam", 0.02, grids=grids)
        moved = image - start
        return float((moved * form).sum() / (moved.norm() * form.norm()))

    assert clarity(4) > 2 * abs(clarity(0))


@pytest.mark.parametrize("grids", [0, 1, 4])
def test_on_grids_the_picture_stays_a_picture(tiny: Encoder, grids: int) -> None:
    up = Objective([Term("up", 1.0, (), lambda _, image: -image.sum())])
    pictures = [
        image
        for image, _, _ in descend(tiny, up, torch.rand(1, 3, 33, 47), 12, "adam", 0.3, grids=grids)
    ]
    assert all(bool(((image >= 0) & (image <= 1)).all()) for image in pictures)
    assert pictures[-1].min() > 0.8


def failing(times: int) -> Objective:
    """A quadratic whose first evaluations after the second are not finite."""
    calls = itertools.count()

    def loss(_: object, image: Tensor) -> Tensor:
        return (image - 0.7).square().sum() * (math.nan if 2 <= next(calls) < 2 + times else 1.0)

    return Objective([Term("broken", 1.0, (), loss)])


def test_losses_that_are_not_finite_are_undone_and_said(tiny: Encoder) -> None:
    steps = list(descend(tiny, failing(3), torch.full((1, 3, 32, 32), 0.2), 60))
    assert len(steps) == 60
    assert [bool(note) for _, _, note in steps[:6]] == [False, False, True, True, True, False]
    assert all(torch.isfinite(image).all() for image, _, _ in steps)
    assert (steps[-1][0] - 0.7).abs().max() < (steps[1][0] - 0.7).abs().min()  # and it went on


def test_where_the_loss_rises_the_best_picture_is_kept_and_it_is_said(tiny: Encoder) -> None:
    """A loss that tells what a picture of mean `m` costs, low only near 0.5, and a rate that leaves
    there at once.
    """
    well = Objective(
        [Term("well", 1.0, (), lambda _, x: 1 - torch.exp(-100 * (x - 0.5) ** 2).mean())]
    )
    start = torch.full((1, 3, 32, 32), 0.45)
    steps = list(descend(tiny, well, start, 25, "adam", 10.0))
    assert steps[-1][1]["total"] > steps[0][1]["total"]
    assert "`learning_rate`" in steps[-1][2]
    assert all(note == "" for _, _, note in steps[:-1])
    torch.testing.assert_close(steps[-1][0], start)
    assert (steps[-2][0] - start).abs().min() > 0.3
    *_, (found, _, note) = descend(tiny, well, start, 40, "adam", 0.005)
    assert note == ""
    assert (found - 0.5).abs().max() < 0.03


@pytest.mark.parametrize("name", ["sgd", "lbfgs"])
def test_a_step_too_far_is_undone(tiny: Encoder, name: str) -> None:
    """On a steep quadratic these would climb for ever at this rate."""
    goal = torch.full((1, 3, 32, 32), 0.6)
    steep = Objective([Term("steep", 1.0, (), lambda _, x: 1e4 * (x - goal).square().sum())])
    *_, last = descend(tiny, steep, torch.full_like(goal, 0.4), 40, name, 3.0)  # type: ignore[arg-type]
    assert (last[0] - goal).abs().max() < 0.2


def test_l_bfgs_does_not_end_in_a_jump(tiny: Encoder) -> None:
    """A ripple on a bowl, where its steps overshoot now and then: at whatever step it is stopped,
    the picture is as good as the best on the way.
    """
    goal = torch.full((1, 3, 32, 32), 0.6)

    def ripple(_: object, x: Tensor) -> Tensor:
        return (x - goal).square().sum() + (1 - (60 * (x - goal)).cos()).sum() / 99

    rippled = Objective([Term("ripple", 1.0, (), ripple)])
    start, jumps = torch.full_like(goal, 0.1), 0
    for count in range(5, 30):
        steps = list(descend(tiny, rippled, start, count, "lbfgs", 1.0))
        losses = [numbers["total"] for _, numbers, _ in steps]
        best = min(range(count), key=losses.__getitem__)
        if losses[-1] > 1.05 * losses[best] + 1e-9:
            jumps += 1
            torch.testing.assert_close(steps[-1][0], steps[best - 1][0] if best else start)
    assert jumps


def test_a_rate_falls_as_its_source_says(tiny: Encoder) -> None:
    """With a slope of 1 plain descent moves by the rate: 1, then halved every 100 steps, smoothly."""
    down = Objective([Term("down", 1.0, (), lambda _, image: image.sum())])
    start = torch.full((1, 3, 32, 32), 0.9)
    rate = 1e-3 * 240_000 / 32**2
    steps = descend(tiny, down, start, 100, "sgd", rate, tuning=Tuning(decay=0.5))
    pictures = [start, *(picture for picture, _, _ in steps)][:30]
    moves = [(a - b).mean().item() for a, b in itertools.pairwise(pictures)]
    assert moves == pytest.approx([1e-3 * 0.5 ** (i / 100) for i in range(29)], rel=1e-3)


def test_losses_that_stay_broken_end_with_advice(tiny: Encoder) -> None:
    with pytest.raises(ImpastoError, match="`style_weight`"):
        list(descend(tiny, failing(1000), torch.full((1, 3, 32, 32), 0.2), 60))


def test_early_stop_ends_a_size_that_no_longer_improves(
    tiny: Encoder, photo: Tensor, plate: Tensor
) -> None:
    optimizer = PixelOptimizer(
        tiny, Settings(steps=400, style_weight=0, init="noise", early_stop=0.5)
    )
    steps = list(optimizer.render(photo, optimizer.prepare(plate)))
    assert 20 < len(steps) < 400


@pytest.mark.parametrize(
    ("height", "width", "steps"),
    [(384, 512, 200), (512, 512, 7), (1024, 33, 5), (100, 100, 1), (2048, 1500, 3)],
)
def test_a_pyramid_ends_at_the_picture_and_halves(height: int, width: int, steps: int) -> None:
    levels = pyramid(height, width, steps, 16)
    assert levels[-1][:2] == (height, width)
    assert sum(count for _, _, count in levels) == steps
    assert all(count >= 1 for _, _, count in levels)
    for (h, w, _), (h2, w2, _) in itertools.pairwise(levels):
        assert abs(2 * h - h2) <= 1
        assert abs(2 * w - w2) <= 1
    assert min(min(h, w) for h, w, _ in levels) >= min(32, height, width)
    assert pyramid(height, width, steps, 1) == [(height, width, steps)]
    assert [level[:2] for level in pyramid(height, width, steps, 2)] == [
        level[:2] for level in levels[-2:]
    ]


def test_a_start_picture_is_where_it_starts(tiny: Encoder, photo: Tensor, plate: Tensor) -> None:
    optimizer = PixelOptimizer(tiny, Settings(steps=1, learning_rate=0.0))
    *_, step = optimizer.render(photo, optimizer.prepare(plate), start=resize(plate, (50, 70)))
    image = step.image
    torch.testing.assert_close(
        image, resize(resize(plate, (50, 70)), tuple(photo.shape[-2:])), atol=1e-6, rtol=0
    )


def test_every_size_gives_the_start_its_fine_detail_back(tiny: Encoder, plate: Tensor) -> None:
    checks = (
        (torch.arange(200)[:, None] + torch.arange(224)[None])
        .remainder(2)
        .float()
        .expand(1, 3, -1, -1)
    )
    for start in (None, checks):
        optimizer = PixelOptimizer(tiny, Settings(steps=2, learning_rate=0.0))
        steps = list(optimizer.render(1 - checks, optimizer.prepare(plate), start=start))
        assert len({step.image.shape for step in steps}) == 2
        for step in steps:  # whoever stops early has it too
            torch.testing.assert_close(step.whole(200, 224), steps[-1].image, atol=1e-6, rtol=0)
        torch.testing.assert_close(
            steps[-1].image, 1 - checks if start is None else checks, atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("by", [-0.2, 0.2])
def test_a_size_goes_on_where_the_coarser_one_ended(
    tiny: Encoder, plate: Tensor, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    starts: list[float] = []

    def shift(*args: Any) -> Iterator[tuple[Tensor, dict[str, float], str]]:
        starts.append(float(args[2].mean()))
        yield args[2] + by, {}, ""

    monkeypatch.setattr(optimize, "descend", shift)
    content = torch.full((1, 3, 200, 200), 0.5)
    steps = list(
        PixelOptimizer(tiny, Settings(steps=2)).render(content, Style((plate,), (1.0,), (None,)))
    )
    assert starts == pytest.approx([0.5, 0.5 + by], abs=1e-3)
    assert float(steps[0].whole(200, 200).mean()) == pytest.approx(0.5 + by, abs=1e-3)


def test_a_start_picture_is_not_looked_at_coarser_than_half(
    tiny: Encoder, plate: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stay(*args: Any) -> Iterator[tuple[Tensor, dict[str, float], str]]:
        yield args[2], {}, ""

    monkeypatch.setattr(optimize, "descend", stay)
    content = torch.rand(1, 3, 400, 400)
    heights = {}
    for start in (None, content):
        optimizer = PixelOptimizer(tiny, Settings(steps=4))
        steps = optimizer.render(content, Style((plate,), (1.0,), (None,)), start=start)
        heights[start is None] = [step.image.shape[-1] for step in steps]
    assert sorted(set(heights[True])) == [100, 200, 400]
    assert sorted(set(heights[False])) == [200, 400]


def test_a_settled_layer_counts_little_at_the_last_of_several_sizes(
    tiny: Encoder, plate: Tensor
) -> None:
    content = torch.rand(1, 3, 200, 200, generator=torch.Generator().manual_seed(4))

    def weights(**options: Any) -> list[float]:
        optimizer = PixelOptimizer(tiny, Settings(steps=2, **options))
        steps = optimizer.render(content, optimizer.prepare(plate))
        return [step.losses["style/relu5_1"] / step.losses["raw/style/relu5_1"] for step in steps]

    coarse, fine = weights()
    assert fine == pytest.approx(SETTLED * coarse)
    assert SETTLED < 0.5
    assert weights(pyramid=False) == pytest.approx([coarse, coarse])


def test_keras_names_are_the_same_layers(tiny: Encoder) -> None:
    optimizer = PixelOptimizer(tiny, Settings(content_layers=("block4_conv2",)))
    assert optimizer.recipe.content_layers == ("relu4_2",)


@pytest.mark.parametrize(
    "bad",
    [
        {"content_weight": -1.0},
        {"style_weight": math.inf},
        {"content_weight": 0.0, "style_weight": 0.0},
        {"style_scale": 0.0},
        {"steps": 0},
        {"optimizer": "momentum"},
        {"init": "black"},
        {"tv_weight": math.nan},
        {"learning_rate": -0.1},
    ],
)
def test_impossible_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ImpastoError):
        Settings(**bad)  # type: ignore[arg-type]


def test_what_is_given_wins_over_the_preset() -> None:
    config = Settings(
        preset="gatys2015", steps=9, tv_weight=0.5, optimizer="adam", style_weight=2.0
    )
    recipe, base = config.resolved(), Settings(preset="gatys2015").resolved()
    assert (recipe.steps, recipe.tv_weight, recipe.optimizer) == (9, 0.5, "adam")
    assert recipe.style_weight == 2 * base.style_weight
    assert recipe.learning_rate < base.learning_rate  # Adam's, not that of L-BFGS
    untouched = {
        "source",
        "content_layers",
        "style_layers",
        "content_scale",
        "style_scale",
        "init",
        "feature_scale",
    }
    assert all(getattr(recipe, name) == getattr(base, name) for name in untouched)
    assert dataclasses.is_dataclass(recipe)


def test_terms_of_ones_own_are_minimised_too(tiny: Encoder, photo: Tensor, plate: Tensor) -> None:
    asked: list[tuple[int, ...]] = []

    def dark(content: Tensor, encoder: Encoder) -> list[Term]:
        assert encoder is tiny
        asked.append(tuple(content.shape))
        return [Term("dark", 100.0, (), lambda _, image: image.mean())]

    plain, darker = (
        PixelOptimizer(tiny, Settings(steps=8), terms=terms) for terms in ((), (dark,))
    )
    *_, step = darker.render(photo, darker.prepare(plate))
    frame = 2 * plain.recipe.frame
    assert asked == [(1, 3, photo.shape[2] + frame, photo.shape[3] + frame)]
    assert step.losses["dark"] == pytest.approx(100 * step.losses["raw/dark"])
    assert step.image.mean() < 0.8 * last(plain, photo, plain.prepare(plate)).mean()


class _MeanColor(StyleLoss):
    """The mean of every channel, which a Gram matrix does not know."""

    name = "mean-color"

    def target(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        assert mask is None
        return features.float().mean((2, 3))

    def mix(self, targets: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        total = sum(weights)
        return torch.stack(
            [each * (weight / total) for each, weight in zip(targets, weights, strict=True)]
        ).sum(0)

    def distance(self, features: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return (self.target(features, mask) - target).square().sum() / target.square().sum()


def test_another_style_loss_is_what_is_minimised(
    tiny: Encoder, photo: Tensor, plate: Tensor
) -> None:
    STYLE_LOSSES.add("mean-color", _MeanColor())
    settings = Settings(steps=12, style_loss="mean-color", content_weight=0, style_layers="relu1_1")
    optimizer = PixelOptimizer(tiny, settings)
    steps = list(optimizer.render(photo, optimizer.prepare(plate)))
    assert steps[-1].losses["total"] < 0.5 * steps[0].losses["total"]
    there = _MeanColor().target(tiny.features(steps[-1].image, ["relu1_1"])["relu1_1"])
    aim = _MeanColor().target(tiny.features(resize(plate, (64, 64)), ["relu1_1"])["relu1_1"])
    before = _MeanColor().target(tiny.features(photo, ["relu1_1"])["relu1_1"])
    assert (there - aim).norm() < 0.8 * (before - aim).norm()
    with pytest.raises(OptionError, match="`style_loss=mean-color` has no scale 'gatys'"):
        PixelOptimizer(tiny, settings.but(preset="gatys2015"))
    with pytest.raises(OptionError, match="unknown `style_loss` 'other'; there are: gram"):
        PixelOptimizer(tiny, Settings(style_loss="other"))
