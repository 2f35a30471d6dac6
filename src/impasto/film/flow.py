"""Where things were a frame ago: dense optical flow by OpenCV, which is optional and stands only
here.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.errors import OptionError
from impasto.pictures.image import fit, resize

__all__ = ["STILL", "flow", "grey"]

LOOK = 960
"""The long side, in px, above which flow is found on smaller copies."""

STILL = 0.1
"""Less than this, in px a frame, is no movement: flow is not more exact, and a texture must not
crawl.
"""


def grey(image: Tensor) -> Tensor:
    """`(1, 3, H, W)` in [0, 1] -> what flow looks at: uint8 `(h, w)`, luma of Rec. 601, its long
    side at most `LOOK`.
    """
    height, width = image.shape[-2:]
    small = resize(image, fit(height, width, LOOK))
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return ((small.cpu() * weights).sum(1)[0] * 255).round().to(torch.uint8)


def flow(here: Tensor, there: Tensor, size: tuple[int, int]) -> Tensor:
    """Where what is seen `here` is `there`: `(1, 2, H, W)`, right and down in px of `size`.

    DIS (Kroeger et al. 2016, arXiv:1603.03590) of two pictures as `grey` has them. `OptionError`
    where the extra `film` is missing.
    """
    found: Any = _dis().calc(here.numpy(), there.numpy(), None)
    field = torch.from_numpy(np.ascontiguousarray(found)).permute(2, 0, 1)[None]
    height, width = here.shape
    if (height, width) != size:
        field = interpolate(field, size=size, mode="bilinear", align_corners=False)
        field = field * torch.tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
    return field * (field.square().sum(1, keepdim=True) >= STILL**2)


@cache
def _dis() -> Any:
    try:
        import cv2 as opencv
    except ImportError as error:
        raise OptionError(
            "films need the extra film: pip install 'impasto[film]' (OpenCV is missing)"
        ) from error
    tools: Any = opencv  # its type stubs do not know the algorithm
    return tools.DISOpticalFlow_create(tools.DISOPTICAL_FLOW_PRESET_MEDIUM)
