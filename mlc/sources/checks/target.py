"""Columns and conditions of the target."""

from collections.abc import Iterator

import polars as pl

from mlc.errors import Problem, sentences
from mlc.scenario import EventScenario
from mlc.sources.checks.schemas import try_filter
from mlc.sources.conditions import said_of
from mlc.sources.events import rule_expr, scan_events
from mlc.sources.formats import names_mend
from mlc.sources.lettering import odd_file_hint
from mlc.sources.missing import TableSchema, why_missing
from mlc.sources.reading import POLARS_ERRORS


def target_problems(scenario: EventScenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    """Yield what is wrong with the columns that the target uses."""
    target = scenario.target
    for name, field in target.columns_used().items():
        owner, _, column = name.partition(".") if "." in name else (target.table, "", name)
        if owner not in schemas:  # not read: already complained of
            continue
        columns = schemas[owner].columns
        if column not in columns:
            why = why_missing(scenario, schemas, owner, column, joined=owner == target.table)
            if '"' in name:
                why = f"write {name.replace(chr(34), '')}, without quotes"
            yield scenario.problem(field, sentences(f"{owner} has no column {column}", why))
            continue
        dtype = columns[column]
        inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
        if field == "target.rule.column":
            if not dtype.is_numeric():
                mend = _number_mend(scenario, owner, column)
                rule = sentences(f"{owner}.{column} must be a number, not {dtype}", mend)
                yield scenario.problem(field, rule)
        elif not _is_label(inner):
            mend = f"{names_mend(scenario, owner, column)}{odd_file_hint(scenario, owner, column)}"
            rule = sentences(f"{owner}.{column} must be text, not {dtype}", mend)
            yield scenario.problem(field, rule)
        elif target.separator is not None and not isinstance(dtype, pl.String):
            rule = f"has no effect on {name}, which is {dtype}. Leave it out."
            yield scenario.problem("target.separator", rule)


def _number_mend(scenario: EventScenario, name: str, column: str) -> str:
    """Return what to do about a column that is no number.

    `types`, where it is one of the source's own.
    """
    if column in scenario.data.tables[name].computed:
        return "cast it in computed"
    return f"add types: {{{column}: number}} to {name}{odd_file_hint(scenario, name, column)}"


def _is_label(dtype: pl.DataType | pl.datatypes.DataTypeClass) -> bool:
    """Whether values can be read as names without a doubt: 1.0 is no name."""
    return dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)


def condition_problems(
    scenario: EventScenario, field: tuple[str, ...], table: str, where: str
) -> Iterator[Problem]:
    """Yield what is wrong with a condition on events, true or false for each."""
    try:
        columns = dict(scan_events(scenario, table).collect_schema())
        try_filter(columns, rule_expr(scenario, where))
    except POLARS_ERRORS as error:
        rule = f"not true or false for every event: {said_of(error, where, columns)}"
        yield scenario.problem(field, rule)
