"""What an option is, and a frozen model whose fields are options: what `impasto.settings` is made of.

class Settings(OptionModel):
    size: int = option(512, "Long side in pixels.", low=32)

Settings.options["size"].range          # "32 or more"
Settings(size="1024").size              # 1024; OptionError, in one line, for "large"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from impasto.errors import OptionError, kind_of
from impasto.texts import first_line, listed, meant, whole

__all__ = ["GROUPS", "Option", "OptionModel", "option"]

GROUPS = ("Picture", "Balance", "Layers and encoder", "Descent")
"""The headings under which options are listed."""


@dataclass(frozen=True)
class Option:
    """One field of a model, as whoever lists options needs it.

    `kind`: `int`, `float`, `bool` or `str`, of its entries where it is a list (`several`).
    `choices`: all there are, if they are few. `low`, `high`: its range, ends included. `shown`:
    what stands for its value in a list of options. `visitor`: see `option`. `usual`: the default, or
    what it comes to where a preset decides; None where nothing can be said.
    """

    name: str
    help: str
    group: str
    default: Any
    kind: type
    several: bool
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    shown: str
    visitor: bool
    usual: Any

    @property
    def flag(self) -> str:
        """`--style-scale`."""
        return "--" + self.name.replace("_", "-")

    @property
    def range(self) -> str:
        """`between 0.1 and 4`, `0 or more`, or nothing."""
        if self.low is None:
            return ""
        return (
            f"{self.low:g} or more"
            if self.high is None
            else f"between {whole(self.low)} and {whole(self.high)}"
        )

    def plain(self, value: Any) -> Any:
        """Numbers and arrays of NumPy and PyTorch, paths, and texts with commas, as Python's own.

        Raises `ValueError`, whose text goes after the option's name.
        """
        if hasattr(value, "tolist"):
            value = value.tolist()
        if self.several:
            return listed(value, self.kind)
        if isinstance(value, bool) and self.kind in (int, float):
            raise ValueError(f"takes a number, not {value}")
        if self.name == "device":
            return str(value)  # PyTorch's own are called so, too
        if isinstance(value, bytes) and self.kind is str:
            raise ValueError(f"takes a text, not bytes ({value[:40]!r})")
        return value.__fspath__() if hasattr(value, "__fspath__") else value


def option(
    default: Any,
    help: str,
    group: str = GROUPS[0],
    *,
    low: float | None = None,
    high: float | None = None,
    shown: str = "",
    visitor: bool = False,
) -> Any:
    """A field: its default, what is said of it, and its range, ends included.

    `shown`: what stands for its value in a list of options. `visitor`: whether someone at the other
    end of a network may set it; others name files and devices of this machine, or take any amount
    of time.
    """
    extra = {"group": group, "shown": shown, "visitor": visitor}
    return Field(default, description=help, ge=low, le=high, json_schema_extra=extra)  # type: ignore[arg-type]


class OptionModel(BaseModel):
    """Values for options, each a field made by `option`. Frozen; `OptionError`, in one line, for a
    value that cannot be.

    Numbers may be NumPy's or texts; lists may be tuples, arrays, or texts with commas between.
    `None` is the field's default.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=False
    )

    options: ClassVar[Mapping[str, Option]]
    """Every field by name, in their order."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        found = {name: _described(name, field) for name, field in cls.model_fields.items()}
        cls.options = MappingProxyType(found)

    if not TYPE_CHECKING:  # so that type checkers know the fields as keywords

        def __init__(self, **given: Any) -> None:
            unknown = next((name for name in given if name not in type(self).model_fields), None)
            if unknown is not None:
                raise TypeError(
                    f"there is no setting {unknown!r}{meant(unknown, type(self).model_fields)}"
                )
            try:
                super().__init__(
                    **{name: value for name, value in given.items() if value is not None}
                )
            except ValidationError as error:
                raise OptionError(first_line(error, self.options)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: Any) -> Any:
        return cls.options[info.field_name].plain(value)

    def but(self, **changes: Any) -> Self:
        """The same with other values, checked again; `None` is the default."""
        kept = {name: getattr(self, name) for name in self.model_fields_set if name not in changes}
        return type(self)(**kept, **changes)

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """From what `dump` gave, or a form or a file says; `OptionError` also for a name that is no
        setting.
        """
        if not isinstance(found, Mapping):
            raise OptionError(f"settings are read from a mapping, and not from {kind_of(found)}")
        for name in found:
            if name not in cls.model_fields:
                raise OptionError(f"there is no setting {name!r}{meant(name, cls.model_fields)}")
        return cls(**found)

    def dump(self) -> dict[str, Any]:
        """Every setting as JSON has it; `read` takes it back."""
        return self.model_dump(mode="json")

    @property
    def changed(self) -> tuple[str, ...]:
        """The settings that are not at their default, in their order."""
        return tuple(
            name for name, each in self.options.items() if getattr(self, name) != each.default
        )


def _described(name: str, field: Any) -> Option:
    """A field of pydantic's as an option."""
    kind: Any = field.annotation
    if type(None) in get_args(kind):
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    choices = tuple(get_args(kind)) if get_origin(kind) is Literal else ()
    several = get_origin(kind) is tuple
    kind = get_args(kind)[0] if several else str if choices else kind
    bounds = {
        key: getattr(each, key)
        for each in field.metadata
        for key in ("ge", "le")
        if hasattr(each, key)
    }
    extra = field.json_schema_extra
    return Option(
        name,
        field.description or "",
        extra["group"],
        field.default,
        kind,
        several,
        choices,
        bounds.get("ge"),
        bounds.get("le"),
        extra["shown"] or "|".join(choices),
        extra["visitor"],
        usual=field.default,
    )
