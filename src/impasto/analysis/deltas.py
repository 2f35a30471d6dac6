"""The high frequencies of a picture, to see: what optimising adds, and what total variation takes
away.

Horizontal and vertical deltas are differences between neighbours (the TensorFlow tutorial on style
transfer shows them likewise); the sum of their absolute values is `losses.total_variation`.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from impasto.analysis.sheets import Cell, Sheet
from impasto.analysis.usual import SMOOTHING, SMOOTHING_STEPS
from impasto.analysis.work import open_cell
from impasto.errors import InputError, OptionError
from impasto.methods.optimize import PixelOptimizer
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import Encoder
from impasto.pictures.image import Source, resize
from impasto.settings import Settings

__all__ = ["Deltas", "delta_sheet", "deltas", "open_pair", "smoothed"]

# A map is grey where nothing changes; differences are shown twice as large, as in the tutorial.
GAIN = 2.0


@dataclass(frozen=True, eq=False)
class Deltas:
    """`across`, `x[:, 1:] - x[:, :-1]`, `(1, 3, H, W - 1)`, and `down`, the same downwards, `(1, 3,
    H - 1, W)`.
    """

    across: Tensor
    down: Tensor

    @property
    def mean_across(self) -> float:
        """Mean of |across|, in units of the full range."""
        return self.across.double().abs().mean().item()

    @property
    def mean_down(self) -> float:
        """Mean of |down|."""
        return self.down.double().abs().mean().item()

    @property
    def mean(self) -> float:
        """Mean of the absolute deltas of both directions together."""
        return self.total_variation / (self.across.numel() + self.down.numel())

    @property
    def total_variation(self) -> float:
        """Sum of the absolute deltas of both directions (see `losses.total_variation`); grows with
        the size.
        """
        return (self.across.double().abs().sum() + self.down.double().abs().sum()).item()

    def maps(self) -> tuple[Tensor, Tensor]:
        """Both as pictures in [0, 1]: grey for no change, brighter where the right or lower
        neighbour is brighter.
        """
        across, down = ((0.5 + GAIN * each).clamp(0, 1) for each in (self.across, self.down))
        return across, down


def deltas(image: Tensor) -> Deltas:
    """Differences between neighbours, to the right and below, of `(1, 3, H, W)` in [0, 1], two px
    or more a side.
    """
    return Deltas(image[..., :, 1:] - image[..., :, :-1], image[..., 1:, :] - image[..., :-1, :])


def delta_sheet(names: Sequence[str], pictures: Sequence[Tensor]) -> Sheet:
    """A row for each picture: itself with `TV` and `mean`, its deltas across and down with the mean
    of each.

    `pictures`: `(1, 3, H, W)` in [0, 1], all of one size, for the numbers of another size mean
    something else.
    """
    cells: list[Cell] = []
    for row, picture in enumerate(pictures):
        found = deltas(picture)
        across, down = found.maps()
        cells += [
            Cell(row, 0, picture, numbers={"TV": found.total_variation, "mean": found.mean}),
            Cell(row, 1, across, numbers={"mean": found.mean_across}),
            Cell(row, 2, down, numbers={"mean": found.mean_down}),
        ]
    return Sheet(
        "High frequencies",
        tuple(_folded(name) for name in names),
        ("picture", "deltas across", "deltas down"),
        tuple(cells),
    )


def _folded(name: str, width: int = 18) -> str:
    """A file's name over several lines, each ending at a mark between words, so that the pictures
    get the room.
    """
    lines = [""]
    for word in re.findall(r"[^-_. ]*[-_. ]*", name):
        if lines[-1] and len(lines[-1] + word) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)


def open_pair(photo: Source, out: Source, size: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Photo and stylised picture at one size, and notes: `out` reduced to a long side of `size` px,
    the photo to that.

    `ImpastoError` where they are not of one shape, or too small to encode.
    """
    painted, original = open_cell(out, size), open_cell(photo, 4 * size)
    height, width = painted.image.shape[-2:]
    if abs(
        math.log(original.image.shape[-1] / original.image.shape[-2] * height / width)
    ) > 2 / min(height, width):
        raise InputError(
            "photo and picture are not of one shape; give a picture with the photo it was made of"
        )
    notes = dict.fromkeys((*original.notes, *painted.notes))
    return resize(original.image, (height, width)), painted.image, tuple(notes)


def smoothed(
    out: Tensor, *, encoder: Encoder, tv_weight: float = SMOOTHING, steps: int = SMOOTHING_STEPS
) -> Iterator[Progress]:
    """`out` itself, `(1, 3, H, W)` in [0, 1], optimised with total variation on: a `Progress` each.

    It stays its own content and its own style under `encoder`, with `tv_weight` against its high
    frequencies. `ImpastoError` for a weight that is not above 0.
    """
    if not 0 < tv_weight < float("inf"):
        raise OptionError(f"`tv_weight` must be above 0 to smooth anything, not {tv_weight}")
    settings = Settings(tv_weight=tv_weight, steps=steps, init="content", pyramid=False)
    optimizer = PixelOptimizer(encoder, settings)
    return optimizer.render(out, optimizer.prepare(out))
