"""What a layer knows of a picture: noise, descended until the layer sees in it what it sees in the
picture.

Content reconstructions match a layer's features (Mahendran and Vedaldi 2014, arXiv:1412.0035, eq.
1-2; Gatys et al. 2015, arXiv:1508.06576, figure 1): low layers give the very pixels back, high
layers the forms. Of the many pictures that a deep layer takes for the photo, a prior chooses a
natural one (Mahendran and Vedaldi 2016, arXiv:1512.02017, section 3.3), and coarse grids move
before pixels do (`impasto.methods.descent`). Style reconstructions match the Gram matrices of a
growing set of layers: the hand without the scene, in ever larger strokes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.analysis.sheets import Cell
from impasto.analysis.usual import PRIOR, RECONSTRUCTION_SIZE, Descent
from impasto.analysis.work import Task, Work, open_cell, settings_of, title_of
from impasto.errors import OptionError
from impasto.layers import STYLE_LAYERS
from impasto.losses.content import relative_content_loss
from impasto.losses.gram import gram, relative_style_loss
from impasto.losses.objective import (
    Objective,
    Term,
    content_term,
    prior_term,
    style_term,
    variation_term,
)
from impasto.losses.style.gram import GRAM
from impasto.methods.descent import descend, pyramid
from impasto.methods.optimize import PALE
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import Encoder
from impasto.pictures.image import Source, resize

__all__ = [
    "content_reconstructions",
    "growing",
    "reconstruct",
    "style_distance",
    "style_reconstructions",
    "style_terms",
]

ABREAST = 6
_NUMBERS = {
    "content": "loss: |F - P|^2 / |P|^2 of that layer; pixel error: root mean square, of values 0 to 1",
    "style": "loss: mean |G - A|^2 / |A|^2 of the layers so far",
}
# With a prior, on how many grids beside its pixels a picture moves.
GRIDS = 4


@torch.inference_mode(False)
def reconstruct(
    picture: Tensor, terms: Callable[[Tensor], Sequence[Term]], encoder: Encoder, descent: Descent
) -> Iterator[Progress]:
    """Descend from noise to what `terms` ask for: a `Progress` each, the last of `picture`'s size.

    `picture` `(1, 3, H, W)` in [0, 1]; `terms` are asked again at every size, coarse to fine, for
    the picture of that size on the encoder's device: features of one size say nothing of another.
    """
    levels = pyramid(picture.shape[-2], picture.shape[-1], descent.steps, sizes=8)
    noise = torch.rand(
        (1, 3, *levels[0][:2]), generator=torch.Generator().manual_seed(descent.seed)
    )
    image = 0.5 + PALE * (noise - 0.5)
    done = 0
    for height, width, steps in levels:
        with torch.no_grad():
            asked = [*terms(resize(picture, (height, width)).to(encoder.device))]
        if descent.tv_weight > 0:
            asked.append(variation_term(descent.tv_weight, "mean"))
        if descent.prior:
            asked.append(prior_term(descent.prior))
        start = resize(image, (height, width)).to(encoder.device)
        for image, losses, note in descend(
            encoder,
            Objective(asked),
            start,
            steps,
            "adam",
            descent.rate,
            grids=GRIDS if descent.prior else 0,
        ):
            done += 1
            yield Progress(image.cpu(), done, descent.steps, losses, note)


def content_reconstructions(
    photo: Source,
    layers: Sequence[str] = STYLE_LAYERS,
    *,
    encoder: Encoder,
    size: int = RECONSTRUCTION_SIZE,
    descent: Descent | None = None,
) -> Work:
    """The photo, and one reconstruction for each layer from its features alone: first row of figure
    1 of Gatys et al.

    The numbers of a cell: `loss`, `||F - P||^2 / ||P||^2` of the layer's features (0 for the
    photo), and `pixel error`, the root mean square of the difference from the photo in [0, 1].
    `size`: the long side in px. Raises `ImpastoError` for layers the encoder lacks and pictures it
    cannot see.
    """
    names = _distinct(encoder, layers)

    def ask(layer: str) -> Callable[[Tensor], Sequence[Term]]:
        return lambda picture: [content_term(layer, encoder.features(picture, [layer])[layer], 1.0)]

    def measure(layer: str) -> Callable[[Tensor, Tensor], Mapping[str, float]]:
        def numbers(found: Tensor, picture: Tensor) -> Mapping[str, float]:
            seen, aim = (encoder.features(x, [layer])[layer] for x in (found, picture))
            error = (found - picture).square().mean().sqrt()
            return {"loss": relative_content_loss(seen, aim).item(), "pixel error": error.item()}

        return numbers

    kinds = [_Kind(layer, ask(layer), measure(layer)) for layer in names]
    descent = descent or Descent()
    descent = replace(descent, prior=PRIOR if descent.prior is None else descent.prior)
    return _work("content", photo, names, kinds, encoder, size, descent)


def style_reconstructions(
    painting: Source,
    layers: Sequence[str] = STYLE_LAYERS,
    *,
    encoder: Encoder,
    size: int = RECONSTRUCTION_SIZE,
    descent: Descent | None = None,
) -> Work:
    """The painting, and a texture for each growing set of layers: second row of figure 1 of Gatys
    et al.

    The number of a cell: `loss`, the mean over its layers of `||G - A||^2 / ||A||^2` (0 for the
    painting). `size`: the long side in px. Raises `ImpastoError` for layers the encoder lacks and
    pictures it cannot see.
    """
    names = _distinct(encoder, layers)

    def ask(used: tuple[str, ...]) -> Callable[[Tensor], Sequence[Term]]:
        return lambda picture: style_terms(encoder, picture, used)

    def measure(used: tuple[str, ...]) -> Callable[[Tensor, Tensor], Mapping[str, float]]:
        return lambda found, picture: {"loss": style_distance(encoder, found, picture, used)}

    kinds = [_Kind(label, ask(used), measure(used)) for label, used in growing(names)]
    return _work("style", painting, names, kinds, encoder, size, descent or Descent())


def growing(layers: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each set of the first layers with its label, which tells the layer that joined: `relu1_1`, `+
    relu2_1`, …
    """
    return [
        (("+ " if count else "") + layer, tuple(layers[: count + 1]))
        for count, layer in enumerate(layers)
    ]


def style_terms(encoder: Encoder, picture: Tensor, layers: Sequence[str]) -> list[Term]:
    """Terms that ask for the Gram matrices of `picture`, each layer with an equal share of a weight
    of 1.
    """
    features = encoder.features(picture, layers)
    return [style_term(layer, GRAM.target(features[layer]), 1 / len(layers)) for layer in layers]


@torch.no_grad()
def style_distance(encoder: Encoder, found: Tensor, aim: Tensor, layers: Sequence[str]) -> float:
    """The mean over `layers` of `||G - A||^2 / ||A||^2`, of two pictures on the encoder's device."""
    ours, theirs = encoder.features(found, layers), encoder.features(aim, layers)
    distances = [relative_style_loss(gram(ours[layer]), gram(theirs[layer])) for layer in layers]
    return torch.stack(distances).mean().item()


@dataclass(frozen=True)
class _Kind:
    """One reconstruction: its label, what it asks of a picture, and what is measured against it."""

    name: str
    terms: Callable[[Tensor], Sequence[Term]]
    measure: Callable[[Tensor, Tensor], Mapping[str, float]]


def _work(
    sort: str,
    source: Source,
    layers: Sequence[str],
    kinds: Sequence[_Kind],
    encoder: Encoder,
    size: int,
    descent: Descent,
) -> Work:
    opened = open_cell(source, size)
    picture = opened.image

    def task(place: int, kind: _Kind) -> Task:
        @torch.no_grad()
        def measure(found: Tensor) -> Mapping[str, float]:
            return kind.measure(found.to(encoder.device), picture.to(encoder.device))

        def steps() -> Iterator[Progress]:
            return reconstruct(picture, kind.terms, encoder, descent)

        return Task(*divmod(place, ABREAST), kind.name, descent.steps, steps, measure)

    tasks = tuple(task(place, kind) for place, kind in enumerate(kinds, start=1))
    return Work(
        f"{sort.capitalize()} of {title_of(source)}, as {encoder.name} sees it\n{_NUMBERS[sort]}",
        ("",) * (tasks[-1].row + 1),
        ("",) * min(ABREAST, len(tasks) + 1),
        (Cell(0, 0, picture, "original"),),
        tasks,
        settings_of(f"{sort} reconstructions", encoder, picture)
        | {"layers": list(layers)}
        | vars(descent),
        opened.notes,
    )


def _distinct(encoder: Encoder, layers: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(encoder.canonical(layers)))
    if not names:
        raise OptionError("name at least one layer (impasto layers lists them)")
    return names
