"""Conditional instance normalisation: each channel gets the style's mean and deviation.

Dumoulin et al. 2017 (arXiv:1610.07629), eq. 5: `z = gamma (x - mean) / sd + beta`, mean and
standard deviation over the positions of one picture. All of a style that a network knows are its
gammas and betas.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.networks.kernels import instance_norm

__all__ = ["EPSILON", "Moments", "conditional_instance_norm", "held", "moments_from"]

EPSILON = 1e-5


class Moments(Protocol):
    """Where norms have their statistics from: a mean and a variance, `(C,)` float32 each."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Those to normalise one picture by, `(1, C, H, W)`."""
        ...

    def hold(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """The same of a picture whose own were measured already."""
        ...


class _Source(local):  # a ContextVar would do, but PyTorch's tracer cannot read one
    moments: Moments | None = None


_SOURCE = _Source()


@contextmanager
def moments_from(source: Moments) -> Iterator[None]:
    """Inside, norms ask `source` for their statistics, one after the other, instead of taking the
    picture's own. For this thread, and without gradients.
    """
    before, _SOURCE.moments = _SOURCE.moments, source
    try:
        yield
    finally:
        _SOURCE.moments = before


def held(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """What norms go by where these were measured of a picture that is painted in parts: themselves,
    or, inside `moments_from`, what that makes of them.
    """
    source = _SOURCE.moments
    return (mean, variance) if source is None else source.hold(mean, variance)


def conditional_instance_norm(
    x: Tensor, scale: Tensor, shift: Tensor, *, relu: bool = False
) -> Tensor:
    """`scale (x - mean) / sqrt(var + 1e-5) + shift`, and its positive part if `relu`.

    `x`: `(B, C, H, W)`; `scale`, `shift`: `(B, C)` float32 (float64 where `x` is). The result has
    the type of `x`; statistics are float32 at least. Differentiable once in all three.
    """
    if _SOURCE.moments is not None:
        return _by_moments(x, _SOURCE.moments, scale, shift, relu)
    return instance_norm(x, scale, shift, EPSILON, relu=relu)


def _by_moments(x: Tensor, source: Moments, scale: Tensor, shift: Tensor, relu: bool) -> Tensor:
    pairs = zip(x.chunk(len(x)), scale.unbind(), shift.unbind(), strict=True)
    parts = [F.batch_norm(each, *source(each), a, b, eps=EPSILON) for each, a, b in pairs]
    y = parts[0] if len(parts) == 1 else torch.cat(parts)
    return y.relu_() if relu else y
