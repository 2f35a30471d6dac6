"""Configurations of trainings, each field once: type, range, default and one line of help.

They are pydantic models: ranges are checked by their types. A field with a description is an option
of `impasto train`, which takes text, range and default from here. PyTorch is not imported.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from impasto.errors import OptionError
from impasto.losses.base import STYLE_LOSSES
from impasto.losses.presets import PRESETS
from impasto.networks.shapes import SMALLEST, TransformNetConfig, UpscaleNetConfig

__all__ = [
    "LAYERS",
    "ArbitraryConfig",
    "BankConfig",
    "DistillConfig",
    "JohnsonConfig",
    "NetworkConfig",
    "PaintingConfig",
    "PairsConfig",
    "RunConfig",
    "UpscaleConfig",
    "bank_config",
]

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

Steps = Annotated[Count, Field(description="Steps of training.")]
Batch = Annotated[Count, Field(description="Pictures a step.")]
Crop = Annotated[int, Field(ge=SMALLEST, description="Side of a training picture in pixels.")]
Rate = Annotated[float, Field(gt=0, le=1e6, description="The largest of the run.")]
Warmup = Annotated[Natural, Field(description="Steps of a rising rate.")]
Decay = Annotated[
    Share,
    Field(
        description="Last share of the steps in which the rate falls; 0 if another leg follows.",
    ),
]
Shifted = Annotated[Weight, Field(description="Weight of products with shifted features.")]


def _style_loss(name: str) -> str:
    if name not in STYLE_LOSSES.names:
        raise ValueError(f"is one of {', '.join(STYLE_LOSSES.names)}")
    if STYLE_LOSSES.get(name).stochastic:
        raise ValueError(
            "cannot look at other parts of the pictures at every step, as a training could then not "
            "go on where it stopped: take gram or w2"
        )
    return name


class RunConfig(BaseModel):
    """What any training needs to know, and what its outcome depends on. Frozen; `OptionError`, in
    one line, for a value that cannot be.

    A step takes `accumulate` batches of `batch` pictures in each process, one after the other.
    `warmup` steps of a rising learning rate, then the full one, and over the last share `decay` of
    the steps a cosine down to 2 % of it: 1 falls from the start, 0 holds to the end, for a leg that
    another is to go on from. Gradients longer than `clip` (over all parameters together) are scaled
    to it. `precision` is that of convolutions and matrix products; weights and optimiser are
    float32 in any case. `learning_rate` is Muon's, for the convolutions. Where there are, `crop` is
    the side of the training pictures in px, and `held_out` the most pictures kept for validation,
    which are one in eight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: Steps = 15000
    batch: Batch = 8
    accumulate: Annotated[
        Count, Field(description="Batches a step, one after the other, in each process.")
    ] = 1
    seed: Annotated[Natural, Field(description="One seed, one result.")] = 0
    learning_rate: Rate = 2.5e-3
    warmup: Warmup = 150
    decay: Decay = 1.0
    clip: Positive = 20.0
    precision: Annotated[Literal["bfloat16", "float32"], Field(description="Of convolutions.")] = (
        "bfloat16"
    )

    if not TYPE_CHECKING:  # so that type checkers know the fields as keywords

        def __init__(self, **given: Any) -> None:
            try:
                super().__init__(**given)
            except ValidationError as error:
                raise OptionError(_line(error)) from None

    def but(self, **changes: Any) -> Self:
        """The same with other values, checked again."""
        return type(self)(
            **{name: getattr(self, name) for name in type(self).model_fields} | changes
        )


class NetworkConfig(RunConfig):
    """What any training of a one-pass network needs to know.

    `transform_net`: the network's shape; one that goes on from another network has that one's.
    """

    steps: Steps = 4000
    batch: Batch = 4
    learning_rate: Rate = 4.5e-3
    warmup: Warmup = 100
    clip: Positive = 2.0
    crop: Crop = 256
    held_out: Count = 32
    transform_net: TransformNetConfig = TransformNetConfig()


class PaintingConfig(NetworkConfig):
    """And what one needs that learns from photos and styles.

    `content_weight` and `style_weight` balance the two losses; `style_loss`: one of `STYLE_LOSSES`
    that is not stochastic, and `deep`, `coarse` and `shifted` are
    the style's parts (see `Criterion`). `even_weight`: of `unevenness`, with `even_sigma`; it takes
    halos, vignettes and bars away. `identity`: probability that a photo is its own style, so that
    the network learns to give it back. `flats`: that it is a plain or graded area (`flat`), which
    photographs have too few of.
    """

    content_weight: Annotated[
        Positive, Field(description="More keeps more of the photo's forms.")
    ] = 0.14
    style_weight: Positive = 1.0
    style_loss: Annotated[
        str, AfterValidator(_style_loss), Field(description="What a style is: gram, or w2.")
    ] = "gram"
    deep: Weight = 0.2
    coarse: Annotated[Weight, Field(description="Weight of the style in smaller copies.")] = 0.3
    shifted: Shifted = 0.3
    even_weight: Annotated[Weight, Field(description="Against halos and bars in plain areas.")] = (
        0.15
    )
    even_sigma: Positive = 0.03
    identity: Share = 0.06
    flats: Share = 0.12


class ArbitraryConfig(PaintingConfig):
    """How to train for any style.

    `predictor_rate`: Adam's learning rate for the predictor; what it says moves every norm, and
    must move slowly. `rounds`: steps that a batch serves. `recolor`, `blends`: probabilities that a
    style is recoloured, and that it is mixed with another of the batch.
    """

    steps: Steps = 6500
    decay: Decay = 0.2
    predictor_rate: Positive = 4.5e-4
    rounds: Count = 2
    recolor: Share = 0.35
    blends: Share = 0.2


class BankConfig(PaintingConfig):
    """How to train a bank.

    `vector_rate`: Adam's learning rate for the rows. `style_size`: long side in px at which styles
    are read, that of the pictures to be painted: it sets how large strokes are. `vectors_only`: the
    network that is started from stays as it is, and with it `learning_rate` has nothing to say.
    `shifted` is 0: it takes long, and vectors alone can do little about a grain. `preset`: whose
    losses; another than `impasto` has a configuration of its own (`bank_config`).
    """

    preset: Annotated[
        Literal["impasto", "johnson2016"],
        Field(description="Whose losses; johnson2016: the paper's, with its Adam and its course."),
    ] = "impasto"
    shifted: Shifted = 0.0
    vector_rate: Positive = 0.02
    style_size: Annotated[int, Field(ge=2 * SMALLEST)] = 512
    vectors_only: bool = False


_JOHNSON = PRESETS["johnson2016"]
_Nothing = Annotated[float, Field(ge=0, le=0)]


class JohnsonConfig(BankConfig):
    """How Johnson et al. 2016 (arXiv:1603.08155, section 4.1) train: the layers and weights of the
    preset `johnson2016`, Adam at 1e-3 for everything, 40,000 steps of 4 pictures of 256 px, the
    painting at 256 px as in the authors' code (github.com/jcjohnson/fast-neural-style).

    What is this package's own is off: `even_weight`, `identity` and `clip` (1e12 is none) can be
    turned on again, `coarse` and `shifted` have no place in this loss.
    """

    preset: Literal["johnson2016"] = "johnson2016"
    steps: Steps = 40_000
    batch: Batch = 4
    crop: Crop = 256
    learning_rate: Rate = 1e-3
    warmup: Warmup = 0
    decay: Decay = 0.0
    clip: Positive = 1e12
    content_weight: Positive = _JOHNSON.content_weight
    style_weight: Positive = _JOHNSON.style_weight
    tv_weight: Weight = _JOHNSON.tv_weight
    style_loss: Literal["gram"] = "gram"
    coarse: _Nothing = 0.0
    shifted: _Nothing = 0.0
    even_weight: Weight = 0.0
    identity: Share = 0.0
    style_size: Annotated[int, Field(ge=2 * SMALLEST)] = 256


def bank_config(**given: Any) -> BankConfig:
    """Of the class that the `preset` among `given` asks for; `OptionError` as of any."""
    return (JohnsonConfig if given.get("preset") == "johnson2016" else BankConfig)(**given)


class PairsConfig(NetworkConfig):
    """How to train on pairs.

    `pixels_weight` and `features_weight` balance the losses. `vector_rate`: Adam's learning rate
    for the vector.
    """

    pixels_weight: Positive = 1.0
    features_weight: Positive = 1.0
    vector_rate: Positive = 0.02


class UpscaleConfig(RunConfig):
    """How to train an `UpscaleNet`.

    `crop` is of the large pictures, divisible by 32. `pixels_weight`: of differences from the large
    picture; `colors_weight`: from it reduced to the size of the small one, where nothing has to be
    guessed; `lattice_weight`: of each sub-pixel position's mean over small squares;
    `features_weight`: under the critics; `texture_weight`: of Gram matrices of windows of 32 px.
    """

    steps: Steps = 6000
    batch: Batch = 8
    crop: Annotated[
        int, Field(ge=64, multiple_of=32, description="Side of a large picture in pixels.")
    ] = 128
    learning_rate: Rate = 1.5e-3
    warmup: Warmup = 100
    clip: Positive = 2.0
    pixels_weight: Annotated[
        Positive, Field(description="More is nearer to each pixel, and softer.")
    ] = 6.0
    colors_weight: Weight = 12.0
    lattice_weight: Weight = 24.0
    features_weight: Annotated[Weight, Field(description="More is crisper.")] = 1.0
    texture_weight: Annotated[Weight, Field(description="More makes up more detail.")] = 0.1
    held_out: Count = 32
    upscale_net: UpscaleNetConfig = UpscaleNetConfig()


LAYERS: Mapping[str, float] = {
    "relu1_1": 1.0,
    "relu2_1": 2.0,
    "relu3_1": 2.0,
    "relu4_1": 1.0,
    "relu4_2": 0.5,
    "relu5_1": 1.0,
}
"""The layers an encoder is matched at by default, and how much the loss of each counts."""


class DistillConfig(RunConfig):
    """How to distil an encoder.

    `layers`: matched layer -> weight of its loss; the student's first layer, and those that no
    other reads, must be among them. `bias_rate`: Adam's learning rate; layers deeper than `relu3_1`
    take `deep_rate` of Muon's (at the full rate their narrow units die). `adversarial`: share of a
    batch that is moved against the student. `forcing`: probability, at the start, that a block goes
    on from the teacher's features; it falls to 0 at 45 % of the run.
    """

    layers: dict[str, Positive] = Field(default_factory=lambda: dict(LAYERS))
    crop: Crop = 128
    bias_rate: Positive = 6e-4
    deep_rate: Positive = 0.35
    adversarial: Annotated[float, Field(ge=0, lt=1)] = 0.25
    forcing: Share = 0.8
    held_out: Count = 48


def _line(error: ValidationError) -> str:
    """The first of what pydantic found, in one line that names the field."""
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"a training has no `{name}`"
    # "Input should be greater than or equal to 1"
    return f"`{name}` {first['msg'].removeprefix('Input ').removeprefix('Value error, ')}, not {first['input']!r}"
