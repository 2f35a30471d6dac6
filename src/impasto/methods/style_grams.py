"""Styles without their pictures: their Gram matrices measured, and found again for refinement.

See `impasto.networks.grams` for what is kept of them.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto.errors import OptionError, WeightsError
from impasto.losses.gram import gram
from impasto.methods.reading import parts
from impasto.networks.encoder import SMALLEST, Encoder
from impasto.networks.grams import LowRank, StyleGrams, packed, unpacked
from impasto.networks.header import GRAMS_KIND, known_grams, learned_styles, shipped_grams
from impasto.networks.style_bank import StyleBank
from impasto.networks.weights import encoder_digest, write_weights
from impasto.pictures.image import resize
from impasto.settings import Settings

__all__ = [
    "LAYERS",
    "SIZES",
    "check_grams",
    "grams_of",
    "kept_grams",
    "load_grams",
    "measure",
    "save_grams",
]

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
_WAY = "use `method=arbitrary` with the picture"


@torch.no_grad()
def measure(
    picture: Tensor,
    encoder: Encoder,
    sizes: Sequence[int] | None = None,
    seen: Tensor | None = None,
) -> StyleGrams:
    """Of a painting, `(1, 3, H, W)` in [0, 1], at these long sides, px, the smallest first; `SIZES`
    by default. `seen`: its alpha, `(1, 1, H, W)`.
    """
    sizes, found = sizes or SIZES, {layer: list[Tensor]() for layer in LAYERS}
    height, width = picture.shape[-2:]
    for side in sizes:
        tall, wide = (round(edge * side / max(height, width)) for edge in (height, width))
        size = (max(SMALLEST, tall), max(SMALLEST, wide))
        alpha = None if seen is None else resize(seen, size)
        whole = dict.fromkeys(LAYERS, 0.0)
        sums = dict[str, Tensor]()
        for part in parts(encoder, resize(picture, size), alpha, LAYERS):
            for layer in LAYERS:
                share = part.share(layer)
                own = gram(part.features[layer], part.masks.get(layer))[0].double().cpu()
                sums[layer] = sums.get(layer, torch.zeros_like(own)) + share * own
                whole[layer] += share
        for layer, total in sums.items():
            found[layer].append(total / whole[layer])
    layers = {layer: LowRank.of(found[layer], rank) for layer, rank in LAYERS.items()}
    return StyleGrams(tuple(sizes), layers, encoder_digest(encoder.name))


def save_grams(
    path: Path, styles: Mapping[str, StyleGrams], encoder: str, pictures: Mapping[str, str]
) -> None:
    """Write those of several styles, at the same sizes, by one `encoder`, as safetensors: all or
    nothing. `pictures`: the digest of each one's file, to be told apart.
    """
    header = {
        "kind": GRAMS_KIND,
        "encoder": encoder,
        "encoder_digest": encoder_digest(encoder),
        "sizes": json.dumps(next(iter(styles.values())).sizes),
        "pictures": json.dumps(dict(pictures)),
    }
    write_weights(path, packed(styles)[0], header)


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
            if not keys:
                raise WeightsError(f"{path.name} has no Gram matrices of {name!r}")
            said = {"encoder": header["encoder_digest"], "sizes": json.loads(header["sizes"])}
            tensors = {key: file.get_tensor(key) for key in keys}
        return unpacked(tensors, json.dumps({name: said}))[name]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path.name} holds no Gram matrices of styles ({reason})") from None


def kept_grams(name: str, network: str | Path, bank: StyleBank) -> StyleGrams | None:
    """What is kept of a learned style: in the bank that knows it, or in the package; None where
    nothing is that the encoder of now can use.
    """
    if name in bank.grams:
        found = bank.grams[name]
        return found if found.encoder == encoder_digest() else None
    return load_grams(shipped_grams(), name) if name in known_grams(network) else None


def check_grams(name: str, settings: Settings) -> None:
    """`OptionError` where a learned style can be told by now not to be refined as `settings` ask.

    A name that nobody knows may be one that a program's own `Networks` know.
    """
    known = {each.name for each in learned_styles(settings.network)}
    if name in known and name not in known_grams(settings.network):
        raise _unkept(name)
    recipe = settings.resolved(start=True)
    asked = (*recipe.style_layers, *recipe.content_layers)
    other = next((layer for layer in asked if layer not in LAYERS), None)
    wrong = (
        f"`encoder={settings.encoder}`" * (settings.encoder != "compact")
        or f"`style_loss={settings.style_loss}`" * (settings.style_loss != "gram")
        or f"the layer {other}" * (other is not None)
        or f"`pooling={settings.pooling}`" * (settings.pooling not in (None, "max"))
    )
    if wrong:
        raise OptionError(
            f"{name!r} is known by Gram matrices of the default encoder and layers, not for {wrong}; {_WAY}"
        )


def grams_of(name: str, settings: Settings, bank: StyleBank) -> StyleGrams:
    """The Gram matrices of a style of the `bank`, for refinement as `settings` ask.

    `OptionError` where there are none, or they are not what is asked for.
    """
    check_grams(name, settings)
    grams = kept_grams(name, settings.network, bank)
    if grams is None or not grams.layers.keys() >= LAYERS.keys():
        raise _unkept(name)
    return grams


def _unkept(name: str) -> OptionError:
    return OptionError(
        f"`refine` needs the painting itself or its Gram matrices, and of the learned style {name!r} only "
        f"the vector is kept: learn it again (impasto learn PAINTING --name {name} --replace), or {_WAY}"
    )
