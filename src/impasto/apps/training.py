"""Training from a command line: read, train with progress, save; stop and resume at will."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import typer

from impasto.apps.progress import Display, display
from impasto.apps.report import INTERRUPTED, emit, say
from impasto.errors import ImpastoError
from impasto.nets.weights import load_encoder
from impasto.train.data import read_pictures
from impasto.train.distill import Distillation, DistillConfig
from impasto.train.log import logged
from impasto.train.run import Record, train

__all__ = ["Paths", "train_encoder"]


@dataclass(frozen=True)
class Paths:
    """The encoder to write, and what is kept beside it."""

    weights: Path

    @property
    def checkpoint(self) -> Path:
        """All that a training needs to go on."""
        return self.weights.with_suffix(".checkpoint")

    @property
    def log(self) -> Path:
        """A row for every step."""
        return self.weights.with_suffix(".csv")

    def check(self, teachers: Sequence[str], resume: bool) -> None:
        """`ImpastoError` for what cannot be written, or would be lost."""
        folder = self.weights.parent
        if self.weights.suffix != ".safetensors":
            raise ImpastoError(f"an encoder is a .safetensors file; {self.weights} is called otherwise")
        if self.weights.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise ImpastoError(f"{self.weights} cannot be written; name a file in a folder of yours")
        if self.weights.exists() and any(
            os.path.exists(teacher) and self.weights.samefile(teacher) for teacher in teachers
        ):
            raise ImpastoError(f"{self.weights} is a teacher and would be written over; choose another -o")
        if self.checkpoint.exists() and not resume:
            raise ImpastoError(f"{self.checkpoint} is there; go on from it with --resume, or delete it to start anew")


def train_encoder(
    teachers: Sequence[str],
    data: Sequence[str],
    paths: Paths,
    config: Mapping[str, Any],
    *,
    resume: bool,
    every: int,
    device: str,
    licence: str,
    quiet: bool,
) -> None:
    """Distil `teachers` (names or files) on the images in the folders `data`; `config` is for `DistillConfig`.

    Prints the path of the encoder on stdout. Ctrl-C finishes the step, saves and raises `typer.Exit(130)`. Raises
    `ImpastoError` for whatever does not fit, before the first step.
    """
    paths.check(teachers, resume)
    settings = DistillConfig(**config)
    encoders = [load_encoder(name, device="cpu", dtype=torch.float32) for name in teachers]
    try:
        with display(quiet) as show:
            task = Distillation(encoders, _pictures(data, show), settings, data=data)
            records = train(task, checkpoint=paths.checkpoint, resume=resume, device=device, every=every)
            for record in logged(records, paths.log):
                _tell(record, show)
    except KeyboardInterrupt:
        if paths.checkpoint.exists():
            say(f"interrupted; the same command with --resume goes on from {paths.checkpoint}")
        else:
            say("interrupted before anything was saved")
        raise typer.Exit(INTERRUPTED) from None
    figures = task.export(paths.weights, licence=licence)
    if not quiet:
        say(_figures(figures))
    emit(paths.weights)


def _pictures(folders: Sequence[str], show: Display) -> list[torch.Tensor]:
    pictures = []
    for reading in read_pictures(folders):
        if reading.picture is None:
            show.note(f"left out: {reading.problem}")
        else:
            pictures.append(reading.picture)
    return pictures


def _tell(record: Record, show: Display) -> None:
    for note in record.notes:
        show.note(note)
    if record.validation:
        show.note(f"step {record.step}: {_figures(record.validation)}")
    if record.losses:
        text = f"total {record.losses['total']:.3g}  {record.rate:.3g} pictures/s"
        show.update(record.step, record.of, text, record.left)


def _figures(validation: Mapping[str, float]) -> str:
    return "unexplained variance: " + ", ".join(f"{name} {value:.3f}" for name, value in validation.items())
