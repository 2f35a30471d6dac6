"""Settings on the page: as controls, and as the arguments of an endpoint for Gradio's client."""

import inspect
from collections.abc import Callable
from typing import Any

from impasto.apps.studio.orders import USUAL, VISITOR
from impasto.settings import OPTIONS, Option

__all__ = ["percent", "with_settings"]


def percent(
    option: Option, *, low: int | None = None, high: int | None = None
) -> tuple[int, int, int]:
    """Lowest, highest and usual value of a setting in percent; `low`, `high`: what of its range is
    of use.
    """
    ends = (option.low, option.high)
    first, last = (
        round(100 * (end or 0)) if own is None else own
        for end, own in zip(ends, (low, high), strict=True)
    )
    return first, last, round(100 * option.default)


def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of an endpoint with the visitors' settings among its arguments, as Gradio's
    client lists them.
    """
    own = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.kind is not each.VAR_KEYWORD
    ]
    asked = [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=getattr(USUAL, name),
            annotation=list[float] if OPTIONS[name].several else OPTIONS[name].kind,
        )
        for name in VISITOR
    ]

    def endpoint(*given: Any, **named: Any) -> Any:
        names = [*(each.name for each in own), *VISITOR]
        return function(**dict(zip(names, given, strict=False)), **named)

    endpoint.__name__, endpoint.__doc__ = function.__name__, function.__doc__
    returned = inspect.signature(function).return_annotation
    endpoint.__signature__ = inspect.Signature([*own, *asked], return_annotation=returned)  # type: ignore[attr-defined]
    endpoint.__annotations__ = {each.name: each.annotation for each in (*own, *asked)} | {
        "return": returned
    }
    return endpoint
