"""Samples to try things on: photos that ship inside scikit-image, and styles that ship with this
package.

Nothing is ever downloaded. The styles are drawn by code of this package's own (`tools/plates` in
its repository).
"""

import os
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from impasto.errors import InputError

__all__ = ["STYLES", "UnknownSampleError", "named", "sample", "sample_names", "sample_style"]

# Colour photos in the scikit-image wheel that its docs declare public domain or CC0.
_PHOTOS = {
    "astronaut": "astronaut.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "galaxies": "hubble_deep_field.jpg",
    "rocket": "rocket.jpg",
}

STYLES: Mapping[str, str] = MappingProxyType(
    {
        "autumn-knife": "palette-knife slabs of an autumn alley and its wet reflection, orange on violet",
        "ink-hatching": "an etched castle and bridge: hatching that follows form and crosses where it darkens",
        "mosaic": "stone tesserae along the contours of two fish, each catching its own light",
        "night-swirl": "thick strokes wheeling over a night sky, deep blues and lamp yellow",
        "orphism": "interlocking discs of pure contrasting colour, brushed facet by facet",
        "pointillism": "thousands of divided-colour dots over a sunny bay with sails and pines",
        "stained-glass": "leaded panes round a sun over hills, glowing glass and rounded lead",
        "water-garden": "soft layered touches of lily pads on reflecting water, greens, lilacs and pinks",
        "waves": "a great wave in the manner of a woodblock print: Prussian blue, claws of foam, cream sky",
        "woodcut": "bold black gouges over a red and cream ground: sun, mountains, a bare tree",
    }
)
"""The sample styles, and what each shows."""


class UnknownSampleError(InputError):
    """A name of no file and no sample; `called` is that name, which may be another thing's."""

    def __init__(self, called: str) -> None:
        super().__init__(
            f"no file and no sample called {called!r}; sample styles: {', '.join(STYLES)}; "
            f"sample photos: {', '.join(sample_names())} (impasto styles lists learned ones, too)"
        )
        self.called = called

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.called,)  # for other processes: by its name, not its message


def sample_names() -> tuple[str, ...]:
    """The names `sample` knows, sorted."""
    return tuple(sorted(_PHOTOS))


def sample(name: str) -> Image.Image:
    """A sample photo by name, RGB, its sides between 300 and 1000 pixels.

    Raises `InputError` for an unknown name, or if this build of scikit-image ships without the
    photo.
    """
    if name not in _PHOTOS:
        raise InputError(f"no sample is called {name!r}; choose from {', '.join(sample_names())}")
    photo = files("skimage") / "data" / _PHOTOS[name]
    if not photo.is_file():
        raise InputError(
            f"this scikit-image ships without the sample {name!r}; open a photo of your own"
        )
    with as_file(photo) as path, Image.open(path) as image:
        return image.convert("RGB")


def sample_style(name: str) -> Image.Image:
    """A sample style by name, RGB, 1024 x 1024 pixels; `InputError` for an unknown name."""
    if name not in STYLES:
        raise InputError(f"no sample style is called {name!r}; choose from {', '.join(STYLES)}")
    with (
        (files("impasto") / "assets" / "styles" / f"{name}.webp").open("rb") as file,
        Image.open(file) as image,
    ):
        return image.convert("RGB")


def named(source: str) -> Image.Image | None:
    """The sample style or photo of that name; None where it names a file, which wins.

    Raises `InputError` for what can be neither.
    """
    if os.path.exists(source):
        return None
    if source in STYLES:
        return sample_style(source)
    if source in sample_names():
        return sample(source)
    if source == "-":
        raise InputError("nothing is read from a pipe: save the picture to a file, and name that")
    if not Path(source).suffix and "://" not in source:
        raise UnknownSampleError(source)
    return None
