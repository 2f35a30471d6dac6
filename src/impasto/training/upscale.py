"""Training a network that enlarges pictures, by a perceptual loss (Johnson et al. 2016).

Large pictures are made small as pictures in the world are (`impasto.training.degrade`), and the
network is to give them back, at two and four times the small size in one step. What it lowers:
- `pixels`, `colors`: mean absolute differences, of pixels and of the picture reduced again to the
  small size. The first alone gives the mean of all that might be there, which is blurred;
- `lattice`: the same of each sub-pixel position over squares of 16 px. A network that does not know
  the detail likes to answer with a lattice in step with the small pixels;
- `features`: mean absolute differences of a VGG's features, relative to their mean (Johnson's
  feature reconstruction loss, equation 2);
- `texture`: the same of Gram matrices of small windows (Sajjadi et al. 2017, arXiv:1612.07919,
  section 4.2.3): what cannot be known may be any fine texture of the right kind, but not a blur.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.networks.encoder import Encoder
from impasto.networks.upscale_net import TIMES, UpscaleNet, bicubic
from impasto.networks.upscaler import Upscaler, save_upscaler
from impasto.training.configs import UpscaleConfig
from impasto.training.data import crop, folder_names, hold_out, middles, normals, randomness
from impasto.training.degrade import DRAWS, Degradation
from impasto.training.painting import Stream, frozen, optimizers, seeded, sheet
from impasto.training.run import Task
from impasto.training.teachers import in_precision

__all__ = ["FEATURES", "UpscaleTask"]

FEATURES = {"relu1_1": 0.5, "relu2_1": 1.0, "relu3_1": 1.0}
"""Layers that are compared, and how much each counts: edges and fine texture; what is depicted is
in the small picture already.
"""

_WINDOW = 32  # px: of a Gram matrix
_SQUARE = 16  # px: of what a lattice is looked for in
_CHUNK = 4  # pictures judged at once
_COLUMNS = 4  # pictures on a sheet


class UpscaleTask(Task):
    """Train an `UpscaleNet` on `pictures`, uint8 `(3, H, W)` (`read_pictures`), of which one in
    eight, at most `held_out`, is kept for validation.

    `critics`: encoders whose features are compared; what one of them cannot see, such as a lattice
    in step with its pooling, another can. `start`: a network to go on from. `data` names where the
    pictures are from, for the recipe.

    Raises `ImpastoError` for fewer than two pictures, no critic, and one without the layers.
    """

    config: UpscaleConfig

    def __init__(
        self,
        critics: Sequence[Encoder],
        pictures: Sequence[Tensor],
        config: UpscaleConfig | None = None,
        *,
        start: Upscaler | None = None,
        data: Sequence[str] = (),
    ) -> None:
        super().__init__()
        config = config or UpscaleConfig()
        if start is not None:
            config = config.but(upscale_net=start.net.config)
        self.config = config
        with seeded(config.seed):
            self.net = UpscaleNet(config.upscale_net)
        if start is not None:
            self.net.load_state_dict(start.net.state_dict())
        # In a tuple: in a list they would be part of the checkpoint.
        self.critics = tuple(in_precision(critic, config.precision) for critic in critics)
        if not critics:
            raise ImpastoError("a critic is needed, whose features the losses compare; name one")
        for critic in critics:
            critic.canonical(FEATURES)
        self.balance = {
            "pixels": config.pixels_weight,
            "colors": config.colors_weight,
            "lattice": config.lattice_weight,
            "features": config.features_weight,
            "texture": config.texture_weight,
        }
        self.degradations = torch.nn.ModuleDict(
            {str(times): Degradation(config.crop, times) for times in TIMES}
        )
        self._start = start.fingerprint if start is not None else None
        self._data = folder_names(data)
        held, self.pictures = hold_out(
            pictures, randomness(config.seed, Stream.HELD_OUT), config.held_out
        )
        self._held = middles(held, config.crop)

    @property
    def recipe(self) -> dict[str, Any]:
        return {
            **self.config.model_dump(),
            "task": "upscale",
            "critics": folder_names(critic.name for critic in self.critics),
            "data": self._data,
            "pictures": len(self.pictures) + len(self._held),
            "start": self._start,
        }

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.net.entry.weight.device

    def weights(self) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
        """What Muon takes, the matrices between the first and the last, and the others."""
        last = {id(each.weight) for each in self.net.leave.values()}
        every = list(self.net.parameters())
        matrices = [p for p in every if p.dim() == 2 and id(p) not in last]
        own = {id(p) for p in matrices}
        return matrices, [p for p in every if id(p) not in own]

    def optimizers(self) -> list[torch.optim.Optimizer]:
        matrices, others = self.weights()
        return optimizers(matrices, [{"params": others}], self.config.learning_rate)

    # ------------------------------------------------------------------------------------ one step

    def batch(self, step: int) -> Tensor:
        random = randomness(self.config.seed, Stream.BATCH, step)
        # Reduced a little: what a camera or a codec left on single pixels is no target.
        smallest = round(1.2 * self.config.crop)
        return torch.stack(
            [
                crop(self.pictures, random, self.config.crop, smallest)
                for _ in range(self.config.batch)
            ]
        )

    def forward(self, batch: Tensor, step: int) -> dict[str, Tensor]:
        small = self._small(batch, randomness(self.config.seed, Stream.NOISE, step))
        return self.losses({times: self.net(x, times) for times, x in small.items()}, batch)

    def _small(self, pictures: Tensor, random: Any) -> dict[int, Tensor]:
        found = {}
        for times in TIMES:
            draws = torch.from_numpy(random.random((len(pictures), DRAWS))).float()
            side = self.config.crop // times
            noise = normals(random, len(pictures), 3, side, side)
            degrade = self.degradations[str(times)]
            found[times] = degrade(pictures, draws.to(pictures), noise.to(pictures))
        return found

    def losses(self, enlarged: Mapping[int, Tensor], pictures: Tensor) -> dict[str, Tensor]:
        """By name: of pictures `(B, 3, S, S)`, enlarged by several factors, and what they should
        be.
        """
        pixels = [(x - pictures).abs().mean() for x in enlarged.values()]
        colors = [F.avg_pool2d(x - pictures, times).abs().mean() for times, x in enlarged.items()]
        lattice = [
            F.avg_pool2d(F.pixel_unshuffle(x - pictures, times), _SQUARE // times).abs().mean()
            for times, x in enlarged.items()
        ]
        both = torch.cat(list(enlarged.values()))
        features, texture = [], []
        for critic in self.critics:
            critic.to(pictures.device)
            found = critic.features(both, FEATURES)
            with torch.no_grad():
                targets = critic.features(pictures, FEATURES)
            for layer in FEATURES:
                side = _WINDOW // 2 ** (int(layer[4]) - 1)
                theirs, grams = targets[layer], _grams(targets[layer], side)
                for ours in found[layer].chunk(len(enlarged)):
                    features.append(FEATURES[layer] * _relative(ours, theirs))
                    texture.append(FEATURES[layer] * _relative(_grams(ours, side), grams))
        return {
            "pixels": torch.stack(pixels).mean(),
            "colors": torch.stack(colors).mean(),
            "lattice": torch.stack(lattice).mean(),
            "features": torch.stack(features).mean(),
            "texture": torch.stack(texture).mean(),
        }

    # ------------------------------------------------------------------------------------ the outcome

    def _held_out(self) -> tuple[dict[int, Tensor], Tensor]:
        held = self._held.to(self.device)
        return self._small(held, randomness(self.config.seed, Stream.MIX)), held

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The losses on pictures that are held out, of the network and of bicubic."""
        small, held = self._held_out()
        sums: dict[str, float] = {}
        for start in range(0, len(held), _CHUNK):
            rows = slice(start, start + _CHUNK)
            share = len(held[rows]) / len(held)
            for kind, enlarge in (("", self.net), ("bicubic ", bicubic)):
                enlarged = {t: enlarge(x[rows], t).clamp(0, 1) for t, x in small.items()}
                for name, value in self.losses(enlarged, held[rows]).items():
                    key = f"{kind}{name}"
                    sums[key] = sums.get(key, 0.0) + share * value.item()
        return sums

    @torch.no_grad()
    def samples(self, step: int) -> Tensor:
        """In rows: held-out pictures; for each factor, bicubic and the network; always the same."""
        del step
        small, held = self._held_out()
        rows = [held[:_COLUMNS]]
        for times, x in small.items():
            rows += [each(x[:_COLUMNS], times).clamp(0, 1) for each in (bicubic, self.net)]
        return sheet(rows)

    def export(self, path: Path, *, licence: str) -> dict[str, float]:
        """Write the network as float16 safetensors, atomically; returns its validation as written.

        Raises `ImpastoError` if the file cannot be written.
        """
        kept = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.net.load_state_dict({name: value.half().float() for name, value in kept.items()})
        try:
            validation = self.validate()
            rounded = {name: float(f"{value:.4g}") for name, value in validation.items()}
            found = Upscaler(frozen(self.net), {**self.recipe, "validation": rounded}, licence)
            save_upscaler(path, found)
        finally:
            self.net.load_state_dict(kept)
        return validation


def _relative(x: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference, relative to the target's mean."""
    mean = target.abs().mean(dtype=torch.float32).clamp_min(1e-6)
    return (x - target).abs().mean(dtype=torch.float32) / mean


def _grams(x: Tensor, side: int) -> Tensor:
    """Second moments of every window of `side` positions: `(B, C, H, W)` -> `(B, N, C, C)`."""
    batch, channels, height, width = x.shape
    rows, columns = height // side, width // side
    x = x[..., : rows * side, : columns * side]
    x = x.permute(0, 2, 3, 1).reshape(batch, rows, side, columns, side, channels)
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(batch, rows * columns, side * side, channels)
    return x.mT @ x / side**2
