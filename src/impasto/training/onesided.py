"""Regression onto features after a ReLU: a convex loss, and its solution for a single layer.

Let `t >= 0` be a teacher's feature and `z` the student's value before its ReLU. The obvious loss,
`(relu(z) - t)^2`, has no gradient where `z < 0`, so a unit silent by mistake stays silent. The
one-sided loss asks for `z = t` where the teacher fires and only for `z <= 0` where it does not:

    d = z - t  where t > 0,   d = relu(z)  where t = 0.

`d^2` is never less than `(relu(z) - t)^2`, equal to it where `z >= 0`, and convex in `z`.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = ["one_sided", "one_sided_regression"]


def one_sided(z: Tensor, target: Tensor) -> Tensor:
    """Mean of `d^2`, at least float32; `z` and `target` (0 or more) have one shape. Differentiable
    in `z`.
    """
    loss: Tensor = _OneSided.apply(z, target)  # type: ignore[no-untyped-call]
    return loss


class _OneSided(torch.autograd.Function):
    """Written out to keep one tensor for the gradient, not four: they are a training's largest."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor) -> Tensor:
        # The second argument is 0 where the target is, and otherwise far below any pre-activation.
        d = torch.maximum(z - target, target * -1e30)
        ctx.save_for_backward(d)
        ctx.dtype = z.dtype
        precise = torch.promote_types(d.dtype, torch.float32)
        length: Tensor = torch.linalg.vector_norm(d, dtype=precise)
        return length.square() / d.numel()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (d,) = ctx.saved_tensors
        return (d * (2 / d.numel() * gradients[0])).to(ctx.dtype), None


def one_sided_regression(
    inputs: Tensor, targets: Tensor, iterations: int = 30
) -> tuple[Tensor, Tensor]:
    """The affine map `z` of `inputs` with the least `one_sided` loss against `targets`.

    `inputs` `(N, K)`, `targets` `(N, C)`, 0 or more -> weight `(C, K)` and bias `(C,)`, float64.
    Newton's method: a column's loss is quadratic as long as the same rows count (those with a
    target or with a value that is wrongly positive), so each iteration is a least-squares problem
    over these rows.
    """
    a = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1).double()
    t = targets.double()
    gram = a.T @ a
    ridge = 1e-10 * gram.diagonal().mean() * torch.eye(len(gram), dtype=a.dtype, device=a.device)
    solution = torch.linalg.solve(gram + ridge, a.T @ t)  # (K + 1, C): all rows count
    before = torch.ones_like(t, dtype=torch.bool)
    for _ in range(iterations):
        active = (t > 0) | (a @ solution > 0)
        if torch.equal(active, before):
            break
        columns = []
        for rows, wanted in zip(active.T, t.T, strict=True):
            some = a[rows]
            columns.append(torch.linalg.solve(some.T @ some + ridge, some.T @ wanted[rows]))
        solution, before = torch.stack(columns, dim=1), active
    return solution[:-1].T.contiguous(), solution[-1].contiguous()
