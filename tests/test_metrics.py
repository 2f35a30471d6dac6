"""Scores: what a picture is to itself, what noise and blur do to it, closed forms, and `impasto
score`.
"""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import typer
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor
from typer.testing import CliRunner

from impasto.analysis.metrics import (
    METRICS,
    Reference,
    color_distance,
    edge_agreement,
    legibility,
    noise,
    rank,
    reference,
    score,
    seam_energy,
    sharpness,
    structure,
)
from impasto.apps.cli import measure as cli_measure
from impasto.apps.cli.measure import judge
from impasto.errors import ImpastoError
from impasto.networks.encoder import Encoder
from impasto.pictures.image import open_picture, resize, save_picture
from impasto.pictures.samples import sample

BETTER = {metric.name: metric.better for metric in METRICS}
STYLE = [name for name in BETTER if name.startswith("style/")]
# What the best of them is, of a picture against itself.
PERFECT = {
    "style": 0,
    **dict.fromkeys(STYLE, 0),
    "content": 0,
    "legibility": 1,
    "ssim": 1,
    "edges": 1,
} | {
    "colour": 0,
    "sharpness": 1,
}


def photo(name: str = "cat") -> Tensor:
    return resize(open_picture(sample(name)).image, (64, 96))


def noised(image: Tensor, sigma: float = 0.08) -> Tensor:
    return (
        image + sigma * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    ).clamp(0, 1)


def blurred(image: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(image, (2, 2, 2, 2), mode="reflect"), 5, stride=1)


@pytest.fixture(scope="module")
def against(compact: Encoder) -> Reference:
    """The cat, and the cat as its own painting."""
    return reference(photo(), photo(), (64, 96), compact)


def worse(name: str, value: float, than: float) -> bool:
    return value > than if BETTER[name] == "lower" else value < than


# ------------------------------------------------------------------------------------------ score


def test_a_picture_scores_perfectly_against_itself(against: Reference) -> None:
    values = score(photo(), against, tile=16)
    assert list(values) == list(BETTER)
    assert {name: values[name] for name in PERFECT} == pytest.approx(PERFECT, abs=1e-6)


@pytest.mark.parametrize(
    ("spoil", "notices"),
    [
        (noised, [*PERFECT, "noise"]),
        (blurred, [name for name in PERFECT if name != "colour"]),
    ],
)
def test_a_spoiled_copy_is_worse_where_it_should_be(
    spoil, notices: list[str], against: Reference
) -> None:
    clean, spoiled = score(photo(), against), score(spoil(photo()), against)
    notices = [name for name in notices if not (spoil is noised and name == "sharpness")]
    assert all(worse(name, spoiled[name], clean[name]) for name in notices)


def test_more_noise_is_worse_still(against: Reference) -> None:
    a, b = (score(noised(photo(), sigma), against) for sigma in (0.03, 0.12))
    assert all(worse(name, b[name], a[name]) for name in PERFECT if name != "sharpness")
    assert a["sharpness"] > 1  # noise counts as sharp; this is what `noise` is beside it for
    assert score(blurred(photo()), against)["sharpness"] < 0.5


def test_photo_and_painting_have_each_their_part(compact: Encoder) -> None:
    cat, coffee = photo(), photo("coffee")
    values = score(cat, reference(cat, coffee, (64, 96), compact))
    assert [values[name] for name in ("content", "legibility")] == pytest.approx([0, 1], abs=1e-6)
    assert min(values[name] for name in (*STYLE, "colour")) > 0.05
    values = score(cat, reference(coffee, cat, (64, 96), compact))
    assert max(values[name] for name in (*STYLE, "style", "colour")) < 1e-6
    assert values["legibility"] < 0.4


def test_style_against_float64(compact: Encoder) -> None:
    cat, coffee = photo(), photo("coffee")
    values, grams = score(cat, reference(cat, coffee, (64, 96), compact)), []
    for image in (cat, coffee):
        features = compact.features(image, ["relu3_1"])["relu3_1"][0].double().flatten(1)
        grams.append(features @ features.T / features.shape[1])
    expected = torch.linalg.matrix_norm(grams[0] - grams[1]) / torch.linalg.matrix_norm(grams[1])
    assert values["style/relu3_1"] == pytest.approx(expected.item(), rel=1e-4)
    assert values["style"] == pytest.approx(sum(values[name] for name in STYLE) / 5)


def test_style_does_not_know_where_things_are(against: Reference) -> None:
    """Halves exchanged: the same texture and colours, none of the forms in their places."""
    values, other = score(photo().roll(48, dims=3), against), score(photo("coffee"), against)
    assert values["style"] < 0.3 * other["style"]
    assert values["colour"] < 1e-9
    assert max(values["legibility"], values["ssim"], values["edges"]) < 0.4


def test_another_size_is_refused(against: Reference) -> None:
    with pytest.raises(ImpastoError, match="reference of its size"):
        score(photo()[..., :64], against)


def test_the_photo_is_resized_to_the_output(compact: Encoder) -> None:
    whole = open_picture(sample("cat")).image
    assert score(photo(), reference(whole, photo(), (64, 96), compact))["content"] < 1e-6


# ------------------------------------------------------------------------------------------ forms


def test_legibility_ignores_contrast_and_level() -> None:
    features = torch.rand(1, 6, 8, 9, generator=torch.Generator().manual_seed(0))
    shift = torch.rand(1, 6, 1, 1, generator=torch.Generator().manual_seed(1))
    assert legibility(3 * features + shift, features) == pytest.approx(1, abs=1e-6)
    assert legibility(-features, features) == pytest.approx(-1, abs=1e-6)
    assert legibility(torch.ones(1, 6, 8, 9), features) == 0
    assert legibility(torch.ones(1, 6, 8, 9), torch.zeros(1, 6, 8, 9)) == 1


@pytest.mark.parametrize("measure", [structure, edge_agreement, color_distance])
def test_these_do_not_know_which_is_which(measure) -> None:
    cat, coffee = photo(), photo("coffee")
    assert measure(cat, coffee) == pytest.approx(measure(coffee, cat), rel=1e-9)
    assert measure(cat, coffee) != pytest.approx(measure(cat, cat), abs=0.01)


def test_edges_are_asked_where_and_not_which_way() -> None:
    cat = photo()
    assert edge_agreement(1 - photo(), cat) > 0.7
    assert structure(1 - photo(), cat) < 0
    flat = torch.full_like(cat, 0.5)
    assert (edge_agreement(flat, flat), edge_agreement(flat, cat)) == (1, 0)


# ----------------------------------------------------------------------------------------- colour


def lab_picture(seed: int = 0, height: int = 40, width: int = 60) -> np.ndarray:
    """Colours of CIELAB well inside sRGB."""
    random = np.random.default_rng(seed)
    return np.array([50, 0, 0]) + random.uniform(-8, 8, (height, width, 3))


def from_lab(lab: np.ndarray) -> Tensor:
    return torch.from_numpy(lab2rgb(lab)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("shift", [(5, 0, 0), (0, -7, 3), (4, 4, -4)])
def test_a_shifted_palette_measures_its_shift(shift: tuple[float, float, float]) -> None:
    lab = lab_picture()
    distance = color_distance(from_lab(lab + np.array(shift)), from_lab(lab))
    assert distance == pytest.approx(math.hypot(*shift), rel=1e-3)


def test_it_never_exceeds_the_distance_pixel_by_pixel() -> None:
    """The pairing of pixels as they lie is one transport; the best costs no more, its slices not
    either.
    """
    cat, spoiled = photo(), noised(photo())
    pixels = [rgb2lab(image[0].permute(1, 2, 0).double().numpy()) for image in (cat, spoiled)]
    plain = math.sqrt(np.square(pixels[0] - pixels[1]).sum(axis=-1).mean())
    assert 0.1 * plain < color_distance(cat, spoiled) <= plain


def test_places_sizes_and_seeds_have_no_say_in_colours() -> None:
    cat, coffee = photo(), photo("coffee")
    shuffled = cat.flatten(2)[
        ..., torch.randperm(64 * 96, generator=torch.Generator().manual_seed(0))
    ].view_as(cat)
    assert color_distance(cat, shuffled) < 1e-9
    assert color_distance(cat.repeat_interleave(2, 2).repeat_interleave(2, 3), cat) < 1e-9
    values = [color_distance(cat, coffee, seed=seed) for seed in (0, 0, 1, 2)]
    assert values[0] == values[1]
    assert values[2:] == pytest.approx(values[:2], rel=0.2)


# ---------------------------------------------------------------------------------------- surface


@pytest.mark.parametrize("sigma", [0.5, 2.0, 6.0])
def test_noise_is_told_in_lightness(sigma: float) -> None:
    lab = np.zeros((128, 128, 3))
    # A ramp below, which db2 does not see.
    lab[..., 0] = np.linspace(40, 60, 128) + np.random.default_rng(0).normal(0, sigma, (128, 128))
    assert noise(from_lab(lab)) == pytest.approx(sigma, rel=0.05)


def test_a_clean_picture_has_no_noise_and_a_clipped_sky_hides_none() -> None:
    assert noise(torch.full((1, 3, 64, 64), 0.3)) == 0
    lab = np.full((128, 128, 3), [50.0, 0, 0])
    lab[80:, :, 0] += np.random.default_rng(0).normal(0, 3, (48, 128))
    assert noise(from_lab(lab)) == pytest.approx(3, rel=0.1)


def test_sharpness_is_a_ratio() -> None:
    cat, flat = photo(), torch.full((1, 3, 64, 96), 0.5)
    assert sharpness(blurred(cat), cat) * sharpness(cat, blurred(cat)) == pytest.approx(1)
    assert sharpness(flat, flat) == 1
    assert sharpness(flat, cat) < 1e-5


def ramp(height: int = 48, width: int = 64) -> Tensor:
    return torch.linspace(0, 1, width).expand(1, 3, height, width).contiguous()


@pytest.mark.parametrize("tile", [4, 16, 48, 50])
def test_a_ramp_has_no_seams(tile: int) -> None:
    for picture in (
        ramp(),
        ramp(64, 48).mT,
        (ramp() + ramp(64, 48).mT) / 2,
        torch.zeros(1, 3, 48, 64),
    ):
        assert seam_energy(picture, tile) == pytest.approx(1, rel=1e-4)


def test_a_seam_is_seen_and_a_larger_one_more() -> None:
    values = [1.0]
    for jump in (0.05, 0.1, 0.3):
        picture = ramp() / 2
        picture[..., 16:] += jump
        values.append(seam_energy(picture, 16))
        assert seam_energy(picture, 24) < 1.0 + 1e-3  # no border of these tiles lies there
    step = 0.5 / 63
    # Three borders down, one of them with the jump; those across jump by nothing, as all else does
    # along them.
    assert values[1:] == pytest.approx(
        [1 + jump / (3 * step) for jump in (0.05, 0.1, 0.3)], rel=1e-3
    )


@pytest.mark.parametrize("tile", [0, 1, 64, 1000])
def test_tiles_without_borders_are_refused(tile: int) -> None:
    with pytest.raises(ImpastoError, match="no borders"):
        seam_energy(ramp(), tile)


# ------------------------------------------------------------------------------------------- rank


def test_the_order_of_a_ranking() -> None:
    scores = [
        {"style": 0.5, "legibility": 0.2},
        {"style": 0.1, "legibility": 0.3},
        {"style": 0.2, "legibility": 0.9},
        {"style": 0.5, "legibility": 0.2},
    ]
    assert rank(scores) == [1, 2, 0, 3]  # the first two tie, and style decides
    assert rank(scores, "style") == [1, 2, 0, 3]
    assert rank(scores, "legibility") == [2, 1, 0, 3]
    order = [3, 1, 0, 2]
    assert [order[i] for i in rank([scores[i] for i in order])] == [1, 2, 3, 0]
    for name in ("beauty", "colour", "seams"):
        with pytest.raises(ImpastoError, match="choose style, legibility"):
            rank(scores, name)


# --------------------------------------------------------------------------------------- commands


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A photo, a painting, and a folder of results: the photo itself, a copy of the painting, a
    spoiled photo.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))
    results = tmp_path / "results"
    results.mkdir()
    save_picture("photo.png", photo())
    save_picture("painting.png", photo("coffee"))
    made = {"encoder": {"name": "compact"}}
    for name, image in (("a", photo()), ("b", photo("coffee")), ("c", noised(photo()))):
        save_picture(results / f"{name}.png", image, recipe=made if name == "c" else None)
    return tmp_path


def run(*args: str):
    app = typer.Typer()
    cli_measure.register(app)
    return CliRunner().invoke(app, list(args))


def test_one_picture_down_the_page(folder: Path) -> None:
    done = run("photo.png", "painting.png", "results/a.png")
    assert done.exit_code == 0
    rows = dict(line.split() for line in done.stdout.splitlines()[1:-2])
    assert list(rows) == [name.removeprefix("style/") for name in BETTER if name != "seams"]
    assert (rows["content"], rows["ssim"], rows["legibility"]) == ("0.000", "1.000", "1.000")


def test_a_folder_is_ranked_and_json_is_stable(folder: Path) -> None:
    shutil.copy("photo.png", "results/x.png")
    Path("results/notes.txt").write_text("no picture")
    args = ("photo.png", "painting.png", "results", "--by", "style", "--tile", "16", "--json")
    first, second = run(*args), run(*args)
    assert first.stdout == second.stdout
    found = json.loads(first.stdout)
    assert [found[name] for name in ("photo", "painting", "encoder")] == [
        "photo.png",
        "painting.png",
        "compact-2",  # one of the pictures was made under the other
    ]
    assert [each["rank"] for each in found["pictures"]] == [1, 2, 3, 4]
    assert all(list(each["scores"]) == list(BETTER) for each in found["pictures"])
    styles = [each["scores"]["style"] for each in found["pictures"]]
    assert styles == sorted(styles)
    assert found["pictures"][0]["picture"] == "b.png"
    table = run(*args[:-1]).stdout.splitlines()
    assert [line.split()[:2] for line in table[1:5]] == [
        [str(each["rank"]), each["picture"]] for each in found["pictures"]
    ]


def test_a_folder_leaves_out_what_it_is_measured_against(folder: Path) -> None:
    found = json.loads(run("results/a.png", "results/b.png", "results", "--json").stdout)
    assert [each["picture"] for each in found["pictures"]] == ["c.png"]


def test_nobody_is_judged_by_the_encoder_that_was_optimised(folder: Path) -> None:
    found = json.loads(run("photo.png", "painting.png", "results", "--json").stdout)
    assert found["encoder"] == "compact-2"
    pictures = {each["picture"]: each for each in found["pictures"]}
    assert [pictures[f"{name}.png"]["made under"] for name in "abc"] == [None, None, "compact"]
    assert all(each["notes"] == [] for each in pictures.values())
    table = run("photo.png", "painting.png", "results").stdout.splitlines()
    assert table[0].endswith("made under")
    assert [line.split()[-1] for line in table[1:4] if "c.png" in line] == ["compact"]
    assert "judged by compact-2" in table[-1]


def test_who_judges_its_own_work_says_so(folder: Path) -> None:
    args = ("photo.png", "painting.png", "results", "--json", "--encoder", "compact")
    flattered = json.loads(run(*args).stdout)
    notes = {each["picture"]: each["notes"] for each in flattered["pictures"]}
    assert [len(notes[f"{name}.png"]) for name in "abc"] == [0, 0, 1]
    assert "flattering" in notes["c.png"][0]


def test_the_judge_is_another_encoder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge([None]) == judge(["vgg19"]) == judge(["mine.safetensors"]) == "compact"
    assert judge(["compact", None]) == "compact-2"
    assert judge(["compact-2", None]) == "compact"
    assert judge(["compact", "compact-2"]) == "compact"  # nothing else is here
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "hub"))
    weights = (
        folder / "hub" / "models--timm--vgg19.tv_in1k" / "snapshots" / "0" / "model.safetensors"
    )
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert judge(["compact", None]) == judge(["compact", "compact-2"]) == "vgg19"
    assert judge(["compact", "vgg19"]) == "compact-2"
    assert judge([None]) == "compact"


def test_what_a_network_painted_is_judged_by_no_encoder_it_was_trained_under(folder: Path) -> None:
    save_picture("pass.png", photo(), recipe={"network": {"name": "painter"}})
    found = json.loads(run("photo.png", "painting.png", "pass.png", "--json").stdout)
    assert (found["encoder"], found["pictures"][0]["made under"]) == ("compact-2", "compact")


def test_a_photo_of_other_proportions_is_told(folder: Path) -> None:
    save_picture("square.png", photo()[..., :64])
    done = run("photo.png", "painting.png", "square.png", "--json")
    assert "other proportions" in json.loads(done.stdout)["pictures"][0]["notes"][0]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("photo.png", "painting.png", "nothing"), "does not exist"),
        (("photo.png", "painting.png", "results/a.png", "--tile", "16", "--size", "64"), "--size"),
        (("photo.png", "painting.png", "results/a.png", "--tile", "96"), "no borders"),
        (("photo.png", "painting.png", "results/a.png", "--by", "seams"), "choose style"),
        (("photo.png", "painting.png", "results/a.png", "--encoder", "none"), "no encoder"),
    ],
)
def test_mistakes_are_told_in_a_line(args: tuple[str, ...], message: str, folder: Path) -> None:
    done = run(*args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_explain_is_the_table_of_metrics() -> None:
    done = run("--explain")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert len(lines) == len(METRICS) + 1
    for metric, line in zip(METRICS, lines[1:], strict=True):
        assert line.split()[:2] == [metric.name, metric.better]
        assert metric.meaning in line
        assert line.endswith(metric.source)
