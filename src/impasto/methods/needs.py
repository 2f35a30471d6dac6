"""What the ways to paint take of memory, as measured: peaks of processes on a CPU, beyond what they
have when PyTorch is loaded.

Feature maps are nearly all of it, and grow with the pixels. Estimates err upwards, by a tenth to a
third.
"""

import torch

from impasto.networks.weights import best_dtype, pick_device
from impasto.settings import Settings

__all__ = ["of_descent", "of_pass"]

_NETWORKS = 250e6
# Bytes for a pixel at 16 bits.
_PASS, _DESCENT, _STEP = 400.0, 900.0, 400.0
# Of VGG-19, whose blocks are wide all through, in units of the embedded encoder.
_VGG19 = 4.0
# Features of the most that is read of a painting at once.
_READ = 500e6
_PICTURES = 60  # bytes a pixel of a picture or a painting that is held, with copies on the way


def of_pass(settings: Settings, height: int, width: int) -> float:
    """Bytes for one pass over a picture of that size, and for reading the paintings."""
    painted = height * width / min(1.0, settings.style_scale) ** 2
    read = _wide(settings) * _READ * min(1.0, max(height, width) ** 2 / 2**20)
    held = _PICTURES * max(height, width) ** 2
    return _NETWORKS + held + max(read, _wide(settings) * _PASS * painted)


def of_descent(settings: Settings, height: int, width: int) -> float:
    """Bytes for the optimiser on a picture of that size, and for reading the paintings."""
    pixels = height * width
    encoder = _VGG19 if settings.encoder == "vgg19" else 1.0
    side = max(height, width) * max(1.0, settings.style_scale)
    read = _READ * min(1.0, side**2 / 2**20)
    held = _PICTURES * side**2
    # L-BFGS remembers steps and slopes, as many as this, in full.
    moments = 24 * pixels * (20 if settings.resolved(start=True).optimizer == "lbfgs" else 1)
    return _NETWORKS + held + moments + encoder * _wide(settings) * (_DESCENT * pixels + read)


def _wide(settings: Settings) -> float:
    """1 at 16 bits, 2 at 32."""
    return 1.0 if best_dtype(pick_device(settings.device)) == torch.bfloat16 else 2.0
