"""What visitors bring to the studio: regions painted over a photo, styles as files, posters."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops, ImageDraw, ImageStat

from impasto.apps.studio.album import Choice
from impasto.apps.studio.budget import Budget
from impasto.apps.studio.engine import Engine, Order
from impasto.apps.studio.limits import Limits, Upload
from impasto.apps.studio.region import Region
from impasto.apps.studio.visit import Visit
from impasto.errors import ImpastoError
from impasto.home import own_bank
from impasto.methods.style_grams import kept_grams
from impasto.networks.checkpoint import load_network
from impasto.networks.header import EMBEDDED
from impasto.networks.style_bank import Credit, StyleBank
from impasto.networks.style_file import StyleFile
from impasto.pictures.samples import sample
from impasto.settings import Settings

LIMITS = Limits(size=96, poster=160, steps=5)
SMALL = Settings(size=96)
CAT = sample("cat").resize((96, 64))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine("cpu", LIMITS) as engine:
        yield engine


@pytest.fixture(scope="module")
def bank() -> StyleBank:
    return load_network(device="cpu").bank


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    (tmp_path / "visit").mkdir()
    visit = Visit(tmp_path / "visit", LIMITS, budget=Budget(50_000_000))
    visit.use_photo(Upload(CAT, "cat"))
    return visit


def left_half(folder: Path, size: tuple[int, int] = (48, 32), light: int = 255) -> Path:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((0, 0, size[0] // 2, size[1]), fill=light)
    mask.save(folder / "region.png")
    return folder / "region.png"


def painted(visit: Visit, engine: Engine, *styles: str, refine: int = 0) -> Image.Image:
    visit.chosen = list(styles)
    *_, last = visit.paint(engine, Choice(styles, SMALL, visit.region), refine=refine)
    assert last.image is not None
    return last.image.convert("RGB")


def apart(one: Image.Image, other: Image.Image, box: tuple[int, int, int, int]) -> float:
    """Mean absolute difference there, of 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one.crop(box), other.crop(box))).mean) / 3


LEFT, RIGHT = (0, 0, 24, 64), (60, 0, 96, 64)


def test_a_region_takes_its_style_and_the_rest_another_or_stays(
    engine: Engine, visit: Visit, tmp_path: Path
) -> None:
    irises, udnie = (painted(visit, engine, each) for each in ("irises", "udnie"))
    visit.take_region(left_half(tmp_path), "udnie", photo_stays=False)
    both = painted(visit, engine, "irises")
    # Nowhere here is further from the border than the network sees.
    assert apart(both, udnie, LEFT) < apart(both, irises, LEFT) / 3
    assert apart(both, irises, RIGHT) < apart(both, udnie, RIGHT) / 3
    assert visit.keys == ["irises", "udnie"]
    visit.take_region(left_half(tmp_path), "udnie", photo_stays=True)
    assert apart(painted(visit, engine, "irises"), CAT, RIGHT) <= 1
    visit.take_region(left_half(tmp_path), "", photo_stays=False)
    alone = painted(visit, engine, "irises")
    assert apart(alone, irises, LEFT) < apart(alone, CAT, LEFT) / 3
    assert apart(alone, CAT, RIGHT) <= 1, "or the region would be none"
    assert apart(painted(visit, engine, "irises", refine=2), CAT, RIGHT) <= 1
    visit.take_region(left_half(tmp_path), "starry-night", photo_stays=False)
    assert painted(visit, engine, "irises", refine=2).size == (96, 64), "of learned ones, too"
    visit.show(next(iter(visit.history)))
    visit.recall()
    assert visit.region is None, "as it was for that picture"
    visit.use_photo(Upload(CAT, "another"))
    assert visit.region is None


def test_what_is_no_region_is_said_and_takes_no_room(
    engine: Engine, visit: Visit, tmp_path: Path
) -> None:
    assert visit.budget is not None
    held = visit.budget.held
    for size, light, words in (((48, 48), 255, "another photo"), ((48, 32), 60, "nothing is")):
        with pytest.raises(ImpastoError, match=words):
            visit.take_region(left_half(tmp_path, size, light), "waves", photo_stays=True)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ImpastoError, match="not a picture"):
        visit.take_region(tmp_path / "text.png", "waves", photo_stays=True)
    assert visit.region is None
    assert visit.budget.held == held
    visit.take_region(left_half(tmp_path), "", photo_stays=True)
    with pytest.raises(ImpastoError, match="one style is chosen"):
        painted(visit, engine, "mosaic", "waves")


def test_a_mask_of_ones_is_no_mask() -> None:
    whole = Region(Image.new("L", (9, 6), 255), "waves", photo_stays=False)
    assert whole.placed(["mosaic"]) == (("waves",), None)
    same = Region(Image.new("L", (9, 6), 90), "waves", photo_stays=False)
    assert same.placed(["waves"]) == (("waves",), None)


def test_a_style_file_paints_as_the_style_does(
    engine: Engine,
    visit: Visit,
    bank: StyleBank,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = painted(visit, engine, "irises")
    file = visit.folder / "mine.impasto"
    credit = Credit("M. Rivers", "CC BY 4.0")
    style = StyleFile.of(bank, "irises", sample("cat"), credit)
    style.save(file)
    key = visit.take_painting(file, engine)
    taken = visit.paintings[key].upload
    assert taken.name.startswith("irises-"), "there is one of that name already"
    assert "M. Rivers; CC BY 4.0" in taken.note  # type: ignore[union-attr]
    assert painted(visit, engine, key).tobytes() == known.tobytes()
    assert visit.current is not None
    assert visit.current.recipe is not None
    assert visit.current.recipe["styles"] == [{"name": taken.name}]
    with pytest.raises(ImpastoError, match="known by its vector only"):
        painted(visit, engine, key, refine=2)
    assert not file.exists()
    grams = kept_grams("irises", EMBEDDED, bank)
    replace(style, grams=grams).save(file)
    key = visit.take_painting(file, engine)
    refined = painted(visit, engine, "irises", refine=2)
    assert painted(visit, engine, key, refine=2).tobytes() == refined.tobytes()
    own = bank.learned("mine", bank.vector("irises"), grams=grams)
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    replace(own, vectors={"mine": own.vector("mine")}).save(own_bank())
    assert painted(visit, engine, "mine", refine=2).tobytes() == refined.tobytes()


def test_what_is_no_style_is_said_in_a_line_and_never_run(
    engine: Engine, visit: Visit, bank: StyleBank
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("it was run",)

    file = visit.folder / "a.impasto"
    other = StyleBank("0" * 16, {"a": torch.zeros(4)})
    short = StyleBank(bank.network, {"a": torch.zeros(4)})
    thumb = Image.new("RGB", (8, 8))

    def pickled() -> None:
        file.write_bytes(pickle.dumps(Evil()))

    def torn() -> None:
        StyleFile.of(bank, "irises", thumb, Credit()).save(file)
        data = bytearray(file.read_bytes())
        data[-900] ^= 1
        file.write_bytes(data[:-1])

    makers = {
        "not a style": [pickled, torn, lambda: file.write_bytes(b"")],
        "another network": [lambda: StyleFile.of(other, "a", thumb, Credit()).save(file)],
        "too large": [lambda: file.write_bytes(bytes(4_000_001))],
    }
    for words, each in makers.items():
        for make in each:
            make()
            with pytest.raises(ImpastoError, match=words) as told:
                visit.take_painting(file, engine)
            assert "\n" not in str(told.value)
            assert str(visit.folder) not in str(told.value)
    assert not visit.paintings
    assert visit.budget is not None
    StyleFile.of(short, "a", thumb, Credit()).save(file)  # it says it is this network's
    key = visit.take_painting(file, engine)
    with pytest.raises(ImpastoError, match="damaged"):
        painted(visit, engine, key)


def test_a_poster_is_larger_than_pictures_and_painted_aside(engine: Engine, visit: Visit) -> None:
    with pytest.raises(ImpastoError, match="no picture yet"):
        visit.large("160")
    painted(visit, engine, "mosaic")
    order = visit.large("1.5x")
    assert (order.settings.size, order.aside, order.poster, order.dpi) == (144, True, True, None)
    *_, last = engine.place(visit.large("2x1.2cm@200dpi"))
    assert last.image is not None
    assert (max(last.image.size), last.dpi) == (142, 200)
    for size, words in (("161", "between 32 and 160"), ("huge", "`size` takes"), ("", "`size`")):
        with pytest.raises(ImpastoError, match=words):
            engine.place(visit.large(size))
    with pytest.raises(ImpastoError, match="between 32 and 96"):
        engine.place(Order(Upload(CAT), ("mosaic",), Settings(size=144)))
    visit.use_photo(Upload(CAT, "another"))
    visit.before += " "
    with pytest.raises(ImpastoError, match="another photo"):
        visit.large("2x")


def test_a_picture_that_is_deleted_is_gone(engine: Engine, visit: Visit) -> None:
    for style in ("mosaic", "waves"):
        painted(visit, engine, style)
    first, second = visit.history
    file = visit.made
    visit.delete(second)
    assert (visit.shown, file.exists()) == (first, False)
    visit.delete("no such key")
    visit.delete(first)
    assert visit.current is None
