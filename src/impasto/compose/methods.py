"""The ways to paint behind `--method`: what each needs, what each cannot honour, and the stylizer that does it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from impasto.errors import ImpastoError
from impasto.image import Source
from impasto.nets.bank import Bank, own_bank
from impasto.nets.encoder import Pooling
from impasto.nets.painter import PAINTER, Painter, load_painter
from impasto.nets.weights import EMBEDDED, load_encoder
from impasto.plates import names as plate_names
from impasto.stylizers.core import Stylizer
from impasto.stylizers.feedforward import FeedForward, Refined, RefinedStyle
from impasto.stylizers.optimize import OptimizeConfig, PixelOptimizer

__all__ = ["Method", "Way", "Wish", "needs_pictures", "refuse", "way"]

Method = Literal["optimize", "arbitrary", "fast"]

# Options of the optimiser that a network has no use for.
_DESCENT = tuple(name for name in OptimizeConfig.__dataclass_fields__ if name not in ("strength", "style_scale"))
_DEFAULT = OptimizeConfig()


@dataclass(frozen=True)
class Wish:
    """What was asked for; see `plan`."""

    method: Method
    refine: int
    styles: tuple[Source, ...]
    weights: tuple[float, ...]
    keep_color: str
    encoder: str | Path
    pooling: Pooling
    device: str
    start: Tensor | None
    network: str | Path
    config: OptimizeConfig


@dataclass(frozen=True)
class Way:
    """A stylizer with its style prepared, and what a recipe should tell of both."""

    stylizer: Stylizer[Any]
    style: Any
    recipe: dict[str, object]


def needs_pictures(wish: Wish) -> bool:
    """Whether the styles are looked at, or only named."""
    return wish.method != "fast" or wish.refine > 0


def refuse(wish: Wish) -> None:
    """`ImpastoError` naming the option that this method cannot honour, if there is one."""
    method, config = wish.method, wish.config
    if method not in get_args(Method):
        raise ImpastoError(f"unknown method {method!r}; choose {', '.join(get_args(Method))}")
    if not 0 <= wish.refine <= 1_000_000:
        raise ImpastoError(f"refine must be 0 or more steps, not {wish.refine}")
    if method == "optimize":
        if wish.refine:
            raise ImpastoError("--refine starts from a network's picture; add --method arbitrary, or use --steps")
        if wish.network != PAINTER:
            raise ImpastoError("--network has no say in --method optimize; add --method arbitrary or fast")
        return
    if wish.refine:
        for name, instead in (("steps", "--refine says how many"), ("pyramid", "it works at full size")):
            if getattr(config, name) is not None:
                raise ImpastoError(f"--{name} cannot be given with --refine: {instead}")
        if wish.start is not None or config.init is not None:
            raise ImpastoError("--init cannot be given with --refine, which starts from the one-pass picture")
        if config.seed != _DEFAULT.seed:
            raise ImpastoError("--seed cannot be given with --refine: there is no noise to draw")
    else:
        asked = [name for name in _DESCENT if getattr(config, name) != getattr(_DEFAULT, name)]
        asked += ["init"] * (wish.start is not None)
        asked += ["encoder"] * (wish.encoder != EMBEDDED) + ["pooling"] * (wish.pooling != "max")
        if method == "fast":
            asked += ["style_scale"] * (config.style_scale != 1)
            asked += ["keep_color statistics"] * (wish.keep_color == "statistics")
        if asked:
            option = "--" + asked[0].replace("_", "-", 1 if " " in asked[0] else -1)
            raise ImpastoError(f"{option} has no say in --method {method}: a network paints in one pass")
    if method == "fast":
        _only_names(wish)


def _only_names(wish: Wish) -> None:
    for style in wish.styles:
        if not isinstance(style, str) or os.path.isfile(style):
            raise ImpastoError(
                f"--method fast paints the styles it has learned, by name, and {_called(style)} is a picture: use "
                "--method arbitrary, or learn it first (impasto learn PAINTING --name NAME)"
            )
        if wish.refine and style not in plate_names():
            raise ImpastoError(
                f"--refine needs the painting itself, and a learned style like {style!r} is only a vector; use "
                "--method arbitrary with the picture"
            )


def _called(style: Source) -> str:
    return str(style) if isinstance(style, str | os.PathLike) else f"a {type(style).__name__}"


def way(wish: Wish, pictures: Sequence[Tensor]) -> Way:
    """The stylizer and its style, from the style `pictures` where the method looks at any."""
    build: Callable[[Wish, Sequence[Tensor]], Way] = _optimized if wish.method == "optimize" else _painted
    return build(wish, pictures)


def _optimized(wish: Wish, pictures: Sequence[Tensor]) -> Way:
    stylizer = _optimizer(wish, wish.config)
    style = stylizer.blend([stylizer.prepare(picture) for picture in pictures], wish.weights)
    return Way(stylizer, style, {**_computed(stylizer), **asdict(wish.config)})


def _optimizer(wish: Wish, config: OptimizeConfig) -> PixelOptimizer:
    encoder = load_encoder(wish.encoder, pooling=wish.pooling, device=wish.device)
    return PixelOptimizer(encoder, config, start=wish.start)


def _painted(wish: Wish, pictures: Sequence[Tensor]) -> Way:
    painter = _painter(wish)
    reads = wish.method == "arbitrary" or (wish.config.strength < 1 and painter.own is None)
    if wish.method == "arbitrary" and painter.predictor is None:
        raise ImpastoError(f"{Path(wish.network).name} only knows styles by name; use --method fast")
    encoder = load_encoder(painter.encoder, device=wish.device) if reads and painter.predictor is not None else None
    quick = FeedForward(painter, encoder, strength=wish.config.strength)
    if wish.method == "fast":
        vectors = [quick.named(str(name)) for name in wish.styles]
    else:
        vectors = [quick.prepare(picture) for picture in pictures]
    vector = quick.blend(vectors, wish.weights)
    recipe: dict[str, object] = {"network_fingerprint": painter.bank.network}
    if not wish.refine:
        own = ("strength", "style_scale") if wish.method == "arbitrary" else ("strength",)
        kind = str(painter.transformer.dtype).removeprefix("torch.")
        asked = {name: getattr(wish.config, name) for name in own}
        return Way(quick, vector, {**recipe, "device": str(painter.device), "dtype": kind, **asked})
    slow = _optimizer(wish, replace(wish.config, steps=wish.refine, pyramid=False))
    style = slow.blend([slow.prepare(picture) for picture in pictures], wish.weights)
    unused = ("steps", "pyramid", "init", "seed")
    asked = {name: value for name, value in asdict(wish.config).items() if name not in unused}
    return Way(Refined(quick, slow), RefinedStyle(vector, style), {**recipe, **_computed(slow), **asked})


def _computed(stylizer: PixelOptimizer) -> dict[str, object]:
    encoder = stylizer.encoder
    return {"device": str(encoder.device), "dtype": str(encoder.dtype).removeprefix("torch.")}


def _painter(wish: Wish) -> Painter:
    """The network with its own styles and, where they are for this network, the user's."""
    painter = load_painter(wish.network, device=wish.device)
    path = own_bank()
    if wish.method != "fast" or not path.is_file():
        return painter
    bank = Bank.load(path)
    if bank.network == painter.bank.network:
        return painter.knowing(bank)
    missing = [name for name in wish.styles if name in bank.vectors and name not in painter.bank.vectors]
    if missing:
        raise ImpastoError(f"the style {missing[0]!r} in {path} was learned for another network; learn it again")
    return painter
