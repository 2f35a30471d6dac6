"""The protocol every way of stylising follows, so that nothing above asks which one is underneath."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from impasto.errors import OptionError
from impasto.events import Event
from impasto.pictures.image import resample, resize
from impasto.pictures.tiles import floats_of

__all__ = ["Forecast", "Places", "Progress", "Stylizer", "normalise_weights"]

S = TypeVar("S")


@dataclass(frozen=True)
class Progress(Event):
    """Where a rendering stands.

    `image`: the picture so far, `(B, 3, h, w)` float32 in [0, 1], on the CPU; coarse-to-fine
    methods begin smaller than the end. It is uint8, and one tensor that is painted on, where the
    photo was given in 8 bits and where a painted picture is enlarged. `detail`, `(B, 3, H, W)`:
    what the picture has at full size beyond `image` enlarged, where the contours or strokes of a
    start are kept; None for nothing. `step` counts from 1 to `of`; 0 is a picture that an optimiser
    begins at. `losses`: named values, weighted, `total` and `raw/NAME` among them; empty for
    one-pass methods. `note`: something the user should know, such as a recovery.
    """

    image: Tensor
    step: int
    of: int
    losses: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    detail: Tensor | None = None

    def whole(self, height: int, width: int) -> Tensor:
        """The picture so far at that size, `(B, 3, height, width)` in [0, 1], with its detail."""
        picture = resize(floats_of(self.image), (height, width))
        return (
            picture
            if self.detail is None
            else (picture + resample(self.detail, (height, width))).clamp(0, 1)
        )


@dataclass(frozen=True)
class Forecast:
    """What a picture will take, about: `seconds` on this machine, `memory` in bytes, `tiles`; and
    what is not as asked for at its size.
    """

    seconds: float
    memory: float
    tiles: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Places(Generic[S]):
    """What differs from place to place: soft masks in [0, 1], of any size in the photo's aspect.

    `masks`, `(1, R, H, W)`: where each of `styles` is painted, None for one everywhere; where they
    sum to less than 1, the photo shows. `rest`, `(1, 1, H, W)`: what is left to the photo, 1 less
    the strength there.
    """

    styles: Sequence[S]
    masks: Tensor | None = None
    rest: Tensor | None = None


class Stylizer(Protocol[S]):
    """A style is prepared once and applied many times.

    `render` is a generator: take its last step for the picture, look at the others for previews,
    stop taking them to cancel. An optimiser yields many steps, a network exactly one.
    """

    def prepare(self, style: Tensor) -> S:
        """A style picture, `(1, 3, H, W)` in [0, 1] -> what `render` needs to know of it."""
        ...

    @property
    def steps(self) -> int:
        """How many steps a rendering has, at most."""
        ...

    def render(
        self, content: Tensor, style: S, *, start: Tensor | None = None
    ) -> Iterator[Progress]:
        """The photo, `(1, 3, H, W)` in [0, 1], in that style, at the photo's size.

        `start`: a picture to start from, for those that start somewhere; `OptionError` from the
        others. Where a method honours `regions` or `strength_mask` there is one more, `places`: see
        `Places`.
        """
        ...

    def blend(self, styles: Sequence[S], weights: Sequence[float]) -> S:
        """One style between several; weights are non-negative and divided by their sum."""
        ...


def normalise_weights(styles: Sequence[object], weights: Sequence[float]) -> list[float]:
    """What each style has in a blend: its weight, 0 or more, divided by the sum of all.

    Raises `OptionError` unless every style has a weight, none is negative or infinite, and one is
    above 0.
    """
    if len(styles) != len(weights) or not styles:
        raise OptionError(f"{len(styles)} styles need {len(styles)} weights, not {len(weights)}")
    if any(not 0 <= weight < float("inf") for weight in weights) or sum(weights) <= 0:
        raise OptionError("blend weights must be 0 or more, and one of them above 0")
    total = sum(weights)
    return [weight / total for weight in weights]
