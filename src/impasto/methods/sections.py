"""The loss of a whole picture and its exact gradient, in the memory of a part.

Gram matrices and squared distances are sums over positions. So a first sweep over the picture adds
them up, part by part; the loss and its derivatives with respect to the sums are computed; and a second
sweep backpropagates these to the pixels of each part. The gradient is that of the whole picture, to
rounding. Parts overlap by the encoder's receptive field.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.losses.objective import Losses, Objective, Section
from impasto.methods.reading import WHOLE, sight
from impasto.networks.encoder import Encoder
from impasto.networks.process import trim
from impasto.pictures.tiles import Shown, View
from impasto.windows import Tile, Window, tiles

__all__ = [
    "DescentBudget",
    "assembled",
    "divisible",
    "gradient",
    "overlap",
    "read",
    "section",
    "sections",
    "steps_of",
]

# Measured with the embedded encoder, in bytes: for each pixel of a part in a step at 16 bits (twice as
# much at 32); for each pixel of the whole picture, with its corrections and Adam's moments; and for
# the process.
_STEP, _HELD, _PROCESS = 1150, 220, 0.4e9
# Of a picture that is optimised at a smaller size first, for each pixel of its full size: the photo,
# framed and not, what is kept, and its fine detail.
_ABOVE = 48
_SMALLEST, _LARGEST, _MARGIN = 256, 1024, 128
# Bytes at 16 bits for the features of the largest part of a painting that is read at once; and for each
# pixel of a painting, with its copies while it is opened.
_READ, _PAINTING = 550e6, 40


@dataclass(frozen=True)
class DescentBudget:
    """The memory, in bytes, that an optimiser may take with features in `dtype`.

    `width`: filters of the encoder, in units of the embedded one's. `scale`: size of the paintings
    in units of the picture's. `remembered`: pictures that the optimiser keeps. `divisible`: whether
    its gradient can be computed by parts.
    """

    memory: float
    dtype: torch.dtype
    width: float = 1.0
    scale: float = 1.0
    remembered: int = 0
    divisible: bool = True

    def side(self, size: tuple[int, int], of: tuple[int, int] | None = None) -> int:
        """The side, px, of the parts that a picture of (H, W) is divided into; 0 where it fits whole.

        `of`: the full size that it is a smaller one of.
        """
        above = 0 if of is None or of == size else _ABOVE * of[0] * of[1]
        left = self.memory - _PROCESS - above - self._held(size)
        if size[0] * size[1] * self.step <= left:
            return 0
        found: float = (max(0.0, left) / self.step) ** 0.5 - _MARGIN
        return int(min(_LARGEST, max(_SMALLEST, found)))

    def needed(self, size: tuple[int, int]) -> float:
        """The memory for optimising at (H, W) and for reading the paintings before, about, in bytes."""
        side = self.side(size) if self.divisible else 0
        at_once = (side + _MARGIN) ** 2 if side else size[0] * size[1]
        read = _READ * self.width * min(1.0, (max(size) * self.scale) ** 2 / WHOLE) * self._bits
        larger = _PAINTING * max(0.0, self.scale**2 - 1) * max(size) ** 2
        return _PROCESS + larger + max(self._held(size) + self.step * at_once, read)

    def _held(self, size: tuple[int, int]) -> float:
        return (_HELD + 12 * self.remembered) * size[0] * size[1]

    @property
    def step(self) -> float:
        """Bytes for each pixel of a part in a step."""
        return _STEP * self.width * self._bits

    @property
    def _bits(self) -> float:
        return torch.finfo(self.dtype).bits / 16


def divisible(objective: Objective) -> bool:
    """Whether every term is a function of sums over positions."""
    return all(term.sums is not None for term in objective.terms)


def gradient(
    encoder: Encoder, objective: Objective, picture: Tensor, side: int
) -> tuple[Losses, Tensor]:
    """The losses of `picture`, `(1, 3, H, W)`, and the gradient of the total, `(1, 3, H, W)`, computed
    by parts of about `side` px.
    """
    seen = picture.detach()
    sums = [(term, term.sums) for term in objective.terms if term.sums is not None]
    totals: list[Tensor] = []
    with torch.no_grad():
        for _, part in sections(encoder, Shown(seen), objective.layers, side):
            parts = [each.of(part) for _, each in sums]
            totals = parts if not totals else [a + b for a, b in zip(totals, parts, strict=True)]
            del part
    with torch.enable_grad():
        leaves = [total.detach().requires_grad_(True) for total in totals]
        raw = {
            term.name: each.finish(leaf) for (term, each), leaf in zip(sums, leaves, strict=True)
        }
        losses = objective.of(raw)
        slopes = torch.autograd.grad(losses.total, leaves)
    found = torch.zeros_like(seen)
    for tile, part in sections(encoder, Shown(seen), objective.layers, side, slope=True):
        value = part.image.new_zeros(())
        for (_, each), slope in zip(sums, slopes, strict=True):
            value = value + (each.of(part) * slope).sum()
        (of_part,) = torch.autograd.grad(value, part.image)
        tile.outer.of(found).add_(of_part)
        del part, value, of_part  # or they would stay while the next part is computed
    return losses, found


@torch.no_grad()
def assembled(
    encoder: Encoder, picture: Tensor, layers: Sequence[str], side: int
) -> Mapping[str, Tensor]:
    """The features of `picture`, `(1, 3, H, W)`, computed by parts of about `side` px; 0: at once."""
    if not side or not layers:
        return encoder.features(picture, layers)
    found: dict[str, Tensor] = {}
    steps = steps_of(encoder, layers)
    for _, part in sections(encoder, Shown(picture), layers, side):
        for layer, x in part.features.items():
            if layer not in found:
                height, width = (length // steps[layer] for length in picture.shape[-2:])
                empty = x.new_empty((1, x.shape[1], height, width))
                found[layer] = empty.contiguous(memory_format=torch.channels_last)
            part.places[layer].of(found[layer]).copy_(part.inside[layer].of(x))
    return found


def sections(
    encoder: Encoder, picture: View, layers: Iterable[str], side: int, slope: bool = False
) -> Iterator[tuple[Tile, Section]]:
    """The parts of a picture, of about `side` px, with their features: see `read`."""
    align, reach = overlap(encoder, layers)
    for tile in tiles(picture.size, side, reach, align):
        yield tile, read(encoder, picture, tile, layers, slope)
        trim()


def read(
    encoder: Encoder, picture: View, tile: Tile, layers: Iterable[str], slope: bool = False
) -> Section:
    """A tile of a picture with its features; differentiable in `image` if `slope`."""
    image = picture.crop(tile.outer).to(encoder.device)
    if slope:
        image = image.clone().requires_grad_(True)
    with torch.set_grad_enabled(slope):
        features = encoder.features(image, layers) if layers else {}
    return section(tile, picture.size, steps_of(encoder, layers), features, image)


def overlap(encoder: Encoder, layers: Iterable[str]) -> tuple[int, int]:
    """The multiple, px, that parts are cut at, and how far the receptive field goes beyond them, px."""
    known = sight(encoder.architecture, encoder.canonical(layers)).values()
    return max((step for step, _ in known), default=1), max(
        (reach for _, reach in known), default=1
    )


def section(
    tile: Tile,
    size: tuple[int, int],
    steps: Mapping[str, int],
    features: Mapping[str, Tensor],
    image: Tensor,
) -> Section:
    """A tile of a picture of `size` for `Sums`: `features` of `image`, which is the tile's outer
    window. `steps`: px between the positions of each layer.
    """
    places = {layer: _on(tile.inner, size, step) for layer, step in steps.items()}
    inside = {
        layer: places[layer].within(_on(tile.outer, size, step)) for layer, step in steps.items()
    }
    right, below = min(size[1], tile.inner.right + 1), min(size[0], tile.inner.bottom + 1)
    neighbours = Window(tile.inner.top, below, tile.inner.left, right)
    own = tile.inner.within(tile.outer)
    return Section(features, image, inside, places, own, neighbours.within(tile.outer), size)


def steps_of(encoder: Encoder, layers: Iterable[str]) -> dict[str, int]:
    """Pixels between the positions of each layer."""
    known = sight(encoder.architecture, encoder.canonical(layers))
    return {layer: step for layer, (step, _) in known.items()}


def _on(window: Window, size: tuple[int, int], step: int) -> Window:
    """A window of the picture on a layer's map; where it ends with the picture, with the map."""
    found = window.scaled(step)
    bottom = size[0] // step if window.bottom == size[0] else found.bottom
    right = size[1] // step if window.right == size[1] else found.right
    return Window(found.top, bottom, found.left, right)
