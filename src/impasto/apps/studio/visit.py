"""One visitor's things: the photo, the paintings dropped, what is chosen, the pictures made. Nobody
else sees them.
"""

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from impasto.apps.studio.album import LIVE, Album, Choice, contact_sheet, named_after
from impasto.apps.studio.budget import Lease
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.limits import Limits, Upload, open_upload
from impasto.apps.studio.look import PREVIEW, THUMBNAIL, data_url
from impasto.apps.studio.orders import BusyError, Glimpse, Order, Ticket
from impasto.errors import ImpastoError
from impasto.settings import Settings

__all__ = ["Painting", "Visit"]

_PATIENCE = 5.0  # seconds in which a step of refining should have come to its end
_PAINTINGS = 12
_PART = 0.05  # of each side of a photo, that a part of it must have
_TRIED = 256  # px, the long side of the photo in a style to be tried
_SKETCH = 320  # px, the long side of a picture that follows the hand


@dataclass(frozen=True, eq=False)
class Painting:
    """A painting of the visitor's own; `thumb`: a data URL."""

    upload: Upload
    thumb: str


@dataclass(eq=False)
class Visit(Album):
    """What one browser window has done so far.

    `photo`: what is painted, of the `whole` that was brought. `before`: the photo as a data URL.
    `paintings`: those dropped, by key. `chosen`: keys of the styles to paint with, in order.
    `controls`: what the page's controls said with the newest wish. `held`: something was set while
    it was refined, and waits. `tried`: the photo in every style, small, by name. `key`: what its
    browser knows the visit by, and nobody else.
    """

    limits: Limits
    photo: Upload | None = None
    whole: Upload | None = None
    before: str = ""
    paintings: dict[str, Painting] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    seen: float = field(default_factory=time.monotonic)
    controls: Sequence[Any] = ()
    held: bool = False
    tried: dict[str, Image.Image] = field(default_factory=dict)
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    _turns: dict[str, float] = field(default_factory=dict)
    _dropped: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)
    _ticket: Ticket | None = None
    _aside: Ticket | None = None
    _tries: Lease | None = None
    _refines: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hears(self, about: str, turn: float) -> bool:
        """Whether no later wish about the same thing was heard: they may come in any order."""
        with self._lock:
            newest = turn >= self._turns.get(about, turn)
            if newest:
                self._turns[about] = turn
            return newest

    def begin_anew(self) -> None:
        """Its page was loaded again, and counts its wishes from the start."""
        with self._lock:
            self._turns.clear()

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
        return photo

    def try_all(self, engine: Engine, names: Sequence[str]) -> Iterator[int]:
        """Paint the photo in each of these styles, small, into `tried`, one order at a time, so that
        others get their turns; how many there are, after each. Ends where the photo is another one.
        """
        photo = self.photo
        if photo is None:
            raise ImpastoError("drop a photo first, or take a sample")
        room = None if self.budget is None else self.budget.lease(3 * _TRIED**2 * len(names))
        small = Settings(size=min(_TRIED, self.limits.size))
        for name in names:
            if name not in self.tried:
                ticket = engine.place(Order(photo, (name,), small))  # let go of, it is given up
                image = ticket.result.result().image
                if self.photo is not photo:
                    return
                if image is not None:
                    self.tried[name] = image.convert("RGB")
            self._tries = room
            yield len(self.tried)

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
        most = 4 * choice.settings.size**2 * (1 + (refine > 0) * LIVE)
        room = None if self.budget is None else self.budget.lease(most)
        before = self.before
        order = self._order(choice, refine)
        for glimpse in self._watch(engine, order):
            if glimpse.done and glimpse.image is not None:
                self._keep(self._kept(glimpse, choice, before, order, room))
                self._ended.set()
            yield glimpse

    def sketch(self, engine: Engine, choice: Choice) -> Image.Image | None:
        """What a picture would be about, small and at once; None where that cannot be had.

        It takes the place of what this visit has painted, as any wish does, and is not kept. Strokes
        are as long in pixels as those of the picture, and so longer beside its forms.
        """
        others = len(engine) - self.at_work
        if self.photo is None or not choice.styles or others:
            return None
        size = min(_SKETCH, choice.settings.size)
        small = replace(choice, settings=choice.settings.but(size=size))
        try:
            *_, last = [None, *self._watch(engine, self._order(small, 0))]
        except ImpastoError:  # the picture itself will say so
            return None
        return None if last is None or not last.done else last.image

    def improve(self, engine: Engine, steps: int) -> Iterator[Glimpse]:
        """Refine the last picture made in one pass, aside, in place of itself, until it is stopped
        or another is to be painted: then what there is, is kept.

        No glimpses where there is nothing to refine, or no room for that.
        """
        with self._lock:
            kept, key, before = self.kept, self.shown, self.before
            if self.at_work or self.improving or kept is None or kept.refined or not self.newest:
                return
            if kept.before != before or list(kept.choice.styles) != self.chosen or not steps:
                return
            try:
                most = 4 * kept.choice.settings.size**2 * (1 + LIVE)
                room = None if self.budget is None else self.budget.lease(most)
                order = replace(self._order(kept.choice, steps), aside=True)
                ticket = self._aside = engine.place(order)
            except ImpastoError:
                return
        try:
            for glimpse in ticket:
                if glimpse.done and glimpse.image is not None and glimpse.step:
                    self._replace(key, self._kept(glimpse, kept.choice, before, order, room))
                yield glimpse
        finally:
            ticket.abandon()

    def _order(self, choice: Choice, refine: int) -> Order:
        if self.photo is None:
            raise ImpastoError("drop a photo first, or take a sample")
        styles = tuple(
            self.paintings[key].upload if key in self.paintings else key for key in choice.styles
        )
        return Order(self.photo, styles, choice.settings.but(refine=refine))

    def _watch(self, engine: Engine, order: Order) -> Iterator[Glimpse]:
        ticket, ended = self._instead(engine, order)
        self._naming = named_after(order)
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
            if self._aside is not None:
                self._aside.stop()
            self._refines, self._ended = order.settings.refine > 0, threading.Event()
            return self._ticket, self._ended

    @property
    def at_work(self) -> bool:
        """Whether something is being painted, or waits to be."""
        return self._ticket is not None and not self._ticket.result.done()

    @property
    def improving(self) -> bool:
        """Whether the last picture is being refined aside."""
        return self._aside is not None and not self._aside.result.done()

    @property
    def refining(self) -> bool:
        """Whether a picture is being refined because someone asked for that, which is the work of minutes."""
        return self._refines and self.at_work

    def settle(self) -> None:
        """End what is being refined, and keep it."""
        if self.refining:
            ended = self._ended
            self.stop()
            ended.wait(_PATIENCE)

    def stop(self) -> None:
        """Enough of what is being painted; what there is, is kept."""
        for ticket in (self._ticket, self._aside):
            if ticket is not None:
                ticket.stop()

    def archive(self, title: Callable[[str], str] = str) -> Path:
        """As every album's, with the photo in every style and a sheet of them, where it was tried;
        `title`: what a style is called.
        """
        more: dict[str, Image.Image] = {}
        if self.tried:
            named = {title(name): image for name, image in self.tried.items()}
            more = {"styles/all.jpg": contact_sheet(named)}
            more |= {f"styles/{name}.jpg": image for name, image in self.tried.items()}
        return self.packed(more)

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
        for ticket in (self._ticket, self._aside):
            if ticket is not None:
                ticket.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)
        # Whoever still holds the visit holds none of its memory.
        self.photo, self.whole, self.before, self.paintings, self.history = None, None, "", {}, {}
        self._live, self._out, self.tried, self._tries = {}, None, {}, None
