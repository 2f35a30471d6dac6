"""What there is to choose from: styles, presets, layers."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from impasto.apps.report import emit
from impasto.errors import ImpastoError
from impasto.plates import describe, draw, names
from impasto.presets import PRESETS, Preset
from impasto.samples import sample_names

__all__ = ["layers", "presets", "save_styles", "styles"]

# Where stdout is no terminal, wide enough to wrap nothing.
_WIDE = 400


def _print(table: Table) -> None:
    """On a terminal fitted to it; elsewhere a line a row, none wrapped."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    wide, table.leading = Console(highlight=False, no_color=True, force_terminal=False, width=_WIDE), 0
    with wide.capture() as text:
        wide.print(table)
    print("\n".join(line.rstrip() for line in text.get().splitlines()))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    return table


def styles() -> None:
    """Print the sample styles with what they show, and the names of the sample photos."""
    table = _table("style", "what it is")
    for name in names():
        table.add_row(name, describe(name))
    _print(table)
    print(f"\nphotos: {', '.join(sample_names())}")


def save_styles(folder: Path, size: int) -> None:
    """Draw every sample style as `FOLDER/NAME.png`, `size` pixels square, and print the paths."""
    from impasto.image import check_output, open_picture, save_picture

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImpastoError(f"cannot make the folder {folder} ({error.strerror}); choose another") from error
    paths = [check_output(folder / f"{name}.png") for name in names()]
    for name, path in zip(names(), paths, strict=True):
        emit(save_picture(path, open_picture(draw(name, size)).image))


def presets() -> None:
    """Print the presets: layers with their weights and scales, the start, the optimiser, the source."""
    table = _table("preset", "content", "style", "how", "source")
    for name, preset in PRESETS.items():
        table.add_row(name, *_preset(preset))
    table.leading = 1
    _print(table)


def _preset(preset: Preset) -> tuple[str, str, str, str]:
    sizes = ", coarse to fine" if preset.pyramid else ""
    variation = f", variation {preset.tv_weight:g} ({preset.tv_scale})" if preset.tv_weight else ""
    return (
        f"{preset.content_weight:g} x {' '.join(preset.content_layers)} ({preset.content_scale})",
        f"{preset.style_weight:g} x {' '.join(preset.style_layers)} ({preset.style_scale})",
        f"from {preset.init}, {preset.steps} steps of {preset.optimizer}{sizes}{variation}",
        preset.source,
    )


def layers(encoder: str) -> None:
    """Print an encoder's layers, in order of computation, with their channels."""
    from impasto.nets.encoder import VGG19
    from impasto.nets.weights import load_encoder

    # VGG-19's layers are known without its weights, which would have to be fetched.
    architecture = VGG19 if encoder == "vgg19" else load_encoder(encoder, device="cpu").architecture
    table = _table("layer", "channels")
    for layer, channels in architecture.widths.items():
        table.add_row(layer, str(channels))
    _print(table)
