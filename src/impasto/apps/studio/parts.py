"""The parts of the studio's page: what stands on it, in the order in which it is read."""

from typing import Any, Literal

import gradio as gr

from impasto.apps.studio import look
from impasto.apps.studio.album import FORMS
from impasto.apps.studio.borrowed import BORROWED
from impasto.apps.studio.controls import percent
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.look import Tile
from impasto.apps.studio.orders import USUAL
from impasto.apps.studio.shelf import Shelf
from impasto.pictures.samples import sample, sample_names
from impasto.settings import OPTIONS

__all__ = ["HIDDEN", "Parts", "seen"]

_REFINE = 60  # steps, unless told otherwise
_SIZES = (512, 768, 1024, 1536, 2048)
# What the page calls what may be chosen; see `Settings.keep_color`.
_COLORS = {
    "none": "Of the painting",
    "luminance": "Of the photo",
    "statistics": "The photo's palette",
}

HIDDEN: Literal["hidden"] = "hidden"
"""Built, and not shown. What is not built yet when an answer shows it, Gradio sometimes loses: a page
that was loaded anew had no download, about every second time.
"""


def seen(there: bool) -> bool | Literal["hidden"]:
    """`visible` of what is shown where it is `there`."""
    return there or HIDDEN


class Parts:
    """Components by name; made inside of a `gr.Blocks`."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.limits, self.shelf = engine, engine.limits, Shelf(engine)
        with gr.Column(elem_id="studio"):
            _html(look.HEADER, elem_id="head")
            self.choices()
            self.stage()
            self.tuning()
            with gr.Column(elem_id="visit"):  # shown with its archive, by the style sheet
                with gr.Row(elem_classes="title"):
                    _html("<h2>This visit</h2>")
                    self.again = gr.Button("Use these settings again", size="sm", elem_id="again")
                    self.archive = gr.Button(
                        "Download all", size="sm", visible=HIDDEN, elem_id="archive"
                    )
                self.history = _tiles("", elem_id="history")
            _html(look.KEPT, elem_id="kept-here")
            self.unseen()

    def unseen(self) -> None:
        """What the page's script sends and is sent: a number that grows with every wish, the
        picture that is shown, a file to save, whose visit it is, that a slider moves or rests.
        """
        self.turn = gr.Number(0, visible=HIDDEN)
        self.mark = gr.Textbox("", visible=HIDDEN)
        self.ready = _html("", elem_id="ready", js_on_load="studio.save(element, watch)")
        self.key = _html("", elem_id="key", js_on_load="studio.remember(element, watch)")
        self.hand = _html("", elem_id="hand", js_on_load="studio.hand(element, trigger, watch)")

    def choices(self) -> None:
        """The photo, and the styles."""
        with gr.Column(elem_id="photo"):
            _html("<h2>Photo</h2>")
            self.photo = self.place_to_drop(
                look.drop("Drop a photo here, or choose one", "Your photo"), pastes=True
            )
            with gr.Row(elem_classes="photo-tools"):
                self.camera = gr.Button("Use the camera", size="sm", elem_id="camera")
                later: dict[str, Any] = {"size": "sm", "visible": HIDDEN}
                self.crop = gr.Button("Crop", elem_id="crop", **later)
                self.brush = gr.Button("Paint a region", elem_id="brush", **later)
            self.region = _html(
                "", elem_id="region", js_on_load="studio.region(element, trigger, upload)"
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
                look.drop(
                    "Add a painting, or a style file",
                    "Paintings of your own",
                    several=True,
                    more=BORROWED,
                )
            )
            _html(look.SEARCH, elem_id="search")
            self.styles = _tiles(self.shelf.tiles())
            self.every = gr.Button("Try my photo in every style", size="sm", elem_id="every")
            self.weights = [
                gr.Slider(
                    0, 100, 50, step=1, label="", visible=HIDDEN, buttons=[], elem_classes="weight"
                )
                for _ in range(self.limits.styles)
            ]

    def stage(self) -> None:
        """The picture and what to do with it."""
        with gr.Column(elem_id="stage"):
            self.canvas = _html(
                look.EMPTY_STAGE, elem_id="canvas", js_on_load="studio.compare(element, watch)"
            )
            self.status = _html(look.progress(""), elem_id="status")
            with gr.Row(elem_id="actions"):
                self.refine = gr.Button("Refine", visible=HIDDEN, elem_id="refine")
                self.stop = gr.Button("Stop", visible=HIDDEN, variant="stop", elem_id="stop")
                self.apply = gr.Button("Use the new settings", visible=HIDDEN, elem_id="apply")
                self.download = gr.Button(
                    "Download", visible=HIDDEN, variant="primary", elem_id="download"
                )
                self.large = gr.Button("Poster", visible=HIDDEN, elem_id="large")
                self.form = gr.Radio(
                    list(FORMS),
                    value=next(iter(FORMS)),
                    visible=HIDDEN,
                    show_label=False,
                    label="File format",
                    container=False,
                    elem_id="form",
                )
            code = f"studio.poster(element, trigger, watch, {self.limits.poster})"
            self.poster = _html("", elem_id="poster", js_on_load=code)

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
            self.size = gr.Dropdown(
                [(f"{size} pixels", size) for size in sizes],
                value=USUAL.size if USUAL.size in sizes else sizes[-1],
                label="Size, long side",
                elem_id="size",
            )
            self.onward = gr.Checkbox(
                self.limits.background > 0 and self.limits.steps > 0,
                label="Go on refining by itself",
                container=False,
                visible=seen(self.limits.steps > 0),
                elem_id="onward",
            )
            with gr.Accordion("More", open=False):
                most = max(self.limits.steps, 1)
                begin = min(self.limits.background or _REFINE, most)
                self.steps = gr.Slider(
                    1, most, begin, step=1, label="Refining steps", buttons=[], elem_id="steps"
                )

    def place_to_drop(self, inside: str, *, pastes: bool = False) -> gr.HTML:
        """A place to drop files; they are sent by Gradio's own upload, never opened by it."""
        code = f"studio.drop(element, trigger, upload, {self.limits.upload_bytes}, {str(pastes).lower()})"
        return _html(inside, js_on_load=code)


def _html(inside: str, **options: Any) -> gr.HTML:
    return gr.HTML(inside, apply_default_css=False, **options)


def _tiles(inside: str, **options: Any) -> gr.HTML:
    """Tiles to press; which of them are, is `chosen`."""
    code = "studio.tiles(element, trigger, props, watch)"
    return _html(inside, js_on_load=code, chosen=[], **options)
