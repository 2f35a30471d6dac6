"""`impasto inspect`: what the network sees in a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.apps.cli.options import Debug
from impasto.apps.report import emit, printable, reporting, say
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.analysis.sheets import Sheet

__all__ = ["inspect", "register"]

_TOP = 9


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(inspect)


def inspect(
    picture: Annotated[
        str, typer.Argument(metavar="PICTURE", help="A picture, or a sample's name.")
    ],
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show what excites this layer most, e.g. relu3_1."),
    ] = None,
    gram: Annotated[
        bool, typer.Option("--gram", help="Show the Gram matrices of the five style layers.")
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help=f"So many feature maps of the layer; {_TOP} if not given."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The sheet to write, .png or .pdf; PICTURE-LAYER.png here if not given.",
        ),
    ] = None,
    size: Annotated[
        int,
        typer.Option(min=32, help="Long side at which to look, in pixels, of a larger picture."),
    ] = 512,
    encoder: Annotated[
        str, typer.Option(metavar="compact|compact-2|vgg19|FILE", help="Whose features to look at.")
    ] = "compact",
    debug: Debug = False,
) -> None:
    """Show what the network sees: feature maps and what excites them, or a style's Gram matrices,
    as a sheet.

    Each row of a layer's sheet is a feature map, then the patches of the picture that excite it
    most, each with its projection back to pixels by a deconvnet (Zeiler and Fergus 2013).

    impasto inspect photo.jpg --layer relu3_1 --top 9
    impasto inspect painting.jpg --gram -o gram.pdf
    """
    with reporting(debug):
        if gram == (layer is not None):
            raise ImpastoError("choose one: --layer NAME (impasto layers lists them) or --gram")
        if gram and top is not None:
            raise ImpastoError("--top counts feature maps: it goes with --layer, not with --gram")
        from impasto.analysis.sheets import check_sheet, save_sheet
        from impasto.apps.cli.names import free_name

        target = check_sheet(output or free_name(picture, [layer or "gram"]))
        if target.exists() and Path(picture).exists() and target.samefile(picture):
            raise ImpastoError(
                f"{target} is the input and would be written over; choose another name (-o)"
            )
        sheet, recipe = _look(picture, layer, top or _TOP, size, encoder)
        emit(save_sheet(target, sheet, recipe=recipe))


def _look(
    picture: str, layer: str | None, top: int, size: int, encoder: str
) -> tuple["Sheet", dict[str, object]]:
    """The sheet, and how it was made."""
    import torch

    from impasto.analysis.inspect import feature_sheet, gram_maps, gram_sheet, strongest
    from impasto.analysis.work import open_cell, settings_of
    from impasto.networks.weights import load_encoder

    opened = open_cell(picture, size)
    for note in opened.notes:
        say(f"note: {printable(note)}")
    image = opened.image
    net = load_encoder(encoder, dtype=torch.float32)
    recipe = settings_of("inspect", net, image) | {
        "picture": {"name": Path(picture).name},
        "size": size,
    }
    if layer is None:
        return gram_sheet(gram_maps(net, image)), recipe | {"gram": True}
    return feature_sheet(strongest(net, image, layer, top=top)), recipe | {
        "layer": layer,
        "top": top,
    }
