"""The memory that settings leave to the ways to paint, and what these take of it: for plans, refusals,
forecasts and the parts that a large picture is painted by.
"""

import torch

from impasto.methods.large import LARGEST, needed
from impasto.methods.sections import DescentBudget
from impasto.methods.strokes import painted_size
from impasto.methods.tiled import PassBudget
from impasto.networks.weights import best_dtype, pick_device
from impasto.settings import Settings
from impasto.sizes import memory

__all__ = ["descent_budget", "of_descent", "of_pass"]

# What a process has taken when PyTorch is loaded, bytes, and a little less: estimates err upwards.
_LOADED = 200e6
# VGG-19's blocks are wide all through: in units of the embedded encoder, by its channels.
_VGG19 = 2.5
# Pictures that L-BFGS remembers: 50 steps, and as many slopes.
_MEMORIES = 100
_HALO = 128  # px, about what a network sees around a tile; more halo makes smaller tiles


def of_pass(settings: Settings, height: int, width: int) -> float:
    """Bytes for one pass over a picture of that size, beyond those of a process with PyTorch."""
    budget = PassBudget(memory(settings.max_memory), _dtype(settings))
    size = painted_size((height, width), settings.style_scale)
    return budget.needed(size, _HALO) - _LOADED


def of_descent(settings: Settings, height: int, width: int) -> float:
    """The same for the optimiser, and for reading the paintings."""
    budget, size = descent_budget(settings, _dtype(settings)), (height, width)
    large = budget.divisible and max(size) > LARGEST
    return (needed(budget, size) if large else budget.needed(size)) - _LOADED


def descent_budget(settings: Settings, dtype: torch.dtype) -> DescentBudget:
    """What `settings` leave to an optimiser under features in `dtype`."""
    lbfgs = settings.resolved(start=True).optimizer == "lbfgs"
    return DescentBudget(
        memory(settings.max_memory),
        dtype,
        width=_VGG19 if settings.encoder.partition("@")[0] == "vgg19" else 1.0,
        scale=settings.style_scale,
        remembered=_MEMORIES if lbfgs else 0,
        # Sums over positions are taken by parts; other losses need the whole picture at once.
        divisible=settings.style_loss == "gram" and settings.content_loss == "features",
    )


def _dtype(settings: Settings) -> torch.dtype:
    return best_dtype(pick_device(settings.device))
