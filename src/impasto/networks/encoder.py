"""An image goes in, named feature maps come out.

Every encoder here is a VGG (Simonyan and Zisserman 2014, arXiv:1409.1556) or a network that gives a
VGG's features: convolutions with ReLU, in blocks of which each sees half the resolution of the one
before. One table of layers, `Architecture`, describes VGG-19, which pools between blocks, and
`compact`, which has strided convolutions there.

Layers are named after the field's habit, `relu4_1`: the fourth block's first convolution, after its
ReLU. The names of Keras (`block4_conv1`) and Caffe (`conv4_1`) mean the same layer and are accepted
wherever a layer is named.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import InputError, OptionError, WeightsError
from impasto.layers import STYLE_LAYERS
from impasto.networks.kernels import conv_relu
from impasto.networks.shapes import SMALLEST

__all__ = [
    "COMPACT",
    "COMPACT_1",
    "SMALLEST",
    "STYLE_LAYERS",
    "VGG19",
    "Architecture",
    "Encoder",
    "Layer",
    "Pooling",
    "canonical",
]

Pooling = Literal["max", "average"]

_ALIAS = re.compile(r"(?:relu|conv)([1-9])_([1-9])|block([1-9])_conv([1-9])")


@dataclass(frozen=True)
class Layer:
    """A convolution with its ReLU: `width` channels, kernels of `side` (3 or 4) px, padded by one
    px on each side.

    `pool`: its input is pooled first, 2x2. `reads`: the name of the layer whose output is its
    input; the one before if empty. Side 3 and stride 1 keep the size of a map; side 4 and stride 2
    halve it, rounded down, as pooling does. A layer that can be asked for is named `relub_c`; any
    other name is internal to the network.
    """

    name: str
    width: int
    side: int = 3
    stride: int = 1
    pool: bool = False
    reads: str = ""


@dataclass(frozen=True)
class Architecture:
    """The layers of an encoder, in the order of computation, and how its input is centred.

    `mean` and `std` are per RGB channel, for images in [0, 1]; `padding` is how convolutions
    continue the picture beyond its border. `heads` are layers whose features are read through a 1x1
    convolution and a ReLU of their own, with the channels given (compressed VGGs have them, to
    speak in VGG-19's channels); no other layer sees them.

    Raises `ImpastoError` for a layer that reads one that is not before it.
    """

    layers: tuple[Layer, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    padding: Literal["reflect", "zeros"] = "reflect"
    heads: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        known = {""}
        for layer in self.layers:
            if layer.reads not in known:
                raise WeightsError(
                    f"the layer {layer.name} reads {layer.reads}, which is not before it"
                )
            known.add(layer.name)

    @classmethod
    def vgg(
        cls,
        blocks: Iterable[Iterable[int]],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        padding: Literal["reflect", "zeros"] = "reflect",
        heads: tuple[tuple[str, int], ...] = (),
    ) -> "Architecture":
        """A VGG, pooling between blocks: `blocks[b][c]` is the number of channels of
        `relu{b+1}_{c+1}`.
        """
        layers = tuple(
            Layer(f"relu{b}_{c}", width, pool=b > 1 and c == 1)
            for b, block in enumerate(blocks, start=1)
            for c, width in enumerate(block, start=1)
        )
        return cls(layers, mean, std, padding, heads)

    @property
    def widths(self) -> dict[str, int]:
        """Layer name -> channels of all that can be asked for, in the order of computation."""
        return {layer.name: layer.width for layer in self.layers if layer.name.startswith("relu")}

    @property
    def sources(self) -> dict[str, str]:
        """Name of any layer -> name of the one it reads; empty for the picture."""
        names = ["", *(layer.name for layer in self.layers)]
        return {
            layer.name: layer.reads or before
            for layer, before in zip(self.layers, names, strict=False)
        }

    def path(self, wanted: Iterable[str]) -> tuple[Layer, ...]:
        """All that has to be computed for the layers `wanted`, themselves included, in order."""
        needed, sources = set(wanted), self.sources
        for layer in reversed(self.layers):
            if layer.name in needed:
                needed.add(sources[layer.name])
        return tuple(layer for layer in self.layers if layer.name in needed)


VGG19 = Architecture.vgg(
    blocks=((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    padding="zeros",
)

# As wide as VGG-19 where styles are read (the first layer of every block), narrow in between. The
# five style layers then have VGG-19's own channels, so a Gram matrix means the same under both.
COMPACT_1 = Architecture.vgg(
    blocks=((64, 32), (128, 96), (256, 128, 128, 128), (512, 128, 128, 128), (512,)),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
)
"""The first edition of `compact`, a VGG."""

COMPACT = Architecture(
    layers=(
        Layer("relu1_1", 64),
        Layer("down1", 32, side=4, stride=2),
        Layer("relu2_1", 128),
        Layer("down2", 96, side=4, stride=2),
        Layer("relu3_1", 256),
        Layer("down3", 128, side=4, stride=2),
        Layer("relu4_1", 512),
        Layer("relu4_2", 128),
        Layer("down4", 96, side=4, stride=2, reads="relu4_1"),
        Layer("relu5_1", 512),
    ),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
)
"""`compact`: one narrow strided convolution does what a block's other layers and its pooling do,
for less than half.

`relu4_2`, where content is read, is a branch: nothing else sees it, and it is computed only when
asked for.
"""


def canonical(name: str, known: Iterable[str]) -> str:
    """`block4_conv1`, `conv4_1` or `relu4_1` -> `relu4_1`.

    Raises `ImpastoError` with the list of `known` layers when the name means none of them.
    """
    match = _ALIAS.fullmatch(name.strip().lower())
    numbers = [group for group in match.groups() if group] if match else []
    layer = "relu{}_{}".format(*numbers) if numbers else name
    known = list(known)
    if layer not in known:
        raise OptionError(f"unknown layer {name!r}; this encoder has {', '.join(known)}")
    return layer


class Encoder(nn.Module):
    """A frozen network of `architecture`: `(B, 3, H, W)` RGB in [0, 1] -> `{layer: (B, C, H',
    W')}`.

    Call `features(image, layers)`. Centring and scaling happen inside. `name` says whose features
    these are (it appears in reports and in the recipe of a picture). `layers` are the names that
    can be asked for. `pooling` is a choice only for those that pool: `ImpastoError` for average
    where strided convolutions do it.
    """

    def __init__(self, architecture: Architecture, *, name: str, pooling: Pooling = "max") -> None:
        super().__init__()
        if pooling not in ("max", "average"):
            raise OptionError(f"unknown pooling {pooling!r}; choose max or average")
        if pooling != "max" and any(layer.stride > 1 for layer in architecture.layers):
            raise OptionError(
                f"the encoder {name} has strided convolutions in place of pooling; average needs one that pools: vgg19"
            )
        self.architecture, self.name, self.pooling = architecture, name, pooling
        self.layers = tuple(architecture.widths)
        self.convs = nn.ModuleDict()
        channels, sources = {"": 3}, architecture.sources
        for layer in architecture.layers:
            self.convs[layer.name] = nn.Conv2d(
                channels[sources[layer.name]], layer.width, layer.side, layer.stride
            )
            channels[layer.name] = layer.width
        self.heads = nn.ModuleDict(
            {layer: nn.Conv2d(channels[layer], width, 1) for layer, width in architecture.heads}
        )

    def load(self, weights: Mapping[str, Tensor]) -> "Encoder":
        """Take `conv1_1.weight`, `conv1_1.bias`, …, `down1.weight`, …; freeze; return itself.

        `ImpastoError` for a missing, an extra or a misshapen tensor.
        """
        try:
            self.load_state_dict({_own_name(key): value for key, value in weights.items()})
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise WeightsError(
                f"these weights do not fit the encoder {self.name}: {reason}"
            ) from None
        return self.freeze()

    def weights(self) -> dict[str, Tensor]:
        """What `load` takes, as float32 copies on the CPU."""
        return {
            key.replace("convs.relu", "conv")
            .replace("heads.relu", "head")
            .removeprefix("convs."): value.float().cpu()
            for key, value in self.state_dict().items()
        }

    def freeze(self) -> "Encoder":
        """Inference form: no gradient into the weights, channels-last memory."""
        for parameter in self.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.requires_grad_(False)
        self.eval()
        return self

    def canonical(self, names: Iterable[str]) -> tuple[str, ...]:
        """Layer names as this encoder spells them, in order; `ImpastoError` for unknown ones."""
        return tuple(canonical(name, self.layers) for name in names)

    @property
    def device(self) -> torch.device:
        """Where the weights are, and so where images must be."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What features are computed in; the image itself stays float32."""
        return next(self.parameters()).dtype

    def features(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The named feature maps, after ReLU, and nothing computed that they do not depend on.

        `image`: `(B, 3, H, W)` in [0, 1], at least 32 px a side (`ImpastoError` otherwise). Layer
        `relub_c` is `H / 2^(b-1)` high (rounded down). Differentiable in `image`, once; never in
        the weights.
        """
        wanted = set(self.canonical(layers))
        if min(image.shape[-2:]) < SMALLEST:
            raise InputError(
                f"a picture of {image.shape[-1]}x{image.shape[-2]} px is too small to encode; use {SMALLEST} px or more"
            )
        mean, std = (
            image.new_tensor(v).view(1, 3, 1, 1)
            for v in (self.architecture.mean, self.architecture.std)
        )
        x = ((image - mean) / std).to(self.dtype).contiguous(memory_format=torch.channels_last)
        # The weights say the type; autocast would take every border to float32 and back.
        with torch.autocast(image.device.type, enabled=False):
            return self._descend(x, wanted)

    def _descend(self, x: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        path, sources = self.architecture.path(wanted), self.architecture.sources
        last_reader = {sources[layer.name]: layer.name for layer in path}
        values = {"": x}  # held no longer than somebody will read them
        for layer in path:
            source = sources[layer.name]
            x = values.pop(source) if last_reader[source] == layer.name else values[source]
            if layer.pool:
                x = self._pool(x)
            weight, bias = map(self.convs[layer.name].get_parameter, ("weight", "bias"))
            x = conv_relu(x, weight, bias, self.architecture.padding, layer.stride)
            if layer.name in last_reader:
                values[layer.name] = x
            if layer.name in wanted:
                found[layer.name] = (
                    F.relu(self.heads[layer.name](x)) if layer.name in self.heads else x
                )
        return found

    def _pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)


def _own_name(stored: str) -> str:
    """A stored tensor's name among an `Encoder`'s: `conv1_1.bias` -> `convs.relu1_1.bias`;
    `down1.bias` as it is.
    """
    return f"convs.{stored}" if stored.startswith("down") else f"{stored[:4]}s.relu{stored[4:]}"
