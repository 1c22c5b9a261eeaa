"""Which of a table's files cannot be read, where in it, and what to do."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from mlc.scenario import Csv, Format, Ndjson
from mlc.sources.files.faulty_lines import faulty_csv_line, faulty_json_line
from mlc.sources.files.signatures import EMPTY, file_fault

Scan = Callable[[Sequence[Path] | None], pl.LazyFrame]
"""Reads some files of a table, or a source without files."""

READ_ERRORS: tuple[type[BaseException], ...] = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,  # not an Exception: a decoder gave up
    OSError,
    UnicodeError,
    OverflowError,
)
"""What libraries raise for files and values that do not fit."""
_DAMAGED = ("out of specification", "out-of-spec", "unexpected end of file", "corrupt", "incomplete frame")


def drain(frame: pl.LazyFrame) -> None:
    """Read every row and keep none.

    Raises:
        PolarsError: A row cannot be read; or another of `READ_ERRORS`.
    """
    for _ in frame.collect_batches(engine="streaming"):
        pass


def first_line(error: BaseException) -> str:
    """Return what an error of a library says first."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def shown_path(file: Path, base: Path) -> str:
    """Return a file as messages show it, on one line.

    It is relative to the scenario's folder if it lies there.
    """
    name = str(file.relative_to(base) if file.is_relative_to(base) else file)
    return name if name.isprintable() else repr(name)


def guilty_file(files: Sequence[Path], scan: Scan) -> tuple[Path, BaseException] | None:
    """Find the first file that fails on its own; None where each can be read alone."""
    for file in files:
        try:
            drain(scan([file]))
        except READ_ERRORS as error:
            return file, error
    return None


def source_fault(files: Sequence[Path], kind: Format, scan: Scan, error: BaseException) -> tuple[Path, str]:
    """Say which file makes a table unreadable and why.

    Args:
        files: All files of the table.
        kind: Their format.
        scan: Reads some of them.
        error: What a library said when it read all of them.

    Returns:
        The file that is to blame, and what is wrong with it.
    """
    for file in files:
        fault = file_fault(file, kind)
        if fault is not None:
            return file, fault
    culprit = guilty_file(files, scan)
    if culprit is not None:
        return culprit[0], _fault_inside(culprit[0], kind, culprit[1])
    return _odd_one_out(files, kind, scan, error)


def _fault_inside(file: Path, kind: Format, error: BaseException) -> str:
    """What is wrong within a file whose first bytes are right."""
    message = first_line(error)
    if file.exists() and not file.stat().st_size:
        return EMPTY
    if type(error) is UnicodeError:  # ours, which says it all
        return message
    if any(sign in message for sign in _DAMAGED) or isinstance(error, pl.exceptions.PanicException):
        return f"it is damaged or incomplete ({message}). Write or copy it anew"
    line = _faulty_line(file, kind, error)
    return str(line) if line else f"it cannot be read ({message}). Mend it, or write it anew"


def _faulty_line(file: Path, kind: Format, error: BaseException) -> object | None:
    try:
        if isinstance(kind, Csv):
            return faulty_csv_line(file, kind, str(error))
        return faulty_json_line(file) if isinstance(kind, Ndjson) else None
    except (OSError, EOFError, UnicodeError):
        return None  # what was said already is all that is known


def _odd_one_out(files: Sequence[Path], kind: Format, scan: Scan, error: BaseException) -> tuple[Path, str]:
    """Files that can be read alone and not together.

    The first that differs from the first of all.
    """
    first = scan(files[:1]).collect_schema()
    for file in files[1:]:
        schema = scan([file]).collect_schema()
        if schema == first:
            continue
        for column in dict.fromkeys((*first, *schema)):
            here, there = schema.get(column), first.get(column)
            if here != there:
                mend = f", or types: {{{column}: …}}" if here and there else ""
                what = f"{column} is {here or 'absent'} here, but {there or 'absent'} in {files[0].name}"
                return file, f"{what}. Write the files alike{mend}"
        return file, f"its columns are in another order than in {files[0].name}. Write the files alike"
    for file in files:
        line = _faulty_line(file, kind, error)
        if line:
            return file, str(line)
    return files[0], f"it cannot be read ({first_line(error)}). Mend it, or write it anew"
