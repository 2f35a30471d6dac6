"""A painted film in numbers: how well its frames agree, and how still it is where nothing moves."""

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

from impasto.errors import InputError
from impasto.film.flow import STILL
from impasto.film.following import match
from impasto.film.frames import Film
from impasto.film.occlusion import warp
from impasto.pictures.image import open_picture, resize

__all__ = ["SCORES", "film_scores"]

SCORES = {
    "warp error": "root of the mean squared difference of a frame and the one before, moved onto it "
    "by the source's flow, where that is trusted (Lai et al. 2018, arXiv:1808.00449, eq. 7); in "
    "hundredths of white",
    "flicker": "mean absolute difference of two frames where the source stands still; in hundredths "
    "of white",
    "frames": "how many were compared",
}
"""What each of `film_scores` is."""


def film_scores(source: Film, painted: Film) -> dict[str, float]:
    """The `SCORES` of a painted film beside the film it was made of; less is better.

    NaN for flicker where nothing ever stands still. Raises `InputError` where their frames do not
    pair, or there is only one.
    """
    errors, moved, changes, still, count = 0.0, 0.0, 0.0, 0.0, 0
    for (before, was), (frame, now) in pairwise(_pairs(source, painted)):
        back, trust = match(frame, before)
        sure = (trust > 0.5).float()
        errors += ((now - warp(was, back)).square().mean(1, keepdim=True) * sure).sum().item()
        moved += sure.sum().item()
        rest = sure * (back.square().sum(1, keepdim=True) < STILL**2)
        changes += ((now - was).abs().mean(1, keepdim=True) * rest).sum().item()
        still += rest.sum().item()
        count += 1
    if not count:
        raise InputError(f"{painted.path} has only one frame; there is nothing to compare")
    return {
        "warp error": 100 * (errors / moved) ** 0.5 if moved else float("nan"),
        "flicker": 100 * changes / still if still else float("nan"),
        "frames": float(count + 1),
    }


def _pairs(source: Film, painted: Film) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames of both, at the size of the painted one."""
    for one, other in zip(source.frames(), painted.frames(), strict=False):
        now = open_picture(other.pixels).image
        frame = open_picture(one.pixels).image
        wide, high = frame.shape[-1] / frame.shape[-2], now.shape[-1] / now.shape[-2]
        if abs(wide / high - 1) > 0.05:
            raise InputError(f"{painted.path} has other proportions than {source.path}")
        yield resize(frame, (now.shape[-2], now.shape[-1])), now
