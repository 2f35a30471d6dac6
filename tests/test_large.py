"""Very large pictures by the optimiser: parts in turn, each as if the others changed as it does."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from impasto.losses.objective import Objective, Term, content_term, style_term, variation_term
from impasto.losses.style.gram import GRAM
from impasto.methods import large, sections
from impasto.methods.builtin.arbitrary import ARBITRARY
from impasto.methods.builtin.fast import FAST
from impasto.methods.builtin.optimize import OPTIMIZE
from impasto.methods.forecast import foretold
from impasto.methods.guided import in_frame
from impasto.methods.in_turn import Changed, Framed, InTurn, _Alike, grams, photo_term, region_term
from impasto.methods.optimize import PixelOptimizer
from impasto.methods.stylizer import Places
from impasto.methods.two_stage import Refined
from impasto.networks.encoder import Encoder
from impasto.pictures.tiles import Resized, Shown, bytes_of
from impasto.settings import Settings
from impasto.windows import Window

LAYERS = ("relu1_1", "relu2_1", "relu3_1")
CONTENT = "relu3_1"


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Soft forms and some grain."""
    chance = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, height // 16 + 1, width // 16 + 1, generator=chance)
    found = Resized(small, (height, width)).crop(Window(0, height, 0, width))
    return (0.8 * found + 0.2 * torch.rand(1, 3, height, width, generator=chance)).clamp(0, 1)


@pytest.fixture(scope="module")
def encoder(tiny: Encoder) -> Encoder:
    return tiny


def aims(encoder: Encoder, photo: Tensor) -> tuple[list[Term], Objective]:
    """The same for parts, and for the whole picture."""
    style = encoder.features(picture(64, 80, 2).square(), LAYERS)
    terms = [style_term(name, GRAM.target(style[name]), 1.0) for name in LAYERS]
    terms.append(variation_term(0.1, "mean"))
    own = encoder.features(photo, (CONTENT,))[CONTENT]
    energy = float(own.square().mean())
    parts = [photo_term(CONTENT, 0.3, "relative", 0.8, energy), *terms]
    return parts, Objective([content_term(CONTENT, 0.8 * own, 0.3), *terms])


def work(encoder: Encoder, photo: Tensor, begun: Tensor, terms: list[Term], side: int) -> InTurn:
    return InTurn(encoder, Shown(photo), Shown(begun), terms, (CONTENT,), side, 0)


@pytest.mark.parametrize("divided", [False, True], ids=["everywhere", "regions"])
def test_a_part_begins_with_the_gradient_of_the_whole(encoder: Encoder, divided: bool) -> None:
    photo, begun = picture(200, 328, 1), picture(200, 328, 3)
    terms, whole = aims(encoder, photo)
    masks = []
    if divided:
        ramp = (torch.arange(328) / 328).expand(1, 1, 200, 328)
        masks = [(3 * ramp - 1).clamp(0, 1), (1 - 3 * ramp).clamp(0, 1)]
        goal = GRAM.target(encoder.features(picture(64, 80, 6), LAYERS)["relu2_1"])
        for n, mask in enumerate(masks):
            one = style_term("relu2_1", goal, 0.7, mask=mask)
            part = region_term("relu2_1", goal, 0.7, GRAM, n)
            whole = Objective([*whole.terms, replace(one, name=f"in {n}")])
            terms.append(replace(part, name=f"in {n}"))
    leaf = begun.clone().requires_grad_(True)
    losses = whole(encoder.features(leaf, whole.layers), leaf)
    (slope,) = torch.autograd.grad(losses.total, leaf)
    turn = replace(work(encoder, photo, begun, terms, 64), masks=[Shown(mask) for mask in masks])
    totals, parts = turn._totals(), turn.parts()
    assert len(parts) > 4
    for tile, _ in (parts[0], parts[len(parts) // 2]):
        image = tile.outer.of(begun).clone().requires_grad_(True)
        share = (tile.inner.size[0] * tile.inner.size[1]) / (200 * 328)
        alike = _Alike(turn, tile, turn._seen(tile), totals, share)
        found = alike(encoder.features(image, alike.layers), image)
        for name, value in losses.raw.items():
            if not divided:
                torch.testing.assert_close(found.raw[name], value, rtol=1e-4, atol=1e-6)
        (own,) = torch.autograd.grad(found.total, image)
        # Beyond, positions that are not the part's own see these pixels, too.
        reach = 24
        seen = Window(
            *(tile.inner.top + reach, tile.inner.bottom - reach),
            *(tile.inner.left + reach, tile.inner.right - reach),
        )
        ours, theirs = seen.within(tile.outer).of(own) * share, seen.of(slope)
        assert float((ours - theirs).abs().max() / slope.abs().max()) < 1e-4


def test_one_part_is_the_whole_and_many_come_as_near(encoder: Encoder) -> None:
    photo, begun = bytes_of(picture(128, 224, 1)), bytes_of(picture(128, 224, 3))
    terms, whole = aims(encoder, photo / 255)
    optimizer = PixelOptimizer(encoder, Settings(style_layers=LAYERS, content_layers=(CONTENT,)))

    def loss(image: Tensor) -> float:
        return float(whole(encoder.features(image, whole.layers), image).total)

    *_, (expected, _, _) = optimizer.descend(whole, begun / 255, 6)
    found = {}
    for side in (224, 64):
        canvas = begun.clone()
        turn = work(encoder, photo, begun, terms, side)
        steps = list(turn.descend(canvas, optimizer.descend, 6))
        assert len(steps) == 6 * len(turn.parts())
        found[side] = canvas / 255
    assert float((found[224] - expected).abs().max()) < 0.01
    first, last = loss(begun / 255), loss(expected)
    assert last < 0.7 * first
    assert loss(found[64]) - last < 0.15 * (first - last)


def test_what_parts_change_is_cross_faded(encoder: Encoder) -> None:
    """The same change everywhere is that change, without a trace of the parts."""
    begun = bytes_of(torch.full((1, 3, 200, 330), 0.4))
    terms, _ = aims(encoder, picture(200, 330))

    def lighter(
        _: Objective, start: Tensor, __: int
    ) -> Iterator[tuple[Tensor, dict[str, float], str]]:
        yield start + 0.2, {}, ""

    canvas = begun.clone()
    list(work(encoder, begun, begun, terms, 64).descend(canvas, lighter, 1))
    assert int((canvas.int() - begun.int() - 51).abs().max()) <= 2


def test_frames_changes_and_grams_are_those_of_the_whole(encoder: Encoder) -> None:
    x, small, before = picture(150, 170), picture(40, 44, 5), picture(40, 44, 6)
    framed = Framed(Shown(x), 8)
    assert framed.size == (166, 186)
    for window in (Window(0, 30, 0, 186), Window(140, 166, 3, 20), Window(50, 90, 60, 100)):
        assert torch.equal(framed.crop(window), window.of(in_frame(x, 8)))
    own, expected = grams(encoder, Shown(x), LAYERS, 64), encoder.features(x, LAYERS)
    for layer in LAYERS:
        torch.testing.assert_close(own[layer], GRAM.target(expected[layer]), rtol=1e-4, atol=1e-6)
    changed = Changed(Shown(x), [(Resized(small, (150, 170)), Resized(before, (150, 170)))])
    window = Window(10, 60, 20, 80)
    apart = Resized(small - before, (150, 170)).crop(window)
    torch.testing.assert_close(
        changed.crop(window), (window.of(x) + apart).clamp(0, 1), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("options", [{}, {"init": "noise"}, {"strength": 0.5, "style_loss": "w2"}])
def test_large_pictures_are_painted_in_bytes(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.setattr(large, "LARGEST", 100)
    settings = Settings(
        style_layers=LAYERS, content_layers=(CONTENT,), steps=2, **{"init": "content", **options}
    )
    optimizer = PixelOptimizer(encoder, settings)
    style, content = optimizer.prepare(picture(90, 96, 4).square()), bytes_of(picture(112, 176))
    steps = list(optimizer.render(content, style))
    assert steps[-1].image.dtype == torch.uint8
    assert steps[-1].image.shape == content.shape
    assert steps[-1].step == steps[-1].of
    assert float((steps[-1].image.int() - content.int()).abs().float().mean()) > 2
    begun = list(optimizer.render(content, style, start=picture(80, 128, 7)))
    assert begun[-1].image.dtype == torch.uint8
    rest = torch.zeros(1, 1, 40, 64)
    rest[..., 32:] = 1
    *_, last = optimizer.render(content, style, places=Places([style], None, rest))
    assert torch.equal(last.image[..., 140:], content[..., 140:])
    assert float((last.image[..., :100].int() - content[..., :100].int()).abs().float().mean()) > 2
    nothing = PixelOptimizer(encoder, settings.but(strength=0.0))
    assert torch.equal(next(iter(nothing.render(content, style))).image, content)


def test_strokes_of_large_pictures_become_finer_and_never_silently_larger(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "LARGEST", 100)
    read = []
    targets = large.Aims.targets
    monkeypatch.setattr(
        large.Aims, "targets", lambda *given: (read.append(given[2]), targets(*given))[1]
    )
    settings = Settings(
        style_layers=LAYERS, content_layers=(CONTENT,), steps=1, init="content", max_memory="1GB"
    )
    for scale, largest, said in ((0.5, 50, 0), (1.0, 100, 0), (2.0, 100, 1)):
        optimizer = PixelOptimizer(encoder, settings.but(style_scale=scale))
        assert len(large.foretell(optimizer, (112, 176), 1e-9).notes) == said
        read.clear()
        style = optimizer.prepare(picture(90, 96, 4))
        list(large.paint(optimizer, bytes_of(picture(112, 176)), style, None, None))
        assert max(read) == largest


def test_a_long_and_narrow_picture_is_told_of_its_strokes_too(encoder: Encoder) -> None:
    optimizer = PixelOptimizer(encoder, Settings(style_scale=2.0))
    asked = Settings(style_scale=2.0)
    assert any("style_scale" in note for note in foretold(optimizer, (64, 4200), asked))
    assert not foretold(optimizer, (64, 4000), asked)


def test_what_is_held_of_the_full_size_is_counted_at_the_smaller_ones() -> None:
    budget = sections.DescentBudget(1.5e9, torch.bfloat16)
    assert budget.side((1024, 768)) == 0
    assert budget.side((1024, 768), (2048, 1536)) > 0
    assert large.beside(budget, (5000, 5000)).memory < budget.memory


def test_every_method_takes_large_pictures() -> None:
    """A flag that was lost once: very large photos are held in 8 bits."""
    assert all(each.large for each in (ARBITRARY, FAST, OPTIMIZE, Refined(ARBITRARY)))
