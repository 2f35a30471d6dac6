"""`impasto reconstruct`, `impasto grid` and `impasto deltas`: sheets that show what the networks
see.

Anything heavy is imported by the command that needs it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from impasto.analysis.usual import (
    GRID_SIZE,
    PRIOR,
    RECONSTRUCTION_SIZE,
    SMOOTHING,
    SMOOTHING_STEPS,
    Descent,
)
from impasto.apps.cli.options import FILES, Debug, Quiet, SettingsCommand, words
from impasto.apps.interrupt import INTERRUPTED, ignore_interrupts
from impasto.apps.report import emit, reporting, say
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.analysis.sheets import Cell
    from impasto.analysis.work import Work
    from impasto.apps.progress import Display
    from impasto.networks.encoder import Encoder

__all__ = ["deltas", "grid", "make_sheet", "reconstruct", "register"]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The sheet: .png or .pdf; called after its inputs, here, if not given.",
        rich_help_panel=FILES,
    ),
]
Size = Annotated[
    int | None, typer.Option("--size", help="Long side of each picture in pixels, at most.")
]
Steps = Annotated[
    int | None, typer.Option("--steps", help="Steps of the optimiser for each picture.")
]
Layers = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Layers (impasto layers); a style takes one more at a time."),
]
Variation = Annotated[
    float | None, typer.Option(help="Weight of the total variation: more is smoother.")
]
EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder",
        metavar="compact|compact-2|vgg19|FILE",
        help="Whose features: embedded, fetched once, a file.",
    ),
]
Pooling = Annotated[
    str, typer.Option(metavar="max|average", help="How the encoder halves its maps.")
]
GridPooling = Annotated[
    str | None,
    typer.Option("--pooling", metavar="max|average", help="As the preset has it if not given."),
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
Seed = Annotated[int | None, typer.Option(help="Of the noise: one seed, one sheet.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (reconstruct, grid, deltas):
        app.command(cls=_SheetCommand)(command)


class _SheetCommand(SettingsCommand):
    """Options are `None` unless given; their defaults are those of the functions behind the
    commands.
    """

    def known(self) -> dict[str, Any]:
        """Option -> default."""
        usual: dict[str, dict[str, Any]] = {
            "deltas": {"tv_weight": SMOOTHING, "steps": SMOOTHING_STEPS},
            "grid": {"size": GRID_SIZE},
            "reconstruct": {"size": RECONSTRUCTION_SIZE, **vars(Descent())},
        }
        return usual[self.name or ""]


def reconstruct(
    picture: Annotated[
        str, typer.Argument(metavar="PICTURE", help="A photo, a painting, or a sample's name.")
    ],
    content: Annotated[
        bool, typer.Option("--content", help="One reconstruction for each layer's features.")
    ] = False,
    style: Annotated[
        bool, typer.Option("--style", help="One for each growing set of layers' Gram matrices.")
    ] = False,
    layers: Layers = None,
    output: Output = None,
    size: Size = None,
    steps: Steps = None,
    tv_weight: Variation = None,
    prior: Annotated[
        float | None,
        typer.Option(
            help="Weight of the natural-image prior, against static; 0: none. "
            f"If not given, {PRIOR:g} with --content and 0 with --style."
        ),
    ] = None,
    encoder: EncoderName = "compact",
    pooling: Pooling = "max",
    device: Device = "auto",
    seed: Seed = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """What layers know of a picture: noise, optimised until they see the picture in it (Gatys et
    al. 2015, figure 1).

    The path of the sheet goes to stdout. Ctrl-C keeps the pictures that are finished; the same
    command goes on.

    impasto reconstruct photo.jpg --content
    impasto reconstruct photo.jpg --content --layers relu1_1,relu4_2 --encoder vgg19 -o layers.pdf
    impasto reconstruct painting.jpg --style --size 512
    """
    with reporting(debug):
        from impasto.analysis.reconstruct import content_reconstructions, style_reconstructions

        if content == style:
            raise ImpastoError("say what to reconstruct: either --content or --style")
        make = content_reconstructions if content else style_reconstructions
        descent = Descent(**_given(steps=steps, seed=seed, tv_weight=tv_weight, prior=prior))
        options = _given(
            size=size, layers=words(layers, "--layers") if layers is not None else None
        )
        target = _target(output, "content" if content else "style", picture)
        make_sheet(
            make(picture, encoder=_encoder(encoder, pooling, device), descent=descent, **options),
            target,
            quiet=quiet,
        )


def grid(
    content: Annotated[
        str, typer.Argument(metavar="CONTENT", help="The photo, or a sample photo's name.")
    ],
    style: Annotated[
        str, typer.Argument(metavar="STYLE", help="The painting, or the name of a style.")
    ],
    over: Annotated[
        str | None,
        typer.Option(
            metavar="OPTION",
            help="One row over this option of stylize instead: strength, style-scale, …",
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="The columns: content/style ratios, or values of --over."
        ),
    ] = None,
    layers: Layers = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="The convention to begin from.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="content|noise", help="What to start from; as stylize does if not given."
        ),
    ] = None,
    second: Annotated[
        str | None, typer.Option(metavar="STYLE", help="Another painting, for --over blend.")
    ] = None,
    output: Output = None,
    size: Size = None,
    steps: Steps = None,
    encoder: EncoderName = "compact",
    pooling: GridPooling = None,
    device: Device = "auto",
    seed: Seed = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """One pair many times: ever more style layers down, ever more content across (Gatys et al.
    2015, figure 3).

    The path of the sheet goes to stdout. Ctrl-C keeps the pictures that are finished; the same
    command goes on.

    impasto grid photo.jpg painting.jpg
    impasto grid photo.jpg painting.jpg --preset gatys2015 -o figure3.pdf
    impasto grid photo.jpg painting.jpg --over preset --size 256
    impasto grid photo.jpg painting.jpg --over blend --second waves
    impasto grid photo.jpg painting.jpg --over style-scale --values 0.5,1,2
    """
    given = _given(
        preset=preset, init=init, steps=steps, seed=seed, pooling=pooling, device=_other(device)
    )
    with reporting(debug):
        from impasto.analysis.grid import ratio_grid, read_values, sweep
        from impasto.settings import Settings

        used = words(layers, "--layers") if layers is not None else None
        target, network = (
            _target(output, "grid", content, style),
            _encoder(encoder, "max", device),
        )
        common: dict[str, Any] = {"encoder": network} | _given(size=size)
        if over is None:
            columns = read_values("content-weight", values) if values is not None else ()
            balances = cast("tuple[float, ...]", columns)  # what a weight's values are read as
            work = ratio_grid(
                content,
                style,
                balances,
                settings=Settings(**given),
                **common,
                **_given(layers=used),
            )
        else:
            settings = Settings(**given, **_given(style_layers=used))
            dialled = read_values(over, values) if values is not None else ()
            between = _given(second=second)
            work = sweep(content, style, over, dialled, settings=settings, **common, **between)
        make_sheet(work, target, quiet=quiet)


def deltas(
    photo: Annotated[
        str, typer.Argument(metavar="PHOTO", help="The photo, or a sample photo's name.")
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="What was made of it.")],
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Also OUT optimised with the total variation on.")
    ] = False,
    tv_weight: Variation = None,
    steps: Steps = None,
    output: Output = None,
    size: Annotated[int, typer.Option(help="Long side of each picture in pixels, at most.")] = 512,
    encoder: EncoderName = "compact",
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """High frequencies of a photo and of what was made of it, as pictures and numbers.

    The path of the sheet goes to stdout.

    impasto deltas photo.jpg out.png
    impasto deltas photo.jpg out.png --smooth --tv-weight 3 -o deltas.pdf
    """
    options = _given(tv_weight=tv_weight, steps=steps)
    with reporting(debug):
        from impasto.analysis.deltas import delta_sheet, open_pair, smoothed
        from impasto.analysis.sheets import save_sheet
        from impasto.analysis.work import settings_of, title_of
        from impasto.apps.progress import display

        if options and not smooth:
            raise ImpastoError(
                f"--{next(iter(options)).replace('_', '-')} has an effect with --smooth only; add it"
            )
        target = _target(output, "deltas", photo, out)
        with display(quiet) as show:
            first, second, notes = open_pair(photo, out, size)
            for note in notes:
                show.note(note)
            names, pictures = [title_of(photo), title_of(out)], [first, second]
            recipe: dict[str, object] = {"smooth": smooth, **options}
            if smooth:
                network = _encoder(encoder, "max", device)
                recipe |= settings_of("deltas", network, first, second)
                for step in smoothed(second, encoder=network, **options):
                    show.update(step.step, step.of, "", None)
                names, pictures = [*names, "smoothed"], [*pictures, step.image]
            else:
                recipe |= settings_of("deltas", None, first, second)
        emit(save_sheet(target, delta_sheet(names, pictures), recipe=recipe))


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _other(device: str) -> str | None:
    """The device, unless that goes without saying."""
    return None if device == "auto" else device


def _encoder(name: str, pooling: str, device: str) -> "Encoder":
    from impasto.networks.weights import load_encoder

    return load_encoder(name, pooling=pooling, device=device)  # type: ignore[arg-type]


def _cells(output: Path) -> Path:
    """Where the finished cells of a sheet wait for the others."""
    return output.with_name(f"{output.stem}.cells")


def _target(output: Path | None, kind: str, *inputs: str) -> Path:
    """The file to write: `output`, or a free name after the inputs; the name of an unfinished sheet
    is free.
    """
    from impasto.analysis.sheets import check_sheet

    if output is None:
        stem = "-".join([*(Path(name).stem for name in inputs), kind])[-100:]
        output, number = Path(f"{stem}.png"), 2
        while os.path.lexists(output) and not _cells(output).is_dir():
            output, number = Path(f"{stem}-{number}.png"), number + 1
    check_sheet(output)
    for name in inputs:
        if output.exists() and os.path.exists(name) and output.samefile(name):
            raise ImpastoError(f"{output} is an input and would be written over; choose another -o")
    return output


def make_sheet(work: "Work", target: Path, *, quiet: bool) -> None:
    """Make the sheet cell by cell, save it, and print its path on stdout.

    Ctrl-C saves it with the cells that are finished, which wait beside it for the same command, and
    raises `typer.Exit(130)`.
    """
    from impasto.analysis.sheets import save_sheet
    from impasto.apps.progress import display

    folder, cells = _cells(target), list["Cell"]()
    try:
        with display(quiet) as show:
            for cell in _followed(work, folder, show):
                cells.append(cell)
    except KeyboardInterrupt:
        # Saving what there is must not be stopped half-way.
        ignore_interrupts()
        if not cells:
            work.forget(folder)
            say("interrupted before the first picture was finished; nothing was written")
            raise typer.Exit(INTERRUPTED) from None
        emit(save_sheet(target, work.sheet(cells)))
        say(
            f"interrupted; {len(cells)} of {len(work.tasks)} pictures are in {target}, and the same command goes on"
        )
        raise typer.Exit(INTERRUPTED) from None
    save_sheet(target, work.sheet(cells))
    work.forget(folder)
    emit(target)


def _followed(work: "Work", folder: Path, show: "Display") -> Iterator["Cell"]:
    """The cells as they are finished; progress is shown on the way."""
    from impasto.apps.progress import Pace, summary

    for note in work.notes:
        show.note(note)
    said, shown, kept, pace, number = set[str](), 0, 0, Pace(), 1
    for progress in work.make(folder):
        # Cells of an earlier run come at once and say nothing of the pace.
        kept += progress.step - shown if progress.kept else 0
        if progress.note and progress.note not in said:
            said.add(progress.note)
            show.note(progress.note)
        if progress.step > shown:
            shown = progress.step
            new = (shown - kept, progress.of - kept)
            left = pace.left(*new) if shown > kept else None
            text = f"picture {number} of {len(work.tasks)}  {progress.name}  {summary(progress.losses)}"
            show.update(shown, progress.of, text.rstrip(), left)
        if progress.cell is not None:
            number += 1
            yield progress.cell
