"""What there is to choose from: styles, presets, layers."""

import json
import sys
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text
from safetensors import SafetensorError, safe_open

from impasto.apps.report import emit, printable, say
from impasto.errors import ImpastoError
from impasto.home import own_bank
from impasto.plates import describe, draw, names
from impasto.presets import PRESETS, Preset
from impasto.samples import sample, sample_names

__all__ = ["Learned", "layers", "learned_styles", "presets", "save_styles", "styles"]

# Where stdout is no terminal, wide enough to wrap nothing.
_WIDE = 400
# How the default goes where nothing is said of its start or its steps. The number is `PASS_STEPS`, behind torch.
_LEFT_ALONE = {"impasto": "; left alone, 90 from one pass"}


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


class Learned(NamedTuple):
    """A style that a network has learned: the embedded one, or in the user's `own` bank."""

    name: str
    note: str
    own: bool


def learned_styles() -> list[Learned]:
    """The styles of the embedded painter and, in place of one of the same name or beside, of the user's own bank.

    Nothing is read but the files' headers, and torch is not loaded: a list should be there at once. Raises
    `ImpastoError` for a bank that cannot be read.
    """
    found: dict[str, Learned] = {}
    for path, own in ((_assets() / "painter.safetensors", False), (own_bank(), True)):
        if path.is_file():
            found |= {name: Learned(name, note, own) for name, note in _header(path).items()}
    return [found[name] for name in sorted(found)]


def _assets() -> Path:
    return Path(str(resources.files("impasto") / "assets"))


def _header(path: Path) -> dict[str, str]:
    """The names of the styles in a bank or a painter, and their notes."""
    try:
        with safe_open(str(path), framework="np") as file:
            keys, header = list(file.keys()), file.metadata() or {}
        notes = json.loads(header.get("notes", "{}"))
        styles = [key.removeprefix("style.") for key in keys if key.startswith("style.")]
        return {name: str(notes.get(name, "")) for name in styles}
    except (SafetensorError, OSError, ValueError, AttributeError) as error:
        raise ImpastoError(f"{path} is not a file of styles that can be read ({error}); move it away") from None


def styles() -> None:
    """Print the sample styles with what they show, the names of the sample photos, and the learned styles."""
    table = _table("style", "what it is")
    for name in names():
        table.add_row(name, describe(name))
    _print(table)
    print(f"\nphotos: {', '.join(sample_names())}")
    found = learned_styles()
    if found:
        print("\nlearned, for --method fast:")
        table = _table("style", "what it is")
        for each in found:
            # As `Text`: what stands in a file is no markup.
            note = f"{each.note} (yours)".lstrip() if each.own else each.note
            table.add_row(Text(printable(each.name)), Text(printable(note)))
        _print(table)


def save_styles(folder: Path, size: int, photo: str) -> None:
    """Draw every sample style as `FOLDER/NAME.png`, `size` pixels square, and print the paths.

    And paint the sample `photo` in every learned style, as `FOLDER/NAME-painted.png`, `size` pixels on its long side.
    """
    from impasto.image import check_output, open_picture, save_picture

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImpastoError(f"cannot make the folder {folder} ({error.strerror}); choose another") from error
    paths = [check_output(folder / f"{name}.png") for name in names()]
    for name, path in zip(names(), paths, strict=True):
        emit(save_picture(path, open_picture(draw(name, size)).image))
    _paint_learned(folder, size, photo)


def _paint_learned(folder: Path, size: int, name: str) -> None:
    from impasto.image import open_picture, resize, save_picture
    from impasto.nets.bank import check_name
    from impasto.nets.painter import load_painter
    from impasto.stylizers.feedforward import FeedForward

    painter, foreign = load_painter().knowing_own()
    if foreign:
        say(f"note: the styles in {own_bank()} were learned for another network and are left out")
    stylizer = FeedForward(painter)
    photo = open_picture(sample(name)).image
    scale = size / max(photo.shape[-2:])
    photo = resize(photo, (round(photo.shape[-2] * scale), round(photo.shape[-1] * scale)))
    for style in painter.bank.names:
        (step,) = stylizer.render(photo, stylizer.named(style))
        emit(save_picture(folder / f"{check_name(style)}-painted.png", step.image))


def presets() -> None:
    """Print the presets: layers with their weights and scales, the start, the optimiser, the source."""
    table = _table("preset", "content", "style", "how", "source")
    for name, preset in PRESETS.items():
        table.add_row(name, *_preset(name, preset))
    table.leading = 1
    _print(table)


def _preset(name: str, preset: Preset) -> tuple[str, str, str, str]:
    sizes = ", coarse to fine" if preset.pyramid else ""
    variation = f", variation {preset.tv_weight:g} ({preset.tv_scale})" if preset.tv_weight else ""
    return (
        f"{preset.content_weight:g} x {' '.join(preset.content_layers)} ({preset.content_scale})",
        f"{preset.style_weight:g} x {' '.join(preset.style_layers)} ({preset.style_scale})",
        f"from {preset.init}, {preset.steps} steps of {preset.optimizer}{sizes}{variation}{_LEFT_ALONE.get(name, '')}",
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
