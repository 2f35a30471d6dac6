"""What sheets are like when nothing else is said, for their functions and the command line, without
PyTorch.
"""

from dataclasses import dataclass

from impasto.errors import OptionError

__all__ = ["GRID_SIZE", "PRIOR", "RECONSTRUCTION_SIZE", "SMOOTHING", "SMOOTHING_STEPS", "Descent"]

GRID_SIZE = 192
"""The long side in pixels of a cell of a grid."""
RECONSTRUCTION_SIZE = 256
"""The long side of a reconstruction."""
PRIOR = 0.1
"""The weight of the natural-image prior where content is reconstructed."""
SMOOTHING = 1.0
"""The weight of the total variation where high frequencies are to be smoothed."""
SMOOTHING_STEPS = 40
"""The steps of that."""


@dataclass(frozen=True)
class Descent:
    """How far to descend: `steps` over all sizes, from the noise of `seed`; `tv_weight`: see
    `variation_term`; `prior`: the weight of `natural_prior`.

    Of all pictures in which a deep layer sees the same, nearly all are static: it pools, and what is
    finer than it sees may be anything. `prior` chooses the most natural of them (Mahendran and
    Vedaldi 2016). None is `PRIOR` for content and 0 for styles, whose lowest layer sees static; with
    0, what a layer does not see is left as it was: noise.
    """

    steps: int = 150
    rate: float = 0.1
    seed: int = 0
    tv_weight: float = 0.0
    prior: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1_000_000:
            raise OptionError(f"`steps` must be at least 1, not {self.steps}")
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"`seed` must be a whole number from 0 to 2^63 - 1, not {self.seed}")
        if self.prior is not None and not 0 <= self.prior < float("inf"):
            raise OptionError(f"`prior` must be 0 or more, not {self.prior}")
        if not (0 < self.rate < float("inf") and 0 <= self.tv_weight < float("inf")):
            raise OptionError(
                f"`rate` must be above 0 and `tv_weight` 0 or more, not {self.rate} and {self.tv_weight}"
            )
