"""One more style for a network: its vector alone is learned, and kept in the user's own bank."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import typer
from torch import Tensor

from impasto.apps.cli.training import pictures, tell
from impasto.apps.interrupt import INTERRUPTED, ignore_interrupts
from impasto.apps.progress import Display, display
from impasto.apps.report import say
from impasto.errors import ImpastoError
from impasto.home import own_bank
from impasto.methods import style_grams
from impasto.networks.checkpoint import PAINTER, Painter, load_network
from impasto.networks.grams import StyleGrams
from impasto.networks.style_bank import check_name, own_styles
from impasto.networks.weights import best_dtype, load_encoder, pick_device
from impasto.pictures.image import Picture, open_picture
from impasto.pictures.samples import sample, sample_names
from impasto.pictures.sources import open_source
from impasto.training.bank import BankTask
from impasto.training.configs import BankConfig
from impasto.training.processes import processes
from impasto.training.run import train

__all__ = ["Lesson", "learn"]

_PHOTO = 432  # long side in px of a sample photo: a short side of about 288, as pictures of folders are kept


@dataclass(frozen=True)
class Lesson:
    """A painting (a file or a sample style's name) and what to call it; folders of photos, or none
    for the samples.

    `replace`: whether a style of that name may be there already.
    """

    painting: str
    name: str
    content: tuple[str, ...] = ()
    network: str = PAINTER
    replace: bool = False


def learn(lesson: Lesson, config: Mapping[str, Any], *, device: str, quiet: bool) -> None:
    """Learn a style and print its name on stdout; `config` is for `BankConfig`.

    Ctrl-C finishes the step, keeps the vector so far and raises `typer.Exit(130)`; before the first
    step it keeps nothing. Raises `ImpastoError`, long work not yet begun, for anything that does
    not fit.
    """
    check_name(lesson.name)
    if processes().world > 1:
        raise ImpastoError("impasto learn runs in one process; start it without a launcher")
    painter = load_network(lesson.network, device="cpu", dtype=torch.float32)
    known = (*painter.bank.names, *own_styles(painter.bank.network).names)
    if lesson.name in known and not lesson.replace:
        raise ImpastoError(
            f"a style is called {lesson.name} already; choose another --name, or add --replace"
        )
    settings = _settings(config, device)
    done, interrupted = 0, False
    try:
        with display(quiet) as show, TemporaryDirectory(prefix="impasto-") as folder:
            task = _task(lesson, painter, settings, show)
            for record in train(
                task, checkpoint=Path(folder) / "checkpoint", device=device, every=settings.steps
            ):
                tell(record, show)
                done = record.step
    except KeyboardInterrupt:
        # There is only the way out left, and what was learned is to be saved whole.
        ignore_interrupts()
        interrupted = True
        if done == 0:
            say("interrupted before the first step; nothing was learned")
            raise typer.Exit(INTERRUPTED) from None
        say(f"interrupted at step {done} of {settings.steps}; what was learned so far is kept")
    vector, grams = task.bank().vector(lesson.name), _grams(lesson.painting)
    # Read anew: another lesson may have ended in the meantime.
    by = "" if settings.style_loss == "gram" else f", by {settings.style_loss}"
    bank = own_styles(painter.bank.network).learned(
        lesson.name, vector, f"learned from {Path(lesson.painting).name}{by}", grams=grams
    )
    bank.save(own_bank())
    if not quiet:
        where = () if lesson.network == PAINTER else ("--network", lesson.network)
        command = (
            "impasto",
            "stylize",
            "PHOTO",
            "--style",
            lesson.name,
            "--method",
            "fast",
            *where,
        )
        say(f"use it: {shlex.join(command)}")
    print(lesson.name, flush=True)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _settings(config: Mapping[str, Any], device: str) -> BankConfig:
    native = best_dtype(pick_device(device)) == torch.bfloat16
    # So few steps cannot spend a hundred on warming up.
    own = {
        "precision": "bfloat16" if native else "float32",
        "warmup": max(1, config.get("steps", 0) // 10),
    }
    return BankConfig(**{**own, **config, "vectors_only": True})


def _task(lesson: Lesson, painter: Painter, settings: BankConfig, show: Display) -> BankTask:
    encoder = load_encoder(painter.encoder, device="cpu", dtype=torch.float32)
    painting = open_source(lesson.painting, 4 * settings.crop)
    for note in painting.notes:
        show.note(note)
    photos = pictures(lesson.content, show) if lesson.content else _samples(show)
    return BankTask(encoder, photos, {lesson.name: _bytes(painting)}, settings, start=painter)


def _grams(painting: str) -> StyleGrams:
    """What refinement needs of it, when the painting is no longer at hand."""
    picture = open_source(painting, style_grams.SIZES[-1])
    encoder = load_encoder(device="cpu", dtype=torch.float32)
    return style_grams.measure(picture.image, encoder, seen=picture.alpha)


def _samples(show: Display) -> Sequence[Tensor]:
    show.note(
        f"learning on the sample photos ({', '.join(sample_names())}); --content FOLDER takes others"
    )
    return [_bytes(open_picture(sample(name), size=_PHOTO)) for name in sample_names()]


def _bytes(picture: Picture) -> Tensor:
    """uint8 `(3, H, W)`, or `(4, H, W)` with its alpha."""
    planes = (picture.image,) if picture.alpha is None else (picture.image, picture.alpha)
    return (torch.cat(planes, dim=1)[0] * 255).round().to(torch.uint8)
