"""impasto: neural style transfer that people keep.

    import impasto
    picture = impasto.stylize("photo.jpg", "painting.jpg")   # a PIL image

Names are loaded when first used, so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Encoder",
    "ImpastoError",
    "Job",
    "Objective",
    "OptimizeConfig",
    "PixelOptimizer",
    "load_encoder",
    "open_picture",
    "plan",
    "save_picture",
    "stylize",
]

_HOMES = {
    "Encoder": "impasto.nets.encoder",
    "ImpastoError": "impasto.errors",
    "Job": "impasto.compose.picture",
    "Objective": "impasto.objective",
    "OptimizeConfig": "impasto.stylizers.optimize",
    "PixelOptimizer": "impasto.stylizers.optimize",
    "load_encoder": "impasto.nets.weights",
    "open_picture": "impasto.image",
    "plan": "impasto.compose.picture",
    "save_picture": "impasto.image",
    "stylize": "impasto.compose.picture",
}

if TYPE_CHECKING:
    from impasto.compose.picture import Job, plan, stylize
    from impasto.errors import ImpastoError
    from impasto.image import open_picture, save_picture
    from impasto.nets.encoder import Encoder
    from impasto.nets.weights import load_encoder
    from impasto.objective import Objective
    from impasto.stylizers.optimize import OptimizeConfig, PixelOptimizer


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
