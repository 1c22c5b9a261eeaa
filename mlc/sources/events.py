"""Events tables in the shape of the timeline, joined to their dimensions."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from mlc.errors import DataError
from mlc.scenario import DimensionTable, EachEvent, EventScenario, EventsTable, RowsTable
from mlc.sources.reading import scan_table
from mlc.sources.values import id_expr, id_type, moment_expr
from mlc.tables import ENTITY_ID, TIME


def join_columns(
    table: EventsTable | RowsTable, dimension: str, keys: DimensionTable
) -> list[tuple[str, str]]:
    """Pairs of (column of the events, key column of the dimension)."""
    return list(zip(table.joins[dimension], keys.key, strict=True))


def scan_events(
    scenario: EventScenario,
    name: str,
    dimensions: list[str] | None = None,
    files: Sequence[Path] | None = None,
) -> pl.LazyFrame:
    """An events table in the shape of the timeline, not sorted.

    Args:
        scenario: Checked scenario.
        name: An events table.
        dimensions: The joined tables whose columns are wanted; all by default.
        files: Only these of the table's files; all by default.

    Returns:
        `entity_id` and `time` (microseconds, UTC or without zone), never null, then the table's own columns,
        then the joined ones as `dimension.column`. Events without a row in a dimension keep nulls there. Rows
        keep the order of the files.
    """
    table = scenario.data.events[name]
    frame = scan_table(scenario, name, files)
    schema = frame.collect_schema()
    for dimension in table.joins if dimensions is None else dimensions:
        pairs = join_columns(table, dimension, scenario.data.dimensions[dimension])
        keys = [key for _, key in pairs]
        rows = scan_table(scenario, dimension).unique(keys, keep="first", maintain_order=True)
        frame = frame.join(
            rows.with_columns(key_expr(key, schema[column]) for column, key in pairs).rename(
                {column: f"{dimension}.{column}" for column in rows.collect_schema()}
            ),
            left_on=table.joins[dimension],
            right_on=[f"{dimension}.{key}" for key in keys],
            how="left",
            coalesce=False,
            maintain_order="left",
        )
    entity = table.entity or scenario.data.entity
    frame = frame.with_columns(
        moment_expr(table.time, schema[table.time]).alias(TIME),
        id_expr(entity, entity_type(scenario, name, schema[entity])).alias(ENTITY_ID),
    )
    return frame.filter(pl.col(TIME).is_not_null(), pl.col(ENTITY_ID).is_not_null())


def observed_span(scenario: EventScenario) -> tuple[datetime, datetime, bool]:
    """Return first and last time of the target's events, and if all are midnights.

    Raises:
        DataError: The table has no event.
    """
    name, time = scenario.target.table, pl.col(TIME)
    row = scan_events(scenario, name, []).select(
        time.min(), time.max().alias("last"), (time.dt.truncate("1d") == time).all().alias("dates_only")
    )
    first, last, dates_only = row.collect(engine="streaming").row(0)
    if first is None:
        rule = f"{name} has no row with an entity and a time. Check entity, time and where."
        raise DataError(scenario.problem(("data", "tables", name), rule))
    return first, last, dates_only


def key_expr(key: str, dtype: pl.DataType) -> pl.Expr:
    """Return a dimension's key in the type of the events' column, else null.

    So a key of another integer width, or Categorical beside text, still matches.
    """
    return pl.col(key).cast(dtype, strict=False)


def entity_type(scenario: EventScenario, name: str, dtype: pl.DataType) -> pl.DataType:
    """Return the type of the entity ids of all events tables; see `values.id_type`.

    Args:
        scenario: Checked scenario.
        name: An events table.
        dtype: The type of its entity column.
    """
    dtypes = [dtype]
    for other, table in scenario.data.events.items() if dtype.is_integer() else ():
        if other != name:
            dtypes.append(scan_table(scenario, other).collect_schema()[table.entity or scenario.data.entity])
    return id_type(dtypes)


def rule_expr(scenario: EventScenario, where: str) -> pl.Expr:
    """Return a SQL expression on events with its joined columns in quotes.

    Examples:
        `articles.price > 5` and `"articles.price" > 5` mean the same.
    """
    names = "|".join(re.escape(name) for name in scenario.data.dimensions)
    if names:  # items."product type" is one name
        where = re.sub(rf"""('[^']*'|"[^"]*")|\b({names})\."([^"]+)\"""", _one_name, where)
    parts = re.split(r"('[^']*'|\"[^\"]*\")", where)
    if names:
        parts[::2] = [re.sub(rf"\b({names})\.(\w+)", r'"\1.\2"', part) for part in parts[::2]]
    return pl.sql_expr("".join(parts))


def _one_name(match: re.Match[str]) -> str:
    return match[1] or f'"{match[2]}.{match[3]}"'


def conditions(scenario: EventScenario) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield the field, events table and text of each SQL expression on events."""
    table, at = scenario.target.table, scenario.examples.at
    if scenario.target.rule.where is not None:
        yield ("target", "rule", "where"), table, scenario.target.rule.where
    for name, spec in (scenario.target.specs or {}).items():
        if spec.where is not None:
            yield ("target", "class_names", name, "where"), table, spec.where
    if isinstance(at, EachEvent) and at.where is not None:
        yield ("examples", "at", "where"), at.table or table, at.where
