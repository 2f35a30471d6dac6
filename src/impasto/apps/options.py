"""Options of commands: those many share, their defaults, and how texts become values."""

import inspect
import math
from collections.abc import Mapping
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand

from impasto.errors import ImpastoError
from impasto.presets import Init

__all__ = [
    "FILES",
    "Debug",
    "LazyDefaults",
    "LazyTrainingDefaults",
    "Quiet",
    "defaults",
    "numbers",
    "split_options",
    "training_defaults",
    "words",
]

FILES = "Files and messages"
"""The heading in a command's help."""

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=FILES)]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no notes: only the result.", rich_help_panel=FILES),
]


def defaults() -> dict[str, Any]:
    """What `plan` and `OptimizeConfig` do when not told otherwise, their preset's choices in place of `None`."""
    from impasto.compose.methods import PASS_STEPS
    from impasto.compose.picture import plan
    from impasto.stylizers.optimize import OptimizeConfig

    config = OptimizeConfig()
    resolved = config.resolve()
    own = {name: getattr(config, name) for name in OptimizeConfig.__dataclass_fields__}
    own = {name: getattr(resolved, name) if value in (None, ()) else value for name, value in own.items()}
    # Left alone, `plan` begins at a one-pass picture, which is no word for `init`, and needs fewer steps.
    own |= {"steps": PASS_STEPS, "init": None}
    planned = {
        name: parameter.default
        for name, parameter in inspect.signature(plan).parameters.items()
        if parameter.default not in (inspect.Parameter.empty, None)
    }
    return planned | own


def training_defaults(command: str) -> dict[str, Any]:
    """What `impasto learn` and `impasto train COMMAND` do when not told otherwise."""
    from impasto.train.arbitrary import ArbitraryConfig
    from impasto.train.bank import BankConfig
    from impasto.train.distill import DistillConfig
    from impasto.train.pairs import PairsConfig

    configs = {
        "arbitrary": ArbitraryConfig(),
        "bank": BankConfig(),
        "encoder": DistillConfig(),
        "learn": BankConfig(vectors_only=True),
        "pairs": PairsConfig(),
    }
    return vars(configs[command])


class LazyDefaults(TyperCommand):
    """A command whose options are `None` unless given, and whose help tells what that comes to.

    The defaults live beside what they configure, behind torch; so they are looked up when help is asked for.
    """

    def known(self) -> dict[str, Any]:
        """Option -> default."""
        return defaults()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As always, with defaults."""
        known = self.known()
        for parameter in self.params:
            value = known.get(parameter.name or "")
            if value is not None and not parameter.default:
                parameter.default = ", ".join(value) if isinstance(value, tuple) else value
        super().format_help(ctx, formatter)


class LazyTrainingDefaults(LazyDefaults):
    """The same for the commands that train."""

    def known(self) -> dict[str, Any]:
        """Those of what the command of this name trains."""
        return training_defaults(self.name or "")


def words(text: str, option: str) -> tuple[str, ...]:
    """`a,b` -> `("a", "b")`; `ImpastoError` for an empty entry."""
    found = tuple(word.strip() for word in text.split(","))
    if not all(found):
        raise ImpastoError(f"{option} takes names with commas between them, not {text!r}")
    return found


def numbers(text: str, option: str) -> tuple[float, ...]:
    """`0.7,0.3` -> `(0.7, 0.3)`; `ImpastoError` for what is no finite number."""
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise ImpastoError(f"{option} takes numbers with commas between them, not {text!r}")
    return found


def split_options(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options as typed, by name -> keywords for `OptimizeConfig` and for `plan`; the others are left out.

    Raises `ImpastoError`, naming the option, for a number that is not finite and for a malformed list.
    """
    from impasto.compose.picture import plan
    from impasto.stylizers.optimize import OptimizeConfig

    values = dict(given)
    for name, value in given.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, float) and not math.isfinite(value):
            raise ImpastoError(f"{option} takes a finite number, not {value}")
        if name in ("content_layers", "style_layers"):
            values[name] = words(value, option)
        if name == "blend":
            values[name] = weights = numbers(value, option)
            if min(weights) < 0 or sum(weights) == 0:
                raise ImpastoError(f"{option} takes weights of 0 or more, one of them above 0, not {value}")
        if name == "seed" and not 0 <= value < 2**63:
            raise ImpastoError(f"{option} takes a whole number from 0 to 2^63 - 1, not {value}")
    # A word starts as it says, anything else is a picture to start from.
    if "init" in values and values["init"] not in get_args(Init):
        values["start"] = values.pop("init")
    config = {name: value for name, value in values.items() if name in OptimizeConfig.__dataclass_fields__}
    known = inspect.signature(plan).parameters.keys() - {"content", "styles", "config"}
    return config, {name: value for name, value in values.items() if name in known}
