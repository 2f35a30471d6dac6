"""Distilling an encoder: a small VGG learns to give a large one's own features.

Teacher and student have the same number of channels at the layers that are matched, and the
student's are trained to be the teacher's, channel by channel, so that a Gram matrix means the same
under both. Between these layers the student is narrow; that is where it saves.

Where the recipe comes from:
- the loss is one-sided (`impasto.training.onesided`), and the first layer is solved by it, not
  trained;
- pictures are distorted (`impasto.training.data.augment`), and a quarter of a batch are those of
  the batch before, moved against the student by a gradient that is already there (Shafahi et al.
  2019, "Adversarial training for free!", arXiv:1904.12843): whoever optimises pictures under the
  student will find its errors;
- teacher forcing (Williams and Zipser 1989): early on a block mostly goes on from the teacher's
  features, so all blocks learn at once;
- matrices are updated by Muon (Jordan 2024), in the scaling of Liu et al. 2025, arXiv:2502.16982;
  biases by Adam.
"""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.networks.encoder import COMPACT, Architecture, Encoder, canonical
from impasto.networks.weights import write_weights
from impasto.training.configs import DistillConfig
from impasto.training.data import augment, crop, folder_names, hold_out, log_uniform, randomness
from impasto.training.onesided import one_sided, one_sided_regression
from impasto.training.run import Task
from impasto.training.student import Student
from impasto.training.teachers import assign, in_precision, like

__all__ = ["Distillation", "unexplained"]

Features: TypeAlias = Callable[[Tensor], Mapping[str, Tensor]]

# One stream of random numbers for each purpose.
_WEIGHTS, _PATCHES, _HELD_OUT, _BATCH, _ADVERSARY, _FORCING, _REVIVAL = range(7)

_NARROW_STD, _MATCHED_STD = (
    1.0,
    0.5,
)  # of pre-activations at the start; features of a teacher are mostly zero
_SHALLOW = "relu3_1"  # the last layer that learns at the full rate
_CHUNK = 16  # pictures evaluated at once
_PATCH_ROWS = 20_000
_REVIVE_EVERY, _REVIVE_UNTIL = 200, 0.8  # steps; share of the run


class Distillation(Task):
    """Train an encoder of `architecture` to give the features of `teachers`; by default, `COMPACT`
    as wide as they are.

    A layer is taught by the first teacher that has it. `pictures` are uint8 `(3, H, W)`
    (`read_pictures`), of which one in eight, at most `held_out`, is kept for validation. `start`:
    an encoder to go on from, whose architecture is the student's; its blocks have found each other,
    so nothing is forced. `data` names where pictures are from, for the recipe.

    Raises `ImpastoError` for fewer than two pictures, a layer that no teacher or not the student
    has, or one that is not of the same width in both.
    """

    variance: Tensor
    chained = True  # pictures of a batch come back in the next

    def __init__(
        self,
        teachers: Sequence[Encoder],
        pictures: Sequence[Tensor],
        config: DistillConfig | None = None,
        *,
        architecture: Architecture | None = None,
        start: Encoder | None = None,
        data: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.config: DistillConfig = config or DistillConfig()
        if start is not None:
            architecture, self.config = (
                start.architecture,
                self.config.but(forcing=0.0),
            )
        architecture = architecture or like(COMPACT, teachers, self.config.layers)
        if architecture.heads:
            raise ImpastoError("a student cannot have heads: its own layers are what is trained")
        self.student = Student(architecture, self._random(_WEIGHTS))
        layers = self.student.layers
        self.balance = {
            canonical(name, architecture.widths): weight
            for name, weight in self.config.layers.items()
        }
        ends = [layer for layer in layers if layer == layers[0] or not self.student.readers(layer)]
        if not set(ends) <= self.balance.keys():
            raise ImpastoError(
                f"the student's {' and '.join(ends)} must be among the matched layers"
            )
        own = [in_precision(teacher, self.config.precision) for teacher in teachers]
        self._teachers = assign(own, self.balance, architecture)
        # Not the encoder: a module would be part of the checkpoint.
        self._begin = (start.name, start.weights()) if start is not None else None
        self._names: dict[str, Any] = {
            "teachers": folder_names(each.name for each in teachers),
            "data": folder_names(data),
        }
        self._hold_out(pictures)
        self._bounds = [
            name
            for name in layers
            if name.endswith("_1") and name in self.balance and name not in ends
        ]
        self._narrow = [name for name in layers if name not in self.balance]
        self.register_buffer("variance", torch.ones(len(self.balance)))
        self._previous: Tensor | None = None  # the pictures of the step before, with their gradient

    def _random(self, *stream: int) -> np.random.Generator:
        return randomness(self.config.seed, *stream)

    def _hold_out(self, pictures: Sequence[Tensor]) -> None:
        random = self._random(_HELD_OUT)
        held, self._pictures = hold_out(pictures, random, self.config.held_out)
        clean = [crop([picture], random, self.config.crop) for picture in held]
        self._clean = torch.stack(clean)
        self._distorted = torch.stack([augment(image, random, held) for image in clean])
        self._probe = torch.cat([self._clean, self._distorted])[::3]

    @property
    def recipe(self) -> dict[str, Any]:
        return {
            **self.config.model_dump(),
            **self._names,
            "start": self._begin[0] if self._begin is not None else None,
            "pictures": len(self._pictures) + len(self._clean),
            "architecture": dataclasses.asdict(self.student.architecture),
        }

    def optimizers(self) -> list[torch.optim.Optimizer]:
        config, layers, weights = self.config, self.student.layers[1:], self.student.weights
        shallow = layers.index(_SHALLOW) + 1 if _SHALLOW in layers else len(layers)
        deep_rate = config.learning_rate * config.deep_rate
        groups: list[dict[str, Any]] = [
            {"params": [weights[layer] for layer in layers[:shallow]]},
            {"params": [weights[layer] for layer in layers[shallow:]], "lr": deep_rate},
        ]
        return [
            torch.optim.Muon(
                [group for group in groups if group["params"]],
                lr=config.learning_rate,
                momentum=0.95,
                weight_decay=0.0,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.Adam(
                [self.student.biases[layer] for layer in layers],
                lr=config.bias_rate,
                betas=(0.9, 0.98),
            ),
        ]

    # ------------------------------------------------------------------------------------ one step

    def batch(self, step: int) -> Tensor:
        random = self._random(_BATCH, step)
        count = self.config.batch - (self._attacks if step else 0)
        return torch.stack([self._example(random, self.config.crop) for _ in range(count)])

    def _example(self, random: np.random.Generator, size: int) -> Tensor:
        return augment(crop(self._pictures, random, size), random, self._pictures)

    @property
    def _attacks(self) -> int:
        """How many pictures of a batch are those of the batch before, moved against the student."""
        return int(self.config.adversarial * self.config.batch)

    def forward(self, batch: Tensor, step: int) -> dict[str, Tensor]:
        pictures = torch.cat([self._attacked(step).to(batch), batch]).requires_grad_()
        targets = self._teach(pictures)
        self._previous = pictures
        likely = self.config.forcing * max(
            0.0, 1 - 2.2 * step / (self.config.steps * self.config.accumulate)
        )
        random = self._random(_FORCING, step)
        forced = {layer: targets[layer] for layer in self._bounds if random.random() < likely}
        scales = dict(zip(self.balance, self.variance, strict=True))
        return {
            layer: one_sided(z, targets[layer]) / scales[layer]
            for layer, z in self.student.preactivations(pictures, forced)
            if layer in targets
        }

    def _attacked(self, step: int) -> Tensor:
        """Pictures of the last batch, each pixel moved by 1/255 to 12/255 in the direction of a
        larger loss.
        """
        if self._previous is None or self._previous.grad is None:
            return torch.empty(0, 3, self.config.crop, self.config.crop)
        random = self._random(_ADVERSARY, step)
        pictures, gradient = self._previous.detach(), self._previous.grad.nan_to_num()
        chosen = torch.from_numpy(random.permutation(len(pictures))[: self._attacks]).to(
            pictures.device
        )
        reach = torch.tensor([log_uniform(random, 1 / 255, 12 / 255) for _ in chosen]).view(
            -1, 1, 1, 1
        )
        return (pictures[chosen] + reach.to(pictures) * gradient[chosen].sign()).clamp(0, 1)

    @torch.no_grad()
    def _teach(self, images: Tensor) -> dict[str, Tensor]:
        """The matched layers' features."""
        with torch.autocast(
            images.device.type, enabled=False
        ):  # the teachers are in the run's precision
            return {
                layer: features
                for teacher, layers in self._teachers
                for layer, features in teacher.to(images.device).features(images, layers).items()
            }

    def get_extra_state(self) -> dict[str, Tensor]:
        if self._previous is None or self._previous.grad is None:
            return {}
        return {"pictures": self._previous.detach(), "gradient": self._previous.grad}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self._previous = None
        if state:
            self._previous = state["pictures"].clone().requires_grad_()
            self._previous.grad = state["gradient"].clone()

    # ------------------------------------------------------------------------------ before and between

    @torch.no_grad()
    def start(self) -> tuple[str, ...]:
        self._solve_first()
        probe = self._probe.to(self._device)
        targets = self._teach(probe)
        for i, layer in enumerate(self.balance):
            self.variance[i] = targets[layer].float().var().clamp_min(1e-12)
        std = {
            name: _MATCHED_STD if name in self.balance else _NARROW_STD
            for name in self.student.layers
        }
        self.student.standardize(probe, {layer: targets[layer] for layer in self._bounds}, std)
        if self._begin is not None:
            self.student.take(self._begin[1])
        return (f"{len(self._pictures)} pictures to train on, {len(self._clean)} to validate with",)

    def _solve_first(self) -> None:
        first, random = self.student.layers[0], self._random(_PATCHES)
        images = torch.stack([self._example(random, 64) for _ in range(64)]).to(self._device)
        # Without the border, where the two may continue the picture differently.
        targets = (
            self._teach(images)[first][:, :, 1:-1, 1:-1].flatten(2).transpose(1, 2).flatten(0, 1)
        )
        inputs = F.unfold(self.student.normalized(images), 3).transpose(1, 2).flatten(0, 1)
        rows = torch.from_numpy(random.permutation(len(inputs))[:_PATCH_ROWS]).to(inputs.device)
        self.student.set_first(*one_sided_regression(inputs[rows], targets[rows]))

    @property
    def _device(self) -> torch.device:
        return self.variance.device

    def upkeep(self, step: int) -> tuple[str, ...]:
        """Revive units now and then, until the learning rate is too low for them to learn much."""
        if step % _REVIVE_EVERY or step >= _REVIVE_UNTIL * self.config.steps:
            return ()
        probe = self._probe.to(self._device)
        targets = self._teach(probe)
        revived = self.student.revive(
            probe,
            {layer: targets[layer] for layer in self._bounds},
            self._narrow,
            self._random(_REVIVAL, step),
        )
        return tuple(
            f"{count} silent units of {layer} begin anew" for layer, count in revived.items()
        )

    # ------------------------------------------------------------------------------------ the outcome

    def validate(self) -> dict[str, float]:
        """Unexplained variance by layer on held-out pictures: `clean …` and `augmented …`."""
        return self._judge(
            lambda image: {layer: F.relu(z) for layer, z in self.student.preactivations(image)}
        )

    def _judge(self, features: Features) -> dict[str, float]:
        found = {}
        for kind, images in (("clean", self._clean), ("augmented", self._distorted)):
            chunks = torch.split(images.to(self._device), _CHUNK)
            for layer, share in unexplained(features, self._teach, chunks, self.balance).items():
                found[f"{kind} {layer}"] = share
        return found

    def export(self, path: Path, *, licence: str) -> dict[str, float]:
        """Write the student as float16 safetensors, atomically; returns its validation as written.

        Tensors are named as `Encoder.load` takes them. Header: `architecture` and `recipe` as JSON,
        the latter with the validation, and `licence`. Raises `ImpastoError` if the file cannot be
        written.
        """
        weights = {name: tensor.half() for name, tensor in self.student.folded().items()}
        encoder = Encoder(self.student.architecture, name=path.stem).load(weights).to(self._device)
        validation = self._judge(lambda image: encoder.features(image, self.balance))
        recipe = {
            **self.recipe,
            "validation": {name: float(f"{value:.4g}") for name, value in validation.items()},
        }
        architecture = recipe.pop("architecture")
        header = {
            "architecture": json.dumps(architecture),
            "recipe": json.dumps(recipe),
            "licence": licence,
        }
        write_weights(path, weights, header)
        return validation


@torch.no_grad()
def unexplained(
    student: Features, teacher: Features, batches: Iterable[Tensor], layers: Iterable[str]
) -> dict[str, float]:
    """By layer, the share of the teacher's variance that the student does not explain.

    `sum (s - t)^2 / sum (t - mean t)^2` over all pictures and positions, the mean being each
    channel's; 1 is what these means alone would give. `batches` of pictures `(B, 3, H, W)` in [0,
    1].
    """
    error: dict[str, float] = defaultdict(float)
    energy: dict[str, float] = defaultdict(float)
    positions: dict[str, int] = defaultdict(int)
    totals: dict[str, Tensor] = {}
    names = tuple(layers)
    for images in batches:
        ours, theirs = student(images), teacher(images)
        for layer in names:
            s, t = ours[layer].float(), theirs[layer].float()
            error[layer] += (s - t).square().sum().item()
            energy[layer] += t.square().sum().item()
            positions[layer] += t[:, 0].numel()
            total = t.sum((0, 2, 3)).cpu().double()
            totals[layer] = totals[layer] + total if layer in totals else total
    shares = {}
    for layer in names:
        by_means = totals[layer].square().sum().item() / positions[layer]
        shares[layer] = error[layer] / max(energy[layer] - by_means, 1e-12)
    return shares
