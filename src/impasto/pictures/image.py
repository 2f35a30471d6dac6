"""Pictures in and out: the currency is float32 RGB in [0, 1], shape (1, 3, H, W), sRGB-coded, on
the CPU.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from impasto.errors import InputError, OptionError, kind_of
from impasto.forks import survive_forks
from impasto.pictures.files import MAX_PIXELS, Array, decode, decode_all, decoding, opened
from impasto.pictures.painted import PaintedImage
from impasto.pictures.planes import MIN_SIDE, fit, planes, unit
from impasto.pictures.recipes import read_recipe, recipe_options
from impasto.pictures.tiles import bytes_of
from impasto.pictures.writing import FORMATS, atomic_write, check_output, format_options

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "Picture",
    "Source",
    "bytes_to_pil",
    "check_output",
    "fit",
    "open_bytes",
    "open_picture",
    "read_recipe",
    "resample",
    "resize",
    "save_notes",
    "save_picture",
    "to_pil",
]

Source: TypeAlias = str | os.PathLike[str] | Image.Image | Array | Tensor
"""Anything `open_picture` takes."""

_ROUNDING = (
    1e-4  # how far outside [0, 1] a float may lie and still count as rounding; it is clamped
)


@dataclass(frozen=True, eq=False)
class Picture:
    """An opened picture.

    - `image`: float32 (1, 3, H, W) in [0, 1], not multiplied by alpha. Where alpha is 0 it continues
      what is seen: colours that nobody sees are not read.
    - `alpha`: float32 (1, 1, H, W) in [0, 1], or None where every pixel is opaque.
    - `notes`: what was decided on the way and is worth telling, e.g. "first frame of 12 used".
    - `exif`: what EXIF says of it, as a block (see `impasto.pictures.exif`); empty for nothing.
    """

    image: Tensor
    alpha: Tensor | None
    notes: tuple[str, ...]
    exif: bytes = b""


@torch.inference_mode(False)
def open_picture(source: Source, *, size: int | None = None) -> Picture:
    """Any picture as RGB in [0, 1], with its alpha and what is worth knowing about it.

    - `source`: the path of a file Pillow reads; a PIL image; an array (H, W), (H, W, 1 | 3 | 4) of
      uint8, uint16 or float in [0, 1]; or a tensor ([1,] 1 | 3 | 4, H, W) of uint8 or float in
      [0, 1]. One channel is grey, the fourth is alpha. Files and PIL images are set upright by
      their EXIF orientation and converted to sRGB by their ICC profile; of an animation the first
      frame is taken.
    - `size`: the long side in pixels. A larger picture is reduced to it (Lanczos, colours weighted
      by alpha so that what is transparent does not bleed); a smaller one is left as it is.

    Raises `ImpastoError` for what cannot be read, is truncated, is not finite or outside [0, 1], is
    transparent all over, is shorter than `MIN_SIDE` on a side (also after the reduction) or has
    more than `MAX_PIXELS` pixels.
    """
    survive_forks()
    if size is not None and (
        isinstance(size, bool) or not hasattr(size, "__index__") or size < MIN_SIDE
    ):
        raise OptionError(
            f"size {size!r} is not a long side in pixels; give a whole number from {MIN_SIDE}"
        )
    name, pixels, notes, exif = _pixels(source)
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{name} is {width} x {height} pixels; each side needs at least {MIN_SIDE}"
        )
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} x {height} pixels, more than {MAX_PIXELS}; reduce it first"
        )
    target = fit(height, width, size or max(height, width))
    if min(target) < MIN_SIDE:
        raise InputError(
            f"{name} would be {target[1]} x {target[0]} pixels at size {size}; ask for a larger size"
        )
    image, alpha = _planes(name, pixels, target)
    return Picture(image, alpha, notes, exif)


def open_bytes(source: Source, long_side: int) -> Picture:
    """As `open_picture`, for what is too large for floating point: `image` and `alpha` are uint8.

    The picture is brought to `long_side` px, enlarged if need be (bicubic; reduced: Lanczos).
    """
    name, pixels, notes, exif = _pixels(source)
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE or height * width > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} x {height} pixels; it needs {MIN_SIDE} a side and at most {MAX_PIXELS} in all"
        )
    if pixels.dtype != np.uint8:
        levels = [np.rint(unit(pixels[..., c]) * 255) for c in range(pixels.shape[2])]
        pixels = np.dstack(levels).astype(np.uint8)
    if pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    factor = long_side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size != (width, height):
        how = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS
        # Pillow weights colours by alpha; the whole fraction that is divided out first costs little.
        image = Image.fromarray(np.ascontiguousarray(pixels))
        pixels = np.asarray(image.resize(size, how, reducing_gap=3.0))
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    opaque = planes.shape[1] == 3 or bool((planes[:, 3] == 255).all())
    return Picture(planes[:, :3], None if opaque else planes[:, 3:], notes, exif)


def _pixels(source: Source) -> tuple[str, Array, tuple[str, ...], bytes]:
    """A name for messages, (H, W, 1 | 3 | 4) pixels of uint8, uint16 or float in [0, 1], notes, and
    EXIF.
    """
    if isinstance(source, (str, os.PathLike)):
        if not os.fspath(source):
            raise InputError("the name of a picture is empty; name a file")
        path = Path(source)
        with opened(path) as image:
            return str(path), *decode_all(image)
    if isinstance(source, Image.Image):
        with decoding("the picture"):
            return "the picture", *decode_all(source)
    if isinstance(source, Tensor):
        return "the tensor", _checked(_channels_last(source), "the tensor"), (), b""
    if isinstance(source, np.ndarray):
        pixels = source[..., None] if source.ndim == 2 else source
        return "the array", _checked(pixels, "the array"), (), b""
    raise InputError(f"{kind_of(source)} is not a picture; give a path, PIL image, array or tensor")


def _channels_last(tensor: Tensor) -> Array:
    try:
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.float()  # numpy has no bfloat16
        tensor.numpy()
    except (NotImplementedError, RuntimeError, TypeError) as error:  # meta, sparse, quantised
        reason = " ".join(str(error).split())
        raise InputError(f"the tensor has no values to read ({reason}); give a dense one") from None
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        raise InputError(
            f"a tensor of shape {tuple(tensor.shape)} is not a picture; give ([1,] 3, H, W)"
        )
    return tensor.permute(1, 2, 0).numpy()


def _checked(pixels: Array, name: str) -> Array:
    """The same array, known to be (H, W, 1 | 3 | 4), not empty, of a known type and in its range."""
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or pixels.size == 0:
        shape = " x ".join(map(str, pixels.shape))
        raise InputError(
            f"{name} ({shape}) is not a picture; it needs a height, a width and 1, 3 or 4 channels"
        )
    if pixels.dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return pixels
    if pixels.dtype.kind != "f":
        raise InputError(
            f"{name} is of type {pixels.dtype}; give uint8, uint16 or floats in [0, 1]"
        )
    if not np.isfinite(pixels).all():
        raise InputError(f"{name} holds NaN or infinite values; replace them first")
    low, high = float(pixels.min()), float(pixels.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise InputError(
            f"{name} ranges from {low:g} to {high:g}; scale it into [0, 1] or give uint8"
        )
    return pixels


def _planes(name: str, pixels: Array, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
    """`planes` as tensors, `(1, 3, H, W)` and `(1, 1, H, W)`."""
    color, alpha = planes(name, pixels, size)
    return torch.from_numpy(color)[None], None if alpha is None else torch.from_numpy(alpha)[None]


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) in [0, 1] resampled to `size` = (H, W): `resample`, clamped."""
    found = resample(image, size)
    return found if found is image else found.clamp(0, 1)


def resample(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) of any range, differences too, at `size` = (H, W): antialiased bicubic (Keys, a
    = -0.5).

    Differentiable. The same tensor comes back when it already has that size.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    if image.ndim != 4 or min(size) < 1:
        raise InputError(
            f"cannot resize a tensor of shape {tuple(image.shape)} to {size}; give (B, C, H, W)"
        )
    return functional.interpolate(
        image, size=size, mode="bicubic", align_corners=False, antialias=True
    )


def to_pil(image: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """(1, 3, H, W) in [0, 1], and alpha (1, 1, H, W) if any, as 8-bit RGB or RGBA: round(255 x),
    clamped.

    Raises `ImpastoError` for another shape, for integers and for values that are not finite.
    """
    if image.ndim != 4 or tuple(image.shape[:2]) != (1, 3):
        raise InputError(f"one picture at a time: give (1, 3, H, W), not {tuple(image.shape)}")
    if alpha is not None and alpha.shape != (1, 1, *image.shape[2:]):
        raise InputError(
            f"alpha {tuple(alpha.shape)} does not fit the picture {tuple(image.shape)}; resize it"
        )
    parts = (image,) if alpha is None else (image, alpha)
    for part in parts:
        if not part.is_floating_point() or not bool(torch.isfinite(part).all()):
            raise InputError(
                "the picture is not made of finite floats; lower the learning rate or the weights"
            )
    return bytes_to_pil(*(bytes_of(part.detach().float()) for part in parts))


def bytes_to_pil(image: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """The same of uint8, as it is."""
    whole = image if alpha is None else torch.cat([image, alpha], dim=1)
    return Image.fromarray(whole[0].permute(1, 2, 0).cpu().contiguous().numpy())


def save_notes(
    path: str | os.PathLike[str], image: Tensor | Image.Image, *, alpha: Tensor | None = None
) -> tuple[str, ...]:
    """What `save_picture` with the same arguments cannot keep, worth telling before or after it."""
    if FORMATS.get(Path(path).suffix.lower()) != "JPEG":
        return ()
    opaque = alpha is None or bool((alpha >= 1).all())
    if isinstance(image, Image.Image):
        opaque = opaque and not image.has_transparency_data
    return () if opaque else ("JPEG has no transparency: flattened on white",)


def save_picture(
    path: str | os.PathLike[str],
    image: Tensor | Image.Image,
    *,
    alpha: Tensor | None = None,
    recipe: Mapping[str, object] | None = None,
    quality: int = 95,
    dpi: int | None = None,
) -> Path:
    """Write a picture in the format of its suffix, whole or not at all, and return the path.

    - `image`: (1, 3, H, W) in [0, 1], with `alpha` (1, 1, H, W) if any; or a PIL image, which brings
      its own alpha. A `PaintedImage`, as `Job.finish` gives it, also brings its recipe and the EXIF
      it keeps; with a recipe given beside it, it still says how far it came.
    - `recipe`: how the picture was made, a JSON-able mapping; `read_recipe` gives it back.
    - `quality`: 1 to 100, for JPEG, WebP and AVIF; PNG and TIFF are lossless.
    - `dpi`: dots on an inch of paper, which PNG, JPEG and TIFF store.

    Of any other picture nothing but the pixels (sRGB, which a viewer assumes) and the recipe is
    written. JPEG is
    flattened on white, which `save_notes` tells, and JPEG and AVIF keep the full resolution of
    colour (4:4:4). Raises `ImpastoError` for what `check_output` refuses and what cannot be
    encoded.
    """
    if not isinstance(image, Tensor | Image.Image):
        raise InputError(
            f"{kind_of(image)} is not saved as a picture; give a PIL image or a tensor (1, 3, H, W)"
        )
    path = check_output(path)
    form = FORMATS[path.suffix.lower()]
    if not 1 <= quality <= 100:
        raise OptionError(f"quality {quality} is not between 1 and 100; 95 is a good choice")
    picture = _eight_bit(image, alpha)
    if form == "JPEG" and picture.mode == "RGBA":
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    exif = b""
    if isinstance(image, PaintedImage):
        exif, own = image.exif, image.recipe or {}
        came: dict[str, object] = {
            name: own[name] for name in ("steps_done", "unfinished") if name in own
        }
        recipe = image.recipe if recipe is None else {**recipe, **came}
    options = format_options(form, quality) | recipe_options(form, recipe, exif)
    if dpi is not None and form in ("JPEG", "PNG", "TIFF"):
        options["dpi"] = (dpi, dpi)
    try:
        with atomic_write(path) as partial, open(partial, "xb") as file:
            picture.save(file, format=form, **options)
    except (OSError, ValueError) as err:
        raise InputError(f"cannot save {path} ({err}); check the disk or try .png") from err
    return path


def _eight_bit(image: Tensor | Image.Image, alpha: Tensor | None) -> Image.Image:
    """RGB or RGBA without any metadata, which Pillow would otherwise write along."""
    if isinstance(image, Tensor):
        return to_pil(image, alpha)
    if alpha is not None:
        raise InputError("alpha goes with a tensor; a PIL image brings its own")
    with decoding("the picture"):
        pixels, _ = decode(image)
    if pixels.dtype != np.uint8:
        pixels = np.rint(
            np.dstack([unit(pixels[..., c]) for c in range(pixels.shape[2])]) * 255
        ).astype(np.uint8)
    return Image.fromarray(
        np.ascontiguousarray(pixels if pixels.shape[2] > 1 else pixels.repeat(3, axis=2))
    )
