"""What is told before long work: how long a picture will take here, and how much memory."""

from impasto.errors import OptionError
from impasto.memory import spoken
from impasto.methods.base import Renderer, forecasting
from impasto.methods.large import LARGEST
from impasto.settings import Settings
from impasto.sizes import memory

__all__ = ["foretold"]

_LONG = 4e6  # pixels beyond which it is said


def foretold(renderer: Renderer, size: tuple[int, int], settings: Settings) -> list[str]:
    """What is said of a picture of (H, W) before long work begins.

    `OptionError` where the memory is too little for it.
    """
    tell = forecasting(renderer)
    short = size[0] * size[1] < _LONG and max(size) <= LARGEST
    if tell is None or (short and "max_memory" not in settings.changed):
        return []
    found = tell(size)
    if found is None:
        return []
    if found.memory > memory(settings.max_memory):
        raise OptionError(
            f"`max_memory={settings.max_memory}` is too little for {size[1]} x {size[0]} px: about "
            f"{spoken(found.memory)} are needed; allow more, or choose a smaller `size`"
        )
    minutes, seconds = divmod(round(found.seconds), 60)
    parts = f" in {found.tiles} tiles" if found.tiles > 1 else ""
    takes = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    told = f"{size[1]} x {size[0]} px{parts}: about {takes} and {spoken(found.memory)}"
    return [told, *found.notes]
