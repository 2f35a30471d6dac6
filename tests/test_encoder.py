"""The encoder: against a VGG of plain modules in float64, and the symmetries of convolution."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.networks.encoder import (
    COMPACT,
    COMPACT_1,
    VGG19,
    Architecture,
    Encoder,
    Layer,
    canonical,
)

BLOCKS = ((4, 3), (5, 4), (4, 3, 3, 4), (5, 3, 4, 4), (4,))
PADDINGS, POOLINGS = ("reflect", "zeros"), ("max", "average")


def architecture(padding: str = "reflect", heads: tuple[tuple[str, int], ...] = ()) -> Architecture:
    # Means and deviations that every precision holds exactly.
    return Architecture.vgg(
        BLOCKS, mean=(0.5, 0.375, 0.25), std=(0.25, 0.5, 0.125), padding=padding, heads=heads
    )


def random_weights(of: Architecture, bias: float = 0.1) -> dict[str, Tensor]:
    generator, channels, found = torch.Generator().manual_seed(0), 3, {}

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    for layer, width in of.widths.items():
        found[f"conv{layer[4:]}.weight"] = normal(width, channels, 3, 3) / (4.5 * channels) ** 0.5
        found[f"conv{layer[4:]}.bias"] = bias * normal(width)
        channels = width
    for layer, width in of.heads:
        found[f"head{layer[4:]}.weight"] = normal(width, of.widths[layer], 1, 1)
        found[f"head{layer[4:]}.bias"] = bias * normal(width)
    return found


def encoder(padding: str = "reflect", pooling: str = "max", bias: float = 0.1) -> Encoder:
    """In float64."""
    of = architecture(padding)
    return Encoder(of, name="test", pooling=pooling).double().load(random_weights(of, bias))


def picture(height: int = 48, width: int = 64, batch: int = 1) -> Tensor:
    return torch.rand(
        batch, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def plain_vgg(
    of: Architecture, weights: dict[str, Tensor], pooling: str, image: Tensor
) -> dict[str, Tensor]:
    """Every layer's features, from an `nn.Sequential` of torch's own modules."""
    net, names = nn.Sequential(), {}
    for block, widths in enumerate(BLOCKS, start=1):
        if block > 1:
            net.append(nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2))
        for conv in range(1, len(widths) + 1):
            weight, bias = (
                weights[f"conv{block}_{conv}.weight"],
                weights[f"conv{block}_{conv}.bias"],
            )
            layer = nn.Conv2d(
                weight.shape[1], weight.shape[0], 3, padding=1, padding_mode=of.padding
            )
            layer.weight.data, layer.bias.data = weight, bias
            net.extend([layer, nn.ReLU()])
            names[len(net) - 1] = f"relu{block}_{conv}"
    x = (image - torch.tensor(of.mean).view(3, 1, 1)) / torch.tensor(of.std).view(3, 1, 1)
    found = {}
    for index, module in enumerate(net):
        x = module(x)
        if index in names:
            found[names[index]] = x.detach()
    return found


# ------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("name", ["relu4_1", "conv4_1", "block4_conv1", "Conv4_1", " RELU4_1 "])
def test_every_dialect_names_the_same_layer(name: str) -> None:
    assert canonical(name, VGG19.widths) == "relu4_1"
    image, net = picture(), encoder()
    assert torch.equal(
        net.features(image, [name])["relu4_1"], net.features(image, ["relu4_1"])["relu4_1"]
    )


@pytest.mark.parametrize(
    "name", ["relu5_2", "block5_conv2", "conv1_3", "relu0_1", "relu41", "pool4", "relu4_1x", ""]
)
def test_unknown_layers_are_refused_with_the_list(name: str) -> None:
    with pytest.raises(ImpastoError) as caught:
        encoder().features(picture(), ["relu1_1", name])
    assert repr(name) in str(caught.value)
    assert all(layer in str(caught.value) for layer in architecture().widths)


def test_names_keep_their_order() -> None:
    assert encoder().canonical(["conv3_1", "relu1_2", "block2_conv2"]) == (
        "relu3_1",
        "relu1_2",
        "relu2_2",
    )


def test_vgg19_is_the_papers_configuration_e() -> None:
    assert list(VGG19.widths.values()) == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    assert list(VGG19.widths)[-4:] == ["relu5_1", "relu5_2", "relu5_3", "relu5_4"]


def test_compact_reads_style_in_the_channels_of_vgg19() -> None:
    for block in "12345":
        layer = f"relu{block}_1"
        assert COMPACT.widths[layer] == COMPACT_1.widths[layer] == VGG19.widths[layer]


# ---------------------------------------------------------------------------------------- features


@pytest.mark.parametrize("size", [(48, 64), (45, 37), (32, 33)])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_features_are_those_of_a_plain_vgg(
    padding: str, pooling: str, size: tuple[int, int]
) -> None:
    net, image = encoder(padding, pooling), picture(*size)
    expected = plain_vgg(net.architecture, random_weights(net.architecture), pooling, image)
    found = net.features(image, net.layers)
    assert found.keys() == expected.keys() == net.architecture.widths.keys()
    for layer, value in expected.items():
        assert value.abs().max() > 0.01
        torch.testing.assert_close(found[layer], value, rtol=1e-10, atol=1e-12)


def test_float32_is_close_to_float64() -> None:
    of = architecture()
    exact = encoder().features(picture(), of.widths)
    found = Encoder(of, name="test").load(random_weights(of)).features(picture().float(), of.widths)
    for layer, value in found.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), exact[layer], rtol=1e-4, atol=1e-5)


def test_heads_are_read_and_not_passed_on() -> None:
    of = architecture(heads=(("relu2_1", 7), ("relu4_1", 6)))
    weights = random_weights(of)
    net, image = Encoder(of, name="test").double().load(weights), picture()
    expected = plain_vgg(of, weights, "max", image)
    found = net.features(image, of.widths)
    for layer, _ in of.heads:
        kernel, bias = (weights[f"head{layer[4:]}.{part}"] for part in ("weight", "bias"))
        read = torch.einsum("oi,bihw->bohw", kernel[:, :, 0, 0], expected[layer]) + bias.view(
            1, -1, 1, 1
        )
        expected[layer] = read.relu()
    for layer, value in expected.items():
        torch.testing.assert_close(found[layer], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [(32, 32), (45, 37), (33, 63), (70, 32)])
def test_shapes(size: tuple[int, int]) -> None:
    net = encoder()
    for layer, value in net.features(picture(*size, batch=2), net.layers).items():
        halvings = int(layer[4]) - 1
        assert value.shape == (
            2,
            net.architecture.widths[layer],
            size[0] >> halvings,
            size[1] >> halvings,
        )


def test_only_what_was_asked_for_is_returned() -> None:
    net, image = encoder(), picture()
    everything = net.features(image, net.layers)
    some = net.features(image, ["relu3_1", "conv1_2", "relu3_1"])
    assert set(some) == {"relu1_2", "relu3_1"}
    assert all(torch.equal(value, everything[layer]) for layer, value in some.items())
    assert net.features(image, []) == {}


def test_nothing_deeper_is_computed() -> None:
    net, image = encoder(), picture()
    before = net.features(image, ["relu3_1"])["relu3_1"]
    for layer in net.layers[net.layers.index("relu3_2") :]:
        nn.init.constant_(net.convs[layer].weight, torch.nan)
    assert torch.equal(net.features(image, ["relu3_1"])["relu3_1"], before)
    assert net.features(image, ["relu3_2"])["relu3_2"].isnan().all()  # it would have shown


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_the_gradient_is_that_of_plain_layers(
    padding: str, pooling: str, size: tuple[int, int]
) -> None:
    net, image = (
        encoder(padding, pooling).double(),
        picture(*size, batch=2).double().requires_grad_(),
    )

    def plain() -> Tensor:
        mean, std = (
            torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1)
            for v in (net.architecture.mean, net.architecture.std)
        )
        x, total = (image - mean) / std, torch.zeros((), dtype=torch.float64)
        for layer, conv in net.convs.items():
            if layer.endswith("_1") and layer != "relu1_1":
                x = (F.max_pool2d if pooling == "max" else F.avg_pool2d)(x, 2)
            mode = "reflect" if padding == "reflect" else "constant"
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), conv.weight, conv.bias))
            total = (
                total + (x * torch.linspace(0.5, 1.5, x.shape[-1], dtype=x.dtype)).square().sum()
            )
        return total

    def ours() -> Tensor:
        found = net.features(image, net.layers)
        return sum(
            (x * torch.linspace(0.5, 1.5, x.shape[-1], dtype=x.dtype)).square().sum()
            for x in found.values()
        )

    (expected,) = torch.autograd.grad(plain(), image)
    (given,) = torch.autograd.grad(ours(), image)
    torch.testing.assert_close(given, expected, rtol=1e-9, atol=1e-9)


# ------------------------------------------------------------------------------ strided convolutions


def strided(padding: str = "reflect") -> Encoder:
    """`COMPACT`, a sixteenth as wide, in float64 and with random weights."""
    narrow = tuple(replace(layer, width=layer.width // 16) for layer in COMPACT.layers)
    torch.manual_seed(0)
    return (
        Encoder(replace(COMPACT, layers=narrow, padding=padding), name="strided").double().freeze()
    )


def plain_strided(net: Encoder, image: Tensor) -> dict[str, Tensor]:
    """Every layer's features, by hand and with torch's own gradient."""
    mode = "reflect" if net.architecture.padding == "reflect" else "constant"
    found: dict[str, Tensor] = {}

    def after(x: Tensor, name: str, stride: int = 1) -> Tensor:
        conv = net.convs[name]
        found[name] = F.relu(
            F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), conv.weight, conv.bias, stride=stride)
        )
        return found[name]

    x = after((image - 0.5) / 0.25, "relu1_1")
    for block in range(1, 5):
        x = after(after(x, f"down{block}", stride=2), f"relu{block + 1}_1")
    after(found["relu4_1"], "relu4_2")
    return {layer: found[layer] for layer in net.layers}


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (62, 35)])
def test_strided_features_and_their_gradient_are_those_of_plain_layers(
    padding: str, size: tuple[int, int]
) -> None:
    net, image = strided(padding), picture(*size, batch=2).requires_grad_()
    expected, found = plain_strided(net, image), net.features(image, net.layers)
    assert found.keys() == expected.keys()
    assert list(net.layers) == ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"]
    for layer, value in found.items():
        block = int(layer[4]) - 1
        assert value.shape == (
            2,
            net.architecture.widths[layer],
            size[0] >> block,
            size[1] >> block,
        )
        torch.testing.assert_close(value, expected[layer], rtol=1e-10, atol=1e-12)
        direction = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view_as(value)
        gradients = (
            torch.autograd.grad((x[layer] * direction).sum(), image, retain_graph=True)[0]
            for x in (found, expected)
        )
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strided_features_in_less_precision_are_close(dtype: torch.dtype) -> None:
    image, net, exact = picture(45, 70).float(), strided().to(dtype), strided()
    with torch.enable_grad():
        images = [image.clone().requires_grad_(), image.double().requires_grad_()]
        found, wanted = (
            each.features(x, net.layers) for each, x in zip((net, exact), images, strict=True)
        )
        for features in (found, wanted):
            sum(value.double().square().sum() for value in features.values()).backward()
    tolerance = 1e-4 if dtype == torch.float32 else 0.05
    for layer, value in found.items():
        assert (value - wanted[layer]).norm() < tolerance * wanted[layer].norm()
    assert (images[0].grad - images[1].grad).norm() < tolerance * images[1].grad.norm()


@pytest.mark.parametrize("layer", ["relu1_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"])
def test_nothing_is_computed_that_a_layer_does_not_depend_on(layer: str) -> None:
    net, image = strided(), picture()
    everything = net.features(image, net.layers)
    needed = {each.name for each in net.architecture.path([layer])}
    for name, conv in net.convs.items():
        if name not in needed:
            del conv.weight  # reading it would raise
    assert torch.equal(net.features(image, [layer])[layer], everything[layer])


def test_a_branch_is_no_part_of_the_way_down() -> None:
    assert [layer.name for layer in COMPACT.path(["relu5_1"])] == [
        *("relu1_1", "down1", "relu2_1", "down2", "relu3_1", "down3", "relu4_1", "down4", "relu5_1")
    ]
    assert [layer.name for layer in COMPACT.path(["relu4_2"])][-2:] == ["relu4_1", "relu4_2"]


def test_internal_layers_cannot_be_asked_for() -> None:
    with pytest.raises(ImpastoError, match="unknown layer 'down1'"):
        strided().features(picture(), ["down1"])


def test_strided_convolutions_have_no_average_pooling() -> None:
    with pytest.raises(ImpastoError, match=r"strided convolutions in place of pooling.*vgg19"):
        Encoder(COMPACT, name="compact", pooling="average")


def test_layers_read_those_before_them() -> None:
    with pytest.raises(ImpastoError, match="relu1_1 reads down1"):
        Architecture(
            (Layer("relu1_1", 4, reads="down1"), Layer("down1", 4)), COMPACT.mean, COMPACT.std
        )


# -------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_mirrored_kernels_see_the_mirrored_picture(padding: str, pooling: str, side: int) -> None:
    of, image = architecture(padding), picture()
    mirrored = {
        name: value.flip(side) if name.endswith("weight") else value
        for name, value in random_weights(of).items()
    }
    seen = (
        Encoder(of, name="mirror", pooling=pooling)
        .double()
        .load(mirrored)
        .features(image.flip(side), of.widths)
    )
    for layer, value in encoder(padding, pooling).features(image, of.widths).items():
        torch.testing.assert_close(seen[layer], value.flip(side))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_flat_picture_has_flat_features(pooling: str) -> None:
    # With reflection a border is no different, and every layer is a matrix: its kernels summed.
    color = torch.tensor([0.9, 0.2, 0.6], dtype=torch.float64)
    of, weights = architecture("reflect"), random_weights(architecture())
    found = encoder("reflect", pooling).features(
        color.view(1, 3, 1, 1).expand(1, 3, 35, 50), of.widths
    )
    x = (color - torch.tensor(of.mean)) / torch.tensor(of.std)
    for layer in of.widths:
        x = (
            weights[f"conv{layer[4:]}.weight"].sum((2, 3)) @ x + weights[f"conv{layer[4:]}.bias"]
        ).relu()
        torch.testing.assert_close(found[layer], x.view(1, -1, 1, 1).expand_as(found[layer]))


@pytest.mark.parametrize("padding", PADDINGS)
def test_moving_the_picture_moves_the_features(padding: str) -> None:
    # Away from the borders, by a whole step of the deepest grid: 8 px at block 4.
    net, image = encoder(padding), picture(64, 200)
    here = net.features(image[..., :192], ["relu2_2", "relu4_1"])
    there = net.features(image[..., 8:], ["relu2_2", "relu4_1"])
    torch.testing.assert_close(here["relu2_2"][..., 4 + 8 : -8], there["relu2_2"][..., 8 : -4 - 8])
    torch.testing.assert_close(here["relu4_1"][..., 1 + 8 : -8], there["relu4_1"][..., 8 : -1 - 8])


@pytest.mark.parametrize("padding", PADDINGS)
def test_without_biases_contrast_is_a_factor(padding: str) -> None:
    net, image = encoder(padding, bias=0), picture()
    mean = torch.tensor(net.architecture.mean).view(1, 3, 1, 1)
    fainter = net.features(mean + (image - mean) / 4, net.layers)
    for layer, value in net.features(image, net.layers).items():
        torch.testing.assert_close(4 * fainter[layer], value)


def test_centring_happens_inside() -> None:
    of, image = architecture(), picture()
    bare = Architecture.vgg(BLOCKS, mean=(0.0,) * 3, std=(1.0,) * 3)
    outside = (image - torch.tensor(of.mean).view(3, 1, 1)) / torch.tensor(of.std).view(3, 1, 1)
    expected = (
        Encoder(bare, name="bare").double().load(random_weights(of)).features(outside, of.widths)
    )
    for layer, value in encoder().features(image, of.widths).items():
        torch.testing.assert_close(value, expected[layer])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mean_colour_is_black_in_every_precision(dtype: torch.dtype) -> None:
    # 0.485, 0.456 and 0.406 are no numbers of bfloat16: rounded, they would tint every picture.
    of = Architecture.vgg(BLOCKS, mean=VGG19.mean, std=VGG19.std, padding="zeros")
    net = Encoder(of, name="test").load(random_weights(of, bias=0)).to(dtype)
    image = torch.tensor(VGG19.mean).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    found = net.features(image, ["relu1_1"])["relu1_1"]
    assert found.dtype == net.dtype == dtype
    assert found.abs().max() < 1e-6


def test_pictures_of_a_batch_do_not_meet() -> None:
    net, images = encoder(), picture(batch=3)
    together = net.features(images, ["relu4_1"])["relu4_1"]
    for i in range(3):
        torch.testing.assert_close(
            net.features(images[i : i + 1], ["relu4_1"])["relu4_1"][0], together[i]
        )


# ---------------------------------------------------------------------------------------- gradients


def test_frozen() -> None:
    net = encoder()
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not any(module.training for module in net.modules())
    assert not net.features(picture(), ["relu5_1"])["relu5_1"].requires_grad


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_reaches_the_image(pooling: str) -> None:
    net, image = encoder(pooling=pooling), picture(32, 32).requires_grad_()
    direction = picture(32, 32).flip(3) - 0.5

    def value(x: Tensor) -> Tensor:
        return sum(each.square().sum() for each in net.features(x, ["relu2_1", "relu5_1"]).values())

    (gradient,) = torch.autograd.grad(value(image), image)
    step = 1e-7
    slope = (value(image + step * direction) - value(image - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-5)
    assert slope.abs() > 0.1


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (1, 1)])
def test_small_pictures_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImpastoError, match=f"{size[1]}x{size[0]} px is too small.*32 px"):
        encoder().features(picture(*size), ["relu1_1"])


@pytest.mark.parametrize("pooling", ["avg", "Max", ""])
def test_unknown_pooling_is_refused(pooling: str) -> None:
    with pytest.raises(ImpastoError, match="choose max or average"):
        Encoder(architecture(), name="test", pooling=pooling)  # type: ignore[arg-type]


def without(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in weights.items() if key != name}


@pytest.mark.parametrize(
    "name", ["conv1_1.weight", "conv4_2.bias", "conv5_1.weight", "head3_1.bias"]
)
def test_a_missing_tensor_is_refused(name: str) -> None:
    of = architecture(heads=(("relu3_1", 4),))
    with pytest.raises(ImpastoError, match=name[4:]):
        Encoder(of, name="test").load(without(random_weights(of), name))


@pytest.mark.parametrize(
    "name", ["conv5_2.weight", "head1_1.weight", "relu1_1.weight", "fc6.weight", "x", ""]
)
def test_an_extra_tensor_is_refused(name: str) -> None:
    of = architecture()
    with pytest.raises(ImpastoError, match="test"):
        Encoder(of, name="test").load(random_weights(of) | {name: torch.zeros(1)})


def test_a_tensor_of_another_shape_is_refused() -> None:
    of = architecture()
    with pytest.raises(ImpastoError, match="1_2") as caught:
        Encoder(of, name="test").load(
            random_weights(of) | {"conv1_2.weight": torch.zeros(3, 9, 3, 3)}
        )
    assert "\n" not in str(caught.value)
