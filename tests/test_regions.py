"""Regions and strength from place to place: masks, what they do, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

import impasto
from impasto.apps.cli.main import app
from impasto.apps.cli.recipe import command
from impasto.errors import InputError, OptionError
from impasto.methods.regions import read_ground
from impasto.pictures.image import open_picture
from impasto.pictures.masks import MASKS, feathered, open_mask
from impasto.pictures.samples import sample

OPTIONS: dict[str, Any] = {"method": "fast", "size": 96, "device": "cpu"}


@pytest.fixture(scope="module")
def networks() -> impasto.Networks:
    return impasto.Networks()


def half(height: int = 64, width: int = 96) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., : width // 2] = 1
    return mask


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).int()


def test_a_mask_of_ones_is_no_mask(networks: impasto.Networks) -> None:
    plain = impasto.stylize("cat", "starry-night", networks=networks, **OPTIONS)
    ones = torch.ones(1, 1, 64, 96)
    for given in ({"regions": [ones]}, {"strength_mask": ones}):
        masked = impasto.stylize("cat", "starry-night", networks=networks, **given, **OPTIONS)
        assert masked.tobytes() == plain.tobytes()


def test_outside_all_regions_the_photo_stays(networks: impasto.Networks) -> None:
    job = impasto.plan("cat", "starry-night", regions=[half()], networks=networks, **OPTIONS)
    found = pixels(job.finish(list(job.steps())[-1]))
    photo = (job.content.image[0].permute(1, 2, 0) * 255).round().int()
    assert int((found - photo)[:, 52:].abs().max()) <= 1
    assert float((found - photo)[:, :44].float().abs().mean()) > 10
    assert job.recipe["regions"] == [{"in memory": "Tensor"}]


@pytest.mark.parametrize("name", ["optimize", "arbitrary"])
def test_every_method_honours_regions(name: str, networks: impasto.Networks) -> None:
    options = {"method": name, "size": 64, "device": "cpu"}
    if name == "optimize":
        options |= {"steps": 2, "init": "content"}
    masks = [half(), 1 - half()]
    job = impasto.plan("cat", ["waves", "mosaic"], regions=masks, networks=networks, **options)
    steps = list(job.steps())
    pair = pixels(job.finish(steps[-1])).float()
    alone = [
        pixels(impasto.stylize("cat", style, networks=networks, **options)).float()
        for style in ("waves", "mosaic")
    ]
    left, right = slice(0, 24), slice(40, 64)
    assert (pair - alone[0])[:, left].abs().mean() < (pair - alone[1])[:, left].abs().mean()
    assert (pair - alone[1])[:, right].abs().mean() < (pair - alone[0])[:, right].abs().mean()
    if name == "optimize":
        assert {"style/relu1_1/1", "style/relu1_1/2"} <= steps[-1].losses.keys()


def test_strength_is_the_photo_where_it_is_none(networks: impasto.Networks) -> None:
    options = {"method": "optimize", "size": 96, "steps": 2, "init": "content", "device": "cpu"}
    job = impasto.plan("cat", "waves", strength_mask=half(), networks=networks, **options)
    found = pixels(job.finish(list(job.steps())[-1]))
    photo = (job.content.image[0].permute(1, 2, 0) * 255).round().int()
    assert int((found - photo)[:, 52:].abs().max()) <= 1
    assert float((found - photo)[:, :44].float().abs().mean()) > 1


def test_what_a_style_mask_leaves_out_says_nothing(networks: impasto.Networks) -> None:
    left = np.asarray(Image.new("RGB", (96, 96), "navy"))
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    both = Image.fromarray(np.hstack([noise, left]))
    other = Image.fromarray(np.hstack([noise, 255 - left]))
    mask = torch.zeros(1, 1, 96, 192)
    mask[..., :64] = 1
    options = {"method": "arbitrary", "size": 192, "device": "cpu", "style_masks": [mask]}
    one, two = (
        impasto.plan("cat", style, networks=networks, **options).renderer for style in (both, other)
    )
    # But for what the features at the mask's soft border see of the other side.
    assert float((one.style - two.style).abs().max()) < 0.1 * float(one.style.abs().max())


@pytest.mark.parametrize("name", MASKS)
def test_masks_that_need_no_drawing(name: str) -> None:
    photo = open_picture(sample("astronaut"), size=200).image
    mask = open_mask(name, photo)
    assert mask.shape == (1, 1, *photo.shape[-2:])
    assert 0 <= float(mask.min()) < 0.1
    assert 0.9 < float(mask.max()) <= 1
    opposite = {"luminance": "darkness", "subject": "background"}.get(name)
    if opposite:
        torch.testing.assert_close(mask + open_mask(opposite, photo), torch.ones_like(mask))


def test_a_drawn_mask_is_its_light_or_what_is_opaque(tmp_path: Path) -> None:
    photo = torch.zeros(1, 3, 64, 96)
    white = Image.fromarray((half()[0, 0] * 255).byte().numpy())
    inked = Image.new("RGBA", (96, 64), (0, 0, 0, 0))
    inked.paste((200, 0, 0, 255), (0, 0, 48, 64))
    for each in (white, inked, half(), half().numpy()[0, 0]):
        torch.testing.assert_close(open_mask(each, photo), feathered(half()), rtol=0, atol=0.01)
    assert torch.equal(feathered(torch.ones(1, 1, 300, 400)), torch.ones(1, 1, 300, 400))


def refusals(tmp_path: Path) -> list[tuple[dict[str, Any], str]]:
    black, faint = torch.zeros(1, 1, 64, 96), torch.full((1, 1, 64, 96), 0.3)
    return [
        ({"regions": [half(96, 96)]}, "another aspect than the photo"),
        ({"regions": [black]}, "is empty: white is what is meant"),
        ({"regions": [faint]}, "too faint or too thin to be seen"),
        ({"strength_mask": black}, "is empty"),
        ({"regions": [half(), half()]}, "2 `regions` for 1 styles; give a style for each region"),
        ({"regions": [half()], "blend": (1.0,)}, "`blend` has no effect with `regions`"),
        # Before the weights are counted.
        ({"regions": [half()], "blend": (1.0, 2.0)}, "`blend` has no effect with `regions`"),
        ({"regions": [tmp_path / "none.png"]}, "does not exist"),
        ({"style_masks": [None, None]}, "2 `style_masks` for 1 styles"),
    ]


@pytest.mark.parametrize("place", range(9))
def test_what_does_not_fit_is_refused_in_one_line(
    place: int, tmp_path: Path, networks: impasto.Networks
) -> None:
    given, message = refusals(tmp_path)[place]
    with pytest.raises((InputError, OptionError), match=message) as error:
        impasto.plan("cat", "starry-night", networks=networks, **given, **OPTIONS)
    assert "\n" not in str(error.value)


def test_one_region_for_each_style() -> None:
    photo = torch.rand(1, 3, 64, 96)
    ground = read_ground(photo, [half(), 1 - half()], half(), 2)
    assert ground.regions is not None
    assert ground.rest is not None
    assert ground.regions.shape == (1, 2, 64, 96)
    torch.testing.assert_close(ground.rest, 1 - feathered(half()))
    assert read_ground(photo, None, None, 3).everywhere


def test_the_command_line_takes_masks(tmp_path: Path) -> None:
    mask, out = tmp_path / "mask.png", tmp_path / "out.png"
    Image.fromarray((half()[0, 0] * 255).byte().numpy()).save(mask)
    common = ["--method", "fast", "--size", "64", "-o", str(out), "--device", "cpu"]
    run = CliRunner().invoke
    done = run(app, ["stylize", "cat", "--region", f"{mask}=starry-night", *common])
    assert (done.exit_code, out.exists()) == (0, True), done.output
    recipe = impasto.read_recipe(out)
    assert recipe is not None
    assert [each["name"] for each in recipe["regions"]] == ["mask.png"]
    again = command(recipe, "again.png")
    assert again is not None
    assert "--region mask.png=starry-night" in again
    done = run(app, ["stylize", "cat", "starry-night", "--strength", str(mask), *common])
    assert done.exit_code == 0, done.output
    done = run(
        app, ["stylize", "cat", "starry-night", "--strength", "0.5", "--region", str(mask), *common]
    )
    assert done.exit_code == 0, done.output
    for wrong, message in (
        ([str(mask)], "has no style: write"),
        (["=starry-night"], "--region takes MASK=STYLE"),
        ([f"{mask}=a=b=c"], "--region takes MASK=STYLE"),
    ):
        done = run(
            app, ["stylize", "cat", *(x for each in wrong for x in ("--region", each)), *common]
        )
        assert done.exit_code == 2
        assert message in done.output
    done = run(app, ["stylize", "cat", "starry-night", "-o", str(out), "--size", "2y"])
    assert done.exit_code == 2
    assert "--size takes pixels" in done.output
