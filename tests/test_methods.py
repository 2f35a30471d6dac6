"""Optimise, any style in one pass, learned styles by name: one `plan` for all, and a refusal for
what none can do.
"""

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.apps.cli.recipe import command
from impasto.errors import ImpastoError
from impasto.home import own_bank
from impasto.methods.base import METHODS, Prepared
from impasto.methods.feedforward import FeedForward
from impasto.methods.two_stage import TwoStage
from impasto.networks.checkpoint import Painter, fingerprint, load_network, save_painter
from impasto.networks.loaded import Networks
from impasto.networks.style_bank import StyleBank
from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.networks.weights import load_encoder
from impasto.pictures.color import luminance_transfer
from impasto.pictures.image import open_picture, resize, to_pil
from impasto.pictures.samples import sample
from impasto.pipeline import Job, plan, stylize
from impasto.settings import OPTIONS, Settings

PLATE = "waves"  # also the name of a style of the networks here
PAINTING = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 56, 3), np.uint8))
STYLE: dict[str, Any] = {"arbitrary": PAINTING, "fast": PLATE}
QUICK: dict[str, Any] = {"size": 48, "device": "cpu"}
NETWORKS: tuple[str, ...] = ("arbitrary", "fast")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tests' own folder for learned styles, in place of whoever runs them."""
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return sample("cat").resize((48, 40))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`reader.safetensors` reads pictures, `listener.safetensors` only knows names; both know a
    plate and a harbour.
    """
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(3)
    net = TransformNet(TransformNetConfig(channels=(8, 8, 8), blocks=(1, 1, 1)))
    predictor = StylePredictor(
        StylePredictorConfig(
            2 * (64 + 128 + 256 + 512 + 512), net.vector_size, components=8, hidden=8, embedding=4
        )
    )
    predictor.axes.normal_(std=0.02)
    torch.nn.init.normal_(predictor.speak.weight, std=0.3)
    bank = StyleBank(fingerprint(net))
    for name in (PLATE, "harbour"):
        bank = bank.learned(name, 0.3 * torch.randn(net.vector_size))
    save_painter(folder / "reader.safetensors", Painter(net, bank, predictor))
    save_painter(
        folder / "listener.safetensors",
        Painter(net, bank, identity=0.3 * torch.randn(net.vector_size)),
    )
    save_painter(folder / "mute.safetensors", Painter(net, bank))
    return folder


@pytest.fixture
def reader(files: Path) -> str:
    return str(files / "reader.safetensors")


@pytest.fixture
def listener(files: Path) -> str:
    return str(files / "listener.safetensors")


def finished(job: Job) -> Image.Image:
    return job.finish(deque(job.steps(), maxlen=1).pop())


def style_of(job: Job) -> Tensor:
    """What a method of one pass knows of its style."""
    assert isinstance(job.renderer, Prepared)
    vector: Tensor = job.renderer.style
    return vector


def refusal(**options: Any) -> str:
    """What `plan` says to a photo that is not there, so that nothing was opened before it was said."""
    with pytest.raises(ImpastoError) as error:
        plan(**({"content": "no-such-photo.png", "styles": [PLATE]} | options))
    assert "\n" not in str(error.value)
    return str(error.value)


# ---------------------------------------------------------------------------------------- refusals

# An unusual value for every option of the optimiser that a network in one pass has no use for.
DESCENT: dict[str, Any] = {
    "preset": "gatys2015",
    "content_layers": ("relu4_2",),
    "style_layers": ("relu1_1",),
    "content_weight": 2.0,
    "style_weight": 2.0,
    "tv_weight": 0.0,
    "style_loss": "other",
    "content_loss": "selfsim",
    "strict": True,
    "steps": 9,
    "optimizer": "adam",
    "learning_rate": 0.1,
    "init": "content",
    "early_stop": 0.1,
    "pyramid": False,
    "seed": 3,
}


def test_every_option_of_the_optimiser_is_either_honoured_or_refused() -> None:
    optimizer, network = METHODS.get("optimize").honours, METHODS.get("fast").honours
    assert DESCENT.keys() == optimizer - network - {
        "encoder",
        "pooling",
        "before",
        "start",
        "blend",
        "keep_color",
        "colors_only",
        "device",
    }


@pytest.mark.parametrize("method", NETWORKS)
@pytest.mark.parametrize("name", DESCENT)
def test_a_network_refuses_what_only_descent_can_honour(method: str, name: str) -> None:
    said = refusal(method=method, settings=Settings(**{name: DESCENT[name]}))
    assert said.startswith(f"`{name}` has no effect with `method={method}`")


@pytest.mark.parametrize("method", NETWORKS)
@pytest.mark.parametrize(
    ("option", "value"),
    [("encoder", "vgg19"), ("pooling", "average"), ("start", np.zeros((40, 40, 3), np.uint8))],
)
def test_a_network_refuses_another_encoder_and_another_start(
    method: str, option: str, value: object
) -> None:
    said = refusal(method=method, **{option: value})
    assert said.startswith(
        f"`{'init' if option == 'start' else option}` has no effect with `method={method}`"
    )


@pytest.mark.parametrize("method", NETWORKS)
@pytest.mark.parametrize("name", ["steps", "init", "seed"])
def test_refinement_refuses_what_it_decides_itself(method: str, name: str) -> None:
    said = refusal(method=method, refine=5, settings=Settings(**{name: DESCENT[name]}))
    assert said.startswith(f"`{name}` has no effect with `method={method}` with `refine`")


@pytest.mark.parametrize("method", NETWORKS)
def test_refinement_refuses_another_start(method: str) -> None:
    assert refusal(method=method, refine=5, start=np.zeros((40, 40, 3), np.uint8)).startswith(
        "`init` has no effect"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "slow"}, "unknown `method` 'slow'; there are: optimize, fast, arbitrary"),
        ({"refine": 5}, "`refine` has no effect with `method=optimize`; it has with `method=fast`"),
        ({"refine": -1, "method": "arbitrary"}, "`refine` must be between 0 and 1"),
        ({"network": "mine.safetensors"}, "`network` has no effect with `method=optimize`"),
    ],
)
def test_what_only_a_network_can_honour_is_refused_elsewhere(
    options: dict[str, Any], said: str
) -> None:
    assert refusal(**options).startswith(said)


def test_fast_takes_names_and_no_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40)).save("mine.png")
    for style in (
        "mine.png",
        Path("mine.png"),
        str(tmp_path / "mine.png"),
        Image.new("RGB", (40, 40)),
    ):
        said = refusal(method="fast", styles=[PLATE, style])
        assert "is a picture" in said
        assert "`method=arbitrary`" in said
        assert "impasto learn" in said
    Path(PLATE).mkdir()  # a folder of a style's name is no picture
    plan("cat", [PLATE], method="fast", network=reader, **QUICK)


def test_a_learned_vector_alone_cannot_be_refined(reader: str) -> None:
    said = refusal(method="fast", refine=5, styles=["harbour"], network=reader)
    assert "`refine`" in said
    assert "'harbour'" in said
    assert "`method=arbitrary`" in said


def test_what_the_network_lacks_is_refused_before_any_painting(
    files: Path, photo: Image.Image
) -> None:
    options: dict[str, Any] = {"content": photo, **QUICK}
    said = refusal(method="arbitrary", network=files / "listener.safetensors", **options)
    assert said == "listener.safetensors only knows styles by name; use `method=fast`"
    weak = Settings(strength=0.5)
    assert "`strength` at 1" in refusal(
        method="fast", network=files / "mute.safetensors", settings=weak, **options
    )
    assert "harbour" in refusal(
        method="fast", network=files / "mute.safetensors", styles=["dunes"], **options
    )
    assert "network" in refusal(method="fast", network="nothing.safetensors", **options)


# ----------------------------------------------------------------------------------------- recipes


def test_a_recipe_names_the_method_and_only_what_it_used(reader: str, photo: Image.Image) -> None:
    known = load_network(reader, device="cpu", dtype=torch.float32).bank.network
    everything = set(OPTIONS) & METHODS.get("optimize").honours - {
        "blend",
        "keep_color",
        "colors_only",
        "encoder",
        "pooling",
        "device",
    }
    decided = {"steps", "init", "seed"}
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"method": "optimize"}, everything),
        ({"method": "arbitrary"}, {"strength", "style_scale", "max_memory"}),
        ({"method": "fast"}, {"strength", "style_scale", "max_memory"}),
        ({"method": "arbitrary", "refine": 3}, everything - decided),
        ({"method": "fast", "refine": 3}, everything - decided),
    ]
    for options, used in cases:
        config = Settings(strength=0.75)
        network = {} if options["method"] == "optimize" else {"network": reader}
        job = plan(photo, [PLATE], settings=config, **options, **network, **QUICK)
        recipe = json.loads(json.dumps(job.recipe))
        assert recipe["method"] == options["method"]
        assert recipe["styles"] == [{"name": PLATE}]
        assert everything & recipe.keys() == used
        assert recipe["strength"] == 0.75
        assert (recipe["size"], recipe["keep_color"], recipe["device"]) == (48, "none", "cpu")
        descends = options["method"] == "optimize" or "refine" in options
        assert {"encoder", "pooling"} & recipe.keys() == (
            {"encoder", "pooling"} if descends else set()
        )
        assert ("start" in recipe) == (options["method"] == "optimize")
        if network:
            assert recipe["network_fingerprint"] == known
            assert recipe["network"]["name"] == "reader.safetensors"
            assert recipe["refine"] == options.get("refine", 0)
            assert str(Path(reader).parent) not in json.dumps(recipe)
        else:
            assert recipe["network"] == {"name": "painter"}
            assert "refine" not in recipe


def test_the_embedded_network_is_named_in_the_recipe(photo: Image.Image) -> None:
    job = plan(photo, [PAINTING], method="arbitrary", **QUICK)
    assert job.recipe["network"] == {"name": "painter"}
    assert job.recipe["network_fingerprint"] == load_network(device="cpu").bank.network


# ----------------------------------------------------------------------------------------- results


def test_one_pass_is_one_step_and_refinement_so_many_more(reader: str, photo: Image.Image) -> None:
    for method in NETWORKS:
        options = {"method": method, "network": reader, **QUICK}
        (step,) = plan(photo, [STYLE[method]], **options).steps()
        steps = list(plan(photo, [STYLE[method]], refine=2, **options).steps())
        assert [each.step for each in steps] == [0, 1, 2]
        assert {each.of for each in steps} == {2}
        assert torch.equal(steps[0].image, step.image)
        assert {each.image.shape for each in steps} == {(1, 3, 40, 48)}


def test_left_alone_the_optimiser_begins_at_the_one_pass_picture(photo: Image.Image) -> None:
    for scale in (0.5, 1.0, 2.0):
        config = Settings(style_scale=scale)
        (quick,) = plan(photo, [PAINTING], method="arbitrary", settings=config, **QUICK).steps()
        # Without motion it stays where it began.
        still = Settings(steps=2, learning_rate=0.0, style_scale=scale)
        steps = list(plan(photo, [PAINTING], settings=still, **QUICK).steps())
        assert [(step.step, step.of) for step in steps] == [(1, 2), (2, 2)]
        if scale <= 1:
            torch.testing.assert_close(steps[-1].image, quick.image, rtol=0, atol=1e-6)
        else:  # the painting comes to the network over a larger size
            assert (steps[-1].image - quick.image).square().mean().sqrt() < 0.1
    assert plan(photo, [PAINTING], **QUICK).recipe["steps"] == Settings().resolved().steps
    for options in (
        {"init": "content"},
        {"preset": "lecture", "content_layers": ("relu4_2",)},
        {"init": "noise"},
    ):
        job = plan(photo, [PAINTING], settings=Settings(steps=2, **options), **QUICK)  # type: ignore[arg-type]
        assert [(step.step, step.of) for step in job.steps()] == [(1, 2), (2, 2)]
        assert "network" not in job.recipe
    assert "network" not in plan(photo, [PAINTING], start=sample("cat"), **QUICK).recipe
    assert (
        "network" not in plan(photo, [PAINTING], settings=Settings(style_scale=0.4), **QUICK).recipe
    )


@pytest.mark.parametrize("method", ["optimize", *NETWORKS])
def test_the_smallest_photo_takes_the_largest_strokes(method: str) -> None:
    small = Image.fromarray(np.random.default_rng(5).integers(0, 256, (32, 33, 3), np.uint8))
    config = Settings(style_scale=4, **({"steps": 1} if method == "optimize" else {}))  # type: ignore[arg-type]
    name = PLATE if method != "fast" else "mosaic"
    assert finished(
        plan(small, [name], method=method, size=33, device="cpu", settings=config)
    ).size == (33, 32)


def test_a_seed_is_refused_where_nothing_is_drawn() -> None:
    assert "`init=noise`" in refusal(settings=Settings(seed=3))
    assert "`init=noise`" in refusal(settings=Settings(seed=3, init="content"))
    assert "no-such-photo" in refusal(settings=Settings(seed=3, init="noise"))


def test_without_strength_every_method_gives_the_photo(
    reader: str, listener: str, photo: Image.Image
) -> None:
    config = Settings(strength=0)
    cases = [("optimize", {}), ("arbitrary", {"network": reader}), ("fast", {"network": reader})]
    for method, options in [
        *cases,
        ("fast", {"network": listener}),
        ("arbitrary", {"network": reader, "refine": 2}),
    ]:
        style = STYLE.get(method, PAINTING)
        job = plan(photo, [style], method=method, settings=config, **options, **QUICK)  # type: ignore[arg-type]
        assert finished(job).tobytes() == photo.convert("RGB").tobytes()


@pytest.mark.parametrize("method", NETWORKS)
def test_kept_luminance_colours_are_the_photos(
    method: str, reader: str, photo: Image.Image
) -> None:
    options = {"method": method, "network": reader, **QUICK}
    free = finished(plan(photo, [STYLE[method]], **options))
    kept = finished(plan(photo, [STYLE[method]], keep_color="luminance", **options))
    # The oracle starts from 8 bits, so it may be a level or two off.
    oracle = to_pil(luminance_transfer(open_picture(free).image, open_picture(photo).image))
    assert abs(np.asarray(kept, dtype=int) - np.asarray(oracle, dtype=int)).max() <= 3
    assert kept.tobytes() != free.tobytes()


def test_kept_statistics_change_the_style_that_is_read(reader: str, photo: Image.Image) -> None:
    options = {"method": "arbitrary", "network": reader, **QUICK}
    free, matched = (
        style_of(plan(photo, [PAINTING], keep_color=keep, **options))
        for keep in ("none", "statistics")
    )  # type: ignore[arg-type]
    assert not torch.allclose(free, matched, atol=1e-3)


def read(reader: str, picture: Tensor) -> Tensor:
    """The vector of a style picture as it is."""
    return FeedForward(load_network(reader, device="cpu"), load_encoder(device="cpu")).prepare(
        picture
    )


@pytest.mark.parametrize("method", NETWORKS)
def test_larger_strokes_are_those_of_a_smaller_picture_enlarged(
    reader: str, photo: Image.Image, method: str
) -> None:
    """And painted once more, where it was enlarged to twice the size."""
    quick = FeedForward(load_network(reader, device="cpu"))
    for scale, size in ((2.0, (20, 24)), (0.5, (80, 96))):
        options = {
            "method": method,
            "network": reader,
            "settings": Settings(style_scale=scale),
            **QUICK,
        }
        job = plan(photo, [PLATE], **options)
        (step,) = job.steps()
        (smaller,) = quick.render(resize(job.content.image, size), style_of(job))
        expected = resize(smaller.image, (40, 48)).clamp(0, 1)
        if scale > 1:
            (again,) = quick.render(expected, style_of(job))
            expected = again.image
        torch.testing.assert_close(step.image, expected, atol=2e-2, rtol=0)


def test_a_learned_style_blends_with_a_painting(reader: str, photo: Image.Image) -> None:
    options: dict[str, Any] = {"method": "arbitrary", "network": reader, **QUICK}
    painting, named = (style_of(plan(photo, [style], **options)) for style in (PAINTING, "harbour"))
    assert torch.equal(named[0].cpu(), load_network(reader, device="cpu").bank.vector("harbour"))
    both = style_of(plan(photo, ["harbour", PAINTING], blend=[1, 3], **options))
    torch.testing.assert_close(both, 0.25 * named + 0.75 * painting)
    with pytest.raises(ImpastoError, match=r"harbour.*only the vector"):
        plan(photo, ["harbour", PAINTING], refine=2, **options)
    with pytest.raises(ImpastoError, match=r"no-such-style.*harbour"):
        plan(photo, ["no-such-style"], **options)


def test_plans_share_networks_until_their_file_changes(
    reader: str, tmp_path: Path, photo: Image.Image
) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(Path(reader).read_bytes())
    networks = Networks()

    def painter() -> Painter:
        job = plan(photo, [PLATE], method="arbitrary", network=own, networks=networks, **QUICK)
        return job.renderer.stylizer.painter  # type: ignore[attr-defined, no-any-return]

    first = painter()
    assert painter() is first
    save_painter(own, load_network(reader, device="cpu"))
    os.utime(own, ns=(1, 1))
    assert painter() is not first
    alone = plan(photo, [PLATE], method="arbitrary", network=own, **QUICK)
    assert alone.renderer.stylizer.painter is not painter()  # type: ignore[attr-defined]


def test_a_smaller_style_picture_is_enlarged(reader: str, photo: Image.Image) -> None:
    """Strokes are read at the size of the picture they are for."""
    style = torch.rand(1, 3, 32, 24, generator=torch.Generator().manual_seed(1))
    vector = style_of(
        plan(photo, [style], method="arbitrary", network=reader, size=64, device="cpu")
    )
    assert torch.equal(vector, read(reader, resize(style, (64, 48))))
    assert not torch.allclose(vector, read(reader, style), atol=1e-3)


def test_a_long_strip_is_a_style(reader: str, photo: Image.Image) -> None:
    strip = torch.rand(1, 3, 40, 90)  # 48 x 21 px at the size of the photo
    assert torch.isfinite(
        style_of(plan(photo, [strip], method="arbitrary", network=reader, **QUICK))
    ).all()


@pytest.mark.parametrize("method", NETWORKS)
def test_blends_are_between_and_one_hot_blends_are_one(
    method: str, reader: str, photo: Image.Image
) -> None:
    styles = [PLATE, "harbour"] if method == "fast" else [PAINTING, photo]
    options = {"method": method, "network": reader, **QUICK}
    alone = [style_of(plan(photo, [style], **options)) for style in styles]
    assert torch.equal(style_of(plan(photo, styles, blend=[0, 5], **options)), alone[1])
    torch.testing.assert_close(
        style_of(plan(photo, styles, blend=[6, 2], **options)), 0.75 * alone[0] + 0.25 * alone[1]
    )
    torch.testing.assert_close(style_of(plan(photo, styles, **options)), (alone[0] + alone[1]) / 2)


def test_stylize_takes_the_method_and_its_strength(reader: str, photo: Image.Image) -> None:
    options = {"method": "arbitrary", "network": reader, **QUICK}
    expected = finished(plan(photo, [PAINTING], settings=Settings(strength=0.5), **options))
    assert stylize(photo, PAINTING, strength=0.5, **options).tobytes() == expected.tobytes()
    assert stylize(photo, PAINTING, **options).tobytes() != expected.tobytes()


def test_a_photo_keeps_its_transparency_and_is_enlarged(reader: str, photo: Image.Image) -> None:
    see_through = photo.convert("RGBA")
    see_through.putalpha(100)
    made = stylize(see_through, PLATE, method="fast", network=reader, size=72, device="cpu")
    assert (made.mode, made.size) == ("RGBA", (72, 60))
    assert set(made.getchannel("A").tobytes()) == {100}


# ------------------------------------------------------------------------------- the user's styles


def learned(network: str, name: str = "my-own") -> StyleBank:
    """A style of the user's, for a network of this fingerprint."""
    size = TransformNet(TransformNetConfig(channels=(8, 8, 8), blocks=(1, 1, 1))).vector_size
    return StyleBank(network).learned(name, torch.linspace(-0.3, 0.3, size))


@pytest.fixture
def speaks_to(reader: str) -> str:
    return load_network(reader, device="cpu").bank.network


def test_a_style_the_user_learned_of_a_sample_can_be_refined(
    reader: str, speaks_to: str, photo: Image.Image
) -> None:
    bank = learned(speaks_to, "mosaic")
    bank.save(own_bank())
    renderer = plan(photo, ["mosaic"], method="fast", refine=1, network=reader, **QUICK).renderer
    assert isinstance(renderer, TwoStage)
    assert torch.equal(renderer.first.style[0], bank.vector("mosaic"))  # type: ignore[attr-defined]


def test_a_style_the_user_learned_is_found_by_name(
    reader: str, speaks_to: str, photo: Image.Image
) -> None:
    options = {"method": "fast", "network": reader, **QUICK}
    with pytest.raises(ImpastoError, match=f"'my-own'.*harbour, {PLATE}"):
        plan(photo, ["my-own"], **options)
    bank = learned(speaks_to).learned("harbour", torch.zeros_like(learned("").vector("my-own")))
    bank.save(own_bank())
    assert torch.equal(style_of(plan(photo, ["my-own"], **options))[0], bank.vector("my-own"))
    assert not style_of(
        plan(photo, ["harbour"], **options)
    ).any()  # the user's goes before the network's
    assert style_of(plan(photo, [PLATE], **options)).any()


def test_a_style_learned_for_another_network_says_so(reader: str, photo: Image.Image) -> None:
    learned("0123456789abcdef").learned(PLATE, torch.zeros(9)).save(own_bank())
    options = {"network": reader, **QUICK}
    said = refusal(content=photo, styles=["my-own"], method="fast", **options)
    assert "'my-own'" in said
    assert "another network" in said
    assert "learn it again" in said
    # What the network knows itself is not in the way, nor is a bank where no name is asked for.
    assert style_of(plan(photo, [PLATE], method="fast", **options)).any()
    plan(photo, [PAINTING], method="arbitrary", **options)


def test_a_damaged_bank_of_the_users_is_told_of_where_it_is_needed(
    reader: str, photo: Image.Image, home: Path
) -> None:
    (home / "styles.safetensors").write_bytes(b"not a bank")
    said = refusal(content=photo, method="fast", network=reader, **QUICK)
    assert str(home / "styles.safetensors") in said
    plan(photo, [PAINTING], method="arbitrary", network=reader, **QUICK)


def test_the_embedded_painter_paints_what_it_and_the_user_learned(photo: Image.Image) -> None:
    painter = load_network(device="cpu")
    vector = torch.zeros(painter.transform_net.vector_size)
    StyleBank(painter.bank.network).learned("my-own", vector).save(own_bank())
    for name, expected in {**painter.bank.vectors, "my-own": vector}.items():
        job = plan(photo, [name], method="fast", **QUICK)
        assert torch.equal(style_of(job)[0], expected)
    (step,) = job.steps()
    assert step.image.shape == (1, 3, 40, 48)
    with pytest.raises(ImpastoError, match="my-own"):
        plan(photo, ["nothing-of-the-sort"], method="fast", **QUICK)


def test_an_array_among_names_is_a_style_like_another(
    reader: str, speaks_to: str, photo: Image.Image
) -> None:
    learned(speaks_to).save(own_bank())
    noise = np.asarray(PAINTING)
    job = plan(photo, ["my-own", noise], method="arbitrary", network=reader, **QUICK)
    assert torch.isfinite(style_of(job)).all()
    assert job.recipe["styles"] == [{"name": "my-own"}, {"in memory": "ndarray"}]
    learned("another network").save(own_bank())
    with pytest.raises(ImpastoError, match=r"'my-own'.*another network"):
        plan(photo, ["my-own", noise], method="arbitrary", network=reader, **QUICK)


def test_a_style_learned_anew_is_not_what_a_recipe_meant(
    reader: str, speaks_to: str, photo: Image.Image
) -> None:
    bank = learned(speaks_to)
    bank.save(own_bank())
    options: dict[str, Any] = {"method": "fast", "network": reader, **QUICK}
    job = plan(photo, ["my-own", "harbour"], **options)
    digest = bank.digest("my-own")
    assert job.recipe["vectors"] == {"my-own": digest}, (
        "those of the network itself are known by its fingerprint"
    )
    line = command(json.loads(json.dumps(job.recipe | {"content": {"name": "cat"}})), "out.png")
    assert f" my-own@{digest} harbour " in str(line)
    assert torch.equal(
        style_of(plan(photo, [f"my-own@{digest}", "harbour"], **options)), style_of(job)
    )
    bank.learned("my-own", bank.vector("my-own") + 1).save(own_bank())
    with pytest.raises(ImpastoError, match="'my-own' was learned anew"):
        plan(photo, [f"my-own@{digest}"], **options)
