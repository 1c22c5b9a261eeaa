"""The columns of each table, and expressions on them."""

import re
from collections.abc import Iterator, Mapping

import polars as pl

from mlc.errors import Problem
from mlc.scenario import Arrow, Parquet, Scenario
from mlc.sources.conditions import said_of
from mlc.sources.files.shapes import columnar_shapes, name_problems, type_problems
from mlc.sources.missing import Schemas, TableSchema, why_missing
from mlc.sources.reading import POLARS_ERRORS, files_of, format_of, scan_source, scan_typed
from mlc.tables import ENTITY_ID, TIME


def table_schema(scenario: Scenario, name: str) -> tuple[TableSchema, list[Problem]]:
    """Return the columns of a table, and what is wrong with `computed`."""
    table = scenario.data.tables[name]
    there = scan_source(scenario, name).collect_schema()
    frame = pl.LazyFrame(schema=scan_typed(scenario, name).collect_schema())
    columns = dict(frame.collect_schema())
    schema = TableSchema(name, columns, frozenset(there) - columns.keys())
    problems = []
    for column, expression in table.computed.items():
        if column in there or column in (ENTITY_ID, TIME):
            rule = f"{name} has a column {column} already. Choose another name."
            if column not in there:
                rule = f"the name {column} is taken. Choose another."
            problems.append(scenario.problem(("data", "tables", name, "computed", column), rule))
            continue
        try:
            frame = frame.with_columns(pl.sql_expr(expression).alias(column)).collect().lazy()
            columns[column] = frame.collect_schema()[column]
        except POLARS_ERRORS as error:
            columns[column] = pl.String()  # so that nobody complains of it a second time
            frame = frame.with_columns(pl.lit(None, pl.String).alias(column))
            reason = why_refused(error, expression, scenario, {name: schema}, name)
            rule = f"no expression on the columns of {name}: {reason}"
            problems.append(scenario.problem(("data", "tables", name, "computed", column), rule))
    return schema, problems


def shape_problems(scenario: Scenario, name: str) -> Iterator[Problem]:
    """Yield how Parquet or Arrow files of a table differ, before Polars fails on it."""
    table, files = scenario.data.tables[name], files_of(scenario, name)
    if len(files) < 2:
        return
    kind = format_of(table, files)
    if isinstance(kind, Parquet | Arrow):
        shapes = columnar_shapes(files, kind)
        mend = "Write it with one type in all files."
        for problem in list(name_problems(shapes)) or type_problems(shapes, exact=True, mend=mend):
            yield scenario.problem(("data", "tables", name, "path"), problem.rule)


def why_refused(error: Exception, expression: str, scenario: Scenario, schemas: Schemas, name: str) -> str:
    """Return what is wrong with an expression on the columns of a table."""
    match = re.match(r'unable to find column "([^"]+)"', str(error))
    if match and match[1] in schemas[name].left_out:
        return f"{match[1]}: {schemas[name].why_missing(match[1])}"
    if match and f'"{match[1]}"' not in expression:
        return f"there is no column {match[1]}, {why_missing(scenario, schemas, name, match[1])}"
    return said_of(error, expression, schemas[name].columns)


def try_filter(columns: Mapping[str, pl.DataType], where: pl.Expr) -> None:
    """Filter a table without rows: Polars compares types only when it runs."""
    pl.DataFrame(schema=dict(columns)).lazy().filter(where).collect()


def type_family(dtype: pl.DataType) -> str:
    """Return the types that can be compared with this one: integer, text or its own."""
    if dtype.is_integer():
        return "integer"
    return "text" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else str(dtype)
