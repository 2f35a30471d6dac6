"""What stands before what in a photo, by a small classical segmenter: GrabCut of OpenCV.

Rother, Kolmogorov and Blake 2004, "GrabCut", SIGGRAPH: two mixtures of colours, and the cheapest
cut between them. It knows nothing of things: it takes what lies in the middle and differs in colour
from the border of the photo. Where it errs, draw a mask.
"""

import numpy as np
import torch
from torch import Tensor

from impasto.errors import InputError, OptionError
from impasto.pictures.image import fit, resize

__all__ = ["subject"]

_SIDE, _ROUNDS = 384, 6
_BORDER = 0.08  # what surely is background: this fraction of each side


def subject(photo: Tensor) -> Tensor:
    """The mask of the subject of `(1, 3, H, W)`, `(1, 1, H, W)`; `InputError` where none is found.

    `OptionError` without OpenCV, which the extra `masks` brings.
    """
    try:
        import cv2
    except ImportError:
        raise OptionError(
            "the masks subject and background need OpenCV: pip install 'impasto[masks]', or draw a mask"
        ) from None
    size = fit(photo.shape[-2], photo.shape[-1], _SIDE)
    small = (resize(photo, size)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    down, right = (max(1, round(side * _BORDER)) for side in size)
    found = np.full(size, cv2.GC_BGD, dtype=np.uint8)
    found[down:-down, right:-right] = cv2.GC_PR_BGD
    # Likelier what is nearer to the middle.
    found[2 * down : -2 * down, 2 * right : -2 * right] = cv2.GC_PR_FGD
    models = [np.zeros((1, 65)) for _ in range(2)]
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(small[..., ::-1]),
        found,
        None,
        *models,
        _ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    mask = np.isin(found, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    if mask.mean() < 0.005:
        raise InputError("no subject stands out from this photo's border; draw a mask for it")
    return resize(torch.from_numpy(mask)[None, None], (photo.shape[-2], photo.shape[-1]))
