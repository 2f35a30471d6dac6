"""One visitor's things: the photo, the paintings dropped, what is chosen, the pictures made. Nobody
else sees them.
"""

import re
import secrets
import shutil
import threading
import time
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from PIL import Image

from impasto.apps.studio.budget import Budget, Lease
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.limits import Limits, Upload, open_upload
from impasto.apps.studio.look import PREVIEW, THUMBNAIL, data_url
from impasto.apps.studio.orders import USUAL, BusyError, Glimpse, Order, Ticket
from impasto.errors import ImpastoError
from impasto.pictures.files import recipe_options
from impasto.settings import Settings

__all__ = ["FORMS", "Choice", "Kept", "Painting", "Visit"]

FORMS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "PNG": (".png", {}),
    "JPEG": (".jpg", {"quality": 95, "subsampling": 0}),
    "WebP": (".webp", {"quality": 92, "method": 4}),
}
"""What a picture can be saved as: suffix, and Pillow's options."""

_LIVE = 3  # pictures under way that can still be saved: the page may show the last but one
_PATIENCE = 5.0  # seconds in which a step of refining should have come to its end
_PICTURES = 24  # of one visit that are kept; the oldest go
_PAINTINGS = 12


@dataclass(frozen=True)
class Choice:
    """How a picture is to be made; `styles` are names of styles or keys of the visit's own
    paintings.
    """

    styles: tuple[str, ...] = ()
    settings: Settings = USUAL

    @classmethod
    def read(cls, styles: Sequence[str], controls: Sequence[Any]) -> Self:
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
        return cls(tuple(styles), settings)

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
class Kept:
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


@dataclass(frozen=True, eq=False)
class Painting:
    """A painting of the visitor's own; `thumb`: a data URL."""

    upload: Upload
    thumb: str


@dataclass(eq=False)
class Visit:
    """What one browser window has done so far.

    `folder`: its own, of a name that nobody can guess. `before`: the photo as a data URL.
    `paintings`: those dropped, by key. `chosen`: keys of the styles to paint with, in order.
    `history`: the pictures made, by key, oldest first. `shown`: the key of the one looked at.
    `budget`: what all of it counts in. `controls`: what the page's controls
    said with the newest wish. `held`: something was set while it was refined, and waits.
    """

    folder: Path
    limits: Limits
    photo: Upload | None = None
    before: str = ""
    paintings: dict[str, Painting] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    history: dict[str, Kept] = field(default_factory=dict)
    shown: str = ""
    budget: Budget | None = None
    seen: float = field(default_factory=time.monotonic)
    controls: Sequence[Any] = ()
    held: bool = False
    _turns: dict[str, float] = field(default_factory=dict)
    _dropped: int = 0
    _live: dict[str, tuple[Image.Image, str]] = field(default_factory=dict)
    _naming: str = "picture"
    _out: Lease | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _ticket: Ticket | None = None
    _refines: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hears(self, about: str, turn: float) -> bool:
        """Whether no later wish about the same thing was heard: they may come in any order."""
        with self._lock:
            newest = turn >= self._turns.get(about, turn)
            if newest:
                self._turns[about] = turn
            return newest

    def take_photo(self, file: Path) -> Upload:
        """Open a file that was uploaded as the photo."""
        return self.use_photo(self._opened(file))

    def _opened(self, file: Path) -> Upload:
        """The picture in a file, which nobody needs any more if it was sent to the studio."""
        try:
            return open_upload(file, self.limits, budget=self.budget)
        finally:
            if file.is_relative_to(self.folder.parent):
                file.unlink(missing_ok=True)

    def use_photo(self, photo: Upload) -> Upload:
        """Paint this one from now on."""
        self.photo, self.before = photo, data_url(photo.image, PREVIEW)
        return photo

    def take_painting(self, file: Path) -> str:
        """Open a file that was uploaded as a style; its key."""
        if len(self.paintings) >= _PAINTINGS:
            raise ImpastoError(
                f"this visit has {_PAINTINGS} paintings already; remove one of them first"
            )
        upload = self._opened(file)
        self._dropped += 1
        key = f"own-{self._dropped}"
        self.paintings[key] = Painting(upload, data_url(upload.image, THUMBNAIL))
        return key

    def forget(self, key: str) -> None:
        """Let a painting of the visitor's own go; pictures made with it stay."""
        if self.paintings.pop(key, None) is not None:
            self.chosen = [each for each in self.chosen if each != key]

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

    def paint(self, engine: Engine, choice: Choice, *, refine: int = 0) -> Iterator[Glimpse]:
        """Order a picture and watch it come about; a later call whose order is taken on ends an
        earlier one, silently.

        The last glimpse's picture is kept in the history. Raises `ImpastoError` where there is no
        photo or no style, and what `Engine.place` and `Ticket` raise.
        """
        # Before it is painted: what is finished is not lost for want of room.
        most = 4 * choice.settings.size**2 * (1 + (refine > 0) * _LIVE)
        room = None if self.budget is None else self.budget.lease(most)
        before = self.before
        order = self._order(choice, refine)
        for glimpse in self._watch(engine, order):
            if glimpse.done and glimpse.image is not None:
                self._keep(self._kept(glimpse, choice, before, room, refined=refine > 0))
                self._ended.set()
            yield glimpse

    def _order(self, choice: Choice, refine: int) -> Order:
        if self.photo is None:
            raise ImpastoError("drop a photo first, or take a sample")
        styles = tuple(
            self.paintings[key].upload if key in self.paintings else key for key in choice.styles
        )
        return Order(self.photo, styles, choice.settings.but(refine=refine))

    def _watch(self, engine: Engine, order: Order) -> Iterator[Glimpse]:
        ticket, ended = self._instead(engine, order)
        self._naming = _name(order)
        try:
            for glimpse in ticket:
                if ticket is not self._ticket:
                    return
                yield glimpse
        except ImpastoError:
            if ticket is self._ticket:
                raise
        finally:
            ticket.abandon()
            ended.set()

    def _instead(self, engine: Engine, order: Order) -> tuple[Ticket, threading.Event]:
        with self._lock:
            before = self._ticket
            try:
                self._ticket = engine.place(order)  # where it is refused, the one before goes on
            except BusyError:
                if before is None or not before.waiting:
                    raise
                self._ticket = None  # no longer the one that counts, so that it ends silently
                before.abandon()  # its place in the queue is the new one's
                self._ticket = engine.place(order)
            if before is not None:
                before.abandon()
            self._refines, self._ended = order.settings.refine > 0, threading.Event()
            return self._ticket, self._ended

    @property
    def at_work(self) -> bool:
        """Whether something is being painted, or waits to be."""
        return self._ticket is not None and not self._ticket.result.done()

    @property
    def refining(self) -> bool:
        """Whether a picture is being refined, which is the work of minutes."""
        return self._refines and self.at_work

    def settle(self) -> None:
        """End what is being refined, and keep it."""
        if self.refining:
            ended = self._ended
            self.stop()
            ended.wait(_PATIENCE)

    def stop(self) -> None:
        """Enough of what is being painted; what there is, is kept."""
        if self._ticket is not None:
            self._ticket.stop()

    def _kept(
        self, glimpse: Glimpse, choice: Choice, before: str, room: Lease | None, *, refined: bool
    ) -> Kept:
        image = glimpse.image
        assert image is not None
        file = self.folder / f"impasto-{secrets.token_hex(3)}.png"
        # Not `save_picture`, which brings torch, and the page can be opened before that is there.
        image.save(file, **recipe_options("PNG", glimpse.recipe))
        after, thumb = data_url(image, PREVIEW), data_url(image, THUMBNAIL)
        if room is not None:
            room.settle(file.stat().st_size + len(before) + len(after) + len(thumb))
        name, recipe = self._naming + "-refined" * refined, glimpse.recipe
        return Kept(
            file, choice, refined, before, after, thumb, image.size, name, recipe, lease=room
        )

    def glimpsed(self, image: Image.Image) -> str:
        """Remember a picture that is shown while it comes about; what `saved` calls it."""
        mark = secrets.token_hex(4)
        self._live[mark] = (image, self._naming)
        while len(self._live) > _LIVE:
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
            made, kept = self.made, self.kept
            assert kept is not None
            file = self._saving(kept.name + suffix)
            if form == "PNG":
                shutil.copyfile(made, file)
            else:
                with Image.open(made) as image:
                    self._write(image, file, form, kept.recipe)
        return self._counted(file)

    @staticmethod
    def _write(image: Image.Image, file: Path, form: str, recipe: Mapping[str, Any] | None) -> None:
        tags = recipe_options(form.upper(), recipe, image.info.get("exif", b""))
        plain = image.convert("RGB") if form == "JPEG" else image
        plain.save(file, form, **FORMS[form][1], **tags)

    def archive(self) -> Path:
        """A zip file of every picture of this visit, there until the next file is saved."""
        if self.kept is None:
            raise ImpastoError("there is no picture yet; make one first")
        file = self._saving("impasto.zip")
        with zipfile.ZipFile(file, "w") as archive:  # stored: PNG is compressed already
            for number, kept in enumerate(self.history.values(), 1):
                if kept.file.exists():
                    archive.write(kept.file, f"{number:02}-{kept.name}.png")
        return self._counted(file)

    def _saving(self, name: str) -> Path:
        folder = self.folder / "saved"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder / name

    def _counted(self, file: Path) -> Path:
        self._out = None if self.budget is None else self.budget.lease(file.stat().st_size)
        return file

    def _keep(self, kept: Kept) -> None:
        """Add to the history; a picture that only a slider sets apart takes the place of the last
        one.
        """
        newest = next(reversed(self.history), "")
        if newest and _kin(self.history[newest]) == _kin(kept):
            self._drop(newest)
        self.shown = secrets.token_hex(4)
        self.history[self.shown] = kept
        while len(self.history) > _PICTURES:
            self._drop(next(iter(self.history)))

    def _drop(self, key: str) -> None:
        self.history.pop(key).file.unlink(missing_ok=True)

    @property
    def kept(self) -> Kept | None:
        """The picture looked at, if there is one whose time is not up."""
        kept = self.history.get(self.shown)
        return kept if kept is not None and kept.file.exists() else None

    @property
    def made(self) -> Path:
        """The file of the picture looked at; `ImpastoError` if there is none."""
        if self.kept is None:
            raise ImpastoError("there is no picture yet; make one first")
        return self.kept.file

    @property
    def newest(self) -> bool:
        """Whether the picture looked at is the last one made."""
        return self.shown == next(reversed(self.history), "")

    def show(self, key: str) -> None:
        """Look at an earlier picture."""
        if key not in self.history or not self.history[key].file.exists():
            raise ImpastoError("this picture is no longer kept; paint it again")
        self.shown = key

    def recall(self) -> Choice:
        """Choose the styles of the picture looked at again, and how it was made."""
        if self.kept is None:
            raise ImpastoError("there is no picture yet; make one first")
        styles = self.kept.choice.styles
        if any(key.startswith("own-") and key not in self.paintings for key in styles):
            raise ImpastoError(
                "a painting that this was made with is no longer here; drop it again"
            )
        self.chosen = list(styles)
        return self.kept.choice

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

    def close(self) -> None:
        """Give up what is being painted and delete every file."""
        if self._ticket is not None:
            self._ticket.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)
        # Whoever still holds the visit holds none of its memory.
        self.photo, self.before, self.paintings, self.history = None, "", {}, {}
        self._live, self._out = {}, None


def _name(order: Order) -> str:
    """What a file of this picture is called: the photo, and the styles."""
    styles = (each if isinstance(each, str) else Path(each.name).stem for each in order.styles)
    parts = [Path(order.photo.name).stem, *styles]
    plain = unicodedata.normalize("NFKC", "-".join(parts)).lower()
    return re.sub(r"[\W_]+", "-", plain).strip("-_")[:80] or "picture"


def _kin(kept: Kept) -> object:
    return kept if kept.refined else (kept.before, kept.choice.styles)
