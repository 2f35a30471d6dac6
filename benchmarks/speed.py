"""Seconds an optimisation step and peak memory, each as a ratio to the loop every peer uses, in the
same run.

    python benchmarks/speed.py [--sizes 256 512 1024] [--repeats 5] [--json]

The baseline ("plain") is Gatys et al.'s objective as it is usually written: VGG-19 in float32,
contiguous memory, a Gram matrix by `view` and `mm`, losses by `mse_loss`, one Adam step. VGG-19 has
random weights here: its speed does not depend on them. Each measurement runs in a process of its
own, so that peak memory is its own; the median step of `--repeats` is taken after two that warm up.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.losses.gram import gram
from impasto.losses.objective import Objective, content_term, style_term
from impasto.networks.encoder import VGG19, Encoder
from impasto.networks.process import keep_freed_memory
from impasto.networks.weights import best_dtype, load_encoder

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"


def plain(size: int) -> Callable[[], None]:
    """The baseline's step."""
    torch.manual_seed(0)
    modules, channels = [], 3
    for layer in VGG19.path(["relu5_1"]):
        if layer.pool:
            modules.append(nn.MaxPool2d(2))
        modules += [nn.Conv2d(channels, layer.width, 3, padding=1), nn.ReLU()]
        channels = layer.width
    net = nn.Sequential(*modules).eval().requires_grad_(False)
    # relu1_1, 2_1, 3_1, 4_1 (style), 4_2 (content), 5_1 (style)
    taps, content_tap = (1, 6, 11, 20, 29), 22

    def features(x: Tensor) -> dict[int, Tensor]:
        found = {}
        for index, module in enumerate(net):
            x = module(x)
            if index in (*taps, content_tap):
                found[index] = x
        return found

    def gram(x: Tensor) -> Tensor:
        _, c, h, w = x.shape
        flat = x.view(c, h * w)
        return flat.mm(flat.t()) / (c * h * w)

    image = torch.rand(1, 3, size, size)
    with torch.no_grad():
        target = features(torch.rand(1, 3, size, size))
    grams = {index: gram(target[index]) for index in taps}
    image.requires_grad_(True)
    descent = torch.optim.Adam([image], lr=0.02)

    def step() -> None:
        descent.zero_grad()
        found = features(image)
        loss = F.mse_loss(found[content_tap], target[content_tap])
        for index in taps:
            loss = loss + 1e3 * F.mse_loss(gram(found[index]), grams[index])
        loss.backward()
        descent.step()

    return step


def ours(encoder: Encoder, size: int) -> Callable[[], None]:
    """The package's step: same layers, same number of terms."""
    torch.manual_seed(0)
    with torch.no_grad():
        target = encoder.features(torch.rand(1, 3, size, size), [*STYLE, CONTENT])
        terms = [style_term(layer, gram(target[layer]), 1.0) for layer in STYLE]
        objective = Objective([content_term(CONTENT, target[CONTENT], 0.1), *terms])
    image = torch.rand(1, 3, size, size, requires_grad=True)
    descent = torch.optim.Adam([image], lr=0.02)

    def step() -> None:
        descent.zero_grad()
        losses = objective(encoder.features(image, objective.layers), image)
        losses.total.backward()
        losses.numbers()
        descent.step()

    return step


def random_vgg19() -> Encoder:
    keep_freed_memory()  # as load_encoder does
    torch.manual_seed(0)
    encoder = Encoder(VGG19, name="vgg19, random weights").freeze()
    return encoder.to(best_dtype(torch.device("cpu")))


CASES: dict[str, Callable[[int], Callable[[], None]]] = {
    "plain": plain,
    "vgg19": lambda size: ours(random_vgg19(), size),
    "compact": lambda size: ours(load_encoder("compact", device="cpu"), size),
}


def measure(case: str, size: int, repeats: int) -> dict[str, float]:
    step, seconds = CASES[case](size), []
    for _ in range(2 + repeats):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(seconds[2:]), "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(args.case, args.sizes[0], args.repeats)))
        return
    for size in args.sizes:
        found = {}
        for case in CASES:
            command = [
                sys.executable,
                __file__,
                "--case",
                case,
                "--sizes",
                str(size),
                "--repeats",
                str(args.repeats),
            ]
            found[case] = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout
            )
        for case, row in found.items():
            row |= {
                "speedup": found["plain"]["seconds"] / row["seconds"],
                "memory": row["peak_mib"] / found["plain"]["peak_mib"],
            }
            if args.json:
                print(json.dumps({"size": size, "case": case, **row}), flush=True)
            else:
                print(
                    f"{size:5d} px  {case:8s} {row['seconds']:7.3f} s a step, {row['speedup']:5.1f} x as fast;"
                    f" peak {row['peak_mib']:6.0f} MiB, {row['memory']:4.2f} of plain",
                    flush=True,
                )


if __name__ == "__main__":
    main()
