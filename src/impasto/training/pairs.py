"""Training on pairs, as pix2pix (Isola et al. 2017): photos, and what each is to become."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.networks.checkpoint import Painter, fingerprint
from impasto.networks.encoder import Encoder
from impasto.networks.style_bank import StyleBank, check_name
from impasto.training.configs import PairsConfig
from impasto.training.data import crop, hold_out, middles, randomness
from impasto.training.painting import (
    SMALLEST_PHOTO,
    NetworkTask,
    Stream,
    begun,
    frozen,
    guess,
    optimizers,
    sheet,
)
from impasto.training.perceptual import relative_distance

__all__ = ["FEATURE_LAYERS", "PairsTask"]

FEATURE_LAYERS = ("relu2_1", "relu3_1")
"""Where a picture is compared with the painted one: strokes, not single pixels, and not yet what
they depict.
"""

_CHUNK = 4  # pictures judged at once
_COLUMNS = 4  # pairs on a sheet


class PairsTask(NetworkTask):
    """Train a network to turn photos into their partners; what it learns is the style `name`.

    `pairs`: photo and painted picture, uint8 `(3, H, W)` of one size (`read_pairs`); of them one in
    eight, at most `held_out`, is kept for validation. `start`: a painter to go on from. `data`
    names where they are from, for the recipe.

    Raises `ImpastoError` for fewer than two pairs, a pair of two sizes, a name that cannot be one,
    and a `start` of another encoder or shape.
    """

    config: PairsConfig
    kind = "pairs"

    def __init__(
        self,
        encoder: Encoder,
        pairs: Sequence[tuple[Tensor, Tensor]],
        name: str,
        config: PairsConfig | None = None,
        *,
        start: Painter | None = None,
        data: Sequence[str] = (),
    ) -> None:
        config = config or PairsConfig()
        for index, (photo, painted) in enumerate(pairs):
            if photo.shape != painted.shape:
                sizes = " and ".join(
                    f"{each.shape[-1]} x {each.shape[-2]}" for each in (photo, painted)
                )
                raise ImpastoError(
                    f"the pictures of pair {index} are {sizes} pixels; make them of one size"
                )
        super().__init__(encoder, begun(start, encoder, config), config, data=data)
        self.balance = {"pixels": config.pixels_weight, "features": config.features_weight}
        self.name, self._begin = check_name(name), start
        self.vector = nn.Parameter(torch.zeros(1, self.transform_net.vector_size))
        # Six channels: whatever is done to a photo is done to its partner.
        both = [torch.cat(pair) for pair in pairs]
        held, self._pairs = hold_out(
            both, randomness(config.seed, Stream.HELD_OUT), config.held_out
        )
        self._held = middles(held, config.crop)

    @property
    def recipe(self) -> dict[str, Any]:
        start = self._begin.bank.network if self._begin is not None else None
        return {
            **super().recipe,
            "pairs": len(self._pairs) + len(self._held),
            "styles": [self.name],
            "start": start,
        }

    def optimizers(self) -> list[torch.optim.Optimizer]:
        last = self.transform_net.leave.weight
        matrices = [p for p in self.transform_net.parameters() if p is not last]
        vector = {"params": [self.vector], "lr": self.config.vector_rate}
        return optimizers(matrices, [vector, {"params": [last]}], self.config.learning_rate)

    @torch.no_grad()
    def start(self) -> tuple[str, ...]:
        if self._begin is not None:
            style = self.criterion.style(self._held[:_CHUNK, 3:].to(self.device))
            self.vector.copy_(guess(self._begin, style).mean(0))
        return (f"{len(self._pairs)} pairs to train on, {len(self._held)} to validate with",)

    def batch(self, step: int) -> Tensor:
        """Photos and their partners as channels 0 to 2 and 3 to 5: `(batch, 6, crop, crop)`."""
        random = randomness(self.config.seed, Stream.BATCH, step)
        return torch.stack(
            [
                crop(self._pairs, random, self.config.crop, SMALLEST_PHOTO)
                for _ in range(self.config.batch)
            ]
        )

    def forward(self, batch: Tensor, step: int) -> dict[str, Tensor]:
        del step
        pixels, features = self._distances(batch)
        return {"pixels": pixels.mean(), "features": features.mean()}

    def _distances(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Of every pair, `(B,)` each: mean absolute difference of pixels, relative one of features."""
        photos, painted = torch.split(batch, 3, dim=1)
        pictures = self.transform_net(photos, self.vector)
        with torch.no_grad():
            targets = self.criterion.features(painted, FEATURE_LAYERS)
        features = self.criterion.features(pictures, FEATURE_LAYERS)
        found = [
            relative_distance(features[layer].float(), targets[layer].float())
            for layer in FEATURE_LAYERS
        ]
        return (pictures - painted).abs().mean((1, 2, 3)), torch.stack(found).mean(0)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Both distances over the pairs that are held out."""
        found = [
            torch.stack(self._distances(chunk.to(self.device)))
            for chunk in torch.split(self._held, _CHUNK)
        ]
        pixels, features = torch.cat(found, dim=1).mean(1).tolist()
        return {"held pixels": pixels, "held features": features}

    @torch.no_grad()
    def samples(self, step: int) -> Tensor | None:
        """In rows: held-out photos, their partners, what the network paints; always the same."""
        del step
        photos, painted = torch.split(self._held[:_COLUMNS].to(self.device), 3, dim=1)
        return sheet([photos, painted, self.transform_net(photos, self.vector)])

    def painter(self) -> Painter:
        transform_net = frozen(self.transform_net)
        return Painter(
            transform_net,
            StyleBank(fingerprint(transform_net)).learned(self.name, self.vector[0]),
            encoder=self.encoder_name,
            recipe=self.recipe,
        )
