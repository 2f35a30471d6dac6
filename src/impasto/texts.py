"""What is typed, as values, and values as what is said of them: small words of the settings."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from impasto.errors import kind_of
from impasto.habits import ARGUMENTS, brought

__all__ = ["first_line", "joined", "layer_weight", "listed", "meant", "shortened", "whole"]


def listed(value: Any, kind: type) -> Any:
    """The entries of a list, or of a text with commas between them: names if `kind` is `str`.

    Raises `ValueError` that says what the setting takes.
    """
    called = "names" if kind is str else "numbers"
    if isinstance(value, Mapping):
        raise ValueError(f"takes {called} in an order, not {kind_of(value)}")  # noqa: TRY004
    if isinstance(value, str):
        words = [word.strip() for word in value.split(",")]
        if kind is str:
            if not all(words):
                raise ValueError(f"takes {called} with commas between them, not {value!r}")
            return tuple(words)
        try:
            return tuple(float(word) for word in words)
        except ValueError:
            raise ValueError(f"takes {called} with commas between them, not {value!r}") from None
    try:
        entries = tuple(each.tolist() if hasattr(each, "tolist") else each for each in value)
    except TypeError:
        raise ValueError(f"takes {called}, several of them, not {value!r}") from None
    if any(isinstance(each, bool) for each in entries):
        raise ValueError(f"takes {called}, not {value!r}")
    return entries


def layer_weight(entry: str) -> tuple[str, float]:
    """`relu4_1:2` -> `("relu4_1", 2.0)`; 1 where nothing is said."""
    name, colon, weight = entry.partition(":")
    if not colon:
        return name, 1.0
    try:
        found = float(weight)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError(f"takes weights of 0 or more after a colon, not {entry!r}")
    return name.strip(), found


def shortened(value: object) -> str:
    """What was given, in a line's part of its own: a text or a number whole, anything longer by its
    kind.
    """
    if isinstance(value, int) and not -(10**30) < value < 10**30:
        return "a number of so many digits"
    if not isinstance(value, str | bytes | float | int | list | tuple) and value is not None:
        return kind_of(value)
    text = f"{value}" if isinstance(value, float | int) else repr(value)
    return text if len(text) <= 80 else f"{kind_of(value)} of {len(text)} characters"


def whole(number: float) -> str:
    """A whole number with all its digits, any other briefly."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def joined(values: Iterable[float]) -> str:
    """Numbers with commas between them."""
    return ",".join(f"{value:g}" for value in values)


def first_line(error: ValidationError, options: Mapping[str, Any]) -> str:
    """The first of what pydantic found, in one line that names the setting."""
    first = error.errors()[0]
    said = str(first.get("ctx", {}).get("error", ""))
    if not first["loc"]:
        return said
    name, value = str(first["loc"][0]), shortened(first["input"])
    option = options[name]
    if said:
        return f"`{name}` {said}"
    if name in ("encoder", "network") and not isinstance(first["input"], str):
        return (
            f"`{name}` takes a name or a file, not {value}; to load one once for many pictures, give "
            "all of them the same `networks=Networks()`"
        )
    if option.choices:
        given = first["input"]
        picture = name == "init" and not (isinstance(given, str) and "." not in given)
        more = "; a picture to start from is given to stylize as `start`" if picture else ""
        choices = " or ".join((", ".join(option.choices[:-1]), option.choices[-1]))
        return f"unknown `{name}` {value}; choose {choices}{more}"
    if first["type"] in ("greater_than_equal", "less_than_equal"):
        return f"`{name}` must be {option.range}, not {value}"
    if first["type"] == "finite_number":
        return f"`{name}` takes a finite number, not {value}"
    kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    several = {float: "numbers with commas between them", str: "names with commas between them"}
    return f"`{name}` takes {several[option.kind] if option.several else kinds[option.kind]}, not {value}"


def meant(name: str, known: Collection[str]) -> str:
    """What to add to a message about a name that is not known: the one that was meant, or all there
    are.
    """
    near = brought(name, (*known, *ARGUMENTS))
    if near is not None and near in ARGUMENTS:
        return f"; {ARGUMENTS[near]}"
    return f"; did you mean {near!r}?" if near else f"; there are: {', '.join(known)}"
