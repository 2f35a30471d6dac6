"""From what a person has (files, pictures, names) to a picture they keep: one job, for the API and every app.

job = plan("photo.jpg", ["painting.jpg"])
for step in job.steps():
    ...                       # progress, previews, cancelling
picture = job.finish(step)    # a PIL image; job.recipe says how it was made
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from PIL import Image

from impasto.color import luminance_transfer, match_statistics
from impasto.compose.methods import Method, Networks, Wish, by_name, refuse, way
from impasto.errors import ImpastoError
from impasto.image import MIN_SIDE, Picture, Source, open_picture, resize, to_pil
from impasto.nets.encoder import SMALLEST, Pooling
from impasto.nets.painter import PAINTER
from impasto.nets.weights import EMBEDDED
from impasto.plates import draw, names
from impasto.samples import sample, sample_names
from impasto.stylizers.core import Step, Stylizer
from impasto.stylizers.optimize import OptimizeConfig

__all__ = ["Job", "KeepColor", "open_source", "plan", "stylize"]

KeepColor = Literal["none", "luminance", "statistics"]


@dataclass(frozen=True)
class Job:
    """A picture about to be made. `notes` are things to tell the user; `recipe` is enough to make it again."""

    stylizer: Stylizer[Any]
    content: Picture
    style: Any
    keep_color: KeepColor
    recipe: dict[str, object]
    notes: tuple[str, ...]

    def steps(self) -> Iterator[Step]:
        """Render, step by step; see `Step`."""
        return self.stylizer.render(self.content.image, self.style)

    def finish(self, step: Step) -> Image.Image:
        """The picture of any step at full size, the photo's colours and transparency put back where asked for."""
        image = step.whole(self.content.image.shape[-2], self.content.image.shape[-1])
        if self.keep_color == "luminance":
            image = luminance_transfer(image, self.content.image)
        return to_pil(image, self.content.alpha)


def plan(
    content: Source,
    styles: Sequence[Source],
    *,
    method: Method = "optimize",
    refine: int = 0,
    blend: Sequence[float] | None = None,
    size: int = 512,
    keep_color: KeepColor = "none",
    encoder: str | Path = EMBEDDED,
    pooling: Pooling = "max",
    device: str = "auto",
    start: Source | None = None,
    network: str | Path = PAINTER,
    config: OptimizeConfig | None = None,
    networks: Networks | None = None,
) -> Job:
    """Open everything, check everything, and return a `Job`; no long work is done here.

    `content`, `styles`, `start`: paths, PIL images, arrays or tensors (see `open_picture`); a style may also be the
    name of a sample plate and the content that of a sample photo. `method`: `optimize` the pixels, beginning, left to
    itself, with what one pass paints; `arbitrary`: any style by one pass of a network, also in a blend with styles it
    has learned; `fast`: only those, given by name.
    `refine`: so many steps of the optimiser after the pass, over half the size and the whole. `network`: the embedded
    painter, or a file of your own. `networks`: give the same to many plans, and each network is loaded once.
    `size`: the output's long side in pixels (a smaller photo is enlarged). `blend`: one weight per style, equal if
    not given. `keep_color`: `luminance` keeps the photo's colours and takes only light and dark from the painting;
    `statistics` first gives the painting the photo's colours (Gatys et al. 2016, arXiv:1606.05897, both). `start`: a
    picture to start from. `config.strength` and `config.style_scale` hold for every method; the rest of `config` is
    the optimiser's.
    Raises `ImpastoError` for whatever cannot be read, does not fit together, or cannot be honoured by the method.
    """
    config = config or OptimizeConfig()
    _check(styles, blend, size, keep_color, start, config)
    weights = tuple(blend) if blend else (1.0,) * len(styles)
    beginning = open_source(start, size).image if start is not None else None
    wish = Wish(
        method, refine, tuple(styles), weights, keep_color, encoder, pooling, device, beginning, network, config
    )
    refuse(wish)
    photo = _enlarged(open_source(content, size), size)
    if min(photo.image.shape[-2:]) < SMALLEST:
        raise ImpastoError(
            f"the photo is only {photo.image.shape[-1]}x{photo.image.shape[-2]} px at this size; "
            f"it needs {SMALLEST} px or more on each side: take a larger photo or a larger --size"
        )
    # A network reads a painting at the size it paints at, its strokes are scaled otherwise (see `FeedForward`); the
    # optimiser reads it at the size of its strokes.
    scale = size if method == "arbitrary" and not refine else round(size * max(1.0, config.style_scale))
    paintings = [open_source(style, scale) for style in styles if not by_name(wish, style)]
    pictures = [_enlarged(painting, scale).image for painting in paintings]
    if keep_color == "statistics":
        pictures = [match_statistics(picture, photo.image) for picture in pictures]
    chosen = way(wish, pictures, networks or Networks())
    recipe: dict[str, object] = {
        "impasto": metadata.version("impasto"),
        "torch": torch.__version__,
        "content": _identity(content),
        "styles": [_identity(style) for style in styles],
        "blend": [weight / sum(weights) for weight in weights],
        "size": size,
        "keep_color": keep_color,
        "method": method,
    }
    if method == "optimize" or refine:
        recipe |= {"encoder": _file_identity(encoder), "pooling": pooling}
        recipe |= {"start": _identity(start) if start is not None else None}
    if method != "optimize":
        recipe |= {"refine": refine, "network": _file_identity(network)}
    notes = tuple(dict.fromkeys(note for picture in (photo, *paintings) for note in picture.notes))
    return Job(chosen.stylizer, photo, chosen.style, keep_color, recipe | chosen.recipe, notes)


def stylize(content: Source, style: Source | Sequence[Source], **options: Any) -> Image.Image:
    """A photo in the style of a painting, or of several.

    `options` are those of `plan` (method, size, blend, keep_color, encoder, device, …) and of `OptimizeConfig`
    (strength, content_weight, style_weight, steps, seed, …). Returns a PIL image, RGB
    or, where the photo has transparency, RGBA. Raises `ImpastoError` for input that cannot be used.
    """
    several = isinstance(style, Sequence) and not isinstance(style, str | bytes)
    own = {name: options.pop(name) for name in OptimizeConfig.__dataclass_fields__ if name in options}
    job = plan(content, list(style) if several else [style], config=OptimizeConfig(**own), **options)  # type: ignore[list-item, arg-type]
    return job.finish(deque(job.steps(), maxlen=1).pop())


def open_source(source: Source, size: int) -> Picture:
    """`open_picture`, which also knows the sample plates and photos by name (a file of that name wins).

    `size`: the long side in pixels; plates are drawn at it, larger pictures reduced to it.
    """
    if isinstance(source, str) and not os.path.exists(source):
        if source in names():
            return open_picture(draw(source, max(size, MIN_SIDE)))
        if source in sample_names():
            return open_picture(sample(source), size=size)
        if not Path(source).suffix:
            raise ImpastoError(
                f"no file and no sample called {source!r}; sample styles: {', '.join(names())}; "
                f"sample photos: {', '.join(sample_names())}"
            )
    return open_picture(source, size=size)


def _enlarged(photo: Picture, size: int) -> Picture:
    """The photo with that long side even where it is smaller: strokes are new detail, and can be as fine as asked."""
    height, width = photo.image.shape[-2:]
    factor = size / max(height, width)
    if factor <= 1:
        return photo
    grown = (round(height * factor), round(width * factor))
    alpha = None if photo.alpha is None else resize(photo.alpha, grown)
    return replace(photo, image=resize(photo.image, grown), alpha=alpha)


def _check(
    styles: Sequence[Source],
    blend: Sequence[float] | None,
    size: int,
    keep_color: str,
    start: Source | None,
    config: OptimizeConfig,
) -> None:
    if not styles:
        raise ImpastoError("give at least one style picture")
    if blend is not None and len(blend) != len(styles):
        raise ImpastoError(f"--blend has {len(blend)} weights for {len(styles)} styles; give one for each")
    if not 32 <= size <= 16384:
        raise ImpastoError(f"size must be between 32 and 16384 px, not {size}")
    if keep_color not in get_args(KeepColor):
        raise ImpastoError(f"unknown keep_color {keep_color!r}; choose {', '.join(get_args(KeepColor))}")
    if start is not None and config.init is not None:
        raise ImpastoError("give either a start picture or --init content/noise, not both")


def _file_identity(source: str | Path) -> dict[str, object]:
    """Of an encoder or a network: its name, or its file's."""
    return _identity(source) if Path(str(source)).is_file() else {"name": str(source)}


def _identity(source: object) -> dict[str, object]:
    """What to call an input in a recipe: a file's name and SHA-256 (never its folder), a sample's name, a kind."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_file():
            with path.open("rb") as file:
                return {"name": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        return {"name": str(source)}
    return {"name": f"a {type(source).__name__} in memory"}
