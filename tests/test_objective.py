"""Objectives: sums of named, weighted terms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.losses.content import CONTENT_SCALES, content_loss, relative_content_loss
from impasto.losses.gram import STYLE_SCALES, gram, relative_style_loss, style_loss
from impasto.losses.objective import (
    Losses,
    Objective,
    Term,
    content_term,
    style_term,
    variation_term,
)
from impasto.losses.style.gram import GRAM
from impasto.losses.variation import total_variation

LAYERS = {"relu1_1": (1, 3, 8, 10), "relu2_1": (1, 4, 4, 5)}


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def features_of(image: Tensor) -> dict[str, Tensor]:
    """A differentiable stand-in for an encoder: the picture through a fixed matrix, at two sizes."""
    half = torch.nn.functional.avg_pool2d(image, 2)
    return {
        "relu1_1": image.square(),
        "relu2_1": torch.einsum("oi,bihw->bohw", normal(7, 4, 3), half).tanh(),
    }


IMAGE, PHOTO, STYLE = (normal(seed, 1, 3, 8, 10) for seed in range(3))


def terms() -> list[Term]:
    photo, style = features_of(PHOTO), features_of(STYLE)
    return [
        content_term("relu2_1", photo["relu2_1"], 3.0),
        style_term("relu1_1", gram(style["relu1_1"]), 0.5),
        style_term("relu2_1", gram(style["relu2_1"]), 0.25),
        variation_term(0.125),
    ]


def evaluate(parts: list[Term], image: Tensor = IMAGE) -> Losses:
    return Objective(parts)(features_of(image), image)


def test_total_is_the_weighted_sum() -> None:
    F, P, S = features_of(IMAGE), features_of(PHOTO), features_of(STYLE)
    losses = evaluate(terms())
    raw = {
        "content/relu2_1": relative_content_loss(F["relu2_1"], P["relu2_1"]),
        "style/relu1_1": relative_style_loss(gram(F["relu1_1"]), gram(S["relu1_1"])),
        "style/relu2_1": relative_style_loss(gram(F["relu2_1"]), gram(S["relu2_1"])),
        "variation": total_variation(IMAGE),
    }
    weights = dict(zip(raw, (3.0, 0.5, 0.25, 0.125), strict=True))
    assert list(losses.raw) == list(losses.weighted) == list(raw)
    for name, value in raw.items():
        torch.testing.assert_close(losses.raw[name], value)
        torch.testing.assert_close(losses.weighted[name], weights[name] * value)
    torch.testing.assert_close(
        losses.total, sum(weights[name] * value for name, value in raw.items())
    )


@pytest.mark.parametrize("scale", CONTENT_SCALES)
def test_content_scales_reach_the_loss(scale: str) -> None:
    F, P = features_of(IMAGE)["relu2_1"], features_of(PHOTO)["relu2_1"]
    losses = evaluate([content_term("relu2_1", P, 2.0, scale)])
    torch.testing.assert_close(losses.total, 2 * content_loss(F, P, scale))


@pytest.mark.parametrize("scale", STYLE_SCALES)
def test_style_scales_reach_the_loss(scale: str) -> None:
    # The style's picture is larger: M is the generated picture's.
    F, A = features_of(IMAGE)["relu2_1"], gram(features_of(normal(3, 1, 3, 16, 16))["relu2_1"])
    losses = evaluate([style_term("relu2_1", A, 2.0, GRAM.scaled(scale))])
    torch.testing.assert_close(losses.total, 2 * style_loss(gram(F), A, 4 * 5, scale))


def test_variation_is_a_sum_or_per_pixel() -> None:
    summed, mean = (evaluate([variation_term(2.0, scale)]).total for scale in ("sum", "mean"))
    torch.testing.assert_close(summed, 2 * total_variation(IMAGE))
    torch.testing.assert_close(mean, 2 * total_variation(IMAGE) / (8 * 10))


TARGET = features_of(PHOTO)["relu1_1"]


@pytest.mark.parametrize(
    "term",
    [
        lambda: content_term("relu1_1", TARGET, 1.0, "bogus"),
        lambda: style_term("relu1_1", gram(TARGET), 1.0, GRAM.scaled("bogus")),
        lambda: variation_term(1.0, "bogus"),
    ],
    ids=["content", "style", "variation"],
)
def test_unknown_scale_is_refused(term: Callable[[], Term]) -> None:
    with pytest.raises((KeyError, ValueError), match="bogus"):
        evaluate([term()])


def test_a_mask_reaches_every_layer_at_its_size() -> None:
    """Of any size itself: what it leaves out of the picture changes no term."""
    mask = torch.zeros(1, 1, 16, 20, dtype=torch.float64)
    mask[..., :10] = 1  # the left half of a picture of 8 x 10
    photo, style = features_of(PHOTO), features_of(STYLE)
    guided = [
        content_term("relu1_1", photo["relu1_1"], 1.0, mask=mask[..., ::2, ::2]),
        style_term("relu1_1", gram(style["relu1_1"]), 1.0, mask=mask),
    ]
    other = torch.cat([IMAGE[..., :5], 3 * PHOTO[..., 5:]], dim=3)
    torch.testing.assert_close(evaluate(guided).total, evaluate(guided, other).total)
    left = gram(features_of(IMAGE)["relu1_1"][..., :5])
    torch.testing.assert_close(
        evaluate([guided[1]]).total, relative_style_loss(left, gram(style["relu1_1"]))
    )


def test_gradient_is_the_weighted_sum_of_gradients() -> None:
    image = IMAGE.clone().requires_grad_()
    parts = terms()
    (whole,) = torch.autograd.grad(evaluate(parts, image).total, image)
    each = [
        torch.autograd.grad(
            evaluate([Term(part.name, 1.0, part.layers, part.loss)], image).total, image
        )[0]
        for part in parts
    ]
    torch.testing.assert_close(
        whole, sum(part.weight * g for part, g in zip(parts, each, strict=True))
    )
    assert all(g.abs().max() > 0 for g in each)


def test_the_log_holds_no_graph() -> None:
    losses = evaluate(terms(), IMAGE.clone().requires_grad_())
    assert losses.total.requires_grad
    assert not any(
        value.requires_grad for value in (*losses.raw.values(), *losses.weighted.values())
    )


def test_targets_are_reached_with_no_loss() -> None:
    F = features_of(IMAGE)
    losses = evaluate(
        [content_term("relu1_1", F["relu1_1"], 1.0), style_term("relu2_1", gram(F["relu2_1"]), 1.0)]
    )
    assert losses.total.item() == 0


def test_numbers_are_plain_and_complete() -> None:
    losses = evaluate(terms())
    numbers = losses.numbers()
    names = {"content/relu2_1", "style/relu1_1", "style/relu2_1", "variation"}
    assert set(numbers) == {"total"} | names | {f"raw/{name}" for name in names}
    assert all(type(value) is float for value in numbers.values())
    assert numbers["total"] == pytest.approx(sum(numbers[name] for name in names))
    assert numbers["content/relu2_1"] == pytest.approx(3 * numbers["raw/content/relu2_1"])


def test_weight_zero_is_logged_and_changes_nothing() -> None:
    image = IMAGE.clone().requires_grad_()
    content, *_ = terms()
    alone, beside = evaluate([content], image), evaluate([content, variation_term(0.0)], image)
    assert beside.numbers()["variation"] == 0
    assert beside.numbers()["raw/variation"] == pytest.approx(total_variation(IMAGE).item())
    assert beside.total.item() == alone.total.item()
    for a, b in zip(
        torch.autograd.grad(alone.total, image),
        torch.autograd.grad(beside.total, image),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_layers_are_each_named_once_in_order() -> None:
    assert Objective(terms()).layers == ("relu2_1", "relu1_1")
    assert Objective([variation_term(1.0)]).layers == ()


def test_terms_without_layers_need_no_features() -> None:
    losses = Objective([variation_term(2.0)])({}, IMAGE)
    torch.testing.assert_close(losses.total, 2 * total_variation(IMAGE))


def test_order_of_terms_does_not_matter() -> None:
    torch.testing.assert_close(evaluate(terms()[::-1]).total, evaluate(terms()).total)


def test_names_are_unique() -> None:
    with pytest.raises(ValueError, match="variation"):
        Objective([variation_term(1.0), variation_term(2.0)])


def test_an_objective_has_terms() -> None:
    with pytest.raises(ValueError, match="terms"):
        Objective([])
