"""The studio's engine: the queue's laws, and files that mean harm or are merely broken."""

import json
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.apps.studio.engine import BusyError, Engine, Glimpse, Order, Ticket
from impasto.apps.studio.limits import Limits, TooLargeError, Upload, open_upload
from impasto.errors import ImpastoError
from impasto.networks.checkpoint import load_network, save_painter
from impasto.pictures.samples import sample
from impasto.pipeline import stylize
from impasto.settings import Settings

LIMITS = Limits(waiting=16, steps=1_000_000)
ENDLESS = 1_000_000  # steps
CAT = Upload(sample("cat"), "cat.png", "0" * 64)
PAINTING = Upload(sample("coffee").resize((96, 64)), "coffee.png")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine("cpu", LIMITS) as engine:
        yield engine


@pytest.fixture(scope="module")
def learned(engine: Engine) -> str:
    return next(card.name for card in engine.styles() if card.learned and not card.sample)


def small(style: str | Upload, **options: object) -> Order:
    return Order(CAT, (style,), Settings(**{"size": 64, **options}))  # type: ignore[arg-type]


def last(ticket: Ticket) -> Glimpse:
    *_, end = ticket
    assert end.done
    return end


def begun(ticket: Ticket, step: int = 2) -> Iterator[Glimpse]:
    """Its glimpses, that far on the way."""
    glimpses = iter(ticket)
    while next(glimpses).step < step:
        pass
    return glimpses


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.tobytes() == other.tobytes()


# ------------------------------------------------------------------------------------------- pictures


def test_a_learned_style_is_painted_as_the_package_does(engine: Engine, learned: str) -> None:
    asked = small(learned, strength=0.6, keep_color="luminance", recipe="full")
    end = last(engine.place(asked))
    alone = stylize(
        CAT.image,
        learned,
        method="fast",
        strength=0.6,
        keep_color="luminance",
        size=64,
        device="cpu",
    )
    assert end.image is not None
    assert same(end.image, alone)
    assert end.recipe is not None
    recipe = json.loads(json.dumps(dict(end.recipe)))
    assert recipe["content"] == {"name": "cat.png", "sha256": "0" * 64}
    assert recipe["styles"] == [{"name": learned}]
    assert (recipe["steps_done"], recipe["method"]) == (1, "fast")
    assert "unfinished" not in recipe


def test_a_painting_is_read_and_all_weight_on_one_is_that_one(engine: Engine) -> None:
    alone = stylize(CAT.image, PAINTING.image, method="arbitrary", size=64, device="cpu")
    both = Order(CAT, (PAINTING, Upload(sample("rocket"))), Settings(blend=(1.0, 0.0), size=64))
    for order in (small(PAINTING), both):
        image = last(engine.place(order)).image
        assert image is not None
        assert same(image, alone)


def test_refining_shows_the_picture_on_the_way(engine: Engine) -> None:
    glimpses = list(engine.place(small(PAINTING, refine=8)))
    steps = [glimpse.step for glimpse in glimpses]
    assert steps == sorted(steps)
    assert steps[-1] == glimpses[-1].of == 8
    assert [glimpse.done for glimpse in glimpses] == [False] * (len(glimpses) - 1) + [True]
    assert all(glimpse.image is not None for glimpse in glimpses if glimpse.step)
    assert glimpses[-1].losses["total"] > 0


def test_a_slow_reader_sees_the_latest_and_the_last(engine: Engine) -> None:
    ticket = engine.place(small(PAINTING, refine=5))
    glimpses = iter(ticket)
    next(glimpses)
    ticket.result.result()
    assert [glimpse.step for glimpse in glimpses] == [5]


def test_thumbnails_are_painted_once(engine: Engine, learned: str) -> None:
    thumbnail = engine.thumbnail(learned)
    assert max(thumbnail.size) == 160
    assert same(thumbnail, engine.thumbnail(learned))
    with pytest.raises(ImpastoError, match="no style called"):
        engine.thumbnail("../x")


# ---------------------------------------------------------------------------------------------- queue


def test_twenty_at_once_are_answered_or_refused_and_none_is_lost(learned: str) -> None:
    with Engine("cpu", LIMITS) as engine, ThreadPoolExecutor(20) as people:
        at_work = engine.place(small(PAINTING, refine=ENDLESS))
        glimpses = begun(at_work)
        gate = threading.Barrier(20)

        def ask(number: int) -> tuple[int, Ticket | BusyError]:
            gate.wait()
            try:
                # Sizes tell whose picture it is.
                return number, engine.place(small(learned, size=60 + number))
            except BusyError as error:
                return number, error

        answers = list(people.map(ask, range(20)))
        refused = [answer for _, answer in answers if isinstance(answer, BusyError)]
        assert [str(error) for error in refused] == [
            "the studio is busy: 16 pictures are waiting; try again in a moment"
        ] * 4
        at_work.stop()
        assert list(glimpses)[-1].done
        for number, answer in answers:
            if isinstance(answer, Ticket):
                image = last(answer).image
                assert image is not None
                assert max(image.size) == 60 + number


def test_first_come_first_served_and_everyone_knows_their_place(
    engine: Engine, learned: str
) -> None:
    at_work = engine.place(small(PAINTING, refine=ENDLESS))
    glimpses = begun(at_work)
    finished: list[int] = []
    tickets = [engine.place(small(learned)) for _ in range(5)]
    for number, ticket in enumerate(tickets):
        ticket.result.add_done_callback(lambda _, number=number: finished.append(number))  # type: ignore[misc]
    readers = [iter(ticket) for ticket in tickets]
    assert [next(reader).ahead for reader in readers] == [1, 2, 3, 4, 5]
    tickets[1].stop()  # waiting still: it ends at once, and those behind move up
    (end,) = readers[1]
    assert (end.done, end.image) == (True, None)
    assert [next(reader).ahead for reader in readers[2:]] == [2, 3, 4]
    at_work.stop()
    list(glimpses)
    for reader in readers:
        list(reader)
    assert finished == [1, 0, 2, 3, 4]


def test_stop_keeps_the_best_picture(engine: Engine) -> None:
    ticket = engine.place(small(PAINTING, refine=ENDLESS))
    glimpses = iter(ticket)
    early = next(glimpse for glimpse in glimpses if glimpse.losses)
    while next(glimpses).step < early.step + 5:
        pass
    ticket.stop()
    end = list(glimpses)[-1]
    assert end.image is not None
    assert early.image is not None
    assert not same(end.image, early.image)
    assert end.step >= early.step + 5
    assert end.losses["total"] < early.losses["total"]
    assert "stopped at step" in end.note
    assert end.recipe is not None
    assert (end.recipe["unfinished"], end.recipe["steps_done"]) == (True, end.step)


def test_the_time_limit_keeps_the_picture_and_says_so() -> None:
    with Engine("cpu", Limits(steps=ENDLESS, seconds=1)) as engine:
        end = last(engine.place(small(PAINTING, refine=ENDLESS)))
    assert end.image is not None
    assert end.step < end.of
    assert "the time limit of 1 s" in end.note


@pytest.mark.parametrize("how", ["closed", "let go of", "abandoned"])
def test_what_nobody_wants_is_not_painted(engine: Engine, learned: str, how: str) -> None:
    ticket = engine.place(small(PAINTING, refine=ENDLESS))
    result: Future[Glimpse] = ticket.result
    if how == "closed":
        begun(ticket).close()  # type: ignore[attr-defined]
    elif how == "abandoned":
        glimpses = begun(ticket)
        ticket.abandon()
        with pytest.raises(ImpastoError, match="given up"):
            list(glimpses)
        del glimpses
    del ticket
    assert (
        last(engine.place(small(learned))).image is not None
    )  # else the endless one would never have ended
    with pytest.raises(ImpastoError, match="given up"):
        result.result(60)


def test_closing_ends_all_that_is_painted_and_waits() -> None:
    with Engine("cpu", LIMITS) as engine:
        glimpses = begun(engine.place(small(PAINTING, refine=ENDLESS)))
        waiting = engine.place(small(PAINTING))
        engine.close()
        for reader in (glimpses, iter(waiting)):
            with pytest.raises(BusyError, match="closing"):
                list(reader)
        with pytest.raises(BusyError, match="closing"):
            engine.place(small(PAINTING))
        with pytest.raises(BusyError, match="closing"):
            engine.thumbnail("waves")
        assert not engine.working


def test_what_cannot_be_painted_stops_nobody_else(engine: Engine, learned: str) -> None:
    strip = Upload(Image.new("RGB", (400, 16)), "strip.png")  # a pixel and a half high at this size
    with pytest.raises(ImpastoError, match="ask for a larger size"):
        last(engine.place(small(strip)))
    assert last(engine.place(small(learned))).image is not None


# ------------------------------------------------------------------------------------------- refusals


def test_a_photo_too_narrow_for_the_size_is_refused(engine: Engine, learned: str) -> None:
    strip = Upload(Image.new("RGB", (400, 80)), "strip.png")
    with pytest.raises(ImpastoError, match="only 64 x 13 px"):
        engine.place(Order(strip, (learned,), Settings(size=64)))


@pytest.mark.parametrize(
    "name",
    ["/etc/hostname", "../cat.png", "http://127.0.0.1/a.png", "file:///etc/passwd", "", "\0"],
)
def test_names_are_names_of_styles_only(engine: Engine, name: str) -> None:
    with pytest.raises(ImpastoError, match="no style called"):
        engine.place(small(name))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 4096}, "between 32 and 2048"),
        ({"size": 31}, "between 32"),
        ({"size": 10**400}, "`size` must be between"),
        ({"strength": float("nan")}, "strength"),
        ({"style_scale": 5}, "style_scale"),
        ({"size": 1024, "style_scale": 0.2}, "take work at 5120 px"),
        ({"size": 2048, "style_scale": 3, "refine": 5}, "take work at 6144 px"),
        ({"refine": -1}, "refine"),
        ({"refine": 10**400}, "`refine` must be between"),
        ({"keep_color": "all"}, "keep_color"),
        ({"blend": (1.0, 1.0)}, "one for each"),
        ({"blend": (-1.0,)}, "0 or more"),
        ({"blend": (0.0,)}, "above 0"),
        ({"blend": (float("inf"),)}, "finite"),
    ],
)
def test_orders_outside_the_limits_are_refused_in_words(
    engine: Engine, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ImpastoError, match=words):
        engine.place(small(PAINTING, **options))


def test_more_styles_than_allowed_and_vectors_that_cannot_be_refined(
    engine: Engine, learned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for styles in ((), (PAINTING,) * 5):
        with pytest.raises(ImpastoError, match="one to 4 styles"):
            engine.place(Order(CAT, styles))
    assert all(card.refinable for card in engine.styles())
    monkeypatch.setattr("impasto.apps.studio.engine.known_grams", lambda _: frozenset())
    with pytest.raises(ImpastoError, match="vector only; to refine, drop the painting"):
        engine.place(small(learned, refine=5))
    assert not next(card for card in engine.styles() if card.name == learned).refinable


def test_a_learned_painter_is_refined_and_recoloured(engine: Engine, learned: str) -> None:
    end = last(engine.place(small(learned, refine=6, keep_color="statistics")))
    assert (end.step, end.losses["total"] > 0) == (6, True)
    assert end.image is not None
    mean = np.asarray(end.image, dtype=float).mean((0, 1))
    own = np.asarray(CAT.image.resize(end.image.size), dtype=float).mean((0, 1))
    assert np.abs(mean - own).max() < 3
    assert "the photo's palette" in end.note


def test_what_nobody_waits_for_lets_others_by(engine: Engine, learned: str) -> None:
    aside = engine.place(replace(small(PAINTING, refine=ENDLESS), aside=True))
    glimpses = begun(aside)
    slow = engine.place(small(PAINTING, refine=ENDLESS))
    others = begun(slow, 3)
    stood = aside.glance()[0]
    while next(others).step < 12:
        pass
    assert aside.glance()[0] - stood <= 1, "it rests, but for the step it was at"
    slow.stop()
    assert list(others)[-1].done
    assert last(engine.place(small(learned))).image is not None
    assert next(glimpses).step, "and then it goes on"
    aside.stop()
    assert list(glimpses)[-1].step > 2


# ---------------------------------------------------------------------------------------------- files


def bomb(width: int = 20_000, height: int = 10_000) -> bytes:
    """A whole PNG, one bit a pixel, all black: some 25 kB that decode to 200 megapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer, row = zlib.compressobj(9), bytes(1 + width // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_from_its_header_in_little_memory(tmp_path: Path) -> None:
    data = bomb()
    assert len(data) < 100_000
    path = tmp_path / "bomb.png"
    path.write_bytes(data)
    code = """if True:
        import resource, sys
        from pathlib import Path
        from impasto.apps.studio.limits import Limits, TooLargeError, open_upload
        open_upload(Path(sys.argv[2]), Limits())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            open_upload(Path(sys.argv[1]), Limits())
        except TooLargeError as error:
            print(error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, sep="|")
    """
    PAINTING.image.save(tmp_path / "plain.png")
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "plain.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    words, grown = done.stdout.split("|")
    assert words == "this picture has 200 megapixels; the studio takes up to 60: reduce it first"
    assert int(grown) < 10_000  # kB; decoded it would be 200 000


def test_a_network_that_reads_no_picture_is_offered_no_sample_styles(tmp_path: Path) -> None:
    whole = load_network(device="cpu")
    save_painter(tmp_path / "bank.safetensors", replace(whole, predictor=None))
    with Engine("cpu", LIMITS, network=tmp_path / "bank.safetensors") as engine:
        cards = engine.styles()
        assert [card.name for card in cards] == list(whole.bank.names)
        assert all(card.learned for card in cards)


@pytest.mark.parametrize("name", ["upload_bytes", "pixels", "size", "styles", "steps", "waiting"])
def test_limits_that_count_are_whole_numbers(name: str) -> None:
    with pytest.raises(ImpastoError, match=f"{name} must be a whole number, not 100.25"):
        Limits(**{name: 100.25})  # type: ignore[arg-type]
    assert getattr(Limits(**{name: 100}), name) == 100  # type: ignore[arg-type]


def test_bytes_are_counted_while_they_are_read() -> None:
    class Endless(BytesIO):
        given = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size >= 0
            self.given += size
            return bytes(size)

    stream = Endless()
    with pytest.raises(TooLargeError, match=r"more than 0\.1 MB"):
        open_upload(stream, Limits(upload_bytes=100_000))
    assert stream.given == 100_001


def jpeg() -> bytes:
    file = BytesIO()
    sample("cat").save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello", "not a picture I can read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture I can read"),
        (b"%PDF-1.4\n", "not a picture I can read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture I can read"),
        (jpeg()[:5000], "damaged or cut short"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged or cut short"),
        (b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\0\0\0;", "damaged|megapixels"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "damaged|not a picture"),
        (b"II*\0" + b"\xff" * 20, "damaged"),
    ],
    ids=range(10),
)
def test_what_is_no_picture_is_said_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ImpastoError, match=words) as caught:
        open_upload(data, Limits())
    assert "\n" not in str(caught.value)


def test_an_upload_is_upright_plain_and_no_larger_than_of_use() -> None:
    file, turned = BytesIO(), Image.Exif()
    turned[0x0112] = 6  # as a phone held upright writes it
    sample("cat").save(file, "JPEG", exif=turned)
    upload = open_upload(file.getvalue(), Limits(size=128), name="C:\\Users\\ada\\..\\a\nb.jpg")
    assert upload.image.height == 128 > upload.image.width
    assert upload.name == "ab.jpg"
    assert open_upload(file.getvalue(), Limits(), name="../../etc/").name == "etc"


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "L", "P", "1", "LA"])
def test_every_mode_becomes_eight_bits(mode: str) -> None:
    ramp = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    plain = Image.fromarray((ramp * 255).astype(np.uint8))
    picture = (
        Image.fromarray((ramp * 65535).astype(np.uint16)) if mode == "I;16" else plain.convert(mode)
    )
    file = BytesIO()
    picture.save(file, "PNG")
    opened = open_upload(file.getvalue(), Limits()).image
    assert opened.mode == ("RGBA" if "A" in mode else "RGB")
    if mode != "1":
        assert np.abs(np.asarray(opened.convert("L"), float) - ramp * 255).max() < 2


@pytest.mark.parametrize(
    "wrong", [{"upload_bytes": 0}, {"size": 20_000}, {"waiting": -1}, {"seconds": float("nan")}]
)
def test_limits_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ImpastoError):
        Limits(**wrong)  # type: ignore[arg-type]
