"""Options of commands: those made from `Settings`, those many commands share, and how texts become
values.
"""

import inspect
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from impasto.errors import OptionError
from impasto.habits import brought
from impasto.losses.base import STYLE_LOSSES
from impasto.methods.base import METHODS
from impasto.settings import GROUPS, OPTIONS, Option
from impasto.texts import shortened

if TYPE_CHECKING:
    from impasto.training.configs import RunConfig

__all__ = [
    "COURSE",
    "FILES",
    "Debug",
    "Quiet",
    "SettingsCommand",
    "TrainingCommand",
    "asks",
    "configures",
    "in_flags",
    "unknown_option",
    "with_options",
    "without_command",
    "words",
    "wrong_value",
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


COURSE = "Course of the training"
"""Likewise."""


def asks(
    *names: str, forms: Collection[str] = (), **usual: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command takes these settings as options too, and gets those typed as the mapping `given`.

    They stand where `given` is among its parameters. Types, ranges, texts and defaults are those of
    `Settings`; `usual` has other defaults, for the help alone. `forms`: those of which it also
    takes what is no value of a setting, such as `--size 2x`, or a file.
    """
    return _asking([_parameter(OPTIONS[name], name in forms) for name in names], usual)


def configures(
    model: "type[RunConfig]", *names: str, **usual: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same with fields of a training's configuration: these, or all that have a description."""
    fields = model.model_fields
    names = names or tuple(name for name, field in fields.items() if field.description)
    defaults = {name: fields[name].default for name in names}
    return _asking([_field(name, fields[name]) for name in names], defaults | usual)


def with_options(
    function: Callable[..., None], place: str, shared: Callable[..., None]
) -> Callable[..., None]:
    """`shared`, which calls `function`, as a command: with the options of both, those of `shared`
    where `place` is among the parameters of `function`.
    """
    own, more = (inspect.signature(each, eval_str=True).parameters for each in (function, shared))
    added = [each for each in more.values() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    parameters = [each for name in own for each in (added if name == place else [own[name]])]
    shared.__name__, shared.__doc__ = function.__name__, function.__doc__
    shared.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    shared.__annotations__ = {each.name: each.annotation for each in parameters}
    return shared


def _asking(
    asked: Sequence[inspect.Parameter], usual: Mapping[str, Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True).parameters
        parameters = [each for name in own for each in (asked if name == "given" else [own[name]])]
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]

        def command(**typed: Any) -> None:
            values = {each.name: typed.pop(each.name) for each in asked}
            given = {name: value for name, value in values.items() if value is not None}
            function(**typed, given=given)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        command.usual = usual  # type: ignore[attr-defined]
        return command

    return decorate


def _field(name: str, field: FieldInfo) -> inspect.Parameter:
    """A field of a training's configuration as a parameter of a command, None unless it is typed."""
    choices = get_args(field.annotation)
    said = typer.Option(
        metavar="|".join(choices) or None, help=field.description, rich_help_panel=COURSE
    )
    annotation = Annotated[(str if choices else field.annotation) | None, said]  # type: ignore[valid-type, operator]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _parameter(option: Option, forms: bool) -> inspect.Parameter:
    """A setting as a parameter of a command, None unless it is typed."""
    # A number may have another form, or a file may stand in its place.
    formed = option.kind in (int, float) and "|" in option.shown
    shown = option.shown
    if not forms and (formed or option.choices):
        shown = shown.partition("|")[0] if formed else shown.removesuffix("|FILE")
    kind = str if option.several or option.choices or formed else option.kind
    said = typer.Option(
        option.flag
        if kind is not bool
        else f"{option.flag}/{option.flag.replace('--', '--no-', 1)}",
        metavar=shown or None,
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
    """A message that names parameters between backticks, with options of the command line instead.

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
    near = brought(given, [*own, *(["style"] if "styles" in own else [])])
    parameter = own.get(near or "")
    if parameter is None:
        return None
    if parameter.param_type_name == "argument":
        usual = command.command.collect_usage_pieces(command)
        return f"there is no option {given}: it is an argument, {' '.join(usual[1:])}"
    return f"there is no option {given}; did you mean {max(parameter.opts, key=len)}?"


def wrong_value(error: Exception) -> str | None:
    """What to say of a value that is no number, or out of its range: typer's own message does not
    say which it was.
    """
    parameter, cause = getattr(error, "param", None), error.__cause__
    if parameter is None or not isinstance(cause, ValidationError):
        return None
    first, name = cause.errors()[0], max(parameter.opts, key=len)
    given = shortened(first["input"])
    kind = {"int": "a whole number", "float": "a number"}.get(first["type"].partition("_")[0])
    if kind is not None:
        return f"{name} takes {kind}, not {given}"
    bounds = {"ge": "or more", "le": "or less"}
    limits = first.get("ctx", {})
    said = [f"{limits[end]:g} {words}" for end, words in bounds.items() if end in limits]
    number = given.strip("'")
    return f"{name} must be {said[0]}, not {number}" if said else None


def without_command(args: Sequence[str] | None, commands: Collection[str]) -> str | None:
    """What to say where a line begins with a picture, or an option of `stylize`, in place of a
    command.
    """
    word = next(iter(sys.argv[1:] if args is None else args), "")
    name = word.lstrip("-").partition("=")[0].replace("-", "_")
    if word in commands or not (
        Path(word).suffix or Path(word).exists() or (word.startswith("--") and name in OPTIONS)
    ):
        return None
    return "a line begins with what to do: impasto stylize PHOTO STYLE (impasto --help lists all)"


_PARAMETER = re.compile(r"`([a-z]+(?:_[a-z]+)*)(?:=([^`]*))?`")


def _flag(name: str) -> str:
    typed = {
        "start": "init",
        "regions": "region",
        "strength_mask": "strength",
        "form": "format",
    }
    return "--" + typed.get(name, name).replace("_", "-")


class TrainingCommand(SettingsCommand):
    """The same for the commands that train."""

    def known(self) -> dict[str, Any]:
        """The defaults of what it `configures`."""
        return dict(getattr(self.callback, "usual", {}))


def words(text: str, option: str) -> tuple[str, ...]:
    """`a,b` -> `("a", "b")`; `OptionError` for an empty entry."""
    found = tuple(word.strip() for word in text.split(","))
    if not all(found):
        raise OptionError(f"{option} takes names with commas between them, not {text!r}")
    return found
