"""The recipe inside a picture, for people, for machines, and as the command that makes the picture
again.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.apps.report import printable
from impasto.errors import InputError, OptionError
from impasto.film.opening import film_recipe
from impasto.methods.base import METHODS
from impasto.settings import OPTIONS, Settings

__all__ = ["command", "show"]


def show(path: Path, *, as_json: bool) -> None:
    """Print the recipe in a picture or a film; `InputError` where there is none."""
    recipe = film_recipe(path)
    if recipe is None:
        raise InputError(
            f"{path} holds no recipe: impasto did not make it, or its metadata was stripped"
        )
    if as_json:
        print(json.dumps(recipe, indent=2))
        return
    for name, value in recipe.items():
        if value not in (None, [], ""):
            print(f"{printable(name):<15} {printable(_text(value))}")
    again = command(recipe, path.with_name(f"{path.stem}-again{path.suffix}").name)
    print()
    if again is None:
        print("this version knows no command that would make it again")
        return
    for name, stand_in in _STAND_INS.items():
        if _unnamed(recipe.get(name)):
            print(f"{stand_in} is a file that the recipe does not name (--recipe full does)")
    print("the finished picture:" if recipe.get("unfinished") else "the same again:")
    print(printable(again))


# What stands for a file of the user's own that is not named.
_STAND_INS = {"content": "PHOTO", "start": "START"}


def _digest(part: object) -> bool:
    return isinstance(part, Mapping) and "sha256" in part


def _unnamed(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("kind") == "file" and "name" not in part


def _text(value: object) -> str:
    if _unnamed(value):
        return "a file"
    if isinstance(value, Mapping) and "in memory" in value:
        return f"a picture in memory ({value['in memory']})"
    if isinstance(value, Mapping) and "name" in value:
        digest = value.get("sha256")
        return f"{value['name']} (SHA-256 {digest})" if digest else str(value["name"])
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value)
    return str(value)


def command(recipe: Mapping[str, Any], output: str) -> str | None:
    """The line for a shell that makes the picture or film of `recipe` again as `output`; None if
    there is none.

    There is none for pictures that were never in a file. Files are named as they were, without
    their folders, or, where they are not, by what they are; and options unless leaving them out
    says the same.
    """
    named = any(_digest(recipe.get(name)) for name in _STAND_INS)
    recipe = {
        **recipe,
        **{name: {"name": x} for name, x in _STAND_INS.items() if _unnamed(recipe.get(name))},
    }
    content, styles = _name(recipe.get("content")), recipe.get("styles")
    names = [_name(style) for style in styles] if isinstance(styles, list) else []
    if recipe.get("method") == "upscale":
        return _enlarging(recipe, content, output) if content is not None else None
    digests = recipe.get("vectors")
    if isinstance(digests, Mapping):
        names = [f"{name}@{digests[name]}" if name in digests else name for name in names]
    start = _name(recipe.get("start"))
    if (
        str(recipe.get("method")) not in METHODS.names
        or content is None
        or not names
        or None in names
    ):
        return None
    try:
        settings = _settings(recipe)
    except OptionError:
        return None
    if recipe.get("start") is not None and start is None:
        return None
    masks = _masks(recipe, [str(name) for name in names])
    if masks is None or ("--strength" in masks and settings.strength != 1):
        return None
    # Each region says its style itself.
    shown = () if "--region" in masks else names
    inputs = [_positional(name) for name in (content, *shown) if name]
    film = recipe.get("film")
    parts = ["impasto", "film" if isinstance(film, Mapping) else "stylize", *inputs]
    parts += ["-o", _positional(output), *masks]
    if isinstance(film, Mapping):
        parts += ["--apart"] if film.get("apart") else ["--between", str(film.get("between"))]
    for name in settings.changed:
        parts += _typed(name, getattr(settings, name))
    parts += ["--recipe", "full"] if named else []
    return shlex.join([*parts, *(["--init", start] if start is not None else [])])


def _enlarging(recipe: Mapping[str, Any], content: str, output: str) -> str:
    line = ["impasto", "upscale", _positional(content), "--times", str(recipe.get("times"))]
    network = _name(recipe.get("network"))
    other = ["--network", network] if network not in (None, "upscaler") else []
    return shlex.join([*line, "-o", _positional(output), *other])


def _masks(recipe: Mapping[str, Any], styles: list[str]) -> list[str] | None:
    """Regions and strength from place to place, as they are typed; None where they cannot be."""
    regions, seen, strength = (
        recipe.get(name) for name in ("regions", "style_masks", "strength_mask")
    )
    found = []
    if seen is not None and regions is None:
        return None
    if isinstance(regions, list):
        looks = seen if isinstance(seen, list) else [None] * len(regions)
        if not len(regions) == len(looks) == len(styles):
            return None
        for region, style, look in zip(regions, styles, looks, strict=True):
            mask, part = _name(region), _name(look)
            if mask is None or (look is not None and part is None):
                return None
            found += ["--region", "=".join([mask, style, *([part] if part else [])])]
    if strength is not None:
        mask = _name(strength)
        if mask is None:
            return None
        found += ["--strength", mask]
    return found


def _settings(recipe: Mapping[str, Any]) -> Settings:
    """The settings in a recipe; those that say no more than the preset are left to it."""
    found = {name: recipe[name] for name in OPTIONS if recipe.get(name) is not None}
    found |= {name: _name(found[name]) for name in ("encoder", "network") if name in found}
    blend = found.get("blend")
    if isinstance(blend, list) and all(weight == blend[0] for weight in blend):
        found.pop("blend")
    if found.get("device") == "cpu":
        found.pop("device")
    settings = Settings(**found)
    return (
        settings.but(steps=None)
        if settings.steps == settings.but(steps=None).resolved().steps
        else settings
    )


def _typed(name: str, value: object) -> list[str]:
    """An option as it is typed."""
    if isinstance(value, bool):
        return [OPTIONS[name].flag if value else OPTIONS[name].flag.replace("--", "--no-", 1)]
    text = ",".join(str(each) for each in value) if isinstance(value, tuple) else str(value)
    return [OPTIONS[name].flag, text]


def _name(part: object) -> str | None:
    name = part.get("name") if isinstance(part, Mapping) else None
    return name if isinstance(name, str) and name else None


def _positional(name: str) -> str:
    """A name that no parser takes for an option."""
    return f"./{name}" if name.startswith("-") else name
