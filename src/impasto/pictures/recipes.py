"""Recipes in files: how a picture or a sheet was made, as JSON in PNG iTXt, EXIF or a PDF's subject."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import PngImagePlugin

from impasto.errors import OptionError
from impasto.pictures.exif import sifted, tags
from impasto.pictures.files import check_file, opened, unwarned

__all__ = ["parsed", "read_recipe", "recipe_options", "recipe_text"]

_MAX_RECIPE = 60_000  # characters
_MAX_EXIF = 65_533  # bytes of an EXIF block in a JPEG
# Of TIFF/EP: what has been done to the picture; the description is the photo's.
_IMAGE_HISTORY = 0x9213
_IMAGE_DESCRIPTION = 0x010E  # where recipes stood before
_KEY = "impasto"


def recipe_text(recipe: Mapping[str, object]) -> str:
    """A JSON-able `recipe` as a text for a place that is shared with others, such as EXIF
    ImageHistory.

    `OptionError` for what cannot be written as JSON, or is too long.
    """
    return _json({_KEY: dict(recipe)})


def recipe_options(
    form: str, recipe: Mapping[str, object] | None, exif: bytes = b""
) -> dict[str, Any]:
    """Pillow's `save` options that embed a JSON-able `recipe`: PNG iTXt, otherwise EXIF
    ImageHistory; and the EXIF block of a photo (`read_exif`).
    """
    options: dict[str, Any] = {}
    if form == "PNG":
        if recipe is not None:
            info = PngImagePlugin.PngInfo()
            info.add_itxt(_KEY, _json(dict(recipe)))
            options["pnginfo"] = info
        return options | ({"exif": exif} if exif else {})
    # A JPEG has room for so much; what is the photo's goes before what is not written at all.
    for kept in (exif, sifted(exif, "credit"), b""):
        block = tags(kept, form)
        if recipe is not None:
            block[_IMAGE_HISTORY] = recipe_text(recipe)
        if form != "JPEG" or len(block.tobytes()) <= _MAX_EXIF:
            break
    if len(block):
        options["exif"] = block if form == "TIFF" else block.tobytes()
    return options


def _json(value: Mapping[str, object]) -> str:
    try:
        # Pure ASCII: EXIF texts have no other reliable encoding, and JSON escapes carry all of
        # Unicode.
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as err:
        raise OptionError(
            f"the recipe cannot be written as JSON ({err}); use plain numbers and texts"
        ) from err
    if len(text) > _MAX_RECIPE:
        raise OptionError(f"the recipe is {len(text)} characters long; keep it below {_MAX_RECIPE}")
    return text


def read_recipe(path: str | os.PathLike[str]) -> dict[str, object] | None:
    """The recipe that is in a picture or a sheet of this package, in any of its formats; None if
    there is none.

    The file is anyone's: what is too long, not JSON or not ours counts as no recipe. The pixels are
    not decoded. Raises `InputError` if the file is neither a picture nor a PDF.
    """
    path = Path(path)
    if path.suffix.lower() == ".pdf":
        check_file(path)
        return parsed(_pdf_subject(path))
    with opened(path) as image:
        try:
            if image.format == "PNG":
                return _mapping(image.info.get(_KEY))
            with unwarned():
                exif = image.getexif()
                places = [exif.get(tag) for tag in (_IMAGE_HISTORY, _IMAGE_DESCRIPTION)]
                comment = image.info.get("comment") if image.format == "GIF" else None
            places += [comment.decode("latin-1")] if isinstance(comment, bytes) else []
        except Exception:  # metadata written by others may be broken in any way
            return None
        recipes = (parsed(found) for found in places)
        return next((recipe for recipe in recipes if recipe is not None), None)


def _pdf_subject(path: Path) -> str | None:
    from PIL import PdfParser

    try:
        with path.open("rb") as file, PdfParser.PdfParser(f=file) as pdf:
            subject = pdf.info.Subject  # its bytes are decoded for attributes only
        return subject if isinstance(subject, str) else None
    except Exception:  # a PDF of others may be broken in any way, or none
        return None


def parsed(text: object) -> dict[str, object] | None:
    """What `recipe_text` gave; None for anything else."""
    recipe = (_mapping(text) or {}).get(_KEY)
    return recipe if isinstance(recipe, dict) else None


def _mapping(found: object) -> dict[str, object] | None:
    if not isinstance(found, str) or len(found) > _MAX_RECIPE:
        return None
    try:
        recipe = json.loads(found, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return recipe if isinstance(recipe, dict) else None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
