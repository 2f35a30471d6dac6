"""Gradient descent on a picture: what moves, how far, and what is kept of the way.

Adam moves every number by about its rate, however small its gradient. Moved pixel by pixel, a flat
area therefore fills with noise long before a form in it has changed. So a picture can also be moved
on coarser grids: it is what it began as plus corrections on grids of 1, 2, 4, … pixels, added up,
and a form moves as one number.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.errors import DivergedError
from impasto.losses.objective import Losses, Objective
from impasto.losses.presets import OptimizerName
from impasto.methods.sections import divisible, gradient
from impasto.networks.encoder import SMALLEST, Encoder

__all__ = ["Tuning", "descend", "pyramid"]

# A step at half the size costs a quarter: each coarser size takes this many times the steps of the
# next.
COARSER = 1.4
# What the running mean of the late iterates keeps at each step: three steps of memory calm the
# grain; twenty would lag.
KEEP = 0.7
# With grids, the share of the rate that the pixels move by, and each coarser grid: their moves add
# up.
PIXEL_SHARE, GRID_SHARE = 0.5, 0.25
# Of the steps and slopes that L-BFGS remembers: two pictures each.
HISTORY = 50
# Neither L-BFGS without a line search nor plain gradient descent knows a step that is too long. One
# that makes the loss so many times the lowest is undone, and the steps made smaller.
TOO_FAR = 4.0
# A gradient for each pixel of a mean over all of them shrinks with the picture. The rate of plain
# gradient descent is that of a picture of so many pixels (Keras' example: 400 x 600), and grows
# with them.
SGD_PIXELS = 240_000
# How far above the lowest loss so far the last one of L-BFGS may be; the picture of the lowest is
# kept where it is more.
JUMP = 1.05


@dataclass(frozen=True)
class Tuning:
    """How an optimiser goes about it; see `impasto.losses.presets.Preset`."""

    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 1e-8
    decay: float | None = None
    clipped: bool = True

    def pace(self, step: int, steps: int) -> float:
        """What the rate is multiplied by at that step."""
        if self.decay is None:
            return _schedule(step / steps, step)
        return math.pow(self.decay, step / 100)


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
    side: int = 0,
    tuning: Tuning = Tuning(),
) -> Iterator[tuple[Tensor, dict[str, float], str]]:
    """Minimise `objective` over the picture: yields `(picture so far, losses, note)` after each
    step.

    `start` is `(1, 3, H, W)` in [0, 1] on the encoder's device; the pictures yielded are the
    running mean of the late iterates, in [0, 1]. `grids`: on how many coarser grids the picture
    moves beside its pixels. `side`: of the parts that the gradient is taken by, px; 0: at once. A
    step whose loss or gradient is not finite is undone and the rate halved, said in the note;
    `DivergedError` when that does not help five times in a row. Where the loss ends above where it
    began, the last picture is the best one on the way, said likewise; where L-BFGS, which has no
    line search here, ends in a jump, it is that one, too.
    """
    canvas = _Canvas(start, grids)
    mean, failures, scale = start, 0, 1.0
    way = _Way()
    size = start.shape[-2] * start.shape[-1] / SGD_PIXELS if optimizer == "sgd" else 1.0
    descent = _optimizer(canvas, optimizer, rate, tuning)
    for step in range(steps):
        for group in descent.param_groups:
            pace = 1.0 if optimizer == "lbfgs" else tuning.pace(step, steps)
            group["lr"] = rate * scale * pace * group["share"] * size
        clipped = tuning.clipped and optimizer == "lbfgs"
        losses = _step(encoder, objective, canvas, descent, clipped, side)
        if losses is None or not canvas.finite():
            failures, scale = failures + 1, scale / 2
            if failures == 5:
                raise DivergedError(
                    "the loss overflows again and again; lower `style_weight` or use another `preset`"
                )
            canvas = _Canvas(mean, grids)
            descent = _optimizer(canvas, optimizer, rate, tuning)
            if step == steps - 1:
                mean = way.best(mean)
            yield mean, {}, UNDONE
            continue
        failures = 0
        numbers = losses.numbers()
        if optimizer != "adam" and way.too_far(numbers["total"]):
            scale, mean = scale / 2, way.lowest
            canvas = _Canvas(mean, grids)
            descent = _optimizer(canvas, optimizer, rate, tuning)
            yield mean, numbers, ""
            continue
        way.add(numbers["total"], mean, step)
        with torch.no_grad():
            if tuning.clipped and optimizer != "lbfgs":  # that one is clipped before it looks
                canvas.clamp_()
            # Before a third of the way the picture still travels; a mean over that would only lag
            # behind.
            keep = KEEP if step > 0.3 * steps else 0.0
            mean = torch.lerp(canvas.picture().clamp_(0, 1), mean, keep)
        stopped = way.settled(early_stop)
        if step == steps - 1 or stopped:
            if way.rose:
                yield way.best(mean), numbers, way.told
                return
            if optimizer == "lbfgs" and way.jumped:
                mean = way.lowest
        yield mean, numbers, ""
        if stopped:
            return


UNDONE = "a loss that was not finite was undone, and the steps made smaller"


class _Way:
    """The losses so far, and the picture that had the lowest."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self._best: tuple[float, Tensor, int] | None = None

    def add(self, loss: float, picture: Tensor, step: int) -> None:
        """The loss of a picture, which is not copied."""
        self.losses.append(loss)
        if self._best is None or loss < self._best[0]:
            self._best = loss, picture, step

    def too_far(self, loss: float) -> bool:
        """Whether it is many times the lowest so far."""
        return self._best is not None and loss > TOO_FAR * self._best[0] + 1e-9

    @property
    def jumped(self) -> bool:
        """Whether it ends well above the lowest so far."""
        return self._best is not None and self.losses[-1] > JUMP * self._best[0] + 1e-9

    @property
    def lowest(self) -> Tensor:
        """The picture that had the lowest."""
        assert self._best is not None
        return self._best[1]

    @property
    def rose(self) -> bool:
        """Whether it ends above where it began, by more than rounding."""
        first, last = self.losses[0], self.losses[-1]
        return last - first > 0.01 * abs(first) + 1e-9

    def best(self, picture: Tensor) -> Tensor:
        """The best on the way, or `picture` where the loss never rose above the first."""
        return self._best[1] if self._best is not None and self.rose else picture

    @property
    def told(self) -> str:
        """What to say where it rose."""
        assert self._best is not None
        return (
            f"the loss rose, from {self.losses[0]:.3g} to {self.losses[-1]:.3g}; the best picture on the way is kept, "
            f"after step {self._best[2]}: lower `learning_rate`"
        )

    def settled(self, least: float) -> bool:
        """Whether twenty steps lowered the loss by less than this fraction of it; never if that is 0."""
        then, now = (self.losses[-21], self.losses[-1]) if len(self.losses) > 20 else (0.0, 0.0)
        return bool(least) and len(self.losses) > 20 and then - now < least * abs(then)


class _Canvas:
    """A picture as what it began as and corrections to it, on the pixels and on `grids` coarser
    grids. `start` is looked at, and never changed.
    """

    def __init__(self, start: Tensor, grids: int) -> None:
        self.start = start
        height, width = start.shape[-2:]
        sizes = [(-(-height // 2**grid), -(-width // 2**grid)) for grid in range(grids + 1)]
        self.corrections = [start.new_zeros((*start.shape[:2], h, w)) for h, w in sizes]
        self.shares = [PIXEL_SHARE] + [GRID_SHARE] * grids if grids else [1.0]
        for correction in self.corrections:
            correction.requires_grad_(True)

    def picture(self) -> Tensor:
        total = self.corrections[-1]
        for finer in reversed(self.corrections[:-1]):
            coarse = interpolate(total, finer.shape[-2:], mode="bilinear", align_corners=False)
            total = coarse.add_(finer)  # of what nobody else holds: a large picture is counted
        return self.start + total

    @torch.no_grad()
    def clamp_(self) -> None:
        """Into [0, 1]: the pixels take back what is over."""
        over = self.picture()
        over -= over.clamp(0, 1)
        self.corrections[0] -= over

    def finite(self) -> bool:
        return all(map(_finite, self.corrections))


@torch.no_grad()
def _finite(x: Tensor) -> bool:
    """Whether all of it is, without a map of where."""
    return bool(torch.isfinite(torch.stack(torch.aminmax(x))).all())


def _schedule(fraction: float, step: int) -> float:
    """A short warm-up, then a straight line to a tenth: large moves first, fine strokes last."""
    return min(1.0, (step + 1) / 5) * (1 - 0.9 * fraction)


def _optimizer(
    canvas: _Canvas, name: OptimizerName, rate: float, tuning: Tuning
) -> torch.optim.Optimizer:
    if name == "lbfgs":
        # It scales its steps itself, and takes one group only.
        groups = [{"params": canvas.corrections, "share": 1.0}]
        return torch.optim.LBFGS(
            groups, lr=rate, max_iter=1, history_size=HISTORY, tolerance_grad=0, tolerance_change=0
        )
    groups = [
        {"params": [x], "share": share}
        for x, share in zip(canvas.corrections, canvas.shares, strict=True)
    ]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=rate)
    return torch.optim.Adam(groups, lr=rate, betas=tuning.betas, eps=tuning.epsilon)


def _step(
    encoder: Encoder,
    objective: Objective,
    canvas: _Canvas,
    descent: torch.optim.Optimizer,
    clipped: bool,
    side: int,
) -> Losses | None:
    """One step of the optimiser in place; the losses before it, or None where they or a gradient
    overflow.
    """
    found: list[Losses] = []

    def closure() -> Tensor:
        if clipped:  # as PyTorch's tutorial does it, so that L-BFGS stays among pictures
            canvas.clamp_()
        descent.zero_grad()
        picture = canvas.picture()
        # Sums over a whole picture need float32, whatever the program around asks of autocast.
        with torch.autocast(picture.device.type, enabled=False):
            if side and divisible(objective):
                losses, slope = gradient(encoder, objective, picture, side)
                picture.backward(slope)  # type: ignore[no-untyped-call]
            else:
                losses = objective(encoder.features(picture, objective.layers), picture)
                losses.total.backward()  # type: ignore[no-untyped-call]
        gradients = [correction.grad for correction in canvas.corrections]
        if not torch.isfinite(losses.total) or any(g is None or not _finite(g) for g in gradients):
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
