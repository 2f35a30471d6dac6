"""A picture painted small and enlarged by super-resolution: what `enlarge` makes of any method.

    impasto.stylize("photo.jpg", "waves", size="2x", enlarge=2)     # painted at the photo's size

The strokes are those of the small picture, as many times as large and with sharp edges. Painting at
the whole size has finer strokes and truer contours, and costs an optimiser the square of `enlarge`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.methods.base import Frame, Method, Renderer, StyleInput, forecasting
from impasto.methods.stylizer import Forecast, Progress
from impasto.methods.upscale import Enlarger
from impasto.networks.loaded import Networks
from impasto.networks.upscaler import UPSCALER
from impasto.pictures.image import resize
from impasto.pictures.tiles import Resized, bytes_of
from impasto.settings import Settings
from impasto.sizes import memory
from impasto.windows import tiles

__all__ = ["Enlarged", "EnlargedMethod"]

_FLOATS = 4096  # long side, px, up to which a frame that was made smaller is no longer uint8
_BAND = 1024  # px


@dataclass(frozen=True, eq=False)
class Enlarged:
    """A `Renderer`: another one's picture of the frame made smaller, enlarged by a network.

    `large`: whether that one takes frames of uint8.
    """

    renderer: Renderer
    enlarger: Enlarger
    large: bool = True

    @property
    def steps(self) -> int:
        """As the other says; the tiles that are enlarged are counted besides."""
        return self.renderer.steps

    @property
    def recipe(self) -> Mapping[str, object]:
        """As the other says, and which network enlarges."""
        return {**self.renderer.recipe, "upscaler_fingerprint": self.enlarger.upscaler.fingerprint}

    @property
    def notes(self) -> tuple[str, ...]:
        """As the other says."""
        return tuple(getattr(self.renderer, "notes", ()))

    def forecast(self, size: tuple[int, int]) -> Forecast | None:
        """Of both."""
        small, tell = _small(size, self.enlarger.times), forecasting(self.renderer)
        found = None if tell is None else tell(small)
        if found is None:
            return None
        return replace(
            found,
            seconds=found.seconds + self.enlarger.seconds(small),
            memory=max(found.memory, self.enlarger.needed(small)),
            tiles=found.tiles + self.enlarger.count(small),
        )

    def render(self, frame: Frame) -> Iterator[Progress]:
        """See `Renderer`; the pictures are small at first."""
        size = (frame.image.shape[-2], frame.image.shape[-1])
        small = _small(size, self.enlarger.times)
        count = self.enlarger.count(small)
        for step in self.renderer.render(_reduced(frame, small, self.large)):
            yield replace(step, of=step.of + count)
        floats = step.image.dtype != torch.uint8
        picture = step.whole(*small) if floats else step.image
        large = self.enlarger.begun(picture)
        for done in self.enlarger.onto(large, picture):
            yield Progress(large, step.step + done, step.of + count, step.losses)


class EnlargedMethod(Method):
    """A method that paints a part of the size, and its picture enlarged to the whole."""

    large = True  # only what is painted may have to be in floating point

    def __init__(self, method: Method) -> None:
        self.method, self.name, self.help = method, method.name, method.help
        self.instant, self.honours = method.instant, method.honours | {"enlarge"}

    @property
    def called(self) -> str:
        """As the method."""
        return self.method.called

    def check(self, styles: Sequence[StyleInput], settings: Settings) -> None:
        """As the method."""
        self.method.check(styles, settings)

    def takes(self, style: StyleInput, learned: Collection[str]) -> bool:
        """As the method."""
        return self.method.takes(style, learned)

    def memory(self, settings: Settings, height: int, width: int) -> float:
        """Of whichever takes more, painting and enlarging: that is by tiles."""
        small = _small((height, width), settings.enlarge)
        return self.method.memory(_painted(settings), *small)

    def prepare(
        self, styles: Sequence[StyleInput], settings: Settings, networks: Networks
    ) -> Renderer:
        """See `Method`."""
        upscaler = networks.upscaler(UPSCALER, settings.device)
        enlarger = Enlarger(upscaler, settings.enlarge, memory(settings.max_memory))
        renderer = self.method.prepare(styles, _painted(settings), networks)
        return Enlarged(renderer, enlarger, self.method.large)


def _painted(settings: Settings) -> Settings:
    """Those of the small picture."""
    return settings.but(size=-(-settings.size // settings.enlarge), enlarge=None)


def _small(size: tuple[int, int], times: int) -> tuple[int, int]:
    """(H, W) of what is painted: so large that the picture is never less than asked for."""
    return -(-size[0] // times), -(-size[1] // times)


def _reduced(frame: Frame, size: tuple[int, int], large: bool) -> Frame:
    """The frame at that size; masks and a start are of any size."""
    before = frame.before
    if before is not None:
        before = replace(
            before, picture=resize(before.picture, size), trust=resize(before.trust, size)
        )
    return replace(frame, image=_smaller(frame.image, size, large), before=before)


def _smaller(image: Tensor, size: tuple[int, int], large: bool) -> Tensor:
    """A frame's image at that size, in floating point where it is not too large for that."""
    if image.dtype != torch.uint8:
        return resize(image, size)
    floats = max(size) <= _FLOATS or not large
    found = torch.empty((1, 3, *size), dtype=torch.float32 if floats else torch.uint8)
    view = Resized(image, size)
    for band in tiles(size, _BAND, 0, 1):
        part = view.crop(band.inner).clamp(0, 1)
        band.inner.of(found).copy_(part if floats else bytes_of(part))
    return found
