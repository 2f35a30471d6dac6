"""What the studio's page shows, as HTML and in words: nothing here knows of the page's machinery."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

from PIL import Image

__all__ = [
    "EMPTY_STAGE",
    "HEADER",
    "KEPT",
    "PREVIEW",
    "SEARCH",
    "THUMBNAIL",
    "Tile",
    "compare",
    "data_url",
    "drop",
    "groups",
    "listed",
    "plain",
    "poster",
    "progress",
    "region",
    "remembered",
    "saved",
    "sentence",
    "sketched",
    "step_words",
    "text",
    "tiles",
    "time_words",
]

# Long sides, in pixels, of what is sent to be looked at; what is downloaded has all of them.
PREVIEW = 1200
THUMBNAIL = 200
_MASK = 512  # of a mask to be gone on with

HEADER = "<header><h1>impasto</h1><p>Turn a photo into a painting.</p></header>"

EMPTY_STAGE = """<div class="empty"><ol>
<li>Drop a photo, or take a sample.</li><li>Choose a style.</li><li>Keep the picture.</li></ol></div>"""

SEARCH = '<input type="search" placeholder="Search styles and painters" aria-label="Search styles">'


KEPT = """<section id="kept" hidden><div class="title"><h3 class="group">Kept in this browser</h3>
<button type="button" onclick="studio.forget()">Remove all</button></div>
<div class="tiles" role="group" aria-label="Kept in this browser"></div></section>"""


@dataclass(frozen=True)
class Tile:
    """A picture to press. `key`: what pressing it sends. `picture`: a data URL, or empty while
    there is none. `by`: a second line. `removable`: whether it can be taken away.
    """

    key: str
    title: str
    picture: str = ""
    note: str = ""
    by: str = ""
    removable: bool = False


def text(name: str) -> str:
    """What stands in a file beside this one: page.css, page.js."""
    return (files("impasto.apps.studio") / name).read_text(encoding="utf-8")


def data_url(image: Image.Image, side: int, *, quality: int = 84) -> str:
    """A picture within `side` x `side` pixels as WebP in a `data:` URL: sent with the page, never a
    file.
    """
    small = image.convert("RGB")
    small.info = {}  # what else is known of it stays here
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    coded = BytesIO()
    small.save(coded, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(coded.getvalue()).decode("ascii")


def tiles(label: str, shown: Iterable[Tile], *, first: str = "") -> str:
    """A group of `Tile`s; `first`: HTML to put before them."""
    return f'<div class="tiles" role="group" aria-label="{escape(label)}">{first}{"".join(map(_tile, shown))}</div>'


def groups(shown: Mapping[str, Sequence[Tile]]) -> str:
    """Groups of tiles under their headings, those with none left out."""
    return (
        '<div class="groups">'
        + "".join(
            f'<section><h3 class="group">{escape(label)}</h3>{tiles(label, of)}</section>'
            for label, of in shown.items()
            if of
        )
        + "</div>"
    )


def _tile(tile: Tile) -> str:
    picture = f'<img src="{escape(tile.picture)}" alt="" draggable="false">' if tile.picture else ""
    by = f'<span class="by">{escape(tile.by)}</span>' if tile.by else ""
    pressed = (
        f'<button type="button" class="tile" data-key="{escape(tile.key)}" title="{escape(tile.note)}" '
        f'aria-pressed="false"><span class="thumb">{picture}</span>'
        f'<span class="name">{escape(tile.title)}</span>{by}</button>'
    )
    if not tile.removable:
        return pressed
    return (
        f'<div class="own">{pressed}<button type="button" class="remove" data-remove="{escape(tile.key)}" '
        f'aria-label="Remove {escape(tile.title)}">×</button></div>'
    )


def saved(file: Path) -> str:
    """A link to a file of the visit's own, which the page's script follows at once."""
    once = token_hex(4)  # the same file may be saved again
    return (
        f'<a href="gradio_api/file={quote(str(file))}" download="{escape(file.name)}" '
        f'data-once="{once}" tabindex="-1">{escape(file.name)}</a>'
    )


def drop(
    words: str, label: str, *, picture: str = "", several: bool = False, more: str = ""
) -> str:
    """A place to drop picture files, or to choose them: a file input, so that keyboards and screen
    readers know it. `more`: a suffix of other files that are taken.
    """
    inside = (
        f'<img src="{escape(picture)}" alt="Your photo">'
        if picture
        else '<span class="plus" aria-hidden="true">+</span>'
    )
    taken = f"image/*,{more}" if more else "image/*"
    return (
        f'<label class="drop{" filled" if picture else ""}"><input type="file" accept="{taken}" '
        f'aria-label="{escape(label)}"{" multiple" if several else ""}>'
        f'{inside}<span class="words">{escape(words)}</span></label>'
    )


def compare(
    before: str,
    after: str,
    size: tuple[int, int],
    mark: str = "",
    file: Path | None = None,
    name: str = "",
) -> str:
    """Two pictures of one `size` (width, height), and a slider between them: the photo on its left.

    `mark`: which picture this is. `file`: the same with all its pixels, to be seen one to one;
    `name`: what a copy of it is to be called.
    """
    full = "" if file is None else f"gradio_api/file={quote(str(file))}"
    width, height = size
    return (
        f'<figure class="compare" style="--width: {width}; --height: {height}" '
        f'data-mark="{escape(mark)}" data-full="{escape(full)}" data-name="{escape(name)}">'
        f'<img class="after" src="{escape(after)}" alt="The painting">'
        f'<img class="before" src="{escape(before)}" alt="The photo">'
        '<span class="handle" aria-hidden="true"></span>'
        '<input type="range" min="0" max="100" step="1" value="0" '
        'aria-label="Compare: the photo left of the line, the painting right of it">'
        '<button type="button" class="zoom" aria-label="See it at 100 %">100 %</button></figure>'
    )


def remembered(key: str) -> str:
    """What the page's script keeps in the browser until its window is closed."""
    return f'<i hidden data-visit="{escape(key)}"></i>'


def region(
    over: Image.Image, mask: Image.Image, words: str, style: str, *, photo_stays: bool
) -> str:
    """What is painted over the photo, to be seen, and to be gone on with."""
    small, coded = mask.copy(), BytesIO()
    small.thumbnail((_MASK, _MASK))
    small.save(coded, "PNG")
    drawn = "data:image/png;base64," + base64.b64encode(coded.getvalue()).decode("ascii")
    return (
        f'<figure class="region" data-mask="{drawn}" data-style="{escape(style)}" '
        f'data-rest="{"photo" if photo_stays else "style"}">'
        f'<img src="{data_url(over, THUMBNAIL)}" alt="The photo, the painted region coloured">'
        f"<figcaption>{escape(words)}</figcaption>"
        '<button type="button" data-remove="region" aria-label="Remove the painted region">×</button>'
        "</figure>"
    )


def poster(job: str, name: str) -> str:
    """A job, which the page's script follows; `name`: of the file to be, without suffix."""
    return f'<div class="poster" data-job="{escape(job)}" data-name="{escape(name)}"></div>'


def sketched(picture: str) -> str:
    """A small picture for the page's script to put on the stage; empty for none."""
    once = token_hex(4)  # an answer is one even where it is the same as before
    return f'<i hidden data-once="{once}" data-picture="{escape(picture)}"></i>'


def plain(picture: str) -> str:
    """One picture, nothing to compare it with."""
    return f'<figure class="plain"><img src="{escape(picture)}" alt="The photo"></figure>'


def progress(
    words: str,
    *,
    part: float | None = None,
    losses: Mapping[str, float] | None = None,
    hint: str = "",
) -> str:
    """A line that says where things stand, `part` of 1 done, the losses, and a hint for what is
    next.
    """
    bar = (
        ""
        if part is None
        else f'<progress max="1" value="{part:.3f}" aria-hidden="true"></progress>'
    )
    told = _loss_words(losses) if losses else hint
    detail = f'<p class="detail">{escape(told)}</p>' if told else ""
    return f'<div class="progress"><p role="status">{escape(words)}</p>{bar}{detail}</div>'


def _loss_words(losses: Mapping[str, float]) -> str:
    """The terms as they were weighted, added up by what they compare with."""
    style, photo = (
        sum(value for name, value in losses.items() if name.startswith(kind))
        for kind in ("style/", "content/")
    )
    return f"Distance from the style {style:.3f}, from the photo {photo:.3f}."


def time_words(seconds: float) -> str:
    """A stretch of time as people say it: nobody wants to know it to the second."""
    if seconds < 8:
        return "a few seconds"
    if seconds < 55:
        return f"about {round(seconds / 5) * 5} seconds"
    minutes = max(round(seconds / 60), 1)
    return "about a minute" if minutes == 1 else f"about {minutes} minutes"


def step_words(step: int, of: int, left: float | None, ahead: int) -> str:
    """Where an order stands, said to who waits for it; empty while there is nothing to tell."""
    if ahead:
        return (
            "One picture is before yours." if ahead == 1 else f"{ahead} pictures are before yours."
        )
    if step <= 1:
        return ""
    return f"Refining: step {step} of {of}" + (
        f", {time_words(left)} left." if left is not None else "."
    )


def sentence(message: object) -> str:
    """A one-line message as a sentence."""
    text = str(message).strip().replace("`", "")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def listed(titles: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)
