"""What stands before what in a photo, by small classical algorithms, some of scikit-image.

First the geodesic distance to the photo's border, over its colours' edges (Wei, Wen, Zhu and Sun
2012, "Geodesic saliency using background priors"): what is cheap to reach from there is background.
Then, a few times over, how common each colour is in the one and in the other (the histograms of
Boykov and Jolly 2001), and at last a random walk from what is surely one or the other (Grady 2006),
which finds the contours. It knows nothing of things: it takes what differs in colour from the
border. Where it errs, draw a mask.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from impasto.errors import InputError
from impasto.pictures.image import fit, resize

__all__ = ["subject"]

_SIDE = 256
_STEP = 0.01  # what a step costs where there is no edge
_SURE = (0.12, 0.4)  # of the way between near and far: below is background, above is subject
_STIFF = 130.0  # of the walk: how much an edge stops it (Grady's beta)
_MIDDLE = 0.7  # how far from the middle a subject lies, in half sides
_FLAT = 0.01  # of a hundredth of lightness: a photo of one colour
_ROUNDS, _AT_BORDER = 2, 20.0  # of counting colours, and what a pixel at the border counts for


def subject(photo: Tensor) -> Tensor:
    """The mask of the subject of `(1, 3, H, W)`, `(1, 1, H, W)` in [0, 1], soft at its contour;
    `InputError` where nothing stands out.
    """
    from skimage import filters
    from skimage.color import rgb2lab
    from skimage.graph import MCP_Geometric
    from skimage.segmentation import random_walker

    gaussian: Any = filters.gaussian
    size = fit(photo.shape[-2], photo.shape[-1], _SIDE)
    small = resize(photo, size)
    smooth = avg_pool2d(small, 5, 1, padding=2, count_include_pad=False)[0].permute(1, 2, 0)
    lab = rgb2lab(smooth.numpy()) / 100
    down, right = np.gradient(lab, axis=0), np.gradient(lab, axis=1)
    edges = np.sqrt((down**2 + right**2).sum(2))
    border = np.zeros(size, dtype=bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    costs, _ = MCP_Geometric(edges + _STEP).find_costs(list(zip(*np.nonzero(border), strict=True)))
    near, far = np.quantile(costs, (0.1, 0.95))
    depth = np.clip((costs - near) / max(far - near, 1e-6), 0, 1)
    rows, columns = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    middle = np.exp(-(rows**2 + columns**2) / (2 * _MIDDLE**2))
    bins = np.clip((lab * 20 + (0, 20, 20)).astype(np.int64), 0, 40) @ (1, 41, 41**2)
    likely = depth * middle
    for _ in range(_ROUNDS):
        counts = [
            gaussian(np.bincount(bins.ravel(), each.ravel(), 41**3).reshape((41,) * 3), 1.0)
            for each in (likely, (1 - likely) + _AT_BORDER * border)
        ]
        share = (counts[0] / (counts[0] + counts[1] + 1e-6)).ravel()[bins]
        likely = gaussian(share, 2.0) * middle * (0.3 + 0.7 * depth)
        likely = np.clip(likely / max(np.quantile(likely, 0.97), 1e-6), 0, 1)
    depth = likely
    seeds = np.zeros(size, dtype=np.int32)
    seeds[depth > _SURE[1]], seeds[(depth < _SURE[0]) | border] = 1, 2
    flat = float(np.ptp(lab, axis=(0, 1)).max()) < _FLAT  # the walk would divide by its deviation
    if flat or float((seeds == 1).mean()) < 0.002:
        raise InputError("no subject stands out from this photo's border; draw a mask for it")
    data = small[0].permute(1, 2, 0).numpy()
    walk = random_walker(
        data, seeds, beta=_STIFF, mode="cg_j", channel_axis=-1, return_full_prob=True, prob_tol=0.1
    )
    mask = torch.from_numpy(walk[0].astype(np.float32))[None, None]
    mask = ((mask - 0.5) * 4 + 0.5).clamp(0, 1)
    return resize(mask, (photo.shape[-2], photo.shape[-1]))
