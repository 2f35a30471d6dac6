"""Commands whose modules are imported when they are called: a tenth of a second of every call."""

from collections.abc import Mapping, MutableMapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["HOMES", "LazyGroup", "commands_app"]

HOMES: Mapping[str, str] = MappingProxyType(
    {
        "learn": "train",
        "pairs": "train",
        "batch": "batch",
        "film": "film",
        "upscale": "upscale",
        "reconstruct": "see",
        "grid": "see",
        "deltas": "see",
        "score": "measure",
        "inspect": "inspect",
        "serve": "serve",
        "train": "train",
        "styles": "styles",
        "export": "export",
    }
)
"""Command -> the module here whose `register` adds it, in the order of `impasto --help`."""


def commands_app(cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    """An application without commands yet, with what all of `impasto`'s have in common."""
    return typer.Typer(
        name="impasto",
        cls=cls,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


class LazyGroup(TyperGroup):
    """Also has the commands of `HOMES`: one is imported where it is asked for by name, all where
    `commands` are looked through.
    """

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """By name, in their order."""
        for name in HOMES:
            self._load(name)
        own = {name: each for name, each in self._known.items() if name not in HOMES}
        return own | {name: self._known[name] for name in HOMES}

    @commands.setter
    def commands(self, known: MutableMapping[str, Any]) -> None:
        self._known = dict(known)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """None where there is no such command."""
        self._load(cmd_name)
        return self._known.get(cmd_name)

    def _load(self, name: str) -> None:
        if name in self._known or name not in HOMES:
            return
        app = commands_app()
        import_module(f"impasto.apps.cli.{HOMES[name]}").register(app)
        self._known |= typer.main.get_group(app).commands
