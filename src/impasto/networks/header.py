"""What a file of a network says of itself, read without PyTorch: a list should be there at once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from impasto.errors import WeightsError

__all__ = ["Header", "read_header"]

_STYLE, _NET, _READER = "style.", "transformer.", "predictor."


@dataclass(frozen=True)
class Header:
    """Of a network that paints, or a bank of styles: the `styles` it knows by name, each with a note.

    `network`: the fingerprint of the network that the styles belong to. `reads`: whether it reads any picture as a
    style.
    """

    styles: Mapping[str, str]
    network: str
    reads: bool


def read_header(path: Path) -> Header:
    """The header of a safetensors file; `WeightsError` where it cannot be read."""
    try:
        with safe_open(str(path), framework="np") as file:
            keys, header = list(file.keys()), file.metadata() or {}
            network = header.get("network") or _fingerprint(file, keys, header)
        notes = json.loads(header.get("notes", "{}"))
        styles = {name: str(notes.get(name, "")) for name in sorted(_names(keys))}
        return Header(styles, network, any(key.startswith(_READER) for key in keys))
    except (SafetensorError, OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path} is not a file of styles that can be read ({reason}); move it away") from None


def _names(keys: list[str]) -> list[str]:
    return [key.removeprefix(_STYLE) for key in keys if key.startswith(_STYLE)]


def _fingerprint(file: safe_open, keys: list[str], header: Mapping[str, str]) -> str:
    """As `impasto.networks.checkpoint.fingerprint`, of the weights as they are stored."""
    stored = json.loads(header["config"])["transformer"]
    config = {name: value for name, value in stored.items() if name != "noise" or value}
    digest = hashlib.sha256(json.dumps(config).encode())
    for key in sorted(key for key in keys if key.startswith(_NET)):
        digest.update(key.removeprefix(_NET).encode())
        digest.update(file.get_tensor(key).tobytes())  # type: ignore[no-untyped-call]
    return digest.hexdigest()[:16]
