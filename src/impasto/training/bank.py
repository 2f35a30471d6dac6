"""Training a bank: one network for a number of styles, each a row of scales and shifts (Dumoulin et
al. 2017).

With `vectors_only` a network that is already there learns nothing but new rows; the other styles it
knows stay as they are, to the byte.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.networks.checkpoint import Painter, fingerprint
from impasto.networks.encoder import Encoder
from impasto.networks.style_bank import StyleBank, check_name
from impasto.training.configs import BankConfig
from impasto.training.data import crop, middles, randomness, scaled
from impasto.training.painting import (
    SMALLEST_PHOTO,
    PaintingTask,
    Stream,
    begun,
    frozen,
    guess,
    optimizers,
)
from impasto.training.perceptual import Style

__all__ = ["BankTask"]

_EXAMPLES = 4  # styles on a sheet
_JUDGED = 8  # held-out photos that every style is judged by


class BankTask(PaintingTask):
    """Train a network, or only its vectors, on `photos` to paint in `styles`: name -> uint8 `(3, H,
    W)`, or `(4, H, W)` with an alpha: of what is transparent nothing is learned.

    One row of `vectors` is a style, in the order of the names; the last gives a photo itself back,
    unless `vectors_only` adds to a network that can do so already. `start`: a painter to go on
    from, whose predictor, if it has one, says where the rows begin.

    Raises `ImpastoError` for no style, a name that cannot be one, fewer than two photos,
    `vectors_only` without `start`, and a `start` of another encoder or shape.
    """

    config: BankConfig
    kind = "bank"

    def __init__(
        self,
        encoder: Encoder,
        photos: Sequence[Tensor],
        styles: Mapping[str, Tensor],
        config: BankConfig | None = None,
        *,
        start: Painter | None = None,
        data: Sequence[str] = (),
    ) -> None:
        config = config or BankConfig()
        if not styles:
            raise ImpastoError("a bank needs a style at least; give pictures to learn from")
        if config.vectors_only and start is None:
            raise ImpastoError(
                "vectors_only needs a network to add styles to; name one, or leave it out"
            )
        super().__init__(encoder, begun(start, encoder, config), photos, config, data=data)
        self.names = tuple(sorted(check_name(name) for name in styles))
        self._pictures = [styles[name][:3] for name in self.names]
        self._alphas = [styles[name][3:] for name in self.names]
        self._begin = start
        self._kept = (
            start if config.vectors_only else None
        )  # the painter that gains styles and is not changed
        complete = start is not None and (start.predictor is not None or start.identity is not None)
        self._with_identity = not (config.vectors_only and complete)
        self.vectors = nn.Parameter(
            torch.zeros(len(self.names) + self._with_identity, self.transform_net.vector_size)
        )
        self.transform_net.requires_grad_(not config.vectors_only)
        self._statistics: Style | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        start = self._begin.bank.network if self._begin is not None else None
        return {**super().recipe, "styles": list(self.names), "start": start}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        rows = {"params": [self.vectors], "lr": self.config.vector_rate}
        if self.config.vectors_only:
            return optimizers([], [rows], self.config.learning_rate)
        last = self.transform_net.leave.weight
        matrices = [p for p in self.transform_net.parameters() if p is not last]
        return optimizers(matrices, [rows, {"params": [last]}], self.config.learning_rate)

    @torch.no_grad()
    def start(self) -> tuple[str, ...]:
        targets = self._targets
        if self._begin is not None:
            self.vectors[: len(self.names)] = guess(self._begin, targets).to(self.vectors)
            if self._with_identity:
                photos = self.criterion.style(self._held_photos[:_JUDGED].to(self.device))
                identity = (
                    guess(self._begin, photos).mean(0)
                    if self._begin.identity is None
                    else self._begin.identity
                )
                self.vectors[-1] = identity.to(self.vectors)
        return (f"{len(self.names)} styles, and {len(self._photos)} photos to paint in them",)

    @property
    def _targets(self) -> Style:
        """The styles' statistics, row by row, on the CPU; of whole pictures, at `style_size`.

        They follow from the pictures alone, so a checkpoint has no need of them.
        """
        if self._statistics is None:
            rows = []
            with torch.autocast(
                self.device.type, enabled=False
            ):  # computed once: as exactly as can be
                for picture, alpha in zip(self._pictures, self._alphas, strict=True):
                    view = scaled(picture, self.config.style_size).to(self.device)
                    seen = scaled(alpha, self.config.style_size) if len(alpha) else None
                    rows.append(self.criterion.style(view, seen).to(torch.device("cpu")))
            self._statistics = Style.cat(rows)
        return self._statistics

    # ------------------------------------------------------------------------------------ one step

    def batch(self, step: int) -> Tensor:
        """Photos `(batch, 3, crop, crop)`."""
        random = randomness(self.config.seed, Stream.BATCH, step)
        return torch.stack(
            [
                crop(self._photos, random, self.config.crop, SMALLEST_PHOTO)
                for _ in range(self.config.batch)
            ]
        )

    def rows(self, step: int) -> Tensor:
        """The row of `vectors` for each photo of `step`: `(batch,)` int64, in rising order.

        Styles come in shuffled rounds, each once a round; now and then the row that gives photos
        back takes a turn.
        """
        config, count = self.config, len(self.names)
        turns = [
            divmod(turn, count) for turn in range(step * config.batch, (step + 1) * config.batch)
        ]
        rows = np.array(
            [
                randomness(config.seed, Stream.ORDER, round_).permutation(count)[i]
                for round_, i in turns
            ]
        )
        if self._with_identity:
            rows[
                randomness(config.seed, Stream.IDENTITY, step).random(config.batch)
                < config.identity
            ] = count
        return torch.from_numpy(np.sort(rows))

    def forward(self, batch: Tensor, step: int) -> dict[str, Tensor]:
        rows = self.rows(step)
        pictures = self.transform_net(
            batch, self.vectors[rows.to(batch.device)], self.noise_offset(step)
        )
        identities = int((rows == len(self.names)).sum())
        styles = [self._targets.rows(rows[: len(rows) - identities]).to(batch.device)]
        if identities:
            styles.append(self.criterion.style(batch[-identities:]))
        return self.losses(batch, pictures, self.criterion.content(batch), Style.cat(styles))

    # ------------------------------------------------------------------------------------ the outcome

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Distances to style and content on held-out photos: the mean over styles, and the worst."""
        photos = self._held_photos[:_JUDGED].to(self.device)
        found = []
        for row in range(len(self.names)):
            style = self._targets.rows(torch.full((len(photos),), row)).to(self.device)
            found.append(self.judge(photos, self.vectors[row, None], style).mean(1))
        of_styles, of_contents = torch.stack(found, dim=1)
        return {
            "held style": of_styles.mean().item(),
            "held content": of_contents.mean().item(),
            "worst style": of_styles.max().item(),
            "worst content": of_contents.max().item(),
        }

    def examples(self) -> tuple[Tensor, Tensor]:
        styles = middles(self._pictures[:_EXAMPLES], self.config.crop)
        return styles, self.vectors[: len(styles)]

    def bank(self) -> StyleBank:
        """The named vectors. With `vectors_only` they are for the network that was started from."""
        bank = StyleBank(
            self._kept.bank.network if self._kept is not None else fingerprint(self.transform_net)
        )
        for name, vector in zip(
            self.names, self.vectors, strict=False
        ):  # the row beyond them has no name
            bank = bank.learned(name, vector)
        return bank

    def painter(self) -> Painter:
        identity = self.vectors[-1].detach().cpu().clone() if self._with_identity else None
        kept = self._kept
        if kept is not None:
            recipe = {**self.recipe, "network": dict(kept.recipe)}
            return replace(
                kept,
                bank=kept.bank.joined(self.bank()),
                identity=kept.identity if identity is None else identity,
                recipe=recipe,
            )
        return Painter(
            frozen(self.transform_net),
            self.bank(),
            identity=identity,
            encoder=self.encoder_name,
            recipe=self.recipe,
        )
