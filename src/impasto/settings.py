"""Everything that can be asked of a picture, once: name, type, range, default, one line of help.

    Settings(method="arbitrary", size=1024, strength=0.8)

The options of the command line, the fields of the HTTP form with their schema, the controls of the
studio's page, the checks, the recipes in files and the tables of the documentation are made from
the fields of `Settings`. Which method honours which of them, the methods say (`impasto.methods`).
PyTorch is not imported here.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, Self, TypedDict

from pydantic import field_validator, model_validator

from impasto.losses.presets import PRESETS, RATES, Init, OptimizerName, Pooling, Preset, preset
from impasto.options import GROUPS, Option, OptionModel, option
from impasto.sizes import SIZES, Memory
from impasto.texts import joined, layer_weight

__all__ = [
    "GROUPS",
    "OPTIONS",
    "ContentLoss",
    "Engine",
    "KeepColor",
    "Option",
    "Options",
    "Pooling",
    "Settings",
]

ContentLoss = Literal["features", "selfsim"]
Engine = Literal["torch", "onnx"]
KeepColor = Literal["none", "luminance", "statistics"]
KeepExif = Literal["credit", "all", "none"]
RecipeKind = Literal["short", "full", "none"]

_balance, _layers, _descent = (partial(option, group=group) for group in GROUPS[1:])


class Settings(OptionModel):
    """What is asked of a picture. Frozen; `OptionError`, in one line, for a value that cannot be.

    Numbers may be NumPy's or texts; lists may be tuples, arrays, or texts with commas between.
    `None` is what is asked where nothing is: the field's default, and where that is `None` or `()`
    the preset's choice. `content_weight` and `style_weight` multiply the preset's balance;
    `tv_weight` is absolute.
    """

    method: str = option(
        "optimize",
        "How to paint: optimise the pixels; or one pass of a network, in any style, or in a learned one.",
    )
    size: int = option(
        512, "Long side in pixels; a smaller photo is enlarged.", **SIZES, visitor=True
    )
    strength: float = option(
        1.0, "From photo, 0, to style, 1; or a mask.", low=0, high=1, shown="0…1|FILE", visitor=True
    )
    enlarge: int = option(
        1,
        "Paint at this part of the size, and enlarge that so many times by a network.",
        shown="2|4|8",
        visitor=True,
    )
    refine: int = option(
        0,
        "After the one pass, so many steps of the optimiser.",
        low=0,
        high=1_000_000,
        shown="N",
        visitor=True,
    )
    recipe: RecipeKind = option(
        "short", "What its file says of its making; full names the photo.", visitor=True
    )
    keep_exif: KeepExif = option(
        "credit", "What it keeps of the photo's EXIF; all: the place, too.", visitor=True
    )
    network: str = option(
        "painter", "The network that paints: of impasto train, or the embedded one.", shown="FILE"
    )
    engine: Engine = option(
        "torch",
        "What computes: PyTorch, or ONNX Runtime, which starts at once and paints in one pass.",
    )
    style_weight: float = _balance(
        1.0, "More or less style than the preset's own balance: 2 is twice.", low=0
    )
    content_weight: float = _balance(1.0, "More or less of the photo's forms, likewise.", low=0)
    tv_weight: float | None = _balance(
        None, "Weight of the total variation: more is smoother.", low=0
    )
    style_scale: float = _balance(
        1.0,
        "The painting's size beside the picture's: more is larger strokes.",
        low=0.1,
        high=4,
        visitor=True,
    )
    blend: tuple[float, ...] | None = _balance(
        None, "A weight for each style; equal if not given.", shown="0.7,0.3", visitor=True
    )
    keep_color: KeepColor = _balance(
        "none",
        "Keep the photo's colours: take only light and dark from the painting, or recolour the painting like the "
        "photo first.",
        visitor=True,
    )
    colors_only: bool = _balance(
        False,
        "Take only the painted picture's colours, and keep the photo's light and dark.",
        visitor=True,
    )
    preset: str = _balance(
        "impasto",
        f"A convention of layers, weights, start and optimiser: {', '.join(PRESETS)} (impasto presets).",
        shown="NAME",
    )
    style_loss: str = _balance(
        "gram", "What a style is to the optimiser: the statistic it brings to the painting's."
    )
    content_loss: ContentLoss = _balance(
        "features",
        "What the optimiser keeps of the photo: its features, or only which places are alike.",
    )
    encoder: str = _layers(
        "compact",
        "Whose features to match: the embedded encoder, VGG-19 (fetched once) or a safetensors file.",
        shown="compact|compact-2|vgg19|FILE",
    )
    pooling: Pooling | None = _layers(None, "How the encoder halves its maps.")
    strict: bool = _layers(
        False, "Refuse a preset of layers that the encoder lacks: take no stand-ins."
    )
    content_layers: tuple[str, ...] = _layers(
        (), "Layers that hold the photo (impasto layers).", shown="A,B"
    )
    style_layers: tuple[str, ...] = _layers(
        (),
        "Layers that hold the style, each with what it counts for beside the others, if not 1.",
        shown="A,B:2",
    )
    steps: int | None = _descent(
        None, "Steps of the optimiser, over all sizes.", low=1, high=1_000_000
    )
    optimizer: OptimizerName | None = _descent(None, "What descends.")
    learning_rate: float | None = _descent(None, "How far a step goes.", low=0, high=1_000_000)
    init: Init | None = _descent(
        None,
        "What to start from instead of a one-pass picture: the photo, noise, or a picture.",
        shown="content|noise|FILE",
    )
    early_stop: float = _descent(
        0.0,
        "Leave a size when twenty steps lowered its loss by less than this fraction; 0: never.",
        low=0,
    )
    pyramid: bool | None = _descent(None, "Coarse to fine, or only at the picture's own size.")
    seed: int = _descent(0, "Of the noise: one seed, one picture.", low=0, high=2**63 - 1)
    device: str = _descent("auto", "Where to compute.", shown="auto|cpu|cuda|mps")
    max_memory: Memory = _descent(
        "4GB", "Memory to make do with: by tiles, if need be.", shown="4GB"
    )

    @field_validator("enlarge")
    @classmethod
    def _factor(cls, enlarge: int) -> int:
        if enlarge not in (1, 2, 4, 8):
            raise ValueError(f"takes 2, 4 or 8, or 1 for not at all, not {enlarge}")
        return enlarge

    @field_validator("blend")
    @classmethod
    def _weights(cls, blend: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if blend is not None and (not blend or min(blend) < 0 or not 0 < sum(blend) < float("inf")):
            raise ValueError(
                f"takes weights of 0 or more, one of them above 0, not {joined(blend)}"
            )
        return blend

    @field_validator("style_layers")
    @classmethod
    def _weighted(cls, layers: tuple[str, ...]) -> tuple[str, ...]:
        weights = [layer_weight(layer)[1] for layer in layers]
        if layers and sum(weights) == 0:
            raise ValueError("needs one layer that counts for more than 0")
        return layers

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.colors_only and self.keep_color != "none":
            raise ValueError(
                f"`colors_only` takes the painting's colours and `keep_color={self.keep_color}` the photo's; "
                "choose one"
            )
        if self.content_weight == 0 and self.style_weight == 0:
            raise ValueError(
                "`content_weight` and `style_weight` are both 0; there is nothing to optimise"
            )
        return self

    def resolved(self, *, start: bool = False) -> Preset:
        """The preset with all that is asked for in its place: what an optimiser does.

        `start`: there is a picture to start from, which then is where it begins. Where the preset
        begins at a one-pass picture, that is so unless something speaks against it: a start of
        one's own, no style, or strokes so fine that a network would have to paint a copy too large
        for it.
        """
        base = preset(self.preset)
        if base.init == "pass":
            at_pass = (
                not start and self.init is None and self.strength > 0 and self.style_scale >= 0.5
            )
            if not (at_pass and self.style_weight > 0):
                base = base.changed(init="content", steps=base.steps_afresh or base.steps)
        given = {
            name: getattr(self, name)
            for name in _OF_PRESET
            if getattr(self, name) not in (None, ())
        }
        if self.style_layers:
            names, weights = zip(*map(layer_weight, self.style_layers), strict=True)
            given |= {"style_layers": names, "layer_weights": weights}
        if self.optimizer not in (None, base.optimizer):
            given = {"learning_rate": RATES[str(self.optimizer)], "decay": None} | given
        return base.changed(
            content_weight=base.content_weight * self.content_weight,
            style_weight=base.style_weight * self.style_weight,
            **given,
        )


# What a preset decides where nothing is asked.
_OF_PRESET = (
    *("content_layers", "style_layers", "tv_weight", "steps", "optimizer", "learning_rate"),
    *("init", "pooling", "pyramid"),
)


def _usual(name: str, found: Option) -> Option:
    """With what the preset makes of it, where that decides and knows beforehand."""
    if found.default in (None, ()) and name in _OF_PRESET and name != "init":
        return replace(found, usual=getattr(Settings().resolved(), name))
    return found


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {name: _usual(name, found) for name, found in Settings.options.items()}
)
"""Every field of `Settings` by name, in their order."""


class Options(TypedDict, total=False):
    """The fields of `Settings` as keywords, for type checkers: `stylize(photo, style, **options)`."""

    method: str
    size: int
    strength: float
    enlarge: int
    refine: int
    recipe: RecipeKind
    keep_exif: KeepExif
    network: Any
    engine: Engine
    style_weight: float
    content_weight: float
    tv_weight: float | None
    style_scale: float
    blend: Any
    keep_color: KeepColor
    colors_only: bool
    preset: str
    style_loss: str
    content_loss: ContentLoss
    encoder: Any
    pooling: Pooling | None
    strict: bool
    content_layers: Any
    style_layers: Any
    steps: int | None
    optimizer: OptimizerName | None
    learning_rate: float | None
    init: Init | None
    early_stop: float
    pyramid: bool | None
    seed: int
    device: str
    max_memory: str
