"""A picture that knows how it was made, and says so in whatever file it is saved."""

import json
import os
from collections.abc import Mapping
from typing import IO, Any

from PIL import Image

from impasto.pictures.recipes import recipe_options

__all__ = ["PaintedImage"]

_KEY = "impasto"
_FORMATS = ("AVIF", "JPEG", "PNG", "TIFF", "WEBP")


class PaintedImage(Image.Image):
    """A PIL image with the recipe by which it was made, and what it keeps of its photo's EXIF.

    `save` writes both into PNG, JPEG, WebP, TIFF and AVIF; so does `save_picture`. A copy and a
    conversion to another mode keep them, a picture made of it by anything else (`resize`, `crop`)
    is a plain one. It pickles.
    """

    @classmethod
    def of(
        cls, image: Image.Image, recipe: Mapping[str, object] | None, exif: bytes = b""
    ) -> "PaintedImage":
        """The pixels of `image` with a JSON-able recipe, or none, and an EXIF block (`read_exif`)."""
        found = cls()
        found.__setstate__([{}, *image.__getstate__()[1:]])
        if recipe is not None:
            found.info[_KEY] = json.dumps(dict(recipe))
        if exif:
            found.info["exif"] = exif
        return found

    @property
    def recipe(self) -> dict[str, object] | None:
        """How it was made, or None where that was not to be told."""
        return json.loads(self.info[_KEY]) if _KEY in self.info else None

    @property
    def exif(self) -> bytes:
        """What it keeps of its photo's EXIF, as a block; empty for nothing."""
        return bytes(self.info.get("exif", b""))

    def copy(self) -> "PaintedImage":
        """The same once more."""
        return self.of(super().copy(), self.recipe, self.exif)

    def convert(self, *args: Any, **options: Any) -> "PaintedImage":
        """As `PIL.Image.Image.convert`."""
        return self.of(super().convert(*args, **options), self.recipe, self.exif)

    def save(
        self,
        fp: str | bytes | os.PathLike[str] | os.PathLike[bytes] | IO[bytes],
        format: str | None = None,
        **params: Any,
    ) -> None:
        """As `PIL.Image.Image.save`, with the recipe and the EXIF; `pnginfo` and `exif` of one's own
        go before them.
        """
        form = format
        if form is None:
            name = fp if isinstance(fp, str | bytes | os.PathLike) else getattr(fp, "name", "")
            ending = os.path.splitext(os.fsdecode(name) if name else "")[1].lower()
            form = Image.registered_extensions().get(ending, "")
        if form.upper() in _FORMATS:
            params = recipe_options(form.upper(), self.recipe, self.exif) | params
        super().save(fp, format, **params)
