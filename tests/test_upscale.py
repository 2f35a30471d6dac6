"""Pictures enlarged: laws of the network, tiles that are the whole, files, the command, and the
degradations it is trained by against Pillow's.
"""

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from impasto.apps.cli import main as cli
from impasto.apps.cli.recipe import command
from impasto.errors import ImpastoError, OptionError, WeightsError
from impasto.methods import upscale as room
from impasto.methods.base import Before, Frame
from impasto.methods.enlarge import Enlarged
from impasto.methods.stylizer import Progress
from impasto.methods.upscale import FACTORS, Enlargement, Enlarger, enlarged, upscale
from impasto.networks.loaded import Networks
from impasto.networks.shapes import UpscaleNetConfig
from impasto.networks.upscale_net import TIMES, UpscaleNet, bicubic
from impasto.networks.upscaler import Upscaler, load_upscaler, save_upscaler
from impasto.networks.weights import load_encoder
from impasto.pictures.image import resize
from impasto.pictures.recipes import read_recipe
from impasto.pictures.samples import sample
from impasto.pictures.tiles import floats_of
from impasto.pipeline import plan
from impasto.training.configs import UpscaleConfig
from impasto.training.degrade import DRAWS, Degradation, Jpeg
from impasto.training.upscale import UpscaleTask

CPU: dict[str, Any] = {"device": "cpu"}


def tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks()


@pytest.fixture(scope="module")
def net() -> UpscaleNet:
    """Small, and of random weights: the laws hold for all."""
    torch.manual_seed(0)
    net = UpscaleNet(UpscaleNetConfig(channels=8, blocks=2))
    for name, parameter in net.named_parameters():
        if name.endswith("bias") or name.startswith("leave"):
            nn.init.normal_(parameter, 0, 0.3)
    return net.requires_grad_(False)


# ---------------------------------------------------------------------------------------- the network


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_plain_area_stays_plain(net: UpscaleNet, times: int, dtype: torch.dtype) -> None:
    colors = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)
    other = UpscaleNet(net.config).to(dtype)
    other.load_state_dict(net.state_dict())
    found = other.requires_grad_(False)(colors.expand(1, 3, 5, 19), times)
    assert found.shape == (1, 3, 5 * times, 19 * times)
    assert (found - colors).abs().max() < 1e-6


@pytest.mark.parametrize("times", TIMES)
def test_a_ramp_is_enlarged_as_by_bicubic(net: UpscaleNet, times: int) -> None:
    ramp = torch.linspace(0, 1, 60).expand(1, 3, 60, 60)
    ramp = 0.5 * ramp + 0.5 * ramp.mT
    inside = slice(net.reach * times, -net.reach * times)
    both = net(ramp, times), bicubic(ramp, times)
    found, expected = (each[..., inside, inside] for each in both)
    assert found.numel() > 0
    assert (found - expected).abs().max() < 1e-4
    assert (net(ramp, times) - bicubic(ramp, times)).abs().max() > 1e-3  # at the border it is none


@pytest.mark.parametrize("times", TIMES)
def test_a_shift_by_one_pixel_is_a_shift_by_times(net: UpscaleNet, times: int) -> None:
    picture = torch.rand(1, 3, 50, 53, generator=torch.Generator().manual_seed(1))
    here, there = net(picture[..., 1:, 2:], times), net(picture, times)[..., times:, 2 * times :]
    inside = slice((net.reach + 2) * times, -(net.reach + 2) * times)
    here, there = here[..., inside, inside], there[..., inside, inside]
    assert here.numel() > 0
    torch.testing.assert_close(here, there, atol=1e-5, rtol=0)


@pytest.mark.parametrize("times", TIMES)
def test_nothing_beyond_its_reach_is_seen(net: UpscaleNet, times: int) -> None:
    picture = torch.rand(1, 3, 64, 64, requires_grad=True)
    net(picture, times)[..., 32 * times, 32 * times].sum().backward()
    assert picture.grad is not None
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.min() >= 32 - net.reach
    assert rows.max() <= 32 + net.reach


def test_fused_convolutions_of_frozen_weights_are_the_plain_ones(net: UpscaleNet) -> None:
    picture = torch.rand(1, 3, 20, 21)
    learning = UpscaleNet(net.config)
    learning.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(picture, 4), learning(picture, 4).detach(), atol=1e-5, rtol=0)


def test_it_begins_as_bicubic() -> None:
    picture = torch.rand(1, 3, 12, 9)
    assert torch.equal(UpscaleNet(UpscaleNetConfig(8, 1))(picture, 2), bicubic(picture, 2))


def test_a_file_keeps_everything(net: UpscaleNet, tmp_path: Path) -> None:
    save_upscaler(tmp_path / "net.safetensors", Upscaler(net, {"steps": 3}, "MIT"))
    found = load_upscaler(tmp_path / "net.safetensors", device="cpu", dtype=torch.float32)
    assert (found.recipe, found.licence, found.net.config) == ({"steps": 3}, "MIT", net.config)
    assert found.fingerprint == Upscaler(net).fingerprint
    picture = torch.rand(1, 3, 9, 9)
    torch.testing.assert_close(found.net(picture, 2), net(picture, 2), atol=2e-3, rtol=0)


def test_the_embedded_file_is_small_and_says_what_it_is() -> None:
    path = Path(str(resources.files("impasto") / "assets" / "upscaler.safetensors"))
    assert path.stat().st_size < 3_000_000
    found = load_upscaler(device="cpu")
    assert found.licence == "MIT"
    assert found.recipe["task"] == "upscale"
    assert found.fingerprint in path.with_suffix(".md").read_text(encoding="utf-8")


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    for name in (tmp_path / "no.safetensors", "painter", tmp_path / "none.safetensors"):
        with pytest.raises(WeightsError) as raised:
            load_upscaler(name)
        assert "\n" not in str(raised.value)


# ---------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("times", FACTORS)
def test_tiles_are_the_whole(
    times: int, monkeypatch: pytest.MonkeyPatch, net: UpscaleNet, tmp_path: Path
) -> None:
    save_upscaler(tmp_path / "net.safetensors", Upscaler(net))
    photo = sample("coffee").crop((100, 100, 170, 160))
    given: dict[str, Any] = {"network": tmp_path / "net.safetensors", **CPU}
    whole = np.asarray(upscale(photo, times, **given), np.int16)
    monkeypatch.setattr(room, "_LARGEST", 24)
    tiled = np.asarray(upscale(photo, times, **given), np.int16)
    assert whole.shape == (60 * times, 70 * times, 3)
    assert np.abs(whole - tiled).max() <= 1


@pytest.mark.parametrize("times", TIMES)
def test_the_embedded_network_is_nearer_than_bicubic(times: int, networks: Networks) -> None:
    """By features of an encoder that was no critic in its training."""
    encoder = load_encoder("compact-2", **CPU, dtype=torch.float32)
    for name, corner in (("cat", (120, 60)), ("coffee", (200, 100))):
        large = sample(name).crop((*corner, corner[0] + 128, corner[1] + 128))
        small = large.resize((128 // times,) * 2, Image.Resampling.BICUBIC)
        plain = small.resize((128, 128), Image.Resampling.BICUBIC)
        found = upscale(small, times, networks=networks, **CPU)
        layers = ("relu1_1", "relu2_1", "relu3_1")
        target, ours, theirs = (
            encoder.features(tensor(each), layers) for each in (large, found, plain)
        )
        gain = [
            ((ours[x] - target[x]).norm() / (theirs[x] - target[x]).norm()).item() for x in layers
        ]
        assert max(gain) < 1, name
        # And no colour cast.
        cast = tensor(found).mean((2, 3)) - tensor(small).mean((2, 3))
        assert cast.abs().max() < 2 / 255, name


def test_transparency_exif_and_recipe_go_along(networks: Networks, tmp_path: Path) -> None:
    photo = sample("cat").crop((0, 0, 40, 30)).convert("RGBA")
    photo.paste((255, 0, 0, 0), (0, 0, 10, 30))
    exif = Image.Exif()
    exif[0x013B], exif[0x010F] = "An artist", "A camera"
    photo.save(tmp_path / "photo.png", exif=exif)
    found = upscale(tmp_path / "photo.png", 2, networks=networks, **CPU)
    assert (found.mode, found.size) == ("RGBA", (80, 60))
    alpha = np.asarray(found)[..., 3]
    assert alpha[:, :16].max() == 0
    assert alpha[:, 24:].min() == 255
    found.save(tmp_path / "large.png")
    recipe = read_recipe(tmp_path / "large.png")
    assert recipe is not None
    assert (recipe["times"], recipe["unfinished"]) == (2, False)
    assert recipe["content"] == {"kind": "file"}
    with Image.open(tmp_path / "large.png") as saved:
        assert saved.getexif().get(0x013B) == "An artist"
        assert 0x010F not in saved.getexif()


def test_hidden_colours_change_nothing(networks: Networks) -> None:
    pictures = []
    for hidden in ((255, 0, 0, 0), (0, 255, 255, 0)):
        photo = sample("cat").crop((0, 0, 40, 30)).convert("RGBA")
        photo.paste(hidden, (0, 0, 17, 30))
        pictures.append(upscale(photo, 2, networks=networks, **CPU).tobytes())
    assert pictures[0] == pictures[1]


def test_what_is_not_reached_is_bicubic(
    monkeypatch: pytest.MonkeyPatch, networks: Networks
) -> None:
    monkeypatch.setattr(room, "_LARGEST", 20)
    photo = sample("cat").crop((0, 0, 40, 40))
    work = Enlargement(photo, 2, networks=networks)
    next(iter(work.steps()))
    found = work.finish()
    plain = np.asarray(photo.resize((80, 80), Image.Resampling.BICUBIC))
    assert np.array_equal(np.asarray(found)[40:, 40:], plain[40:, 40:])
    assert not np.array_equal(np.asarray(found)[:40, :40], plain[:40, :40])
    assert found.recipe is not None
    assert found.recipe["unfinished"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"times": 3}, "2, 4 or 8"),
        ({"times": True}, "2, 4 or 8"),
        ({"style_weight": 2.0}, "`style_weight`"),
        ({"max_memory": "401MB"}, "`max_memory`"),
        ({"network": "none.safetensors"}, "no network"),
    ],
    ids=str,
)
def test_what_cannot_be_is_one_line(given: dict[str, Any], says: str, networks: Networks) -> None:
    with pytest.raises(ImpastoError, match=says) as raised:
        upscale(sample("cat"), networks=networks, **{**CPU, **given})
    assert "\n" not in str(raised.value)


# ---------------------------------------------------------------------------------------- the command


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(args)
    return int(ended.value.code or 0)


def test_the_command_writes_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sample("cat").crop((0, 0, 33, 20)).save("photo.png")
    assert run("upscale", "photo.png", "--times", "4", "--device", "cpu") == 0
    assert capsys.readouterr().out == "photo-4x.png\n"
    with Image.open("photo-4x.png") as found:
        assert found.size == (132, 80)
    assert run("info", "photo-4x.png") == 0
    assert "impasto upscale PHOTO --times 4" in capsys.readouterr().out
    before = Path("photo.png").read_bytes()
    assert run("upscale", "photo.png", "-o", "photo.png") == 2
    assert Path("photo.png").read_bytes() == before
    capsys.readouterr()
    assert run("upscale", "photo.png", "--times", "3") == 2
    assert capsys.readouterr().err == "error: --times 3 is not possible; choose 2, 4 or 8\n"


# ---------------------------------------------------------------------------------------- the training


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize("halve", [False, True])
def test_jpeg_is_as_pillows(quality: int, halve: bool) -> None:
    photo = sample("astronaut").crop((180, 0, 260, 80))
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=quality, subsampling=2 if halve else 0)
    picture, packed = tensor(photo), tensor(Image.open(buffer))
    phase = torch.zeros(1, 2, dtype=torch.long)
    found = Jpeg(80)(picture, torch.tensor([float(quality)]), torch.tensor([halve]), phase)
    lost = (packed - picture).abs().mean()
    assert (found - packed).abs().mean() < 0.25 * lost


def test_jpeg_cuts_blocks_where_its_phase_says() -> None:
    picture = torch.rand(1, 3, 48, 48)
    jpeg, quality, halve = Jpeg(48), torch.tensor([20.0]), torch.tensor([True])
    here = jpeg(picture, quality, halve, torch.tensor([[3, 5]]))
    inner = Jpeg(16)(
        picture[..., 13:29, 11:27], quality, halve, torch.zeros(1, 2, dtype=torch.long)
    )
    torch.testing.assert_close(here[..., 13:29, 11:27][..., 2:-2, 2:-2], inner[..., 2:-2, 2:-2])


@pytest.mark.parametrize("times", TIMES)
def test_degradations_keep_a_plain_area(times: int) -> None:
    draws = torch.rand(64, DRAWS, generator=torch.Generator().manual_seed(0))
    plain = torch.full((64, 3, 64, 64), 100 / 255)
    found = Degradation(64, times)(plain, draws, torch.zeros(64, 3, 64 // times, 64 // times))
    assert (found - 100 / 255).abs().max() < 1.5 / 255


def test_degradations_at_their_mildest_reduce_by_areas() -> None:
    picture = torch.rand(1, 3, 64, 64)
    draws = torch.full((1, DRAWS), 0.99)
    draws[:, 0] = 0
    found = Degradation(64, 2)(picture, draws, torch.randn(1, 3, 32, 32))
    expected = nn.functional.avg_pool2d(picture, 2)
    assert (found - expected).abs().max() < 0.6 / 255


@pytest.fixture(scope="module")
def task() -> UpscaleTask:
    config = UpscaleConfig(
        steps=6, batch=2, crop=64, held_out=1, upscale_net=UpscaleNetConfig(8, 1), warmup=0
    )
    pictures = [
        torch.from_numpy(np.asarray(sample(name).resize((160, 120))).copy()).permute(2, 0, 1)
        for name in ("cat", "coffee", "astronaut", "rocket")
    ]
    return UpscaleTask([load_encoder("compact", **CPU)], pictures, config, data=["here"])


def test_a_step_is_a_function_of_its_number(task: UpscaleTask) -> None:
    batch = task.batch(3)
    assert torch.equal(batch, task.batch(3))
    assert not torch.equal(batch, task.batch(4))
    first, again, other = (task(batch, step) for step in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in task.balance)
    assert not torch.equal(first["pixels"], other["pixels"])


def test_nothing_is_lost_where_nothing_differs(task: UpscaleTask) -> None:
    large = task.batch(0)
    losses = task.losses(dict.fromkeys(TIMES, large), large)
    assert {name: value.item() for name, value in losses.items()} == dict.fromkeys(task.balance, 0)


def test_a_lattice_costs_most_as_a_lattice(task: UpscaleTask) -> None:
    large = task.batch(0)
    lattice = torch.zeros(1, 3, 64, 64)
    lattice[..., ::2, ::2] = 0.04
    lattice -= lattice.mean()
    noise = lattice.flatten(2)[..., torch.randperm(64 * 64)].view_as(lattice)
    with_lattice, with_noise = (task.losses({2: large + each}, large) for each in (lattice, noise))
    torch.testing.assert_close(with_lattice["pixels"], with_noise["pixels"])
    assert with_lattice["lattice"] > 3 * with_noise["lattice"]
    assert with_lattice["colors"] < 1e-6


def test_it_learns_and_is_written_as_it_is(task: UpscaleTask, tmp_path: Path) -> None:
    batch, optimizers = task.batch(0), task.optimizers()
    totals = []
    for _ in range(6):
        losses = task(batch, 0)
        total = torch.stack([task.balance[name] * loss for name, loss in losses.items()]).sum()
        task.zero_grad()
        total.backward()
        for optimizer in optimizers:
            optimizer.step()
        totals.append(total.item())
    assert totals[-1] < totals[0]
    figures = task.export(tmp_path / "net.safetensors", licence="MIT")
    found = load_upscaler(tmp_path / "net.safetensors", device="cpu", dtype=torch.float32)
    assert found.recipe["task"] == "upscale"
    assert figures.keys() >= {"pixels", "bicubic pixels"}
    assert task.samples(0).shape == (3, 5 * 64, 64)


def test_a_training_needs_a_critic_with_the_layers() -> None:
    picture = torch.zeros(3, 64, 64, dtype=torch.uint8)
    with pytest.raises(ImpastoError, match="critic"):
        UpscaleTask([], [picture, picture])
    with pytest.raises(OptionError):
        UpscaleConfig(crop=65)


# ----------------------------------------------------------------------------- painted, then enlarged


class Shrinks:
    """A renderer of one step that gives its frame back, and remembers it."""

    steps, recipe = 1, {"method": "none"}

    def render(self, frame: Frame) -> Iterator[Progress]:
        self.frame = frame
        yield Progress(floats_of(frame.image), 1, 1)


@pytest.fixture(scope="module")
def enlarger(net: UpscaleNet) -> Enlarger:
    return Enlarger(Upscaler(net), 2, 4e9)


@pytest.mark.parametrize("size", [(40, 50), (41, 51)])
def test_what_is_painted_small_is_enlarged(size: tuple[int, int], enlarger: Enlarger) -> None:
    photo, inner = torch.rand(1, 3, *size), Shrinks()
    *_, last = Enlarged(inner, enlarger).render(Frame(photo))
    small = resize(photo, (-(-size[0] // 2), -(-size[1] // 2)))
    assert torch.equal(inner.frame.image, small)
    expected = enlarged(enlarger.upscaler.net, small, 2)
    assert (last.image.float() / 255 - expected).abs().max() <= 0.51 / 255
    assert last.whole(*size).shape == photo.shape
    assert (last.step, last.of) == (2, 2)


def test_a_frame_of_bytes_is_that_of_floats(
    enlarger: Enlarger, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = (torch.rand(1, 3, 60, 80) * 255).round().to(torch.uint8)
    floats, eight, held = Shrinks(), Shrinks(), Shrinks()
    for inner, image in ((floats, photo / 255), (eight, photo)):
        deque(Enlarged(inner, enlarger).render(Frame(image)), maxlen=0)
    torch.testing.assert_close(eight.frame.image, floats.frame.image, atol=1e-5, rtol=0)
    monkeypatch.setattr("impasto.methods.enlarge._FLOATS", 16)
    deque(Enlarged(held, enlarger).render(Frame(photo)), maxlen=0)
    assert held.frame.image.dtype == torch.uint8
    assert (held.frame.image / 255 - floats.frame.image).abs().max() < 0.51 / 255


@pytest.mark.parametrize("largest", [4096, 64])
def test_every_step_is_a_picture_of_the_size_asked_for(
    largest: int, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.inputs._FLOATS", largest)
    photo = sample("cat").crop((0, 0, 50, 40)).convert("RGBA")
    photo.paste((255, 0, 0, 0), (0, 0, 10, 40))
    given: dict[str, Any] = {"method": "arbitrary", "keep_color": "luminance", **CPU}
    job = plan(photo, "waves", size="2.5x", enlarge=2, networks=networks, **given)
    pictures = [job.finish(step) for step in job.steps()]
    assert [each.size for each in pictures] == [(125, 100)] * 2
    assert [(each.recipe or {}).get("unfinished", False) for each in pictures] == [True, False]
    assert np.asarray(pictures[-1])[:, :22, 3].max() == 0
    recipe = pictures[-1].recipe or {}
    assert recipe["upscaler_fingerprint"] == networks.upscaler("upscaler", "cpu").fingerprint
    said = command({**recipe, "content": {"name": "cat.png"}}, "out.png")
    assert said is not None
    assert "--size 125 --enlarge 2" in said


def test_a_still_film_stays_still_when_enlarged(enlarger: Enlarger) -> None:
    frame, inner = Frame(torch.rand(1, 3, 40, 40)), Shrinks()
    before = Before(torch.rand(1, 3, 40, 40), torch.ones(1, 1, 40, 40))
    deque(Enlarged(inner, enlarger).render(replace(frame, before=before)), maxlen=0)
    assert inner.frame.before is not None
    assert inner.frame.before.picture.shape[-2:] == inner.frame.before.trust.shape[-2:] == (20, 20)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"enlarge": 3}, "`enlarge` takes 2, 4 or 8"),
        ({"enlarge": 8, "size": 96}, "smaller `enlarge`"),
        ({"enlarge": 2, "size": 640, "max_memory": "401MB"}, "`max_memory"),
    ],
    ids=str,
)
def test_what_cannot_be_enlarged_is_one_line(
    given: dict[str, Any], says: str, networks: Networks
) -> None:
    with pytest.raises(ImpastoError, match=says) as raised:
        plan(sample("cat"), "waves", networks=networks, method="arbitrary", **{**CPU, **given})
    assert "\n" not in str(raised.value)
