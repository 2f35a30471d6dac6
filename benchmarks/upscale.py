"""How well pictures are enlarged: the network beside bicubic and Lanczos, on pictures never trained
on.

    python benchmarks/upscale.py [--pictures FOLDER] [--times 2 --times 4] [--jpeg 75] [--encoder FILE]
    [--network FILE] [--side 384]

The sample photos, or the pictures of a folder, are reduced (bicubic, antialiased, 8 bits; with
`--jpeg` also packed), enlarged again and compared with what they were: PSNR and SSIM of the
brightness Y (ITU-R BT.601), higher is better, and the relative distance of an encoder's features at
relu1_1 to relu4_1, lower is better, as a stand-in for LPIPS (Zhang et al. 2018), which weighs such
distances by what people said. Johnson et al. 2016 give such
tables, too: trained by features alone their network lost to bicubic by PSNR, and won by eye.
"""

import argparse
import io
import statistics
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from impasto.methods.upscale import enlarged
from impasto.networks.encoder import Encoder
from impasto.networks.upscale_net import UpscaleNet
from impasto.networks.upscaler import UPSCALER, load_upscaler
from impasto.networks.weights import load_encoder
from impasto.pictures.samples import sample, sample_names

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
BORDER = 8  # px that are not compared


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--times", type=int, action="append", choices=(2, 4, 8))
    parser.add_argument("--jpeg", type=int)
    parser.add_argument("--encoder", action="append", default=[])
    parser.add_argument("--network", default=UPSCALER)
    parser.add_argument("--side", type=int, default=384, help="of the square in the middle")
    args = parser.parse_args()
    net = load_upscaler(args.network).net
    encoders = [load_encoder(each, dtype=torch.float32) for each in args.encoder or ["compact"]]
    pictures = opened(args.pictures, args.side)
    for times in args.times or (2, 4):
        print(f"times {times}, {len(pictures)} pictures")
        for name in ("bicubic", "Lanczos", "network"):
            rows = []
            for picture in pictures:
                small = reduced(picture, times, args.jpeg)
                rows.append(compared(grown(small, times, name, net), picture, encoders))
            means = [statistics.fmean(column) for column in zip(*rows, strict=True)]
            apart = "  ".join(f"{value:.3f}" for value in means[2:])
            print(f"  {name:8s} PSNR {means[0]:.2f} dB  SSIM {means[1]:.3f}  features {apart}")


def opened(folder: Path | None, side: int) -> list[Image.Image]:
    """Squares from the middle, of a size that 8 divides."""
    paths = sorted(folder.iterdir()) if folder else []
    found = [Image.open(path).convert("RGB") for path in paths] or [
        sample(name) for name in sample_names()
    ]
    squares = []
    for image in found:
        own = min(side, *image.size) // 8 * 8
        left, top = (image.width - own) // 2, (image.height - own) // 2
        squares.append(image.crop((left, top, left + own, top + own)))
    return squares


def reduced(picture: Image.Image, times: int, jpeg: int | None) -> Image.Image:
    small = picture.resize((picture.width // times,) * 2, Image.Resampling.BICUBIC)
    if jpeg is None:
        return small
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=jpeg)
    return Image.open(buffer).convert("RGB")


def grown(small: Image.Image, times: int, name: str, net: UpscaleNet) -> Image.Image:
    if name != "network":
        return small.resize((small.width * times,) * 2, Image.Resampling[name.upper()])
    x = tensor(small).to(net.entry.weight.device)
    y = (enlarged(net, x, times)[0] * 255).round().byte().permute(1, 2, 0)
    return Image.fromarray(y.cpu().numpy())


def compared(picture: Image.Image, target: Image.Image, encoders: list[Encoder]) -> list[float]:
    y, t = brightness(picture), brightness(target)
    found = [
        float(peak_signal_noise_ratio(t, y, data_range=255)),
        float(structural_similarity(t, y, data_range=255, gaussian_weights=True, sigma=1.5)),
    ]
    return found + [apart(picture, target, encoder) for encoder in encoders]


def brightness(picture: Image.Image) -> NDArray[np.float64]:
    red, green, blue = np.moveaxis(np.asarray(picture, np.float64), 2, 0)
    whole = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    return np.asarray(whole[BORDER:-BORDER, BORDER:-BORDER])


@torch.no_grad()
def apart(picture: Image.Image, target: Image.Image, encoder: Encoder) -> float:
    layers = [layer for layer in LAYERS if layer in encoder.layers]
    ours, theirs = (
        encoder.features(tensor(x).to(encoder.device), layers) for x in (picture, target)
    )
    shares = [(ours[x] - theirs[x]).norm() / theirs[x].norm() for x in layers]
    return float(torch.stack(shares).mean())


def tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255


if __name__ == "__main__":
    main()
