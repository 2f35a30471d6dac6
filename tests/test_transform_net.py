"""The transform net and its norm: against the formula and a network of plain operations in float64."""

import copy
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from impasto.networks.instance_norm import conditional_instance_norm
from impasto.networks.transform_net import (
    TransformNet,
    TransformNetConfig,
    _Convolution,
    _Enlarging,
    noise_field,
)

# Three different widths, so that no two levels can be taken for each other.
SMALL = TransformNetConfig(channels=(4, 6, 8), blocks=(1, 2, 1))
OTHER = TransformNetConfig(channels=(6, 4, 4), blocks=(0, 1, 2), entry=3, leave=5)
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def normal(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


def photos(height: int = 32, width: int = 40, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def network(config: TransformNetConfig = SMALL) -> TransformNet:
    torch.manual_seed(0)
    net = TransformNet(config)
    for parameter in net.noise:  # a new network has none in it
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def vectors(net: TransformNet, rows: int = 1) -> Tensor:
    return 0.3 * normal(rows, net.vector_size, seed=3, dtype=torch.float32)


def closed_form(x: Tensor, scale: Tensor, shift: Tensor, relu: bool = False) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    deviation = ((x - mean).square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
    y = scale[..., None, None] * (x - mean) / deviation + shift[..., None, None]
    return y.clamp_min(0) if relu else y


def enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def convolved(
    x: Tensor, weight: Tensor, side: int, stride: int = 1, border: str = "reflect"
) -> Tensor:
    """Padding and a convolution by the kernel whose rows are `(side, side, channels)`."""
    kernel = weight.unflatten(1, (side, side, -1)).permute(0, 3, 1, 2)
    return F.conv2d(F.pad(x, (side // 2,) * 4, mode=border), kernel, stride=stride)


def plain(net: TransformNet, photo: Tensor, vector: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """The whole network in plain operations, in the type of its arguments."""
    config, place = net.config, 0

    def normed(x: Tensor, relu: bool = True) -> Tensor:
        nonlocal place
        channels = x.shape[1]
        scale, shift = (
            vector[:, place : place + channels],
            vector[:, place + channels : place + 2 * channels],
        )
        place += 2 * channels
        return closed_form(x, 1 + scale, shift, relu)

    def residual(x: Tensor, name: str) -> Tensor:
        y = normed(convolved(x, weights[f"{name}.first.weight"], 3))
        return x + normed(convolved(y, weights[f"{name}.second.weight"], 3), relu=False)

    def rise(x: Tensor, name: str, side: int = 3) -> Tensor:
        return convolved(enlarged(x), weights[f"{name}.weight"], side, border="replicate")

    def noisy(x: Tensor, level: int) -> Tensor:
        """The field of seed 0, which each level reads from another corner; it repeats after 512
        positions.
        """
        field = torch.randn(
            config.noise, 512, 512, generator=torch.Generator().manual_seed(0)
        ).double()
        first = 171 * level - (border >> 3 - level)  # of the photo itself, less what surrounds it
        rows, columns = ([(i + first) % 512 for i in range(size)] for size in x.shape[-2:])
        return x + torch.einsum(
            "on,nhw->ohw", weights[f"noise.{level}"], field[:, rows][:, :, columns]
        )

    (height, width), border = photo.shape[-2:], config.context
    x = F.pad(
        4 * photo - 2,
        (border, border + -width % 8, border, border + -height % 8),
        mode="reflect",
    )
    # Each 2x2 block of pixels becomes one position: channels by colour, then row, then column.
    x = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    x = normed(convolved(x, weights["entry.weight"], config.entry))
    fine = normed(convolved(x, weights["down.weight"], 3, stride=2))
    for block in range(config.blocks[0]):
        fine = residual(fine, f"before.{block}")
    x = normed(noisy(convolved(fine, weights["deeper.weight"], 3, stride=2), 0))
    for block in range(config.blocks[1]):
        x = residual(x, f"middle.{block}")
    x = fine + normed(noisy(rise(x, "rise"), 1), relu=False)
    for block in range(config.blocks[2]):
        x = residual(x, f"after.{block}")
    x = normed(noisy(rise(x, "up"), 2))
    x = normed(rise(x, "leave", config.leave), relu=False)
    assert place == vector.shape[1]
    return (1 / (1 + (-x).exp()))[:, :, border : border + height, border : border + width]


def doubled(net: TransformNet) -> dict[str, Tensor]:
    return {name: value.detach().double() for name, value in net.named_parameters()}


# ------------------------------------------------------------------------------------------- norm


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_norm_is_its_formula(batch: int, layout: torch.memory_format, relu: bool) -> None:
    x = (3 + 2 * normal(batch, 5, 7, 6)).contiguous(memory_format=layout).requires_grad_(True)
    scale, shift = (
        normal(batch, 5, seed=4).requires_grad_(True),
        normal(batch, 5, seed=5).requires_grad_(True),
    )
    y = conditional_instance_norm(x, scale, shift, relu=relu)
    torch.testing.assert_close(y, closed_form(x, scale, shift, relu), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(
        lambda *each: conditional_instance_norm(*each, relu=relu), (x, scale, shift)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(torch.float32, 1e-5), (torch.bfloat16, 2**-8)],
    ids=["float32", "bfloat16"],
)
def test_the_norm_keeps_its_statistics_in_float32(
    dtype: torch.dtype, precision: float, layout: torch.memory_format
) -> None:
    # bfloat16 knows the numbers around 5 to a 64th: so far off would be a mean kept in it, against
    # a deviation of 1.
    x = (5 + normal(2, 3, 32, 32)).to(dtype).contiguous(memory_format=layout)
    scale, shift = (
        normal(2, 3, seed=4, dtype=torch.float32),
        normal(2, 3, seed=5, dtype=torch.float32),
    )
    y = conditional_instance_norm(x, scale, shift)
    assert y.dtype == dtype
    # Half a unit of the result's last place, and float32's rounding of the statistics.
    expected = closed_form(x.double(), scale.double(), shift.double())
    torch.testing.assert_close(y.double(), expected, rtol=precision, atol=2e-5)


@pytest.mark.parametrize("factor", [0.5, 2.0, -3.0])
def test_the_norm_forgets_brightness_and_contrast(factor: float) -> None:
    x, scale, shift = normal(2, 4, 9, 8), normal(2, 4, seed=4), normal(2, 4, seed=5)
    sign = 1 if factor > 0 else -1
    y = conditional_instance_norm(factor * x + 7, sign * scale, shift)
    # A variance of about one: what epsilon adds to it is all of the difference.
    torch.testing.assert_close(y, conditional_instance_norm(x, scale, shift), rtol=0, atol=2e-4)


def test_the_norm_gives_mean_and_deviation() -> None:
    y = conditional_instance_norm(
        normal(2, 4, 9, 8), scale := normal(2, 4, seed=4), shift := normal(2, 4, seed=5)
    )
    torch.testing.assert_close(y.mean((2, 3)), shift)
    torch.testing.assert_close(y.std((2, 3), correction=0), scale.abs(), rtol=1e-5, atol=0)


# ------------------------------------------------------------------------------------ convolutions


def layer(kind: type[_Convolution], *sizes: int) -> _Convolution:
    """In float64."""
    torch.manual_seed(0)
    return kind(*sizes).double()


def compare(net: _Convolution, x: Tensor, expected: Tensor) -> None:
    """`net(x)` and its gradients with `expected`, a function of the same `x` and `net.weight`."""
    given = [x, net.weight]
    found = net(x)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    toward = normal(*expected.shape, seed=9)
    wanted = torch.autograd.grad((expected * toward).sum(), given)
    for mine, reference in zip(
        torch.autograd.grad((found * toward).sum(), given), wanted, strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-10)
    # Either gradient on its own: a photo needs none, and neither do frozen weights.
    (mine,) = torch.autograd.grad((net(x.detach()) * toward).sum(), [net.weight])
    torch.testing.assert_close(mine, wanted[1], rtol=1e-10, atol=1e-10)
    frozen = {"weight": net.weight.detach()}
    (mine,) = torch.autograd.grad((functional_call(net, frozen, x) * toward).sum(), [x])
    torch.testing.assert_close(mine, wanted[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [3, 5, 7])
def test_convolution_is_a_reflected_border_and_a_convolution(
    side: int, stride: int, layout: torch.memory_format
) -> None:
    net = layer(_Convolution, 3, 4, side, stride)
    for height, width in (
        (6, 8),
        (7, 5),
        (4, 4),
    ):  # 4: the border is all of the picture but its edge
        x = normal(2, 3, height, width).contiguous(memory_format=layout).requires_grad_(True)
        compare(net, x, convolved(x, net.weight, side, stride))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("side", [3, 5, 7, 9])
def test_enlarging_is_enlargement_and_a_convolution(side: int, layout: torch.memory_format) -> None:
    net = layer(_Enlarging, 3, 4, side)
    for height, width in ((5, 6), (2, 3), (1, 4)):
        x = normal(2, 3, height, width).contiguous(memory_format=layout).requires_grad_(True)
        compare(net, x, convolved(enlarged(x), net.weight, side, border="replicate"))


@pytest.mark.parametrize(("kind", "sizes"), [(_Convolution, (2, 2, 3, 2)), (_Enlarging, (2, 2, 5))])
def test_convolutions_have_the_gradient_of_their_differences(
    kind: type[_Convolution], sizes: tuple[int, ...]
) -> None:
    net = layer(kind, *sizes)
    x, weight = normal(1, 2, 4, 3).requires_grad_(True), net.weight.detach().requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda x, weight: functional_call(net, {"weight": weight}, x), (x, weight)
    )


@pytest.mark.parametrize("side", [3, 5, 7, 9])
def test_enlarging_knows_no_checkerboard(side: int) -> None:
    y = layer(_Enlarging, 3, 4, side)(normal(1, 3, 1, 1).expand(1, 3, 5, 6))
    torch.testing.assert_close(y, y[:, :, :1, :1].expand_as(y), rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------- the whole network


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (40, 33)], ids=str)
@pytest.mark.parametrize("config", [SMALL, OTHER], ids=["small", "other"])
@torch.no_grad()
def test_the_transform_net_is_a_network_of_plain_operations(
    config: TransformNetConfig, size: tuple[int, int]
) -> None:
    net, photo = network(config), photos(*size, batch=2)
    for vector in (vectors(net, rows=2), torch.zeros(2, net.vector_size)):
        picture = net(photo, vector)
        assert (picture.shape, picture.dtype) == ((2, 3, *size), torch.float32)
        assert picture.min() >= 0
        assert picture.max() <= 1
        expected = plain(net, photo.double(), vector.double(), doubled(net))
        torch.testing.assert_close(picture.double(), expected, rtol=0, atol=1e-4)


def test_gradients_are_those_of_plain_operations() -> None:
    net, toward = network(), normal(2, 3, 17, 24, seed=9)
    photo, vector = (
        photos(17, 24, batch=2).requires_grad_(True),
        vectors(net, rows=2).requires_grad_(True),
    )
    found = torch.autograd.grad(
        (net(photo, vector) * toward).sum(), [photo, vector, *net.parameters()]
    )
    wide = [
        each.detach().double().requires_grad_(True) for each in (photo, vector, *net.parameters())
    ]
    names = [name for name, _ in net.named_parameters()]
    picture = plain(net, wide[0], wide[1], dict(zip(names, wide[2:], strict=True)))
    expected = torch.autograd.grad((picture * toward).sum(), wide)
    for mine, reference in zip(found, expected, strict=True):
        assert (mine - reference).norm() < 1e-3 * reference.norm()


@torch.no_grad()
def test_a_picture_does_not_see_its_batch() -> None:
    net, photo = network(), photos(batch=3)
    vector = vectors(net, rows=3)
    together = net(photo, vector)
    for row in range(3):
        alone = net(photo[row : row + 1], vector[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_one_vector_serves_a_batch() -> None:
    net, photo = network(), photos(batch=3)
    vector = vectors(net)
    assert torch.equal(net(photo, vector), net(photo, vector.repeat(3, 1)))


@torch.no_grad()
def test_the_same_picture_again() -> None:
    net, photo = network(), photos()
    assert torch.equal(net(photo, vectors(net)), net(photo, vectors(net)))


@torch.no_grad()
def test_the_vector_begins_with_the_first_norm() -> None:
    """A channel of scale nought is deaf to its own kernel."""
    net, photo, channel, width = network(), photos(), 2, SMALL.channels[0]
    vector = vectors(net)
    other = copy.deepcopy(net)
    other.entry.weight[channel] = normal(other.entry.weight.shape[1], seed=7)
    assert (net(photo, vector) - other(photo, vector)).abs().max() > 0.01
    vector[:, channel] = -1
    torch.testing.assert_close(net(photo, vector), other(photo, vector), rtol=0, atol=1e-5)
    # All it says then is its shift, and the next norm takes away what is the same everywhere.
    shifted = vector.clone()
    shifted[:, width + channel] += 1
    torch.testing.assert_close(net(photo, shifted), net(photo, vector), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_vector_ends_with_the_colours() -> None:
    """Three scales and three shifts before the sigmoid; of the picture with its surroundings."""
    net, photo = network(replace(SMALL, context=0)), photos()
    vector = vectors(net)
    before = net(photo, vector).double().logit()
    torch.testing.assert_close(before.mean((2, 3)), vector[:, -3:].double(), rtol=0, atol=1e-4)
    vector[:, -1] += 0.5
    after = net(photo, vector).double().logit()
    torch.testing.assert_close(after[:, :2], before[:, :2], rtol=0, atol=1e-4)
    torch.testing.assert_close(after[:, 2], before[:, 2] + 0.5, rtol=0, atol=1e-4)


@torch.no_grad()
def test_stripes_stay_stripes() -> None:
    """A photo that is the same in every column (or row) is painted so, border and all: no
    checkerboard.
    """
    net, column = (
        network(TransformNetConfig(channels=(4, 6, 8), blocks=(1, 2, 1), noise=0)),
        photos(width=1),
    )
    picture = net(column.expand(-1, -1, -1, 33), vectors(net))
    torch.testing.assert_close(picture, picture[..., :1].expand_as(picture), rtol=0, atol=1e-4)
    assert picture.std(2).min() > 0.01
    picture = net(column.mT.expand(-1, -1, 33, -1), vectors(net))
    torch.testing.assert_close(picture, picture[..., :1, :].expand_as(picture), rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_photo_of_other_brightness_and_contrast_is_painted_alike() -> None:
    """The first norm takes away what is common to every position."""
    net, photo = network(), photos()
    paler = net(0.25 + photo / 2, vectors(net))
    torch.testing.assert_close(paler, net(photo, vectors(net)), rtol=0, atol=1e-3)


def test_less_precision_is_close_and_stays_inside() -> None:
    net, photo = network(), photos()
    vector = vectors(net).requires_grad_(True)
    with torch.no_grad():
        exact = net(photo, vector)
        less = copy.deepcopy(net).bfloat16()(photo, vector)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net.dtype == torch.bfloat16
        automatic = net(photo, vector)
        assert torch.is_autocast_enabled("cpu")
    assert net.dtype == torch.float32
    for picture in (less, automatic):
        assert picture.dtype == torch.float32
        error = (picture - exact).square().mean().sqrt()
        assert 0 < error < 0.02
    automatic.sum().backward()
    assert vector.grad is not None
    assert {vector.grad.dtype, *(parameter.grad.dtype for parameter in net.parameters())} == {
        torch.float32
    }


# ----------------------------------------------------------------------------------- configuration


def test_the_size_of_a_vector() -> None:
    half, quarter, eighth = 4, 6, 8
    ends = half + quarter + eighth + quarter + half + 3
    residuals = 2 * (1 * quarter + 2 * eighth + 1 * quarter)
    assert network().vector_size == 2 * (ends + residuals)


@torch.no_grad()
def test_the_configuration_travels() -> None:
    assert TransformNet(SMALL).config == SMALL
    assert TransformNet(TransformNetConfig(**asdict(SMALL))).config == SMALL
    assert SMALL != OTHER
    net = network(OTHER)
    twin = TransformNet(TransformNetConfig(**asdict(net.config)))
    twin.load_state_dict(net.state_dict())
    assert torch.equal(twin(photos(), vectors(twin)), net(photos(), vectors(net)))


def test_every_parameter_is_a_matrix() -> None:
    """What optimisers of matrices take, a row an output channel."""
    assert {parameter.dim() for parameter in network().parameters()} == {2}
    assert network().leave.weight.shape == (3, SMALL.leave**2 * SMALL.channels[0])


@torch.no_grad()
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_tile_of_the_noise_is_the_noise_there(level: int) -> None:
    """`offset` counts positions of 8 px whatever the level; wherever one asks, and however far, the
    field is one.
    """
    whole = noise_field(4, level, (0, 0), (40 << level, 600 << level))
    tile = noise_field(4, level, (3, 590), (16 << level, 8 << level))
    torch.testing.assert_close(
        tile, whole[..., 3 << level : 19 << level, 590 << level : 598 << level], rtol=0, atol=0
    )
    assert whole.mean().abs() < 0.02
    assert whole.std() == pytest.approx(1, abs=0.02)


@torch.no_grad()
def test_strokes_in_a_plain_area_belong_to_its_place() -> None:
    """A tile that begins 8 px further down has the strokes of the whole, 8 px further up."""
    net, photo = network(), torch.full((1, 3, 192, 96), 0.3)
    whole, tile = (net(photo, vectors(net), (down, 0))[..., 32:64] for down in (0, 1))

    def alike(a: Tensor, b: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])

    assert alike(whole[..., 72:136, :], tile[..., 64:128, :]) > 0.9
    assert alike(whole[..., 64:128, :], tile[..., 64:128, :]) < 0.6


@torch.no_grad()
def test_a_network_of_before_the_noise_is_as_it_was() -> None:
    with_noise, without = (
        network(),
        network(TransformNetConfig(channels=(4, 6, 8), blocks=(1, 2, 1), noise=0)),
    )
    for parameter in with_noise.noise:
        parameter.zero_()
    without.load_state_dict(
        {k: v for k, v in with_noise.state_dict().items() if not k.startswith("noise")}
    )
    vector = vectors(without)
    torch.testing.assert_close(
        with_noise(photos(), vector), without(photos(), vector), rtol=0, atol=1e-6
    )


@torch.no_grad()
def test_the_photo_is_painted_in_its_own_mirror_image() -> None:
    """A context of 8 px is what painting the mirrored photo, and cutting it out, is."""
    net, bare = network(), network(replace(SMALL, context=0))
    bare.load_state_dict(net.state_dict())
    photo, vector = photos(), vectors(net)
    size = (photo.shape[-2], photo.shape[-1])
    around = torch.nn.functional.pad(photo, (8, 8, 8, 8), mode="reflect")
    wanted = bare(around, vector, (-1, -1))[..., 8 : 8 + size[0], 8 : 8 + size[1]]
    torch.testing.assert_close(net(photo, vector), wanted, rtol=0, atol=1e-6)
