"""Fast kernels: the operations that most of a network's time goes to, each beside its plain twin.

Every function here computes one public formula in one of two ways that agree in value and gradient:
fast, with operators of PyTorch's that are not public (they stand nowhere else in the package), or
plain, with public ones. The fast way is taken where this PyTorch has its operators, unless
`impasto.portable.portable` switched it off.
"""

from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.portable import is_portable

__all__ = [
    "bfloat16_is_native",
    "channel_moments",
    "computed_in",
    "conv_relu",
    "instance_norm",
    "padded_convolution",
    "pixel_shuffle",
]

_OPERATORS = MappingProxyType(
    {
        "conv_relu": ("aten.convolution_backward", "aten.threshold_backward"),
        "padded_convolution": ("aten.convolution_backward",),
        "instance_norm": (
            "aten.native_batch_norm",
            "aten.native_batch_norm_backward",
            "aten.threshold_backward",
        ),
        "channel_moments": ("aten.batch_norm_update_stats",),
        "fused_relu": ("mkldnn._convolution_pointwise",),
    }
)
"""Kernel -> the operators of `torch.ops` that it calls."""


@cache
def _is_there(operator: str) -> bool:
    """Whether this PyTorch has an operator of `torch.ops`, by `namespace.name`."""
    namespace, _, name = operator.partition(".")
    return hasattr(getattr(torch.ops, namespace), name)


def _is_fast(kernel: str) -> bool:
    return not is_portable() and all(map(_is_there, _OPERATORS[kernel]))


def bfloat16_is_native() -> bool:
    """Whether this processor multiplies bfloat16 (AVX-512 BF16; AMX implies it).

    False where PyTorch no longer answers: everything is then computed in float32.
    """
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(asked()) if asked else False


# ------------------------------------------------------------------------- convolution and ReLU


def conv_relu(
    x: Tensor, weight: Tensor, bias: Tensor, padding: Literal["reflect", "zeros"], stride: int = 1
) -> Tensor:
    """A border of one px, a convolution and a ReLU: `(B, C, H, W)` -> `(B, C', H', W')`.

    `weight`: `(C', C, side, side)`. Differentiable once in `x`; the weights are frozen.
    """
    if _is_fast("conv_relu"):
        return _ConvReLU.apply(x, weight, bias, padding, stride)  # type: ignore[no-any-return, no-untyped-call]
    if padding == "reflect":
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
    return F.relu(F.conv2d(x, weight.detach(), bias.detach(), stride, int(padding == "zeros")))


class _ConvReLU(torch.autograd.Function):
    """Padding by one px, convolution and ReLU with frozen weights, as one step of the gradient.

    Only the output is kept for the backward pass: ReLU's mask is its sign, and a convolution's
    gradient with respect to its input does not need that input. Folding a reflected border back is
    two rows and two columns added, where PyTorch's own padding walks the whole map.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: str, stride: int
    ) -> Tensor:
        if padding == "reflect":
            x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        margin = 0 if padding == "reflect" else 1
        has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        is_bfloat16 = x.device.type == "cpu" and x.dtype == torch.bfloat16
        if is_bfloat16 and has_onednn and _is_fast("fused_relu"):
            # oneDNN applies the ReLU while the result is still in the processor's cache.
            sizes = ([margin] * 2, [stride] * 2, [1, 1], 1)
            y: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, weight, bias, *sizes, "relu", [], ""
            )
        else:
            y = F.conv2d(x, weight, bias, stride, margin).relu_()
        ctx.shape, ctx.margin, ctx.stride = x.shape, margin, stride
        ctx.save_for_backward(y, weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        y, weight = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(grads[0], y, 0)
        # Only the shape and the layout of the input are looked at.
        like = torch.empty(
            ctx.shape, dtype=y.dtype, device=y.device, memory_format=torch.channels_last
        )
        grad = torch.ops.aten.convolution_backward(
            *(grad, like, weight, None),
            *([ctx.stride] * 2, [ctx.margin] * 2, [1, 1], False, [0, 0], 1, [True, False, False]),
        )[0]
        if not ctx.margin:  # the border was reflected
            for axis in (2, 3):
                for border, inside in ((0, 2), (-1, -3)):
                    grad.select(axis, inside).add_(grad.select(axis, border))
            grad = grad[:, :, 1:-1, 1:-1]
        return grad, None, None, None, None


# --------------------------------------------------------------------------- border and convolution


def padded_convolution(
    x: Tensor, kernel: Tensor, stride: int, mode: Literal["reflect", "replicate"]
) -> Tensor:
    """A border half a kernel wide, and a convolution: `(B, C, H, W)` -> `(B, C', H', W')`.

    `kernel`: `(C', C, side, side)`, `side` odd. Differentiable once in `x` and `kernel`.
    """
    if _is_fast("padded_convolution"):
        return _PaddedConvolution.apply(x, kernel, stride, mode)  # type: ignore[no-any-return, no-untyped-call]
    return F.conv2d(F.pad(x, (kernel.shape[-1] // 2,) * 4, mode=mode), kernel, stride=stride)


class _PaddedConvolution(torch.autograd.Function):
    """A border half a kernel wide, and a convolution, as one step of the gradient.

    Folding the border's gradient back is a few rows and columns added, where PyTorch's own padding
    walks the whole map, twice.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, stride: int, mode: Literal["reflect", "replicate"]
    ) -> Tensor:
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        padded = F.pad(x, (kernel.shape[-1] // 2,) * 4, mode=mode)
        ctx.stride, ctx.mode = stride, mode
        ctx.save_for_backward(padded, kernel)
        return F.conv2d(padded, kernel, stride=stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        padded, kernel = ctx.saved_tensors
        wanted = [*ctx.needs_input_grad[:2], False]
        slope, of_kernel, _ = torch.ops.aten.convolution_backward(
            *(grads[0], padded, kernel, None),
            *([ctx.stride] * 2, [0, 0], [1, 1], False, [0, 0], 1, wanted),
        )
        if slope is None:
            return None, of_kernel, None, None
        margin = kernel.shape[-1] // 2
        for axis in (2, 3):
            for row in range(margin):
                # The row of the border and the one it was copied from, counted from either side.
                within = 2 * margin - row if ctx.mode == "reflect" else margin
                for border, inside in ((row, within), (-1 - row, -1 - within)):
                    slope.select(axis, inside).add_(slope.select(axis, border))
        return slope[:, :, margin:-margin, margin:-margin], of_kernel, None, None


def pixel_shuffle(x: Tensor) -> Tensor:
    """`(B, 4 C, H, W)` -> `(B, C, 2 H, 2 W)`, channels-last: in a third of the time that PyTorch's
    takes. The four are in the order (row, column, channel), so it is not for networks from
    elsewhere.
    """
    batch, _, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2, -1).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def computed_in(weight: Tensor) -> torch.dtype:
    """What convolutions with `weight` are computed in: autocast's type, else its own."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


# -------------------------------------------------------------------------- instance normalisation


def instance_norm(
    x: Tensor, scale: Tensor, shift: Tensor, epsilon: float, *, relu: bool = False
) -> Tensor:
    """`scale (x - mean) / sqrt(var + epsilon) + shift`, and its positive part if `relu`.

    `x`: `(B, C, H, W)`; `scale`, `shift`: `(B, C)`. Mean and variance over the positions of each
    channel of each picture. Differentiable once in all three.
    """
    # Accelerators have fast kernels of their own for the plain formula.
    if x.device.type == "cpu" and _is_fast("instance_norm"):
        return _BatchOfNorms.apply(x, scale, shift, epsilon, relu)  # type: ignore[no-any-return, no-untyped-call]
    scale, shift = (each[..., None, None].to(x.dtype) for each in (scale, shift))
    y = F.instance_norm(x, eps=epsilon) * scale + shift
    return y.relu() if relu else y


class _BatchOfNorms(torch.autograd.Function):
    """Batch normalisation, one picture at a time: its kernels know channels-last memory.

    PyTorch's instance norm on a processor copies channels-last pictures to planes and back, which
    takes five to ten times as long as this and more than the convolutions between two norms.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, epsilon: float, relu: bool
    ) -> Tensor:
        norm = torch.ops.aten.native_batch_norm
        parts = [
            norm(each, a, b, None, None, True, 0.0, epsilon)
            for each, a, b in zip(x.chunk(len(x)), scale.unbind(), shift.unbind(), strict=True)
        ]
        y = parts[0][0] if len(parts) == 1 else torch.cat([part[0] for part in parts])
        if relu:
            y = y.relu_()
        ctx.epsilon, ctx.relu = epsilon, relu
        ctx.save_for_backward(x, scale, y, *(each for part in parts for each in part[1:]))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, scale, y, *statistics = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(grads[0], y, 0) if ctx.relu else grads[0]
        if x.is_contiguous(memory_format=torch.channels_last):
            grad = grad.contiguous(memory_format=torch.channels_last)
        each = zip(
            *(grad.chunk(len(x)), x.chunk(len(x)), scale.unbind()),
            *(statistics[::2], statistics[1::2]),
            strict=True,
        )
        backward = torch.ops.aten.native_batch_norm_backward
        parts = [
            backward(g, one, a, None, None, mean, inverse, True, ctx.epsilon, [True, True, True])
            for g, one, a, mean, inverse in each
        ]
        if len(parts) == 1:
            return parts[0][0], parts[0][1][None], parts[0][2][None], None, None
        slope, of_scale, of_shift = zip(*parts, strict=True)
        return torch.cat(slope), torch.stack(of_scale), torch.stack(of_shift), None, None


@torch.no_grad()
def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of each channel of `x`, `(B, C, H, W)`: `(C,)` float32 each.

    Without a gradient.
    """
    if _is_fast("channel_moments"):
        known = torch.zeros(x.shape[1], device=x.device, dtype=torch.float32)
        # It knows channels-last memory.
        mean, variance = torch.ops.aten.batch_norm_update_stats(x, known, known.clone(), 0.0)
        return mean.float(), variance.float()
    variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
    return mean, variance
