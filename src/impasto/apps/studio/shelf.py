"""The styles on offer as the page shows them, and a visitor's pictures beside them."""

import logging
import re
import threading
from collections.abc import Sequence
from pathlib import Path

from impasto.apps.studio import look
from impasto.apps.studio.album import Choice
from impasto.apps.studio.borrowed import Borrowed
from impasto.apps.studio.brought import Painting
from impasto.apps.studio.engine import Engine, StyleCard
from impasto.apps.studio.look import Tile
from impasto.apps.studio.region import Region
from impasto.apps.studio.visit import Visit
from impasto.errors import ImpastoError
from impasto.pictures.samples import STYLES

__all__ = ["Shelf", "credit"]

_LOG = logging.getLogger(__name__)


class Shelf:
    """The styles of an engine by name, with thumbnails that are painted when they are first looked
    at.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cards = {card.name: card for card in engine.styles()}
        self._known = {card.name: credit(card) for card in self._cards.values()}
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

    @property
    def names(self) -> list[str]:
        """The styles, in the order in which they are shown."""
        return sorted(self._cards, key=lambda name: name in STYLES)

    def __len__(self) -> int:
        """Thumbnails there are."""
        return len(self._thumbs)

    def tiles(self, visit: Visit | None = None) -> str:
        """HTML: the visitor's own paintings, the styles after painters, the patterns."""
        own = visit.paintings if visit else {}
        mine = [
            Tile(key, self.title(key, visit), painting.thumb, _note(painting), removable=True)
            for key, painting in own.items()
        ]
        named = {card.name: self._tile(card, visit) for card in self._cards.values()}
        painters = [tile for name, tile in named.items() if name not in STYLES]
        patterns = [tile for name, tile in named.items() if name in STYLES]
        return look.groups({"Yours": mine, "After painters": painters, "Patterns": patterns})

    def _tile(self, card: StyleCard, visit: Visit | None) -> Tile:
        title, artist, year = self._known[card.name]
        tried = None if visit is None else visit.tried.get(card.name)
        thumb = look.data_url(tried, look.THUMBNAIL) if tried else self._thumbs.get(card.name, "")
        by = ", ".join(each for each in (artist, year) if each)
        return Tile(card.name, title, thumb, card.note, by)

    def past(self, visit: Visit) -> str:
        """HTML: the visit's pictures, the newest first."""
        made = [
            Tile(key, self.titles(kept.choice.keys, visit), kept.thumb, removable=True)
            for key, kept in visit.history.items()
        ]
        return look.tiles("Pictures of this visit", reversed(made))

    def title(self, key: str, visit: Visit | None = None) -> str:
        """What a style is called, or a painting of the visitor's own."""
        if key in self._known:
            return self._known[key][0]
        if visit is None or key not in visit.paintings:
            return "A painting of yours"
        stem = Path(visit.paintings[key].upload.name).stem  # as it came, underscores for spaces
        return stem.replace("_", " ").strip()[:40] or "A painting of yours"

    def titles(self, keys: Sequence[str], visit: Visit | None = None) -> str:
        """What several are called, in one line."""
        return look.listed([self.title(key, visit) for key in keys])

    def described(self, choice: Choice, visit: Visit | None = None) -> str:
        """What a picture is painted in, and where."""
        region = choice.region
        if region is None or not region.style:
            where = "" if region is None else " in the painted region"
            return self.titles(choice.styles, visit) + where
        around = "the photo" if region.photo_stays else self.titles(choice.styles, visit)
        return f"{self.title(region.style, visit)} in the painted region, {around} around it"

    def around(self, region: Region, visit: Visit) -> str:
        """What a painted region takes, and what the rest of the photo."""
        inside = self.title(region.style, visit) if region.style else "the chosen style"
        around = "stays the photo" if region.photo_stays else "takes the chosen style"
        return f"The painted region takes {inside}; the rest {around}."

    def unrefinable(self, keys: Sequence[str], visit: Visit | None = None) -> str:
        """Why these styles cannot be refined with, in words; empty if they can."""
        own = ((key, each.upload) for key, each in (visit.paintings if visit else {}).items())
        borrowed = {key: upload for key, upload in own if isinstance(upload, Borrowed)}
        unknown = [
            key
            for key in dict.fromkeys(keys)
            if (key in self._cards and not self._cards[key].refinable)
            or (key in borrowed and not borrowed[key].refinable)
        ]
        if not unknown:
            return ""
        known = (
            "is known here only as the network learned it"
            if len(unknown) == 1
            else "are known here only as learned"
        )
        way = "drop the painting itself, or learn it again (impasto learn --replace)"
        return f"{self.titles(unknown, visit)} {known}: to refine, {way}."


def _note(painting: Painting) -> str:
    return painting.upload.note if isinstance(painting.upload, Borrowed) else ""


def credit(card: StyleCard) -> tuple[str, str, str]:
    """Title, artist and year of a style, as its note says: "Irises, Vincent van Gogh, 1889".

    The year may be missing ("Water Lilies, Claude Monet"); for a note of any other form, and for
    patterns, the card's title and nothing more.
    """
    said = re.fullmatch(r"(.+), ([^,\d]+?)(?:, ((?:about )?\d{4}))?", card.note)
    if card.name in STYLES or said is None:
        return card.title, "", ""
    title, artist, year = said.groups(default="")
    return title[:1].upper() + title[1:], artist, year
