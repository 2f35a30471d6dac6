"""What to call an input in a recipe. PyTorch is not imported here."""

import hashlib
import os
from pathlib import Path

__all__ = ["identities", "identity"]


def identity(source: object) -> dict[str, object]:
    """What to call an input in a recipe: a file's name and SHA-256 (never its folder), a sample's
    name, a kind.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if os.path.isfile(path):
            with path.open("rb") as file:
                return {
                    "name": path.name,
                    "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                }
        return {"name": str(source)}
    return {"in memory": type(source).__name__}


def identities(given: object) -> object:
    """Of one input or of each in a list, None for none."""
    if isinstance(given, list | tuple):
        return [None if each is None else identity(each) for each in given]
    return identity(given)
