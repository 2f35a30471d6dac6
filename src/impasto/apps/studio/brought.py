"""What a visitor brought: the photo, paintings and styles, a region painted over; and what is chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from impasto.apps.studio.album import Album, Choice
from impasto.apps.studio.borrowed import BORROWED, Borrowed
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.limits import Limits, Upload, open_upload
from impasto.apps.studio.look import PREVIEW, THUMBNAIL, data_url
from impasto.apps.studio.orders import Order
from impasto.apps.studio.region import Region
from impasto.errors import ImpastoError
from impasto.sizes import size as size_of

__all__ = ["Brought", "Painting"]

_PAINTINGS = 12
_PART = 0.05  # of each side of a photo, that a part of it must have


@dataclass(frozen=True, eq=False)
class Painting:
    """A painting of the visitor's own, or a style from a file; `thumb`: a data URL."""

    upload: Upload | Borrowed
    thumb: str


@dataclass(eq=False)
class Brought(Album):
    """What there is to paint, and in what.

    `photo`: what is painted, of the `whole` that was brought. `before`: the photo as a data URL.
    `paintings`: those dropped, by key. `chosen`: keys of the styles to paint with, in order.
    `tried`: the photo in every style, small, by name. `region`: what is painted over the photo.
    """

    limits: Limits
    photo: Upload | None = None
    whole: Upload | None = None
    before: str = ""
    paintings: dict[str, Painting] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    tried: dict[str, Image.Image] = field(default_factory=dict)
    region: Region | None = None
    _dropped: int = 0

    @property
    def keys(self) -> list[str]:
        """All styles that are painted with: those chosen, and the region's."""
        return list(Choice(tuple(self.chosen), region=self.region).keys)

    def take_photo(self, file: Path) -> Upload:
        """Open a file that was uploaded as the photo."""
        return self.use_photo(self._opened(file))

    def use_photo(self, photo: Upload) -> Upload:
        """Paint this one from now on."""
        self.whole = photo
        return self._use(photo)

    def crop(self, box: object) -> Upload:
        """Paint a part of the photo: `box` is its left, top, right and bottom edge, as shares of the
        sides, or None for the whole that was brought. `ImpastoError` for what is no such part.
        """
        if self.photo is None or self.whole is None:
            raise ImpastoError("drop a photo first, or take a sample")
        if box is None:
            return self._use(self.whole)
        edges = box if isinstance(box, list) and len(box) == 4 else []
        if not edges or not all(isinstance(edge, int | float) for edge in edges):
            raise ImpastoError("mark a part of the photo by its four edges")
        left, top, right, bottom = (min(1.0, max(0.0, float(edge))) for edge in edges)
        if not (right - left >= _PART and bottom - top >= _PART):
            raise ImpastoError("this part is too small; mark a larger one")
        width, height = self.photo.image.size
        pixels = (
            round(left * width),
            round(top * height),
            round(right * width),
            round(bottom * height),
        )
        image = self.photo.image.crop(pixels)
        lease = None if self.budget is None else self.budget.lease(4 * image.width * image.height)
        # No longer what its file's digest says.
        return self._use(replace(self.photo, image=image, sha256="", lease=lease))

    def _use(self, photo: Upload) -> Upload:
        self.photo, self.before, self.tried = photo, data_url(photo.image, PREVIEW), {}
        self.region = None  # it was painted over another picture
        return photo

    def _opened(self, file: Path) -> Upload:
        """The picture in a file, which nobody needs any more if it was sent to the studio."""
        try:
            return open_upload(file, self.limits, budget=self.budget)
        finally:
            if file.is_relative_to(self.folder.parent):
                file.unlink(missing_ok=True)

    def take_region(self, file: Path, style: str, photo_stays: bool) -> None:
        """Paint a part of the photo in a style of its own; see `Region`. With no style chosen, the
        region's is.
        """
        drawn = self._opened(file)
        if self.photo is None:
            raise ImpastoError("drop a photo first, or take a sample")
        self.region = Region.of(drawn, self.photo, style, photo_stays, self.budget)
        self.chosen = self.chosen or [style] * bool(style)

    def take_painting(self, file: Path, engine: Engine | None = None) -> str:
        """Open a file that was uploaded as a style, a picture or, for an engine, a style's own
        file; its key.
        """
        if len(self.paintings) >= _PAINTINGS:
            raise ImpastoError(
                f"this visit has {_PAINTINGS} paintings already; remove one of them first"
            )
        if engine is None or file.suffix != BORROWED:
            upload: Upload | Borrowed = self._opened(file)
        else:
            upload = self._borrowed(file, engine)
        self._dropped += 1
        key = f"own-{self._dropped}"
        self.paintings[key] = Painting(upload, data_url(upload.image, THUMBNAIL))
        return key

    def _borrowed(self, file: Path, engine: Engine) -> Borrowed:
        try:
            named = [
                painting.upload.name
                for painting in self.paintings.values()
                if isinstance(painting.upload, Borrowed)
            ]
            return engine.borrow(file, named)
        finally:
            file.unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Let a painting of the visitor's own go; pictures made with it stay."""
        if self.paintings.pop(key, None) is not None:
            self.chosen = [each for each in self.chosen if each != key]
            if self.region is not None and self.region.style == key:
                self.region = None

    def take(self, photo: object, styles: Sequence[object]) -> tuple[str, ...]:
        """Open what a client sent, files as Gradio describes them; the keys of the styles, which
        may be names.
        """

        def file(sent: object) -> Path:
            return self.received(
                {"paths": [sent["path"]]} if isinstance(sent, dict) and "path" in sent else {}
            )[0]

        self.take_photo(file(photo))
        return tuple(
            style if isinstance(style, str) else self.take_painting(file(style)) for style in styles
        )

    def received(self, sent: Mapping[str, Any]) -> list[Path]:
        """The files that a place to drop them sent; `ImpastoError` if they did not arrive, and for
        any other path.
        """
        if "bytes" in sent:
            most = self.limits.upload_bytes / 1e6
            raise ImpastoError(
                f"this file has {float(sent['bytes']) / 1e6:.0f} MB; the studio takes up to {most:.0f}"
            )
        root = self.folder.parent
        paths = [Path(str(path)).resolve() for path in sent.get("paths", [])]
        if not paths or not all(path.is_relative_to(root) and path.is_file() for path in paths):
            raise ImpastoError("the file did not arrive; try again")
        return paths

    def choose(self, keys: list[str], *, mix: bool) -> None:
        """Paint with these; when mixing, with these besides those chosen, and no longer with those
        chosen twice.
        """
        if not mix:
            self.chosen = keys[-1:]
            return
        wanted = [key for key in self.chosen if key not in keys or len(self.chosen) == 1]
        wanted += [key for key in keys if key not in self.chosen]
        if len(wanted) > self.limits.styles:
            raise ImpastoError(
                f"the studio mixes up to {self.limits.styles} styles; press one of them to let it go"
            )
        self.chosen = wanted

    def _order(self, choice: Choice, refine: int) -> Order:
        if self.photo is None:
            raise ImpastoError("drop a photo first, or take a sample")
        keys, masks = choice.styles, None
        if choice.region is not None:
            keys, masks = choice.region.placed(keys)
        styles = tuple(self.paintings[key].upload if key in self.paintings else key for key in keys)
        return Order(self.photo, styles, choice.settings.but(refine=refine), masks=masks)

    def large(self, asked: str) -> Order:
        """The picture looked at as a poster, in one pass; `asked`: a size as `impasto.sizes` has it.

        `ImpastoError` where there is none, or it is of another photo than the one there is.
        """
        picture, photo = self.current, self.photo
        if picture is None or photo is None:
            raise ImpastoError("there is no picture yet; make one first")
        if picture.before != self.before:
            raise ImpastoError(
                "this picture is of another photo; look at one of the photo that is there"
            )
        size = size_of(asked)
        pixels = size.long_side(photo.image.height, photo.image.width)
        order = self._order(
            replace(picture.choice, settings=picture.choice.settings.but(size=pixels)), 0
        )
        return replace(order, aside=True, poster=True, dpi=size.dpi)
