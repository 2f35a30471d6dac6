"""Folders of images as training data: read once, kept small in memory, cropped and distorted at random.

Nothing here keeps a random state: every draw comes from a generator that the caller makes from a seed and a
number (`randomness`), so the batch of any step can be made again without the steps before it.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.image import open_picture, resize
from impasto.picturefile import decode, opened

__all__ = ["Reading", "augment", "crop", "log_uniform", "normals", "randomness", "read_pictures"]

_SUFFIXES = frozenset((".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))
_SHORT, _LONG = 288, 640  # px kept of a picture: a crop is never shown larger than it was
_SMALLEST_CROP = 80  # px


@dataclass(frozen=True, eq=False)
class Reading:
    """One file of `of` has been read: its picture, uint8 `(3, H, W)`, or the problem why there is none."""

    path: Path
    done: int
    of: int
    picture: Tensor | None
    problem: str = ""


def read_pictures(folders: Iterable[str | os.PathLike[str]]) -> Iterator[Reading]:
    """Every image file under `folders`, in the order of the folders and of the paths in them.

    Pictures are reduced to a short side of 288 px and cut in the middle at a long side of 640 px; smaller ones
    stay as they are, transparency shows white. A file that cannot be read has a `problem` in place of a picture.
    Raises `ImpastoError` for a folder that does not exist or holds no image file, and at the end if not one of
    the files could be read.
    """
    paths = [path for folder in folders for path in _image_files(Path(folder))]
    pool = ThreadPoolExecutor(2)
    found = 0
    try:
        for done, (path, result) in enumerate(zip(paths, pool.map(_attempt, paths), strict=True), start=1):
            picture, problem = result
            found += picture is not None
            yield Reading(path, done, len(paths), picture, problem)
    finally:
        pool.shutdown(cancel_futures=True)
    if not found:
        raise ImpastoError(f"none of the {len(paths)} image files could be read; give other folders")


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ImpastoError(f"{folder} is not a folder; give a folder of images")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not found:
        raise ImpastoError(f"there are no image files in {folder}; give a folder of JPEG or PNG files")
    return found


def _attempt(path: Path) -> tuple[Tensor | None, str]:
    try:
        return _read(path), ""
    except ImpastoError as error:
        return None, str(error)


def _read(path: Path) -> Tensor:
    with opened(path) as file:
        file.draft(None, (_SHORT, _SHORT))  # a large JPEG is decoded at a fraction of its size
        pixels, _ = decode(file)
    picture = open_picture(pixels)
    image = picture.image
    if picture.alpha is not None:
        image = image * picture.alpha + (1 - picture.alpha)
    height, width = image.shape[-2:]
    scale = min(1.0, _SHORT / min(height, width))
    image = resize(image, (round(height * scale), round(width * scale)))[0]
    top, left = (max(0, side - _LONG) // 2 for side in image.shape[-2:])
    image = image[:, top : top + _LONG, left : left + _LONG]
    return (image * 255).round().to(torch.uint8)


def randomness(seed: int, *stream: int) -> np.random.Generator:
    """The generator of one purpose at one step: the same numbers give the same draws, others unrelated ones."""
    return np.random.default_rng((seed, *stream))


def normals(random: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal float32 numbers on the CPU."""
    return torch.from_numpy(random.standard_normal(shape, dtype=np.float32))


def crop(pictures: Sequence[Tensor], random: np.random.Generator, size: int) -> Tensor:
    """A random square of a random picture, float32 `(3, size, size)` in [0, 1], half of the time mirrored.

    Its side in the picture (uint8 `(3, H, W)`) is log-uniform in 80 to 288 px, or what the picture has.
    """
    picture = pictures[int(random.integers(len(pictures)))]
    height, width = picture.shape[-2:]
    side = round(log_uniform(random, _SMALLEST_CROP, _SHORT))
    side = min(side, height, width)
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    cut = picture[None, :, top : top + side, left : left + side].float() / 255
    image = F.interpolate(cut, size=(size, size), mode="bilinear", antialias=True, align_corners=False)[0]
    return image.flip(2) if random.random() < 0.5 else image


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A number between `low` and `high`, every octave as likely as any other."""
    return math.exp(random.uniform(math.log(low), math.log(high)))


def augment(image: Tensor, random: np.random.Generator, pictures: Sequence[Tensor]) -> Tensor:
    """Now and then a distortion of `image`, float32 `(3, S, S)` in [0, 1] as is the result.

    An optimiser that follows an encoder's gradient leaves the natural pictures: it makes noise, foreign texture,
    blur, flat colours and colours out of balance. An encoder meant for that must have seen such pictures.
    """
    chance = random.random()
    for probability, change in _CHANGES:
        if chance < probability:
            image = change(image, random, pictures)
            break
        chance -= probability
    if random.random() < 0.3:  # contrast and colour cast
        mean = image.mean((1, 2), keepdim=True)
        image = mean + (image - mean) * random.uniform(0.3, 1.7) + 0.1 * normals(random, 3, 1, 1)
    if random.random() < 0.1:
        image = image[torch.from_numpy(random.permutation(3))]
    return image.clamp(0, 1)


def _noisy(image: Tensor, random: np.random.Generator, _: Sequence[Tensor]) -> Tensor:
    """Gaussian noise of a random strength and coarseness, grey or coloured."""
    size = image.shape[-1]
    coarse = size // int(random.choice((1, 1, 2, 4, 8)))
    grain = normals(random, 1, 3 if random.random() < 0.7 else 1, coarse, coarse) * random.uniform(0, 0.25)
    mode = "bilinear" if random.random() < 0.5 else "nearest"
    return image + F.interpolate(grain, size=(size, size), mode=mode)[0]


def _textured(image: Tensor, random: np.random.Generator, pictures: Sequence[Tensor]) -> Tensor:
    """The fine detail of another picture laid on top."""
    other = crop(pictures, random, image.shape[-1])
    smooth = F.avg_pool2d(F.pad(other[None], (4, 4, 4, 4), mode="reflect"), 9, stride=1)[0]
    return image + (other - smooth) * random.uniform(0.3, 1.5)


def _enlarged(image: Tensor, _random: np.random.Generator, _: Sequence[Tensor]) -> Tensor:
    """Twice as large and therefore soft, as pictures are on their way from one size to the next."""
    size = image.shape[-1]
    return F.interpolate(image[None], scale_factor=2.0, mode="bilinear")[0, :, :size, :size]


def _nothing_but_noise(image: Tensor, random: np.random.Generator, _: Sequence[Tensor]) -> Tensor:
    color = torch.from_numpy(random.random((3, 1, 1), dtype=np.float32))
    return color + normals(random, *image.shape) * random.uniform(0, 0.3)


_CHANGES: tuple[tuple[float, Callable[[Tensor, np.random.Generator, Sequence[Tensor]], Tensor]], ...] = (
    (0.25, _noisy),
    (0.15, _textured),
    (0.10, _enlarged),
    (0.08, _nothing_but_noise),
)
