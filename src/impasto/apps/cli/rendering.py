"""One picture from a command line: check, render with progress, save, even when stopped half-way."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import typer

from impasto.apps.cli.names import free_name, same_file
from impasto.apps.cli.trace import Trace, require_plot
from impasto.apps.interrupt import INTERRUPTED, OneInterrupt
from impasto.apps.progress import Clock, Display, display, summary
from impasto.apps.report import emit, say
from impasto.errors import InputError, OptionError
from impasto.methods.stylizer import Progress
from impasto.pictures.image import check_output, save_notes, save_picture
from impasto.pipeline import Job, plan
from impasto.settings import OPTIONS, Settings
from impasto.sizes import size as size_of

__all__ = ["Outputs", "Request", "free_name", "render"]


@dataclass(frozen=True)
class Places:
    """Masks, of files and names as they were typed; None for none."""

    regions: Sequence[str] | None = None
    style_masks: Sequence[str | None] | None = None
    strength: str | None = None

    @property
    def files(self) -> tuple[str | None, ...]:
        """All that may be files."""
        return (*(self.regions or ()), *(self.style_masks or ()), self.strength)


def _placed(
    styles: Sequence[str], regions: Sequence[str], strength: str | None
) -> tuple[Sequence[str], Places]:
    """The styles, those of regions in their place, and the masks."""
    if not regions:
        return styles, Places(strength=strength)
    left, found, masks, seen = list(styles), list[str](), list[str](), list[str | None]()
    for region in regions:
        mask, *more = region.split("=")
        if not mask or len(more) > 2 or "" in more:
            raise OptionError(
                f"--region takes MASK=STYLE, as in sky.png=starry-night, not {region!r}"
            )
        if not more and not left:
            raise OptionError(f"--region {region} has no style: write --region {region}=STYLE")
        masks.append(mask)
        found.append(more[0] if more else left.pop(0))
        seen.append(more[1] if len(more) == 2 else None)
    return [*found, *left], Places(masks, seen if any(seen) else None, strength)


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Request:
    """What to make, of files and names as they were typed."""

    content: str
    styles: Sequence[str]
    settings: Settings
    start: str | None = None
    size: str | None = None
    places: Places = field(default_factory=Places)

    @classmethod
    def typed(
        cls,
        content: str,
        styles: Sequence[str],
        given: Mapping[str, Any],
        regions: Sequence[str] = (),
    ) -> Self:
        """From the options of a command line; `OptionError` for a value that cannot be.

        `regions`: `MASK=STYLE`, or `MASK=STYLE=MASK` with what of the style is looked at, or `MASK`
        alone for the next of `styles`.
        """
        given = dict(given)
        # A word starts as it says, anything else is a picture to start from.
        start = given.get("init")
        if start in (None, *OPTIONS["init"].choices):
            start = None
        else:
            given["init"] = None
        strength = given.get("strength")
        if strength is not None and not _is_number(strength):
            given["strength"] = None
        else:
            strength = None
        size = given.get("size")
        if size is not None and not _is_number(size):
            size_of(size)
            given["size"] = None
        else:
            size = None
        styles, places = _placed(styles, regions, strength)
        return cls(content, styles, Settings(**given), start, size, places)

    @property
    def inputs(self) -> list[Path]:
        """The files it reads."""
        named = (
            self.content,
            *self.styles,
            self.start,
            *self.places.files,
            self.settings.encoder,
            self.settings.network,
        )
        return [Path(name) for name in named if name is not None and os.path.isfile(name)]

    def check(self) -> None:
        """`InputError` for no style at all."""
        if not self.styles:
            raise InputError(
                "name a style: STYLE after the photo, or --style STYLE (impasto styles lists some)"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """A blend that is likely none: `photos/*.png painting.png`, where only the first is the
        photo.
        """
        folders = [Path(style).parent for style in self.styles if os.path.isfile(style)]
        beside = folders.count(Path(self.content).parent)
        some = len(self.styles) > 1 and beside and (beside < len(self.styles) or beside > 2)
        if not some or self.settings.blend is not None or not os.path.isfile(self.content):
            return ()
        return (
            f"{beside} of {len(self.styles)} styles are from the folder of the photo {self.content}, and all "
            "are blended into one; to paint every photo of a folder, use impasto batch",
        )

    def plan(self) -> Job:
        """See `impasto.pipeline.plan`."""
        places = self.places
        sized: dict[str, Any] = {} if self.size is None else {"size": self.size}
        return plan(
            self.content,
            self.styles,
            self.settings,
            start=self.start,
            regions=places.regions,
            style_masks=places.style_masks,
            strength_mask=places.strength,
            **sized,
        )


@dataclass(frozen=True)
class Outputs:
    """Where to write: the picture, every so many steps one more (0: none), the losses (`None`:
    nowhere).
    """

    picture: Path
    save_every: int = 0
    trace: Path | None = None

    @property
    def plot(self) -> Path | None:
        """The picture of the losses: beside the CSV and called the same, unless that is the
        picture's own name.
        """
        if self.trace is None:
            return None
        plot = self.trace.with_suffix(".png")
        return (
            self.trace.with_name(f"{self.trace.stem}-losses.png")
            if same_file(plot, self.picture)
            else plot
        )

    def snapshot(self, step: int) -> Path:
        """`OUTSTEM-00050.png`, beside the picture."""
        return self.picture.with_name(f"{self.picture.stem}-{step:05}.png")

    def check(self, request: Request) -> None:
        """`OptionError` for what cannot be written, would be written over an input, or would hold
        nothing.
        """
        inputs = request.inputs
        check_output(self.picture)
        targets = [self.picture]
        if self.trace is not None and self.plot is not None:
            if self.trace.suffix.lower() != ".csv" or self.trace.is_dir():
                raise OptionError(
                    f"--trace writes a table; {self.trace} should be a file ending in .csv"
                )
            check_output(self.plot)
            require_plot()
            targets += [self.trace, self.plot]
        for path in inputs:
            for target in targets:
                if same_file(path, target):
                    raise OptionError(
                        f"{target} is an input and would be written over; choose another name (-o, --trace)"
                    )
            if self.save_every and self._may_be_snapshot(path):
                raise OptionError(
                    f"{path} is an input and --save-every may write over it; choose another -o"
                )

    def check_steps(self, steps: int) -> None:
        """`OptionError` where the steps of a rendering are to be kept and there is only one."""
        for option, asked in (("--trace", self.trace), ("--save-every", self.save_every)):
            if asked and steps == 1:
                raise OptionError(
                    f"{option} has nothing to show of a picture made in one step: add --refine N or raise --strength, "
                    f"or leave {option} out"
                )

    def _may_be_snapshot(self, path: Path) -> bool:
        pattern = re.escape(self.picture.stem) + r"-\d{5,}\.png"
        return bool(re.fullmatch(pattern, path.name, re.I)) and same_file(
            path.parent, self.picture.parent
        )


def render(request: Request, outputs: Outputs, *, quiet: bool = False) -> None:
    """Make the picture and print its path on stdout; everything else goes to stderr, and with
    `quiet` nowhere.

    Ctrl-C or SIGTERM saves the picture so far under the name asked for, and the losses, and raises
    `typer.Exit(130)`; before the first step it writes nothing. Raises `ImpastoError`, long work not
    yet begun, for anything that does not fit.
    """
    request.check()
    outputs.check(request)
    begun, trace, run = time.perf_counter(), Trace(), _Run(outputs)
    with OneInterrupt() as interrupt:
        try:
            with display(quiet) as show:
                job = request.plan()
                outputs.check_steps(job.renderer.steps)
                for note in (*request.notes, *job.notes):
                    show.note(note)
                run.follow(job, show, trace)
            interrupt.hold()
        except KeyboardInterrupt:
            pass
        if run.job is None or run.last is None:
            say("interrupted before the first step; nothing was written")
            raise typer.Exit(INTERRUPTED)
        notes = run.save(outputs.picture, unfinished=interrupt.came)
        if not quiet:
            for note in notes:
                say(f"note: {note}")
            steps = "1 step" if run.last.step == 1 else f"{run.last.step} steps"
            say(f"{steps} in {time.perf_counter() - begun:.1f} s")
        emit(outputs.picture)
        if outputs.trace is not None and outputs.plot is not None:
            trace.save(outputs.trace)
            trace.plot(outputs.plot)
        if interrupt.came:
            say(
                f"interrupted at step {run.last.step} of {run.last.of}; the picture so far is {outputs.picture}"
            )
            raise typer.Exit(INTERRUPTED)


class _Run:
    """How far a job has come."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self.job: Job | None = None
        self.last: Progress | None = None

    def follow(self, job: Job, show: Display, trace: Trace) -> None:
        """Take every step."""
        self.job, said, clock = job, set(), Clock()
        full = job.content.image.shape[-2] * job.content.image.shape[-1]
        for step in job.steps():
            self.last = step
            trace.add(step)
            show.update(step.step, step.of, summary(step.losses), clock.left(step, full))
            if step.note and step.note not in said:
                said.add(step.note)
                show.note(step.note)
            if self.outputs.save_every and step.step and step.step % self.outputs.save_every == 0:
                self.save(self.outputs.snapshot(step.step), unfinished=step.step < step.of)

    def save(self, path: Path, *, unfinished: bool) -> tuple[str, ...]:
        """Write the picture of the last step with its recipe; what the format could not keep comes
        back.
        """
        assert self.job is not None
        assert self.last is not None
        picture = self.job.finish(self.last, unfinished=unfinished)
        save_picture(path, picture, dpi=self.job.dpi)
        return save_notes(path, picture)
