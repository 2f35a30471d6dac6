"""The protocol every way of stylising follows, so that nothing above asks which one is underneath."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from torch import Tensor

__all__ = ["Step", "Stylizer"]

S = TypeVar("S")


@dataclass(frozen=True)
class Step:
    """Where a rendering stands.

    `image`: the picture so far, `(B, 3, h, w)` float32 in [0, 1], on the CPU; coarse-to-fine methods begin smaller
    than the end. `step` counts from 1 to `of`. `losses`: named values, weighted, `total` and `raw/NAME` among them;
    empty for one-pass methods. `note`: something the user should know, such as a recovery.
    """

    image: Tensor
    step: int
    of: int
    losses: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


class Stylizer(Protocol[S]):
    """A style is prepared once and applied many times.

    `render` is a generator: take its last step for the picture, look at the others for previews, stop taking them
    to cancel. An optimiser yields many steps, a network exactly one.
    """

    def prepare(self, style: Tensor) -> S:
        """A style picture, `(1, 3, H, W)` in [0, 1] -> what `render` needs to know of it."""
        ...

    def render(self, content: Tensor, style: S) -> Iterator[Step]:
        """The photo, `(1, 3, H, W)` in [0, 1], in that style, at the photo's size."""
        ...

    def blend(self, styles: Sequence[S], weights: Sequence[float]) -> S:
        """One style between several; weights are non-negative and divided by their sum."""
        ...
