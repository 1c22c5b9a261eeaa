"""Columns that labels and splits of rows need."""

from collections.abc import Iterator

from mlc.errors import DataError, Problem, sentences
from mlc.scenario import Ignore, RowScenario
from mlc.sources.missing import TableSchema, why_missing


def check_row_columns(scenario: RowScenario, schemas: dict[str, TableSchema]) -> None:
    """Refuse columns that are not there, and labels that the model would read.

    Args:
        scenario: Checked scenario.
        schemas: Of all tables, from `check_tables`.

    Raises:
        DataError: All problems at once.
    """
    problems = [*_missing(scenario, schemas), *_leaks(scenario)]
    if problems:
        raise DataError(problems)


def _named(scenario: RowScenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each field that names a column, and the column."""
    target, split = scenario.target, scenario.examples.split
    if target.column is not None:
        yield ("target", "column"), target.column
    if isinstance(target.columns, list):
        yield from ((("target", "columns", place), name) for place, name in enumerate(target.columns))
    for field in ("column", "group"):
        name = getattr(split, field)
        if name is not None:
            yield ("examples", "split", field), name


def _missing(scenario: RowScenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    for field, name in _named(scenario):
        owner, _, column = name.partition(".")
        if not column or owner not in schemas or owner == scenario.target.table:
            owner, column = scenario.target.table, name
        if column not in schemas[owner].columns:
            rule = sentences(f"{owner} has no column {column}", why_missing(scenario, schemas, owner, column))
            yield scenario.problem(field, rule)


def _leaks(scenario: RowScenario) -> Iterator[Problem]:
    labels = [name for field, name in _named(scenario) if field[0] == "target"]
    for name, encoder in scenario.table.encoders.items():
        if name in labels and not isinstance(encoder, Ignore):
            rule = f"{name} holds the labels, and the model must not read them. Remove it."
            yield scenario.problem(("data", "tables", scenario.target.table, "encoders", name), rule)
