"""The API for people: a page made from its OpenAPI schema, without scripts and of one piece."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["manual"]

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid #8884; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
"""

_EXAMPLE = """HERE=http://127.0.0.1:7860/api/v1
ID=$(curl -s -F photo=@photo.jpg -F style=starry-night $HERE/jobs | cut -d'"' -f4)
curl -sN $HERE/jobs/$ID/events
curl -s $HERE/jobs/$ID/picture?format=jpeg -o out.jpg
curl -s -X DELETE $HERE/jobs/$ID"""


def manual(schema: Mapping[str, Any]) -> str:
    """HTML: every path of an OpenAPI `schema` with its methods, parameters and fields."""
    parts = "\n".join(
        _operation(path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    )
    title = f"{schema['info']['title']} {schema['info']['version']}: HTTP API"
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<p>Errors are JSON, <code>{{"error": "one line"}}</code>. The same as a schema:
<a href="openapi.json">openapi.json</a>.</p>
<pre>{escape(_EXAMPLE)}</pre>
{parts}</body></html>"""


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(_rows(operation))
    table = (
        f"<table><thead><tr><th>Name<th>Takes<th>Usually<th>What it is</thead>{rows}</table>"
        if rows
        else ""
    )
    return (
        f'<h2><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>'
        f"<p>{escape(operation.get('summary', ''))}</p>{table}"
    )


def _rows(operation: Mapping[str, Any]) -> Iterator[str]:
    for each in operation.get("parameters", []):
        yield _row(each["name"], each["schema"], required=each.get("required", False))
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {})
    schema = form.get("schema", {})
    for name, field in schema.get("properties", {}).items():
        yield _row(name, field, required=name in schema.get("required", ()))


def _row(name: str, field: Mapping[str, Any], *, required: bool) -> str:
    default = field.get("default")
    usual = "required" if required else "" if default in (None, "") else str(default)
    cells = (_takes(field), usual, field.get("description", ""))
    said = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr><td><code>{escape(name)}</code></td>{said}</tr>"


def _takes(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if field.get("format") == "binary":
        return "a file"
    if field.get("type") == "array":
        return f"up to {field['maxItems']}" if "maxItems" in field else "several"
    kind = {"integer": "a whole number", "number": "a number"}.get(str(field.get("type")), "a text")
    low, high = field.get("minimum"), field.get("maximum")
    return f"{kind}, {low:g} to {high:g}" if low is not None and high is not None else kind
