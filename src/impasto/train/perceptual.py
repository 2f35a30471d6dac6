"""What a painted picture should keep and what it should take, as losses for a network that paints many of them.

The optimiser's terms (relative, balanced for each pair), once a picture of a batch, and not squared: a distance
pulls as hard on the pair that is nearly right as on the one that is far off, so neither the palest nor the loudest
style rules the batch, and one setting suits all styles.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.losses import gram
from impasto.nets.encoder import STYLE_LAYERS, Encoder

__all__ = ["CONTENT_LAYER", "Criterion", "Style", "relative_distance"]

CONTENT_LAYER = "relu4_1"
"""Where content is compared: the style's depth already, so one layer less to compute."""


@dataclass(frozen=True)
class Style:
    """Means `(B, C)` and raw second moments `(B, C, C)` of `B` style pictures, by layer."""

    means: dict[str, Tensor]
    grams: dict[str, Tensor]

    @property
    def seconds(self) -> dict[str, Tensor]:
        """Mean squares `(B, C)` by layer."""
        return {layer: x.diagonal(dim1=1, dim2=2) for layer, x in self.grams.items()}

    def mixed(self, weights: Tensor) -> "Style":
        """Row `i` between the styles `i` (by `weights[i]`) and `i - 1`: as of two pictures hung side by side."""

        def between(x: Tensor) -> Tensor:
            w = weights.view(-1, *[1] * (x.dim() - 1)).to(x)
            return w * x + (1 - w) * x.roll(1, 0)

        return self._each(between)

    def rows(self, index: Tensor) -> "Style":
        """The styles of these numbers, `(N,)` int64, in this order."""
        return self._each(lambda x: x[index])

    def to(self, device: torch.device) -> "Style":
        """The same on `device`."""
        return self._each(lambda x: x.to(device))

    @staticmethod
    def cat(parts: Sequence["Style"]) -> "Style":
        """The styles of all parts, one after the other."""
        return Style(
            {layer: torch.cat([part.means[layer] for part in parts]) for layer in parts[0].means},
            {layer: torch.cat([part.grams[layer] for part in parts]) for layer in parts[0].grams},
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Style":
        return Style(
            {layer: change(x) for layer, x in self.means.items()},
            {layer: change(x) for layer, x in self.grams.items()},
        )


class Criterion:
    """Distances to a photo and to a style under the features of `encoder`, which follows the pictures' device."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.layers = encoder.canonical(STYLE_LAYERS)

    def features(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """`Encoder.features` of `(B, 3, H, W)` in [0, 1], wherever the pictures are."""
        return self.encoder.to(pictures.device).features(pictures, layers)

    @torch.no_grad()
    def style(self, pictures: Tensor) -> Style:
        """The statistics of `(B, 3, H, W)` in [0, 1]."""
        features = self.features(pictures, self.layers)
        means = {layer: x.mean(dim=(2, 3), dtype=torch.float32) for layer, x in features.items()}
        return Style(means, {layer: gram(x) for layer, x in features.items()})

    @torch.no_grad()
    def content(self, photos: Tensor) -> Tensor:
        """The features to keep of `(B, 3, H, W)` in [0, 1]."""
        return self.features(photos, (CONTENT_LAYER,))[CONTENT_LAYER]

    def __call__(self, pictures: Tensor, content: Tensor, style: Style) -> tuple[Tensor, Tensor]:
        """`(style, content)` distances of every picture, `(B,)` each; differentiable in `pictures`.

        Style: the mean over layers of `||G - A|| / ||A||`. Content: `||F - s P|| / ||s P||`, where `s <= 1` is how
        far the contrast of the style's features falls short of the photo's; where it exceeds it, the distance
        counts for as much less.
        """
        features = self.features(pictures, self.layers)
        found = [relative_distance(gram(features[layer]), target) for layer, target in style.grams.items()]
        power = content.float().square().mean((1, 2, 3)).clamp_min(1e-12)
        contrast = (style.seconds[CONTENT_LAYER].mean(1) / power).clamp(1e-4, 1e4).sqrt()
        pale = contrast.clamp_max(1).view(-1, 1, 1, 1)
        distance = relative_distance(features[CONTENT_LAYER].float(), content.float() * pale)
        return torch.stack(found).mean(0), distance / contrast.clamp_min(1)


def relative_distance(x: Tensor, target: Tensor) -> Tensor:
    """`||x - target|| / ||target||` (Frobenius) of each row: `(B, ...)` twice -> `(B,)`."""
    return _norm(x - target) / _norm(target)


def _norm(x: Tensor) -> Tensor:
    """The Frobenius norm of each row, with a slope where it is zero."""
    return (x.square().flatten(1).sum(1) + 1e-12).sqrt()
