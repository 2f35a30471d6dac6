"""The shapes of networks as plain data, for whoever must not wait for PyTorch."""

from dataclasses import dataclass

__all__ = ["SMALLEST", "TransformNetConfig", "UpscaleNetConfig"]

SMALLEST = 32
"""Pixels a side that an encoder needs: halved four times they are 2 at block 5, and reflection
padding needs two.
"""


@dataclass(frozen=True)
class TransformNetConfig:
    """The shape of a `TransformNet`.

    `channels`: at a half, a quarter and an eighth of the picture's size. `blocks`: residual blocks
    at a quarter before the coarsest level, at the coarsest level, at a quarter after it. `entry`,
    `leave`: side of the first and last kernel; the latter counts pixels of the full size. `noise`:
    channels of the noise field; 0 is none.
    """

    channels: tuple[int, int, int] = (64, 128, 128)
    blocks: tuple[int, int, int] = (1, 4, 2)
    entry: int = 5
    leave: int = 9
    noise: int = 4


@dataclass(frozen=True)
class UpscaleNetConfig:
    """The shape of an `UpscaleNet`: its `channels`, and how many residual `blocks` there are of
    two convolutions each.
    """

    channels: int = 64
    blocks: int = 12
