"""Films: a picture that agrees with the one before it (Ruder, Dosovitskiy and Brox 2016,
arXiv:1604.08610, section 4.1).
"""

from collections.abc import Mapping

from torch import Tensor

from impasto.losses.objective import Term

__all__ = ["temporal_term"]


def temporal_term(before: Tensor, trust: Tensor, weight: float) -> Term:
    """Their eq. 5: `1/D sum_k c_k (x_k - w_k)^2`, `D` the number of values in the picture `x`.

    `before`, `w`: the last picture warped to this frame, `(1, 3, H, W)`; `trust`, `c`: 0 where that
    shows something else, `(1, 1, H, W)` in [0, 1].
    """

    def loss(_: Mapping[str, Tensor], image: Tensor) -> Tensor:
        return (trust * (image - before).square()).mean()

    return Term("temporal", weight, (), loss)
