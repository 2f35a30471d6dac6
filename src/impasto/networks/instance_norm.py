"""Conditional instance normalisation: each channel of each picture is brought to a scale and a
shift of the style's.

Dumoulin et al. 2017 (arXiv:1610.07629), eq. 5: `z = gamma (x - mean) / sd + beta`, mean and
standard deviation over the positions of one picture. All of a style that a network knows are its
gammas and betas.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["EPSILON", "Moments", "conditional_instance_norm", "moments_from"]

EPSILON = 1e-5

Moments: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""The mean and the variance, `(C,)` float32 each, to normalise one picture `(1, C, H, W)` by."""

_source: ContextVar[Moments | None] = ContextVar("moments", default=None)


@contextmanager
def moments_from(source: Moments) -> Iterator[None]:
    """Inside, norms ask `source` for their statistics, one after the other, instead of taking the
    picture's own. For this thread, and without gradients.
    """
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)


def conditional_instance_norm(
    x: Tensor, scale: Tensor, shift: Tensor, *, relu: bool = False
) -> Tensor:
    """`scale (x - mean) / sqrt(var + 1e-5) + shift`, and its positive part if `relu`.

    `x`: `(B, C, H, W)`; `scale`, `shift`: `(B, C)` float32 (float64 where `x` is). The result has
    the type of `x`; statistics are float32 at least. Differentiable once in all three.
    """
    source = _source.get()
    if source is not None:
        return _by_moments(x, source, scale, shift, relu)
    if x.device.type == "cpu":
        return _BatchOfNorms.apply(x, scale, shift, relu)  # type: ignore[no-any-return, no-untyped-call]
    y = F.instance_norm(x, eps=EPSILON) * scale[..., None, None].to(x.dtype) + shift[
        ..., None, None
    ].to(x.dtype)
    return y.relu() if relu else y


def _by_moments(x: Tensor, source: Moments, scale: Tensor, shift: Tensor, relu: bool) -> Tensor:
    pairs = zip(x.chunk(len(x)), scale.unbind(), shift.unbind(), strict=True)
    parts = [F.batch_norm(each, *source(each), a, b, eps=EPSILON) for each, a, b in pairs]
    y = parts[0] if len(parts) == 1 else torch.cat(parts)
    return y.relu_() if relu else y


class _BatchOfNorms(torch.autograd.Function):
    """Batch normalisation of one picture at a time: the same numbers, from kernels that know
    channels-last memory.

    PyTorch's instance norm on a processor copies channels-last pictures to planes and back, which
    takes five to ten times as long as this and more than the convolutions between two norms.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, relu: bool) -> Tensor:
        norm = torch.ops.aten.native_batch_norm
        parts = [
            norm(each, a, b, None, None, True, 0.0, EPSILON)
            for each, a, b in zip(x.chunk(len(x)), scale.unbind(), shift.unbind(), strict=True)
        ]
        y = parts[0][0] if len(parts) == 1 else torch.cat([part[0] for part in parts])
        if relu:
            y = y.relu_()
        ctx.relu = relu
        ctx.save_for_backward(x, scale, y, *(each for part in parts for each in part[1:]))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, scale, y, *statistics = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(grads[0], y, 0) if ctx.relu else grads[0]
        if x.is_contiguous(memory_format=torch.channels_last):
            grad = grad.contiguous(memory_format=torch.channels_last)
        norm_backward = torch.ops.aten.native_batch_norm_backward
        parts = [
            norm_backward(g, each, a, None, None, mean, inverse, True, EPSILON, [True, True, True])
            for g, each, a, mean, inverse in zip(
                *(
                    grad.chunk(len(x)),
                    x.chunk(len(x)),
                    scale.unbind(),
                    statistics[::2],
                    statistics[1::2],
                ),
                strict=True,
            )
        ]
        if len(parts) == 1:
            return parts[0][0], parts[0][1][None], parts[0][2][None], None
        slope, of_scale, of_shift = zip(*parts, strict=True)
        return torch.cat(slope), torch.stack(of_scale), torch.stack(of_shift), None
