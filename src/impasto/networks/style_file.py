"""One style as a file to pass on, `NAME.impasto`: its vector, whose it is, what may be done with it.

A safetensors file, so nothing in it is run: the tensor `vector`, `(V,)` float32, `thumbnail`, the
bytes of a small WebP picture, and, for refinement, the style's Gram matrices (`impasto.networks.grams`).
The header says `name`, `note`, `author`, `licence`, the `network` the style belongs to by its
fingerprint, the vector's `digest`, and of the `grams` their sizes and encoder.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from impasto.errors import OptionError, WeightsError
from impasto.networks.grams import StyleGrams, packed, unpacked
from impasto.networks.hub import fetch
from impasto.networks.style_bank import UNSAID, Credit, StyleBank, check_name
from impasto.networks.weights import stored, write_weights
from impasto.pictures.files import decode, decoding
from impasto.pictures.kinds import STYLE, mistaken

__all__ = ["SUFFIX", "StyleFile", "locate"]

SUFFIX = ".impasto"
_KIND, _HUB = "impasto style", "hf://"
# More than any style has: a file is refused by its size before it is read.
_LARGEST = 4_000_000
_THUMBNAIL, _TEXT = 256, 500


@dataclass(frozen=True)
class StyleFile:
    """A style `name` with its `vector`, `(V,)` float32, for the network of that fingerprint.

    `thumbnail`: what it looks like, at most 256 px a side, RGB. `note`, `credit`: one line each.
    `grams`: what refinement needs; files of before have none.
    """

    name: str
    vector: Tensor
    network: str
    thumbnail: Image.Image
    note: str = ""
    credit: Credit = UNSAID
    grams: StyleGrams | None = None

    @staticmethod
    def of(bank: StyleBank, name: str, thumbnail: Image.Image, credit: Credit) -> "StyleFile":
        """A style of a bank; what `credit` leaves open, the bank may know. `InputError` for one it
        has not.
        """
        known = bank.credits.get(name, UNSAID)
        whose = Credit(credit.author or known.author, credit.licence or known.licence)
        for line in whose:
            if len(line) > _TEXT or not line.isprintable():
                raise OptionError(
                    f"an author or a licence is one line of {_TEXT} characters at most"
                )
        note, grams = bank.notes.get(name, ""), bank.grams.get(name)
        return StyleFile(name, bank.vector(name), bank.network, thumbnail, note, whose, grams)

    def joined(self, bank: StyleBank, name: str = "") -> StyleBank:
        """The bank and this style, under its own name or another; `WeightsError` if it is another
        network's.
        """
        if self.network != bank.network:
            raise WeightsError(
                f"{self.name} was learned for another network ({self.network}, not {bank.network}); "
                "ask for one of this network, or learn it here"
            )
        return bank.learned(name or self.name, self.vector, self.note, self.credit, self.grams)

    def save(self, path: Path) -> None:
        """Write it, all or nothing."""
        if path.suffix != SUFFIX:
            raise OptionError(f"{path} does not end in {SUFFIX}; choose a name that does")
        picture, encoded = self.thumbnail.convert("RGB"), io.BytesIO()
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        picture.save(encoded, "WEBP", quality=80)
        matrices, said = packed({} if self.grams is None else {self.name: self.grams})
        header = {
            "kind": _KIND,
            "name": self.name,
            "grams": said,
            "network": self.network,
            "digest": StyleBank(self.network, {self.name: self.vector}).digest(self.name),
            "note": self.note,
            **self.credit._asdict(),
        }
        tensors = matrices | {
            "vector": self.vector.float(),
            "thumbnail": torch.frombuffer(bytearray(encoded.getvalue()), dtype=torch.uint8),
        }
        write_weights(path, tensors, header)

    @staticmethod
    def load(path: Path) -> "StyleFile":
        """Read what `save` wrote; `ImpastoError` for anything else, a changed vector included."""
        if not path.is_file():
            raise WeightsError(f"{path} is no file; check the spelling")
        if path.stat().st_size > _LARGEST:
            raise WeightsError(mistaken(path, STYLE) or f"{path} is too large to be a style")
        made = "`impasto styles export`"
        with stored(path, _KIND, "style", made) as (header, tensors):
            found = StyleFile(
                check_name(header["name"]),
                tensors["vector"],
                header["network"],
                _picture(path, tensors["thumbnail"]),
                _line(header["note"]),
                Credit(_line(header["author"]), _line(header["licence"])),
                unpacked(tensors, header.get("grams", "{}")).get(header["name"]),
            )
        found._check(path, header.get("digest", ""))
        return found

    def _check(self, path: Path, digest: str) -> None:
        vector = self.vector
        own = StyleBank(self.network, {self.name: vector}).digest(self.name)
        if vector.ndim != 1 or not bool(torch.isfinite(vector).all()) or digest != own:
            raise WeightsError(f"{path} is damaged or was changed; fetch it again")


def locate(source: str) -> Path:
    """A file, or one of the hub, fetched: `hf://user/repository/path/in/it.impasto`, or of a
    revision (branch, tag or commit) `hf://user/repository@revision/path/in/it.impasto`.
    """
    if not source.startswith(_HUB):
        return Path(source)
    parts = source.removeprefix(_HUB).split("/")
    if len(parts) < 3 or not all(parts) or ".." in parts:
        raise OptionError(
            f"{source} names no file of the hub; write {_HUB}user/repository/file{SUFFIX}"
        )
    repository, pinned, revision = "/".join(parts[:2]).partition("@")
    if pinned and not revision:
        raise OptionError(f"{source} names no revision after the @; leave the @ out")
    return fetch(repository, "/".join(parts[2:]), revision or None)


def _picture(path: Path, encoded: Tensor) -> Image.Image:
    if encoded.dtype != torch.uint8 or encoded.ndim != 1:
        raise ValueError("its thumbnail is no picture")
    with (
        decoding(f"the thumbnail of {path}"),
        Image.open(io.BytesIO(encoded.numpy().tobytes()), formats=["WEBP"]) as image,
    ):
        if max(image.size) > _THUMBNAIL:
            raise ValueError("its thumbnail is too large")
        pixels, _ = decode(image)
    return Image.fromarray(pixels).convert("RGB")


def _line(text: str) -> str:
    """A text of a file as one short printable line."""
    return "".join(c if c.isprintable() else " " for c in text)[:_TEXT]
