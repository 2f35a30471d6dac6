"""Milliseconds of one pass, as a ratio to the same network plainly written, in the same run;
seconds of the command.

    python benchmarks/onepass.py [--sizes 512x384 1024x768] [--repeats 9] [--json]

The baseline ("plain") is the network as one would write it down: float32, contiguous memory,
reflection padding and `nn.Conv2d`, `F.instance_norm` and then scale and shift, enlargement by
`F.interpolate` before the convolutions that follow it. It has the same weights, which are random:
speed does not depend on them. It gives the same picture, which is checked for every size. "ours" is
what the package computes by default on a processor. The two take turns in one process of two
threads, after two passes that warm up; the median of `--repeats` is reported. Leave the machine to
it: where other work takes a core, threads wait for each other, and the quicker network loses more
by that.

Last comes the command, `impasto stylize --method arbitrary`, started anew each time, from a photo's
name to the picture on disk; beside it a Python that only imports torch.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.process import keep_freed_memory
from impasto.networks.transform_net import TransformNet
from impasto.networks.weights import best_dtype

THREADS, WARM_UP, COLD_STARTS = 2, 2, 3
PHOTO, PLATE = "coffee", "waves"
Size = tuple[int, int]


class Plain(nn.Module):
    """A `TransformNet` of torch's own modules: float32 and contiguous."""

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.norms = net.norms
        self.entry, self.down, self.deeper = (
            _convolution(part) for part in (net.entry, net.down, net.deeper)
        )
        self.before, self.middle, self.after = (
            nn.ModuleList(
                nn.ModuleList([_convolution(block.first), _convolution(block.second)])
                for block in level
            )
            for level in (net.before, net.middle, net.after)
        )
        self.rise, self.up, self.leave = (
            _convolution(part, nn.ReplicationPad2d) for part in (net.rise, net.up, net.leave)
        )

    def forward(self, photo: Tensor, vector: Tensor) -> Tensor:
        """As the `TransformNet`'s."""
        styles = iter(vector.split([2 * size for size in self.norms], dim=1))

        def normed(x: Tensor) -> Tensor:
            scale, shift = next(styles)[..., None, None].chunk(2, dim=1)
            return F.instance_norm(x) * (1 + scale) + shift

        def residual(x: Tensor, block: nn.ModuleList) -> Tensor:
            return x + normed(block[1](F.relu(normed(block[0](x)))))

        def enlarged(x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=2, mode="nearest")

        height, width = photo.shape[-2:]
        x = F.pad(photo, (0, -width % 8, 0, -height % 8), mode="reflect")
        x = F.relu(normed(self.entry(F.pixel_unshuffle(x * 4 - 2, 2))))
        fine = F.relu(normed(self.down(x)))
        for block in self.before:
            fine = residual(fine, block)
        x = F.relu(normed(self.deeper(fine)))
        for block in self.middle:
            x = residual(x, block)
        x = fine + normed(self.rise(enlarged(x)))
        for block in self.after:
            x = residual(x, block)
        x = F.relu(normed(self.up(enlarged(x))))
        return normed(self.leave(enlarged(x))).sigmoid()[..., :height, :width]


def _convolution(part: nn.Module, border: type[nn.Module] = nn.ReflectionPad2d) -> nn.Sequential:
    kernel = part.kernel.detach().contiguous()
    out, channels, side, _ = kernel.shape
    conv = nn.Conv2d(channels, out, side, stride=part.stride, bias=False)
    conv.weight.data = kernel
    return nn.Sequential(border(side // 2), conv)


def in_turns(
    cases: Mapping[str, Callable[[], object]], repeats: int, warm_up: int
) -> dict[str, float]:
    """Median seconds of each; they take turns, so that a machine that slows down does so for all."""
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(warm_up + repeats):
        for case, run in cases.items():
            begun = time.perf_counter()
            run()
            seconds[case].append(time.perf_counter() - begun)
    return {case: statistics.median(each[warm_up:]) for case, each in seconds.items()}


@torch.no_grad()
def one_pass(size: Size, repeats: int) -> dict[str, float]:
    """Median seconds of a pass, plain and ours."""
    torch.manual_seed(0)
    exact = TransformNet().eval()
    ours = copy.deepcopy(exact).to(best_dtype(torch.device("cpu")))
    plain = Plain(exact).eval()
    width, height = size
    photo, vector = torch.rand(1, 3, height, width), 0.3 * torch.randn(1, exact.vector_size)
    difference = (plain(photo, vector) - exact(photo, vector)).abs().max().item()
    assert difference < 1e-3, f"the two networks paint different pictures: {difference}"
    return in_turns(
        {"plain": lambda: plain(photo, vector), "ours": lambda: ours(photo, vector)},
        repeats,
        WARM_UP,
    )


def cold() -> dict[str, float]:
    """Median seconds of the whole command, and of importing torch."""
    environment = os.environ | {
        name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    }

    def python(code: str, *arguments: str) -> None:
        command = [sys.executable, "-c", code, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)

    with tempfile.TemporaryDirectory() as scratch:
        output = str(Path(scratch) / "out.png")
        stylize = ("stylize", PHOTO, PLATE, "--method", "arbitrary", "-o", output, "--quiet")
        cases = {
            "torch": lambda: python("import torch"),
            "stylize": lambda: python("from impasto.apps.cli.main import main; main()", *stylize),
        }
        return in_turns(cases, COLD_STARTS, 0)


def size(text: str) -> Size:
    """`512x384` -> `(512, 384)`."""
    width, height = text.lower().split("x")
    return int(width), int(height)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=size, nargs="+", default=[(512, 384)], metavar="WxH")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    keep_freed_memory()  # as the package does when it loads a network; the plain one gains by it too
    for width, height in args.sizes:
        found = one_pass((width, height), args.repeats)
        for case, seconds in found.items():
            row = {"ms": 1000 * seconds, "speedup": found["plain"] / seconds}
            if args.json:
                print(json.dumps({"size": f"{width}x{height}", "case": case, **row}), flush=True)
            else:
                print(
                    f"{width}x{height} px  {case:7s} {row['ms']:7.1f} ms a pass, {row['speedup']:4.1f} x as fast",
                    flush=True,
                )
    found = cold()
    for case, seconds in found.items():
        row = {"seconds": seconds, "ratio": seconds / found["torch"]}
        if args.json:
            print(json.dumps({"case": f"cold {case}", **row}), flush=True)
        else:
            print(
                f"cold start  {case:7s} {seconds:7.2f} s, {row['ratio']:4.1f} x importing torch",
                flush=True,
            )


if __name__ == "__main__":
    main()
