"""What an encoder sees: the feature maps a picture excites most, what in it excites them, and its
Gram matrices.

    for found in strongest(encoder, photo, "relu3_1"):
        found.map, found.units[0].patch, found.units[0].projection

The projections are those of the *deconvnet* of Zeiler and Fergus 2013 (arXiv:1311.2901, section
2.1): one activation is sent down through every layer of the encoder. Pooling is undone by the
switches it left on the way up; the signal is rectified by a ReLU of its own; then it is filtered
with the transposed filters. This is the gradient but for the ReLU: a gradient passes where the
*input* was positive, a deconvnet where the *signal* is (Simonyan et al. 2013, arXiv:1312.6034,
section 4). It is not guided backpropagation (Springenberg et al. 2014), which asks for both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.analysis.sheets import Cell, Sheet
from impasto.errors import InputError, OptionError
from impasto.losses.gram import gram
from impasto.networks.encoder import SMALLEST, STYLE_LAYERS, Encoder

__all__ = [
    "Ascent",
    "FeatureMap",
    "Unit",
    "climb",
    "feature_sheet",
    "gram_maps",
    "gram_sheet",
    "project",
    "receptive_field",
    "strongest",
]


# ------------------------------------------------------------------------------------- up and down


@dataclass(frozen=True, eq=False)
class Ascent:
    """A picture's way up to a layer, as far as the way down needs it.

    `maps`: (1, C, H', W') after ReLU, as `Encoder.features` has them. `sizes`: name of a layer on
    the way -> (height, width) of what it reads; `switches`: of a layer that pools this first ->
    where in each 2x2 the maximum was, as `max_pool2d` gives it.
    """

    encoder: Encoder
    layer: str
    maps: Tensor
    switches: dict[str, Tensor] = field(repr=False)
    sizes: dict[str, tuple[int, int]]


def climb(encoder: Encoder, image: Tensor, layer: str) -> Ascent:
    """Forward to `layer`, in float32 at least, keeping the switches of max pooling.

    `image`: (1, 3, H, W) in [0, 1], at least 32 px a side. `ImpastoError` for an unknown layer, a
    smaller picture, and an encoder that pools by averages, which leaves no switches.
    """
    (layer,) = encoder.canonical([layer])
    if encoder.pooling != "max":
        raise OptionError(
            "a deconvnet needs the switches of max pooling; load the encoder with pooling max"
        )
    if image.ndim != 4 or image.shape[0] != 1 or min(image.shape[-2:]) < SMALLEST:
        raise InputError(
            f"one picture of {SMALLEST} px or more a side is needed, not {tuple(image.shape)}"
        )
    with torch.no_grad():
        return _climb(encoder, image, layer)


def _climb(encoder: Encoder, image: Tensor, layer: str) -> Ascent:
    wide = torch.promote_types(encoder.dtype, torch.float32)
    mean, std = (
        _per_channel(values, image)
        for values in (encoder.architecture.mean, encoder.architecture.std)
    )
    x = ((image - mean) / std).to(encoder.device, wide)
    switches: dict[str, Tensor] = {}
    sizes: dict[str, tuple[int, int]] = {}
    reflected = encoder.architecture.padding == "reflect"
    for each in encoder.architecture.path([layer]):
        sizes[each.name] = (x.shape[2], x.shape[3])
        if each.pool:
            x, switches[each.name] = F.max_pool2d(x, 2, return_indices=True)
        x = F.pad(x, (1, 1, 1, 1), mode="reflect") if reflected else F.pad(x, (1, 1, 1, 1))
        x = F.relu(F.conv2d(x, *_weights(encoder.convs[each.name], wide), stride=each.stride))
    if layer in encoder.heads:
        x = F.relu(F.conv2d(x, *_weights(encoder.heads[layer], wide)))
    return Ascent(encoder, layer, x, switches, sizes)


def project(ascent: Ascent, signal: Tensor) -> Tensor:
    """Send `signal`, (1, C, H', W') at the layer of `ascent`, down to pixels: (1, 3, H, W), signed.

    Give one unit's activation in a map of zeros for what that unit saw. The answer is a part of the
    picture without its mean colour, in the units of the picture (the encoder's scaling undone):
    zero for zero, twice as large for twice the activation, and zero outside the unit's receptive
    field.
    """
    if signal.shape != ascent.maps.shape:
        raise OptionError(
            f"a signal of shape {tuple(signal.shape)} is not one of {tuple(ascent.maps.shape)}"
        )
    encoder, layer = ascent.encoder, ascent.layer
    x = signal.to(ascent.maps)
    with torch.no_grad():
        if layer in encoder.heads:
            x = F.conv_transpose2d(F.relu(x), _weights(encoder.heads[layer], x.dtype)[0])
        for each in reversed(encoder.architecture.path([layer])):
            size = ascent.sizes[each.name]
            # A stride of two leaves the last row or column of an odd size unread.
            unread = [length % each.stride for length in size]
            weight, _ = _weights(encoder.convs[each.name], x.dtype)
            x = F.conv_transpose2d(F.relu(x), weight, stride=each.stride, output_padding=unread)
            x = _fold(x, reflected=encoder.architecture.padding == "reflect")
            if each.pool:
                x = F.max_unpool2d(x, ascent.switches[each.name], [2, 2], output_size=list(size))
        return x * _per_channel(encoder.architecture.std, x)


def _weights(conv: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return conv.get_parameter("weight").to(dtype), conv.get_parameter("bias").to(dtype)


def _per_channel(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return like.new_tensor(values).view(1, 3, 1, 1)


def _fold(x: Tensor, *, reflected: bool) -> Tensor:
    """The transpose of padding by one: what came to the border goes back to where it was read, or
    is lost.
    """
    if reflected:
        for axis in (2, 3):
            for border, inside in ((0, 2), (-1, -3)):
                x.select(axis, inside).add_(x.select(axis, border))
    return x[:, :, 1:-1, 1:-1]


def receptive_field(layer: str, encoder: Encoder, place: int, length: int) -> tuple[int, int]:
    """The pixels, from (included) and to (excluded), that a unit at `place` of `layer` sees along
    an axis of `length`.

    The picture's borders cut it off; a reflected border shows no pixel that is not in it already.
    """
    (layer,) = encoder.canonical([layer])
    low = high = place
    path = encoder.architecture.path([layer])
    halvings = sum(each.pool + each.stride // 2 for each in path)
    for each in reversed(path):
        halvings -= each.stride // 2
        low, high = each.stride * low - 1, each.stride * high + each.side - 2
        low, high = max(low, 0), min(high, (length >> halvings) - 1)
        if each.pool:
            halvings -= 1
            low, high = 2 * low, 2 * high + 1
    return low, high + 1


# ------------------------------------------------------------------------------------ what excites


@dataclass(frozen=True, eq=False)
class Unit:
    """One place of a feature map, strongly excited.

    `box`: (top, left, bottom, right) of its receptive field, in pixels; `patch`: the picture there,
    (1, 3, h, w); `projection`: of its activation alone, back to those pixels, signed, the same
    shape (see `project`).
    """

    row: int
    column: int
    activation: float
    box: tuple[int, int, int, int]
    patch: Tensor
    projection: Tensor


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """One channel of a layer: its map (H', W'), and its most excited units, strongest first."""

    layer: str
    channel: int
    map: Tensor
    units: tuple[Unit, ...]


def strongest(
    encoder: Encoder, image: Tensor, layer: str, *, top: int = 9, patches: int = 3
) -> tuple[FeatureMap, ...]:
    """The `top` feature maps of `layer` by their highest activation, with up to `patches` units
    each.

    `image`: (1, 3, H, W) in [0, 1], at least 32 px a side. After Zeiler and Fergus 2013, figure 2,
    with the places of one picture in place of a data set; a map's units lie at least half a
    receptive field apart. Maps without any activation are left out. `ImpastoError` for an unknown
    layer, a small picture and numbers below 1.
    """
    if top < 1 or patches < 1:
        raise OptionError(f"top {top} and patches {patches} count from 1")
    image = image.detach()
    ascent = climb(encoder, image, layer)
    maps = ascent.maps[0]
    heights = maps.amax(dim=(1, 2))
    order = [
        int(channel)
        for channel in heights.argsort(descending=True, stable=True)[:top]
        if heights[channel] > 0
    ]
    unit = partial(_unit, encoder, image, ascent.layer)
    return tuple(
        FeatureMap(
            ascent.layer,
            channel,
            maps[channel].cpu(),
            tuple(
                unit(channel, row, column)
                for row, column in _peaks(maps[channel], _apart(ascent), patches)
            ),
        )
        for channel in order
    )


def _apart(ascent: Ascent) -> int:
    """Half a receptive field, in units of the layer."""
    low, high = receptive_field(ascent.layer, ascent.encoder, 1 << 12, 1 << 20)
    return max(1, (high - low) >> int(ascent.layer[4]))


def _peaks(plane: Tensor, apart: int, count: int) -> list[tuple[int, int]]:
    """Up to `count` places of the highest values above zero, none nearer than `apart` to another."""
    left, found = plane.clone(), []
    for _ in range(count):
        row, column = divmod(int(left.argmax()), left.shape[1])
        if left[row, column] <= 0:
            break
        found.append((row, column))
        left[max(0, row - apart + 1) : row + apart, max(0, column - apart + 1) : column + apart] = 0
    return found


def _unit(encoder: Encoder, image: Tensor, layer: str, channel: int, row: int, column: int) -> Unit:
    """A unit sees nothing outside its receptive field, and so the part of the picture around that
    is enough.
    """
    stride = 1 << (int(layer[4]) - 1)
    spans = [
        receptive_field(layer, encoder, place, length)
        for place, length in zip((row, column), image.shape[-2:], strict=True)
    ]
    # From one 2x2 to another, so that the poolings of the part are those of the whole; borders stay
    # borders.
    parts = [
        (low // stride * stride, min(-(-high // stride) * stride, length))
        for (low, high), length in zip(spans, image.shape[-2:], strict=True)
    ]
    (top, bottom), (left, right) = parts
    with torch.no_grad():
        ascent = _climb(encoder, image[:, :, top:bottom, left:right], layer)
    signal = torch.zeros_like(ascent.maps)
    here = (0, channel, row - top // stride, column - left // stride)
    signal[here] = ascent.maps[here]
    (y0, y1), (x0, x1) = spans
    down = project(ascent, signal)[:, :, y0 - top : y1 - top, x0 - left : x1 - left]
    return Unit(
        row, column, signal[here].item(), (y0, x0, y1, x1), image[:, :, y0:y1, x0:x1], down.cpu()
    )


def gram_maps(encoder: Encoder, image: Tensor) -> dict[str, Tensor]:
    """The five style layers' Gram matrices, (C, C) each, divided by the number of positions (Gatys
    et al. 2015, eq. 3).

    `image`: (1, 3, H, W) in [0, 1], at least 32 px a side.
    """
    with torch.no_grad():
        features = encoder.features(image.to(encoder.device), STYLE_LAYERS)
    return {layer: gram(features[layer])[0].cpu() for layer in STYLE_LAYERS}


# ------------------------------------------------------------------------------------------ sheets

_SIDE, _GRAM_SIDE = 128, 256  # px
_DECADES = 4
# Black through red and yellow to white: from dark to light in grey print too.
_STOPS = ((0, 0, 0), (0.45, 0.05, 0.2), (0.85, 0.25, 0.1), (0.99, 0.7, 0.2), (1, 1, 0.92))


def feature_sheet(maps: tuple[FeatureMap, ...]) -> Sheet:
    """A row for each map: the map itself, then each unit's patch and projection (grey is zero;
    scaled to its peak).
    """
    if not maps:
        raise OptionError(
            "no feature map of this layer is excited by the picture; take another layer"
        )
    cells = []
    for row, found in enumerate(maps):
        cells.append(Cell(row, 0, _sized(_heat(found.map / found.units[0].activation), _SIDE)))
        for number, unit in enumerate(found.units):
            shown = 0.5 + unit.projection / (2 * unit.projection.abs().max().clamp_min(1e-12))
            where = f"{unit.activation:.3g} at {unit.column}, {unit.row}"
            cells.append(Cell(row, 1 + 2 * number, _sized(unit.patch, _SIDE), where))
            cells.append(Cell(row, 2 + 2 * number, _sized(shown, _SIDE)))
    pairs = max(len(found.units) for found in maps)
    columns = ("map", *("patch", "projection") * pairs)
    rows = tuple(f"channel {found.channel}" for found in maps)
    return Sheet(f"What excites {maps[0].layer}", rows, columns, tuple(cells))


def gram_sheet(grams: Mapping[str, Tensor]) -> Sheet:
    """A heat map for each matrix, channel by channel: white is the highest entry, black 10^-4 of it
    and less.
    """
    cells = []
    for column, matrix in enumerate(grams.values()):
        # Of ReLU features, no entry is negative.
        relative = matrix / matrix.max().clamp_min(1e-12)
        shown = _heat(1 + relative.clamp_min(10.0**-_DECADES).log10() / _DECADES)
        name = f"{len(matrix)} x {len(matrix)} channels"
        cells.append(
            Cell(0, column, _sized(shown, _GRAM_SIDE), name, {"highest": matrix.max().item()})
        )
    scale = f"white: the layer's highest; black: 1e-{_DECADES} of it and less"
    title = f"Gram matrices, entry by entry, on a logarithmic scale\n{scale}"
    return Sheet(title, ("",), tuple(grams), tuple(cells))


def _heat(values: Tensor) -> Tensor:
    """(H, W) in [0, 1] as colours, (1, 3, H, W)."""
    stops = torch.tensor(_STOPS)
    place = values.float().clamp(0, 1) * (len(stops) - 1)
    below = place.long().clamp(max=len(stops) - 2)
    return torch.lerp(stops[below], stops[below + 1], (place - below)[..., None]).permute(2, 0, 1)[
        None
    ]


def _sized(picture: Tensor, side: int) -> Tensor:
    """The picture with that long side: pixels repeated where it grows, averaged where it shrinks."""
    scale = side / max(picture.shape[-2:])
    size = [max(1, round(scale * length)) for length in picture.shape[-2:]]
    return F.interpolate(picture, size, mode="nearest-exact" if scale > 1 else "area")
