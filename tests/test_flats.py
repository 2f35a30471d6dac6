"""Plain and graded areas take strokes, edges keep the photo's colour, grey stays grey: the default
and one pass.

What a person tries first: a product on white, a sky at night, a drawing. A network that has nothing
to go by leaves such areas bare, or covers them with a dot grid.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import impasto
from impasto.pictures.image import to_pil
from impasto.pictures.samples import sample, sample_style

SIDE = 128
ROWS, COLUMNS = torch.meshgrid(torch.arange(SIDE) / SIDE, torch.arange(SIDE) / SIDE, indexing="ij")


def plain(*color: float) -> Tensor:
    return (
        torch.tensor(color, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE).clone()
    )


def product() -> Tensor:
    image = plain(1, 1, 1)
    image[..., (ROWS - 0.5).square() + (COLUMNS - 0.7).square() < 0.03] = torch.tensor(
        [[0.6], [0.15], [0.1]]
    )
    return image


def line_art() -> Tensor:
    image = plain(1, 1, 1)
    image[..., ((ROWS * 12) % 1 < 0.06) & (COLUMNS > 0.6)] = 0.0
    return image


def evening() -> Tensor:
    return torch.stack([0.3 + 0.6 * ROWS, 0.4 + 0.3 * ROWS, 0.8 - 0.4 * ROWS])[None]


def night() -> Tensor:
    image = plain(0.03, 0.04, 0.1)
    stars = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(1)) > 0.999
    image[..., stars & (COLUMNS > 0.5)] = 0.9
    return image


FLATS: dict[str, Callable[[], Tensor]] = {
    "white": lambda: plain(1, 1, 1),
    "black": lambda: plain(0, 0, 0),
    "grey": lambda: plain(0.5, 0.5, 0.5),
    "product": product,
    "line art": line_art,
    "evening": evening,
    "night": night,
}
LEAST = 0.25
METHODS: dict[str, dict[str, object]] = {
    "default": {},
    "arbitrary": {"method": "arbitrary"},
    "fast": {"method": "fast"},
}


def pixels(image: object) -> Tensor:
    return torch.from_numpy(np.asarray(image).astype(np.float32) / 255)[..., :3].permute(2, 0, 1)[
        None
    ]


def texture(image: Tensor) -> float:
    """Root mean square of what is finer than 9 px."""
    return float(
        (image - F.avg_pool2d(F.pad(image, (4,) * 4, mode="reflect"), 9, stride=1))
        .square()
        .mean()
        .sqrt()
    )


@pytest.fixture(scope="module")
def networks() -> impasto.Networks:
    return impasto.Networks()


def painted(photo: Tensor, style: str, networks: impasto.Networks, **options: object) -> Tensor:
    return pixels(
        impasto.stylize(to_pil(photo, None), style, size=SIDE, networks=networks, **options)
    )  # type: ignore[arg-type]


QUICK = ("white",)  # of the default, which takes seconds


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(
            name,
            method,
            marks=[pytest.mark.slow] if method == "default" and name not in QUICK else [],
        )
        for name in FLATS
        for method in METHODS
    ],
)
def test_a_flat_takes_strokes_of_the_style(
    name: str, method: str, networks: impasto.Networks
) -> None:
    """In its plain left half, away from frame and contour; energy beside the style's, seen at the
    same size.
    """
    options = METHODS[method] | ({"steps": 30} if method == "default" else {})
    picture = painted(FLATS[name](), "mosaic", networks, **options)
    style = pixels(sample_style("mosaic").resize((SIDE, SIDE)))
    energy = texture(picture[..., 20:-20, 20:58]) / texture(style)
    assert energy > LEAST


def test_the_edge_has_the_photos_share_of_colour(networks: impasto.Networks) -> None:
    """Chroma of the outermost 8 px beside that of the next 8, in the picture and in the photo: the
    mean of three styles, since one stroke along a border is no fault.
    """
    photo = sample("cat").resize((112, 84))
    found = [
        edge(pixels(impasto.stylize(photo, style, size=112, steps=15, networks=networks)))
        for style in ("mosaic", "waves", "night-swirl")
    ]
    assert sum(found) / 3 < 1.15 * edge(pixels(photo))


def edge(image: Tensor, band: int = 8) -> float:
    chroma = (image - image.mean(1, keepdim=True)).square().sum(1)[0].sqrt()
    inner = chroma[band:-band, band:-band]
    core = inner[band:-band, band:-band]
    outer = (chroma.sum() - inner.sum()) / (chroma.numel() - inner.numel())
    return float(outer / ((inner.sum() - core.sum()) / (inner.numel() - core.numel())))


@pytest.mark.parametrize(
    "options", [{"method": "arbitrary"}, {"steps": 8}], ids=["one pass", "default"]
)
def test_grey_stays_grey(options: dict[str, object], networks: impasto.Networks) -> None:
    """A painting without colour makes a picture without colour; so does one that took a grey
    photo's palette.
    """
    grey = sample("coffee").convert("L").convert("RGB")
    for photo, style, keep in ((sample("cat"), grey, "none"), (grey, "mosaic", "statistics")):
        job = impasto.plan(photo, [style], size=SIDE, networks=networks, keep_color=keep, **options)  # type: ignore[arg-type]
        picture = pixels(job.finish(deque(job.steps(), maxlen=1).pop()))
        assert (picture.amax(1) - picture.amin(1)).mean() < 2 / 255


def test_large_strokes_in_one_pass_are_strokes(networks: impasto.Networks) -> None:
    """Not blur: gradient energy at a style scale of 2 beside that at 1."""
    photo = sample("cat").resize((384, 288))

    def gradients(scale: float) -> float:
        picture = impasto.stylize(
            photo, "mosaic", method="arbitrary", size=384, style_scale=scale, networks=networks
        )
        image = pixels(picture)
        return float(
            torch.diff(image, dim=2).square().mean() + torch.diff(image, dim=3).square().mean()
        )

    assert gradients(2) > 0.8 * gradients(1)
