"""What a file of a network says of itself, read without PyTorch: a list should be there at once."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from impasto.errors import WeightsError
from impasto.home import own_bank
from impasto.networks.shapes import spoken_shape
from impasto.pictures.kinds import WEIGHTS, mistaken

__all__ = [
    "EMBEDDED",
    "GRAMS_KIND",
    "Header",
    "Learned",
    "encoder_now",
    "file_digest",
    "foreign_styles",
    "known_grams",
    "learned_styles",
    "located",
    "network_header",
    "read_header",
    "shipped_grams",
]

EMBEDDED = "painter"
"""What the embedded network is called."""

GRAMS_KIND = "impasto style grams"
"""What a file of styles' Gram matrices calls itself."""

_STYLE, _NET, _READER = "style.", "transformer.", "predictor."


@dataclass(frozen=True)
class Header:
    """Of a network that paints, or a bank of styles: the `styles` it knows by name, each with a
    note.

    `network`: the fingerprint of the network that the styles belong to. `reads`: whether it reads
    any picture as a style. `grams`: the styles whose Gram matrices it has, each with the digest of
    the encoder that they are of.
    """

    styles: Mapping[str, str]
    network: str
    reads: bool
    grams: Mapping[str, str] = field(default_factory=dict)


class Learned(NamedTuple):
    """A style that a network has learned: the embedded one, or in the user's `own` bank."""

    name: str
    note: str
    own: bool


def read_header(path: Path) -> Header:
    """The header of a safetensors file; `WeightsError` where it cannot be read."""
    try:
        stat = path.stat()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); name another file") from None
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, _changed: int, _size: int) -> Header:
    """A file as it is since its last change: what it says is asked for again and again."""
    try:
        with safe_open(str(path), framework="np") as file:
            keys, header = list(file.keys()), file.metadata() or {}
            network = header.get("network") or _fingerprint(file, keys, header)
        notes = json.loads(header.get("notes", "{}"))
        styles = {name: str(notes.get(name, "")) for name in sorted(_names(keys))}
        said = dict(json.loads(header.get("grams", "{}")))
        grams = {name: str(said[name]["encoder"]) for name in said}
        return Header(styles, network, any(key.startswith(_READER) for key in keys), grams)
    except (SafetensorError, OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        broken = f"{path} is not a file of styles that can be read ({reason}); move it away"
        raise WeightsError(mistaken(path, WEIGHTS) or broken) from None


def learned_styles(network: str | Path = EMBEDDED) -> list[Learned]:
    """The styles of a network and, in place of one of the same name or beside, of the user's own
    bank if it is for it.

    Nothing is read but the files' headers and, for a fingerprint, their bytes; torch is not loaded.
    Raises `WeightsError` for what cannot be read.
    """
    header = network_header(network)
    found = {name: Learned(name, note, False) for name, note in header.styles.items()}
    own = _own()
    if own is not None and own.network == header.network:
        found |= {name: Learned(name, note, True) for name, note in own.styles.items()}
    return [found[name] for name in sorted(found)]


def network_header(network: str | Path = EMBEDDED) -> Header:
    """What the embedded network, or a file, says of itself."""
    return read_header(_assets() / "painter.safetensors" if network == EMBEDDED else Path(network))


def known_grams(network: str | Path = EMBEDDED) -> frozenset[str]:
    """The learned styles that can be refined without their pictures: their Gram matrices, of the
    embedded encoder as it is now, came with the package, with the network, or were kept in the
    user's own bank.
    """
    header, own, found = network_header(network), _own(), frozenset[str]()
    if network == EMBEDDED and shipped_grams().is_file():
        found = _with_grams(shipped_grams(), shipped_grams().stat().st_mtime_ns)
    found |= _current(header)
    if own is None or own.network != header.network:
        return found
    return (found - own.styles.keys()) | _current(own)


def _current(header: Header) -> frozenset[str]:
    """The styles whose Gram matrices are of the embedded encoder."""
    if not header.grams:
        return frozenset()
    now = encoder_now()
    return frozenset(name for name in header.styles if header.grams.get(name) == now)


def encoder_now() -> str:
    """The digest of the embedded encoder, which refinement reads by."""
    return file_digest(_assets() / "compact.safetensors")


def file_digest(path: Path) -> str:
    """Sixteen hexadecimal digits that tell a file from any other, read again where it changed."""
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _digest(path: Path, _changed: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def shipped_grams() -> Path:
    """The file of them."""
    return _assets() / "grams.safetensors"


@lru_cache(maxsize=4)
def _with_grams(path: Path, _changed: int) -> frozenset[str]:
    try:
        with safe_open(str(path), framework="np") as file:
            if (file.metadata() or {}).get("kind") != GRAMS_KIND:
                raise WeightsError(f"{path} holds no Gram matrices; move it away")
            return frozenset(key.partition("/")[0] for key in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path} cannot be read ({reason}); move it away") from None


def foreign_styles() -> tuple[str, ...]:
    """The user's styles that were learned for another network than the embedded one."""
    own = _own()
    return () if own is None or own.network == network_header().network else tuple(own.styles)


def _own() -> Header | None:
    return read_header(own_bank()) if own_bank().is_file() else None


def located(source: str, embedded: str) -> Path:
    """The file of a network: `embedded` is the name of one in the package, all else is a path.

    Raises `WeightsError` where there is none.
    """
    if source == embedded:
        return _assets() / f"{embedded}.safetensors"
    path = Path(source)
    if not os.path.isfile(path):  # False for a name too long for one, where pathlib raises
        raise WeightsError(
            f"no network {source!r}: leave `network` out for the embedded one, or name a file"
        )
    return path


@lru_cache(maxsize=1)
def _assets() -> Path:
    return Path(str(resources.files("impasto") / "assets"))


def _names(keys: list[str]) -> list[str]:
    return [key.removeprefix(_STYLE) for key in keys if key.startswith(_STYLE)]


def _fingerprint(file: safe_open, keys: list[str], header: Mapping[str, str]) -> str:
    """As `impasto.networks.checkpoint.fingerprint`, of the weights as they are stored."""
    digest = hashlib.sha256(spoken_shape(json.loads(header["config"])["transformer"]).encode())
    for key in sorted(key for key in keys if key.startswith(_NET)):
        digest.update(key.removeprefix(_NET).encode())
        digest.update(file.get_tensor(key).tobytes())  # type: ignore[no-untyped-call]
    return digest.hexdigest()[:16]
