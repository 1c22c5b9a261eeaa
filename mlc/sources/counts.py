"""Counts of rows: joins that match, doubled keys, missing entities and times, values that do not convert."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mlc.errors import Problem
from mlc.scenario import (
    DatetimeType,
    DateType,
    DimensionTable,
    EntitiesTable,
    EventsTable,
    IntegerType,
    NumberType,
    Scenario,
)
from mlc.sources.columns import converted_expr
from mlc.sources.events import entity_type, join_columns, key_expr
from mlc.sources.numbers import number_text
from mlc.sources.reading import chosen, scan_source, scan_table
from mlc.sources.values import id_expr, is_blank, moment_expr

_SAMPLE = 2_000


@dataclass(frozen=True)
class JoinRate:
    """How many events find their row in a dimension."""

    table: str
    dimension: str
    events: int
    matched: int
    unmatched_keys: tuple[str, ...]


def join_rates(scenario: Scenario) -> list[JoinRate]:
    """Match rate of every join, with up to five keys that do not match, the most frequent first."""
    rates = []
    for name, table in scenario.data.events.items():
        for dimension in table.joins:
            keys = scenario.data.dimensions[dimension]
            columns = table.joins[dimension]
            counts = scan_table(scenario, name).group_by(columns).len(name="events")
            schema = counts.collect_schema()
            known = scan_table(scenario, dimension).select(
                key_expr(key, schema[column]) for column, key in join_columns(table, dimension, keys)
            )
            lost = (
                counts.join(known, left_on=columns, right_on=keys.key, how="anti")
                .sort(["events", *columns], descending=[True] + [False] * len(columns))
                .collect()
            )
            total = int(counts.select(pl.col("events").sum()).collect().item() or 0)
            shown = tuple(
                "/".join("null" if v is None else str(v) for v in row[:-1])
                for row in lost.head(5).iter_rows()
            )
            rates.append(JoinRate(name, dimension, total, total - int(lost["events"].sum()), shown))
    return rates


def duplicate_keys(scenario: Scenario) -> Iterator[Problem]:
    """Keys that stand more than once in a dimension or entities table."""
    for name, table in scenario.data.tables.items():
        if isinstance(table, EventsTable):
            continue
        keys = table.key if isinstance(table, DimensionTable) else [table.key]
        frame = scan_table(scenario, name).drop_nulls(keys)
        if isinstance(table, EntitiesTable) and frame.collect_schema()[table.key] == pl.String:
            frame = frame.filter(~is_blank(pl.col(table.key)))  # nobody's
        doubled = frame.group_by(keys).len().filter(pl.col("len") > 1).sort(keys).collect()
        if doubled.height:
            shown = ", ".join("/".join(str(v) for v in row[:-1]) for row in doubled.head(3).iter_rows())
            rule = f"each key must stand once in {name}, however: {doubled.height} stand more often ({shown})"
            field = ("data", "tables", name, "key")
            yield scenario.problem(field, f"{rule}; remove the doubles, or add a where")


def null_counts(scenario: Scenario, name: str, files: Sequence[Path] | None = None) -> tuple[int, int, int]:
    """Rows of an events table, or of some of its files; rows without an entity, rows without a time."""
    table = scenario.data.events[name]
    entity = table.entity or scenario.data.entity
    frame = scan_table(scenario, name, files)
    schema = frame.collect_schema()
    ids = id_expr(entity, entity_type(scenario, name, schema[entity]))
    row = (
        frame.select(
            pl.len(),
            ids.is_null().sum().alias("entity"),
            moment_expr(table.time, schema[table.time]).is_null().sum().alias("time"),
        )
        .collect(engine="streaming")
        .row(0)
    )
    return int(row[0]), int(row[1]), int(row[2])


def conversion_problems(
    scenario: Scenario, files: Mapping[str, Sequence[Path]] | None = None
) -> Iterator[Problem]:
    """Values of `types` that cannot be converted: how many, and the first three different ones.

    Args:
        scenario: Checked scenario.
        files: Table → the only files of it to look at; all by default.
    """
    for name, table in scenario.data.tables.items():
        if not table.types:
            continue
        frame = chosen(table, scan_source(scenario, name, (files or {}).get(name)))
        schema = frame.collect_schema()
        for column, kind in table.types.items():
            after = converted_expr(column, schema[column], kind)
            lost = frame.select(pl.col(column).filter(pl.col(column).is_not_null() & after.is_null()))
            number, examples = (
                lost.select(pl.len(), pl.col(column).unique(maintain_order=True).head(3).implode())
                .collect(engine="streaming")
                .row(0)
            )
            if number:
                shown = ", ".join(repr(value) if isinstance(value, str) else str(value) for value in examples)
                what = "value is not" if number == 1 else "values are not"
                rule = f"must fit every value of {column}, however: {number:,} {what} {kind.kind} ({shown})"
                advice = "; add a format, such as {kind: " + kind.kind + ', format: "%d/%m/%Y"}'
                mend = advice if isinstance(kind, DateType | DatetimeType) and not kind.format else ""
                if isinstance(kind, NumberType | IntegerType):
                    mend = _number_mend(frame, column)
                field = ("data", "tables", name, "types", column)
                yield scenario.problem(
                    field, rule + (mend or "; choose another type, or mend them in the source")
                )


def _number_mend(frame: pl.LazyFrame, column: str) -> str:
    """Return how the numbers of a text column are written, as the end of a message; empty where unknown."""
    text = pl.col(column).cast(pl.String, strict=False).drop_nulls()
    sample = frame.select(text.unique(maintain_order=True).head(_SAMPLE)).collect(engine="streaming")
    written = number_text(sample.to_series())
    if written is None or written.plain:
        return ""
    return f". They look like numbers with {written.written}: add {written.types(column)}"
