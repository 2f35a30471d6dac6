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
    from impasto.losses import GRAM
    from impasto.methods.base import METHODS, Frame, Method, Renderer, StyleInput
    from impasto.methods.two_stage import TwoStage
    from impasto.nets.encoder import Encoder
    from impasto.nets.loaded import Networks
    from impasto.nets.painter import load_painter as load_network
    from impasto.nets.weights import load_encoder
    from impasto.objective import Objective, Term, content_term, style_term, variation_term
    from impasto.picturefile import read_recipe
    from impasto.pipeline import Job, plan, stylize
    from impasto.presets import PRESETS
    from impasto.settings import Settings
    from impasto.styleloss import STYLE_LOSSES, StyleLoss
    from impasto.stylizers.core import Progress
    from impasto.stylizers.optimize import PixelOptimizer

_HOMES = {
    "GRAM": "impasto.losses:GRAM",
    "METHODS": "impasto.methods.base:METHODS",
    "PRESETS": "impasto.presets:PRESETS",
    "STYLE_LOSSES": "impasto.styleloss:STYLE_LOSSES",
    "DivergedError": "impasto.errors:DivergedError",
    "Encoder": "impasto.nets.encoder:Encoder",
    "Frame": "impasto.methods.base:Frame",
    "ImpastoError": "impasto.errors:ImpastoError",
    "InputError": "impasto.errors:InputError",
    "Job": "impasto.pipeline:Job",
    "Method": "impasto.methods.base:Method",
    "Networks": "impasto.nets.loaded:Networks",
    "Objective": "impasto.objective:Objective",
    "OptionError": "impasto.errors:OptionError",
    "PixelOptimizer": "impasto.stylizers.optimize:PixelOptimizer",
    "Progress": "impasto.stylizers.core:Progress",
    "Renderer": "impasto.methods.base:Renderer",
    "Settings": "impasto.settings:Settings",
    "StyleInput": "impasto.methods.base:StyleInput",
    "StyleLoss": "impasto.styleloss:StyleLoss",
    "Term": "impasto.objective:Term",
    "TwoStage": "impasto.methods.two_stage:TwoStage",
    "WeightsError": "impasto.errors:WeightsError",
    "content_term": "impasto.objective:content_term",
    "load_encoder": "impasto.nets.weights:load_encoder",
    "load_network": "impasto.nets.painter:load_painter",
    "open_picture": "impasto.image:open_picture",
    "plan": "impasto.pipeline:plan",
    "read_recipe": "impasto.picturefile:read_recipe",
    "save_picture": "impasto.image:save_picture",
    "style_term": "impasto.objective:style_term",
    "stylize": "impasto.pipeline:stylize",
    "variation_term": "impasto.objective:variation_term",
}

__all__ = [
    "GRAM",
    "METHODS",
    "PRESETS",
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
    "Progress",
    "Renderer",
    "Settings",
    "StyleInput",
    "StyleLoss",
    "Term",
    "TwoStage",
    "WeightsError",
    "content_term",
    "load_encoder",
    "load_network",
    "open_picture",
    "plan",
    "read_recipe",
    "save_picture",
    "style_term",
    "stylize",
    "variation_term",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
