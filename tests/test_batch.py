"""Folders of photos: what is painted, what is skipped, what is left out, and what a kill costs."""

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.apps import batch as engine
from impasto.apps.batch import Batch, Worker
from impasto.apps.cli import folders
from impasto.apps.cli import main as cli
from impasto.apps.finding import Arrivals, Photo, find
from impasto.apps.ray_workers import outcomes_by_ray
from impasto.errors import ImpastoError, InputError, OptionError
from impasto.pictures.recipes import read_recipe
from impasto.pictures.writing import sweep
from impasto.settings import Settings

QUICK = Settings(method="arbitrary", size=48, device="cpu")
TYPED = ("--method", "arbitrary", "--size", "48", "--device", "cpu")


def paint(path: Path, seed: int) -> None:
    cells = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize((60, 48), Image.Resampling.BICUBIC).save(path)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A current folder with three photos, one of them broken, below `photos`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    paint(Path("photos/a.png"), 0)
    paint(Path("photos/below/a.png"), 1)
    Path("photos/broken.jpg").write_bytes(b"no picture")
    Path("photos/notes.md").write_text("no photo")
    return tmp_path


@pytest.fixture
def run(capsys):
    """`run("batch", …)` -> exit code, lines of stdout, stderr."""

    def call(*args: str) -> tuple[int, list[str], str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(args)
        out, err = capsys.readouterr()
        return ended.value.code, out.split(), err

    return call


def all_of(output: str, styles=("mosaic",), settings=QUICK, form=".png") -> Batch:
    where = Path(output)
    return Batch(find("photos", where), [(style,) for style in styles], where, settings, form)


def stamps(output: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path(output).rglob("*.*")}


def test_every_photo_in_every_style_and_the_second_time_nothing(run):
    args = ("batch", "photos", "mosaic", "waves", "-o", "out", "--format", "jpg", *TYPED)
    code, out, err = run(*args)
    expected = [
        f"out/{style}/{name}.jpg" for name in ("a", "below/a") for style in ("mosaic", "waves")
    ]
    assert (code, out) == (2, expected)
    assert err.count("photos/broken.jpg is not a picture") == 2
    assert "mosaic        2      0         1" in err
    before = stamps("out")
    code, out, err = run(*args)
    assert (code, out) == (2, [])
    assert "mosaic        0      2         1" in err
    assert stamps("out") == before


def test_other_settings_are_painted_anew_and_a_stop_is_not_the_end():
    worker = Worker(QUICK)
    first, *_ = all_of("out").tasks()
    assert worker.paint(first).state == "painted"
    assert worker.paint(first).state == "there"
    assert Worker(QUICK.but(strength=0.5)).paint(first).state == "painted"
    assert read_recipe(first.output)["strength"] == 0.5
    assert Worker(QUICK.but(strength=0.5)).paint(first).state == "there"
    paint(Path(first.photo), 7)
    assert Worker(QUICK.but(strength=0.5)).paint(first).state == "painted", "another photo by now"


def test_a_batch_paints_what_the_command_for_one_paints(run):
    run("batch", "photos/below/a.png", "mosaic", "-o", "out", *TYPED)
    run("stylize", "photos/below/a.png", "mosaic", "-o", "one.png", *TYPED)
    assert Path("out/a.png").read_bytes() == Path("one.png").read_bytes()


def test_pictures_of_others_are_never_written_over():
    paint(Path("out/a.png"), 3)
    before = Path("out/a.png").read_bytes()
    task, *_ = all_of("out").tasks()
    outcome = Worker(QUICK).paint(task)
    assert (outcome.state, outcome.code) == ("left out", 2)
    assert "not made by impasto" in outcome.said
    assert Path("out/a.png").read_bytes() == before


def test_photos_are_found_by_folder_pattern_list_and_name():
    inside = Path("photos/out")
    paint(inside / "painted.png", 5)
    paint(Path("photos/.hidden.png"), 5)
    names = [photo.name for photo in find("photos", inside)]
    assert names == ["a", "broken", "below/a"]
    assert [photo.path for photo in find("photos/*/*.png", Path("out"))] == [
        "photos/below/a.png",
        "photos/out/painted.png",
    ]
    Path("photos/some.txt").write_text("below/a.png\n\na.png\n")
    listed = find("photos/some.txt", Path("out"))
    assert [photo.path for photo in listed] == ["photos/below/a.png", "photos/a.png"]
    assert find("photos/a.png", Path("out")) == [Photo("photos/a.png", "a")]
    with pytest.raises(InputError, match="names no photos"):
        find("photos/*.gif", Path("out"))
    for output in (Path("photos"), Path()):
        with pytest.raises(OptionError, match="lie in the output folder"):
            find("photos", output)


def test_two_photos_of_one_name_and_two_paintings_of_one_name_stay_apart():
    paint(Path("photos/a.jpg"), 2)
    found = Batch(find("photos", Path("out")), [("x/p.png",), ("y/p.png",)], Path("out"), QUICK)
    outputs = [task.output for task in found.tasks()]
    assert len(set(outputs)) == len(outputs) == 8


def test_a_full_disk_stops_the_batch_and_what_is_done_stays(run, monkeypatch):
    def full(path, *_, **__):
        raise InputError(f"cannot save {path}") from OSError(
            errno.ENOSPC, "No space left on device"
        )

    paint(Path("photos/z.png"), 4)
    assert run("batch", "photos", "mosaic", "-o", "out", *TYPED)[0] == 2
    before = stamps("out")
    monkeypatch.setattr("impasto.job.save_picture", full)
    code, out, err = run("batch", "photos", "mosaic", "-o", "out", *TYPED, "--strength", "0.5")
    assert (code, out, stamps("out")) == (2, [], before)
    assert err.count("left out") == 2, "one picture, and the table's head"
    assert "nothing more can be written" in err


def test_bad_folders_and_styles_are_one_line(run):
    Path("file").write_text("")
    Path("empty").mkdir()
    for args in (
        ("photos", "mosaic", "-o", "file/out"),
        ("photos", "mosaic", "-o", "file"),
        ("photos", "missing.jpg", "-o", "out"),
        ("empty", "mosaic", "-o", "out"),
        ("nowhere", "mosaic", "-o", "out"),
        ("photos", "mosaic", "-o", "out", "--format", "bmp"),
        ("photos", "mosaic", "-o", "out", "--workers", "2"),
    ):
        code, out, err = run("batch", *args, *TYPED)
        assert (code, out, err.count("\n"), err[:7]) == (2, [], 1, "error: "), args
    assert not list(Path().rglob("*.partial"))


def test_arrivals_are_given_once_when_they_no_longer_grow():
    arrivals = Arrivals("photos", Path("out"))
    assert arrivals.new() == []
    assert len(arrivals.new()) == 3
    assert arrivals.new() == []
    growing = Path("photos/new.png")
    growing.write_bytes(b"half")
    assert arrivals.new() == []
    paint(growing, 9)
    assert arrivals.new() == [], "it has changed since"
    assert [photo.name for photo in arrivals.new()] == ["new"]
    assert arrivals.new() == []


def test_a_watched_folder_is_painted_as_it_fills_until_an_interrupt(run, monkeypatch):
    looks = iter(range(100))

    def pause(_: float) -> None:
        look = next(looks)
        if look == 3:
            paint(Path("photos/late.png"), 6)
        if look == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(folders.time, "sleep", pause)
    code, out, _ = run("batch", "photos", "mosaic", "-o", "out", "--watch", *TYPED)
    assert (code, out) == (2, ["out/a.png", "out/below/a.png", "out/late.png"])


def test_what_a_killed_run_left_half_written_is_swept_away():
    Path("out").mkdir()
    old, new, other = (
        Path(f"out/{name}") for name in (".impasto-1.partial", ".impasto-2.partial", "x")
    )
    for path in (old, new, other):
        path.touch()
    os.utime(old, (0, 0))
    sweep(Path("out"))
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)


def test_killed_and_run_again_makes_all_and_none_twice(run, kill_after):
    for number in range(30):
        paint(Path(f"photos/{number:02}.png"), number)
    Path("photos/broken.jpg").unlink()
    args = ("batch", "photos", "mosaic", "-o", "out", *TYPED)
    kill_after(4, *args)
    before = stamps("out")
    whole = {path for path in before if not path.name.startswith(".")}
    assert 4 <= len(whole) < 32
    ended, out, _ = run(*args)
    assert ended == 0
    after = stamps("out")
    assert len([path for path in after if path.suffix == ".png"]) == 32
    assert {path: after[path] for path in whole} == {path: before[path] for path in whole}
    assert len(out) == 32 - len(whole)


def test_ray_loses_nothing_and_paints_nothing_twice_when_a_worker_is_killed():
    """Of one worker more than there are processors, so that each has to find a place."""
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'impasto[ray]'")
    for number in range(24):
        paint(Path(f"photos/{number:02}.png"), number)
    work = all_of(str(Path("out").absolute()))
    work.check()
    states, killed = [], False
    tasks = [
        engine.Task(str(Path(task.photo).absolute()), task.styles, task.output)
        for task in work.tasks()
    ]
    for outcome in outcomes_by_ray(QUICK, iter(tasks), "local", (os.cpu_count() or 1) + 1):
        states.append((outcome.task.output, outcome.state))
        if len(states) == 5 and not killed:
            killed = True
            os.kill(actors()[0], signal.SIGKILL)
    assert sorted(output for output, _ in states) == sorted(task.output for task in tasks)
    assert [state for _, state in states].count("left out") == 1, "the broken one"
    assert len(list(Path("out").rglob("*.png"))) == 26
    assert {outcome.state for outcome in map(Worker(QUICK).paint, tasks)} == {"there", "left out"}


def actors() -> list[int]:
    """The processes of this Ray that paint."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::_Painter" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    assert found
    return found


def test_ray_that_is_not_there_is_one_line():
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'impasto[ray]'")
    with pytest.raises(ImpastoError, match="no Ray answers"):
        list(outcomes_by_ray(QUICK, iter(()), "127.0.0.1:1", 1))
