"""How good a picture is, in numbers: its style, its content, its forms, its colours, its surface.

    known = reference(photo, painting, (height, width), encoder)
    values = score(output, known)          # {"style": 0.31, "style/relu1_1": …, "content": …, …}

Each number has one meaning, one direction and one source; `METRICS` is the table of them. None is
the verdict: a transfer trades style against the photo, which is why `rank` asks two of them, and
eyes come last.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.filters import laplace, sobel
from skimage.metrics import structural_similarity
from torch import Tensor

from impasto.errors import OptionError
from impasto.losses.content import relative_content_loss
from impasto.losses.gram import gram, relative_style_loss
from impasto.losses.objective import mask_at
from impasto.networks.encoder import STYLE_LAYERS, Encoder
from impasto.pictures.color import luminance
from impasto.pictures.image import resize

__all__ = [
    "LEGIBLE",
    "METRICS",
    "Metric",
    "Reference",
    "color_distance",
    "edge_agreement",
    "legibility",
    "noise",
    "rank",
    "reference",
    "score",
    "seam_energy",
    "sharpness",
    "structure",
]

_CONTENT_LAYER = "relu4_1"
LEGIBLE = 0.4
"""Legibility below which a photo is lost; 0.5 and more reads well (by eye, over some dozens of
pairs).
"""

_FRAMES, _QUANTILES, _PIXELS = 8, 4096, 2**18
# Far below one 8-bit level in any unit used here: what is flat divides by this.
_TINY = 1e-9


@dataclass(frozen=True)
class Metric:
    """One column of a score: its name there, which way is better, its values, its meaning and where
    it is from.
    """

    name: str
    better: Literal["lower", "higher"]
    range: str
    meaning: str
    source: str


_GATYS = "Gatys et al. 2015, arXiv:1508.06576"

METRICS = (
    Metric(
        "style",
        "lower",
        "0…",
        "mean of the five layers below; 0: the painting itself",
        f"{_GATYS}, eq. 3-5",
    ),
    *(
        Metric(
            f"style/{layer}",
            "lower",
            "0…",
            "|G(output) - G(painting)| / |G(painting)|, Frobenius",
            _GATYS,
        )
        for layer in STYLE_LAYERS
    ),
    Metric(
        "content",
        "lower",
        "0…",
        f"|F(output) - F(photo)| / |F(photo)| at {_CONTENT_LAYER}",
        f"{_GATYS}, eq. 1",
    ),
    Metric(
        "legibility",
        "higher",
        "-1…1",
        f"cosine of {_CONTENT_LAYER} with the photo's, each channel centred; below {LEGIBLE} the photo is lost",
        "Pearson's correlation of features",
    ),
    Metric(
        "ssim",
        "higher",
        "-1…1",
        "structural similarity of lightness with the photo's",
        "Wang et al. 2004",
    ),
    Metric(
        "edges",
        "higher",
        "-1…1",
        "correlation of Sobel magnitudes with the photo's",
        "Sobel and Feldman 1968",
    ),
    Metric(
        "colour",
        "lower",
        "0…",
        "sliced Wasserstein distance to the painting's colours in CIELAB; a shift measures its own length",
        "Rabin et al. 2011; Pitie et al. 2007",
    ),
    Metric(
        "sharpness",
        "higher",
        "0…",
        "variance of the Laplacian over the photo's; 1: as sharp",
        "Pech-Pacheco et al. 2000",
    ),
    Metric(
        "noise",
        "lower",
        "0…",
        "deviation of white noise in L*, by db2 wavelets",
        "Donoho and Johnstone 1994",
    ),
    Metric(
        "seams",
        "lower",
        "0…",
        "mean jump across tile borders over that elsewhere; 1: none",
        "by definition",
    ),
)
"""Every number of `score`, in its order. `seams` is there for pictures made of tiles only."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What outputs of one size are measured against: both pictures, and their features under
    `encoder`.

    `seen`: the painting's alpha, `(1, 1, h, w)`, or None.
    """

    photo: Tensor
    painting: Tensor
    content: Tensor
    grams: Mapping[str, Tensor]
    encoder: Encoder
    seen: Tensor | None = None


def reference(
    photo: Tensor,
    painting: Tensor,
    size: tuple[int, int],
    encoder: Encoder,
    *,
    seen: Tensor | None = None,
) -> Reference:
    """Prepare for outputs of `size` = (H, W), at least 32 px a side.

    `photo`, `painting`: (1, 3, h, w) in [0, 1]. The photo is resized to `size`. The painting is
    taken as it is: its strokes have a size too, so give it with the output's long side. `seen`: its
    alpha; what is transparent is no part of its style. `ImpastoError` for an encoder without the
    layers.
    """
    photo = resize(photo, size)
    content = _features(encoder, photo, (_CONTENT_LAYER,))[_CONTENT_LAYER]
    grams = {
        layer: _gram(found, seen)
        for layer, found in _features(encoder, painting, STYLE_LAYERS).items()
    }
    return Reference(photo, painting, content, grams, encoder, seen)


def _gram(features: Tensor, seen: Tensor | None) -> Tensor:
    return gram(features, None if seen is None else mask_at(seen, features))


def score(
    output: Tensor, against: Reference, *, tile: int | None = None, seen: Tensor | None = None
) -> dict[str, float]:
    """Name -> value for all of `METRICS`, in that order; `seams` where `tile`, a side in pixels, is
    given.

    `output`: (1, 3, H, W) in [0, 1], of the size the reference was made for; `ImpastoError`
    otherwise. `seen`: its alpha, (1, 1, H, W); style and colours are those of what is seen.
    """
    if output.shape != against.photo.shape:
        raise OptionError(
            f"a picture of shape {tuple(output.shape)} is measured against one of {tuple(against.photo.shape)}; "
            "make a reference of its size"
        )
    features = _features(against.encoder, output, {*STYLE_LAYERS, _CONTENT_LAYER})
    styles = {
        f"style/{layer}": relative_style_loss(_gram(features[layer], seen), against.grams[layer])
        .sqrt()
        .item()
        for layer in STYLE_LAYERS
    }
    content = features[_CONTENT_LAYER]
    return {
        "style": math.fsum(styles.values()) / len(styles),
        **styles,
        "content": relative_content_loss(content, against.content).sqrt().item(),
        "legibility": legibility(content, against.content),
        "ssim": structure(output, against.photo),
        "edges": edge_agreement(output, against.photo),
        "colour": color_distance(output, against.painting, seen=(seen, against.seen)),
        "sharpness": sharpness(output, against.photo),
        "noise": noise(output),
    } | ({} if tile is None else {"seams": seam_energy(output, tile)})


def _features(
    encoder: Encoder, image: Tensor, layers: Sequence[str] | set[str]
) -> dict[str, Tensor]:
    with torch.no_grad():
        return encoder.features(image.to(encoder.device), layers)


def rank(scores: Sequence[Mapping[str, float]], by: str | None = None) -> list[int]:
    """Indices of `scores`, best first: by one metric, or by the sum of the ranks in style and in
    legibility.

    Style alone is won by a picture that forgot its photo, legibility alone by the photo itself;
    ranks add where units do not (Borda's count). Ties go to the better style, then to who came
    first. `ImpastoError` for an unknown metric.
    """
    directions = {metric.name: 1 if metric.better == "lower" else -1 for metric in METRICS}
    names = ("style", "legibility") if by is None else (by,)
    for name in names:
        if name not in directions or any(name not in values for values in scores):
            known = [each for each in directions if all(each in values for values in scores)]
            raise OptionError(f"nothing here is measured as {name!r}; choose {', '.join(known)}")
    costs = [[directions[name] * values[name] for values in scores] for name in names]

    def key(index: int) -> tuple[int, float]:
        places = sum(sum(other < column[index] for other in column) for column in costs)
        return places, costs[0][index]

    return sorted(range(len(scores)), key=key)


# ---------------------------------------------------------------------------------------- forms


def legibility(features: Tensor, target: Tensor) -> float:
    """Cosine of two feature maps (1, C, H, W) with each channel's mean over positions taken off: -1
    to 1.

    1: all forms are there, in their places; unlike a content distance it does not ask for the
    photo's contrast or colours. Of two flat maps it is 1, of one flat map 0.
    """
    centred = [
        each.double() - each.double().mean(dim=(2, 3), keepdim=True) for each in (features, target)
    ]
    return _cosine(centred[0].flatten(), centred[1].flatten())


def structure(output: Tensor, photo: Tensor) -> float:
    """SSIM of lightness L* of two (1, 3, H, W), at least 11 px a side, with the Gaussian window of
    Wang et al. 2004.
    """
    options = {
        "data_range": 1.0,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    return float(structural_similarity(_light(output), _light(photo), **options))  # type: ignore[no-untyped-call]


def edge_agreement(output: Tensor, photo: Tensor) -> float:
    """Pearson's correlation of the Sobel magnitudes of lightness of two (1, 3, H, W): where there
    are edges at all.

    Of two pictures without any edge it is 1, of one such picture 0.
    """
    edges = [torch.from_numpy(sobel(_light(image))).flatten() for image in (output, photo)]  # type: ignore[no-untyped-call]
    return _cosine(*(each - each.mean() for each in edges))


def _cosine(a: Tensor, b: Tensor) -> float:
    lengths = a.norm().item(), b.norm().item()
    if min(lengths) < _TINY * a.numel() ** 0.5:
        return float(max(lengths) < _TINY * a.numel() ** 0.5)
    # By unit vectors: the cosine of a vector with itself then is 1 to the last digits.
    return max(-1.0, min(1.0, float((a / lengths[0]) @ (b / lengths[1]))))


def _light(image: Tensor) -> NDArray[np.float64]:
    """L* / 100 of (1, 3, H, W) as (H, W)."""
    light: NDArray[np.float64] = luminance(image.detach().cpu().double())[0, 0].numpy()
    return light


# --------------------------------------------------------------------------------------- colours


def color_distance(
    output: Tensor,
    painting: Tensor,
    *,
    seed: int = 0,
    seen: tuple[Tensor | None, Tensor | None] = (None, None),
) -> float:
    """Sliced 2-Wasserstein distance between the pixel colours of two pictures (1, 3, H, W) in
    CIELAB.

    The directions come in orthonormal triples, at random from `seed`; the squared distances along
    three are added and the sums averaged over the triples. So a palette shifted by d measures |d|
    (in Delta E*ab, CIE 1976), and any other change at most the full Wasserstein distance. The sizes
    of the pictures do not count. `seen`: their alphas, by which pixels count. Rabin et al. 2011; with
    rotations instead of single directions as in Pitie et al. 2007.
    """
    generator = torch.Generator().manual_seed(seed)
    frames = torch.linalg.qr(torch.randn(_FRAMES, 3, 3, generator=generator, dtype=torch.float64)).Q
    directions = frames.mT.reshape(-1, 3)
    squares = (
        (
            _quantiles(output, seen[0], directions, seed)
            - _quantiles(painting, seen[1], directions, seed)
        )
        .square()
        .mean(dim=1)
    )
    return math.sqrt(squares.sum().item() / _FRAMES)


def _quantiles(image: Tensor, seen: Tensor | None, directions: Tensor, seed: int) -> Tensor:
    """(D, Q): the colours along each direction, at the middles of Q equal parts of the picture."""
    pixels: NDArray[Any] = image.detach().cpu().double()[0].permute(1, 2, 0).numpy()
    colors = torch.from_numpy(rgb2lab(pixels)).reshape(-1, 3)
    weights = None if seen is None else seen.detach().cpu().double().flatten()
    if len(colors) > _PIXELS:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(colors), (_PIXELS,), generator=generator)
        colors = colors[chosen]
        weights = None if weights is None else weights[chosen]
    parts = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    found, order = (directions @ colors.T).sort(dim=1)
    if weights is None:
        return found[:, (parts * len(colors)).long()]
    mass = weights[order].cumsum(dim=1)
    places = torch.searchsorted(mass, parts * mass[:, -1:], right=True)
    return found.gather(1, places.clamp(max=found.shape[1] - 1))


# --------------------------------------------------------------------------------------- surface


def sharpness(output: Tensor, photo: Tensor) -> float:
    """Variance of the Laplacian of lightness over the photo's (Pech-Pacheco et al. 2000); noise
    counts as sharp.
    """
    sharp, basis = (float(np.var(laplace(_light(image)))) for image in (output, photo))  # type: ignore[no-untyped-call]
    return (sharp + _TINY) / (basis + _TINY)


def noise(image: Tensor) -> float:
    """Standard deviation, in L* (0 to 100), of the white noise in (1, 3, H, W).

    The median of the finest diagonal wavelet coefficients over that of a unit Gaussian (Donoho and
    Johnstone 1994), with Daubechies' db2, as `skimage.restoration.estimate_sigma`, which would need
    PyWavelets.
    """
    root = math.sqrt(3)
    low = torch.tensor([1 + root, 3 + root, 3 - root, 1 - root], dtype=torch.float64) / (
        4 * math.sqrt(2)
    )
    high = low.flip(0) * torch.tensor([1, -1, 1, -1])
    light = 100 * torch.from_numpy(_light(image))
    details = F.conv2d(light[None, None], torch.outer(high, high)[None, None], stride=2).abs()
    # A clipped sky has none and would hide that of the rest.
    details = details[details > 1e-6]
    return details.median().item() / 0.6744897501960817 if len(details) else 0.0


def seam_energy(image: Tensor, tile: int) -> float:
    """Mean absolute jump across the borders of tiles over that between all other neighbours, of (1,
    3, H, W).

    The borders lie every `tile` pixels from the top left corner. 1: nothing is seen of them (also
    in a flat picture). `ImpastoError` where no border lies inside the picture.
    """
    if tile < 2 or tile >= max(image.shape[-2:]):
        raise OptionError(
            f"tiles of {tile} px have no borders in {image.shape[-1]}x{image.shape[-2]} px; name their own side"
        )
    across, elsewhere = _TINY, _TINY
    for axis in (2, 3):
        if tile < image.shape[axis]:
            jumps = image.detach().cpu().double().diff(dim=axis).abs().mean(dim=(0, 1, 5 - axis))
            border = (torch.arange(len(jumps)) + 1) % tile == 0
            # Axis by axis, so that a ramp along one of them still measures 1.
            across += jumps[border].mean().item()
            elsewhere += jumps[~border].mean().item()
    return across / elsewhere
