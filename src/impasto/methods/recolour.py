"""The photo's palette for a style that is no picture: what is painted is recoloured, not the style.

`keep_color=statistics` gives the painting the photo's palette before it is read as a style (Gatys
2016). A style known by its vector or its Gram matrices is read already; there the same map of
colours goes from the picture that was painted to the photo, and the picture has that palette
exactly.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.methods.base import Frame, Renderer, StyleInput, forecasting
from impasto.methods.strokes import preview
from impasto.methods.stylizer import Forecast, Progress
from impasto.pictures.color import statistics_map
from impasto.pictures.tiles import Shown, bytes_of, floats_of
from impasto.settings import Settings
from impasto.windows import tiles

__all__ = ["Recoloured", "recoloured"]

_NOTE = "learned styles have no picture to recolour; what is painted gets the photo's palette"


def recoloured(
    renderer: Renderer, styles: Sequence[StyleInput], settings: Settings, *, named: bool = False
) -> Renderer:
    """`renderer`, recoloured where that is asked for and any of the styles is no picture.

    `named`: all of them are painted by their names, whether there is a picture or not.
    """
    closed = bool(styles) if named else any(not style.pictured for style in styles)
    if settings.keep_color != "statistics" or not closed:
        return renderer
    return Recoloured(renderer)


@dataclass(frozen=True, eq=False)
class Recoloured:
    """A `Renderer`: what another one paints, with the photo's colour mean and covariance."""

    renderer: Renderer

    @property
    def steps(self) -> int:
        """As the other says."""
        return self.renderer.steps

    @property
    def recipe(self) -> Mapping[str, object]:
        """As the other says."""
        return self.renderer.recipe

    @property
    def notes(self) -> tuple[str, ...]:
        """What the other has to tell, and that it is recoloured."""
        return (*getattr(self.renderer, "notes", ()), _NOTE)

    def forecast(self, size: tuple[int, int]) -> Forecast | None:
        """As the other says."""
        tell = forecasting(self.renderer)
        return None if tell is None else tell(size)

    def render(self, frame: Frame) -> Iterator[Progress]:
        """See `Renderer`. Of a frame in 8 bits only the last picture is recoloured."""
        photo = _small(frame.image)
        held: Progress | None = None
        for step in self.renderer.render(frame):
            if step.image.dtype != torch.uint8:
                yield _mapped(step, photo)
                continue
            if held is not None:
                yield held
            held = step
        if held is not None:
            yield replace(held, image=_in_bytes(held.image, photo))


def _small(image: Tensor) -> Tensor:
    return preview(Shown(image)) if image.dtype == torch.uint8 else image.detach().cpu().float()


def _mapped(step: Progress, photo: Tensor) -> Progress:
    matrix, offset = (each.to(step.image) for each in statistics_map(step.image, photo))
    image = _applied(step.image, matrix, offset).clamp(0, 1)
    detail = None if step.detail is None else torch.einsum("bij,bjhw->bihw", matrix, step.detail)
    return replace(step, image=image, detail=detail)


def _applied(image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    return torch.einsum("bij,bjhw->bihw", matrix, image) + offset[..., None, None]


def _in_bytes(image: Tensor, photo: Tensor) -> Tensor:
    """The same of a large picture, band by band."""
    matrix, offset = (each.float() for each in statistics_map(_small(image), photo))
    found = torch.empty_like(image)
    for band in tiles((image.shape[-2], image.shape[-1]), 1024, 0, 1):
        part = _applied(floats_of(band.inner.of(image)), matrix, offset)
        band.inner.of(found).copy_(bytes_of(part.clamp(0, 1)))
    return found
