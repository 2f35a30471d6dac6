"""A part of the photo that is painted in a style of its own: what was brushed over it."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops

from impasto.apps.studio.budget import Budget, Lease
from impasto.apps.studio.limits import Upload
from impasto.errors import ImpastoError

__all__ = ["Region"]

_SIDE = 1024  # px, the long side of a mask: its borders are soft
_SEEN = 128  # of 255: what is nowhere covered half is seen by no layer
_ALL = 250  # of 255
_ASPECT = 0.03  # by which a mask's aspect may differ: whole pixels of a small copy
_TINT, _COVER = (208, 68, 32), 0.62


@dataclass(frozen=True, eq=False)
class Region:
    """A soft `mask` over the photo, mode L, white where it is meant.

    `style`: the key of the style that it is painted in, empty for the one that is chosen.
    `photo_stays`: whether what is outside stays the photo, and is not painted in the chosen style.
    """

    mask: Image.Image
    style: str = ""
    photo_stays: bool = True
    lease: Lease | None = None

    @staticmethod
    def of(
        drawn: Upload, photo: Upload, style: str, photo_stays: bool, budget: Budget | None
    ) -> "Region":
        """What was drawn over a photo, white on black; `ImpastoError` for what covers nothing or
        another photo.
        """
        width, height = photo.image.size
        if abs(drawn.image.width * height / (drawn.image.height * width) - 1) > _ASPECT:
            raise ImpastoError("this was drawn over another photo; paint the region again")
        small = photo.image.copy()
        small.thumbnail((_SIDE, _SIDE))
        mask = drawn.image.convert("L").resize(small.size, Image.Resampling.BILINEAR)
        if max(mask.tobytes()) < _SEEN:
            raise ImpastoError("nothing is painted over yet: brush over a part of the photo")
        lease = None if budget is None else budget.lease(mask.width * mask.height)
        return Region(mask, style, photo_stays or not style, lease)

    def keys(self, chosen: Sequence[str]) -> tuple[str, ...]:
        """All styles that are painted with, where these are chosen."""
        if not self.style:
            return tuple(chosen)
        return (self.style,) if self.photo_stays else tuple(dict.fromkeys((*chosen, self.style)))

    def placed(
        self, chosen: Sequence[str]
    ) -> tuple[tuple[str, ...], tuple[Image.Image, ...] | None]:
        """The styles of a picture, and the mask of each; None where they are one everywhere.

        `ImpastoError` where several styles are mixed: a region takes one, and so does the rest.
        """
        if len(chosen) > 1 and not (self.style and self.photo_stays):
            raise ImpastoError(
                "with a painted region one style is chosen, not several; "
                "mix no more, or remove the region"
            )
        if min(self.mask.tobytes()) >= _ALL:
            return (self.style or chosen[0],), None
        if self.photo_stays:
            return (self.style or chosen[0],), (self.mask,)
        if self.style == chosen[0]:
            return (self.style,), None
        return (chosen[0], self.style), (ImageChops.invert(self.mask), self.mask)

    def over(self, photo: Image.Image, side: int) -> Image.Image:
        """The photo, small, with what is meant coloured."""
        small = photo.convert("RGB")
        small.thumbnail((side, side))
        cover = self.mask.resize(small.size).point(lambda value: int(value * _COVER))
        small.paste(_TINT, mask=cover)
        return small
