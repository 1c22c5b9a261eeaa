"""Which tables lie in folders and globs.

One per file, or per family of files of one shape.
"""

import glob
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mlc.commands.init.guess import scenario_of
from mlc.errors import DataError, Problem
from mlc.sources import POLARS_ERRORS, files_of, scan_table

Columns = tuple[str, ...]

_RUNNING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")
"""What differs in the names of files of one family: numbers, dates, identifiers of writers."""


def find_tables(paths: Iterable[Path]) -> list[Path]:
    """Return the path of each table: a file, a folder or a glob.

    All files of a folder or a glob have the same columns.

    Args:
        paths: Files, folders and globs, of one table or of several.

    Raises:
        DataError: Nothing is at some of them; all at once.
    """
    tables: list[Path] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            tables += [path] if "://" in str(path) or path.is_file() else _tables_at(path.absolute())
        except DataError as error:
            problems += [Problem(one.rule, location=str(path)) for one in error.problems]
    if problems:
        raise DataError(problems)
    return list(dict.fromkeys(tables))


def _tables_at(path: Path) -> list[Path]:
    if path.is_dir():
        return list(_tables_in(path, {file: _columns(file) for file in _files(path)}))
    matches = [Path(match) for match in sorted(glob.glob(str(path)))]  # noqa: PTH207
    folders = [match for match in matches if match.is_dir()]
    shapes = {match: _columns(match) for match in matches if match.is_file()}
    if not folders and len(set(shapes.values())) < 2:
        _files(path)  # that there is none is an error
        return [path]
    return [*_families(shapes), *(table for folder in folders for table in _tables_at(folder))]


def _tables_in(folder: Path, shapes: Mapping[Path, Columns]) -> Iterator[Path]:
    """Yield the tables of a folder, one if all of its files have one shape.

    They may lie at any depth.
    """
    if len(set(shapes.values())) == 1:
        yield folder
        return
    yield from _families({file: shape for file, shape in shapes.items() if file.parent == folder})
    below: dict[Path, dict[Path, Columns]] = defaultdict(dict)
    for file, shape in shapes.items():
        if file.parent != folder:
            below[folder / file.relative_to(folder).parts[0]][file] = shape
    for inner, its_shapes in below.items():
        yield from _tables_in(inner, its_shapes)


def _files(path: Path) -> list[Path]:
    raw = {"found": {"kind": "events", "path": str(path.absolute()), "time": "?"}}
    return files_of(scenario_of({"entity": "?", "tables": raw}, "found", "?", 1), "found")


def _columns(file: Path) -> Columns:
    """The names of a file's columns, or its own name where it cannot be read.

    That is told later.
    """
    raw = {"found": {"kind": "events", "path": str(file.absolute()), "time": "?"}}
    opened = scenario_of({"entity": "?", "tables": raw}, "found", "?", 1)
    try:
        return tuple(scan_table(opened, "found").collect_schema())
    except (DataError, *POLARS_ERRORS):
        return (str(file),)


def _families(shapes: Mapping[Path, Columns]) -> Iterator[Path]:
    """Files of one folder and shape whose names differ only in numbers are one table."""
    families: dict[object, list[Path]] = defaultdict(list)
    for file, shape in shapes.items():
        families[file.parent, shape, _RUNNING.sub("*", file.name)].append(file)
    for members in families.values():
        together = _one_path(members)
        yield from members if together is None else [together]


def _one_path(files: Sequence[Path]) -> Path | None:
    """The file, or the glob that stands for exactly these files of a folder.

    It is None where there is none.
    """
    if len(files) == 1:
        return files[0]
    names = [file.name for file in files]
    start = _common_start(names)
    end = _common_start([name[len(start) :][::-1] for name in names])[::-1]
    pattern = files[0].parent / f"{start}*{end}"
    alike = {one.resolve() for one in files[0].parent.glob(pattern.name)}
    return pattern if alike == {file.resolve() for file in files} else None


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    same = next((at for at, letter in enumerate(first) if last[at : at + 1] != letter), len(first))
    return first[:same]
