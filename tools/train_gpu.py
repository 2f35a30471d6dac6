r"""Encoder and painter trained on one GPU: the package's tasks and losses, with batches made on the
device.

    python tools/train_gpu.py pack --photos DIR --paintings DIR --textures DIR -o pictures.bin   (anywhere)
    python tools/train_gpu.py encoder --pictures pictures.bin --teacher A --teacher B --from compact -o OUT \
        --seconds 200
    python tools/train_gpu.py painter --pictures pictures.bin --encoder ENC --critic A --critic B \
        --from painter -o OUT --seconds 400
    python tools/train_gpu.py bank --pictures pictures.bin --styles styles.bin --critic A --critic B \
        --from OUT -o BANK --seconds 30

`impasto train` prepares batches on the processor and starts every kernel from Python: right for a processor, a tenth
of what a GPU can do. Here pictures lie on the device, a painter's step is two CUDA graphs (losses with their
gradients; optimisers), and runs are measured in seconds, since that is what a rented GPU is counted in. The last
fifth of them is the decay. `pack` writes small AVIF copies, about 10 kB each, for machines that a folder of
photographs does not reach. With `--device cpu` everything but the graphs runs as a test of itself.
"""

import argparse
import dataclasses
import io
import json
import math
import pickle
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import impasto.networks.transform_net as transform_net
from impasto.networks.checkpoint import load_network, save_painter
from impasto.networks.encoder import Encoder
from impasto.networks.style_predictor import StylePredictor
from impasto.networks.weights import load_encoder
from impasto.training.arbitrary import ArbitraryTask
from impasto.training.bank import BankTask
from impasto.training.configs import ArbitraryConfig, BankConfig, DistillConfig
from impasto.training.distill import Distillation
from impasto.training.perceptual import Criterion, Style

SHORT, LONG = 256, 352  # px kept of a picture
WHOLE, FLAT = 0.4, 0.1  # of the crops; of the photos, in a bank
QUALITY = {"photos": 48, "paintings": 62, "textures": 50}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    for name in QUALITY:
        packing.add_argument(f"--{name}", type=Path, required=True)
    encoder, painter, bank = (commands.add_parser(name) for name in ("encoder", "painter", "bank"))
    for command in (encoder, painter, bank):
        command.add_argument("--pictures", type=Path, required=True)
        command.add_argument("--from", dest="start", required=True)
        command.add_argument("--seconds", type=float, required=True)
        command.add_argument("--device", default="cuda")
        command.add_argument("--decay", type=float, default=0.2)
    for command in (packing, encoder, painter, bank):
        command.add_argument("-o", "--output", type=Path, required=True)
    encoder.add_argument("--teacher", action="append", required=True)
    encoder.add_argument("--rate", type=float, default=2e-3)
    encoder.add_argument("--batch", type=int, default=16)
    painter.add_argument("--encoder", default="compact")
    painter.add_argument("--critic", action="append", default=[])
    painter.add_argument("--rate", type=float, default=4.5e-3)
    painter.add_argument("--predictor-rate", type=float, default=6e-4)
    painter.add_argument("--batch", type=int, default=8)
    painter.add_argument("--crop", type=int, default=256)
    painter.add_argument(
        "--embedding", type=int, help="numbers of a style's embedding, for a new predictor"
    )
    painter.add_argument("--profile", type=int, default=0, help="steps to time, and end")
    bank.add_argument("--styles", type=Path, required=True, help="pickled: name to picture file")
    bank.add_argument("--critic", action="append", default=[])
    bank.add_argument("--rate", type=float, default=0.01)
    bank.add_argument("--content", type=float, default=0.15)
    for option, value in (("content", 0.15), ("coarse", 0.3), ("shifted", 0.3), ("even", 0.15)):
        painter.add_argument(f"--{option}", type=float, default=value)
    args = parser.parse_args()
    work = {"pack": pack, "encoder": train_encoder, "painter": train_painter, "bank": train_bank}
    work[args.command](args)


# ------------------------------------------------------------------------------------ pictures


def pack(args: argparse.Namespace) -> None:
    """Write small copies of all pictures into one file."""
    found = {}
    with ThreadPoolExecutor() as pool:
        for name, quality in QUALITY.items():
            paths = sorted(path for path in getattr(args, name).iterdir() if path.is_file())
            found[name] = list(
                pool.map(lambda path, quality=quality: _packed(path, quality), paths)
            )
    args.output.write_bytes(pickle.dumps(found))


def _packed(path: Path, quality: int) -> bytes:
    image = Image.open(path).convert("RGB")
    scale = SHORT / min(image.size)
    image = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
    )
    left, top = max(0, image.width - LONG) // 2, max(0, image.height - LONG) // 2
    buffer = io.BytesIO()
    image.crop((left, top, min(image.width, left + LONG), min(image.height, top + LONG))).save(
        buffer, "AVIF", quality=quality, speed=7
    )
    return buffer.getvalue()


def unpacked(path: Path, names: tuple[str, ...]) -> list[Tensor]:
    """uint8 `(3, H, W)`, in the file's order."""
    packed = pickle.loads(path.read_bytes())  # written by `pack`
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(_decoded, [each for name in names for each in packed[name]]))


def _decoded(file: bytes) -> Tensor:
    return torch.from_numpy(
        np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).transpose(2, 0, 1).copy()
    )


class Pictures:
    """Pictures on the device, and random pieces of them: nothing here waits for the processor."""

    def __init__(self, pictures: list[Tensor], device: torch.device) -> None:
        self.device, self.count = device, len(pictures)
        canvas = torch.zeros(len(pictures), 3, LONG, LONG, dtype=torch.uint8)
        for place, picture in zip(canvas, pictures, strict=True):
            place[:, : picture.shape[1], : picture.shape[2]] = picture
        self.pixels = canvas.to(device)
        self.sizes = torch.tensor(
            [picture.shape[1:] for picture in pictures], dtype=torch.float32, device=device
        )

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, device=self.device)

    def crops(
        self, batch: int, size: int, smallest: int, samples: int = 1, whole: float = 0.0
    ) -> Tensor:
        """`(batch, 3, size, size)` in [0, 1]; the mean of `samples` x `samples` points a pixel, for
        reductions. A share of `whole` shows all of the short side: at a size of 256 px pixel by
        pixel, as sharp as it is kept.
        """
        index = (self.uniform(batch) * self.count).long()
        extent, image = self.sizes[index], self.pixels[index].float() / 255
        side = torch.exp(math.log(smallest) + self.uniform(batch) * math.log(SHORT / smallest))
        is_whole = self.uniform(batch) < whole
        side = torch.where(is_whole, SHORT, side)
        side = torch.minimum(side, extent.amin(1))[:, None]
        top, left = (self.uniform(batch, 1) * (extent[:, axis, None] - side) for axis in (0, 1))
        top, left = (torch.where(is_whole[:, None], at.round(), at) for at in (top, left))
        steps = (torch.arange(size, device=self.device) + 0.5)[None] / size
        across = torch.where(self.uniform(batch, 1) < 0.5, 1 - steps, steps.expand(batch, size))
        total = torch.zeros(batch, 3, size, size, device=self.device)
        nudges = [(k + 0.5) / samples / size - 0.5 / size for k in range(samples)]
        for down in nudges:
            for right in nudges:
                rows = torch.minimum(
                    (top + (steps + down) * side).clamp_min(0.5), extent[:, :1] - 0.5
                )
                columns = torch.minimum(
                    (left + (across + right) * side).clamp_min(0.5), extent[:, 1:] - 0.5
                )
                shape = (batch, size, size)
                grid = torch.stack(
                    [columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)], dim=3
                )
                total += F.grid_sample(image, 2 * grid / LONG - 1, align_corners=False)
        return total / len(nudges) ** 2


def chance(x: Tensor, probability: float) -> Tensor:
    """`(B, 1, 1, 1)` booleans."""
    return torch.rand(len(x), 1, 1, 1, device=x.device) < probability


def some(x: Tensor, low: float, high: float, channels: int = 1) -> Tensor:
    return low + (high - low) * torch.rand(len(x), channels, 1, 1, device=x.device)


def permuted(x: Tensor) -> Tensor:
    order = torch.argsort(torch.rand(len(x), 3, device=x.device), dim=1)
    return x.gather(1, order[..., None, None].expand_as(x))


def recolored(x: Tensor, probability: float) -> Tensor:
    """As `impasto.training.data.recolored`, a batch at a time."""
    y = torch.where(chance(x, 0.5), permuted(x), x)
    y = torch.where(chance(x, 0.3), 1 - y, y)
    mean = y.mean((2, 3), keepdim=True)
    y = mean + (y - mean) * some(x, 0.5, 1.4) + 0.1 * torch.randn(len(x), 3, 1, 1, device=x.device)
    return torch.where(chance(x, probability), y.clamp(0, 1), x)


def flattened(x: Tensor, probability: float) -> Tensor:
    """As `impasto.training.data.flat`, a batch at a time."""
    batch, _, size, _ = x.shape
    ends = []
    for _ in range(2):
        row, column = (torch.rand(2, batch, device=x.device) * size).long().clamp_max(size - 1)
        color = x[torch.arange(batch, device=x.device), :, row, column][..., None, None]
        kind, grey = some(x, 0, 1), some(x, 0, 1)
        grey = torch.where(
            kind < 0.65,
            torch.zeros_like(grey),
            torch.where(kind < 0.8, torch.ones_like(grey), grey),
        )
        ends.append(torch.where(kind < 0.5, color, grey))
    angle, ramp = some(x, 0, 2 * math.pi), torch.linspace(-0.5, 0.5, size, device=x.device)
    cos, sin = angle.cos(), angle.sin()
    way = 0.5 + (cos * ramp[:, None] + sin * ramp) / (cos.abs() + sin.abs())
    image = ends[0] + (ends[1] - ends[0]) * way * chance(x, 0.6)
    side = some(x, size / 5, size / 2)
    inside = chance(x, 0.5)
    for axis in (2, 3):
        place = (
            torch.arange(size, device=x.device).view(-1, 1)
            if axis == 2
            else torch.arange(size, device=x.device)
        )
        start = some(x, 0, 1) * (size - side)
        inside = inside & (place >= start) & (place < start + side)
    image = torch.where(inside, x, image) + some(x, 0, 0.006) * torch.randn_like(x)
    return torch.where(chance(x, probability), image.clamp(0, 1), x)


def distorted(x: Tensor) -> Tensor:
    """As `impasto.training.data.augment`, a batch at a time."""
    size, kind, y = x.shape[-1], some(x, 0, 1), x
    which, grain = some(x, 0, 5).long(), torch.zeros_like(x)
    for number, coarse in enumerate((1, 1, 2, 4, 8)):
        noise = torch.randn(len(x), 3, size // coarse, size // coarse, device=x.device)
        noise = torch.where(chance(x, 0.7), noise, noise[:, :1])
        mode = "bilinear" if number % 2 else "nearest"
        grain += F.interpolate(noise, size=(size, size), mode=mode) * (which == number)
    y = torch.where(kind < 0.25, x + grain * some(x, 0, 0.25), y)
    other = x.roll(1, 0)
    detail = other - F.avg_pool2d(F.pad(other, (4,) * 4, mode="reflect"), 9, stride=1)
    y = torch.where((kind >= 0.25) & (kind < 0.4), x + detail * some(x, 0.3, 1.5), y)
    enlarged = F.interpolate(x, scale_factor=2.0, mode="bilinear")[..., :size, :size]
    y = torch.where((kind >= 0.4) & (kind < 0.5), enlarged, y)
    y = torch.where(
        (kind >= 0.5) & (kind < 0.58), some(x, 0, 1, 3) + torch.randn_like(x) * some(x, 0, 0.3), y
    )
    mean = y.mean((2, 3), keepdim=True)
    cast = (
        mean + (y - mean) * some(x, 0.3, 1.7) + 0.1 * torch.randn(len(x), 3, 1, 1, device=x.device)
    )
    y = torch.where(chance(x, 0.3), cast, y)
    return torch.where(chance(x, 0.1), permuted(y), y).clamp(0, 1)


# ------------------------------------------------------------------------------------ what both need


class Run:
    """A clock in shares of the run, the rate that goes with it, and a line now and then."""

    def __init__(self, seconds: float, rate: float, decay: float, warmup: int = 60) -> None:
        self.seconds, self.rate, self.decay, self.warmup = seconds, rate, decay, warmup
        self.begun = self.told = time.monotonic()
        self.steps = 0

    @property
    def share(self) -> float:
        return (time.monotonic() - self.begun) / self.seconds

    def factor(self) -> float:
        """What of the rate is used now."""
        left = max(0.0, 1 - self.share)
        falling = 1.0 if left >= self.decay else 0.5 * (1 - math.cos(math.pi * left / self.decay))
        return min(1.0, (self.steps + 1) / self.warmup) * max(0.02, falling)

    def count(self, sums: Tensor, names: str) -> None:
        """One step more; each fiftieth tells the means of `sums`, and begins them anew."""
        self.steps += 1
        if self.steps % 50 == 0:
            means = [round(value / 50, 4) for value in sums.tolist()]
            self.tell(lambda: f"{names} {means}")
            sums.zero_()

    def tell(self, text: Callable[[], str]) -> None:
        if time.monotonic() - self.told > 10:
            self.told = time.monotonic()
            seconds = self.told - self.begun
            print(
                f"{seconds:6.1f} s, step {self.steps}, {self.steps / seconds:.1f} a second: {text()}",
                flush=True,
            )


def clipped(parameters: Iterable[Tensor], most: float) -> Tensor:
    """The length of all gradients together, which are brought down to `most`; where it is not
    finite, to nothing.
    """
    grads = [each.grad for each in parameters if each.grad is not None]
    length = torch.stack(torch._foreach_norm(grads)).norm()
    scale = (most / (length + 1e-6)).clamp_max(1)
    for grad in grads:
        grad.copy_(torch.where(torch.isfinite(length), grad * scale, 0.0))
    return length


def prepared(device: torch.device) -> None:
    """Settings for speed, and constants that a CUDA graph must find on the device."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.set_num_threads(2)
    if device.type == "cuda":
        import gpu_kernels  # beside this file; Triton is not for every machine

        gpu_kernels.install()
    fold, field = transform_net._fold, transform_net._field
    folds: dict[int, Tensor] = {}
    fields: dict[int, Tensor] = {}

    def fold_there(side: int) -> Tensor:
        if side not in folds:
            folds[side] = fold(side).to(device)
        return folds[side]

    def noise_there(channels: int, level: int, offset: Any, size: tuple[int, int]) -> Tensor:
        if channels not in fields:
            fields[channels] = field(channels).to(device)
        rows, columns = (
            (torch.arange(count, device=device) + (start << level) + 171 * level)
            % transform_net._PERIOD
            for count, start in zip(size, offset, strict=True)
        )
        found = fields[channels][:, rows][:, :, columns][None]
        return found.contiguous(memory_format=torch.channels_last)

    def features(self: Encoder, image: Tensor, layers: Any) -> dict[str, Tensor]:
        constants = self.__dict__.setdefault("_centring", {})
        if device not in constants:
            both = (self.architecture.mean, self.architecture.std)
            constants[device] = [torch.tensor(v, device=device).view(1, 3, 1, 1) for v in both]
        mean, std = constants[device]
        x = ((image - mean) / std).to(self.dtype).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, enabled=False):
            return self._descend(x, set(self.canonical(layers)))

    transform_net._fold = fold_there
    transform_net.noise_field = noise_there
    Encoder.features = features


def loaded(names: list[str]) -> list[Encoder]:
    return [load_encoder(name, device="cpu", dtype=torch.float32) for name in names]


# ------------------------------------------------------------------------------------ the encoder


def train_encoder(args: argparse.Namespace) -> None:
    """Many small steps lead further than few large ones: a batch of 16 here, 8 in the command."""
    device = torch.device(args.device)
    everything = unpacked(args.pictures, tuple(QUALITY))
    start = loaded([args.start])[0]
    config = DistillConfig(batch=args.batch, learning_rate=args.rate, steps=1_000_000)
    task = Distillation(loaded(args.teacher), everything, config, start=start, data=tuple(QUALITY))
    pictures = Pictures(task._pictures, device)
    task.to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        print(*task.start(), task.validate(), flush=True)
    optimizers = task.optimizers()
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    run = Run(args.seconds, 1.0, args.decay)
    while run.share < 1:
        for optimizer, full in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, full, strict=True):
                group["lr"] = rate * run.factor()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            task.zero_grad()
            fresh = args.batch - (task._attacks if run.steps else 0)
            losses = task(distorted(pictures.crops(fresh, 128, 80, samples=2)), run.steps)
            total = torch.stack([task.balance[name] * loss for name, loss in losses.items()]).sum()
        total.backward()
        torch.nn.utils.clip_grad_norm_(
            [p for p in task.parameters() if p.grad is not None], config.clip
        )
        for optimizer in optimizers:
            optimizer.step()
        run.steps += 1
        with torch.autocast(device.type, dtype=torch.bfloat16):
            run.tell(
                lambda: str(
                    {
                        name: round(value, 4)
                        for name, value in task.validate().items()
                        if "clean" in name
                    }
                )
            )
    task.config = task.config.but(steps=run.steps)
    print(run.steps, "steps", task.export(args.output, licence="MIT"))


# ------------------------------------------------------------------------------------ the painter


class Muon:
    """`torch.optim.Muon` with `match_rms_adamw`, matrices of one shape at once, its rate a tensor:
    for a CUDA graph.
    """

    def __init__(self, matrices: list[Tensor], rate: Tensor) -> None:
        self.rate = rate
        self.groups: dict[torch.Size, list[Tensor]] = {}
        for matrix in matrices:
            self.groups.setdefault(matrix.shape, []).append(matrix)
        self.momenta = {
            shape: torch.zeros(len(ps), *shape, device=rate.device)
            for shape, ps in self.groups.items()
        }

    @torch.no_grad()
    def step(self) -> None:
        for shape, matrices in self.groups.items():
            gradient = torch.stack([matrix.grad for matrix in matrices if matrix.grad is not None])
            momentum = self.momenta[shape].lerp_(gradient, 0.05)
            x = gradient.lerp(momentum, 0.95).bfloat16()
            tall = x.shape[1] > x.shape[2]
            x = x.mT if tall else x
            x = x / x.float().norm(dim=(1, 2), keepdim=True).clamp_min(1e-7).bfloat16()
            for _ in range(5):
                square = x @ x.mT
                x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
            step = (x.mT if tall else x).float() * (-0.2 * math.sqrt(max(shape)) * self.rate)
            torch._foreach_add_(matrices, list(step.unbind()))


def graphed(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """`work` as one CUDA graph; elsewhere as it is."""
    if device.type != "cuda":
        return work
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def train_painter(args: argparse.Namespace) -> None:
    """The two rounds that a batch serves are one step here: every photo in its own style and in the
    next one's.
    """
    device = torch.device(args.device)
    prepared(device)
    torch.manual_seed(0)
    photos, paintings = (
        unpacked(args.pictures, names) for names in (("photos",), ("paintings", "textures"))
    )
    config = ArbitraryConfig(
        batch=args.batch,
        crop=args.crop,
        content_weight=args.content,
        coarse=args.coarse,
        shifted=args.shifted,
        even_weight=args.even,
        learning_rate=args.rate,
        predictor_rate=args.predictor_rate,
        decay=args.decay,
    )
    start = load_network(args.start, device="cpu", dtype=torch.float32)
    (reader,) = loaded([args.encoder])
    start = dataclasses.replace(start, encoder=reader.name)
    data = tuple(QUALITY)
    task = ArbitraryTask(
        reader, photos, paintings, config, critics=loaded(args.critic), start=start, data=data
    )
    content, style = Pictures(task._photos, device), Pictures(task._styles, device)
    task.to(device)
    if args.embedding:
        task.predictor = new_predictor(task, args.embedding, style)

    rate = torch.tensor(0.0, device=device)
    last, noise = task.transform_net.leave.weight, list(task.transform_net.noise)
    small = {id(p) for p in (last, *noise)}
    matrices = [p for p in task.transform_net.parameters() if id(p) not in small]
    muon = Muon(matrices, rate)
    adam = torch.optim.Adam(
        [{"params": [last, *noise]}, {"params": list(task.predictor.parameters())}],
        lr=torch.tensor(0.0, device=device),
        betas=(0.9, 0.98),
        capturable=device.type == "cuda",
    )
    for group in adam.param_groups:
        group["lr"] = torch.tensor(0.0, device=device)
    parameters = [*matrices, last, *noise, *task.predictor.parameters()]

    def losses() -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast(device.type, dtype=torch.bfloat16):
            parts = painted(task, content, style)
            total = torch.stack([task.balance[name] * loss for name, loss in parts.items()]).sum()
        total.backward()
        return torch.stack([loss.detach() for loss in parts.values()])

    def update() -> Tensor:
        length = clipped(parameters, config.clip)
        muon.step()
        adam.step()
        return length

    step = graphed(losses, device)
    step()
    apply = graphed(update, device)  # at a rate of 0 while it warms up
    if args.profile:
        profiled(args.profile, step, apply, losses)
        return
    print("at first", _told(task), flush=True)
    run, sums = Run(args.seconds, args.rate, args.decay), torch.zeros(3, device=device)
    is_kept = False
    while run.share < 1:
        if not is_kept and run.share > 1 - run.decay:  # if the rest should be lost
            is_kept = True
            save(task, args, run.steps, args.output.with_suffix(".before.safetensors"))
        now = args.rate * run.factor()
        rate.fill_(now)
        for group, full in zip(
            adam.param_groups, (0.2 * now, now * args.predictor_rate / args.rate), strict=True
        ):
            group["lr"].fill_(full)
        sums += step()
        apply()
        run.count(sums, "style, content, evenness")
    print(run.steps, "steps", _told(task))
    save(task, args, run.steps, args.output)


def save(task: ArbitraryTask, args: argparse.Namespace, steps: int, path: Path) -> None:
    with task._as_stored():
        painter = task.painter()
    recipe = {
        **painter.recipe,
        "steps": steps,
        "pictures_a_step": 2 * args.batch,
        "seconds": args.seconds,
    }
    save_painter(
        path, dataclasses.replace(painter, recipe=json.loads(json.dumps(recipe)), licence="MIT")
    )


@torch.no_grad()
def new_predictor(task: ArbitraryTask, embedding: int, styles: Pictures) -> StylePredictor:
    """A predictor that has learned nothing but what is usual."""
    former = task.predictor.config
    predictor = StylePredictor(
        dataclasses.replace(former, embedding=embedding, hidden=3 * embedding, components=384)
    )
    found = []
    for _ in range(160):
        with torch.autocast(styles.device.type, dtype=torch.bfloat16):
            crops = recolored(styles.crops(16, task.config.crop, 170, whole=WHOLE), 0.35)
            found.append(task._encode_style(task.reader.style(crops)).float().cpu())
    predictor.fit_pca(torch.cat(found))
    return predictor.to(styles.device)


def profiled(
    steps: int,
    step: Callable[[], Tensor],
    apply: Callable[[], Tensor],
    losses: Callable[[], Tensor],
) -> None:
    """Print what a step costs, and which kernels it is."""
    for name, work in (("losses", step), ("update", apply)):
        torch.cuda.synchronize()
        begun = time.monotonic()
        for _ in range(steps):
            work()
        torch.cuda.synchronize()
        print(f"{name}: {(time.monotonic() - begun) / steps * 1e3:.2f} ms", flush=True)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        losses()
        torch.cuda.synchronize()
    averages = sorted(profile.key_averages(), key=lambda event: -event.device_time_total)
    for event in averages[:45]:
        print(f"{event.device_time_total / 1e3:8.3f} ms {event.count:5d} {event.key[:110]}")
    print(
        f"{sum(e.device_time_total for e in averages) / 1e3:.2f} ms in {sum(e.count for e in averages)}"
    )


def painted(task: ArbitraryTask, content: Pictures, style: Pictures) -> dict[str, Tensor]:
    """One step's losses by name."""
    config, device = task.config, content.device
    photos = flattened(content.crops(config.batch, config.crop, 180, whole=WHOLE), config.flats)
    styles = recolored(style.crops(config.batch, config.crop, 170, whole=WHOLE), config.recolor)
    styles = torch.where(chance(photos, config.identity), photos, styles)
    draws = torch.rand(2, config.batch, device=device)
    shares = torch.where(draws[0] < config.blends, draws[1], torch.ones_like(draws[1]))
    with torch.no_grad():
        target = task.criterion.style(styles).mixed(shares)
        own = task.criterion.critics == task.reader.critics
        read = target if own else task.reader.style(styles).mixed(shares)
        kept, description = task.criterion.content(photos), task._encode_style(read)
    turns = torch.arange(config.batch, device=device)
    order = torch.cat([turns, turns.roll(1)])
    vectors = task.predictor(description)
    offset = torch.randint(4096, (2,), device=device)
    pictures = task.transform_net(
        photos[order], torch.cat([vectors, vectors]), (offset[0], offset[1])
    )
    return task.losses(photos[order], pictures, kept[order], Style.cat([target, target]))


# ------------------------------------------------------------------------------------ the bank


def train_bank(args: argparse.Namespace) -> None:
    """Vectors for named styles, every style a photo a step; the network stays as it is."""
    device = torch.device(args.device)
    prepared(device)
    torch.manual_seed(0)
    photos = unpacked(args.pictures, ("photos",))
    styles = {name: _decoded(file) for name, file in pickle.loads(args.styles.read_bytes()).items()}
    config = BankConfig(
        batch=len(styles),
        vectors_only=True,
        vector_rate=args.rate,
        content_weight=args.content,
        even_weight=0.15,
        coarse=0.3,
        steps=1_000_000,
    )
    start = load_network(args.start, device="cpu", dtype=torch.float32)
    (reader,) = loaded([start.encoder])
    task = BankTask(reader, photos, styles, config, start=start, data=("photos",))
    content = Pictures(task._photos, device)
    task.to(device)
    task.start()
    if args.critic:
        task.criterion = Criterion(
            *(critic.to(torch.bfloat16) for critic in loaded(args.critic)),
            deep=config.deep,
            coarse=config.coarse,
        )
        task._statistics = None
    targets = task._targets.to(device)
    rate = torch.tensor(0.0, device=device)
    adam = torch.optim.Adam(
        [task.vectors], lr=rate, betas=(0.9, 0.98), capturable=device.type == "cuda"
    )

    def learn() -> Tensor:
        task.vectors.grad = None
        with torch.autocast(device.type, dtype=torch.bfloat16):
            chosen = content.crops(config.batch, config.crop, 180, whole=WHOLE)
            chosen = flattened(chosen, FLAT)
            offset = torch.randint(4096, (2,), device=device)
            pictures = task.transform_net(chosen, task.vectors, (offset[0], offset[1]))
            with torch.no_grad():
                kept = task.criterion.content(chosen)
            parts = task.losses(chosen, pictures, kept, targets)
            total = torch.stack([task.balance[name] * loss for name, loss in parts.items()]).sum()
        total.backward()
        adam.step()
        return torch.stack([loss.detach() for loss in parts.values()])

    step = graphed(learn, device)
    print("at first", _told(task), flush=True)
    run, sums = Run(args.seconds, args.rate, 0.5), torch.zeros(3, device=device)
    while run.share < 1:
        rate.fill_(args.rate * run.factor())
        sums += step()
        run.count(sums, "style, content, evenness")
    print(run.steps, "steps", _told(task))
    task.config = task.config.but(steps=run.steps)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        task.export(args.output, licence="MIT")


def _told(task: BankTask | ArbitraryTask) -> dict[str, float]:
    with torch.autocast(task.device.type, dtype=torch.bfloat16):
        return {name: round(value, 4) for name, value in task.validate().items()}


if __name__ == "__main__":
    main()
