"""The image transformation network: photo and style vector in, painting out, in one pass.

The shape is Johnson et al. 2016's (arXiv:1603.08155): down, residual blocks, up, with instance norm
throughout, every one of them conditional on the style (Dumoulin et al. 2017). What was changed for
a processor's sake:
- the picture enters and leaves as 2x2 blocks of pixels: nothing but three channels exists at full
  size;
- there is a second, coarser level, where large forms cost a quarter;
- "enlarge, then convolve" (which knows no checkerboards) runs folded: the same numbers from one
  convolution at the small size, whose kernel is that of the large size with the taps that meet the
  same pixel added up.

And one thing was added. A convolutional network can only answer a plain area with a plain area, a
lattice, or a function of the distance to the nearest contour: halos, vignettes, bars. A fixed field
of Gaussian noise, by position (Karras et al. 2019, arXiv:1812.04948, section 3.2, has it random),
gives strokes something to begin at.
"""

import math
from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.instance_norm import conditional_instance_norm
from impasto.networks.kernels import computed_in, padded_convolution, pixel_shuffle
from impasto.networks.shapes import TransformNetConfig

__all__ = [
    "Norm",
    "TransformNet",
    "TransformNetConfig",
    "noise_field",
    "scales_and_shifts",
    "surroundings",
]

_STRIDE = 8  # between pixels and positions of the coarsest level
_PERIOD = 512  # positions of a level after which the noise repeats


class Norm(Protocol):
    """One norm of the network for one style: `(B, C, H, W)` to the same shape, its positive part if
    `relu`.
    """

    def __call__(self, x: Tensor, *, relu: bool) -> Tensor: ...


class TransformNet(nn.Module):
    """Photos `(B, 3, H, W)` in [0, 1], RGB, and vectors `(B, vector_size)` -> pictures like photos.

    A style vector holds, for every norm in the order of computation, the scales less one and then
    the shifts; the zero vector is plain instance normalisation. Any size of 16 px or more a side;
    computed in the weights' type, float32 or bfloat16, and given back in float32. `offset`: where
    the photo's upper left corner lies in the noise field, rows and columns of 8 px; a tile of a
    larger picture has the strokes of the whole if it says where it is.
    """

    def __init__(self, config: TransformNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TransformNetConfig()
        half, quarter, eighth = config.channels
        before, middle, after = config.blocks
        self.entry = _Convolution(12, half, config.entry)
        self.down = _Convolution(half, quarter, 3, stride=2)
        self.before = nn.ModuleList(_Residual(quarter) for _ in range(before))
        self.deeper = _Convolution(quarter, eighth, 3, stride=2)
        self.middle = nn.ModuleList(_Residual(eighth) for _ in range(middle))
        self.rise = _Enlarging(eighth, quarter, 3)
        self.after = nn.ModuleList(_Residual(quarter) for _ in range(after))
        self.up = _Enlarging(quarter, half, 3)
        self.leave = _Enlarging(half, 3, config.leave)
        # Of the noise field into the maps at an eighth, a quarter and a half; at first, nothing.
        sizes = (eighth, quarter, half) if config.noise else ()
        self.noise = nn.ParameterList(
            nn.Parameter(torch.zeros(size, config.noise)) for size in sizes
        )
        _field(config.noise)  # drawn now: while a network is traced there are no real numbers
        self.norms = tuple(
            [half, quarter]
            + [quarter] * 2 * before
            + [eighth]
            + [eighth] * 2 * middle
            + [quarter]
            + [quarter] * 2 * after
            + [half, 3]
        )

    @property
    def vector_size(self) -> int:
        """Numbers in a style vector."""
        return 2 * sum(self.norms)

    @property
    def dtype(self) -> torch.dtype:
        """Of convolutions: autocast's type, else the weights'. Pictures and vectors stay float32."""
        return computed_in(self.entry.weight)

    @property
    def reach(self) -> int:
        """How far a pixel can be seen, px, in multiples of 8: what lies further makes no difference
        to it but by the statistics of the norms.
        """
        before, middle, after = self.config.blocks
        quarter, eighth = 4 * (1 + 2 * before + 2 * after), 8 * (2 * middle + 1)
        half = 2 * (self.config.entry // 2 + 1 + (self.config.leave // 2 + 1) // 2)
        # Each level's convolutions, and the one that enlarges a quarter to a half.
        return -(-(half + quarter + 4 + eighth) // _STRIDE) * _STRIDE

    def forward(
        self,
        photo: Tensor,
        vector: Tensor,
        offset: tuple[int, int] = (0, 0),
        norms: Iterable[Norm] | None = None,
    ) -> Tensor:
        """See the class. Vectors of one row serve every photo of the batch.

        `norms`: what normalises in place of `vector`, one for each of `self.norms`, such as
        `impasto.networks.statistics` has them.
        """
        height, width = photo.shape[-2:]
        border = self.config.context
        norm = iter(norms or _norms(vector.float().expand(len(photo), -1), self.norms))
        x = F.pad(photo.float(), surroundings(photo, border), mode="reflect")
        x = F.pixel_unshuffle(x * 4 - 2, 2)
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        down, right = (each - border // _STRIDE for each in offset)
        # Types are chosen here; autocast would take borders and norms to float32 and back.
        with torch.autocast(photo.device.type, enabled=False):
            picture = self._paint(x, norm, (down, right))
        return picture[..., border : border + height, border : border + width]

    def _paint(self, x: Tensor, norm: Iterator[Norm], offset: tuple[int, int]) -> Tensor:
        x = _normed(self.entry(x), next(norm))
        fine = _normed(self.down(x), next(norm))
        for block in self.before:
            fine = block(fine, norm)
        x = _normed(self._noisy(self.deeper(fine), 0, offset), next(norm))
        for block in self.middle:
            x = block(x, norm)
        x = fine + _normed(self._noisy(self.rise(x), 1, offset), next(norm), relu=False)
        for block in self.after:
            x = block(x, norm)
        x = _normed(self._noisy(self.up(x), 2, offset), next(norm))
        x = self.leave(x).float().contiguous()
        return _normed(x, next(norm), relu=False).sigmoid()

    def _noisy(self, x: Tensor, level: int, offset: tuple[int, int]) -> Tensor:
        """`x` plus noise; `level` 0, 1, 2: an eighth, a quarter, a half of the picture's size."""
        if not self.config.noise:
            return x
        field = noise_field(self.config.noise, level, offset, (x.shape[-2], x.shape[-1])).to(x)
        return x + F.conv2d(field, self.noise[level].to(x.dtype)[..., None, None])


class _Convolution(nn.Module):
    """A convolution over a reflected border, without the bias that the next norm would remove.

    `weight` is a matrix `(out, side side in)`, the shape in which optimisers that know matrices
    (Muon) take it, and channels-last as a kernel.
    """

    def __init__(self, channels: int, out: int, side: int, stride: int = 1) -> None:
        super().__init__()
        self.channels, self.side, self.stride = channels, side, stride
        fan = channels * side * side
        self.weight = nn.Parameter(torch.randn(out, fan) * math.sqrt(2 / fan))
        _fold(side)  # like the noise field, made before the network may be traced

    @property
    def kernel(self) -> Tensor:
        return self.weight.view(-1, self.side, self.side, self.channels).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return padded_convolution(x, self.kernel.to(x.dtype), self.stride, "reflect")


class _Enlarging(_Convolution):
    """Nearest-neighbour enlargement to twice the size and a convolution there, folded into one."""

    def forward(self, x: Tensor) -> Tensor:
        fold = _fold(self.side).to(self.weight)
        # (phase, low, high) twice: which taps of the large kernel meet which small pixel, for even
        # and odd rows.
        weight = self.weight.view(-1, self.side, self.side, self.channels)
        kernel = (
            torch.einsum("pak,qbl,okli->pqoabi", fold, fold, weight)
            .flatten(0, 2)
            .permute(0, 3, 1, 2)
        )
        return pixel_shuffle(padded_convolution(x, kernel.to(x.dtype), 1, "replicate"))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Convolution(channels, channels, 3)
        self.second = _Convolution(channels, channels, 3)

    def forward(self, x: Tensor, norm: Iterator[Norm]) -> Tensor:
        y = _normed(self.first(x), next(norm))
        return x + _normed(self.second(y), next(norm), relu=False)


def scales_and_shifts(vector: Tensor, sizes: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    """The scale and the shift of every norm, `(B, C)` each, of vectors `(B, V)`."""
    for part in vector.split_with_sizes([2 * size for size in sizes], dim=1):
        scale, shift = part.chunk(2, dim=1)
        yield scale + 1, shift


def _norms(vector: Tensor, sizes: tuple[int, ...]) -> Iterator[Norm]:
    """Every picture by its own statistics."""
    for scale, shift in scales_and_shifts(vector, sizes):
        yield partial(conditional_instance_norm, scale=scale, shift=shift)


def _normed(x: Tensor, norm: Norm, relu: bool = True) -> Tensor:
    return norm(x, relu=relu)


def surroundings(image: Tensor, context: int) -> tuple[int, int, int, int]:
    """By how much an image is continued left, right, above and below: by `context` px, and right
    and below until both sides are multiples of 8 px.
    """
    height, width = image.shape[-2:]
    return context, context + -width % _STRIDE, context, context + -height % _STRIDE


def noise_field(
    channels: int, level: int, offset: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """Standard normal noise `(1, channels, *size)`, the same wherever and whenever it is asked for.

    `level` 0, 1, 2: positions of 8, 4, 2 px; `offset` in positions of 8 px. It repeats after 512
    positions.
    """
    field = _field(channels)
    # Each level begins elsewhere in the field, so that their noises have nothing to do with one
    # another.
    rows, columns = (
        (torch.arange(count, device="cpu") + (start << level) + 171 * level) % _PERIOD
        for count, start in zip(size, offset, strict=True)
    )
    return field[:, rows][:, :, columns][None].contiguous(memory_format=torch.channels_last)


@cache
def _field(channels: int) -> Tensor:
    seed = torch.Generator("cpu").manual_seed(0)
    return torch.randn(
        channels, _PERIOD, _PERIOD, generator=seed, device="cpu", dtype=torch.float32
    )


@cache
def _fold(side: int) -> Tensor:
    """`(2, low, side)`: 1 where tap `k` of a kernel on the enlarged grid meets small pixel `low`,
    by phase.
    """
    reach = (side // 2 + 1) // 2
    fold = torch.zeros(2, 2 * reach + 1, side, device="cpu", dtype=torch.float32)
    for phase in range(2):
        for tap in range(side):
            fold[phase, (phase + tap - side // 2) // 2 + reach, tap] = 1
    return fold
