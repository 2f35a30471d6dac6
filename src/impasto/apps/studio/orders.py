"""Orders, the queue they wait in, and the tickets through which they are watched. Nothing here
paints.
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from impasto.apps.studio.borrowed import Borrowed
from impasto.apps.studio.limits import Limits, Upload
from impasto.errors import ImpastoError, OptionError
from impasto.settings import OPTIONS, Settings

__all__ = [
    "GIVEN_UP",
    "USUAL",
    "VISITOR",
    "BusyError",
    "Glimpse",
    "Order",
    "PaintingError",
    "Queue",
    "Ticket",
    "Work",
    "check",
]

GIVEN_UP = "this picture was given up"
_SMALLEST = 32  # px, of a side that an encoder can read

VISITOR = tuple(name for name, option in OPTIONS.items() if option.visitor)
"""The settings that whoever visits may set; the others name files and devices of this machine, or
take any time.
"""
USUAL = Settings(size=768)
"""Those of an order where nothing else is said."""


class BusyError(ImpastoError):
    """The queue is full, or the studio is closing: nothing was finished, try again."""


class PaintingError(ImpastoError):
    """Something broke while painting, and whoever ordered can do nothing about it."""


@dataclass(frozen=True, eq=False)
class Order:
    """A picture to make.

    `styles`: one to `Limits.styles`, each a name of `Engine.styles()`, an opened picture or a style
    that a visitor brought. `settings`: of those a visitor may set (`VISITOR`), within the limits;
    what the strokes' size makes of the size may not pass twice the largest. Checked by
    `Engine.place`. `aside`: what nobody waits for: it rests at every step while another order is
    there to be painted. `masks`: for each style where it is painted, in the photo's aspect; None for
    everywhere. `poster`: whether it is a large one, up to `Limits.poster`, painted part after part
    and shown when it is done; `dpi`: for its file.
    """

    photo: Upload
    styles: tuple[str | Upload | Borrowed, ...]
    settings: Settings = USUAL
    aside: bool = False
    masks: tuple[Image.Image, ...] | None = None
    poster: bool = False
    dpi: int | None = None

    @property
    def notes(self) -> list[str]:
        """What was decided when its pictures were opened."""
        uploads = [each for each in (self.photo, *self.styles) if isinstance(each, Upload)]
        return [f"{upload.name}: {note}" for upload in uploads for note in upload.notes]

    @property
    def inputs(self) -> dict[str, Any]:
        """What a recipe says of the pictures it was made from: never where they are."""
        named = self.settings.recipe == "full" or not self.photo.sha256
        return {
            "content": _identity(self.photo) if named else {"kind": "file"},
            "styles": [_identity(style) for style in self.styles],
        }


def _identity(source: str | Upload | Borrowed) -> dict[str, str]:
    if isinstance(source, str):
        return {"name": source}
    digest = source.sha256 if isinstance(source, Upload) else ""
    return {"name": source.name} | ({"sha256": digest} if digest else {})


def check(order: Order, limits: Limits) -> None:
    """`OptionError` for what is outside its range or beyond the limits, in words for whoever
    ordered.
    """
    settings, styles = order.settings, order.styles
    highest = limits.highest | ({"size": limits.poster} if order.poster else {})
    if not 1 <= len(styles) <= limits.styles:
        raise OptionError(f"choose from one to {limits.styles} styles, not {len(styles)}")
    if settings.blend is not None and len(settings.blend) != len(styles):
        raise OptionError(
            f"{len(settings.blend)} weights do not fit {len(styles)} styles; give one for each"
        )
    foreign = next((name for name in settings.changed if name not in VISITOR), None)
    if foreign is not None:
        raise OptionError(f"`{foreign}` is the studio's own to choose; leave it out")
    for name, high in highest.items():
        if getattr(settings, name) > high:
            raise OptionError(f"`{name}` must be between {OPTIONS[name].low:g} and {high}")
    # One pass paints a copy of size / style_scale; the optimiser looks at paintings of size *
    # style_scale.
    scale = settings.style_scale
    worked = settings.size * max(1 / scale, scale if settings.refine else 0)
    if worked > 2 * highest["size"]:
        raise OptionError(
            f"strokes of {scale:g} at {settings.size} px take work at {worked:.0f} px, and the limit is "
            f"{2 * highest['size']}: choose a smaller picture, or strokes nearer to 1"
        )
    width, height = (
        round(side * settings.size / max(order.photo.image.size)) for side in order.photo.image.size
    )
    if min(width, height) < _SMALLEST:
        raise OptionError(
            f"the photo would be only {width} x {height} px, and each side needs {_SMALLEST}: choose a larger size"
        )


@dataclass(frozen=True, eq=False)
class Glimpse:
    """Where an order stands.

    `image`: the picture so far at the size ordered, None before the first step. `step` of `of`: 0
    of 0 before it. `losses`: as in `Progress`, empty in one pass. `left`: seconds to go, None where
    not known. `ahead`: orders before this one, while it waits. `done`: there is no more to come;
    then `recipe` is how the picture was made, and `dpi` for its file, if any. `note`: something to
    tell, such as why it ended early.
    """

    image: Image.Image | None = None
    step: int = 0
    of: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    left: float | None = None
    ahead: int = 0
    done: bool = False
    note: str = ""
    recipe: Mapping[str, Any] | None = None
    dpi: int | None = None


class Work:
    """An order taken on, between the queue, the worker and who watches. Made by `Queue.put`.

    `stopping`: what there is will do. `gone`: nobody wants it. Both may be set from any thread, at
    any time.
    """

    def __init__(self, order: Order, news: threading.Condition) -> None:
        self.order = order
        self.stopping = self.gone = False
        self.result: Future[Glimpse] = Future()
        self.result.set_running_or_notify_cancel()  # so that nobody who waits for it can cancel it
        self.version = 0
        self.look: Callable[[], Glimpse] = Glimpse
        self._news = news

    def show(self, look: Callable[[], Glimpse]) -> None:
        """There is something new: `look` makes the glimpse, in the thread of whoever looks, and
        only if one does.
        """
        with self._news:
            self.look, self.version = look, self.version + 1
            self._news.notify_all()

    def end(self, outcome: Glimpse | ImpastoError) -> None:
        """The last of it; what comes after the first such call is not heard."""
        with self._news:
            if self.result.done():
                return
            if isinstance(outcome, Glimpse):
                self.result.set_result(outcome)
            else:
                self.result.set_exception(outcome)
            self.look = Glimpse  # lets go of the tensors
            self._news.notify_all()


class Ticket:
    """An order taken on; made by `Engine.place`.

    `for glimpse in ticket` blocks between glimpses and ends after the one that is `done`; what a
    slow reader misses is left out, the last never is. Raises `ImpastoError`, in words, where the
    picture cannot be made. Closing the iterator early, or letting go of the ticket, gives the order
    up.
    """

    def __init__(self, work: Work, queue: "Queue") -> None:
        self._work, self._queue = work, queue
        # Runs wherever garbage is collected, also inside the queue's lock: a flag is all it may
        # set.
        weakref.finalize(self, setattr, work, "gone", True).atexit = False

    @property
    def result(self) -> "Future[Glimpse]":
        """The last glimpse, or the `ImpastoError`; it cannot be cancelled. For
        `asyncio.wrap_future`.
        """
        return self._work.result

    @property
    def waiting(self) -> bool:
        """Whether it has not been begun, so that giving it up leaves its place in the queue to
        another.
        """
        return self._queue.waits(self._work)

    def glance(self) -> tuple[int, Callable[[], Glimpse]]:
        """What is newest, with a number that is another one for other news.

        The call makes the glimpse, which may take a while. Looking so gives nothing up.
        """
        with self._queue.news:
            return self._work.version, self._work.look

    def __iter__(self) -> Iterator[Glimpse]:
        """Glimpses, at least one, the last of them done."""
        work, news, seen = self._work, self._queue.news, -1
        try:
            while True:
                with news:
                    while work.version == seen and not work.result.done():
                        news.wait()
                    seen, look = work.version, work.look
                if work.result.done():
                    yield work.result.result()
                    return
                yield look()
        finally:
            self.abandon()

    def stop(self) -> None:
        """Enough: the last glimpse comes at the next step, with the picture so far (none if it was
        still waiting).
        """
        self._work.stopping = True
        self._queue.sweep()

    def abandon(self) -> None:
        """Give the order up: nobody wants the picture any more. Its iterators end with an
        `ImpastoError`.
        """
        self._work.gone = True
        self._queue.sweep()
        self._work.end(ImpastoError(GIVEN_UP))


class Queue:
    """First come, first served: at most `waiting` orders beside the one worked at, and chores for
    when there is none.

    `news` guards all of it and tells of every change.
    """

    def __init__(self, waiting: int) -> None:
        self.news = threading.Condition()
        self.closed = False
        self._most = waiting
        self._waiting: deque[Work] = deque()
        self._chores: deque[Callable[[], None]] = deque()
        self._current: Work | None = None

    def __len__(self) -> int:
        """Orders that wait or are worked at."""
        with self.news:
            return len(self._waiting) + (self._current is not None)

    def put(self, order: Order) -> Ticket:
        """Take an order on; `BusyError` where there is no room or the queue is closed."""
        with self.news:
            self.sweep()
            if self.closed:
                raise BusyError("the studio is closing; come back when it is open again")
            if len(self) > self._most:
                count = len(self._waiting)
                waiting = "1 picture is" if count == 1 else f"{count} pictures are"
                raise BusyError(f"the studio is busy: {waiting} waiting; try again in a moment")
            work = Work(order, self.news)
            self._waiting.append(work)
            self._tell()
            return Ticket(work, self)

    def waits(self, work: Work) -> bool:
        """Whether it is still in the queue."""
        with self.news:
            return work in self._waiting

    def let_by(self, work: Work, patience: float) -> bool:
        """Wait while there is an order here, for the sake of `work`, which is of another queue; no
        longer than `patience` seconds, or than it is wanted. Whether there is none any more.
        """
        with self.news:
            self.news.wait_for(
                lambda: not len(self) or work.stopping or work.gone or self.closed, patience
            )
            return not len(self)

    def chore(self, do: Callable[[], None]) -> None:
        """Have the worker call `do` when no order is waiting; never called once the queue is
        closed.
        """
        with self.news:
            self._chores.append(do)
            self.news.notify_all()

    def take(self) -> "Work | Callable[[], None] | None":
        """Wait for the next order, or a chore where there is none; None when closed. For the
        worker.
        """
        with self.news:
            self._current = None
            while not self.closed:
                self.sweep()
                if self._waiting:
                    self._current = self._waiting.popleft()
                    self._tell()
                    return self._current
                if self._chores:
                    return self._chores.popleft()
                self.news.wait()
            return None

    def sweep(self) -> None:
        """Take out of the queue what was stopped or given up while it waited."""
        with self.news:
            out = [work for work in self._waiting if work.stopping or work.gone]
            if out:
                self._waiting = deque(work for work in self._waiting if work not in out)
                for work in out:
                    stopped = Glimpse(done=True, note="stopped before it was begun")
                    work.end(ImpastoError(GIVEN_UP) if work.gone else stopped)
                self._tell()

    def close(self) -> None:
        """Take nothing on any more and end all there is with an error."""
        with self.news:
            self.closed = True
            for work in (*self._waiting, *([self._current] if self._current else [])):
                work.gone = True
                work.end(BusyError("the studio is closing; this picture was not finished"))
            self._waiting.clear()
            self._chores.clear()
            self.news.notify_all()

    def _tell(self) -> None:
        """Everyone who waits, how many are before them."""
        before = self._current is not None
        for place, work in enumerate(self._waiting):
            ahead = place + before
            work.show(lambda ahead=ahead: Glimpse(ahead=ahead))  # type: ignore[misc]
        self.news.notify_all()
