"""The conventions in use, by name: layers, scales, weights, start and optimiser, as their sources
state them.

`impasto` is this package's own and the default: relative terms, so that one setting suits every
pair and encoder. The others reproduce their sources. Where a source works on pixels of 0...255 and
this package on [0, 1], `feature_scale` says by how much its features are larger, so that its
weights keep their meaning: content terms grow with its square and style terms with its fourth
power. Rates are brought to [0, 1] likewise: those of Adam by 255, that of plain gradient descent by
its square. What a layer of VGG-19 comes to under another encoder, `impasto.methods.matching` says.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from impasto.errors import OptionError
from impasto.layers import STYLE_LAYERS
from impasto.texts import meant

__all__ = [
    "CAFFE",
    "PRESETS",
    "RATES",
    "Init",
    "OptimizerName",
    "Pooling",
    "Preset",
    "Start",
    "VariationScale",
    "preset",
]

Init = Literal["content", "noise"]
"""What an optimiser may be told to start from."""
Start = Literal["content", "noise", "pass"]
"""What a preset starts from: the photo, noise, or what the embedded network paints of the photo in
one pass.
"""
OptimizerName = Literal["adam", "lbfgs", "sgd"]
Pooling = Literal["max", "average"]
VariationScale = Literal["sum", "mean", "powers"]

RATES = {"adam": 0.02, "lbfgs": 1.0, "sgd": 1e-3}
"""Of an optimiser that is not the preset's, whose rate is meant for its own."""

# Caffe's and Keras' VGG-19 take pixels of 0...255 less the mean; weights trained on images divided
# by their standard deviation see 255 x 0.226 (the mean of ImageNet's three) less. Layers are
# positively homogeneous but for their biases, so features scale alike, to the accuracy of comparing
# two trainings of one architecture.
CAFFE = 255 * 0.226
"""How much larger the features of pixels of 0...255, less their mean, are."""


@dataclass(frozen=True)
class Preset:
    """One source's loss and recipe. Weights belong to the layers jointly: each layer gets its
    share, style layers by `layer_weights` where those are given, one for each.

    `pooling`: how the encoder halves its maps. `betas` and `epsilon`: Adam's. `decay`: what the
    rate is multiplied by every 100 steps, smoothly; None for a short warm-up and a straight line to
    a tenth. `clipped`: whether every step ends in [0, 1]; else only what is shown does.
    `steps_afresh`: how many steps where `init` is `pass` and there is no such picture to start from
    (0: as many). `grids`: see `impasto.methods.descent`. `settled`: style layers whose forms the
    coarser sizes of a pyramid have settled, and that count little at the last. `frame`: px of
    mirror image around the picture while it is optimised. Layers continue a picture beyond its
    border by mirroring, so its outermost pixels count several times there, and would be given
    whatever the style lacks elsewhere: saturated colour, mostly.
    """

    source: str
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    content_scale: str
    style_scale: str
    content_weight: float
    style_weight: float
    tv_weight: float = 0.0
    tv_scale: VariationScale = "sum"
    init: Start = "content"
    optimizer: OptimizerName = "adam"
    steps: int = 300
    steps_afresh: int = 0
    learning_rate: float = 0.02
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay: float | None = 1.0
    clipped: bool = True
    layer_weights: tuple[float, ...] = ()
    pooling: Pooling = "max"
    pyramid: bool = False
    grids: int = 0
    settled: tuple[str, ...] = ()
    frame: int = 0
    feature_scale: float = 1.0

    @property
    def style_shares(self) -> dict[str, float]:
        """The weight of every style layer; they sum to `style_weight`."""
        weights = self.layer_weights or (1.0,) * len(self.style_layers)
        whole = self.style_weight / sum(weights)
        return {
            layer: whole * weight for layer, weight in zip(self.style_layers, weights, strict=True)
        }

    def changed(self, **changes: Any) -> "Preset":
        """The same with other values."""
        return replace(self, **changes)


_KERAS_BLOCKS = tuple(16.0**-block for block in range(5))

PRESETS = MappingProxyType(
    {
        "impasto": Preset(
            source="this package: relative terms, coarse to fine, on several grids, late iterates averaged",
            content_layers=("relu4_1",),
            style_layers=STYLE_LAYERS,
            content_scale="relative",
            style_scale="relative-1.5",
            content_weight=0.34,
            style_weight=5.0,
            tv_scale="mean",
            init="pass",  # half the steps lead as near to the style from there, with firmer contours
            steps=40,
            steps_afresh=165,
            learning_rate=0.045,
            betas=(0.8, 0.95),  # in so few steps, a longer memory only lags
            decay=None,
            pyramid=True,
            grids=4,
            settled=("relu5_1",),
            frame=8,
        ),
        # Average pooling and L-BFGS: the paper's methods. Bounds: L-BFGS-B with the range of pixels,
        # as in the authors' code for textures (github.com/leongatys/DeepTextures).
        "gatys2015": Preset(
            source="Gatys, Ecker and Bethge 2015, arXiv:1508.06576: alpha / beta = 1e-3, white noise",
            content_layers=("relu4_2",),
            style_layers=STYLE_LAYERS,
            content_scale="half-sum",
            style_scale="gatys",
            content_weight=1e-3,
            style_weight=1.0,
            init="noise",
            optimizer="lbfgs",
            steps=500,
            learning_rate=1.0,
            feature_scale=CAFFE,
            pooling="average",
        ),
        # The call in the lab's notebook; the defaults of its function are 1e-2 and 1e-4, and its
        # regularised run has a total variation of 2. Adam's rate of 20 is on pixels of 0...255.
        "deeplearning.ai": Preset(
            source="DeepLearning.AI TensorFlow: Advanced Techniques, course 4, week 1, lab on neural style transfer",
            content_layers=("relu5_2",),
            style_layers=STYLE_LAYERS,
            content_scale="half-sum",
            style_scale="mean",
            content_weight=1e-2,
            style_weight=2e-2,
            steps=1000,
            learning_rate=20 / 255,
            epsilon=1e-7,
            decay=0.5,
            feature_scale=CAFFE,
        ),
        "tensorflow-tutorial": Preset(
            source="TensorFlow Authors 2018, tensorflow.org/tutorials/generative/style_transfer",
            content_layers=("relu5_2",),
            style_layers=STYLE_LAYERS,
            content_scale="mean",
            style_scale="mean",
            content_weight=1e4,
            style_weight=1e-2,
            tv_weight=30.0,
            steps=1000,
            betas=(0.99, 0.999),
            epsilon=0.1,
            feature_scale=CAFFE,
        ),
        # Its style loss divides by 3^2 and the picture's pixels squared in every layer, whatever the
        # layer's own: a sixteenth a block. Plain gradient descent on 0...255 at a rate of 100.
        "keras-example": Preset(
            source="F. Chollet 2016-2020, keras.io/examples/generative/neural_style_transfer",
            content_layers=("relu5_2",),
            style_layers=STYLE_LAYERS,
            layer_weights=_KERAS_BLOCKS,
            content_scale="sum",
            style_scale="keras",
            content_weight=2.5e-8,
            style_weight=1e-6 / 5 * sum(_KERAS_BLOCKS),
            tv_weight=1e-6 * 255**2.5,
            tv_scale="powers",
            optimizer="sgd",
            steps=4000,
            learning_rate=100 / 255**2,
            decay=0.96,
            clipped=False,
            feature_scale=CAFFE,
        ),
        # It counts convolutions: conv_1 ... conv_5 for style, conv_4 for content; and reads them
        # before the ReLU, which nothing here does.
        "pytorch-tutorial": Preset(
            source="A. Jacq 2017, pytorch.org/tutorials/advanced/neural_style_tutorial.html",
            content_layers=("relu2_2",),
            style_layers=("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"),
            content_scale="mean",
            style_scale="per-filter",
            content_weight=1.0,
            style_weight=5e6,
            optimizer="lbfgs",
            steps=300,
            learning_rate=1.0,
        ),
        # The paper's optimiser, section 4.1: L-BFGS for 500 steps. VGG-16's layers, by their names in
        # VGG-19. Weights, 5 a style layer, and means as in the authors' code
        # (github.com/jcjohnson/fast-neural-style).
        "johnson2016": Preset(
            source="Johnson, Alahi and Fei-Fei 2016, arXiv:1603.08155, section 4.1",
            content_layers=("relu3_3",),
            style_layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
            content_scale="mean",
            style_scale="per-filter",
            content_weight=1.0,
            style_weight=20.0,
            tv_weight=1e-6 * 255,
            init="noise",
            optimizer="lbfgs",
            steps=500,
            learning_rate=1.0,
            feature_scale=CAFFE,
        ),
        # The assignment's average pooling, and Adam at 2.0 on pixels of 0...255.
        "coursera": Preset(
            source="notes on the Coursera course Convolutional Neural Networks, week 4: J = 10 content + 40 style",
            content_layers=("relu4_2",),
            style_layers=STYLE_LAYERS,
            content_scale="quarter-mean",
            style_scale="gatys",
            content_weight=10.0,
            style_weight=40.0,
            steps=200,
            learning_rate=2 / 255,
            feature_scale=CAFFE,
            pooling="average",
        ),
        "write-up": Preset(
            source="a student's write-up: content 100 on summed squares, style 1e8 on mean squared Gram differences",
            content_layers=("relu4_2",),
            style_layers=STYLE_LAYERS,
            content_scale="sum",
            style_scale="mean",
            content_weight=100.0,
            style_weight=1e8,
        ),
        "lecture": Preset(
            source="slides of a lecture on Gatys et al.: means of squares, G = M M^T; our balance",
            content_layers=("relu4_2",),
            style_layers=STYLE_LAYERS,
            content_scale="mean",
            style_scale="mean-of-sums",
            content_weight=1.0,
            style_weight=1e-3,
        ),
    }
)


def preset(name: str) -> Preset:
    """The preset of that name; `OptionError` lists those that exist."""
    if name not in PRESETS:
        raise OptionError(f"unknown `preset` {name!r}{meant(name, PRESETS)}")
    return PRESETS[name]
