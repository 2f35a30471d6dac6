"""What the methods share that paint in one pass of a network: the network, and what renders."""

from collections.abc import Sequence

from torch import Tensor

from impasto.errors import WeightsError
from impasto.home import own_bank
from impasto.methods.base import Method, Prepared, Renderer, StyleInput
from impasto.methods.feedforward import FeedForward
from impasto.methods.needs import of_pass
from impasto.methods.recolour import recoloured
from impasto.methods.two_stage import computed
from impasto.networks.checkpoint import Painter
from impasto.networks.loaded import Networks
from impasto.pictures.image import Picture
from impasto.portable import is_portable
from impasto.settings import Settings
from impasto.sizes import memory

__all__ = ["OnePass", "one_pass", "painter_for"]


class OnePass(Method):
    """What a network paints in one pass."""

    honours = frozenset(
        {"strength", "style_scale", "network", "engine", "refine", "max_memory"}
        | {"regions", "strength_mask"}
    )
    instant = True
    large = True

    def memory(self, settings: Settings, height: int, width: int) -> float:
        """See `Method`."""
        return of_pass(settings, height, width)


def painter_for(
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


def one_pass(
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
