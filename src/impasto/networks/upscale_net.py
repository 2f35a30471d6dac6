"""Super-resolution: a picture in, the same picture two or four times as large out.

What Johnson et al. 2016 (arXiv:1603.08155, section 3.2 and 4.2) train by a perceptual loss, in the
shape that the field came to after them: residual blocks without norms at the small size (Lim et al.
2017, arXiv:1707.02921), sub-pixel output (Shi et al. 2016, arXiv:1609.05158), on top of a bicubic
enlargement. Two things hold by construction, whatever the weights are:
- the blocks see each pixel less the mean of its neighbourhood, what they say of nothing is taken
  from what they say, and what makes pixels of it has no biases: a plain area and a linear ramp are
  enlarged as by bicubic, with no lattice and no colour cast;
- nothing but a neighbourhood is looked at: a picture painted in tiles is the picture painted whole.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.kernels import computed_in, conv_relu, padded_convolution, pixel_shuffle
from impasto.networks.shapes import UpscaleNetConfig

__all__ = ["TIMES", "UpscaleNet", "UpscaleNetConfig", "bicubic"]

TIMES = (2, 4)
"""What a network enlarges by in one pass; by 8 is by 4 and then by 2."""

_ENTRY = 5  # side of the first kernel
_MEAN = 15  # side of the neighbourhood whose mean is taken away, px


class UpscaleNet(nn.Module):
    """Pictures `(B, 3, H, W)` in [0, 1], RGB -> `(B, 3, times H, times W)`, not clamped.

    Any size of 2 px or more a side; convolutions in the weights' type, float32 or bfloat16, the
    picture itself in float32.
    """

    def __init__(self, config: UpscaleNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UpscaleNetConfig()
        self.entry = _Convolution(3, config.channels, _ENTRY)
        self.blocks = nn.ModuleList(_Residual(config.channels) for _ in range(config.blocks))
        # Without biases: what is nothing stays nothing, up to the picture's border.
        twice, fourfold = config.channels // 2, config.channels // 4
        self.rise = nn.ModuleDict(
            {
                "2": _Convolution(config.channels, 4 * twice, 3, bias=False),
                "4": _Convolution(twice, 4 * fourfold, 3, bias=False),
            }
        )
        self.leave = nn.ModuleDict(
            {
                "2": _Convolution(twice, 3, 3, bias=False),
                "4": _Convolution(fourfold, 3, 3, bias=False),
            }
        )
        for last in self.leave.values():
            nn.init.zeros_(last.get_parameter("weight"))  # at first it is bicubic

    @property
    def dtype(self) -> torch.dtype:
        """Of convolutions: autocast's type, else the weights'."""
        return computed_in(self.entry.weight)

    @property
    def reach(self) -> int:
        """How far a pixel of the small picture can be seen, in its pixels; the rest makes no
        difference at all.
        """
        return _MEAN // 2 + _ENTRY // 2 + 2 * self.config.blocks + 3

    def forward(self, picture: Tensor, times: int) -> Tensor:
        """See the class; `times` is one of `TIMES`."""
        picture = picture.float()
        detail = picture - _local_mean(picture)
        nothing = torch.zeros_like(detail[:1, :, :1, :1]).expand(1, -1, 4, 4)
        kind = self.dtype
        # Types are chosen here; autocast would take borders to float32 and back.
        with torch.autocast(picture.device.type, enabled=False):
            silence = self._described(nothing.to(kind))[..., :1, :1]
            x = self._described(detail.to(kind)) - silence
            x = F.relu(pixel_shuffle(self.rise["2"](x)))
            if times == 4:
                x = F.relu(pixel_shuffle(self.rise["4"](x)))
            found: Tensor = self.leave[str(times)](x).float().contiguous()
        return bicubic(picture, times) + found

    def _described(self, x: Tensor) -> Tensor:
        x = self.entry(x.contiguous(memory_format=torch.channels_last), relu=True)
        for block in self.blocks:
            x = block(x)
        return x


def bicubic(picture: Tensor, times: int) -> Tensor:
    """`(B, C, H, W)` enlarged by Keys' kernel with a = -1/2, as Pillow's and MATLAB's; not clamped."""
    return F.interpolate(
        picture, scale_factor=float(times), mode="bicubic", align_corners=False, antialias=True
    )


def _local_mean(x: Tensor) -> Tensor:
    """Of the 15 x 15 pixels around each, the border repeated."""
    x = F.pad(x, (_MEAN // 2,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(x, (_MEAN, 1), stride=1), (1, _MEAN), stride=1)


class _Convolution(nn.Module):
    """A convolution over a reflected border, with a bias.

    `weight` is a matrix `(out, side side in)`, the shape in which Muon takes it, and channels-last
    as a kernel.
    """

    def __init__(self, channels: int, out: int, side: int, *, bias: bool = True) -> None:
        super().__init__()
        self.channels, self.side = channels, side
        fan = channels * side * side
        self.weight = nn.Parameter(torch.randn(out, fan) * math.sqrt(2 / fan))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        kernel = self.weight.view(-1, self.side, self.side, self.channels).permute(0, 3, 1, 2)
        kernel = kernel.to(x.dtype)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if relu and bias is not None and self.side == 3 and not self.weight.requires_grad:
            return conv_relu(x, kernel, bias, "reflect")
        y = padded_convolution(x, kernel, 1, "reflect")
        y = y if bias is None else y + bias[:, None, None]
        return F.relu(y, inplace=True) if relu else y


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Convolution(channels, channels, 3)
        self.second = _Convolution(channels, channels, 3)
        with torch.no_grad():  # without norms, sums of many blocks would grow
            self.second.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x, relu=True))
        return x + y
