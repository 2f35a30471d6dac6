"""A whole picture's loss and its gradient in the memory of a part.

Gram matrices and squared distances are sums over positions. So a first sweep over the picture, part
by part, adds the sums up, the loss and its slopes are taken of the totals, and a second sweep brings
those slopes back to the pixels of each part: the gradient is that of the whole picture, to rounding,
and nothing was approximated. Parts overlap by as far as the encoder sees.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.losses.objective import Losses, Objective, Section
from impasto.methods.reading import WHOLE, sight
from impasto.networks.encoder import Encoder
from impasto.windows import Window, tiles

__all__ = ["DescentRoom", "assembled", "divisible", "gradient"]

# Of the embedded encoder, measured: bytes for each pixel of a step at 16 bits (twice as much at
# 32), and for what is held of the whole picture: it, its corrections, and the optimiser's means.
_STEP, _HELD, _PROCESS = 1400, 200, 0.5e9
_SMALLEST, _LARGEST, _MARGIN = 256, 1024, 128
# Bytes at 16 bits for the features of the most that is read of a painting at once; and for a pixel of
# a painting that is held, with its copies on the way.
_READ, _PAINTING = 550e6, 40


@dataclass(frozen=True)
class DescentRoom:
    """How much memory there is, in bytes, for an optimiser under features in `dtype`.

    `width`: of the encoder's maps, in units of the embedded one's. `scale`: of the paintings to the
    picture. `remembered`: pictures that the optimiser keeps. `divisible`: whether its gradient can
    be taken by parts.
    """

    memory: float
    dtype: torch.dtype
    width: float = 1.0
    scale: float = 1.0
    remembered: int = 0
    divisible: bool = True

    def side(self, size: tuple[int, int]) -> int:
        """Of the parts that a picture of (H, W) is taken by, px; 0 where it fits whole."""
        left = self.memory - _PROCESS - self._held(size)
        if size[0] * size[1] * self._step <= left:
            return 0
        found: float = (max(0.0, left) / self._step) ** 0.5 - _MARGIN
        return int(min(_LARGEST, max(_SMALLEST, found)))

    def needed(self, size: tuple[int, int]) -> float:
        """Bytes for a descent at (H, W), about, and for reading the paintings before it."""
        side = self.side(size) if self.divisible else 0
        at_once = (side + _MARGIN) ** 2 if side else size[0] * size[1]
        read = _READ * self.width * min(1.0, (max(size) * self.scale) ** 2 / WHOLE) * self._bits
        larger = _PAINTING * max(0.0, self.scale**2 - 1) * max(size) ** 2
        return _PROCESS + larger + max(self._held(size) + self._step * at_once, read)

    def _held(self, size: tuple[int, int]) -> float:
        return (_HELD + 12 * self.remembered) * size[0] * size[1]

    @property
    def _step(self) -> float:
        return _STEP * self.width * self._bits

    @property
    def _bits(self) -> float:
        return torch.finfo(self.dtype).bits / 16


def divisible(objective: Objective) -> bool:
    """Whether every term is made of sums over positions."""
    return all(term.sums is not None for term in objective.terms)


def gradient(
    encoder: Encoder, objective: Objective, picture: Tensor, side: int
) -> tuple[Losses, Tensor]:
    """The losses of `picture`, `(1, 3, H, W)`, and their gradient, by parts of about `side` px."""
    seen = picture.detach()
    sums = [(term, term.sums) for term in objective.terms if term.sums is not None]
    totals: list[Tensor] = []
    with torch.no_grad():
        for section in _sections(encoder, seen, objective.layers, side):
            parts = [each.of(section) for _, each in sums]
            totals = parts if not totals else [a + b for a, b in zip(totals, parts, strict=True)]
            del section
    with torch.enable_grad():
        leaves = [total.detach().requires_grad_(True) for total in totals]
        raw = {
            term.name: each.finish(leaf) for (term, each), leaf in zip(sums, leaves, strict=True)
        }
        losses = objective.of(raw)
        slopes = torch.autograd.grad(losses.total, leaves)
    found = torch.zeros_like(seen)
    for section in _sections(encoder, seen, objective.layers, side, slope=True):
        value = section.image.new_zeros(())
        for (_, each), slope in zip(sums, slopes, strict=True):
            value = value + (each.of(section) * slope).sum()
        (of_part,) = torch.autograd.grad(value, section.image)
        section.outer.of(found).add_(of_part)
        del section, value, of_part  # or they would stay while the next part is computed
    return losses, found


@torch.no_grad()
def assembled(
    encoder: Encoder, picture: Tensor, layers: Sequence[str], side: int
) -> Mapping[str, Tensor]:
    """The features of `picture`, computed part by part if `side` is not 0."""
    if not side or not layers:
        return encoder.features(picture, layers)
    found: dict[str, Tensor] = {}
    for section in _sections(encoder, picture, layers, side):
        for layer, x in section.features.items():
            if layer not in found:
                step = section.steps[layer]
                height, width = (length // step for length in picture.shape[-2:])
                empty = x.new_empty((1, x.shape[1], height, width))
                found[layer] = empty.contiguous(memory_format=torch.channels_last)
            section.places[layer].of(found[layer]).copy_(section.inside[layer].of(x))
    return found


@dataclass(frozen=True, eq=False)
class _Section(Section):
    outer: Window
    steps: Mapping[str, int]


def _sections(
    encoder: Encoder, picture: Tensor, layers: Iterable[str], side: int, slope: bool = False
) -> Iterator[_Section]:
    """The parts of a picture with their features; differentiable in `image` if `slope`."""
    size = (picture.shape[-2], picture.shape[-1])
    known = sight(encoder.architecture, encoder.canonical(layers))
    steps = {layer: step for layer, (step, _) in known.items()}
    align = max(steps.values(), default=1)
    reach = max((reach for _, reach in known.values()), default=1)
    for tile in tiles(size, side, reach, align):
        image = tile.outer.of(picture).clone().requires_grad_(slope)
        with torch.set_grad_enabled(slope):
            features = encoder.features(image, steps) if steps else {}
        places = {layer: _on(tile.inner, size, step) for layer, step in steps.items()}
        inside = {
            layer: places[layer].within(_on(tile.outer, size, step))
            for layer, step in steps.items()
        }
        right = min(size[1], tile.inner.right + 1)
        below = min(size[0], tile.inner.bottom + 1)
        neighbours = Window(tile.inner.top, below, tile.inner.left, right)
        yield _Section(
            features,
            image,
            inside,
            places,
            tile.inner.within(tile.outer),
            neighbours.within(tile.outer),
            size,
            tile.outer,
            steps,
        )
        del features, image


def _on(window: Window, size: tuple[int, int], step: int) -> Window:
    """A window of the picture on a layer's map; at the picture's end, to the map's."""
    found = window.scaled(step)
    bottom = size[0] // step if window.bottom == size[0] else found.bottom
    right = size[1] // step if window.right == size[1] else found.right
    return Window(found.top, bottom, found.left, right)
