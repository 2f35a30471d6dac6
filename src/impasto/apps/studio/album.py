"""What a visit has made: pictures with all their pixels, to look back at and to take home."""

import re
import secrets
import shutil
import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from PIL import Image, ImageDraw, ImageFont

from impasto.apps.studio.budget import Budget, Lease
from impasto.apps.studio.look import PREVIEW, THUMBNAIL, data_url
from impasto.apps.studio.orders import USUAL, Glimpse, Order
from impasto.apps.studio.region import Region
from impasto.errors import ImpastoError
from impasto.pictures.recipes import recipe_options
from impasto.settings import Settings

__all__ = ["FORMS", "LIVE", "Album", "AlbumPicture", "Choice", "contact_sheet", "named_after"]

FORMS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "PNG": (".png", {}),
    "JPEG": (".jpg", {"quality": 95, "subsampling": 0}),
    "WebP": (".webp", {"quality": 92, "method": 4}),
}
"""What a picture can be saved as: suffix, and Pillow's options."""

LIVE = 3  # pictures under way that can still be saved: the page may show the last but one
_ROW = 5  # pictures in a row of a sheet
_PICTURES = 24  # of one visit that are kept; the oldest go


@dataclass(frozen=True)
class Choice:
    """How a picture is to be made; `styles` are names of styles or keys of the visit's own
    paintings. `region`: a part with a style of its own.
    """

    styles: tuple[str, ...] = ()
    settings: Settings = USUAL
    region: Region | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """All styles that are painted with."""
        return self.styles if self.region is None else self.region.keys(self.styles)

    @classmethod
    def read(
        cls, styles: Sequence[str], controls: Sequence[Any], region: Region | None = None
    ) -> Self:
        """From the values of the page's controls, as `controls` gives them."""
        strength, scale, keep_color, size, *weights = controls
        several = (
            tuple(weight / 100 for weight in weights[: len(styles)]) if len(styles) > 1 else None
        )
        settings = Settings(
            blend=several,
            strength=strength / 100,
            style_scale=scale / 100,
            keep_color=keep_color,
            size=size,
        )
        return cls(tuple(styles), settings, region)

    def controls(self, most: int) -> list[Any]:
        """The values of the page's controls: strength and stroke size in percent, colours, size,
        `most` weights.
        """
        said = self.settings
        weights = [*(round(100 * weight) for weight in said.blend or ()), *[50] * most][:most]
        return [
            round(100 * said.strength),
            round(100 * said.style_scale),
            said.keep_color,
            said.size,
            *weights,
        ]


@dataclass(frozen=True, eq=False)
class AlbumPicture:
    """A picture made in this visit: its `file` with all its pixels and its recipe, and how it came
    about.

    `before`, `after`: the photo and the picture as data URLs, to be looked at; `thumb`: the
    picture, small. `name`: what a copy of the file is to be called, without suffix. `lease`:
    what all this has of the studio's memory.
    """

    file: Path
    choice: Choice
    refined: bool
    before: str
    after: str
    thumb: str
    size: tuple[int, int]
    name: str = "picture"
    recipe: Mapping[str, Any] | None = None
    lease: Lease | None = None


@dataclass(eq=False)
class Album:
    """The pictures made in a visit.

    `folder`: its own, of a name that nobody can guess. `history`: the pictures, by key, oldest
    first. `shown`: the key of the one looked at. `budget`: what all of it counts in.
    """

    folder: Path
    _: KW_ONLY
    history: dict[str, AlbumPicture] = field(default_factory=dict)
    shown: str = ""
    budget: Budget | None = None
    _live: dict[str, tuple[Image.Image, str]] = field(default_factory=dict)
    _naming: str = "picture"
    _out: Lease | None = None

    def _album_picture(
        self, glimpse: Glimpse, choice: Choice, before: str, order: Order, lease: Lease | None
    ) -> AlbumPicture:
        image = glimpse.image
        assert image is not None
        file = self.folder / f"impasto-{secrets.token_hex(3)}.png"
        # Not `save_picture`, which brings torch, and the page can be opened before that is there.
        image.save(file, **recipe_options("PNG", glimpse.recipe))
        after, thumb = data_url(image, PREVIEW), data_url(image, THUMBNAIL)
        if lease is not None:
            lease.settle(file.stat().st_size + len(before) + len(after) + len(thumb))
        refined, recipe = order.settings.refine > 0, glimpse.recipe
        name = named_after(order) + "-refined" * refined
        return AlbumPicture(
            file, choice, refined, before, after, thumb, image.size, name, recipe, lease=lease
        )

    def glimpsed(self, image: Image.Image) -> str:
        """Remember a picture that is shown while it comes about; what `saved` calls it."""
        mark = secrets.token_hex(4)
        self._live[mark] = (image, self._naming)
        while len(self._live) > LIVE:
            del self._live[next(iter(self._live))]
        return mark

    def saved(self, mark: str, form: str) -> Path:
        """A file, in one of `FORMS`, of the picture shown under that mark: a key of the history, or
        what `glimpsed` gave; of the last one made for any other.

        An unfinished picture has no recipe. The file is there until the next is saved.
        """
        if form not in FORMS:
            raise ImpastoError(f"a picture can be saved as {', '.join(FORMS)}")
        suffix = FORMS[form][0]
        if mark in self._live:
            image, name = self._live[mark]
            file = self._saving(name + suffix)
            self._write(image, file, form, None)
        else:
            if mark in self.history:
                self.show(mark)
            made, picture = self.made, self.current
            assert picture is not None
            file = self._saving(picture.name + suffix)
            if form == "PNG":
                shutil.copyfile(made, file)
            else:
                with Image.open(made) as image:
                    self._write(image, file, form, picture.recipe)
        return self._counted(file)

    @staticmethod
    def _write(image: Image.Image, file: Path, form: str, recipe: Mapping[str, Any] | None) -> None:
        tags = recipe_options(form.upper(), recipe, image.info.get("exif", b""))
        plain = image.convert("RGB") if form == "JPEG" else image
        plain.save(file, form, **FORMS[form][1], **tags)

    def packed(self, more: Mapping[str, Image.Image]) -> Path:
        """A zip file of every picture of this visit and of `more`, by name, there until the next
        file is saved.
        """
        if self.current is None and not more:
            raise ImpastoError("there is no picture yet; make one first")
        file = self._saving("impasto.zip")
        with zipfile.ZipFile(file, "w") as archive:  # stored: pictures are compressed already
            for number, picture in enumerate(self.history.values(), 1):
                if picture.file.exists():
                    archive.write(picture.file, f"{number:02}-{picture.name}.png")
            for name, image in more.items():
                coded = BytesIO()
                image.save(coded, "JPEG", quality=92)
                archive.writestr(name, coded.getvalue())
        return self._counted(file)

    def _saving(self, name: str) -> Path:
        folder = self.folder / "saved"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder / name

    def _counted(self, file: Path) -> Path:
        self._out = None if self.budget is None else self.budget.lease(file.stat().st_size)
        return file

    def _keep(self, picture: AlbumPicture) -> None:
        """Add to the history; a picture that only a slider sets apart takes the place of the last
        one.
        """
        newest = next(reversed(self.history), "")
        if newest and _kin(self.history[newest]) == _kin(picture):
            self._drop(newest)
        self.shown = secrets.token_hex(4)
        self.history[self.shown] = picture
        while len(self.history) > _PICTURES:
            self._drop(next(iter(self.history)))

    def _replace(self, key: str, picture: AlbumPicture) -> None:
        """A better picture in place of one; if that is gone meanwhile, it is gone."""
        before = self.history.get(key)
        if before is not None:
            self.history[key] = picture
            before.file.unlink(missing_ok=True)
        else:
            picture.file.unlink(missing_ok=True)

    def _drop(self, key: str) -> None:
        self.history.pop(key).file.unlink(missing_ok=True)

    @property
    def current(self) -> AlbumPicture | None:
        """The picture looked at, if there is one whose time is not up."""
        picture = self.history.get(self.shown)
        return picture if picture is not None and picture.file.exists() else None

    @property
    def made(self) -> Path:
        """The file of the picture looked at; `ImpastoError` if there is none."""
        if self.current is None:
            raise ImpastoError("there is no picture yet; make one first")
        return self.current.file

    @property
    def newest(self) -> bool:
        """Whether the picture looked at is the last one made."""
        return self.shown == next(reversed(self.history), "")

    def delete(self, key: str) -> None:
        """Let a picture go; that before it is looked at then."""
        if key in self.history:
            self._drop(key)
            if key == self.shown:
                self.shown = next(reversed(self.history), "")

    def show(self, key: str) -> None:
        """Look at an earlier picture."""
        if key not in self.history or not self.history[key].file.exists():
            raise ImpastoError("this picture is no longer kept; paint it again")
        self.shown = key


def contact_sheet(pictures: Mapping[str, Image.Image]) -> Image.Image:
    """Pictures of one size in rows of five, each over its name."""
    width, height = next(iter(pictures.values())).size
    font, gap, line = ImageFont.load_default(14), 12, 26
    rows = -(-len(pictures) // _ROW)
    size = (_ROW * (width + gap) + gap, rows * (height + line + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for place, (name, picture) in enumerate(pictures.items()):
        left, top = gap + place % _ROW * (width + gap), gap + place // _ROW * (height + line + gap)
        sheet.paste(picture, (left, top))
        pen.text((left, top + height + 5), name, "black", font)
    return sheet


def named_after(order: Order) -> str:
    """What a file of this picture is called: the photo, and the styles."""
    styles = (each if isinstance(each, str) else Path(each.name).stem for each in order.styles)
    parts = [Path(order.photo.name).stem, *styles]
    plain = unicodedata.normalize("NFKC", "-".join(parts)).lower()
    return re.sub(r"[\W_]+", "-", plain).strip("-_")[:80] or "picture"


def _kin(picture: AlbumPicture) -> object:
    return (
        picture
        if picture.refined
        else (picture.before, picture.choice.styles, picture.choice.region)
    )
