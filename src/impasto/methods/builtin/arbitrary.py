"""`method="arbitrary"`: one pass of a network, in any style."""

from collections.abc import Collection, Sequence
from pathlib import Path

from impasto.errors import OptionError
from impasto.methods.base import Renderer, StyleInput
from impasto.methods.one_pass import OnePass, one_pass, painter_for
from impasto.methods.strokes import PREVIEW
from impasto.networks.loaded import Networks
from impasto.settings import Settings

__all__ = ["ARBITRARY"]


class _Arbitrary(OnePass):
    """Ghiasi et al. 2017: any picture is a style; so is the name of one that the network has
    learned.
    """

    name = "arbitrary"
    help = "one pass of a network, in any style"

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
        painter = painter_for(styles, pictures, settings, networks)
        if painter.predictor is None:
            raise OptionError(
                f"{Path(settings.network).name} only knows styles by name; use `method=fast`"
            )
        return one_pass(painter, styles, pictures, settings, networks)


ARBITRARY = _Arbitrary()
"""The method `arbitrary`."""
