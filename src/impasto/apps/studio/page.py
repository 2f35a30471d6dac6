"""The studio's page, the one place that knows Gradio: what is on it, what leads to what, how it is
mounted.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from impasto.apps.studio import look
from impasto.apps.studio.controls import percent, with_settings
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.guard import Guard, refuse_foreign_files
from impasto.apps.studio.journal import short
from impasto.apps.studio.limits import Upload
from impasto.apps.studio.look import Tile
from impasto.apps.studio.orders import USUAL, Glimpse
from impasto.apps.studio.shelf import Shelf
from impasto.apps.studio.visit import Choice, Visit, Visits
from impasto.errors import ImpastoError
from impasto.pictures.samples import sample, sample_names
from impasto.settings import OPTIONS

__all__ = ["mount", "page"]

Update = dict[Any, Any]
Handler = Callable[..., Iterator[Update]]

_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
_LOG = logging.getLogger(__name__)
_FRAME = (
    0.4  # seconds between pictures sent while refining: each one costs the painter some of its time
)
_LOOKS = 300  # seconds that a page waits for thumbnails
_REFINE = 60  # steps, unless told otherwise
_SIZES = (512, 768, 1024, 1536, 2048)
# What the page calls what may be chosen; see `Settings.keep_color`.
_COLORS = {
    "none": "Of the painting",
    "luminance": "Of the photo",
    "statistics": "The photo's palette",
}


def page(engine: Engine, root: Path) -> gr.Blocks:
    """The page, painting with `engine`; each visitor's files are in a folder of their own under
    `root`.

    `root` must be Gradio's temporary folder (`GRADIO_TEMP_DIR`, set before Gradio is imported).
    """
    blocks: gr.Blocks = _Page(engine, root).blocks
    return blocks


def mount(app: Any, engine: Engine, *, root: Path, root_path: str = "") -> Any:
    """`app`, a FastAPI application, with the page at "/", behind a `Guard`; an ASGI application.
    `root_path`: what stands before every path where browsers see it.
    """
    blocks = page(engine, root)
    mounted = gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        root_path=root_path or None,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        max_file_size=engine.limits.upload_bytes,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=gr.themes.Base(
            font=_FONT, font_mono=["ui-monospace", "monospace"]
        ),  # of the system: none is fetched
        css=look.text("page.css"),
        head=f"<script>{look.text('page.js')}</script>",
    )
    # Gradio checks the paths of files it is sent only in what it launched itself.
    blocks.has_launched = True
    return Guard(mounted, root, engine.budget)


class _Blocks(gr.Blocks):
    """Refuse the URLs sent in place of uploaded files, which Gradio would fetch, and tell what
    breaks in a line, where it would print a traceback.
    """

    async def process_api(self, **event: Any) -> Any:  # type: ignore[override]
        words = "This did not work. Try again, or reload the page."
        try:
            refuse_foreign_files(event["inputs"])
            return await super().process_api(**event)
        except gr.Error:
            raise
        except ImpastoError as error:
            words = look.sentence(error)
        except Exception as error:
            _LOG.warning("an event of the page failed: %s", short(error))
        raise gr.Error(escape(words), print_exception=False)


def _in_words(handler: Handler) -> Handler:
    """What is the visitor's to mend is said on the page, and the page rests as before."""

    @wraps(handler)
    def told(self: "_Page", request: gr.Request, *given: Any) -> Iterator[Update]:
        yield {self.status: gr.skip()}  # a handler that yields nothing would empty all there is
        try:
            yield from handler(self, request, *given)
        except ImpastoError as error:
            gr.Warning(escape(look.sentence(error)), title="That did not work", duration=12)
            yield self.resting(self.visit(request))
        except Exception:
            _LOG.exception("the page failed at %s", handler.__name__)
            gr.Warning("Something went wrong here. Try again, or reload the page.", duration=12)
            yield self.resting(self.visit(request))

    return told


class _Page:
    """The page's parts, and what each event does to them."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine, self.limits = engine, engine.limits
        self.visits = Visits(root, engine.limits, engine.budget)
        self.shelf, keep = Shelf(engine), int(self.limits.keep)
        with _Blocks(
            title="impasto", analytics_enabled=False, delete_cache=(keep, keep)
        ) as self.blocks:
            with gr.Column(elem_id="studio"):
                _html(look.HEADER, elem_id="head")
                self.choices()
                self.stage()
                self.tuning()
                with gr.Column(elem_id="visit", visible=False) as self.visit_room:
                    with gr.Row(elem_classes="title"):
                        _html("<h2>This visit</h2>")
                        self.again = gr.Button(
                            "Use these settings again", size="sm", elem_id="again"
                        )
                    self.history = _tiles("")
            self.events()
        # Orders wait in the engine, which says when it is full; Gradio's queue only has to be out
        # of their way.
        self.blocks.max_threads = 40 + 2 * self.limits.waiting  # whoever waits takes one up
        self.blocks.queue(
            max_size=8 * (self.limits.waiting + 1), default_concurrency_limit=None, api_open=False
        )

    # ------------------------------------------------------------------------------------- parts

    def choices(self) -> None:
        """The photo, and the styles."""
        with gr.Column(elem_id="photo"):
            _html("<h2>Photo</h2>")
            self.photo = self.place_to_drop(
                look.drop("Drop a photo here, or choose one", "Your photo"), pastes=True
            )
            samples = [
                Tile(name, name.capitalize(), look.data_url(sample(name), look.THUMBNAIL))
                for name in sample_names()
            ]
            self.samples = _tiles(look.tiles("Sample photos", samples))
        with gr.Column(elem_id="style"):
            with gr.Row(elem_classes="title"):
                _html("<h2>Style</h2>")
                self.mix = gr.Checkbox(False, label="Mix several", container=False, elem_id="mix")
            self.painting = self.place_to_drop(
                look.drop("Add a painting of your own", "Paintings of your own", several=True)
            )
            self.styles = _tiles(self.shelf.tiles({}))
            self.weights = [
                gr.Slider(
                    0, 100, 50, step=1, label="", visible=False, buttons=[], elem_classes="weight"
                )
                for _ in range(self.limits.styles)
            ]

    def stage(self) -> None:
        """The picture and what to do with it."""
        with gr.Column(elem_id="stage"):
            self.canvas = _html(
                look.EMPTY_STAGE, elem_id="canvas", js_on_load="studio.compare(element)"
            )
            self.status = _html(look.progress(""), elem_id="status")
            with gr.Row(elem_id="actions"):
                self.refine = gr.Button("Refine", visible=False, elem_id="refine")
                self.stop = gr.Button("Stop", visible=False, variant="stop", elem_id="stop")
                self.download = gr.DownloadButton(
                    "Download", visible=False, variant="primary", elem_id="download"
                )

    def tuning(self) -> None:
        """What changes the picture live."""
        sizes = [size for size in _SIZES if size <= self.limits.size] or [self.limits.size]
        with gr.Column(elem_id="tune"):
            _html("<h2>Adjust</h2>")
            self.strength = gr.Slider(
                *percent(OPTIONS["strength"]),
                step=5,
                label="Strength",
                buttons=[],
                elem_id="strength",
            )
            strokes = percent(OPTIONS["style_scale"], low=25, high=200)
            self.scale = gr.Slider(
                *strokes, step=5, label="Stroke size", buttons=[], elem_id="scale"
            )
            colors = [(_COLORS[each], each) for each in OPTIONS["keep_color"].choices]
            self.keep = gr.Radio(colors, value=USUAL.keep_color, label="Colours", elem_id="keep")
            with gr.Accordion("More", open=False):
                self.size = gr.Dropdown(
                    [(f"{size} pixels", size) for size in sizes],
                    value=USUAL.size if USUAL.size in sizes else sizes[-1],
                    label="Size, long side",
                    elem_id="size",
                )
                most = max(self.limits.steps, 1)
                begin = min(_REFINE, most)
                self.steps = gr.Slider(
                    1, most, begin, step=1, label="Refining steps", buttons=[], elem_id="steps"
                )

    def place_to_drop(self, inside: str, *, pastes: bool = False) -> gr.HTML:
        """A place to drop files; they are sent by Gradio's own upload, never opened by it."""
        code = f"studio.drop(element, trigger, upload, {self.limits.upload_bytes}, {str(pastes).lower()})"
        return _html(inside, js_on_load=code)

    # ------------------------------------------------------------------------------------ events

    def events(self) -> None:
        """What leads to what. Nothing here is an endpoint for clients but `stylize`."""
        controls: list[Any] = [self.strength, self.scale, self.keep, self.size, *self.weights]
        self.controls = controls
        shown = [
            self.photo,
            self.styles,
            self.mix,
            *controls,
            self.canvas,
            self.status,
            self.refine,
            self.stop,
        ]
        shown += [self.download, self.visit_room, self.history]
        hidden: dict[str, Any] = {
            "outputs": shown,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        # Every press counts, and the newest is what is painted; of a slider's many values only the
        # last is.
        press, slide = (
            {**hidden, "trigger_mode": "multiple"},
            {**hidden, "trigger_mode": "always_last"},
        )
        self.blocks.load(
            self.fill, None, self.styles, show_progress="hidden", api_visibility="private"
        )
        self.blocks.unload(self.leave)
        self.photo.upload(self.take_photo, controls, **press)
        self.samples.select(self.take_sample, controls, **press)
        self.painting.upload(self.take_paintings, [self.mix, *controls], **press)
        self.styles.select(self.pick, [self.mix, *controls], **press)
        self.mix.input(self.unmix, [self.mix, *controls], **press)
        gr.on([control.input for control in controls], self.adjust, controls, **slide)
        self.refine.click(self.refined, [self.steps, *controls], **hidden)
        self.stop.click(self.enough, None, None, show_progress="hidden", api_visibility="private")
        self.history.select(self.look_back, None, **press)
        self.again.click(self.reuse, None, **hidden)
        gr.events.api(with_settings(self.stylize), api_name="stylize", concurrency_limit=None)

    async def fill(self, request: gr.Request) -> AsyncIterator[Update]:
        """The styles' thumbnails, as they are painted; for the first visitor only it takes a while."""
        self.shelf.fill()
        visit, seen = self.visit(request), -1
        for _ in range(_LOOKS):
            if len(self.shelf) != seen:
                seen = len(self.shelf)
                yield gr.update(value=self.shelf.tiles(visit.thumbs()), chosen=visit.chosen)
            if self.shelf.full:
                return
            await asyncio.sleep(1)

    def leave(self, request: gr.Request) -> None:
        """The window was closed, or a phone put it to sleep: nobody watches, but who comes back
        finds the visit.
        """
        visit = self.visits.begun(str(request.session_hash))
        if visit is not None:
            visit.stop()

    @_in_words
    def take_photo(
        self, request: gr.Request, sent: gr.EventData, *controls: Any
    ) -> Iterator[Update]:
        """A photo was dropped."""
        visit = self.visit(request)
        visit.take_photo(visit.received(sent._data or {})[-1])
        yield from self.new_photo(visit, controls)

    @_in_words
    def take_sample(
        self, request: gr.Request, pressed: gr.EventData, *controls: Any
    ) -> Iterator[Update]:
        """A sample photo was pressed."""
        visit = self.visit(request)
        visit.use_photo(Upload(sample(pressed.key), pressed.key))
        yield from self.new_photo(visit, controls)

    def new_photo(self, visit: Visit, controls: tuple[Any, ...]) -> Iterator[Update]:
        """Show it, and paint it if there is a style."""
        yield {self.photo: look.drop("Choose another photo", "Your photo", picture=visit.before)}
        if not visit.chosen:
            yield {
                self.canvas: look.plain(visit.before),
                self.status: look.progress("Now choose a style."),
            }
        yield from self.paint(visit, controls)

    @_in_words
    def take_paintings(
        self, request: gr.Request, sent: gr.EventData, mix: bool, *controls: Any
    ) -> Iterator[Update]:
        """Paintings were dropped: one is the style, several are mixed."""
        visit = self.visit(request)
        keys = [visit.take_painting(path) for path in visit.received(sent._data or {})]
        if len(keys) > 1 and not mix:
            visit.chosen = []
        visit.choose(keys, mix=mix or len(keys) > 1)
        yield {
            self.styles: gr.update(value=self.shelf.tiles(visit.thumbs())),
            self.mix: mix or len(keys) > 1,
        }
        yield from self.paint(visit, controls)

    @_in_words
    def pick(
        self, request: gr.Request, pressed: gr.EventData, mix: bool, *controls: Any
    ) -> Iterator[Update]:
        """A style was pressed."""
        visit = self.visit(request)
        if pressed.key not in self.shelf and pressed.key not in visit.paintings:
            raise ImpastoError("this style is of another visit; choose one again")
        visit.choose([pressed.key], mix=mix)
        yield from self.paint(visit, controls)

    @_in_words
    def unmix(self, request: gr.Request, mix: bool, *controls: Any) -> Iterator[Update]:
        """No more mixing: back to the first of several styles."""
        visit = self.visit(request)
        if not mix and len(visit.chosen) > 1:
            visit.chosen = visit.chosen[:1]
            yield from self.paint(visit, controls)

    @_in_words
    def adjust(self, request: gr.Request, *controls: Any) -> Iterator[Update]:
        """A slider moved."""
        yield from self.paint(self.visit(request), controls)

    @_in_words
    def refined(self, request: gr.Request, steps: int, *controls: Any) -> Iterator[Update]:
        """Optimise the picture from here."""
        visit = self.visit(request)
        yield {
            self.refine: gr.update(visible=False),
            self.stop: gr.update(visible=True, interactive=True),
        }
        yield from self.paint(visit, controls, refine=int(steps))

    def enough(self, request: gr.Request) -> None:
        """Stop and keep what there is; the refining itself says so."""
        self.visit(request).stop()

    @_in_words
    def look_back(self, request: gr.Request, pressed: gr.EventData) -> Iterator[Update]:
        """Show an earlier picture of this visit."""
        visit = self.visit(request)
        visit.show(pressed.key)
        yield self.resting(visit)

    @_in_words
    def reuse(self, request: gr.Request) -> Iterator[Update]:
        """Set everything as it was for the picture shown, and paint the photo of now."""
        visit = self.visit(request)
        choice = visit.recall()
        values = choice.controls(self.limits.styles)
        yield {**dict(zip(self.controls, values, strict=True)), self.mix: len(choice.styles) > 1}
        yield from self.paint(visit, tuple(values))

    def stylize(self, photo: dict[str, Any], styles: list[Any], **settings: Any) -> dict[str, Any]:
        """A picture, for Gradio's client: `photo` and the paintings among `styles` are files, other
        styles names.
        """
        visit = self.visits.passing()
        try:
            keys = visit.take(photo, styles)
            asked = USUAL.but(**settings)
            for _ in visit.paint(self.engine, Choice(keys, asked), refine=asked.refine):
                pass
            return gr.FileData(path=str(visit.made)).model_dump()
        except ImpastoError as error:
            raise gr.Error(look.sentence(error), print_exception=False) from error

    # ---------------------------------------------------------------------------------- painting

    def paint(
        self, visit: Visit, controls: tuple[Any, ...], *, refine: int = 0
    ) -> Iterator[Update]:
        """Paint as the controls say, and show how it comes about."""
        yield self.choice(visit)
        if visit.photo is None or not visit.chosen:
            return
        yield {
            self.status: look.progress("Getting ready to refine ..." if refine else "Painting ...")
        }
        choice, shown = Choice.read(visit.chosen, controls), 0.0
        for glimpse in visit.paint(self.engine, choice, refine=refine):
            if glimpse.done:
                yield self.resting(visit, glimpse.note)
                return
            if time.monotonic() - shown > _FRAME:
                shown = time.monotonic()
                yield self.under_way(visit, glimpse)
        yield {
            self.status: gr.skip()
        }  # overtaken by a newer wish: what Gradio sends last must change nothing

    def choice(self, visit: Visit) -> Update:
        """What is chosen, marked, with a weight for each of several."""
        several = visit.chosen if len(visit.chosen) > 1 else []
        titles = [self.shelf.title(key) for key in several]
        weights = [
            gr.update(
                visible=number < len(several),
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
            update[self.canvas] = look.compare(visit.before, picture, glimpse.image.size)
        return update

    def resting(self, visit: Visit, note: str = "") -> Update:
        """The picture shown, if any, and what can be done with it."""
        update = {self.stop: gr.skip() if visit.at_work else gr.update(visible=False)}
        kept = visit.kept
        if kept is None:
            return {**update, self.status: look.progress(note)}
        hint = self.shelf.unrefinable(visit.chosen)
        width, height = kept.size
        words = f"{self.shelf.titles(kept.choice.styles)}, {width} x {height} pixels." + (
            f" {look.sentence(note)}" if note else ""
        )
        return {
            **update,
            self.canvas: look.compare(kept.before, kept.after, kept.size),
            self.status: look.progress(words, hint=hint),
            self.refine: gr.update(
                visible=self.limits.steps > 0, interactive=visit.newest and not hint
            ),
            self.download: gr.update(value=str(kept.file), visible=True),
            self.visit_room: gr.update(visible=True),
            self.history: gr.update(value=self.shelf.past(visit), chosen=[visit.shown]),
        }

    def visit(self, request: gr.Request) -> Visit:
        """Whose turn it is."""
        return self.visits.of(str(request.session_hash))


def _html(inside: str, **options: Any) -> gr.HTML:
    return gr.HTML(inside, apply_default_css=False, **options)


def _tiles(inside: str) -> gr.HTML:
    """Tiles to press; which of them are, is `chosen`."""
    code = "studio.tiles(element, trigger, props, watch)"
    return _html(inside, js_on_load=code, chosen=[])
