"""Colour: CIE L*a*b* against scikit-image, the linear maps against float64 references."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage.color import lab2rgb, rgb2lab

from impasto.errors import ImpastoError
from impasto.pictures.color import luminance, luminance_transfer, match_statistics, statistics_map
from impasto.pictures.image import open_picture
from impasto.pictures.samples import sample


def photo(name: str) -> torch.Tensor:
    return open_picture(sample(name), size=96).image


def lab(image: torch.Tensor) -> np.ndarray:
    return rgb2lab(image[0].double().permute(1, 2, 0).numpy())


def statistics(colors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    flat = colors[0].double().flatten(1)
    return flat.mean(1), torch.cov(flat, correction=0)


def mapped(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The map applied in float64, before any clamping."""
    matrix, offset = statistics_map(source, target)
    return torch.einsum("bij,bjhw->bihw", matrix, source.double()) + offset[..., None, None]


def uniform(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------ luminance


def test_luminance_is_cie_lightness() -> None:
    image = uniform(0, 1, 3, 40, 50)
    image[..., 0] = uniform(1, 1, 3, 40) / 50  # the straight parts of both curves
    assert np.abs(luminance(image)[0, 0].numpy() * 100 - lab(image)[..., 0]).max() < 1e-3
    greys = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert torch.allclose(luminance(greys).flatten(), torch.tensor([0.0, 1.0]), atol=1e-6)
    assert luminance(uniform(2, 4, 3, 5, 6)).shape == (4, 1, 5, 6)


def test_luminance_has_the_right_gradient() -> None:
    image = (uniform(3, 1, 3, 4, 4).double() * 0.98 + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(luminance, image)
    black = torch.zeros(1, 3, 2, 2, requires_grad=True)
    luminance(black).sum().backward()
    assert black.grad is not None
    assert torch.isfinite(black.grad).all()


def test_transfer_takes_lightness_from_one_and_chroma_from_the_other() -> None:
    rng = np.random.default_rng(4)
    chroma = rng.uniform(-15, 15, (20, 30, 2))  # all of it exists at these lightnesses
    pictures = []
    for extra in (0.0, 10.0):
        light = rng.uniform(40, 75, (20, 30, 1)) + extra / 2
        rgb = lab2rgb(np.concatenate([light, chroma if extra else -chroma], axis=2))
        pictures.append(torch.from_numpy(rgb).permute(2, 0, 1)[None].float())
    output, content = pictures
    result = luminance_transfer(output, content)
    assert np.abs(lab(result)[..., 0] - lab(output)[..., 0]).max() < 0.02
    assert np.abs(lab(result)[..., 1:] - lab(content)[..., 1:]).max() < 0.05


def test_out_of_gamut_chroma_is_lowered_at_the_same_lightness_and_hue() -> None:
    output, content = uniform(5, 1, 3, 60, 60), uniform(6, 1, 3, 60, 60)
    result = luminance_transfer(output, content)
    assert result.min() >= 0
    assert result.max() <= 1
    assert (luminance(result) - luminance(output)).abs().max() < 1e-4
    ours, theirs = lab(result)[..., 1:], lab(content)[..., 1:]
    ratio = (ours * theirs).sum(-1) / (theirs**2).sum(-1)
    assert ratio.min() > -1e-3
    assert ratio.max() < 1 + 1e-3
    assert np.abs(ours - ratio[..., None] * theirs).max() < 0.1  # no turn of hue
    lowered = ratio < 0.99
    assert 0.1 < lowered.mean() < 0.9
    # Lowered no further than needed: at least one channel touches the end of its range.
    edge = torch.minimum(result, 1 - result).amin(1)[0].numpy()
    assert edge[lowered].max() < 5e-3


def test_transfer_identities() -> None:
    image = photo("coffee")
    assert (luminance_transfer(image, image) - image).abs().max() < 1e-5
    grey = uniform(7, 1, 1, 20, 20).expand(1, 3, 20, 20)
    assert (
        luminance_transfer(grey, uniform(8, 1, 1, 20, 20).expand(1, 3, 20, 20)) - grey
    ).abs().max() < 1e-5
    ends = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    assert (luminance_transfer(ends, uniform(9, 1, 3, 4, 4)) - ends).abs().max() < 1e-5
    both = luminance_transfer(uniform(10, 2, 3, 9, 9), uniform(11, 1, 3, 9, 9))
    one = luminance_transfer(uniform(10, 2, 3, 9, 9)[1:], uniform(11, 1, 3, 9, 9))
    assert torch.allclose(both[1:], one, atol=1e-4)


# ----------------------------------------------------------------------------------------- statistics


@pytest.mark.parametrize(
    ("a", "b"), [("coffee", "cat"), ("galaxies", "astronaut"), ("rocket", "coffee")]
)
def test_mean_and_covariance_match_before_clamping(a: str, b: str) -> None:
    source, target = photo(a), photo(b)
    (mean, cov), (mean_t, cov_t) = statistics(mapped(source, target)), statistics(target)
    assert torch.allclose(mean, mean_t, atol=1e-12)
    assert torch.allclose(cov, cov_t, atol=1e-12)


def test_the_map_is_that_of_optimal_transport() -> None:
    source, target = photo("coffee"), photo("astronaut")
    matrix = statistics_map(source, target)[0][0].numpy()
    s, t = (statistics(image)[1].numpy() for image in (source, target))
    half = sqrtm(s)
    inverse = np.linalg.inv(half)
    assert np.allclose(matrix, inverse @ sqrtm(half @ t @ half) @ inverse, atol=1e-8)
    # Bures: the squared distance moved is tr S + tr T - 2 tr (S^1/2 T S^1/2)^1/2, the least there
    # is.
    moved = np.trace((matrix - np.eye(3)) @ s @ (matrix - np.eye(3)).T)
    assert np.isclose(moved, np.trace(s) + np.trace(t) - 2 * np.trace(sqrtm(half @ t @ half)).real)
    cholesky = np.linalg.cholesky(t) @ np.linalg.inv(np.linalg.cholesky(s))
    assert moved <= np.trace((cholesky - np.eye(3)) @ s @ (cholesky - np.eye(3)).T)


def test_statistics_identity_and_return() -> None:
    source, target = photo("coffee"), photo("cat")
    matrix, offset = statistics_map(source, source)
    assert torch.allclose(matrix[0], torch.eye(3, dtype=torch.float64), atol=1e-9)
    assert offset.abs().max() < 1e-9
    assert (match_statistics(source, source) - source).abs().max() < 1e-5
    there, back = statistics_map(source, target)[0], statistics_map(target, source)[0]
    assert torch.allclose(there @ back, torch.eye(3, dtype=torch.float64), atol=1e-8)
    result = match_statistics(source, target)
    assert result.dtype == torch.float32
    assert (result - mapped(source, target).clamp(0, 1)).abs().max() < 1e-5


def test_a_grey_source_takes_the_colours_that_go_with_lightness() -> None:
    grey, target = photo("cat").mean(1, keepdim=True).expand(-1, 3, -1, -1), photo("coffee")
    (mean, cov), (mean_t, cov_t) = statistics(mapped(grey, target)), statistics(target)
    assert torch.allclose(mean, mean_t, atol=1e-9)
    # The limit of the regular map: rank one, along T u with u the grey axis, and T's variance along
    # u.
    u = torch.full((3,), 3**-0.5, dtype=torch.float64)
    along = cov_t @ u
    assert torch.allclose(cov, torch.outer(along, along) / (u @ along), atol=1e-9)
    assert torch.allclose(u @ cov @ u, u @ cov_t @ u, atol=1e-9)
    # Less than the rounding noise of 8 bits is no colour, and is not blown up into one.
    nearly = grey + (uniform(12, *grey.shape) - 0.5) * 0.8 / 255
    assert (mapped(nearly, target) - mapped(grey, target)).abs().max() < 0.02


def test_singular_statistics_stay_finite_and_sensible() -> None:
    picture, grey = photo("coffee"), photo("cat").mean(1, keepdim=True).expand(-1, 3, -1, -1)
    red = torch.tensor([0.8, 0.1, 0.2]).view(1, 3, 1, 1).expand(1, 3, 20, 20)
    black = torch.zeros(1, 3, 16, 16)
    two = torch.where(uniform(13, 1, 1, 20, 20) < 0.5, red, 1 - red)
    for source in (picture, grey, red, black, two):
        for target in (picture, grey, red, black, two):
            result = match_statistics(source, target)
            assert result.shape == source.shape
            assert torch.isfinite(result).all()
            assert (
                mapped(source, target).mean((2, 3)) - target.double().mean((2, 3))
            ).abs().max() < 1e-6
        assert (match_statistics(source, source) - source).abs().max() < 1e-5
    assert (match_statistics(picture, red) - red[..., :1, :1]).abs().max() < 1e-5
    toned = match_statistics(picture, grey)
    assert (toned - toned.mean(1, keepdim=True)).abs().max() < 1e-4


def test_statistics_of_a_batch_are_those_of_its_pictures() -> None:
    source, target = uniform(14, 3, 3, 12, 12), uniform(15, 1, 3, 20, 7) ** 2
    whole = match_statistics(source, target)
    for i in range(3):
        assert torch.allclose(
            whole[i : i + 1], match_statistics(source[i : i + 1], target), atol=1e-6
        )


def test_shapes_that_do_not_fit_are_refused() -> None:
    image, other = torch.rand(2, 3, 16, 16), torch.rand(3, 3, 16, 16)
    for call in (luminance_transfer, statistics_map, match_statistics):
        with pytest.raises(ImpastoError):
            call(image, other)
        with pytest.raises(ImpastoError):
            call(image[:, :1], image)
    with pytest.raises(ImpastoError, match="resize"):
        luminance_transfer(image, torch.rand(2, 3, 16, 17))
