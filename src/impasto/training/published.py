"""Training a bank by a published loss: a source's layers, scales and weights, as `impasto stylize
--preset` has them, for every picture of a batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from impasto.losses.content import CONTENT_SCALES
from impasto.losses.gram import STYLE_SCALES
from impasto.losses.presets import PRESETS, Preset
from impasto.losses.variation import total_variation, unevenness
from impasto.methods.matching import stands
from impasto.networks.checkpoint import Painter
from impasto.networks.encoder import Encoder
from impasto.training.bank import BankTask
from impasto.training.configs import JohnsonConfig
from impasto.training.perceptual import Criterion, Style, second_moments

__all__ = ["PublishedBank", "PublishedCriterion"]


class PublishedCriterion(Criterion):
    """A `Criterion` whose distances are a preset's: `encoder`'s own layers stand for those of the
    source that it lacks, at the source's scale (`impasto.methods.matching`).

    Its weights are not in them: style is the mean of the style layers' losses by their shares, and
    content that of the content layer's.
    """

    def __init__(self, encoder: Encoder, preset: Preset) -> None:
        super().__init__(encoder)
        self.preset = preset
        (self.held,), self.matched = (
            stands(encoder, layers, preset.feature_scale, exact=False)
            for layers in (preset.content_layers, preset.style_layers)
        )
        weights = preset.layer_weights or (1.0,) * len(preset.style_layers)
        self.shares = [weight / sum(weights) for weight in weights]

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands for what."""
        pairs = {each.asked: each.layer for each in (self.held, *self.matched)}
        name = self.critics[0].name
        return tuple(
            f"{name} has no {asked}; {layer} stands for it at its scale"
            for asked, layer in pairs.items()
            if asked != layer
        )

    @torch.no_grad()
    def style(self, pictures: Tensor, seen: Tensor | None = None) -> Style:
        """As of any criterion, with the Gram matrices of the layers that stand for the source's."""
        found = super().style(pictures, seen)
        layers = dict.fromkeys(each.layer for each in self.matched)
        features = self.features(pictures, layers)
        grams = {layer: second_moments(features[layer], seen) for layer in layers}
        return Style(found.means, found.grams | grams)

    @torch.no_grad()
    def content(self, photos: Tensor) -> Tensor:
        """The features to keep of `(B, 3, H, W)` in [0, 1]."""
        return self.features(photos, (self.held.layer,))[self.held.layer]

    def __call__(self, pictures: Tensor, content: Tensor, style: Style) -> tuple[Tensor, Tensor]:
        """`(style, content)` losses of every picture, `(B,)` each; differentiable in `pictures`."""
        layers = dict.fromkeys((self.held.layer, *(each.layer for each in self.matched)))
        features = self.features(pictures, layers)
        preset, of_style = self.preset, torch.zeros(len(pictures), device=pictures.device)
        for share, stand in zip(self.shares, self.matched, strict=True):
            found = features[stand.layer]
            scale = STYLE_SCALES[preset.style_scale](found.shape[1], found[0, 0].numel())
            scale *= share * stand.style(pictures, preset.style_scale)
            apart = second_moments(found) - style.grams[stand.layer]
            of_style = of_style + scale * apart.square().sum((1, 2))
        found = features[self.held.layer]
        scale = CONTENT_SCALES[preset.content_scale](found.shape[1], found[0, 0].numel())
        scale *= self.held.content(pictures, preset.content_scale)
        apart = found.float() - content.float()
        return of_style, scale * apart.square().sum((1, 2, 3))


class PublishedBank(BankTask):
    """A bank trained as a paper says; see `JohnsonConfig`.

    The network's shape and, unless it begins anew, its weights are this package's; validation is in
    the package's own distances, so that it compares with other banks.
    """

    config: JohnsonConfig
    criterion: PublishedCriterion

    def __init__(
        self,
        encoder: Encoder,
        photos: Sequence[Tensor],
        styles: Mapping[str, Tensor],
        config: JohnsonConfig | None = None,
        *,
        start: Painter | None = None,
        data: Sequence[str] = (),
    ) -> None:
        config = config or JohnsonConfig()
        super().__init__(encoder, photos, styles, config, start=start, data=data)
        self.criterion = PublishedCriterion(self.reader.critics[0], PRESETS[config.preset])
        self.balance |= {"variation": config.tv_weight}

    @property
    def recipe(self) -> dict[str, Any]:
        stood = {each.asked: each.layer for each in (self.criterion.held, *self.criterion.matched)}
        return {**super().recipe, "layers": stood}

    def start(self) -> tuple[str, ...]:
        return (*super().start(), *self.criterion.notes)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam alone, at one rate."""
        learned = [each for each in self.parameters() if each.requires_grad]
        return [torch.optim.Adam(learned, lr=self.config.learning_rate)]

    def losses(
        self, photos: Tensor, pictures: Tensor, content: Tensor, style: Style
    ) -> dict[str, Tensor]:
        """The means of the pictures' losses."""
        of_style, of_content = self.criterion(pictures, content, style)
        return {
            "style": of_style.mean(),
            "content": of_content.mean(),
            "evenness": unevenness(photos, pictures, sigma=self.config.even_sigma).mean(),
            "variation": total_variation(pictures) / len(pictures),
        }

    @torch.no_grad()
    def judge(self, photos: Tensor, vectors: Tensor, style: Style) -> Tensor:
        pictures = self.transform_net(photos, vectors)
        return torch.stack(self.reader(pictures, self.reader.content(photos), style))
