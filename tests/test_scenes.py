"""A film in parts: where it can be divided, that its frames stay the same, and what a kill costs."""

import os
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.apps import film as engine
from impasto.apps.film import FilmWork
from impasto.apps.ray_workers import scenes_by_ray
from impasto.errors import InputError
from impasto.film.opening import open_film
from impasto.film.scenes import scenes
from impasto.pictures.image import open_picture
from impasto.pictures.samples import sample
from impasto.settings import Settings

QUICK = Settings(method="arbitrary", size=96, device="cpu")
PLACES = ("coffee", "rocket", "cat")


@pytest.fixture(autouse=True)
def folder(workplace, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def pan(name: str, count: int) -> list[np.ndarray]:
    """A photo that is panned over."""
    photo = sample(name)
    boxes = [(20 + 2 * k, 20 + k, 260 + 2 * k, 180 + k) for k in range(count)]
    return [np.asarray(photo.resize((96, 64), box=box)) for box in boxes]


@pytest.fixture
def source() -> Path:
    """A film of three scenes, of 4, 3 and 5 frames, as a folder."""
    path = Path("frames")
    path.mkdir()
    frames = [
        frame for name, count in zip(PLACES, (4, 3, 5), strict=True) for frame in pan(name, count)
    ]
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"f{number:02}.png")
    return path


def work(output: str, **more) -> FilmWork:
    found = FilmWork(Path("frames"), ["mosaic"], Path(output), more.pop("settings", QUICK), **more)
    found.check()
    return found


def paint(film: FilmWork, *part: int) -> list[tuple[int, str]]:
    return [(step.step, step.note) for step in film.paint(*part)]


def bytes_of(folder: str) -> dict[str, bytes]:
    return {path.name: Image.open(path).tobytes() for path in Path(folder).glob("f*.png")}


def test_scenes_are_what_lies_between_cuts(source):
    assert list(work("out").scenes()) == [(1, 4), (5, 7), (8, 12)]
    still = [open_picture(frame).image for frame in pan("coffee", 1) * 3]
    assert list(scenes(still)) == [(1, 3)]
    assert list(scenes([torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 40)])) == [(1, 1), (2, 2)]
    assert list(scenes([])) == []


@pytest.mark.parametrize(
    "settings",
    [QUICK, Settings(size=64, steps=2, device="cpu")],
    ids=["arbitrary", "optimize"],
)
def test_scene_by_scene_in_any_order_a_film_is_the_same_film(source, settings):
    film = work("whole", settings=settings)
    assert len(paint(film)) == 12
    parts = work("parts", settings=settings)
    for first, last in reversed(list(parts.scenes())):
        assert paint(parts, first, last) == [(k, "") for k in range(first, last + 1)]
    assert bytes_of("parts") == bytes_of("whole")


def test_frames_painted_apart_are_divided_anywhere(source, monkeypatch):
    monkeypatch.setattr(engine, "PIECE", 5)
    film = work("parts", apart=True)
    assert list(film.scenes()) == [(1, 5), (6, 10), (11, 12)]
    paint(work("whole", apart=True))
    for first, last in film.scenes():
        paint(work("parts", apart=True), first, last)
    assert bytes_of("parts") == bytes_of("whole")


def test_what_one_way_has_painted_the_other_goes_on_from(source):
    paint(work("whole"))
    film = work("out")
    for _ in zip(range(2), film.paint(5, 7), strict=False):
        pass
    for _ in zip(range(2), film.paint(), strict=False):
        pass
    assert film.frames.count == 4
    assert [(run.first, run.last) for run in film.frames.runs()] in (
        [(1, 2), (5, 6)],
        [(5, 6), (1, 2)],
    )
    # One process jumps over what a worker has painted of a scene, and paints the rest.
    found = paint(work("out"))
    assert found[:2] == [(2, "there"), (3, "")]
    assert [number for number, note in found if note == "there"] == [2, 6]
    assert [number for number, note in found if not note] == [3, 4, 7, 8, 9, 10, 11, 12]
    assert bytes_of("out") == bytes_of("whole")
    assert film.frames.count == 12
    assert paint(work("out"), 8, 12) == [(12, "there")], "and a worker what one process has"


def test_frames_that_were_asked_for_otherwise_do_not_stay(source):
    film = FilmWork(Path("frames"), ["mosaic"], Path("out.webp"), QUICK)
    film.check()
    paint(film)
    other = FilmWork(Path("frames"), ["waves"], Path("out.webp"), QUICK)
    other.check()
    next(other.paint())
    assert [path.name for path in Path("out.webp.frames").glob("*.png")] == ["00000001.png"]
    paint(other)
    other.finish()
    assert len(list(open_film(Path("out.webp")).frames())) == 12, "a folder becomes a film"


def test_read_gives_what_dump_said(source, monkeypatch):
    Image.fromarray(pan("cat", 1)[0]).save("mine.png")
    film = FilmWork(Path("frames"), ["mine.png", "waves"], Path("out"), QUICK, rate=Fraction(24, 7))
    told = film.dump()
    monkeypatch.chdir("/")
    again = FilmWork.read(told)
    assert again.source == film.source.absolute() or again.source.is_dir()
    assert Path(again.styles[0]).is_file()
    assert (again.styles[1], again.rate, again.settings) == ("waves", Fraction(24, 7), QUICK)


def test_by_ray_a_film_is_the_same_film_and_a_worker_killed_costs_nothing(source):
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'impasto[ray]'")
    paint(work("whole"))
    film, stamps = work("out"), {}
    for count, _ in scenes_by_ray(film, "local", 2):
        if count >= 1 and not stamps:
            kept = [run.last for run in film.frames.runs()]
            names = [f"f{number - 1:02}.png" for number in kept]
            stamps = {name: (Path("out") / name).stat().st_mtime_ns for name in names}
            for pid in filmers():
                os.kill(pid, signal.SIGKILL)
    assert count == 12
    assert bytes_of("out") == bytes_of("whole")
    assert {name: (Path("out") / name).stat().st_mtime_ns for name in stamps} == stamps
    assert list(scenes_by_ray(work("out"), "local", 1)) == [], "all is there"


def filmers() -> list[int]:
    """The processes of this Ray that paint scenes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::_Filmer" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_a_film_without_frames_is_refused_before_ray(monkeypatch):
    Path("empty").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        FilmWork(Path("empty"), ["mosaic"], Path("out"), QUICK).check()
