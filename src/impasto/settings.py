"""Everything that can be asked of a picture, once: name, type, range, default, one line of help.

    Settings(method="arbitrary", size=1024, strength=0.8)

The options of the command line, the fields of the HTTP form with their schema, the controls of the
studio's page, the checks, the recipes in files and the tables of the documentation are made from
the fields of `Settings`. Which method honours which of them, the methods say (`impasto.methods`).
PyTorch is not imported here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypedDict, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from impasto.errors import OptionError
from impasto.losses.presets import PRESETS, RATES, Init, OptimizerName, Pooling, Preset, preset
from impasto.sizes import SIZES, Memory
from impasto.texts import first_line, joined, layer_weight, listed, meant, whole

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

GROUPS = ("Picture", "Balance", "Layers and encoder", "Descent")
"""The headings under which options are listed."""


def _option(
    help: str,
    group: str = GROUPS[0],
    *,
    low: float | None = None,
    high: float | None = None,
    shown: str = "",
    visitor: bool = False,
) -> Any:
    """One setting: its range, ends included, and what is said of it.

    `shown`: what stands for its value in a list of options. `visitor`: whether someone at the other
    end of a network may set it; others name files and devices of this machine, or take any amount
    of time.
    """
    extra = {"group": group, "shown": shown, "visitor": visitor}
    return Field(description=help, ge=low, le=high, json_schema_extra=extra)  # type: ignore[arg-type]


_BALANCE, _LAYERS, _DESCENT = GROUPS[1:]


class Settings(BaseModel):
    """What is asked of a picture. Frozen; `OptionError`, in one line, for a value that cannot be.

    Numbers may be NumPy's or texts; lists may be tuples, arrays, or texts with commas between.
    `None` is what is asked where nothing is: the field's default, and where that is `None` or `()`
    the preset's choice. `content_weight` and `style_weight` multiply the preset's balance;
    `tv_weight` is absolute.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=False
    )

    method: Annotated[
        str,
        _option(
            "How to paint: optimise the pixels; or one pass of a network, in any style, or in a learned one."
        ),
    ] = "optimize"
    size: Annotated[
        int, _option("Long side in pixels; a smaller photo is enlarged.", **SIZES, visitor=True)
    ] = 512
    strength: Annotated[
        float,
        _option(
            "From photo, 0, to style, 1; or a mask.", low=0, high=1, shown="0…1|FILE", visitor=True
        ),
    ] = 1.0
    refine: Annotated[
        int,
        _option(
            "After the one pass, so many steps of the optimiser.",
            low=0,
            high=1_000_000,
            shown="N",
            visitor=True,
        ),
    ] = 0
    recipe: Annotated[
        RecipeKind, _option("What its file says of its making; full names the photo.", visitor=True)
    ] = "short"
    keep_exif: Annotated[
        KeepExif, _option("What it keeps of the photo's EXIF; all: the place, too.", visitor=True)
    ] = "credit"
    network: Annotated[
        str,
        _option("The network that paints: of impasto train, or the embedded one.", shown="FILE"),
    ] = "painter"
    engine: Annotated[
        Engine,
        _option(
            "What computes: PyTorch, or ONNX Runtime, which starts at once and paints in one pass."
        ),
    ] = "torch"
    style_weight: Annotated[
        float,
        _option("More or less style than the preset's own balance: 2 is twice.", _BALANCE, low=0),
    ] = 1.0
    content_weight: Annotated[
        float, _option("More or less of the photo's forms, likewise.", _BALANCE, low=0)
    ] = 1.0
    tv_weight: Annotated[
        float | None, _option("Weight of the total variation: more is smoother.", _BALANCE, low=0)
    ] = None
    style_scale: Annotated[
        float,
        _option(
            "The painting's size beside the picture's: more is larger strokes.",
            _BALANCE,
            low=0.1,
            high=4,
            visitor=True,
        ),
    ] = 1.0
    blend: Annotated[
        tuple[float, ...] | None,
        _option(
            "A weight for each style; equal if not given.", _BALANCE, shown="0.7,0.3", visitor=True
        ),
    ] = None
    keep_color: Annotated[
        KeepColor,
        _option(
            "Keep the photo's colours: take only light and dark from the painting, or recolour the painting like the "
            "photo first.",
            _BALANCE,
            visitor=True,
        ),
    ] = "none"
    colors_only: Annotated[
        bool,
        _option(
            "Take only the painted picture's colours, and keep the photo's light and dark.",
            _BALANCE,
            visitor=True,
        ),
    ] = False
    preset: Annotated[
        str,
        _option(
            f"A convention of layers, weights, start and optimiser: {', '.join(PRESETS)} (impasto presets).",
            _BALANCE,
            shown="NAME",
        ),
    ] = "impasto"
    style_loss: Annotated[
        str,
        _option(
            "What a style is to the optimiser: the statistic it brings to the painting's.", _BALANCE
        ),
    ] = "gram"
    content_loss: Annotated[
        ContentLoss,
        _option(
            "What the optimiser keeps of the photo: its features, or only which places are alike.",
            _BALANCE,
        ),
    ] = "features"
    encoder: Annotated[
        str,
        _option(
            "Whose features to match: the embedded encoder, VGG-19 (fetched once) or a safetensors file.",
            _LAYERS,
            shown="compact|compact-2|vgg19|FILE",
        ),
    ] = "compact"
    pooling: Annotated[Pooling | None, _option("How the encoder halves its maps.", _LAYERS)] = None
    strict: Annotated[
        bool,
        _option("Refuse a preset of layers that the encoder lacks: take no stand-ins.", _LAYERS),
    ] = False
    content_layers: Annotated[
        tuple[str, ...],
        _option("Layers that hold the photo (impasto layers).", _LAYERS, shown="A,B"),
    ] = ()
    style_layers: Annotated[
        tuple[str, ...],
        _option(
            "Layers that hold the style, each with what it counts for beside the others, if not 1.",
            _LAYERS,
            shown="A,B:2",
        ),
    ] = ()
    steps: Annotated[
        int | None,
        _option("Steps of the optimiser, over all sizes.", _DESCENT, low=1, high=1_000_000),
    ] = None
    optimizer: Annotated[OptimizerName | None, _option("What descends.", _DESCENT)] = None
    learning_rate: Annotated[float | None, _option("How far a step goes.", _DESCENT, low=0)] = None
    init: Annotated[
        Init | None,
        _option(
            "What to start from instead of a one-pass picture: the photo, noise, or a picture.",
            _DESCENT,
            shown="content|noise|FILE",
        ),
    ] = None
    early_stop: Annotated[
        float,
        _option(
            "Leave a size when twenty steps lowered its loss by less than this fraction; 0: never.",
            _DESCENT,
            low=0,
        ),
    ] = 0.0
    pyramid: Annotated[
        bool | None, _option("Coarse to fine, or only at the picture's own size.", _DESCENT)
    ] = None
    seed: Annotated[
        int, _option("Of the noise: one seed, one picture.", _DESCENT, low=0, high=2**63 - 1)
    ] = 0
    device: Annotated[str, _option("Where to compute.", _DESCENT, shown="auto|cpu|cuda|mps")] = (
        "auto"
    )
    max_memory: Annotated[
        Memory, _option("Memory to make do with: by tiles, if need be.", _DESCENT, shown="4GB")
    ] = "4GB"

    if not TYPE_CHECKING:  # so that type checkers know the fields as keywords

        def __init__(self, **given: Any) -> None:
            unknown = next((name for name in given if name not in type(self).model_fields), None)
            if unknown is not None:
                raise TypeError(
                    f"there is no setting {unknown!r}{meant(unknown, type(self).model_fields)}"
                )
            try:
                super().__init__(
                    **{name: value for name, value in given.items() if value is not None}
                )
            except ValidationError as error:
                raise OptionError(first_line(error, OPTIONS)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: Any) -> Any:
        """Numbers and arrays of NumPy and PyTorch, paths, and texts with commas, as Python's own."""
        option = OPTIONS[info.field_name]
        if hasattr(value, "tolist"):
            value = value.tolist()
        if option.several:
            return listed(value, option.kind)
        if isinstance(value, bool) and option.kind in (int, float):
            raise ValueError(f"takes a number, not {value}")
        if option.name == "device":
            return str(value)  # PyTorch's own are called so, too
        if isinstance(value, bytes) and option.kind is str:
            raise ValueError(f"takes a text, not bytes ({value[:40]!r})")
        return value.__fspath__() if hasattr(value, "__fspath__") else value

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
    def _one_palette(self) -> Self:
        if self.colors_only and self.keep_color != "none":
            raise ValueError(
                f"`colors_only` takes the painting's colours and `keep_color={self.keep_color}` the photo's; "
                "choose one"
            )
        return self

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if self.content_weight == 0 and self.style_weight == 0:
            raise ValueError(
                "`content_weight` and `style_weight` are both 0; there is nothing to optimise"
            )
        return self

    def but(self, **changes: Any) -> Self:
        """The same with other values, checked again; `None` is the default."""
        kept = {name: getattr(self, name) for name in self.model_fields_set if name not in changes}
        return type(self)(**kept, **changes)

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """From what `dump` gave, or a form or a file says; `OptionError` also for a name that is no
        setting.
        """
        for name in found:
            if name not in cls.model_fields:
                raise OptionError(f"there is no setting {name!r}{meant(name, cls.model_fields)}")
        return cls(**found)

    def dump(self) -> dict[str, Any]:
        """Every setting as JSON has it; `read` takes it back."""
        return self.model_dump(mode="json")

    @property
    def changed(self) -> tuple[str, ...]:
        """The settings that are not at their default, in their order."""
        return tuple(
            name for name, option in OPTIONS.items() if getattr(self, name) != option.default
        )

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


_OF_PRESET = (
    "content_layers",
    "style_layers",
    "tv_weight",
    "steps",
    "optimizer",
    "learning_rate",
    "init",
    "pooling",
    "pyramid",
)


@dataclass(frozen=True)
class Option:
    """One field of `Settings`, as whoever lists options needs it.

    `kind`: `int`, `float`, `bool` or `str`, of its entries where it is a list (`several`).
    `choices`: all there are, if they are few. `low`, `high`: its range, ends included. `shown`:
    what stands for its value in a list of options.
    """

    name: str
    help: str
    group: str
    default: Any
    kind: type
    several: bool
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    shown: str
    visitor: bool

    @property
    def flag(self) -> str:
        """`--style-scale`."""
        return "--" + self.name.replace("_", "-")

    @property
    def range(self) -> str:
        """`between 0.1 and 4`, `0 or more`, or nothing."""
        if self.low is None:
            return ""
        return (
            f"{self.low:g} or more"
            if self.high is None
            else f"between {whole(self.low)} and {whole(self.high)}"
        )

    @property
    def usual(self) -> Any:
        """The default, or what it comes to where the preset decides; None where nothing can be
        said.
        """
        if self.default in (None, ()) and self.name in _OF_PRESET and self.name != "init":
            return getattr(Settings().resolved(), self.name)
        return self.default


def _options() -> dict[str, Option]:
    found = {}
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if type(None) in get_args(kind):
            (kind,) = (each for each in get_args(kind) if each is not type(None))
        choices = tuple(get_args(kind)) if get_origin(kind) is Literal else ()
        several = get_origin(kind) is tuple
        kind = get_args(kind)[0] if several else str if choices else kind
        bounds = {
            key: getattr(each, key)
            for each in field.metadata
            for key in ("ge", "le")
            if hasattr(each, key)
        }
        extra: Any = field.json_schema_extra
        found[name] = Option(
            name,
            field.description or "",
            extra["group"],
            field.default,
            kind,  # type: ignore[arg-type]
            several,
            choices,
            bounds.get("ge"),
            bounds.get("le"),
            extra["shown"] or "|".join(choices),
            extra["visitor"],
        )
    return found


OPTIONS: Mapping[str, Option] = MappingProxyType(_options())
"""Every field of `Settings` by name, in their order."""


class Options(TypedDict, total=False):
    """The fields of `Settings` as keywords, for type checkers: `stylize(photo, painting,
    **options)`.
    """

    method: str
    size: int
    strength: float
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
