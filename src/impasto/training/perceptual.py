"""Content and style losses for a network that paints many pictures at once.

The optimiser's terms (relative, balanced for each pair), once a picture of a batch, and not
squared: a distance pulls as hard on the pair that is nearly right as on the one that is far off, so
neither the palest nor the loudest style rules the batch, and one setting suits all styles.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.losses.base import StyleLoss
from impasto.losses.gram import cooccurrence
from impasto.losses.objective import mask_at
from impasto.losses.style.gram import GRAM
from impasto.networks.encoder import SMALLEST, STYLE_LAYERS, Encoder

__all__ = ["CONTENT_LAYER", "Criterion", "Style", "relative_distance", "second_moments"]

CONTENT_LAYER = "relu4_1"
"""Where content is compared: the style's depth already, so one layer less to compute."""

# Which layers are looked at in smaller copies, and how far beside themselves.
_COARSE = {2: STYLE_LAYERS[:3], 4: STYLE_LAYERS[:2]}
_SHIFTS = {"relu1_1": ((3, 0), (0, 3)), "relu2_1": ((2, 0), (0, 2))}


@dataclass(frozen=True)
class Style:
    """Means `(B, C)` and raw second moments `(B, C, C)` of `B` style pictures, by layer.

    `targets`: what another `loss` than Gram matrices aims at, a target a picture, by layer.
    """

    means: dict[str, Tensor]
    grams: dict[str, Tensor]
    targets: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    loss: StyleLoss = GRAM

    @property
    def seconds(self) -> dict[str, Tensor]:
        """Mean squares `(B, C)` by layer."""
        return {layer: x.diagonal(dim1=1, dim2=2) for layer, x in self.grams.items()}

    def mixed(self, weights: Tensor) -> "Style":
        """Row `i` between the styles `i` (by `weights[i]`) and `i - 1`: as of two pictures hung
        side by side.
        """

        def between(x: Tensor) -> Tensor:
            w = weights.view(-1, *[1] * (x.dim() - 1)).to(x)
            return w * x + (1 - w) * x.roll(1, 0)

        def hung(targets: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(
                self.loss.mix((target, targets[i - 1]), (w, 1 - w))
                for i, (target, w) in enumerate(zip(targets, weights.tolist(), strict=True))
            )

        return self._each(between, hung)

    def rows(self, index: Tensor) -> "Style":
        """The styles of these numbers, `(N,)` int64, in this order."""
        picked = index.tolist()
        return self._each(lambda x: x[index], lambda targets: tuple(targets[i] for i in picked))

    def to(self, device: torch.device) -> "Style":
        """The same on `device`; `targets` stay where the pictures were."""
        return self._each(lambda x: x.to(device), lambda targets: targets)

    @staticmethod
    def cat(parts: Sequence["Style"]) -> "Style":
        """The styles of all parts, one after the other; of pictures too small for smaller copies,
        without those.
        """
        first = parts[0]
        shared = [key for key in first.grams if all(key in part.grams for part in parts)]
        return Style(
            {layer: torch.cat([part.means[layer] for part in parts]) for layer in first.means},
            {key: torch.cat([part.grams[key] for part in parts]) for key in shared},
            {
                key: tuple(target for part in parts for target in part.targets[key])
                for key in first.targets
                if key in shared
            },
            first.loss,
        )

    def _each(
        self,
        change: Callable[[Tensor], Tensor],
        regroup: Callable[[tuple[Any, ...]], tuple[Any, ...]],
    ) -> "Style":
        return Style(
            {layer: change(x) for layer, x in self.means.items()},
            {layer: change(x) for layer, x in self.grams.items()},
            {layer: regroup(each) for layer, each in self.targets.items()},
            self.loss,
        )


class Criterion:
    """Distances to a photo and to a style under the features of `critics`, which follow the
    pictures' device.

    A layer is read by the first critic that has it. Beside the Gram matrices of the five layers
    stand, where their weight is above 0:
    - `deep`: what relu5_1 counts for. Asked for in full it costs the other layers much and gains
      little;
    - `coarse`: Gram matrices of the low layers at a half and a quarter of the size (as Gatys et al.
      2017, arXiv:1611.07865, have them for large pictures): colours must be right in large areas,
      not only on average;
    - `shifted`: products of features with those a few positions beside them (Berger and Memisevic
      2017, arXiv:1606.01286). A Gram matrix takes any lattice of the right energy; these do not.

    `loss` stands for the Gram matrices, those of `coarse` too, by the root of its `distance`.
    """

    def __init__(
        self,
        *critics: Encoder,
        deep: float = 0.2,
        coarse: float = 0.0,
        shifted: float = 0.0,
        loss: StyleLoss = GRAM,
    ) -> None:
        self.critics, self.loss = critics, loss
        self.layers = STYLE_LAYERS
        for layer in self.layers:
            if not any(layer in critic.layers for critic in critics):
                raise ImpastoError(f"no encoder has the layer {layer}; add one that does")
        self.weights = dict.fromkeys(self.layers, 1.0) | {STYLE_LAYERS[-1]: deep}
        if coarse:
            self.weights |= {
                _coarse(layer, by): coarse for by, layers in _COARSE.items() for layer in layers
            }
        if shifted:
            self.weights |= {
                _shifted(layer, *by): shifted for layer, shifts in _SHIFTS.items() for by in shifts
            }
        self._by_coarse, self._by_shift = coarse > 0, shifted > 0

    def features(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """`Encoder.features` of `(B, 3, H, W)` in [0, 1], wherever the pictures are."""
        found: dict[str, Tensor] = {}
        for critic in self.critics:
            own = [layer for layer in layers if layer in critic.layers and layer not in found]
            if own:
                found |= critic.to(pictures.device).features(pictures, own)
        return found

    def _statistics(
        self, pictures: Tensor, seen: Tensor | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The features of `layers` and of smaller copies, and the matrices of all that has a weight."""
        features = self.features(pictures, self.layers)
        if self._by_coarse:
            for by, layers in _COARSE.items():
                if min(pictures.shape[-2:]) < by * SMALLEST:
                    continue  # too small a copy to encode
                small = self.features(F.avg_pool2d(pictures, by), layers)
                features |= {_coarse(layer, by): small[layer] for layer in layers}
        found = {key: second_moments(x, seen) for key, x in features.items()}
        if self._by_shift:
            for layer, shifts in _SHIFTS.items():
                found |= {
                    _shifted(layer, *by): second_moments(features[layer], seen, by) for by in shifts
                }
        return features, found

    @torch.no_grad()
    def style(self, pictures: Tensor, seen: Tensor | None = None) -> Style:
        """The statistics of `(B, 3, H, W)` in [0, 1].

        `seen`: their alpha, `(1, 1, H, W)`: over what is seen of them.
        """
        features, grams = self._statistics(pictures, seen)
        masks = {key: None if seen is None else mask_at(seen, x) for key, x in features.items()}
        means = {layer: _mean(features[layer], masks[layer]) for layer in self.layers}
        if self.loss is GRAM:
            return Style(means, grams)
        targets = {
            key: tuple(self.loss.target(each, masks[key]) for each in torch.split(x, 1))
            for key, x in features.items()
        }
        return Style(means, grams, targets, self.loss)

    @torch.no_grad()
    def content(self, photos: Tensor) -> Tensor:
        """The features to keep of `(B, 3, H, W)` in [0, 1]."""
        return self.features(photos, (CONTENT_LAYER,))[CONTENT_LAYER]

    def __call__(self, pictures: Tensor, content: Tensor, style: Style) -> tuple[Tensor, Tensor]:
        """`(style, content)` distances of every picture, `(B,)` each; differentiable in `pictures`.

        Style: the weighted mean of `||G - A|| / ||A||`, or of another loss's. Content: `||F - s P||
        / ||s P||`, where `s <= 1` is how far the contrast of the style's features falls short of
        the photo's; where it exceeds it, the distance counts for as much less.
        """
        features, grams = self._statistics(pictures)
        both = [key for key in self.weights if key in grams and key in style.grams]
        found = [
            self.weights[key] * self._another(features[key], style.targets[key])
            if key in style.targets
            else self.weights[key] * relative_distance(grams[key], style.grams[key])
            for key in both
        ]
        power = content.float().square().mean((1, 2, 3)).clamp_min(1e-12)
        contrast = (style.seconds[CONTENT_LAYER].mean(1) / power).clamp(1e-4, 1e4).sqrt()
        pale = contrast.clamp_max(1).view(-1, 1, 1, 1)
        distance = relative_distance(features[CONTENT_LAYER].float(), content.float() * pale)
        return torch.stack(found).sum(0) / sum(
            self.weights[key] for key in both
        ), distance / contrast.clamp_min(1)

    def _another(self, x: Tensor, targets: Sequence[Any]) -> Tensor:
        """The roots, `(B,)`: the loss's own distances are squares."""
        apart = [
            self.loss.distance(each, target)
            for each, target in zip(torch.split(x, 1), targets, strict=True)
        ]
        return (self.loss.balance * torch.stack(apart).clamp_min(0) + 1e-12).sqrt()


def _mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """`(B, C)`, float32."""
    if mask is None:
        return x.mean(dim=(2, 3), dtype=torch.float32)
    return (x.float() * mask).sum((2, 3)) / mask.sum().clamp_min(1e-12)


def second_moments(x: Tensor, seen: Tensor | None = None, by: tuple[int, int] = (0, 0)) -> Tensor:
    """Mean products of features with those `by` rows and columns on, `(B, C, C)`, over what is seen of
    both.
    """
    if seen is None:
        return cooccurrence(x, *by)
    mask = mask_at(seen, x)
    return cooccurrence(x * mask.to(x.dtype), *by) / cooccurrence(mask, *by).clamp_min(1e-12)


def _coarse(layer: str, by: int) -> str:
    return f"{layer} of 1/{by}"


def _shifted(layer: str, down: int, right: int) -> str:
    return f"{layer} by {down}, {right}"


def relative_distance(x: Tensor, target: Tensor) -> Tensor:
    """`||x - target|| / ||target||` (Frobenius) of each row: `(B, ...)` twice -> `(B,)`."""
    return _norm(x - target) / _norm(target)


def _norm(x: Tensor) -> Tensor:
    """The Frobenius norm of each row, with a slope where it is zero."""
    return (x.square().flatten(1).sum(1) + 1e-12).sqrt()
