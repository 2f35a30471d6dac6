"""Batches over buckets: the pictures of a folder, whole or not at all, once each, and no waiting."""

import errno
import os
import shutil
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from impasto.apps import batch as engine
from impasto.apps import stores
from impasto.apps.batch import Batch, Outcome, Task, Worker
from impasto.apps.finding import find
from impasto.apps.ray_workers import outcomes_by_ray
from impasto.errors import InputError, OptionError
from impasto.settings import Settings
from slow_store import SlowStore, slow_store

QUICK = Settings(method="arbitrary", size=48, device="cpu")
TYPED = ("--method", "arbitrary", "--size", "48", "--device", "cpu")


@pytest.fixture(autouse=True)
def folder(workplace, monkeypatch):
    """A current folder with two photos and a broken one below `photos`, and a bucket that is empty."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(stores, "PAUSE", 0.01)
    for number, name in enumerate(("a", "below/a")):
        paint(Path(f"photos/{name}.png"), number)
    Path("photos/broken.jpg").write_bytes(b"no picture")
    Path("photos/notes.md").write_text("no photo")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield workplace
    memory.store.clear()


def paint(path: Path, seed: int) -> None:
    cells = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize((60, 48), Image.Resampling.BICUBIC).save(path)


def up() -> dict[str, bytes]:
    """The photos, put into the bucket `memory://in`."""
    memory = fsspec.filesystem("memory")
    for path in Path("photos").rglob("*.*"):
        memory.pipe_file(f"/in/{path.relative_to('photos')}", path.read_bytes())
    return memory.store


@pytest.mark.parametrize("form", ["png", "jpg", "webp"])
def test_a_bucket_holds_the_very_files_that_a_folder_would(run, form):
    store = up()
    args = ("mosaic", "--format", form, *TYPED)
    code, out, err = run("batch", "memory://in", "-o", "memory://out", *args)
    assert (code, out.split()) == (2, [f"memory://out/a.{form}", f"memory://out/below/a.{form}"])
    assert err.count("memory://in/broken.jpg is not a picture") == 1
    run("batch", "photos", "-o", "out", *args)
    for name in ("a", "below/a"):
        assert store[f"/out/{name}.{form}"].getvalue() == Path(f"out/{name}.{form}").read_bytes()
    assert not [name for name in store if ".impasto" in name]
    code, out, err = run("batch", "memory://in", "-o", "memory://out", *args)
    assert (code, out) == (2, "")
    assert "mosaic        0      2         1" in err


def test_what_is_done_is_known_without_its_photo_and_a_newer_photo_is_painted(monkeypatch):
    store = up()
    task = Task("memory://in/a.png", ("mosaic",), "memory://out/a.png")
    worker, fetched = Worker(QUICK), []
    get = stores.fetch
    monkeypatch.setattr(stores, "fetch", lambda url, into: (fetched.append(url), get(url, into)))
    assert [worker.paint(task).state for _ in range(3)] == ["painted", "there", "there"]
    assert fetched == ["memory://in/a.png"]
    assert Worker(QUICK.but(strength=0.5)).paint(task).state == "painted"
    assert worker.paint(task).state == "painted"
    fsspec.filesystem("memory").pipe_file("/in/a.png", store["/in/below/a.png"].getvalue())
    assert [worker.paint(task).state for _ in range(2)] == ["painted", "there"]
    fsspec.filesystem("memory").pipe_file("/out/a.png", Path("photos/a.png").read_bytes())
    assert "not made by impasto" in worker.paint(task).said


def test_photos_here_pictures_there_and_the_other_way_round():
    store, worker = up(), Worker(QUICK)
    for task in (
        Task("photos/a.png", ("mosaic",), "memory://out/a.png"),
        Task("memory://in/a.png", ("mosaic",), "out/a.png"),
    ):
        assert [worker.paint(task).state for _ in range(2)] == ["painted", "there"], task
    assert store["/out/a.png"].getvalue() == Path("out/a.png").read_bytes()
    paint(Path("photos/a.png"), 5)
    assert worker.paint(Task("photos/a.png", ("mosaic",), "memory://out/a.png")).state == "painted"


def test_photos_are_found_as_in_a_folder():
    up()
    here = [photo.name for photo in find("photos", Path("out"))]
    assert sorted(photo.name for photo in find("memory://in", "memory://out")) == sorted(here)
    assert find("memory://in/", "memory://in/below") == find("memory://in/*.*", "out")
    assert [photo.path for photo in find("memory://in/*/*.png", "out")] == [
        "memory://in/below/a.png"
    ]
    fsspec.filesystem("memory").pipe_file("/in/some.txt", b"below/a.png\n\nmemory://in/a.png\n")
    listed = [photo.path for photo in find("memory://in/some.txt", "out")]
    assert listed == ["memory://in/below/a.png", "memory://in/a.png"]
    assert find(f"file://{Path('photos').absolute()}", "out") == find(
        str(Path("photos").absolute()), "out"
    )
    for output in ("memory://in", "memory://"):
        with pytest.raises(OptionError, match="lie in the output folder"):
            find("memory://in", output)


def test_stores_that_cannot_be_used_are_one_line(run):
    up()
    for args in (
        ("memory://nothing", "-o", "memory://out"),
        ("memory://in/*.gif", "-o", "memory://out"),
        ("nowhere://in", "-o", "out"),
        ("photos", "-o", "nowhere://out"),
        ("memory://in", "-o", "memory://out", "--ray", "local"),
        ("memory://in", "-o", "out", "--watch"),
    ):
        code, out, err = run("batch", args[0], "mosaic", *args[1:], *TYPED)
        assert (code, out, err.count("\n"), err[:7]) == (2, "", 1, "error: "), (args, err)


def test_what_breaks_off_while_it_is_put_leaves_nothing_and_what_fails_once_is_tried_again(
    monkeypatch,
):
    Path("bucket").mkdir()
    shutil.copytree("photos", "bucket/photos")
    with slow_store(Path("bucket"), fails="a.png"):
        task = Task("slow://photos/a.png", ("mosaic",), "slow://out/a.png")
        assert Worker(QUICK).paint(task).state == "painted"
        tried = []

        def broken(self, lpath, rpath, **_):
            tried.append(rpath)
            (Path("bucket") / rpath).write_bytes(b"half")
            raise OSError(errno.EPIPE, "broken pipe")

        monkeypatch.setattr(SlowStore, "put_file", broken)
        other = Task(task.photo, task.styles, "slow://out/b.png")
        outcome = Worker(QUICK).paint(other)
        assert (outcome.state, outcome.last, len(tried)) == ("left out", False, stores.TRIES)
        assert "tried 3 times" in outcome.said

        def full(self, lpath, rpath, **_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(SlowStore, "put_file", full)
        assert Worker(QUICK).paint(other).last
    assert os.listdir("bucket/out") == ["a.png"]


def test_old_half_written_files_are_swept_from_a_store():
    for name, age in (("1", 0), ("2", 7200)):
        path = Path(f"bucket/out/.impasto-{name}.partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    with slow_store(Path("bucket")):
        stores.prepare("slow://out")
    assert os.listdir("bucket/out") == [".impasto-1.partial"]


def test_a_slow_store_is_not_waited_for():
    """Fetching and putting take ten times as long as painting, and the whole not twice as long."""

    class Quick(Worker):
        def _fetch(self, _):
            time.sleep(0.1)

        def _make(self, *_):
            time.sleep(0.02)

        def _put(self, _):
            time.sleep(0.1)
            return "painted"

    tasks = [Task(str(number), ("mosaic",), "") for number in range(30)]
    worker, begun = Quick(QUICK), time.perf_counter()
    outcomes = list(worker.outcomes(iter(tasks), ahead=16))
    assert time.perf_counter() - begun < 0.5 * len(tasks) * 0.22
    assert [outcome.task for outcome in outcomes] == tasks


def test_no_more_is_fetched_than_was_asked_for_and_what_is_made_is_put():
    taken, put = [], []

    class Quick(Worker):
        def _fetch(self, _):
            return None

        def _make(self, *_):
            return None

        def _put(self, each):
            time.sleep(0.01)
            put.append(each.task.photo)
            return "painted"

    def tasks():
        for number in range(50):
            taken.append(number)
            yield Task(str(number), ("mosaic",), "")

    outcomes = Quick(QUICK).outcomes(tasks(), ahead=4)
    first = next(outcomes)
    assert isinstance(first, Outcome)
    assert len(taken) <= 8, "backpressure"
    outcomes.close()
    assert len(put) == len(set(put)) <= 5


def test_ray_paints_from_a_slow_store_what_fails_included():
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'impasto[ray]'")
    for number in range(8):
        paint(Path(f"photos/{number:02}.png"), number)
    Path("bucket").mkdir()
    shutil.copytree("photos", "bucket/photos")
    with slow_store(Path("bucket"), 0.05, fails="03.png,05.png"):
        found = find("slow://photos", "slow://out")
        work = Batch(found, [("mosaic",)], "slow://out", QUICK)
        work.check()
        states = [
            (outcome.task.output, outcome.state)
            for outcome in outcomes_by_ray(QUICK, work.tasks(), "local", 2, engine.AHEAD)
        ]
    assert sorted(output for output, _ in states) == sorted(each.output for each in work.tasks())
    assert [state for _, state in states].count("left out") == 1, "the broken one"
    assert len(list(Path("bucket/out").rglob("*.png"))) == 10
    with pytest.raises(InputError, match="does not exist"):
        stores.fetch("memory://nothing/a.png", Path("x"))
