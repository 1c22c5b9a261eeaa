"""CSV files as one table: which have rows, and how their columns are read."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import polars as pl

from mlc.errors import DataError, Problem
from mlc.scenario import Csv
from mlc.sources.files.encodings import as_utf8
from mlc.sources.files.peek import SEPARATORS, likely_separator, peek
from mlc.sources.files.shapes import (
    INFERRED_ROWS,
    Shape,
    name_problems,
    state_of,
    type_problems,
    uneven_types,
)


def scan_texts(files: Sequence[Path], csv: Csv, texts: Sequence[str], of: Sequence[Path]) -> pl.LazyFrame:
    """Return all rows of some CSV files, with the columns of the whole table.

    Files without rows add nothing. The columns may have another order in each file.

    Args:
        files: The files to read.
        csv: How they are written.
        texts: Columns to read letter for letter.
        of: All files of the table.

    Raises:
        DataError: No file has a row, a file is not such text, or the files have different columns.
    """
    refuse_unreadable(of, csv)
    shapes = shapes_of(of, csv, texts)
    types = dict.fromkeys(texts, pl.String()) | uneven_types(shapes)
    order = list(shapes[0].columns)
    selection = [shape for shape in shapes if shape.file in set(files)]
    if not selection:
        return read_csv([shapes[0].file], csv, types).head(0)
    if all(list(shape.columns) == order for shape in selection):
        return read_csv([shape.file for shape in selection], csv, types)
    return pl.concat([read_csv([shape.file], csv, types).select(order) for shape in selection])


def read_csv(
    files: Sequence[Path] | Sequence[str], csv: Csv, types: Mapping[str, pl.DataType]
) -> pl.LazyFrame:
    """Return the rows of CSV files whose columns have one order, as a query.

    Args:
        files: Paths or one URL.
        csv: How they are written.
        types: Types of columns that their values must not decide.
    """
    cloud = any("://" in str(file) for file in files)
    paths = [str(file) for file in files]
    return pl.scan_csv(
        paths if csv.encoding == "utf-8" else [as_utf8(path, csv.encoding) for path in paths],
        separator=csv.separator,
        null_values=csv.null_values,
        try_parse_dates=True,
        infer_schema_length=INFERRED_ROWS,
        schema_overrides=types,
        glob=cloud,
    )


# ── problems of the text itself ─────────────────────────────────────────────────────────────────


def refuse_unreadable(files: Sequence[Path], csv: Csv) -> None:
    """Refuse files that are no such text, before Polars reads them.

    Raises:
        DataError: Each file in UTF-16, with another separator, or with an Excel line before the header; or no
            file has a row.
    """
    problems = list(_text_problems(files, csv))
    if problems:
        raise DataError(problems)
    if not any(peek(file).has_rows for file in files):
        what = "has" if len(files) == 1 else f"and {len(files) - 1:,} more have"
        empty = "header" if any(peek(file).has_header for file in files) else "line"
        rule = f"{files[0].name} {what} no row" + (" below the header" if empty == "header" else "")
        raise DataError(Problem(f"{rule}. Name files that have rows.", "path"))


def _text_problems(files: Sequence[Path], csv: Csv) -> Iterator[Problem]:
    for file in files:
        start = peek(file)
        if start.utf16:
            yield Problem(f"{file} is UTF-16 text. Add format: {{kind: csv, encoding: utf-16}}", "path")
            return
        if start.text[:4].lower() == "sep=":
            first = start.text.splitlines()[0]
            yield Problem(f"{file} begins with a line for Excel ({first}). Delete that line.", "path")
            return
        other = likely_separator(start, csv.separator)
        if other is not None:
            yield Problem(
                f"{file} looks separated by {SEPARATORS[other]}. {_mend(other, files, csv)}", "format"
            )
            return


def _mend(separator: str, files: Sequence[Path], csv: Csv) -> str:
    """Return what to write in the scenario.

    Or what to do where the other files are separated otherwise.
    """
    agree = [
        likely_separator(peek(file), csv.separator) == separator for file in files if peek(file).has_rows
    ]
    if not all(agree):
        return "The other files are not: write all of them with one separator."
    return f"Add format: {format_text(separator)}"


def format_text(separator: str) -> str:
    r"""Return the `format` of a separator as YAML.

    Examples:
        >>> print(format_text(";"))
        {kind: csv, separator: ";"}
        >>> print(format_text("\t"))
        {kind: csv, separator: "\t"}
    """
    written = "\\t" if separator == "\t" else separator
    return f'{{kind: csv, separator: "{written}"}}'


# ── columns of several files ────────────────────────────────────────────────────────────────────


def shapes_of(files: Sequence[Path], csv: Csv, texts: Sequence[str]) -> list[Shape]:
    """Return the columns of each file that has rows.

    All have the same names, in any order.

    Args:
        files: All files of a table.
        csv: How they are written.
        texts: Columns that are read letter for letter.

    Raises:
        DataError: Columns are missing, additional or of another kind in a file; every such file is named.
    """
    filled = [file for file in files if peek(file).has_rows]
    written = (csv.separator, tuple(csv.null_values), tuple(texts))
    shapes = [_shape(file, state_of(file), written, len(filled) == 1) for file in filled]
    mend = "Write it alike in all files, or add types: {{column}: text}"
    problems = list(name_problems(shapes)) or list(type_problems(shapes, exact=False, mend=mend))
    if problems:
        raise DataError(problems)
    return shapes


@lru_cache(maxsize=4096)
def _shape(
    file: Path, state: tuple[int, int], written: tuple[str, tuple[str, ...], tuple[str, ...]], alone: bool
) -> Shape:
    """Find the columns of a file, and which have a value unless the file is alone."""
    del state
    separator, null_values, texts = written
    csv = Csv(separator=separator, null_values=list(null_values))
    frame = read_csv([file], csv, dict.fromkeys(texts, pl.String()))
    schema = frame.collect_schema()
    if alone:
        return Shape(file, dict(schema))
    head = frame.head(INFERRED_ROWS).collect()
    empty = {column for column in schema if head[column].null_count() == head.height}
    return Shape(file, {column: None if column in empty else dtype for column, dtype in schema.items()})


def first_row(files: Sequence[Path], csv: Csv, column: str, value: str) -> tuple[Path, int] | None:
    """Return the file and the row where a text first occurs in a column.

    Row 1 is below the header.
    """
    for file in files:
        if peek(file).has_rows:
            frame = read_csv([file], csv, {column: pl.String()})
            rows = frame.select(pl.arg_where(pl.col(column) == value).first()).collect(engine="streaming")
            if rows.item() is not None:
                return file, int(rows.item()) + 1
    return None
