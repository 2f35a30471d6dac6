"""`Settings`, and all that is made of it: what it takes and refuses, and that nothing says anything
else.
"""

import json
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
import typer
from pydantic import ValidationError

from impasto.apps.cli.main import app
from impasto.apps.cli.options import in_flags
from impasto.errors import OptionError
from impasto.losses.presets import PRESETS
from impasto.settings import GROUPS, OPTIONS, Options, Settings

# A value unlike the default for every setting.
OTHER: dict[str, Any] = {
    "method": "fast",
    "size": 96,
    "strength": 0.5,
    "enlarge": 4,
    "refine": 3,
    "recipe": "full",
    "keep_exif": "all",
    "network": "mine.safetensors",
    "engine": "onnx",
    "style_weight": 2.0,
    "content_weight": 0.5,
    "tv_weight": 0.25,
    "style_scale": 1.5,
    "blend": (0.25, 0.75),
    "keep_color": "luminance",
    "colors_only": True,
    "preset": "gatys2015",
    "strict": True,
    "style_loss": "other",
    "content_loss": "selfsim",
    "encoder": "vgg19",
    "pooling": "average",
    "content_layers": ("relu3_1", "relu4_2"),
    "style_layers": ("relu1_1",),
    "steps": 7,
    "optimizer": "lbfgs",
    "learning_rate": 0.5,
    "init": "noise",
    "early_stop": 0.125,
    "pyramid": False,
    "seed": 3,
    "device": "cpu",
    "max_memory": "1GB",
}


def refusal(**given: Any) -> str:
    with pytest.raises(OptionError) as error:
        Settings(**given)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_setting_is_said_of_in_one_place() -> None:
    assert OTHER.keys() == Settings.model_fields.keys() == OPTIONS.keys()
    assert list(get_type_hints(Options)) == list(Settings.model_fields), (
        "the keywords for type checkers"
    )
    for option in OPTIONS.values():
        assert option.help.endswith((".", ").")), option.name
        assert option.group in GROUPS
        assert OTHER[option.name] != option.default


@pytest.mark.parametrize("name", OTHER)
def test_json_and_back_is_the_same(name: str) -> None:
    settings = Settings(**{name: OTHER[name]})
    assert settings.changed == (name,)
    assert Settings.read(json.loads(json.dumps(settings.dump()))) == settings
    assert settings.but(**{name: None}) == Settings()


@pytest.mark.parametrize(
    "name", [name for name, option in OPTIONS.items() if option.kind in (int, float)]
)
def test_numbers_of_every_kind_are_numbers(name: str) -> None:
    value, kind = OTHER[name], OPTIONS[name].kind
    expected = Settings(**{name: value})
    if OPTIONS[name].several:
        same: list[Any] = [
            list(value),
            np.array(value),
            torch.tensor(value),
            ",".join(map(str, value)),
        ]
        same += [[np.float64(each) for each in value]]
    else:
        same = [str(value), np.float32(value), np.array(value), torch.tensor(value)]
        same += [np.int64(value)] if kind is int else [np.float64(value)]
    for each in same:
        assert Settings(**{name: each}) == expected, repr(each)
    for wrong in ("many", True, np.zeros((2, 2)), object(), {"a": 1}, "", float("nan"), "inf"):
        assert f"`{name}`" in refusal(**{name: wrong})


@pytest.mark.parametrize(
    "option",
    [each for each in OPTIONS.values() if each.low is not None],
    ids=lambda each: each.name,
)
def test_ranges_include_their_ends_and_nothing_more(option: Any) -> None:
    step = 1 if option.kind is int else 1e-6
    others = {"content_weight": {"style_weight": 1}, "style_weight": {"content_weight": 1}}.get(
        option.name, {}
    )
    for end, beyond in ((option.low, option.low - step), (option.high, (option.high or 0) + step)):
        if end is None:
            continue
        assert getattr(Settings(**{option.name: option.kind(end)}, **others), option.name) == end
        assert f"`{option.name}` must be {option.range}" in refusal(**{option.name: beyond})
    assert f"`{option.name}`" in refusal(**{option.name: -(10**400)})


@pytest.mark.parametrize(
    "option", [each for each in OPTIONS.values() if each.choices], ids=lambda each: each.name
)
def test_one_of_a_few_is_one_of_them(option: Any) -> None:
    for choice in option.choices:
        assert getattr(Settings(**{option.name: choice}), option.name) == choice
    said = refusal(**{option.name: "some"})
    assert all(choice in said for choice in option.choices)


@pytest.mark.parametrize(
    "blend", [(), (0, 0), (-1, 2), (float("inf"),), (1e308, 1e308), "1,x", [True], 3, "1,,2"]
)
def test_a_blend_that_is_none_is_refused(blend: object) -> None:
    assert "`blend`" in refusal(blend=blend)


def test_a_path_is_a_text() -> None:
    assert Settings(network=Path("a") / "b.safetensors", encoder=Path("c")).dump()[
        "network"
    ] == str(Path("a/b.safetensors"))


def test_what_is_no_setting_is_said_so_and_what_was_meant() -> None:
    with pytest.raises(TypeError, match="'styl_weight'; did you mean 'style_weight'"):
        Settings(styl_weight=2)  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="'styl_weight'; did you mean 'style_weight'"):
        Settings.read({"styl_weight": 2})


def test_settings_cannot_be_changed_in_place() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.size = 3  # type: ignore[misc]
    assert settings.but(size=64).size == 64
    assert settings.size == Settings().size


def test_nothing_to_optimise_is_refused() -> None:
    assert "both 0" in refusal(content_weight=0, style_weight=0)
    with pytest.raises(OptionError, match="both 0"):
        Settings(content_weight=0).but(style_weight=0)


# ------------------------------------------------------------------------------------- what is made


def test_the_command_line_has_every_setting_and_its_text() -> None:
    stylize = typer.main.get_command(app).commands["stylize"]  # type: ignore[attr-defined]
    known = {parameter.name: parameter for parameter in stylize.params}
    for name, option in OPTIONS.items():
        assert option.flag in known[name].opts
        assert known[name].help == option.help


@pytest.mark.parametrize("name", OTHER)
def test_what_is_typed_is_what_is_set(name: str) -> None:
    value, flag = OTHER[name], OPTIONS[name].flag
    words = (
        [OPTIONS[name].flag.replace("--", "--no-", 1)]
        if value is False
        else [flag, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    )
    stylize = typer.main.get_command(app).commands["stylize"]  # type: ignore[attr-defined]
    typed = stylize.make_context("stylize", ["photo.jpg", "painting.jpg", *words]).params
    assert Settings(**{each: typed[each] for each in OPTIONS}) == Settings(**{name: value})


def test_messages_are_said_in_flags() -> None:
    assert in_flags("`style_scale` must be at least 1; use `method=fast`, or `a b`") == (
        "--style-scale must be at least 1; use --method fast, or `a b`"
    )
    assert in_flags("leave `start` out") == "leave --init out"


# ---------------------------------------------------------------------------------- what it comes to


@pytest.mark.parametrize("name", PRESETS)
def test_left_alone_a_preset_is_done_as_it_is_printed(name: str) -> None:
    assert Settings(preset=name).resolved() == PRESETS[name]


def test_what_speaks_against_a_one_pass_start_and_what_comes_instead() -> None:
    preset = PRESETS[Settings().preset]
    assert preset.init == "pass"
    for against in (
        {"strength": 0},
        {"style_scale": 0.4},
        {"style_weight": 0},
        {"init": "content"},
    ):
        other = Settings(**against).resolved()  # type: ignore[arg-type]
        assert (other.init, other.steps) == ("content", preset.steps_afresh)
    assert Settings().resolved(start=True).steps == preset.steps_afresh
    assert Settings(steps=7).resolved(start=True).steps == Settings(steps=7).resolved().steps == 7
