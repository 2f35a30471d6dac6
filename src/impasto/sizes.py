"""Sizes as people say them: pixels, the photo's own, a multiple of it, paper; and amounts of memory."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator

from impasto.errors import OptionError

__all__ = ["SIZES", "Memory", "Size", "memory", "size"]

SIZES: Mapping[str, Any] = MappingProxyType(
    {"low": 32, "high": 16384, "shown": "PX|original|2x|30x40cm@300dpi"}
)
"""What `size` takes, for a list of options."""

_PAPER = re.compile(
    r"(?P<a>\d+(?:\.\d+)?)x(?P<b>\d+(?:\.\d+)?)(?P<unit>cm|mm|in)(?:@(?P<dpi>\d+)dpi)?"
)
_FACTOR = re.compile(r"(\d+(?:\.\d+)?)x")
_PIXELS = re.compile(r"(\d+)(?:px)?")
_INCH = {"cm": 2.54, "mm": 25.4, "in": 1.0}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*(kb|mb|gb|tb)", re.IGNORECASE)
_USUAL_DPI = 300


@dataclass(frozen=True)
class Size:
    """A long side to be: `pixels`, or `factor` times the photo's, or what fits on `paper`.

    `paper`: the two sides in inches, in any order, and `dpi` the dots on one inch of it.
    """

    pixels: int | None = None
    factor: float | None = None
    paper: tuple[float, float] | None = None
    dpi: int | None = None

    @property
    def relative(self) -> bool:
        """Whether the photo's own size has a say."""
        return self.pixels is None

    def long_side(self, height: int, width: int) -> int:
        """Of a photo of that size, px. It fits on the paper whole, upright or lying."""
        long, short = max(height, width), min(height, width)
        if self.pixels is not None:
            return self.pixels
        if self.factor is not None:
            return max(1, round(long * self.factor))
        assert self.paper is not None
        assert self.dpi is not None
        largest, smallest = max(self.paper) * self.dpi, min(self.paper) * self.dpi
        return max(1, math.floor(min(largest, smallest * long / short) + 0.5))


def size(text: str | int) -> Size:
    """`1024`, `original`, `2x`, `30x40cm@300dpi` (or mm, in; 300 dpi if not said); `OptionError`
    for anything else.
    """
    said = str(text).strip().lower().replace(" ", "")
    if found := _PIXELS.fullmatch(said):
        return Size(pixels=int(found[1][:9]))
    if said == "original":
        return Size(factor=1.0)
    if (found := _FACTOR.fullmatch(said)) and float(found[1]) > 0:
        return Size(factor=float(found[1]))
    if (found := _PAPER.fullmatch(said)) and min(float(found["a"]), float(found["b"])) > 0:
        inches = [float(found[side]) / _INCH[found["unit"]] for side in "ab"]
        dpi = int(found["dpi"] or _USUAL_DPI)
        if 1 <= dpi <= 4800:
            return Size(paper=(inches[0], inches[1]), dpi=dpi)
    raise OptionError(
        f"`size` takes pixels of the long side, original, a multiple as 2x, or paper as 30x40cm@300dpi, not {text!r}"
    )


def memory(text: str) -> float:
    """`4GB` in bytes, thousands to thousands; `ValueError`, whose text goes after the name of what was
    set, for anything else.
    """
    found = _MEMORY.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        raise ValueError(f"takes an amount as 4GB or 800MB, not {text!r}")
    return float(found[1]) * 1000.0 ** (1 + ("kb", "mb", "gb", "tb").index(found[2].lower()))


def _checked(text: str) -> str:
    memory(text)
    return text


Memory = Annotated[str, AfterValidator(_checked)]
"""A text that is an amount of memory, for pydantic."""
