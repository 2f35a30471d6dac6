"""Presets: what a rendering minimises is what each source wrote down, transcribed here a second
time.

The problems are tiny and random; the sources' networks are built here from plain modules. Sources
on pixels of 0...255 get such pixels, less the mean and undivided, as their VGG does.
"""

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.losses.content import CONTENT_SCALES
from impasto.losses.gram import STYLE_SCALES
from impasto.losses.presets import PRESETS, preset
from impasto.methods.optimize import PixelOptimizer
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import VGG19, Architecture, Encoder
from impasto.settings import Settings

MEAN, STD = 0.5, 0.226  # one deviation for all channels, so that undivided pixels are a factor away
BLOCKS = ((8, 8), (9, 8), (10, 8, 8, 8), (10, 9, 8, 8), (10, 9))
TINY = Architecture.vgg(blocks=BLOCKS, mean=(MEAN,) * 3, std=(STD,) * 3, padding="zeros")
FIRST = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
Features = Mapping[str, Tensor]


def weights() -> dict[str, Tensor]:
    """Random, and without biases: then pixels k times as large have features k times as large,
    exactly.
    """
    generator, channels, found = torch.Generator().manual_seed(1), 3, {}
    for layer, width in TINY.widths.items():
        name = layer.replace("relu", "conv")
        found[f"{name}.weight"] = (
            torch.randn(width, channels, 3, 3, generator=generator) / (channels * 4.5) ** 0.5
        )
        found[f"{name}.bias"] = torch.zeros(width)
        channels = width
    return found


def picture(seed: int) -> Tensor:
    """Large enough for five blocks, and not square."""
    return torch.rand(1, 3, 36, 44, generator=torch.Generator().manual_seed(seed))


PHOTO, STYLE, IMAGE = picture(10), picture(11), picture(12)


def vgg(pixels: Tensor) -> dict[str, Tensor]:
    """F of every layer, N x M, in float64."""
    x, found, block = pixels.double(), {}, "1"
    for name in TINY.widths:
        if name[4] != block:
            x, block = nn.MaxPool2d(2)(x), name[4]
        kernel = weights()[f"conv{name[4:]}.weight"].double()
        x = nn.functional.conv2d(x, kernel, padding=1).relu()
        found[name] = x[0].flatten(1)
    return found


def bytes_less_mean(image: Tensor) -> Tensor:
    return 255 * image - 255 * MEAN


def standardised(image: Tensor) -> Tensor:
    return (image - MEAN) / STD


def variation(image: Tensor) -> Tensor:
    return (
        torch.diff(image.double(), dim=2).abs().sum()
        + torch.diff(image.double(), dim=3).abs().sum()
    )


def own(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """Relative: squared distances over squared norms, the photo at the contrast that the style
    leaves it.
    """
    here = PRESETS["impasto"]
    contrast = ((S["relu4_1"] ** 2).mean() / (P["relu4_1"] ** 2).mean()).sqrt()
    goal = P["relu4_1"] * contrast.clamp(max=1)
    content = ((F["relu4_1"] - goal) ** 2).sum() / (goal**2).sum() / contrast.clamp(min=1)
    style = torch.zeros(())
    for layer in FIRST:
        G, A = (each[layer] @ each[layer].T / each[layer].shape[1] for each in (F, S))
        style = style + ((G - A) ** 2).sum() / (A**2).sum() / 5
    return here.content_weight * content, here.style_weight * style


def gatys(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """alpha L_content + beta L_style at alpha / beta = 1e-3, content conv4_2, w_l = 1/5."""
    content = ((F["relu4_2"] - P["relu4_2"]) ** 2).sum() / 2
    style = torch.zeros(())
    for layer in FIRST:
        N, M = F[layer].shape
        G, A = F[layer] @ F[layer].T, S[layer] @ S[layer].T
        style = style + ((G - A) ** 2).sum() / (4 * N**2 * M**2) / 5
    return 1e-3 * content, style


def deeplearning(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """Content weight 1e4 over one layer, style weight 0.01 over five."""
    content = ((F["relu5_2"] - P["relu5_2"]) ** 2).sum() / 2 * 1e4 / 1
    style = torch.zeros(())
    for layer in FIRST:
        HW = F[layer].shape[1]
        G, A = F[layer] @ F[layer].T / HW, S[layer] @ S[layer].T / HW
        style = style + ((G - A) ** 2).mean() * 1e-2 / 5
    return content, style


def coursera(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """J = 10 J_content + 40 J_style, every style layer at 0.2."""
    n_C, n_HW = F["relu4_2"].shape
    content = ((P["relu4_2"] - F["relu4_2"]) ** 2).sum() / (4 * n_HW * n_C)
    style = torch.zeros(())
    for layer in FIRST:
        n_C, n_HW = F[layer].shape
        GS, GG = S[layer] @ S[layer].T, F[layer] @ F[layer].T
        style = style + 0.2 * ((GS - GG) ** 2).sum() / (4 * n_C**2 * n_HW**2)
    return 10 * content, 40 * style


def write_up(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    content = ((F["relu4_2"] - P["relu4_2"]) ** 2).sum()
    style = torch.zeros(())
    for layer in FIRST:
        HW = F[layer].shape[1]
        G, A = F[layer] @ F[layer].T / HW, S[layer] @ S[layer].T / HW
        style = style + ((G - A) ** 2).mean() / 5
    return 100 * content, 1e8 * style


def lecture(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """The slides give no weights; the balance is this package's."""
    here = PRESETS["lecture"]
    content = ((F["relu4_2"] - P["relu4_2"]) ** 2).mean()
    style = torch.zeros(())
    for layer in FIRST:
        G, A = F[layer] @ F[layer].T, S[layer] @ S[layer].T
        style = style + ((G - A) ** 2).mean() / 5
    return here.content_weight * content, here.style_weight * style


Source = Callable[[Features, Features, Features], tuple[Tensor, Tensor]]

# Name: formulas, what the network is fed, the weight of total variation (on images in [0, 1]), the
# start.
SOURCES: dict[str, tuple[Source, Callable[[Tensor], Tensor], float, str]] = {
    "impasto": (own, standardised, 0.0, "content"),
    "gatys2015": (gatys, bytes_less_mean, 0.0, "noise"),
    "deeplearning.ai": (deeplearning, bytes_less_mean, 30.0, "content"),
    "coursera": (coursera, bytes_less_mean, 0.0, "content"),
    "write-up": (write_up, standardised, 0.0, "content"),
    "lecture": (lecture, standardised, 0.0, "content"),
}


def first_step(name: str, start: Tensor | None, **options: float) -> Progress:
    """What is minimised, as a rendering itself says at its first step."""
    encoder = Encoder(TINY, name="tiny").load(weights())
    optimizer = PixelOptimizer(encoder, Settings(preset=name, steps=1, **options))  # type: ignore[arg-type]
    return next(iter(optimizer.render(PHOTO, optimizer.prepare(STYLE), start=start)))


def summed(step: Progress, prefix: str) -> float:
    return sum(value for name, value in step.losses.items() if name.startswith(prefix))


def test_every_preset_has_its_transcription() -> None:
    assert set(PRESETS) == set(SOURCES)


def written(name: str, image: Tensor) -> tuple[Tensor, Tensor]:
    """The content and the style loss of `image` by the source's formulas, as if written down by
    hand.
    """
    formulas, preprocess, _, _ = SOURCES[name]
    framed = (
        nn.functional.pad(each, [PRESETS[name].frame] * 4, mode="reflect")
        for each in (image, PHOTO)
    )
    return formulas(*(vgg(preprocess(each)) for each in (*framed, STYLE)))


@pytest.mark.parametrize("name", SOURCES)
def test_a_rendering_minimises_what_the_source_wrote(name: str) -> None:
    tv_weight = SOURCES[name][2]
    content, style = written(name, IMAGE)
    assert content > 0
    assert style > 0
    step = first_step(name, IMAGE)
    assert summed(step, "content/") == pytest.approx(content.item(), rel=1e-4)
    assert summed(step, "style/") == pytest.approx(style.item(), rel=1e-4)
    assert summed(step, "variation") == pytest.approx(tv_weight * variation(IMAGE).item(), rel=1e-4)
    total = content + style + tv_weight * variation(IMAGE)
    assert step.losses["total"] == pytest.approx(total.item(), rel=1e-4)


@pytest.mark.parametrize("name", SOURCES)
def test_a_weight_multiplies_the_sources_own(name: str) -> None:
    before, after = (
        first_step(name, IMAGE),
        first_step(name, IMAGE, content_weight=2.0, style_weight=0.5),
    )
    assert summed(after, "content/") == pytest.approx(2 * summed(before, "content/"), rel=1e-5)
    assert summed(after, "style/") == pytest.approx(summed(before, "style/") / 2, rel=1e-5)


@pytest.mark.parametrize("name", SOURCES)
def test_starts_where_the_source_does(name: str) -> None:
    content = summed(first_step(name, None), "content/")
    # Not 0 where the style is paler than the photo.
    at_photo = written(name, PHOTO)[0].item()
    assert (content == pytest.approx(at_photo, rel=1e-4, abs=1e-6)) == (
        SOURCES[name][3] == "content"
    )


@pytest.mark.parametrize("name", PRESETS)
def test_fields_make_sense(name: str) -> None:
    found = preset(name)
    assert found is PRESETS[name]
    assert found.source.strip()
    assert found.content_scale in {"relative", *CONTENT_SCALES}
    assert found.style_scale in {"relative", *STYLE_SCALES}
    assert set(found.content_layers + found.style_layers) <= set(VGG19.widths)
    assert found.content_weight > 0
    assert found.style_weight > 0
    assert found.tv_weight >= 0
    assert found.steps > 0
    assert found.learning_rate > 0


def test_unknown_preset_is_refused_with_the_list() -> None:
    with pytest.raises(ImpastoError, match="'gatys'") as caught:
        preset("gatys")
    assert all(name in str(caught.value) for name in PRESETS)
    assert "\n" not in str(caught.value)


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["mine"] = PRESETS["impasto"]  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        PRESETS["impasto"].content_weight = 2.0  # type: ignore[misc]


def test_a_layer_the_encoder_lacks_is_refused_with_a_way_out() -> None:
    shallow = Architecture.vgg(blocks=(*BLOCKS[:4], (6,)), mean=TINY.mean, std=TINY.std)
    with pytest.raises(ImpastoError, match="relu5_2") as caught:
        PixelOptimizer(Encoder(shallow, name="shallow"), Settings(preset="deeplearning.ai"))
    message = str(caught.value)
    assert all(layer in message for layer in shallow.widths)
    assert "`content_layers`" in message
    assert "`encoder=vgg19`" in message
    # And the way out is one.
    PixelOptimizer(
        Encoder(shallow, name="shallow"),
        Settings(preset="deeplearning.ai", content_layers=("block4_conv2",)),
    )
