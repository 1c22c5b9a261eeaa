"""Do the tables fit the scenario? Names and types of all columns that it uses, all problems at once."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import assert_never

import polars as pl

from mlc.errors import DataError, Problem
from mlc.scenario import (
    Arrow,
    DimensionTable,
    EntitiesTable,
    EventsTable,
    Number,
    Parquet,
    Scenario,
)
from mlc.sources.conditions import said_of
from mlc.sources.events import conditions, join_columns, rule_expr, scan_events
from mlc.sources.failures import file_problems, reading
from mlc.sources.files.shapes import columnar_shapes, name_problems, type_problems
from mlc.sources.formats import names_mend
from mlc.sources.lettering import odd_file_hint
from mlc.sources.missing import Schemas, TableSchema, why_missing
from mlc.sources.reading import POLARS_ERRORS, files_of, format_of, scan_source, scan_typed
from mlc.tables import ENTITY_ID, TIME


def check_tables(scenario: Scenario) -> dict[str, TableSchema]:
    """Find every table and check names and types of the columns that the scenario uses.

    Reads schemas only, no rows; a query is run as a whole.

    Raises:
        DataError: All problems of all tables at once.
    """
    problems: list[Problem] = []
    schemas: dict[str, TableSchema] = {}
    for name in scenario.data.tables:
        try:
            faults = file_problems(scenario, name)
            if faults:
                problems += faults
                continue
            with reading(scenario, name):
                schemas[name], found = _table_schema(scenario, name)
                problems += [*found, *_shape_problems(scenario, name)]
        except DataError as error:
            problems += error.problems
    for name, schema in schemas.items():
        problems += _choice_problems(scenario, name, schemas)
        problems += _where_problems(scenario, name, schemas)
        problems += _column_problems(scenario, name, schema, schemas)
    problems += _entity_problems(scenario, schemas)
    problems += _entity_type_problems(scenario, schemas)
    if scenario.has_target:
        problems += _target_problems(scenario, schemas)
    if scenario.has_target and not problems:
        for field, table, where in conditions(scenario):
            problems += _condition_problems(scenario, field, table, where)
    if problems:
        raise DataError(problems)
    return schemas


def _table_schema(scenario: Scenario, name: str) -> tuple[TableSchema, list[Problem]]:
    """The columns of a table, and what is wrong with `computed`."""
    table = scenario.data.tables[name]
    there = scan_source(scenario, name).collect_schema()
    frame = pl.LazyFrame(schema=scan_typed(scenario, name).collect_schema())
    columns = dict(frame.collect_schema())
    schema = TableSchema(name, columns, frozenset(there) - columns.keys())
    problems = []
    for column, expression in table.computed.items():
        if column in there or column in (ENTITY_ID, TIME):
            rule = f"must be a new name, however: {name} has a column {column}; choose another"
            if column not in there:
                rule = f"must be a new name, however: {column} is a name of ours; choose another"
            problems.append(scenario.problem(("data", "tables", name, "computed", column), rule))
            continue
        try:
            frame = frame.with_columns(pl.sql_expr(expression).alias(column)).collect().lazy()
            columns[column] = frame.collect_schema()[column]
        except POLARS_ERRORS as error:
            columns[column] = pl.String()  # so that nobody complains of it a second time
            frame = frame.with_columns(pl.lit(None, pl.String).alias(column))
            said = _said(error, expression, scenario, {name: schema}, name)
            rule = f"must be an expression on the columns of {name}, however: {said}"
            problems.append(scenario.problem(("data", "tables", name, "computed", column), rule))
    return schema, problems


def _said(error: Exception, expression: str, scenario: Scenario, schemas: Schemas, name: str) -> str:
    """What is wrong with an expression on the columns of a table."""
    found = re.match(r'unable to find column "([^"]+)"', str(error))
    if found and found[1] in schemas[name].left_out:
        return f"{found[1]}: {schemas[name].why_missing(found[1])}"
    if found and f'"{found[1]}"' not in expression:
        return f"there is no column {found[1]}, {why_missing(scenario, schemas, name, found[1])}"
    return said_of(error, expression, schemas[name].columns)


def _choice_problems(scenario: Scenario, name: str, schemas: Schemas) -> Iterator[Problem]:
    """Columns that `columns`, `leave_out` and `types` name and that the source does not have."""
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
            rule = f"{name} must have a column {column}, however: {why}"
            yield scenario.problem(("data", "tables", name, *field), rule)


def _shape_problems(scenario: Scenario, name: str) -> Iterator[Problem]:
    """Parquet or Arrow files of one table that differ; Polars would find out only while reading them."""
    table, files = scenario.data.tables[name], files_of(scenario, name)
    if len(files) < 2:
        return
    kind = format_of(table, files)
    if isinstance(kind, Parquet | Arrow):
        shapes = columnar_shapes(files, kind)
        mend = "Write it with one type in all files."
        for problem in list(name_problems(shapes)) or type_problems(shapes, exact=True, mend=mend):
            yield scenario.problem(("data", "tables", name, "path"), problem.rule)


def _where_problems(scenario: Scenario, name: str, schemas: Schemas) -> Iterator[Problem]:
    where = scenario.data.tables[name].where
    if where is not None:
        try:
            _try_filter(schemas[name].columns, pl.sql_expr(where))
        except POLARS_ERRORS as error:
            said = _said(error, where, scenario, schemas, name)
            rule = f"must be true or false for every row, however: {said}"
            yield scenario.problem(("data", "tables", name, "where"), rule)


def _try_filter(columns: Mapping[str, pl.DataType], where: pl.Expr) -> None:
    """Filter a table without rows: Polars compares types only when it runs."""
    pl.DataFrame(schema=dict(columns)).lazy().filter(where).collect()


def _column_problems(
    scenario: Scenario, name: str, schema: TableSchema, schemas: dict[str, TableSchema]
) -> Iterator[Problem]:
    table = scenario.data.tables[name]
    columns = schema.columns

    def missing(column: str, *field: str) -> Iterator[Problem]:
        if column not in columns:
            rule = (
                f"{name} must have a column {column}, however: {why_missing(scenario, schemas, name, column)}"
            )
            yield scenario.problem(("data", "tables", name, *field), rule)

    for column, encoder in table.encoders.items():
        yield from missing(column, "encoders", column)
        if isinstance(encoder, Number) and column in columns and not columns[column].is_numeric():
            rule = f"must be a number, however: dtype={columns[column]}"
            yield scenario.problem(("data", "tables", name, "encoders", column), rule)
    match table:
        case EventsTable(time=time, entity=entity, joins=joins):
            yield from missing(time, "time")
            if time in columns:
                yield from _time_problems(scenario, name, time, columns[time])
            if entity is not None:
                yield from missing(entity, "entity")
            yield from _hidden_problems(scenario, name, columns)
            for dimension, keys in joins.items():
                for column in keys:
                    yield from missing(column, "joins", dimension)
                if dimension in schemas and all(column in columns for column in keys):
                    yield from _join_type_problems(scenario, name, dimension, schema, schemas[dimension])
        case DimensionTable(key=keys):
            for column in keys:
                yield from missing(column, "key")
        case EntitiesTable(key=column):
            yield from missing(column, "key")
        case unreachable:
            assert_never(unreachable)


def _entity_problems(scenario: Scenario, schemas: Schemas) -> Iterator[Problem]:
    """Events tables without the column that `data.entity` names."""
    entity = scenario.data.entity
    named = [name for name, table in scenario.data.events.items() if table.entity is None and name in schemas]
    without = [name for name in named if entity not in schemas[name].columns]
    everywhere = without == named and all(entity not in schemas[name].left_out for name in named)
    for name in without[:1] if everywhere else without:
        why = why_missing(scenario, schemas, name, entity)
        rule = f"{name} must have a column {entity}, however: {why}"
        if everywhere:
            yield scenario.problem("data.entity", rule)
        else:
            if found := re.fullmatch(r"did you mean (\S+)\?", why):
                rule += f" Add entity: {found[1]} to this table"
            yield scenario.problem(("data", "tables", name), rule)


def _time_problems(scenario: Scenario, name: str, column: str, dtype: pl.DataType) -> Iterator[Problem]:
    if isinstance(dtype, pl.Date | pl.Datetime):
        return
    mend = f"types: {{{column}: datetime}} reads ISO 8601; give a format for anything else"
    rule = f"{column} is {dtype}, not a date or datetime; {mend}{odd_file_hint(scenario, name, column)}"
    yield scenario.problem(("data", "tables", name, "time"), rule)


def _hidden_problems(scenario: Scenario, name: str, columns: Mapping[str, pl.DataType]) -> Iterator[Problem]:
    """Columns that the scenario asks for, and that our own `time` and `entity_id` hide."""
    table = scenario.data.events[name]
    asked = {column for keys in table.joins.values() for column in keys} | set(table.encoders)
    if scenario.has_target and name == scenario.target.table:
        target = scenario.target
        asked |= {*target.columns_used(), *re.findall(r"\w+", target.rule.where or "")}
    for ours, used in ((TIME, table.time), (ENTITY_ID, table.entity or scenario.data.entity)):
        if ours != used and ours in columns and ours in asked:
            rule = f"{name}.{ours} cannot be used, since {used} takes its name; rename it in the source"
            yield scenario.problem(("data", "tables", name), rule)


def _join_type_problems(
    scenario: Scenario, name: str, dimension: str, events: TableSchema, rows: TableSchema
) -> Iterator[Problem]:
    table = scenario.data.events[name]
    for column, key in join_columns(table, dimension, scenario.data.dimensions[dimension]):
        left, right = events.columns[column], rows.columns.get(key)
        if right is not None and _family(left) != _family(right):
            rule = f"{name}.{column} and {dimension}.{key} must have one type, however: {left} and {right}"
            field = ("data", "tables", name, "joins", dimension)
            texts = [
                f"types: {{{own}: text}} to {owner}"
                for own, owner, dtype in ((column, name, left), (key, dimension, right))
                if _family(dtype) != "text"
            ]
            yield scenario.problem(field, f"{rule}; add {' and '.join(texts)}")


def _family(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "integer"
    return "text" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else str(dtype)


def _entity_type_problems(scenario: Scenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    found: dict[str, tuple[str, str]] = {}
    aware: dict[str, bool] = {}
    for name, schema in schemas.items():
        table = scenario.data.tables[name]
        if isinstance(table, EventsTable):
            column = table.entity or scenario.data.entity
            moment = schema.columns.get(table.time)
            if isinstance(moment, pl.Date | pl.Datetime):
                aware[name] = isinstance(moment, pl.Datetime) and moment.time_zone is not None
        elif isinstance(table, EntitiesTable):
            column = table.key
        else:
            continue
        if column in schema.columns:
            dtype = schema.columns[column]
            found[name] = (column, _family(dtype))
            if _family(dtype) not in ("integer", "text"):
                yield scenario.problem(
                    ("data", "tables", name),
                    f"{name}.{column} must be text or a whole number, however: dtype={dtype}; "
                    f"{names_mend(scenario, name, column)}{odd_file_hint(scenario, name, column)}",
                )
    if len({family for _, family in found.values()} & {"integer", "text"}) > 1:
        listed = ", ".join(f"{name}.{column} is {family}" for name, (column, family) in found.items())
        mends = [
            f"types: {{{column}: text}} to {name}"
            for name, (column, family) in found.items()
            if family != "text"
        ]
        rule = f"entity ids must have one type, however: {listed}; add {' and '.join(mends)}"
        yield scenario.problem("data.entity", rule)
    if len(set(aware.values())) > 1:
        listed = ", ".join(f"{name} {'with' if zone else 'without'}" for name, zone in aware.items())
        yield scenario.problem("data.tables", f"times must all have a zone or none, however: {listed}")
    yield from _moment_problems(scenario, aware)


def _moment_problems(scenario: Scenario, aware: dict[str, bool]) -> Iterator[Problem]:
    examples = scenario.examples
    if any(aware.values()):
        return
    for field in ("validation_from", "test_from", "observed_until"):
        moment = getattr(examples, field)
        if moment is not None and moment.tzinfo is not None:
            yield scenario.problem(
                f"examples.{field}", "must have no time zone, however: it has one and the tables have none"
            )


def _target_problems(scenario: Scenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    target = scenario.target
    for asked, field in target.columns_used().items():
        owner, _, column = asked.partition(".") if "." in asked else (target.table, "", asked)
        if owner not in schemas:  # not read: already complained of
            continue
        columns = schemas[owner].columns
        if column not in columns:
            why = why_missing(scenario, schemas, owner, column, joined=owner == target.table)
            if '"' in asked:
                why = f"names of columns stand without quotes; write {asked.replace(chr(34), '')}"
            yield scenario.problem(field, f"{owner} must have a column {column}, however: {why}")
            continue
        dtype = columns[column]
        inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
        if field == "target.rule.column":
            if not dtype.is_numeric():
                mend = _number_mend(scenario, owner, column)
                rule = f"{owner}.{column} must be a number, however: dtype={dtype}; {mend}"
                yield scenario.problem(field, rule)
        elif not _is_label(inner):
            mend = f"{names_mend(scenario, owner, column)}{odd_file_hint(scenario, owner, column)}"
            rule = f"{owner}.{column} must be text, however: dtype={dtype}; {mend}"
            yield scenario.problem(field, rule)
        elif target.separator is not None and not isinstance(dtype, pl.String):
            rule = f"has no effect on {asked}, however: dtype={dtype}; leave it out"
            yield scenario.problem("target.separator", rule)


def _number_mend(scenario: Scenario, name: str, column: str) -> str:
    """Return what to do about a column that is no number: `types`, where it is one of the source's own."""
    if column in scenario.data.tables[name].computed:
        return "cast it in computed"
    return f"add types: {{{column}: number}} to {name}{odd_file_hint(scenario, name, column)}"


def _is_label(dtype: pl.DataType | pl.datatypes.DataTypeClass) -> bool:
    """Whether values can be read as names without a doubt: 1.0 is no name."""
    return dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)


def _condition_problems(
    scenario: Scenario, field: tuple[str, ...], table: str, where: str
) -> Iterator[Problem]:
    try:
        columns = dict(scan_events(scenario, table).collect_schema())
        _try_filter(columns, rule_expr(scenario, where))
    except POLARS_ERRORS as error:
        rule = f"must be true or false for every event, however: {said_of(error, where, columns)}"
        yield scenario.problem(field, rule)
