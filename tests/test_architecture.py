"""The map, held to: who may import whom, what is public, how long things are. Read from the source,
not run.
"""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"

# Every room, and the rooms it may import from besides itself. Down only; levels may be skipped.
ROOMS = {
    "ground": (
        *("errors", "registry", "layers", "home", "portable", "texts", "events", "assets"),
        *("forks", "habits", "memory", "signals", "sizes", "windows"),
    ),
    "pictures": ("pictures",),
    "losses": ("losses",),
    "settings": ("settings", "options"),
    "networks": ("networks",),
    "methods": ("methods",),
    "film": ("film",),
    "pipeline": ("pipeline", "job", "inputs"),
    "analysis": ("analysis",),
    "training": ("training",),
    "lite": ("lite",),
    "export": ("export",),
    "apps": ("apps", "__main__"),
}
MAY_IMPORT = {
    "ground": set(),
    "pictures": {"ground"},
    "losses": {"ground"},
    "settings": {"losses", "ground"},
    "networks": {"pictures", "ground"},
    "methods": {"settings", "networks", "losses", "pictures", "ground"},
    "film": {"methods", "networks", "pictures", "ground"},
    "pipeline": {"methods", "settings", "networks", "losses", "pictures", "ground"},
    "analysis": {"pipeline", "methods", "settings", "networks", "losses", "pictures", "ground"},
    "training": {"methods", "networks", "losses", "pictures", "ground"},
    "lite": {"methods", "settings", "networks", "pictures", "ground"},
    "export": {"lite", "networks", "pictures", "ground"},
}
MAY_IMPORT["apps"] = {*MAY_IMPORT, "pipeline", "analysis", "training"}

# Import names that are not their distribution's.
MODULES = {"pillow": "PIL", "scikit-image": "skimage", "opencv-python-headless": "cv2"}

# "About 400" and "about 50", with nothing beyond.
FILE_LINES, FUNCTION_LINES = 420, 60
# A page too long for one file: what stands on it, and what each event does.
LEAVES = {
    "gradio": {
        f"impasto.apps.studio.{name}" for name in ("easel", "page", "parts", "showing", "telling")
    }
}
# The way of a picture, from a command to its pixels: read in one sitting.
MAIN_PATH = (
    *("apps.cli.main", "settings", "pipeline"),
    *("methods.builtin.optimize", "methods.optimize"),
)
MAIN_LINES = 300


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted((SOURCE / "impasto").rglob("*.py"))}
TREES = {
    name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in FILES.items()
}
MEMBERS = sorted(set(FILES) - {"impasto"})  # all but the package root


@cache
def imports(name: str) -> list[tuple[str, str | None]]:
    """`(module, name taken from it or None)` of every import anywhere in a module, inside functions
    too.
    """
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} line {node.lineno}: import absolutely"
            found += [(str(node.module), alias.name) for alias in node.names]
    return found


def dependencies(name: str) -> set[str]:
    """The modules of this package that a module imports; `from package import module` names the
    module.
    """
    return {
        f"{module}.{taken}" if f"{module}.{taken}" in FILES else module
        for module, taken in imports(name)
        if module.split(".")[0] == "impasto"
    }


def outside(name: str) -> set[str]:
    """Top-level names of the other packages it imports."""
    return {module.split(".")[0] for module, _ in imports(name)} - {
        "impasto",
        *sys.stdlib_module_names,
    }


def test_every_room_is_there() -> None:
    tops = {name.split(".")[1] for name in MEMBERS}
    assert not {member for members in ROOMS.values() for member in members} - tops


def room(name: str) -> str:
    top = name.split(".")[1]
    found = [room for room, members in ROOMS.items() if top in members]
    assert found, f"{name} has no room: name one in ROOMS"
    return found[0]


def exported(name: str) -> list[str] | None:
    for node in TREES[name].body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [
            "__all__"
        ]:
            return list(ast.literal_eval(node.value))
    return None


def declared(requirements: list[str]) -> set[str]:
    """Import names of pyproject's requirements."""
    names = [re.split(r"[^\w.-]", each)[0] for each in requirements]
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = declared(PROJECT["dependencies"])
OPTIONAL = {
    module
    for extra, requirements in PROJECT["optional-dependencies"].items()
    if extra != "dev"
    for module in declared(requirements)
} - {"impasto"}  # an extra may ask for another


# ------------------------------------------------------------------------------------------- imports


def test_the_table_only_goes_down() -> None:
    assert MAY_IMPORT.keys() == ROOMS.keys()
    list(TopologicalSorter(MAY_IMPORT).static_order())  # CycleError otherwise
    assert "losses" not in MAY_IMPORT["networks"]
    assert "networks" not in MAY_IMPORT["losses"]
    assert "analysis" not in MAY_IMPORT["training"]
    assert "training" not in MAY_IMPORT["analysis"]


def test_imports_go_down_only() -> None:
    for name in MEMBERS:
        allowed = {room(name), *MAY_IMPORT[room(name)]}
        upwards = {each for each in dependencies(name) - {"impasto"} if room(each) not in allowed}
        assert not upwards, f"{name} ({room(name)}) may import from {sorted(allowed)} only"


def test_nobody_imports_the_package_root() -> None:
    for name in MEMBERS:
        taken = [
            (module, what)
            for module, what in imports(name)
            # `import impasto.pictures` binds the root as well.
            if module == "impasto" or (what is None and module.startswith("impasto."))
        ]
        assert not taken, f"{name}: write `from impasto.module import name`"


def test_imports_have_no_cycles() -> None:
    TopologicalSorter(
        {name: dependencies(name) - {name} for name in MEMBERS}
    ).prepare()  # CycleError names one


def test_only_what_is_public_is_imported() -> None:
    for name in MEMBERS:
        private = [
            f"{module}.{taken}"
            for module, taken in imports(name)
            if module in MEMBERS
            and taken
            and f"{module}.{taken}" not in FILES
            and taken not in (exported(module) or [])
        ]
        assert not private, f"{name} takes what its module keeps to itself"


def test_the_root_gives_only_what_is_public() -> None:
    names = exported("impasto")
    assert names
    for module, taken in imports("impasto"):
        if module in MEMBERS and taken:
            assert taken in (exported(module) or []), f"{module} keeps {taken} to itself"


# --------------------------------------------------------------------------------------- dependencies


def test_other_packages_are_declared() -> None:
    for name in MEMBERS:
        assert outside(name) <= REQUIRED | OPTIONAL, name


def test_a_dependency_for_one_purpose_lives_in_one_leaf() -> None:
    for module in OPTIONAL | {"huggingface_hub"}:
        users = {name for name in MEMBERS if module in outside(name)}
        assert len(users) <= 1 or users == LEAVES.get(module), module


def test_only_apps_talk_to_people() -> None:
    for name in MEMBERS:
        assert room(name) == "apps" or not {"typer", "rich", "click"} & outside(name), name


def raised(name: str) -> list[str]:
    """The texts of the errors a module raises; what is filled in stands as `…`, commands to be
    typed are left out.
    """
    found = []
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            parts = [each for arg in node.exc.args for each in ast.walk(arg)]
            text = "".join(
                each.value
                for each in parts
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )
            found.append(re.sub(r"\(impasto [^)]*\)", "", text))
    return found


def test_library_errors_name_parameters_and_no_flags() -> None:
    for name in MEMBERS:
        said = [] if room(name) == "apps" else raised(name)
        assert not [text for text in said if re.search(r"(?<![\w-])--?[a-z]", text)], name


def run(code: str) -> subprocess.CompletedProcess[str]:
    path = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
    return subprocess.run(
        [sys.executable, "-c", path + code], capture_output=True, text=True, check=False
    )


def test_importing_the_package_is_quick() -> None:
    done = run("import impasto; print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "impasto" in loaded
    assert not loaded & (REQUIRED | OPTIONAL)


def test_a_picture_needs_little_of_scikit_image_and_leaves_the_process_as_it_is() -> None:
    """Its sample photos are files; its algorithms take long to import. And no network changes how
    memory is kept.
    """
    code = """
import impasto
impasto.stylize('cat', 'starry-night', method='fast', size=48, device='cpu')
from impasto.networks.process import keep_freed_memory
print(keep_freed_memory.cache_info().currsize, *sys.modules)
"""
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")
    kept, *loaded = done.stdout.split()
    assert "skimage" in loaded
    assert not [name for name in loaded if name.startswith(("skimage.exposure", "scipy"))]
    assert kept == "0", "that is for applications"


def test_imports_are_silent() -> None:
    here = [name for name in MEMBERS if not OPTIONAL & outside(name) and name != "impasto.__main__"]
    done = run(f"import importlib; [importlib.import_module(name) for name in {here}]")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --------------------------------------------------------------------------------------------- shape


def sort_key(name: str) -> tuple[int, list[tuple[int, str]]]:
    """CONSTANTS, then Classes, then functions; numbers by value (as ruff sorts)."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def test_every_module_says_what_it_is() -> None:
    for name, tree in TREES.items():
        assert (ast.get_docstring(tree) or "").strip(), f"{name} has no docstring"
        names = exported(name)
        if names is None:  # only packages that hold nothing but their docstring
            assert len(tree.body) == 1, f"{name} has no __all__"
            continue
        assert names == sorted(set(names), key=sort_key), f"{name}: sorted, each once"
        assert not [each for each in names if each.startswith("_")], name


def defined(name: str) -> dict[str, ast.stmt]:
    """What a module defines or imports, by name."""
    here: dict[str, ast.stmt] = {}
    for node in TREES[name].body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            here[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            here |= {ast.unparse(target): node for target in targets}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            here |= {alias.asname or alias.name: node for alias in node.names}
    return here


def test_what_is_public_is_there_and_explained() -> None:
    for name in MEMBERS:
        here = defined(name)
        for public in exported(name) or []:
            assert public in here, f"{public} is in __all__ but not in {name}"
            node = here[public]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                assert ast.get_docstring(node), f"{name}.{public} has no docstring"


def test_files_stay_short() -> None:
    for name, path in FILES.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        on_the_way = name.removeprefix("impasto.") in MAIN_PATH
        assert lines <= (MAIN_LINES if on_the_way else FILE_LINES), name


def test_the_main_path_is_there() -> None:
    assert not {f"impasto.{name}" for name in MAIN_PATH} - FILES.keys()


def test_functions_stay_short() -> None:
    lengths = {
        # A command's signature is its list of options, one a line; what is held short is the body.
        f"{name}.{node.name}": node.end_lineno - node.body[0].lineno + 1
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    assert not {function: length for function, length in lengths.items() if length > FUNCTION_LINES}
