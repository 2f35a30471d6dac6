"""Regions in the optimiser: guided Gram matrices (Gatys et al. 2017, arXiv:1611.07865), and the photo
where nothing is painted.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from impasto.errors import OptionError
from impasto.methods.reading import sight
from impasto.methods.stylizer import Places, Progress
from impasto.networks.encoder import Encoder
from impasto.pictures.image import resize

__all__ = ["SEEN", "Targets", "at_layer", "cover", "covered", "guided", "in_frame", "joined"]

SEEN = 0.5
"""A layer sees a region where one of its positions lies in it by half."""
Targets: TypeAlias = dict[str, list[tuple[float, Any]]]
"""What is aimed at, by layer: shares, and targets of a style loss."""


S = TypeVar("S")


def guided(
    style: S, places: Places[S] | None, content: Tensor, frame: int
) -> list[tuple[S, Tensor | None]]:
    """The styles with the masks of their places in the frame; one everywhere, where nothing differs.

    `OptionError` where nothing is left to paint.
    """
    if places is None:
        return [(style, None)]
    size = (content.shape[-2], content.shape[-1])
    rest = 0.0 if places.rest is None else resize(places.rest, size)
    if places.masks is None:
        masks, styles = [torch.ones(1, 1, *size, dtype=torch.float32)], [style]
    else:
        masks, styles = list(torch.split(resize(places.masks, size), 1, 1)), list(places.styles)
    each = [in_frame(mask * (1 - rest), frame) for mask in masks]
    kept = [(s, mask) for s, mask in zip(styles, each, strict=True) if float(mask.max()) >= SEEN]
    if not kept:
        raise OptionError("the `strength_mask` leaves nothing of any region to paint")
    return list(kept)


def in_frame(image: Tensor, frame: int) -> Tensor:
    """The image with a border of `frame` px, mirrored."""
    return pad(image, (frame,) * 4, mode="reflect")


def joined(targets: Sequence[Targets], areas: Sequence[float]) -> Targets:
    """The targets of several regions as one, each weighted by its area."""
    if len(targets) == 1:
        return targets[0]
    found: Targets = {}
    for each, area in zip(targets, areas, strict=True):
        for layer, shares in each.items():
            found.setdefault(layer, []).extend((area * share, target) for share, target in shares)
    return found


def at_layer(mask: Tensor, photo: Tensor, encoder: Encoder, layer: str) -> Tensor:
    """A soft mask at the resolution that this layer has on `photo`."""
    step, _ = sight(encoder.architecture, (layer,))[layer]
    return interpolate(mask, size=[side // step for side in photo.shape[-2:]], mode="area")


def covered(shown: Progress, content: Tensor, places: Places[Any]) -> Progress:
    """The progress shown, with the photo put back where nothing is painted; borders are soft."""
    size = (shown.image.shape[-2], shown.image.shape[-1])
    photo = resize(content.cpu().float(), size)
    painted = cover(places, lambda mask: resize(mask, size))
    detail = shown.detail
    if detail is not None:
        whole = (detail.shape[-2], detail.shape[-1])
        over = cover(places, lambda mask: resize(mask, whole))
        own = resize(content.cpu().float(), whole)
        detail = over * detail + (1 - over) * (own - resize(photo, whole))
    return replace(shown, image=painted * shown.image + (1 - painted) * photo, detail=detail)


def cover(places: Places[Any], at: Callable[[Tensor], Tensor]) -> Tensor:
    """How much of each position is painted; the rest is the photo. `at`: resamples a mask."""
    found = torch.ones(1, 1, 1, 1, dtype=torch.float32)
    if places.masks is not None:
        found = at(places.masks.sum(1, keepdim=True).clamp(0, 1))
    if places.rest is not None:
        # Below full strength the photo is in the picture already; only towards none it is all.
        found = found * (4 * (1 - at(places.rest))).clamp(0, 1)
    return found
