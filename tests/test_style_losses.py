"""Style losses beyond Gram matrices, and self-similarity: closed forms, brute force, symmetry,
gradients.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import impasto
from impasto.errors import OptionError
from impasto.losses.base import STYLE_LOSSES, StyleLoss
from impasto.losses.gram import gram
from impasto.losses.sampling import Draw, Points, points
from impasto.losses.self_similarity import self_similarity_loss, self_similarity_term
from impasto.losses.sliced import sliced_distance
from impasto.losses.style.histogram import HISTOGRAM
from impasto.losses.style.nnst import NNST
from impasto.losses.style.swd import SWD
from impasto.losses.style.w2 import W2, Gaussian, gaussian_w2
from impasto.methods.optimize import PixelOptimizer
from impasto.networks.encoder import Encoder
from impasto.pictures.color import luminance
from impasto.settings import Settings

C, H, W = 4, 5, 6
NAMES = STYLE_LOSSES.names


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def features(seed: int, height: int = H, width: int = W) -> Tensor:
    """(1, C, height, width), correlated and off centre, as features are."""
    mixed = torch.einsum("ij,bjhw->bihw", normal(99, C, C), normal(seed, 1, C, height, width))
    return mixed + normal(98, C)[:, None, None]


def again(target: Any) -> Any:
    """The same target, its random numbers from the first on."""
    for each in target if isinstance(target, tuple) else (target,):
        if hasattr(each, "draw"):
            each.draw.restart()
    return target


def rotation() -> Tensor:
    return torch.linalg.qr(normal(7, C, C)).Q


def turned(x: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", rotation(), x)


# ------------------------------------------------------------------------------------ laws of them all


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(H, W), (80, 70)])
def test_a_style_is_at_distance_0_from_itself(name: str, size: tuple[int, int]) -> None:
    loss, style = STYLE_LOSSES.get(name), features(0, *size)
    assert loss.distance(style, loss.target(style)).item() == pytest.approx(0, abs=1e-7)
    other = features(1, *size) * 2
    assert loss.distance(other, loss.target(style)).item() > 0.05


@pytest.mark.parametrize("name", ["gram", "w2", "swd", "histogram"])
def test_features_gone_dark_are_at_distance_1(name: str) -> None:
    loss, style = STYLE_LOSSES.get(name), features(0)
    assert loss.distance(0 * style, loss.target(style)).item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_where_features_stand_makes_no_difference(name: str) -> None:
    loss, style, x = STYLE_LOSSES.get(name), features(0), features(1)
    order = torch.randperm(H * W, generator=torch.Generator().manual_seed(3))
    moved = x.flatten(2)[..., order].view_as(x)
    target = loss.target(style)
    found, there = loss.distance(x, again(target)), loss.distance(moved, again(target))
    torch.testing.assert_close(found, there)
    shuffled = loss.target(style.flatten(2)[..., order].view_as(style))
    torch.testing.assert_close(loss.distance(x, shuffled), found)


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_of_a_region_is_that_region_alone(name: str) -> None:
    loss, style, x = STYLE_LOSSES.get(name), features(0), features(1)
    left = torch.zeros(1, 1, H, W, dtype=torch.float64)
    left[..., :3] = 1
    target = loss.target(style, left)
    alone = loss.distance(x[..., :3], loss.target(style[..., :3]))
    torch.testing.assert_close(loss.distance(x, target, left), alone, rtol=1e-6, atol=1e-9)
    everything = loss.distance(x, loss.target(style, left + (1 - left)), left + (1 - left))
    torch.testing.assert_close(everything, loss.distance(x, loss.target(style)))


@pytest.mark.parametrize("name", NAMES)
def test_a_mix_of_one_is_that_one(name: str) -> None:
    loss, x = STYLE_LOSSES.get(name), features(2)
    parts = [loss.target(features(seed)) for seed in (0, 1)]
    mixed = loss.mix(parts, [0.0, 3.0])
    assert torch.equal(loss.distance(x, again(mixed)), loss.distance(x, again(parts[1])))
    same = loss.mix([parts[0], parts[0]], [1.0, 3.0])
    own = loss.distance(x, again(parts[0]))
    torch.testing.assert_close(loss.distance(x, again(same)), own, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name: str) -> None:
    loss: StyleLoss = STYLE_LOSSES.get(name)
    target, mask = loss.target(features(0)), normal(5, 1, 1, H, W).sigmoid()

    def distance(x: Tensor) -> Tensor:
        return loss.distance(x, again(target)) + loss.distance(x, again(target), mask)

    assert torch.autograd.gradcheck(distance, features(1).requires_grad_(), atol=1e-6)


# --------------------------------------------------------------------------------------------- w2


def moments(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    flat = x[0].flatten(1).numpy()
    return flat.mean(1), np.cov(flat, bias=True)


def test_w2_is_that_of_the_two_gaussians() -> None:
    x, style = features(1), 2 * turned(features(0))
    (mean, cov), (aim, other) = moments(x), moments(style)
    root = sqrtm(other)
    expected = ((mean - aim) ** 2).sum() + np.trace(cov + other - 2 * sqrtm(root @ cov @ root).real)
    expected /= (aim**2).sum() + np.trace(other)
    assert W2.distance(x, W2.target(style)).item() == pytest.approx(expected, rel=1e-9)


def test_w2_of_gaussians_along_the_axes() -> None:
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 0.0, 1.0]).double()
    shift = torch.tensor([1.0, 2.0, 0.0]).double()
    found = gaussian_w2(
        shift, a.diag(), Gaussian(torch.zeros(3).double(), b.diag()), b.sqrt().diag()
    )
    assert found.item() == pytest.approx(5 + ((a.sqrt() - b.sqrt()) ** 2).sum().item(), rel=1e-9)


def test_w2_of_features_turned_alike_is_the_same() -> None:
    x, style = features(1), features(0)
    found = W2.distance(turned(x), W2.target(turned(style)))
    torch.testing.assert_close(found, W2.distance(x, W2.target(style)))


def test_a_mix_by_w2_has_the_moments_of_pictures_hung_side_by_side() -> None:
    a, b = features(0), features(1, H, 2 * W)
    mixed = W2.mix([W2.target(a), W2.target(b)], [1.0, 2.0])
    assert W2.distance(torch.cat([a, b], 3), mixed).item() == pytest.approx(0, abs=1e-9)


# ---------------------------------------------------------------------------------------- swd, histogram


def test_along_one_line_the_distance_is_that_of_the_best_assignment() -> None:
    x, style = normal(0, 1, 9), normal(1, 1, 9) + 3
    cost = (x[0][:, None] - style[0]).square().numpy()
    expected = cost[linear_sum_assignment(cost)].mean() / style.square().mean().item()
    found = sliced_distance(
        Points(x), [(1.0, Points(style))], torch.ones(1, 1, dtype=torch.float64)
    )
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_every_point_twice_or_of_twice_the_weight_is_the_same_style() -> None:
    x, style, axes = Points(normal(0, C, 30)), normal(1, C, 20), torch.eye(C).double()
    weights = torch.tensor([2.0, 1.0] * 10).double()
    heavy = sliced_distance(x, [(1.0, Points(style, weights))], axes)
    twice = sliced_distance(
        x, [(1.0, Points(style.repeat_interleave(weights.long(), dim=1)))], axes
    )
    assert heavy.item() == pytest.approx(twice.item(), rel=0.15)  # linear between other levels
    assert sliced_distance(Points(style, weights), [(1.0, Points(style, weights))], axes) < 1e-12


def test_between_two_styles_lie_their_quantiles_averaged() -> None:
    low, high = normal(0, C, 40), 2 * normal(0, C, 40) + 3
    axes = torch.eye(C).double()
    between = Points(0.25 * low + 0.75 * high)  # sorted alike along every axis
    parts = [(0.25, Points(low)), (0.75, Points(high))]
    assert sliced_distance(between, parts, axes).item() == pytest.approx(0, abs=1e-12)


def test_directions_are_new_at_every_call_and_the_same_in_every_run() -> None:
    x, target = features(1), SWD.target(features(0))
    first, second = (SWD.distance(x, target).item() for _ in range(2))
    assert first != second
    fresh = SWD.target(features(0))
    assert [SWD.distance(x, fresh).item() for _ in range(2)] == [first, second]


def test_what_gram_matrices_cannot_tell_apart_histograms_and_slices_can() -> None:
    """The same second moments, of another distribution: two values against a normal one."""
    style = normal(0, 1, 1, 64, 64)
    style = (style - style.mean()) / style.std(correction=0)
    signs = torch.ones_like(style)
    signs[..., ::2] = -1
    torch.testing.assert_close(gram(signs), gram(style))
    for name, told in {"gram": False, "w2": False, "swd": True, "histogram": True}.items():
        loss = STYLE_LOSSES.get(name)
        assert (loss.distance(signs, loss.target(style)).item() > 0.05) is told, name


def test_the_histogram_loss_is_half_gram_and_half_histograms() -> None:
    x, style = features(1), features(0)
    axes = torch.eye(C).double()
    both = STYLE_LOSSES.get("gram").distance(x, gram(style)) + sliced_distance(
        points(x), [(1.0, points(style))], axes
    )
    torch.testing.assert_close(HISTOGRAM.distance(x, HISTOGRAM.target(style)), both / 2)


# -------------------------------------------------------------------------------------------- nnst


def test_every_vector_is_measured_to_its_nearest_by_cosine() -> None:
    x, style = points(features(1)).values, points(features(0, 4, 7)).values
    mean_x, mean_s = x.mean(1), style.mean(1)
    total = 0.0
    for f in x.T:
        cosines = [torch.cosine_similarity(f - mean_x, s - mean_s, dim=0).item() for s in style.T]
        total += (f - style[:, int(np.argmax(cosines))]).square().sum().item()
    expected = total / x.shape[1] / style.square().sum(0).mean().item()
    found = NNST.distance(features(1), NNST.target(features(0, 4, 7)))
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_a_part_of_a_style_is_at_distance_0_but_for_its_mean() -> None:
    """Every vector finds itself where the means agree: a half of the picture and its mirror image."""
    half = features(0)
    style = torch.cat([half, half.flip(3)], 3)
    assert NNST.distance(half, NNST.target(style)).item() == 0


# --------------------------------------------------------------------------------- self-similarity


def test_self_similarity_is_the_papers_formula() -> None:
    x, y = normal(0, 3, 5), normal(1, 3, 5)

    def columns(f: Tensor) -> list[list[float]]:
        apart = [[1 - torch.cosine_similarity(a, b, dim=0).item() for b in f.T] for a in f.T]
        sums = [sum(row[j] for row in apart) for j in range(5)]
        return [[row[j] / sums[j] for j in range(5)] for row in apart]

    expected = sum(
        abs(p - q)
        for a, b in zip(columns(x), columns(y), strict=True)
        for p, q in zip(a, b, strict=True)
    )
    found = self_similarity_loss(Points(x), Points(y))
    assert found.item() == pytest.approx(expected / 5, rel=1e-6)


def test_self_similarity_knows_only_directions_to_one_another() -> None:
    x = normal(0, C, 20)
    lengths = normal(1, 20).exp()
    for same in (x, rotation() @ x, x * lengths):
        assert self_similarity_loss(Points(same), Points(x)).item() == pytest.approx(0, abs=1e-9)
    assert self_similarity_loss(Points(normal(2, C, 20)), Points(x)).item() > 0.1
    assert torch.autograd.gradcheck(
        lambda f: self_similarity_loss(Points(f), Points(x)), normal(2, C, 20).requires_grad_()
    )


def test_self_similarity_outside_a_mask_counts_nothing() -> None:
    target, mask = features(0), torch.ones(1, 1, H, W)
    mask[..., 4:] = 0
    other = target.clone()
    other[..., 4:] = normal(3, 1, C, H, 2)
    term = self_similarity_term("relu1_1", target, 1.0, mask)
    assert term.loss({"relu1_1": other}, other).item() == pytest.approx(0, abs=1e-9)
    bare = self_similarity_term("relu1_1", target, 1.0)
    assert bare.loss({"relu1_1": other}, other).item() > 0.01


def test_a_draw_begun_anew_is_the_same() -> None:
    draw = Draw(3)
    first = draw.places(5)
    assert not torch.equal(draw.places(5), first)
    draw.restart()
    assert torch.equal(draw.places(5), first)


# ------------------------------------------------------------------------------- in the optimiser


def picture(seed: int, size: int = 48) -> Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


def losses(tiny: Encoder, **options: Any) -> list[Mapping[str, float]]:
    settings = Settings(**{"init": "content", "steps": 14, "pyramid": False, **options})
    optimizer = PixelOptimizer(tiny, settings)
    return [step.losses for step in optimizer.render(picture(0), optimizer.prepare(picture(1)))]


def style_of(found: Mapping[str, float]) -> float:
    return sum(value for name, value in found.items() if name.startswith("raw/style/"))


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_descended_and_twice_alike(name: str, tiny: Encoder) -> None:
    options: Mapping[str, Any] = {"style_loss": name, "style_layers": "relu1_1,relu3_1"}
    found = losses(tiny, **options)
    assert style_of(found[-1]) < 0.75 * style_of(found[0])
    assert losses(tiny, **options, steps=2)[1] == losses(tiny, **options, steps=2)[1]


def test_self_similarity_holds_the_photo(tiny: Encoder) -> None:
    key = "raw/content/relu4_1"
    held, loose = (
        losses(tiny, content_loss="selfsim", content_weight=weight)[-1][key]
        for weight in (30, 0.01)
    )
    assert held < 0.8 * loose


def test_what_cannot_be_together_is_refused_by_name(tiny: Encoder) -> None:
    for name in ("swd", "histogram", "nnst"):
        with pytest.raises(OptionError, match=f"`style_loss={name}`.*`optimizer=lbfgs`"):
            PixelOptimizer(tiny, Settings(style_loss=name, optimizer="lbfgs"))
    for name in NAMES[1:]:
        with pytest.raises(OptionError, match=f"`style_loss={name}` has no scale 'gatys'"):
            PixelOptimizer(tiny, Settings(style_loss=name, preset="coursera"))
    with pytest.raises(OptionError, match="`content_loss=selfsim` has no scale 'quarter-mean'"):
        PixelOptimizer(tiny, Settings(content_loss="selfsim", preset="coursera"))


def test_layers_count_by_their_weights(tiny: Encoder) -> None:
    def shares(layers: str, **options: Any) -> dict[str, float]:
        return PixelOptimizer(tiny, Settings(style_layers=layers, **options)).recipe.style_shares

    even, plain = shares("relu1_1:3,relu4_1:3"), shares("relu1_1,relu4_1")
    assert even == plain
    found = shares("relu1_1:0.5,conv4_1:2", style_weight=2)
    assert list(found) == ["relu1_1", "relu4_1"]
    assert found["relu4_1"] == 4 * found["relu1_1"]
    assert sum(found.values()) == pytest.approx(2 * sum(plain.values()))
    assert Settings().resolved().style_shares.keys() == set(Settings().resolved().style_layers)
    first = losses(tiny, style_layers="relu1_1:0.5,relu4_1:2", steps=1)[0]
    weighted, raw = (first[f"{kind}style/relu4_1"] for kind in ("", "raw/"))
    assert weighted / raw == pytest.approx(sum(plain.values()) * 0.8)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("relu1_1:x", "takes weights of 0 or more after a colon, not 'relu1_1:x'"),
        ("relu1_1:-1", "takes weights of 0 or more"),
        ("relu1_1:inf", "takes weights of 0 or more"),
        ("relu1_1:0", "needs one layer that counts for more than 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(layers: str, said: str) -> None:
    with pytest.raises(OptionError, match=f"`style_layers` {said}"):
        Settings(style_layers=layers)


def test_colors_only_keeps_light_and_dark() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(60, 190, (40, 48, 3), dtype=np.uint8)
    options: Mapping[str, Any] = {"method": "fast", "size": 48, "device": "cpu"}
    made, plain = (
        impasto.stylize(photo, "starry-night", colors_only=only, **options)
        for only in (True, False)
    )

    def light(image: Any) -> Tensor:
        array = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        return luminance(array)

    assert (light(made) - light(photo)).abs().max() < 0.01
    assert (light(plain) - light(photo)).abs().max() > 0.1
    with pytest.raises(OptionError, match="`colors_only` takes the painting's colours and"):
        Settings(colors_only=True, keep_color="luminance")


def test_a_grid_turns_the_losses(tiny: Encoder) -> None:
    from impasto.analysis.grid import sweep

    work = sweep(
        "cat",
        "waves",
        "style-loss",
        encoder=tiny,
        size=48,
        settings=Settings(steps=1, init="content"),
    )
    assert [column.partition("\n")[2] for column in work.columns][: len(NAMES)] == list(NAMES)
