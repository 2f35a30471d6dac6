r"""The network that enlarges pictures, trained on one GPU: the package's task and losses, with
batches made and degraded on the device.

    python tools/train_gpu_upscale.py --pictures pictures.bin --critic A --critic compact \
        -o OUT.safetensors --seconds 200

`pictures.bin` is what `tools/train_gpu.py pack` writes. For a first share of the run (`--plain`)
features and textures count for a tenth; what stands then, averaged over steps, is written as
OUT-plain.safetensors. Between its weights and the last ones lies every mean of soft and crisp (Wang
et al. 2018, arXiv:1809.00219, section 3.4). With `--device cpu` everything but the CUDA
graphs runs as a test of itself.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.networks.shapes import UpscaleNetConfig
from impasto.networks.upscale_net import TIMES
from impasto.networks.upscaler import load_upscaler
from impasto.training.configs import UpscaleConfig
from impasto.training.degrade import DRAWS
from impasto.training.upscale import UpscaleTask
from train_gpu import QUALITY, Muon, Pictures, Run, clipped, graphed, loaded, prepared, unpacked


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--critic", action="append", required=True)
    parser.add_argument("--from", dest="start", default="nothing")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--decay", type=float, default=0.5)
    parser.add_argument("--plain", type=float, default=0.35)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=160)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--few", type=int, help="pictures to take, for a test")
    for name in ("channels", "blocks"):
        default = getattr(UpscaleNetConfig(), name)
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("pixels", "colors", "lattice", "features", "texture"):
        default = UpscaleConfig.model_fields[f"{name}_weight"].default
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("-o", "--output", type=Path, required=True)
    train(parser.parse_args())


def train(args: argparse.Namespace) -> None:
    """One step: a batch of large pictures, each made small to a half and to a quarter, both given
    back.
    """
    device = torch.device(args.device)
    prepared(device)
    torch.backends.cuda.matmul.allow_tf32 = False  # JPEG's coefficients are such products
    torch.manual_seed(0)
    task = _task(args)
    pictures = Pictures(task.pictures, device)
    task.to(device)
    for critic in task.critics:
        critic.to(device)
    train_steps(args, task, pictures)
    write(task, args.output)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        sheet = (task.samples(0).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(np.ascontiguousarray(sheet)).save(args.output.with_suffix(".png"))


def write(task: UpscaleTask, path: Path) -> None:
    """The network as it is now."""
    with torch.autocast(task.device.type, dtype=torch.bfloat16):
        print(path.name, json.dumps(task.export(path, licence="MIT")), flush=True)


def _task(args: argparse.Namespace) -> UpscaleTask:
    everything = unpacked(args.pictures, tuple(QUALITY))
    everything = everything[: args.few] if args.few else everything
    config = UpscaleConfig(
        batch=args.batch,
        crop=args.crop,
        learning_rate=args.rate,
        decay=args.decay,
        pixels_weight=args.pixels,
        colors_weight=args.colors,
        features_weight=args.features,
        texture_weight=args.texture,
        upscale_net=UpscaleNetConfig(args.channels, args.blocks),
    )
    start = None
    if args.start != "nothing":
        start = load_upscaler(args.start, device="cpu", dtype=torch.float32)
    return UpscaleTask(loaded(args.critic), everything, config, start=start, data=tuple(QUALITY))


def train_steps(args: argparse.Namespace, task: UpscaleTask, pictures: Pictures) -> None:
    """For `args.seconds`."""
    device, config = pictures.device, task.config
    rate, slow, ease = (torch.tensor(x, device=device) for x in (0.0, 0.0, 0.1))
    balance = torch.tensor(list(task.balance.values()), device=device)
    eased = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0], device=device)
    matrices, others = task.weights()
    parameters = [*matrices, *others]
    mean = [parameter.detach().clone() for parameter in parameters]
    muon = Muon(matrices, rate)
    adam = torch.optim.Adam(
        [{"params": others, "lr": slow}], betas=(0.9, 0.98), capturable=device.type == "cuda"
    )

    def losses() -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast(device.type, dtype=torch.bfloat16):
            parts = torch.stack(list(_losses(task, pictures).values()))
            total = (parts * balance * (1 + eased * (ease - 1))).sum()
        total.backward()
        return parts.detach()

    def update() -> Tensor:
        length = clipped(parameters, config.clip)
        muon.step()
        adam.step()
        torch._foreach_lerp_(mean, parameters, 0.01)
        return length

    step = graphed(losses, device)
    step()
    apply = graphed(update, device)  # at a rate of 0 while it warms up
    run, sums = Run(args.seconds, 1.0, args.decay), torch.zeros(6, device=device)
    with torch.no_grad():  # steps of the warming up
        for each, parameter in zip(mean, parameters, strict=True):
            each.copy_(parameter)
    plain = True
    while run.share < 1:
        if plain and run.share >= args.plain:
            plain = False
            ease.fill_(1.0)
            task.config = task.config.but(steps=run.steps)
            _write_mean(task, mean, parameters, args.output)
        now = config.learning_rate * run.factor()
        rate.fill_(now)
        slow.fill_(0.2 * now)
        sums[:5] += step()
        sums[5] += apply()
        run.count(sums, "pixels, colors, lattice, features, texture, gradient")
    task.config = task.config.but(steps=run.steps)


@torch.no_grad()
def _write_mean(
    task: UpscaleTask, mean: list[Tensor], parameters: list[torch.nn.Parameter], path: Path
) -> None:
    own = [parameter.detach().clone() for parameter in parameters]
    for values in (mean, own):
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)
        if values is mean:
            write(task, path.with_name(f"{path.stem}-plain.safetensors"))


def _losses(task: UpscaleTask, pictures: Pictures) -> dict[str, Tensor]:
    batch, side = task.config.batch, task.config.crop
    large = pictures.crops(batch, side, round(1.2 * side), samples=2).clamp(0, 1)
    enlarged = {}
    for times in TIMES:
        draws = pictures.uniform(batch, DRAWS)
        noise = torch.randn(batch, 3, side // times, side // times, device=pictures.device)
        small = task.degradations[str(times)](large, draws, noise)
        enlarged[times] = task.net(small, times)
    return task.losses(enlarged, large)


if __name__ == "__main__":
    main()
