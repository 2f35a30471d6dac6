"""Folders of images as training data: kept small in memory, cropped and distorted at random.

Nothing here keeps a random state: every draw comes from a generator that the caller makes from a
seed and a number (`randomness`), so the batch of any step can be made again without the steps
before it.
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
from impasto.pictures.files import decode, opened
from impasto.pictures.image import Picture, open_picture, resize

__all__ = [
    "PairReading",
    "Reading",
    "augment",
    "crop",
    "flat",
    "folder_names",
    "hold_out",
    "log_uniform",
    "middles",
    "normals",
    "randomness",
    "read_pairs",
    "read_pictures",
    "recolored",
    "scaled",
]

_SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
_SHORT, _LONG = 288, 640  # px kept of a picture: a crop is never shown larger than it was
_SMALLEST_CROP = 80  # px


@dataclass(frozen=True, eq=False)
class Reading:
    """One file of `of` has been read: its picture, uint8 `(3, H, W)`, or the problem why there is
    none.
    """

    path: Path
    done: int
    of: int
    picture: Tensor | None
    problem: str = ""


def read_pictures(folders: Iterable[str | os.PathLike[str]]) -> Iterator[Reading]:
    """Every image file under `folders`, in the order of the folders and of the paths in them.

    Pictures are reduced to a short side of 288 px and cut in the middle at a long side of 640 px;
    smaller ones stay as they are, transparency shows white. A file that cannot be read has a
    `problem` in place of a picture. Raises `ImpastoError` for a folder that does not exist or holds
    no image file, and at the end if not one of the files could be read.
    """
    paths = [path for folder in folders for path in _image_files(Path(folder))]
    pool = ThreadPoolExecutor(2)
    found = 0
    try:
        for done, (path, result) in enumerate(
            zip(paths, pool.map(_attempt, paths), strict=True), start=1
        ):
            picture, problem = result
            found += picture is not None
            yield Reading(path, done, len(paths), picture, problem)
    finally:
        pool.shutdown(cancel_futures=True)
    if not found:
        raise ImpastoError(
            f"none of the {len(paths)} image files could be read; give other folders"
        )


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ImpastoError(f"{folder} is not a folder; give a folder of images")
    found = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()
    )
    if not found:
        raise ImpastoError(
            f"there are no image files in {folder}; give a folder of JPEG or PNG files"
        )
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
    return _reduced(open_picture(pixels))


def _reduced(picture: Picture) -> Tensor:
    """On white, with a short side of 288 px and a long side of 640 px at most, uint8 `(3, H, W)`."""
    image = picture.image
    if picture.alpha is not None:
        image = image * picture.alpha + (1 - picture.alpha)
    height, width = image.shape[-2:]
    scale = min(1.0, _SHORT / min(height, width))
    image = resize(image, (round(height * scale), round(width * scale)))[0]
    top, left = (max(0, side - _LONG) // 2 for side in image.shape[-2:])
    image = image[:, top : top + _LONG, left : left + _LONG]
    return (image * 255).round().to(torch.uint8)


@dataclass(frozen=True, eq=False)
class PairReading:
    """One name of `of` has been read: photo and painted picture, uint8 `(3, H, W)` each, or the
    problem.
    """

    name: str
    done: int
    of: int
    pair: tuple[Tensor, Tensor] | None
    problem: str = ""


def read_pairs(folder: str | os.PathLike[str]) -> Iterator[PairReading]:
    """Photos in `folder/photos` with the pictures painted of them in `folder/painted`, by name
    without the ending.

    Reduced as by `read_pictures`, both alike. A name has a `problem` in place of a pair if one of
    the two files is missing, there twice, unreadable or of another size. Raises `ImpastoError` if a
    folder does not exist or holds no image file, and at the end if there was not one pair.
    """
    photos, painted = (_by_name(Path(folder) / part) for part in ("photos", "painted"))
    names = sorted(photos.keys() | painted.keys())
    pool = ThreadPoolExecutor(2)
    found = 0
    try:
        results = pool.map(
            lambda name: _attempt_pair(name, photos.get(name, []), painted.get(name, [])), names
        )
        for done, (name, (pair, problem)) in enumerate(zip(names, results, strict=True), start=1):
            found += pair is not None
            yield PairReading(name, done, len(names), pair, problem)
    finally:
        pool.shutdown(cancel_futures=True)
    if not found:
        raise ImpastoError(
            f"there is no pair in {folder}; give photos/NAME.jpg with painted/NAME.jpg, of one size"
        )


def _by_name(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in _image_files(folder):
        found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    return found


def _attempt_pair(
    name: str, photos: Sequence[Path], painted: Sequence[Path]
) -> tuple[tuple[Tensor, Tensor] | None, str]:
    if (len(photos), len(painted)) != (1, 1):
        return (
            None,
            f"{name}: {len(photos)} in photos and {len(painted)} in painted; a pair is one of each",
        )
    try:
        # Not decoded at a fraction as single pictures are: a JPEG's rounded sides might miss its
        # partner's.
        photo, result = open_picture(photos[0]), open_picture(painted[0])
    except ImpastoError as error:
        return None, str(error)
    sizes = [f"{each.image.shape[3]} x {each.image.shape[2]}" for each in (photo, result)]
    if sizes[0] != sizes[1]:
        return (
            None,
            f"{name}: the photo has {sizes[0]} pixels and the painted picture {sizes[1]}; make them alike",
        )
    return (_reduced(photo), _reduced(result)), ""


def folder_names(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """What a recipe may tell of where files are: not the folders above them."""
    return [Path(os.path.abspath(path)).name for path in paths]


def randomness(seed: int, *stream: int) -> np.random.Generator:
    """The random generator of one purpose at one step: its draws depend on these numbers alone."""
    return np.random.default_rng((seed, *stream))


def normals(random: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal float32 numbers on the CPU."""
    return torch.from_numpy(random.standard_normal(shape, dtype=np.float32))


def crop(
    pictures: Sequence[Tensor],
    random: np.random.Generator,
    size: int,
    smallest: int = _SMALLEST_CROP,
) -> Tensor:
    """A random square of a random picture, float32 `(C, size, size)` in [0, 1]; half are mirrored.

    Its side in the picture (uint8 `(C, H, W)`) is log-uniform in `smallest` to 288 px, or what the
    picture has.
    """
    picture = pictures[int(random.integers(len(pictures)))]
    height, width = picture.shape[-2:]
    side = round(log_uniform(random, smallest, _SHORT))
    side = min(side, height, width)
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    image = _resized(picture[:, top : top + side, left : left + side], (size, size))[0]
    return image.flip(2) if random.random() < 0.5 else image


def middles(pictures: Sequence[Tensor], size: int) -> Tensor:
    """The largest square in the middle of each picture (uint8 `(C, H, W)`), float32 `(N, C, size,
    size)` in [0, 1].
    """
    found = []
    for picture in pictures:
        height, width = picture.shape[-2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        found.append(_resized(picture[:, top : top + side, left : left + side], (size, size)))
    return torch.cat(found)


def hold_out(
    pictures: Sequence[Tensor], random: np.random.Generator, most: int
) -> tuple[list[Tensor], list[Tensor]]:
    """`(kept for validation, to train on)`: one in eight, at least one and at most `most`, is kept.

    Raises `ImpastoError` for fewer than two pictures.
    """
    if len(pictures) < 2:
        raise ImpastoError(
            "one picture to train on and one to validate with are needed; give more data"
        )
    order = random.permutation(len(pictures))
    count = max(1, min(most, len(pictures) // 8))
    return [pictures[i] for i in order[:count]], [pictures[i] for i in order[count:]]


def scaled(picture: Tensor, long: int) -> Tensor:
    """The whole picture (uint8 `(C, H, W)`) with a long side of `long` px, float32 `(1, C, H', W')`
    in [0, 1].
    """
    height, width = picture.shape[-2:]
    scale = long / max(height, width)
    return _resized(picture, (round(height * scale), round(width * scale)))


def _resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(
        picture[None].float() / 255, size=size, mode="bilinear", antialias=True, align_corners=False
    )


def recolored(image: Tensor, random: np.random.Generator) -> Tensor:
    """`image`, float32 `(3, H, W)` in [0, 1], in other colours: channels exchanged, negative,
    contrast and cast.
    """
    if random.random() < 0.5:
        image = image[torch.from_numpy(random.permutation(3))]
    if random.random() < 0.3:
        image = 1 - image
    mean = image.mean((1, 2), keepdim=True)
    image = mean + (image - mean) * random.uniform(0.5, 1.4)
    return (image + 0.1 * torch.from_numpy(random.standard_normal((3, 1, 1))).float()).clamp(0, 1)


def flat(photo: Tensor, random: np.random.Generator) -> Tensor:
    """A plain or graded area the size of `photo`, float32 `(3, S, S)` in [0, 1], half of the time
    around a piece of it.

    Skies, walls, paper, products on white: what a network is never shown it paints with a dot grid.
    Colours are those of the photo, white, black or grey.
    """
    size = photo.shape[-1]
    ends = [_plain_color(photo, random) for _ in range(2)]
    angle = random.uniform(0, 2 * math.pi)
    ramp = torch.linspace(-0.5, 0.5, size)
    way = 0.5 + (math.cos(angle) * ramp[:, None] + math.sin(angle) * ramp) / (
        abs(math.cos(angle)) + abs(math.sin(angle))
    )
    image = ends[0] + (ends[1] - ends[0]) * way * (random.random() < 0.6)
    if random.random() < 0.5:
        image = image.clone()
        side = int(random.integers(size // 5, size // 2))
        top, left = (int(x) for x in random.integers(size - side + 1, size=2))
        image[:, top : top + side, left : left + side] = photo[
            :, top : top + side, left : left + side
        ]
    return (image + float(random.uniform(0, 0.006)) * normals(random, *photo.shape)).clamp(0, 1)


def _plain_color(photo: Tensor, random: np.random.Generator) -> Tensor:
    kind = random.random()
    if kind < 0.5:
        y, x = random.integers(photo.shape[-1], size=2)
        return photo[:, y, x].view(3, 1, 1)
    grey = float(random.choice((0.0, 1.0))) if kind < 0.8 else random.random()
    return torch.full((3, 1, 1), grey)


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A number between `low` and `high`, every octave as likely as any other."""
    return math.exp(random.uniform(math.log(low), math.log(high)))


def augment(image: Tensor, random: np.random.Generator, pictures: Sequence[Tensor]) -> Tensor:
    """Now and then a distortion of `image`, float32 `(3, S, S)` in [0, 1] as is the result.

    An optimiser that follows an encoder's gradient leaves the natural pictures: it makes noise,
    foreign texture, blur, flat colours and colours out of balance. An encoder meant for that must
    have seen such pictures.
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
    grain = normals(random, 1, 3 if random.random() < 0.7 else 1, coarse, coarse) * random.uniform(
        0, 0.25
    )
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


_CHANGES: tuple[
    tuple[float, Callable[[Tensor, np.random.Generator, Sequence[Tensor]], Tensor]], ...
] = (
    (0.25, _noisy),
    (0.15, _textured),
    (0.10, _enlarged),
    (0.08, _nothing_but_noise),
)
