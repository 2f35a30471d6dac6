"""What a method is: it prepares a renderer for some styles, and the renderer paints frames in them.

    renderer = METHODS.get(settings.method).prepare(styles, settings, networks)
    for progress in renderer.render(Frame(photo)): ...

A file `NAME.py` in `methods/builtin`, with an instance of a subclass of `Method` as its `NAME` in
capitals, is one. Another package adds one by an entry point of the group `impasto.methods` that
names such an instance; `METHODS.add` does the same for a running program. PyTorch is imported by
the methods, not here.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from impasto.errors import InputError, OptionError
from impasto.pictures.samples import STYLES, sample_names
from impasto.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from torch import Tensor

    from impasto.methods.stylizer import Forecast, Progress, Stylizer
    from impasto.networks.loaded import Networks
    from impasto.pictures.image import Picture, Source
    from impasto.settings import Settings

__all__ = [
    "METHODS",
    "Before",
    "Frame",
    "Method",
    "Prepared",
    "Renderer",
    "StyleInput",
    "forecasting",
    "instant_method",
    "named_style",
    "refuse_of_learned",
    "refuse_unhonoured",
]

S = TypeVar("S")

# What the pipeline does for every method: it reads the photo at its size, gives the styles their
# weights, keeps the photo's colours, says where to compute, and what to say of the picture.
_ALWAYS = frozenset(
    {"method", "size", "blend", "keep_color", "colors_only", "device", "recipe", "keep_exif"}
)


@dataclass(frozen=True, eq=False)
class Before:
    """In a film, the picture before, moved to where its things are now: `picture`, `(1, 3, H, W)`
    in [0, 1].

    `trust`, `(1, 1, H, W)` in [0, 1]: 0 where it does not show what is there now, such as what was
    hidden.
    """

    picture: Tensor
    trust: Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """What is rendered: `image`, `(1, 3, H, W)` in [0, 1].

    `start`: a picture to start from, of any size, if there is one. `before`: what the picture is to
    agree with, if it is one of a film; for methods that honour it. `regions`, `(1, R, H, W)`: soft
    masks of any size, one for each style. `rest`, `(1, 1, H, W)`: what is left to the photo, 1 less
    the strength at each place. Very large frames are uint8 for methods that are `large`.
    """

    image: Tensor
    start: Tensor | None = None
    before: Before | None = None
    regions: Tensor | None = None
    rest: Tensor | None = None


class Renderer(Protocol):
    """Paints frames in a style that is prepared.

    `steps`: how many there will be for a frame, at most. `recipe`: what it computes with, as JSON
    has it, for the recipe of a picture. It may have `notes` too: what to tell the user, each a line.
    """

    @property
    def steps(self) -> int: ...
    @property
    def recipe(self) -> Mapping[str, object]: ...

    def render(self, frame: Frame) -> Iterator[Progress]:
        """The frame, step by step: take the last for the picture, look at the others, stop taking
        them to cancel.
        """
        ...


@dataclass(frozen=True, eq=False)
class StyleInput:
    """One style as it was given: `source`, and its `weight` beside the others'.

    `look(long_side)` is its picture with its transparency, enlarged if need be, with the photo's
    palette where that was asked for. Raises `InputError` where there is no such picture.
    """

    source: Source
    weight: float
    look: Callable[[int], Picture]

    def open(self, long_side: int) -> Tensor:
        """The picture alone, `(1, 3, H, W)` in [0, 1]; what is transparent continues what is seen."""
        return self.look(long_side).image

    @property
    def name(self) -> str | None:
        """The text that was given, if it can be the name of a style: it names no file. Without a
        digest after `@`.
        """
        if not isinstance(self.source, str) or os.path.isfile(self.source):
            return None
        return self.source.partition("@")[0]

    @property
    def pictured(self) -> bool:
        """Whether there is a picture to look at: it was given, as itself or by its file, or is a
        sample's.
        """
        source = self.source
        if not isinstance(source, str) or os.path.exists(source) or Path(source).suffix:
            return True
        return source in (*STYLES, *sample_names())

    @property
    def called(self) -> str:
        """What to call it in a message."""
        source = self.source
        return (
            str(source) if isinstance(source, str | os.PathLike) else f"a {type(source).__name__}"
        )

    def showing(self, picture: Picture) -> StyleInput:
        """The same style, whose picture is this one at whatever size."""
        return replace(self, look=lambda _: picture)


def named_style(name: str) -> StyleInput:
    """A style by its name alone, to ask a method whether it takes it."""
    return StyleInput(name, 1.0, _closed)


def _closed(_: int) -> Picture:
    raise InputError("this style is only asked about; no picture of it is at hand")


class Method(ABC):
    """A way to paint, registered by its `name`.

    `help`: what it does, in one line. `honours`: the settings that make a difference to it, and
    `start` or `before` if those of a frame do; whatever else is asked for is refused. The pipeline
    itself honours `size`, `blend`, `keep_color`, `colors_only`, `device`, `recipe` and `keep_exif`,
    whatever the method. `instant`: whether it paints in one pass, at once. `large`: whether its
    renderers take frames of uint8, which they paint by tiles.
    """

    name: str
    help: str = ""
    honours: frozenset[str] = frozenset()
    instant: bool = False
    large: bool = False

    def check(self, styles: Sequence[StyleInput], settings: Settings) -> None:  # noqa: B027
        """`OptionError` for settings and styles that do not go together here; nothing has been
        opened yet.
        """

    def memory(self, settings: Settings, height: int, width: int) -> float:  # noqa: ARG002
        """Bytes that a picture of that size takes of this machine's memory, about; 0 where nobody
        knows. What does not fit is refused before long work.
        """
        return 0.0

    def takes(self, style: StyleInput, learned: Collection[str]) -> bool:  # noqa: ARG002
        """Whether it paints in that style; `learned`: the names of the styles that the network has
        learned.
        """
        return style.pictured

    @property
    def called(self) -> str:
        """What to call it in a message."""
        return f"`method={self.name}`"

    @abstractmethod
    def prepare(
        self, styles: Sequence[StyleInput], settings: Settings, networks: Networks
    ) -> Renderer:
        """Open the styles, load what is needed, and return what paints in them."""


METHODS: Registry[Method] = Registry(
    "impasto.methods", "impasto.methods.builtin", "method", first=("optimize", "fast")
)
"""The methods there are: `METHODS.get("fast")` is one, `METHODS.add(name, method)` adds one to this
process.
"""


def refuse_unhonoured(
    method: Method, settings: Settings, start: bool, given: Collection[str] = ()
) -> None:
    """`OptionError` naming the first setting that makes no difference to `method`, and where it
    would make one. `given`: what was given besides, `regions` or `strength_mask`.
    """
    honoured = method.honours | _ALWAYS
    asked = _unhonoured(method, settings)
    asked += ["init"] * (start and "start" not in honoured)
    asked += [name for name in given if name not in honoured]
    if not asked:
        return
    setting = asked[0]
    others = [f"`method={name}`" for name, each in METHODS.all().items() if setting in each.honours]
    if "refine" in honoured and not settings.refine:
        others.append("`refine`")
    where = f"; it has with {' or '.join(others)}" if others else ""
    raise OptionError(f"`{setting}` has no effect with {method.called}{where}")


def refuse_of_learned(style: StyleInput, method: Method, settings: Settings) -> None:
    """`OptionError` naming the first setting without a use for the one `method` that takes this
    learned style: no other can be named that would have one.
    """
    for name in _unhonoured(method, settings):
        raise OptionError(
            f"`{name}` has no effect with {style.source}, a learned style, which is painted in one "
            "pass; leave it out, or give the painting itself"
        )


def _unhonoured(method: Method, settings: Settings) -> list[str]:
    return [name for name in settings.changed if name not in method.honours | _ALWAYS]


def instant_method(styles: Sequence[Source], settings: Settings, learned: Collection[str]) -> str:
    """The first method that paints in one pass, in all these styles; `learned`: the styles known by
    their names.

    `OptionError`, in the words of the last one asked, if there is none.
    """
    inputs = [
        named_style(style) if isinstance(style, str) else StyleInput(style, 1.0, _closed)
        for style in styles
    ]
    refusal = OptionError(
        "there is no method that paints in one pass in these styles; choose others"
    )
    for name, method in METHODS.all().items():
        if not method.instant or not all(method.takes(style, learned) for style in inputs):
            continue
        try:
            method.check(inputs, settings)
        except OptionError as error:
            refusal = error
            continue
        return name
    raise refusal


def forecasting(renderer: Renderer) -> Callable[[tuple[int, int]], Forecast | None] | None:
    """How a renderer tells beforehand what a frame of (H, W) will take; None where it does not."""
    return getattr(renderer, "forecast", None)


@dataclass(frozen=True, eq=False)
class Prepared(Generic[S]):
    """A `Renderer` made of a `Stylizer` and a style it has prepared; `styles`: what that is a blend
    of, for regions.
    """

    stylizer: Stylizer[S]
    style: S
    recipe: Mapping[str, Any] = field(default_factory=dict)
    styles: Sequence[S] = ()
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """As the stylizer says."""
        return self.stylizer.steps

    def render(self, frame: Frame) -> Iterator[Progress]:
        """See `Renderer`."""
        more: dict[str, Any] = {} if frame.before is None else {"before": frame.before}
        if frame.regions is not None or frame.rest is not None:
            from impasto.methods.stylizer import Places  # which imports PyTorch

            more["places"] = Places(self.styles, frame.regions, frame.rest)
        return self.stylizer.render(frame.image, self.style, start=frame.start, **more)

    def forecast(self, size: tuple[int, int]) -> Forecast | None:
        """What a frame of (H, W) will take, where the stylizer can tell."""
        tell: Callable[..., Forecast] | None = getattr(self.stylizer, "forecast", None)
        return None if tell is None else tell(size)
