"""Training one-pass networks: the criterion by a float64 oracle, the tasks by exact resumption and
by their laws.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import plates
from impasto.errors import ImpastoError, OptionError
from impasto.losses.base import StyleLoss
from impasto.networks.checkpoint import Painter, fingerprint, load_network
from impasto.networks.encoder import Architecture, Encoder
from impasto.networks.style_bank import StyleBank
from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.pictures.samples import sample, sample_names
from impasto.training.arbitrary import ArbitraryTask
from impasto.training.bank import BankTask
from impasto.training.configs import (
    ArbitraryConfig,
    BankConfig,
    PaintingConfig,
    PairsConfig,
)
from impasto.training.data import crop, flat, middles, randomness, read_pairs, recolored, scaled
from impasto.training.painting import NetworkTask, seeded
from impasto.training.pairs import PairsTask
from impasto.training.perceptual import Criterion, Style
from impasto.training.run import train

NETWORK = TransformNetConfig(channels=(8, 8, 8), blocks=(1, 1, 1))
COMMON: dict[str, Any] = {
    "steps": 5,
    "batch": 2,
    "crop": 64,
    "warmup": 2,
    "precision": "float32",
    "transform_net": NETWORK,
}
STYLES = ("mosaic", "waves", "woodcut")


@pytest.fixture(autouse=True)
def few_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an arbitrary network to begin with: a second each time, and no law is about how many."""
    monkeypatch.setattr("impasto.training.arbitrary._PCA_BATCHES", 8)


def bytes_of(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


@pytest.fixture(scope="module")
def photos() -> list[Tensor]:
    return [bytes_of(sample(name).resize((128, 96))) for name in sample_names()]


@pytest.fixture(scope="module")
def styles() -> dict[str, Tensor]:
    pixels = {name: torch.from_numpy(plates.draw(name, (96, 80))) for name in STYLES}
    return {name: (x.permute(2, 0, 1) * 255).round().byte() for name, x in pixels.items()}


@pytest.fixture(scope="module")
def start(tiny: Encoder) -> Painter:
    """A painter that has learned nothing, but whose predictor does not answer every style alike."""
    size = 2 * sum(tiny.architecture.widths[layer] for layer in Criterion(tiny).layers)
    with seeded(7):
        transform_net = TransformNet(NETWORK)
        predictor = StylePredictor(
            StylePredictorConfig(
                size, transform_net.vector_size, components=8, hidden=8, embedding=4
            )
        )
        predictor.axes.normal_(std=0.1)
        known = 0.1 * torch.randn(transform_net.vector_size)
    return Painter(
        transform_net,
        StyleBank(fingerprint(transform_net)).learned("known", known, "a note"),
        predictor,
        encoder=tiny.name,
    )


Make = Callable[..., NetworkTask]


@pytest.fixture(scope="module")
def make(tiny: Encoder, photos: list[Tensor], styles: dict[str, Tensor], start: Painter) -> Make:
    """A small task of any kind, with other settings than `COMMON`'s if they are given."""

    def task(kind: str, data: tuple[str, ...] = (), **other: Any) -> NetworkTask:
        options = COMMON | other
        if kind == "arbitrary":
            return ArbitraryTask(
                tiny, photos, list(styles.values()), ArbitraryConfig(**options), data=data
            )
        if kind == "pairs":
            pairs = [(photo, 255 - photo.flip(0)) for photo in photos]
            return PairsTask(tiny, pairs, "negative", PairsConfig(**options), data=data)
        alone = kind == "vectors"
        config = BankConfig(**{"style_size": 96, **options}, vectors_only=alone)
        return BankTask(tiny, photos, styles, config, start=start if alone else None, data=data)

    return task


KINDS = ("arbitrary", "bank", "vectors", "pairs")
TRAINED = ("arbitrary", "bank", "pairs")  # vectors are a bank's task with less to learn


def total(task: NetworkTask) -> float:
    """The loss of a few batches that are not trained on."""
    with torch.no_grad():
        found = [task(task.batch(step), step) for step in range(1000, 1006)]
    return sum(
        task.balance[name] * float(loss) for losses in found for name, loss in losses.items()
    ) / len(found)


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, through dicts and lists."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


# ------------------------------------------------------------------------------------ the criterion


def second(x: Tensor) -> Tensor:
    """Raw second moments of features `(C, H, W)`, in float64 and by the definition."""
    x = x.double().flatten(1)
    return torch.einsum("ik,jk->ij", x, x) / x.shape[1]


def mean_of(x: Tensor) -> Tensor:
    return x.double().mean((1, 2))


def test_the_criterion_is_its_definition(
    tiny: Encoder, photos: list[Tensor], styles: dict[str, Tensor]
) -> None:
    criterion = Criterion(tiny)
    contents, pictures = (middles(photos[i : i + 3], 64) for i in (0, 2))
    paintings = middles(list(styles.values()), 64)
    paintings[0] = 0.5 + 0.02 * (paintings[0] - 0.5)  # pale: the photo cannot keep its contrast
    ours, photo, style = (
        tiny.features(x, criterion.layers) for x in (pictures, contents, paintings)
    )
    found = criterion(pictures, criterion.content(contents), criterion.style(paintings))
    contrasts = []
    for i in range(3):
        distances = [
            (second(ours[layer][i]) - second(style[layer][i])).norm()
            / second(style[layer][i]).norm()
            for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
        ]
        mean = (sum(distances[:4]) + 0.2 * distances[4]) / 4.2
        assert float(found[0][i]) == pytest.approx(float(mean), rel=1e-4)
        f, p, s = (x["relu4_1"][i].double() for x in (ours, photo, style))
        contrast = (s.square().mean() / p.square().mean()).sqrt()
        kept = min(1.0, float(contrast)) * p
        distance = (f - kept).norm() / kept.norm() / max(1.0, float(contrast))
        assert float(found[1][i]) == pytest.approx(float(distance), rel=1e-4)
        contrasts.append(float(contrast))
    assert min(contrasts) < 1 < max(contrasts)


def test_the_criterion_is_nothing_for_the_photo_in_its_own_style(
    tiny: Encoder, photos: list[Tensor]
) -> None:
    criterion, pictures = Criterion(tiny), middles(photos[:2], 64).requires_grad_()
    of_style, of_content = criterion(
        pictures, criterion.content(pictures), criterion.style(pictures)
    )
    assert max(of_style.max(), of_content.max()) < 1e-4
    (slope,) = torch.autograd.grad((of_style + of_content).sum(), pictures)
    assert slope.isfinite().all()


class _Means(StyleLoss):
    """The simplest there is: the channels' means."""

    name = "means"

    def target(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        assert mask is None
        return features.mean((2, 3))

    def mix(self, targets: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        return sum(w * each for each, w in zip(targets, weights, strict=True)) / sum(weights)

    def distance(self, features: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return (self.target(features, mask) - target).square().sum() / target.square().sum()


def test_another_style_loss_stands_for_gram_matrices(
    compact: Encoder, photos: list[Tensor], styles: dict[str, Tensor]
) -> None:
    """Against the loss itself, layer by layer; and a step down its slope lowers it."""
    criterion, loss = Criterion(compact, coarse=0.5, loss=_Means()), _Means()
    pictures, paintings = middles(photos[:2], 64), middles(list(styles.values()), 64)
    content, style = criterion.content(pictures), criterion.style(paintings)
    pictures.requires_grad_()
    found, _ = criterion(pictures, content, style.rows(torch.tensor([2, 0])))
    for i, j in ((0, 2), (1, 0)):
        total, weights = 0.0, 0.0
        for by, layers in ((1, criterion.layers), (2, criterion.layers[:3])):
            ours, theirs = (
                compact.features(F.avg_pool2d(x.detach(), by), layers)
                for x in (pictures[i : i + 1], paintings[j : j + 1])
            )
            for layer in layers:
                weight = 0.5 if by == 2 else 0.2 if layer == "relu5_1" else 1.0
                apart = loss.distance(ours[layer], loss.target(theirs[layer]))
                total, weights = total + weight * float(apart) ** 0.5, weights + weight
        assert found[i].item() == pytest.approx(total / weights, rel=1e-3)
    (slope,) = torch.autograd.grad(found.sum(), pictures)
    nearer = pictures.detach() - 0.1 * slope / slope.norm()
    lower, _ = criterion(nearer, content, style.rows(torch.tensor([2, 0])))
    assert (lower < found).all()
    own, _ = criterion(paintings, criterion.content(paintings), style)
    assert own.max() < 1e-4


def test_styles_of_another_loss_are_mixed_and_joined_as_statistics_are(
    compact: Encoder, styles: dict[str, Tensor]
) -> None:
    """The targets of `_Means` are the means that every style has."""
    criterion, paintings = Criterion(compact, loss=_Means()), middles(list(styles.values()), 64)
    style = criterion.style(paintings)
    joined = Style.cat([criterion.style(paintings[:1]), criterion.style(paintings[1:])])
    for each in (
        style,
        joined,
        style.mixed(torch.tensor([1.0, 0.0, 0.3])),
        style.rows(torch.tensor([2, 2])),
    ):
        for layer, means in each.means.items():
            torch.testing.assert_close(torch.cat(each.targets[layer]), means)


@pytest.mark.parametrize("name", ["histogram", "nnst", "swd"])
def test_a_stochastic_style_loss_is_refused_in_trainings(name: str) -> None:
    with pytest.raises(OptionError, match=f"^`style_loss` .* take gram or w2, not '{name}'$"):
        ArbitraryConfig(style_loss=name)


def test_a_bank_is_trained_by_another_style_loss(
    tiny: Encoder, photos: list[Tensor], styles: dict[str, Tensor], start: Painter
) -> None:
    config = BankConfig(**COMMON, style_size=96, style_loss="w2", coarse=0)
    task = BankTask(tiny, photos, {"waves": styles["waves"]}, config, start=start)
    losses = task(task.batch(0), 0)
    sum(losses.values()).backward()
    assert task.vectors.grad is not None
    assert task.vectors.grad.isfinite().all()
    assert task.vectors.grad.abs().sum() > 0
    assert task.painter().recipe["style_loss"] == "w2"


@torch.no_grad()
def test_smaller_copies_and_shifted_products_count_by_their_weights(
    tiny: Encoder, photos: list[Tensor]
) -> None:
    """Against features of the copies, and products written out position by position, in float64."""
    criterion = Criterion(tiny, deep=0.0, coarse=0.5, shifted=0.25)
    pictures, paintings = (middles(photos[i : i + 1], 128) for i in (0, 1))
    found, _ = criterion(pictures, criterion.content(pictures), criterion.style(paintings))
    total, weights = 0.0, 0.0
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1"):
        ours, theirs = (second(tiny.features(x, [layer])[layer][0]) for x in (pictures, paintings))
        total, weights = total + float((ours - theirs).norm() / theirs.norm()), weights + 1
    for by, layers in ((2, ("relu1_1", "relu2_1", "relu3_1")), (4, ("relu1_1", "relu2_1"))):
        for layer in layers:
            small = [
                x.unflatten(3, (-1, by)).unflatten(2, (-1, by)).mean((3, 5))
                for x in (pictures, paintings)
            ]
            ours, theirs = (second(tiny.features(x, [layer])[layer][0]) for x in small)
            total, weights = (
                total + 0.5 * float((ours - theirs).norm() / theirs.norm()),
                weights + 0.5,
            )
    for layer, by in (("relu1_1", 3), ("relu2_1", 2)):
        width = 128 if layer == "relu1_1" else 64
        for shift in (by * width, by):
            lines = [
                tiny.features(x, [layer])[layer][0].double().flatten(1)
                for x in (pictures, paintings)
            ]
            ours, theirs = (x[:, :-shift] @ x[:, shift:].T / (x.shape[1] - shift) for x in lines)
            total, weights = (
                total + 0.25 * float((ours - theirs).norm() / theirs.norm()),
                weights + 0.25,
            )
    assert float(found) == pytest.approx(total / weights, rel=1e-4)


def test_layers_are_read_by_the_first_critic_that_has_them(
    tiny: Encoder, photos: list[Tensor]
) -> None:
    low = Encoder(
        Architecture.vgg(((64, 8), (128,)), mean=(0.5,) * 3, std=(0.25,) * 3), name="low"
    ).freeze()
    pictures = middles(photos[:1], 64)
    found = Criterion(low, tiny).features(pictures, ("relu1_1", "relu4_1"))
    torch.testing.assert_close(found["relu1_1"], low.features(pictures, ["relu1_1"])["relu1_1"])
    torch.testing.assert_close(found["relu4_1"], tiny.features(pictures, ["relu4_1"])["relu4_1"])
    with pytest.raises(ImpastoError, match="relu3_1"):
        Criterion(low)


def test_a_flat_picture_is_plain_or_a_ramp_but_for_a_piece_of_the_photo(
    photos: list[Tensor],
) -> None:
    random, photo = randomness(3), middles(photos[:1], 64)[0]
    kinds = set()
    for _ in range(40):
        image = flat(photo, random)
        assert image.shape == photo.shape
        assert 0 <= image.min() <= image.max() <= 1
        bent = (
            torch.diff(image, n=2, dim=2).abs().amax(0) > 0.08
        )  # neither plain nor a ramp, but for the fine noise
        kinds.add(bool(bent.any()))
        assert bent.float().mean() < 0.5
    assert kinds == {False, True}


def test_a_leg_goes_on_from_the_weights_of_another(make: Make, tmp_path: Path) -> None:
    first = make("arbitrary", steps=1, crop=32)
    list(train(first, checkpoint=tmp_path / "c", device="cpu"))
    second_leg = ArbitraryTask(
        first.reader.critics[0],
        first._photos + first._photos,
        first._styles + first._styles,
        ArbitraryConfig(**COMMON | {"steps": 1, "crop": 32}),
        start=first.painter(),
    )
    second_leg.start()
    for (name, mine), theirs in zip(
        first.state_dict().items(), second_leg.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, msg=name)
    assert second_leg.recipe["start"] == first.painter().bank.network


def test_the_criterion_judges_each_picture_alone(tiny: Encoder, photos: list[Tensor]) -> None:
    criterion = Criterion(tiny)
    pictures, contents, paintings = (middles(photos[i : i + 2], 64) for i in (0, 1, 2))
    both = criterion(pictures, criterion.content(contents), criterion.style(paintings))
    for i in (slice(0, 1), slice(1, 2)):
        alone = criterion(
            pictures[i], criterion.content(contents[i]), criterion.style(paintings[i])
        )
        torch.testing.assert_close(
            torch.stack(alone), torch.stack(both)[:, i], rtol=1e-4, atol=1e-6
        )


def style_of(features: list[Tensor]) -> Style:
    return Style(
        {"relu4_1": torch.stack([mean_of(x) for x in features])},
        {"relu4_1": torch.stack([second(x) for x in features])},
    )


def test_styles_mix_as_pictures_hung_side_by_side() -> None:
    random = torch.Generator().manual_seed(0)
    maps = [torch.randn(4, 6, 5, generator=random, dtype=torch.float64) for _ in range(3)]
    style = style_of(maps)
    assert same(vars(style.mixed(torch.ones(3))), vars(style))
    for copies in (1, 2, 7):
        walls = [torch.cat([maps[i]] * copies + [maps[i - 1]], dim=2) for i in range(3)]
        weight = torch.tensor(copies / (copies + 1), dtype=torch.float64)
        mixed, wanted = style.mixed(weight.expand(3)), style_of(walls)
        torch.testing.assert_close(mixed.means, wanted.means)
        torch.testing.assert_close(mixed.grams, wanted.grams)
        torch.testing.assert_close(
            mixed.seconds["relu4_1"], torch.stack([x.square().mean((1, 2)) for x in walls])
        )


def test_rows_of_styles_come_apart_and_together() -> None:
    maps = [torch.full((2, 3, 3), float(i)) for i in range(3)]
    style = style_of(maps)
    assert same(vars(style.rows(torch.tensor([2, 0]))), vars(style_of([maps[2], maps[0]])))
    assert same(vars(Style.cat([style.rows(torch.tensor([i])) for i in range(3)])), vars(style))


# ------------------------------------------------------------------------------------ pictures


def test_middles_and_scaled_pictures_are_the_picture() -> None:
    ramp = torch.arange(90, dtype=torch.uint8).expand(3, 40, 90).contiguous()
    (middle,) = middles([ramp], 40)
    torch.testing.assert_close(middle * 255, ramp[:, :, 25:65].float())
    whole = scaled(ramp, 45)
    assert whole.shape == (1, 3, 20, 45)
    inside = whole[0, 0, 0, 3:-3] * 255
    torch.testing.assert_close(inside, 2 * torch.arange(3, 42) + 0.5, rtol=0, atol=1e-3)


def test_a_crop_can_be_told_how_much_to_show() -> None:
    ramp = torch.arange(250, dtype=torch.uint8).expand(3, 220, 250).contiguous()
    for seed in range(20):
        image = crop([ramp], randomness(seed), 32, 200)
        shown = float((image[0, 0, 1] - image[0, 0, -2]).abs()) * 255 * 32 / 29
        assert 197 < shown < 223


def test_recolored_pictures_stay_pictures_and_repeat(photos: list[Tensor]) -> None:
    image = middles(photos[:1], 32)[0]
    seen = [recolored(image, randomness(seed)) for seed in range(40)]
    for seed, result in enumerate(seen):
        assert result.shape == image.shape
        assert 0 <= result.min() <= result.max() <= 1
        mirrored = recolored(image.flip(2), randomness(seed))
        torch.testing.assert_close(mirrored.flip(2), result, rtol=0, atol=1e-5)
    assert (
        8
        < sum(
            bool(
                torch.corrcoef(torch.stack([x.mean(0).flatten(), image.mean(0).flatten()]))[0, 1]
                < 0
            )
            for x in seen
        )
        < 20
    )


def test_pairs_are_read_together_and_what_is_none_is_told(tmp_path: Path) -> None:
    for part in ("photos", "painted"):
        (tmp_path / part / "deep").mkdir(parents=True)

    def put(place: str, image: Image.Image) -> None:
        image.save(tmp_path / place, **({"quality": 98} if place.endswith("jpg") else {}))

    photo = sample("coffee")
    large = photo.resize((1153, 865))
    put("photos/deep/large.jpg", large)  # would be decoded at a half of its size, if it were alone
    put("painted/deep/large.png", Image.fromarray(255 - np.array(large)))
    for name in ("photos/damaged.png", "photos/twice.png", "photos/twice.jpg", "painted/twice.png"):
        put(name, photo.resize((60, 50)))
    (tmp_path / "painted" / "damaged.png").write_bytes(b"\x89PNG and no more")
    put("photos/alone.png", photo.resize((60, 50)))
    put("painted/nobody.png", photo.resize((60, 50)))
    put("photos/other.png", photo.resize((60, 50)))
    put("painted/other.png", photo.resize((50, 60)))
    readings = {reading.name: reading for reading in read_pairs(tmp_path)}
    assert list(readings) == ["alone", "damaged", "deep/large", "nobody", "other", "twice"]
    assert [(reading.done, reading.of) for reading in readings.values()] == [
        (i, 6) for i in range(1, 7)
    ]
    assert {name for name, reading in readings.items() if reading.pair} == {"deep/large"}
    assert "damaged.png" in readings["damaged"].problem
    assert "60 x 50 pixels and the painted picture 50 x 60" in readings["other"].problem
    for name, counts in {
        "alone": "1 in photos and 0",
        "nobody": "0 in photos and 1",
        "twice": "2 in photos and 1",
    }.items():
        assert counts in readings[name].problem
    assert readings["deep/large"].pair is not None
    first, second = readings["deep/large"].pair
    assert first.shape == second.shape == (3, 288, 384)
    assert (first.int() + second.int() - 255).abs().float().mean() < 1.5


def test_folders_without_a_pair_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="photos is not a folder"):
        list(read_pairs(tmp_path))
    for part in ("photos", "painted"):
        (tmp_path / part).mkdir()
        Image.new("RGB", (40, 40)).save(tmp_path / part / f"{part}.png")
    with pytest.raises(ImpastoError, match="there is no pair"):
        list(read_pairs(tmp_path))


# ------------------------------------------------------------------------------------ all tasks


@pytest.mark.parametrize("kind", TRAINED)
def test_training_lowers_the_loss(kind: str, make: Make, tmp_path: Path) -> None:
    torch.manual_seed(0)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    steps = 40 if kind == "arbitrary" else 20
    task = make(kind, steps=steps, crop=32, learning_rate=0.01)
    records = train(task, checkpoint=tmp_path / "run.ckpt", device="cpu")
    while not (first := next(records)).validation:
        pass
    before = total(task)
    *_, last = records
    assert total(task) < 0.9 * before
    assert last.validation.keys() == first.validation.keys()
    assert sum(last.validation.values()) < sum(first.validation.values())
    assert torch.equal(torch.rand(3), drawn)  # whoever else draws numbers is not disturbed


@pytest.mark.parametrize("kind", TRAINED)
def test_a_resumed_training_ends_exactly_like_one_that_was_not(
    kind: str, make: Make, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole.ckpt", tmp_path / "broken.ckpt"
    list(train(make(kind, crop=32), checkpoint=whole, device="cpu", every=3))
    records = train(make(kind, crop=32), checkpoint=broken, device="cpu", every=3)
    while next(records).step < 3:
        pass
    records.close()  # type: ignore[attr-defined]
    *_, last = train(make(kind, crop=32), checkpoint=broken, resume=True, device="cpu", every=3)
    assert last.step == 5
    assert same(*(torch.load(path, weights_only=True) for path in (whole, broken)))


def test_a_checkpoint_of_version_0_1_is_gone_on_from(make: Make, tmp_path: Path) -> None:
    """`own` was its word for `identity`, and `transformer` for `transform_net`."""
    whole, former = tmp_path / "whole.ckpt", tmp_path / "former.ckpt"
    list(train(make("bank", crop=32), checkpoint=whole, device="cpu", every=3))
    records = train(make("bank", crop=32), checkpoint=former, device="cpu", every=3)
    for record in records:
        if record.step == 3:
            break
    records.close()
    state = torch.load(former, weights_only=True)
    recipe = json.loads(state["recipe"])
    recipe["own"], recipe["transformer"] = recipe.pop("identity"), recipe.pop("transform_net")
    state["task"] = {
        key.replace("transform_net.", "transformer."): value for key, value in state["task"].items()
    }
    torch.save(state | {"recipe": json.dumps(recipe)}, former)
    *_, last = train(make("bank", crop=32), checkpoint=former, resume=True, device="cpu", every=3)
    assert last.step == last.of
    ended = [torch.load(path, weights_only=True)["task"] for path in (whole, former)]
    assert same(*ended)
    # And what differs is still refused, by its name of today.
    torch.save(state | {"recipe": json.dumps(recipe | {"own": 0.5})}, former)
    with pytest.raises(ImpastoError, match=r"identity 0\.5, not"):
        list(train(make("bank", crop=32), checkpoint=former, resume=True, device="cpu"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_depends_on_seed_and_step_alone(kind: str, make: Make) -> None:
    task, again = make(kind), make(kind)
    later = task.batch(6)
    assert torch.equal(again.batch(6), later)
    again(again.batch(0), 0)
    assert torch.equal(again.batch(6), later)
    assert not torch.equal(task.batch(4), later)
    assert not torch.equal(make(kind, seed=1).batch(6), later)
    assert 0 <= later.min() <= later.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_is_what_was_trained(
    kind: str, make: Make, start: Painter, tmp_path: Path
) -> None:
    task = make(kind, data=("/home/me/photos", "paintings"))
    if kind != "arbitrary":  # which needs a second for it
        task.start()
    with torch.no_grad():
        for name, parameter in task.named_parameters():
            if name.startswith("vector"):
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)),
                    alpha=0.1,
                )
    before = {name: value.clone() for name, value in task.state_dict().items()}
    path = tmp_path / "painter.safetensors"
    validation = task.export(path, licence="CC0-1.0")
    assert same(dict(task.state_dict()), before)
    assert validation == pytest.approx(task.validate(), rel=0.02)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    painter, ours = load_network(path, device="cpu", dtype=torch.float32), task.painter()
    assert painter.licence == "CC0-1.0"
    assert painter.encoder == "tiny"
    assert painter.recipe["data"] == ["photos", "paintings"]
    assert painter.recipe["task"] == kind.replace("vectors", "bank")
    assert painter.recipe["validation"] == pytest.approx(validation, rel=1e-3)
    assert painter.bank.network == ours.bank.network == fingerprint(task.transform_net)
    names = {"arbitrary": (), "bank": STYLES, "vectors": ("known", *STYLES), "pairs": ("negative",)}
    assert painter.bank.names == ours.bank.names == names[kind]
    assert (painter.predictor is None, painter.identity is None) == {
        "arbitrary": (False, True),
        "bank": (True, False),
        "vectors": (False, True),
        "pairs": (True, True),
    }[kind]
    for name in painter.bank.names:
        image = torch.rand(1, 3, 40, 32, generator=torch.Generator().manual_seed(2))
        pictures = [
            each.transform_net(image, each.bank.vector(name)[None]) for each in (painter, ours)
        ]
        torch.testing.assert_close(*pictures, rtol=0, atol=0.01)


def test_a_painter_is_a_copy(make: Make) -> None:
    task = make("bank")
    painter = task.painter()
    kept = painter.transform_net.entry.weight.clone()
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(1)
    assert torch.equal(painter.transform_net.entry.weight, kept)
    assert not painter.bank.vector("waves").any()


@pytest.mark.parametrize(
    "wrong",
    [
        (PaintingConfig, {"crop": 16}),
        (PaintingConfig, {"held_out": 0}),
        (PaintingConfig, {"content_weight": 0.0}),
        (PaintingConfig, {"style_weight": float("nan")}),
        (PaintingConfig, {"identity": 1.5}),
        (ArbitraryConfig, {"rounds": 0}),
        (ArbitraryConfig, {"recolor": -0.1}),
        (ArbitraryConfig, {"blends": 2.0}),
        (BankConfig, {"vector_rate": 0.0}),
        (PairsConfig, {"pixels_weight": -1.0}),
        (PairsConfig, {"features_weight": 0.0}),
    ],
)
def test_configurations_that_make_no_sense_are_refused(
    wrong: tuple[Callable[..., Any], dict[str, Any]],
) -> None:
    config, options = wrong
    with pytest.raises(ImpastoError, match=next(iter(options))):
        config(**options)


# ------------------------------------------------------------------------------------ any style


def test_an_arbitrary_step_paints_each_photo_in_a_style_of_the_batch(make: Make) -> None:
    task = make("arbitrary", batch=3, rounds=3, blends=0.0, identity=0.0)
    assert isinstance(task, ArbitraryTask)
    assert torch.equal(task.batch(3), task.batch(5))
    assert not torch.equal(task.batch(2), task.batch(3))
    photos, paintings = torch.split(task.batch(3), 3)
    style = task.criterion.style(paintings)
    vectors = task.predictor(
        torch.cat(
            [
                part
                for layer in style.means
                for part in (style.means[layer], style.seconds[layer].sqrt())
            ],
            dim=1,
        )
    )
    for turn, order in enumerate([[0, 1, 2], [2, 0, 1], [1, 2, 0]]):
        pictures = task.transform_net(photos[order], vectors)
        distances = task.criterion(pictures, task.criterion.content(photos[order]), style)
        losses = task(task.batch(3 + turn), 3 + turn)
        torch.testing.assert_close(
            losses["style"], (1 + distances[0]).log().mean(), rtol=1e-4, atol=0
        )
        torch.testing.assert_close(losses["content"], distances[1].mean(), rtol=1e-4, atol=0)


def test_a_share_of_the_styles_is_the_photo_itself_or_recoloured(make: Make) -> None:
    for identity in (0.0, 1.0):
        photos, paintings = torch.split(make("arbitrary", identity=identity).batch(0), 2)
        assert torch.equal(photos, paintings) == bool(identity)
    plain, coloured = (
        make("arbitrary", identity=0.0, recolor=share).batch(0) for share in (0.0, 1.0)
    )
    assert torch.equal(plain[:3], coloured[:3]) is False
    assert torch.equal(plain[:2], coloured[:2])


def test_nothing_held_out_is_trained_on(tiny: Encoder) -> None:
    flat = [torch.full((3, 64, 64), 10 * i, dtype=torch.uint8) for i in range(20)]
    config = ArbitraryConfig(
        **COMMON | {"batch": 40, "held_out": 2, "identity": 0.0, "recolor": 0.0, "flats": 0.0}
    )
    photos, paintings = torch.split(ArbitraryTask(tiny, flat, flat, config).batch(0), 40)
    for images in (photos, paintings):
        shown = {round(float(image.mean()) * 25.5) for image in images}
        assert 12 < len(shown) <= 18
        assert shown <= set(range(20))


# ------------------------------------------------------------------------------------ banks


def test_every_style_has_its_turn_equally_often(make: Make) -> None:
    task = make("bank", identity=0.0)
    assert isinstance(task, BankTask)
    for first in (0, 3, 300):
        turns = torch.cat([task.rows(step) for step in range(first, first + 3)])
        assert turns.bincount().tolist() == [2, 2, 2]
    assert len({tuple(task.rows(step).tolist()) for step in range(30)}) > 3
    only_identity = make("bank", identity=1.0)
    assert isinstance(only_identity, BankTask)
    assert only_identity.rows(4).tolist() == [3, 3]


def test_a_bank_step_asks_for_the_style_as_seen_at_the_size_it_will_have(
    make: Make, styles: dict[str, Tensor]
) -> None:
    task = make("bank", identity=0.0)
    assert isinstance(task, BankTask)
    rows, batch, criterion = task.rows(2), task.batch(2), task.criterion
    wanted = Style.cat([criterion.style(scaled(styles[STYLES[row]], 96)) for row in rows])
    distances = criterion(
        task.transform_net(batch, task.vectors[rows]), criterion.content(batch), wanted
    )
    losses = task(batch, 2)
    torch.testing.assert_close(losses["style"], (1 + distances[0]).log().mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(losses["content"], distances[1].mean(), rtol=1e-4, atol=0)


def test_the_last_row_is_asked_for_the_photo(make: Make) -> None:
    task = make("bank", identity=1.0)
    assert isinstance(task, BankTask)
    batch, criterion = task.batch(0), task.criterion
    pictures = task.transform_net(batch, task.vectors[-1:])
    distances = criterion(pictures, criterion.content(batch), criterion.style(batch))
    losses = task(batch, 0)
    torch.testing.assert_close(losses["style"], (1 + distances[0]).log().mean(), rtol=1e-4, atol=0)
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert task.vectors.grad is not None
    assert not task.vectors.grad[:-1].any()
    assert task.vectors.grad[-1].any()


def test_new_vectors_leave_the_network_and_its_styles_alone(
    make: Make, start: Painter, tmp_path: Path
) -> None:
    task = make("vectors", vector_rate=0.5)
    assert isinstance(task, BankTask)
    before = {name: value.clone() for name, value in start.transform_net.state_dict().items()}
    list(train(task, checkpoint=tmp_path / "run.ckpt", device="cpu"))
    assert same(dict(task.transform_net.state_dict()), before)
    assert same(dict(start.transform_net.state_dict()), before)
    assert task.bank().names == STYLES
    assert task.bank().network == start.bank.network
    assert len(task.vectors) == len(STYLES)  # the predictor can tell what gives a photo back
    painter = task.painter()
    assert painter.transform_net is start.transform_net
    assert painter.bank.vectors["known"] is start.bank.vectors["known"]
    assert painter.bank.notes["known"] == "a note"


def test_rows_begin_where_the_predictor_says(
    tiny: Encoder, photos: list[Tensor], styles: dict[str, Tensor], start: Painter
) -> None:
    assert start.predictor is not None
    task = BankTask(tiny, photos, styles, BankConfig(**COMMON, style_size=96), start=start)
    task.start()
    assert same(dict(task.transform_net.state_dict()), dict(start.transform_net.state_dict()))
    for name, row in zip(STYLES, task.vectors, strict=False):
        parts = []
        features = tiny.features(scaled(styles[name], 96), task.criterion.layers)
        for layer in task.criterion.layers:
            parts.append(mean_of(features[layer][0]))
            parts.append(features[layer][0].double().square().mean((1, 2)).sqrt())
        torch.testing.assert_close(
            row, start.predictor(torch.cat(parts)[None].float())[0], rtol=1e-3, atol=1e-5
        )
    assert task.vectors[-1].any()
    again = BankTask(
        tiny,
        photos,
        styles,
        BankConfig(**COMMON, style_size=96),
        start=replace(start, identity=torch.ones_like(row)),
    )
    again.start()
    assert torch.equal(again.vectors[-1], torch.ones_like(row))
    assert task.recipe["start"] == start.bank.network


def test_a_network_that_cannot_give_a_photo_back_learns_that_too(
    tiny: Encoder, photos: list[Tensor], styles: dict[str, Tensor], start: Painter
) -> None:
    config = BankConfig(**COMMON, style_size=96, vectors_only=True)
    bare = replace(start, predictor=None)
    task = BankTask(tiny, photos, styles, config, start=bare)
    task.start()
    assert not task.vectors.any()
    identity = task.painter().identity
    assert identity is not None
    assert torch.equal(identity, task.vectors[-1])
    whole = BankTask(tiny, photos, styles, config, start=replace(bare, identity=identity))
    assert len(whole.vectors) == len(STYLES)
    assert whole.painter().identity is identity


def test_a_bank_is_judged_style_by_style(make: Make) -> None:
    task = make("bank")
    assert isinstance(task, BankTask)
    with torch.no_grad():
        task.vectors[1] = 3.0
    figures = task.validate()
    assert figures["held style"] < figures["worst style"]
    assert figures["held content"] < figures["worst content"]


# ------------------------------------------------------------------------------------ pairs, sheets, refusals


def test_a_pairs_step_is_its_definition(make: Make, tiny: Encoder) -> None:
    task = make("pairs")
    assert isinstance(task, PairsTask)
    batch = task.batch(1)
    photos, painted = batch[:, :3], batch[:, 3:]
    torch.testing.assert_close(painted, 1 - photos.flip(1))  # cut out of both alike
    with torch.no_grad():
        pictures, losses = task.transform_net(photos, task.vector), task(batch, 1)
    ours, theirs = (tiny.features(x, ("relu2_1", "relu3_1")) for x in (pictures, painted))
    distances = [
        float(
            (ours[layer][i] - theirs[layer][i]).double().norm() / theirs[layer][i].double().norm()
        )
        for layer in ("relu2_1", "relu3_1")
        for i in range(2)
    ]
    assert float(losses["features"]) == pytest.approx(sum(distances) / 4, rel=1e-4)
    assert float(losses["pixels"]) == pytest.approx(
        float((pictures - painted).double().abs().mean()), rel=1e-4
    )


def test_pairs_can_go_on_from_a_network(
    tiny: Encoder, photos: list[Tensor], start: Painter
) -> None:
    task = PairsTask(
        tiny, [(photo, photo) for photo in photos], "same", PairsConfig(**COMMON), start=start
    )
    task.start()
    assert same(dict(task.transform_net.state_dict()), dict(start.transform_net.state_dict()))
    assert task.vector.any()
    assert task.recipe["start"] == start.bank.network
    assert task.recipe["styles"] == ["same"]


@pytest.mark.parametrize(
    ("kind", "rows", "columns"), [("arbitrary", 2, 2), ("bank", 4, 2), ("pairs", 3, 1)]
)
def test_a_sheet_shows_what_is_painted(kind: str, rows: int, columns: int, make: Make) -> None:
    task = make(kind)
    shown = task.samples(0)
    assert shown is not None
    assert shown.shape == (3, rows * 64, columns * 64)
    last = shown[None, :, -64:, -64:]
    photo = shown[None, :, :64, -64:]
    with torch.no_grad():
        if isinstance(task, PairsTask):
            torch.testing.assert_close(shown[:, 64:128], 1 - shown[:, :64].flip(0))
            vector = task.vector
        elif isinstance(task, BankTask):
            vector = task.vectors[2:3]
        else:
            assert isinstance(task, ArbitraryTask)
            style = task.criterion.style(shown[None, :, 64:, :64])
            vector = task.predictor(
                torch.cat(
                    [
                        part
                        for layer in style.means
                        for part in (style.means[layer], style.seconds[layer].sqrt())
                    ],
                    dim=1,
                )
            )
        torch.testing.assert_close(task.transform_net(photo, vector), last, rtol=0, atol=1e-4)
    assert same(task.samples(7), shown)


def test_what_cannot_be_trained_is_refused(
    tiny: Encoder, photos: list[Tensor], styles: dict[str, Tensor], start: Painter
) -> None:
    bank, pairs = BankConfig(**COMMON, style_size=96), PairsConfig(**COMMON)
    with pytest.raises(ImpastoError, match="give more data"):
        ArbitraryTask(tiny, photos[:1], list(styles.values()))
    with pytest.raises(ImpastoError, match="give more data"):
        ArbitraryTask(tiny, photos, photos[:1])
    with pytest.raises(ImpastoError, match="needs a style"):
        BankTask(tiny, photos, {}, bank)
    with pytest.raises(ImpastoError, match="cannot be called 'a/b'"):
        BankTask(tiny, photos, {"a/b": photos[0]}, bank)
    with pytest.raises(ImpastoError, match="vectors_only needs a network"):
        BankTask(tiny, photos, styles, bank.but(vectors_only=True))
    with pytest.raises(ImpastoError, match="with the encoder vgg19, not tiny"):
        BankTask(tiny, photos, styles, bank, start=replace(start, encoder="vgg19"))
    with pytest.raises(ImpastoError, match="leave transform_net out"):
        BankTask(
            tiny,
            photos,
            styles,
            bank.but(transform_net=TransformNetConfig((4, 4, 4))),
            start=start,
        )
    with pytest.raises(ImpastoError, match="pair 1 are 128 x 96 and 96 x 128 pixels"):
        PairsTask(tiny, [(photos[0], photos[1]), (photos[0], photos[0].mT)], "turned", pairs)
    with pytest.raises(ImpastoError, match="cannot be called"):
        PairsTask(tiny, [(photos[0], photos[1])] * 2, "", pairs)


def test_mixed_precision_trains_too(tiny: Encoder, make: Make, tmp_path: Path) -> None:
    task = make("bank", precision="bfloat16", steps=2)
    *_, last = train(task, checkpoint=tmp_path / "run.ckpt", device="cpu")
    assert tiny.dtype == torch.float32  # the run has its own copy
    assert {parameter.dtype for parameter in task.parameters()} == {torch.float32}
    assert all(np.isfinite(list(last.losses.values())))


def test_a_recipe_tells_no_folders_above_and_is_json(make: Make, tmp_path: Path) -> None:
    for kind in KINDS:
        text = json.dumps(make(kind, data=("/home/someone/secret/photos",)).recipe)
        assert "secret" not in text
        assert '"tiny"' in text
