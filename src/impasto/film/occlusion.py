"""Pictures moved by flow, and where that can be trusted (Ruder, Dosovitskiy and Brox 2016,
arXiv:1604.08610, section 4.1).
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

__all__ = ["agreement", "trusted", "warp"]

UNLIKE = 0.1
"""A difference of colour, root mean square in [0, 1], at which a match is hardly one any more."""


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """`out(p) = image(p + flow(p))`: `(1, C, H, W)` by `(1, 2, H, W)` in px, bicubic, the edge
    continued. Where `flow` is 0, exactly the image.
    """
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=flow.dtype), torch.arange(width, dtype=flow.dtype), indexing="ij"
    )
    grid = torch.stack(
        ((x + flow[:, 0]) * 2 / (width - 1) - 1, (y + flow[:, 1]) * 2 / (height - 1) - 1), dim=-1
    )
    moved = grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=True)
    return torch.where((flow == 0).all(1, keepdim=True), image, moved)


def trusted(back: Tensor, forward: Tensor) -> Tensor:
    """1 where what is seen was seen before, else 0: `(1, 1, H, W)`.

    `back`: from this frame to the one before; `forward`: from that one to this; `(1, 2, H, W)` in
    px. Their eq. 6, the forward-backward check, finds what was hidden, and eq. 7 the boundaries of
    what moves, where flow is not exact. What comes in over the frame's edge is not trusted either.
    """
    height, width = back.shape[-2:]
    returned = warp(forward, back)
    length = back.square().sum(1, keepdim=True)
    missed = (back + returned).square().sum(1, keepdim=True)
    hidden = missed > 0.01 * (length + returned.square().sum(1, keepdim=True)) + 0.5
    across, down = torch.gradient(back, dim=(3, 2))
    steep = (across.square() + down.square()).sum(1, keepdim=True)
    boundary = steep > 0.01 * length + 0.002
    x = torch.arange(width) + back[:, :1]
    y = torch.arange(height)[:, None] + back[:, 1:]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return (~hidden & ~boundary & inside).to(back.dtype)


def agreement(frame: Tensor, moved: Tensor) -> Tensor:
    """How alike a frame and the one before, moved onto it, are: `(1, 1, H, W)`, 1 for the same.

    Ours: flow can be consistent and wrong, in plain areas and where light changes. Differences are
    judged over 5 x 5 px, so that a film's grain does not count.
    """
    unlike = (frame - moved).square().mean(1, keepdim=True)
    unlike = avg_pool2d(unlike, 5, stride=1, padding=2, count_include_pad=False)
    return torch.exp(-unlike / UNLIKE**2)
