"""What sheets are like when nothing else is said, for their functions and the command line, without
PyTorch.
"""

from dataclasses import dataclass

from impasto.errors import OptionError

__all__ = ["GRID_SIZE", "RECONSTRUCTION_SIZE", "SMOOTHING", "SMOOTHING_STEPS", "Descent"]

GRID_SIZE = 192
"""The long side in pixels of a cell of a grid."""
RECONSTRUCTION_SIZE = 256
"""The long side of a reconstruction."""
SMOOTHING = 1.0
"""The weight of the total variation where high frequencies are to be smoothed."""
SMOOTHING_STEPS = 40
"""The steps of that."""


@dataclass(frozen=True)
class Descent:
    """How far to descend: `steps` over all sizes, from the noise of `seed`; `tv_weight`: see
    `variation_term`.

    No total variation by default, so that what a layer does not see is left as it was: noise.
    Mahendran and Vedaldi regularise with it (their section 2.1).
    """

    steps: int = 150
    rate: float = 0.1
    seed: int = 0
    tv_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1_000_000:
            raise OptionError(f"`steps` must be at least 1, not {self.steps}")
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"`seed` must be a whole number from 0 to 2^63 - 1, not {self.seed}")
        if not (0 < self.rate < float("inf") and 0 <= self.tv_weight < float("inf")):
            raise OptionError(
                f"`rate` must be above 0 and `tv_weight` 0 or more, not {self.rate} and {self.tv_weight}"
            )
