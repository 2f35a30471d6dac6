"""Conditional instance normalisation: each channel of each picture is brought to a scale and a
shift of the style's.

Dumoulin et al. 2017 (arXiv:1610.07629), eq. 5: `z = gamma (x - mean) / sd + beta`, mean and
standard deviation over the positions of one picture. All of a style that a network knows are its
gammas and betas.
"""

from torch import Tensor

from impasto.networks.kernels import instance_norm

__all__ = ["EPSILON", "conditional_instance_norm"]

EPSILON = 1e-5


def conditional_instance_norm(
    x: Tensor, scale: Tensor, shift: Tensor, *, relu: bool = False
) -> Tensor:
    """`scale (x - mean) / sqrt(var + 1e-5) + shift`, and its positive part if `relu`.

    `x`: `(B, C, H, W)`; `scale`, `shift`: `(B, C)` float32 (float64 where `x` is). The result has
    the type of `x`; statistics are float32 at least. Differentiable once in all three.
    """
    return instance_norm(x, scale, shift, EPSILON, relu=relu)
