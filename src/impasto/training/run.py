"""The one training loop: runs any `Task` on Lightning Fabric, saves, resumes, yields progress.

A run is a function of its recipe. Whatever is random in a task is drawn from the seed and the
number of a batch, so a run that was interrupted and resumed ends in exactly the weights of one that
was not, wherever the arithmetic itself repeats (on one processor it does; CUDA sums in an order of
its own).

It runs in as many processes as a launcher starts (`impasto.training.processes`). A step goes by the
mean gradient of micro-batches, `accumulate` of them in each process, and they are numbered through:
two processes take together the very ones that a single one takes when it accumulates two.
"""

import json
import math
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.events import Event
from impasto.signals import leave_terminal, stopping
from impasto.training.configs import RunConfig
from impasto.training.processes import from_first, make_fabric, processes

__all__ = ["Task", "TrainingProgress", "train"]

_AHEAD = 4  # batches prepared while a step runs
_PATIENCE = 20  # steps in a row that may be skipped
_LAST_RATE = 0.02  # of the learning rate is left at the end
# What version 0.1 called fields of a recipe.
_FORMER_NAMES = {"own": "identity", "transformer": "transform_net"}


class Task(nn.Module, ABC):
    """What is trained, and for what: turns a batch into named losses.

    Its parameters, buffers and extra state (`get_extra_state`) are all that a checkpoint holds of
    it. `balance` says how much each loss counts.

    A step is made of `config.accumulate` micro-batches in each process. They are numbered: `micro`
    of step s is `(s accumulate + k) world + rank`, and s itself in the plain case of one batch in
    one process.
    """

    config: RunConfig
    balance: dict[str, float]
    chained: ClassVar[bool] = False
    """Whether one micro-batch goes on from what the one before left: then a single process has to
    take them all.
    """

    @property
    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """Everything the outcome depends on, for JSON; a checkpoint of another recipe is refused."""

    @abstractmethod
    def batch(self, micro: int, /) -> Tensor:
        """Micro-batch number `micro`, on the CPU, from seed and number alone; thread-safe."""

    @abstractmethod
    def forward(self, batch: Tensor, micro: int, /) -> dict[str, Tensor]:
        """The losses of `batch` by name, unweighted; on the task's device, in the run's precision."""

    @abstractmethod
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Optimisers of the parameters, each at its full learning rate."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures of merit by name, on pictures that are not trained on. Changes nothing."""

    def start(self) -> tuple[str, ...]:
        """Called once before step 0, and not when a run is resumed; returns what is worth telling.

        Of several processes the first calls it, and the others get its state, as if they resumed.
        """
        return ()

    def upkeep(self, step: int) -> tuple[str, ...]:
        """Called before every step in every process; returns what is worth telling."""
        del step
        return ()


@dataclass(frozen=True)
class TrainingProgress(Event):
    """What happened: after `step` of `of` steps, or (without losses) before the first.

    `losses` are by name, before weighting, and their weighted sum as `total`; means over all
    micro-batches. `validation` is filled where it was measured, in the first process only. `rate`
    is in pictures per second, `left` in seconds, both nan as long as they are unknown.
    """

    step: int
    of: int
    losses: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    validation: dict[str, float] = field(default_factory=dict)
    rate: float = math.nan
    left: float = math.nan


def train(
    task: Task, *, checkpoint: Path, resume: bool = False, device: str = "auto", every: int = 500
) -> Iterator[TrainingProgress]:
    """Run `task` to its last step: some events before the first step, then one a step.

    After every `every` steps, and after the last, it validates and writes `checkpoint`, atomically.
    `resume` continues from that file, exactly; in other processes than before, if a step has as
    many micro-batches there. At Ctrl-C, SIGTERM or SIGHUP the step is finished and the checkpoint written before
    `KeyboardInterrupt` is raised; a second Ctrl-C does not wait. `device` is one of Lightning
    Fabric's accelerators: `auto`, `cpu`, `cuda`, `mps`.

    Of several processes the first validates and writes; all yield the same records else, and all
    stop at a Ctrl-C in any of them.

    Raises `ImpastoError` if Fabric is not installed, the device or the processes cannot be had, the
    checkpoint cannot be continued or written, or the gradients stay without finite values.
    """
    if every < 1:
        raise ImpastoError(f"every must be at least 1, not {every}")
    if task.chained and processes().world > 1:
        name = type(task).__name__
        raise ImpastoError(
            f"{name} goes on from batch to batch, in one process only; start it without a launcher"
        )
    of, fabric = task.config.steps, make_fabric(device, task.config.precision)
    fabric.to_device(task)
    descent = _Descent(task, fabric)
    if resume:
        first = descent.restore(from_first(fabric, partial(_read, checkpoint)), checkpoint)
        yield TrainingProgress(first, of, note=f"resumed after step {first}")
    else:
        first = 0
        yield TrainingProgress(first, of, note="preparing the first step")
        notes, validation = descent.begin()
        yield TrainingProgress(first, of, validation=validation, note="; ".join(notes))
    seconds: deque[float] = deque(maxlen=50)
    numbers = range(
        first * descent.micros + fabric.global_rank, of * descent.micros, fabric.world_size
    )
    with _ctrl_c() as wanted, closing(_batches(task, numbers)) as batches:
        for step in range(first, of):
            begun = time.perf_counter()
            losses, notes = descent.step(step, islice(batches, task.config.accumulate))
            if step == first + 1:
                seconds.clear()  # the first step also prepares
            seconds.append(time.perf_counter() - begun)
            done, each = step + 1, sum(seconds) / len(seconds)
            due, validation = done % every == 0 or done == of, {}
            if due and fabric.is_global_zero:
                with fabric.autocast():
                    validation = task.validate()
            stop = descent.any(wanted.is_set())
            if due or stop:
                from_first(fabric, partial(_save, checkpoint, done, descent))
            rate = task.config.batch * descent.micros / each
            note, left = "; ".join(notes), each * (of - done)
            yield TrainingProgress(done, of, losses, note, validation, rate, left)
            if stop:
                break
        if descent.any(wanted.is_set()):
            raise KeyboardInterrupt


class _Descent:
    """A task and its optimisers on Fabric's device, one step at a time, in all processes alike."""

    def __init__(self, task: Task, fabric: Any) -> None:
        # Not `fabric.setup`: under mixed precision the module it returns rounds its inputs to
        # bfloat16, which cannot tell 1 from 254/255.
        self.task, self.fabric = task, fabric
        self.micros = task.config.accumulate * fabric.world_size
        """Micro-batches of a step, over all processes."""
        self.optimizers = task.optimizers()
        self._rates = [
            [float(group["lr"]) for group in each.param_groups] for each in self.optimizers
        ]
        self._skipped = 0

    def begin(self) -> tuple[tuple[str, ...], dict[str, float]]:
        """Start the task; its notes, and its first validation (in the first process only)."""
        task = self.task

        def start() -> tuple[tuple[str, ...], str, dict[str, Any]]:
            with self.fabric.autocast():
                notes = task.start()
            state = task.state_dict()  # for other devices
            state = {
                name: value.cpu() if isinstance(value, Tensor) else value
                for name, value in state.items()
            }
            return notes, json.dumps(task.recipe), state

        notes, recipe, state = from_first(self.fabric, start)
        changed = self._changed(recipe)
        if self.any(bool(changed)):
            difference = f" (the first has {changed})" if changed else ""
            raise ImpastoError(
                f"the processes differ{difference}; give all of them the same pictures and settings"
            )
        if self.fabric.is_global_zero:
            with self.fabric.autocast():
                return notes, task.validate()
        task.load_state_dict(state)
        return notes, {}

    def step(
        self, step: int, batches: Iterable[tuple[int, Tensor]]
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """One update, from these micro-batches and the other processes'; the losses before it, by
        name, and notes.

        A gradient that is not finite changes nothing.
        """
        task = self.task
        self._set_rates(_schedule(step, task.config))
        with self.fabric.autocast():
            notes = task.upkeep(step)
        task.zero_grad()
        names: list[str] = []
        found: list[Tensor] = []
        for micro, batch in batches:
            with self.fabric.autocast():
                losses = task(self.fabric.to_device(batch), micro)
            losses["total"] = torch.stack(
                [task.balance[name] * loss for name, loss in losses.items()]
            ).sum()
            self.fabric.backward(losses["total"])
            names = list(losses)
            found.append(torch.stack([loss.detach() for loss in losses.values()]))
        values = self._averaged(torch.stack(found).sum(0))
        # From here on all processes compute with the same numbers, and so come to the same weights
        # and verdicts.
        length = nn.utils.clip_grad_norm_(task.parameters(), task.config.clip)
        if torch.isfinite(length):
            self._skipped = 0
            for optimizer in self.optimizers:
                optimizer.step()
        else:
            self._skipped += 1
            notes += ("step skipped: its gradient is not finite",)
        if self._skipped == _PATIENCE:
            raise ImpastoError(
                f"{_PATIENCE} gradients in a row are not finite; lower the learning rate"
            )
        return dict(zip(names, values.tolist(), strict=True)), notes

    def _averaged(self, sums: Tensor) -> Tensor:
        """`sums` over the micro-batches of this process, as means over all; gradients become such
        means in place.
        """
        if self.micros == 1:
            return sums
        grads = []
        for parameter in self.task.parameters():
            if parameter.requires_grad:
                parameter.grad = (
                    torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                )
                grads.append(parameter.grad)
        flat = torch.cat([*(grad.flatten() for grad in grads), sums]) / self.task.config.accumulate
        flat = self.fabric.all_reduce(flat, reduce_op="mean")
        *parts, means = torch.split(flat, [*(grad.numel() for grad in grads), len(sums)])
        for grad, part in zip(grads, parts, strict=True):
            grad.copy_(part.view_as(grad))
        return means

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        return bool(self.fabric.strategy.reduce_boolean_decision(here, all=False))

    def state(self, done: int) -> dict[str, Any]:
        """All that is needed to go on after `done` steps."""
        return {
            "step": done,
            "recipe": json.dumps(self.task.recipe),
            "micros": self.micros,
            "task": self.task.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any], path: Path) -> int:
        """Restore `state`, read from `path`; returns the number of steps done."""
        changed = self._changed(state["recipe"])
        micros = state.get("micros", 1)
        if not changed and micros != self.micros:
            changed = f"{micros} batches a step (accumulate times processes), not {self.micros}"
        if self.any(bool(changed)):
            changed = changed or "settings that another process does not have"
            raise ImpastoError(
                f"{path} was made with {changed}; resume with the same settings or start anew"
            )
        self.task.load_state_dict(state["task"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        return int(state["step"])

    def _changed(self, recipe: str) -> str:
        """In what this task's recipe differs from another, if it does; `accumulate` may, as
        `micros` is what counts.
        """
        theirs, ours = (json.loads(text) for text in (recipe, json.dumps(self.task.recipe)))
        theirs = {_FORMER_NAMES.get(name, name): value for name, value in theirs.items()}
        names = (theirs.keys() | ours.keys()) - {"accumulate"}
        changed = sorted(name for name in names if theirs.get(name) != ours.get(name))
        return (
            f"{changed[0]} {theirs.get(changed[0])}, not {ours.get(changed[0])}" if changed else ""
        )

    def _set_rates(self, factor: float) -> None:
        for optimizer, rates in zip(self.optimizers, self._rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor


def _schedule(step: int, config: RunConfig) -> float:
    """What of the learning rate is used at `step`: linear up, level, then a cosine down to 2 %."""
    left = 1 - step / config.steps
    falling = 1.0 if left >= config.decay else 0.5 * (1 - math.cos(math.pi * left / config.decay))
    return min(1.0, (step + 1) / max(1, config.warmup)) * (_LAST_RATE + (1 - _LAST_RATE) * falling)


def _batches(task: Task, numbers: range) -> Generator[tuple[int, Tensor]]:
    """The micro-batches of these numbers, a few of them made ahead while the caller is at work."""
    pool = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
    ahead: deque[Future[Tensor]] = deque()
    following = iter(numbers)
    try:
        for number in numbers:
            ahead.extend(
                pool.submit(task.batch, each) for each in islice(following, _AHEAD - len(ahead))
            )
            yield number, ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C, SIGTERM or SIGHUP sets instead of interrupting; the second
    interrupts as ever.
    """
    wanted = threading.Event()
    if (
        threading.current_thread() is not threading.main_thread()
    ):  # where Python delivers no signals
        yield wanted
        return
    before = {each: signal.getsignal(each) for each in stopping()}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler or signal.SIG_DFL)

    def once(number: int, _frame: FrameType | None) -> None:
        restore()
        leave_terminal(number)
        wanted.set()

    for each in before:
        signal.signal(each, once)
    try:
        yield wanted
    finally:
        restore()


def _save(path: Path, done: int, descent: _Descent) -> None:
    unfinished = path.with_name(path.name + ".part")
    try:
        torch.save(descent.state(done), unfinished)
        os.replace(unfinished, path)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        # PyTorch's own writer says of a full disk where in its source that was noticed.
        reason = getattr(error, "strerror", None) or "is the disk full?"
        raise ImpastoError(
            f"the checkpoint {path} cannot be written ({reason}); choose another place"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    """What `_save` wrote, on the CPU."""
    if not path.is_file():
        raise ImpastoError(f"there is no checkpoint {path}; start without resuming")
    try:
        # Tensors, numbers and texts only: nothing in the file is run.
        state = torch.load(path, map_location="cpu", weights_only=True)
        json.loads(state["recipe"])
    except Exception as error:  # damaged in any way
        raise ImpastoError(
            f"{path} is not a checkpoint that can be read; start without resuming"
        ) from error
    return dict(state)
