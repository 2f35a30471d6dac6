"""What a form has to say over HTTP: its schema, and the order in it. Nothing here reads a request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from impasto.apps.report import printable
from impasto.apps.studio.budget import Budget
from impasto.apps.studio.limits import Limits, Upload, open_upload
from impasto.apps.studio.orders import USUAL, VISITOR, Order
from impasto.errors import ImpastoError
from impasto.settings import Settings

__all__ = ["FIELDS", "SentFile", "form_order", "form_schema"]

FIELDS = ("photo", "style", *VISITOR)
"""The fields of an order, in the order in which they are told."""

_OURS = ("group", "shown", "visitor", "title")  # of a field, but nobody's business over HTTP


@dataclass(frozen=True)
class SentFile:
    """What was sent as one: the name is its sender's and means nothing here."""

    name: str
    data: bytes


def form_order(form: Iterable[tuple[str, str | SentFile]], limits: Limits, budget: Budget) -> Order:
    """The order in a form; `ImpastoError` for a field there is not, twice or not as it should be.

    An error about one of several files says which: "style 2 (two.png): this file is empty".
    """
    photos: list[Upload] = []
    styles: list[str | Upload] = []
    others: dict[str, Any] = {}
    for name, value in form:
        if name not in FIELDS:
            raise ImpastoError(
                f"there is no field {printable(name[:80])!r}; there are: {', '.join(FIELDS)}"
            )
        if name in others or (name == "photo" and photos):
            raise ImpastoError(f"the field {name} was given twice")
        if name == "photo":
            if isinstance(value, str):
                raise ImpastoError(
                    "photo must be a file, sent whole; neither paths nor addresses are opened here"
                )
            photos.append(_opened(value, "photo", limits, budget))
        elif name == "style":
            which = f"style {len(styles) + 1}"
            styles.append(
                value if isinstance(value, str) else _opened(value, which, limits, budget)
            )
        elif isinstance(value, str):
            others[name] = value
        else:
            raise ImpastoError(f"{name} is no file")
    if not photos or not styles:
        raise ImpastoError(f"the field {'style' if photos else 'photo'} is missing")
    return Order(photos[0], tuple(styles), USUAL.but(**others))


def _opened(sent: SentFile, which: str, limits: Limits, budget: Budget) -> Upload:
    try:
        return open_upload(sent.data, limits, name=sent.name, budget=budget)
    except ImpastoError as error:
        name = f" ({printable(sent.name[:80])})" if sent.name else ""
        raise type(error)(f"{which}{name}: {error}") from None


def form_schema(limits: Limits) -> dict[str, Any]:
    """The form of an order as OpenAPI has it: its files, and the settings of visitors with their
    ranges here.
    """
    known: Mapping[str, Any] = Settings.model_json_schema()["properties"]
    fields = {
        name: {key: value for key, value in known[name].items() if key not in _OURS}
        for name in VISITOR
    }
    for name, high in limits.highest.items():
        fields[name] |= {"maximum": high}
    for name in VISITOR:
        fields[name] |= {"default": getattr(USUAL, name)}
    # In a form a list is a text with commas between its entries.
    fields["blend"] = {
        "type": "string",
        "description": fields["blend"]["description"],
        "example": "0.7,0.3",
    }
    file = {
        "type": "string",
        "format": "binary",
        "description": "JPEG, PNG, WebP, TIFF, AVIF, GIF or BMP",
    }
    styles = {
        "type": "array",
        "items": {"anyOf": [file, {"type": "string"}]},
        "maxItems": limits.styles,
    }
    styles["description"] = "files, or names of styles"
    return {
        "type": "object",
        "required": ["photo", "style"],
        "properties": {"photo": file, "style": styles, **fields},
    }
