"""Styles that a visitor brings as a file, `NAME.impasto`: for this visit only."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from impasto.apps.studio.budget import Budget, Lease
from impasto.apps.studio.limits import Limits, TooLargeError
from impasto.errors import ImpastoError
from impasto.networks.header import encoder_now

if TYPE_CHECKING:
    from impasto.networks.style_file import StyleFile

__all__ = ["BORROWED", "Borrowed", "borrow"]

BORROWED = ".impasto"
"""What such a file's name ends in."""


@dataclass(frozen=True, eq=False)
class Borrowed:
    """A style in a file. `name`: what it is called here, which no other style is. `note`: what it
    is, whose, and what may be done with it.
    """

    name: str
    file: "StyleFile"
    lease: Lease | None = None

    @property
    def image(self) -> Image.Image:
        """What it looks like, small."""
        return self.file.thumbnail

    @property
    def refinable(self) -> bool:
        """Whether the file has what refine needs."""
        grams = self.file.grams
        return grams is not None and grams.encoder == encoder_now()

    @property
    def note(self) -> str:
        """In a line."""
        credit = self.file.credit
        said = (self.file.note, credit.author, credit.licence or "no licence stated")
        return "; ".join(each for each in said if each)


def borrow(
    path: Path, network: str, taken: Collection[str], limits: Limits, budget: Budget | None
) -> Borrowed:
    """The style in a file, for the network of that fingerprint, under a name that is not `taken`.

    Nothing in it is run. `TooLargeError` for a file past the limits, `FullError` where there is no
    room, and `ImpastoError`, in words for whoever sent it, for what is no style of this network.
    """
    from impasto.networks.style_bank import StyleBank  # brings torch
    from impasto.networks.style_file import StyleFile

    size = path.stat().st_size
    if size > limits.upload_bytes:
        raise TooLargeError(f"this file has {size / 1e6:.1f} MB, more than the studio takes")
    lease = None if budget is None else budget.lease(2 * size)
    try:
        found = StyleFile.load(path)
        bank = found.joined(StyleBank(network))
    except ImpastoError as error:
        # It names the file by its path here, which is nobody's business.
        raise ImpastoError(str(error).replace(str(path), path.name)) from None
    name = found.name if found.name not in taken else f"{found.name}-{bank.digest(found.name)[:6]}"
    return Borrowed(name, found, lease)
