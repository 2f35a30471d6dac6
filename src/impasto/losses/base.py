"""What a style loss is: a statistic of features, and a distance of a picture's from a style's.

A file `NAME.py` in `losses/style`, with an instance of a subclass of `StyleLoss` as its `NAME` in
capitals, is one. Another package adds one by an entry point of the group `impasto.style_losses`
that names such an instance; `STYLE_LOSSES.add` does the same for a running program. PyTorch is
imported by the losses, not here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from impasto.errors import OptionError
from impasto.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from torch import Tensor

__all__ = ["RELATIVE", "STYLE_LOSSES", "StyleLoss"]

RELATIVE = ("relative", "relative-1.5")
"""Scales of this package's own, in which a layer gone dark is about 1. The second is Gram matrices'
`eased_style_loss`, in which it is a half; to other losses it means what the first does.
"""


class StyleLoss(ABC):
    """How far a layer's features are from a style, registered by its `name`.

    A target is whatever `target` gives, and means something to this loss alone. Masks are soft:
    `(1, 1, H, W)` in [0, 1] at the size of the features, None for all of them.
    """

    name: ClassVar[str]
    stochastic: ClassVar[bool] = False
    """Whether `distance` looks at a random part of the features, another at every call. A target
    then carries the generator, seeded, so that one run is like another; L-BFGS, which compares
    gradients of successive steps, has no use for such a loss.
    """
    balance: ClassVar[float] = 1.0
    """By what a preset's style weight is multiplied for this loss, so that the default paints as far
    from the photo as with Gram matrices.
    """

    @abstractmethod
    def target(self, features: Tensor, mask: Tensor | None = None) -> Any:
        """What is aimed at, from the features `(1, C, H, W)` of a style picture."""

    @abstractmethod
    def mix(self, targets: Sequence[Any], weights: Sequence[float]) -> Any:
        """One target between several; weights are 0 or more and divided by their sum."""

    @abstractmethod
    def distance(self, features: Tensor, target: Any, mask: Tensor | None = None) -> Tensor:
        """A differentiable number, 0 for the style itself, that is about 1 for features gone dark."""

    def scaled(self, scale: str) -> Self:
        """The same loss in a source's convention; those of `RELATIVE` are the one described above, and
        all that most have.
        """
        if scale not in RELATIVE:
            raise OptionError(
                f"`style_loss={self.name}` has no scale {scale!r}; choose another `preset`"
            )
        return self


STYLE_LOSSES: Registry[StyleLoss] = Registry(
    "impasto.style_losses", "impasto.losses.style", "style_loss", first=("gram",)
)
"""The style losses there are: `STYLE_LOSSES.get("gram")` is one, `STYLE_LOSSES.add(name, loss)`
adds one.
"""
