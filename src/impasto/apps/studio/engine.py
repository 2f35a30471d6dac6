"""What paints behind the studio: a worker, which makes the orders of a queue into pictures, step by
step, and another one for what nobody waits for.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from PIL import Image

from impasto.apps.report import printable
from impasto.apps.studio.borrowed import Borrowed, borrow
from impasto.apps.studio.budget import Budget
from impasto.apps.studio.limits import Limits, Upload
from impasto.apps.studio.orders import (
    GIVEN_UP,
    BusyError,
    Glimpse,
    Order,
    PaintingError,
    Queue,
    Ticket,
    Work,
    check,
)
from impasto.errors import ImpastoError
from impasto.networks.header import EMBEDDED, known_grams, learned_styles, network_header
from impasto.pictures.samples import STYLES, sample
from impasto.settings import Settings

if TYPE_CHECKING:
    from impasto.methods.stylizer import Progress
    from impasto.networks.loaded import Networks
    from impasto.pipeline import Job

__all__ = ["BusyError", "Engine", "Glimpse", "Order", "PaintingError", "StyleCard", "Ticket"]

_PHOTO, _THUMBNAIL = "cat", 160
_POSTER_MEMORY = "2GB"  # for one of them: more is painted part after part
_LOOK = 0.2  # seconds between looks of an order that rests, whether it is still wanted
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StyleCard:
    """A style to choose by name: `learned` by the network, a `sample` plate drawn by code, or both.

    `title`: for people. `note`: what it is. `measured`: its Gram matrices are known.
    """

    name: str
    title: str
    note: str
    learned: bool
    sample: bool
    measured: bool = False

    @property
    def refinable(self) -> bool:
        """Whether its picture is known, or what refine needs of it."""
        return self.sample or self.measured


class Engine:
    """A queue of orders and the one thread that works at them, first come, first served.

    Orders that are `aside` have a queue and a thread of their own, so that a picture someone waits
    for begins at once; at every step they rest until there is no other order.

    `device`, `network`: as in `plan`. `budget`: of memory, for all that is kept for visitors.
    Nothing heavy is loaded before `warm` or the first order. A context manager: leaving it closes.
    Raises `ImpastoError` for a network that cannot be read.
    """

    def __init__(
        self, device: str = "auto", limits: Limits | None = None, network: str | Path = EMBEDDED
    ) -> None:
        self.limits = limits or Limits()
        self.budget = Budget(self.limits.memory)
        self._device, self._network = device, network
        self._queue, self._aside = Queue(self.limits.waiting), Queue(self.limits.waiting)
        self._ready, self._loading = threading.Event(), threading.Lock()
        self._thumbnails: dict[str, Future[Image.Image]] = {}
        self._networks: Networks | None = None  # the worker's, made there: it brings torch with it
        self.styles()
        self._workers = [
            threading.Thread(target=self._work, args=(queue,), name=name, daemon=True)
            for name, queue in (("impasto-studio", self._queue), ("impasto-aside", self._aside))
        ]
        for worker in self._workers:
            worker.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Orders that wait or are worked at, but for those aside."""
        return len(self._queue)

    def warm(self) -> None:
        """Have the worker load what the first order will need; returns at once."""
        self._queue.chore(self._warm)

    @property
    def ready(self) -> bool:
        """Whether the worker has painted already, so that all it needs is loaded."""
        return self._ready.is_set()

    def styles(self) -> list[StyleCard]:
        """The styles that can be ordered by name, learned ones first, then samples; at once."""
        learned = self._learned()
        measured = known_grams(self._network)
        cards = [_card(name, note, name in measured) for name, note in learned.items()]
        # A network that reads no picture paints in no other style than those it has learned.
        others = STYLES if network_header(self._network).reads else ()
        return cards + [_card(name, None) for name in others if name not in learned]

    def _learned(self) -> dict[str, str]:
        """The styles the network knows by name, with their notes."""
        return {style.name: style.note for style in learned_styles(self._network)}

    def borrow(self, path: Path, taken: Sequence[str] = ()) -> Borrowed:
        """The style in a file, under a name that no style here has, nor any of `taken`; see
        `borrow`.
        """
        network = network_header(self._network).network
        names = {card.name for card in self.styles()} | {*taken}
        return borrow(path, network, names, self.limits, self.budget)

    def thumbnail(self, name: str) -> Image.Image:
        """A sample photo in that style, 160 px on its long side, from memory after the first time.

        It is painted by the worker when no order is waiting, and this waits for it. Raises
        `ImpastoError` for an unknown name and when the engine is closed.
        """
        self._known((name,))
        with self._queue.news:
            if self._queue.closed:
                raise BusyError("the studio is closing")
            if name not in self._thumbnails:
                self._thumbnails[name] = Future()
                self._queue.chore(partial(self._paint_thumbnail, name, self._thumbnails[name]))
            thumbnail = self._thumbnails[name]
        return thumbnail.result().copy()

    def place(self, order: Order) -> Ticket:
        """Take an order on.

        Raises `ImpastoError` for an order outside the limits or that no method can honour,
        `BusyError` where the queue is full or the engine closed.
        """
        check(order, self.limits)
        if order.settings.refine:
            unknown = [card.name for card in self._known(order.styles) if not card.refinable]
            borrowed = (style for style in order.styles if isinstance(style, Borrowed))
            unknown += [style.name for style in borrowed if not style.refinable]
            if unknown:
                raise ImpastoError(
                    f"{unknown[0]} is known by its vector only; to refine, drop the painting itself, or "
                    "learn it again (impasto learn --replace)"
                )
        self._known(order.styles)
        return (self._aside if order.aside else self._queue).put(order)

    @property
    def working(self) -> bool:
        """Whether the workers' threads are still there."""
        return all(worker.is_alive() for worker in self._workers)

    def close(self, patience: float | None = None) -> None:
        """Stop at the next step, end every ticket with an `ImpastoError` in words, and wait for the
        worker, though no longer than `patience` seconds.
        """
        until = None if patience is None else time.monotonic() + patience
        for queue in (self._queue, self._aside):
            queue.close()
        for thumbnail in list(self._thumbnails.values()):
            self._settle(thumbnail, BusyError("the studio is closing"))
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join(None if until is None else max(0.0, until - time.monotonic()))

    def _known(self, styles: Sequence[str | Upload | Borrowed]) -> list[StyleCard]:
        """The cards of the styles given by name; `ImpastoError` for a name there is not."""
        cards = {card.name: card for card in self.styles()}
        for style in styles:
            if isinstance(style, str) and style not in cards:
                raise ImpastoError(
                    f"there is no style called {printable(style[:80])!r}; there are: {', '.join(cards)}"
                )
        return [cards[style] for style in styles if isinstance(style, str)]

    # ------------------------------------------------------------------------------- in the worker's thread

    def _work(self, queue: Queue) -> None:
        while (task := queue.take()) is not None:
            if not isinstance(task, Work):
                task()
                continue
            try:
                task.end(self._paint(task))
            except Exception as error:
                task.end(_in_words(error))
            # Else the last order lives on in this frame until the next one comes.
            del task

    def _paint(self, work: Work) -> Glimpse:
        """Every step of an order, shown as it comes; the last glimpse, of the end or of where it
        was stopped.
        """
        from impasto.apps.progress import Clock

        self._rested(work)
        begun, clock = time.monotonic(), Clock()
        work.show(lambda: Glimpse(note="preparing"))
        job = self._job(work.order)
        if work.order.poster:
            work.show(partial(Glimpse, note="preparing", left=self._forecast(job)))
        full, why = job.content.image.shape[-2] * job.content.image.shape[-1], ""
        for step in job.steps():
            begun += self._rested(work)
            if work.gone:
                raise ImpastoError(GIVEN_UP)
            if step.step < step.of and work.stopping:
                why = "stopped"
            elif step.step < step.of and time.monotonic() - begun > self.limits.seconds:
                why = f"the time limit of {self.limits.seconds:g} s was reached"
            if why:
                break
            if step.step < step.of:
                # The first step is another kind of work: it tells nothing of the pace.
                left = clock.left(step, full) if step.step > 1 else None
                # A large picture is not put together to be looked at.
                look = partial(Glimpse, None, step.step, step.of, {}, left)
                work.show(look if work.order.poster else partial(_glimpse, job, step, left))
        if why and work.order.poster:
            raise ImpastoError(f"it was not finished: {why}")
        self._ready.set()
        notes = [
            *work.order.notes,
            *job.notes,
            f"{why} at step {step.step} of {step.of}" if why else step.note,
        ]
        picture = job.finish(step, unfinished=bool(why))
        recipe = None if picture.recipe is None else picture.recipe | work.order.inputs
        return Glimpse(
            picture,
            step.step,
            step.of,
            dict(step.losses),
            done=True,
            note="; ".join(note for note in notes if note),
            recipe=recipe,
            dpi=work.order.dpi,
        )

    def _forecast(self, job: "Job") -> float | None:
        """Seconds that a picture will take, about; `ImpastoError` for more than it is given."""
        from impasto.methods.base import forecasting

        tell = forecasting(job.renderer)
        found = tell((job.content.image.shape[-2], job.content.image.shape[-1])) if tell else None
        if found is not None and found.seconds > self.limits.seconds:
            raise ImpastoError(
                f"a picture of this size takes about {found.seconds / 60:.0f} min here, and the studio "
                f"gives it {self.limits.seconds / 60:.2g}; choose a smaller one"
            )
        return None if found is None else found.seconds

    def _rested(self, work: Work) -> float:
        """Let those by who wait, if this is an order aside; the seconds that it took."""
        begun = time.monotonic()
        while work.order.aside and not (work.gone or work.stopping):
            if self._queue.let_by(work, _LOOK):
                break
        return time.monotonic() - begun

    def _job(self, order: Order) -> "Job":
        from impasto.methods.base import instant_method
        from impasto.networks.loaded import Networks
        from impasto.pipeline import plan

        with self._loading:
            networks = self._networks = self._networks or Networks()
        borrowed = [style for style in order.styles if isinstance(style, Borrowed)]
        styles = [
            style
            if isinstance(style, str)
            else style.image
            if isinstance(style, Upload)
            else style.name
            for style in order.styles
        ]
        # To refine, a style is its picture where there is one, and not as the network learned it.
        learned = frozenset(self._learned()) | {style.name for style in borrowed}
        if order.settings.refine:
            learned = known_grams(self._network) - STYLES.keys() | {each.name for each in borrowed}
        method = instant_method(styles, order.settings, learned)
        settings = order.settings.but(
            method=method, device=self._device, network=str(self._network)
        )
        for style in borrowed:
            file = style.file
            networks = networks.knowing(
                settings.network, settings.device, style.name, file.vector, file.grams
            )
        if order.poster:
            settings = settings.but(max_memory=_POSTER_MEMORY)
        return plan(order.photo.image, styles, settings, networks=networks, regions=order.masks)

    def _warm(self) -> None:
        """Both ways to paint, once, as small as can be."""
        photo, started = Upload(sample(_PHOTO), _PHOTO), time.monotonic()
        learned = [card.name for card in self.styles() if card.learned]
        ways: list[str | Upload] = [*learned[:1], photo]
        try:
            for style in ways:
                self._once(Order(photo, (style,), Settings(size=64)))
        except (
            ImpastoError
        ) as error:  # a network that only knows names, say; an order will tell whom it concerns
            _log.warning("%s", error)
        except Exception:
            _log.exception("the studio cannot paint")
            return
        self._ready.set()
        _log.info("ready to paint after %.1f s", time.monotonic() - started)

    def _once(self, order: Order) -> Image.Image:
        job = self._job(order)
        (step,) = job.steps()
        return job.finish(step)

    def _paint_thumbnail(self, name: str, thumbnail: "Future[Image.Image]") -> None:
        try:
            photo = Upload(sample(_PHOTO), _PHOTO)
            self._settle(thumbnail, self._once(Order(photo, (name,), Settings(size=_THUMBNAIL))))
            if name not in self._learned():  # its plate is read before the first who wants it
                self._aside.chore(partial(self._read, name))
        except Exception as error:
            self._thumbnails.pop(name, None)  # the next who asks may have more luck
            self._settle(thumbnail, _in_words(error))

    def _read(self, name: str) -> None:
        try:
            self._job(Order(Upload(sample(_PHOTO), _PHOTO), (name,)))
        except ImpastoError as error:  # whoever orders it will be told
            _log.info("%s cannot be read: %s", name, error)

    def _settle(
        self, thumbnail: "Future[Image.Image]", outcome: Image.Image | ImpastoError
    ) -> None:
        with self._queue.news:
            if thumbnail.done():
                return
            if isinstance(outcome, ImpastoError):
                thumbnail.set_exception(outcome)
            else:
                thumbnail.set_result(outcome)


def _card(name: str, note: str | None, measured: bool = False) -> StyleCard:
    """`note`: of the network that learned it; None for a style that is not learned."""
    known = name in STYLES
    title = name.replace("-", " ")
    return StyleCard(
        name,
        title[:1].upper() + title[1:],
        STYLES[name] if known else note or "",
        note is not None,
        known,
        measured,
    )


def _glimpse(job: "Job", step: "Progress", left: float | None) -> Glimpse:
    return Glimpse(job.finish(step), step.step, step.of, dict(step.losses), left, note=step.note)


def _in_words(error: Exception) -> ImpastoError:
    """What may be told to anyone; anything but a user's mistake goes to the log with its traceback."""
    if isinstance(error, ImpastoError):
        return error
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "memory" in str(error).lower()
    ):
        _log.warning("%s", error)
        return ImpastoError(
            "there is not enough memory for a picture of this size; choose a smaller one"
        )
    _log.error("an order failed", exc_info=error)
    return PaintingError(
        f"something went wrong while painting ({type(error).__name__}); the studio's log says more"
    )
