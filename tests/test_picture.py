"""From what a person has to a picture they keep."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.errors import ImpastoError
from impasto.pictures.color import luminance_transfer
from impasto.pictures.image import open_picture, to_pil
from impasto.pictures.samples import sample
from impasto.pipeline import plan, stylize
from impasto.settings import Settings
from plates import draw

QUICK = {"size": 48, "steps": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return sample("cat").resize((60, 48))


@pytest.fixture(scope="module")
def painting() -> Image.Image:
    return Image.fromarray((draw("woodcut", 64) * 255).round().astype(np.uint8))


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.mode == b.mode and a.size == b.size and a.tobytes() == b.tobytes()


def test_paths_pictures_arrays_and_tensors_give_the_same_picture(
    photo: Image.Image, painting: Image.Image, tmp_path: Path
) -> None:
    photo.save(tmp_path / "photo.png")
    painting.save(tmp_path / "painting.png")
    expected = stylize(photo, painting, **QUICK)
    assert same(stylize(tmp_path / "photo.png", str(tmp_path / "painting.png"), **QUICK), expected)
    assert same(stylize(np.asarray(photo), [painting], **QUICK), expected)
    assert same(stylize(open_picture(photo).image, open_picture(painting).image, **QUICK), expected)


def test_the_public_name_is_this_function() -> None:
    assert impasto.stylize is stylize
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = impasto.no_such_name


def test_the_size_is_the_long_side_of_the_output(photo: Image.Image, painting: Image.Image) -> None:
    assert stylize(photo, painting, **QUICK).size == (48, 38)
    assert stylize(photo, painting, **(QUICK | {"size": 90, "steps": 1})).size == (90, 72)


def test_transparency_is_kept(photo: Image.Image, painting: Image.Image) -> None:
    see_through = photo.convert("RGBA")
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 60).astype(np.uint8), (48, 1)))
    see_through.putalpha(alpha)
    made = stylize(see_through, painting, **(QUICK | {"size": 60}))
    assert made.mode == "RGBA"
    assert made.getchannel("A").tobytes() == alpha.tobytes()


def test_kept_luminance_colours_are_the_photos(photo: Image.Image, painting: Image.Image) -> None:
    free = stylize(photo, painting, **QUICK)
    kept = stylize(photo, painting, keep_color="luminance", **QUICK)
    # The oracle starts from 8 bits, so it may be a level off.
    small = open_picture(photo, size=48).image
    oracle = np.asarray(to_pil(luminance_transfer(open_picture(free).image, small)), dtype=int)
    assert abs(np.asarray(kept, dtype=int) - oracle).max() <= 3
    assert not same(free, kept)


def test_kept_statistics_bring_the_photos_colours(photo: Image.Image) -> None:
    settings = QUICK | {"size": 60, "steps": 40, "content_weight": 0.0}

    def distance(picture: Image.Image) -> float:
        means = [np.asarray(each, dtype=float).mean((0, 1)) for each in (picture, photo)]
        return float(abs(means[0] - means[1]).max())

    assert distance(stylize(photo, "waves", keep_color="statistics", **settings)) < 0.5 * distance(
        stylize(photo, "waves", **settings)
    )


def test_the_recipe_names_everything_and_no_folder(
    photo: Image.Image, painting: Image.Image, tmp_path: Path
) -> None:
    painting.save(tmp_path / "painting.png")
    config = Settings(steps=7, style_weight=1.5)
    job = plan(
        photo,
        [tmp_path / "painting.png", "waves"],
        blend=[3, 1],
        size=48,
        device="cpu",
        settings=config,
    )
    recipe = json.loads(json.dumps(job.recipe))
    digest = hashlib.sha256((tmp_path / "painting.png").read_bytes()).hexdigest()
    assert recipe["styles"] == [{"name": "painting.png", "sha256": digest}, {"name": "waves"}]
    assert recipe["blend"] == [0.75, 0.25]
    assert (recipe["steps"], recipe["style_weight"], recipe["encoder"]) == (
        7,
        1.5,
        {"name": "compact"},
    )
    assert str(tmp_path) not in json.dumps(recipe)


def test_a_preview_of_any_step_finishes_at_full_size(
    photo: Image.Image, painting: Image.Image
) -> None:
    job = plan(
        photo.resize((256, 200)),
        [painting],
        size=256,
        device="cpu",
        settings=Settings(steps=3, init="content"),
    )
    first = next(job.steps())
    assert first.image.shape[-1] < 256
    assert job.finish(first).size == (256, 200)


def test_notes_of_the_pictures_reach_the_user(
    painting: Image.Image, photo: Image.Image, tmp_path: Path
) -> None:
    photo.convert("P").save(
        tmp_path / "moving.gif", save_all=True, append_images=[painting.resize(photo.size)]
    )
    job = plan(tmp_path / "moving.gif", [painting], size=48, device="cpu")
    assert any("frame" in note for note in job.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"style": []}, "at least one style"),
        ({"blend": [1.0, 2.0]}, "`blend`"),
        ({"blend": [0.0]}, "weights"),
        ({"size": 31}, "size"),
        ({"size": 99999}, "size"),
        ({"keep_color": "some"}, "keep_color"),
        ({"style": "no-such-plate"}, "night-swirl"),
        ({"style": "nowhere/painting.png"}, "painting.png"),
        ({"start": "cat", "init": "noise"}, "not both"),
        ({"pooling": "min"}, "pooling"),
        ({"encoder": "resnet"}, "compact"),
        ({"device": "abacus"}, "`device=cpu`"),
        ({"preset": "baroque"}, "gatys2015"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    photo: Image.Image, change: dict[str, object], said: str
) -> None:
    with pytest.raises(ImpastoError, match=said) as error:
        stylize(photo, **({"style": "waves"} | QUICK | change))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_an_unknown_option_is_a_type_error(photo: Image.Image) -> None:
    with pytest.raises(TypeError, match="styl_weight"):
        stylize(photo, "waves", styl_weight=2.0)


def test_a_photo_too_thin_to_encode_is_refused_before_any_work() -> None:
    with pytest.raises(ImpastoError, match="32 px"):
        stylize(torch.rand(1, 3, 20, 400), "waves", **QUICK | {"size": 400})
