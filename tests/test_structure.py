"""Budgets of the code: files, functions, folders and layers stay small enough to read."""

import ast
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ANYWHERE = {"numpy", "polars", "scipy", "markupsafe"}
"""Packages that no folder of mlc owns; every other one is protected by a contract."""
FOLDERS = ("mlc", "scripts", "tests")
CROWDED = {"mlc/events/views/picture.py"}
FULL = {"mlc/events"}
"""What still exceeds the budgets; each of these sets may only shrink."""
NAMED_ONCE = ("labels", "examples", "tables", "building")


@cache
def parsed(*folders: str) -> dict[Path, ast.Module]:
    """The Python files below some folders → their syntax trees."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {path.relative_to(ROOT): tree_of(path) for path in sorted(paths)}


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text())


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return settings["tool"]["importlinter"]["contracts"]


def imported(tree: ast.Module) -> Iterator[str]:
    """The packages that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_no_source_file_is_longer_than_500_lines():
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    lengths = {str(path): path.read_bytes().count(b"\n") for path in paths if path.suffix != ".pyc"}
    assert not {path: lines for path, lines in lengths.items() if lines > 500}


def test_no_function_is_longer_than_60_lines():
    lengths = {
        f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in parsed(*FOLDERS).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: lines for name, lines in lengths.items() if lines > 60}


def test_the_first_line_of_a_docstring_has_at_most_80_characters():
    first_lines = {
        f"{path}: {getattr(node, 'name', 'module')}": (ast.get_docstring(node) or "").partition("\n")[0]
        for path, tree in parsed("mlc").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: line for name, line in first_lines.items() if len(line) > 80}


def test_a_module_has_at_most_8_private_helpers_for_each_public_name():
    crowded = set()
    for path, tree in parsed("mlc").items():
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        private = sum(name.startswith("_") for name in names)
        if private > 8 * max(1, len(names) - private):
            crowded.add(str(path))
    assert crowded <= CROWDED


def test_no_folder_of_the_package_has_more_than_20_entries():
    entries = {part for path in parsed("mlc") for part in (path, *path.parents) if part.name != "__init__.py"}
    sizes = Counter(str(entry.parent) for entry in entries if entry.parts[1:])
    assert {folder for folder, size in sizes.items() if size > 20} <= FULL


def test_a_name_that_says_little_stands_in_one_place():
    stems = Counter(path.parent.name if path.stem == "__init__" else path.stem for path in parsed("mlc"))
    assert not {name: stems[name] for name in NAMED_ONCE if stems[name] > 1}


def test_the_package_has_at_most_10_layers_and_names_all_of_its_folders():
    [layers] = [contract for contract in contracts() if contract["type"] == "layers"]
    assert len(layers["layers"]) <= 10
    assert layers["exhaustive"]
    assert layers["exhaustive_ignores"] == ["__main__"]


def test_a_package_that_mlc_imports_belongs_to_the_folder_of_a_contract_or_to_all():
    foreign = {name for tree in parsed("mlc").values() for name in imported(tree)}
    owned = {name for contract in contracts() for name in contract.get("protected_modules", ())}
    assert foreign - sys.stdlib_module_names - {"mlc"} == owned | ANYWHERE
