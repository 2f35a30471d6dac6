"""A picture enlarged by a network that makes up fine detail: super-resolution, tile by tile.

    impasto.upscale("photo.jpg", 4).save("large.png")

Every tile is seen with as much of its surroundings as the network looks at, so the tiles are the
picture enlarged whole, to rounding, and memory does not grow with the picture but for the picture
itself, in 8 bits.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import OptionError
from impasto.events import Event
from impasto.memory import SPARE, available, spoken
from impasto.networks.loaded import Networks
from impasto.networks.upscale_net import UpscaleNet
from impasto.networks.upscaler import UPSCALER
from impasto.pictures.exif import sifted
from impasto.pictures.identity import identity
from impasto.pictures.image import Source, bytes_to_pil, open_picture
from impasto.pictures.painted import PaintedImage
from impasto.pictures.sources import resolved
from impasto.pictures.tiles import bytes_of
from impasto.settings import Settings
from impasto.sizes import memory
from impasto.windows import Tile, Window, tiles

__all__ = ["FACTORS", "HONOURS", "Enlargement", "UpscaleProgress", "enlarged", "upscale"]

FACTORS: Mapping[int, tuple[int, ...]] = {2: (2,), 4: (4,), 8: (4, 2)}
"""What a picture can be enlarged by, and the passes that it takes."""

HONOURS = frozenset({"device", "keep_exif", "max_memory", "recipe"})
"""The settings that make a difference here."""

# Measured of the embedded network: bytes for a pixel of a tile with its halo at 16 bits, and what a
# process has besides.
_A_PIXEL, _PROCESS = {2: 1200, 4: 3200, 8: 24000}, 0.4e9
_LARGEST, _SMALLEST, _AROUND = 512, 64, 100  # sides of tiles and of two halos, small px


@dataclass(frozen=True)
class UpscaleProgress(Event):
    """`step` of `of` tiles are made."""

    step: int
    of: int
    losses: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


class Enlargement:
    """A picture that is to be `times` as large, by 2, 4 or 8: `steps()` does it, `finish()` gives it.

    `source`: what `open_picture` takes, or the name of a sample. `network`: the embedded one, or a
    file of `impasto train upscale`. `settings`: those in `HONOURS`; `OptionError` for any other,
    for another factor, and where there is too little memory; `InputError` and `WeightsError` for a
    picture or a network that cannot be used.

    Transparency is enlarged by bicubic; where nothing is seen colours are not read.
    """

    def __init__(
        self,
        source: Source,
        times: int = 2,
        settings: Settings | None = None,
        *,
        network: str | Path = UPSCALER,
        networks: Networks | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        if isinstance(times, bool | float) or times not in FACTORS:
            raise OptionError(f"`times={times}` is not possible; choose 2, 4 or 8")
        for name in settings.changed:
            if name not in HONOURS:
                raise OptionError(f"`{name}` has no effect on an enlargement; leave it out")
        self.times = times
        self.upscaler = (networks or Networks()).upscaler(network, settings.device)
        self.picture = open_picture(resolved(source))
        self.notes = self.picture.notes
        height, width = self.size = (
            self.picture.image.shape[-2],
            self.picture.image.shape[-1],
        )
        bits = torch.finfo(self.upscaler.net.dtype).bits
        self.side = _side(settings, self.size, times, _A_PIXEL[times] * bits / 16)
        named = isinstance(source, str | os.PathLike) and os.path.isfile(source)
        net_file = os.path.isfile(network)
        self._recipe: dict[str, object] = {
            "impasto": metadata.version("impasto"),
            "torch": torch.__version__,
            "method": "upscale",
            "content": {"kind": "file"}
            if named and settings.recipe != "full"
            else identity(source),
            "times": times,
            "network": identity(network) if net_file else {"name": str(network)},
            "fingerprint": self.upscaler.fingerprint,
            "size": times * max(height, width),
        }
        self._done, self._of = 0, len(list(self._tiles()))
        # Until a tile is made it is bicubic: a picture that was interrupted is one.
        self._large = _bicubic(self.picture.image, times)

    def _tiles(self) -> Iterator[Tile]:
        return tiles(self.size, self.side, _halo(self.upscaler.net, self.times), 1)

    def steps(self) -> Iterator[UpscaleProgress]:
        """A tile at a time."""
        for tile in self._tiles():
            part = tile.outer.of(self.picture.image).to(self.upscaler.device)
            large = enlarged(self.upscaler.net, part, self.times)
            inner = _times(tile.inner.within(tile.outer), self.times)
            _times(tile.inner, self.times).of(self._large).copy_(bytes_of(inner.of(large)))
            self._done += 1
            yield UpscaleProgress(self._done, self._of)

    def finish(self) -> PaintedImage:
        """The picture as it is now, RGB or RGBA; its recipe says whether it was finished."""
        alpha = self.picture.alpha
        whole = bytes_to_pil(self._large, None if alpha is None else _bicubic(alpha, self.times))
        said = self.settings.recipe != "none"
        recipe = {**self._recipe, "steps_done": self._done, "unfinished": self._done < self._of}
        exif = sifted(self.picture.exif, self.settings.keep_exif)
        return PaintedImage.of(whole, recipe if said else None, exif)


def upscale(
    source: Source,
    times: int = 2,
    settings: Settings | None = None,
    *,
    network: str | Path = UPSCALER,
    networks: Networks | None = None,
    **options: Any,
) -> PaintedImage:
    """A picture `times` as large, by 2, 4 or 8, with the detail that a network makes up for it.

    Arguments as `Enlargement` takes them; `options`: settings by name. Returns a PIL image, RGB or
    RGBA, whose `save` writes how it was made into the file. Raises `ImpastoError` for what cannot
    be.
    """
    settings = (settings or Settings()).but(**options)
    work = Enlargement(source, times, settings, network=network, networks=networks)
    deque(work.steps(), maxlen=0)
    return work.finish()


@torch.no_grad()
def enlarged(net: UpscaleNet, picture: Tensor, times: int) -> Tensor:
    """`(B, 3, H, W)` in [0, 1] -> `(B, 3, times H, times W)` in [0, 1]; `times` of `FACTORS`."""
    for each in FACTORS[times]:
        picture = net(picture, each).clamp(0, 1)
    return picture


def _halo(net: UpscaleNet, times: int) -> int:
    """How far beside a tile the network looks, in pixels of the small picture."""
    reach, grown = 0.0, 1
    for each in FACTORS[times]:
        reach += (net.reach + 2) / grown  # 2: of the bicubic kernel
        grown *= each
    return int(-(-reach // 1))


def _times(window: Window, times: int) -> Window:
    sides = (window.top, window.bottom, window.left, window.right)
    return Window(*(times * side for side in sides))


def _bicubic(image: Tensor, times: int) -> Tensor:
    """`(1, C, H, W)` in [0, 1] -> the same enlarged, uint8."""
    planes = []
    for plane in bytes_of(image)[0]:
        small = Image.fromarray(plane.numpy())
        size = (times * small.width, times * small.height)
        planes.append(np.asarray(small.resize(size, Image.Resampling.BICUBIC)))
    return torch.from_numpy(np.stack(planes))[None]


def _side(settings: Settings, size: tuple[int, int], times: int, a_pixel: float) -> int:
    """Of tiles, px of the small picture; `OptionError` where even the result does not fit."""
    free = available()
    most = memory(settings.max_memory)
    most = most if free is None else min(most, SPARE * free)
    # The picture in floating point; the result in 8 bits, and Pillow's copy of it in 4 bytes.
    held = _PROCESS + size[0] * size[1] * (16 + 8 * times**2)
    least = (_SMALLEST + _AROUND) ** 2 * a_pixel
    if held + least > most:
        height, width = (times * side for side in size)
        raise OptionError(
            f"{width} x {height} px need about {spoken(held + least)} of memory, and {spoken(most)} may be "
            "taken; allow more by `max_memory`, or choose smaller `times`"
        )
    side: float = ((most - held) / a_pixel) ** 0.5 - _AROUND
    return int(min(_LARGEST, max(_SMALLEST, side)))
