"""`method="fast"`: one pass of a network, in a style it has learned."""

from collections.abc import Collection, Sequence

from impasto.errors import OptionError
from impasto.methods.base import Renderer, StyleInput
from impasto.methods.one_pass import OnePass, one_pass, painter_for
from impasto.networks.loaded import Networks
from impasto.settings import Settings

__all__ = ["FAST"]


class _Fast(OnePass):
    """Johnson et al. 2016, Dumoulin et al. 2017: styles that a network has learned, by their names."""

    name = "fast"
    help = "one pass of a network, in a style it has learned, by its name"

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
        painter = painter_for(styles, named, settings, networks)
        return one_pass(painter, styles, named, settings, networks)


FAST = _Fast()
"""The method `fast`."""
