"""A picture enlarged from a command line: check, enlarge with progress, save, also when stopped."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from impasto.apps.cli.names import free_name, same_file
from impasto.apps.interrupt import INTERRUPTED, OneInterrupt
from impasto.apps.progress import Pace, display
from impasto.apps.report import emit, say
from impasto.errors import OptionError
from impasto.methods.upscale import Enlargement, UpscaleProgress
from impasto.networks.upscaler import UPSCALER
from impasto.pictures.image import check_output, save_notes, save_picture
from impasto.pictures.writing import FORMATS
from impasto.settings import Settings

__all__ = ["Enlarging", "enlarge"]

_SIDES = {"AVIF": 65536, "JPEG": 65535, "WEBP": 16383}  # the longest that formats have


@dataclass(frozen=True)
class Enlarging:
    """What was typed: the `picture`, by how many `times`, where to write it, and the `network`."""

    picture: str
    times: int
    output: Path | None
    network: str | None

    def target(self) -> Path:
        """Where to write; `ImpastoError` where that cannot be."""
        path = check_output(self.output or free_name(self.picture, [f"{self.times}x"]))
        for name in (self.picture, self.network):
            if name is not None and os.path.isfile(name) and same_file(Path(name), path):
                raise OptionError(
                    f"{path} is an input and would be written over; choose another -o"
                )
        return path


def enlarge(asked: Enlarging, given: Mapping[str, Any], *, quiet: bool) -> None:
    """Make the picture and print its path on stdout.

    Ctrl-C or SIGTERM saves the picture so far and raises `typer.Exit(130)`; before the first tile
    it writes nothing. Raises `ImpastoError`, nothing written, for what does not fit.
    """
    begun, path = time.perf_counter(), asked.target()
    last: UpscaleProgress | None = None
    with OneInterrupt() as interrupt:
        try:
            with display(quiet) as show:
                work = Enlargement(
                    asked.picture,
                    asked.times,
                    Settings(**given),
                    network=asked.network or UPSCALER,
                )
                _check_sides(path, work)
                for note in work.notes:
                    show.note(note)
                pace = Pace()
                for last in work.steps():
                    show.update(last.step, last.of, "tiles", pace.left(last.step, last.of))
            interrupt.hold()
        except KeyboardInterrupt:
            pass
        if last is None:
            say("interrupted before the first tile; nothing was written")
            raise typer.Exit(INTERRUPTED)
        picture = work.finish()
        save_picture(path, picture)
        if not quiet:
            for note in save_notes(path, picture):
                say(f"note: {note}")
            size = f"{picture.width} x {picture.height} px"
            say(f"{size} in {time.perf_counter() - begun:.1f} s")
        emit(path)
        if interrupt.came:
            say(f"interrupted at tile {last.step} of {last.of}; the rest of {path} is bicubic")
            raise typer.Exit(INTERRUPTED)


def _check_sides(path: Path, work: Enlargement) -> None:
    """`OptionError` for a picture that is longer than its format can be, before long work."""
    longest, form = work.times * max(work.size), FORMATS[path.suffix.lower()]
    if longest > _SIDES.get(form, longest):
        raise OptionError(
            f"{form} holds at most {_SIDES[form]} px a side, and this would be {longest}; save as .png"
        )
