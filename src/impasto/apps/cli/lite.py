"""`impasto stylize --engine onnx`: from the line to the file without PyTorch."""

import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from impasto.apps.cli.names import free_name, same_file
from impasto.apps.report import emit, say
from impasto.errors import InputError, OptionError
from impasto.lite import paint
from impasto.pictures.recipes import recipe_options
from impasto.pictures.writing import FORMATS, atomic_write, check_output, format_options
from impasto.settings import Settings

__all__ = ["render"]

_QUALITY = 95


def render(
    content: str, styles: Sequence[str], settings: Settings, output: Path | None, *, quiet: bool
) -> None:
    """Make the picture and print its path on stdout. Raises `ImpastoError`, nothing written."""
    begun = time.perf_counter()
    path = check_output(output or free_name(content, styles))
    for name in (content, *styles, settings.network):
        if Path(name).is_file() and same_file(Path(name), path):
            raise OptionError(f"{path} is an input and would be written over; choose another -o")
    painted = paint(content, styles, settings)
    picture, form = painted.image, FORMATS[path.suffix.lower()]
    notes = list(painted.notes)
    if form == "JPEG" and picture.mode == "RGBA":
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
        notes.append("JPEG has no transparency: flattened on white")
    options = format_options(form, _QUALITY) | recipe_options(form, painted.recipe)
    try:
        with atomic_write(path) as partial, open(partial, "xb") as file:
            picture.save(file, format=form, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot save {path} ({error}); check the disk or try .png") from error
    if not quiet:
        for note in notes:
            say(f"note: {note}")
        say(f"1 step in {time.perf_counter() - begun:.1f} s")
    emit(path)
