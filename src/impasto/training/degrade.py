"""Small pictures as they are found: what a large picture loses until it is one.

Blur, reduction, noise and JPEG, in this order, each more or less or not at all (a mild form of what
Wang et al. 2021, arXiv:2107.10833, call second-order degradation, once). All of it is matrix
products on the device of the pictures, drawn from numbers that the caller gives: a function, and
one that a CUDA graph can hold.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DRAWS", "Degradation", "Jpeg"]

DRAWS = 12
"""Uniform numbers that a picture's degradation is drawn from."""

_BLUR, _NOISE, _JPEG = 0.5, 0.4, 0.5  # probabilities
_SIGMA = 0.45  # the widest blur, in pixels of the small picture
_DEVIATION = 0.03  # of the strongest noise
_WORST, _BEST = 45.0, 97.0  # qualities of JPEG
_KINDS = (0.4, 0.85)  # below: area; below: bicubic; else: triangle


class Degradation(nn.Module):
    """Pictures `(B, 3, S, S)` in [0, 1] -> `(B, 3, S / times, S / times)` of 8 bits in [0, 1].

    `side` is S, divisible by `times`.
    """

    reductions: Tensor
    distances: Tensor

    def __init__(self, side: int, times: int) -> None:
        super().__init__()
        self.small = small = side // times
        self.times = times
        eye = torch.eye(side)[None]
        matrices = [F.avg_pool1d(eye, times)[0].T]
        for mode in ("bicubic", "bilinear"):
            reduced = F.interpolate(eye[None], size=(small, side), mode=mode, antialias=True)
            matrices.append(reduced[0, 0])
        self.register_buffer("reductions", torch.stack(matrices), persistent=False)
        place = torch.arange(side, dtype=torch.float32)
        self.register_buffer("distances", (place[:, None] - place).square(), persistent=False)
        self.jpeg = Jpeg(small)

    @torch.no_grad()
    def forward(self, pictures: Tensor, draws: Tensor, noise: Tensor) -> Tensor:
        """`draws`: `(B, DRAWS)`, uniform in [0, 1); `noise`: standard normal, as the result."""
        u = draws.unbind(1)
        with torch.autocast(pictures.device.type, enabled=False):  # coefficients need float32
            kind = (u[0] >= _KINDS[0]).long() + (u[0] >= _KINDS[1]).long()
            reduction = self.reductions[kind]
            down, across = (
                reduction @ self._blur(self.times * _SIGMA * each * (u[1] < _BLUR))
                for each in (u[2], 0.5 * (u[2] + u[3]))
            )
            x = down[:, None] @ pictures.float() @ across[:, None].mT
            grain = torch.where(_each(u[6] < 0.6), noise, noise[:, :1])
            x = x + grain * _each(_DEVIATION * u[5].square() * (u[4] < _NOISE))
            x = _rounded(x)
            quality = _WORST + (_BEST - _WORST) * u[8].sqrt()
            packed = self.jpeg(x, quality, u[9] < 0.7, (torch.stack(u[10:12], 1) * 16).long())
            return torch.where(_each(u[7] < _JPEG), packed, x)

    def _blur(self, sigma: Tensor) -> Tensor:
        """Gaussians of these deviations in px, `(B, S, S)`; of 0, nothing."""
        weights = torch.exp(-self.distances / (2 * sigma.square().clamp_min(1e-3))[:, None, None])
        return weights / weights.sum(2, keepdim=True)


def _each(x: Tensor) -> Tensor:
    return x[:, None, None, None]


def _rounded(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * 255).round() / 255


# Annex K of the JPEG standard, ITU-T T.81: luminance and chrominance.
_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 32),
)
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


class Jpeg(nn.Module):
    """What JPEG does to pictures `(B, 3, side, side)` in [0, 1]: the loss, without the file."""

    dct: Tensor
    tables: Tensor
    ycc: Tensor
    rgb: Tensor
    halved: Tensor
    doubled: Tensor
    places: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side, self.padded = side, -(-(side + 15) // 16) * 16
        k = torch.arange(8, dtype=torch.float64)
        dct = torch.cos((2 * k + 1) * k[:, None] * math.pi / 16) / 2
        dct[0] /= math.sqrt(2)
        blocks = self.padded // 8
        halved = F.avg_pool1d(torch.eye(self.padded)[None], 2)[0].T
        doubled = F.interpolate(
            torch.eye(self.padded // 2)[None, None],
            size=(self.padded, self.padded // 2),
            mode="bilinear",
            align_corners=False,
        )[0, 0]
        for name, value in {
            "dct": torch.kron(torch.eye(blocks), dct.float()),
            "tables": torch.tensor((_LUMA, _CHROMA)).float().view(2, 8, 8),
            "ycc": torch.tensor(_YCC),
            "rgb": torch.tensor(_YCC, dtype=torch.float64).inverse().float(),
            "halved": halved,
            "doubled": doubled,
            "places": torch.arange(self.padded),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, pictures: Tensor, quality: Tensor, halve: Tensor, phase: Tensor) -> Tensor:
        """At `quality`, `(B,)`, 1 to 100; colours at half the size where `halve`; the upper left
        corner `phase`, `(B, 2)`, 0 to 15, px from that of a block.
        """
        x = _shifted(_shifted(pictures, self._seen(phase[:, 0]), 2), self._seen(phase[:, 1]), 3)
        whole = torch.einsum("ij,bjhw->bihw", self.ycc, x * 255 - 128).round()
        y, colors = whole[:, :1], whole[:, 1:]
        scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1, 1)
        tables = ((self.tables * scale + 50) / 100).floor().clamp(1, 255)
        luma, chroma = tables[:, :1], tables[:, 1:]
        small = self._packed(self.halved @ colors @ self.halved.mT, chroma)
        small = self.doubled @ small @ self.doubled.mT
        colors = torch.where(_each(halve), small, self._packed(colors, chroma))
        whole = torch.cat([self._packed(y, luma), colors], 1).round()
        x = torch.einsum("ij,bjhw->bihw", self.rgb, whole) + 128
        own = torch.arange(self.side, device=x.device) + phase[..., None]
        return _rounded(_shifted(_shifted(x, own[:, 0], 2), own[:, 1], 3) / 255)

    def _seen(self, phase: Tensor) -> Tensor:
        return (self.places - phase[:, None]).clamp(0, self.side - 1)

    def _packed(self, x: Tensor, table: Tensor) -> Tensor:
        side = x.shape[-1]
        dct, table = self.dct[:side, :side], table.repeat(1, 1, side // 8, side // 8)
        return dct.mT @ ((dct @ x @ dct.mT / table).round() * table) @ dct


def _shifted(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """`x` at `places`, `(B, N)`, along `axis` (2 or 3)."""
    shape = list(x.shape)
    shape[axis] = places.shape[1]
    index = places[:, None, :, None] if axis == 2 else places[:, None, None, :]
    return x.gather(axis, index.expand(shape))
