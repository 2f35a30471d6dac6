"""What the ways to paint take of memory, as measured: peaks of processes on a CPU, beyond what they
have when PyTorch is loaded.

Feature maps are nearly all of it, and grow with the pixels. Estimates are meant to err
upwards.
"""

import torch

from impasto.methods.large import LARGEST
from impasto.methods.reading import WHOLE
from impasto.networks.weights import best_dtype, pick_device
from impasto.settings import Settings
from impasto.sizes import memory

__all__ = ["of_descent", "of_pass"]

# Networks and what comes with them.
_NETWORKS = 250e6
# Bytes for a pixel at 16 bits: of one pass, and of a step of the optimiser with the way back.
_PASS, _DESCENT = 420.0, 1650.0
# Of VGG-19, whose blocks are wide all through, in units of the embedded encoder: by its channels.
_VGG19 = 2.5
# Features of the most that is read of a painting at once.
_READ = 550e6
_PICTURES = 40  # bytes a pixel of a painting that is held, with its copies on the way
_MEMORIES = 50  # pictures that L-BFGS remembers twice
# Bytes a pixel that stay when a picture is painted by tiles: of one pass, and of the optimiser.
_TILED_PASS, _TILED_DESCENT = 30, 150
# The same of the optimiser where pictures are held in 8 bits (`impasto.methods.large`).
_LARGE_DESCENT = 20


def of_pass(settings: Settings, height: int, width: int) -> float:
    """Bytes for one pass over a picture of that size, and for reading the paintings."""
    painted = height * width / min(1.0, settings.style_scale) ** 2
    work = max(_read(max(height, width)), _PASS * painted)
    whole = _NETWORKS + _PICTURES * max(height, width) ** 2 + _wide(settings) * work
    return min(whole, max(memory(settings.max_memory), _TILED_PASS * height * width))


def of_descent(settings: Settings, height: int, width: int) -> float:
    """Bytes for the optimiser on a picture of that size, and for reading the paintings."""
    pixels = height * width
    side = max(height, width) * max(1.0, settings.style_scale)
    side = min(side, LARGEST) if max(height, width) > LARGEST else side
    lbfgs = settings.resolved(start=True).optimizer == "lbfgs"
    work = max(_read(side), _DESCENT * pixels) * (_VGG19 if settings.encoder == "vgg19" else 1.0)
    held = _PICTURES * side**2 + (24 * _MEMORIES * pixels if lbfgs else 0)
    whole = _NETWORKS + held + _wide(settings) * work
    # Sums over positions are taken by parts; other losses need the whole picture at once.
    if settings.style_loss != "gram" or settings.content_loss != "features":
        return whole
    each = _LARGE_DESCENT if max(height, width) > LARGEST else _TILED_DESCENT
    return min(whole, max(memory(settings.max_memory), each * pixels))


def _read(side: float) -> float:
    """Of the features of a painting with that long side."""
    return _READ * min(1.0, side**2 / WHOLE)


def _wide(settings: Settings) -> float:
    """1 at 16 bits, 2 at 32."""
    return 1.0 if best_dtype(pick_device(settings.device)) == torch.bfloat16 else 2.0
