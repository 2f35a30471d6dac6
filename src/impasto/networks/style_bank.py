"""Named style vectors of one network (Dumoulin et al. 2017): what a bank of styles is, in memory
and on disk.
"""

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from torch import Tensor

from impasto.errors import ImpastoError, InputError, OptionError, WeightsError
from impasto.home import own_bank
from impasto.networks.grams import StyleGrams, packed, unpacked
from impasto.networks.weights import stored, write_weights
from impasto.pictures.writing import FORMATS

__all__ = ["UNSAID", "Credit", "StyleBank", "check_name", "own_styles"]

_KIND = "impasto bank"
_PREFIX = "style."
_T = TypeVar("_T")
_PICTURES = (*FORMATS, ".bmp", ".gif")


class Credit(NamedTuple):
    """Whose a style is, and what may be done with it; empty where nothing was said."""

    author: str = ""
    licence: str = ""


UNSAID = Credit()


@dataclass(frozen=True)
class StyleBank:
    """`vectors`: name -> `(V,)` float32, for the transform net whose fingerprint is `network`;
    `notes` on each, and of those that came with any the `credits`, and the `grams` that refinement
    needs.

    A bank is never changed: `learned` gives a new one. On disk every style is a tensor of its own,
    so that adding one leaves the bytes of the others alone.
    """

    network: str
    vectors: Mapping[str, Tensor] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    credits: Mapping[str, Credit] = field(default_factory=dict)
    grams: Mapping[str, StyleGrams] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The styles, in alphabetical order."""
        return tuple(sorted(self.vectors))

    def vector(self, name: str) -> Tensor:
        """`(V,)` float32 of a style, by its name or as `NAME@DIGEST`, which a recipe says (see
        `digest`).

        `InputError`, with the names there are, for one that is not; `WeightsError` for one that was
        learned anew since.
        """
        name, _, known = name.partition("@")
        if name not in self.vectors:
            there = ", ".join(self.names) or "none yet"
            raise InputError(
                f"no learned style {name!r}; there are: {there} (impasto learn PAINTING --name NAME)"
            )
        if known and known != self.digest(name):
            raise WeightsError(
                f"the style {name!r} was learned anew since, and paints another picture; leave out @{known}"
            )
        return self.vectors[name]

    def digest(self, name: str) -> str:
        """Twelve hexadecimal digits that tell one vector from another."""
        vector = self.vectors[name].detach().cpu().float().contiguous()
        return hashlib.sha256(vector.numpy().tobytes()).hexdigest()[:12]

    def learned(
        self,
        name: str,
        vector: Tensor,
        note: str = "",
        credit: Credit = UNSAID,
        grams: StyleGrams | None = None,
    ) -> "StyleBank":
        """This bank and one style more; a style of that name is replaced."""
        check_name(name)
        return self.joined(
            StyleBank(
                self.network,
                {name: vector.detach().float().cpu().clone()},
                {name: note},
                {name: credit} if any(credit) else {},
                {} if grams is None else {name: grams},
            )
        )

    def joined(self, other: "StyleBank") -> "StyleBank":
        """Both banks; where a name is in both, `other`'s style. `ImpastoError` if they are for
        different networks.
        """
        if other.vectors and other.network != self.network:
            raise WeightsError(
                "these styles were learned for another network and mean nothing to this one; learn them again"
            )
        # What is known of a style that is replaced is not known of the one in its place.
        replaced = other.vectors.keys()
        return StyleBank(
            self.network,
            {**self.vectors, **other.vectors},
            {**self.notes, **other.notes},
            {**_without(replaced, self.credits), **other.credits},
            {**_without(replaced, self.grams), **other.grams},
        )

    def save(self, path: Path) -> None:
        """Write the bank as safetensors, atomically: all of it or nothing."""
        tensors, said = packed(self.grams)
        header = {
            "kind": _KIND,
            "network": self.network,
            "grams": said,
            "notes": json.dumps(dict(self.notes)),
            "credits": json.dumps({name: each._asdict() for name, each in self.credits.items()}),
        }
        tensors |= {_PREFIX + name: vector.float() for name, vector in self.vectors.items()}
        write_weights(path, tensors, header)

    @staticmethod
    def load(path: Path) -> "StyleBank":
        """Read what `save` wrote; `ImpastoError` for anything else."""
        kind, made, advice = "bank of styles", "impasto learn", "; move it away"
        with stored(path, _KIND, kind, made, advice=advice) as (header, tensors):
            vectors = {
                key.removeprefix(_PREFIX): vector
                for key, vector in tensors.items()
                if key.startswith(_PREFIX)
            }
            notes = {
                str(name): str(note) for name, note in dict(json.loads(header["notes"])).items()
            }
            credits = {
                str(name): Credit(str(each["author"]), str(each["licence"]))
                for name, each in dict(json.loads(header.get("credits", "{}"))).items()
            }
            grams = unpacked(tensors, header.get("grams", "{}"))
            return StyleBank(header["network"], vectors, notes, credits, grams)


def _without(names: Collection[str], known: Mapping[str, _T]) -> dict[str, _T]:
    return {name: each for name, each in known.items() if name not in names}


def own_styles(network: str) -> StyleBank:
    """The user's own bank, to add to, empty at first; its folder is made. `ImpastoError` if it is
    not for `network`.
    """
    path = own_bank()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImpastoError(
            f"cannot make the folder {path.parent} ({error.strerror}); set IMPASTO_HOME"
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise ImpastoError(f"{path.parent} is write-protected; set IMPASTO_HOME to another folder")
    bank = StyleBank.load(path) if path.is_file() else StyleBank(network)
    if bank.vectors and bank.network != network:
        raise ImpastoError(
            f"the styles in {path} were learned for another network; move it away, or set IMPASTO_HOME anew"
        )
    return bank if bank.vectors else StyleBank(network)


def check_name(name: str) -> str:
    """The name back if a style can be called so: letters, digits, `-`, `_`, `.`, at most 64, not as
    a picture's file.

    It begins with a letter or a digit, so no option and no hidden file is called so. Raises
    `ImpastoError`.
    """
    if not re.fullmatch(r"[^\W_][\w.-]{0,63}", name) or name.lower().endswith(_PICTURES):
        raise OptionError(
            f"a style cannot be called {name!r}; use letters, digits and dashes, as in night-harbour"
        )
    return name
