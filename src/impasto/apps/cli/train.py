"""`impasto train`, `impasto learn` and `impasto pairs`: how networks and their styles come about.

Anything heavy is imported by the command that needs it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.apps.cli.options import (
    COURSE,
    FILES,
    Debug,
    Quiet,
    SettingsCommand,
    TrainingCommand,
    asks,
    configures,
    with_options,
)
from impasto.apps.report import reporting
from impasto.training.configs import (
    ArbitraryConfig,
    BankConfig,
    DistillConfig,
    PairsConfig,
    UpscaleConfig,
)

__all__ = ["learn", "pairs", "register", "train"]

train = typer.Typer()


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(cls=TrainingCommand)(learn)
    app.command(cls=SettingsCommand)(pairs)
    app.add_typer(train, name="train")


LEARN_STEPS, PAIR_SIZE = 150, 256
Critics = Annotated[
    list[str] | None,
    typer.Option(
        "--critic",
        metavar="compact|compact-2|vgg19|FILE",
        show_default=False,
        help="Whose features the losses compare, several sharing the layers; else the encoder's that reads styles.",
    ),
]
Device = Annotated[
    str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to train.", rich_help_panel=COURSE)
]
Every = Annotated[
    int,
    typer.Option(
        min=1, help="Validate, save, and paint samples after so many steps.", rich_help_panel=COURSE
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where the checkpoint left off.", rich_help_panel=COURSE),
]
Weights = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE.safetensors",
        help="The result; its checkpoint and log lie beside it.",
    ),
]
Licence = Annotated[
    str,
    typer.Option(
        help="What the file says of its licence; that of the pictures counts, too.",
        rich_help_panel=FILES,
    ),
]
Content = Annotated[
    list[str],
    typer.Option(metavar="FOLDER", help="Photos to paint while training; several are joined."),
]
Start = Annotated[
    str, typer.Option("--from", metavar="embedded|nothing|FILE", help="The network to go on from.")
]


def in_session(function: Callable[..., None]) -> Callable[..., None]:
    """A command that trains: with the options that all of them share, of which it gets the `session`."""

    def shared(
        *,
        output: Weights,
        resume: Resume = False,
        every: Every = 500,
        device: Device = "auto",
        licence: Licence = "not stated",
        quiet: Quiet = False,
        debug: Debug = False,
        **own: Any,
    ) -> None:
        with reporting(debug):
            from impasto.apps.cli import training

            paths = training.Paths(output)
            session = training.Session(paths, resume, every, device, licence, quiet)
            function(**own, session=session)

    return with_options(function, "session", shared)


@train.callback(invoke_without_command=True)
def train_group(ctx: typer.Context) -> None:
    """Train networks of your own, in one process or, started by a launcher, in several.

    fabric run --devices 2 -- "$(which impasto)" train bank --styles art --content photos -o mine.safetensors

    torchrun and SLURM's srun do as well, also over several machines. Encoders are trained in one
    process only.
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@train.command("encoder", cls=TrainingCommand)
@configures(DistillConfig)
@in_session
def train_encoder(
    *,
    teacher: Annotated[
        list[str],
        typer.Option(
            metavar="compact|compact-2|vgg19|FILE",
            help="Whose features to learn; several share the layers.",
        ),
    ],
    data: Annotated[
        list[str], typer.Option(metavar="FOLDER", help="Images to learn on; several are joined.")
    ],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="compact|compact-2|vgg19|FILE|nothing",
            help="The encoder to go on from.",
        ),
    ] = "nothing",
    given: dict[str, Any],
    session: Any,
) -> None:
    """Distil an encoder: a small VGG learns to give a large one's features.

    Ctrl-C finishes the step and saves; the same command with --resume goes on, to the very same
    weights.

    impasto train encoder --teacher vgg19 --data photos --data paintings -o mine.safetensors
    impasto stylize photo.jpg painting.jpg --encoder mine.safetensors
    """
    from impasto.apps.cli import training

    training.train_encoder(teacher, data, start, given, session)


@train.command("bank", cls=TrainingCommand)
@configures(BankConfig)
@in_session
def train_bank(
    *,
    styles: Annotated[
        list[str],
        typer.Option(metavar="FOLDER", help="Paintings, each a style called after its file."),
    ],
    content: Content,
    start: Start = "embedded",
    given: dict[str, Any],
    session: Any,
) -> None:
    """Train a network for a number of styles, which it then paints by name in one pass.

    Ctrl-C finishes the step and saves; the same command with --resume goes on, to the very same
    weights.

    impasto train bank --styles paintings --content photos -o mine.safetensors
    impasto train bank --styles one --content photos --preset johnson2016 --from nothing -o one.safetensors
    impasto stylize photo.jpg --style harbour --method fast --network mine.safetensors
    """
    from impasto.apps.cli import training

    training.train_bank(styles, content, start, given, session)


@train.command("arbitrary", cls=TrainingCommand)
@configures(ArbitraryConfig)
@in_session
def train_arbitrary(
    *,
    styles: Annotated[
        list[str], typer.Option(metavar="FOLDER", help="Paintings, the more the better.")
    ],
    content: Content,
    start: Start = "nothing",
    critic: Critics = None,
    given: dict[str, Any],
    session: Any,
) -> None:
    """Train a network that paints in the style of any picture, in one pass.

    Ctrl-C finishes the step and saves; the same command with --resume goes on, to the very same
    weights. Where only weights are left, the next leg goes --from them.

    impasto train arbitrary --styles paintings --content photos -o mine.safetensors
    impasto train arbitrary --styles paintings --content photos --from mine.safetensors -o 2.safetensors
    impasto stylize photo.jpg painting.jpg --method arbitrary --network 2.safetensors
    """
    from impasto.apps.cli import training

    training.train_arbitrary(styles, content, start, critic or (), given, session)


@train.command("pairs", cls=TrainingCommand)
@configures(PairsConfig)
@in_session
def train_pairs(
    *,
    pairs: Annotated[
        str,
        typer.Option(
            metavar="FOLDER", help="photos/NAME.jpg in it, and painted/NAME.jpg of the same size."
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call the style.")],
    start: Start = "embedded",
    given: dict[str, Any],
    session: Any,
) -> None:
    """Train a network on photos and what each of them is to become.

    Ctrl-C finishes the step and saves; the same command with --resume goes on, to the very same
    weights.

    impasto pairs photos painting.jpg -o pairs    (makes some with the optimiser)
    impasto train pairs --pairs pairs --name harbour -o mine.safetensors
    impasto stylize photo.jpg --style harbour --method fast --network mine.safetensors
    """
    from impasto.apps.cli import training

    training.train_pairs(pairs, name, start, given, session)


@train.command("upscale", cls=TrainingCommand)
@configures(UpscaleConfig)
def train_upscale(
    *,
    data: Annotated[
        list[str], typer.Option(metavar="FOLDER", help="Pictures to learn on; several are joined.")
    ],
    output: Weights,
    critic: Critics = None,
    start: Start = "embedded",
    resume: Resume = False,
    given: dict[str, Any],
    every: Every = 250,
    device: Device = "auto",
    licence: Licence = "not stated",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a network that enlarges pictures, by a perceptual loss.

    Ctrl-C finishes the step and saves; the same command with --resume goes on, to the very same
    weights.

    impasto train upscale --data photos --data paintings -o mine.safetensors
    impasto upscale photo.jpg --times 4 --network mine.safetensors
    """
    with reporting(debug):
        from impasto.apps.cli import training

        session = training.Session(training.Paths(output), resume, every, device, licence, quiet)
        training.train_upscale(data, start, critic or (), given, session)


@configures(
    BankConfig, "steps", "batch", "crop", "content_weight", "style_loss", "seed", steps=LEARN_STEPS
)
def learn(
    *,
    painting: Annotated[
        str, typer.Argument(metavar="PAINTING", help="The painting, or a sample style's name.")
    ],
    name: Annotated[str, typer.Option(help="What to call the style.")],
    content: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="Photos to learn on; the sample photos if not given.",
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The network to teach it to; the embedded one if not given."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Learn anew a style that is there already.")
    ] = False,
    given: dict[str, Any],
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Teach a network a style of your own: only the style's vector is learned.

    It is kept in ~/.impasto, or in the folder that IMPASTO_HOME names.
    Ctrl-C finishes the step and keeps what was learned so far.

    impasto learn painting.jpg --name harbour
    impasto stylize photo.jpg --style harbour --method fast
    impasto learn painting.jpg --name harbour --content photos --content-weight 0.2 --replace
    """
    with reporting(debug):
        from impasto.apps.cli import learning
        from impasto.networks.checkpoint import PAINTER

        lesson = learning.Lesson(painting, name, tuple(content or ()), network or PAINTER, replace)
        learning.learn(lesson, {"steps": LEARN_STEPS, **given}, device=device, quiet=quiet)


@asks("size", "style_loss", "steps", "device", size=PAIR_SIZE)
def pairs(
    *,
    photos: Annotated[Path, typer.Argument(metavar="FOLDER", help="The photos.")],
    style: Annotated[
        str, typer.Argument(metavar="STYLE", help="The painting, or a sample style's name.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Gets photos/NAME.png and painted/NAME.png."
        ),
    ],
    given: dict[str, Any],
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Paint every photo of a folder with the optimiser: pairs to train a network on.

    What cannot be read is left out, and said so. Ctrl-C stops; the same command goes on.

    impasto pairs photos painting.jpg -o pairs
    impasto pairs photos painting.jpg -o calm --style-loss nnst
    impasto train pairs --pairs pairs --name harbour -o mine.safetensors
    """
    with reporting(debug):
        from impasto.apps.cli.pairing import Pairs, make_pairs

        make_pairs(Pairs(photos, style, output, **{"size": PAIR_SIZE, **given}), quiet=quiet)
