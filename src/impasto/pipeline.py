"""From what a person has (files, pictures, names) to a picture they keep: one job, for the API and
every app.

    job = plan("photo.jpg", ["painting.jpg"], Settings(size=1024))
    for step in job.steps():
        ...                       # progress, previews, cancelling
    job.save(step, "out.png")     # with its recipe; job.finish(step) is the same as a PIL image
"""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any, Unpack

import torch

from impasto.errors import InputError, OptionError, kind_of
from impasto.habits import brought
from impasto.inputs import Inputs, named, several
from impasto.job import Job
from impasto.memory import check as check_memory
from impasto.methods.base import (
    METHODS,
    Method,
    StyleInput,
    named_style,
    refuse_of_learned,
    refuse_unhonoured,
)
from impasto.methods.enlarge import EnlargedMethod
from impasto.methods.forecast import foretold
from impasto.methods.regions import read_ground
from impasto.methods.two_stage import Refined
from impasto.networks.header import learned_styles
from impasto.networks.loaded import Networks
from impasto.networks.weights import pick_device
from impasto.pictures.identity import identities, identity
from impasto.pictures.image import Picture, Source
from impasto.pictures.painted import PaintedImage
from impasto.pictures.samples import STYLES
from impasto.pictures.sources import long_side, open_source
from impasto.settings import Options, Settings

__all__ = ["Job", "method_of", "plan", "stylize"]


@torch.inference_mode(False)
def plan(
    content: Source,
    styles: Source | Iterable[Source],
    settings: Settings | None = None,
    *,
    start: Source | None = None,
    regions: Sequence[Source] | None = None,
    style_masks: Sequence[Source | None] | None = None,
    strength_mask: Source | None = None,
    networks: Networks | None = None,
    **options: Unpack[Options],
) -> Job:
    """Open and check everything, load the networks, read the styles, and return a `Job`: all but
    the painting.

    `content`, `styles`, `start`: paths, PIL images, arrays or tensors (see `open_picture`); of
    styles one or several. A style may also be the name of a sample style or of one that a network
    has learned, and the content that of a sample photo. `settings`: what to do, and `options` any
    of its fields, which go before it; `size` may be one of `impasto.sizes`, as "2x". `start`: a
    picture to start from. `regions`: for each style the mask of where it is painted, `(1, 1, H, W)`
    in [0, 1], a picture whose white is meant, or `luminance`, `darkness`, `subject` or
    `background`; where there is none the photo stays. `style_masks`: likewise for each style what
    of it is looked at. `strength_mask`: by how much of `strength` to go, where. `networks`: give
    the same to many plans, and each network is loaded once. Raises `ImpastoError` for whatever
    cannot be read, does not fit together, or makes no difference to the method.
    """
    _check_kinds(settings, networks)
    asked_size, dpi = long_side(content, options.get("size"))
    settings, styles = (settings or Settings()).but(**{**options, **asked_size}), several(styles)
    settings = _with_method(settings, styles)
    method = method_of(settings)
    if regions is not None and settings.blend is not None:
        raise OptionError(
            "`blend` has no effect with `regions`: there each style has a place of its own; leave one of them out"
        )
    given = Inputs(content, settings, method.large, style_masks)
    if regions is not None and settings.blend is not None:
        raise OptionError("`blend` makes no difference where each style has one of the `regions`")
    inputs = given.styles(styles)
    # A start of one's own stands for what a method begins at by itself.
    asked = settings if start is None else _started(settings)
    also = {"regions": regions, "strength_mask": strength_mask}
    also = {name: value for name, value in also.items() if value is not None}
    refuse_unhonoured(method, settings, start is not None, also)
    method.check(inputs, settings)
    beginning = open_source(start, settings.size).image if start is not None else None
    photo = given.photo
    ground = read_ground(given.small, regions, strength_mask, len(styles))
    _check_memory(method, asked, photo)
    renderer = method.prepare(inputs, asked, networks or Networks())
    given.notes += getattr(renderer, "notes", ())
    recipe = {
        **_recipe(content, inputs, settings, method, start),
        **renderer.recipe,
        **{name: identities(value) for name, value in also.items()},
        **({"style_masks": identities(style_masks)} if style_masks else {}),
        **({"dpi": dpi} if dpi else {}),
    }
    given.notes += foretold(renderer, (photo.image.shape[-2], photo.image.shape[-1]), settings)
    # Short of full strength the photo's own colours are wanted, too.
    grey = ground.everywhere and settings.strength == 1
    grey = grey and given.all_grey(len(styles))
    notes = tuple(dict.fromkeys(given.notes))
    return Job(settings, renderer, photo, beginning, recipe, notes, grey, ground, dpi)


def stylize(
    content: Source,
    style: Source | Iterable[Source],
    settings: Settings | None = None,
    *,
    start: Source | None = None,
    regions: Sequence[Source] | None = None,
    style_masks: Sequence[Source | None] | None = None,
    strength_mask: Source | None = None,
    networks: Networks | None = None,
    **options: Unpack[Options],
) -> PaintedImage:
    """A photo in the style of a painting, or of several; arguments as `plan` takes them.

    Returns a PIL image, RGB or, where the photo has transparency, RGBA, whose `save` writes how it
    was made into the file. Raises `ImpastoError` for input that cannot be used.
    """
    places: dict[str, Any] = {"regions": regions, "style_masks": style_masks}
    places["strength_mask"] = strength_mask
    job = plan(content, style, settings, start=start, networks=networks, **places, **options)
    return job.finish(deque(job.steps(), maxlen=1).pop())


def _check_kinds(settings: object, networks: object) -> None:
    """`OptionError` where something else stands in their place."""
    if not isinstance(settings or Settings(), Settings):
        raise OptionError(
            f"settings are given as Settings(…) or each by its name, as in size=512; not as {settings!r}"
        )
    if not isinstance(networks or Networks(), Networks):
        raise OptionError(
            f"networks are what impasto.Networks() keeps, and not {kind_of(networks)}"
        )


def _with_method(settings: Settings, styles: Sequence[Source]) -> Settings:
    """The settings with the first method that takes all these styles, where none was asked for by
    name.

    A style is a picture or the name of one that a network has learned: all names are in one space.
    `InputError` where the method asked for does not take a learned style, `OptionError` for a
    setting that the one found has no use for.
    """
    if settings.engine != "torch":
        raise OptionError(
            "`engine=onnx` makes no difference here, where PyTorch is loaded; use impasto.lite.stylize"
        )
    names = [named_style(style) for style in styles if isinstance(style, str)]
    closed = [style for style in names if not style.pictured]
    method = METHODS.get(settings.method)
    if not closed or "network" in method.honours:  # who has a network asks it for names
        return settings
    learned = {each.name for each in learned_styles(settings.network)}
    for style in closed:
        if style.name not in learned and (near := brought(str(style.name), {*STYLES, *learned})):
            raise InputError(f"no file and no style called {style.name!r}; did you mean {near!r}?")
    refused = [each for each in closed if each.name in learned and not method.takes(each, learned)]
    if not refused:
        return settings
    pictures = len(styles) - len(closed)
    others = [
        name
        for name, other in METHODS.all().items()
        if all(other.takes(style, learned) for style in names)
        and (pictures == 0 or other.takes(named_style(next(iter(STYLES))), learned))
    ]
    if "method" in settings.model_fields_set or not others:
        way = (
            f"use {' or '.join(f'`method={name}`' for name in others)}"
            if others
            else "leave it out"
        )
        raise InputError(f"{refused[0].source} is a learned style and no picture: {way}")
    chosen = settings.but(method=others[0])
    refuse_of_learned(refused[0], method_of(chosen), chosen)
    return chosen


def _check_memory(method: Method, settings: Settings, photo: Picture) -> None:
    """`OptionError` where the picture takes more memory than there is, on a CPU."""
    if pick_device(settings.device).type != "cpu":
        return
    height, width = photo.image.shape[-2:]
    longest = max(height, width)

    def needed(size: int) -> float:
        tall, wide = (max(1, round(side * size / longest)) for side in (height, width))
        return method.memory(settings, tall, wide)

    check_memory(needed, longest)


def method_of(settings: Settings) -> Method:
    """The method asked for, refined and enlarged if that is."""
    method = METHODS.get(settings.method)
    if settings.refine and "refine" in method.honours:
        method = Refined(method)
    return EnlargedMethod(method) if settings.enlarge > 1 else method


def _started(settings: Settings) -> Settings:
    if settings.init is not None:
        raise OptionError("give either a start picture or `init=content` or `init=noise`, not both")
    return settings.but(init="content")


def _recipe(
    content: Source,
    styles: Sequence[StyleInput],
    settings: Settings,
    method: Method,
    start: Source | None,
) -> dict[str, object]:
    """What went in, and the settings that make a difference to the method, networks by their files."""
    heard = method.honours | {"method", "size", "keep_color", "colors_only"}
    said: dict[str, object] = {k: value for k, value in settings.dump().items() if k in heard}
    for name in {"encoder", "network"} & heard:
        file = getattr(settings, name)
        said[name] = identity(file) if os.path.isfile(file) else {"name": file}
    said["blend"] = [style.weight / sum(each.weight for each in styles) for style in styles]
    if "start" in method.honours:
        said["start"] = named(start, settings) if start is not None else None
    return {
        "impasto": metadata.version("impasto"),
        "torch": torch.__version__,
        "content": named(content, settings),
        "styles": [identity(style.source) for style in styles],
        **said,
    }
