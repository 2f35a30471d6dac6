"""Sample styles drawn by code: ten plates, made of nothing but numbers.

impasto ships no one else's pictures. A plate is drawn when asked for, is the same picture at every
size and, on one machine, the same bytes for the same name, size and seed.
"""

import importlib
from typing import TYPE_CHECKING

from impasto.errors import ImpastoError
from impasto.pictures.samples import STYLES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["describe", "draw", "names"]

_SMALLEST, _LARGEST = 16, 8192
_COARSEST, _FINEST = (
    512,
    4096,
)  # pixels along a canvas: below, strokes are lost; above, they have no more detail


def names() -> tuple[str, ...]:
    """The plates, sorted."""
    return tuple(sorted(STYLES))


def describe(name: str) -> str:
    """One line about a plate; ImpastoError for an unknown name."""
    _check(name)
    return STYLES[name]


def draw(name: str, size: int | tuple[int, int] = 512, seed: int = 0) -> "npt.NDArray[np.float32]":
    """A plate as (H, W, 3) float32 RGB in [0, 1].

    `size` is the side of a square or (width, height), 16 to 8192 pixels each. The composition is
    laid out in units of the picture, so one seed gives one picture at every size of the same shape;
    another seed, 0 or above, gives a sibling. Raises ImpastoError for an unknown name, a size out
    of range or a negative seed.
    """
    _check(name)
    width, height = (size, size) if isinstance(size, int) else size
    if not all(_SMALLEST <= side <= _LARGEST for side in (width, height)):
        raise ImpastoError(
            f"a plate of {width} x {height} cannot be drawn; give sides of {_SMALLEST} to {_LARGEST} pixels"
        )
    if seed < 0:
        raise ImpastoError(f"a plate cannot be drawn from seed {seed}; give 0 or more")
    import numpy as np

    from plates.fields import Frame, resize

    longest = max(width, height)
    # Each plate is drawn by the module of its name, imported when it is asked for.
    module = importlib.import_module(f"plates.{name.replace('-', '_')}")
    # Painted twice as fine as asked for and reduced, which is all the antialiasing there is.
    canvas = min(max(2 * longest, _COARSEST), _FINEST)
    frame = Frame(width / longest, height / longest)
    picture = module.picture(np.random.default_rng([seed, *name.encode()]), frame, canvas)
    return np.clip(resize(picture, (height, width)), 0, 1).astype(np.float32)


def _check(name: str) -> None:
    if name not in STYLES:
        raise ImpastoError(f"there is no plate named {name!r}; choose from {', '.join(names())}")
