"""An image goes in, named feature maps come out.

Every encoder here is a VGG (Simonyan and Zisserman 2014, arXiv:1409.1556): blocks of 3x3 convolutions with ReLU,
2x2 pooling between blocks. One table of layers, `Architecture`, describes VGG-19 and the embedded `compact`
encoder alike; they differ only in how wide each layer is and in their weights.

Layers are named after the field's habit, `relu4_1`: the fourth block's first convolution, after its ReLU. The
names of Keras (`block4_conv1`) and Caffe (`conv4_1`) mean the same layer and are accepted wherever a layer is named.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import InputError, OptionError, WeightsError
from impasto.layers import STYLE_LAYERS

__all__ = ["COMPACT", "SMALLEST", "STYLE_LAYERS", "VGG19", "Architecture", "Encoder", "Pooling", "canonical"]

Pooling = Literal["max", "average"]

_ALIAS = re.compile(r"(?:relu|conv)([1-9])_([1-9])|block([1-9])_conv([1-9])")
# Four poolings halve it to 2 px at block 5, and reflection padding needs two.
SMALLEST = 32


@dataclass(frozen=True)
class Architecture:
    """The widths of a VGG, block by block, and how its input is centred.

    `blocks[b][c]` is the number of channels of `relu{b+1}_{c+1}`; `mean` and `std` are per RGB channel, for
    images in [0, 1]; `padding` is how convolutions continue the picture beyond its border. `heads` are layers whose
    features are read through a 1x1 convolution and a ReLU of their own, with the channels given (compressed VGGs
    have them, to speak in VGG-19's channels); the next layer does not see them.
    """

    blocks: tuple[tuple[int, ...], ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    padding: Literal["reflect", "zeros"] = "reflect"
    heads: tuple[tuple[str, int], ...] = ()

    @property
    def widths(self) -> dict[str, int]:
        """Layer name -> channels, in the order of computation."""
        return {
            f"relu{b}_{c}": width
            for b, block in enumerate(self.blocks, start=1)
            for c, width in enumerate(block, start=1)
        }


VGG19 = Architecture(
    blocks=((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    padding="zeros",
)

# As wide as VGG-19 where styles are read (the first layer of every block), narrow in between. The five style
# layers then have VGG-19's own channels, so a Gram matrix means the same under both.
COMPACT = Architecture(
    blocks=((64, 32), (128, 96), (256, 128, 128, 128), (512, 128, 128, 128), (512,)),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
)


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
    """A frozen VGG: `(B, 3, H, W)` RGB in [0, 1] -> `{layer: (B, C, H', W')}`.

    Call `features(image, layers)`. Centring and scaling happen inside. `name` says whose features these are (it
    appears in reports and in the recipe of a picture).
    """

    def __init__(self, architecture: Architecture, *, name: str, pooling: Pooling = "max") -> None:
        super().__init__()
        if pooling not in ("max", "average"):
            raise OptionError(f"unknown pooling {pooling!r}; choose max or average")
        self.architecture, self.name, self.pooling = architecture, name, pooling
        self.layers = tuple(architecture.widths)
        self.convs = nn.ModuleDict()
        channels = 3
        for layer, width in architecture.widths.items():
            self.convs[layer] = nn.Conv2d(channels, width, 3)
            channels = width
        self.heads = nn.ModuleDict(
            {layer: nn.Conv2d(architecture.widths[layer], width, 1) for layer, width in architecture.heads}
        )

    def load(self, weights: Mapping[str, Tensor]) -> "Encoder":
        """Take `conv1_1.weight`, `conv1_1.bias`, …, freeze, and return itself.

        `ImpastoError` for a missing, an extra or a misshapen tensor.
        """
        try:
            self.load_state_dict({f"{key[:4]}s.relu{key[4:]}": value for key, value in weights.items()})
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise WeightsError(f"these weights do not fit the encoder {self.name}: {reason}") from None
        return self.freeze()

    def freeze(self) -> "Encoder":
        """Inference form: no gradient into the weights, channels-last memory."""
        for parameter in self.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.requires_grad_(False)
        self.eval()
        return self

    def canonical(self, names: Iterable[str]) -> tuple[str, ...]:
        """Layer names as this encoder spells them, in the given order; unknown ones raise `ImpastoError`."""
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
        """The named feature maps, after ReLU, computed no deeper than the deepest of them.

        `image`: `(B, 3, H, W)` in [0, 1], at least 32 px a side (`ImpastoError` otherwise). Layer `relub_c` is
        `H / 2^(b-1)` high (rounded down). Differentiable in `image`, once; never in the weights.
        """
        wanted = set(self.canonical(layers))
        if min(image.shape[-2:]) < SMALLEST:
            raise InputError(
                f"a picture of {image.shape[-1]}x{image.shape[-2]} px is too small to encode; use {SMALLEST} px or more"
            )
        mean, std = (image.new_tensor(v).view(1, 3, 1, 1) for v in (self.architecture.mean, self.architecture.std))
        x = ((image - mean) / std).to(self.dtype).contiguous(memory_format=torch.channels_last)
        # The weights say the type; autocast would take every border to float32 and back.
        with torch.autocast(image.device.type, enabled=False):
            return self._descend(x, wanted)

    def _descend(self, x: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        block = "1"
        for layer, conv in self.convs.items():
            if len(found) == len(wanted):
                break
            if layer[4] != block:
                x, block = self._pool(x), layer[4]
            x = _ConvReLU.apply(x, conv.weight, conv.bias, self.architecture.padding)  # type: ignore[no-untyped-call]
            if layer in wanted:
                found[layer] = F.relu(self.heads[layer](x)) if layer in self.heads else x
        return found

    def _pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)


class _ConvReLU(torch.autograd.Function):
    """Padding, 3x3 convolution and ReLU with frozen weights, as one step of the gradient.

    Nothing but the output is kept for the way back: ReLU's mask is its sign, and a convolution's gradient with
    respect to its input does not need that input. Folding a reflected border back is two rows and two columns
    added, where PyTorch's own padding walks the whole map.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: str) -> Tensor:
        ctx.padding = padding
        if padding == "reflect":
            x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        margin = 0 if padding == "reflect" else 1
        has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if x.device.type == "cpu" and x.dtype == torch.bfloat16 and has_onednn:
            # oneDNN applies the ReLU while the result is still in the processor's cache.
            sizes = ([margin] * 2, [1, 1], [1, 1], 1)
            y: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *sizes, "relu", [], "")
        else:
            y = F.conv2d(x, weight, bias, padding=margin).relu_()
        ctx.save_for_backward(y, weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        y, weight = ctx.saved_tensors
        batch, _, height, width = y.shape
        margin = 1 if ctx.padding == "reflect" else 0
        shape = (batch, weight.shape[1], height + 2 * margin, width + 2 * margin)
        grad = torch.ops.aten.threshold_backward(grads[0], y, 0)
        # Only the shape and the layout of the input are looked at.
        like = torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=torch.channels_last)
        grad = torch.ops.aten.convolution_backward(
            *(grad, like, weight, None),
            *([1, 1], [1 - margin] * 2, [1, 1], False, [0, 0], 1, [True, False, False]),
        )[0]
        if margin:
            for axis in (2, 3):
                for border, inside in ((0, 2), (-1, -3)):
                    grad.select(axis, inside).add_(grad.select(axis, border))
            grad = grad[:, :, 1:-1, 1:-1]
        return grad, None, None, None
