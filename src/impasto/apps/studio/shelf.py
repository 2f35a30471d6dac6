"""The styles on offer as the page shows them, and a visitor's pictures beside them."""

import logging
import threading
from collections.abc import Mapping, Sequence

from impasto.apps.studio import look
from impasto.apps.studio.engine import Engine
from impasto.apps.studio.look import Tile
from impasto.apps.studio.visit import Visit
from impasto.errors import ImpastoError

__all__ = ["Shelf"]

_LOG = logging.getLogger(__name__)


class Shelf:
    """The styles of an engine by name, with thumbnails that are painted when they are first looked
    at.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cards = {card.name: card for card in engine.styles()}
        self._thumbs: dict[str, str] = {}
        self._filling: threading.Thread | None = None
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._cards

    def fill(self) -> None:
        """Have the missing thumbnails painted, by a thread beside; returns at once."""
        with self._lock:
            if not self.full and (self._filling is None or not self._filling.is_alive()):
                self._filling = threading.Thread(
                    target=self._fill, name="impasto-shelf", daemon=True
                )
                self._filling.start()

    def _fill(self) -> None:
        for name in [name for name in self._cards if name not in self._thumbs]:
            try:
                self._thumbs[name] = look.data_url(self._engine.thumbnail(name), look.THUMBNAIL)
            except ImpastoError:  # the engine is closing, or this one cannot be painted
                _LOG.info("no thumbnail of %s", name, exc_info=True)

    @property
    def full(self) -> bool:
        """Whether every style has its thumbnail."""
        return len(self._thumbs) == len(self._cards)

    def __len__(self) -> int:
        """Thumbnails there are."""
        return len(self._thumbs)

    def tiles(self, own: Mapping[str, str]) -> str:
        """HTML: the visitor's own paintings (key: thumbnail), then the styles."""
        mine = [Tile(key, self.title(key), picture) for key, picture in own.items()]
        named = [
            Tile(card.name, card.title, self._thumbs.get(card.name, ""), card.note)
            for card in self._cards.values()
        ]
        return look.tiles("Styles", mine + named)

    def past(self, visit: Visit) -> str:
        """HTML: the visit's pictures, the newest first."""
        made = [
            Tile(key, self.titles(kept.choice.styles), kept.thumb)
            for key, kept in visit.history.items()
        ]
        return look.tiles("Pictures of this visit", reversed(made))

    def title(self, key: str) -> str:
        """What a style is called, or a painting of the visitor's own."""
        return (
            self._cards[key].title if key in self._cards else f"Yours, {key.removeprefix('own-')}"
        )

    def titles(self, keys: Sequence[str]) -> str:
        """What several are called, in one line."""
        return look.listed([self.title(key) for key in keys])

    def unrefinable(self, keys: Sequence[str]) -> str:
        """Why these styles cannot be refined with, in words; empty if they can."""
        unknown = [key for key in keys if key in self._cards and not self._cards[key].refinable]
        if not unknown:
            return ""
        known = (
            "is known here only as the network learned it"
            if len(unknown) == 1
            else "are known here only as learned"
        )
        return f"{self.titles(unknown)} {known}: to refine, drop the painting itself."
