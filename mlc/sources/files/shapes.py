"""Files of one table compared: their columns, and types that hold all values."""

import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from mlc.errors import DataError, Problem
from mlc.scenario import Arrow, Parquet
from mlc.sources.files.peek import peek

INFERRED_ROWS = 10_000
"""Rows of a text file that decide the types of its columns."""

_KINDS: dict[type[pl.DataType], str] = {
    pl.String: "text",
    pl.Boolean: "yes or no",
    pl.Date: "a date",
    pl.Datetime: "a datetime",
    pl.Time: "a time of day",
}


@dataclass(frozen=True)
class Shape:
    """The columns of one file.

    Attributes:
        file: The file.
        columns: Column → its type; None where it has no value that says which.
    """

    file: Path
    columns: Mapping[str, pl.DataType | None]


def state_of(file: Path) -> tuple[int, int]:
    """Return size and time of change.

    What makes a changed file another one in a cache.
    """
    status = file.stat()
    return status.st_size, status.st_mtime_ns


# ── what differs ────────────────────────────────────────────────────────────────────────────────


def name_problems(shapes: Sequence[Shape]) -> Iterator[Problem]:
    """Report each file that has other columns than most files."""
    counts = Counter(frozenset(shape.columns) for shape in shapes)
    usual = max(counts, key=lambda names: counts[names])
    model = next(shape for shape in shapes if frozenset(shape.columns) == usual)
    for shape in shapes:
        missing = [column for column in model.columns if column not in shape.columns]
        added = [column for column in shape.columns if column not in usual]
        if missing or added:
            yield Problem(f"{shape.file}: {_difference(missing, added, model)}", "path")


def _difference(missing: Sequence[str], added: Sequence[str], model: Shape) -> str:
    """Say in which columns a file differs from a model, and what to do."""
    other = model.file.name
    for right in missing:
        for wrong in added:
            if right.strip().lower() == wrong.strip().lower():
                return f"it has a column {wrong!r}, {other} has {right!r}. Write the name alike in all files."
    if len(missing) == len(model.columns):
        return (
            f"no column of {other} ({', '.join(missing[:4])}) is in it. Add the header line, if it has none."
        )
    parts = [f"no column {', '.join(missing)}"] if missing else []
    parts += [f"a column {', '.join(added)}"] if added else []
    mend = f"Add {missing[0]} to it" if missing else f"Remove {added[0]} from it"
    return f"it has {' and '.join(parts)}, unlike {other}. {mend}, or keep this file out of the path."


def type_problems(shapes: Sequence[Shape], *, exact: bool, mend: str) -> Iterator[Problem]:
    """Report columns that have different types in the files.

    Args:
        shapes: Files with the same columns.
        exact: Whether the types must be the same; otherwise some type must hold the values of all.
        mend: What to do, with the place of the column as `{column}`.
    """
    for column in shapes[0].columns:
        known = known_types(shapes, column)
        if len(set(known.values())) > 1 and (exact or merged(list(known.values())) is None):
            odd, usual = odd_file(known)
            name = str if exact else kind_name
            yield Problem(
                f"{odd}: {column} is {name(known[odd])}, in {usual.name} it is {name(known[usual])}. "
                + mend.replace("{column}", column),
                "path",
            )


def known_types(shapes: Sequence[Shape], column: str) -> dict[Path, pl.DataType]:
    """Return the type of a column in each file that has values of it."""
    types = {shape.file: shape.columns.get(column) for shape in shapes}
    return {file: dtype for file, dtype in types.items() if dtype is not None}


def odd_file(known: Mapping[Path, pl.DataType]) -> tuple[Path, Path]:
    """Return a file with a rare type of a column, and one with the most frequent type."""
    counts = Counter(known.values())
    usual = max(counts, key=lambda dtype: counts[dtype])
    rare = min((dtype for dtype in counts if dtype != usual), key=lambda dtype: counts[dtype])
    odd, model = (next(file for file, dtype in known.items() if dtype == one) for one in (rare, usual))
    return odd, model


def kind_name(dtype: pl.DataType) -> str:
    """Return the type of a column in plain words.

    Examples:
        >>> kind_name(pl.Int64()), kind_name(pl.String())
        ('a whole number', 'text')
    """
    if dtype.is_numeric():
        return "a whole number" if dtype.is_integer() else "a number"
    return _KINDS.get(type(dtype), str(dtype))


# ── types of all files together ─────────────────────────────────────────────────────────────────


def merged(types: Sequence[pl.DataType]) -> pl.DataType | None:
    """Return the type that holds the values of all types; None where there is none.

    Examples:
        >>> merged([pl.Int64(), pl.Float64()])
        Float64
        >>> merged([pl.Date(), pl.Int64()]) is None
        True
    """
    different = set(types)
    if len(different) == 1 or any(dtype.is_nested() for dtype in different):
        return types[0]
    if pl.String() in different:
        return pl.String()
    if all(dtype.is_numeric() for dtype in different):
        return pl.Float64() if any(dtype.is_float() for dtype in different) else pl.Int128()
    moments = [dtype for dtype in different if isinstance(dtype, pl.Datetime)]
    return moments[0] if len(moments) == 1 and different == {pl.Date(), moments[0]} else None


def uneven_types(shapes: Sequence[Shape]) -> dict[str, pl.DataType]:
    """Return the types of columns whose type is not the same in all files."""
    types: dict[str, pl.DataType] = {}
    for column in shapes[0].columns:
        known = list(known_types(shapes, column).values())
        one = merged(known) if known else None
        if one is not None and (len(known) < len(shapes) or len(set(known)) > 1):
            types[column] = one
    return types


# ── Parquet, Arrow and JSON lines ───────────────────────────────────────────────────────────────


def scan_columnar(files: Sequence[Path], kind: Parquet | Arrow, of: Sequence[Path]) -> pl.LazyFrame:
    """Return the rows of Parquet or Arrow files of a table.

    Files without rows have no say in the types.

    Args:
        files: The files to read.
        kind: What they are.
        of: All files of the table.
    """
    scan = pl.scan_parquet if isinstance(kind, Parquet) else pl.scan_ipc
    if len(of) == 1:
        return scan(list(files), glob=False)
    shapes = columnar_shapes(of, kind)
    filled = {shape.file for shape in shapes}
    with_rows = [file for file in files if file in filled]
    types = {} if any(name_problems(shapes)) else uneven_types(shapes)
    if not any(None in shape.columns.values() for shape in shapes) or not types:
        return scan(with_rows, glob=False) if with_rows else scan([shapes[0].file], glob=False).head(0)
    # A column without any value in a file has the type Null there, and takes the type of the others.
    parts = [
        scan([file], glob=False).select(
            pl.col(column).cast(types[column]) if column in types else pl.col(column)
            for column in shapes[0].columns
        )
        for file in with_rows or [shapes[0].file]
    ]
    return pl.concat(parts) if with_rows else parts[0].head(0)


def columnar_shapes(files: Sequence[Path], kind: Parquet | Arrow) -> list[Shape]:
    """Return the columns of Parquet or Arrow files.

    Of those with rows where the files differ.

    Raises:
        DataError: A file cannot be read.
    """
    shapes, problems = [], []
    for file in files:
        try:
            shapes.append(_columnar_shape(file, state_of(file), kind.kind))
        except (pl.exceptions.PolarsError, OSError) as error:
            message = (str(error).strip().splitlines() or [type(error).__name__])[0]
            problems.append(Problem(f"{file} is not a {kind.kind.capitalize()} file: {message}", "path"))
    if problems:
        raise DataError(problems)
    if all(shape.columns == shapes[0].columns for shape in shapes):
        return shapes
    return [shape for shape in shapes if _rows(shape.file, state_of(shape.file), kind.kind)] or shapes[:1]


@lru_cache(maxsize=4096)
def _columnar_shape(file: Path, state: tuple[int, int], kind: str) -> Shape:
    del state
    scan = pl.scan_parquet if kind == "parquet" else pl.scan_ipc
    schema = scan(file, glob=False).collect_schema()
    return Shape(file, {column: _or_none(dtype) for column, dtype in schema.items()})


@lru_cache(maxsize=4096)
def _rows(file: Path, state: tuple[int, int], kind: str) -> int:
    del state
    frame = pl.scan_parquet(file, glob=False) if kind == "parquet" else pl.scan_ipc(file, glob=False)
    return int(frame.select(pl.len()).collect().item())


def scan_json_lines(files: Sequence[Path], texts: Sequence[str], of: Sequence[Path]) -> pl.LazyFrame:
    """Return the rows of files of JSON lines, with the columns of all files.

    Args:
        files: The files to read.
        texts: Columns that the scenario gives a type.
        of: All files of the table.

    Raises:
        DataError: No file has a row, or a column has types that do not go together.
    """
    shapes = [_json_shape(file, state_of(file)) for file in of if peek(file).has_header]
    if not shapes:
        more = f" and {len(of) - 1:,} more" if len(of) > 1 else ""
        raise DataError(Problem(f"{of[0].name}{more}: no line in it. Name files that have rows.", "path"))
    filled = {shape.file for shape in shapes}
    with_rows = [file for file in files if file in filled]
    schema = None
    if len(shapes) > 1:
        names = dict.fromkeys(column for shape in shapes for column in shape.columns)
        whole = [Shape(shape.file, {name: shape.columns.get(name) for name in names}) for shape in shapes]
        uneven = uneven_types(whole)
        known = {name: known_types(whole, name) for name in names}
        problems = [
            problem
            for problem in type_problems(whole, exact=False, mend="Write it alike in all files.")
            if not any(f": {text} is " in problem.rule for text in texts)
        ]
        if problems:
            raise DataError(problems)
        schema = {name: uneven.get(name) or next(iter(known[name].values()), pl.Null()) for name in names}
    paths = [glob.escape(str(file)) for file in with_rows or [shapes[0].file]]  # always taken for patterns
    frame = pl.scan_ndjson(paths, infer_schema_length=INFERRED_ROWS, schema=schema)
    return frame if with_rows else frame.head(0)


@lru_cache(maxsize=4096)
def _json_shape(file: Path, state: tuple[int, int]) -> Shape:
    del state
    frame = pl.scan_ndjson(glob.escape(str(file)), infer_schema_length=INFERRED_ROWS)
    schema = frame.collect_schema()
    return Shape(file, {column: _or_none(dtype) for column, dtype in schema.items()})


def _or_none(dtype: pl.DataType) -> pl.DataType | None:
    """Return None for the type of a column, or of a list, without any value."""
    inner = dtype.inner if isinstance(dtype, pl.List) else dtype
    return None if inner == pl.Null else dtype
