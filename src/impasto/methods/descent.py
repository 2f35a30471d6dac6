"""Gradient descent on a picture: what moves, how far, and what is kept of the way.

Adam moves every number by about its rate, however small its gradient. Moved pixel by pixel, a flat
area therefore fills with noise long before a form in it has changed. So a picture can also be moved
on coarser grids: it is what it began as plus corrections on grids of 1, 2, 4, … pixels, added up,
and a form moves as one number.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.errors import DivergedError
from impasto.losses.objective import Losses, Objective
from impasto.losses.presets import OptimizerName
from impasto.networks.encoder import SMALLEST, Encoder

__all__ = ["descend", "pyramid"]

# A step at half the size costs a quarter: each coarser size takes this many times the steps of the
# next.
COARSER = 1.4
# What the running mean of the late iterates keeps at each step: five steps of memory calm the
# grain; twenty would lag.
KEEP = 0.8
# With grids, the share of the rate that the pixels move by, and each coarser grid: their moves add
# up.
PIXEL_SHARE, GRID_SHARE = 0.5, 0.25


def pyramid(height: int, width: int, steps: int, sizes: int) -> list[tuple[int, int, int]]:
    """Up to `sizes` sizes from coarse to fine with their share of the steps: `[(height, width,
    steps), …]`.

    Each size is half of the next, the coarsest with a long side of 96 px or more; the last is the
    picture's own.
    """
    found = [(height, width)]
    while len(found) < min(sizes, steps) and max(found[0]) >= 192 and min(found[0]) >= 4 * SMALLEST:
        h, w = found[0]
        found.insert(0, (round(h / 2), round(w / 2)))
    shares = [COARSER ** (len(found) - 1 - level) for level in range(len(found))]
    counts = [max(1, int(steps * share / sum(shares))) for share in shares]
    counts[0] += steps - sum(counts)
    return [(h, w, count) for (h, w), count in zip(found, counts, strict=True)]


# A program that is in inference mode has no gradients; a descent is one.
@torch.inference_mode(False)
def descend(
    encoder: Encoder,
    objective: Objective,
    start: Tensor,
    steps: int,
    optimizer: OptimizerName = "adam",
    rate: float = 0.02,
    early_stop: float = 0.0,
    grids: int = 0,
) -> Iterator[tuple[Tensor, dict[str, float], str]]:
    """Minimise `objective` over the picture: yields `(picture so far, losses, note)` after each
    step.

    `start` is `(1, 3, H, W)` in [0, 1] on the encoder's device; the pictures yielded are the
    running mean of the late iterates, in [0, 1]. `grids`: on how many coarser grids the picture
    moves beside its pixels. A step whose loss or gradient is not finite is undone and the rate
    halved, said in the note; `DivergedError` when that does not help five times in a row.
    """
    canvas = _Canvas(start, grids)
    mean, history, failures, scale = start.clone(), [], 0, 1.0
    descent = _optimizer(canvas, optimizer, rate)
    for step in range(steps):
        for group in descent.param_groups:
            pace = _schedule(step / steps, step) if optimizer == "adam" else 1.0
            group["lr"] = rate * scale * pace * group["share"]
        losses = _step(encoder, objective, canvas, descent)
        if losses is None or not canvas.finite():
            failures, scale = failures + 1, scale / 2
            if failures == 5:
                raise DivergedError(
                    "the loss overflows again and again; lower `style_weight` or use another `preset`"
                )
            canvas = _Canvas(mean, grids)
            descent = _optimizer(canvas, optimizer, rate)
            yield (
                mean.clone(),
                {},
                "a loss that was not finite was undone, and the steps made smaller",
            )
            continue
        failures = 0
        with torch.no_grad():
            if optimizer == "adam":
                canvas.clamp_()
            # Before a third of the way the picture still travels; a mean over that would only lag
            # behind.
            keep = KEEP if step > 0.3 * steps else 0.0
            mean = keep * mean + (1 - keep) * canvas.picture().clamp(0, 1)
        numbers = losses.numbers()
        history.append(numbers["total"])
        yield mean.clone(), numbers, ""
        if (
            early_stop
            and len(history) > 20
            and history[-21] - history[-1] < early_stop * abs(history[-21])
        ):
            return


class _Canvas:
    """A picture as what it began as and corrections to it, on the pixels and on `grids` coarser
    grids.
    """

    def __init__(self, start: Tensor, grids: int) -> None:
        self.start = start.clone()
        height, width = start.shape[-2:]
        sizes = [(-(-height // 2**grid), -(-width // 2**grid)) for grid in range(grids + 1)]
        self.corrections = [start.new_zeros((*start.shape[:2], h, w)) for h, w in sizes]
        self.shares = [PIXEL_SHARE] + [GRID_SHARE] * grids if grids else [1.0]
        for correction in self.corrections:
            correction.requires_grad_(True)

    def picture(self) -> Tensor:
        total = self.corrections[-1]
        for finer in reversed(self.corrections[:-1]):
            total = (
                interpolate(total, finer.shape[-2:], mode="bilinear", align_corners=False) + finer
            )
        return self.start + total

    @torch.no_grad()
    def clamp_(self) -> None:
        """Into [0, 1]: the pixels take back what is over."""
        picture = self.picture()
        self.corrections[0] -= picture - picture.clamp(0, 1)

    def finite(self) -> bool:
        return all(bool(torch.isfinite(correction).all()) for correction in self.corrections)


def _schedule(fraction: float, step: int) -> float:
    """A short warm-up, then a straight line to a tenth: large moves first, fine strokes last."""
    return min(1.0, (step + 1) / 5) * (1 - 0.9 * fraction)


def _optimizer(canvas: _Canvas, name: OptimizerName, rate: float) -> torch.optim.Optimizer:
    if name == "lbfgs":
        # It scales its steps itself, and takes one group only.
        groups = [{"params": canvas.corrections, "share": 1.0}]
        return torch.optim.LBFGS(
            groups, lr=rate, max_iter=1, history_size=20, tolerance_grad=0, tolerance_change=0
        )
    groups = [
        {"params": [x], "share": share}
        for x, share in zip(canvas.corrections, canvas.shares, strict=True)
    ]
    return torch.optim.Adam(groups, lr=rate, betas=(0.9, 0.99))


def _step(
    encoder: Encoder, objective: Objective, canvas: _Canvas, descent: torch.optim.Optimizer
) -> Losses | None:
    """One step of the optimiser in place; the losses before it, or None where they or a gradient
    overflow.
    """
    found: list[Losses] = []

    def closure() -> Tensor:
        descent.zero_grad()
        picture = canvas.picture()
        # Sums over a whole picture need float32, whatever the program around asks of autocast.
        with torch.autocast(picture.device.type, enabled=False):
            losses = objective(encoder.features(picture, objective.layers), picture)
            losses.total.backward()  # type: ignore[no-untyped-call]
        gradients = [correction.grad for correction in canvas.corrections]
        if not torch.isfinite(losses.total) or any(
            g is None or not bool(torch.isfinite(g).all()) for g in gradients
        ):
            raise _NotFiniteError
        found.append(losses)
        return losses.total

    try:
        descent.step(closure)  # type: ignore[arg-type]
    except _NotFiniteError:
        return None
    return found[0]


class _NotFiniteError(ArithmeticError):
    pass
