"""Networks that stay in memory, so that many pictures load each of them once."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from impasto.networks.checkpoint import Painter, load_network
from impasto.networks.encoder import Encoder, Pooling
from impasto.networks.grams import StyleGrams
from impasto.networks.style_bank import StyleBank
from impasto.networks.upscaler import Upscaler, load_upscaler
from impasto.networks.weights import load_encoder

__all__ = ["Networks"]

_VECTORS = 64  # style vectors kept: 10 kB each, and a second or so of reading
_Net = TypeVar("_Net", Painter, Encoder, Upscaler)


class Networks:
    """Networks already loaded. Plans that share one of these load each network once.

    What is loaded is never changed, so plans may run at the same time; a file that was written anew
    is loaded anew.

        networks = impasto.Networks()
        for photo in photos:
            picture = impasto.stylize(photo, "starry-night", networks=networks)
            picture.save(f"{photo.stem}.png")
    """

    def __init__(self) -> None:
        self._loaded: dict[Hashable, Any] = {}
        self._vectors: OrderedDict[Hashable, Tensor] = OrderedDict()

    def painter(self, network: str | Path, device: str) -> Painter:
        """As `load_network`."""
        return self._once((_stamp(network), device), lambda: load_network(network, device=device))

    def encoder(self, name: str | Path, pooling: Pooling, device: str) -> Encoder:
        """As `load_encoder`."""
        return self._once(
            (_stamp(name), pooling, device),
            lambda: load_encoder(name, pooling=pooling, device=device),
        )

    def knowing(
        self,
        network: str | Path,
        device: str,
        name: str,
        vector: Tensor,
        grams: StyleGrams | None = None,
    ) -> "Networks":
        """The same networks, of which that one paints in one more style, `vector` of `(V,)` float32,
        and refines in it by its `grams`.

        What is loaded so far is shared. `WeightsError` for a vector of another length than its.
        """
        painter = self.painter(network, device)
        bank = StyleBank(painter.bank.network).learned(name, vector, grams=grams)
        found = copy(self)
        found._loaded = {**self._loaded, (_stamp(network), device): painter.knowing(bank)}
        return found

    def vector(
        self, reader: Hashable, picture: tuple[Tensor | None, ...], read: Callable[[], Tensor]
    ) -> Tensor:
        """What `read` gives, a style's vector, or what it gave the last time for a `picture` of the
        same numbers, of whatever its tensors show. `reader`: says which networks read it.
        """
        digest = hashlib.blake2b()
        for part in picture:
            if part is not None:
                digest.update(str(tuple(part.shape)).encode())
                digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        key = (reader, digest.digest())
        found = self._vectors.pop(key, None)  # and anew, as the last one used
        found = self._vectors[key] = read() if found is None else found
        while len(self._vectors) > _VECTORS:
            self._vectors.popitem(last=False)
        return found

    def upscaler(self, network: str | Path, device: str) -> Upscaler:
        """As `load_upscaler`."""
        return self._once(
            ("upscaler", _stamp(network), device), lambda: load_upscaler(network, device=device)
        )

    def _once(self, key: Hashable, load: Callable[[], _Net]) -> _Net:
        if key not in self._loaded:
            self._loaded[key] = load()
        found: _Net = self._loaded[key]
        return found


def _stamp(source: str | Path) -> Hashable:
    path = Path(source)
    return (
        (str(source), path.stat().st_mtime_ns, path.stat().st_size)
        if os.path.isfile(path)
        else str(source)
    )
