"""One visitor's things: the photo, the paintings dropped, what is chosen, the pictures made. Nobody
else sees them.
"""

import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from impasto.apps.studio.budget import Budget, Lease
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.limits import Limits, Upload, open_upload
from impasto.apps.studio.look import PREVIEW, THUMBNAIL, data_url
from impasto.apps.studio.orders import USUAL, BusyError, Glimpse, Order, Ticket
from impasto.errors import ImpastoError
from impasto.pictures.files import recipe_options
from impasto.settings import Settings

__all__ = ["Choice", "Kept", "Painting", "Visit", "Visits"]

_PICTURES = 24  # of one visit that are kept; the oldest go
_PAINTINGS = 12
_VISITS = 64  # at a time: whoever calls names the session, so that there could be any number
_IDLE = 60.0  # seconds after which a visit may have to make room for others


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
    picture, small. `lease`: what all this has of the studio's memory.
    """

    file: Path
    choice: Choice
    refined: bool
    before: str
    after: str
    thumb: str
    size: tuple[int, int]
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
    `budget`: what all of it counts in.
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
    _ticket: Ticket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
                f"this visit has {_PAINTINGS} paintings already; reload the page to begin anew"
            )
        upload = self._opened(file)
        key = f"own-{len(self.paintings) + 1}"
        self.paintings[key] = Painting(upload, data_url(upload.image, THUMBNAIL))
        return key

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
        photo, before = self.photo, self.before
        if photo is None:
            raise ImpastoError("drop a photo first, or take a sample")
        styles = tuple(
            self.paintings[key].upload if key in self.paintings else key for key in choice.styles
        )
        order = Order(photo, styles, choice.settings.but(refine=refine))
        # Before it is painted: what is finished is not lost for want of room.
        room = None if self.budget is None else self.budget.lease(4 * order.settings.size**2)
        ticket = self._instead(engine, order)
        try:
            for glimpse in ticket:
                if ticket is not self._ticket:
                    return
                if glimpse.done and glimpse.image is not None:
                    self._keep(self._kept(glimpse, choice, before, room, refined=refine > 0))
                yield glimpse
        except ImpastoError:
            if ticket is self._ticket:
                raise
        finally:
            ticket.abandon()

    def _instead(self, engine: Engine, order: Order) -> Ticket:
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
            return self._ticket

    @property
    def at_work(self) -> bool:
        """Whether something is being painted, or waits to be."""
        return self._ticket is not None and not self._ticket.result.done()

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
        return Kept(file, choice, refined, before, after, thumb, image.size, room)

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
        self.chosen = list(self.kept.choice.styles)
        return self.kept.choice

    def thumbs(self) -> dict[str, str]:
        """The visit's own paintings, small, by key."""
        return {key: own.thumb for key, own in self.paintings.items()}

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


class Visits:
    """The visits, by session; one not seen for `Limits.keep` seconds is closed when the next
    begins.

    So are those seen least recently where there would be more than 64.
    """

    def __init__(self, root: Path, limits: Limits, budget: Budget | None = None) -> None:
        self._root, self._limits, self._budget = root.resolve(), limits, budget
        self._visits: dict[str, Visit] = {}
        self._lock = threading.Lock()
        if budget is not None:
            budget.relieve(self.yield_room)

    def of(self, session: str) -> Visit:
        """The visit of a session, begun if need be."""
        with self._lock:
            if session not in self._visits:
                self._sweep()
                self._visits[session] = self._new()
            visit = self._visits[session]
            visit.seen = time.monotonic()
            return visit

    def begun(self, session: str) -> Visit | None:
        """The visit of a session, if there is one."""
        return self._visits.get(session)

    def passing(self) -> Visit:
        """A visit of nobody's, for one picture; it ends as those that are no longer seen do."""
        return self.of(secrets.token_hex(16))

    def yield_room(self) -> bool:
        """Close the visit seen least recently, if it has been idle for a minute; whether it was."""
        with self._lock:
            idle = [
                (visit.seen, session)
                for session, visit in self._visits.items()
                if not visit.at_work and time.monotonic() - visit.seen > _IDLE
            ]
            if idle:
                self._visits.pop(min(idle)[1]).close()
        return bool(idle)

    def _new(self) -> Visit:
        return Visit(self._folder(), self._limits, budget=self._budget)

    def _folder(self) -> Path:
        folder = self._root / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        return folder

    def _sweep(self) -> None:
        """Make room for one more."""
        now = time.monotonic()
        oldest_first = sorted(self._visits.items(), key=lambda item: item[1].seen)
        for session, visit in oldest_first:
            if now - visit.seen > self._limits.keep or len(self._visits) >= _VISITS:
                self._visits.pop(session).close()


def _kin(kept: Kept) -> object:
    return kept if kept.refined else (kept.before, kept.choice.styles)
