"""The Gram matrices of a style at low rank: what refinement needs of a style whose picture is not at
hand, and how files keep it.

A style is a statistic (Gatys et al. 2015), and a painting that must not or need not be passed on can
be optimised towards by its Gram matrices alone. They depend on the size that the painting is looked
at, so they are kept at a few sizes, and between two of them they are mixed. A layer's matrices of
all sizes share a basis B, `G_s ~ B C_s B' + diag(d_s)`; what it leaves out is kept where it lies on
the diagonal, `d_s = diag(G_s - B C_s B')`, so that the mean square of every filter is exact. A file
has them as tensors `STYLE/LAYER/PART`, float16 but for the traces.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import WeightsError

__all__ = ["LowRank", "StyleGrams", "packed", "unpacked"]


@dataclass(frozen=True, eq=False)
class LowRank:
    """Of one layer: `basis`, `(C, r)`; at each size `cores`, `(S, r, r)`, and `rest`, `(S, C)`, in
    units of `traces`, `(S,)`.
    """

    basis: Tensor
    cores: Tensor
    rest: Tensor
    traces: Tensor

    @classmethod
    def of(cls, matrices: Sequence[Tensor], rank: int) -> "LowRank":
        """The best basis for all of them alike, of `(C, C)` in float64."""
        traces = torch.stack([each.trace().clamp_min(1e-30) for each in matrices])
        units = [each / trace for each, trace in zip(matrices, traces, strict=True)]
        _, vectors = torch.linalg.eigh(torch.stack(units).sum(0))
        # As it is stored, so that what is left to the diagonal is what is left of that.
        basis = vectors[:, -rank:].half().double()
        inverse = torch.linalg.pinv(basis)
        cores = torch.stack([inverse @ each @ inverse.mT for each in units])
        cores = ((cores + cores.mT) / 2).half().double()
        rests = [
            each.diagonal() - (basis @ core @ basis.mT).diagonal()
            for each, core in zip(units, cores, strict=True)
        ]
        return cls(basis, cores, torch.stack(rests), traces)

    def at(self, lower: int, upper: int, share: float) -> Tensor:
        """`(C, C)` in float64: between two sizes, `share` of the upper one."""
        basis, found = self.basis.double(), []
        for place in (lower, upper):
            matrix = basis @ self.cores[place].double() @ basis.mT
            found.append((matrix + torch.diag(self.rest[place].double())) * self.traces[place])
        return torch.lerp(found[0], found[1], share)

    def check(self, sizes: int) -> None:
        """`ValueError` where the parts do not belong together, at so many sizes."""
        width, rank = self.basis.shape
        shapes = [tuple(each.shape) for each in (self.cores, self.rest, self.traces)]
        whole = all(bool(torch.isfinite(each).all()) for each in vars(self).values())
        if shapes != [(sizes, rank, rank), (sizes, width), (sizes,)] or not whole:
            raise ValueError("its Gram matrices are damaged")


@dataclass(frozen=True, eq=False)
class StyleGrams:
    """The Gram matrices of one style by layer, at `sizes`, long sides of the painting in px, the
    smallest first; what `PixelOptimizer` takes for a picture. `encoder`: the digest of the one whose
    features they are of (`encoder_digest`).
    """

    sizes: tuple[int, ...]
    layers: Mapping[str, LowRank]
    encoder: str

    def at(self, layer: str, long_side: int) -> Tensor:
        """`(1, C, C)` float32 of the painting with that long side, px, mixed by its logarithm."""
        logs = [math.log(size) for size in self.sizes]
        wanted = min(max(math.log(max(long_side, 1)), logs[0]), logs[-1])
        upper = next(place for place, log in enumerate(logs) if log >= wanted)
        lower = max(0, upper - 1)
        gap = logs[upper] - logs[lower]
        share = (wanted - logs[lower]) / gap if gap else 0.0
        return self.layers[layer].at(lower, upper, share).float()[None]

    def check(self, widths: Mapping[str, int]) -> None:
        """`WeightsError` where a layer is not as wide as the encoder's."""
        for layer, matrix in self.layers.items():
            if matrix.basis.shape[0] != widths.get(layer):
                raise WeightsError(
                    f"the style's Gram matrices of {layer} are damaged: fetch it anew"
                )


def packed(styles: Mapping[str, StyleGrams]) -> tuple[dict[str, Tensor], str]:
    """Those of styles by name as tensors for a file, and what its header says of them."""
    tensors = {
        f"{name}/{layer}/{part}": value.float() if part == "traces" else value.half()
        for name, style in styles.items()
        for layer, matrix in style.layers.items()
        for part, value in vars(matrix).items()
    }
    said = {name: {"encoder": each.encoder, "sizes": each.sizes} for name, each in styles.items()}
    return tensors, json.dumps(said)


def unpacked(tensors: Mapping[str, Tensor], said: str) -> dict[str, StyleGrams]:
    """What was `packed`, among whatever else the file has; `ValueError`, `KeyError` or `TypeError`
    for what is damaged.
    """
    parts: dict[str, dict[str, dict[str, Tensor]]] = {}
    for key, value in tensors.items():
        if "/" in key:
            name, layer, part = key.split("/")
            parts.setdefault(name, {}).setdefault(layer, {})[part] = value
    found = {}
    for name, each in dict(json.loads(said)).items():
        sizes = tuple(int(size) for size in each["sizes"])
        layers = {layer: LowRank(**of) for layer, of in parts[name].items()}
        for matrix in layers.values():
            matrix.check(len(sizes))
        if not sizes or list(sizes) != sorted({*sizes}) or sizes[0] < 1:
            raise ValueError("its Gram matrices are of no sizes")
        found[name] = StyleGrams(sizes, layers, str(each["encoder"]))
    return found
