"""What the documentation takes from the code when it is built, so that it cannot fall behind.

A page asks for it by a line of its own, `<!-- made: NAME -->`; `MADE` has the names.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CARDS = ROOT / "src" / "impasto" / "assets"

# A line for a shell, among the sentences of a command's help.
_EXAMPLE = re.compile(r"(\w+=\S+ )?(impasto|fabric|curl) ")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs with every page's text."""
    return re.sub(
        r"^<!-- made: (\S+) -->$", lambda asked: MADE[asked[1]](), markdown, flags=re.MULTILINE
    )


def on_page_content(html: str, **_: Any) -> str:
    """Called by MkDocs with every page's HTML: a picture leads to itself, in full size."""
    return re.sub(r'<img [^>]*?src="([^"]+\.jpg)"[^>]*>', r'<a href="\1">\g<0></a>', html)


# ------------------------------------------------------------------------------------- command line


def commands() -> Iterator[tuple[str, Any]]:
    """`impasto …` as it is typed, and the command behind it, groups among them."""
    import typer

    from impasto.apps.cli.main import app

    def below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield words, command
        for name, each in sorted(getattr(command, "commands", {}).items()):
            yield from below(f"{words} {name}", each)

    return below("impasto", typer.main.get_command(app))


def _command_line() -> str:
    return "\n\n".join(_command(words, command) for words, command in commands())


def _command(words: str, command: Any) -> str:
    text = [line.strip() for line in (command.help or "").strip().splitlines()]
    examples = [line for line in text if _EXAMPLE.match(line)]
    said = "\n".join(line for line in text if line not in examples)
    examples = [re.sub(r" {4}\((.*)\)$", r"    # \1", line) for line in examples]
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([words, "[OPTIONS]", *map(_argument, arguments)])
    if getattr(command, "commands", None):
        usage = f"{words} COMMAND"
    parts = [f"## {words}", _escaped(said), f"```\n{usage}\n```"]
    if examples:
        parts.append("```\n" + "\n".join(examples) + "\n```")
    rows = [
        _row(each, _known(command)) for each in command.params if not getattr(each, "hidden", False)
    ]
    if rows:
        parts.append("\n".join(["| | | default |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    many = f"{name}…" if parameter.nargs == -1 else name
    return many if parameter.required else f"[{many}]"


def _known(command: Any) -> dict[str, Any]:
    """The defaults that a command looks up for its help."""
    return command.known() if hasattr(command, "known") else {}


def _row(parameter: Any, known: dict[str, Any]) -> str:
    variable = getattr(parameter, "envvar", None)
    if parameter.param_type_name == "argument":
        name = _code(parameter.metavar or parameter.name.upper())
    else:
        name = ", ".join(map(_code, parameter.opts))
        name += "" if parameter.is_flag else f" {_code(_metavar(parameter))}"
    said = _cell(_escaped(parameter.help or "")) + (
        f" In the environment: {_code(variable)}." if variable else ""
    )
    return f"| {name} | {said} | {_default(parameter, known)} |"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.type_descriptor.annotation.__name__.upper())


def _default(parameter: Any, known: dict[str, Any]) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or (not value and parameter.name in known):
        value = known.get(parameter.name, value)
    if (
        value is None
        or value is False
        or value in ((), [], "")
        or not getattr(parameter, "show_default", True)
    ):
        return ""
    return _code(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _escaped(text: str) -> str:
    """Text for people as Markdown: what would be markup stands as it is."""
    return text.replace("<", "&lt;").replace("*", r"\*").replace("_", r"\_")


def _code(text: str) -> str:
    """As code in a cell of a table, where Markdown would leave a backslash before every bar."""
    return f"<code>{text.replace('<', '&lt;').replace('|', '&#124;')}</code>"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


# ------------------------------------------------------------------------------------------- tables


def _metrics() -> str:
    from impasto.analysis.metrics import METRICS

    rows = [
        f"| `{each.name}` | {each.better} | {each.range} | {_cell(_escaped(each.meaning))} | {each.source} |"
        for each in METRICS
    ]
    return "\n".join(
        ["| name | better | range | what it is | source |", "|---|---|---|---|---|", *rows]
    )


def _presets() -> str:
    from impasto.apps.cli.tables import how
    from impasto.losses.presets import PRESETS

    rows = []
    for name, each in PRESETS.items():
        content = (
            f"{each.content_weight:g} × {', '.join(each.content_layers)} ({each.content_scale})"
        )
        style = f"{each.style_weight:.3g} × {each.style_layers[0]} … {each.style_layers[-1]} ({each.style_scale})"
        rows.append(f"| `{name}` | {content} | {style} | {how(each)} | {_escaped(each.source)} |")
    return "\n".join(
        ["| preset | content | style | how | source |", "|---|---|---|---|---|", *rows]
    )


def _settings() -> str:
    """A row for every setting, without the head of the table."""
    from impasto.methods.base import METHODS
    from impasto.settings import OPTIONS

    rows = []
    for name, option in OPTIONS.items():
        heard = [each for each, method in METHODS.all().items() if name in method.honours]
        values = ", ".join(map(_code, option.choices)) or option.range
        usual = ", ".join(option.usual) if isinstance(option.usual, tuple) else option.usual
        default = "" if usual is None else _code(str(usual))
        rows.append(
            f"| `{name}` | {_escaped(option.help)} | {values} | {default} | {', '.join(heard) or 'all'} |"
        )
    return "\n".join(rows)


def _learned() -> str:
    from impasto.networks.checkpoint import load_network

    bank = load_network(device="cpu").bank
    rows = [f"| `{name}` | {_cell(_escaped(bank.notes.get(name, '')))} |" for name in bank.names]
    return "\n".join(["| style | what it is |", "|---|---|", *rows])


# -------------------------------------------------------------------------------------------- texts


def _card(name: str) -> Callable[[], str]:
    """A model card, its headings one level down."""
    return lambda: re.sub(
        r"^#", "##", (CARDS / f"{name}.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )


def _section(heading: str) -> Callable[[], str]:
    """A section of the README, without its heading."""

    def text() -> str:
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        found = re.search(
            rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL
        )
        if found is None:
            raise ValueError(f"the README has no section called {heading!r}")
        return found[1].strip()

    return text


MADE: dict[str, Callable[[], str]] = {
    "card-compact": _card("compact"),
    "card-painter": _card("painter"),
    "card-upscaler": _card("upscaler"),
    "command-line": _command_line,
    "learned": _learned,
    "measured": _section("How good, how fast"),
    "metrics": _metrics,
    "presets": _presets,
    "settings": _settings,
}
