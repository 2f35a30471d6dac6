"""Losses: the sources' worked examples and formulas, closed forms, and float64 references."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.losses.content import (
    CONTENT_SCALES,
    content_loss,
    relative_content_loss,
    squared_norm,
)
from impasto.losses.gram import (
    STYLE_SCALES,
    cooccurrence,
    eased_style_loss,
    gram,
    relative_style_loss,
    style_loss,
)
from impasto.losses.style.gram import GRAM
from impasto.losses.variation import total_variation, unevenness

N, H, W = 5, 6, 7
M = H * W


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def maps(matrix: list[list[float]]) -> Tensor:
    """Filters x positions -> (1, N, 1, M)."""
    return torch.tensor(matrix, dtype=torch.float64)[None, :, None, :]


def matrix(features: Tensor) -> Tensor:
    """(1, N, H, W) -> N x M, the sources' F."""
    return features[0].reshape(features.shape[1], -1)


def distance(a: Tensor, b: Tensor) -> float:
    """Relative to b, Frobenius."""
    return ((a.double() - b).norm() / b.norm()).item()


# ------------------------------------------------------------------------------------ worked examples


def test_worked_example_content() -> None:
    features, target = maps([[1, 2], [3, 4]]), maps([[2, 2], [2, 2]])
    assert content_loss(features, target, "sum").item() == 6
    assert content_loss(features, target, "half-sum").item() == 3
    assert content_loss(features, target).item() == 3


def test_a_norm_is_summed_over_any_number_of_filters() -> None:
    target, mask = normal(1, 2, 70, 3, 4), normal(2, 1, 1, 3, 4).abs()
    assert squared_norm(target).item() == pytest.approx(target.square().sum().item())
    expected = (target.square() * mask).sum().item()
    assert squared_norm(target, mask).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([[1, 2, 3, 4], [5, 6, 7, 8]], [[30, 70], [70, 174]]),
        ([[19, 20], [9, 8]], [[761, 331], [331, 145]]),
        (
            [[1, 3], [2, 4]],
            [[10, 14], [14, 20]],
        ),  # x = [[1, 2], [3, 4]], its columns the filters: x^T x
    ],
)
def test_worked_example_gram(filters: list[list[float]], expected: list[list[float]]) -> None:
    positions = len(filters[0])
    assert (gram(maps(filters)) * positions)[0].tolist() == expected


def test_worked_example_sums() -> None:
    second = gram(maps([[1, 3], [2, 4]])) * 2
    assert second.sum().item() == 58
    assert second[0].trace().item() == 30


def test_worked_example_style_weight() -> None:
    # Two Gram matrices of sums that differ by 1 in one entry; H = W = filters = 2.
    second, target = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    second[0, 0, 0] = 1 / 4
    assert style_loss(second, target, positions=4, scale="gatys").item() == 1 / 256


# --------------------------------------------------------------------------- every source's formula

CONTENT_ROWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "half-sum": lambda F, P: 0.5 * ((F - P) ** 2).sum(),
    "quarter-mean": lambda F, P: ((P - F) ** 2).sum() / (4 * H * W * N),
    "sum": lambda F, P: ((F - P) ** 2).sum(),
    "mean": lambda F, P: ((F - P) ** 2).mean(),
}
STYLE_ROWS: dict[str, list[Callable[[Tensor, Tensor], Tensor]]] = {
    "gatys": [
        lambda F, S: ((F @ F.T - S @ S.T) ** 2).sum() / (4 * N**2 * M**2),
        lambda F, S: (
            ((S @ S.T - F @ F.T) ** 2).sum() / (4 * N**2 * (H * W) ** 2)
        ),  # the Coursera notes
    ],
    "mean": [lambda F, S: ((F @ F.T / (H * W) - S @ S.T / (H * W)) ** 2).mean()],
    "mean-of-sums": [lambda F, S: ((F @ F.T - S @ S.T) ** 2).mean()],
    "per-filter": [  # PyTorch's tutorial divides the Gram matrix by all there is in a layer
        lambda F, S: ((F @ F.T / (N * H * W) - S @ S.T / (N * H * W)) ** 2).mean()
    ],
    "keras": [  # three channels, at the size of the layer
        lambda F, S: ((F @ F.T - S @ S.T) ** 2).sum() / (4 * 3**2 * (H * W) ** 2)
    ],
}


def test_every_scale_has_its_source() -> None:
    assert set(CONTENT_SCALES) == set(CONTENT_ROWS)
    assert set(STYLE_SCALES) == set(STYLE_ROWS)


@pytest.mark.parametrize("scale", CONTENT_ROWS)
def test_content_is_its_sources_formula(scale: str) -> None:
    features, target = normal(0, 1, N, H, W), normal(1, 1, N, H, W)
    expected = CONTENT_ROWS[scale](matrix(features), matrix(target))
    torch.testing.assert_close(content_loss(features, target, scale), expected)


@pytest.mark.parametrize("scale", STYLE_ROWS)
def test_style_is_its_sources_formula(scale: str) -> None:
    features, style = normal(0, 1, N, H, W), normal(1, 1, N, H, W)
    found = style_loss(gram(features), gram(style), M, scale)
    for row in STYLE_ROWS[scale]:
        torch.testing.assert_close(found, row(matrix(features), matrix(style)))


@pytest.mark.parametrize("scale", STYLE_ROWS)
def test_a_style_repeated_is_the_same_style(scale: str) -> None:
    features, style = normal(0, 1, N, H, W), normal(1, 1, N, H, W)
    once = style_loss(gram(features), gram(style), M, scale)
    twice = style_loss(gram(features), gram(torch.cat([style, style], 3)), M, scale)
    torch.testing.assert_close(twice, once)


# ------------------------------------------------------------------------------------------ gradients


def test_content_gradient_of_the_paper() -> None:
    z, target = normal(0, 1, N, H, W).requires_grad_(), normal(1, 1, N, H, W).relu()
    F = z.relu()
    (found,) = torch.autograd.grad(content_loss(F, target, "half-sum"), z)
    expected = torch.where(F > 0, F - target, 0.0)
    torch.testing.assert_close(found, expected)


def test_style_gradient_of_the_paper() -> None:
    z, style = normal(0, 1, N, H, W).requires_grad_(), normal(1, 1, N, H, W).relu()
    F, S = matrix(z.relu()), matrix(style)
    (found,) = torch.autograd.grad(style_loss(gram(z.relu()), gram(style), M, "gatys"), z)
    slope = (F.T @ (F @ F.T - S @ S.T)).T / (N**2 * M**2)
    torch.testing.assert_close(matrix(found), torch.where(F > 0, slope, 0.0))


TARGET = normal(9, 2, 3, 2, 3)
MASK = torch.tensor([[[[1.0, 0.5, 0.0], [0.25, 1.0, 0.75]]]], dtype=torch.float64)
DIFFERENTIABLE: dict[str, Callable[[Tensor], Tensor]] = {
    "gram": gram,
    "guided gram": lambda F: gram(F, MASK),
    "content": lambda F: content_loss(F, TARGET, "quarter-mean"),
    "relative content": lambda F: relative_content_loss(F, TARGET),
    "style": lambda F: style_loss(gram(F), gram(TARGET), 6, "mean-of-sums"),
    "relative style": lambda F: relative_style_loss(gram(F), gram(TARGET)),
    "eased style": lambda F: eased_style_loss(gram(F), gram(TARGET)),
    "guided content": lambda F: content_loss(F, TARGET, "mean", MASK),
    "guided style": lambda F: GRAM.distance(F, gram(TARGET), MASK),
    "variation": total_variation,
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradcheck(name: str) -> None:
    assert torch.autograd.gradcheck(DIFFERENTIABLE[name], (normal(0, 2, 3, 2, 3).requires_grad_(),))


# --------------------------------------------------------------------------------- gram: precision

SIZES = [(64, 64), (101, 99), (33, 47), (7, 13), (1, 1)]


def features_of(size: tuple[int, int], dtype: torch.dtype, memory: torch.memory_format) -> Tensor:
    """Two pictures' features as after a ReLU."""
    return normal(3, 2, 24, *size).relu().to(dtype).contiguous(memory_format=memory)


def reference(features: Tensor) -> Tensor:
    flat = features.double().flatten(2)
    return torch.einsum("bik,bjk->bij", flat, flat) / flat.shape[2]


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 5e-4)])
def test_gram_against_float64(
    size: tuple[int, int], memory: torch.memory_format, dtype: torch.dtype, error: float
) -> None:
    features = features_of(size, dtype, memory)
    found = gram(features)
    assert found.dtype == torch.float32
    assert found.shape == (2, 24, 24)
    for one, expected in zip(found, reference(features), strict=True):
        assert distance(one, expected) < error


def test_gram_of_a_flat_bfloat16_picture_is_right_to_its_rounding() -> None:
    # The worst case of summing by bands: every band is rounded alike, so nothing averages out.
    features = normal(4, 1, 24, 1, 1).bfloat16().expand(1, 24, 64, 64)
    assert distance(gram(features), reference(features)) < 2**-8


def test_gram_of_half_precision_does_not_overflow() -> None:
    # Sums over positions pass float16's 65504 where their mean does not.
    features = (16 * normal(4, 1, 4, 128, 128).relu()).half()
    assert distance(gram(features), reference(features)) < 5e-4


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 5e-3)])
def test_gram_gradient_against_float64(
    size: tuple[int, int], memory: torch.memory_format, dtype: torch.dtype, error: float
) -> None:
    features = features_of(size, dtype, memory).requires_grad_()
    upstream = normal(5, 2, 24, 24)
    (found,) = torch.autograd.grad(gram(features), features, upstream.float())
    exact = features.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(reference(exact), exact, upstream)
    assert found.dtype == dtype
    assert distance(found, expected) < error


def test_gram_is_symmetric_and_positive() -> None:
    second = gram(normal(0, 2, N, H, W))
    torch.testing.assert_close(second, second.mT)
    assert torch.linalg.eigvalsh(second).min() > -1e-12


# ---------------------------------------------------------------------------------------------- masks


def soft(seed: int, height: int = H, width: int = W) -> Tensor:
    return torch.rand(
        (1, 1, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def test_the_guided_gram_is_the_papers_sum() -> None:
    features, mask = normal(0, 2, N, H, W), soft(1)
    expected = (
        torch.einsum("bihw,bjhw,hw->bij", features, features, mask[0, 0] ** 2) / (mask**2).sum()
    )
    torch.testing.assert_close(gram(features, mask), expected)


def test_a_mask_that_lets_all_through_changes_nothing() -> None:
    features, target, all_of_it = (
        normal(0, 1, N, H, W),
        normal(1, 1, N, H, W),
        torch.ones(1, 1, H, W).double(),
    )
    assert torch.equal(gram(features, all_of_it), gram(features))
    assert torch.equal(
        GRAM.distance(features, gram(target), all_of_it), GRAM.distance(features, gram(target))
    )
    assert torch.equal(
        content_loss(features, target, "mean", all_of_it), content_loss(features, target, "mean")
    )
    assert torch.equal(
        relative_content_loss(features, target, all_of_it), relative_content_loss(features, target)
    )


def test_what_a_mask_leaves_out_is_not_looked_at() -> None:
    mask = soft(1).round()
    one, other = normal(0, 1, N, H, W), normal(2, 1, N, H, W)
    other = torch.where(mask > 0, one, 100 * other)
    assert not torch.equal(one, other)
    target = normal(3, 1, N, H, W)
    torch.testing.assert_close(gram(one, mask), gram(other, mask))
    torch.testing.assert_close(
        content_loss(one, target, "sum", mask), content_loss(other, target, "sum", mask)
    )
    assert gram(one, 0 * mask).abs().max() == 0, "nothing is let through, and nothing overflows"


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_regions_add_up_to_the_whole(cut: int) -> None:
    features = normal(0, 2, N, H, W)
    left = torch.zeros(1, 1, H, W, dtype=torch.float64)
    left[..., :cut] = 1
    parts = GRAM.mix([gram(features, left), gram(features, 1 - left)], [cut, W - cut])
    torch.testing.assert_close(parts, gram(features))
    torch.testing.assert_close(gram(features, left), gram(features[..., :cut]))


def test_the_scale_of_a_source_counts_what_the_mask_lets_through() -> None:
    features, target = normal(0, 1, N, H, W), gram(normal(1, 1, N, H, W))
    half = torch.zeros(1, 1, H, W, dtype=torch.float64)
    half[..., :3, :] = 1
    found = GRAM.scaled("mean-of-sums").distance(features, target, half)
    torch.testing.assert_close(
        found, style_loss(gram(features[:, :, :3]), target, 3 * W, "mean-of-sums")
    )


def test_where_things_are_does_not_matter() -> None:
    features = normal(0, 1, N, H, W)
    shuffled = features.flatten(2)[
        :, :, torch.randperm(M, generator=torch.Generator().manual_seed(0))
    ]
    torch.testing.assert_close(gram(shuffled.view(1, N, H, W)), gram(features))


# -------------------------------------------------------------------------------------------- mixing


def test_one_hot_mix_is_that_style() -> None:
    parts = [gram(normal(seed, 1, N, H, W + seed)) for seed in range(3)]
    for i, part in enumerate(parts):
        assert torch.equal(GRAM.mix(parts, [float(i == j) for j in range(3)]), part)


def test_mix_is_linear_in_weights_that_sum_to_one() -> None:
    a, b = gram(normal(0, 1, N, H, W)), gram(normal(1, 1, N, 2 * H, W))
    mixed = GRAM.mix([a, b], [1.0, 3.0])
    torch.testing.assert_close(mixed, 0.25 * a + 0.75 * b)
    torch.testing.assert_close(mixed, GRAM.mix([a, b], [0.25, 0.75]))


def test_mix_needs_a_weight_for_every_style() -> None:
    part = gram(normal(0, 1, N, H, W))
    with pytest.raises(ValueError, match="argument"):
        GRAM.mix([part, part], [1.0])


# ------------------------------------------------------------------------------------ relative losses


def test_relative_losses_are_zero_at_the_target_and_one_in_the_dark() -> None:
    target = normal(0, 1, N, H, W)
    dark = torch.zeros_like(target)
    assert relative_content_loss(target, target).item() == 0
    assert relative_style_loss(gram(target), gram(target)).item() == 0
    assert relative_content_loss(dark, target).item() == pytest.approx(1)
    assert relative_style_loss(gram(dark), gram(target)).item() == pytest.approx(1)


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e3])
def test_relative_losses_do_not_know_the_layers_scale(factor: float) -> None:
    features, target = normal(0, 1, N, H, W), normal(1, 1, N, H, W)
    torch.testing.assert_close(
        relative_content_loss(factor * features, factor * target),
        relative_content_loss(features, target),
    )
    torch.testing.assert_close(
        relative_style_loss(gram(factor * features), gram(factor * target)),
        relative_style_loss(gram(features), gram(target)),
    )


def test_relative_losses_are_distances_over_norms() -> None:
    F, P = maps([[1, 2], [3, 4]]), maps([[2, 2], [2, 2]])
    assert relative_content_loss(F, P).item() == pytest.approx(6 / 16)
    # Sums [[5, 11], [11, 25]] and 8 everywhere: 9 + 9 + 9 + 289 over 4 x 64.
    assert relative_style_loss(gram(F), gram(P)).item() == pytest.approx(316 / 256)


def test_the_eased_loss_is_half_the_distance_to_the_power_of_one_and_a_half() -> None:
    F, P = maps([[1, 2], [3, 4]]), maps([[2, 2], [2, 2]])
    eased = eased_style_loss(gram(F), gram(P)).item()
    assert eased == pytest.approx((316 / 256) ** 0.75 / 2)
    target = normal(0, 1, N, H, W)
    near = gram(1.25**0.5 * target)  # a quarter further out: there the two agree
    torch.testing.assert_close(
        eased_style_loss(near, gram(target)), relative_style_loss(near, gram(target))
    )


def test_the_eased_loss_has_no_slope_at_the_style_itself() -> None:
    features = normal(0, 1, N, H, W).requires_grad_(True)
    loss = eased_style_loss(gram(features), gram(features.detach()))
    (slope,) = torch.autograd.grad(loss, features)
    assert loss.item() < 1e-8
    assert slope.abs().max().item() == 0


def test_a_dark_target_gives_finite_losses() -> None:
    dark = torch.zeros(1, N, H, W)
    assert relative_content_loss(dark, dark).item() == 0
    assert relative_style_loss(gram(dark), gram(dark)).item() == 0


# ------------------------------------------------------------------------------------ total variation


def test_a_constant_picture_does_not_vary() -> None:
    assert total_variation(torch.full((2, 3, H, W), 0.3)).item() == 0
    assert total_variation(torch.rand(1, 3, 1, 1)).item() == 0


@pytest.mark.parametrize(
    ("row", "column", "neighbours"), [(2, 3, 4), (0, 3, 3), (2, W - 1, 3), (H - 1, 0, 2)]
)
def test_a_single_bright_pixel(row: int, column: int, neighbours: int) -> None:
    image = torch.zeros(1, 1, H, W)
    image[..., row, column] = 0.25
    assert total_variation(image).item() == neighbours * 0.25


def test_ramps() -> None:
    across = (torch.arange(W) / 8).expand(2, 3, H, W)
    assert total_variation(across).item() == 2 * 3 * H * (W - 1) / 8
    both = across + torch.arange(H)[:, None] / 4
    assert total_variation(both).item() == 2 * 3 * (H * (W - 1) / 8 + (H - 1) * W / 4)


def test_variation_of_flips_and_negatives_is_the_same() -> None:
    image = normal(0, 1, 3, H, W)
    for other in (image.flip(2), image.flip(3), image.mT, 1 - image):
        torch.testing.assert_close(total_variation(other), total_variation(image))


# -------------------------------------------------------------------------- beside Gram matrices


@pytest.mark.parametrize(("down", "right"), [(0, 0), (0, 2), (2, 0), (1, 3)])
def test_cooccurrence_is_the_mean_of_products_line_by_line(down: int, right: int) -> None:
    features = normal(31, 2, N, H, W).requires_grad_()
    shift = down * W + right
    for picture, found in zip(features, cooccurrence(features, down, right), strict=True):
        flat = picture.flatten(1)
        expected = sum(torch.outer(flat[:, k], flat[:, k + shift]) for k in range(M - shift)) / (
            M - shift
        )
        torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(lambda x: cooccurrence(x, down, right), features)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (0, 3), (2, 0)])
def test_cooccurrence_of_bfloat16_is_that_of_float64(down: int, right: int) -> None:
    """By bands, with gradients of its own."""
    plain = (
        normal(32, 2, 16, 64, 96).relu().bfloat16().contiguous(memory_format=torch.channels_last)
    )
    short, wide = plain.clone().requires_grad_(), plain.double().requires_grad_()
    found, expected = cooccurrence(short, down, right), cooccurrence(wide, down, right)
    assert distance(found, expected) < 1e-3
    toward = normal(33, *expected.shape)
    (found * toward.float()).sum().backward()
    (expected * toward).sum().backward()
    assert short.grad is not None
    assert wide.grad is not None
    assert distance(short.grad, wide.grad) < 1e-2


def test_a_lattice_has_the_gram_matrix_of_noise_but_not_its_shifted_products() -> None:
    """Why shifted products are there."""
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(34)).sign().double()
    rows = torch.arange(64)
    lattice = ((rows[:, None] + rows) % 2 * 2.0 - 1).double()[None, None]
    torch.testing.assert_close(gram(lattice), gram(noise))
    assert cooccurrence(noise, 0, 3).abs() < 0.1
    assert cooccurrence(lattice, 0, 3).abs() > 0.9


def test_unevenness_is_its_formula() -> None:
    photo, picture = (normal(seed, 2, 3, 8, 12).sigmoid() for seed in (35, 36))
    found = unevenness(photo, picture, cell=4, sigma=0.2)
    for row in range(2):
        cells, painted = (
            [image[row, :, y : y + 4, x : x + 4].mean((1, 2)) for y in (0, 4) for x in (0, 4, 8)]
            for image in (photo, picture)
        )
        above, below = 0.0, 0.0
        for c, o in zip(cells, painted, strict=True):
            for d, p in zip(cells, painted, strict=True):
                weight = torch.exp(-(c - d).square().sum() / (2 * 0.2**2))
                above, below = above + weight * (o - p).norm(), below + weight
        assert float(found[row]) == pytest.approx(float(above / below), rel=1e-5)
    assert torch.autograd.gradcheck(
        lambda x: unevenness(photo, x, cell=4), picture.requires_grad_()
    )


def test_strokes_are_even_and_a_vignette_is_not() -> None:
    photo = torch.full((1, 3, 64, 64), 0.5)
    rows = torch.arange(64)
    strokes = 0.5 + 0.3 * ((rows[:, None] // 2 + rows // 2) % 2 * 2.0 - 1).expand(1, 3, 64, 64)
    vignette = (1 - (rows[:, None] - 32.0).square() / 1024).expand(1, 3, 64, 64)
    assert unevenness(photo, strokes) < 1e-4
    assert unevenness(photo, vignette) > 0.1
