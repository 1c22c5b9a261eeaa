"""Counts of rows: joins that match, doubled keys, missing and unreadable values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mlc.errors import Problem, sentences
from mlc.scenario import DimensionTable, EntitiesTable, EventScenario, EventsTable, LabelsTable, Scenario
from mlc.sources.events import entity_type, join_columns, key_expr
from mlc.sources.formats import conversion_mend, lost_values
from mlc.sources.reading import chosen, scan_source, scan_table
from mlc.sources.values import id_expr, is_blank, moment_expr


@dataclass(frozen=True)
class JoinRate:
    """How many events find their row in a dimension."""

    table: str
    dimension: str
    events: int
    matched: int
    unmatched_keys: tuple[str, ...]


def join_rates(scenario: EventScenario) -> list[JoinRate]:
    """Return the match rate of every join, with up to five keys that do not match."""
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
            examples = tuple(
                "/".join("null" if v is None else str(v) for v in row[:-1])
                for row in lost.head(5).iter_rows()
            )
            rates.append(JoinRate(name, dimension, total, total - int(lost["events"].sum()), examples))
    return rates


def duplicate_keys(scenario: Scenario) -> Iterator[Problem]:
    """Keys that stand more than once in a table where each stands once."""
    for name, table in scenario.data.tables.items():
        if isinstance(table, EventsTable | LabelsTable) or table.key is None:
            continue
        keys = table.key if isinstance(table, DimensionTable) else [table.key]
        frame = scan_table(scenario, name).drop_nulls(keys)
        if isinstance(table, EntitiesTable) and frame.collect_schema()[table.key] == pl.String:
            frame = frame.filter(~is_blank(pl.col(table.key)))  # nobody's
        doubled = frame.group_by(keys).len().filter(pl.col("len") > 1).sort(keys).collect()
        if doubled.height:
            examples = ", ".join("/".join(str(v) for v in row[:-1]) for row in doubled.head(3).iter_rows())
            rule = f"{doubled.height} of the keys of {name} are there more than once ({examples})"
            field = ("data", "tables", name, "key")
            yield scenario.problem(field, f"{rule}. Remove the doubles, or add a where.")


def null_counts(
    scenario: EventScenario, name: str, files: Sequence[Path] | None = None
) -> tuple[int, int, int]:
    """Rows of an events table, or of some of its files.

    Rows without an entity, rows without a time.
    """
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
    scenario: EventScenario, files: Mapping[str, Sequence[Path]] | None = None
) -> Iterator[Problem]:
    """Values of `types` that cannot be converted.

    How many, and the first three different ones.

    Args:
        scenario: Checked scenario.
        files: Table → the only files of it to look at; all by default.
    """
    for name, table in scenario.data.tables.items():
        if not table.types:
            continue
        frame = chosen(table, scan_source(scenario, name, (files or {}).get(name)))
        for column, kind in table.types.items():
            number, examples = lost_values(frame, column, kind)
            if number:
                text = ", ".join(repr(value) if isinstance(value, str) else str(value) for value in examples)
                what = f"value of {column} is not" if number == 1 else f"values of {column} are not"
                rule = f"{number:,} {what} {kind.kind} ({text})"
                field = ("data", "tables", name, "types", column)
                yield scenario.problem(field, sentences(rule, conversion_mend(frame, column, kind, examples)))
