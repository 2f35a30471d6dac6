"""The studio's page, the one place that knows Gradio: what is on it, what leads to what, how it is
mounted.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from impasto.apps.studio import look
from impasto.apps.studio.album import Choice
from impasto.apps.studio.controls import with_settings
from impasto.apps.studio.easel import Easel
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.guard import Guard
from impasto.apps.studio.jobs import Jobs
from impasto.apps.studio.limits import Upload
from impasto.apps.studio.orders import USUAL
from impasto.apps.studio.showing import Update
from impasto.apps.studio.telling import Blocks, in_words
from impasto.apps.studio.visit import Visit
from impasto.apps.studio.visits import Visits
from impasto.errors import ImpastoError
from impasto.pictures.samples import sample

__all__ = ["mount", "page"]


_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
_SCRIPTS = ("page.js", "photo.js", "brush.js", "poster.js", "keep.js")
_LOOKS = 300  # seconds that a page waits for thumbnails
_TURN = "(turn, ...given) => [studio.turn(), ...given]"
_KEY = "() => [sessionStorage.getItem('impasto') ?? '']"
_MARK = "async (mark, form) => [await studio.mark(), form]"


def page(engine: Engine, root: Path) -> gr.Blocks:
    """The page, painting with `engine`; each visitor's files are in a folder of their own under
    `root`.

    `root` must be Gradio's temporary folder (`GRADIO_TEMP_DIR`, set before Gradio is imported).
    """
    blocks: gr.Blocks = _Page(engine, root, Jobs(engine)).blocks
    return blocks


def mount(app: Any, engine: Engine, jobs: Jobs, *, root: Path, root_path: str = "") -> Any:
    """`app`, a FastAPI application, with the page at "/", behind a `Guard`; an ASGI application.

    `jobs`: where large pictures are placed, and the page's script asks for them. `root_path`: what
    stands before every path where browsers see it.
    """
    built = _Page(engine, root, jobs)
    blocks = built.blocks
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
        head=f"<script>{''.join(map(look.text, _SCRIPTS))}</script>",
    )
    # Gradio checks the paths of files it is sent only in what it launched itself.
    blocks.has_launched = True
    return Guard(mounted, root, engine.budget, built.visits)


class _Page(Easel):
    """The page's parts, and what each event does to them."""

    def __init__(self, engine: Engine, root: Path, jobs: Jobs) -> None:
        visits = Visits(root, engine.limits, engine.budget)
        keep = int(engine.limits.keep)
        with Blocks(
            title="impasto", analytics_enabled=False, delete_cache=(keep, keep)
        ) as self.blocks:
            super().__init__(engine, visits, jobs)
            self.events()
        # Orders wait in the engine, which says when it is full; Gradio's queue only has to be out
        # of their way.
        self.blocks.max_threads = 40 + 2 * self.limits.waiting  # whoever waits takes one up
        self.blocks.queue(
            max_size=8 * (self.limits.waiting + 1), default_concurrency_limit=None, api_open=False
        )

    def events(self) -> None:
        """What leads to what. Nothing here is an endpoint for clients but `stylize`."""
        self.controls = [self.strength, self.scale, self.keep, self.size, *self.weights]
        wish: list[Any] = [self.turn, self.mix, *self.controls]
        shown = [self.photo, self.styles, self.mix, *self.controls, self.canvas, self.status]
        shown += [self.refine, self.stop, self.apply, self.download, self.form]
        shown += [self.archive, self.history, self.ready, self.crop, self.brush, self.region]
        shown += [self.large, self.poster]
        unseen: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        hidden: dict[str, Any] = {**unseen, "outputs": shown, "js": _TURN}
        # Every press counts, and the newest is what is painted.
        press = {**hidden, "trigger_mode": "multiple"}
        known = self.blocks.load(self.resume, [self.mark], [*shown, self.key], js=_KEY, **unseen)
        # Gradio's page loses some of many answers that come at once, or while it is being built:
        # what it must show is said again.
        known.then(self.settle, None, shown, **unseen).then(self.fill, None, self.styles, **unseen)
        self.blocks.unload(self.leave)
        painting = [
            self.photo.upload(self.take_photo, wish, **press),
            self.samples.select(self.take_photo, wish, **press),
            self.photo.apply(self.take_photo, wish, **press),
            self.region.apply(self.take_region, wish, **press),
            self.region.delete(self.take_region, wish, **press),
            self.painting.upload(self.take_paintings, wish, **press),
            self.styles.select(self.pick, wish, **press),
            self.mix.input(self.unmix, wish, **press),
            gr.on([self.hand.apply, self.keep.input, self.size.input], self.adjust, wish, **press),
            self.apply.click(self.use_held, wish, **hidden),
            again := self.again.click(self.reuse, [self.turn], **press),
        ]
        again.then(self.settle, None, shown, **unseen)
        aside: dict[str, Any] = {**unseen, "outputs": shown}
        for event in painting:  # no wish of anybody's, and so without a number
            event.then(self.improve, [self.onward, self.steps], **aside)
        self.onward.input(self.improve, [self.onward, self.steps], **aside)
        self.hand.input(self.follow, wish, **{**press, "outputs": [*shown, self.hand]})
        self.camera.click(None, None, None, js="() => { studio.camera(); }", **unseen)
        self.crop.click(None, None, None, js="() => { studio.crop(); }", **unseen)
        self.brush.click(None, None, None, js="() => { studio.brush(); }", **unseen)
        self.large.click(None, None, None, js="() => { studio.order(); }", **unseen)
        self.poster.submit(self.enlarge, None, **{**hidden, "js": None})
        self.poster.clear(self.let_go, None, None, **unseen)
        self.styles.delete(self.forget, wish, **press)
        refined = self.refine.click(self.refined, [self.turn, self.steps, *wish[1:]], **hidden)
        refined.then(self.repeat, None, shown, **unseen)
        self.stop.click(self.enough, None, None, **unseen)
        self.history.select(self.look_back, [self.turn], **press)
        self.history.delete(self.throw_away, None, **{**hidden, "js": None})
        self.download.click(
            self.save, [self.mark, self.form], **{**hidden, "js": _MARK, "trigger_mode": "multiple"}
        )
        self.every.click(self.try_all, None, **{**hidden, "js": None})
        self.archive.click(self.save_all, None, **{**hidden, "js": None})
        gr.events.api(with_settings(self.stylize), api_name="stylize", concurrency_limit=None)

    @in_words
    def resume(self, request: gr.Request, key: str) -> Iterator[Update]:
        """The page was opened, or opened again: then all is as it was."""
        visit = self.visits.resumed(str(request.session_hash), str(key))
        yield {self.key: look.remembered(visit.key)}
        if visit.photo is None:
            return
        yield {
            self.photo: look.drop("Choose another photo", "Your photo", picture=visit.before),
            **({self.canvas: look.plain(visit.before)} if visit.current is None else {}),
            self.mix: len(visit.chosen) > 1,
            **({self.poster: look.poster(*visit.poster)} if visit.poster[0] in self.jobs else {}),
        }
        yield self.at_rest(visit)

    @in_words
    def settle(self, request: gr.Request) -> Iterator[Update]:
        """Once more what the page shows of a visit at rest."""
        visit = self.visit(request)
        if visit.rests:
            yield self.at_rest(visit)

    def at_rest(self, visit: Visit) -> Update:
        """All that was set, and the picture shown."""
        return {
            **dict(zip(self.controls, visit.controls, strict=False)),
            **self.with_photo(visit),
            **self.resting(visit),
            **self.choice(visit),
        }

    async def fill(self, request: gr.Request) -> AsyncIterator[Update]:
        """The styles' thumbnails, as they are painted; for the first visitor only it takes a while."""
        self.shelf.fill()
        visit, seen = self.visit(request), -1
        for _ in range(_LOOKS):
            if len(self.shelf) != seen:
                seen = len(self.shelf)
                yield self.on_offer(visit)
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

    @in_words
    def take_photo(
        self, request: gr.Request, sent: gr.EventData, turn: float, *wish: Any
    ) -> Iterator[Update]:
        """A photo was dropped, a sample pressed, or a part of the photo marked."""
        visit, data = self.heard(request, turn, wish), self.told(sent)
        if not visit.hears("photo", float(data.get("turn", turn))):
            return
        if "key" in data:
            name = str(data["key"])[:40]
            visit.use_photo(Upload(sample(name), name))
        elif "box" in data:
            visit.crop(data["box"])
        else:
            visit.take_photo(visit.received(data)[-1])
        yield from self.new_photo(visit)

    @in_words
    def take_region(
        self, request: gr.Request, sent: gr.EventData, turn: float, *wish: Any
    ) -> Iterator[Update]:
        """A part of the photo was painted over, or is no longer to be."""
        visit, data = self.heard(request, turn, wish), self.told(sent)
        if not visit.hears("region", float(data.get("turn", turn))):
            return
        if data.get("paths"):
            style = str(data.get("style", ""))
            self.refuse_unknown([style] if style else [], visit)
            visit.take_region(visit.received(data)[-1], style, bool(data.get("stays")))
        else:
            visit.region = None
        yield self.with_photo(visit)
        yield from self.paint(visit)

    def new_photo(self, visit: Visit) -> Iterator[Update]:
        """Show it, and paint it if there is a style."""
        yield {
            self.photo: look.drop("Choose another photo", "Your photo", picture=visit.before),
            **self.with_photo(visit),
            self.styles: self.on_offer(visit),
        }
        if not visit.chosen:
            yield {
                self.canvas: look.plain(visit.before),
                self.status: look.progress("Now choose a style."),
            }
        yield from self.paint(visit)

    @in_words
    def take_paintings(
        self, request: gr.Request, sent: gr.EventData, turn: float, mix: bool, *controls: Any
    ) -> Iterator[Update]:
        """Paintings, or styles, were dropped: one is the style, several are mixed."""
        visit = self.heard(request, turn, (mix, *controls))
        paths = visit.received(self.told(sent))
        keys = [visit.take_painting(path, self.engine) for path in paths]
        if len(keys) > 1 and not mix:
            visit.chosen = []
        visit.choose(keys, mix=mix or len(keys) > 1)
        yield {self.styles: self.on_offer(visit), self.mix: mix or len(keys) > 1}
        yield from self.paint(visit)

    @in_words
    def pick(
        self, request: gr.Request, pressed: gr.EventData, turn: float, mix: bool, *controls: Any
    ) -> Iterator[Update]:
        """A style was pressed."""
        visit = self.heard(request, turn, (mix, *controls))
        self.refuse_unknown([pressed.key], visit)
        if visit.hears("style", turn) or mix:  # each press counts where several are chosen
            visit.choose([pressed.key], mix=mix)
            yield from self.paint(visit)

    @in_words
    def forget(
        self, request: gr.Request, pressed: gr.EventData, turn: float, *wish: Any
    ) -> Iterator[Update]:
        """A painting of the visitor's own is to go."""
        visit = self.heard(request, turn, wish)
        visit.forget(pressed.key)
        yield {**self.choice(visit), self.styles: self.on_offer(visit), **self.with_photo(visit)}

    @in_words
    def look_back(
        self, request: gr.Request, pressed: gr.EventData, turn: float
    ) -> Iterator[Update]:
        """Show an earlier picture of this visit."""
        visit = self.visit(request)
        if visit.hears("shown", turn):
            visit.show(pressed.key)
            yield self.resting(visit)

    @in_words
    def throw_away(self, request: gr.Request, pressed: gr.EventData) -> Iterator[Update]:
        """A picture of this visit is to go."""
        visit = self.visit(request)
        visit.delete(str(pressed.key))
        yield self.bare(visit) if visit.current is None else self.resting(visit)

    @in_words
    def reuse(self, request: gr.Request, turn: float) -> Iterator[Update]:
        """Set everything as it was for the picture shown, and paint the photo of now."""
        visit = self.visit(request)
        choice = visit.recall()
        values, several = choice.controls(self.limits.styles), len(choice.styles) > 1
        yield {
            **dict(zip(self.controls, values, strict=True)),
            self.mix: several,
            **self.with_photo(visit),
        }
        yield from self.paint(self.heard(request, turn, (several, *values)))

    @in_words
    def save(self, request: gr.Request, mark: str, form: str) -> Iterator[Update]:
        """The picture that is shown, finished or not, as a file."""
        visit = self.visit(request)
        yield {self.ready: look.saved(visit.saved(str(mark), form))}

    @in_words
    def save_all(self, request: gr.Request) -> Iterator[Update]:
        """Every picture of this visit, in an archive."""
        yield {self.ready: look.saved(self.visit(request).archive(self.shelf.title))}

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
