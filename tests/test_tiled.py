"""Tiled equals whole: networks with the same statistics, the optimiser's gradient, views of pictures."""

from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.losses.objective import Objective, content_term, style_term, variation_term
from impasto.losses.style.gram import GRAM
from impasto.methods.feedforward import FeedForward
from impasto.methods.sections import DescentBudget, assembled, gradient
from impasto.methods.strokes import PREVIEW
from impasto.methods.stylizer import Places
from impasto.methods.tiled import PassBudget, Shares, TiledPass
from impasto.networks.checkpoint import Painter
from impasto.networks.encoder import COMPACT, Architecture, Encoder
from impasto.networks.held import HeldMoments
from impasto.networks.instance_norm import moments_from
from impasto.networks.shapes import TransformNetConfig
from impasto.networks.statistics import measure, mixed, replayed
from impasto.networks.style_bank import StyleBank
from impasto.networks.transform_net import TransformNet
from impasto.pictures.image import resample
from impasto.pictures.tiles import Resized, Shown, bytes_of
from impasto.windows import Window, tiles

CONFIG = TransformNetConfig(channels=(4, 6, 8), blocks=(1, 2, 1))


def picture(height: int, width: int, seed: int = 0, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def net() -> TransformNet:
    torch.manual_seed(0)
    net = TransformNet(CONFIG)
    for parameter in net.noise:
        torch.nn.init.normal_(parameter, std=0.3)
    return net.requires_grad_(False)


def vectors(net: TransformNet, rows: int) -> Tensor:
    return 0.3 * torch.randn(rows, net.vector_size, generator=torch.Generator().manual_seed(3))


def painter(net: TransformNet) -> Painter:
    a, b, own = vectors(net, 3)
    return Painter(net, StyleBank("test", {"a": a, "b": b}), identity=own)


@pytest.mark.parametrize(
    ("small", "large"), [((40, 61), (100, 77)), ((100, 90), (33, 41)), ((97, 50), (96, 51))]
)
def test_a_window_of_a_resized_picture_is_that_of_the_whole(
    small: tuple[int, int], large: tuple[int, int]
) -> None:
    x = picture(*small)
    window = Window(5, 30, 7, 40)
    found = Resized(x, large).crop(window)
    # The weights are float64 here and float32 there.
    torch.testing.assert_close(found, window.of(resample(x, large)), rtol=0, atol=1e-5)
    in_bytes = Resized(bytes_of(x), large).crop(window)
    assert float((in_bytes - found).abs().max()) < 2 / 255


def test_measured_statistics_are_those_of_instance_norm(net: TransformNet) -> None:
    x, v = picture(61, 77), vectors(net, 1)
    whole = net(x, v)
    known, painted = measure(net, x, v)
    torch.testing.assert_close(painted, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(net(x, v, norms=replayed(net, known, v)), whole, rtol=0, atol=1e-5)


def test_tiles_are_the_whole_picture_and_a_smaller_halo_is_not(net: TransformNet) -> None:
    x, v = picture(213, 179), vectors(net, 1)
    known, whole = measure(net, x, v)

    def tiled(halo: int) -> Tensor:
        found = torch.zeros_like(x)
        for tile in tiles((213, 179), 64, halo, 8):
            place = (tile.outer.top // 8, tile.outer.left // 8)
            part = net(tile.outer.of(x), v, place, replayed(net, known, v))
            tile.inner.of(found).copy_(tile.inner.within(tile.outer).of(part))
        return found

    torch.testing.assert_close(tiled(net.reach), whole, rtol=0, atol=1e-5)
    assert float((tiled(net.reach // 2) - whole).abs().max()) > 1e-3


def test_a_pair_of_regions_is_two_pictures_far_from_their_border(net: TransformNet) -> None:
    x, v = picture(64, 280), vectors(net, 2)
    masks = torch.zeros(1, 2, 64, 280)
    masks[:, 0, :, :140] = 1
    masks[:, 1] = 1 - masks[:, 0]
    found = [measure(net, x, v[row : row + 1]) for row in range(2)]
    pair = net(x, v, norms=mixed(net, [known for known, _ in found], v, masks))
    for (_, alone), columns in zip(
        found, (slice(0, 140 - net.reach), slice(140 + net.reach, 280)), strict=True
    ):
        torch.testing.assert_close(pair[..., columns], alone[..., columns], rtol=0, atol=1e-5)
    assert float((pair - found[0][1])[..., 150:].abs().max()) > 0.05


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6])
def test_painted_by_tiles_in_bytes_is_painted_whole(net: TransformNet, scale: float) -> None:
    x = picture(120, 152)
    whole, tiled = (FeedForward(painter(net), style_scale=scale) for _ in range(2))
    v = whole.named("a")
    expected = list(whole.render(x, v))[-1].image
    steps = list(tiled.render(x, v, places=Places([v], torch.ones(1, 1, 15, 19))))
    torch.testing.assert_close(steps[-1].image, expected, rtol=0, atol=1e-3)
    tiled.budget = _Tight(4e9, torch.float32)
    steps = list(tiled.render(bytes_of(x), v))
    assert steps[-1].image.dtype == torch.uint8
    assert [step.step for step in steps] == list(range(1, steps[-1].of + 1))
    assert steps[-1].of > 1 or scale < 1
    # Statistics of small windows are nearly those of the whole: another style is far off.
    apart = (steps[-1].image / 255 - expected).abs().mean()
    other = list(whole.render(x, whole.named("b")))[-1].image
    assert float(apart) < 0.4 * float((other - expected).abs().mean())


@pytest.mark.parametrize("scale", [1.0, 1.6])
def test_a_film_by_tiles_holds_its_statistics_as_one_that_is_painted_whole(
    net: TransformNet, scale: float
) -> None:
    frames = [picture(120, 152) * share for share in (0.3, 1.0)]
    whole, tiled = (FeedForward(painter(net), style_scale=scale) for _ in range(2))
    v, everywhere = whole.named("a"), torch.ones(1, 1, 15, 19)
    held, by_tiles = HeldMoments(), HeldMoments()
    for frame in frames:
        for moments in (held, by_tiles):
            moments.begin()
        with moments_from(held):
            expected = list(whole.render(frame, v))[-1].image
        with moments_from(by_tiles):
            found = list(tiled.render(frame, v, places=Places([v], everywhere)))[-1].image
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    assert len(by_tiles.means) == len(held.means)
    alone = list(tiled.render(frame, v, places=Places([v], everywhere)))[-1].image
    assert float((alone - expected).abs().mean()) > 0.01, "the second frame's own are others"


def test_what_fits_with_freed_memory_returned_is_painted_whole(net: TransformNet) -> None:
    """Statistics of windows are not those of the picture, and an optimiser begins at it."""
    budget = PassBudget(1.5e9, torch.bfloat16)
    assert budget.short((2048, 2048))
    assert budget.needed((2048, 2048), 128) <= 1.5e9
    assert not budget.short((1024, 1024))
    assert not budget.fits((4096, 4096))
    x, whole = picture(120, 152), FeedForward(painter(net))
    short = FeedForward(painter(net), memory=0.4e9 + 400 * 120 * 152)
    assert short.budget.short((120, 152))
    v = whole.named("a")
    assert torch.equal(next(short.render(x, v)).image, next(whole.render(x, v)).image)


class _Tight(PassBudget):
    """Nothing fits, and tiles are small."""

    def fits(self, size: tuple[int, int]) -> bool:  # noqa: ARG002
        return False

    def side(self, halo: int) -> int:  # noqa: ARG002
        return 64


def test_strength_and_regions_leave_the_photo_where_there_is_nothing(net: TransformNet) -> None:
    x = picture(64, 200)
    quick = FeedForward(painter(net))
    v = quick.named("a")
    rest = torch.zeros(1, 1, 64, 200)
    rest[..., :100] = 1
    found = list(quick.render(x, v, places=Places([v], None, rest)))[-1].image
    full = list(quick.render(x, v))[-1].image
    near = quick.painter.transform_net.reach
    torch.testing.assert_close(found[..., : 100 - near], x[..., : 100 - near], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[..., 100 + near :], full[..., 100 + near :], rtol=0, atol=1e-5)
    nothing = list(quick.render(x, v, places=Places([v], torch.zeros(1, 1, 8, 25))))[-1].image
    assert torch.equal(nothing, x)


def test_large_pictures_look_like_their_previews(net: TransformNet) -> None:
    """Beyond a preview's size strokes grow with the picture; up to it nothing changes."""
    quick = FeedForward(painter(net))
    v = quick.named("a")
    x = picture(24, PREVIEW)
    torch.testing.assert_close(next(iter(quick.render(x, v))).image, net(x, v).clamp(0, 1))
    small = picture(16, 512, seed=5)
    large, preview = (resample(small, (16 * n, 512 * n)).clamp(0, 1) for n in (4, 2))
    found = next(iter(quick.render(large, v))).image
    expected = net(preview, v)
    # At once, with strokes of the network's own size, it is further from the preview.
    apart = (resample(found, (32, 1024)) - expected).abs().mean()
    at_once = (resample(net(large, v), (32, 1024)) - expected).abs().mean()
    assert float(apart) < float(at_once)


def test_shares_sum_to_one_and_nothing_stays_nothing() -> None:
    masks = torch.zeros(1, 2, 20, 20)
    masks[:, 0, :, :12], masks[:, 1, :, 8:] = 1.0, 0.5
    shares = Shares(masks).crop((40, 40), Window(0, 40, 0, 40))
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 40, 40))
    assert float(shares[0, 1, :, :10].max()) == 0
    nobody = Shares(masks * 0).crop((40, 40), Window(3, 9, 0, 40))
    torch.testing.assert_close(nobody, torch.full_like(nobody, 0.5))


def test_a_sample_stays_within_the_picture(net: TransformNet) -> None:
    for size in ((64, 700), (300, 310)):
        found = TiledPass(net, [Shown(picture(*size))], vectors(net, 1), _Tight(1e9, torch.float32))
        assert not found.whole
        assert all(bool(torch.isfinite(each).all()) for each in found.known[0].variances)


# -------------------------------------------------------------------------------------- optimiser


def encoder(architecture: Architecture) -> Encoder:
    torch.manual_seed(1)
    return Encoder(architecture, name="random").freeze()


POOLED = Architecture.vgg(((4, 4), (6,), (8,)), (0.5,) * 3, (0.25,) * 3, padding="zeros")


@pytest.mark.parametrize(
    ("architecture", "layers", "content"),
    [
        (POOLED, ("relu1_1", "relu2_1", "relu3_1"), "relu2_1"),
        (COMPACT, ("relu1_1", "relu2_1", "relu3_1"), "relu3_1"),
    ],
    ids=["pooled", "compact"],
)
@pytest.mark.parametrize("scale", ["relative", "mean"])
def test_the_gradient_by_parts_is_that_of_the_whole(
    architecture: Architecture, layers: tuple[str, ...], content: str, scale: str
) -> None:
    network = encoder(architecture)
    x, photo, style = picture(117, 139), picture(117, 139, 1), picture(48, 64, 2).square()
    mask = torch.zeros(1, 1, 117, 139)
    mask[..., :60] = 1
    of_style = network.features(style, layers)
    loss = GRAM.scaled(scale)
    terms = [
        content_term(content, network.features(photo, (content,))[content], 0.3, scale),
        variation_term(0.1, "mean"),
        style_term(layers[0], GRAM.target(of_style[layers[0]]), 1.0, loss, mask),
    ]
    terms += [style_term(name, GRAM.target(of_style[name]), 1.0, loss) for name in layers[1:]]
    objective = Objective(terms)
    leaf = x.clone().requires_grad_(True)
    whole = objective(network.features(leaf, objective.layers), leaf)
    (slope,) = torch.autograd.grad(whole.total, leaf)
    losses, found = gradient(network, objective, x, 40)
    for name, value in whole.raw.items():
        torch.testing.assert_close(losses.raw[name], value, rtol=1e-5, atol=1e-7)
    assert float((found - slope).abs().max() / slope.abs().max()) < 1e-5
    parts, at_once = assembled(network, x, layers, 40), network.features(x, layers)
    for name in layers:
        torch.testing.assert_close(parts[name], at_once[name], rtol=0, atol=1e-5)


def test_parts_are_taken_where_memory_is_short() -> None:
    def budget(memory: float, size: int, **more: Any) -> int:
        return DescentBudget(memory, torch.bfloat16, **more).side((size, size))

    assert budget(4e9, 512) == 0
    assert 0 < budget(1.5e9, 2048) < budget(4e9, 2048)
    assert budget(4e9, 2048, width=2.5) < budget(4e9, 2048)


@pytest.mark.parametrize("memory", [2e9, 3e9, 5e9, 16e9])
@pytest.mark.parametrize("size", [512, 1024, 2048])
def test_what_is_said_to_be_needed_is_within_what_there_is(memory: float, size: int) -> None:
    found = DescentBudget(memory, torch.bfloat16)
    needed = found.needed((size, size))
    assert 0.5e9 < needed < memory
    assert DescentBudget(memory, torch.bfloat16, remembered=100).needed((size, size)) > needed
    whole = DescentBudget(memory, torch.bfloat16, divisible=False).needed((size, size))
    assert whole >= needed
    assert whole == needed or found.side((size, size)) > 0
