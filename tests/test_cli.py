"""The command line as people and scripts meet it: what is printed where, exit codes, files, Ctrl-C."""

import csv
import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from safetensors.torch import load_file, save_file

from impasto.apps.cli import main as cli
from impasto.apps.cli import rendering
from impasto.apps.cli.lazy import HOMES, commands_app
from impasto.apps.cli.recipe import command
from impasto.apps.progress import Clock, Lines, summary
from impasto.apps.report import reporting
from impasto.losses.presets import PRESETS
from impasto.methods.stylizer import Progress
from impasto.networks.checkpoint import load_network
from impasto.networks.encoder import Pooling
from impasto.pictures.image import read_recipe, save_picture
from impasto.pictures.samples import STYLES, sample_names
from impasto.settings import OPTIONS, KeepColor, Settings

QUICK = ("--size", "48", "--steps", "2")


@pytest.fixture(autouse=True)
def folder(pictures, monkeypatch):
    """One thread a process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return pictures


def files() -> set[str]:
    return {path.name for path in Path().iterdir()}


def process(*args: str, **options) -> subprocess.Popen:
    code = "from impasto.apps.cli.main import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *args], text=True, **options)


# ------------------------------------------------------------------------------------------------ stylize


def test_stdout_is_the_path_and_nothing_else(run):
    code, out, err = run("stylize", "photo.png", "waves.png", "-o", "out.png", *QUICK)
    assert (code, out) == (0, "out.png\n")
    assert err.startswith("step 1/2")
    assert "2 steps in" in err
    with Image.open("out.png") as picture:
        assert picture.size == (48, 38)


def test_quiet_is_quiet(run):
    assert run("stylize", "photo.png", "waves.png", "-o", "out.png", "-q", *QUICK) == (
        0,
        "out.png\n",
        "",
    )


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run):
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        run(
            "stylize",
            "photo.png",
            "waves.png",
            "-o",
            f"{name}.png",
            "--init",
            "noise",
            "--seed",
            seed,
            *QUICK,
        )
    a, b, c = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    "options",
    [
        (),
        (
            "--content-weight",
            "0.25",
            "--style-weight",
            "3.7",
            "--tv-weight",
            "0.1",
            "--learning-rate",
            "0.03",
        ),
        (
            "--init",
            "dots.png",
            "--keep-color",
            "luminance",
            "--style-scale",
            "1.5",
            "--early-stop",
            "0.001",
        ),
        ("--init", "noise", "--seed", "3", "--optimizer", "lbfgs", "--pooling", "average"),
        (
            "--content-layers",
            "conv3_1,relu4_1",
            "--style-layers",
            "block1_conv1,relu2_1",
            "--preset",
            "write-up",
        ),
        (
            "--preset",
            "gatys2015",
            "--content-layers",
            "relu4_1",
            "--optimizer",
            "adam",
            "--learning-rate",
            "0.045",
        ),
    ],
)
def test_the_command_of_info_makes_the_same_bytes_again(run, options):
    run(
        "stylize",
        "photo.png",
        "waves.png",
        "dots.png",
        "--blend",
        "2,1",
        "-o",
        "out.png",
        "--recipe",
        "full",
        *QUICK,
        *options,
    )
    code, out, err = run("info", "out.png")
    assert (code, err) == (0, "")
    program, *args = shlex.split(out.splitlines()[-1])
    assert program == "impasto"
    assert run(*args)[:2] == (0, "out-again.png\n")
    assert Path("out-again.png").read_bytes() == Path("out.png").read_bytes()


def test_without_a_name_the_picture_is_called_after_its_inputs_and_numbered(run):
    found = [run("stylize", "photo.png", "waves.png", "-q", *QUICK)[1] for _ in range(3)]
    assert found == ["photo-waves.png\n", "photo-waves-2.png\n", "photo-waves-3.png\n"]


def test_a_name_asked_for_is_written_over(run):
    Path("out.png").write_bytes(b"old")
    assert run("stylize", "photo.png", "waves.png", "-o", "out.png", *QUICK)[0] == 0
    assert Image.open("out.png").format == "PNG"


def test_save_every_writes_the_picture_of_those_steps(run):
    run(
        "stylize",
        "photo.png",
        "waves.png",
        "-o",
        "out.jpg",
        "--size",
        "48",
        "--steps",
        "5",
        "--save-every",
        "2",
    )
    assert {name for name in files() if name.startswith("out")} == {
        "out.jpg",
        "out-00002.png",
        "out-00004.png",
    }
    recipe = read_recipe("out-00004.png")
    assert (recipe["steps_done"], recipe["unfinished"]) == (4, True)


def test_trace_has_a_row_a_step_and_its_total_is_the_sum(run):
    pytest.importorskip("matplotlib")
    args = (
        "photo.png",
        "waves.png",
        "dots.png",
        "--size",
        "48",
        "--steps",
        "4",
        "--tv-weight",
        "0.1",
    )
    assert run("stylize", *args, "-o", "out.png", "--trace", "losses.csv")[:2] == (0, "out.png\n")
    with open("losses.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert [row.pop("step") for row in rows] == [1, 2, 3, 4]
    for row in rows:
        weighted = [
            value for name, value in row.items() if name != "total" and not name.startswith("raw/")
        ]
        assert len(weighted) == 7
        assert row["total"] == pytest.approx(sum(weighted), rel=1e-5)
    assert Image.open("losses.png").format == "PNG"


def test_the_plot_gives_way_to_the_picture(run):
    pytest.importorskip("matplotlib")
    run("stylize", "photo.png", "waves.png", "-o", "out.png", "--trace", "out.csv", *QUICK)
    assert {"out.png", "out.csv", "out-losses.png"} <= files()
    assert read_recipe("out.png") is not None


def test_transparency_lost_in_a_jpeg_is_told(run):
    Image.open("photo.png").convert("RGBA").resize((64, 64)).save("veil.png")
    veil = Image.open("veil.png")
    veil.putalpha(128)
    veil.save("veil.png")
    code, out, err = run("stylize", "veil.png", "waves.png", "-o", "out.jpg", *QUICK)
    assert (code, out) == (0, "out.jpg\n")
    assert "note: JPEG has no transparency" in err


# ------------------------------------------------------------------------------------------------- errors


def bad_inputs() -> dict[str, tuple[tuple[str, ...], str]]:
    """Name -> arguments of `stylize` after content and style, or all of them, and what the error
    must say.
    """
    both = ("photo.png", "waves.png")
    return {
        "missing photo": (("nix.png", "waves.png"), "nix.png"),
        "missing style": (("photo.png", "nix.png"), "nix.png"),
        "no such sample": (("photo.png", "night-whirl"), "night-swirl"),
        "corrupt": (("photo.png", "corrupt.png"), "corrupt.png"),
        "text": (("text.jpg", "waves.png"), "text.jpg"),
        "empty": (("empty.png", "waves.png"), "empty"),
        "one pixel": (("pixel.png", "waves.png"), "1 x 1"),
        "a folder": (("photo.png", "."), "folder"),
        "unknown layer": ((*both, "--style-layers", "relu9_9"), "relu9_9"),
        "empty layer": ((*both, "--content-layers", "relu4_1,"), "--content-layers"),
        "unknown preset": ((*both, "--preset", "nix"), "gatys2015"),
        "preset without its layer": (
            (*both, "--preset", "deeplearning.ai", "--strict"),
            "--encoder vgg19",
        ),
        "unknown optimizer": ((*both, "--optimizer", "momentum"), "adam"),
        "unknown pooling": ((*both, "--pooling", "min"), "average"),
        "unknown colours": ((*both, "--keep-color", "red"), "luminance"),
        "missing start": ((*both, "--init", "nix.png"), "nix.png"),
        "missing encoder": ((*both, "--encoder", "nix.safetensors"), "compact"),
        "no encoder": ((*both, "--encoder", "photo.png"), "photo.png"),
        "no VGG": ((*both, "--encoder", "other.safetensors"), "other.safetensors"),
        "no such device": ((*both, "--device", "cuda:99"), "--device"),
        "blend of words": ((*both, "--blend", "a,b"), "--blend"),
        "blend of nan": ((*both, "--blend", "nan"), "--blend"),
        "blend of inf": ((*both, "dots.png", "--blend", "1,inf"), "--blend"),
        "blend too long": ((*both, "--blend", "0.5,0.5"), "--blend"),
        "blend of nothing": ((*both, "dots.png", "--blend", "0,0"), "--blend"),
        "blend negative": ((*both, "dots.png", "--blend", "2,-1"), "--blend"),
        "weight nan": ((*both, "--style-weight", "nan"), "--style-weight"),
        "weight inf": ((*both, "--content-weight", "inf"), "--content-weight"),
        "weight negative": ((*both, "--tv-weight", "-1"), "--tv-weight"),
        "weight a word": ((*both, "--style-weight", "much"), "--style-weight"),
        "no weight": ((*both, "--style-weight", "0", "--content-weight", "0"), "both 0"),
        "no steps": ((*both, "--steps", "0"), "steps"),
        "half a step": ((*both, "--steps", "1.5"), "--steps"),
        "too small": ((*both, "--size", "8"), "size"),
        "seed negative": ((*both, "--seed", "-1"), "--seed"),
        "save-every negative": ((*both, "--save-every", "-1"), "--save-every"),
        "no style": (("photo.png",), "STYLE"),
        "unknown option": ((*both, "--stile"), "--stile"),
        "over the photo": ((*both, "-o", "photo.png"), "photo.png"),
        "over a style by a link": ((*both, "-o", "link.png"), "link.png"),
        "over a start": ((*both, "--init", "dots.png", "-o", "./dots.png"), "dots.png"),
        "plot over the photo": ((*both, "-o", "out.png", "--trace", "photo.csv"), "photo.png"),
        "snapshot over an input": (
            ("o-00002.png", "waves.png", "-o", "o.png", "--save-every", "2"),
            "o-00002.png",
        ),
        "trace no table": ((*both, "-o", "out.png", "--trace", "out.png"), ".csv"),
        "trace nowhere": ((*both, "-o", "out.png", "--trace", "nix/out.csv"), "nix"),
        "unknown suffix": ((*both, "-o", "out.xyz"), ".png"),
        "no folder": ((*both, "-o", "nix/out.png"), "nix"),
        "no file": ((*both, "-o", "."), "."),
        "name too long": ((*both, "-o", "x" * 300 + ".png"), "too long"),
        "unwritable folder": ((*both, "-o", "/proc/out.png"), "/proc"),
    }


@pytest.mark.parametrize("case", bad_inputs())
def test_a_mistake_is_one_line_exit_code_2_and_nothing_written(run, case):
    args, hint = bad_inputs()[case]
    if "--trace" in args:
        pytest.importorskip("matplotlib")
    Path("corrupt.png").write_bytes(Path("waves.png").read_bytes()[:300])
    Path("text.jpg").write_text("no picture")
    Path("empty.png").touch()
    Path("o-00002.png").write_bytes(Path("photo.png").read_bytes())
    Image.new("RGB", (1, 1)).save("pixel.png")
    save_file({"nothing": torch.zeros(1)}, "other.safetensors")
    os.symlink("waves.png", "link.png")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    quick = () if "--size" in args or "--steps" in args else QUICK
    code, out, err = run("stylize", *args, *quick)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert hint in err
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_debug_and_only_debug_shows_the_traceback(run):
    code, _, err = run("stylize", "nix.png", "waves.png", "--debug")
    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(("debug", "lines"), [(False, 1), (True, 4)])
def test_what_is_not_the_users_fault_exits_1(capsys, debug, lines):
    with pytest.raises(cli.typer.Exit) as ended, reporting(debug):
        raise KeyError("a\nb")
    err = capsys.readouterr().err
    assert ended.value.exit_code == 1
    assert len(err.splitlines()) >= lines
    assert "error: unexpected KeyError: 'a\\nb'; run again with --debug" in err


@pytest.mark.parametrize("allocate", [lambda: torch.empty(2**50), lambda: bytearray(2**62)])
def test_too_little_memory_says_what_to_lower(capsys, allocate):
    with pytest.raises(cli.typer.Exit) as ended, reporting(False):
        allocate()
    assert ended.value.exit_code == 2
    assert (
        capsys.readouterr().err
        == "error: not enough memory for this size; lower --size, in a training --crop or --batch\n"
    )


# ------------------------------------------------------------------------------------------------- Ctrl-C


LONG = ("stylize", "photo.png", "waves.png", "-o", "out.png", "--size", "64", "--steps", "100000")


def test_ctrl_c_twice_saves_the_picture_and_the_losses_so_far(run):
    pytest.importorskip("matplotlib")
    plotted = (*LONG, "--trace", "losses.csv")
    with process(*plotted, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        first = child.stderr.readline()
        for _ in range(2):
            child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert first.startswith("step 1/100000")
    assert_saved(run, child.returncode, out, err)
    done = read_recipe("out.png")["steps_done"]
    assert len(Path("losses.csv").read_text().splitlines()) == done + 1


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM])
def test_sigterm_and_sighup_save_the_picture_so_far(run, monkeypatch, sent):
    monkeypatch.setattr(Lines, "update", lambda *_: signal.raise_signal(sent))
    assert_saved(run, *run(*LONG))


def assert_saved(run, code, out, err):
    assert (code, out) == (130, "out.png\n")
    assert "Traceback" not in err
    assert "interrupted at step" in err
    recipe = read_recipe("out.png")
    assert recipe["unfinished"] is True
    assert 1 <= recipe["steps_done"] < 100000
    assert run("info", "out.png")[1].splitlines()[-2] == "the finished picture:"


def test_ctrl_c_before_the_first_step_writes_nothing(run, monkeypatch):
    monkeypatch.setattr(rendering, "plan", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    before = files()
    code, out, err = run("stylize", "photo.png", "waves.png", "-o", "out.png", *QUICK)
    assert (code, out) == (130, "")
    assert "nothing was written" in err
    assert files() == before


# ------------------------------------------------------------------------------------- the other commands


def commands() -> list[list[str]]:
    """Every command there is, as it is typed, the groups included."""
    found, groups = [[]], [([], typer.main.get_command(cli.app))]
    while groups:
        before, group = groups.pop()
        for name, member in group.commands.items():
            found.append([*before, name])
            if hasattr(member, "commands"):
                groups.append(([*before, name], member))
    return found


@pytest.mark.parametrize("module", sorted(set(HOMES.values())))
def test_a_command_is_found_in_its_module(module: str) -> None:
    app = commands_app()
    import_module(f"impasto.apps.cli.{module}").register(app)
    named = [name for name, home in HOMES.items() if home == module]
    assert sorted(typer.main.get_group(app).commands) == sorted(named)


def test_what_needs_no_torch_imports_none():
    """The help of every command, and what lists things that are known without a network."""
    helps = [[*command, "--help"] for command in commands()]
    assert ["train", "arbitrary", "--help"] in helps
    code = f"""
import sys
from importlib import import_module
from impasto.apps.cli.main import main
for args in {[*helps, [], ["--version"], ["styles"], ["presets"]]}:
    try: main(args)
    except SystemExit as ended: assert ended.code == 0, args
    heavy = {{'torch', 'matplotlib', 'skimage'}} & sys.modules.keys()
    assert not heavy, (args, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "impasto" in done.stdout
    assert "waves" in done.stdout


def test_help_tells_the_defaults_of_the_code(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("stylize", "--help")
    assert code == 0
    out = re.sub(r"\x1b\[[0-9;]*m", "", out)  # some CI services force colours
    rows = {line.split()[1]: line for line in out.splitlines() if line.startswith("│ --")}
    for name in (
        "size",
        "style_weight",
        "steps",
        "optimizer",
        "learning_rate",
        "encoder",
        "device",
        "seed",
    ):
        assert f"[default: {OPTIONS[name].usual}]" in rows[OPTIONS[name].flag], name
    assert OPTIONS["steps"].usual == Settings().resolved().steps
    assert "|".join(get_args(KeepColor)) in rows["--keep-color"]
    assert "|".join(get_args(Pooling)) in rows["--pooling"]


def test_demo_makes_a_picture_and_says_where(run, monkeypatch):
    assert cli.DEMO_STYLE in STYLES
    assert cli.DEMO_PHOTO in sample_names()
    code, out, err = run("demo", *QUICK)
    assert (code, out) == (0, "demo.png\n")
    assert str(Path("demo.png").absolute()) in err
    assert max(Image.open("demo.png").size) == 48


def test_styles_can_be_saved(run, monkeypatch):
    monkeypatch.setattr("impasto.apps.cli.tables.STYLES", {"night-swirl": ""})
    code, out, err = run("styles", "--save", "plates/small", "--size", "48")
    painted = [f"plates/small/{name}-painted.png" for name in load_network(device="cpu").bank.names]
    assert (code, out.splitlines(), err) == (0, ["plates/small/night-swirl.png", *painted], "")
    assert Image.open("plates/small/night-swirl.png").size == (48, 48)
    assert {max(Image.open(path).size) for path in painted} <= {48}
    assert run("styles", "--save", "photo.png")[0] == 2


def listed(run) -> dict[str, str]:
    """What is said of each preset, in one line."""
    found = (each.split(maxsplit=1) for each in run("presets")[1].split("\n\n"))
    return {name: " ".join(said.split()) for name, said in found}


def test_lists_name_all_there_is(run):
    assert all(f"\n{name} " in run("styles")[1] for name in STYLES)
    for name, preset in PRESETS.items():
        said = listed(run)[name]
        assert preset.source in said
        assert " ".join(preset.style_layers) in said
        assert ("any other start" in said) == (name == Settings().preset)
    assert [line.split()[0] for line in run("layers")[1].splitlines()][:3] == [
        "layer",
        "relu1_1",
        "relu1_2",
    ]
    assert run("layers", "--encoder", "vgg19")[1].splitlines()[-1].split() == ["relu5_4", "512"]


def test_presets_tell_how_the_default_goes_when_left_alone(run):
    preset, line = PRESETS[Settings().preset], listed(run)[Settings().preset]
    said = f"from a one-pass picture, {preset.steps} steps of adam at {preset.learning_rate:g}"
    assert said in line
    assert f"coarse to fine; {preset.steps_afresh} from any other start" in line


def test_presets_are_the_same_in_the_documentation(run):
    hooks = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "hooks.py"))
    rows = [
        [cell.strip() for cell in row.split(" | ")]
        for row in hooks["MADE"]["presets"]().splitlines()[2:]
    ]
    found = listed(run)
    assert [row[0] for row in rows] == [f"| `{name}`" for name in found]
    for (_, _, _, how, _), said in zip(rows, found.values(), strict=True):
        assert said.endswith(f"how {how}")


def test_info_is_json_for_machines_and_clear_where_there_is_nothing(run):
    run("stylize", "photo.png", "waves.png", "-o", "out.webp", *QUICK)
    assert json.loads(run("info", "out.webp", "--json")[1]) == read_recipe("out.webp")
    for args in (["photo.png"], ["photo.png", "--json"], ["nix.png"]):
        code, out, err = run("info", *args)
        assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.fixture(scope="module")
def stylize():
    """The command as typer reads it, which takes a while to make."""
    return typer.main.get_command(cli.app).commands["stylize"]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("start", [None, "content", "noise"])
def test_the_command_of_a_recipe_says_all_that_was_said(stylize, preset, start):
    """What the default comes to is no default where the preset or the start is another: it has to
    be said.
    """
    usual = Settings().resolved()
    decided = [
        option.name
        for option in OPTIONS.values()
        if option.default in (None, ()) and hasattr(usual, option.name)
    ]
    plain = Settings(preset=preset, init=start)
    asked = [plain.but(**{name: getattr(usual, name)}) for name in decided if name != "init"]
    asked += [plain, plain.but(steps=40), plain.but(optimizer="adam", learning_rate=0.045)]
    asked += [plain.but(pyramid=False), plain.but(pyramid=True)]
    for settings in asked:
        pair = {"content": {"name": "a.png"}, "styles": [{"name": "b.png"}]}
        networks = {name: {"name": getattr(settings, name)} for name in ("encoder", "network")}
        line = command(json.loads(json.dumps(settings.dump() | networks | pair)), "out.png")
        typed = stylize.make_context("stylize", shlex.split(line)[2:]).params
        said = Settings(**{name: typed[name] for name in OPTIONS})
        assert said.resolved() == settings.resolved()
        assert said.but(steps=None) == settings.but(steps=None)


def test_a_recipe_is_text_from_anyone(run):
    """Shell syntax is quoted, control characters are shown, what is no recipe of ours gives no
    command.
    """
    hostile = {"name": "-x; rm -rf $HOME\x1b[2J"}
    recipe = {
        "method": "optimize",
        "content": hostile,
        "styles": [hostile],
        "encoder": {"name": "$(id)"},
    }
    line = command(recipe, "out.png")
    words = shlex.split(line)
    assert words[2] == words[3] == "./" + hostile["name"]
    assert words[words.index("--encoder") + 1] == "$(id)"
    broken = [{}, {"method": "optimize"}]
    broken += [
        recipe | part
        for part in (
            {"styles": 3},
            {"styles": []},
            {"method": 1},
            {"size": {"a": 1}},
            {"preset": "x"},
        )
    ]
    for each in broken:
        assert command(each, "out.png") is None
    save_picture("out.png", Image.open("photo.png"), recipe=recipe)
    code, out, _ = run("info", "out.png")
    assert code == 0
    assert "\x1b" not in out


# ----------------------------------------------------------------------------------------------- progress


def test_losses_are_summed_by_kind():
    losses = {"total": 6.0, "content/a": 1.0, "style/a": 2.0, "style/b": 3.0, "raw/style/a": 9.0}
    assert summary(losses) == "total 6  content 1  style 5"


def test_lines_come_at_the_first_step_each_tenth_and_the_last(capsys):
    lines = Lines()
    for i in range(1, 101):
        lines.update(i, 100, "", None)
    shown = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert shown == ["1/100", *(f"{10 * i}/100" for i in range(1, 11))]


def test_time_left_at_one_size_is_pace_times_steps():
    times = iter([0.0, 2.0, 4.0])
    clock = Clock(lambda: next(times))
    image = torch.zeros(1, 3, 10, 10)
    assert [clock.left(Progress(image, i, 10), 100) for i in (1, 2, 3)] == [
        None,
        pytest.approx(16),
        pytest.approx(14),
    ]


def test_time_left_of_growing_pictures_is_that_of_even_growth():
    clock = Clock(iter([0.0, 1.0]).__next__)
    image = torch.zeros(1, 3, 10, 10)
    clock.left(Progress(image, 1, 1002), 1600)
    grown = np.mean(16.0 ** np.linspace(0, 1, 100001))  # times a second, which a step takes now
    assert clock.left(Progress(image, 2, 1002), 1600) == pytest.approx(1000 * grown, rel=1e-3)


# ----------------------------------------------------------------------------------------------- training


def test_train_encoder_makes_one_that_stylizes_and_resumes(run):
    pytest.importorskip("lightning_fabric")
    os.mkdir("data")
    for name in ("photo", "waves", "dots"):
        Image.open(f"{name}.png").resize((96, 96)).save(f"data/{name}.png")
    train = ("train", "encoder", "--teacher", "compact", "--data", "data", "-o", "mine.safetensors")
    train += ("--steps", "2", "--batch", "1", "--crop", "32", "--precision", "float32", "-q")
    assert run(*train) == (0, "mine.safetensors\n", "")
    weights = load_file("mine.safetensors")
    assert run(*train)[0] == 2  # it would lose the checkpoint
    assert run(*train, "--resume")[0] == 0
    again = load_file("mine.safetensors")
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    code, _, err = run(
        "stylize",
        "photo.png",
        "waves.png",
        "--encoder",
        "mine.safetensors",
        "-o",
        "out.png",
        *QUICK,
    )
    assert code == 0, err


@pytest.mark.parametrize(
    "args",
    [
        ("--data", "nix", "-o", "mine.safetensors"),
        ("--data", ".", "-o", "mine.pt"),
        ("--data", ".", "-o", "nix/mine.safetensors"),
        ("--data", ".", "-o", "mine.safetensors", "--steps", "0"),
        ("--data", ".", "-o", "mine.safetensors", "--resume"),
        ("--data", "."),
    ],
)
def test_training_refuses_in_one_line(run, args):
    pytest.importorskip("lightning_fabric")
    before = files()
    code, out, err = run("train", "encoder", "--teacher", "compact", *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert files() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no terminals of that kind here")
def test_a_terminal_that_is_closed_costs_no_picture():
    """SIGHUP, and from then on every word to the terminal is an error."""
    import pty

    child, terminal = pty.fork()
    if child == 0:
        code = "from impasto.apps.cli.main import main; main()"
        args = ["stylize", "photo.png", "waves.png", "-o", "out.png", "--size", "64"]
        os.execvp(sys.executable, [sys.executable, "-c", code, *args, "--steps", "100000"])
    said = b""
    while b"/100000" not in said:
        said += os.read(terminal, 1000)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert read_recipe("out.png")["unfinished"] is True
