"""One visitor's things: the photo, the paintings dropped, what is chosen, the pictures made. Nobody
else sees them.
"""

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from impasto.apps.studio.album import LIVE, Choice, contact_sheet, named_after
from impasto.apps.studio.brought import Brought
from impasto.apps.studio.budget import Lease
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.orders import BusyError, Glimpse, Order, Ticket
from impasto.errors import ImpastoError
from impasto.settings import Settings

__all__ = ["Visit"]

_PATIENCE = 5.0  # seconds in which a step of refining should have come to its end
_TRIED = 256  # px, the long side of the photo in a style to be tried
_SKETCH = 320  # px, the long side of a picture that follows the hand


@dataclass(eq=False)
class Visit(Brought):
    """What one browser window has done so far.

    `controls`: what the page's controls said with the newest wish. `held`: something was set while
    it was refined, and waits. `said`: what was told of the last picture. `poster`: the id of the job
    that paints a large picture, and the name of its file. `key`: what its browser knows the visit
    by, and nobody else.
    """

    seen: float = field(default_factory=time.monotonic)
    controls: Sequence[Any] = ()
    held: bool = False
    said: str = ""
    poster: tuple[str, str] = ("", "")
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    _turns: dict[str, float] = field(default_factory=dict)
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

    def try_all(self, engine: Engine, names: Sequence[str]) -> Iterator[int]:
        """Paint the photo in each of these styles, small, into `tried`, one order at a time, so that
        others get their turns; how many there are, after each. Ends where the photo is another one.
        """
        photo = self.photo
        if photo is None:
            raise ImpastoError("drop a photo first, or take a sample")
        lease = None if self.budget is None else self.budget.lease(3 * _TRIED**2 * len(names))
        small = Settings(size=min(_TRIED, self.limits.size))
        for name in names:
            if name not in self.tried:
                ticket = engine.place(Order(photo, (name,), small))  # let go of, it is given up
                image = ticket.result.result().image
                if self.photo is not photo:
                    return
                if image is not None:
                    self.tried[name] = image.convert("RGB")
            self._tries = lease
            yield len(self.tried)

    def paint(self, engine: Engine, choice: Choice, *, refine: int = 0) -> Iterator[Glimpse]:
        """Order a picture and watch it come about; a later call whose order is taken on ends an
        earlier one, silently.

        The last glimpse's picture is kept in the history. Raises `ImpastoError` where there is no
        photo or no style, and what `Engine.place` and `Ticket` raise.
        """
        # Before it is painted: what is finished is not lost for want of room.
        most = 4 * choice.settings.size**2 * (1 + (refine > 0) * LIVE)
        lease = None if self.budget is None else self.budget.lease(most)
        before = self.before
        order = self._order(choice, refine)
        for glimpse in self._watch(engine, order):
            if glimpse.done and glimpse.image is not None:
                self._keep(self._album_picture(glimpse, choice, before, order, lease))
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
            picture, key, before = self.current, self.shown, self.before
            if (
                self.at_work
                or self.improving
                or picture is None
                or picture.refined
                or not self.newest
            ):
                return
            same = picture.before == before and picture.choice.region is self.region
            if not same or list(picture.choice.styles) != self.chosen or not steps:
                return
            try:
                most = 4 * picture.choice.settings.size**2 * (1 + LIVE)
                lease = None if self.budget is None else self.budget.lease(most)
                order = replace(self._order(picture.choice, steps), aside=True)
                ticket = self._aside = engine.place(order)
            except ImpastoError:
                return
        try:
            for glimpse in ticket:
                if glimpse.done and glimpse.image is not None and glimpse.step:
                    self._replace(
                        key, self._album_picture(glimpse, picture.choice, before, order, lease)
                    )
                yield glimpse
        finally:
            ticket.abandon()

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
    def rests(self) -> bool:
        """Whether there is a picture, and nothing is being done about it or another."""
        return self.current is not None and not self.at_work and not self.improving

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
        if self.current is None:
            raise ImpastoError("there is no picture yet; make one first")
        styles = self.current.choice.styles
        if any(key.startswith("own-") and key not in self.paintings for key in styles):
            raise ImpastoError(
                "a painting that this was made with is no longer here; drop it again"
            )
        self.chosen = list(styles)
        # Its region was painted over its photo.
        self.region = self.current.choice.region if self.current.before == self.before else None
        return self.current.choice

    def close(self) -> None:
        """Give up what is being painted and delete every file."""
        for ticket in (self._ticket, self._aside):
            if ticket is not None:
                ticket.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)
        # Whoever still holds the visit holds none of its memory.
        self.photo, self.whole, self.before, self.paintings, self.history = None, None, "", {}, {}
        self.region = None
        self._live, self._out, self.tried, self._tries = {}, None, {}, None
