"""Where scenes begin: what lies between two cuts is painted without knowing of the rest of the film."""

from collections.abc import Iterable, Iterator

from torch import Tensor
from torch.nn.functional import interpolate

from impasto.film.following import begins_scene
from impasto.pictures.tiles import floats_of

__all__ = ["scenes"]

_SMALL = (18, 32)  # cells, rows and columns, in which frames are compared first
_UNLIKE = 0.03  # mean difference of the cells, in [0, 1], from which a cut is looked for


def scenes(frames: Iterable[Tensor]) -> Iterator[tuple[int, int]]:
    """The numbers, from 1, of the first and the last frame of each scene of a film, as they are
    found; frames are `(1, 3, H, W)` in [0, 1], or uint8.

    A scene begins where `Following` begins anew. Flow is looked at only where a frame differs at
    all from the one before; a cut between frames that are alike is not found, and that scene is
    longer.
    """
    first = number = 0
    before = small = None
    for number, frame in enumerate(map(floats_of, frames), 1):
        cells = interpolate(frame, size=_SMALL, mode="area")
        if before is None or small is None:
            first = number
        elif frame.shape != before.shape or (
            float((cells - small).abs().mean()) > _UNLIKE and begins_scene(frame, before)
        ):
            yield first, number - 1
            first = number
        before, small = frame, cells
    if number:
        yield first, number
