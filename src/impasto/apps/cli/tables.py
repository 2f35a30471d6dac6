"""What there is to choose from: styles, presets, layers."""

import sys
from importlib import metadata
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from impasto.apps.report import emit, printable, say
from impasto.home import own_bank
from impasto.losses.presets import PRESETS, Preset
from impasto.networks.header import foreign_styles, learned_styles
from impasto.pictures.samples import STYLES, sample_names, sample_style

__all__ = ["how", "layers", "presets", "save_styles", "styles"]

# Where stdout is no terminal, wide enough to wrap nothing.
_WIDE = 400
_STARTS = {"content": "the photo", "noise": "noise", "pass": "a one-pass picture"}


def _print(table: Table) -> None:
    """On a terminal fitted to it; elsewhere a line a row, none wrapped."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    wide, table.leading = (
        Console(highlight=False, no_color=True, force_terminal=False, width=_WIDE),
        0,
    )
    with wide.capture() as text:
        wide.print(table)
    print("\n".join(line.rstrip() for line in text.get().splitlines()))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    return table


def styles() -> None:
    """Print the sample styles with what they show, the names of the sample photos, and the learned
    styles.
    """
    table = _table("style", "what it is")
    for name, note in STYLES.items():
        table.add_row(name, note)
    _print(table)
    print(f"\nphotos: {', '.join(sample_names())}")
    found = learned_styles()
    if foreign := foreign_styles():
        where = printable(", ".join(foreign))
        say(
            f"note: {where} in {own_bank()}: learned for another network, not usable with the embedded one"
        )
    if found:
        print("\nlearned, for --method fast:")
        table = _table("style", "what it is")
        for each in found:
            # As `Text`: what stands in a file is no markup.
            note = f"{each.note} (yours)".lstrip() if each.own else each.note
            table.add_row(Text(printable(each.name)), Text(printable(note)))
        _print(table)


def save_styles(folder: Path, size: int, photo: str) -> None:
    """Save every sample style as `FOLDER/NAME.png`, `size` pixels square, and print the paths.

    And paint the sample `photo` in every learned style, as `FOLDER/NAME-painted.png`, `size` pixels
    on its long side.
    """
    from impasto.pictures.image import check_output, open_picture, resize, save_picture
    from impasto.pictures.writing import make_folder

    make_folder(folder)
    paths = [check_output(folder / f"{name}.png") for name in STYLES]
    drawn = {"impasto": metadata.version("impasto"), "size": size}
    for name, path in zip(STYLES, paths, strict=True):
        plate = resize(open_picture(sample_style(name)).image, (size, size))
        emit(save_picture(path, plate, recipe=drawn | {"plate": name}))
    _paint_learned(folder, size, photo)


def _paint_learned(folder: Path, size: int, photo: str) -> None:
    from impasto.networks.checkpoint import load_network
    from impasto.networks.loaded import Networks
    from impasto.networks.style_bank import check_name
    from impasto.pipeline import plan

    painter, foreign = load_network().knowing_own()
    if foreign:
        say(f"note: the styles in {own_bank()} were learned for another network and are left out")
    networks = Networks()
    for style in painter.bank.names:
        job = plan(photo, [style], method="fast", size=size, networks=networks)
        (step,) = job.steps()
        emit(job.save(step, folder / f"{check_name(style)}-painted.png"))


def presets() -> None:
    """Print the presets, each in a few lines that fit 80 columns: its source, layers of VGG-19 with
    their weights and scales, the start, the optimiser.
    """
    print("\n\n".join(_preset(name, preset) for name, preset in PRESETS.items()))


def _preset(name: str, preset: Preset) -> str:
    said = {
        "source": preset.source,
        "content": f"{preset.content_weight:g} x {_layers(preset.content_layers)} ({preset.content_scale})",
        "style": f"{preset.style_weight:g} x {_layers(preset.style_layers)} ({preset.style_scale})",
        "how": how(preset),
    }
    lines = [name]
    for head, text in said.items():
        lines += wrap(
            text,
            78,
            initial_indent=f"  {head:<9}",
            subsequent_indent=" " * 11,
            break_long_words=False,
        )
    return "\n".join(lines)


def _layers(layers: tuple[str, ...]) -> str:
    return " ".join(layers)


def how(preset: Preset) -> str:
    """Its start, its optimiser with what that is told, its pooling and its total variation."""
    said = [f"from {_STARTS[preset.init]}", f"{preset.steps} steps of {preset.optimizer}"]
    if preset.optimizer != "lbfgs":
        said[-1] += f" at {preset.learning_rate:.3g}"
    if preset.decay not in (None, 1.0) and preset.optimizer != "lbfgs":
        said.append(f"times {preset.decay:g} every 100")
    if preset.optimizer == "adam" and preset.betas != (0.9, 0.999):
        said.append(f"betas {preset.betas[0]:g} {preset.betas[1]:g}")
    if preset.epsilon > 1e-6:
        said.append(f"epsilon {preset.epsilon:g}")
    said += ["coarse to fine"] * preset.pyramid + ["average pooling"] * (
        preset.pooling == "average"
    )
    said += ["unclipped"] * (not preset.clipped)
    if preset.tv_weight:
        said.append(f"variation {preset.tv_weight:.3g} ({preset.tv_scale})")
    again = f"; {preset.steps_afresh} from any other start" if preset.steps_afresh else ""
    return ", ".join(said) + again


def layers(encoder: str) -> None:
    """Print an encoder's layers, in order of computation, with their channels."""
    from impasto.networks.encoder import VGG19
    from impasto.networks.weights import load_encoder

    # VGG-19's layers are known without its weights, which would have to be fetched.
    architecture = VGG19 if encoder == "vgg19" else load_encoder(encoder, device="cpu").architecture
    table = _table("layer", "channels")
    for layer, channels in architecture.widths.items():
        table.add_row(layer, str(channels))
    _print(table)
