"""What the page has painted, and when: wishes become orders, and how they come about is shown."""

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from impasto.apps.studio import look
from impasto.apps.studio.album import Choice, named_after
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.jobs import Jobs
from impasto.apps.studio.parts import HIDDEN
from impasto.apps.studio.showing import Showing, Update
from impasto.apps.studio.telling import in_words
from impasto.apps.studio.visit import Visit
from impasto.apps.studio.visits import Visits
from impasto.errors import ImpastoError

__all__ = ["Easel"]

_FRAME = (
    0.4  # seconds between pictures sent while refining: each one costs the painter some of its time
)


class Easel(Showing):
    """The page's parts, and the handlers of what asks for a picture; `jobs`: where large ones are
    placed.
    """

    def __init__(self, engine: Engine, visits: Visits, jobs: Jobs) -> None:
        self.jobs = jobs
        super().__init__(engine, visits)

    def heard(self, request: gr.Request, turn: float, wish: tuple[Any, ...]) -> Visit:
        """Whose wish it is; what the controls say now is remembered, of whichever wish is the
        newest: they may come in any order.
        """
        visit = self.visit(request)
        if visit.hears("controls", turn):
            visit.controls = wish[1:]
        return visit

    def paint(self, visit: Visit, *, refine: int = 0) -> Iterator[Update]:
        """Paint as the controls say, and show how it comes about; what is being refined is kept."""
        visit.settle()
        visit.held = False
        yield {**self.choice(visit), self.apply: gr.update(visible=HIDDEN)}
        if visit.photo is None or not visit.chosen:
            return
        yield {
            self.status: look.progress("Getting ready to refine ..." if refine else "Painting ...")
        }
        choice, shown = Choice.read(visit.chosen, visit.controls, visit.region), 0.0
        for glimpse in visit.paint(self.engine, choice, refine=refine):
            if glimpse.done:
                visit.said = glimpse.note
                yield self.resting(visit, visit.said)
                return
            if time.monotonic() - shown > _FRAME:
                shown = time.monotonic()
                yield self.under_way(visit, glimpse)

    @in_words
    def adjust(self, request: gr.Request, turn: float, *wish: Any) -> Iterator[Update]:
        """A slider came to rest, or something else was set."""
        visit = self.heard(request, turn, wish)
        if visit.refining:
            visit.held = True
            yield {self.apply: gr.update(visible=True)}
        else:
            yield from self.paint(visit)

    @in_words
    def unmix(self, request: gr.Request, turn: float, *wish: Any) -> Iterator[Update]:
        """No more mixing: back to the first of several styles."""
        visit = self.heard(request, turn, wish)
        if not wish[0] and len(visit.chosen) > 1:
            visit.chosen = visit.chosen[:1]
            yield from self.paint(visit)

    @in_words
    def follow(self, request: gr.Request, turn: float, *wish: Any) -> Iterator[Update]:
        """A slider moves: a small picture of how it would be, as far as one can be had at once."""
        visit, picture = self.heard(request, turn, wish), None
        if not visit.refining:
            picture = visit.sketch(
                self.engine, Choice.read(visit.chosen, visit.controls, visit.region)
            )
        newest = visit.hears("controls", turn)
        small = look.data_url(picture, look.PREVIEW) if picture is not None and newest else ""
        yield {self.hand: look.sketched(small)}

    @in_words
    def improve(self, request: gr.Request, wanted: bool, steps: int) -> Iterator[Update]:
        """Refine the last picture by itself, or, where that is not wanted, no longer."""
        visit = self.visit(request)
        yield from self.repeated(visit)
        if not wanted:
            if visit.improving:
                visit.stop()
            return
        if self.shelf.unrefinable(visit.keys, visit):
            return
        key, sent = visit.shown, 0.0
        for glimpse in visit.improve(self.engine, int(steps)):
            seen = visit.shown == key and not visit.at_work
            if glimpse.done:
                # Where nothing was begun, there is nothing to tell.
                visit.said = glimpse.note if glimpse.step else visit.said
                yield self.resting(visit, visit.said) if seen else self.recent(visit)
            elif seen and time.monotonic() - sent > _FRAME:
                sent = time.monotonic()
                yield {**self.under_way(visit, glimpse), **self.stoppable()}

    def repeated(self, visit: Visit) -> Iterator[Update]:
        """What a visit at rest shows, once more: Gradio's page loses some of many answers."""
        # Where the photo is another one, it is not painted yet.
        if visit.rests and visit.current is not None and visit.current.before == visit.before:
            yield self.resting(visit, visit.said)

    @in_words
    def repeat(self, request: gr.Request) -> Iterator[Update]:
        """The same after what is not improved by itself."""
        yield from self.repeated(self.visit(request))

    @in_words
    def use_held(self, request: gr.Request, turn: float, *wish: Any) -> Iterator[Update]:
        """What was set while it was refined is to be painted now."""
        yield from self.paint(self.heard(request, turn, wish))

    @in_words
    def refined(self, request: gr.Request, turn: float, steps: int, *wish: Any) -> Iterator[Update]:
        """Optimise the picture from here."""
        visit = self.heard(request, turn, wish)
        yield self.stoppable()
        yield from self.paint(visit, refine=int(steps))

    def enough(self, request: gr.Request) -> None:
        """Stop and keep what there is; the refining itself says so."""
        self.visit(request).stop()

    @in_words
    def try_all(self, request: gr.Request) -> Iterator[Update]:
        """The photo in every style, small, in place of the thumbnails."""
        visit, sent = self.visit(request), 0.0
        for done in visit.try_all(self.engine, self.shelf.names):
            if time.monotonic() - sent > _FRAME:
                sent = time.monotonic()
                words = f"Your photo in every style: {done} of {len(self.shelf.names)}."
                yield {self.styles: self.on_offer(visit), self.status: look.progress(words)}
        words = "This is your photo in every style. Download all gets them, too."
        yield {
            self.styles: self.on_offer(visit),
            self.status: look.progress(words),
            self.archive: gr.update(visible=True),
        }

    @in_words
    def enlarge(self, request: gr.Request, sent: gr.EventData) -> Iterator[Update]:
        """A poster of the picture shown, as a job that goes on by itself."""
        visit = self.visit(request)
        if self.jobs.running(visit.poster[0]):
            raise ImpastoError("a poster is being painted already; cancel it first")
        order = visit.large(str(self.told(sent).get("size", ""))[:40])
        job = self.jobs.place(order)
        visit.poster = (job.id, f"{named_after(order)}-{order.settings.size}")
        yield {self.poster: look.poster(*visit.poster)}

    def let_go(self, request: gr.Request) -> None:
        """The poster was cancelled, or is no longer wanted."""
        self.visit(request).poster = ("", "")
