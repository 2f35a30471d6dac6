"""What a layer of a source's VGG-19 comes to under another encoder: which layer stands for it, and at
what scale.

Sources weigh the features of Caffe's VGG-19 (the one of Keras, too), which differ in size from layer
to layer by a factor of 30, and a style term grows with their fourth power. The embedded encoders
were taught a VGG-19 whose mean activations are normalised to about 1 (as Gatys et al. 2016 have it).
So each layer's features are multiplied, in effect, by how large the source's are. Where a layer is
not there, the nearest stands for it: in the same block if there is one, else in the order of
computation, the earlier of two as near.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from impasto.errors import OptionError
from impasto.losses.base import RELATIVE
from impasto.losses.content import CONTENT_SCALES
from impasto.losses.gram import STYLE_SCALES
from impasto.losses.presets import CAFFE, Preset
from impasto.networks.encoder import VGG19, Encoder, Pooling, canonical
from impasto.networks.loaded import Networks
from impasto.networks.weights import encoder_names
from impasto.settings import Settings

__all__ = [
    "LEVELS",
    "Matched",
    "Stand",
    "matched",
    "reader",
    "stands",
]

# Mean activations of Caffe's VGG-19 in units of the normalised one's, two digits at best. Of
# relu4_2: the content loss that jcjohnson/neural-style prints at its first step (INSTALL.md: 2091179
# at weight 5, its example at 512 px). Of the style layers: between the style losses printed there
# and the means that TensorFlow's tutorial prints. Of relu5_2: the mean printed there.
_MEASURED = {
    "relu1_1": 24.0,
    "relu2_1": 110.0,
    "relu3_1": 100.0,
    "relu4_1": 400.0,
    "relu4_2": 360.0,
    "relu5_1": 35.0,
    "relu5_2": 12.0,
}


def _levels() -> dict[str, float]:
    """Of every layer; between two known ones, and after the last, geometrically."""
    order, known = list(VGG19.widths), [*_MEASURED]
    found = {}
    for place, layer in enumerate(order):
        before = [each for each in known if order.index(each) <= place][-1]
        after = next((each for each in known if order.index(each) >= place), before)
        start, end = order.index(before), order.index(after)
        along = (place - start) / (end - start) if end > start else 0.0
        logs = math.log(_MEASURED[before]), math.log(_MEASURED[after])
        found[layer] = math.exp(logs[0] + along * (logs[1] - logs[0]))
    return found


LEVELS: Mapping[str, float] = MappingProxyType(_levels())
"""How large the features of Caffe's VGG-19 are, beside one whose mean activations are about 1."""


@dataclass(frozen=True)
class Stand:
    """`layer` of an encoder, with `own` filters, in the place of `asked`, a source's.

    `gain`: how much larger the source's features are. `filters`: how many the source's layer has.
    """

    asked: str
    layer: str
    gain: float
    own: int
    filters: int

    def content(self, image: Tensor, scale: str) -> float:
        """What the source's weight is multiplied by for a `content_loss` of that scale, for an
        `image` `(1, 3, H, W)`.
        """
        if scale == "relative":
            return 1.0
        (n, m), (theirs, positions) = self._sizes(image)
        of = CONTENT_SCALES[scale]
        return self.gain**2 * of(theirs, positions) * theirs * positions / (of(n, m) * n * m)

    def style(self, image: Tensor, scale: str) -> float:
        """The same for a `style_loss`."""
        if scale in RELATIVE:
            return 1.0
        (n, m), (theirs, positions) = self._sizes(image)
        of = STYLE_SCALES[scale]
        return self.gain**4 * of(theirs, positions) * theirs**2 / (of(n, m) * n**2)

    def _sizes(self, image: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
        """Filters and positions, of this layer and of the source's."""
        height, width = image.shape[-2:]
        m, positions = (
            max(1, height >> _block(each) - 1) * max(1, width >> _block(each) - 1)
            for each in (self.layer, self.asked)
        )
        return (self.own, m), (self.filters, positions)


def stands(
    encoder: Encoder, layers: Sequence[str], feature_scale: float, *, exact: bool
) -> tuple[Stand, ...]:
    """What stands for each of `layers` under `encoder`, in their order.

    `feature_scale`: the source's, beside an encoder of pixels in [0, 1] (`Preset`). `exact`: none
    may be replaced; `OptionError`, with those there are, for one that is missing, and always for a
    name that is no layer of VGG-19 either.
    """
    known = encoder.layers if exact else dict.fromkeys((*encoder.layers, *VGG19.widths))
    asked = dict.fromkeys(canonical(name, known) for name in layers)
    return tuple(_stand(encoder, name, feature_scale) for name in asked)


def _stand(encoder: Encoder, asked: str, feature_scale: float) -> Stand:
    layer = asked if asked in encoder.layers else _nearest(asked, encoder.layers)
    own = (encoder.architecture.widths | dict(encoder.architecture.heads))[layer]
    widths = VGG19.widths
    if asked in widths and encoder.name in encoder_names() and encoder.name != "vgg19":
        return Stand(asked, layer, LEVELS[asked] * feature_scale / CAFFE, own, widths[asked])
    if layer == asked:
        return Stand(asked, layer, feature_scale, own, own)
    gain = feature_scale * LEVELS[asked] / LEVELS[layer]
    return Stand(asked, layer, gain, own, round(own * widths[asked] / widths[layer]))


def _nearest(asked: str, layers: Iterable[str]) -> str:
    order = list(VGG19.widths)
    there = [layer for layer in layers if layer in order]
    if not there:
        raise OptionError(f"no layer of this encoder can stand for {asked}; use `encoder=vgg19`")
    place = order.index(asked)
    return min(
        there,
        key=lambda layer: (
            _block(layer) != _block(asked),
            abs(order.index(layer) - place),
            order.index(layer),
        ),
    )


def _block(layer: str) -> int:
    return int(layer.removeprefix("relu").partition("_")[0])


@dataclass(frozen=True)
class Matched:
    """A preset under an encoder: as it was `asked` for, by layers as the source has them, the
    `recipe` by the encoder's own, and what stands for what.
    """

    encoder: Encoder
    asked: Preset
    recipe: Preset
    contents: tuple[Stand, ...]
    styles: tuple[Stand, ...]

    @property
    def replaced(self) -> dict[str, str]:
        """The source's layers that are not there -> what stands for them."""
        every = (*self.contents, *self.styles)
        return {stand.asked: stand.layer for stand in every if stand.asked != stand.layer}

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell of all that is not as the preset has it."""
        name, wanted = self.encoder.name, self.asked.pooling
        notes = [
            f"{name} has no {asked}; {layer} stands for it at its scale (`strict` refuses)"
            for asked, layer in self.replaced.items()
        ]
        if self.encoder.pooling != wanted:
            notes.append(f"{name} does not pool; the source's {wanted} pooling is left out")
        return tuple(notes)

    def style_shares(self, photo: Tensor) -> dict[str, float]:
        """The weight of each style layer, of all that it stands for, for a photo `(1, 3, H, W)`."""
        own, shares = self.asked.style_shares, dict.fromkeys(self.recipe.style_layers, 0.0)
        for stand in self.styles:
            shares[stand.layer] += own[stand.asked] * stand.style(photo, self.asked.style_scale)
        return shares

    def content_shares(self, photo: Tensor) -> dict[str, float]:
        """The same of the content layers."""
        whole = self.asked.content_weight / len(self.contents)
        shares = dict.fromkeys(self.recipe.content_layers, 0.0)
        for stand in self.contents:
            shares[stand.layer] += whole * stand.content(photo, self.asked.content_scale)
        return shares


def matched(encoder: Encoder, preset: Preset, settings: Settings) -> Matched:
    """The preset under that encoder; layers that `settings` names are not replaced.

    Raises `OptionError` for a layer that is not there and must not be replaced.
    """
    try:
        contents, styles = (
            stands(encoder, layers, preset.feature_scale, exact=settings.strict or bool(named))
            for layers, named in (
                (preset.content_layers, settings.content_layers),
                (preset.style_layers, settings.style_layers),
            )
        )
    except OptionError as error:
        raise OptionError(
            f"{error}. Choose other layers (`content_layers`, `style_layers`) or another encoder (`encoder=vgg19`)"
        ) from None
    known = (*encoder.layers, *VGG19.widths)
    asked = preset.changed(**_by_layer(preset, lambda name: canonical(name, known)))
    stand = {each.asked: each.layer for each in styles}
    recipe = preset.changed(
        content_layers=tuple(dict.fromkeys(each.layer for each in contents)),
        **_by_layer(asked, stand.__getitem__),
    )
    return Matched(encoder, asked, recipe, contents, styles)


def _by_layer(preset: Preset, name: Callable[[str], str]) -> dict[str, Any]:
    """The style layers of a preset, renamed by `name`: each once, with the sum of its weights."""
    weights = preset.layer_weights or (1.0,) * len(preset.style_layers)
    found = dict[str, float]()
    for layer, weight in zip(preset.style_layers, weights, strict=True):
        found[name(layer)] = found.get(name(layer), 0.0) + weight
    return {"style_layers": tuple(found), "layer_weights": tuple(found.values())}


def reader(settings: Settings, networks: Networks) -> Encoder:
    """The encoder of `settings`, pooling as asked for, or as the preset says.

    Where it cannot pool as the preset says, it does what it can; `OptionError` where pooling was
    asked for, or with `strict`.
    """
    wanted: Pooling = settings.resolved().pooling
    try:
        return networks.encoder(settings.encoder, wanted, settings.device)
    except OptionError:
        if settings.pooling is not None or settings.strict or wanted == "max":
            raise
        return networks.encoder(settings.encoder, "max", settings.device)
