"""Columns that the fields of a table name."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import assert_never

import polars as pl

from mlc.errors import Problem, sentences
from mlc.scenario import (
    DimensionTable,
    EntitiesTable,
    EventScenario,
    EventsTable,
    LabelsTable,
    Number,
    RowsTable,
    Scenario,
)
from mlc.sources.checks.schemas import try_filter, type_family, why_refused
from mlc.sources.events import join_columns
from mlc.sources.lettering import odd_file_hint
from mlc.sources.missing import Schemas, TableSchema, why_missing
from mlc.sources.reading import POLARS_ERRORS
from mlc.tables import ENTITY_ID, TIME


def field_problems(scenario: Scenario, name: str, schemas: Schemas) -> Iterator[Problem]:
    """Yield what is wrong with the columns that the fields of one table name."""
    yield from _choice_problems(scenario, name, schemas)
    yield from _where_problems(scenario, name, schemas)
    yield from _column_problems(scenario, name, schemas[name], schemas)


def _choice_problems(scenario: Scenario, name: str, schemas: Schemas) -> Iterator[Problem]:
    """Yield columns of `columns`, `leave_out` and `types` that the source lacks."""
    table, schema = scenario.data.tables[name], schemas[name]
    source = (schema.columns.keys() - table.computed.keys()) | schema.left_out
    named: list[tuple[tuple[str, str | int], str, Collection[str]]] = []
    named += [(("columns", index), column, source) for index, column in enumerate(table.columns or ())]
    named += [(("leave_out", index), column, source) for index, column in enumerate(table.leave_out or ())]
    named += [(("types", column), column, schema.columns.keys()) for column in table.types]
    for field, column, there in named:
        if column not in there:
            all_of_it = {
                **schemas,
                name: TableSchema(name, dict.fromkeys(there, pl.Null()), schema.left_out - set(there)),
            }
            why = why_missing(scenario, all_of_it, name, column)
            rule = sentences(f"{name} has no column {column}", why)
            yield scenario.problem(("data", "tables", name, *field), rule)


def _where_problems(scenario: Scenario, name: str, schemas: Schemas) -> Iterator[Problem]:
    where = scenario.data.tables[name].where
    if where is not None:
        try:
            try_filter(schemas[name].columns, pl.sql_expr(where))
        except POLARS_ERRORS as error:
            reason = why_refused(error, where, scenario, schemas, name)
            rule = f"not true or false for every row: {reason}"
            yield scenario.problem(("data", "tables", name, "where"), rule)


def _column_problems(
    scenario: Scenario, name: str, schema: TableSchema, schemas: Schemas
) -> Iterator[Problem]:
    table = scenario.data.tables[name]
    columns = schema.columns

    def missing(column: str, *field: str) -> Iterator[Problem]:
        if column not in columns:
            rule = sentences(f"{name} has no column {column}", why_missing(scenario, schemas, name, column))
            yield scenario.problem(("data", "tables", name, *field), rule)

    for column, encoder in table.encoders.items():
        yield from missing(column, "encoders", column)
        if isinstance(encoder, Number) and column in columns and not columns[column].is_numeric():
            rule = f"must be a number, not {columns[column]}"
            yield scenario.problem(("data", "tables", name, "encoders", column), rule)
    match table:
        case EventsTable(time=time, entity=entity, joins=joins):
            yield from missing(time, "time")
            if time in columns:
                yield from _time_problems(scenario, name, time, columns[time])
            if entity is not None:
                yield from missing(entity, "entity")
            if isinstance(scenario, EventScenario):
                yield from _hidden_problems(scenario, name, columns)
            yield from _join_problems(scenario, name, joins, schemas)
        case RowsTable(key=row_key, time=row_time, joins=joins):
            if row_key is not None:
                yield from missing(row_key, "key")
            if row_time is not None:
                yield from missing(row_time, "time")
            if row_time in columns:
                yield from _time_problems(scenario, name, row_time, columns[row_time])
            yield from _join_problems(scenario, name, joins, schemas)
        case DimensionTable(key=keys):
            for column in keys:
                yield from missing(column, "key")
        case EntitiesTable(key=column) | LabelsTable(key=column):
            yield from missing(column, "key")
        case unreachable:
            assert_never(unreachable)


def _join_problems(
    scenario: Scenario, name: str, joins: Mapping[str, Sequence[str]], schemas: Schemas
) -> Iterator[Problem]:
    columns = schemas[name].columns
    for dimension, keys in joins.items():
        without = [column for column in keys if column not in columns]
        for column in without:
            rule = sentences(f"{name} has no column {column}", why_missing(scenario, schemas, name, column))
            yield scenario.problem(("data", "tables", name, "joins", dimension), rule)
        if dimension in schemas and not without:
            yield from _join_type_problems(scenario, name, dimension, schemas[name], schemas[dimension])


def _time_problems(scenario: Scenario, name: str, column: str, dtype: pl.DataType) -> Iterator[Problem]:
    if isinstance(dtype, pl.Date | pl.Datetime):
        return
    mend = f"types: {{{column}: datetime}} reads ISO 8601; give a format for anything else"
    rule = f"{column} is {dtype}, not a date or datetime; {mend}{odd_file_hint(scenario, name, column)}"
    yield scenario.problem(("data", "tables", name, "time"), rule)


def _hidden_problems(
    scenario: EventScenario, name: str, columns: Mapping[str, pl.DataType]
) -> Iterator[Problem]:
    """Yield columns that our own `time` and `entity_id` would hide."""
    table = scenario.data.events[name]
    in_use = {column for keys in table.joins.values() for column in keys} | set(table.encoders)
    if scenario.has_target and name == scenario.target.table:
        target = scenario.target
        in_use |= {*target.columns_used(), *re.findall(r"\w+", target.rule.where or "")}
    for ours, used in ((TIME, table.time), (ENTITY_ID, table.entity or scenario.data.entity)):
        if ours != used and ours in columns and ours in in_use:
            rule = f"{name}.{ours} cannot be used, since {used} takes its name; rename it in the source"
            yield scenario.problem(("data", "tables", name), rule)


def _join_type_problems(
    scenario: Scenario, name: str, dimension: str, events: TableSchema, rows: TableSchema
) -> Iterator[Problem]:
    table = scenario.data.joining[name]
    for column, key in join_columns(table, dimension, scenario.data.dimensions[dimension]):
        left, right = events.columns[column], rows.columns.get(key)
        if right is not None and type_family(left) != type_family(right):
            rule = f"{name}.{column} and {dimension}.{key} are of two types, {left} and {right}"
            field = ("data", "tables", name, "joins", dimension)
            texts = [
                f"types: {{{own}: text}} to {owner}"
                for own, owner, dtype in ((column, name, left), (key, dimension, right))
                if type_family(dtype) != "text"
            ]
            yield scenario.problem(field, sentences(rule, f"add {' and '.join(texts)}"))
