"""The sample plates: the same bytes again, the same picture at every size, texture everywhere, ten
different hands.
"""

import importlib
import itertools

import numpy as np
import pytest

import plates
from impasto.errors import ImpastoError
from impasto.pictures.samples import STYLES, sample_style
from plates.cells import cells, thin
from plates.fields import Frame, blur, curl, gradient, noise, resize, sample, smoothstep
from plates.palette import colour, colours, jitter, ramp
from plates.strokes import Canvas, Strokes, make_brush, trace

NAMES = (
    "autumn-knife",
    "ink-hatching",
    "mosaic",
    "night-swirl",
    "orphism",
    "pointillism",
    "stained-glass",
    "water-garden",
    "waves",
    "woodcut",
)


SIZE = (97, 51)


@pytest.fixture(scope="module")
def drawn():
    """Every plate once, at an odd size."""
    return {name: plates.draw(name, SIZE, seed=1) for name in NAMES}


def painted(name: str, seed: int, long: int) -> np.ndarray:
    """The plate's canvas, `long` pixels along, before it is reduced; smaller than any that `draw`
    asks for.
    """
    module = importlib.import_module(f"plates.{name.replace('-', '_')}")
    frame = Frame(1.0, SIZE[1] / SIZE[0])
    return module.picture(np.random.default_rng([seed, *name.encode()]), frame, long)


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two pictures once both are small."""
    return float(
        np.corrcoef(*(resize(p.astype(np.float32), (25, 48)).ravel() for p in (a, b)))[0, 1]
    )


def test_names_and_lines():
    assert plates.names() == NAMES
    lines = [plates.describe(name) for name in NAMES]
    assert len(set(lines)) == len(NAMES)
    assert all(line and "\n" not in line and len(line) < 100 for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_shape_type_and_range(name, drawn):
    picture = drawn[name]
    assert picture.shape == (51, 97, 3)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_bytes_other_seed_other_picture(name):
    first = painted(name, 3, 112)
    assert painted(name, 3, 112).tobytes() == first.tobytes()
    assert np.abs(painted(name, 4, 112) - first).mean() > 0.01


def test_the_same_bytes_through_the_front_door(drawn):
    for name in ("waves", "woodcut"):
        assert plates.draw(name, SIZE, seed=1).tobytes() == drawn[name].tobytes()


def test_drawing_leaves_the_global_generator_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    painted("woodcut", 0, 64)
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("name", NAMES)
def test_one_composition_at_every_size(name, drawn):
    """A canvas of two thirds the pixels carries the same picture: the same strokes, not other ones
    like them.
    """
    assert alike(painted(name, 1, 340), drawn[name]) > 0.95


def test_a_quarter_is_the_whole_reduced():
    """256 drawn against 512 drawn and reduced."""
    small, large = (plates.draw("night-swirl", (side, side // 4)) for side in (256, 512))
    assert np.corrcoef(small.ravel(), resize(large, (64, 256)).ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("name", "size"), [("mosaic", (200, 16)), ("ink-hatching", (16, 90)), ("waves", (200, 16))]
)
def test_a_sliver_can_be_drawn(name, size):
    picture = plates.draw(name, size)
    assert picture.shape == (size[1], size[0], 3)
    assert np.isfinite(picture).all()


def test_a_number_is_the_side_of_a_square():
    assert plates.draw("waves", 33).shape == (33, 33, 3)


def test_no_two_plates_are_alike(drawn):
    for a, b in itertools.combinations(NAMES, 2):
        assert np.abs(drawn[a] - drawn[b]).mean() > 0.08, (a, b)


@pytest.mark.parametrize("name", NAMES)
def test_texture_everywhere(name, drawn):
    """Every square an eighth of the picture wide has something in it."""
    grey = drawn[name].mean(axis=-1)[:48, :96]
    blocks = grey.reshape(4, 12, 8, 12).swapaxes(1, 2).reshape(32, -1)
    assert blocks.std(axis=1).min() > 0.012


def test_a_plate_uses_its_palette(drawn):
    """The plates but the two inks are colourful: chroma (the spread of R, G and B) of a fifth on
    average.
    """
    for name in set(NAMES) - {"ink-hatching", "waves"}:
        assert np.ptp(drawn[name], axis=-1).mean() > 0.15, name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sunset",), "night-swirl"),
        (("waves", 15), "16 to 8192"),
        (("waves", (64, 8193)), "16 to 8192"),
        (("waves", 64, -1), "0 or more"),
    ],
)
def test_mistakes_say_what_to_do(arguments, says):
    with pytest.raises(ImpastoError, match=says):
        plates.draw(*arguments)


def test_describe_refuses_unknown_names():
    with pytest.raises(ImpastoError, match="choose from autumn-knife"):
        plates.describe("sunset")


@pytest.mark.slow
def test_what_ships_is_what_is_drawn():
    """The sample styles of the package, to what WebP leaves of the finest strokes."""
    assert tuple(STYLES) == plates.names()
    for name in plates.names():
        assert STYLES[name] == plates.describe(name)
    drawn = plates.draw("stained-glass", 1024)
    shipped = np.asarray(sample_style("stained-glass"), dtype=np.float32) / 255
    assert shipped.shape == drawn.shape
    assert np.abs(shipped - drawn).mean() < 0.02


# The tools.


def test_noise_is_the_same_field_on_every_grid():
    coarse, fine = (
        noise(np.random.default_rng(0), Frame(1.0, 0.5), long, (0.2, 0.1), 2) for long in (100, 300)
    )
    assert np.abs(resize(fine, coarse.shape) - coarse).max() < 0.02
    assert 0.7 < noise(np.random.default_rng(1), Frame(1.0, 1.0), 256, 0.02, 3).std() < 1.3


def test_curl_is_divergence_free():
    x, y = Frame(1.0, 0.7).mesh(200)
    flow = curl(np.sin(7 * x) * np.cos(5 * y))
    divergence = gradient(flow[..., 0])[0] + gradient(flow[..., 1])[1]
    assert np.abs(divergence[3:-3, 3:-3]).max() < 1e-2
    expected = -5 * np.sin(7 * x) * np.sin(5 * y)
    assert np.abs(flow[..., 0] - expected)[3:-3, 3:-3].max() < 1e-2


def test_sample_reads_a_plane_exactly():
    frame = Frame(1.0, 0.6)
    x, y = frame.mesh(50)
    points = np.random.default_rng(0).uniform(0.05, 0.5, (40, 2)).astype(np.float32)
    assert np.allclose(
        sample(2 * x - 3 * y, points, frame), 2 * points[:, 0] - 3 * points[:, 1], atol=1e-5
    )


def test_smoothstep_and_ramp_end_where_they_should():
    t = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    assert np.allclose(smoothstep(0, 1, t), [0, 0, 0.5, 1, 1])
    assert np.allclose(smoothstep(1, 0, t), [1, 1, 0.5, 0, 0])
    palette = colours("000000", "ffffff")
    assert np.allclose(ramp(palette, t)[:, 1], [0, 0, 0.5, 1, 1])
    assert np.allclose(colour("ff8000"), [1, 128 / 255, 0])


def test_jitter_of_nothing_is_the_same_colour_and_keeps_greys_grey():
    rng = np.random.default_rng(0)
    tone = rng.random((50, 3))
    assert np.allclose(jitter(rng, tone), tone, atol=1e-5)
    grey = jitter(rng, np.full((50, 3), 0.4), light=0.1, hue=1.0, chroma=0.5)
    assert np.ptp(grey, axis=1).max() < 1e-3
    assert grey.std() > 0.02


def test_blur_keeps_the_mean_and_a_constant():
    field = np.random.default_rng(0).random((40, 60)).astype(np.float32)
    assert np.allclose(blur(np.full_like(field, 0.3), 0.05), 0.3, atol=1e-6)
    assert blur(field, 0.05).std() < 0.2 * field.std()


def test_voronoi_matches_brute_force():
    rng = np.random.default_rng(0)
    seeds = rng.random((60, 2)).astype(np.float32)
    x, y = Frame(1.0, 1.0).mesh(90)
    found = cells(seeds, (x, y), upto=2.0)
    pixel = np.stack([x, y], axis=-1)[..., None, :].astype(np.float64)
    away = np.linalg.norm(pixel - seeds, axis=-1)
    assert np.array_equal(found.owner, away.argmin(axis=-1))
    own = seeds[found.owner][..., None, :].astype(np.float64)
    span = np.linalg.norm(seeds - own, axis=-1)
    span[span == 0] = np.nan
    bisector = (away**2 - away.min(axis=-1, keepdims=True) ** 2) / (2 * span)
    assert np.allclose(found.border, np.nanmin(bisector, axis=-1), atol=1e-4)
    assert np.allclose(found.offset, pixel[..., 0, :] - own[..., 0, :], atol=1e-6)
    near = cells(seeds, (x, y), upto=0.02)
    assert np.allclose(near.border, np.minimum(found.border, 0.02), atol=1e-6)


def test_a_group_has_no_border_within():
    seeds = np.array([[0.25, 0.5], [0.5, 0.5], [0.75, 0.5]], dtype=np.float32)
    x, y = Frame(1.0, 1.0).mesh(64)
    found = cells(seeds, (x, y), group=np.array([0, 0, 1], dtype=np.int32), upto=1.0)
    beside = x > 0.375  # where the owner has the other group for a neighbour
    assert np.allclose(found.border[beside], np.abs(x - 0.625)[beside], atol=1e-5)
    assert found.border[~beside].min() > 0.12


def test_tiles_on_a_grid_are_squares_that_turn_with_their_angle():
    u, v = np.meshgrid(np.arange(-5, 15), np.arange(-5, 15))
    angle = 0.4
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    seeds = (np.stack([u.ravel(), v.ravel()], axis=-1) * 0.1) @ turn
    x, y = Frame(1.0, 1.0).mesh(80)
    found = cells(seeds.astype(np.float32), (x, y), angle=np.full(400, angle, np.float32), upto=0.1)
    assert np.abs(found.offset).max() < 0.0501
    assert found.border.max() < 0.0501


def test_thin_keeps_points_apart_and_drops_no_others():
    points = np.random.default_rng(0).random((400, 2))
    kept = points[thin(points, 0.07)]
    gaps = np.linalg.norm(kept[:, None] - kept[None], axis=-1) + np.eye(len(kept))
    assert gaps.min() >= 0.07
    assert np.linalg.norm(points[:, None] - kept[None], axis=-1).min(axis=1).max() < 0.07


def test_strokes_follow_a_circular_flow():
    frame = Frame(1.0, 1.0)
    x, y = frame.mesh(256)
    flow = np.stack([-(y - 0.5), x - 0.5], axis=-1)
    starts = np.array([[0.8, 0.5], [0.5, 0.35]], dtype=np.float32)
    path = trace(flow, starts, np.full(2, 0.3, np.float32), frame, points=24)
    radius = np.linalg.norm(path - 0.5, axis=-1)
    assert np.abs(radius / np.array([[0.3], [0.15]]) - 1).max() < 0.05
    pieces = np.linalg.norm(np.diff(path, axis=1), axis=-1)
    assert np.allclose(pieces, pieces.mean(axis=1, keepdims=True), rtol=0.02)


def test_a_stroke_stops_where_the_study_changes():
    frame = Frame(1.0, 1.0)
    x = frame.mesh(128)[0]
    study = (x > 0.5).astype(np.float32)[..., None]
    flow = np.broadcast_to(np.array([1.0, 0.0], np.float32), (128, 128, 2))
    start = np.array([[0.4, 0.5]], dtype=np.float32)
    path = trace(
        flow, start, np.full(1, 0.6, np.float32), frame, study=study, tolerance=0.3, points=31
    )
    assert path[0, :, 0].max() < 0.51
    assert path[0, :, 0].min() < 0.15


def test_a_stroke_covers_its_ribbon_and_nothing_else():
    """Without ragged ends a straight stroke is a filled bar: no pinholes, nothing outside, later
    over earlier.
    """
    rng = np.random.default_rng(0)
    brush = make_brush(rng, 8, head=0.001, tail=0.001, dry=0.0, ragged=0.0)
    canvas = Canvas(Frame(1.0, 1.0), 200, np.zeros((2, 2, 3), np.float32))
    bar = np.stack([np.linspace(0.1, 0.9, 9), np.full(9, 0.5)], axis=-1)
    path = np.stack([bar, bar]).astype(np.float32)
    tone = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    canvas.lay(Strokes(path, np.full(2, 0.1, np.float32), tone, tone), brush)
    x, y = canvas.frame.mesh(200)
    inside = (np.abs(x - 0.5) < 0.38) & (np.abs(y - 0.5) < 0.044)
    outside = (np.abs(x - 0.5) > 0.41) | (np.abs(y - 0.5) > 0.053)
    assert np.allclose(canvas.colour[inside], [0, 1, 0])
    assert np.allclose(canvas.colour[outside], 0)
    assert canvas.height[inside].min() > 0
    assert np.allclose(canvas.height[outside], 0)


def test_flat_paint_is_lit_as_it_is_and_ridges_face_the_upper_left():
    canvas = Canvas(Frame(1.0, 1.0), 64, np.full((2, 2, 3), 0.5, np.float32))
    assert np.allclose(canvas.lit(), 0.5, atol=1e-6)
    x, y = canvas.frame.mesh(64)
    canvas.height = 0.05 * np.exp(-((np.hypot(x - 0.5, y - 0.5) / 0.15) ** 2))
    lit = canvas.lit()[..., 0]
    assert lit[24, 24] > 0.5 > lit[40, 40]
