"""The documentation, held to the program: its commands, options, Python and links exist, and the
site builds.
"""

import ast
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import impasto
from impasto.apps.cli.main import app
from impasto.apps.cli.options import in_flags
from impasto.losses.presets import PRESETS
from impasto.networks.header import learned_styles
from impasto.pictures.samples import STYLES, sample, sample_names
from impasto.pipeline import plan
from impasto.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
if not DOCS.is_dir():
    pytest.skip("the documentation is not in a source distribution", allow_module_level=True)
PAGES = sorted((*DOCS.rglob("*.md"), ROOT / "README.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_command(app)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code(page: Path, *languages: str) -> list[str]:
    return [
        text
        for language, text in FENCE.findall(page.read_text(encoding="utf-8"))
        if language in languages
    ]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def lines(page: Path) -> list[str]:
    """The commands to be typed: lines of code, and of a launcher's the command it starts."""
    typed = "".join(code(page, "", "sh", "console")).splitlines()
    started = [re.sub(r"^\w+=\S+ ", "", line).partition('"$(which impasto)"') for line in typed]
    typed = [f"impasto {rest}" if which else line for line, which, rest in started]
    return [line for line in typed if line.startswith("impasto ")]


def mentioned(page: Path) -> list[str]:
    """Commands named in a text."""
    return re.findall(r"`(impasto [a-z][^`]*)`", prose(page))


def below(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the other words."""
    command, rest = COMMANDS, words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def options(command: Any) -> dict[str, Any]:
    known = {
        option: parameter
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("-")
    }
    return {**known, "--help": None, "-h": None}


def mistake(line: str, *, whole: bool) -> str | None:
    """What is wrong with a command line, or None. `whole`: its arguments and values have to be
    there too.
    """
    command, rest = below(shlex.split(line, comments=True))
    if getattr(command, "commands", None) and rest and not rest[0].startswith("-"):
        return f"there is no command {rest[0]}"
    known, arguments, given = options(command), 0, set()
    while rest:
        word, _, value = rest.pop(0).partition("=")
        if not word.startswith("-") or word == "-":
            arguments += 1
            continue
        if word not in known:
            return f"there is no option {word}"
        parameter = known[word]
        if parameter is None:
            return None
        given.add(parameter.name)
        if parameter.is_flag:
            continue
        if value == "" and (not rest or rest.pop(0).startswith("-")) and whole:
            return f"{word} has no value"
    if not whole or any(each.is_eager and each.name in given for each in command.params):
        return None
    missing = [each.name for each in command.params if each.required and each.name not in given]
    positional = [each for each in command.params if each.param_type_name == "argument"]
    missing = [each for each in missing if each not in {argument.name for argument in positional}]
    least = sum(each.required for each in positional)
    most = 1000 if any(each.nargs == -1 for each in positional) else len(positional)
    if missing or not least <= arguments <= most:
        return f"it has {arguments} arguments for {least} or more, and lacks {missing}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_line_is_one(page: Path) -> None:
    wrong = {line: mistake(line, whole=True) for line in lines(page)}
    wrong |= {line: mistake(line, whole=False) for line in mentioned(page)}
    assert not {line: said for line, said in wrong.items() if said}


@pytest.mark.parametrize(
    "line",
    [
        "impasto stylise photo.jpg painting.jpg",
        "impasto train nothing",
        "impasto stylize photo.jpg painting.jpg --colour",
        "impasto stylize photo.jpg painting.jpg --size",
        "impasto stylize --size 3",
        "impasto learn painting.jpg",
        "impasto presets photo.jpg",
    ],
)
def test_a_wrong_command_line_is_found(line: str) -> None:
    assert mistake(line, whole=True)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_option_and_name_is_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    every = {option for _, command in hooks().commands() for option in options(command)}
    # Of other programs, where a page calls them.
    every |= {"--devices", "--strict"}
    named = set(re.findall(r"`(--[a-z][a-z-]*)", prose(page)))
    assert named <= every
    assert set(re.findall(r"--preset ([a-z0-9.-]+)", text)) <= set(PRESETS)
    named = re.findall(r"impasto stylize (?:photo\.jpg|cat) ([a-z][a-z-]*)(?=\s)", text)
    learned = {each.name for each in learned_styles()} | set(re.findall(r"--name (\S+)", text))
    assert set(named) <= {*STYLES, *learned}
    assert set(re.findall(r"impasto stylize ([a-z]+) ", text)) <= set(sample_names())


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_in_pages_names_what_there_is(page: Path) -> None:
    keywords = {*inspect.signature(plan).parameters, *Settings.model_fields}
    for text in code(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "impasto":
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "impasto"
            ):
                assert node.attr in impasto.__all__
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "impasto.stylize",
                "impasto.plan",
            ):
                assert {each.arg for each in node.keywords} <= keywords, ast.unparse(node)


def smaller(text: str) -> str:
    """The same example on a small picture and for two steps."""
    text = re.sub(r"\bsize=\d+", "size=48", text)
    return re.sub(r"\bsteps=\d+", "steps=2", text)


@pytest.mark.parametrize("number", range(len(code(DOCS / "how-to" / "python.md", "python"))))
def test_every_example_of_the_python_page_runs(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for registry in (impasto.METHODS, impasto.STYLE_LOSSES):
        monkeypatch.setattr(registry, "_added", {})
    for folder in ("photos", "painted"):
        Path(folder).mkdir()
    for file, picture in (("photo", "cat"), ("photos/one", "coffee"), ("painting", "rocket")):
        sample(picture).resize((64, 48)).save(f"{file}.jpg")
    exec(
        compile(
            smaller(code(DOCS / "how-to" / "python.md", "python")[number]),
            f"example {number}",
            "exec",
        ),
        {},
    )
    assert "photos/one.jpg:" not in capsys.readouterr().out, "no picture was refused"


def test_all_that_is_exported_is_there_and_shown() -> None:
    """Each name of the package stands in an example or a text of the pages for builders."""
    pages = [DOCS / "how-to" / "python.md", ROOT / "README.md"]
    shown = " ".join(page.read_text(encoding="utf-8") for page in pages)
    assert set(impasto.__all__) <= set(dir(impasto))
    for exported in impasto.__all__:
        assert getattr(impasto, exported) is not None
        assert re.search(rf"\b{exported}\b", shown), exported


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", prose(page))
    inside = [target for target in targets if not target.startswith(("http:", "https:", "mailto:"))]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_every_picture_is_shown() -> None:
    shown = {
        match
        for page in PAGES
        for match in re.findall(r"!\[[^]]*\]\(\S*?([\w-]+\.jpg)\)", prose(page))
    }
    made = {path.name for path in (*(DOCS / "pictures").iterdir(), *DOCS.glob("*.jpg"))}
    assert shown == made
    assert sum(path.stat().st_size for path in (DOCS / "pictures").iterdir()) < 2_500_000


def messages() -> list[str]:
    """Every text in the code; what is filled in stands as `…`."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            found.append(
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts
                )
            )
    return found


def test_every_error_that_is_explained_can_be_raised() -> None:
    page = (DOCS / "how-to" / "troubleshooting.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `(.+?)` ", page, re.MULTILINE)
    every = [in_flags(text) for text in messages()]
    assert len(explained) > 20
    for text in explained:
        pattern = re.compile(".*".join(map(re.escape, text.split("…"))))
        assert any(pattern.search(message) for message in every), text


# Behind what the pages describe: no names that a user of the package needs.
WITHIN = {
    "assets",
    "forks",
    "habits",
    "home",
    "signals",
    "networks.header",
    "networks.process",
    "pictures.files",
    "pictures.identity",
    "pictures.kinds",
    "pictures.planes",
    "pictures.recipes",
    "texts",
}


def test_every_module_is_described() -> None:
    pages = "".join(path.read_text() for path in DOCS.glob("api/*.md"))
    described = set(re.findall(r"^::: impasto\.(\S+)$", pages, re.M))
    folders = set(re.findall(r"^::: impasto\.(\S+)\n.*\n +show_submodules: true$", pages, re.M))
    source = ROOT / "src" / "impasto"
    modules = {
        ".".join(path.relative_to(source).with_suffix("").parts)
        for path in source.rglob("[!_]*.py")
    }
    within = {name for name in modules if name.rpartition(".")[0] in folders}
    expected = {name for name in modules - within - WITHIN if not name.startswith("apps.")}
    assert described == expected | folders


def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_made_from_the_code_is_asked_for_and_whole() -> None:
    asked = [
        each
        for page in PAGES
        for each in re.findall(r"^<!-- made: (\S+) -->$", prose(page), re.MULTILINE)
    ]
    made = hooks().MADE
    assert set(asked) == set(made)
    written = made["command-line"]()
    for words, command in hooks().commands():
        assert f"## {words}\n" in written
        assert all(
            f"<code>{option}</code>" in written
            for option in options(command)
            if options(command)[option]
        )


def helped() -> list[str]:
    """The lines of every command's help."""
    return [line for _, each in hooks().commands() for line in (each.help or "").splitlines()]


def test_every_example_of_a_help_is_one_command_on_a_line_of_its_own() -> None:
    examples = [line.strip() for line in helped() if line.strip().startswith("impasto ")]
    assert len(examples) > 40
    wrong = {line: mistake(re.sub(r" {4}\(.*\)$", "", line), whole=True) for line in examples}
    assert not {line: said for line, said in wrong.items() if said}
    assert not [line for line in examples if re.search(r". impasto (stylize|grid|train) ", line)]


def docstrings() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text:
                    found.append((f"{path.name}:{getattr(node, 'name', '')}", text))
    return found


_CODE = re.compile(r"(\w+ = \w|for .+ in .+:|import \w+$|from \S+ import |save_\w+\()")
_FORMULA = "d = z - t"


def test_examples_in_docstrings_are_code_on_the_site() -> None:
    """Indented after an empty line they are code to Markdown; otherwise they run together."""
    count = 0
    for where, text in docstrings():
        if "apps" in where:
            continue
        assert not [line for line in text.splitlines() if _CODE.match(line)], where
        for block in re.findall(r"(?:^|\n)\n((?: {4}.*(?:\n|$))+)", text):
            if _FORMULA not in block:
                ast.parse(textwrap.dedent(block))
                count += 1
    assert count >= 8


class Page(HTMLParser):
    """What a page makes a browser fetch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        fetched = given.get("src") or (given.get("href") if tag == "link" else None)
        if fetched:
            self.fetched.append(fetched)


@pytest.mark.slow  # `make docs` builds it as strictly
def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    pytest.importorskip(
        "mkdocs", reason="the site needs the extra docs: pip install 'impasto[docs]'"
    )
    pytest.importorskip(
        "mkdocstrings", reason="the site needs the extra docs: pip install 'impasto[docs]'"
    )
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    built = sorted((tmp_path / "site").rglob("*.html"))
    assert len(built) > len(list(DOCS.rglob("*.md")))  # and the page that says that there is none
    for page in built:
        reader = Page()
        reader.feed(page.read_text(encoding="utf-8"))
        assert not [url for url in reader.fetched if re.match(r"(https?:)?//", url)], page
    assert not list((tmp_path / "site").rglob("*.py"))
