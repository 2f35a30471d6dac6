"""Odd calls: values of the wrong type, names that are none, streams that are closed; each works or
is one line.
"""

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from impasto.analysis.sheets import check_sheet
from impasto.apps.cli import main as cli
from impasto.apps.cli.rendering import Request
from impasto.apps.progress import Pace
from impasto.errors import ImpastoError, InputError, OptionError
from impasto.film.writing import check_film_output
from impasto.habits import brought
from impasto.methods.base import METHODS
from impasto.methods.upscale import upscale
from impasto.networks.loaded import Networks
from impasto.networks.weights import load_encoder
from impasto.pictures.image import check_output, open_picture, save_picture
from impasto.pictures.masks import open_mask
from impasto.pipeline import plan, stylize
from impasto.settings import OPTIONS, Settings

PICTURE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 48, 3), np.uint8))
ONE_PASS: dict[str, Any] = {"method": "arbitrary", "size": 48, "device": "cpu"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo and a painting; nobody's learned styles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    for name in ("photo.png", "painting.png"):
        PICTURE.save(name)
    return tmp_path


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks()


def said(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[Any, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(args)
    return ended.value.code, capsys.readouterr().err


# ------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    "given",
    [
        {"blend": np.array([0.5])},
        {"blend": {1.0}},
        {"size": "48"},
        {"size": 48.0},
        {"size": np.int64(48)},
        {"device": torch.device("cpu")},
        {"network": None},
    ],
    ids=str,
)
def test_what_can_be_read_as_a_setting_works(networks: Networks, given: dict[str, Any]) -> None:
    assert stylize(PICTURE, PICTURE, networks=networks, **ONE_PASS | given).size == (48, 40)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"encoder": torch.nn.Identity()}, "`networks=Networks()`"),
        ({"network": torch.nn.Identity()}, "not an Identity"),
        ({"init": PICTURE}, "`start`"),
        ({"init": np.zeros((99, 99, 3))}, "`start`"),
        ({"method": METHODS.get("fast")}, "`method`"),
        ({"method": b"fast"}, "not bytes"),
        ({"blend": {"a": 1}}, "not a dict"),
        ({"style_layers": {"relu1_1": 2.0}}, "not a dict"),
        ({"steps": float("nan")}, "`steps`"),
        ({"size": (48, 48)}, "`size`"),
        ({"settings": {"size": 48}}, "Settings(…)"),
        ({"settings": 48}, "Settings(…)"),
        ({"networks": torch.nn.Identity()}, "impasto.Networks()"),
        ({"style": {"a": PICTURE}}, "not a picture"),
        ({"style": None}, "not a picture"),
        ({"style": []}, "at least one style"),
    ],
)
def test_what_cannot_is_refused_in_one_line_that_is_short(given: dict[str, Any], hint: str) -> None:
    asked = {"style": PICTURE, "settings": None} | given
    with pytest.raises(ImpastoError) as error:
        stylize(PICTURE, asked.pop("style"), asked.pop("settings"), **asked)
    assert hint in str(error.value)
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("styles", [PICTURE, np.asarray(PICTURE), (PICTURE,), iter([PICTURE])])
def test_one_style_or_several_of_any_kind(networks: Networks, styles: Any) -> None:
    assert len(plan(PICTURE, styles, networks=networks, **ONE_PASS).recipe["styles"]) == 1


@pytest.mark.parametrize("loaded", [None, 3, torch.nn.Identity()], ids=str)
def test_an_encoder_is_loaded_by_its_name(loaded: Any) -> None:
    with pytest.raises(ImpastoError, match="a name or a file"):
        load_encoder(loaded)


@pytest.mark.parametrize("picture", [3, np.zeros((32, 32, 3), np.uint8), None], ids=type)
def test_only_pictures_are_saved(picture: Any) -> None:
    with pytest.raises(InputError, match="not saved as a picture"):
        save_picture("out.png", picture)
    assert not Path("out.png").exists()


@pytest.mark.parametrize("size", [True, 48.0, "48", 3])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(OptionError, match="long side"):
        open_picture(PICTURE, size=size)


# -------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["a\nb.png", "a\x1b[2Jb.png", "a\0b.png", "x" * 300 + ".png"])
@pytest.mark.parametrize("option", ["content", "encoder", "network"])
def test_no_name_breaks_a_line_or_writes_to_a_terminal(option: str, name: str) -> None:
    given = {"method": "arbitrary"} if option == "network" else {"init": "content", "steps": 1}
    content = name if option == "content" else PICTURE
    with pytest.raises(ImpastoError) as error:
        stylize(
            content, PICTURE, size=48, **given | ({option: name} if option != "content" else {})
        )
    assert str(error.value).isprintable()


def test_spaces_in_a_name_are_said_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert "my  photo.png" in said(capsys, "stylize", "my  photo.png", "painting.png")[1]


@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "http://example.org/a"])
@pytest.mark.parametrize("kind", [str, Path])
def test_an_address_is_said_as_it_was_given_and_not_looked_up(address: str, kind: Any) -> None:
    with pytest.raises(InputError) as error:
        open_picture(kind(address))
    assert str(error.value).startswith(f"{address} is an address")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("--iterations", "--steps"),
        ("--num-iters", "--steps"),
        ("--num_iters=3", "--steps"),
        ("-num_iterations", "--steps"),
        ("--output-size", "--size"),
        ("--image-size=512", "--size"),
        ("--style_weight", "--style-weight"),
        ("--content-image", "CONTENT"),
        ("--style-image", "--style"),
        ("--original-colors", "--keep-color"),
        ("--lr", "--learning-rate"),
        ("--stlye-scale", "--style-scale"),
    ],
)
def test_a_name_people_bring_is_answered_with_ours(
    capsys: pytest.CaptureFixture[str], theirs: str, ours: str
) -> None:
    code, err = said(capsys, "stylize", "photo.png", "painting.png", theirs, "3")
    assert code == 2
    assert err.startswith(f"error: there is no option {theirs.partition('=')[0]}")
    assert ours in err
    assert err.count("\n") == 1


def test_what_nobody_can_mean_gets_no_hint() -> None:
    assert brought("frobnicate", OPTIONS) is None
    for name in OPTIONS:
        assert brought(name.replace("_", "-"), OPTIONS) == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [("iterations", "'steps'"), ("alpha", "'strength'"), ("content_image", "first")],
)
def test_keywords_people_bring_are_answered_too(name: str, hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        Settings(**{name: 3})


# ----------------------------------------------------------------------------------- one namespace


def test_a_learned_name_chooses_its_method(networks: Networks) -> None:
    given: dict[str, Any] = {"size": 48, "device": "cpu", "networks": networks}
    job = plan(PICTURE, ["starry-night"], **given)
    assert job.settings.method == job.recipe["method"] == "fast"
    named = plan(PICTURE, ["starry-night"], method="fast", **given)
    assert job.recipe == named.recipe
    mixed = plan(PICTURE, ["starry-night", PICTURE], **given)
    assert mixed.settings.method == "arbitrary"
    assert plan(PICTURE, ["mosaic"], steps=1, init="content", **given).settings.method == "optimize"


def test_a_method_asked_for_is_not_exchanged() -> None:
    with pytest.raises(InputError, match=r"^starry-night is a learned style.*`method=fast`"):
        plan(PICTURE, ["starry-night"], method="optimize", size=48)
    with pytest.raises(
        OptionError, match="`steps` has no effect with starry-night, a learned style"
    ):
        plan(PICTURE, ["starry-night"], steps=3, size=48)
    with pytest.raises(InputError, match=r"did you mean .starry-night"):
        plan(PICTURE, ["starry-nite"], size=48)


def test_statistics_with_a_style_without_its_painting_say_what_they_do() -> None:
    job = plan(PICTURE, ["starry-night"], keep_color="statistics", size=48)
    assert any("gets the photo's palette" in note for note in job.notes)
    with pytest.raises(OptionError, match="is a picture"):
        plan(PICTURE, [PICTURE], method="fast", keep_color="statistics", size=48)


def test_photos_blended_in_as_styles_are_told() -> None:
    os.mkdir("photos")
    for name in "abc":
        PICTURE.save(f"photos/{name}.png")
    photos = [f"photos/{name}.png" for name in "abc"]

    def notes(*typed: str, **given: Any) -> str:
        return " ".join(Request.typed(typed[0], typed[1:], given).notes)

    assert "2 of 3 styles" in notes(*photos, "painting.png")
    assert "impasto batch" in notes(*photos, "painting.png")
    assert not notes(*photos, "painting.png", blend="1,1,1")
    assert not notes("photos/a.png", "painting.png")
    assert not notes("photo.png", "painting.png", "photo.png")


# -------------------------------------------------------------------------------- streams and files


def test_broken_exif_is_a_note_and_no_warning() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = exif.tobytes()
    for cut in (whole[:18], whole[:22], whole):
        PICTURE.save("turned.jpg", exif=cut)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = open_picture("turned.jpg")
        if cut == whole:
            assert (picture.image.shape[2], picture.notes) == (48, ())
        else:
            assert picture.image.shape[2] == 40
            assert picture.notes == ("its EXIF data is damaged: taken to be upright",)


def process(line: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell; `impasto` stands for the command."""
    command = f"{sys.executable} -c 'from impasto.apps.cli.main import main; main()'"
    line = line.replace("impasto", command)
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)


ROUGH = "impasto stylize photo.png starry-night --size 48 --engine onnx -o out.png"


@pytest.mark.skipif(os.name == "nt", reason="a shell of Unix")
@pytest.mark.parametrize(
    ("line", "out"),
    [
        (f"{ROUGH} 2>&-", "out.png\n"),
        (f"{ROUGH} >&- 2>&- <&-", ""),
        (f"{ROUGH} 2>&1 >/dev/null | true", ""),
    ],
)
def test_a_stream_that_is_closed_costs_no_picture(line: str, out: str) -> None:
    done = process(line)
    assert (done.returncode, done.stdout, done.stderr) == (0, out, "")
    with Image.open("out.png") as picture:
        assert picture.format == "PNG"


def test_nohup_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that was ignored when the process started stays so."""
    from impasto.signals import stopping

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stopping()
        assert signal.SIGTERM in stopping()
    finally:
        signal.signal(signal.SIGHUP, before)


# ------------------------------------------------------------------------------------------- time left


def test_time_left_leaves_the_first_step_out() -> None:
    now = iter([100.0, 101.0, 102.0, 103.0])
    pace = Pace(lambda: next(now))
    assert pace.left(1, 50) is None
    assert [pace.left(done, 50) for done in (2, 3, 4)] == [48.0, 47.0, 46.0]


# ------------------------------------------------------------------------------- names without picture


@pytest.mark.parametrize(
    "words",
    [
        ("score", "photo.png", "starry-night", "photo.png"),
        ("reconstruct", "starry-night", "--style"),
        ("learn", "starry-night", "--name", "another"),
    ],
    ids=" ".join,
)
def test_who_needs_a_picture_says_so_of_a_learned_style(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, text = said(capsys, *words)
    assert code == 2
    assert "starry-night is a learned style, which has no picture; give a file" in text
    assert "\n" not in text.strip()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("-", "painting.png"), "nothing is read from a pipe"),
        (("photo.png", "-"), "nothing is read from a pipe"),
        (("photo.png", "painting.png", "-o", "-"), "nothing is written to a pipe"),
    ],
    ids=str,
)
def test_a_dash_is_no_file(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], hint: str
) -> None:
    code, text = said(capsys, "stylize", *words, "--size", "48")
    assert (code, hint in text, text.count("\n")) == (2, True, 1)


@pytest.mark.parametrize(
    "words", [("photo.png", "painting.png"), ("--method", "fast", "photo.png"), ("none.jpg", "x")]
)
def test_a_line_without_a_command_is_told_which(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, text = said(capsys, *words)
    assert (code, "impasto stylize PHOTO STYLE" in text, text.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("given", [{"preset": "gatys2015"}, {"steps": 5}, {"encoder": "compact-2"}])
def test_what_a_learned_style_has_no_use_for_is_said_of_it(given: dict[str, Any]) -> None:
    """Not of the method that its name chose: no other would take it."""
    with pytest.raises(OptionError, match=f"`{next(iter(given))}`.*starry-night, a learned style"):
        plan("photo.png", "starry-night", size=48, **given)


def test_a_learned_style_chooses_the_method_with_either_engine() -> None:
    pytest.importorskip("onnxruntime")
    from impasto import lite

    chosen = lite.stylize("photo.png", "starry-night", size=48)
    assert (
        np.asarray(chosen)
        == np.asarray(lite.stylize("photo.png", "starry-night", size=48, method="fast"))
    ).all()


def test_regions_have_no_blend_however_many_weights_it_has() -> None:
    with pytest.raises(OptionError, match="`regions`"):
        plan("photo.png", "waves", size=48, blend=(1, 2), regions=["painting.png"])


@pytest.mark.parametrize(
    ("setting", "name", "ours"),
    [
        ("preset", "gatys", "gatys2015"),
        ("preset", "Johnson2016", "johnson2016"),
        ("method", "optimise", "optimize"),
        ("style_loss", "grams", "gram"),
    ],
)
def test_a_name_nearly_right_is_answered_with_the_right_one(
    setting: str, name: str, ours: str
) -> None:
    with pytest.raises(OptionError, match=f"did you mean '{ours}'"):
        plan("photo.png", "waves", size=48, **{setting: name})
    with pytest.raises(OptionError, match=f"there are: .*{ours}"):
        plan("photo.png", "waves", size=48, **{setting: "zzz"})


def test_a_film_takes_a_learned_style_by_its_name_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "frames").mkdir()
    for number in range(2):
        PICTURE.save(folder / "frames" / f"{number}.png")
    code, text = said(
        capsys, "film", "frames", "starry-night", "-o", "painted", "--size", "48", "-q"
    )
    assert (code, text) == (0, "")
    assert len(list((folder / "painted").glob("*.png"))) == 2


# -------------------------------------------------------------------------------------- wrong numbers


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--refine", "nan"), "--refine takes a whole number, not 'nan'"),
        (("--steps", ""), "--steps takes a whole number, not ''"),
        (("--style-weight", "much"), "--style-weight takes a number, not 'much'"),
        (("--save-every", "-1"), "--save-every must be 0 or more, not -1"),
        (("--learning-rate", "1e300"), "--learning-rate must be between 0 and 1000000, not 1e+300"),
        (("--strength", ""), "the name of a picture is empty; name a file"),
    ],
    ids=str,
)
def test_a_wrong_value_is_said_with_its_option(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str
) -> None:
    code, text = said(capsys, "stylize", "photo.png", "painting.png", *words)
    assert (code, text) == (2, f"error: {line}\n")


# ---------------------------------------------------------------------------------- what is left alone


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes of this kind")
@pytest.mark.parametrize("name", ["pipe.png", "pipe.mp4", "pipe.pdf"])
def test_a_pipe_is_not_replaced_by_a_file(name: str) -> None:
    os.mkfifo(name)
    checks: dict[str, Any] = {".mp4": check_film_output, ".pdf": check_sheet, ".png": check_output}
    with pytest.raises(ImpastoError, match="not a regular file"):
        checks[Path(name).suffix](Path(name))


@pytest.mark.parametrize(
    "words",
    [
        ("batch", "photos", "none.png", "-o", "out"),
        ("batch", "photos", "painting.png", "-o", "-"),
        ("film", "photos", "painting.png", "-o", "-", "--method", "arbitrary"),
    ],
    ids=" ".join,
)
def test_a_call_that_is_refused_makes_no_folder(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    os.mkdir("photos")
    PICTURE.save("photos/a.png")
    code, text = said(capsys, *words, "--size", "48")
    assert (code, text.count("\n")) == (2, 1)
    assert sorted(os.listdir()) == ["painting.png", "photo.png", "photos"]


def test_what_is_wrong_with_a_tensor_is_said_of_its_own_shape() -> None:
    with pytest.raises(InputError, match=r"shape \(48, 40, 3\).*\(\[1,\] 3, H, W\)"):
        open_picture(torch.rand(48, 40, 3))


@pytest.mark.parametrize("step", [None, 5, PICTURE], ids=type)
def test_only_steps_become_pictures(networks: Networks, step: Any) -> None:
    job = plan(PICTURE, PICTURE, networks=networks, **ONE_PASS)
    with pytest.raises(InputError, match=r"a step of `Job.steps`"):
        job.save(step, "out.png")


@pytest.mark.parametrize("found", ["{}", 5, None, []])
def test_settings_are_read_from_a_mapping(found: Any) -> None:
    with pytest.raises(OptionError, match="from a mapping"):
        Settings.read(found)


@pytest.mark.parametrize("source", [None, 5, np.zeros((40, 40, 3)), "small.png"], ids=type)
def test_both_engines_refuse_the_same_pictures(source: Any) -> None:
    pytest.importorskip("onnxruntime")
    from impasto import lite

    PICTURE.resize((15, 15)).save("small.png")
    with pytest.raises(InputError, match=r"not a picture; give a path|each side needs at least 16"):
        lite.stylize(source, "painting.png", size=48, method="arbitrary")


@pytest.mark.parametrize("times", [3, 4.0, True, "4"])
def test_a_picture_is_enlarged_by_a_whole_number(times: Any) -> None:
    with pytest.raises(OptionError, match="2, 4 or 8"):
        upscale(PICTURE, times)


# ------------------------------------------------------------------------- in the words of the command


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("score", "photo.png", "painting.png"), "impasto score PHOTO PAINTING OUTPUT"),
        (("score", "photo.png", "painting.png", "thin.png"), "thin.png is 20 x 200 px"),
        (("score", "photo.png", "thin.png", "photo.png"), "thin.png"),
        (("batch", "photos", "painting.png", "-o", "out", "--format", "gif"), "--format"),
        (("pairs", "photos", "painting.png", "-o", "photos"), "lie in the output folder"),
        (("pairs", "photos", "painting.png", "-o", "photo.png"), "is a file; name a folder"),
        (("styles", "--save", "out", "--size", "3"), "--size must be 32 or more, not 3"),
        (("styles", "export", "starry-night", "none/a.impasto"), "does not exist; make it"),
    ],
    ids=" ".join,
)
def test_a_refusal_names_the_file_or_the_option(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], hint: str
) -> None:
    os.mkdir("photos")
    PICTURE.save("photos/a.png")
    PICTURE.resize((20, 200)).save("thin.png")
    code, text = said(capsys, *words)
    assert (code, hint in text, text.count("\n")) == (2, True, 1), text
    assert not Path("out").exists()


@pytest.mark.parametrize("group", ["train", "export"])
def test_a_group_alone_lists_its_commands(capsys: pytest.CaptureFixture[str], group: str) -> None:
    assert said(capsys, group) == (0, "")


def test_help_shows_no_form_that_a_command_does_not_take() -> None:
    commands: Any = typer.main.get_command(cli.app)
    for name, sized, filed in (
        *(("stylize", True, True), ("demo", True, False)),
        *(("batch", False, False), ("film", True, False)),
    ):
        shown = {"init": "", "strength": ""} | {
            each.name: each.metavar for each in commands.commands[name].params
        }
        assert (shown["size"] == "PX") != sized
        assert ("FILE" in shown["init"], "FILE" in shown["strength"]) == (filed, filed)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk to write to")
def test_a_full_disk_is_one_line() -> None:
    done = process("impasto --help >/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left" in done.stderr


@pytest.mark.parametrize("name", ["subject", "background", "luminance", "darkness"])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_photo_of_one_colour_has_whole_regions_or_none(name: str, level: int) -> None:
    photo = torch.full((1, 3, 48, 64), level / 255)
    try:
        mask = open_mask(name, photo)
    except InputError:
        return
    assert bool(torch.isfinite(mask).all())
    assert float(mask.max()) > 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("serve", "--proxy", "somewhere"), "--proxy takes addresses"),
        (("serve", "--max-size", "31"), "--max-size must be 32 or more, not 31"),
        (("serve", "--queue", "-1"), "--queue must be 0 or more, not -1"),
        (("serve", "--time-limit", "nan"), "--time-limit must be 1 or more, not nan"),
        (("serve", "--rate-limit", "nan"), "--rate-limit must be 0 or more, not nan"),
        (("film", "photos.gif", "waves", "-o", "a.mp4", "--rate", "5"), "--rate is of a folder"),
    ],
    ids=" ".join,
)
def test_an_option_that_is_not_heeded_is_refused_by_its_name(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], hint: str
) -> None:
    PICTURE.save("photos.gif", save_all=True, append_images=[PICTURE.rotate(90)])
    code, text = said(capsys, *words)
    assert (code, hint in text, text.count("\n")) == (2, True, 1), text


def test_a_film_without_anything_still_has_no_number_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("cv2")
    os.mkdir("frames")
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(noise).save(f"frames/{number}.png")
    assert said(capsys, "score", "frames", "frames", "--film") == (0, "")
    with pytest.raises(SystemExit):
        cli.main(["score", "frames", "frames", "--film", "--json"])
    (row,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert row["scores"]["flicker"] is None
