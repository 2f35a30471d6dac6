"""The methods of this package: `optimize`, `arbitrary` and `fast`."""

from collections.abc import Collection, Sequence
from pathlib import Path

from torch import Tensor

from impasto.errors import OptionError, WeightsError
from impasto.home import own_bank
from impasto.methods.base import Method, Prepared, Renderer, StyleInput
from impasto.methods.feedforward import FeedForward
from impasto.methods.matching import reader
from impasto.methods.needs import of_descent, of_pass
from impasto.methods.optimize import PixelOptimizer
from impasto.methods.recolour import recoloured
from impasto.methods.strokes import PREVIEW
from impasto.methods.two_stage import DESCENT, TwoStage, computed, descent, painting, stages
from impasto.networks.checkpoint import Painter
from impasto.networks.loaded import Networks
from impasto.pictures.image import Picture
from impasto.portable import is_portable
from impasto.settings import Settings
from impasto.sizes import memory

__all__ = ["ARBITRARY", "FAST", "OPTIMIZE"]

_PLACES = frozenset({"regions", "strength_mask"})
_PASS = _PLACES | {"strength", "style_scale", "network", "engine", "refine", "max_memory"}


class _Optimize(Method):
    """Gatys et al. 2015. The default preset begins at what the embedded network paints in one pass."""

    name = "optimize"
    help = "optimise the pixels"
    large = True
    honours = DESCENT

    def check(self, styles: Sequence[StyleInput], settings: Settings) -> None:  # noqa: ARG002
        """A seed is of noise alone."""
        if settings.seed and settings.resolved().init != "noise":
            raise OptionError(
                "`seed` has no effect here: there is no noise to draw without `init=noise`"
            )

    def memory(self, settings: Settings, height: int, width: int) -> float:
        """See `Method`."""
        descent = of_descent(settings, height, width)
        begun = settings.resolved().init == "pass"
        return max(descent, of_pass(settings, height, width)) if begun else descent

    def prepare(
        self, styles: Sequence[StyleInput], settings: Settings, networks: Networks
    ) -> Renderer:
        """See `Method`."""
        preset = settings.resolved()
        if preset.init == "pass":
            first, second = stages(ARBITRARY, styles, settings.but(steps=preset.steps), networks)
            made = {"network": {"name": settings.network}, "steps": preset.steps}
            return TwoStage(first, second, shown=False, made=made)
        optimizer = PixelOptimizer(reader(settings, networks), settings)
        pictures = [style.look(painting(settings)) for style in styles]
        return descent(optimizer, pictures, styles)


class _Pass(Method):
    """What a network paints in one pass."""

    instant = True
    large = True

    def memory(self, settings: Settings, height: int, width: int) -> float:
        """See `Method`."""
        return of_pass(settings, height, width)


class _Arbitrary(_Pass):
    """Ghiasi et al. 2017: any picture is a style; so is the name of one that the network has
    learned.
    """

    name = "arbitrary"
    help = "one pass of a network, in any style"
    honours = _PASS

    def takes(self, style: StyleInput, learned: Collection[str]) -> bool:
        """See `Method`."""
        return style.pictured or style.name in learned

    def prepare(
        self, styles: Sequence[StyleInput], settings: Settings, networks: Networks
    ) -> Renderer:
        """See `Method`."""
        # Read at the size it paints at; its strokes are scaled otherwise (see `FeedForward`).
        size = min(settings.size, PREVIEW)
        pictures = [style.look(size) if style.pictured else None for style in styles]
        painter = _painter(styles, pictures, settings, networks)
        if painter.predictor is None:
            raise OptionError(
                f"{Path(settings.network).name} only knows styles by name; use `method=fast`"
            )
        return _pass(painter, styles, pictures, settings, networks)


class _Fast(_Pass):
    """Johnson et al. 2016, Dumoulin et al. 2017: styles that a network has learned, by their names."""

    name = "fast"
    help = "one pass of a network, in a style it has learned, by its name"
    honours = _PASS

    def check(self, styles: Sequence[StyleInput], settings: Settings) -> None:  # noqa: ARG002
        """It takes names and no pictures."""
        for style in styles:
            if style.name is None:
                raise OptionError(
                    f"`method=fast` paints the styles it has learned, by name, and {style.called} is a picture: use "
                    "`method=arbitrary`, or learn it first (impasto learn PAINTING --name NAME)"
                )

    def takes(self, style: StyleInput, learned: Collection[str]) -> bool:
        """See `Method`."""
        return style.name in learned

    def prepare(
        self, styles: Sequence[StyleInput], settings: Settings, networks: Networks
    ) -> Renderer:
        """See `Method`."""
        named = [None] * len(styles)
        painter = _painter(styles, named, settings, networks)
        return _pass(painter, styles, named, settings, networks)


OPTIMIZE = _Optimize()
ARBITRARY = _Arbitrary()
FAST = _Fast()


def _pass(
    painter: Painter,
    styles: Sequence[StyleInput],
    pictures: Sequence[Picture | None],
    settings: Settings,
    networks: Networks,
) -> Renderer:
    """One pass, in styles that are pictures or, where those are None, names."""
    # Also for the photo's own vector, where strength leaves something to it.
    reads = any(picture is not None for picture in pictures) or painter.identity is None
    encoder = None
    if reads and painter.predictor is not None:
        encoder = networks.encoder(painter.encoder, "max", settings.device)
    quick = FeedForward(
        painter,
        encoder,
        strength=settings.strength,
        style_scale=settings.style_scale,
        memory=memory(settings.max_memory),
    )
    vectors = [
        quick.named(str(style.source)) if picture is None else _read(quick, picture, networks)
        for style, picture in zip(styles, pictures, strict=True)
    ]
    own = networks.painter(settings.network, settings.device).bank.vectors
    named = [
        str(style.name) for style, picture in zip(styles, pictures, strict=True) if picture is None
    ]
    # Of the user's own styles: what a name means changes when it is learned anew.
    digests = {
        name: painter.bank.digest(name)
        for name in named
        if painter.bank.vectors[name] is not own.get(name)
    }
    recipe: dict[str, object] = {
        "network_fingerprint": painter.bank.network,
        **computed(painter.device, painter.transform_net.dtype),
    }
    recipe |= {"vectors": digests} if digests else {}
    blend = quick.blend(vectors, [style.weight for style in styles])
    named_ones = [style for style, picture in zip(styles, pictures, strict=True) if picture is None]
    return recoloured(Prepared(quick, blend, recipe, vectors), named_ones, settings, named=True)


def _read(quick: FeedForward, picture: Picture, networks: Networks) -> Tensor:
    """A picture's vector, read once for all that is painted with it."""
    return networks.vector(
        (quick.painter.predictor, quick.encoder, is_portable()),
        (picture.image, picture.alpha),
        lambda: quick.prepare(picture.image, picture.alpha),
    )


def _painter(
    styles: Sequence[StyleInput],
    pictures: Sequence[Picture | None],
    settings: Settings,
    networks: Networks,
) -> Painter:
    """The network with its own styles and, where one is named and they are for this network, the
    user's.
    """
    painter = networks.painter(settings.network, settings.device)
    if all(picture is not None for picture in pictures):
        return painter
    painter, foreign = painter.knowing_own()
    missing = [
        style.name
        for style in styles
        if style.name in foreign and style.name not in painter.bank.vectors
    ]
    if missing:
        raise WeightsError(
            f"the style {missing[0]!r} in {own_bank()} was learned for another network; learn it again"
        )
    return painter
