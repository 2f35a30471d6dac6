"""What an encoder sees: the deconvnet against plain modules with a ReLU of its own, and `impasto
inspect`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import typer
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from impasto.analysis.inspect import (
    climb,
    feature_sheet,
    gram_maps,
    gram_sheet,
    project,
    receptive_field,
    strongest,
)
from impasto.apps.cli import inspect as cli_inspect
from impasto.errors import ImpastoError
from impasto.networks.encoder import COMPACT, Architecture, Encoder
from impasto.pictures.image import open_picture, read_recipe, resize, save_picture
from impasto.pictures.samples import sample

BLOCKS = ((4, 3), (5, 4), (4, 3, 3), (5, 3), (4,))
DEEP = ("relu1_1", "relu1_2", "relu2_1", "relu3_2", "relu5_1")


def encoder(
    padding: str = "reflect",
    *,
    positive: bool = False,
    head: bool = False,
    pooling: str = "max",
    strided: bool = False,
) -> Encoder:
    """Small, in float64; with `positive` weights every unit is excited and every path carries a
    signal.

    With strided convolutions in place of pooling if `strided`.
    """
    generator = torch.Generator().manual_seed(0)
    of = Architecture.vgg(
        BLOCKS, (0.5, 0.4, 0.3), (0.25, 0.5, 0.2), padding, (("relu3_2", 6),) if head else ()
    )
    if strided:
        of = replace(of, layers=tuple(replace(layer, width=4) for layer in COMPACT.layers))
    net = Encoder(of, name="test", pooling=pooling).double()
    for parameter in net.parameters():
        values = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        values = values if positive else values - 0.4
        parameter.data = values / max(1, parameter[0].numel()) ** 0.5
    return net.freeze()


def picture(height: int = 50, width: int = 67) -> Tensor:
    return torch.rand(
        1, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def photo() -> Tensor:
    return resize(open_picture(sample("cat")).image, (64, 96))


class SignalReLU(torch.autograd.Function):
    """Forward a ReLU; backward a ReLU of what comes back, wherever the input was."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(_: Any, *grads: Tensor) -> Tensor:
        return grads[0].clamp(min=0)


def oracle(net: Encoder, image: Tensor, layer: str, signal: Tensor) -> Tensor:
    """The projection by torch's own autograd, through torch's own padding, convolution and pooling."""
    architecture = net.architecture
    mean, std = (
        torch.tensor(v, dtype=image.dtype).view(1, 3, 1, 1)
        for v in (architecture.mean, architecture.std)
    )
    x = start = ((image - mean) / std).requires_grad_()
    for each in architecture.path([layer]):
        conv = net.convs[each.name]
        x = F.max_pool2d(x, 2) if each.pool else x
        x = F.pad(
            x, (1, 1, 1, 1), mode="reflect" if architecture.padding == "reflect" else "constant"
        )
        x = SignalReLU.apply(F.conv2d(x, conv.weight, conv.bias, stride=each.stride))
    if layer in net.heads:
        x = SignalReLU.apply(F.conv2d(x, net.heads[layer].weight, net.heads[layer].bias))
    return torch.autograd.grad(x, start, signal)[0] * std


def unit(
    maps: Tensor, channel: int = 1, row: int = 1, column: int = 2, activation: float = 1.0
) -> Tensor:
    signal = torch.zeros_like(maps)
    signal[0, channel, row, column] = activation
    return signal


# ------------------------------------------------------------------------------------- up and down


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("layer", DEEP)
@pytest.mark.parametrize("head", [False, True])
def test_the_way_up_is_the_encoder(padding: str, layer: str, head: bool) -> None:
    net, image = encoder(padding, head=head), picture()
    expected = net.features(image, [layer])[layer]
    torch.testing.assert_close(climb(net, image, layer).maps, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", ["relu1_2", "block3_conv2", "conv5_1"])
def test_the_way_up_is_the_embedded_encoder(layer: str, compact: Encoder) -> None:
    (expected,) = compact.features(photo(), [layer]).values()
    torch.testing.assert_close(climb(compact, photo(), layer).maps, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_weights_are_used_in_full(compact: Encoder) -> None:
    half = Encoder(compact.architecture, name="half").to(torch.bfloat16)
    half.load_state_dict(compact.state_dict())
    maps = climb(half.freeze(), photo(), "relu2_1").maps
    assert maps.dtype == torch.float32
    assert (maps - climb(compact, photo(), "relu2_1").maps).abs().max() < 0.05 * maps.max()


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("layer", DEEP)
@pytest.mark.parametrize("head", [False, True])
def test_the_way_down_is_a_gradient_with_the_other_relu(
    padding: str, layer: str, head: bool
) -> None:
    net, image = encoder(padding, head=head), picture()
    ascent = climb(net, image, layer)
    for signal in (ascent.maps, ascent.maps - ascent.maps.mean(), unit(ascent.maps)):
        expected = oracle(net, image, layer, signal)
        torch.testing.assert_close(project(ascent, signal), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("layer", ["relu2_1", "relu4_2", "relu5_1"])
@pytest.mark.parametrize("size", [(50, 67), (32, 33)])
def test_strided_convolutions_are_gone_up_and_down(
    padding: str, layer: str, size: tuple[int, int]
) -> None:
    net, image = encoder(padding, strided=True), picture(*size)
    ascent = climb(net, image, layer)
    torch.testing.assert_close(
        ascent.maps, net.features(image, [layer])[layer], rtol=1e-12, atol=1e-12
    )
    for signal in (ascent.maps, ascent.maps - ascent.maps.mean()):
        expected = oracle(net, image, layer, signal)
        torch.testing.assert_close(project(ascent, signal), expected, rtol=1e-10, atol=1e-12)


def test_nothing_comes_of_nothing_and_twice_of_twice() -> None:
    net, image = encoder(), picture()
    ascent = climb(net, image, "relu3_2")
    assert not project(ascent, torch.zeros_like(ascent.maps)).any()
    assert not project(ascent, unit(ascent.maps, activation=-2)).any()
    once = project(ascent, unit(ascent.maps))
    assert once.any()
    torch.testing.assert_close(
        project(ascent, unit(ascent.maps, activation=2)), 2 * once, rtol=1e-12, atol=0
    )


def test_far_units_do_not_meet() -> None:
    """The ReLUs on the way down make sums of signals something else, unless their paths stay apart."""
    net, image = encoder(), picture()
    ascent = climb(net, image, "relu2_1")
    a, b = unit(ascent.maps, row=3, column=4), unit(ascent.maps, row=18, column=25)
    both = project(ascent, a) + project(ascent, b)
    torch.testing.assert_close(project(ascent, a + b), both, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize(
    ("layer", "places"), [("relu1_1", (0, 30)), ("relu3_2", (0, 5, 11)), ("relu4_1", (0, 2, 5))]
)
def test_a_projection_stays_in_the_receptive_field(
    padding: str, layer: str, places: tuple[int, ...]
) -> None:
    net, image = encoder(padding, positive=True), picture()
    ascent = climb(net, image, layer)
    for row in places:
        column = row + 1
        (top, bottom), (left, right) = (
            receptive_field(layer, net, place, length)
            for place, length in zip((row, column), image.shape[-2:], strict=True)
        )
        found = project(ascent, unit(ascent.maps, row=row, column=column))[0].abs().sum(0)
        assert found[top:bottom, left:right].any()
        found[top:bottom, left:right] = 0
        assert not found.any()


@pytest.mark.parametrize(
    ("layer", "strided"),
    [(n, False) for n in ("relu1_1", "relu2_1", "relu3_2", "relu5_1")]
    + [(n, True) for n in ("relu2_1", "relu4_2", "relu5_1")],
)
@pytest.mark.parametrize(("height", "place"), [(50, 0), (50, 2), (67, 3), (66, 1)])
def test_the_receptive_field_is_what_a_gradient_reaches(
    layer: str, strided: bool, height: int, place: int
) -> None:
    """With average pooling and positive weights, a gradient reaches every pixel that a unit sees,
    and no other.
    """
    net = encoder(positive=True, strided=strided, pooling="max" if strided else "average")
    image = (1 + picture(height, 50)).requires_grad_()
    (maps,) = net.features(image, [layer]).values()
    (grad,) = torch.autograd.grad(maps[0, 0, min(place, maps.shape[2] - 1), 0], image)
    rows = grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    low, high = receptive_field(layer, net, min(place, maps.shape[2] - 1), height)
    assert (low, high) == (int(rows[0]), int(rows[-1]) + 1)


def test_receptive_fields_of_vgg() -> None:
    """Far from the borders: 3, 5, 10, 14, 24, … as derived by hand, r + 2 s a convolution and r + s
    a pooling.
    """
    of = Encoder(
        Architecture.vgg(((1, 1), (1, 1), (1,) * 4, (1,) * 4, (1,)), (0,) * 3, (1,) * 3),
        name="thin",
    )
    widths = [
        high - low
        for low, high in (receptive_field(layer, of, 4096, 1 << 20) for layer in of.layers)
    ]
    assert widths == [3, 5, 10, 14, 24, 32, 40, 48, 68, 84, 100, 116, 156]


# ------------------------------------------------------------------------------------ what excites


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize(
    ("layer", "strided"),
    [(n, False) for n in ("relu1_2", "relu2_1", "relu3_2", "relu4_1", "relu5_1")]
    + [("relu3_1", True), ("relu4_2", True)],
)
def test_a_part_of_the_picture_gives_the_projection_of_the_whole(
    padding: str, layer: str, strided: bool
) -> None:
    net, image = encoder(padding, strided=strided), picture(101, 131)
    ascent = climb(net, image, layer)
    for found in strongest(net, image, layer, top=3, patches=4):
        assert torch.equal(found.map, ascent.maps[0, found.channel])
        for each in found.units:
            top, left, bottom, right = each.box
            whole = project(
                ascent, unit(ascent.maps, found.channel, each.row, each.column, each.activation)
            )
            expected = whole[:, :, top:bottom, left:right]
            torch.testing.assert_close(each.projection, expected, rtol=1e-9, atol=1e-12)
            assert whole.abs().sum() == pytest.approx(expected.abs().sum())
            assert torch.equal(each.patch, image[:, :, top:bottom, left:right])


def test_the_strongest_come_first_and_lie_apart(compact: Encoder) -> None:
    maps = compact.features(photo(), ["relu2_1"])["relu2_1"][0]
    found = strongest(compact, photo(), "conv2_1", top=5, patches=3)
    order = maps.amax(dim=(1, 2)).argsort(descending=True)
    assert [each.channel for each in found] == order[:5].tolist()
    for each in found:
        heights = [one.activation for one in each.units]
        assert heights == sorted(heights, reverse=True)
        assert heights[0] == pytest.approx(each.map.max().item(), rel=1e-4)
        places = torch.tensor([(one.row, one.column) for one in each.units])
        gaps = (places[:, None] - places[None]).abs().amax(-1)
        assert (
            gaps[~torch.eye(len(places), dtype=torch.bool)].min() >= 2
        )  # 10 px of field, 2 px of stride


def test_what_excites_lies_where_something_is() -> None:
    """A single white spot on black, seen by filters that sum: all that excites lies around it."""
    net, image = encoder(positive=True), torch.zeros(1, 3, 64, 64, dtype=torch.float64)
    for parameter in (each for name, each in net.named_parameters() if name.endswith("bias")):
        parameter.data.zero_()
    image[..., 40:44, 20:24] = 1
    # Black is below the mean; what is dark then excites nothing.
    (found, *_) = strongest(net, image, "relu2_1", top=1)
    top, left, bottom, right = found.units[0].box
    assert (top < 44, bottom > 40, left < 24, right > 20) == (True,) * 4
    assert len(strongest(net, torch.zeros(1, 3, 64, 64, dtype=torch.float64), "relu2_1")) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: climb(encoder(), picture(), "relu6_1"), "unknown layer"),
        (lambda: climb(encoder(), picture(20, 40), "relu1_1"), "32 px"),
        (lambda: climb(encoder(), picture().repeat(2, 1, 1, 1), "relu1_1"), "one picture"),
        (lambda: climb(encoder(pooling="average"), picture(), "relu2_1"), "pooling max"),
        (lambda: strongest(encoder(), picture(), "relu2_1", top=0), "from 1"),
        (lambda: project(climb(encoder(), picture(), "relu2_1"), torch.zeros(1)), "shape"),
        (lambda: feature_sheet(()), "another layer"),
    ],
)
def test_mistakes_say_what_to_do(call, message: str) -> None:
    with pytest.raises(ImpastoError, match=message):
        call()


# -------------------------------------------------------------------------------------------- Gram


def test_gram_maps_are_symmetric_averages(compact: Encoder) -> None:
    grams = gram_maps(compact, photo())
    assert list(grams) == ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    for layer, matrix in grams.items():
        features = compact.features(photo(), [layer])[layer][0].double().flatten(1)
        torch.testing.assert_close(
            matrix.double(), features @ features.T / features.shape[1], rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(matrix, matrix.mT)


def test_their_heat_maps_are_symmetric_and_grow_lighter(compact: Encoder) -> None:
    sheet = gram_sheet(gram_maps(compact, photo()))
    assert [cell.picture.shape for cell in sheet.cells] == [(1, 3, 256, 256)] * 5
    for cell in sheet.cells:
        torch.testing.assert_close(cell.picture, cell.picture.mT, rtol=0, atol=1e-4)
    steps = torch.tensor([[1.0, 1e-1, 1e-2], [1e-1, 1e-3, 1e-4], [1e-2, 1e-4, 1e-6]])
    colors = gram_sheet({"relu1_1": steps}).cells[0].picture[0]
    light = colors.mean(0)[[40, 40, 40, 128, 128, 215], [40, 128, 215, 128, 215, 215]].tolist()
    assert light[:5] == sorted(light[:5], reverse=True)
    assert light[0] > 0.95
    assert light[4] == light[5] == 0


# --------------------------------------------------------------------------------------- commands


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png", photo())
    return tmp_path


def run(*args: str):
    app = typer.Typer()
    cli_inspect.register(app)
    return CliRunner().invoke(app, list(args))


def test_the_sheet_of_a_layer(folder: Path) -> None:
    done = run("photo.png", "--layer", "relu2_1", "--top", "2")
    assert (done.exit_code, done.stdout) == (0, "photo-relu2_1.png\n")
    with Image.open("photo-relu2_1.png") as sheet:
        assert sheet.width > sheet.height > 256


@pytest.mark.parametrize("name", ["gram.png", "gram.pdf"])
def test_the_sheet_of_a_style(name: str, folder: Path) -> None:
    done = run("photo.png", "--gram", "-o", name)
    assert (done.exit_code, done.stdout) == (0, f"{name}\n")
    head = Path(name).read_bytes()[:4]
    assert head == (b"%PDF" if name.endswith("pdf") else b"\x89PNG")
    assert {each.name for each in folder.iterdir()} == {"photo.png", name}
    recipe = read_recipe(name)
    assert recipe is not None
    assert (recipe["sheet"], recipe["gram"], recipe["picture"]) == (
        "inspect",
        True,
        {"name": "photo.png"},
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("photo.png",), "choose one"),
        (("photo.png", "--gram", "--layer", "relu1_1"), "choose one"),
        (("photo.png", "--gram", "--top", "3"), "--top"),
        (("photo.png", "--layer", "relu9_1"), "unknown layer"),
        (("photo.png", "--gram", "-o", "sheet.txt"), ".pdf"),
        (("photo.png", "--gram", "-o", "photo.png"), "written over"),
        (("none.png", "--gram"), "does not exist"),
    ],
)
def test_mistakes_are_told_in_a_line(args: tuple[str, ...], message: str, folder: Path) -> None:
    done = run(*args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {each.name for each in folder.iterdir()} == {"photo.png"}
