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
    from impasto.losses.base import STYLE_LOSSES, StyleLoss
    from impasto.losses.objective import Objective, Term, content_term, style_term, variation_term
    from impasto.losses.presets import PRESETS
    from impasto.losses.style.gram import GRAM
    from impasto.methods.base import METHODS, Frame, Method, Renderer, StyleInput
    from impasto.methods.optimize import PixelOptimizer
    from impasto.methods.stylizer import Progress
    from impasto.methods.two_stage import TwoStage
    from impasto.methods.upscale import upscale
    from impasto.networks.checkpoint import load_network
    from impasto.networks.encoder import Encoder
    from impasto.networks.loaded import Networks
    from impasto.networks.weights import load_encoder
    from impasto.pictures.image import open_picture, save_picture
    from impasto.pictures.recipes import read_recipe
    from impasto.pipeline import Job, plan, stylize
    from impasto.settings import Settings

_HOMES = {
    "GRAM": "impasto.losses.style.gram:GRAM",
    "METHODS": "impasto.methods.base:METHODS",
    "PRESETS": "impasto.losses.presets:PRESETS",
    "STYLE_LOSSES": "impasto.losses.base:STYLE_LOSSES",
    "DivergedError": "impasto.errors:DivergedError",
    "Encoder": "impasto.networks.encoder:Encoder",
    "Frame": "impasto.methods.base:Frame",
    "ImpastoError": "impasto.errors:ImpastoError",
    "InputError": "impasto.errors:InputError",
    "Job": "impasto.pipeline:Job",
    "Method": "impasto.methods.base:Method",
    "Networks": "impasto.networks.loaded:Networks",
    "Objective": "impasto.losses.objective:Objective",
    "OptionError": "impasto.errors:OptionError",
    "PixelOptimizer": "impasto.methods.optimize:PixelOptimizer",
    "Progress": "impasto.methods.stylizer:Progress",
    "Renderer": "impasto.methods.base:Renderer",
    "Settings": "impasto.settings:Settings",
    "StyleInput": "impasto.methods.base:StyleInput",
    "StyleLoss": "impasto.losses.base:StyleLoss",
    "Term": "impasto.losses.objective:Term",
    "TwoStage": "impasto.methods.two_stage:TwoStage",
    "WeightsError": "impasto.errors:WeightsError",
    "content_term": "impasto.losses.objective:content_term",
    "load_encoder": "impasto.networks.weights:load_encoder",
    "load_network": "impasto.networks.checkpoint:load_network",
    "open_picture": "impasto.pictures.image:open_picture",
    "plan": "impasto.pipeline:plan",
    "read_recipe": "impasto.pictures.recipes:read_recipe",
    "save_picture": "impasto.pictures.image:save_picture",
    "style_term": "impasto.losses.objective:style_term",
    "stylize": "impasto.pipeline:stylize",
    "upscale": "impasto.methods.upscale:upscale",
    "variation_term": "impasto.losses.objective:variation_term",
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
    "upscale",
    "variation_term",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
