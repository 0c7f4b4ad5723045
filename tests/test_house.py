"""The walls: floors, doors, sizes, captions; read from the source, so that a breach is a failing test and no matter of taste."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / "datagen"
FLOORS = [
    {"errors"},
    {"records", "shelf", "runtime", "depot"},
    {"spec", "seeds", "operators", "storage"},
    {"asking", "release", "rehearsal"},
    {"plan"},
    {"steps"},
    {"publish", "running", "options"},
    {"build", "inspect", "start"},
    {"preview", "terminal", "job", "service"},
    {"curating"},
    {"cli"},
]
"""From the ground up. `build` and `preview` are two floors of the story: what is looked at beforehand, and drawn meanwhile, is a build's."""
SIDEWAYS: dict[tuple[str, str], str] = {}
"""(from, to) -> why an import between two entries of one floor is right. There is none."""
DOORS = {
    "openai": {"asking/teachers/openai.py"},
    "anthropic": {"asking/teachers/anthropic.py"},
    "httpx2": {"asking/teachers/wire.py"},
    "ray": {"runtime/onray/actors.py", "runtime/onray/metrics.py", "runtime/onray/jobs.py"},
    "duckdb": {"release/catalogue.py"},
    "huggingface_hub": {"release/hub.py"},
    "datatrove": {"operators/datatrove.py"},
    "datasets": {"seeds/table.py"},
    "fsspec": {"depot/store.py", "seeds/table.py"},
    "genai_prices": {"asking/prices.py"},
    "jinja2": {"spec/templates.py", "spec/sandbox.py", "release/pages/render.py", "service/schedule.py"},
    "pyarrow": {"storage.py", "release/shards.py", "seeds/table.py"},
    "yaml": {"spec/reading.py"},
    "click": {"cli.py", "options.py", "service/commands.py", "curating/commands.py"},
    "prometheus_client": {"running/telling/metrics.py"},
    "math_verify": {"operators/claims/equal.py"},
}
FILE_LINES, FUNCTION_LINES = 400, 50


def sources() -> list[Path]:
    return sorted(HOUSE.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def inside(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def entry_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[str, int]]:
    """(dotted module, line) of every import wherever it stands, `from a import b` as `a.b` where that is a module, else as `a`."""
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{inside(path)}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(name if _is_module(name) else str(node.module), node.lineno) for name in names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and isinstance(node.args[0], ast.Constant):
            found.append((str(node.args[0].value), node.lineno))
    return found


def _is_module(name: str) -> bool:
    place = ROOT / Path(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def shelved(path: Path) -> list[tuple[str, int]]:
    """Lazy imports: strings of the form `datagen.a.b:name` in a shelf's table."""
    constants = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [(node.value.partition(":")[0], node.lineno) for node in constants if re.fullmatch(r"datagen(\.\w+)+:\w+", node.value)]


def house_imports(path: Path) -> list[tuple[str, int]]:
    return [(name, line) for name, line in [*imported(path), *shelved(path)] if name.startswith("datagen.")]


def floor(entry: str) -> int:
    return next(number for number, entries in enumerate(FLOORS) if entry in entries)


def test_the_house_has_these_entries_and_no_other() -> None:
    entries = {entry_of(path) for path in sources()} - {"__init__"}
    assert entries == set().union(*FLOORS), "an entry has no floor, or a floor names one that is not there"


def test_imports_point_down_only() -> None:
    wrong: list[str] = []
    for path in sources():
        if entry_of(path) == "__init__":
            assert not house_imports(path)
            continue
        for name, line in house_imports(path):
            here, there = entry_of(path), name.split(".")[1]
            if here == there or (here, there) in SIDEWAYS:
                continue
            if floor(there) >= floor(here):
                wrong.append(f"{inside(path)}:{line} imports {name}: {'sideways' if floor(there) == floor(here) else 'up'}")
    assert not wrong, "\n".join(wrong)


def test_steps_never_import_one_another() -> None:
    """One file a verb. `repeat` is made of two others: it runs an ask and a judge for one row."""
    verbs = {f"datagen.steps.{path.parent.name}.{path.stem}" for path in (HOUSE / "steps").glob("*/*.py") if path.stem != "__init__"}
    helpers = {"datagen.steps.sets.base", "datagen.steps.sets.words"}
    wrong = [
        f"{inside(path)}:{line} imports {name}"
        for path in (HOUSE / "steps").glob("*/*.py")
        for name, line in house_imports(path)
        if name in verbs - helpers and path.stem != "repeat"
    ]
    assert not wrong, "\n".join(wrong)


def test_no_cycles() -> None:
    modules = {"datagen." + inside(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path for path in sources()}
    edges: dict[str, set[str]] = {}
    for name, path in modules.items():
        at_top = {node.lineno for node in tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)}
        edges[name] = {other for other, line in imported(path) if other in modules and other != name and line in at_top}
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert state.get(name) != 1, " -> ".join((*trail, name))
        if name in state:
            return
        state[name] = 1
        for other in sorted(edges[name]):
            visit(other, (*trail, name))
        state[name] = 2

    for name in modules:
        visit(name, ())


def test_one_door_for_each_foreign_library() -> None:
    wrong: list[str] = []
    used: dict[str, set[str]] = {}
    for path in sources():
        for name, line in imported(path):
            library = name.split(".")[0]
            if library in DOORS:
                used.setdefault(library, set()).add(inside(path))
                if inside(path) not in DOORS[library]:
                    wrong.append(f"{inside(path)}:{line} imports {name}; its door is {', '.join(sorted(DOORS[library]))}")
    assert not wrong, "\n".join(wrong)
    assert used == DOORS, "the table names a door that nobody uses"


@pytest.mark.parametrize(
    "library", ["openai", "anthropic", "ray", "duckdb", "pyarrow", "datasets", "datatrove", "lingua", "math_verify", "huggingface_hub"]
)
def test_what_is_heavy_is_imported_inside_functions(library: str) -> None:
    for path in sources():
        for node in tree(path).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [str(node.module)]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            at_door = inside(path).startswith("asking/teachers/") and library in ("openai", "anthropic")
            assert at_door or library not in {name.split(".")[0] for name in names}, f"{inside(path)}:{node.lineno}"


def test_content_holds_no_python() -> None:
    for folder in ("prompts", "filters", "pipelines"):
        assert (ROOT / folder).is_dir() and not list((ROOT / folder).rglob("*.py"))


def test_every_module_says_in_one_line_what_it_is() -> None:
    for path in sources():
        doc = ast.get_docstring(tree(path))
        assert doc, f"{inside(path)} has no docstring"
        first = doc.splitlines()[0]
        assert first.endswith((".", "?")) and len(first) <= 160, f"{inside(path)}: {first!r} is no caption sentence"


def test_files_and_functions_keep_to_their_size() -> None:
    wrong: list[str] = []
    for path in sources():
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > FILE_LINES:
            wrong.append(f"{inside(path)} has {lines} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > FUNCTION_LINES:
                    wrong.append(f"{inside(path)}:{node.lineno} {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)


def test_no_drawer_for_odds_and_ends() -> None:
    assert not [inside(path) for path in sources() if path.stem in ("utils", "util", "helpers", "common", "misc")]


def test_the_tree_in_the_readme_says_what_the_modules_say() -> None:
    """Every line `datagen/x.py   caption` of the README's tree is the first line of that docstring, and no entry is left out."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    listed = dict(re.findall(r"^[│├└─ ]*(datagen/[\w/.]+?)\s{2,}(\S.*?)\s*$", text, re.MULTILINE))
    for name, caption in listed.items():
        path = ROOT / name / "__init__.py" if name.endswith("/") else ROOT / name
        assert path.is_file(), f"README names {name}, which is not there"
        doc = ast.get_docstring(tree(path)) or ""
        assert caption == doc.splitlines()[0], f"README says of {name}: {caption!r}; the module says {doc.splitlines()[0]!r}"
    if listed:
        assert {Path(name).parts[1].removesuffix(".py") for name in listed} == set().union(*FLOORS)
