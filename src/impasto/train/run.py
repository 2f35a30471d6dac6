"""The one training loop: runs any `Task` on Lightning Fabric, saves, resumes, and yields what happens.

A run is a function of its recipe. Whatever is random in a task is drawn from the seed and the number of the step,
so a run that was interrupted and resumed ends in exactly the weights of one that was not, wherever the arithmetic
itself repeats (on one processor it does; CUDA sums in an order of its own).
"""

import json
import logging
import math
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError

__all__ = ["Record", "RunConfig", "Task", "train"]

_AHEAD = 4  # batches prepared while a step runs
_PATIENCE = 20  # steps in a row that may be skipped
_PRECISIONS: dict[str, Any] = {"bfloat16": "bf16-mixed", "float32": "32-true"}  # in Fabric's words
_LAST_RATE = 0.02  # of the learning rate is left at the end


@dataclass(frozen=True)
class RunConfig:
    """What any training needs to know, and what its outcome depends on.

    `warmup` steps of a rising learning rate, then a cosine down to 2 % of it at the end. Gradients longer than
    `clip` (over all parameters together) are scaled to it. `precision` is that of convolutions and matrix
    products; weights and optimiser are float32 in any case.
    """

    steps: int = 15000
    batch: int = 8
    seed: int = 0
    learning_rate: float = 2.5e-3
    warmup: int = 150
    clip: float = 20.0
    precision: Literal["bfloat16", "float32"] = "bfloat16"

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ImpastoError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("seed", "warmup"):
            if getattr(self, name) < 0:
                raise ImpastoError(f"{name} must be 0 or more, not {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ImpastoError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.precision not in ("bfloat16", "float32"):
            raise ImpastoError(f"unknown precision {self.precision!r}; choose bfloat16 or float32")


class Task(nn.Module, ABC):
    """What is trained, and for what: turns a batch into named losses.

    Its parameters, buffers and extra state (`get_extra_state`) are all that a checkpoint holds of it. `balance`
    says how much each loss counts.
    """

    config: RunConfig
    balance: dict[str, float]

    @property
    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """Everything the outcome depends on, for JSON; a checkpoint of another recipe is refused."""

    @abstractmethod
    def batch(self, step: int) -> Tensor:
        """The batch of `step` on the CPU, from seed and step alone; called ahead of time from other threads."""

    @abstractmethod
    def forward(self, batch: Tensor, step: int) -> dict[str, Tensor]:
        """The losses of `batch` by name, not weighted; on the task's device, in the run's precision."""

    @abstractmethod
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Optimisers of the parameters, each at its full learning rate."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures of merit by name, on pictures that are not trained on. Changes nothing."""

    def start(self) -> tuple[str, ...]:
        """Called once before step 0, and not when a run is resumed; returns what is worth telling."""
        return ()

    def upkeep(self, step: int) -> tuple[str, ...]:
        """Called before every step; returns what is worth telling."""
        del step
        return ()


@dataclass(frozen=True)
class Record:
    """What happened: after `step` of `of` steps, or (without losses) before the first.

    `losses` are by name, before weighting, and their weighted sum as `total`. `validation` is filled where it was
    measured. `rate` is in pictures per second, `left` in seconds, both nan as long as they are unknown.
    """

    step: int
    of: int
    losses: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    rate: float = math.nan
    left: float = math.nan
    notes: tuple[str, ...] = ()


def train(
    task: Task, *, checkpoint: Path, resume: bool = False, device: str = "auto", every: int = 500
) -> Iterator[Record]:
    """Run `task` to its last step: some records before the first step, then one `Record` a step.

    After every `every` steps, and after the last, it validates and writes `checkpoint`, atomically. `resume`
    continues from that file, exactly. At Ctrl-C the step is finished and the checkpoint written before
    `KeyboardInterrupt` is raised; a second Ctrl-C does not wait. `device` is one of Lightning Fabric's
    accelerators: `auto`, `cpu`, `cuda`, `mps`.

    Raises `ImpastoError` if Fabric is not installed, the device is not there, the checkpoint cannot be continued
    or written, or the gradients stay without finite values.
    """
    if every < 1:
        raise ImpastoError(f"every must be at least 1, not {every}")
    of = task.config.steps
    fabric = _fabric(task.config.precision, device)
    fabric.to_device(task)
    descent = _Descent(task, fabric)
    if resume:
        first = _restore(checkpoint, descent)
        yield Record(first, of, notes=(f"resumed after step {first}",))
    else:
        first = 0
        yield Record(first, of, notes=("preparing the first step",))
        with fabric.autocast():
            notes, validation = task.start(), task.validate()
        yield Record(first, of, validation=validation, notes=notes)
    seconds: deque[float] = deque(maxlen=50)
    with _ctrl_c() as wanted:
        for step, batch in _batches(task, range(first, of)):
            begun = time.perf_counter()
            losses, notes = descent.step(batch, step)
            seconds.append(time.perf_counter() - begun)
            done, each = step + 1, sum(seconds) / len(seconds)
            due, validation = done % every == 0 or done == of, {}
            if due:
                with fabric.autocast():
                    validation = task.validate()
            stop = wanted.is_set()
            if due or stop:
                _save(checkpoint, done, descent)
            yield Record(done, of, losses, validation, task.config.batch / each, each * (of - done), notes)
            if stop:
                break
        if wanted.is_set():
            raise KeyboardInterrupt


class _Descent:
    """A task and its optimisers on Fabric's device, one step at a time."""

    def __init__(self, task: Task, fabric: Any) -> None:
        # Not `fabric.setup`: under mixed precision the module it returns rounds its inputs to bfloat16, which
        # cannot tell 1 from 254/255.
        self.task, self.fabric = task, fabric
        self.optimizers = task.optimizers()
        self._rates = [[float(group["lr"]) for group in each.param_groups] for each in self.optimizers]
        self._skipped = 0

    def step(self, batch: Tensor, step: int) -> tuple[dict[str, float], tuple[str, ...]]:
        """One update; the losses before it, by name, and notes. A gradient that is not finite changes nothing."""
        task = self.task
        self._set_rates(_schedule(step, task.config))
        with self.fabric.autocast():
            notes = task.upkeep(step)
        with self.fabric.autocast():
            losses = task(self.fabric.to_device(batch), step)
        losses["total"] = torch.stack([task.balance[name] * loss for name, loss in losses.items()]).sum()
        task.zero_grad()
        self.fabric.backward(losses["total"])
        length = nn.utils.clip_grad_norm_(task.parameters(), task.config.clip)
        if torch.isfinite(length):
            self._skipped = 0
            for optimizer in self.optimizers:
                optimizer.step()
        else:
            self._skipped += 1
            notes += ("step skipped: its gradient is not finite",)
        if self._skipped == _PATIENCE:
            raise ImpastoError(f"{_PATIENCE} gradients in a row are not finite; lower the learning rate")
        values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        return dict(zip(losses, values, strict=True)), notes

    def _set_rates(self, factor: float) -> None:
        for optimizer, rates in zip(self.optimizers, self._rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor


def _schedule(step: int, config: RunConfig) -> float:
    """What of the learning rate is used at `step`: linear up, then a cosine down to 2 %."""
    falling = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return min(1.0, (step + 1) / max(1, config.warmup)) * (_LAST_RATE + (1 - _LAST_RATE) * falling)


def _fabric(precision: str, device: str) -> Any:
    """Lightning Fabric on one device: which device, which precision. The only place that imports it."""
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImpastoError('training needs Lightning Fabric: pip install "impasto[train]"') from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the records say what is worth telling
    try:
        return Fabric(accelerator=device, devices=1, precision=_PRECISIONS[precision])
    except (RuntimeError, ValueError) as error:
        raise ImpastoError(f"the device {device!r} cannot be used here; choose auto or cpu") from error


def _batches(task: Task, steps: range) -> Iterator[tuple[int, Tensor]]:
    """The batches of `steps`, a few of them made ahead while the caller is at work."""
    pool = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
    ahead: deque[Future[Tensor]] = deque()
    try:
        for step in steps:
            while len(ahead) < min(_AHEAD, steps.stop - step):
                ahead.append(pool.submit(task.batch, step + len(ahead)))
            yield step, ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets instead of interrupting; the second interrupts as ever."""
    wanted = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # where Python delivers no signals
        yield wanted
        return
    before = signal.getsignal(signal.SIGINT)

    def once(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        wanted.set()

    signal.signal(signal.SIGINT, once)
    try:
        yield wanted
    finally:
        signal.signal(signal.SIGINT, before)


def _save(path: Path, step: int, descent: _Descent) -> None:
    state = {
        "step": step,
        "recipe": json.dumps(descent.task.recipe),
        "task": descent.task.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in descent.optimizers],
    }
    partial = path.with_name(path.name + ".part")
    try:
        torch.save(state, partial)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        raise ImpastoError(f"the checkpoint {path} cannot be written ({error}); choose another place") from error


def _restore(path: Path, descent: _Descent) -> int:
    """Bring everything to where the checkpoint left it; returns the number of steps done."""
    if not path.is_file():
        raise ImpastoError(f"there is no checkpoint {path}; start without resuming")
    try:
        # Tensors, numbers and texts only: nothing in the file is run.
        state = torch.load(path, map_location="cpu", weights_only=True)
        recipe = json.loads(state["recipe"])
    except Exception as error:  # damaged in any way
        raise ImpastoError(f"{path} is not a checkpoint that can be read; start without resuming") from error
    wanted = json.loads(json.dumps(descent.task.recipe))
    changed = [name for name in wanted.keys() | recipe.keys() if wanted.get(name) != recipe.get(name)]
    if changed:
        name = min(changed)
        raise ImpastoError(
            f"{path} was made with {name} {recipe.get(name)}, not {wanted.get(name)}; "
            "resume with the same settings or start anew"
        )
    descent.task.load_state_dict(state["task"])
    for optimizer, saved in zip(descent.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])
