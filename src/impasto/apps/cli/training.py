"""Training from a command line: read, train with progress, save; stop and resume at will."""

import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import torch
import typer

from impasto.apps.interrupt import INTERRUPTED
from impasto.apps.progress import Display, display
from impasto.apps.report import emit, say
from impasto.errors import ImpastoError
from impasto.networks.checkpoint import PAINTER, Painter, load_network
from impasto.networks.encoder import Encoder
from impasto.networks.style_bank import check_name
from impasto.networks.upscaler import UPSCALER, Upscaler, load_upscaler
from impasto.networks.weights import EMBEDDED, load_encoder
from impasto.pictures.image import save_picture
from impasto.training.arbitrary import ArbitraryTask
from impasto.training.bank import BankTask
from impasto.training.configs import (
    ArbitraryConfig,
    BankConfig,
    DistillConfig,
    PairsConfig,
    UpscaleConfig,
)
from impasto.training.data import read_pairs, read_pictures
from impasto.training.distill import Distillation
from impasto.training.log import logged
from impasto.training.painting import NetworkTask
from impasto.training.pairs import PairsTask
from impasto.training.processes import part, processes
from impasto.training.run import TrainingProgress, train
from impasto.training.upscale import UpscaleTask

__all__ = [
    "Paths",
    "Session",
    "pictures",
    "style_name",
    "tell",
    "train_arbitrary",
    "train_bank",
    "train_encoder",
    "train_pairs",
    "train_upscale",
]

_Trained: TypeAlias = Distillation | NetworkTask | UpscaleTask


@dataclass(frozen=True)
class Paths:
    """The weights to write, and what is kept beside them."""

    weights: Path

    @property
    def checkpoint(self) -> Path:
        """All that a training needs to go on."""
        return self.weights.with_suffix(".checkpoint")

    @property
    def log(self) -> Path:
        """A row for every step."""
        return self.weights.with_suffix(".csv")

    @property
    def sheet(self) -> Path:
        """Samples of what has been learned."""
        return self.weights.with_name(f"{self.weights.stem}-sheet.png")

    def check(self, inputs: Sequence[str], resume: bool) -> None:
        """`ImpastoError` for what cannot be written, or would be lost."""
        folder = self.weights.parent
        if self.weights.suffix != ".safetensors":
            raise ImpastoError(
                f"weights are a .safetensors file; {self.weights} is called otherwise"
            )
        if self.weights.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise ImpastoError(
                f"{self.weights} cannot be written; name a file in a folder of yours"
            )
        if self.weights.exists() and any(
            os.path.exists(name) and self.weights.samefile(name) for name in inputs
        ):
            raise ImpastoError(
                f"{self.weights} is learned from and would be written over; choose another -o"
            )
        if self.checkpoint.exists() and not resume:
            raise ImpastoError(
                f"{self.checkpoint} is there; go on from it with --resume, or delete it to start anew"
            )


@dataclass(frozen=True)
class Session:
    """How a training goes, whatever it is that is trained."""

    paths: Paths
    resume: bool
    every: int
    device: str
    licence: str
    quiet: bool

    def run(self, begin: Callable[[Display], _Trained]) -> None:
        """Train what `begin` makes, and print the path of the weights on stdout.

        Ctrl-C finishes the step, saves and raises `typer.Exit(130)`. Of several processes the first
        alone does whatever can be seen. Raises `ImpastoError` for whatever does not fit, before the
        first step.
        """
        paths, first = self.paths, processes().rank == 0
        try:
            with display(self.quiet or not first) as show:
                task = begin(show)
                records = train(
                    task,
                    checkpoint=paths.checkpoint,
                    resume=self.resume,
                    device=self.device,
                    every=self.every,
                )
                for record in logged(records, paths.log) if first else records:
                    tell(record, show, _title(task))
                    if first and record.losses and record.validation:
                        _save_sheet(task, record.step, paths.sheet)
        except KeyboardInterrupt:
            if first and paths.checkpoint.exists():
                say(f"interrupted; the same command with --resume goes on from {paths.checkpoint}")
            elif first:
                say("interrupted before anything was saved")
            raise typer.Exit(INTERRUPTED) from None
        part()
        if not first:
            return
        figures = task.export(paths.weights, licence=self.licence)
        if not self.quiet:
            say(_title(task) + _figures(figures))
        emit(paths.weights)


def train_encoder(
    teachers: Sequence[str],
    data: Sequence[str],
    start: str,
    config: Mapping[str, Any],
    session: Session,
) -> None:
    """Distil `teachers` (names or files) on the images in the folders `data`; `config` is for
    `DistillConfig`.

    `start`: `nothing`, or the encoder to go on from. Raises what `Session.run` does.
    """
    session.paths.check((start, *teachers), session.resume)
    settings = DistillConfig(**config)
    encoders = [_encoder(name) for name in teachers]
    begin = _encoder(start) if start != "nothing" else None
    session.run(
        lambda show: Distillation(encoders, pictures(data, show), settings, start=begin, data=data)
    )


def train_bank(
    styles: Sequence[str],
    content: Sequence[str],
    start: str,
    config: Mapping[str, Any],
    session: Session,
) -> None:
    """A bank of the paintings in the folders `styles`, on the photos in `content`; `config` is for
    `BankConfig`.

    `start`: `embedded`, `nothing` or a file. Raises what `Session.run` does.
    """
    session.paths.check((start,), session.resume)
    settings, painter = BankConfig(**config), _beginning(start)
    encoder = _encoder(painter.encoder if painter is not None else EMBEDDED)

    def begin(show: Display) -> BankTask:
        paintings = _named_pictures(styles, show)
        photos = pictures(content, show)
        return BankTask(
            encoder, photos, paintings, settings, start=painter, data=[*content, *styles]
        )

    session.run(begin)


def train_arbitrary(
    styles: Sequence[str],
    content: Sequence[str],
    start: str,
    critics: Sequence[str],
    config: Mapping[str, Any],
    session: Session,
) -> None:
    """A network for any style, on the folders `styles` and `content`; `config` is for
    `ArbitraryConfig`.

    `start`: `embedded`, `nothing` or a file. `critics`: encoders by name or file, for the losses;
    the one that reads styles if there are none. Raises what `Session.run` does.
    """
    session.paths.check((start, *critics), session.resume)
    settings, painter = ArbitraryConfig(**config), _beginning(start)
    encoder = _encoder(painter.encoder if painter is not None else EMBEDDED)
    judges = [_encoder(name) for name in critics]

    def begin(show: Display) -> ArbitraryTask:
        paintings, photos = pictures(styles, show), pictures(content, show)
        data = [*content, *styles]
        return ArbitraryTask(
            encoder, photos, paintings, settings, critics=judges, start=painter, data=data
        )

    session.run(begin)


def train_pairs(
    folder: str, name: str, start: str, config: Mapping[str, Any], session: Session
) -> None:
    """A network for the pairs in `folder`, as a style of this name; `config` is for `PairsConfig`.

    `start`: `embedded`, `nothing` or a file. Raises what `Session.run` does.
    """
    check_name(name)
    session.paths.check((start,), session.resume)
    settings, painter = PairsConfig(**config), _beginning(start)
    encoder = _encoder(painter.encoder if painter is not None else EMBEDDED)

    def begin(show: Display) -> PairsTask:
        pairs = []
        for reading in read_pairs(folder):
            if reading.pair is None:
                show.note(f"left out: {reading.problem}")
            else:
                pairs.append(reading.pair)
        return PairsTask(encoder, pairs, name, settings, start=painter, data=[folder])

    session.run(begin)


def train_upscale(
    data: Sequence[str],
    start: str,
    critics: Sequence[str],
    config: Mapping[str, Any],
    session: Session,
) -> None:
    """A network that enlarges, on the pictures in the folders `data`; `config` is for
    `UpscaleConfig`.

    `start`: `embedded`, `nothing` or a file. `critics`: encoders by name or file, for the losses;
    the embedded one if there are none. Raises what `Session.run` does.
    """
    session.paths.check((start, *critics), session.resume)
    settings, begin = UpscaleConfig(**config), _enlarging(start)
    judges = [_encoder(name) for name in critics or (EMBEDDED,)]
    session.run(
        lambda show: UpscaleTask(judges, pictures(data, show), settings, start=begin, data=data)
    )


def _enlarging(start: str) -> Upscaler | None:
    if start == "nothing":
        return None
    name = UPSCALER if start == "embedded" else start
    return load_upscaler(name, device="cpu", dtype=torch.float32)


def _encoder(name: str) -> Encoder:
    return load_encoder(name, device="cpu", dtype=torch.float32)


def _beginning(start: str) -> Painter | None:
    if start == "nothing":
        return None
    if start != "embedded" and not os.path.isfile(start):
        raise ImpastoError(
            f"no network {start!r}: --from takes embedded, nothing, or a file that impasto train made"
        )
    return load_network(
        PAINTER if start == "embedded" else start, device="cpu", dtype=torch.float32
    )


def pictures(folders: Sequence[str], show: Display) -> list[torch.Tensor]:
    """Every image in `folders`, uint8 `(3, H, W)`, as of `read_pictures`; those left out are noted."""
    return [picture for _, picture in _readable(folders, show)]


def _named_pictures(folders: Sequence[str], show: Display) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    origins: dict[str, Path] = {}
    for path, picture in _readable(folders, show):
        name = style_name(path)
        if name in found:
            raise ImpastoError(
                f"{origins[name]} and {path} would both be called {name}; rename one of them"
            )
        found[name], origins[name] = picture, path
    return found


def _readable(folders: Sequence[str], show: Display) -> list[tuple[Path, torch.Tensor]]:
    found = []
    for reading in read_pictures(folders):
        if reading.picture is None:
            show.note(f"left out: {reading.problem}")
        else:
            found.append((reading.path, reading.picture))
    return found


def style_name(path: Path) -> str:
    """What to call the style of a painting: its file's name, with a dash for whatever a style's
    name cannot have.
    """
    stem = unicodedata.normalize("NFC", path.stem)
    return check_name(re.sub(r"[^\w-]+", "-", stem).strip("-_")[:64])


def tell(record: TrainingProgress, show: Display, title: str = "") -> None:
    """Show what a training has to say; `title` goes before figures of validation."""
    if record.note:
        show.note(record.note)
    if record.validation:
        show.note(f"step {record.step}: {title}{_figures(record.validation)}")
    if record.losses:
        text = f"total {record.losses['total']:.3g}  {record.rate:.3g} pictures/s"
        show.update(record.step, record.of, text, record.left)


def _title(task: _Trained) -> str:
    return "unexplained variance: " if isinstance(task, Distillation) else ""


def _figures(validation: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in validation.items())


def _save_sheet(task: _Trained, step: int, path: Path) -> None:
    sheet = None if isinstance(task, Distillation) else task.samples(step)
    if sheet is not None:
        recipe = {"impasto": metadata.version("impasto"), "sheet": "samples", "step": step}
        save_picture(path, sheet[None], recipe=recipe | task.recipe)
