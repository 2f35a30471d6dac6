"""Training a transform net and a style predictor together, on any styles (Ghiasi et al. 2017,
arXiv:1705.06830).

Where the recipe leaves the paper's:
- a batch serves several steps, its photos passed on to the next style each time: the targets under
  the encoder, which cost most, are computed once;
- styles are recoloured and mixed with one another, so that there are more of them than pictures;
- now and then a photo's style is the photo itself: the vector of its own statistics then means
  "leave it as it is", and strength is a walk from there to the style.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.networks.checkpoint import Painter, fingerprint
from impasto.networks.encoder import STYLE_LAYERS, Encoder
from impasto.networks.style_bank import StyleBank
from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig, encode_style
from impasto.networks.transform_net import TransformNet
from impasto.training.configs import ArbitraryConfig
from impasto.training.data import crop, flat, hold_out, middles, randomness, recolored
from impasto.training.painting import (
    SMALLEST_PHOTO,
    PaintingTask,
    Stream,
    begun,
    frozen,
    optimizers,
    seeded,
)
from impasto.training.perceptual import Style

__all__ = ["ArbitraryTask"]

_SMALLEST_STYLE = 176  # px of a style picture that fill a crop at least
_PCA_BATCHES = 128  # batches of styles that tell the predictor what is usual
_EXAMPLES = 4  # styles on a sheet
_CHUNK = 4  # pictures judged at once


class ArbitraryTask(PaintingTask):
    """Train a network for any style on `photos` and `styles`, uint8 `(3, H, W)` each.

    `encoder` reads styles; `critics`, if given, judge pictures in its place. `start`: a painter to
    go on from. Of photos and styles, one in eight and at most `held_out` are kept for validation.
    `data` names where they are from, for the recipe. Raises `ImpastoError` for fewer than two
    photos or styles, and a `start` of another encoder or shape, or without a predictor.
    """

    config: ArbitraryConfig
    kind = "arbitrary"

    def __init__(
        self,
        encoder: Encoder,
        photos: Sequence[Tensor],
        styles: Sequence[Tensor],
        config: ArbitraryConfig | None = None,
        *,
        critics: Sequence[Encoder] = (),
        start: Painter | None = None,
        data: Sequence[str] = (),
    ) -> None:
        config = config or ArbitraryConfig()
        transform_net = begun(start, encoder, config)
        super().__init__(encoder, transform_net, photos, config, critics=critics, data=data)
        self.predictor = _predictor(start, encoder, transform_net, config)
        self._begin = start
        held, self._styles = hold_out(
            styles, randomness(config.seed, Stream.HELD_OUT, 1), config.held_out
        )
        self._held_styles = middles(held, config.crop)
        self._block: tuple[int, Tensor, Style, Tensor] | None = (
            None  # the targets that were computed last
        )

    @property
    def recipe(self) -> dict[str, Any]:
        start = self._begin.bank.network if self._begin is not None else None
        return {
            **super().recipe,
            "styles": len(self._styles) + len(self._held_styles),
            "start": start,
        }

    def optimizers(self) -> list[torch.optim.Optimizer]:
        # The last convolution gives three colours: to Muon they would have to be of equal weight.
        last = self.transform_net.leave.weight
        matrices = [p for p in self.transform_net.parameters() if p is not last]
        predictor = {"params": list(self.predictor.parameters()), "lr": self.config.predictor_rate}
        return optimizers(matrices, [{"params": [last]}, predictor], self.config.learning_rate)

    def start(self) -> tuple[str, ...]:
        if self._begin is None:
            found = []
            for block in range(_PCA_BATCHES):
                styles = self.batch(block * self.config.rounds)[self.config.batch :]
                found.append(self._encode_style(self.reader.style(styles.to(self.device))))
            self.predictor.fit_pca(torch.cat(found))
        return (f"{len(self._photos)} photos and {len(self._styles)} styles to train on",)

    def _encode_style(self, style: Style) -> Tensor:
        return encode_style(style.means, style.seconds, self.reader.layers)

    # ------------------------------------------------------------------------------------ one step

    def batch(self, step: int) -> Tensor:
        """The photos, and below them as many styles: `(2 batch, 3, crop, crop)`."""
        config = self.config
        random = randomness(config.seed, Stream.BATCH, step // config.rounds)
        photos = [self._photo(random) for _ in range(config.batch)]
        styles = []
        for photo in photos:
            if random.random() < config.identity:
                styles.append(photo)
                continue
            style = crop(self._styles, random, config.crop, _SMALLEST_STYLE)
            styles.append(recolored(style, random) if random.random() < config.recolor else style)
        return torch.stack(photos + styles)

    def _photo(self, random: np.random.Generator) -> Tensor:
        photo = crop(self._photos, random, self.config.crop, SMALLEST_PHOTO)
        return flat(photo, random) if random.random() < self.config.flats else photo

    def forward(self, batch: Tensor, step: int) -> dict[str, Tensor]:
        photos, styles = torch.split(batch, self.config.batch)
        return self.learn(photos, styles, step)

    def learn(self, photos: Tensor, styles: Tensor, step: int) -> dict[str, Tensor]:
        """The losses of `photos` in `styles`: `(B, 3, H, W)` in [0, 1], each kind of one size."""
        block, turn = divmod(step, self.config.rounds)
        content, style, description = self._targets(photos, styles, block)
        order = torch.arange(len(photos), device=photos.device).roll(turn)
        photos = photos[order]
        pictures = self.transform_net(photos, self.predictor(description), self.noise_offset(step))
        return self.losses(photos, pictures, content[order], style)

    def _targets(self, photos: Tensor, styles: Tensor, block: int) -> tuple[Tensor, Style, Tensor]:
        """Features to keep, styles to take and what is said of them, from the batch and the seed;
        once a block.
        """
        if self._block is None or self._block[0] != block:
            random = randomness(self.config.seed, Stream.MIX, block)
            shares = torch.from_numpy(random.random(len(photos))).float()
            shares[torch.from_numpy(random.random(len(photos)) >= self.config.blends)] = 1
            shares = shares.to(photos.device)
            style = self.criterion.style(styles).mixed(shares)
            read = (
                style
                if self.criterion.critics == self.reader.critics
                else self.reader.style(styles).mixed(shares)
            )
            self._block = block, self.criterion.content(photos), style, self._encode_style(read)
        return self._block[1:]

    # ------------------------------------------------------------------------------------ the outcome

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean distances to style and content: each held-out photo in the held-out style beside it."""
        count = min(len(self._held_photos), len(self._held_styles))
        found = []
        for chunk in torch.split(torch.arange(count), _CHUNK):
            photos, styles = (
                held[chunk].to(self.device) for held in (self._held_photos, self._held_styles)
            )
            vectors = self.predictor(self._encode_style(self.reader.style(styles)))
            found.append(self.judge(photos, vectors, self.criterion.style(styles)))
        of_style, of_content = torch.cat(found, dim=1).mean(1).tolist()
        return {"held style": of_style, "held content": of_content}

    @torch.no_grad()
    def examples(self) -> tuple[Tensor, Tensor]:
        styles = self._held_styles[:_EXAMPLES].to(self.device)
        return styles, self.predictor(self._encode_style(self.reader.style(styles)))

    def painter(self) -> Painter:
        transform_net = frozen(self.transform_net)
        return Painter(
            transform_net,
            StyleBank(fingerprint(transform_net)),
            frozen(self.predictor),
            encoder=self.encoder_name,
            recipe=self.recipe,
        )


def _predictor(
    start: Painter | None, encoder: Encoder, transform_net: TransformNet, config: ArbitraryConfig
) -> StylePredictor:
    """A predictor to train: a copy of `start`'s, or a new one."""
    if start is not None:
        if start.predictor is None:
            raise ImpastoError(
                "the network to start from knows styles by name only; take one for any style"
            )
        return copy.deepcopy(start.predictor).requires_grad_(True).train()
    widths = [encoder.architecture.widths[layer] for layer in encoder.canonical(STYLE_LAYERS)]
    with seeded(config.seed):
        return StylePredictor(StylePredictorConfig(2 * sum(widths), transform_net.vector_size))
