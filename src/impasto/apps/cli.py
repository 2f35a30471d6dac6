"""`impasto` on the command line. Anything heavy is imported by the command that needs it."""

import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, get_args

import typer

from impasto.apps.options import LazyDefaults, LazyTrainingDefaults, split_options
from impasto.apps.report import one_line, reporting, say
from impasto.presets import PRESETS, Init, OptimizerName

__all__ = ["app", "main"]

# Sample names, see `impasto styles`.
DEMO_PHOTO, DEMO_STYLE, DEMO_OUTPUT = "cat", "stained-glass", Path("demo.png")

BALANCE, LAYERS, DESCENT, FILES = "Balance", "Layers and encoder", "Descent", "Files and messages"

app = typer.Typer(
    name="impasto",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

train = typer.Typer()
app.add_typer(train, name="train")

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=FILES)]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no notes: only the path.", rich_help_panel=FILES),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The picture to write: .png .jpg .webp .tiff or .avif; CONTENT-STYLE.png here if not given.",
    ),
]
Size = Annotated[
    int | None,
    typer.Option("--size", help="Long side of the picture in pixels; a smaller photo is enlarged."),
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", help="Steps of the optimiser, over all sizes.", rich_help_panel=DESCENT),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="compact|vgg19|FILE",
        help="Whose features to match: the embedded encoder, VGG-19 (fetched once) or a safetensors file.",
        rich_help_panel=LAYERS,
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
    impasto demo
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@train.callback(invoke_without_command=True)
def train_group(ctx: typer.Context) -> None:
    """Train networks of your own."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@app.command(cls=LazyDefaults)
def stylize(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photo, or a sample photo's name.")],
    styles: Annotated[
        list[str],
        typer.Argument(metavar="STYLE", help="One painting or several, or names of sample styles."),
    ],
    output: Output = None,
    size: Size = None,
    style_weight: Annotated[
        float | None,
        typer.Option(help="More or less style than the preset's own balance: 2 is twice.", rich_help_panel=BALANCE),
    ] = None,
    content_weight: Annotated[
        float | None,
        typer.Option(help="More or less of the photo's forms, likewise.", rich_help_panel=BALANCE),
    ] = None,
    tv_weight: Annotated[
        float | None,
        typer.Option(help="Weight of the total variation: more is smoother.", rich_help_panel=BALANCE),
    ] = None,
    style_scale: Annotated[
        float | None,
        typer.Option(help="The painting's size beside the picture's: more is larger strokes.", rich_help_panel=BALANCE),
    ] = None,
    blend: Annotated[
        str | None,
        typer.Option(metavar="0.7,0.3", help="A weight for each style; equal if not given.", rich_help_panel=BALANCE),
    ] = None,
    keep_color: Annotated[
        str | None,
        typer.Option(
            metavar="none|luminance|statistics",
            help="Keep the photo's colours: take only light and dark from the painting, "
            "or recolour the painting like the photo first.",
            rich_help_panel=BALANCE,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"A convention of layers, weights, start and optimiser: {', '.join(PRESETS)} (impasto presets).",
            rich_help_panel=BALANCE,
        ),
    ] = None,
    encoder: Encoder = None,
    pooling: Annotated[
        str | None,
        typer.Option(metavar="max|average", help="How the encoder halves its maps.", rich_help_panel=LAYERS),
    ] = None,
    content_layers: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Layers that hold the photo (impasto layers).", rich_help_panel=LAYERS),
    ] = None,
    style_layers: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Layers that hold the style.", rich_help_panel=LAYERS),
    ] = None,
    steps: Steps = None,
    optimizer: Annotated[
        str | None,
        typer.Option(metavar="|".join(get_args(OptimizerName)), help="What descends.", rich_help_panel=DESCENT),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="How far a step goes.", rich_help_panel=DESCENT)] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="|".join((*get_args(Init), "FILE")),
            help="What to start from: the photo, noise, or a picture.",
            rich_help_panel=DESCENT,
        ),
    ] = None,
    early_stop: Annotated[
        float | None,
        typer.Option(
            help="Leave a size when twenty steps lowered its loss by less than this fraction; 0: never.",
            rich_help_panel=DESCENT,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the noise: one seed, one picture.", rich_help_panel=DESCENT)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.", rich_help_panel=DESCENT),
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

    The path of the picture goes to stdout, all else to stderr. Ctrl-C stops and saves the picture so far.

    impasto stylize photo.jpg painting.jpg -o out.png
    impasto stylize photo.jpg waves mosaic --blend 0.7,0.3 --size 1024
    impasto stylize photo.jpg painting.jpg --keep-color luminance --style-weight 2
    impasto stylize photo.jpg painting.jpg --preset gatys2015 --trace losses.csv
    """
    given = {name: value for name, value in locals().items() if value is not None}
    with reporting(debug):
        from impasto.apps.rendering import Outputs, Request, free_name, render

        request = Request(content, styles, *split_options(given))
        target = output or free_name(content, styles)
        render(request, Outputs(target, save_every, trace), quiet=quiet)


@app.command(cls=LazyDefaults)
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The picture to write.")] = DEMO_OUTPUT,
    size: Size = None,
    steps: Steps = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Paint a sample photo in a sample style, and say where the picture is.

    impasto demo
    impasto demo --size 256 -o small.png
    """
    given = {name: value for name, value in (("size", size), ("steps", steps)) if value is not None}
    with reporting(debug):
        from impasto.apps.rendering import Outputs, Request, render

        render(Request(DEMO_PHOTO, [DEMO_STYLE], *split_options(given)), Outputs(output), quiet=quiet)
        if not quiet:
            say(f"{DEMO_PHOTO} in the style of {DEMO_STYLE}: {output.absolute()}")


@app.command()
def styles(
    save: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Draw them all as PNGs into this folder.")] = None,
    size: Annotated[int, typer.Option(help="Side of the saved pictures in pixels.")] = 512,
    debug: Debug = False,
) -> None:
    """List the sample styles, which are drawn by code, and the sample photos.

    impasto styles
    impasto styles --save plates --size 1024
    """
    with reporting(debug):
        from impasto.apps import tables

        tables.styles() if save is None else tables.save_styles(save, size)


@app.command()
def presets(debug: Debug = False) -> None:
    """List the presets: layers, weights, start and optimiser, after their sources.

    impasto stylize photo.jpg painting.jpg --preset gatys2015
    """
    with reporting(debug):
        from impasto.apps import tables

        tables.presets()


@app.command(cls=LazyDefaults)
def layers(encoder: Encoder = None, debug: Debug = False) -> None:
    """List the layers of an encoder and their channels.

    impasto layers
    impasto layers --encoder vgg19
    """
    with reporting(debug):
        from impasto.apps import tables
        from impasto.apps.options import defaults

        tables.layers(encoder or defaults()["encoder"])


@app.command()
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture impasto made.")],
    as_json: Annotated[bool, typer.Option("--json", help="The recipe as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Show how a picture was made, and the command that makes it again.

    impasto info out.png
    impasto info out.png --json
    """
    with reporting(debug):
        from impasto.apps.recipe import show

        show(file, as_json=as_json)


@train.command("encoder", cls=LazyTrainingDefaults)
def train_encoder(
    teacher: Annotated[
        list[str],
        typer.Option(metavar="compact|vgg19|FILE", help="Whose features to learn; several share the layers."),
    ],
    data: Annotated[list[str], typer.Option(metavar="FOLDER", help="Images to learn on; several are joined.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE.safetensors", help="The encoder; its checkpoint and log lie beside it."
        ),
    ],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the checkpoint left off.")] = False,
    steps: Annotated[int | None, typer.Option(help="Steps of training.")] = None,
    batch: Annotated[int | None, typer.Option(help="Crops a step.")] = None,
    crop: Annotated[int | None, typer.Option(help="Side of a crop in pixels.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The largest of the run.")] = None,
    precision: Annotated[str | None, typer.Option(metavar="bfloat16|float32", help="Of convolutions.")] = None,
    seed: Annotated[int | None, typer.Option(help="One seed, one encoder.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Validate and save after so many steps.")] = 500,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to train.")] = "auto",
    licence: Annotated[
        str, typer.Option(help="What the file says of its licence; the teacher's has a say.")
    ] = "not stated",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Distil an encoder: a small VGG learns to give a large one's features.

    Ctrl-C finishes the step and saves; the same command with --resume goes on, to the very same weights.

    impasto train encoder --teacher vgg19 --data photos --data paintings -o mine.safetensors
    impasto stylize photo.jpg painting.jpg --encoder mine.safetensors
    """
    known = ("steps", "batch", "crop", "learning_rate", "precision", "seed")
    config = {name: value for name, value in locals().items() if name in known and value is not None}
    with reporting(debug):
        from impasto.apps import training

        training.train_encoder(
            teacher,
            data,
            training.Paths(output),
            config,
            resume=resume,
            every=every,
            device=device,
            licence=licence,
            quiet=quiet,
        )


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line `args`, by default the process's own, and exit."""
    try:
        code = app(args=args, standalone_mode=False)
    except Exception as error:
        # A usage error. Its class is click's, or newer typer's own; this is the mark of both.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        say(f"error: {one_line(message())}")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
