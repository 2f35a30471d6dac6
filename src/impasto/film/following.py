"""A film is painted by a renderer that sees the frame before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.film.flow import flow, grey
from impasto.film.occlusion import agreement, trusted, warp
from impasto.methods.base import Before, Frame, Renderer
from impasto.methods.stylizer import Progress
from impasto.networks.held import HeldMoments
from impasto.networks.instance_norm import moments_from
from impasto.pictures.tiles import floats_of

__all__ = ["Following", "Seen", "begins_scene", "match"]

CUT = 0.3
"""Where less than this share of a frame was seen in the one before, it begins a new scene."""

DRAWN = 0.8
"""How far a one-pass picture is drawn towards the one before, where that is trusted."""

_NEAR = 16  # px, side of the cells in which contrast is compared


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame that was painted: the `frame`, `(1, 3, H, W)`, and its `picture`, in 8 bits a channel
    as it is kept in files, so that a film that goes on from files is the same film.
    """

    frame: Tensor
    picture: Tensor


def match(frame: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """The flow from a frame to the one before, `(1, 2, H, W)` in px, and how far it is trusted,
    `(1, 1, H, W)` in [0, 1].
    """
    size = (frame.shape[-2], frame.shape[-1])
    now, then = grey(frame), grey(before)
    back = flow(now, then, size)
    sure = trusted(back, flow(then, now, size))
    return back, sure * agreement(frame, warp(before, back))


def begins_scene(frame: Tensor, before: Tensor) -> bool:
    """Whether a frame is painted without the one before: little of it was seen there."""
    return frame.shape != before.shape or bool(match(frame, before)[1].mean() < CUT)


class Following:
    """A `Renderer` of the frames of a film in their order.

    `first` paints the first frame of every scene, `then` the others. `honoured`: whether `then`
    honours the picture before; otherwise its pictures are drawn towards that here. `seen`, `moments`:
    what it goes by at the next frame; set them to go on with a film.
    """

    def __init__(self, first: Renderer, then: Renderer, *, honoured: bool) -> None:
        self.first, self.then, self.honoured = first, then, honoured
        self.seen: Seen | None = None
        self.moments = HeldMoments()

    def reset(self) -> None:
        """The next frame begins a scene."""
        self.seen = None
        self.moments.reset()

    @property
    def steps(self) -> int:
        """Of the first frame."""
        return self.first.steps

    @property
    def recipe(self) -> Mapping[str, object]:
        """As the renderer of the first frame says."""
        return self.first.recipe

    def render(self, frame: Frame) -> Iterator[Progress]:
        """The next frame of the film, all of the same size."""
        photo, seen = floats_of(frame.image), self.seen
        if seen is not None and torch.equal(photo, seen.frame):
            yield Progress(seen.picture, 1, 1)
            return
        before = self._before(photo)
        if before is None:
            self.moments.reset()
        self.moments.begin()
        renderer = self.first if before is None else self.then
        given = replace(frame, before=before if self.honoured else None)
        for step in self._held(renderer.render(given)):
            if step.step < step.of:
                yield step
        picture = step.whole(photo.shape[-2], photo.shape[-1])
        if before is not None and not self.honoured:
            picture = drawn(picture, before)
        picture = (picture * 255).round() / 255
        self.seen = Seen(photo, picture)
        yield replace(step, image=picture, detail=None)

    def _held(self, steps: Iterator[Progress]) -> Iterator[Progress]:
        """The same steps, made with the statistics that are held over time."""
        while True:
            # Not around the whole loop: between two steps whoever takes them may paint otherwise.
            with moments_from(self.moments):
                step = next(steps, None)
            if step is None:
                return
            yield step

    def _before(self, photo: Tensor) -> Before | None:
        """The last picture moved onto this frame; None at the beginning and after a cut."""
        if self.seen is None or self.seen.frame.shape != photo.shape:
            return None
        back, trust = match(photo, self.seen.frame)
        if trust.mean() < CUT:
            return None
        return Before(warp(self.seen.picture, back).clamp(0, 1), trust)


def drawn(picture: Tensor, before: Before) -> Tensor:
    """A new picture drawn towards the one before, as sharp as it was.

    Where their strokes do not agree, a mean of both has less contrast than either, and so less at
    every frame. The contrast of the new one is put back, window by window.
    """
    mixed = torch.lerp(picture, before.picture, DRAWN * before.trust)
    mean, spread = _window(mixed)
    _, wanted = _window(picture)
    gain = (wanted / spread.clamp_min(1e-4)).clamp(1.0, 1.5)
    return (mean + gain * (mixed - mean)).clamp(0, 1)


def _window(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the colours around each pixel, the latter of all channels:
    those of cells, and straight lines between them.
    """
    mean = _blurred(image)
    spread = _blurred((image - mean).square().mean(1, keepdim=True)).sqrt()
    return mean, spread


def _blurred(image: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    cells = interpolate(image, size=(-(-height // _NEAR), -(-width // _NEAR)), mode="area")
    return interpolate(cells, size=(height, width), mode="bilinear", align_corners=False)
