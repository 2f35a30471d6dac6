"""What refinement needs of a style whose picture is not at hand: its Gram matrices, at low rank.

A style is a statistic (Gatys et al. 2015), and a painting that must not or need not be shipped can
be optimised towards by its Gram matrices alone. They depend on the size that the painting is looked
at, so they are kept at a few sizes, and between two of them they are mixed. A layer's matrices of
all sizes share a basis B, `G_s ~ B C_s B' + diag(d_s)`; what it leaves out is kept where it lies on
the diagonal, `d_s = diag(G_s - B C_s B')`, so that the mean square of every filter is exact.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto.errors import OptionError, WeightsError
from impasto.losses.gram import gram
from impasto.methods.reading import parts
from impasto.networks.encoder import Encoder
from impasto.networks.header import GRAMS_KIND, known_grams, shipped_grams
from impasto.networks.weights import encoder_digest, write_weights
from impasto.pictures.image import resize
from impasto.settings import Settings

__all__ = ["LAYERS", "SIZES", "StyleGrams", "grams_of", "load_grams", "measure", "save_grams"]

SIZES = (192, 384, 768)
"""Long sides of the painting, px; beyond them the nearest is taken."""
LAYERS: Mapping[str, int] = {
    "relu1_1": 16,
    "relu2_1": 24,
    "relu3_1": 36,
    "relu4_1": 24,
    "relu5_1": 32,
}
"""The default preset's layers, and the rank of each: a few per cent of the matrix are left out."""


@dataclass(frozen=True)
class _LowRank:
    """Of one layer: `basis`, `(C, r)`; at each size `cores`, `(S, r, r)`, and `rest`, `(S, C)`, in
    units of `traces`, `(S,)`.
    """

    basis: Tensor
    cores: Tensor
    rest: Tensor
    traces: Tensor

    @classmethod
    def of(cls, matrices: Sequence[Tensor], rank: int) -> "_LowRank":
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
        """`(C, C)`: between two sizes, `share` of the upper one."""
        found = []
        for place in (lower, upper):
            matrix = self.basis @ self.cores[place] @ self.basis.mT
            found.append((matrix + torch.diag(self.rest[place])) * self.traces[place])
        return torch.lerp(found[0], found[1], share)


@dataclass(frozen=True)
class StyleGrams:
    """The Gram matrices of one style by layer, at `sizes`; what `PixelOptimizer` takes for a
    picture.
    """

    name: str
    sizes: tuple[int, ...]
    layers: Mapping[str, _LowRank]

    def at(self, layer: str, long_side: int) -> Tensor:
        """`(1, C, C)` float32 of the painting with that long side, px, mixed by its logarithm."""
        logs = [math.log(size) for size in self.sizes]
        wanted = min(max(math.log(max(long_side, 1)), logs[0]), logs[-1])
        upper = next(place for place, log in enumerate(logs) if log >= wanted)
        lower = max(0, upper - 1)
        gap = logs[upper] - logs[lower]
        share = (wanted - logs[lower]) / gap if gap else 0.0
        return self.layers[layer].at(lower, upper, share).float()[None]


@torch.no_grad()
def measure(
    name: str, picture: Tensor, encoder: Encoder, sizes: Sequence[int] = SIZES
) -> StyleGrams:
    """Of a painting, `(1, 3, H, W)` in [0, 1], at these long sides, px, the smallest first."""
    found: dict[str, list[Tensor]] = {layer: [] for layer in LAYERS}
    height, width = picture.shape[-2:]
    for side in sizes:
        factor = side / max(height, width)
        small = resize(picture, (round(height * factor), round(width * factor)))
        whole = dict.fromkeys(LAYERS, 0.0)
        sums = dict[str, Tensor]()
        for part in parts(encoder, small, None, LAYERS):
            for layer in LAYERS:
                share, own = part.share(layer), gram(part.features[layer])[0].double().cpu()
                sums[layer] = sums.get(layer, torch.zeros_like(own)) + share * own
                whole[layer] += share
        for layer, total in sums.items():
            found[layer].append(total / whole[layer])
    layers = {layer: _LowRank.of(found[layer], rank) for layer, rank in LAYERS.items()}
    return StyleGrams(name, tuple(sizes), layers)


def save_grams(
    path: Path, styles: Sequence[StyleGrams], encoder: str, pictures: Mapping[str, str]
) -> None:
    """Write those of several styles, at the same sizes, by one `encoder`, as safetensors: all or nothing. `pictures`:
    the digest of each one's file, to be told apart.
    """
    tensors = {
        f"{style.name}/{layer}/{part}": value.float() if part == "traces" else value.half()
        for style in styles
        for layer, matrix in style.layers.items()
        for part, value in vars(matrix).items()
    }
    header = {
        "kind": GRAMS_KIND,
        "encoder": encoder,
        "encoder_digest": encoder_digest(encoder),
        "sizes": json.dumps(styles[0].sizes),
        "pictures": json.dumps(dict(pictures)),
    }
    write_weights(path, tensors, header)


@lru_cache(maxsize=64)
def load_grams(path: Path, name: str) -> StyleGrams:
    """Those of one style; `WeightsError` where the file has none or is of another encoder than now."""
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            if header.get("encoder_digest") != encoder_digest(header["encoder"]):
                raise WeightsError(
                    f"the Gram matrices in {path.name} are of another edition of their encoder; measure them anew"
                )
            keys = [key for key in file.keys() if key.startswith(f"{name}/")]  # noqa: SIM118
            layers: dict[str, dict[str, Tensor]] = {}
            for key in keys:
                _, layer, part = key.split("/")
                layers.setdefault(layer, {})[part] = file.get_tensor(key).double()
        if not layers:
            raise WeightsError(f"{path.name} has no Gram matrices of {name!r}")
        sizes = tuple(int(size) for size in json.loads(header["sizes"]))
        return StyleGrams(name, sizes, {layer: _LowRank(**of) for layer, of in layers.items()})
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path.name} holds no Gram matrices of styles ({reason})") from None


def grams_of(name: str, settings: Settings) -> StyleGrams:
    """The Gram matrices of a learned style that is no picture, for refinement as `settings` ask.

    `OptionError` where there are none, or they are not what is asked for.
    """
    way = "use `method=arbitrary` with the picture"
    if name not in known_grams(settings.network):
        raise OptionError(
            f"`refine` needs the painting itself, and a learned style like {name!r} is only a vector; {way}"
        )
    grams = load_grams(shipped_grams(), name)
    recipe = settings.resolved(start=True)
    asked = (*recipe.style_layers, *recipe.content_layers)
    other = next((layer for layer in asked if layer not in grams.layers), None)
    wrong = (
        f"`encoder={settings.encoder}`" * (settings.encoder != "compact")
        or f"`style_loss={settings.style_loss}`" * (settings.style_loss != "gram")
        or f"the layer {other}" * (other is not None)
        or f"`pooling={settings.pooling}`" * (settings.pooling not in (None, "max"))
    )
    if wrong:
        raise OptionError(
            f"{name!r} is known by Gram matrices of the default encoder and layers, not for {wrong}; {way}"
        )
    return grams
