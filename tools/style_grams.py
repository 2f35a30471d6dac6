"""Gram matrices of learned styles, for refinement without their pictures.

    python tools/style_grams.py NAME=PICTURE [NAME=PICTURE ...] [--out FILE]

NAME is what the style is called in the bank, PICTURE the painting. The file depends on the pictures
and on the embedded encoder, not on the network that paints, so it stays as it is when that is
trained anew; it is written whole, and with the same pictures to the same bytes. Prints, for each
style, what is left out at low rank: relative Frobenius errors of the layers' matrices, the worst of
the sizes.
"""

import argparse
import hashlib
from pathlib import Path

import torch

from impasto.losses.gram import gram
from impasto.methods.style_grams import LAYERS, SIZES, measure, save_grams
from impasto.networks.encoder import Encoder
from impasto.networks.grams import StyleGrams
from impasto.networks.header import shipped_grams
from impasto.networks.weights import EMBEDDED, load_encoder
from impasto.pictures.image import resize
from impasto.pictures.sources import open_source


@torch.no_grad()
def errors(style: StyleGrams, picture: torch.Tensor, encoder: Encoder) -> dict[str, float]:
    """Of each layer, the worst of the sizes."""
    found = dict.fromkeys(LAYERS, 0.0)
    height, width = picture.shape[-2:]
    for side in SIZES:
        factor = side / max(height, width)
        size = (round(height * factor), round(width * factor))
        features = encoder.features(resize(picture, size), tuple(LAYERS))
        for layer in LAYERS:
            whole = gram(features[layer])
            apart = (style.at(layer, side) - whole).norm() / whole.norm()
            found[layer] = max(found[layer], float(apart))
    return found


def main() -> None:
    """As the module says."""
    told = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    told.add_argument("styles", nargs="+", metavar="NAME=PICTURE")
    told.add_argument("--out", type=Path, default=shipped_grams())
    asked = told.parse_args()
    encoder = load_encoder(EMBEDDED, device="cpu", dtype=torch.float32)
    styles, pictures = dict[str, StyleGrams](), {}
    for each in sorted(asked.styles):
        name, _, path = each.partition("=")
        picture = open_source(path, max(SIZES)).image
        styles[name] = measure(picture, encoder)
        pictures[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        left = errors(styles[name], picture, encoder)
        print(name, *(f"{layer} {error:.3f}" for layer, error in left.items()), flush=True)
    save_grams(asked.out, styles, EMBEDDED, pictures)
    print(f"{asked.out}: {asked.out.stat().st_size / len(styles) / 1e3:.0f} kB a style")


if __name__ == "__main__":
    main()
