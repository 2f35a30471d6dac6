"""Films that are not as one would wish: what is said of them, in one line, and what is painted."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.apps.film import FilmWork
from impasto.errors import InputError
from impasto.film import writing
from impasto.film.opening import open_film
from impasto.pictures.samples import sample
from impasto.settings import Settings

QUICK = Settings(method="arbitrary", size=64, device="cpu")


@pytest.fixture(autouse=True)
def folder(workplace):
    return workplace


def pan(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    photo = sample("coffee")
    boxes = [(20 + 2 * k, 20 + k, 260 + 2 * k, 200 + k) for k in range(count)]
    return [np.asarray(photo.resize(size, box=box)) for box in boxes]


def video(path: str, frames, codec="libx264", pixels="yuv420p", milliseconds=None) -> Path:
    import av

    with av.open(path, "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        times = milliseconds or range(0, 40 * len(frames), 40)
        for each, time in zip(frames, times, strict=True):
            form = "rgba" if each.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(each, format=form)
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return Path(path)


def stills(path: str, frames) -> Path:
    Path(path).mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(Path(path) / f"{number}.png")
    return Path(path)


def paint(source: Path, output: str) -> tuple[list[int], list[str]]:
    """The numbers of the frames that were painted, and what was said in the end."""
    film = FilmWork(source, ["mosaic"], Path(output), QUICK)
    film.check()
    painted = [step.step for step in film.paint() if step.note != "there"]
    return painted, film.finish()


def veiled(frames, alphas) -> list[np.ndarray]:
    pairs = zip(frames, alphas, strict=True)
    return [np.dstack([each, np.full(each.shape[:2], alpha, np.uint8)]) for each, alpha in pairs]


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size", "said"),
    [
        ("deep.mkv", "libx264", "yuv420p10le", (64, 48), "10 bits a channel painted in 8"),
        ("odd.mkv", "libx264", "yuv444p", (64, 47), "cut to 64x46: video has even sides"),
        ("grey.mkv", "ffv1", "gray", (64, 48), ""),
        (
            "veil.mov",
            "qtrle",
            "argb",
            (64, 48),
            "video is written without transparency: laid on white",
        ),
    ],
)
def test_each_kind_of_film_is_painted_with_its_times(name, codec, pixels, size, said):
    frames = pan(3, size)
    frames = veiled(frames, [128] * 3) if "argb" in pixels else frames
    source = video(name, frames, codec, pixels)
    painted, notes = paint(source, "out.mp4")
    assert (painted, "".join(notes)) == ([1, 2, 3], said)
    found = list(open_film(Path("out.mp4")).frames())
    assert [each.time for each in found] == [each.time for each in open_film(source).frames()]
    assert found[0].pixels.shape == (size[1] // 2 * 2, size[0] // 2 * 2, 3)


def test_times_that_are_not_regular_are_kept_and_nothing_is_said_of_them():
    times = [0, 40, 50, 300, 310, 900]
    source = video("a.mkv", pan(6), milliseconds=times)
    assert paint(source, "out.mkv") == ([1, 2, 3, 4, 5, 6], [])
    found = [each.time for each in open_film(Path("out.mkv")).frames()]
    assert found == [Fraction(each, 1000) for each in times]


def test_a_frame_of_which_nothing_is_seen_stays_so_and_divides_scenes():
    source = stills("frames", veiled(pan(6), [0, 255, 255, 0, 0, 255]))
    painted, _ = paint(source, "out")
    assert painted == [1, 2, 3, 4, 5, 6]
    alphas = [Image.open(f"out/{k}.png").convert("RGBA").getchannel("A") for k in range(6)]
    assert [each.getextrema() for each in alphas] == [(a, a) for a in (0, 255, 255, 0, 0, 255)]
    parts = FilmWork(source, ["mosaic"], Path("parts"), QUICK)
    parts.check()
    assert list(parts.scenes()) == [(1, 1), (2, 3), (4, 5), (6, 6)]
    for first, last in reversed(list(parts.scenes())):
        list(parts.paint(first, last))
    for number in range(6):
        one, other = (Image.open(f"{each}/{number}.png") for each in ("out", "parts"))
        assert one.tobytes() == other.tobytes(), number
    again = FilmWork(source, ["mosaic"], Path("out"), QUICK)
    assert [(step.step, step.note) for step in again.paint()] == [(6, "there")]
    nothing = stills("nothing", veiled(pan(2), [0, 0]))
    with pytest.raises(InputError, match="transparent all over"):
        paint(nothing, "none.mp4")


def test_what_is_cut_short_is_said_and_painted_as_far_as_it_goes():
    data = video("a.mkv", pan(50)).read_bytes()
    Path("cut.mkv").write_bytes(data[: len(data) // 2])
    painted, notes = paint(Path("cut.mkv"), "out.mp4")
    assert 1 <= len(painted) < 40
    assert [note.endswith("of 2.0: is it cut short?") for note in notes] == [True]
    data = video("a.mp4", pan(3)).read_bytes()
    Path("cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="not a film that can be read"):
        paint(Path("cut.mp4"), "out.mp4")


def test_broken_pictures_of_a_folder_are_left_out_and_said():
    source = stills("frames", pan(4))
    Path("frames/1.png").write_bytes(b"no picture")
    painted, notes = paint(source, "out.mp4")
    assert painted == [1, 2, 3]
    assert notes == ["1 broken pictures left out, the first is 1.png"]
    times = [each.time for each in open_film(Path("out.mp4")).frames()]
    assert times == [Fraction(k, 25) for k in (0, 2, 3)]
    for path in source.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="no picture in frames can be read"):
        paint(source, "none.mp4")


def test_frames_of_another_size_are_said_where_they_come_and_can_be_a_folder():
    frames = pan(4)
    source = stills("frames", [*frames[:2], frames[2].transpose(1, 0, 2), frames[3]])
    with pytest.raises(InputError, match="frame 3 is not 64x48 like the first"):
        paint(source, "out.mp4")
    assert len(list(Path("out.mp4.frames").glob("*.png"))) == 2
    assert paint(source, "out")[0] == [1, 2, 3, 4]
    assert Image.open("out/2.png").size == (48, 64)


@pytest.mark.parametrize("size", [(8, 8), (480, 18)])
def test_frames_that_are_too_small_are_called_by_their_number(size):
    with pytest.raises(InputError, match=r"^frame 1 of frames (is|would be) "):
        paint(stills("frames", pan(2, size)), "out")


def test_no_room_for_the_film_is_said_and_its_frames_stay(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    source = stills("frames", pan(2))
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_video", full)
        with pytest.raises(InputError, match=r"cannot write out.mp4 \(No space left on device\)"):
            paint(source, "out.mp4")
    assert not Path("out.mp4").exists()
    assert paint(source, "out.mp4")[0] == []
    assert [path.name for path in Path().glob("out*")] == ["out.mp4"]
