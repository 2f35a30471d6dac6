"""What the optimiser aims at: the styles and the photo, as the objective of each size of the pyramid."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from impasto.losses.base import StyleLoss
from impasto.losses.content import squared_norm
from impasto.losses.objective import Objective, Term, content_term, style_term, variation_term
from impasto.losses.self_similarity import self_similarity_term
from impasto.losses.style.gram import GRAM
from impasto.losses.temporal import temporal_term
from impasto.methods.base import Before
from impasto.methods.guided import SEEN, Targets, at_layer, in_frame, joined
from impasto.methods.matching import Matched
from impasto.methods.reading import parts
from impasto.methods.sections import assembled
from impasto.networks.encoder import SMALLEST, Encoder
from impasto.networks.grams import StyleGrams
from impasto.pictures.image import resize
from impasto.settings import Settings

__all__ = ["SETTLED", "Aims", "Content", "MakeTerms", "Photo", "Regions", "Style", "contrasted"]

# What a settled layer counts for at the last size. Its cells see half the picture there, and asked
# for in full they are had most cheaply by a few spots of glaring noise.
SETTLED = 0.4
# What self-similarity counts for beside the distance of features that it stands for: it is smaller
# by about so much for pictures that hold the photo's forms as well.
SELF_SIMILARITY = 5.0
# In a film, what a mean squared difference of 1 from the picture before costs, in units of all that
# the other terms come to at the start of a frame. A difference of 0.1 costs half of them.
TEMPORAL = 50.0

MakeTerms: TypeAlias = Callable[[Tensor, Encoder], Iterable[Term]]
"""Terms of one's own for a photo, at the size it is optimised at."""


@dataclass(frozen=True)
class Style:
    """Style pictures, each `(1, 3, H, W)` in [0, 1], or what is known of one by its Gram matrices,
    and their weights, which sum to 1.

    `seen`: the alpha of each, `(1, 1, H, W)`, or None where all of it is seen.
    """

    pictures: tuple[Tensor | StyleGrams, ...]
    weights: tuple[float, ...]
    seen: tuple[Tensor | None, ...]


Regions: TypeAlias = Sequence[tuple[Style, Tensor | None]]
"""Styles, each with the soft mask of its place, `(1, 1, H, W)`; None for everywhere."""


class Content(Protocol):
    """What a layer has of the photo: its `features`, where they are held, and their mean square."""

    @property
    def features(self) -> Tensor | None: ...
    @property
    def energy(self) -> Tensor: ...

    def term(self, layer: str, weight: float, scale: str, gain: float) -> Term:
        """`content_term` with `gain` times the features for its target."""
        ...


class Photo(Protocol):
    """A photo at one size of the pyramid, as terms are made of it."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, with the frame."""
        ...

    def contents(self, layers: Sequence[str]) -> Mapping[str, Content]:
        """By layer."""
        ...

    def targets(self, layers: Sequence[str], loss: StyleLoss) -> Mapping[str, Any]:
        """The photo's own statistics, as `loss.target` has them."""
        ...

    def style(
        self, layer: str, aim: Any, weight: float, loss: StyleLoss, region: tuple[int, Tensor]
    ) -> Term | None:
        """`style_term` in a region, of that number and mask; None where the layer cannot see it."""
        ...


class Aims:
    """Makes objectives of photos and styles, of `encoder`'s features, as `settings` weighs them.

    `match`: the preset as this encoder has it. `loss`: what a style is. `terms`: more of them, asked
    for at every size.
    """

    def __init__(
        self,
        encoder: Encoder,
        settings: Settings,
        match: Matched,
        loss: StyleLoss,
        terms: Sequence[MakeTerms] = (),
    ) -> None:
        self.encoder, self.settings, self.loss, self.terms = encoder, settings, loss, tuple(terms)
        self.matched, self.recipe = match, match.recipe

    @torch.no_grad()
    def objective(
        self, photo: Tensor, regions: Regions, scale: float, last: bool, side: int
    ) -> Objective:
        """At one size of the pyramid, that of `photo`, `(1, 3, H, W)` in its frame.

        `regions`: as of `own_terms`. `scale`: of the style to `photo`. `last`: whether this is the last
        of several sizes. `side`: of the parts that the photo is read by, px; 0: at once.
        """
        long_side = round(max(photo.shape[-2:]) * scale)
        terms = self.own_terms(_Held(self.encoder, photo, side), regions, long_side, last)
        return Objective(
            [*terms, *(term for make in self.terms for term in make(photo, self.encoder))]
        )

    @torch.no_grad()
    def own_terms(self, photo: Photo, regions: Regions, long_side: int, last: bool) -> list[Term]:
        """The terms of this package: content, style and variation.

        `regions`: the styles, each with the mask of its place. `long_side`: of the styles, px.
        """
        recipe, like = self.recipe, torch.empty((1, 3, *photo.size), device="meta")
        found = [self.targets(style, long_side) for style, _ in regions]
        areas = [1.0 if mask is None else float(mask.square().mean()) for _, mask in regions]
        of_content = joined([each for _, each in found], areas)
        terms = self._content_terms(photo, self._aims(photo, of_content, GRAM))
        shares = self.matched.style_shares(like)
        for place, ((of_style, _), (_, mask)) in enumerate(zip(found, regions, strict=True)):
            for layer, aim in self._aims(photo, of_style, self.loss).items():
                # By its area, so that each position is pulled as hard as without regions.
                share = shares[layer] * self.loss.balance * areas[place]
                share *= SETTLED if last and layer in recipe.settled else 1
                if mask is None:
                    terms.append(style_term(layer, aim, share, self.loss))
                elif term := photo.style(layer, aim, share, self.loss, (place, mask)):
                    terms.append(replace(term, name=f"{term.name}/{place + 1}"))
        if recipe.tv_weight > 0:
            terms.append(variation_term(recipe.tv_weight, recipe.tv_scale))
        return terms

    @torch.no_grad()
    def held(self, objective: Objective, begun: Tensor, before: Before) -> Objective:
        """The same, and to agree with the picture before where that can be trusted."""
        size, frame = (begun.shape[-2], begun.shape[-1]), self.recipe.frame
        picture, trust = (
            resize(in_frame(x, frame), size).to(begun.device)
            for x in (before.picture, before.trust)
        )
        now = objective(self.encoder.features(begun, objective.layers), begun).total.item()
        return Objective([*objective.terms, temporal_term(picture, trust, TEMPORAL * now)])

    def _content_terms(self, photo: Photo, aims: Mapping[str, Tensor]) -> list[Term]:
        """What holds the photo's forms, made to suit a pale or a strong style where terms are
        relative; `aims`: the Gram matrices of the content layers then.
        """
        recipe = self.recipe
        if recipe.content_weight == 0:
            return []
        shares = self.matched.content_shares(torch.empty((1, 3, *photo.size), device="meta"))
        own = photo.contents(recipe.content_layers)
        if self.settings.content_loss == "selfsim":
            return [
                self_similarity_term(layer, each.features, shares[layer] * SELF_SIMILARITY)
                for layer, each in own.items()
                if each.features is not None
            ]
        terms = []
        for layer, each in own.items():
            share, gain = shares[layer], 1.0
            if aims:
                contrast = contrasted(each.energy, aims[layer])
                gain, share = min(1.0, contrast), share * min(1.0, 1 / contrast)
            terms.append(each.term(layer, share, recipe.content_scale, gain))
        return terms

    @torch.no_grad()
    def targets(self, style: Style, long_side: int) -> tuple[Targets, Targets]:
        """What the styles are at that size: to the style loss, and, where something asks for them,
        the Gram matrices of the content layers.
        """
        recipe = self.recipe
        weighed = self.settings.content_loss != "selfsim" and recipe.content_weight > 0
        relative = recipe.content_scale == "relative" and weighed
        asked = (
            (recipe.style_layers if recipe.style_weight > 0 else (), self.loss),
            (recipe.content_layers if relative else (), GRAM),
        )
        found: tuple[Targets, Targets] = ({}, {})
        layers = list(dict.fromkeys(layer for each, _ in asked for layer in each))
        for picture, weight, alpha in zip(style.pictures, style.weights, style.seen, strict=True):
            if isinstance(picture, StyleGrams):
                for (each, _), everything in zip(asked, found, strict=True):
                    for layer in each:
                        aim = picture.at(layer, long_side).to(self.encoder.device)
                        everything.setdefault(layer, []).append((weight, aim))
                continue
            size = _scaled(picture, long_side)
            seen = None if alpha is None else resize(alpha, size)
            own: tuple[Targets, Targets] = ({}, {})
            for part in parts(self.encoder, resize(picture, size), seen, layers):
                for (each, loss), into in zip(asked, own, strict=True):
                    for layer in each:
                        target = loss.target(part.features[layer], part.masks.get(layer))
                        into.setdefault(layer, []).append((part.share(layer), target))
            for into, everything in zip(own, found, strict=True):
                for layer, targets in into.items():
                    whole = sum(share for share, _ in targets)
                    everything.setdefault(layer, []).extend(
                        (weight * (share / whole), target) for share, target in targets if share
                    )
        return found

    def _aims(self, photo: Photo, targets: Targets, loss: StyleLoss) -> dict[str, Any]:
        """The target of each layer: of the styles by their weights, and of the photo by what
        strength leaves to it.
        """
        strength = self.settings.strength
        own = photo.targets(list(targets), loss) if strength < 1 else {}
        aims = {}
        for layer, each in targets.items():
            aims[layer] = loss.mix([target for _, target in each], [share for share, _ in each])
            if own:
                aims[layer] = loss.mix([own[layer], aims[layer]], [1 - strength, strength])
        return aims


@dataclass(frozen=True, eq=False)
class _Held:
    """A `Photo` that is held in floating point, `(1, 3, H, W)`, and read by parts of `side` px."""

    encoder: Encoder
    photo: Tensor
    side: int

    @property
    def size(self) -> tuple[int, int]:
        return self.photo.shape[-2], self.photo.shape[-1]

    def contents(self, layers: Sequence[str]) -> dict[str, "Content"]:
        found = assembled(self.encoder, self.photo, layers, self.side)
        return {layer: _HeldContent(features) for layer, features in found.items()}

    def targets(self, layers: Sequence[str], loss: StyleLoss) -> dict[str, Any]:
        found = assembled(self.encoder, self.photo, layers, self.side)
        return {layer: loss.target(features) for layer, features in found.items()}

    def style(
        self, layer: str, aim: Any, weight: float, loss: StyleLoss, region: tuple[int, Tensor]
    ) -> Term | None:
        _, mask = region
        if float(at_layer(mask, self.photo, self.encoder, layer).max()) < SEEN:
            return None
        return style_term(layer, aim, weight, loss, mask)


@dataclass(frozen=True, eq=False)
class _HeldContent:
    features: Tensor

    @property
    def energy(self) -> Tensor:
        return squared_norm(self.features) / self.features.numel()

    def term(self, layer: str, weight: float, scale: str, gain: float) -> Term:
        target = self.features if gain == 1 else gain * self.features
        return content_term(layer, target, weight, scale)


def contrasted(photo: Tensor, style: Tensor) -> float:
    """The root mean square of a layer, by its Gram matrix `style`, in units of the photo's, whose
    mean square is `photo`: it balances the terms.

    A pale style (below 1) leaves room for that share of the photo's contrast: asked for all of it,
    a picture that must also have the style's moments answers with the loudest of the photo's forms
    and loses the others. Under a strong style (above 1) the photo's features are small beside the
    picture's own; their distance, relative to themselves, would outweigh the style, and counts for
    less in that measure.
    """
    energy = style.diagonal(dim1=1, dim2=2).mean() / photo.clamp_min(1e-12)
    return energy.clamp(1e-4, 1e4).sqrt().item()


def _scaled(picture: Tensor, long_side: int) -> tuple[int, int]:
    """The size with that long side, enlarged if need be; the short side stays large enough to
    encode.
    """
    height, width = picture.shape[-2:]
    factor = long_side / max(height, width)
    return max(SMALLEST, round(height * factor)), max(SMALLEST, round(width * factor))
