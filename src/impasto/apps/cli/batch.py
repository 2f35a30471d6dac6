"""`impasto batch`: a folder of photos in one style or several."""

from typing import Annotated, Any

import typer

from impasto.apps.cli.options import Debug, Quiet, SettingsCommand, asks
from impasto.apps.report import reporting
from impasto.errors import OptionError
from impasto.pictures.writing import FORMATS
from impasto.settings import OPTIONS

__all__ = ["MANY", "Ray", "Workers", "batch", "register"]

MANY = "Many machines"
"""The heading of Ray's options in a command's help."""

Ray = Annotated[
    str | None,
    typer.Option(
        metavar="local|auto|ADDRESS",
        help="Share the work by Ray: on this machine, on the cluster it is part of, or at an address.",
        rich_help_panel=MANY,
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="So many at once; one for each GPU, or else each processor, if not given.",
        rich_help_panel=MANY,
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(cls=SettingsCommand)(batch)


@asks(*OPTIONS)
def batch(
    *,
    photos: Annotated[
        str,
        typer.Argument(
            metavar="PHOTOS",
            help="A folder, a pattern in quotes, or a .txt file with a path a line; s3:// and such, too.",
        ),
    ],
    styles: Annotated[
        list[str],
        typer.Argument(metavar="STYLE", help="Paintings, or names of styles; one picture in each."),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Where the pictures go; made if it is missing."
        ),
    ],
    given: dict[str, Any],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(sorted(each[1:] for each in FORMATS)),
            help="What the pictures are written as.",
        ),
    ] = "png",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on as photos come to the folder, until Ctrl-C.")
    ] = False,
    ray: Ray = None,
    workers: Workers = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Paint a folder of photos in one style, or in each of several.

    What is there already is skipped, so the same command goes on where it was stopped. Several
    styles make a folder each; with --blend they are one. Broken photos are left out and said, and
    the exit code is 2. The paths of new pictures go to stdout, all else to stderr.

    impasto batch photos painting.jpg -o out
    impasto batch photos waves mosaic -o out --method arbitrary --size 1024 --format jpg
    impasto batch "photos/*/*.jpg" painting.jpg -o out
    impasto batch inbox painting.jpg -o out --watch
    impasto batch photos painting.jpg -o out --ray local --workers 2
    impasto batch s3://bucket/photos painting.jpg -o s3://bucket/painted --ray auto
    """
    with reporting(debug):
        from impasto.apps.batch import Batch
        from impasto.apps.cli.folders import paint_all, paint_arrivals
        from impasto.apps.finding import find
        from impasto.apps.stores import is_url, of_one_process
        from impasto.settings import Settings

        if workers is not None and ray is None:
            raise OptionError("`workers` are Ray's; add `ray=local`")
        if watch and ray is not None:
            raise OptionError("`watch` and `ray` do not go together; choose one")
        if watch and is_url(photos):
            raise OptionError(f"`watch` looks at folders of this machine, and not at {photos}")
        if ray is not None and (of_one_process(photos) or of_one_process(output)):
            raise OptionError("what memory:// holds only this process sees, and `ray` has others")
        alone = dict.fromkeys((style,) for style in styles)
        columns = [tuple(styles)] if "blend" in given else list(alone)
        found = find(photos, output)
        work = Batch(found, columns, output, Settings(**given), f".{form.lower()}")
        if watch:
            code = paint_arrivals(work, photos, quiet=quiet)
        else:
            code = paint_all(work, ray=ray, workers=workers, quiet=quiet)
        raise typer.Exit(code)
