"""The ways to paint behind `--method`: what each needs, what each cannot honour, and the stylizer that does it."""

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from torch import Tensor

from impasto.errors import ImpastoError
from impasto.home import own_bank
from impasto.image import Source, resize
from impasto.nets.encoder import Encoder, Pooling
from impasto.nets.painter import PAINTER, Painter, load_painter
from impasto.nets.weights import EMBEDDED, load_encoder
from impasto.plates import names as plate_names
from impasto.samples import sample_names
from impasto.stylizers.core import Stylizer
from impasto.stylizers.feedforward import Begun, FeedForward, Refined, RefinedStyle
from impasto.stylizers.optimize import OptimizeConfig, PixelOptimizer

__all__ = ["PASS_STEPS", "Method", "Networks", "Way", "Wish", "by_name", "refuse", "way"]

Method = Literal["optimize", "arbitrary", "fast"]
_Net = TypeVar("_Net", Painter, Encoder)

# Options of the optimiser that a network has no use for.
_DESCENT = tuple(name for name in OptimizeConfig.__dataclass_fields__ if name not in ("strength", "style_scale"))
_DEFAULT = OptimizeConfig()
# Of the optimiser where it begins at the one-pass picture, over the last two sizes.
PASS_STEPS = 90


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


class Networks:
    """Networks already loaded. Plans that share one of these load each network once.

    What is loaded is never changed, so plans may run at the same time; a file that was written anew is loaded anew.
    """

    def __init__(self) -> None:
        self._loaded: dict[Hashable, Any] = {}

    def painter(self, network: str | Path, device: str) -> Painter:
        """As `load_painter`."""
        return self._once((_stamp(network), device), lambda: load_painter(network, device=device))

    def encoder(self, name: str | Path, pooling: Pooling, device: str) -> Encoder:
        """As `load_encoder`."""
        return self._once((_stamp(name), pooling, device), lambda: load_encoder(name, pooling=pooling, device=device))

    def _once(self, key: Hashable, load: Callable[[], _Net]) -> _Net:
        if key not in self._loaded:
            self._loaded[key] = load()
        found: _Net = self._loaded[key]
        return found


def _stamp(source: str | Path) -> Hashable:
    path = Path(source)
    return (str(source), path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else str(source)


@dataclass(frozen=True)
class Way:
    """A stylizer with its style prepared, and what a recipe should tell of both."""

    stylizer: Stylizer[Any]
    style: Any
    recipe: dict[str, object]


def by_name(wish: Wish, style: Source) -> bool:
    """Whether that style is only named, so that no picture of it is looked at.

    Every style of `fast` is. `arbitrary` knows a style by name where there is no file and no sample called so.
    """
    if wish.method == "fast":
        return wish.refine == 0
    if wish.method == "optimize" or not isinstance(style, str) or os.path.exists(style) or Path(style).suffix:
        return False
    return style not in (*plate_names(), *sample_names())


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
        if config.seed != _DEFAULT.seed and (wish.start is not None or config.resolve().init != "noise"):
            raise ImpastoError("--seed has no say here: there is no noise to draw without --init noise")
        return
    if wish.refine:
        if config.steps is not None:
            raise ImpastoError("--steps cannot be given with --refine, which says how many")
        if wish.start is not None or config.init is not None:
            raise ImpastoError("--init cannot be given with --refine, which starts from the one-pass picture")
        if config.seed != _DEFAULT.seed:
            raise ImpastoError("--seed cannot be given with --refine: there is no noise to draw")
    else:
        asked = [name for name in _DESCENT if getattr(config, name) != getattr(_DEFAULT, name)]
        asked += ["init"] * (wish.start is not None)
        asked += ["encoder"] * (wish.encoder != EMBEDDED) + ["pooling"] * (wish.pooling != "max")
        if any(by_name(wish, style) for style in wish.styles):
            asked += ["keep_color statistics"] * (wish.keep_color == "statistics")
        if asked:
            option = "--" + asked[0].replace("_", "-", 1 if " " in asked[0] else -1)
            raise ImpastoError(f"{option} has no say in --method {method}: a network paints in one pass")
    _check_names(wish)


def _check_names(wish: Wish) -> None:
    for style in wish.styles:
        if wish.method == "fast" and (not isinstance(style, str) or os.path.isfile(style)):
            raise ImpastoError(
                f"--method fast paints the styles it has learned, by name, and {_called(style)} is a picture: use "
                "--method arbitrary, or learn it first (impasto learn PAINTING --name NAME)"
            )
        named = by_name(wish, style) if wish.method == "arbitrary" else style not in plate_names()
        if wish.refine and named:
            raise ImpastoError(
                f"--refine needs the painting itself, and a learned style like {style!r} is only a vector; use "
                "--method arbitrary with the picture"
            )


def _called(style: Source) -> str:
    return str(style) if isinstance(style, str | os.PathLike) else f"a {type(style).__name__}"


def way(wish: Wish, pictures: Sequence[Tensor], networks: Networks) -> Way:
    """The stylizer and its style, from the `pictures` of those styles that are not only named, in their order."""
    build: Callable[[Wish, Sequence[Tensor], Networks], Way] = _optimized if wish.method == "optimize" else _painted
    return build(wish, pictures, networks)


def _optimized(wish: Wish, pictures: Sequence[Tensor], networks: Networks) -> Way:
    if _begins_at_pass(wish):
        config = replace(wish.config, steps=wish.config.steps or PASS_STEPS)
        way = _after_pass(Begun, wish, pictures, networks, config)
        return replace(way, recipe={"network": {"name": PAINTER}, **way.recipe, **asdict(config)})
    slow = _optimizer(wish, wish.config, networks)
    style = slow.blend([slow.prepare(picture) for picture in pictures], wish.weights)
    return Way(slow, style, {**_computed(slow), **asdict(wish.config)})


def _begins_at_pass(wish: Wish) -> bool:
    """Whether the optimiser, left to itself, starts from what the embedded network paints: the default.

    From there half of the steps lead as near to the style as from the photo, with firmer contours. Other presets keep
    their sources' start; and for the finest strokes a network would paint a copy too large for it.
    """
    config = wish.config
    free = wish.start is None and config.init is None and config.strength > 0 and config.style_scale >= 0.5
    return free and config.preset == _DEFAULT.preset and config.style_weight > 0


def _optimizer(wish: Wish, config: OptimizeConfig, networks: Networks) -> PixelOptimizer:
    return PixelOptimizer(networks.encoder(wish.encoder, wish.pooling, wish.device), config, start=wish.start)


def _painted(wish: Wish, pictures: Sequence[Tensor], networks: Networks) -> Way:
    if wish.refine:
        way = _after_pass(Refined, wish, pictures, networks, replace(wish.config, steps=wish.refine))
        unused = ("steps", "init", "seed")
        asked = {name: value for name, value in asdict(wish.config).items() if name not in unused}
        return replace(way, recipe={**way.recipe, **asked})
    quick, vector = _quick(wish, pictures, networks)
    painter = quick.painter
    asked = {name: getattr(wish.config, name) for name in ("strength", "style_scale")}
    made = {"device": str(painter.device), "dtype": str(painter.transformer.dtype).removeprefix("torch.")}
    return Way(quick, vector, {"network_fingerprint": painter.bank.network, **made, **asked})


def _after_pass(
    kind: type[Refined], wish: Wish, pictures: Sequence[Tensor], networks: Networks, config: OptimizeConfig
) -> Way:
    """One pass, and the optimiser from there."""
    slow = _optimizer(wish, config, networks)
    # For large strokes the optimiser has larger paintings; a network reads them at the size it paints at.
    scale = max(1.0, wish.config.style_scale)
    read = [resize(x, (round(x.shape[-2] / scale), round(x.shape[-1] / scale))) for x in pictures]
    quick, vector = _quick(wish, read, networks)
    style = slow.blend([slow.prepare(picture) for picture in pictures], wish.weights)
    recipe = {"network_fingerprint": quick.painter.bank.network, **_computed(slow)}
    return Way(kind(quick, slow), RefinedStyle(vector, style), recipe)


def _quick(wish: Wish, pictures: Sequence[Tensor], networks: Networks) -> tuple[FeedForward, Tensor]:
    """One pass, and its style: of names where they are all there is, of `pictures` otherwise."""
    painter = _painter(wish, networks)
    reads = wish.method != "fast" or (wish.config.strength < 1 and painter.own is None)
    if wish.method != "fast" and painter.predictor is None:
        raise ImpastoError(f"{Path(wish.network).name} only knows styles by name; use --method fast")
    encoder = None
    if reads and painter.predictor is not None:
        encoder = networks.encoder(painter.encoder, "max", wish.device)
    quick = FeedForward(painter, encoder, strength=wish.config.strength, style_scale=wish.config.style_scale)
    seen = iter(pictures)
    vectors = [
        quick.named(str(style)) if wish.method == "fast" or by_name(wish, style) else quick.prepare(next(seen))
        for style in wish.styles
    ]
    return quick, quick.blend(vectors, wish.weights)


def _computed(stylizer: PixelOptimizer) -> dict[str, object]:
    encoder = stylizer.encoder
    return {"device": str(encoder.device), "dtype": str(encoder.dtype).removeprefix("torch.")}


def _painter(wish: Wish, networks: Networks) -> Painter:
    """The network with its own styles and, where they are for this network, the user's."""
    painter = networks.painter(wish.network, wish.device)
    if wish.method != "fast" and not any(by_name(wish, style) for style in wish.styles):
        return painter
    painter, foreign = painter.knowing_own()
    missing = [name for name in wish.styles if name in foreign and name not in painter.bank.vectors]
    if missing:
        raise ImpastoError(f"the style {missing[0]!r} in {own_bank()} was learned for another network; learn it again")
    return painter
