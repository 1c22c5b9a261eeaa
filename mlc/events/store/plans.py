"""What to read of an events table, all of it or what was added, and its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mlc.errors import DataError
from mlc.events.store.event_store import Field, TableCounts
from mlc.events.store.fields import Distinct, count_distinct, table_fields, unsettled, usable_columns
from mlc.events.store.former import Former, TableSource
from mlc.scenario import EventScenario
from mlc.sources import null_counts, scan_events, scan_table, source_state
from mlc.tables import ENTITY_ID, TIME


@dataclass(frozen=True)
class EventsPlan:
    """How the events of one table become part of the store.

    Attributes:
        frame: The events to read.
        rows: How many these are.
        fields: The fields of the table, each with its column.
        counts: What the whole table holds.
        source: What the whole table is.
    """

    frame: pl.LazyFrame
    rows: int
    fields: Sequence[tuple[Field, str]]
    counts: TableCounts
    source: TableSource


def plan_events(scenario: EventScenario, name: str, limit: int) -> EventsPlan:
    """The plan of a whole table.

    Raises:
        DataError: The table has no event.
    """
    counts = null_counts(scenario, name)
    frame, distinct = _counted(scenario, name, None, limit)
    return _plan(scenario, name, frame, distinct.rows, distinct, counts)


def plan_added(scenario: EventScenario, name: str, former: Former, limit: int) -> EventsPlan | None:
    """The plan of what was added to a table since a store was made.

    It is None where columns are others now.
    """
    before, files = former.sources[name], former.added[name]
    old = former.store.counts[name]
    schemas = [_schema(scenario, name, None), _schema(scenario, name, files)]
    if any(schema != before.schema for schema in schemas):
        return None
    frame, added = _counted(scenario, name, files, limit)
    known = Distinct(before.distinct.rows, before.distinct.values, old.first, old.last)
    distinct = known.added(added)
    whole = scan_events(scenario, name, [])
    again = unsettled(whole.collect_schema(), distinct)
    if again:
        values = count_distinct(whole, scenario.data.events[name], again, limit).values
        distinct = Distinct(distinct.rows, {**distinct.values, **values}, distinct.first, distinct.last)
    rows, without_entity, without_time = null_counts(scenario, name, files)
    dropped = (old.without_entity + without_entity, old.without_time + without_time)
    return _plan(scenario, name, frame, added.rows, distinct, (rows, *dropped))


def _counted(
    scenario: EventScenario, name: str, files: Sequence[Path] | None, limit: int
) -> tuple[pl.LazyFrame, Distinct]:
    frame = scan_events(scenario, name, [], files)
    columns = usable_columns(frame, _unused(scenario, name))
    return frame, count_distinct(frame, scenario.data.events[name], columns, limit)


def _unused(scenario: EventScenario, name: str) -> set[str]:
    """Columns that are no field, since they have another meaning."""
    table = scenario.data.events[name]
    return {ENTITY_ID, TIME, table.time, table.entity or scenario.data.entity}


def _schema(scenario: EventScenario, name: str, files: Sequence[Path] | None) -> Mapping[str, str]:
    schema = scan_table(scenario, name, files).collect_schema()
    return {column: repr(dtype) for column, dtype in schema.items()}


def _plan(
    scenario: EventScenario,
    name: str,
    frame: pl.LazyFrame,
    rows: int,
    distinct: Distinct,
    row_counts: tuple[int, int, int],
) -> EventsPlan:
    if distinct.first is None or distinct.last is None:
        story = (
            f"of its {row_counts[0]:,} rows {row_counts[1]:,} have no entity and {row_counts[2]:,} no time"
        )
        rule = f"{name} has no event: {story}. Check entity, time and where."
        raise DataError(scenario.problem(("data", "tables", name), rule))
    table, schema = scenario.data.events[name], frame.collect_schema()
    fields = table_fields(name, table, schema, usable_columns(frame, _unused(scenario, name)), distinct)
    counts = TableCounts(distinct.rows, row_counts[1], row_counts[2], distinct.first, distinct.last)
    source = TableSource(list(source_state(scenario, name)), _schema(scenario, name, None), distinct)
    return EventsPlan(frame, rows, fields, counts, source)
