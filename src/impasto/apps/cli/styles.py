"""`impasto styles`: those there are, and styles that come and go as files. Anything heavy is imported
by the command that needs it.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from impasto.apps.cli.options import Debug
from impasto.apps.report import emit, printable, reporting, say
from impasto.errors import ImpastoError

__all__ = ["PHOTO", "register", "styles"]

PHOTO = "cat"
"""The sample photo that shows a style."""

styles = typer.Typer(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(styles, name="styles")


@styles.callback()
def listed(
    ctx: typer.Context,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Draw them all as PNGs into this folder, and a photo in each learned one.",
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, max=4096, help="Side of the saved pictures in pixels.")
    ] = 512,
    debug: Debug = False,
) -> None:
    """List the styles: samples, which are drawn by code, and those learned; and the sample photos.

    impasto styles
    impasto styles --save plates --size 1024
    impasto styles export harbour harbour.impasto --author "M. Rivers" --licence "CC BY 4.0"
    impasto styles add harbour.impasto
    """
    if ctx.invoked_subcommand is not None:
        return
    with reporting(debug):
        from impasto.apps.cli import tables

        tables.styles() if save is None else tables.save_styles(save, size, PHOTO)


@styles.command()
def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A learned style.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.impasto", help="The file to write.")],
    author: Annotated[str, typer.Option(help="Whose it is.")] = "",
    licence: Annotated[str, typer.Option(help="What others may do with it.")] = "",
    network: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The network it belongs to, if not the own.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a learned style into a file to pass on: its vector, what refinement needs of it, a
    thumbnail, author and licence.

    impasto styles export harbour harbour.impasto --author "M. Rivers" --licence "CC BY 4.0"
    """
    with reporting(debug):
        from impasto.methods.feedforward import FeedForward
        from impasto.methods.style_grams import kept_grams
        from impasto.networks.checkpoint import PAINTER, load_network
        from impasto.networks.style_bank import Credit
        from impasto.networks.style_file import StyleFile
        from impasto.pictures.image import to_pil
        from impasto.pictures.sources import open_source
        from impasto.pictures.writing import check_place

        check_place(file)
        painter, foreign = load_network(network or PAINTER, device="cpu").knowing_own()
        if name in foreign and name not in painter.bank.vectors:
            raise ImpastoError(f"{name} was learned for another network; name it: --network FILE")
        painted = FeedForward(painter)
        photo = open_source(PHOTO, 256).image
        (step,) = painted.render(photo, painted.named(name))
        style = StyleFile.of(painter.bank, name, to_pil(step.image), Credit(author, licence))
        grams = kept_grams(name, network or PAINTER, painter.bank)
        dataclasses.replace(style, grams=grams).save(file)
        if grams is None:
            say(_unrefined(name))
        if not licence and name not in painter.bank.credits:
            say("note: the file states no licence; nobody may pass it on (--licence)")
        emit(file)


@styles.command()
def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A .impasto file, or hf://user/repository/file, or hf://user/repository@revision/file.",
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call it, if not as the file says.")] = "",
    network: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The network it belongs to, if not the own.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of a style of that name.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Take a style from a file or from the hub into your own, and print its name.

    impasto styles add harbour.impasto
    impasto styles add hf://user/styles/harbour.impasto --name port
    impasto styles add hf://user/styles@v1/harbour.impasto --replace
    impasto stylize photo.jpg --style port --method fast
    """
    with reporting(debug):
        from impasto.home import own_bank
        from impasto.networks.header import known_grams, learned_styles, network_header
        from impasto.networks.style_bank import own_styles
        from impasto.networks.style_file import StyleFile, locate

        found = StyleFile.load(locate(source))
        known = network_header(network or "painter").network
        called = name or found.name
        if called in {each.name for each in learned_styles(network or "painter")} and not replace:
            raise ImpastoError(
                f"a style is called {called} already; choose another --name, or add --replace"
            )
        found.joined(own_styles(known), called).save(own_bank())
        said = [found.note, found.credit.author, found.credit.licence or "no licence stated"]
        say(printable("; ".join(each for each in said if each)))
        if called not in known_grams(network or "painter"):
            say(_unrefined(called))
        print(called, flush=True)


def _unrefined(name: str) -> str:
    return (
        f"note: {name} cannot be refined, its Gram matrices are not kept; whoever has the painting can "
        f"learn it again: impasto learn PAINTING --name {name} --replace"
    )
