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

from impasto import plan
from impasto.analysis.metrics import legibility
from impasto.analysis.reconstruct import style_distance
from impasto.errors import ImpastoError
from impasto.layers import STYLE_LAYERS
from impasto.losses.base import RELATIVE
from impasto.losses.content import CONTENT_SCALES, content_loss
from impasto.losses.gram import STYLE_SCALES, gram, style_loss
from impasto.losses.presets import PRESETS, preset
from impasto.methods.matching import LEVELS, Stand
from impasto.methods.optimize import PixelOptimizer
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import VGG19, Architecture, Encoder
from impasto.networks.loaded import Networks
from impasto.networks.weights import load_encoder
from impasto.pictures.image import open_picture, resize
from impasto.pictures.sources import open_source
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
    """Whole numbers of positions in all five blocks, and not square."""
    return torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(seed))


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
    """Relative: distances over norms, squared for content and to the power of 1.5, halved, for
    style; the photo at the contrast that the style leaves it.
    """
    here = PRESETS["impasto"]
    contrast = ((S["relu4_1"] ** 2).mean() / (P["relu4_1"] ** 2).mean()).sqrt()
    goal = P["relu4_1"] * contrast.clamp(max=1)
    content = ((F["relu4_1"] - goal) ** 2).sum() / (goal**2).sum() / contrast.clamp(min=1)
    style = torch.zeros(())
    for layer in FIRST:
        G, A = (each[layer] @ each[layer].T / each[layer].shape[1] for each in (F, S))
        style = style + ((G - A).norm() / A.norm()) ** 1.5 / 2 / 5
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
    """Content weight 1e-2 over one layer, style weight 2e-2 over five."""
    content = ((F["relu5_2"] - P["relu5_2"]) ** 2).sum() / 2 * 1e-2 / 1
    style = torch.zeros(())
    for layer in FIRST:
        HW = F[layer].shape[1]
        G, A = F[layer] @ F[layer].T / HW, S[layer] @ S[layer].T / HW
        style = style + ((G - A) ** 2).mean() * 2e-2 / 5
    return content, style


def tensorflow(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """Means of squares: content 1e4, style 1e-2 over five layers."""
    content = ((F["relu5_2"] - P["relu5_2"]) ** 2).mean() * 1e4
    style = torch.zeros(())
    for layer in FIRST:
        G, A = (each[layer] @ each[layer].T / each[layer].shape[1] for each in (F, S))
        style = style + ((G - A) ** 2).mean() * 1e-2 / 5
    return content, style


def keras(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """Sums; style over 4 channels^2 size^2 with 3 channels and the size of the picture."""
    content = 2.5e-8 * ((F["relu5_2"] - P["relu5_2"]) ** 2).sum()
    size, style = F["relu1_1"].shape[1], torch.zeros(())
    for layer in FIRST:
        G, A = (each[layer] @ each[layer].T for each in (F, S))
        style = style + 1e-6 / 5 * ((G - A) ** 2).sum() / (4 * 3**2 * size**2)
    return content, style


def pytorch(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """conv_4, and conv_1 to conv_5; the Gram matrix over all its elements; 1 and a million."""
    content, style = ((F["relu2_2"] - P["relu2_2"]) ** 2).mean(), torch.zeros(())
    for layer in ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"):
        G, A = (each[layer] @ each[layer].T / each[layer].numel() for each in (F, S))
        style = style + 1e6 * ((G - A) ** 2).mean()
    return content, style


def johnson(F: Features, P: Features, S: Features) -> tuple[Tensor, Tensor]:
    """Content 1, and 5 for each style layer, as in the authors' code."""
    content, style = ((F["relu3_3"] - P["relu3_3"]) ** 2).mean(), torch.zeros(())
    for layer in ("relu1_2", "relu2_2", "relu3_3", "relu4_3"):
        G, A = (each[layer] @ each[layer].T / each[layer].numel() for each in (F, S))
        style = style + 5 * ((G - A) ** 2).mean()
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


def none(image: Tensor) -> Tensor:
    return torch.zeros(())


def keras_variation(image: Tensor) -> Tensor:
    x = 255 * image.double()
    a = (x[..., :-1, :-1] - x[..., 1:, :-1]) ** 2
    b = (x[..., :-1, :-1] - x[..., :-1, 1:]) ** 2
    return 1e-6 * ((a + b) ** 1.25).sum()


Source = Callable[[Features, Features, Features], tuple[Tensor, Tensor]]
Of = Callable[[Tensor], Tensor]

# Name: formulas, what the network is fed, the total variation of an image in [0, 1] with its
# weight, the start.
SOURCES: dict[str, tuple[Source, Of, Of, str]] = {
    "impasto": (own, standardised, none, "content"),
    "gatys2015": (gatys, bytes_less_mean, none, "noise"),
    "deeplearning.ai": (deeplearning, bytes_less_mean, none, "content"),
    "tensorflow-tutorial": (tensorflow, bytes_less_mean, lambda x: 30 * variation(x), "content"),
    "keras-example": (keras, bytes_less_mean, keras_variation, "content"),
    "pytorch-tutorial": (pytorch, standardised, none, "content"),
    "johnson2016": (johnson, bytes_less_mean, lambda x: 255e-6 * variation(x), "noise"),
    "coursera": (coursera, bytes_less_mean, none, "content"),
    "write-up": (write_up, standardised, none, "content"),
    "lecture": (lecture, standardised, none, "content"),
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
    smoothing = SOURCES[name][2](IMAGE)
    content, style = written(name, IMAGE)
    assert content > 0
    assert style > 0
    step = first_step(name, IMAGE)
    assert summed(step, "content/") == pytest.approx(content.item(), rel=1e-4)
    assert summed(step, "style/") == pytest.approx(style.item(), rel=1e-4)
    assert summed(step, "variation") == pytest.approx(smoothing.item(), rel=1e-4)
    total = content + style + smoothing
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
    assert found.style_scale in {*RELATIVE, *STYLE_SCALES}
    assert set(found.content_layers + found.style_layers) <= set(VGG19.widths)
    assert found.content_weight > 0
    assert found.style_weight > 0
    assert found.tv_weight >= 0
    assert found.steps > 0
    assert found.learning_rate > 0


def test_unknown_preset_is_refused_with_the_list() -> None:
    with pytest.raises(ImpastoError, match="'monet'") as caught:
        preset("monet")
    assert all(name in str(caught.value) for name in PRESETS)
    assert "\n" not in str(caught.value)
    with pytest.raises(ImpastoError, match="did you mean 'gatys2015'"):
        preset("gatys")


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["mine"] = PRESETS["impasto"]  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        PRESETS["impasto"].content_weight = 2.0  # type: ignore[misc]


# ------------------------------------------------------------------------------------- stand-ins


SHALLOW = Architecture.vgg(blocks=(*BLOCKS[:4], (6,)), mean=TINY.mean, std=TINY.std)


def test_a_layer_the_encoder_lacks_has_a_stand_in_and_is_refused_on_strict() -> None:
    shallow = Encoder(SHALLOW, name="shallow")
    optimizer = PixelOptimizer(shallow, Settings(preset="deeplearning.ai"))
    assert optimizer.recipe.content_layers == ("relu5_1",)
    (note,) = optimizer.matched.notes
    assert "no relu5_2" in note
    assert "relu5_1 stands for it" in note
    for strict in (
        Settings(preset="deeplearning.ai", strict=True),
        Settings(content_layers=("relu5_2",)),  # asked for by its name
    ):
        with pytest.raises(ImpastoError, match="relu5_2") as caught:
            PixelOptimizer(shallow, strict)
        message = str(caught.value)
        assert all(layer in message for layer in SHALLOW.widths)
        assert "`content_layers`" in message
        assert "`encoder=vgg19`" in message
    # And the way out is one.
    PixelOptimizer(
        shallow, Settings(preset="deeplearning.ai", content_layers=("block4_conv2",), strict=True)
    )


def test_layers_with_one_stand_in_add_up(compact_2: Encoder) -> None:
    optimizer = PixelOptimizer(compact_2, Settings(preset="pytorch-tutorial"))
    assert optimizer.recipe.style_layers == ("relu1_1", "relu2_1", "relu3_1")
    assert optimizer.recipe.layer_weights == (2, 2, 1)
    assert [stand.layer for stand in optimizer.matched.styles] == [
        *("relu1_1", "relu1_1", "relu2_1", "relu2_1", "relu3_1")
    ]


@pytest.mark.parametrize("scale", CONTENT_SCALES)
def test_a_stand_ins_content_counts_what_the_sources_would(scale: str) -> None:
    """The source's layer: twice the filters, each three times as large, a quarter the positions."""
    stand = Stand("relu4_1", "relu3_1", 3.0, 5, 10)
    F, P = (torch.rand(1, 5, 4, 6, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    F, P = (each.repeat_interleave(2, 2).repeat_interleave(2, 3) for each in (F, P))
    theirs = [3 * torch.cat([each, each], 1)[..., ::2, ::2] for each in (F, P)]
    factor = stand.content(torch.empty(1, 3, 32, 48), scale)
    ours = content_loss(F, P, scale)
    assert factor * ours.item() == pytest.approx(content_loss(*theirs, scale).item(), rel=1e-5)


@pytest.mark.parametrize("scale", STYLE_SCALES)
def test_a_stand_ins_style_counts_what_the_sources_would(scale: str) -> None:
    stand = Stand("relu4_1", "relu3_1", 3.0, 5, 10)
    F, P = (torch.rand(1, 5, 4, 6, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    F, P = (each.repeat_interleave(2, 2).repeat_interleave(2, 3) for each in (F, P))
    theirs = [gram(3 * torch.cat([each, each], 1)[..., ::2, ::2]) for each in (F, P)]
    factor = stand.style(torch.empty(1, 3, 32, 48), scale)
    ours = style_loss(gram(F), gram(P), 8 * 12, scale)
    assert factor * ours.item() == pytest.approx(style_loss(*theirs, 4 * 6, scale).item(), rel=1e-5)


def test_an_embedded_encoder_is_normalised_as_the_levels_say(compact_2: Encoder) -> None:
    """Mean activations near 1, whatever the layer: so a level is what the source's features are."""
    photos = [open_source(name, 192).image for name in ("astronaut", "cat", "coffee")]
    for layer in compact_2.layers:
        means = [compact_2.features(photo, [layer])[layer].mean().item() for photo in photos]
        assert 0.5 < sum(means) / len(means) < 2, layer
    levels = [LEVELS[layer] for layer in ("relu1_1", "relu1_2", "relu2_1")]
    assert levels[1] ** 2 == pytest.approx(levels[0] * levels[2])


# ---------------------------------------------------------------------------------------- painting


@pytest.fixture(scope="module")
def compact_2() -> Encoder:
    return load_encoder("compact-2", dtype=torch.float32)


# What is enough to see, of the sources' 200 to 4000.
ENOUGH = dict.fromkeys(PRESETS, 30) | {
    "gatys2015": 90,
    "tensorflow-tutorial": 60,
    "pytorch-tutorial": 60,
    "johnson2016": 60,
    "keras-example": 90,
}


# One of Adam, one of L-BFGS and the default are seen to paint each time; what the others minimise is
# held to their sources above.
QUICK = ("impasto", "johnson2016", "pytorch-tutorial")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in PRESETS],
)
def test_every_preset_paints_and_keeps_the_photo(
    name: str, compact_2: Encoder, networks: Networks
) -> None:
    """Offline, under the default encoder; judged by the other one."""
    photo, style = (open_source(each, 96).image for each in ("cat", "night-swirl"))
    job = plan("cat", ["night-swirl"], preset=name, size=96, steps=ENOUGH[name], networks=networks)
    *_, last = job.steps()
    picture = open_picture(job.finish(last)).image
    before, after = (
        style_distance(compact_2, each, style, STYLE_LAYERS) for each in (photo, picture)
    )
    assert after < (0.75 if name == "keras-example" else 0.5) * before

    def alike(other: Tensor) -> float:
        features = (compact_2.features(each, ["relu4_1"])["relu4_1"] for each in (picture, other))
        return legibility(*features)

    others = [open_source(each, 96).image for each in ("astronaut", "coffee", "rocket")]
    size = (photo.shape[-2], photo.shape[-1])
    assert alike(photo) > max(alike(resize(other, size)) for other in others)


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks()


def test_what_stands_in_is_told_and_in_the_recipe(networks: Networks) -> None:
    job = plan("cat", ["waves"], preset="deeplearning.ai", size=64, networks=networks)
    assert job.recipe["stand_ins"] == {"relu5_2": "relu5_1"}
    assert any("relu5_1 stands for it" in note for note in job.notes)
    with pytest.raises(ImpastoError, match="relu5_2"):
        plan("cat", ["waves"], preset="deeplearning.ai", strict=True, size=64, networks=networks)


def test_pooling_is_the_presets_where_the_encoder_pools(networks: Networks) -> None:
    pooled = plan("cat", ["waves"], preset="gatys2015", size=64, networks=networks)
    assert (pooled.recipe["pooled"], pooled.notes) == ("average", ())
    options = {"preset": "gatys2015", "encoder": "compact-2", "size": 64, "networks": networks}
    strided = plan("cat", ["waves"], **options)
    assert strided.recipe["pooled"] == "max"
    assert any("average pooling is left out" in note for note in strided.notes)
    for refused in ({"strict": True}, {"pooling": "average"}):
        with pytest.raises(ImpastoError, match="average"):
            plan("cat", ["waves"], **options, **refused)
