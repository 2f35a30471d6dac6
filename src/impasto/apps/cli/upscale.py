"""`impasto upscale`: a picture enlarged by a network."""

from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.apps.cli.options import Debug, Quiet, SettingsCommand, asks
from impasto.apps.report import reporting

__all__ = ["register", "upscale"]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(cls=SettingsCommand)(upscale)


@asks("device", "max_memory", "keep_exif", "recipe")
def upscale(
    *,
    picture: Annotated[
        str, typer.Argument(metavar="PICTURE", help="The picture, or a sample photo's name.")
    ],
    times: Annotated[
        int, typer.Option(metavar="2|4|8", help="How many times as wide and as high.")
    ] = 2,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The picture to write: .png .jpg .webp .tiff or .avif; PICTURE-2x.png here if not given.",
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Of impasto train upscale, if not the embedded one."),
    ] = None,
    given: dict[str, Any],
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Enlarge a picture, with the fine detail that a network makes up for it.

    Large pictures are enlarged in tiles, without seams. Ctrl-C saves the picture so far; what was
    not reached is then bicubic.

    impasto upscale photo.jpg --times 4 -o large.png
    impasto upscale painted.png
    impasto upscale photo.jpg --times 2 --network mine.safetensors -o large.jpg
    """
    with reporting(debug):
        from impasto.apps.cli.enlarging import Enlarging, enlarge

        enlarge(Enlarging(picture, times, output, network), given, quiet=quiet)
