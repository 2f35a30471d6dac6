"""How a picture of a style is read: what is seen of it, and a large one part by part.

A style is a statistic over positions, and an encoder sees only so far. So the features of a large
picture are computed on parts that overlap by as far as the encoder sees, which gives the features of
the whole at the memory of a part; statistics of parts add up, by how much of the style each holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.networks.encoder import SMALLEST, Architecture, Encoder
from impasto.pictures.image import resize

__all__ = ["WHOLE", "Part", "encodable", "moments", "parts", "sight"]

WHOLE = 768 * 768
"""Pixels up to which a picture is read at once."""
_SIDE = 512  # of a part, in pixels, without its margins


@dataclass(frozen=True, eq=False)
class Part:
    """Features of a part of a picture by layer, `(1, C, h, w)`, and how much of each position is
    seen, `(1, 1, h, w)` in [0, 1]; `masks` is empty where all is.
    """

    features: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]

    def share(self, layer: str) -> float:
        """How many positions of a layer this part holds: the sum of its squared mask (Gatys et al. 2017)."""
        if layer in self.masks:
            return float(self.masks[layer].square().sum())
        return float(self.features[layer].shape[-2] * self.features[layer].shape[-1])


def encodable(picture: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A strip, `(1, C, H, W)`, made wide enough to encode, and its transparency with it."""
    size = (max(picture.shape[-2], SMALLEST), max(picture.shape[-1], SMALLEST))
    return resize(picture, size), None if seen is None else resize(seen, size)


@torch.no_grad()
def parts(
    encoder: Encoder, picture: Tensor, seen: Tensor | None, layers: Iterable[str]
) -> Iterator[Part]:
    """The features of `picture`, `(1, 3, H, W)` in [0, 1], at once up to `WHOLE` pixels, else part
    by part.

    `seen`: its alpha, `(1, 1, H, W)`, or None. Side by side, the parts are the features of the
    whole, to rounding. A part of which nothing is seen is left out.
    """
    layers = encoder.canonical(layers)
    height, width = picture.shape[-2:]
    known = sight(encoder.architecture, layers)
    stride = max(step for step, _ in known.values())
    masks = {} if seen is None else _masks(seen, {name: step for name, (step, _) in known.items()})
    if height * width <= WHOLE:
        yield _part(encoder, picture, {layer: (slice(None),) * 2 for layer in layers}, masks)
        return
    margin = stride * ceil(max(reach for _, reach in known.values()) / stride)
    for rows in _bounds(height, stride):
        for columns in _bounds(width, stride):
            if seen is not None and not seen[..., slice(*rows), slice(*columns)].any():
                continue
            (top, tall), (left, wide) = (
                (max(0, low - margin), min(size, high + margin))
                for (low, high), size in ((rows, height), (columns, width))
            )
            inside = {
                layer: (
                    _within(rows, top, height, known[layer][0]),
                    _within(columns, left, width, known[layer][0]),
                )
                for layer in layers
            }
            own = {
                layer: mask[
                    ...,
                    _within(rows, 0, height, known[layer][0]),
                    _within(columns, 0, width, known[layer][0]),
                ]
                for layer, mask in masks.items()
            }
            yield _part(encoder, picture[..., top:tall, left:wide], inside, own)


def moments(
    encoder: Encoder, picture: Tensor, seen: Tensor | None, layers: Iterable[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Means and mean squares of every channel over what is seen, by layer: `(1, C)` each, float32.

    Arguments as of `parts`.
    """
    layers = encoder.canonical(layers)
    steps = {layer: step for layer, (step, _) in sight(encoder.architecture, layers).items()}
    masks = {} if seen is None else _masks(seen, steps)
    widths = {**encoder.architecture.widths, **dict(encoder.architecture.heads)}
    # Made first: small things made between large ones would keep the allocator from joining what
    # is freed.
    means, seconds = (
        {
            layer: torch.zeros(1, widths[layer], device=encoder.device, dtype=torch.float32)
            for layer in layers
        }
        for _ in range(2)
    )
    for part in parts(encoder, picture, seen, layers):
        for layer, x in part.features.items():
            mask = part.masks.get(layer)
            if mask is None:
                whole = (picture.shape[-2] // steps[layer]) * (picture.shape[-1] // steps[layer])
                share = x.shape[-2] * x.shape[-1] / whole
                means[layer] += share * x.mean(dim=(2, 3), dtype=torch.float32)
                seconds[layer] += share * x.float().square().mean(dim=(2, 3))
            else:
                weights = mask / masks[layer].sum().clamp_min(1e-12)
                means[layer] += (x.float() * weights).sum(dim=(2, 3))
                seconds[layer] += (x.float().square() * weights).sum(dim=(2, 3))
        del part, x
    return means, seconds


def _part(
    encoder: Encoder,
    picture: Tensor,
    inside: Mapping[str, tuple[slice, slice]],
    masks: Mapping[str, Tensor],
) -> Part:
    found = encoder.features(picture.to(encoder.device), inside)
    return Part(
        {layer: x[..., inside[layer][0], inside[layer][1]] for layer, x in found.items()},
        {layer: mask.to(found[layer].device) for layer, mask in masks.items()},
    )


def sight(architecture: Architecture, layers: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Layer -> pixels between its positions, and how many pixels away one of them may still see."""
    known, sources = {"": (1, 0)}, architecture.sources
    for layer in architecture.layers:
        step, reach = known[sources[layer.name]]
        if layer.pool:
            step, reach = 2 * step, reach + step
        known[layer.name] = (step * layer.stride, reach + layer.side // 2 * step)
    return {layer: known[layer] for layer in layers}


def _masks(seen: Tensor, steps: Mapping[str, int]) -> dict[str, Tensor]:
    """The alpha of the whole picture at the resolution of each layer."""
    height, width = seen.shape[-2:]
    return {
        layer: interpolate(seen.float(), size=(height // step, width // step), mode="area")
        for layer, step in steps.items()
    }


def _bounds(size: int, stride: int) -> list[tuple[int, int]]:
    """Where the parts of one side begin and end, in pixels: whole strides, but at the end."""
    count = ceil(size / _SIDE)
    places = [round(index * size / count / stride) * stride for index in range(count)] + [size]
    return list(pairwise(places))


def _within(bounds: tuple[int, int], begin: int, size: int, step: int) -> slice:
    """Bounds in pixels as positions of a layer that begins at pixel `begin`."""
    low, high = bounds
    return slice((low - begin) // step, None if high == size else (high - begin) // step)
