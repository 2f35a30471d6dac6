"""Options of commands: those made from `Settings`, those many commands share, and how texts become
values.
"""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from impasto.errors import OptionError
from impasto.habits import meant
from impasto.losses.base import STYLE_LOSSES
from impasto.methods.base import METHODS
from impasto.settings import GROUPS, OPTIONS, Option

__all__ = [
    "FILES",
    "Debug",
    "Quiet",
    "SettingsCommand",
    "TrainingCommand",
    "asks",
    "in_flags",
    "training_defaults",
    "unknown_option",
    "words",
]

FILES = "Files and messages"
"""The heading in a command's help."""

Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=FILES)
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="No progress and no notes: only the result.", rich_help_panel=FILES
    ),
]


def asks(*names: str, **usual: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command takes these settings as options too, and gets those typed as the mapping `given`.

    They stand where `given` is among its parameters. Types, ranges, texts and defaults are those of
    `Settings`; `usual` has other defaults, for the help alone.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True).parameters
        asked = [_parameter(OPTIONS[name]) for name in names]
        parameters = [each for name in own for each in (asked if name == "given" else [own[name]])]
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]

        def command(**typed: Any) -> None:
            given = {name: value for name in names if (value := typed.pop(name)) is not None}
            function(**typed, given=given)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        command.usual = usual  # type: ignore[attr-defined]
        return command

    return decorate


def _parameter(option: Option) -> inspect.Parameter:
    """A setting as a parameter of a command, None unless it is typed."""
    kind = str if option.several or option.choices else option.kind
    said = typer.Option(
        option.flag if kind is not bool else f"{option.flag}/--no-{option.name}",
        metavar=option.shown or None,
        help=option.help,
        rich_help_panel=None if option.group == GROUPS[0] else option.group,
        show_default=kind is not bool,
    )
    annotation = Annotated[kind | None, said]  # type: ignore[valid-type]
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


class SettingsCommand(TyperCommand):
    """A command whose settings are None unless typed, and whose help says what that comes to."""

    def known(self) -> dict[str, Any]:
        """Option -> default."""
        return {name: option.usual for name, option in OPTIONS.items()} | getattr(
            self.callback, "usual", {}
        )

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As always, with defaults and the methods there are."""
        known = self.known()
        for parameter in self.params:
            value = known.get(parameter.name or "")
            if value is not None and value is not False and value != () and not parameter.default:
                parameter.default = ", ".join(value) if isinstance(value, tuple) else value
            for registry in (METHODS, STYLE_LOSSES):
                if parameter.name == registry.kind:
                    parameter.metavar = "|".join(registry.names)
        super().format_help(ctx, formatter)


def in_flags(text: str) -> str:
    """A message that names parameters, between backticks, with the options of a command line
    instead.

    `` `style_scale` `` becomes `--style-scale`, and `` `method=fast` `` becomes `--method fast`.
    """
    return _PARAMETER.sub(
        lambda found: _flag(found[1]) + (f" {found[2]}" if found[2] else ""), text
    )


def unknown_option(error: Exception, args: Sequence[str] | None) -> str | None:
    """What to say of an option that the command lacks, where it can be told what was meant."""
    given, command = getattr(error, "option_name", None), getattr(error, "ctx", None)
    if not given or command is None:
        return None
    words = [word.partition("=")[0] for word in (sys.argv[1:] if args is None else args)]
    if not given.startswith("--"):  # -num_iterations is taken for -n and more
        given = next((word for word in words if word.startswith(given) and len(word) > 3), given)
    own = {parameter.name: parameter for parameter in command.command.params if parameter.name}
    near = meant(given, [*own, *(["style"] if "styles" in own else [])])
    parameter = own.get(near or "")
    if parameter is None:
        return None
    if parameter.param_type_name == "argument":
        usual = command.command.collect_usage_pieces(command)
        return f"there is no option {given}: it is an argument, {' '.join(usual[1:])}"
    return f"there is no option {given}; did you mean {max(parameter.opts, key=len)}?"


_PARAMETER = re.compile(r"`([a-z]+(?:_[a-z]+)*)(?:=([^`]*))?`")


def _flag(name: str) -> str:
    return "--" + {"start": "init"}.get(name, name).replace("_", "-")


def training_defaults(command: str) -> dict[str, Any]:
    """What `impasto learn` and `impasto train COMMAND` do when not told otherwise."""
    from impasto.training.arbitrary import ArbitraryConfig
    from impasto.training.bank import BankConfig
    from impasto.training.distill import DistillConfig
    from impasto.training.pairs import PairsConfig

    configs = {
        "arbitrary": ArbitraryConfig(),
        "bank": BankConfig(),
        "encoder": DistillConfig(),
        "learn": BankConfig(vectors_only=True),
        "pairs": PairsConfig(),
    }
    return vars(configs[command])


class TrainingCommand(SettingsCommand):
    """The same for the commands that train."""

    def known(self) -> dict[str, Any]:
        """Those of what the command of this name trains."""
        return training_defaults(self.name or "")


def words(text: str, option: str) -> tuple[str, ...]:
    """`a,b` -> `("a", "b")`; `OptionError` for an empty entry."""
    found = tuple(word.strip() for word in text.split(","))
    if not all(found):
        raise OptionError(f"{option} takes names with commas between them, not {text!r}")
    return found
