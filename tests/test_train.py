"""Training: the loss by its laws, the student against the encoder it becomes, the loop by exact
resumption.
"""

import csv
import json
import math
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from impasto.analysis.work import CellProgress
from impasto.errors import ImpastoError
from impasto.events import Event
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import COMPACT, Architecture, Encoder
from impasto.networks.weights import load_encoder
from impasto.pictures.samples import sample, sample_names
from impasto.training.configs import DistillConfig, RunConfig
from impasto.training.data import augment, crop, randomness, read_pictures
from impasto.training.distill import Distillation, unexplained
from impasto.training.log import logged
from impasto.training.onesided import one_sided, one_sided_regression
from impasto.training.run import Task, TrainingProgress, train
from impasto.training.student import Student
from impasto.training.teachers import like

GREY = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
LARGE = Architecture.vgg(((8, 8), (8, 8), (8, 8), (8, 6), (8,)), **GREY)
SMALL = Architecture.vgg(((8, 6), (8, 6), (8, 6), (8, 6), (8,)), **GREY)
SHALLOW = Architecture.vgg(((8, 8), (8, 8)), **GREY)
STRIDED = replace(
    COMPACT,
    layers=tuple(
        replace(each, width=8 if each.name.endswith("_1") else 6) for each in COMPACT.layers
    ),
)
BOUNDS = ("relu2_1", "relu3_1", "relu4_1")
TINY = DistillConfig(steps=6, batch=4, crop=32, warmup=2, precision="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("photos")
    for name in sample_names():
        photo = sample(name)
        photo.resize((photo.width // 3, photo.height // 3)).save(place / f"{name}.png")
    return place


@pytest.fixture(scope="module")
def pictures(folder: Path) -> list[Tensor]:
    return [reading.picture for reading in read_pictures([folder]) if reading.picture is not None]


def encoder(
    architecture: Architecture, seed: int = 0, name: str = "teacher.safetensors"
) -> Encoder:
    """With random weights, drawn as a student's are."""
    return Encoder(architecture, name=name).load(Student(architecture, randomness(seed)).folded())


def photo_batch(pictures: list[Tensor], count: int = 3, size: int = 48) -> Tensor:
    random = randomness(5)
    return torch.stack([crop(pictures, random, size) for _ in range(count)])


# ------------------------------------------------------------------------------------ the one-sided loss


def drawn(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = randomness(seed)
    z, t = (torch.from_numpy(random.standard_normal(shape)) for _ in range(2))
    return z, t.clamp_min(0)


def test_one_sided_is_its_definition() -> None:
    z, t = drawn(4, 5, 6)
    d = torch.where(t > 0, z - t, z.clamp_min(0))
    torch.testing.assert_close(one_sided(z, t), d.square().mean())
    tiny = torch.full_like(z, 1e-6)  # a target that hardly fires is still to be reached from below
    torch.testing.assert_close(one_sided(z, tiny), (z - tiny).square().mean())


def test_one_sided_bounds_the_error_after_relu_and_meets_it() -> None:
    for z, t in (drawn(1, seed=seed) for seed in range(50)):
        assert one_sided(z, t) >= (z.relu() - t).square().mean()
        torch.testing.assert_close(one_sided(z.abs(), t), (z.abs() - t).square().mean())


def test_one_sided_gradient() -> None:
    z, t = drawn(3, 7)
    assert torch.autograd.gradcheck(lambda x: one_sided(x, t), z.requires_grad_())


def test_one_sided_is_convex() -> None:
    for seed in range(20):
        (a, t), (b, _) = drawn(30, seed=seed), drawn(30, seed=seed + 100)
        for s in np.linspace(0, 1, 11):
            between = one_sided(s * a + (1 - s) * b, t)
            assert between <= s * one_sided(a, t) + (1 - s) * one_sided(b, t) + 1e-12


def test_one_sided_wakes_a_unit_that_relu_has_silenced() -> None:
    z, t = torch.tensor([-2.0], requires_grad=True), torch.tensor([1.0])
    (silent,) = torch.autograd.grad((z.relu() - t).square().mean(), z)
    (awake,) = torch.autograd.grad(one_sided(z, t), z)
    assert silent == 0
    assert awake == -6


def test_one_sided_in_bfloat16_is_a_float32_number() -> None:
    z, t = (x.bfloat16() for x in drawn(50, 50))
    loss = one_sided(z, t)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), one_sided(z.double(), t.double()), rtol=0.01, atol=0)


def test_regression_finds_the_first_layer_of_another_encoder(pictures: list[Tensor]) -> None:
    teacher, images = encoder(LARGE), photo_batch(pictures, count=8)
    wanted = teacher.features(images, ["relu1_1"])["relu1_1"][:, :, 1:-1, 1:-1]
    patches = F.unfold((images - 0.5) / 0.25, 3).transpose(1, 2).flatten(0, 1)
    weight, bias = one_sided_regression(patches, wanted.flatten(2).transpose(1, 2).flatten(0, 1))
    truth = teacher.state_dict()
    torch.testing.assert_close(
        weight, truth["convs.relu1_1.weight"].flatten(1).double(), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(bias, truth["convs.relu1_1.bias"].double(), rtol=0, atol=1e-4)


def test_regression_leaves_no_gradient_where_the_target_is_out_of_reach() -> None:
    inputs, _ = drawn(400, 5)
    _, targets = drawn(400, 3, seed=1)
    targets[:, 2] = 0  # a filter that never fires
    weight, bias = (x.requires_grad_() for x in one_sided_regression(inputs, targets))
    one_sided(inputs @ weight.T + bias, targets).backward()
    assert weight.grad is not None
    assert weight.grad.abs().max() < 1e-8


# ------------------------------------------------------------------------------------ the student


@pytest.mark.parametrize("of", [SMALL, STRIDED])
@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_a_student_computes_what_the_encoder_does(
    padding: Any, of: Architecture, pictures: list[Tensor]
) -> None:
    architecture = replace(of, padding=padding)
    student, images = Student(architecture, randomness(1)), photo_batch(pictures)
    plain = Encoder(architecture, name="student").load(student.folded())
    with torch.no_grad():
        ours = {
            layer: z.relu() for layer, z in student.preactivations(images) if layer in plain.layers
        }
        theirs = plain.features(images, plain.layers)
    assert ours.keys() == theirs.keys() == architecture.widths.keys()
    assert all(torch.equal(ours[layer], theirs[layer]) for layer in ours)


def standardized(images: Tensor, forced: dict[str, Tensor]) -> tuple[Student, dict[str, float]]:
    student = Student(SMALL, randomness(1))
    std = {layer: 0.5 if layer in BOUNDS else 1.0 for layer in SMALL.widths}
    student.standardize(images, forced, std)
    return student, std


def test_standardize_centres_inputs_and_scales_outputs(pictures: list[Tensor]) -> None:
    images = photo_batch(pictures)
    forced = encoder(LARGE).features(images, BOUNDS)
    student, std = standardized(images, forced)
    with torch.no_grad():
        zs = dict(student.preactivations(images, forced))
    for layer in SMALL.widths:
        if layer != "relu1_1":
            assert zs[layer].std() == pytest.approx(std[layer], rel=1e-4)
    pooled = F.max_pool2d(zs["relu1_2"].relu(), 2)
    torch.testing.assert_close(student.centres["relu2_1"], pooled.mean((0, 2, 3)))


def test_centring_folds_away(pictures: list[Tensor]) -> None:
    images = photo_batch(pictures)
    student, _ = standardized(images, {})
    assert all(student.centres[layer].abs().max() > 0.01 for layer in student.layers[1:])
    plain = Encoder(SMALL, name="student").load(student.folded())
    features = plain.features(photo_batch(pictures, size=64), plain.layers)
    with torch.no_grad():
        for layer, z in student.preactivations(photo_batch(pictures, size=64)):
            torch.testing.assert_close(features[layer], z.relu(), rtol=1e-5, atol=1e-5)


def test_a_centred_layer_answers_its_centre_with_its_bias(pictures: list[Tensor]) -> None:
    images = photo_batch(pictures)
    student, _ = standardized(images, {})
    with torch.no_grad():
        student.biases["relu3_2"].copy_(torch.arange(6.0))
        at_rest = student.centres["relu3_2"].view(1, -1, 1, 1).expand(3, -1, 12, 12)
        z = dict(student.preactivations(images, {"relu3_1": at_rest}))["relu3_2"]
    torch.testing.assert_close(
        z, torch.arange(6.0).view(1, -1, 1, 1).expand_as(z), rtol=0, atol=1e-5
    )


def test_forced_features_take_the_place_of_its_own(pictures: list[Tensor]) -> None:
    images, others = photo_batch(pictures), photo_batch(pictures).flip(0)
    student = Student(SMALL, randomness(1))
    with torch.no_grad():
        own, theirs = dict(student.preactivations(images)), dict(student.preactivations(others))
        forced = dict(student.preactivations(images, {"relu3_1": theirs["relu3_1"].relu()}))
    for i, layer in enumerate(student.layers):
        expected = own if i <= student.layers.index("relu3_1") else theirs
        torch.testing.assert_close(forced[layer], expected[layer])


def test_a_revived_unit_fires_and_changes_nothing_yet(pictures: list[Tensor]) -> None:
    images = photo_batch(pictures)
    student, _ = standardized(images, {})
    with torch.no_grad():
        student.biases["relu2_2"][:2] = -1e3
        before = dict(student.preactivations(images))
        revived = student.revive(images, {}, ["relu1_2", "relu2_2"], randomness(0))
        after = dict(student.preactivations(images))
    assert revived.keys() == {"relu2_2"}
    assert revived["relu2_2"] >= 2
    born = after["relu2_2"][:, :2]
    torch.testing.assert_close(born.std((0, 2, 3)), torch.ones(2), rtol=1e-3, atol=0)
    torch.testing.assert_close(born.mean((0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-3)
    for layer in student.layers[student.layers.index("relu2_2") + 1 :]:
        torch.testing.assert_close(after[layer], before[layer], rtol=1e-4, atol=1e-4)
    assert student.revive(images, {}, ["relu2_2"], randomness(0)) == {}


def test_a_revived_unit_is_silent_to_all_that_read_it(pictures: list[Tensor]) -> None:
    images, student = photo_batch(pictures), Student(STRIDED, randomness(1))
    student.standardize(images, {}, dict.fromkeys(student.layers, 1.0))
    assert student.readers("relu4_1") == ("relu4_2", "down4")
    with torch.no_grad():
        for layer in ("down3", "relu4_1"):
            student.biases[layer][:2] = -1e3
        before = dict(student.preactivations(images))
        revived = student.revive(images, {}, ["down3", "relu4_1"], randomness(0))
        after = dict(student.preactivations(images))
    assert revived.keys() == {"down3", "relu4_1"}
    assert (after["relu4_1"][:, :2] > 0).any()
    torch.testing.assert_close(
        after["relu4_1"][:, 2:], before["relu4_1"][:, 2:], rtol=1e-4, atol=1e-4
    )
    for layer in ("relu4_2", "down4", "relu5_1"):
        torch.testing.assert_close(after[layer], before[layer], rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------ pictures


def test_pictures_are_reduced_and_broken_ones_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.new("RGB", (2000, 500), (10, 200, 30)).save(tmp_path / "deep" / "wide.jpg", quality=95)
    Image.new("RGBA", (40, 50), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 this is not a picture")
    (tmp_path / "notes.txt").write_text("not read")
    readings = {reading.path.name: reading for reading in read_pictures([tmp_path])}
    assert sorted(readings) == ["broken.jpg", "clear.png", "wide.jpg"]
    assert [reading.done for reading in readings.values()] == [1, 2, 3]
    assert readings["broken.jpg"].picture is None
    assert "broken.jpg" in readings["broken.jpg"].problem
    assert readings["clear.png"].picture is None
    assert "transparent" in readings["clear.png"].problem
    wide = readings["wide.jpg"].picture
    assert wide is not None
    assert wide.shape == (3, 288, 640)
    assert (wide.float() - torch.tensor([10.0, 200, 30]).view(3, 1, 1)).abs().max() <= 3


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="no image files"):
        list(read_pictures([tmp_path]))
    (tmp_path / "broken.png").write_bytes(b"no")
    with pytest.raises(ImpastoError, match="none of the 1 image files"):
        list(read_pictures([tmp_path]))
    with pytest.raises(ImpastoError, match="is not a folder"):
        list(read_pictures([tmp_path / "nowhere"]))


def test_a_crop_is_a_square_of_the_picture() -> None:
    ramp = torch.arange(200, dtype=torch.uint8).expand(3, 150, 200).contiguous()
    sides = []
    for seed in range(40):
        image = crop([ramp], randomness(seed), 32)
        assert image.shape == (3, 32, 32)
        columns = image[0, 0] * 255
        torch.testing.assert_close(
            image, image[:1, :1].expand(3, 32, 32)
        )  # still a ramp from left to right
        sides.append(abs(float(columns[-2] - columns[1])) * 32 / 29)
    assert 78 < min(sides) < 90
    assert 140 < max(sides) < 152


def test_augmented_pictures_stay_pictures_and_repeat(pictures: list[Tensor]) -> None:
    image = crop(pictures, randomness(0), 64)
    changed = 0
    for seed in range(60):
        result = augment(image, randomness(seed), pictures)
        assert result.shape == image.shape
        assert 0 <= result.min() <= result.max() <= 1
        assert torch.equal(result, augment(image, randomness(seed), pictures))
        changed += not torch.equal(result, image)
    assert (
        30 < changed < 58
    )  # 1 - 0.42 * 0.7 * 0.9 of 60 is 44, give or take four standard deviations


# ------------------------------------------------------------------------------------ distillation


def distillation(
    pictures: list[Tensor], config: DistillConfig = TINY, **options: Any
) -> Distillation:
    return Distillation([encoder(LARGE)], pictures, config, architecture=SMALL, **options)


def test_a_batch_depends_on_its_step_alone(pictures: list[Tensor]) -> None:
    task = distillation(pictures)
    second = task.batch(2)
    assert second.shape == (3, 3, 32, 32)
    assert task.batch(0).shape == (4, 3, 32, 32)
    assert not torch.equal(task.batch(1), second)
    assert torch.equal(distillation(pictures).batch(2), second)


def test_a_part_of_a_batch_is_the_last_one_moved_by_little(pictures: list[Tensor]) -> None:
    task = distillation(pictures, TINY.but(batch=8))
    task.start()
    seen = []
    for step in range(2):
        torch.stack(list(task(task.batch(step), step).values())).sum().backward()
        seen.append(task.get_extra_state())
    before, gradient = seen[0]["pictures"], seen[0]["gradient"]
    after = seen[1]["pictures"]
    assert len(before) == len(after) == 8
    for moved in after[:2]:
        steps = moved - before
        nearest = int(steps.abs().amax((1, 2, 3)).argmin())
        step, direction = steps[nearest], gradient[nearest].sign()
        size = step.abs().max()
        assert 0.99 / 255 <= size <= 12.01 / 255
        free = (moved > 0) & (moved < 1)
        torch.testing.assert_close(step[free], size * direction[free], rtol=0, atol=1e-6)
        assert free.float().mean() > 0.5
    torch.testing.assert_close(after[2:], task.batch(1))


def test_training_lowers_every_loss(pictures: list[Tensor], tmp_path: Path) -> None:
    config = TINY.but(steps=60, learning_rate=0.03, bias_rate=0.1, warmup=5)
    task = distillation(pictures, config, data=["somewhere/photos"])
    records = list(
        logged(
            train(task, checkpoint=tmp_path / "run.ckpt", device="cpu", every=30),
            tmp_path / "log.csv",
        )
    )
    steps = [record for record in records if record.losses]
    assert [record.step for record in steps] == list(range(1, 61))
    start, *_, end = (record.validation for record in records if record.validation)
    for name, share in end.items():
        if name.endswith("relu1_1"):
            assert share < 1e-8  # solved before the first step
        else:
            assert share < 0.5 * start[name]
    for layer in task.balance:
        early, late = (
            sum(record.losses[layer] for record in part) for part in (steps[:10], steps[-10:])
        )
        assert late < 0.5 * early or layer == "relu1_1"
    last = steps[-1]
    weighted = sum(task.balance[layer] * last.losses[layer] for layer in task.balance)
    assert last.losses["total"] == pytest.approx(weighted)
    assert last.rate > 0
    assert last.left == 0
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [record.step for record in records]
    assert float(rows[-1]["clean relu5_1"]) == pytest.approx(end["clean relu5_1"], rel=1e-5)


def test_an_export_is_the_trained_student(pictures: list[Tensor], tmp_path: Path) -> None:
    task = distillation(pictures, data=["/home/me/photos", "paintings"])
    list(train(task, checkpoint=tmp_path / "run.ckpt", device="cpu"))
    path = tmp_path / "student.safetensors"
    validation = task.export(path, licence="CC0-1.0")
    with pytest.raises(ImpastoError, match="cannot be written"):
        task.export(tmp_path, licence="CC0-1.0")
    assert not tmp_path.with_name(tmp_path.name + ".part").exists()
    assert sorted(os.listdir(tmp_path)) == ["run.ckpt", "student.safetensors"]
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    architecture, recipe = json.loads(header["architecture"]), json.loads(header["recipe"])
    assert header["licence"] == "CC0-1.0"
    assert architecture["layers"] == [asdict(layer) for layer in SMALL.layers]
    assert recipe["teachers"] == ["teacher.safetensors"]
    assert recipe["data"] == ["photos", "paintings"]
    assert recipe["steps"] == TINY.steps
    assert recipe["validation"] == pytest.approx(validation, rel=1e-3)
    weights = load_file(path)
    assert weights["conv1_1.weight"].dtype == torch.float16
    exported, images = Encoder(SMALL, name="student").load(weights), photo_batch(pictures)
    features = exported.features(images, exported.layers)
    with torch.no_grad():
        for layer, z in task.student.preactivations(images):
            assert (features[layer] - z.relu()).abs().max() < 0.01 * z.abs().max()
    for name, share in task.validate().items():
        assert validation[name] == pytest.approx(share, rel=0.02, abs=1e-5)


def test_strided_convolutions_are_distilled_too(pictures: list[Tensor], tmp_path: Path) -> None:
    config = TINY.but(steps=40, learning_rate=0.03, bias_rate=0.1, warmup=5)
    task = Distillation(
        [encoder(LARGE)], pictures, config
    )  # the default's layers, as wide as the teacher's
    assert task.student.architecture == like(COMPACT, [encoder(LARGE)], config.layers)
    task = Distillation([encoder(LARGE)], pictures, config, architecture=STRIDED)
    shallow, deep = task.optimizers()[0].param_groups
    names = {id(matrix): layer for layer, matrix in task.student.weights.items()}
    assert [names[id(each)] for each in shallow["params"]] == [
        "down1",
        "relu2_1",
        "down2",
        "relu3_1",
    ]
    assert [names[id(each)] for each in deep["params"]] == [
        "down3",
        "relu4_1",
        "relu4_2",
        "down4",
        "relu5_1",
    ]
    records = list(train(task, checkpoint=tmp_path / "run.ckpt", device="cpu", every=40))
    start, *_, end = (record.validation for record in records if record.validation)
    assert {name.split()[1] for name in end} == set(task.balance)
    assert all(
        end[f"clean {layer}"] < 0.7 * start[f"clean {layer}"] for layer in list(task.balance)[1:]
    )
    path = tmp_path / "student.safetensors"
    validation = task.export(path, licence="CC0-1.0")
    exported = load_encoder(path, device="cpu", dtype=torch.float32)
    assert exported.architecture == STRIDED
    assert {"conv1_1.weight", "down1.weight", "down4.bias"} <= load_file(path).keys()
    for name, share in task.validate().items():
        assert validation[name] == pytest.approx(share, rel=0.02, abs=1e-5)
    with pytest.raises(ImpastoError, match="relu1_1 and relu4_2 and relu5_1 must be among"):
        Distillation(
            [encoder(LARGE)], pictures, TINY.but(layers={"relu1_1": 1.0}), architecture=STRIDED
        )


def test_mixed_precision_trains_too(pictures: list[Tensor], tmp_path: Path) -> None:
    teacher = encoder(LARGE)
    task = Distillation(
        [teacher], pictures, TINY.but(steps=2, precision="bfloat16"), architecture=SMALL
    )
    *_, last = train(task, checkpoint=tmp_path / "run.ckpt", device="cpu")
    assert teacher.dtype == torch.float32  # the run has its own copy
    assert all(math.isfinite(loss) for loss in last.losses.values())
    assert {parameter.dtype for parameter in task.parameters()} == {torch.float32}
    assert task.get_extra_state()["pictures"].dtype == torch.float32
    assert last.validation["clean relu1_1"] < 1e-3


def test_each_layer_has_the_first_teacher_that_knows_it(
    pictures: list[Tensor], tmp_path: Path
) -> None:
    shallow = encoder(SHALLOW, seed=7, name="shallow")
    deep, images = encoder(LARGE), photo_batch(pictures, size=32)
    task = Distillation([shallow, deep], pictures, TINY, architecture=SMALL)
    task.start()
    features = {
        **deep.features(images, list(task.balance)),
        **shallow.features(images, ["relu1_1", "relu2_1"]),
    }
    losses = task(images, 0)
    first = dict(task.student.preactivations(images))["relu1_1"]
    assert losses["relu1_1"] < 1e-8
    torch.testing.assert_close(first.relu(), features["relu1_1"], rtol=0, atol=1e-3)
    forced = {layer: features[layer] for layer in BOUNDS}
    expected = [dict(task.student.preactivations(images, some))["relu3_1"] for some in ({}, forced)]
    possible = [one_sided(z, features["relu3_1"]) / task.variance[2] for z in expected]
    assert any(torch.isclose(losses["relu3_1"], loss, rtol=1e-4) for loss in possible)


def test_teachers_and_students_that_do_not_fit_are_refused(pictures: list[Tensor]) -> None:
    wide = Architecture.vgg(((8, 6), (8, 6), (8, 6), (8, 7), (8,)), **GREY)
    with pytest.raises(
        ImpastoError, match=r"relu4_2 has 6 channels in teacher\.safetensors and 7 in the student"
    ):
        Distillation([encoder(LARGE)], pictures, TINY, architecture=wide)
    with pytest.raises(ImpastoError, match="no teacher has the layer relu3_1"):
        Distillation([encoder(SHALLOW)], pictures, TINY, architecture=SMALL)
    with pytest.raises(ImpastoError, match="unknown layer 'relu5_4'"):
        distillation(pictures, TINY.but(layers={"relu5_4": 1.0}))
    with pytest.raises(ImpastoError, match="relu1_1 and relu5_1 must be among"):
        distillation(pictures, TINY.but(layers={"relu1_1": 1.0}))
    with pytest.raises(ImpastoError, match="give more data"):
        distillation(pictures[:1])
    with pytest.raises(ImpastoError, match="heads"):
        Distillation(
            [encoder(LARGE)], pictures, TINY, architecture=replace(SMALL, heads=(("relu1_1", 9),))
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch": 0},
        {"accumulate": 0},
        {"crop": 16},
        {"seed": -1},
        {"learning_rate": 0.0},
        {"bias_rate": math.inf},
        {"clip": math.nan},
        {"adversarial": 1.0},
        {"forcing": 1.5},
        {"held_out": 0},
        {"layers": {"relu1_1": 0.0}},
        {"precision": "float16"},
    ],
)
def test_configurations_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(
        ImpastoError, match=next(iter(wrong)) if "layers" not in wrong else "relu1_1"
    ):
        DistillConfig(**wrong)


def test_unexplained_variance_in_closed_form() -> None:
    random = randomness(0)
    s, t = (torch.from_numpy(random.random((6, 4, 5, 5))).float() + 3 for _ in range(2))
    t[:, 1] += 10

    def share(student: Tensor, chunk: int) -> float:
        batches = torch.arange(6).split(chunk)
        found = unexplained(lambda i: {"x": student[i]}, lambda i: {"x": t[i]}, batches, ["x"])
        return found["x"]

    mean = t.double().mean((0, 2, 3), keepdim=True)
    wanted = (s.double() - t.double()).square().sum() / (t.double() - mean).square().sum()
    for chunk in (1, 4, 6):
        assert share(s, chunk) == pytest.approx(float(wanted), rel=1e-4)
    assert share(t, 2) == 0
    assert share(mean.float().expand_as(t), 6) == pytest.approx(1, rel=1e-3)


# ------------------------------------------------------------------------------------ the loop


def steps_of(path: Path) -> list[dict[str, str]]:
    """The rows of a log that are about a step, without what depends on the clock."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "rate" and v} for row in rows if row["total"]]


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, through dicts and lists."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def interrupt_at(step: int, records: Iterator[TrainingProgress], sent: int) -> None:
    for record in records:
        if record.step == step:
            signal.raise_signal(sent)


@pytest.mark.parametrize(
    ("accumulate", "sent"), [(1, signal.SIGINT), (2, signal.SIGTERM), (1, signal.SIGHUP)]
)
def test_an_interrupted_training_ends_exactly_like_one_that_was_not(
    pictures: list[Tensor], tmp_path: Path, accumulate: int, sent: int
) -> None:
    config = TINY.but(accumulate=accumulate)
    whole = distillation(pictures, config)
    list(
        logged(
            train(whole, checkpoint=tmp_path / "whole.ckpt", device="cpu"), tmp_path / "whole.csv"
        )
    )

    broken, log = tmp_path / "broken.ckpt", tmp_path / "broken.csv"
    handler = signal.getsignal(sent)
    records = logged(train(distillation(pictures, config), checkpoint=broken, device="cpu"), log)
    with pytest.raises(KeyboardInterrupt):
        interrupt_at(2, records, sent)
    assert signal.getsignal(sent) == handler
    assert torch.load(broken, weights_only=True)["step"] == 3
    with log.open("a") as file:  # a row of a step that was lost
        file.write("4" + log.read_text().splitlines()[-1][1:] + "\n")

    resumed = distillation(pictures, config)
    records = logged(train(resumed, checkpoint=broken, resume=True, device="cpu"), log)
    assert next(records).note == "resumed after step 3"
    assert [record.step for record in records] == [4, 5, 6]

    states = [
        torch.load(tmp_path / name, weights_only=True) for name in ("whole.ckpt", "broken.ckpt")
    ]
    assert same(*states)
    assert states[0]["step"] == TINY.steps
    assert same(whole.student.folded(), resumed.student.folded())
    assert steps_of(tmp_path / "whole.csv") == steps_of(log)


def test_the_second_ctrl_c_does_not_wait(pictures: list[Tensor], tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    records = train(distillation(pictures), checkpoint=tmp_path / "run.ckpt", device="cpu")
    while next(records).step < 1:
        pass
    assert signal.getsignal(signal.SIGINT) != handler
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == handler


def test_checkpoints_that_cannot_be_continued_are_refused(
    pictures: list[Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "run.ckpt"
    task = distillation(pictures, TINY.but(steps=1))
    with pytest.raises(ImpastoError, match="there is no checkpoint"):
        next(train(task, checkpoint=path, resume=True, device="cpu"))
    list(train(task, checkpoint=path, device="cpu"))
    with pytest.raises(ImpastoError, match="made with seed 0, not 3"):
        next(
            train(
                distillation(pictures, TINY.but(steps=1, seed=3)),
                checkpoint=path,
                resume=True,
                device="cpu",
            )
        )
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ImpastoError, match="not a checkpoint"):
        next(train(task, checkpoint=path, resume=True, device="cpu"))


def test_an_encoder_is_trained_in_one_process(
    pictures: list[Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("TORCHELASTIC_RUN_ID", "x"),
        ("RANK", "0"),
        ("WORLD_SIZE", "2"),
        ("LOCAL_WORLD_SIZE", "2"),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ImpastoError, match="Distillation goes on from batch to batch, in one process only"
    ):
        next(train(distillation(pictures), checkpoint=tmp_path / "run.ckpt", device="cpu"))


class Trap:
    """Unpickling it creates a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_checkpoint_is_run(pictures: list[Tensor], tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    torch.save({"step": Trap(trap)}, tmp_path / "zip.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps({"step": Trap(trap)}, protocol=2))
    for name in ("zip.ckpt", "plain.ckpt"):
        with pytest.raises(ImpastoError, match="not a checkpoint"):
            next(
                train(distillation(pictures), checkpoint=tmp_path / name, resume=True, device="cpu")
            )
    assert not trap.exists()


class Line(Task):
    """The loop knows nothing of pictures: fit a slope of 3 by plain gradient descent, with
    accidents.
    """

    def __init__(self, config: RunConfig, accidents: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.config, self.balance, self.accidents = config, {"fit": 0.5}, accidents
        self.slope = nn.Parameter(torch.zeros(()))

    @property
    def recipe(self) -> dict[str, Any]:
        return {}

    def batch(self, step: int) -> Tensor:
        return torch.full((2,), math.inf if step in self.accidents else 1.0)

    def forward(self, batch: Tensor, _step: int) -> dict[str, Tensor]:
        return {"fit": (self.slope * batch - 3 * batch).square().mean()}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(self.parameters(), lr=self.config.learning_rate)]

    def validate(self) -> dict[str, float]:
        return {"slope": self.slope.item()}


def test_the_loop_is_descent_with_a_warm_cosine(tmp_path: Path) -> None:
    config = RunConfig(steps=10, learning_rate=0.5, warmup=4, clip=1.0, precision="float32")
    records = list(train(Line(config), checkpoint=tmp_path / "line.ckpt", device="cpu", every=1))
    slope = 0.0
    for step, record in enumerate(records[2:]):
        assert record.losses["fit"] == pytest.approx((slope - 3) ** 2, rel=1e-5)
        assert record.losses["total"] == pytest.approx(record.losses["fit"] / 2)
        rate = (
            0.5 * min(1, (step + 1) / 4) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / 10)) / 2)
        )
        slope -= rate * max(-1.0, slope - 3)
        assert record.validation["slope"] == pytest.approx(slope, rel=1e-5)


def test_a_step_without_a_finite_gradient_is_skipped(tmp_path: Path) -> None:
    config = RunConfig(steps=40, learning_rate=0.1, precision="float32")
    records = list(
        train(Line(config, (3,)), checkpoint=tmp_path / "line.ckpt", device="cpu", every=1)
    )
    slopes = {record.step: record.validation["slope"] for record in records if record.validation}
    assert slopes[4] == slopes[3] < slopes[5]
    assert [record.step for record in records if "skipped" in record.note] == [4]
    with pytest.raises(ImpastoError, match="lower the learning rate"):
        list(
            train(
                Line(config, tuple(range(5, 40))), checkpoint=tmp_path / "line.ckpt", device="cpu"
            )
        )


@pytest.mark.parametrize("kind", [Progress, CellProgress, TrainingProgress])
def test_every_long_work_says_the_same_of_where_it_stands(kind: type[Event]) -> None:
    assert issubclass(kind, Event)
    assert Event.__annotations__.keys() <= {field.name for field in fields(kind)}


def test_what_the_loop_cannot_do_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, path = Line(RunConfig(steps=1, precision="float32")), tmp_path / "line.ckpt"
    with pytest.raises(ImpastoError, match="device 'abacus'"):
        next(train(line, checkpoint=path, device="abacus"))
    with pytest.raises(ImpastoError, match="every"):
        next(train(line, checkpoint=path, every=0))
    with pytest.raises(ImpastoError, match="cannot be written"):
        list(train(line, checkpoint=tmp_path / "no" / "line.ckpt", device="cpu"))
    with pytest.raises(ImpastoError, match="cannot be written"):
        list(logged([TrainingProgress(0, 1)], tmp_path / "no" / "log.csv"))
    (tmp_path / "log.csv").write_text("some,other,table\n1,2,3\n")
    with pytest.raises(ImpastoError, match="not a log"):
        list(logged([TrainingProgress(1, 2)], tmp_path / "log.csv"))
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ImpastoError, match=r'pip install "impasto\[train\]"'):
        next(train(line, checkpoint=path))


def test_a_student_is_as_wide_as_whoever_teaches_it() -> None:
    heads = (("relu2_1", 24),)
    low = Encoder(
        Architecture.vgg(((8, 8), (12,)), (0.5,) * 3, (0.25,) * 3, heads=heads), name="low"
    )
    deep = Encoder(Architecture.vgg(((4,), (4,), (20, 28)), (0.5,) * 3, (0.25,) * 3), name="deep")
    plain = Architecture.vgg(((1, 2), (3, 4), (5, 6)), (0.5,) * 3, (0.25,) * 3)
    student = like(plain, [low, deep], ["relu2_1", "relu3_2"])
    assert student == Architecture.vgg(((1, 2), (24, 4), (5, 28)), (0.5,) * 3, (0.25,) * 3)
    strided = like(COMPACT, [low, deep], ["relu2_1", "relu3_1"])
    assert strided.widths == COMPACT.widths | {"relu2_1": 24, "relu3_1": 20}
    assert [layer.reads for layer in strided.layers] == [layer.reads for layer in COMPACT.layers]
