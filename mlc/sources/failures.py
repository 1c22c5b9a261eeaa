"""What libraries raise while user data is read, turned into one clear error.

Queries are lazy: a damaged file shows up wherever its rows are first collected. `reading` surrounds that
work. After a failure it runs each table in stages and names the first stage and file that fail.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOSPC
from functools import partial
from os import strerror
from pathlib import Path

import polars as pl

from mlc.errors import DataError, MlcError, Problem
from mlc.files.atomic import refusal
from mlc.scenario import Arrow, Csv, EventScenario, EventsTable, Ndjson, Parquet, Scenario
from mlc.sources.columns import computed_columns
from mlc.sources.events import conditions, rule_expr, scan_events
from mlc.sources.files.faults import READ_ERRORS, Scan, drain, first_line, guilty_file, shown_path
from mlc.sources.files.signatures import file_fault
from mlc.sources.reading import files_of, format_of, scan_source, scan_table, scan_typed, source_rule

Keys = tuple[str | int, ...]
_GUARD = "Guard it with CASE or TRY_CAST"
_MOST_FILES = 5  # of one table that an error names
_DISK_FULL = {strerror(code) for code in (ENOSPC, EDQUOT, EFBIG)}


@dataclass(frozen=True)
class _Stage:
    """A step from a file to the rows in use, and the field that decides it."""

    field: Keys
    what: str
    scan: Scan


@contextmanager
def reading(scenario: Scenario, *tables: str) -> Iterator[None]:
    """Turn a failure while tables are read into one error with field and file.

    Args:
        scenario: Checked scenario.
        tables: The tables that are read; all by default.

    Raises:
        DataError: A file is damaged, a value does not fit, an expression fails on some row.
    """
    began = time.time()
    try:
        yield
    except MlcError:
        raise
    except MemoryError as error:
        rule = "the tables do not fit into memory. Set memory_limit, or read fewer columns"
        raise DataError(scenario.problem("data", rule)) from error
    except READ_ERRORS as error:
        if refusal(error) in _DISK_FULL:
            raise
        problems = [
            p for name in tables or scenario.data.tables for p in _table_problems(scenario, name, began)
        ]
        if not problems:
            if not isinstance(error, pl.exceptions.PolarsError):
                raise
            rule = f"the tables cannot be read ({first_line(error)}). Check the columns it names"
            problems = [scenario.problem("data.tables", rule)]
        raise DataError(problems) from error


def file_problems(scenario: Scenario, name: str) -> list[Problem]:
    """Find files of a table that cannot be in its format, by name and first bytes.

    Args:
        scenario: Checked scenario.
        name: A table.

    Raises:
        DataError: There is no file.
    """
    table, files = scenario.data.tables[name], files_of(scenario, name)
    kind = format_of(table, files) if files else None
    if not isinstance(kind, Parquet | Csv | Arrow | Ndjson) or "://" in str(table.path):
        return []
    field, base = ("data", "tables", name, "path"), scenario.origin.base
    faults = ((file, file_fault(file, kind)) for file in files)
    problems = [
        scenario.problem(field, f"{shown_path(file, base)}: {fault}") for file, fault in faults if fault
    ]
    strange = next((file for file in files if format_of(table, [file]) != kind), None)
    if strange is not None and not problems:
        first, other = shown_path(files[0], base), shown_path(strange, base)
        mend = f"Read those of one format, such as {Path(str(table.path)) / ('*' + files[0].suffix)}"
        problems = [scenario.problem(field, f"{other}: its format differs from that of {first}. {mend}")]
    return problems[:_MOST_FILES]


def _table_problems(scenario: Scenario, name: str, began: float) -> Iterator[Problem]:
    """Yield what is wrong with a table, or that its files have changed.

    It is the first of its stages that fails.
    """
    try:
        files = files_of(scenario, name)
        for stage in _stages(scenario, name):
            problem = _stage_problem(scenario, name, stage, files)
            if problem is not None:
                yield problem
                return
    except DataError as error:
        yield from error.problems
        return
    path, base = ("data", "tables", name, "path"), scenario.origin.base
    for file in files:
        if file.exists() and file.stat().st_mtime >= began:
            rule = f"{shown_path(file, base)}: it changed while it was read. Run the command again"
            yield scenario.problem(path, rule)


def _stage_problem(scenario: Scenario, name: str, stage: _Stage, files: Sequence[Path]) -> Problem | None:
    try:
        drain(stage.scan(files or None))
    except READ_ERRORS as error:
        base = scenario.origin.base
        if stage.field[-1:] == ("path",) and files:
            kind = format_of(scenario.data.tables[name], list(files))
            return scenario.problem(stage.field, source_rule(scenario, name, kind, list(files), error))
        culprit = guilty_file(files, stage.scan) or (None, error)
        place = f"{shown_path(culprit[0], base)}: " if culprit[0] else ""
        return scenario.problem(stage.field, f"{place}{stage.what} ({first_line(culprit[1])})")
    return None


def _stages(scenario: Scenario, name: str) -> Iterator[_Stage]:
    """The way of a table's rows, step by step."""
    table, here = scenario.data.tables[name], ("data", "tables", name)
    yield _Stage((*here, "path"), "", partial(scan_source, scenario, name))
    for column in table.types:
        what = f"some value of {column} cannot be converted. Mend it, or choose another type"
        yield _Stage((*here, "types", column), what, partial(_typed, scenario, name, [column]))
    for number, column in enumerate(table.computed, start=1):
        what = f"the expression fails on some row. {_GUARD}"
        yield _Stage((*here, "computed", column), what, partial(_computed, scenario, name, number))
    if table.where is not None:
        what = f"the condition fails on some row. {_GUARD}"
        yield _Stage((*here, "where"), what, partial(scan_table, scenario, name))
    if isinstance(table, EventsTable) and isinstance(scenario, EventScenario):
        yield from _event_stages(scenario, name, table)


def _event_stages(scenario: EventScenario, name: str, table: EventsTable) -> Iterator[_Stage]:
    here = ("data", "tables", name)
    what = "some entity or time does not fit. Mend it, or leave it out with where"
    yield _Stage(here, what, partial(_joined, scenario, name, []))
    for dimension in table.joins:
        what = f"{name} cannot be joined to {dimension}. Give both keys one type"
        yield _Stage((*here, "joins", dimension), what, partial(_joined, scenario, name, [dimension]))
    for place, owner, where in conditions(scenario) if scenario.has_target else ():
        if owner == name:
            what = f"the condition fails on some event. {_GUARD}"
            yield _Stage(place, what, partial(_meeting, scenario, name, where))


def _typed(scenario: Scenario, name: str, columns: list[str], files: Sequence[Path] | None) -> pl.LazyFrame:
    return scan_typed(scenario, name, files).select(columns)


def _computed(scenario: Scenario, name: str, number: int, files: Sequence[Path] | None) -> pl.LazyFrame:
    """A table with the first of its computed columns."""
    table = scenario.data.tables[name]
    first = dict(list(table.computed.items())[:number])
    return computed_columns(table.model_copy(update={"computed": first}), scan_typed(scenario, name, files))


def _joined(
    scenario: EventScenario, name: str, dimensions: list[str], files: Sequence[Path] | None
) -> pl.LazyFrame:
    return scan_events(scenario, name, dimensions, files)


def _meeting(scenario: EventScenario, name: str, where: str, files: Sequence[Path] | None) -> pl.LazyFrame:
    return scan_events(scenario, name, files=files).filter(rule_expr(scenario, where))
