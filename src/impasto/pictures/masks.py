"""Soft masks: which part of a picture is meant, drawn by hand or found without drawing.

A mask is `(1, 1, H, W)` float32 in [0, 1], 1 where it is meant, in the aspect of its picture.
"""

import os

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import InputError
from impasto.pictures.color import luminance
from impasto.pictures.image import Source, fit, open_picture, resize
from impasto.pictures.subject import subject

__all__ = ["MASKS", "feathered", "open_mask"]

MASKS = ("luminance", "darkness", "subject", "background")
"""Masks that need no drawing, by name: the lighter and the darker part of the photo, and what
stands before what.
"""

_LARGEST = 2048  # long side of a mask, px: it is soft, and enlarged where it is used
_ASPECT = 0.02  # the most by which aspects may differ: a file's own rounding to whole pixels
_NOTHING = 0.05  # a mask that is nowhere lighter is empty
_FEATHER = 128  # a border is soft over this fraction of the long side


def open_mask(source: Source, picture: Tensor, *, whose: str = "the photo") -> Tensor:
    """The mask in a file (white is meant, or what is opaque), as a tensor, or one of `MASKS`, for
    `picture`, `(1, 3, H, W)` float32 in [0, 1].

    At most 2048 px long and never larger than the picture. Raises `InputError` for a file that
    cannot be read, for another aspect, and for an empty mask.
    """
    size = fit(picture.shape[-2], picture.shape[-1], _LARGEST)
    if isinstance(source, str) and source in MASKS:
        mask = _found(source, resize(picture, size))
        called = f"the mask {source!r}"
    else:
        mask, called = _drawn(source, picture, whose), _called(source)
    if float(mask.max()) < _NOTHING:
        raise InputError(f"{called} is empty: white is what is meant, and there is none in it")
    return feathered(resize(mask, size))


def feathered(mask: Tensor) -> Tensor:
    """With soft borders, a triangle's slope over a 128th of the long side; ones stay ones."""
    side = max(mask.shape[-2:]) // _FEATHER // 2 * 2 + 1
    for _ in range(2):
        mask = F.avg_pool2d(F.pad(mask, (side // 2,) * 4, mode="replicate"), side, 1)
    return mask.clamp(0, 1)


def _drawn(source: Source, picture: Tensor, whose: str) -> Tensor:
    opened = open_picture(source, size=max(*picture.shape[-2:], 16))
    height, width = opened.image.shape[-2:]
    if abs(height * picture.shape[-1] / (width * picture.shape[-2]) - 1) > _ASPECT + 1 / min(
        height, width
    ):
        raise InputError(
            f"{_called(source)} is {width} x {height} px, another aspect than {whose} "
            f"({picture.shape[-1]} x {picture.shape[-2]}); draw the mask on a copy of it"
        )
    light = opened.image.mean(1, keepdim=True)
    if opened.alpha is None:
        return light
    # Painted in any one colour on nothing: what is opaque is meant.
    inked = opened.alpha > 0.5
    one_colour = not bool(inked.any()) or float(light[inked].std(correction=0)) < 0.05
    return opened.alpha if one_colour else light * opened.alpha


def _found(name: str, photo: Tensor) -> Tensor:
    if name in ("subject", "background"):
        found = subject(photo)
        return found if name == "subject" else 1 - found
    light = luminance(photo)
    # From the photo's own dark to its own light, so that a night has a lighter part, too.
    low, high = (torch.quantile(light.flatten()[::7], q) for q in (0.1, 0.9))
    light = ((light - low) / (high - low).clamp_min(1e-3)).clamp(0, 1)
    light = light * light * (3 - 2 * light)
    return light if name == "luminance" else 1 - light


def _called(source: Source) -> str:
    return f"the mask {source}" if isinstance(source, str | os.PathLike) else "the mask"
