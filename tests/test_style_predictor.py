"""The style predictor: what a style is described by, and how descriptions become vectors."""

from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig, encode_style

CONFIG = StylePredictorConfig(description=20, vector=30, components=8, hidden=12, embedding=5)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def usual(number: int = 200, size: int = CONFIG.description) -> Tensor:
    """Descriptions whose numbers rise and fall together, on very different scales and far from
    zero.
    """
    mixing = normal(size, size, seed=2) * 0.5 ** torch.arange(size)
    return 10 + (
        normal(number, size) @ mixing.T + 0.01 * normal(number, size, seed=3)
    ) * torch.logspace(-2, 1, size)


def predictor(config: StylePredictorConfig = CONFIG, number: int = 200) -> StylePredictor:
    torch.manual_seed(0)
    net = StylePredictor(config)
    # As after training: a style has something to add to the zero vector.
    torch.nn.init.normal_(net.speak.weight)
    torch.nn.init.normal_(net.speak.bias)
    net.fit_pca(usual(number, config.description))
    return net


def projected(net: StylePredictor, descriptions: Tensor) -> Tensor:
    return (descriptions.double() - net.center.double()) @ net.axes.double().T


# --------------------------------------------------------------------------------------- encode_style


def test_a_description_is_written_out() -> None:
    """By layer in the order asked for: the means, then the roots of the mean squares."""
    means = {
        "relu2_1": torch.tensor([[3.0], [-4.0]]),
        "relu1_1": torch.tensor([[1.0, 2.0], [5.0, 6.0]]),
        "other": torch.zeros(2, 9),
    }
    seconds = {
        "other": torch.zeros(2, 9),
        "relu1_1": torch.tensor([[4.0, 9.0], [25.0, 36.0]]),
        "relu2_1": torch.tensor([[16.0], [-1e-9]]),  # what rounding may make of a square of nought
    }
    assert encode_style(means, seconds, ("relu1_1", "relu2_1")).tolist() == [
        [1, 2, 2, 3, 3, 4],
        [5, 6, 5, 6, -4, 0],
    ]
    assert encode_style(means, seconds, ["relu2_1"]).tolist() == [[3, 4], [-4, 0]]


def test_a_description_grows_with_the_contrast_of_features() -> None:
    features = {"a": normal(2, 3, 5, 4), "b": normal(2, 4, 3, 3, seed=4)}

    def description(scale: float) -> Tensor:
        scaled = {layer: scale * x for layer, x in features.items()}
        means = {layer: x.mean((2, 3)) for layer, x in scaled.items()}
        return encode_style(
            means, {layer: x.square().mean((2, 3)) for layer, x in scaled.items()}, ("a", "b")
        )

    assert description(1).shape == (2, 2 * (3 + 4))
    torch.testing.assert_close(description(5), 5 * description(1))
    norms = torch.linalg.vector_norm(features["a"].double(), dim=(2, 3)) / 20**0.5
    torch.testing.assert_close(description(1)[:, 3:6].double(), norms)


def test_a_description_is_float32() -> None:
    means, seconds = {"a": normal(2, 3).bfloat16()}, {"a": normal(2, 3).square().bfloat16()}
    assert encode_style(means, seconds, ("a",)).dtype == torch.float32


# --------------------------------------------------------------------------------------- fit_pca


def test_usual_descriptions_become_components_of_like_size() -> None:
    found = projected(predictor(), usual())
    torch.testing.assert_close(
        found.mean(0), torch.zeros(8, dtype=torch.float64), rtol=0, atol=1e-4
    )
    covariance = found.T.cov()
    variances = covariance.diagonal()
    assert variances.max() < 1 + 1e-4
    assert variances.max() > 0.99
    # Uncorrelated, the larger first.
    torch.testing.assert_close(covariance, variances.diag(), rtol=0, atol=1e-4)
    assert (variances.diff() < 1e-4).all()


def test_axes_are_orthogonal_where_numbers_have_like_scale() -> None:
    net = predictor()
    spread = usual().std(0)
    axes = net.axes * (spread + 0.1 * spread.mean())
    products = axes @ axes.T
    lengths = products.diagonal().sqrt()
    torch.testing.assert_close(products / lengths.outer(lengths), torch.eye(8), rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [0.001, 1000])
def test_the_unit_of_descriptions_does_not_matter(scale: float) -> None:
    net, other = StylePredictor(CONFIG), StylePredictor(CONFIG)
    net.fit_pca(usual())
    other.fit_pca(scale * usual())
    # The sign of an axis means nothing.
    found, expected = projected(other, scale * usual()).abs(), projected(net, usual()).abs()
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("number", [2, 5, 8])
def test_few_descriptions_suffice(number: int) -> None:
    net, few = predictor(number=number), usual(number)
    assert net.axes.isfinite().all()
    assert not net.axes[number:].any(), "no more axes than descriptions"
    variances = projected(net, few).var(0)
    assert variances.max() < 1 + 1e-3
    assert variances[0] > 0.45  # between a half, for the least of them, and one
    assert net(few).isfinite().all()
    assert net(usual(50)).isfinite().all()


@pytest.mark.parametrize(
    ("descriptions", "axes"),
    [
        (usual(1), 0),
        (usual(1).expand(7, -1), 0),
        (torch.full((50, 20), 10.1), 0),
        (torch.zeros(3, 20), 0),
        (usual(2), 1),
        (usual(5), 4),
        (usual(3).repeat(6, 1), 2),
        (usual(200), 8),
    ],
    ids=[
        "one",
        "one many times",
        "one number",
        "nothing",
        "two",
        "five",
        "three many times",
        "many",
    ],
)
def test_there_are_as_many_axes_as_descriptions_differ_along(
    descriptions: Tensor, axes: int
) -> None:
    """Rounding is no axis: brought to size, it would say of every other style that it is enormous."""
    net = predictor()
    net.fit_pca(descriptions)
    assert net.axes.isfinite().all()
    assert net.axes.any(1).tolist() == [True] * axes + [False] * (8 - axes)
    assert projected(net, descriptions).abs().max() < 10
    with torch.no_grad():
        vectors = net(usual(9))
    assert vectors.isfinite().all()
    assert torch.allclose(vectors, vectors[:1].expand_as(vectors), rtol=1e-5, atol=1e-5) == (
        axes == 0
    )


def test_the_components_are_kept_with_the_weights() -> None:
    net, twin = predictor(), StylePredictor(StylePredictorConfig(**asdict(CONFIG)))
    assert twin.config == net.config
    twin.load_state_dict(net.state_dict())
    assert torch.equal(twin(usual()), net(usual()))


# -------------------------------------------------------------------------------------- prediction


@torch.no_grad()
def test_any_description_has_a_vector() -> None:
    size = CONFIG.description
    descriptions = torch.stack(
        [
            torch.zeros(size),
            torch.full((size,), 1e6),
            torch.full((size,), -1e6),
            1e6 * normal(size),
            usual()[0],
        ]
    )
    for given in (descriptions, descriptions.bfloat16()):
        for vector in (predictor()(given), predictor().bfloat16()(given)):
            assert (vector.shape, vector.dtype) == ((5, CONFIG.vector), torch.float32)
            assert vector.isfinite().all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert predictor()(descriptions).dtype == torch.float32


@torch.no_grad()
def test_the_unheard_of_speaks_no_louder_than_its_direction() -> None:
    net, away = predictor(), usual().std(0) * normal(3, CONFIG.description, seed=5)
    torch.testing.assert_close(
        net(net.center + 1e5 * away), net(net.center + 1e6 * away), rtol=1e-4, atol=1e-4
    )
    assert (net(net.center + 0.1 * away) - net(net.center + 0.2 * away)).abs().max() > 0.01


@torch.no_grad()
def test_between_embeddings_lie_the_vectors_between() -> None:
    net, descriptions = predictor(), usual(6)
    embeddings = net.embedding(descriptions)
    assert embeddings.shape == (6, CONFIG.embedding)
    torch.testing.assert_close(net.speak(embeddings), net(descriptions))
    torch.testing.assert_close(net.speak(embeddings.mean(0)), net(descriptions).mean(0))
    torch.testing.assert_close(
        net.speak(0.3 * embeddings[0] + 0.7 * embeddings[1]),
        0.3 * net(descriptions)[0] + 0.7 * net(descriptions)[1],
    )


@torch.no_grad()
def test_a_style_does_not_see_its_batch() -> None:
    net, descriptions = predictor(), usual(6)
    alone = torch.cat([net(row[None]) for row in descriptions])
    torch.testing.assert_close(net(descriptions), alone)


def test_a_new_predictor_asks_for_nothing_yet() -> None:
    """Vectors near zero: training begins at plain instance normalisation."""
    torch.manual_seed(0)
    net = StylePredictor(CONFIG)
    net.fit_pca(usual())
    assert net(usual()).std() < 0.05
