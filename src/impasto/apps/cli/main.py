"""`impasto` on the command line. Anything heavy is imported by the command that needs it."""

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.apps.cli.lazy import LazyGroup, commands_app
from impasto.apps.cli.options import (
    FILES,
    Debug,
    Quiet,
    SettingsCommand,
    asks,
    unknown_option,
    without_command,
    wrong_value,
)
from impasto.apps.report import one_line, own_process, reporting, say, verdict
from impasto.errors import OptionError
from impasto.networks.process import keep_freed_memory, wait_passively
from impasto.settings import OPTIONS, Settings

__all__ = ["app", "main"]

# Sample names, see `impasto styles`.
DEMO_PHOTO, DEMO_STYLE, DEMO_OUTPUT = "cat", "stained-glass", Path("demo.png")

app = commands_app(LazyGroup)

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The picture to write: .png .jpg .webp .tiff or .avif; CONTENT-STYLE.png here if not given.",
    ),
]


def _version(asked: bool) -> None:
    if asked:
        print(f"impasto {metadata.version('impasto')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def impasto(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A photo in the style of a painting.

    impasto stylize photo.jpg painting.jpg -o out.png
    impasto stylize photo.jpg night-swirl    (one of impasto styles)
    impasto stylize photo.jpg painting.jpg --method arbitrary    (at once)
    impasto demo
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@app.command(cls=SettingsCommand)
@asks(*OPTIONS, forms=OPTIONS)
def stylize(
    *,
    content: Annotated[
        str, typer.Argument(metavar="CONTENT", help="The photo, or a sample photo's name.")
    ],
    styles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STYLE", show_default=False, help="One painting or several, or names of styles."
        ),
    ] = None,
    output: Output = None,
    given: dict[str, Any],
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STYLE",
            show_default=False,
            help="The same as STYLE; may be given several times.",
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MASK=STYLE",
            show_default=False,
            help="Paint one region in one style, and leave the rest; may be given several times. White is the "
            "region; or luminance, darkness, subject, background. MASK=STYLE=MASK also masks the style.",
        ),
    ] = None,
    save_every: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            show_default=False,
            help="Also save the picture after every N steps, as OUT-00050.png.",
            rich_help_panel=FILES,
        ),
    ] = 0,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Save every step's losses as a table, and their plot beside it as PNG.",
            rich_help_panel=FILES,
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Paint a photo in the style of one painting or several.

    The path of the picture goes to stdout, all else to stderr. Ctrl-C stops and saves the picture
    so far.

    impasto stylize photo.jpg painting.jpg -o out.png
    impasto stylize photo.jpg waves mosaic --blend 0.7,0.3 --size 1024
    impasto stylize photo.jpg painting.jpg --keep-color luminance --style-weight 2
    impasto stylize photo.jpg painting.jpg --preset gatys2015 --trace losses.csv
    impasto stylize photo.jpg painting.jpg --method arbitrary --refine 35
    impasto stylize photo.jpg --style starry-night --method fast --strength 0.7
    impasto stylize photo.jpg --region sky.png=waves --region ground.png=mosaic --method arbitrary
    impasto stylize photo.jpg painting.jpg --method arbitrary --size 30x40cm@300dpi -o poster.png
    """
    with reporting(debug):
        if given.get("engine", "torch") != "torch":
            from impasto.apps.cli import lite

            if save_every or trace or region or given.get("init"):
                raise OptionError(
                    "--save-every, --trace, --region and --init have nothing to do with --engine onnx; leave them out"
                )
            named = [*(styles or ()), *(style or ())]
            lite.render(content, named, Settings(**given), output, quiet=quiet)
            return
        from impasto.apps.cli.names import free_name
        from impasto.apps.cli.rendering import Outputs, Request, render

        request = Request.typed(content, [*(styles or ()), *(style or ())], given, region or ())
        outputs = Outputs(output or free_name(content, request.styles), save_every, trace)
        render(request, outputs, quiet=quiet)


@app.command(cls=SettingsCommand)
@asks("size", "steps", forms=("size",))
def demo(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The picture to write.")
    ] = DEMO_OUTPUT,
    given: dict[str, Any],
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Paint a sample photo in a sample style, and say where the picture is.

    impasto demo
    impasto demo --size 256 -o small.png
    """
    with reporting(debug):
        from impasto.apps.cli.rendering import Outputs, Request, render

        render(Request.typed(DEMO_PHOTO, [DEMO_STYLE], given), Outputs(output), quiet=quiet)
        if not quiet:
            say(f"{DEMO_PHOTO} in the style of {DEMO_STYLE}: {output.absolute()}")


@app.command()
def presets(debug: Debug = False) -> None:
    """List the presets: layers, weights, start and optimiser, after their sources.

    The sources' layers and weights are those of VGG-19. The default encoder, compact, has 128
    channels at relu4_2 for 512 there, and no relu5_2: for a source's own numbers add --encoder
    vgg19.

    impasto stylize photo.jpg painting.jpg --preset gatys2015 --encoder vgg19
    """
    with reporting(debug):
        from impasto.apps.cli import tables

        tables.presets()


@app.command(cls=SettingsCommand)
@asks("encoder")
def layers(*, given: dict[str, Any], debug: Debug = False) -> None:
    """List the layers of an encoder and their channels.

    impasto layers
    impasto layers --encoder vgg19
    """
    with reporting(debug):
        from impasto.apps.cli import tables

        tables.layers(Settings(**given).encoder)


@app.command()
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture or film impasto made.")],
    as_json: Annotated[bool, typer.Option("--json", help="The recipe as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Show how a picture or a film was made, and the command that makes it again.

    impasto info out.png
    impasto info out.mp4
    impasto info out.png --json
    """
    with reporting(debug):
        from impasto.apps.cli.recipe import show

        show(file, as_json=as_json)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line `args`, by default the process's own, and exit."""
    own_process()
    keep_freed_memory()
    wait_passively()
    try:
        code = app(args=args, standalone_mode=False)
    except OSError as error:  # where a text of typer's own could not be written
        say(f"error: {verdict(error)[0]}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 2
    except Exception as error:
        # A usage error. Its class is click's, or newer typer's own; this is the mark of both.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        hint = without_command(args, commands) or unknown_option(error, args) or wrong_value(error)
        if said := hint or one_line(message()):  # nothing is wrong with a group's name alone
            say(f"error: {said}")
        code = 2 if said else 0
    sys.exit(code if isinstance(code, int) else 0)
