"""Regions: which part of the photo is painted in which style, and how far from the photo where.

Gatys et al. 2017 (arXiv:1611.07865), section 4, guide the optimiser's Gram matrices by soft masks;
networks mix the styles inside every norm (`impasto.networks.statistics`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import InputError, OptionError
from impasto.pictures.image import Source, fit, resize
from impasto.pictures.masks import open_mask

__all__ = ["Ground", "read_ground"]

_LARGEST = 2048  # long side of masks, px
_ALL = 1 - 1e-6
_SEEN = 0.5  # of white: a region that is nowhere half meant is seen by no layer


@dataclass(frozen=True, eq=False)
class Ground:
    """Soft masks over the photo, of any size in its aspect.

    `regions`, `(1, R, H, W)`: where each style is painted; None: everywhere, blended. `rest`,
    `(1, 1, H, W)`: what is left to the photo; None: nothing more than `strength` leaves.
    """

    regions: Tensor | None = None
    rest: Tensor | None = None

    @property
    def everywhere(self) -> bool:
        """Whether no place differs from another."""
        return self.regions is None and self.rest is None


def read_ground(
    photo: Tensor,
    regions: Sequence[Source] | None,
    strength: Source | None,
    styles: int,
) -> Ground:
    """The masks of `regions`, one for each of the styles, and of `strength`, for `photo`.

    A mask of ones is no mask. `OptionError` for another number of regions than of styles,
    `InputError` for a mask that cannot be used.
    """
    if regions is not None and len(regions) != styles:
        more = "a style for each region" if len(regions) > styles else "a region for each style"
        raise OptionError(f"{len(regions)} `regions` for {styles} styles; give {more}")
    size = fit(photo.shape[-2], photo.shape[-1], _LARGEST)
    masks = None
    if regions is not None:
        each = [resize(open_mask(region, photo), size) for region in regions]
        for number, mask in enumerate(each, start=1):
            if float(mask.max()) < _SEEN:
                raise InputError(
                    f"region {number} is too faint or too thin to be seen at this size; draw it whiter or wider"
                )
        masks = torch.cat(each, 1)
        masks = None if len(each) == 1 and float(masks.min()) >= _ALL else masks
    rest = None if strength is None else 1 - resize(open_mask(strength, photo), size)
    return Ground(masks, None if rest is None or float(rest.max()) <= 1 - _ALL else rest)
