"""One renderer after another: what the first paints is where the second begins."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from impasto.methods.base import Frame, Method, Prepared, Renderer, StyleInput, forecasting
from impasto.methods.large import LARGEST
from impasto.methods.matching import reader
from impasto.methods.needs import of_descent
from impasto.methods.optimize import PixelOptimizer, Style
from impasto.methods.recolour import recoloured
from impasto.methods.strokes import PREVIEW
from impasto.methods.style_grams import check_grams, grams_of
from impasto.methods.stylizer import Forecast, Progress
from impasto.networks.grams import StyleGrams
from impasto.networks.loaded import Networks
from impasto.pictures.image import Picture, resize
from impasto.settings import GROUPS, OPTIONS, Settings

__all__ = ["DESCENT", "Refined", "TwoStage", "computed", "descent", "painting", "stages"]

DESCENT = frozenset(name for name, option in OPTIONS.items() if option.group != GROUPS[0]) | {
    "strength",
    "start",
    "regions",
    "strength_mask",
    "before",
}
"""What the optimiser honours: all that is not said of the picture itself."""


@dataclass(frozen=True, eq=False)
class TwoStage:
    """A `Renderer`: `first`, then `second` with the first's last picture as its start.

    `shown`: whether the first's picture is shown, as step 0, or only where the second begins. A
    frame with a start of its own needs no first stage, and goes to the second as it is.
    """

    first: Renderer
    second: Renderer
    shown: bool = True
    made: Mapping[str, object] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The second's: what is asked for by a number of steps."""
        return self.second.steps

    @property
    def recipe(self) -> Mapping[str, object]:
        """Of both, the second's where they differ, and `made`: what else there is to tell."""
        return {**self.first.recipe, **self.second.recipe, **self.made}

    def forecast(self, size: tuple[int, int]) -> Forecast | None:
        """Of both, where both can tell."""
        both = [tell(size) for each in (self.first, self.second) if (tell := forecasting(each))]
        known = [each for each in both if each is not None]
        if len(known) < 2:
            return None
        seconds, memory = sum(each.seconds for each in known), max(each.memory for each in known)
        notes = tuple(note for each in known for note in each.notes)
        return Forecast(seconds, memory, max(each.tiles for each in known), notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """Of both."""
        return tuple(
            note for each in (self.first, self.second) for note in getattr(each, "notes", ())
        )

    def render(self, frame: Frame) -> Iterator[Progress]:
        """See `Renderer`."""
        if frame.start is not None:
            yield from self.second.render(frame)
            return
        for step in self.first.render(replace(frame, before=None)):
            begun = step
        if self.shown:
            yield Progress(begun.image, 0, self.steps)
        start = begun.image
        if frame.before is not None:
            # What the film has shown goes on; the first's picture fills what it has not.
            start = torch.lerp(start, frame.before.picture, frame.before.trust)
        rest = self.second.render(replace(frame, start=start))
        del start, begun, step  # the second stage says how long a large picture is held
        yield from rest


class Refined(Method):
    """A method that paints in one pass, and the optimiser from there: what `refine` makes of any
    that honours it.
    """

    def __init__(self, method: Method) -> None:
        self.method, self.name, self.help = method, method.name, method.help
        self.large = method.large
        self.honours = method.honours | DESCENT - {"steps", "init", "seed", "start"}

    @property
    def called(self) -> str:
        """The method and `refine`, which says how many steps, draws no noise, and starts from the
        one-pass picture.
        """
        return f"{self.method.called} with `refine`"

    def check(self, styles: Sequence[StyleInput], settings: Settings) -> None:
        """Every style must be a picture, whatever the first pass makes of it, or known by its Gram
        matrices.
        """
        self.method.check(styles, settings)
        for style in styles:
            if not style.pictured:
                check_grams(str(style.name), settings)

    def memory(self, settings: Settings, height: int, width: int) -> float:
        """Of whichever takes more."""
        first = self.method.memory(settings, height, width)
        return max(first, of_descent(settings, height, width))

    def prepare(
        self, styles: Sequence[StyleInput], settings: Settings, networks: Networks
    ) -> Renderer:
        """See `Method`."""
        first, second = stages(self.method, styles, settings.but(steps=settings.refine), networks)
        return recoloured(TwoStage(first, second), styles, settings)


def stages(
    method: Method, styles: Sequence[StyleInput], settings: Settings, networks: Networks
) -> tuple[Renderer, Renderer]:
    """One pass by `method`, and the optimiser: both read each style from one opened picture."""
    optimizer = PixelOptimizer(reader(settings, networks), settings)
    # The optimiser has paintings as large as the picture, or larger; a network reads them at the
    # size it paints at.
    side = min(settings.size, PREVIEW)
    pictures = [_seen(style, settings, networks) for style in styles]
    shown = [
        style if isinstance(picture, StyleGrams) else style.showing(_smaller(picture, side))
        for style, picture in zip(styles, pictures, strict=True)
    ]
    # The pictures have the photo's palette where that was asked for; the whole gets it at the end.
    plain = settings.but(keep_color="none") if settings.keep_color == "statistics" else settings
    return method.prepare(shown, plain, networks), descent(optimizer, pictures, styles)


def _seen(style: StyleInput, settings: Settings, networks: Networks) -> Picture | StyleGrams:
    if not style.pictured:
        bank = networks.painter(settings.network, settings.device).knowing_own()[0].bank
        if (name := str(style.name)) in bank.vectors:
            return grams_of(name, settings, bank)
    return style.look(painting(settings))  # which says what is wrong with a name that nothing has


def painting(settings: Settings) -> int:
    """The long side of the paintings that the optimiser reads, px.

    Strokes are as large as the painting at the picture's size; but no file has more to give than
    `LARGEST` px, and of a poster finer strokes are wanted.
    """
    size = round(settings.size * max(1.0, settings.style_scale))
    return size if settings.size <= LARGEST else min(size, LARGEST)


def _smaller(picture: Picture, side: int) -> Picture:
    height, width = picture.image.shape[-2:]
    scale = side / max(height, width)
    size = (round(height * scale), round(width * scale))
    alpha = None if picture.alpha is None else resize(picture.alpha, size)
    return replace(picture, image=resize(picture.image, size), alpha=alpha)


def descent(
    optimizer: PixelOptimizer,
    pictures: Sequence[Picture | StyleGrams],
    styles: Sequence[StyleInput],
) -> Renderer:
    """The optimiser with these pictures, or Gram matrices, blended by the styles' weights."""
    for picture in pictures:
        if isinstance(picture, StyleGrams):
            picture.check(optimizer.encoder.architecture.widths)
    prepared = [
        Style((picture,), (1.0,), (None,))
        if isinstance(picture, StyleGrams)
        else optimizer.prepare(picture.image, picture.alpha)
        for picture in pictures
    ]
    style = optimizer.blend(prepared, [style.weight for style in styles])
    encoder = optimizer.encoder
    recipe = computed(encoder.device, encoder.dtype) | {"pooled": encoder.pooling}
    replaced = optimizer.matched.replaced
    recipe |= {"stand_ins": replaced} if replaced else {}
    return Prepared(optimizer, style, recipe, prepared, optimizer.matched.notes)


def computed(device: torch.device, dtype: torch.dtype) -> dict[str, object]:
    """Where and in what numbers, for a recipe."""
    return {"device": str(device), "dtype": str(dtype).removeprefix("torch.")}
