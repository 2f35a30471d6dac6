"""`impasto export`: networks as files that other programs run. Anything heavy is imported by the
command that needs it.
"""

from pathlib import Path
from typing import Annotated

import typer

from impasto.apps.cli.options import Debug, Quiet
from impasto.apps.report import emit, reporting, say

__all__ = ["export", "register"]

export = typer.Typer(
    help="Write networks as files that other programs run.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(export, name="export")


@export.callback()
def exported() -> None:
    """Write networks as files that other programs run."""


@export.command()
def onnx(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Gets the files.")],
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Also a file of its own for this learned style; may be given several times.",
        ),
    ] = None,
    network: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of impasto train, if not the embedded one.")
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Weights as float16: files of half the size.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a network as ONNX files: painter.onnx, reader.onnx and NAME.onnx for learned styles.

    The painter takes photo (1, 3, H, W) in [0, 1] and vector (1, V); the reader makes the vector of
    a picture; a style's file takes a photo alone. H and W are free. Each file is compared with
    PyTorch before it is kept.

    impasto export onnx models
    impasto export onnx models --style starry-night --half
    """
    with reporting(debug):
        import torch

        from impasto.export import onnx as made
        from impasto.networks.checkpoint import PAINTER, load_network
        from impasto.networks.weights import load_encoder
        from impasto.pictures.writing import make_folder

        painter, _ = load_network(
            network or PAINTER, device="cpu", dtype=torch.float32
        ).knowing_own()
        vectors = {name: painter.bank.vector(name) for name in style or ()}
        make_folder(folder)
        model = made.painter_model(painter)
        models = {"painter": model}
        models |= {name: made.style_model(model, name, each) for name, each in vectors.items()}
        encoder = None
        if painter.predictor is not None:
            encoder = load_encoder(painter.encoder, device="cpu", dtype=torch.float32)
            models["reader"] = made.reader_model(painter, encoder)
        if half:
            models = {name: made.halved(each) for name, each in models.items()}
        for name, each in models.items():
            apart = made.difference(each, painter, encoder)
            if not quiet:
                say(f"{name}.onnx: at most {apart:.1e} from PyTorch")
            emit(made.save_model(each, folder / f"{name}.onnx"))


@export.command()
def web(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Becomes the site.")],
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="An unpacked npm package onnxruntime-web, if it is not to be downloaded.",
        ),
    ] = None,
    network: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of impasto train, if not the embedded one.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a static page that paints in its visitors' own browsers; no picture leaves them.

    Any web server can serve the folder. The page knows the learned styles, and reads a painting of
    the visitor's own. ONNX Runtime's files come from the npm registry that npm is set to, once, now.

    impasto export web site
    impasto export web site --runtime node_modules/onnxruntime-web
    """
    with reporting(debug):
        import torch

        from impasto.export import onnx as made
        from impasto.export.runtime import VERSION, registry, runtime_files
        from impasto.export.web import check_site, write_site
        from impasto.networks.checkpoint import PAINTER, load_network
        from impasto.networks.weights import load_encoder

        check_site(folder)
        painter, _ = load_network(
            network or PAINTER, device="cpu", dtype=torch.float32
        ).knowing_own()
        encoder = None
        if painter.predictor is not None:
            encoder = load_encoder(painter.encoder, device="cpu", dtype=torch.float32)
        if network is None:
            models = made.embedded_models(painter)
        else:
            models = {"painter": made.painter_model(painter)}
            if encoder is not None:
                models["reader"] = made.reader_model(painter, encoder)
        coded = {}
        for name, each in models.items():
            half = made.halved(made.few_outputs(each))
            apart = made.difference(half, painter, encoder)
            if not quiet:
                say(f"{name}: at most {apart:.1e} from PyTorch")
            coded[name] = half.SerializeToString(deterministic=True)
        if runtime is None and not quiet:
            say(f"onnxruntime-web {VERSION} (47 MB unpacked) from {registry()}")
        write_site(folder, painter, coded, runtime_files(runtime))
        emit(folder)
