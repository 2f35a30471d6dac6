"""Films: laws of what moves, frames that agree, files in and out, and stopping in the middle."""

import itertools
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.apps import painted_frames
from impasto.apps.cli.recipe import command
from impasto.apps.film import FilmWork
from impasto.errors import InputError, OptionError
from impasto.film.following import DRAWN, Following, drawn, match
from impasto.film.frames import FilmFrame
from impasto.film.occlusion import agreement, trusted, warp
from impasto.film.opening import film_recipe, open_film
from impasto.film.scores import film_scores
from impasto.film.stills import Animation, FolderFilm
from impasto.film.writing import write_film
from impasto.losses.temporal import temporal_term
from impasto.methods.base import Before, Frame
from impasto.networks.held import HeldMoments
from impasto.networks.instance_norm import conditional_instance_norm, moments_from
from impasto.pictures.image import open_picture, save_picture
from impasto.pictures.samples import sample
from impasto.pipeline import plan
from impasto.settings import Settings

SIZE = (160, 96)
QUICK = Settings(method="arbitrary", size=160, device="cpu")


@pytest.fixture(autouse=True)
def folder(workplace):
    return workplace


def clip(count: int, size: tuple[int, int] = SIZE, first: int = 0) -> list[np.ndarray]:
    """A photo panned and zoomed, and a cat's face that moves across it."""
    photo, (width, height) = sample("coffee"), size
    face = sample("cat").crop((120, 20, 330, 230)).resize((height // 3, height // 3))
    y, x = np.mgrid[: height // 3, : height // 3] - height / 6
    disc = Image.fromarray(((np.hypot(x, y) < height / 6 - 1) * 255).astype(np.uint8))
    frames = []
    for number in range(first, first + count):
        wide = min(440, 370 * width / height) * (1 - 0.003 * number)
        left, top = 10 + 3 * number, 10 + number
        box = (left, top, left + wide, top + wide * height / width)
        frame = photo.resize(size, Image.Resampling.BICUBIC, box=box)
        frame.paste(face, (width // 10 + 2 * number, height // 2 - number), disc)
        frames.append(np.asarray(frame))
    return frames


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return open_picture(pixels).image


def save(frames: list[np.ndarray], path: Path) -> Path:
    """As a folder of frames, or an animation."""
    if not path.suffix:
        path.mkdir()
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(path / f"f{number}.png")
        return path
    first, *others = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=others, duration=40, loop=0, lossless=True)
    return path


# ------------------------------------------------------------------------------------------ movement


def test_a_warp_by_whole_pixels_is_a_shift_and_by_nothing_the_same_bits():
    image = torch.rand(1, 3, 20, 30)
    assert torch.equal(warp(image, torch.zeros(1, 2, 20, 30)), image)
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 20, 30)
    moved = warp(image, flow)
    assert torch.allclose(moved[..., 2:, :-3], image[..., :-2, 3:], atol=1e-5)


def test_what_was_hidden_moves_apart_or_comes_in_is_not_trusted():
    still = torch.zeros(1, 2, 40, 60)
    assert trusted(still, still).min() == 1
    right = torch.zeros(1, 2, 40, 60)
    right[:, 0] = 4.0
    seen = trusted(-right, right)
    # Everything came from 4 px to the left: the first columns from outside.
    assert seen[..., :3].max() == 0
    assert seen[..., 5:].min() == 1
    # A square that moved right by 8 px uncovers what lies behind its left edge.
    back, forward = torch.zeros(1, 2, 40, 60), torch.zeros(1, 2, 40, 60)
    back[:, 0, 10:30, 28:48] = -8
    forward[:, 0, 10:30, 20:40] = 8
    seen = trusted(back, forward)[0, 0]
    assert seen[12:28, 21:27].max() == 0, "uncovered"
    assert seen[12:28, 31:45].min() == 1, "the square itself"
    assert seen[:, 52:].min() == 1
    assert seen[15, 27] == seen[15, 28] == 0, "its boundary"


def test_flow_finds_a_pan_and_nothing_where_nothing_moves():
    frame = tensor(clip(1)[0])
    back, trust = match(frame, frame)
    assert back.abs().max() == 0
    assert trust.min() == 1
    moved = frame.roll(3, dims=3)
    back, trust = match(moved, frame)
    assert (back[..., 10:-10, 20:-20] - torch.tensor([-3.0, 0]).view(1, 2, 1, 1)).abs().mean() < 0.2
    assert trust[..., 10:-10, 20:-20].mean() > 0.9


def test_unlike_colours_do_not_agree():
    frame = torch.rand(1, 3, 16, 16)
    assert torch.equal(agreement(frame, frame), torch.ones(1, 1, 16, 16))
    assert agreement(frame, (frame + 0.5) % 1).max() < 1e-3


# ----------------------------------------------------------------------------------------- agreement


def test_held_statistics_are_the_running_mean_of_the_frames():
    torch.manual_seed(0)
    frames, held = [torch.randn(1, 5, 12, 16) * (k + 1) + k for k in range(4)], HeldMoments(0.75)
    scale, shift = torch.rand(1, 5), torch.rand(1, 5)
    mean = variance = None
    for x in frames:
        held.begin()
        with moments_from(held):
            y = conditional_instance_norm(x, scale, shift)
        own = x.double().mean((0, 2, 3)), x.double().var((0, 2, 3), correction=0)
        mean = own[0] if mean is None else 0.75 * mean + 0.25 * own[0]
        variance = own[1] if variance is None else 0.75 * variance + 0.25 * own[1]
        expected = (x.double() - mean.view(-1, 1, 1)) / (variance + 1e-5).sqrt().view(-1, 1, 1)
        expected = expected * scale[0].view(-1, 1, 1) + shift[0].view(-1, 1, 1)
        assert torch.allclose(y.double(), expected, atol=1e-4)
    own = conditional_instance_norm(x, scale, shift)
    assert not torch.allclose(own, y, atol=0.1), "outside, a picture has its own statistics"
    held.reset()
    with moments_from(held):
        assert torch.allclose(conditional_instance_norm(x, scale, shift), own, atol=1e-5)


def test_held_statistics_of_one_frame_again_are_the_same_bits():
    x, held = torch.randn(1, 5, 12, 16), HeldMoments()
    first = held(x)
    for _ in range(3):
        held.begin()
        assert all(map(torch.equal, held(x), first))


def test_the_temporal_term_is_the_papers():
    x, before, trust = torch.rand(1, 3, 5, 7), torch.rand(1, 3, 5, 7), torch.rand(1, 1, 5, 7)
    term = temporal_term(before, trust, 2.0)
    expected = sum(
        trust[0, 0, i, j].double() * (x[0, c, i, j].double() - before[0, c, i, j]) ** 2
        for c in range(3)
        for i in range(5)
        for j in range(7)
    ) / (3 * 5 * 7)
    assert term.loss({}, x).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_picture_is_drawn_only_where_the_one_before_is_trusted_and_keeps_its_contrast():
    torch.manual_seed(0)
    picture, before = (0.5 + 0.1 * torch.randn(1, 3, 64, 64) for _ in range(2))
    trust = torch.zeros(1, 1, 64, 64)
    assert torch.allclose(drawn(picture, Before(before, trust)), picture, atol=1e-5)
    trust[:] = 1
    found = drawn(picture, Before(before, trust))
    assert (found - before).abs().mean() < 0.5 * (found - picture).abs().mean()
    plain = torch.lerp(picture, before, DRAWN)
    assert plain.std() < 0.9 * picture.std()
    assert found.std() == pytest.approx(picture.std().item(), rel=0.05)


def following(settings: Settings, between: int, frame: np.ndarray) -> tuple[Following, Following]:
    """What paints a film, and what paints its frames apart."""
    count = "refine" if settings.refine else "steps"
    fewer = settings if settings.method == "arbitrary" else settings.but(**{count: between})
    first, then = (plan(frame, ["night-swirl"], each).renderer for each in (settings, fewer))
    return Following(first, then, honoured=settings.method == "optimize"), first


def painted(renderer, frames) -> list[torch.Tensor]:
    found = []
    for frame in frames:
        *_, step = renderer.render(Frame(tensor(frame)))
        found.append(step.whole(*frame.shape[:2]))
    return found


class Shown:
    """Frames that are at hand, as a film."""

    path, count, rate, tick, notes = Path("shown"), None, Fraction(25), Fraction(1, 25), []

    def __init__(self, pictures) -> None:
        self.pictures = pictures

    def frames(self):
        for picture in self.pictures:
            pixels = picture
            if isinstance(picture, torch.Tensor):
                pixels = (picture[0].permute(1, 2, 0) * 255).round().byte().numpy()
            yield FilmFrame(pixels, Fraction(0))


@pytest.mark.parametrize(
    "settings", [QUICK, Settings(size=64, steps=6, device="cpu")], ids=["arbitrary", "optimize"]
)
def test_frames_agree_at_least_twice_as_well_as_painted_apart(settings):
    frames = clip(2, (settings.size, settings.size * 3 // 4))
    film, apart = following(settings, 2, frames[0])
    ours, theirs = (
        film_scores(Shown(frames), Shown(painted(each, frames))) for each in (film, apart)
    )
    assert ours["warp error"] ** 2 < 0.5 * theirs["warp error"] ** 2


def test_a_still_film_is_one_picture_and_grain_does_not_make_it_crawl():
    frame = clip(1)[0]
    film, apart = following(QUICK, 1, frame)
    first, *others = painted(film, [frame] * 3)
    assert all(torch.equal(first, other) for other in others)
    random = np.random.default_rng(0)
    grainy = [
        np.clip(frame + random.normal(0, 3, frame.shape), 0, 255).astype(np.uint8) for _ in range(4)
    ]
    film, apart = following(QUICK, 1, frame)
    ours, theirs = (
        film_scores(Shown([frame] * 4), Shown(painted(each, grainy))) for each in (film, apart)
    )
    assert ours["flicker"] < 0.5 * theirs["flicker"]


def test_a_cut_starts_anew_and_a_pan_does_not():
    one, two = clip(2), [np.asarray(sample("rocket").resize(SIZE))]
    film, _ = following(QUICK, 1, one[0])
    *_, after = painted(film, [*one, *two])
    film, _ = following(QUICK, 1, one[0])
    (alone,) = painted(film, two)
    assert torch.equal(after, alone)
    film, _ = following(QUICK, 1, one[0])
    _, second = painted(film, one)
    film, _ = following(QUICK, 1, one[0])
    assert not torch.equal(second, painted(film, one[1:])[0])


def test_scores_of_a_shifted_film_are_nothing_and_frames_have_to_pair():
    frame = clip(1, (192, 128))[0]
    pan = [np.roll(frame, 4 * k, axis=1) for k in range(3)]
    scores = film_scores(Shown(pan), Shown(pan))
    assert scores["warp error"] < 2
    assert scores["frames"] == 3
    noise = [np.random.default_rng(k).integers(0, 256, frame.shape, np.uint8) for k in range(3)]
    assert film_scores(Shown(pan), Shown(noise))["warp error"] > 20
    with pytest.raises(InputError, match="only one frame"):
        film_scores(Shown(pan[:1]), Shown(pan))
    with pytest.raises(InputError, match="proportions"):
        film_scores(Shown(pan), Shown([each[:64] for each in pan]))


# -------------------------------------------------------------------------------------------- files


def write(path: Path, frames, times=None, source=None, codec=None, pix_fmt=None) -> Path:
    """A video, by PyAV itself where a codec is named."""
    from impasto.film.video import VideoWriter

    times = times or [Fraction(k, 24) for k in range(len(frames))]
    if codec is None:
        with VideoWriter(
            path, path.suffix, rate=Fraction(24), tick=Fraction(1, 24000), source=source
        ) as film:
            for pixels, time in zip(frames, times, strict=True):
                film.write(FilmFrame(pixels, time))
        return path
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=24, options={"crf": "8"})
        height, width = frames[0].shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for pixels in frames:
            form = "rgba" if pixels.shape[2] == 4 else "rgb24"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=form)))
        out.mux(stream.encode(None))
    return path


@pytest.fixture
def sound(folder) -> Path:
    """Half a second of a tone, alone in a file."""
    import av

    path, tone = Path("sound.mka"), np.sin(np.arange(24000) * 0.06)[None].astype(np.float32)
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("flac", rate=48000)
        for start in range(0, 24000, 4096):
            part = (tone[:, start : start + 4096] * 8000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.rate, frame.pts = 48000, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_film_comes_back_with_its_times_its_colours_and_its_sound(suffix, sound):
    import av

    times = [Fraction(k, 24) + (Fraction(1, 48) if k > 2 else 0) for k in range(5)]
    frames = [np.full((48, 65, 3), colour, np.uint8) for colour in [(200, 60, 30)] * 5]
    film = open_film(write(Path(f"a{suffix}"), frames, times, sound))
    found = list(film.frames())
    assert [float(each.time) for each in found] == pytest.approx([*map(float, times)], abs=0.001)
    assert found[0].pixels.shape == (48, 64, 3), "even sides"
    assert np.abs(found[2].pixels[20:28, 20:40].astype(int) - [200, 60, 30]).max() <= 4
    with av.open(str(film.path)) as container:
        heard = sum(frame.samples for frame in container.decode(container.streams.audio[0]))
    assert heard == pytest.approx(24000, abs=2500)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".gif", ".webp"])
def test_a_film_tells_its_recipe_and_the_command_that_makes_it_again(suffix):
    source = open_film(save(clip(2, (64, 48)), Path("clip.webp")))
    recipe = {
        "content": {"kind": "file"},
        "styles": [{"name": "waves"}],
        "film": {"between": 3},
        "method": "arbitrary",
        "size": 64,
        "größe": "x" * 400,
    }
    path = Path(f"a{suffix}")
    write_film(path, source.frames(), source, recipe)
    assert film_recipe(path) == recipe
    line = command(film_recipe(path), f"b{suffix}")
    assert line == f"impasto film PHOTO waves -o b{suffix} --between 3 --method arbitrary --size 64"


def test_a_folder_of_frames_tells_its_recipe():
    recipe = {"content": {"kind": "file"}, "film": {"apart": True}}
    Path("frames").mkdir()
    save_picture("frames/f1.png", torch.zeros(1, 3, 16, 16), recipe=recipe)
    assert film_recipe(Path("frames")) == recipe
    assert film_recipe(save(clip(1), Path("others"))) is None


def test_films_are_turned_upright():
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:16, :24] = 255  # the upper left quarter
    data = bytearray(write(Path("a.mp4"), [frame] * 3).read_bytes())
    # The matrix in the track's header (ISO 14496-12, 8.3.2), for a quarter turn clockwise.
    at = data.index(b"tkhd") + 44
    one = 1 << 16
    matrix = [0, one, 0, -one % 2**32, 0, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(each.to_bytes(4, "big") for each in matrix)
    Path("turned.mp4").write_bytes(data)
    pixels = next(open_film(Path("turned.mp4")).frames()).pixels
    assert pixels.shape == (48, 32, 3)
    bright = pixels[:24, 16:].mean(), pixels[:24, :16].mean(), pixels[24:].mean()
    assert bright[0] > 200, "upper right"
    assert max(bright[1:]) < 40


def test_ten_bits_and_transparency_are_read():
    frames = clip(2, (64, 48))
    film = open_film(write(Path("deep.mkv"), frames, codec="libx264", pix_fmt="yuv420p10le"))
    assert film.notes == ["10 bits a channel painted in 8"]
    assert np.abs(next(film.frames()).pixels.astype(int) - frames[0]).mean() < 8
    veiled = [np.dstack([each, np.full((48, 64), 128, np.uint8)]) for each in frames]
    film = open_film(write(Path("veiled.mov"), veiled, codec="qtrle", pix_fmt="argb"))
    assert np.array_equal(next(film.frames()).pixels, veiled[0])
    assert np.array_equal([*Animation(save(veiled, Path("a.webp"))).frames()][1].pixels, veiled[1])


def test_broken_packets_are_left_out_and_said():
    path = write(Path("a.mkv"), clip(12), codec="libx264", pix_fmt="yuv420p")
    import av

    with av.open(str(path)) as source, av.open("b.mkv", "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if not packet.size:  # what ends a stream
                continue
            if number == 5:
                broken = av.Packet(b"\xff" * packet.size)
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
            sent = broken if number == 5 else packet
            sent.stream = stream
            out.mux(sent)
    film = open_film(Path("b.mkv"))
    assert 6 <= len(list(film.frames())) <= 12
    assert film.notes == ["1 broken packet left out"]


def test_what_is_no_film_is_refused_in_one_line(run, sound):
    Path("text.mp4").write_text("no film")
    Path("empty").mkdir()
    Image.new("RGB", (32, 32)).save("still.gif")
    save(clip(2), Path("frames"))
    Path("full").mkdir()
    Path("full/mine.txt").write_text("")
    for source, output in (
        ("text.mp4", "out.mp4"),
        ("missing.mp4", "out.mp4"),
        (str(sound), "out.mp4"),
        ("empty", "out.mp4"),
        ("still.gif", "out.mp4"),
        ("frames", "out.xyz"),
        ("frames", "nowhere/out.mp4"),
        ("frames", "text.mp4/out.mp4"),
        ("frames", "full"),
        ("frames", "frames"),
    ):
        code, out, err = run("film", source, "mosaic", "-o", output, "--method", "arbitrary")
        assert (code, out, err.count("\n"), err[:7]) == (2, "", 1, "error: "), (source, err)
    with pytest.raises(OptionError, match="has one"):
        FilmWork(Path("frames"), ["mosaic"], Path("o.gif"), QUICK, between=3).check()


def test_frames_of_a_folder_come_by_number_and_an_animation_at_its_pace():
    frames = clip(11, (32, 32))
    film = FolderFilm(save(frames, Path("frames")), Fraction(10))
    found = list(film.frames())
    assert [each.name for each in found] == [f"f{k}" for k in range(11)]
    assert [each.time for each in found] == [Fraction(k, 10) for k in range(11)]
    animation = Animation(save(frames, Path("a.webp")))
    found = list(animation.frames())
    assert [each.time for each in found] == [Fraction(k, 25) for k in range(11)]
    assert np.array_equal(found[7].pixels, frames[7])


# -------------------------------------------------------------------------------------------- whole


def test_a_stopped_film_goes_on_to_the_same_frames(monkeypatch):
    source = save(clip(5), Path("frames"))
    whole = FilmWork(source, ["mosaic"], Path("whole"), QUICK)
    whole.check()
    assert [step.step for step in whole.paint()] == [1, 2, 3, 4, 5]
    stopped = FilmWork(source, ["mosaic"], Path("stopped"), QUICK)
    stopped.check()
    for _ in itertools.islice(stopped.paint(), 3):
        pass
    again = FilmWork(source, ["mosaic"], Path("stopped"), QUICK)
    again.check()
    steps = list(again.paint())
    assert [step.step for step in steps] == [3, 4, 5]
    assert steps[0].note == "there"
    for number in range(5):
        one, other = (Image.open(Path(name) / f"f{number}.png") for name in ("whole", "stopped"))
        assert one.tobytes() == other.tobytes(), number
    anew = replace(again, settings=QUICK.but(strength=0.5))
    assert [step.step for step in anew.paint()] == [1, 2, 3, 4, 5], "asked for otherwise"


def test_no_room_is_one_line_and_what_is_done_stays(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    work = FilmWork(save(clip(3), Path("frames")), ["mosaic"], Path("out"), QUICK)
    work.check()
    steps = work.paint()
    next(steps)
    with monkeypatch.context() as patch:
        patch.setattr(painted_frames, "save_file", full)
        with pytest.raises(InputError, match="make room"):
            next(steps)
    work = FilmWork(Path("frames"), ["mosaic"], Path("out"), QUICK)
    assert [(step.step, step.note) for step in work.paint()] == [(1, "there"), (2, ""), (3, "")]


@pytest.mark.parametrize(("asked", "size"), [("original", (48, 32)), ("2x", (96, 64))])
def test_a_size_may_be_a_multiple_of_the_films(run, asked, size):
    save(clip(1, (48, 32)), Path("frames"))
    line = ("film", "frames", "mosaic", "-o", "out", "--method", "arbitrary", "--size", asked)
    assert run(*line)[0] == 0
    with Image.open(next(Path("out").glob("*.png"))) as frame:
        assert frame.size == size


def test_the_command_paints_scores_and_cleans_up(run, sound):
    source = write(Path("clip.mp4"), clip(4, (96, 64)), source=sound)
    typed = ("--method", "arbitrary", "--size", "96")
    assert run("film", str(source), "mosaic", "-o", "out.mp4", *typed)[:2] == (0, "out.mp4\n")
    assert run("film", str(source), "mosaic", "-o", "apart.gif", "--apart", *typed)[0] == 0
    assert not list(Path().glob("*.frames"))
    assert len(list(open_film(Path("out.mp4")).frames())) == 4
    code, out, _ = run("score", str(source), "mosaic", "out.mp4", "apart.gif", "--film", "--json")
    original, ours, theirs = (each["scores"]["warp error"] for each in json.loads(out))
    assert code == 0
    assert original < ours < theirs
