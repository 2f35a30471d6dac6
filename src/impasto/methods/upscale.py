"""A picture enlarged by a network that makes up fine detail: super-resolution, tile by tile.

    impasto.upscale("photo.jpg", 4).save("large.png")

Every tile is seen with as much of its surroundings as the network looks at, so the tiles are the
picture enlarged whole, to rounding, and memory does not grow with the picture but for the picture
itself, in 8 bits.
"""

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
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
from impasto.networks.upscaler import UPSCALER, Upscaler
from impasto.pictures.exif import sifted
from impasto.pictures.identity import identity
from impasto.pictures.image import Source, bytes_to_pil, open_picture
from impasto.pictures.painted import PaintedImage
from impasto.pictures.sources import resolved
from impasto.pictures.tiles import bytes_of, floats_of
from impasto.settings import Settings
from impasto.sizes import memory
from impasto.windows import Tile, Window, tiles

__all__ = [
    "FACTORS",
    "HONOURS",
    "Enlargement",
    "Enlarger",
    "UpscaleProgress",
    "enlarged",
    "upscale",
]

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
        height, width = self.picture.image.shape[-2:]
        self.size = (height, width)
        self.enlarger = Enlarger(self.upscaler, times, memory(settings.max_memory))
        self.enlarger.check(self.size)
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
        self._done, self._of = 0, self.enlarger.count(self.size)
        self._large = self.enlarger.begun(self.picture.image)

    def steps(self) -> Iterator[UpscaleProgress]:
        """A tile at a time."""
        for done in self.enlarger.onto(self._large, self.picture.image):
            self._done = done
            yield UpscaleProgress(done, self._of)

    def finish(self) -> PaintedImage:
        """The picture as it is now, RGB or RGBA; its recipe says whether it was finished."""
        alpha = self.picture.alpha
        whole = bytes_to_pil(self._large, None if alpha is None else self.enlarger.begun(alpha))
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


@dataclass(frozen=True, eq=False)
class Enlarger:
    """Pictures made `times` as large, tile by tile. `memory`: bytes to make do with."""

    upscaler: Upscaler
    times: int
    memory: float

    def check(self, size: tuple[int, int]) -> None:
        """`OptionError` where even the result of a picture of (H, W) does not fit."""
        if self.needed(size) > self._room:
            height, width = (self.times * side for side in size)
            raise OptionError(
                f"{width} x {height} px need about {spoken(self.needed(size))} of memory, and "
                f"{spoken(self._room)} may be taken; allow more by `max_memory`, or choose smaller `times`"
            )

    def needed(self, size: tuple[int, int]) -> float:
        """Bytes for a picture of (H, W), about, at the least."""
        return self._held(size) + (_SMALLEST + _AROUND) ** 2 * self._a_pixel

    def seconds(self, size: tuple[int, int]) -> float:
        """What a picture of (H, W) will take, by the pace of a small one, enlarged now."""
        probe = torch.full((1, 3, _SMALLEST, _SMALLEST), 0.5, device=self.upscaler.device)
        enlarged(self.upscaler.net, probe, self.times)  # the first one also prepares
        begun = time.perf_counter()
        enlarged(self.upscaler.net, probe, self.times)
        pace = (time.perf_counter() - begun) / _SMALLEST**2
        return pace * sum(each.outer.size[0] * each.outer.size[1] for each in self._tiles(size))

    def count(self, size: tuple[int, int]) -> int:
        """The tiles of a picture of (H, W)."""
        return len(list(self._tiles(size)))

    def begun(self, picture: Tensor) -> Tensor:
        """`(1, C, H, W)` in [0, 1], or uint8 -> `(1, C, times H, times W)`, uint8, by bicubic: a
        picture that is interrupted is one.
        """
        return _bicubic(picture, self.times)

    def onto(self, large: Tensor, picture: Tensor) -> Iterator[int]:
        """Make `large`, which was `begun` of `picture`, in place: how many tiles are done."""
        size = (picture.shape[-2], picture.shape[-1])
        for done, tile in enumerate(self._tiles(size), start=1):
            part = floats_of(tile.outer.of(picture)).to(self.upscaler.device)
            inner = _times(tile.inner.within(tile.outer), self.times)
            found = inner.of(enlarged(self.upscaler.net, part, self.times))
            _times(tile.inner, self.times).of(large).copy_(bytes_of(found))
            yield done

    def _tiles(self, size: tuple[int, int]) -> Iterator[Tile]:
        # Between the least and what is left when the pictures themselves are held.
        left = max(0.0, self._room - self._held(size))
        side = int(min(_LARGEST, max(_SMALLEST, (left / self._a_pixel) ** 0.5 - _AROUND)))
        return tiles(size, side, _halo(self.upscaler.net, self.times), 1)

    def _held(self, size: tuple[int, int]) -> float:
        # The picture in floating point; the result in 8 bits, and Pillow's copy of it in 4 bytes.
        return _PROCESS + size[0] * size[1] * (16 + 8 * self.times**2)

    @cached_property
    def _room(self) -> float:
        free = available()
        return self.memory if free is None else min(self.memory, SPARE * free)

    @property
    def _a_pixel(self) -> float:
        return _A_PIXEL[self.times] * torch.finfo(self.upscaler.net.dtype).bits / 16


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
    """`(1, C, H, W)` in [0, 1], or uint8 -> the same enlarged, uint8."""
    planes = []
    for plane in (image if image.dtype == torch.uint8 else bytes_of(image))[0]:
        small = Image.fromarray(plane.numpy())
        size = (times * small.width, times * small.height)
        planes.append(np.asarray(small.resize(size, Image.Resampling.BICUBIC)))
    return torch.from_numpy(np.stack(planes))[None]
