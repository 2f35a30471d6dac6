"""Statistics of a network's norms, measured once and replayed: tiles of one picture, and several
styles in it.

Instance norm ties every position of a picture to every other by two numbers a channel, the mean and
the variance. Where those are known beforehand, a norm is an affine map of each channel, a tile can
be painted without the rest, and the maps of several styles can be mixed at each position by soft
masks. (An, Huang, Song, Dou, Liu and Luo 2021, "Ultra-resolution style transfer", arXiv:2103.11784,
replays the statistics of a thumbnail; here they are those of the picture itself, or of a sample of
it.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.networks.instance_norm import EPSILON, held
from impasto.networks.transform_net import Norm, TransformNet, scales_and_shifts, surroundings

__all__ = ["Statistics", "measure", "mixed", "replayed"]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of every norm, in the order of computation, in one style: `means` and `variances`, `(C,)`
    float32.
    """

    means: tuple[Tensor, ...]
    variances: tuple[Tensor, ...]


@torch.no_grad()
def measure(net: TransformNet, photos: Tensor, vector: Tensor) -> tuple[Statistics, Tensor]:
    """Paint `photos`, `(B, 3, H, W)`, as parts of one picture in the style `(1, V)`: the statistics
    that were found, and the pictures.

    Of a batch of one they are those of instance norm. In a film each norm goes by what is held over
    its frames (`impasto.networks.instance_norm.moments_from`), and these are the statistics here.
    """
    means, variances = list[Tensor](), list[Tensor]()

    def norms() -> Iterator[Norm]:
        for scale, shift in scales_and_shifts(vector.float(), net.norms):
            mean, variance = torch.zeros_like(scale[0]), torch.zeros_like(scale[0])
            means.append(mean)
            variances.append(variance)
            yield _Measuring(scale[0], shift[0], mean, variance)

    pictures: Tensor = net(photos, vector, norms=norms())
    return Statistics(tuple(means), tuple(variances)), pictures


@dataclass(frozen=True, eq=False)
class _Measuring:
    """Batch norm, which writes down what it finds."""

    scale: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor

    def __call__(self, x: Tensor, *, relu: bool) -> Tensor:
        # With a momentum of 1, what is kept is what was found, but for Bessel's correction.
        kept = (self.mean, self.variance, self.scale, self.shift)
        y = F.batch_norm(x, *kept, training=True, momentum=1.0, eps=EPSILON)
        count = x.numel() // x.shape[1]
        self.variance.mul_((count - 1) / count)
        mean, variance = held(self.mean.clone(), self.variance.clone())
        if not (torch.equal(mean, self.mean) and torch.equal(variance, self.variance)):
            self.mean.copy_(mean)
            self.variance.copy_(variance)
            y = F.batch_norm(x, *kept, training=False, eps=EPSILON)
        return y.relu_() if relu else y


def replayed(net: TransformNet, known: Statistics, vector: Tensor) -> Iterator[Norm]:
    """The norms of one style, `(1, V)`, for any part of the picture that `known` was measured of."""
    styles = scales_and_shifts(vector.float(), net.norms)
    for (scale, shift), mean, variance in zip(styles, known.means, known.variances, strict=True):
        yield _Replayed(mean, variance, scale[0], shift[0])


@dataclass(frozen=True, eq=False)
class _Replayed:
    mean: Tensor
    variance: Tensor
    scale: Tensor
    shift: Tensor

    def __call__(self, x: Tensor, *, relu: bool) -> Tensor:
        kept = (self.mean, self.variance, self.scale, self.shift)
        y = F.batch_norm(x, *kept, training=False, eps=EPSILON)
        return y.relu_() if relu else y


def mixed(
    net: TransformNet, known: Sequence[Statistics], vectors: Tensor, shares: Tensor
) -> Iterator[Norm]:
    """The norms of several styles, `(R, V)`, each with its own statistics, mixed at each position.

    `shares`: `(1, R, H, W)` of the part of the picture that is painted, summing to 1 at each pixel.
    Where one of them is 1 the norm is that style's alone.
    """
    seen = [row for row in range(shares.shape[1]) if bool((shares[:, row] > 0).any())]
    spread = _Shares(shares[:, seen], net.config.context)
    styles = zip(*(replayed(net, known[row], vectors[row : row + 1]) for row in seen), strict=True)
    for each in styles:
        yield each[0] if len(seen) == 1 else _Mixed(each, spread)


class _Shares:
    """Soft masks at the size of any map, averaged down once each."""

    def __init__(self, shares: Tensor, context: int) -> None:
        # Continued where the photo is.
        self.shares = F.pad(shares, surroundings(shares, context), mode="reflect")
        self._known: dict[tuple[int, int], Tensor] = {}

    def at(self, x: Tensor) -> Tensor:
        size = (x.shape[-2], x.shape[-1])
        if size not in self._known:
            self._known[size] = F.interpolate(self.shares, size=size, mode="area").to(x)
        return self._known[size]


@dataclass(frozen=True, eq=False)
class _Mixed:
    styles: tuple[Norm, ...]
    shares: _Shares

    def __call__(self, x: Tensor, *, relu: bool) -> Tensor:
        shares = self.shares.at(x)
        y = torch.zeros_like(x)
        for row, style in enumerate(self.styles):
            y.addcmul_(style(x, relu=False), shares[:, row : row + 1])
        return y.relu_() if relu else y
