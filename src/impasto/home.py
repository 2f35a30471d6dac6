"""Where this package keeps what a user made with it."""

import os
from pathlib import Path

__all__ = ["own_bank"]


def own_bank() -> Path:
    """Where the styles that a user learned are kept: `styles.safetensors` in `IMPASTO_HOME`, or in
    `~/.impasto`.
    """
    home = os.environ.get("IMPASTO_HOME")
    return (Path(home) if home else Path.home() / ".impasto") / "styles.safetensors"
