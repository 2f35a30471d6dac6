"""impasto: neural style transfer that people keep.

    import impasto
    picture = impasto.stylize("photo.jpg", "painting.jpg")   # a PIL image

Names are loaded when first used, so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from impasto.errors import DivergedError, ImpastoError, InputError, OptionError, WeightsError
    from impasto.image import open_picture, save_picture
    from impasto.methods.base import METHODS, Frame, Method, Renderer, StyleInput
    from impasto.methods.two_stage import TwoStage
    from impasto.nets.encoder import Encoder
    from impasto.nets.loaded import Networks
    from impasto.nets.painter import load_painter
    from impasto.nets.weights import load_encoder
    from impasto.objective import Objective
    from impasto.pipeline import Job, plan, stylize
    from impasto.settings import Settings
    from impasto.styleloss import STYLE_LOSSES, StyleLoss
    from impasto.stylizers.core import Step
    from impasto.stylizers.optimize import PixelOptimizer

_HOMES = {
    "DivergedError": "impasto.errors",
    "Encoder": "impasto.nets.encoder",
    "Frame": "impasto.methods.base",
    "ImpastoError": "impasto.errors",
    "InputError": "impasto.errors",
    "Job": "impasto.pipeline",
    "METHODS": "impasto.methods.base",
    "Method": "impasto.methods.base",
    "Networks": "impasto.nets.loaded",
    "Objective": "impasto.objective",
    "OptionError": "impasto.errors",
    "PixelOptimizer": "impasto.stylizers.optimize",
    "Renderer": "impasto.methods.base",
    "STYLE_LOSSES": "impasto.styleloss",
    "Settings": "impasto.settings",
    "Step": "impasto.stylizers.core",
    "StyleLoss": "impasto.styleloss",
    "StyleInput": "impasto.methods.base",
    "TwoStage": "impasto.methods.two_stage",
    "WeightsError": "impasto.errors",
    "load_encoder": "impasto.nets.weights",
    "load_painter": "impasto.nets.painter",
    "open_picture": "impasto.image",
    "plan": "impasto.pipeline",
    "save_picture": "impasto.image",
    "stylize": "impasto.pipeline",
}

__all__ = [
    "METHODS",
    "STYLE_LOSSES",
    "DivergedError",
    "Encoder",
    "Frame",
    "ImpastoError",
    "InputError",
    "Job",
    "Method",
    "Networks",
    "Objective",
    "OptionError",
    "PixelOptimizer",
    "Renderer",
    "Settings",
    "Step",
    "StyleInput",
    "StyleLoss",
    "TwoStage",
    "WeightsError",
    "load_encoder",
    "load_painter",
    "open_picture",
    "plan",
    "save_picture",
    "stylize",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
