"""Style as Gram matrices: Gatys et al. 2015 (arXiv:1508.06576)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.losses.base import RELATIVE, StyleLoss
from impasto.losses.gram import (
    STYLE_SCALES,
    eased_style_loss,
    gram,
    relative_style_loss,
    style_loss,
)

__all__ = ["GRAM", "GramLoss"]


@dataclass(frozen=True)
class GramLoss(StyleLoss):
    """A style as Gram matrices (Gatys et al. 2015), compared by their squared differences.

    `scale`: `relative`, the differences divided by the target's squared norm; `relative-1.5`, the
    same to the power of three quarters, halved (`eased_style_loss`); or one of `STYLE_SCALES`.
    """

    scale: str = "relative"
    name: ClassVar[str] = "gram"

    def target(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """`gram`, `(B, C, C)`."""
        return gram(features, mask)

    def mix(self, targets: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """The weighted mean: `sum_i w_i G_i`."""
        total = sum(weights)
        return torch.stack(
            [w / total * each for each, w in zip(targets, weights, strict=True)]
        ).sum(0)

    def distance(self, features: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """`relative_style_loss`, `eased_style_loss`, or `style_loss` with the scale; its M counts
        what a mask lets through.
        """
        positions = features.shape[2] * features.shape[3]
        seen = positions if mask is None else round(positions * float(mask.square().mean()))
        return self.apart(gram(features, mask), target, seen)

    def apart(self, second: Tensor, target: Tensor, positions: int) -> Tensor:
        """The same, of a Gram matrix over so many positions."""
        if self.scale == "relative":
            return relative_style_loss(second, target)
        if self.scale == "relative-1.5":
            return eased_style_loss(second, target)
        return style_loss(second, target, positions, self.scale)

    def scaled(self, scale: str) -> "GramLoss":
        """In a source's convention; `OptionError` for one there is not."""
        if scale not in (*RELATIVE, *STYLE_SCALES):
            raise OptionError(
                f"unknown scale {scale!r}; choose one of {', '.join((*RELATIVE, *STYLE_SCALES))}"
            )
        return GramLoss(scale)


GRAM = GramLoss()
"""The style loss `gram`, relative."""
