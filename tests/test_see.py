"""Sheets that show what the networks see: geometry, reconstructions, grids, deltas, resuming, and
their commands.
"""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from torch import Tensor

from impasto.analysis.deltas import delta_sheet, deltas, open_pair, smoothed
from impasto.analysis.grid import ratio_grid, ratios, read_values, sweep
from impasto.analysis.reconstruct import (
    content_reconstructions,
    style_distance,
    style_reconstructions,
)
from impasto.analysis.sheets import Cell, Sheet, check_sheet, draw_sheet, layout, save_sheet
from impasto.analysis.usual import Descent
from impasto.analysis.work import Task, Work, fingerprint, title_of
from impasto.apps.cli import see as cli_see
from impasto.errors import ImpastoError
from impasto.losses.variation import total_variation
from impasto.methods.stylizer import Progress
from impasto.networks.encoder import Encoder
from impasto.pictures.image import open_picture, read_recipe, to_pil
from impasto.pictures.samples import sample
from impasto.settings import Settings
from plates import draw


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return open_picture(sample("cat"), size=64).image


@pytest.fixture(scope="module")
def painting() -> Tensor:
    return open_picture(draw("waves", 64)).image


def random_picture(seed: int, height: int, width: int) -> Tensor:
    levels = np.random.default_rng(seed).integers(0, 256, (1, 3, height, width))
    return torch.from_numpy(levels).float() / 255


# ------------------------------------------------------------------------------------------------- sheets


def sheets() -> list[Sheet]:
    numbers = {"loss": 0.0123456, "TV": 12345.6}
    return [
        Sheet("one", ("",), ("",), (Cell(0, 0, random_picture(0, 40, 70)),)),
        Sheet(
            "Unequal shapes, a free place and a title that is far wider than the pictures below it are",
            ("relu1_1", "+ relu2_1\nand more"),
            ("a", "a column's rather long label", ""),
            tuple(
                Cell(
                    row,
                    column,
                    random_picture(row + column, 48 + 16 * row, 90 - 30 * column),
                    "name",
                    numbers,
                )
                for row, column in [(0, 0), (1, 1), (1, 2), (0, 2)]
            ),
        ),
        Sheet(
            "tall",
            ("x",) * 4,
            ("y",),
            tuple(Cell(i, 0, random_picture(i, 300, 33)) for i in range(4)),
        ),
    ]


@pytest.mark.parametrize("sheet", sheets(), ids=lambda sheet: sheet.title[:4])
def test_nothing_overlaps_and_all_the_rest_is_white(sheet: Sheet) -> None:
    plan, paper = layout(sheet), np.asarray(draw_sheet(sheet))
    boxes = [*plan.pictures.values(), *(text.box for text in plan.texts)]
    assert paper.shape == (plan.size[1], plan.size[0], 3)
    covered = np.zeros(paper.shape[:2], dtype=int)
    for left, top, right, bottom in boxes:
        assert 0 < left < right < plan.size[0]
        assert 0 < top < bottom < plan.size[1]
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1
    assert (paper[covered == 0] == 255).all()
    for text in plan.texts:  # and every text is there
        left, top, right, bottom = text.box
        assert (paper[top:bottom, left:right] < 100).any()


@pytest.mark.parametrize("sheet", sheets(), ids=lambda sheet: sheet.title[:4])
def test_every_picture_is_found_again_pixel_for_pixel(sheet: Sheet) -> None:
    plan, paper = layout(sheet), np.asarray(draw_sheet(sheet))
    for cell in sheet.cells:
        left, top, right, bottom = plan.pictures[cell.row, cell.column]
        found = paper[top:bottom, left:right]
        picture = np.asarray(to_pil(cell.picture))
        assert np.array_equal(found, picture.repeat(plan.scale, axis=0).repeat(plan.scale, axis=1))


@pytest.mark.parametrize("side", [64, 256, 700])
def test_labels_can_be_read_from_afar(side: int) -> None:
    cells = tuple(Cell(0, column, torch.zeros(1, 3, side, side)) for column in range(4))
    plan = layout(Sheet("title", ("row",), ("a", "b", "c", "d"), cells))
    # 18 points on a slide of 10 inches are 1/40 of its width; margins and labels add to the
    # pictures'.
    assert min(text.size for text in plan.texts) >= max(plan.size) / 50


def test_a_sheet_of_no_or_colliding_or_stray_cells_is_a_mistake() -> None:
    cell = Cell(0, 0, torch.zeros(1, 3, 32, 32))
    for cells in [(), (cell, cell), (Cell(1, 0, cell.picture),), (Cell(0, -1, cell.picture),)]:
        with pytest.raises(ValueError, match="cell"):
            Sheet("", ("",), ("",), cells)


def test_png_is_exact_and_carries_its_recipe() -> None:
    sheet = sheets()[1]
    save_sheet("sheet.png", sheet, recipe={"steps": 3})
    with Image.open("sheet.png") as saved:
        assert np.array_equal(np.asarray(saved), np.asarray(draw_sheet(sheet)))
    assert read_recipe("sheet.png") == {"steps": 3}


def test_pdf_holds_the_same_sheet() -> None:
    sheet = Sheet("t", ("r",), ("c",), (Cell(0, 0, torch.rand(1, 3, 1, 1).expand(1, 3, 64, 48)),))
    save_sheet("sheet.pdf", sheet, recipe={"steps": 3, "name": "絵"})
    assert read_recipe("sheet.pdf") == {"steps": 3, "name": "絵"}
    data = Path("sheet.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    with Image.open(io.BytesIO(data[data.index(b"\xff\xd8\xff") :])) as page:
        there, here = (
            np.asarray(each.convert("RGB"), dtype=int) for each in (page, draw_sheet(sheet))
        )
    assert there.shape == here.shape
    assert np.abs(there - here).mean() < 1
    assert sorted(path.name for path in Path().iterdir()) == ["sheet.pdf"]


def test_a_pdf_of_others_holds_no_recipe() -> None:
    Image.new("RGB", (8, 8)).save("other.pdf", subject='{"impasto": 3}')
    Path("broken.pdf").write_bytes(b"%PDF-1.4 and then nothing")
    assert read_recipe("other.pdf") is read_recipe("broken.pdf") is None
    with pytest.raises(ImpastoError, match="does not exist"):
        read_recipe("none.pdf")


def test_a_title_has_only_letters_that_can_be_drawn() -> None:
    assert title_of("folder/Café Übung 絵.png") == "Cafe Ubung ?.png"
    assert title_of(Path("x" * 50)) == "x" * 40


@pytest.mark.parametrize(
    "name", ["sheet.gif", "sheet", "missing/sheet.pdf", "missing/sheet.png", "folder.pdf"]
)
def test_a_sheet_that_cannot_be_written_is_refused_before_work(name: str) -> None:
    Path("folder.pdf").mkdir()
    with pytest.raises(ImpastoError) as refused:
        check_sheet(name)
    assert "\n" not in str(refused.value)


# ------------------------------------------------------------------------------------------------- work


def toy(*, steps: int = 3, stop_at: int | None = None) -> Work:
    """Three random pictures, three steps each; Ctrl-C comes before the cell `stop_at`."""

    def task(place: int) -> Task:
        def run() -> Iterator[Progress]:
            if place == stop_at:
                raise KeyboardInterrupt
            for step in range(1, steps + 1):
                yield Progress(
                    random_picture(100 * place + step, 32, 40), step, steps, {"total": 1 / step}
                )

        return Task(
            0, place, f"cell {place}", steps, run, lambda picture: {"mean": picture.mean().item()}
        )

    given = Cell(0, 0, random_picture(9, 32, 40), "original")
    return Work(
        "toy",
        ("",),
        ("",) * 4,
        (given,),
        tuple(map(task, (1, 2, 3))),
        {"steps": steps, "pictures": ["x"]},
    )


def test_progress_counts_over_all_cells() -> None:
    moments = list(toy().make())
    done = [moment.step for moment in moments]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (1, 9)
    assert {moment.of for moment in moments} == {9}
    assert [moment.cell.name for moment in moments if moment.cell] == ["cell 1", "cell 2", "cell 3"]


@pytest.mark.parametrize("taken", [1, 4, 6, 9, 11])
def test_work_stopped_anywhere_and_resumed_makes_the_same_sheet(taken: int) -> None:
    folder = Path("out.cells")
    first = toy().make(folder)
    for _ in itertools.islice(first, taken):
        pass
    first.close()
    moments = list(toy().make(folder))
    kept = [moment.cell.name for moment in moments if moment.cell and moment.kept]
    assert kept == [f"cell {place}" for place in range(1, taken // 4 + 1)]
    again = toy().sheet(moment.cell for moment in moments if moment.cell)
    whole = toy().finish()
    assert np.array_equal(np.asarray(draw_sheet(again)), np.asarray(draw_sheet(whole)))
    assert [cell.numbers for cell in again.cells] == [cell.numbers for cell in whole.cells]


def test_cells_of_other_settings_are_refused_by_name() -> None:
    next(toy().make(Path("out.cells")))
    with pytest.raises(ImpastoError, match=r"out\.cells .* other steps than"):
        next(toy(steps=4).make(Path("out.cells")))


@pytest.mark.parametrize("text", [None, "not json", "[1]"])
def test_a_folder_of_something_else_is_left_alone(text: str | None) -> None:
    folder = Path("out.cells")
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    if text is not None:
        (folder / "recipe.json").write_text(text)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ImpastoError, match="another name"):
        next(toy().make(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_forgetting_takes_only_what_was_kept() -> None:
    folder, work = Path("out.cells"), toy()
    list(work.make(folder))
    assert json.loads((folder / "recipe.json").read_text()) == work.settings
    (folder / "mine.txt").write_text("mine")
    work.forget(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    (folder / "mine.txt").unlink()
    work.forget(folder)
    assert not folder.exists()


def test_ctrl_c_keeps_the_finished_cells_and_the_same_command_goes_on(capsys) -> None:
    with pytest.raises(typer.Exit) as ended:
        cli_see.make_sheet(toy(stop_at=3), Path("out.png"), quiet=True)
    out, err = capsys.readouterr()
    assert (ended.value.exit_code, out) == (130, "out.png\n")
    assert "2 of 3 pictures" in err
    assert read_recipe("out.png") == {"steps": 3, "pictures": ["x"], "unfinished": True}
    with Image.open("out.png") as unfinished:
        size = unfinished.size
    assert Path("out.cells/0-2.png").is_file()
    cli_see.make_sheet(toy(), Path("out.png"), quiet=True)
    assert capsys.readouterr() == ("out.png\n", "")
    assert [path.name for path in Path().iterdir()] == ["out.png"]
    with Image.open("out.png") as finished:
        assert finished.size == size
        assert np.array_equal(np.asarray(finished), np.asarray(draw_sheet(toy().finish())))


def test_ctrl_c_before_the_first_cell_writes_nothing(capsys) -> None:
    with pytest.raises(typer.Exit):
        cli_see.make_sheet(toy(stop_at=1), Path("out.png"), quiet=True)
    assert capsys.readouterr().out == ""
    assert not list(Path().iterdir())


def test_fingerprints_tell_shape_and_values_apart() -> None:
    x = torch.rand(1, 3, 4, 6)
    found = {
        fingerprint(each) for each in (x, x.view(1, 3, 6, 4), x.bfloat16(), x + 1e-3, x.double())
    }
    assert len(found) == 5
    assert fingerprint(x.to(memory_format=torch.channels_last)) == fingerprint(x)


# ----------------------------------------------------------------------------------------- reconstructions


def test_pixels_are_lost_with_depth(tiny: Encoder, photo: Tensor) -> None:
    layers = ("relu1_1", "relu3_1", "relu5_1")
    sheet = content_reconstructions(
        photo, layers, encoder=tiny, size=64, descent=Descent(steps=30)
    ).finish()
    original, *cells = sheet.cells
    assert torch.equal(original.picture, photo)
    assert [cell.name for cell in cells] == list(layers)
    errors = [cell.numbers["pixel error"] for cell in cells]
    assert errors[0] < 0.8 * errors[1] < 0.8 * errors[2]
    for cell, error in zip(cells, errors, strict=True):
        assert cell.picture.shape == photo.shape
        assert 0 <= cell.picture.min() <= cell.picture.max() <= 1
        assert error == pytest.approx(
            np.sqrt(np.mean((cell.picture.numpy() - photo.numpy()) ** 2.0)), rel=1e-5
        )
        noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
        seen, begun, aim = (
            tiny.features(x, [cell.name])[cell.name] for x in (cell.picture, noise, photo)
        )
        assert cell.numbers["loss"] == pytest.approx(
            ((seen - aim).norm() / aim.norm()).item() ** 2, rel=1e-4
        )
        assert cell.numbers["loss"] < 0.3 * ((begun - aim).norm() / aim.norm()).item() ** 2


def test_textures_have_the_gram_matrices_of_their_set(tiny: Encoder, painting: Tensor) -> None:
    layers = ("relu1_1", "relu3_1")
    sheet = style_reconstructions(
        painting, layers, encoder=tiny, size=64, descent=Descent(steps=20)
    ).finish()
    noise = torch.rand(painting.shape, generator=torch.Generator().manual_seed(0))
    _, first, both = sheet.cells
    assert (first.name, both.name) == ("relu1_1", "+ relu3_1")
    for cell, used in ((first, layers[:1]), (both, layers)):
        assert cell.numbers["loss"] == pytest.approx(
            style_distance(tiny, cell.picture, painting, used), rel=1e-5
        )
        assert cell.numbers["loss"] < 0.1 * style_distance(tiny, noise, painting, used)
    # What is not asked for is not matched.
    deep = [style_distance(tiny, cell.picture, painting, layers[1:]) for cell in (both, first)]
    assert deep[0] < 0.5 * deep[1]


def test_one_seed_one_sheet_and_many_layers_begin_a_new_row(tiny: Encoder, photo: Tensor) -> None:
    def make(seed: int) -> Sheet:
        layers = ("relu1_1", "conv1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2")
        descent = Descent(steps=1, seed=seed)
        return content_reconstructions(
            photo, layers, encoder=tiny, size=48, descent=descent
        ).finish()

    one, same, other = make(1), make(1), make(2)
    assert [(cell.row, cell.column) for cell in one.cells] == [*((0, i) for i in range(6)), (1, 0)]
    assert all(
        torch.equal(a.picture, b.picture) for a, b in zip(one.cells, same.cells, strict=True)
    )
    assert not torch.equal(one.cells[1].picture, other.cells[1].picture)


# ------------------------------------------------------------------------------------------------- grids


def test_corners_of_the_grid_differ_as_they_should(
    compact: Encoder, photo: Tensor, painting: Tensor
) -> None:
    layers, config = ("relu1_1", "relu3_1"), Settings(steps=15, init="content")
    work = ratio_grid(
        photo, painting, (0.01, 10.0), layers, encoder=compact, size=64, settings=config
    )
    sheet = work.finish()
    at = {(cell.row, cell.column): cell for cell in sheet.cells}
    assert (at[0, 2].name, at[1, 2].name) == ("photo", "painting")
    assert torch.equal(at[0, 2].picture, photo)
    for row in (0, 1):
        assert at[row, 1].numbers["content"] < 0.5 * at[row, 0].numbers["content"]
        assert at[row, 1].numbers["style"] > 1.2 * at[row, 0].numbers["style"]
    # Measured on both layers, asking for both is nearer than asking for the first.
    assert at[1, 0].numbers["style"] < at[0, 0].numbers["style"]
    assert sheet.rows == ("relu1_1", "+ relu3_1")
    assert sheet.columns[:2] == ("content / style\n0.01", "content / style\n10")


def test_strength_goes_from_the_photo_to_the_style(
    compact: Encoder, photo: Tensor, painting: Tensor
) -> None:
    config = Settings(steps=6, init="content")
    work = sweep(
        photo, painting, "strength", (0.0, 0.5, 1.0), encoder=compact, size=64, settings=config
    )
    none, half, full, *_ = sorted(work.finish().cells, key=lambda cell: cell.column)
    torch.testing.assert_close(none.picture, photo, atol=0.6 / 255, rtol=0)  # in 8 bits, as saved
    assert none.numbers["content"] < 1e-3
    assert none.numbers["style"] > half.numbers["style"] > full.numbers["style"]


def test_the_papers_ratios_are_the_papers() -> None:
    assert ratios(Settings(preset="gatys2015")) == (1e-5, 1e-4, 1e-3, 1e-2)
    assert ratios(Settings(content_weight=7)) == (0.001, 0.01, 0.1, 1.0)


def test_a_ratio_is_that_of_the_weights(tiny: Encoder, photo: Tensor, painting: Tensor) -> None:
    config = Settings(style_weight=3, content_weight=2)
    work = ratio_grid(
        photo, painting, (0.25,), ("relu1_1",), encoder=tiny, size=64, settings=config
    )
    (((used,),),) = (work.settings["cells"],)
    recipe = Settings(**used).resolved(start=True)
    assert recipe.content_weight / recipe.style_weight == pytest.approx(0.25)


def test_values_are_read_as_what_they_are() -> None:
    assert read_values("style-scale", "0.5, 1,2") == (0.5, 1.0, 2.0)
    assert read_values("steps", "1,20") == (1, 20)
    assert read_values("init", "noise") == ("noise",)
    for over, text in [
        ("steps", "1.5"),
        ("strength", "a"),
        ("strength", ""),
        ("strength", "nan"),
        ("preset", "a,"),
    ]:
        with pytest.raises(ImpastoError, match="`values`"):
            read_values(over, text)


# ------------------------------------------------------------------------------------------------- deltas


def test_deltas_are_the_oracles(photo: Tensor) -> None:
    found, x = deltas(photo), photo.numpy().astype(np.float64)
    across, down = np.diff(x, axis=3), np.diff(x, axis=2)
    np.testing.assert_allclose(found.across.numpy(), across, atol=1e-7)
    np.testing.assert_allclose(found.down.numpy(), down, atol=1e-7)
    total = np.abs(across).sum() + np.abs(down).sum()
    assert found.total_variation == pytest.approx(total, rel=1e-6)
    assert found.total_variation == pytest.approx(total_variation(photo).item(), rel=1e-5)
    assert found.mean_across == pytest.approx(np.abs(across).mean(), rel=1e-6)
    assert found.mean_down == pytest.approx(np.abs(down).mean(), rel=1e-6)
    assert found.mean == pytest.approx(total / (across.size + down.size), rel=1e-6)


def test_maps_are_grey_where_nothing_changes() -> None:
    ramp = torch.linspace(0, 0.5, 11).expand(1, 3, 4, 11)
    across, down = deltas(ramp).maps()
    torch.testing.assert_close(across, torch.full((1, 3, 4, 10), 0.5 + 2 * 0.05))
    assert torch.equal(down, torch.full((1, 3, 3, 11), 0.5))


def test_total_variation_smooths_and_leaves_the_picture(compact: Encoder, painting: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    grainy = (painting + 0.1 * torch.randn(painting.shape, generator=generator)).clamp(0, 1)
    *_, last = smoothed(grainy, encoder=compact, steps=20)
    sheet = delta_sheet(("painting", "grainy", "smooth"), (painting, grainy, last.image))
    tv = [cell.numbers["TV"] for cell in sheet.cells if cell.column == 0]
    assert tv[2] < 0.8 * tv[1]
    assert (last.image - grainy).square().mean().sqrt() < 0.15
    for weight in (0.0, -1.0, float("nan")):
        with pytest.raises(ImpastoError, match="tv_weight"):
            next(smoothed(grainy, encoder=compact, tv_weight=weight))


def test_a_photo_is_brought_to_the_size_of_what_was_made_of_it(photo: Tensor) -> None:
    large = to_pil(photo).resize((256, 171))
    first, second, notes = open_pair(large, photo, 512)
    assert first.shape == second.shape == photo.shape
    assert notes == ()
    with pytest.raises(ImpastoError, match="one shape"):
        open_pair(large.crop((0, 0, 171, 171)), photo, 512)


# ------------------------------------------------------------------------------------------------ commands


@pytest.fixture
def run(capsys, photo, painting):
    """`run("grid", …)` -> exit code, stdout, stderr; photo.png and painting.png are there."""
    to_pil(photo).save("photo.png")
    to_pil(painting).save("painting.png")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    cli_see.register(app)

    def call(*args: str) -> tuple[int, str, str]:
        code = app(args, standalone_mode=False)
        out, err = capsys.readouterr()
        return code or 0, out, err

    return call


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (
            ("reconstruct", "photo.png", "--content", "--layers", "relu1_1,conv2_1"),
            "photo-content.png",
        ),
        (
            ("reconstruct", "painting.png", "--style", "--layers", "relu1_1", "--tv-weight", "1"),
            "painting-style.png",
        ),
        (
            ("grid", "photo.png", "waves", "--layers", "relu1_1", "--values", "1"),
            "photo-waves-grid.png",
        ),
        (
            ("grid", "photo.png", "painting.png", "--over", "seed", "--values", "3,4"),
            "photo-painting-grid.png",
        ),
        (("deltas", "photo.png", "photo.png", "--smooth"), "photo-photo-deltas.png"),
    ],
)
def test_a_command_prints_the_path_of_its_sheet_and_leaves_nothing_else(run, args, name) -> None:
    before = {path.name for path in Path().iterdir()}
    assert run(*args, "--size", "48", "--steps", "2", "-q") == (0, f"{name}\n", "")
    assert {path.name for path in Path().iterdir()} == before | {name}
    with Image.open(name) as sheet:
        assert min(sheet.size) > 256
    if args[0] != "deltas":
        assert read_recipe(name)["impasto"]


def test_progress_is_one_count_over_all_pictures(run) -> None:
    code, out, err = run(
        "reconstruct", "photo.png", "--style", "--size", "48", "--steps", "2", "-o", "out.pdf"
    )
    assert (code, out) == (0, "out.pdf\n")
    lines = err.splitlines()
    assert lines[0].startswith("step 1/10  picture 1 of 5  relu1_1  total")
    assert lines[-1].startswith("step 10/10  picture 5 of 5  + relu5_1")


def test_a_second_sheet_takes_another_name(run) -> None:
    Path("photo-photo-deltas.png").write_bytes(b"mine")
    assert run("deltas", "photo.png", "photo.png", "-q")[1] == "photo-photo-deltas-2.png\n"
    assert Path("photo-photo-deltas.png").read_bytes() == b"mine"


@pytest.mark.parametrize("command", ["reconstruct", "grid", "deltas"])
def test_help_has_examples_and_defaults(run, command) -> None:
    text = run(command, "--help")[1]
    assert f"impasto {command} " in text
    assert "[default: " in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("reconstruct", "photo.png"), "--content or --style"),
        (("reconstruct", "photo.png", "--content", "--style"), "--content or --style"),
        (
            ("reconstruct", "photo.png", "--content", "--layers", "relu9_9"),
            "unknown layer 'relu9_9'",
        ),
        (("reconstruct", "photo.png", "--content", "--layers", ","), "--layers"),
        (("reconstruct", "photo.png", "--content", "--steps", "0"), "steps"),
        (("reconstruct", "photo.png", "--content", "--seed", "-1"), "seed"),
        (("reconstruct", "photo.png", "--content", "--tv-weight", "-1"), "--tv-weight"),
        (("reconstruct", "photo.png", "--content", "--size", "40"), "--size"),
        (("reconstruct", "none.png", "--content"), "none.png"),
        (("reconstruct", "photo.png", "--content", "--encoder", "other"), "no encoder 'other'"),
        (("reconstruct", "photo.png", "--content", "-o", "out.jpg"), ".png or .pdf"),
        (("reconstruct", "photo.png", "--content", "-o", "photo.png"), "written over"),
        (("grid", "photo.png", "painting.png", "--over", "colour"), "'colour'"),
        (("grid", "photo.png", "painting.png", "--over", "learning-rate"), "--values"),
        (
            ("grid", "photo.png", "painting.png", "--over", "preset", "--values", "x"),
            "unknown --preset 'x'",
        ),
        (("grid", "photo.png", "painting.png", "--over", "strength", "--values", "2"), "strength"),
        (("grid", "photo.png", "painting.png", "--values", "-1"), "ratios"),
        (("grid", "photo.png", "painting.png", "--init", "other"), "unknown --init"),
        (("grid", "photo.png", "painting.png", "--seed", "-1"), "--seed"),
        (("deltas", "photo.png", "painting.png"), "one shape"),
        (("deltas", "photo.png", "photo.png", "--steps", "3"), "--smooth"),
    ],
)
def test_mistakes_are_one_line(run, args, said) -> None:
    before = {path.name for path in Path().iterdir()}
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
    assert {path.name for path in Path().iterdir()} == before
