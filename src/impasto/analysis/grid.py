"""Many pictures of one pair, side by side: style layers against the content/style ratio, or one
dial turned. Every cell is what `impasto.stylize` makes of its settings.

The grid of Gatys et al. 2015 (arXiv:1508.06576), figure 3: rows match ever more style layers,
columns weigh the photo's content ever more, from texture to photo.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor

from impasto.analysis.reconstruct import growing, style_distance
from impasto.analysis.sheets import Cell
from impasto.analysis.usual import GRID_SIZE
from impasto.analysis.work import Task, Work, settings_of, title_of
from impasto.errors import InputError, OptionError
from impasto.layers import STYLE_LAYERS
from impasto.losses.base import STYLE_LOSSES
from impasto.losses.content import relative_content_loss
from impasto.losses.presets import PRESETS
from impasto.methods.base import METHODS, named_style
from impasto.methods.optimize import PixelOptimizer
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import SMALLEST, Encoder, Pooling
from impasto.networks.loaded import Networks
from impasto.pictures.image import Source, open_picture, resize
from impasto.pictures.sources import open_source
from impasto.pipeline import Job, plan
from impasto.settings import OPTIONS, Settings

__all__ = ["Value", "dial", "ratio_grid", "ratios", "read_values", "sweep"]

Value: TypeAlias = float | int | str
Measure: TypeAlias = Callable[[Tensor], Mapping[str, float]]

# What may be turned, and where along it there is something to see, if that is not all it can be.
_TURNED: Mapping[str, tuple[Value, ...]] = MappingProxyType(
    {
        "content_loss": (),
        "blend": (0.0, 0.25, 0.5, 0.75, 1.0),
        "content_weight": (0.1, 0.3, 1.0, 3.0, 10.0),
        "init": (),
        "keep_color": (),
        "learning_rate": (),
        "method": (),
        "optimizer": (),
        "preset": tuple(PRESETS),
        "seed": (0, 1, 2, 3),
        "steps": (10, 30, 100, 300),
        "strength": (0.0, 0.25, 0.5, 0.75, 1.0),
        "style_loss": (),
        "style_scale": (0.5, 0.75, 1.0, 1.5, 2.0),
        "style_weight": (0.1, 0.3, 1.0, 3.0, 10.0),
        "tv_weight": (0.0, 0.1, 1.0, 10.0),
    }
)

_OF_CONTENT = "content: |F - P|^2 / |P|^2, 0 for the photo"
_NUMBERS = f"{_OF_CONTENT}; style: mean |G - A|^2 / |A|^2, 0 for the painting"

# The paper's columns, in units of its usual ratio.
_AROUND = (0.01, 0.1, 1.0, 10.0)


def dial(over: str) -> str:
    """`style-scale` -> `style_scale`; `ImpastoError`, with those there are, for what cannot be
    turned.
    """
    name = over.replace("-", "_")
    if name not in _TURNED:
        known = ", ".join(each.replace("_", "-") for each in _TURNED)
        raise OptionError(f"a grid cannot go over {over!r}; choose one of {known}")
    return name


def read_values(over: str, text: str) -> tuple[Value, ...]:
    """`0.5,1,2` as values of that dial; `ImpastoError` for what is none."""
    kind = OPTIONS[dial(over)].kind
    try:
        found = tuple(kind(word.strip()) for word in text.split(","))
    except ValueError:
        found = ("",)
    if any(
        value == "" or (isinstance(value, float) and not math.isfinite(value)) for value in found
    ):
        raise OptionError(
            f"`values` of {over} takes {kind.__name__} values with commas between them, not {text!r}"
        )
    return found


def ratios(settings: Settings) -> tuple[float, ...]:
    """Four content/style ratios around the preset's own, powers of ten: figure 3's 1e-5 to 1e-2 for
    `gatys2015`.
    """
    middle: float = 10.0 ** round(math.log10(_own_ratio(settings)))
    return tuple(float(f"{middle * each:.6g}") for each in _AROUND)


def _own_ratio(settings: Settings) -> float:
    recipe = settings.but(content_weight=1.0).resolved(start=True)
    if recipe.style_weight == 0:
        raise OptionError("`style_weight` is 0; a ratio to it needs more")
    return recipe.content_weight / recipe.style_weight


def ratio_grid(
    photo: Source,
    painting: Source,
    values: Sequence[float] = (),
    layers: Sequence[str] = STYLE_LAYERS,
    *,
    encoder: Encoder,
    size: int = GRID_SIZE,
    settings: Settings | None = None,
) -> Work:
    """Rows: growing sets of style `layers`. Columns: content/style ratios `values` (alpha/beta), by
    default `ratios`.

    Gatys et al. 2015, figure 3. `settings` holds for every cell but for its style layers and
    content weight. The numbers of a cell: `content`, the mean of `||F - P||^2 / ||P||^2` over the
    content layers, and `style`, the mean of `||G - A||^2 / ||A||^2` over all of `layers`, whichever
    of them the cell was made with. Raises `ImpastoError`, long work not yet begun, for whatever
    does not fit.
    """
    settings = settings or Settings()
    if _learned(painting):
        raise InputError(
            f"{painting} is a learned style, which has no layers to match: give the painting itself, "
            "or go over what one pass honours, `over=strength` or `over=blend`"
        )
    values = tuple(values) or ratios(settings)
    if any(not 0 <= value < float("inf") for value in values):
        raise OptionError(
            f"ratios must be 0 or more, not {', '.join(f'{value:g}' for value in values)}"
        )
    own, names = _own_ratio(settings), tuple(dict.fromkeys(encoder.canonical(layers)))
    if not names:
        raise OptionError("name at least one style layer (impasto layers lists them)")
    sets = growing(names)
    cells = [
        [settings.but(style_layers=used, content_weight=value / own) for value in values]
        for _, used in sets
    ]
    labels = tuple(f"content / style\n{value:g}" for value in values)
    shown = _Shown(photo, (painting,), tuple(label for label, _ in sets), labels)
    return _work(shown, cells, settings.but(style_layers=names), encoder, size)


def sweep(
    photo: Source,
    painting: Source,
    over: str,
    values: Sequence[Value] = (),
    *,
    encoder: Encoder,
    size: int = GRID_SIZE,
    settings: Settings | None = None,
    second: Source | None = None,
) -> Work:
    """One row: the dial `over` (see `dial`) of `settings` at each of `values`; numbers as in
    `ratio_grid`.

    `second`: another painting, which `over="blend"` needs: a value is its share. A painting may be
    a learned style's name where the method takes it; without its picture there is no number for
    style. Raises `ImpastoError`, long work not yet begun, for whatever does not fit.
    """
    settings, name = settings or Settings(), dial(over)
    values = tuple(values) or _values(name)
    if name == "keep_color" and _learned(painting):  # a vector cannot be recoloured
        values = tuple(value for value in values if value != "statistics")
    if not values:
        raise OptionError(f"say which `values` of {over}: A,B,C")
    if (name == "blend") != (second is not None):
        raise OptionError("`over=blend` goes between two paintings, and no other does; name both")
    cells = [[_turned(settings, name, value) for value in values]]
    labels = tuple(
        f"{name.replace('_', ' ')}\n{value if isinstance(value, str) else f'{value:g}'}"
        for value in values
    )
    base = settings.but(style_layers=settings.style_layers or STYLE_LAYERS, method=None)
    paintings = (painting,) if second is None else (painting, second)
    return _work(_Shown(photo, paintings, ("",), labels), cells, base, encoder, size)


def _values(name: str) -> tuple[Value, ...]:
    """What a dial is turned to where nothing is said; of methods, those that take a painting."""
    if name == "method":
        picture = named_style("painting.png")
        found = [key for key, each in METHODS.all().items() if each.takes(picture, ())]
        return tuple(sorted(found, key=lambda key: not METHODS.get(key).instant))
    return STYLE_LOSSES.names if name == "style_loss" else _TURNED[name] or OPTIONS[name].choices


def _turned(settings: Settings, name: str, value: Value) -> Settings:
    """At that value; of a method only what it honours."""
    if name == "blend":
        share = float(value)
        return settings.but(blend=(1 - share, share))
    if name == "seed" and settings.resolved().init != "noise":
        return settings.but(seed=value, init="noise")
    if name != "method":
        return settings.but(**{name: value})
    honours = METHODS.get(str(value)).honours | {"size", "keep_color", "device"}
    kept = {each: getattr(settings, each) for each in settings.changed if each in honours}
    return Settings(method=str(value), **kept)


@dataclass(frozen=True)
class _Shown:
    """What a grid is of, and its labels."""

    photo: Source
    paintings: tuple[Source, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]


def _work(
    shown: _Shown,
    cells: Sequence[Sequence[Settings]],
    base: Settings,
    encoder: Encoder,
    size: int,
) -> Work:
    """The photo and the paintings stand at the right end. `base` says which layers are measured."""
    networks = _Sharing(encoder)
    learned = [str(painting) for painting in shown.paintings if _learned(painting)]
    jobs = [
        [
            plan(
                shown.photo,
                shown.paintings,
                settings.but(size=size, **({} if learned else _under(settings, encoder))),
                networks=networks,
            )
            for settings in row
        ]
        for row in cells
    ]
    photo = jobs[0][0].content.image
    opened = [
        None if _learned(painting) else open_source(painting, max(SMALLEST, size)).image
        for painting in shown.paintings
    ]
    measure = _measure(photo, opened[0], PixelOptimizer(encoder, base))
    tasks = tuple(
        _task(r, c, job, measure) for r, row in enumerate(jobs) for c, job in enumerate(row)
    )
    below, across = len(shown.rows) > 1, len(shown.columns)
    seen = [each for each in opened if each is not None]
    pictures = [("photo", photo), *(("painting", _beside(each, photo)) for each in seen)]
    given = tuple(
        Cell(*((place, across) if below else (0, across + place)), picture, name)
        for place, (name, picture) in enumerate(pictures)
    )
    notes = (note for row in jobs for job in row for note in job.notes)
    title = " and ".join(map(title_of, shown.paintings))
    return Work(
        f"{title_of(shown.photo)} in the style of {title}, measured by {encoder.name}\n"
        f"{_OF_CONTENT if opened[0] is None else _NUMBERS}",
        shown.rows,
        (*shown.columns, *("",) * (1 if below else len(pictures))),
        given,
        tasks,
        settings_of("grid", encoder, photo, *seen)
        | ({"learned": learned} if learned else {})
        | {
            "cells": [[job.settings.dump() for job in row] for row in jobs],
            "measured": base.dump(),
        },
        tuple(dict.fromkeys(notes)),
    )


def _under(settings: Settings, encoder: Encoder) -> dict[str, str]:
    """The encoder's name, where the method has one."""
    return {"encoder": encoder.name} if "encoder" in METHODS.get(settings.method).honours else {}


def _task(row: int, column: int, job: Job, measure: Measure) -> Task:
    def finish(step: Progress) -> Tensor:
        return open_picture(job.finish(step)).image

    return Task(row, column, "", job.renderer.steps, job.steps, measure, finish)


class _Sharing(Networks):
    """`Networks` of which one encoder is this one, whatever its name would load."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.given = encoder

    def encoder(self, name: str | Path, pooling: Pooling, device: str) -> Encoder:
        """See `Networks`."""
        given = self.given
        if name != given.name:
            return super().encoder(name, pooling, device)
        if pooling == given.pooling:
            return given
        other = Encoder(given.architecture, name=given.name, pooling=pooling)
        return other.load(given.weights()).to(given.device, given.dtype)


def _beside(picture: Tensor, other: Tensor) -> Tensor:
    """The picture made to fit into the other's size, in its own aspect."""
    height, width = picture.shape[-2:]
    factor = min(other.shape[-2] / height, other.shape[-1] / width)
    return resize(picture, (max(1, round(height * factor)), max(1, round(width * factor))))


def _learned(painting: Source) -> bool:
    """Whether it is a name without a picture: a learned style's, if it is anything."""
    return isinstance(painting, str) and not named_style(painting).pictured


def _measure(photo: Tensor, painting: Tensor | None, base: PixelOptimizer) -> Measure:
    """Distances to photo and painting, where there is one, that are the same for all cells, so that
    they compare.
    """
    encoder, held, layers = base.encoder, base.recipe.content_layers, base.recipe.style_layers
    aim = None
    if painting is not None:  # as an optimiser sees it at style scale 1
        factor = max(photo.shape[-2:]) / max(painting.shape[-2:])
        height, width = (max(SMALLEST, round(side * factor)) for side in painting.shape[-2:])
        aim = resize(painting, (height, width)).to(encoder.device)

    @torch.no_grad()
    def measure(found: Tensor) -> Mapping[str, float]:
        there = found.to(encoder.device)
        ours, theirs = (
            encoder.features(there, held),
            encoder.features(photo.to(encoder.device), held),
        )
        content = torch.stack(
            [relative_content_loss(ours[layer], theirs[layer]) for layer in held]
        ).mean()
        if aim is None:
            return {"content": content.item()}
        return {
            "content": content.item(),
            "style": style_distance(encoder, there, aim, layers),
        }

    return measure
