"""What the page shows of a visit: of its styles, of an order under way, of a picture that rests."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from impasto.apps.studio import look
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.orders import Glimpse
from impasto.apps.studio.parts import HIDDEN, Parts, seen
from impasto.apps.studio.visit import Visit
from impasto.apps.studio.visits import Visits
from impasto.errors import ImpastoError

__all__ = ["Showing", "Update"]

Update = dict[Any, Any]


class Showing(Parts):
    """The page's parts, and what they show of each visit."""

    def __init__(self, engine: Engine, visits: Visits) -> None:
        self.visits = visits
        super().__init__(engine)

    def with_photo(self, visit: Visit) -> Update:
        """What can be done with the photo, and what is painted over it."""
        region, photo = visit.region, visit.photo
        told = ""
        if region is not None and photo is not None:
            words = self.shelf.around(region, visit)
            told = look.region(
                region.over(photo.image, look.THUMBNAIL),
                region.mask,
                words,
                region.style,
                photo_stays=region.photo_stays,
            )
        there = gr.update(visible=seen(photo is not None))
        return {self.crop: there, self.brush: there, self.region: told}

    def refuse_unknown(self, keys: Sequence[str], visit: Visit) -> None:
        """`ImpastoError` for a style that this visit does not know."""
        if any(key not in self.shelf and key not in visit.paintings for key in keys):
            raise ImpastoError("this style is of another visit; choose one again")

    def on_offer(self, visit: Visit) -> Update:
        """The styles, with the visitor's own."""
        return gr.update(value=self.shelf.tiles(visit), chosen=visit.chosen)

    def choice(self, visit: Visit) -> Update:
        """What is chosen, marked, with a weight for each of several."""
        several = visit.chosen if len(visit.chosen) > 1 else []
        titles = [self.shelf.title(key, visit) for key in several]
        weights = [
            gr.update(
                visible=seen(number < len(several)),
                **({"label": titles[number]} if number < len(several) else {}),
            )
            for number in range(len(self.weights))
        ]
        return {
            self.styles: gr.update(chosen=visit.chosen),
            **dict(zip(self.weights, weights, strict=True)),
        }

    def under_way(self, visit: Visit, glimpse: Glimpse) -> Update:
        """An order waiting or being worked at."""
        update: Update = {self.stop: gr.skip()}
        if words := look.step_words(glimpse.step, glimpse.of, glimpse.left, glimpse.ahead):
            part = glimpse.step / glimpse.of if glimpse.of else None
            update[self.status] = look.progress(words, part=part, losses=glimpse.losses)
        if glimpse.image is not None:
            picture = look.data_url(glimpse.image, look.PREVIEW)
            mark = visit.glimpsed(glimpse.image)
            update[self.canvas] = look.compare(visit.before, picture, glimpse.image.size, mark)
            update[self.download] = update[self.form] = gr.update(visible=True)
        return update

    def resting(self, visit: Visit, note: str = "") -> Update:
        """The picture shown, if any, and what can be done with it."""
        update = {
            self.stop: self.stopping(visit),
            self.apply: gr.update(visible=seen(visit.held)),
        }
        picture = visit.current
        if picture is None:
            return {**update, self.status: look.progress(note)}
        hint = self.shelf.unrefinable(visit.keys, visit)
        width, height = picture.size
        words = f"{self.shelf.described(picture.choice, visit)}, {width} x {height} pixels." + (
            f" {look.sentence(note)}" if note else ""
        )
        return {
            **update,
            self.canvas: look.compare(
                picture.before, picture.after, picture.size, visit.shown, picture.file, picture.name
            ),
            self.status: look.progress(words, hint=hint),
            self.refine: gr.update(
                visible=seen(self.limits.steps > 0), interactive=visit.newest and not hint
            ),
            self.download: gr.update(visible=True),
            self.form: gr.update(visible=True),
            self.large: gr.update(visible=seen(self.limits.poster > 0)),
            self.archive: gr.update(visible=True),
            self.history: self.past(visit),
        }

    def past(self, visit: Visit) -> Any:
        """The pictures of a visit, that which is shown marked."""
        return gr.update(value=self.shelf.past(visit), chosen=[visit.shown])

    def stoppable(self) -> Update:
        """It is refined now."""
        return {
            self.refine: gr.update(visible=HIDDEN),
            self.stop: gr.update(visible=True, interactive=True),
        }

    def bare(self, visit: Visit) -> Update:
        """The photo alone: there is no picture, or no longer."""
        photo = look.plain(visit.before) if visit.before else look.EMPTY_STAGE
        gone = (self.refine, self.stop, self.apply, self.download, self.large, self.form)
        return {
            self.canvas: photo,
            self.status: look.progress(""),
            self.history: self.past(visit),
            **{each: gr.update(visible=HIDDEN) for each in (*gone, self.archive)},
        }

    def recent(self, visit: Visit) -> Update:
        """The visit's pictures alone, whatever is on the stage."""
        return {
            self.history: self.past(visit),
            self.stop: self.stopping(visit),
        }

    @staticmethod
    def stopping(visit: Visit) -> Any:
        """The button goes with the work that it is for."""
        return gr.skip() if visit.at_work or visit.improving else gr.update(visible=HIDDEN)

    def back(self, request: gr.Request) -> Update:
        """As it was before something went wrong, if there is a visit at all."""
        visit = self.visits.begun(str(request.session_hash))
        return {self.status: gr.skip()} if visit is None else self.resting(visit)

    @staticmethod
    def told(sent: gr.EventData) -> dict[str, Any]:
        """What came along with an event, whatever was sent as that."""
        data = sent._data if isinstance(sent._data, dict) else {}
        numbered = isinstance(data.get("turn", 0), int | float)
        return data if numbered else {key: data[key] for key in data if key != "turn"}

    def visit(self, request: gr.Request) -> Visit:
        """Whose turn it is."""
        return self.visits.of(str(request.session_hash))
