"""What trainings of one-pass networks share: the start, the optimisers, and the file written.

A `NetworkTask` ends in a `Painter`. A `PaintingTask` is one that learns from photos and styles, by
their statistics; what its style vectors are, and where they come from, is left to those who inherit
from it.
"""

import copy
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.losses.base import STYLE_LOSSES
from impasto.losses.variation import unevenness
from impasto.networks.checkpoint import Painter, save_painter
from impasto.networks.encoder import Encoder
from impasto.networks.shapes import TransformNetConfig
from impasto.networks.style_predictor import encode_style
from impasto.networks.transform_net import TransformNet
from impasto.training.configs import NetworkConfig, PaintingConfig
from impasto.training.data import folder_names, hold_out, middles, randomness
from impasto.training.perceptual import Criterion, Style
from impasto.training.run import Task
from impasto.training.teachers import in_precision

__all__ = [
    "SMALLEST_PHOTO",
    "NetworkTask",
    "PaintingTask",
    "Stream",
    "begun",
    "frozen",
    "guess",
    "optimizers",
    "seeded",
    "sheet",
]

SMALLEST_PHOTO = 200
"""Pixels of a photo, along a side, that a crop shows at least: enough to see what it is of."""

_COLUMNS = 4  # photos on a sheet

Net = TypeVar("Net", bound=nn.Module)


class Stream(IntEnum):
    """Each purpose has random numbers of its own."""

    BATCH = 0
    HELD_OUT = 1
    MIX = 2
    ORDER = 3
    IDENTITY = 4
    NOISE = 5


class NetworkTask(Task):
    """Training a `transform_net`, and whatever else is needed to speak to it.

    `encoder` reads styles, and judges; the task works with a copy of its own, in the run's
    precision, which is no part of a checkpoint. `data` names the folders of the pictures, for the
    recipe.
    """

    config: NetworkConfig
    kind: ClassVar[str]
    """The task's name in recipes."""

    def __init__(
        self,
        encoder: Encoder,
        transform_net: TransformNet,
        config: NetworkConfig,
        *,
        data: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.reader = Criterion(in_precision(encoder, config.precision))
        self.criterion = self.reader
        self.config = config.but(transform_net=transform_net.config)
        self.transform_net = transform_net
        self.register_load_state_dict_pre_hook(_with_former_names)  # type: ignore[no-untyped-call]
        self._data = folder_names(data)

    @abstractmethod
    def painter(self) -> Painter:
        """What has been learned so far, as a copy."""

    @abstractmethod
    def samples(self, step: int) -> Tensor | None:
        """A sheet of held-out pictures as painted at `step`: `(3, H, W)` in [0, 1] on the CPU."""

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.transform_net.entry.weight.device

    @property
    def recipe(self) -> dict[str, Any]:
        return {
            **self.config.model_dump(),
            "task": self.kind,
            "encoder": self.encoder_name,
            "data": self._data,
        }

    @property
    def encoder_name(self) -> str:
        """Of the encoder that reads styles."""
        return self.reader.critics[0].name

    def export(self, path: Path, *, licence: str) -> dict[str, float]:
        """Write the painter as float16 safetensors, atomically; returns its validation as written.

        Its recipe is the task's, with the validation. Raises `ImpastoError` if the file cannot be
        written.
        """
        with self._as_stored():
            validation = self.validate()
            painter = self.painter()
        rounded = {name: float(f"{value:.4g}") for name, value in validation.items()}
        save_painter(
            path,
            replace(painter, recipe={**painter.recipe, "validation": rounded}, licence=licence),
        )
        return validation

    @contextmanager
    def _as_stored(self) -> Iterator[None]:
        """Every weight rounded to float16, as in a file."""
        kept = {name: value.clone() for name, value in self.state_dict().items()}
        self.load_state_dict({name: value.half().float() for name, value in kept.items()})
        try:
            yield
        finally:
            self.load_state_dict(kept)


class PaintingTask(NetworkTask):
    """Training on `photos`, uint8 `(3, H, W)` (`read_pictures`), to paint them in styles.

    `critics`: encoders whose features the losses compare, a layer by the first that has it;
    `encoder` if none are given. Raises `ImpastoError` for fewer than two photos.
    """

    config: PaintingConfig

    def __init__(
        self,
        encoder: Encoder,
        transform_net: TransformNet,
        photos: Sequence[Tensor],
        config: PaintingConfig,
        *,
        critics: Sequence[Encoder] = (),
        data: Sequence[str] = (),
    ) -> None:
        super().__init__(encoder, transform_net, config, data=data)
        own = [in_precision(critic, config.precision) for critic in critics] or self.reader.critics
        self.criterion = Criterion(
            *own,
            deep=config.deep,
            coarse=config.coarse,
            shifted=config.shifted,
            loss=STYLE_LOSSES.get(config.style_loss),
        )
        self.balance = {
            "style": config.style_weight,
            "content": config.content_weight,
            "evenness": config.even_weight,
        }
        held, self._photos = hold_out(
            photos, randomness(config.seed, Stream.HELD_OUT, 0), config.held_out
        )
        self._held_photos = middles(held, config.crop)

    @property
    def recipe(self) -> dict[str, Any]:
        critics = folder_names(critic.name for critic in self.criterion.critics)
        return {
            **super().recipe,
            "critics": critics,
            "photos": len(self._photos) + len(self._held_photos),
        }

    @abstractmethod
    def examples(self) -> tuple[Tensor, Tensor]:
        """A few style pictures `(N, 3, crop, crop)` and their style vectors `(N, V)`, for a sheet."""

    def losses(
        self, photos: Tensor, pictures: Tensor, content: Tensor, style: Style
    ) -> dict[str, Tensor]:
        """What training lowers: mean distances, but of style the mean of `log(1 + distance)`.

        Its slope, `1 / (1 + d)`, keeps pale, flat styles, whose relative distance begins at 10 or
        more, from ruling the batch.
        """
        of_style, of_content = self.criterion(pictures, content, style)
        uneven = unevenness(photos, pictures, sigma=self.config.even_sigma)
        return {
            "style": of_style.log1p().mean(),
            "content": of_content.mean(),
            "evenness": uneven.mean(),
        }

    def noise_offset(self, step: int) -> tuple[int, int]:
        """A random place in the noise field for `step`: the network must not learn one by heart."""
        down, right = randomness(self.config.seed, Stream.NOISE, step).integers(4096, size=2)
        return int(down), int(right)

    @torch.no_grad()
    def judge(self, photos: Tensor, vectors: Tensor, style: Style) -> Tensor:
        """`(2, B)`: the distances to style and content of what the network paints."""
        pictures = self.transform_net(photos, vectors)
        return torch.stack(self.criterion(pictures, self.criterion.content(photos), style))

    @torch.no_grad()
    def samples(self, step: int) -> Tensor | None:
        """Styles down the side, held-out photos along the top, the same at every step."""
        del step
        styles, vectors = self.examples()
        photos = self._held_photos[:_COLUMNS].to(self.device)
        corner = torch.ones_like(photos[:1])
        rows = [torch.cat([corner, photos])]
        for picture, vector in zip(styles.to(self.device), vectors, strict=True):
            rows.append(torch.cat([picture[None], self.transform_net(photos, vector[None])]))
        return sheet(rows)


def _with_former_names(_task: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Read checkpoints from when `transform_net` was called `transformer`."""
    former = f"{prefix}transformer."
    for key in [key for key in state if key.startswith(former)]:
        state[f"{prefix}transform_net.{key.removeprefix(former)}"] = state.pop(key)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Networks made in here get weights of this seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def optimizers(
    matrices: Sequence[nn.Parameter], others: Sequence[dict[str, Any]], rate: float
) -> list[torch.optim.Optimizer]:
    """Muon (Jordan 2024, scaled as by Liu et al. 2025) for `matrices`, Adam for `others`.

    Adam's rate is 0.2 of Muon's where a group has none of its own.
    """
    adam = torch.optim.Adam(list(others), lr=rate * 0.2, betas=(0.9, 0.98))
    if not matrices:
        return [adam]
    muon = torch.optim.Muon(
        list(matrices), lr=rate, momentum=0.95, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, adam]


def begun(start: Painter | None, encoder: Encoder, config: NetworkConfig) -> TransformNet:
    """A transform net to train: a float32 copy of `start`'s, or a new one.

    Raises `ImpastoError` if `start` reads styles with another encoder than `encoder`, or has
    another shape than one that was asked for.
    """
    if start is None:
        with seeded(config.seed):
            return TransformNet(config.transform_net)
    if start.predictor is not None and start.encoder != encoder.name:
        raise ImpastoError(
            f"the network to start from reads styles with the encoder {start.encoder}, not {encoder.name}; take it"
        )
    if config.transform_net not in (TransformNetConfig(), start.transform_net.config):
        raise ImpastoError(
            "the network to start from has a shape of its own; leave transform_net out"
        )
    with seeded(config.seed):
        transform_net = TransformNet(start.transform_net.config)
    transform_net.load_state_dict(start.transform_net.state_dict())
    return transform_net


@torch.no_grad()
def guess(start: Painter, style: Style) -> Tensor:
    """The vectors `start` predicts for these styles, `(B, V)` on the CPU; zeros if it cannot."""
    description = encode_style(style.means, style.seconds, tuple(style.means))
    if start.predictor is None:
        return torch.zeros(len(description), start.transform_net.vector_size)
    vectors: Tensor = start.predictor(description.to(start.predictor.center.device))
    return vectors.cpu()


def frozen(net: Net) -> Net:
    """A copy for use: without gradients."""
    return copy.deepcopy(net).requires_grad_(False).eval()


def sheet(rows: Sequence[Tensor]) -> Tensor:
    """Rows of as many pictures, `(N, 3, H, W)` each, as one picture `(3, rows H, N W)` on the CPU."""
    return torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1).cpu()
