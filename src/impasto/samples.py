"""Sample photos to try things on: those that ship inside scikit-image, so nothing is ever downloaded."""

from importlib.resources import as_file, files

from PIL import Image

from impasto.errors import ImpastoError

__all__ = ["sample", "sample_names"]

# Colour photos in the scikit-image wheel that its docs declare public domain or CC0.
_FILES = {
    "astronaut": "astronaut.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "galaxies": "hubble_deep_field.jpg",
    "rocket": "rocket.jpg",
}


def sample_names() -> tuple[str, ...]:
    """The names `sample` knows, sorted."""
    return tuple(sorted(_FILES))


def sample(name: str) -> Image.Image:
    """A sample photo by name, RGB, its sides between 300 and 1000 pixels.

    Raises `ImpastoError` for an unknown name, or if this build of scikit-image ships without the photo.
    """
    if name not in _FILES:
        raise ImpastoError(f"no sample is called {name!r}; choose from {', '.join(sample_names())}")
    photo = files("skimage") / "data" / _FILES[name]
    if not photo.is_file():
        raise ImpastoError(f"this scikit-image ships without the sample {name!r}; open a photo of your own")
    with as_file(photo) as path, Image.open(path) as image:
        return image.convert("RGB")
