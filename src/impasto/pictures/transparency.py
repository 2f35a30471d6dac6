"""What is not seen of a picture: it has no colour of its own, and gets that of what is seen."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["continued"]

Plane = NDArray[np.float32]


def continued(plane: Plane, weight: Plane) -> Plane:
    """A colour `(H, W)` whose places of weight 0 continue those around them, smoothly.

    `weight`, `(H, W)`, 0 or more and somewhere above 0, is how much a place counts for the others;
    what has a weight stays as it is. By pull and push (Gortler et al. 1996, "The lumigraph"): means
    over ever larger squares, and where a square holds nothing, the larger square's. What stands
    where the weight is 0 is not looked at.
    """
    seen = weight > 0
    if seen.all():
        return plane
    bare = np.where(seen, plane, np.float32(0)).astype(np.float32)
    found: Plane = np.where(seen, plane, _pushed(bare, weight))
    return found


def _pushed(plane: Plane, weight: Plane) -> Plane:
    """As `continued`, but that weights below 1 mix with what is around them."""
    height, width = plane.shape
    if max(height, width) == 1:
        return plane
    room = ((0, height % 2), (0, width % 2))
    mass, total = (_summed(np.pad(each, room)) for each in (weight * plane, weight))
    mean = (mass / np.maximum(total, np.float32(1e-12))).astype(np.float32)
    coarse = _pushed(mean, np.minimum(total, np.float32(1)))
    larger = (2 * coarse.shape[1], 2 * coarse.shape[0])
    around = np.asarray(Image.fromarray(coarse).resize(larger, Image.Resampling.BILINEAR))
    found: Plane = around[:height, :width] + np.minimum(weight, 1) * (
        plane - around[:height, :width]
    )
    return found


def _summed(plane: Plane) -> Plane:
    """The sums of squares of 2 x 2."""
    found: Plane = plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]
    return found
