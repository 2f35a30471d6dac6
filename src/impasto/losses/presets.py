"""The conventions in use, by name: layers, scales, weights, start and optimiser, as their sources
state them.

`impasto` is this package's own and the default: relative terms, so that one setting suits every
pair and encoder. The others reproduce their sources. Where a source works on pixels of 0...255 and
this package on [0, 1], `feature_scale` says by how much its features are larger, so that its
weights keep their meaning: content terms grow with its square and style terms with its fourth
power.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from impasto.errors import OptionError
from impasto.layers import STYLE_LAYERS

__all__ = ["PRESETS", "Init", "OptimizerName", "Preset", "Start", "VariationScale", "preset"]

Init = Literal["content", "noise"]
"""What an optimiser may be told to start from."""
Start = Literal["content", "noise", "pass"]
"""What a preset starts from: the photo, noise, or what the embedded network paints of the photo in
one pass.
"""
OptimizerName = Literal["adam", "lbfgs"]
VariationScale = Literal["sum", "mean"]

# Caffe's and Keras' VGG-19 take pixels of 0...255 less the mean; weights trained on images divided
# by their standard deviation see 255 x 0.226 (the mean of ImageNet's three) less. Layers are
# positively homogeneous but for their biases, so features scale alike, to the accuracy of comparing
# two trainings of one architecture.
CAFFE = 255 * 0.226


@dataclass(frozen=True)
class Preset:
    """One source's loss and recipe. Weights belong to the layers jointly: each layer gets its
    share, style layers by `layer_weights` where those are given, one for each.

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
    pyramid: bool = False
    grids: int = 0
    settled: tuple[str, ...] = ()
    frame: int = 0
    feature_scale: float = 1.0
    layer_weights: tuple[float, ...] = ()

    @property
    def content_share(self) -> float:
        """The weight of one content layer, `feature_scale` included."""
        return self.content_weight * self.feature_scale**2 / len(self.content_layers)

    @property
    def style_shares(self) -> dict[str, float]:
        """The weight of every style layer, `feature_scale` included; they sum to `style_weight`'s."""
        weights = self.layer_weights or (1.0,) * len(self.style_layers)
        whole = self.style_weight * self.feature_scale**4 / sum(weights)
        return {
            layer: whole * weight for layer, weight in zip(self.style_layers, weights, strict=True)
        }

    def changed(self, **changes: Any) -> "Preset":
        """The same with other values."""
        return replace(self, **changes)


PRESETS = MappingProxyType(
    {
        "impasto": Preset(
            source="this package: relative terms, coarse to fine, on several grids, late iterates averaged",
            content_layers=("relu4_1",),
            style_layers=STYLE_LAYERS,
            content_scale="relative",
            style_scale="relative",
            content_weight=0.34,
            style_weight=5.0,
            tv_scale="mean",
            init="pass",  # half the steps lead as near to the style from there, with firmer contours
            steps=90,
            steps_afresh=165,
            learning_rate=0.045,
            pyramid=True,
            grids=4,
            settled=("relu5_1",),
            frame=8,
        ),
        "gatys2015": Preset(
            source="Gatys, Ecker and Bethge 2015, arXiv:1508.06576: alpha / beta = 1e-3, white noise, L-BFGS",
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
        ),
        "deeplearning.ai": Preset(
            source="DeepLearning.AI's TensorFlow course: block5_conv2 and block1...5_conv1, pixels 0...255",
            content_layers=("relu5_2",),
            style_layers=STYLE_LAYERS,
            content_scale="half-sum",
            style_scale="mean",
            content_weight=1e4,
            style_weight=1e-2,
            tv_weight=30.0,
            steps=1000,
            feature_scale=CAFFE,
        ),
        "coursera": Preset(
            source="the Coursera notes: both losses over 4 n; J = 10 content + 40 style is the usual choice there",
            content_layers=("relu4_2",),
            style_layers=STYLE_LAYERS,
            content_scale="quarter-mean",
            style_scale="gatys",
            content_weight=10.0,
            style_weight=40.0,
            steps=200,
            feature_scale=CAFFE,
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
            source="lecture slides: mean squared differences, the Gram matrix as M M^T",
            content_layers=("relu4_2",),
            style_layers=STYLE_LAYERS,
            content_scale="mean",
            style_scale="mean-of-sums",
            content_weight=1.0,
            style_weight=1e-3,
            feature_scale=1.0,
        ),
    }
)


def preset(name: str) -> Preset:
    """The preset of that name; `OptionError` lists those that exist."""
    if name not in PRESETS:
        raise OptionError(f"unknown `preset` {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
