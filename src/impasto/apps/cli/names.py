"""Names of files that a command writes. PyTorch is not imported here."""

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["free_name", "same_file"]


def same_file(one: Path, other: Path) -> bool:
    """Whether both name one file; through links where they exist."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.abspath(one) == os.path.abspath(other)


def free_name(content: str, styles: Sequence[str]) -> Path:
    """`CONTENTSTEM-STYLESTEM.png` in the current folder, numbered where that exists."""
    stem = "-".join(Path(name).stem for name in (content, *styles))[:100]
    path, number = Path(f"{stem}.png"), 2
    while os.path.lexists(path):
        path, number = Path(f"{stem}-{number}.png"), number + 1
    return path
