"""Named things that this package brings and other packages add to: by an entry point, or at run
time.

Names are known without importing anything; what a name stands for is imported when it is asked for.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import Generic, TypeVar

from impasto.errors import OptionError
from impasto.texts import meant

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """What there is of one kind, by name.

    `group`: of the entry points by which installed packages add to it. `package`: of the modules
    that this package brings, each one thing, whose name is the module's and whose attribute is that
    in capitals: `w2.py` has `W2`. `kind`: the setting that chooses among them, for messages.
    `first`: names that come before the others, which go by the alphabet. A name of this package's
    own cannot be taken by another.
    """

    def __init__(self, group: str, package: str, kind: str, first: Sequence[str] = ()) -> None:
        self.group, self.kind = group, kind
        self._package, self._first = package, tuple(first)
        self._added: dict[str, T] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """This package's first, then what others add, by name."""
        return (*self._own, *sorted({*self._points(), *self._added} - {*self._own}))

    def add(self, name: str, what: T) -> None:
        """From now on, in this process; `OptionError` where the name is taken by this package
        itself.
        """
        if name in self._own:
            raise OptionError(f"`{self.kind}` {name!r} is there already; choose another name")
        self._added[name] = what

    def get(self, name: str) -> T:
        """What the name stands for; `OptionError`, with the names there are, for one that is not."""
        if name in self._added:
            return self._added[name]
        if name in self._own:
            found: T = getattr(import_module(f"{self._package}.{name}"), name.upper())
            return found
        points = self._points()
        if name not in points:
            raise OptionError(f"unknown `{self.kind}` {name!r}{meant(name, self.names)}")
        try:
            loaded: T = points[name].load()
        except Exception as error:
            raise OptionError(
                f"`{self.kind}` {name!r} cannot be loaded from {points[name].value} ({error})"
            ) from error
        return loaded

    def all(self) -> dict[str, T]:
        """All there are by name, but for what another package adds and cannot be loaded."""
        found = {}
        for name in self.names:
            with suppress(OptionError):
                found[name] = self.get(name)
        return found

    @cached_property
    def _own(self) -> tuple[str, ...]:
        there = sorted(each.name for each in iter_modules(import_module(self._package).__path__))
        return (*self._first, *(name for name in there if name not in self._first))

    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}
