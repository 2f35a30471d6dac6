"""The shapes of networks as plain data, for whoever must not wait for PyTorch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SMALLEST", "TransformNetConfig", "UpscaleNetConfig", "spoken_shape"]

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
    channels of the noise field; 0 is none. `context`: px of mirror image, a multiple of 8, that the
    photo has on every side while it is painted. A border is mirrored by every convolution, so a
    network that is judged up to its border learns to tell it, and gives it a tone of its own.
    """

    channels: tuple[int, int, int] = (64, 128, 128)
    blocks: tuple[int, int, int] = (1, 4, 2)
    entry: int = 5
    leave: int = 9
    noise: int = 4
    context: int = 8


@dataclass(frozen=True)
class UpscaleNetConfig:
    """The shape of an `UpscaleNet`: its `channels`, and how many residual `blocks` there are of
    two convolutions each.
    """

    channels: int = 64
    blocks: int = 12


def spoken_shape(config: Mapping[str, Any]) -> str:
    """What of a `TransformNetConfig`, as a mapping, a style vector depends on, as JSON.

    A network without noise is one of version 0.1, whose styles were learned for a shape that did
    not say so; how the photo is surrounded changes no vector's meaning.
    """
    kept = {
        name: value
        for name, value in config.items()
        if name != "context" and (name != "noise" or value)
    }
    return json.dumps(kept)
