"""The recipe inside a picture, for people, for machines, and as the command that makes the picture again."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from impasto.apps.options import defaults
from impasto.apps.report import printable
from impasto.errors import ImpastoError
from impasto.picturefile import read_recipe

__all__ = ["command", "show"]

# Parts of a recipe that are not options of the same name.
_OTHER = {"blend", "encoder", "network", "start"}


def show(path: Path, *, as_json: bool) -> None:
    """Print the recipe in a picture; `ImpastoError` where there is none."""
    recipe = read_recipe(path)
    if recipe is None:
        raise ImpastoError(f"{path} holds no recipe: impasto did not make it, or its metadata was stripped")
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
    print("the finished picture:" if recipe.get("unfinished") else "the same again:")
    print(printable(again))


def _text(value: object) -> str:
    if isinstance(value, Mapping) and "name" in value:
        digest = value.get("sha256")
        return f"{value['name']} (SHA-256 {digest})" if digest else str(value["name"])
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value)
    return str(value)


def command(recipe: Mapping[str, Any], output: str) -> str | None:
    """The line for a shell that makes the picture of `recipe` again as `output`; None if it is not of that kind.

    Files are named as they were, without their folders, and options unless leaving them out says the same.
    """
    from impasto.compose.methods import Method

    content, styles = _name(recipe.get("content")), recipe.get("styles")
    names = [_name(style) for style in styles] if isinstance(styles, list) else []
    if recipe.get("method") not in get_args(Method) or content is None or not names or None in names:
        return None
    if recipe.get("pyramid") is not None:  # asked for in Python; there is no option for it
        return None
    inputs = [_positional(name) for name in (content, *names) if name]
    parts = ["impasto", "stylize", *inputs, "-o", _positional(output)]
    unsaid = _unsaid()
    for name, default in unsaid.items():
        value = recipe.get(name)
        if name not in _OTHER and value not in (None, [], default):
            parts += [_flag(name), _value(value)]
    blend = recipe.get("blend")
    if isinstance(blend, list) and any(weight != blend[0] for weight in blend):
        parts += ["--blend", _value(blend)]
    for flag, part in (("--network", "network"), ("--encoder", "encoder"), ("--init", "start")):
        named = _name(recipe.get(part))
        if named is not None and named != unsaid.get(part):
            parts += [flag, named]
    return shlex.join(parts)


def _unsaid() -> dict[str, Any]:
    """What a recipe holds for options that were not given: None or nothing where the preset or the start decides."""
    from impasto.stylizers.optimize import OptimizeConfig

    return defaults() | asdict(OptimizeConfig())


def _name(part: object) -> str | None:
    name = part.get("name") if isinstance(part, Mapping) else None
    return name if isinstance(name, str) and name else None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _positional(name: str) -> str:
    """A name that no parser takes for an option."""
    return f"./{name}" if name.startswith("-") else name


def _value(value: object) -> str:
    return ",".join(str(each) for each in value) if isinstance(value, list) else str(value)
