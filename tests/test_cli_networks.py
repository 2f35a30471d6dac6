"""One-pass networks from the command line: painting with them, teaching them, training them."""

import dataclasses
import os
import re
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from impasto.apps.cli import learning
from impasto.apps.cli.recipe import command
from impasto.apps.cli.training import style_name
from impasto.apps.progress import Lines
from impasto.errors import ImpastoError
from impasto.home import own_bank
from impasto.methods import style_grams
from impasto.methods.feedforward import FeedForward
from impasto.networks import header
from impasto.networks.checkpoint import Painter, fingerprint, load_network, save_painter
from impasto.networks.encoder import STYLE_LAYERS, Encoder
from impasto.networks.style_bank import StyleBank
from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.pictures.image import open_picture, read_recipe, to_pil
from impasto.training.configs import ArbitraryConfig, BankConfig, DistillConfig, PairsConfig
from impasto.training.painting import seeded

SMALL = ("--size", "64")
NETWORK = ("--network", "small.safetensors")
TINY = ("--batch", "1", "--crop", "64")


@pytest.fixture(autouse=True)
def folder(pictures, compact: Encoder, monkeypatch):
    """A small network, too."""
    save_painter(Path("small.safetensors"), small_painter(compact))
    # What is kept of a painting to refine by is measured at sizes that take no time.
    monkeypatch.setattr(style_grams, "SIZES", (48, 64))
    return pictures


def small_painter(encoder: Encoder) -> Painter:
    """A network that has learned nothing, whose predictor and two styles do not all say the same."""
    size = 2 * sum(encoder.architecture.widths[layer] for layer in STYLE_LAYERS)
    with seeded(7):
        transform_net = TransformNet(TransformNetConfig(channels=(8, 8, 8), blocks=(1, 1, 1)))
        predictor = StylePredictor(
            StylePredictorConfig(
                size, transform_net.vector_size, components=8, hidden=8, embedding=4
            )
        )
        predictor.axes.normal_(std=0.1)
        dawn, dusk = torch.randn(2, transform_net.vector_size)
    return Painter(
        transform_net,
        StyleBank(fingerprint(transform_net)).learned("dawn", dawn).learned("dusk", dusk),
        predictor,
    )


@pytest.fixture
def data():
    """Folders of photos, one of them damaged, and of paintings."""
    for name, originals in (
        ("photos", ("photo", "dots", "waves")),
        ("paintings", ("waves", "dots")),
    ):
        os.mkdir(name)
        for original in originals:
            Path(name, f"{original}.png").write_bytes(Path(f"{original}.png").read_bytes())
    Path("photos/broken.png").write_bytes(Path("photo.png").read_bytes()[:300])
    Path("paintings/dots.png").rename("paintings/Night Harbour!.png")


def everything() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def interrupt_at(monkeypatch, done: int, sent: int) -> None:
    """A signal when that much progress is shown."""

    def update(_self, now: int, *_: object) -> None:
        if now == done:
            signal.raise_signal(sent)

    monkeypatch.setattr(Lines, "update", update)


# ------------------------------------------------------------------------------------------------ stylize


def test_the_embedded_painter_paints_in_any_style_in_one_step(run):
    code, out, err = run(
        "stylize", "photo.png", "waves.png", "--method", "arbitrary", "-o", "out.png", *SMALL
    )
    assert (code, out) == (0, "out.png\n")
    assert "1 step in" in err
    assert Image.open("out.png").size == (64, 51)


def test_a_learned_style_is_painted_with_its_vector(run):
    args = ("--method", "fast", "--device", "cpu", "-o", "out.png", "-q", *SMALL, *NETWORK)
    assert run("stylize", "photo.png", "--style", "dusk", *args) == (0, "out.png\n", "")
    stylizer = FeedForward(load_network("small.safetensors", device="cpu"))
    (step,) = stylizer.render(open_picture("photo.png", size=64).image, stylizer.named("dusk"))
    assert np.array_equal(np.array(Image.open("out.png")), np.array(to_pil(step.image)))


def test_styles_stand_after_the_photo_or_an_option(run):
    last = ("--method", "fast", "--blend", "1,3", "-q", *SMALL, *NETWORK)
    for name, styles in (
        ("a", ("dawn", "dusk")),
        ("b", ("dawn", "--style", "dusk")),
        ("c", ("--style", "dawn", "--style", "dusk")),
        ("d", ("--style", "dusk", "--style", "dawn")),
    ):
        assert run("stylize", "photo.png", *styles, "-o", f"{name}.png", *last)[0] == 0
    a, b, c, d = (Path(f"{name}.png").read_bytes() for name in "abcd")
    assert a == b == c
    assert a != d


@pytest.mark.parametrize(
    "options",
    [
        (
            "waves.png",
            "--method",
            "arbitrary",
            "--style-scale",
            "1.5",
            "--keep-color",
            "statistics",
            *NETWORK,
        ),
        (
            "waves.png",
            "--style",
            "dots.png",
            "--blend",
            "2,1",
            "--method",
            "arbitrary",
            "--strength",
            "0.5",
            *NETWORK,
        ),
        (
            "--style",
            "dawn",
            "--style",
            "dusk",
            "--method",
            "fast",
            "--keep-color",
            "luminance",
            *NETWORK,
        ),
        (
            "waves.png",
            "--method",
            "arbitrary",
            "--refine",
            "2",
            "--learning-rate",
            "0.05",
            "--tv-weight",
            "1",
            *NETWORK,
        ),
        ("waves.png", "--method", "arbitrary"),
        ("waves.png", "--steps", "2", "--strength", "0.5"),
    ],
)
def test_the_command_of_info_makes_the_same_bytes_again(run, options):
    named = ("--recipe", "full")
    assert run("stylize", "photo.png", *options, "-o", "out.png", *named, *SMALL)[0] == 0
    code, out, err = run("info", "out.png")
    assert (code, err) == (0, "")
    program, *args = shlex.split(out.splitlines()[-1])
    assert program == "impasto"
    assert run(*args)[:2] == (0, "out-again.png\n")
    assert Path("out-again.png").read_bytes() == Path("out.png").read_bytes()


def test_what_was_never_in_a_file_gives_no_command():
    recipe = {"method": "optimize", "content": {"name": "a.png"}, "styles": [{"name": "b.png"}]}
    assert command(recipe, "out.png") is not None
    memory = {"in memory": "ndarray"}
    for part in ({"content": memory}, {"styles": [memory]}, {"start": memory}):
        assert command(recipe | part, "out.png") is None


MISTAKES = {
    "no style": ((), "--style"),
    "steps in one pass": (("waves.png", "--method", "arbitrary", "--steps", "5"), "--steps"),
    "a picture for fast": (("waves.png", "--method", "fast"), "waves.png"),
    "nothing to refine": (("waves.png", "--refine", "3"), "--refine"),
    "a vector to refine": (("dusk", "--method", "fast", "--refine", "3", *NETWORK), "--refine"),
    "a trace of one pass": (
        ("waves.png", "--method", "arbitrary", "--trace", "losses.csv"),
        "--trace",
    ),
    "snapshots of one pass": (
        ("dusk", "--method", "fast", "--save-every", "1", *NETWORK),
        "--save-every",
    ),
    "a trace of the photo": (
        ("waves.png", "--strength", "0", "--trace", "losses.csv"),
        "--strength",
    ),
    "too strong": (("waves.png", "--strength", "1.5"), "strength"),
    "not a strength": (("waves.png", "--strength", "nan"), "--strength"),
    "no such method": (("waves.png", "--method", "slow", "--save-every", "1"), "arbitrary"),
    "no such style": (("noon", "--method", "fast", *NETWORK), "dawn, dusk"),
    "no such network": (("dusk", "--method", "fast", "--network", "nix.safetensors"), "--network"),
    "no network": (("dusk", "--method", "fast", "--network", "waves.png"), "waves.png"),
    "a network without use": (("waves.png", *NETWORK), "--network"),
    "learned, and no picture": (("harbour", "--method", "optimize"), "--method fast"),
    "learned for another": (("harbour", "--method", "fast", *NETWORK), "another network"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_exit_code_2_and_nothing_written(run, case):
    own_bank().parent.mkdir()
    network = "another" if case == "learned for another" else header.network_header().network
    StyleBank(network).learned("harbour", torch.zeros(4)).save(own_bank())
    before = everything()
    args, hint = MISTAKES[case]
    code, out, err = run("stylize", "photo.png", *args, "-o", "out.png", *SMALL)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert hint in err
    assert everything() == before


# -------------------------------------------------------------------------------------------------- learn


def test_learn_adds_a_style_and_leaves_the_others_as_they_are(run):
    learn = ("learn", "--steps", "2", *TINY, *NETWORK)
    assert run(*learn, "waves.png", "--name", "first")[:2] == (0, "first\n")
    first, network = load_file(own_bank()), Path("small.safetensors").read_bytes()
    code, out, err = run(*learn, "dots.png", "--name", "second")
    assert (code, out) == (0, "second\n")
    assert "sample photos" in err
    both = load_file(own_bank())
    assert {key for key in both if "/" not in key} == {"style.first", "style.second"}
    assert both["style.first"].numpy().tobytes() == first["style.first"].numpy().tobytes()
    assert not torch.equal(both["style.first"], both["style.second"])
    assert Path("small.safetensors").read_bytes() == network
    use = shlex.split(err.splitlines()[-1].partition(": ")[2])
    assert (
        run(
            *(word.replace("PHOTO", "photo.png") for word in use[1:]), "-o", "out.png", "-q", *SMALL
        )[0]
        == 0
    )
    assert read_recipe("out.png")["styles"] == [{"name": "second"}]


def test_learn_teaches_the_embedded_painter_on_photos_of_ones_own(run, data):
    code, out, err = run(
        "learn", "waves.png", "--name", "harbour", "--content", "photos", "--steps", "1", *TINY
    )
    assert (code, out) == (0, "harbour\n")
    assert "left out: photos/broken.png" in err
    assert "sample photos" not in err
    painted = ("stylize", "photo.png", "harbour", "--method", "fast", "-o", "out.png", *SMALL)
    assert run(*painted)[0] == 0
    assert run(*painted, "--refine", "2", "--keep-color", "statistics")[0] == 0
    assert read_recipe("out.png")["refine"] == 2
    bank = StyleBank.load(own_bank())
    dataclasses.replace(bank, grams={}).save(own_bank())
    code, _, said = run(*painted, "--refine", "2")
    assert (code, said.count("\n")) == (2, 1)
    assert "learn it again (impasto learn PAINTING --name harbour --replace)" in said
    listed = run("styles")[1]
    assert "--method fast" in listed
    lines = listed.partition("--method fast")[2].splitlines()
    rows = {words[0]: words[1:] for words in (line.split() for line in lines) if words}
    painter = load_network(device="cpu")
    assert {*painter.bank.names, "harbour"} <= rows.keys()
    assert " ".join(rows["harbour"]) == "learned from waves.png (yours)"
    assert [(each.name, each.note) for each in header.learned_styles() if not each.own] == [
        (name, painter.bank.notes.get(name, "")) for name in painter.bank.names
    ]


def test_a_name_is_taken_once_unless_replaced(run):
    learn = ("learn", "waves.png", "--steps", "1", *TINY, *NETWORK)
    assert run(*learn, "--name", "mine")[0] == 0
    before = everything()
    for name in ("mine", "dawn", "a/b", "x.png"):
        code, out, err = run(*learn, "--name", name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert name in err
    assert everything() == before
    for name in ("mine", "dawn"):
        assert run(*learn[:1], "dots.png", *learn[2:], "--name", name, "--replace")[0] == 0
    assert not torch.equal(StyleBank.load(own_bank()).vector("mine"), before_vector(before))
    stylizer = FeedForward(
        load_network("small.safetensors", device="cpu").knowing(StyleBank.load(own_bank()))
    )
    (step,) = stylizer.render(open_picture("photo.png", size=64).image, stylizer.named("dawn"))
    args = ("--method", "fast", "--device", "cpu", "-o", "out.png", *SMALL, *NETWORK)
    assert run("stylize", "photo.png", "dawn", *args)[0] == 0
    assert np.array_equal(np.array(Image.open("out.png")), np.array(to_pil(step.image)))


def before_vector(files: dict[str, bytes]) -> torch.Tensor:
    Path("before.safetensors").write_bytes(files["home/styles.safetensors"])
    return StyleBank.load(Path("before.safetensors")).vector("mine")


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("nix.png",), "nix.png"),
        (("waves.png", "--content", "nix"), "nix"),
        (("waves.png", "--steps", "0"), "steps"),
        (("waves.png", "--crop", "8"), "crop"),
        (("waves.png", "--network", "nix.safetensors"), "nix.safetensors"),
    ],
)
def test_learn_refuses_in_one_line(run, args, hint):
    code, out, err = run("learn", "--name", "harbour", *NETWORK, *args, "-q")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert hint in err
    assert not own_bank().exists()


def test_learn_does_not_mix_the_styles_of_two_networks(run):
    own_bank().parent.mkdir()
    StyleBank("another").learned("far", torch.zeros(4)).save(own_bank())
    before = everything()
    code, _, err = run("learn", "waves.png", "--name", "harbour", *NETWORK)
    assert (code, err.count("\n")) == (2, 1)
    assert str(own_bank()) in err
    assert everything() == before


def test_a_signal_keeps_what_was_learned_so_far(run, monkeypatch):
    learn = ("learn", "waves.png", *TINY, *NETWORK)
    assert run(*learn, "--name", "first", "--steps", "1")[0] == 0
    first = load_file(own_bank())["style.first"]
    interrupt_at(monkeypatch, 1, signal.SIGTERM)
    code, out, err = run(*learn, "--name", "second", "--steps", "1000")
    assert (code, out) == (130, "second\n")
    assert "interrupted at step 2 of 1000" in err
    both = load_file(own_bank())
    assert torch.equal(both["style.first"], first)
    assert not torch.equal(both["style.second"], first)
    assert both["style.second"].isfinite().all()


def test_ctrl_c_before_the_first_step_keeps_nothing(run, monkeypatch):
    monkeypatch.setattr(learning, "train", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    code, out, err = run("learn", "waves.png", "--name", "harbour", *TINY, *NETWORK)
    assert (code, out) == (130, "")
    assert "nothing was learned" in err
    assert not own_bank().exists()


@pytest.mark.parametrize("home", [None, "", "elsewhere"])
def test_the_list_of_styles_looks_where_they_are_kept(monkeypatch, home):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.delenv("IMPASTO_HOME")
    if home is not None:
        monkeypatch.setenv("IMPASTO_HOME", home)
    own_bank().parent.mkdir()
    StyleBank(header.network_header().network).learned(
        "harbour", torch.zeros(4), "[red]a note\x1b"
    ).save(own_bank())
    assert header.Learned("harbour", "[red]a note\x1b", own=True) in header.learned_styles()


def test_styles_of_another_network_are_told_of_and_not_listed(run):
    own_bank().parent.mkdir()
    StyleBank("a network").learned("harbour", torch.zeros(4)).save(own_bank())
    assert "harbour" not in [style.name for style in header.learned_styles()]
    code, out, err = run("styles")
    assert code == 0
    assert "harbour" not in out
    assert "harbour" in err
    assert "another network" in err


def test_the_fingerprint_read_without_torch_is_the_networks_own():
    assert header.network_header().network == load_network(device="cpu").bank.network
    assert (
        header.network_header("small.safetensors").network
        == load_network("small.safetensors", device="cpu").bank.network
    )


def test_notes_of_styles_are_text_from_anyone(run):
    own_bank().parent.mkdir()
    StyleBank(header.network_header().network).learned(
        "harbour", torch.zeros(4), "[red]a note\x1b"
    ).save(own_bank())
    assert "[red]a note\\x1b (yours)" in run("styles")[1]
    own_bank().write_bytes(b"nothing")
    code, _, err = run("styles")
    assert (code, err.count("\n")) == (2, 1)


# -------------------------------------------------------------------------------------------------- train


def test_train_bank_learns_styles_by_their_files_and_resumes(run, data):
    train = (
        "train",
        "bank",
        "--styles",
        "paintings",
        "--content",
        "photos",
        "--from",
        "small.safetensors",
    )
    train += ("-o", "mine.safetensors", "--steps", "2", "--precision", "float32", *TINY)
    code, out, err = run(*train)
    assert (code, out) == (0, "mine.safetensors\n")
    assert "left out: photos/broken.png" in err
    painter, weights = load_network("mine.safetensors", device="cpu"), load_file("mine.safetensors")
    assert painter.bank.names == ("Night-Harbour", "waves")
    assert (
        painter.transform_net.config
        == load_network("small.safetensors", device="cpu").transform_net.config
    )
    # A corner and the photos held out along the top, a row for every style: 64 px each.
    assert Image.open("mine-sheet.png").size == (2 * 64, 3 * 64)
    assert len(Path("mine.csv").read_text().splitlines()) == 1 + 2 + 2
    assert run(*train)[0] == 2  # it would lose the checkpoint
    assert run(*train, "--resume")[0] == 0
    again = load_file("mine.safetensors")
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    use = ("--method", "fast", "--network", "mine.safetensors", "-o", "out.png", *SMALL)
    assert run("stylize", "photo.png", "Night-Harbour", *use)[0] == 0


def test_train_arbitrary_makes_a_network_for_any_style(run, data):
    train = (
        "train",
        "arbitrary",
        "--styles",
        "paintings",
        "--content",
        "photos",
        "-o",
        "mine.safetensors",
    )
    train += (
        "--steps",
        "1",
        "--batch",
        "1",
        "--crop",
        "32",
        "--content-weight",
        "0.7",
        "--licence",
        "MIT",
    )
    assert run(*train)[:2] == (0, "mine.safetensors\n")
    painter = load_network("mine.safetensors", device="cpu")
    assert painter.predictor is not None
    assert painter.licence == "MIT"
    assert painter.recipe["content_weight"] == 0.7
    assert painter.recipe["data"] == ["photos", "paintings"]


def test_pairs_are_made_and_trained_on(run, data):
    assert run("pairs", "photos", "waves.png", "-o", "pairs", "--size", "64", "--steps", "1")[
        :2
    ] == (0, "pairs\n")
    train = (
        "train",
        "pairs",
        "--pairs",
        "pairs",
        "--name",
        "harbour",
        "--from",
        "small.safetensors",
    )
    train += ("-o", "mine.safetensors", "--steps", "1", *TINY)
    assert run(*train)[:2] == (0, "mine.safetensors\n")
    assert load_network("mine.safetensors", device="cpu").bank.names == ("harbour",)
    assert Image.open("mine-sheet.png").size == (64, 3 * 64)


BANK = ("train", "bank", "--styles", "paintings", "--content", "photos")


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        ((*BANK, "-o", "mine.pt"), ".safetensors"),
        ((*BANK, "-o", "mine.safetensors", "--from", "nix"), "--from"),
        ((*BANK, "-o", "small.safetensors", "--from", "./small.safetensors"), "-o"),
        (
            (*BANK, "-o", "mine.safetensors", "--from", "small.safetensors", "--styles", "twice"),
            "would both be called waves",
        ),
        (
            (
                *BANK[:4],
                "--content",
                "nix",
                "-o",
                "mine.safetensors",
                "--from",
                "small.safetensors",
            ),
            "nix",
        ),
        ((*BANK, "-o", "mine.safetensors", "--content-weight", "0"), "--content-weight"),
        (
            ("train", "arbitrary", *BANK[2:], "-o", "mine.safetensors", "--precision", "float8"),
            "float8",
        ),
        (
            ("train", "pairs", "--pairs", "photos", "--name", "x", "-o", "mine.safetensors"),
            "photos",
        ),
        (("train", "pairs", "--pairs", "photos", "--name", "a/b", "-o", "mine.safetensors"), "a/b"),
        (("train", "pairs", "--pairs", "photos", "-o", "mine.safetensors"), "--name"),
    ],
)
def test_training_refuses_in_one_line(run, data, args, hint):
    os.mkdir("twice")
    Path("twice/waves.png").write_bytes(Path("waves.png").read_bytes())
    before = everything()
    code, out, err = run(*args, *(("-q",) if "--name" in args or "-o" in args else ()))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert hint in err
    assert everything() == before


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("harbour.jpg", "harbour"),
        ("Night Harbour (1890).jpeg", "Night-Harbour-1890"),
        ("__v1.2.png.jpg", "v1-2-png"),
        ("ue\u0301.png", "u\u00e9"),
        ("夜.webp", "夜"),
        ("x" * 100 + ".png", "x" * 64),
    ],
)
def test_a_file_gives_its_style_a_name(file, name):
    assert style_name(Path("paintings", file)) == name


def test_a_file_whose_name_has_no_letter_gives_none():
    with pytest.raises(ImpastoError, match="cannot be called"):
        style_name(Path("paintings/___.png"))


CONFIGS = {
    "arbitrary": ArbitraryConfig(),
    "bank": BankConfig(),
    "pairs": PairsConfig(),
    "encoder": DistillConfig(),
    "learn": BankConfig(steps=150),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_help_tells_the_defaults_of_the_code(run, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(*(("learn",) if name == "learn" else ("train", name)), "--help")
    assert code == 0
    out = re.sub(r"\x1b\[[0-9;]*m", "", out)  # some CI services force colours
    rows = {
        line.split()[1].strip("*"): line
        for line in out.splitlines()
        if re.match(r"│ [* ] +--", line)
    }
    rows |= {line.split()[1]: line for line in out.splitlines() if line.startswith("│ --")}
    config = CONFIGS[name]
    fields = ["steps", "batch", "crop", "seed"]
    if name != "learn":  # what has a line of help is an option
        fields = [name for name, field in type(config).model_fields.items() if field.description]
    for field in fields:
        row = rows["--" + field.replace("_", "-")]
        assert f"[default: {getattr(config, field)}]" in row, field


# -------------------------------------------------------------------------------------------------- pairs


def test_pairs_are_whole_and_made_once(run, data):
    Path("photos/more").mkdir()
    Path("photos/more/photo.png").write_bytes(Path("dots.png").read_bytes())
    Path("photos/dots.bmp").write_bytes(b"of the same name as dots.png")
    pairs = ("pairs", "photos", "waves.png", "-o", "photos/pairs", "--size", "64", "--steps", "1")
    code, out, err = run(*pairs)
    assert (code, out) == (0, "photos/pairs\n")
    assert "broken.png" in err
    assert "dots.png has the name of dots.bmp" in err
    found = {str(path.relative_to("photos/pairs")) for path in Path("photos/pairs").rglob("*.png")}
    names = ("more/photo", "photo", "waves")
    assert found == {f"{part}/{name}.png" for part in ("photos", "painted") for name in names}
    for name in names:
        photo, painted = (
            Image.open(f"photos/pairs/{part}/{name}.png") for part in ("photos", "painted")
        )
        assert photo.size == painted.size == (64, 51)
    assert np.array_equal(
        np.array(Image.open("photos/pairs/photos/photo.png")),
        np.array(to_pil(open_picture("photo.png", size=64).image)),
    )
    assert read_recipe("photos/pairs/painted/photo.png")["content"] == {"kind": "file"}
    before = everything()
    Path("photos/pairs/painted/waves.png").unlink()
    assert "2 of" in run(*pairs)[2]
    assert everything() == before
    code, _, err = run(*pairs[:-2], "--steps", "2")
    assert (code, "other steps" in err) == (2, True)
    assert everything() == before


def test_a_signal_keeps_the_pairs_that_are_whole(run, data, monkeypatch):
    pairs = ("pairs", "photos", "waves.png", "-o", "pairs", "--size", "64", "--steps", "2")
    # At the first step of the third picture; the first is damaged.
    interrupt_at(monkeypatch, 5, signal.SIGHUP)
    code, out, err = run(*pairs)
    assert (code, out) == (130, "")
    assert "the same command goes on" in err
    assert {str(path) for path in Path("pairs").rglob("*.*")} == {
        "pairs/photos/dots.png",
        "pairs/painted/dots.png",
    }


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("nix", "waves.png", "-o", "pairs"), "nix"),
        (("photos", "nix.png", "-o", "pairs"), "nix.png"),
        (("photos", "waves.png", "-o", "pairs", "--size", "8"), "size"),
        (("photos", "waves.png", "-o", "pairs", "--steps", "0"), "steps"),
        (("photos", "waves.png", "-o", "photos"), "photos"),
        (("empty", "waves.png", "-o", "pairs"), "empty"),
    ],
)
def test_pairs_refuse_in_one_line(run, data, args, hint):
    os.mkdir("empty")
    before = everything()
    code, out, err = run("pairs", *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert hint in err
    assert everything() == before
