"""Columns that the folders of a table hold.

`sales/year=2024/part-0.parquet`, as Hive and Spark write it.
"""

import glob
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import polars as pl

_NULL = "__HIVE_DEFAULT_PARTITION__"


def fixed_folder(path: Path) -> Path:
    """Return the folder below which folders name columns.

    That of the path, or before its first glob.

    Examples:
        >>> fixed_folder(Path("/lake/sales/year=*/*.parquet")).as_posix()
        '/lake/sales'
    """
    if path.exists():
        return path if path.is_dir() else path.parent
    parts = path.parts
    first = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:first])


def folder_values(file: Path, root: Path) -> dict[str, str | None]:
    """Return column → value of the folders `column=value` between a root and a file.

    Examples:
        >>> folder_values(Path("/a/x=1/day=2024-03-31/b.csv"), Path("/a"))
        {'x': '1', 'day': '2024-03-31'}
    """
    if not file.is_relative_to(root):
        return {}
    pairs = [part.partition("=") for part in file.relative_to(root).parts[:-1]]
    named = {name: unquote(value) for name, equals, value in pairs if name and equals}
    return {name: None if value == _NULL else value for name, value in named.items()}


def folder_columns(
    files: Sequence[Path], root: Path, texts: Sequence[str]
) -> dict[str, Mapping[Path, object]]:
    """Return column → file → value for the columns in folder names, one type each.

    Whole numbers and dates are read as such where all values of a column are; all else is text.

    Args:
        files: All files of a table.
        root: The folder below which folders name columns.
        texts: Columns to keep as they are written.
    """
    by_file = {file: folder_values(file, root) for file in files}
    names = dict.fromkeys(name for values in by_file.values() for name in values)
    return {
        name: _typed({file: values.get(name) for file, values in by_file.items()}, as_text=name in texts)
        for name in names
    }


def _typed(values: Mapping[Path, str | None], *, as_text: bool) -> Mapping[Path, object]:
    known = [value for value in values.values() if value is not None]
    if as_text or not known:
        return values
    if all(re.fullmatch(r"-?\d{1,18}", value) for value in known):
        return {file: None if value is None else int(value) for file, value in values.items()}
    try:
        return {file: None if value is None else date.fromisoformat(value) for file, value in values.items()}
    except ValueError:
        return values


def dtype_of(values: Mapping[Path, object]) -> pl.DataType:
    """Return the type of a column that the folders hold."""
    first = next((value for value in values.values() if value is not None), "")
    return pl.Int64() if isinstance(first, int) else pl.Date() if isinstance(first, date) else pl.String()
