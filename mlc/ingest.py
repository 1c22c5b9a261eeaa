"""From tables to the event store: every column coded once, for all scenarios that share a data section.

Built by Polars, column codes as narrow as they go, sorted by (entity, time, order in the files). Entities are
laid out in hash order, so that a block of rows is a random sample of them. Dimension columns are kept once
per dimension row, not per event.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, assert_never, cast

import numpy as np
import polars as pl

from mlc.atomic import replacing, write_text
from mlc.errors import DataError
from mlc.scenario import AnyTable, Category, Ignore, Number, Scenario, resolved
from mlc.sources import (
    conversion_problems,
    duplicate_keys,
    entity_expr,
    join_columns,
    key_expr,
    null_counts,
    scan_events,
    scan_table,
    source_state,
)
from mlc.store import Timeline, open_timeline, read_columns, write_column, write_timeline
from mlc.tables import ENTITY_ID, TIME

_FORMAT = 1  # raise when the layout of the store's folder changes
_ROW = "mlc:row"  # no column of a table is called so
_MOST_VALUES = 50_000
_FEW_VALUES = 50


@dataclass(frozen=True)
class Field:
    """One coded column.

    Attributes:
        name: `table.column`.
        kind: How it enters the model.
        min_count: For a category, values seen less often share a row.
        joined_by: For a dimension's column, the dimension; the events' column `>dimension` holds its row.
    """

    name: str
    kind: Literal["number", "category"]
    min_count: int = 0
    joined_by: str = ""


@dataclass(frozen=True)
class TableCounts:
    """What an events table holds.

    Attributes:
        events: Events with an entity and a time.
        without_entity: Rows dropped for want of an entity.
        without_time: Rows dropped for want of a time.
        first: Time of the first event.
        last: Time of the last event.
    """

    events: int
    without_entity: int
    without_time: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class EventStore:
    """An opened store.

    Attributes:
        fingerprint: Changes when a file or the data section changes.
        entity_ids: The ids, in the order of the rows.
        events: All events of all tables; category codes (0 is missing) and numbers by `table.column`.
        event_fields: Fields of the events and of their dimensions.
        dimensions: Columns of the dimensions by field name, by dimension row; row 0 is "no such row".
        entity_fields: Fields of the entities.
        attributes: Columns of the entities by field name, by entity row.
        counts: Events table → counts.
    """

    folder: Path
    fingerprint: str
    entity_ids: pl.Series
    events: Timeline
    event_fields: Sequence[Field]
    dimensions: Mapping[str, np.ndarray]
    entity_fields: Sequence[Field]
    attributes: Mapping[str, np.ndarray]
    counts: Mapping[str, TableCounts]

    def values(self, field: str) -> list[str]:
        """Values of a category; code c stands for the (c - 1)-th."""
        index = [f.name for f in (*self.event_fields, *self.entity_fields)].index(field)
        return pl.read_parquet(self.folder / f"values.{index}.parquet")["value"].to_list()

    def field_column(self, field: Field, index: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Codes or numbers of a field: by event (through the dimension row where it is joined), or by entity.

        Args:
            field: One of the store's fields.
            index: Which events or entities; all by default.
        """
        if field.joined_by:
            rows = self.events.columns[f">{field.joined_by}"][index]
            return np.asarray(self.dimensions[field.name][rows])
        columns = self.attributes if field.name in self.attributes else self.events.columns
        return np.asarray(columns[field.name][index])

    def rows(self, ids: pl.Series) -> np.ndarray:
        """Entity rows of ids, int64; -1 for an unknown one."""
        known = pl.DataFrame({ENTITY_ID: self.entity_ids}).with_row_index(_ROW)
        same = ids.cast(self.entity_ids.dtype, strict=False)
        frame = same.to_frame(ENTITY_ID).join(known, on=ENTITY_ID, how="left", maintain_order="left")
        return frame[_ROW].cast(pl.Int64).fill_null(-1).to_numpy()


def store_fingerprint(scenario: Scenario) -> str:
    """Changes with the data section, a file's size or time, a lake table's version, a query's rows."""
    digest = hashlib.blake2b(digest_size=10)
    digest.update(f"{_FORMAT}:{json.dumps(resolved(scenario)['data'])}".encode())
    for name in scenario.data.tables:
        for state in source_state(scenario, name):
            digest.update(state.encode())
    return digest.hexdigest()


def open_store(scenario: Scenario, runs: Path, say: Callable[[str], None]) -> EventStore:
    """The store of the scenario's tables, built when it is not there yet.

    Args:
        scenario: Checked scenario, its tables checked by `sources.check_tables`.
        runs: The folder of all runs; the store lies in `store/<fingerprint>` there.
        say: Receives a line when the store is built.

    Raises:
        DataError: A value does not fit `types`, a dimension has doubled keys, an events table has no event.
    """
    fingerprint = store_fingerprint(scenario)
    folder = runs / "store" / fingerprint
    if not (folder / "store.json").exists():
        problems = [*conversion_problems(scenario), *duplicate_keys(scenario)]
        if problems:
            raise DataError(problems)
        with replacing(folder) as temporary:
            temporary.mkdir(parents=True)
            counts = _build(scenario, temporary)
        say("events: " + ", ".join(_story(name, table) for name, table in counts.items()))
    return _open(folder, fingerprint)


def _story(name: str, counts: TableCounts) -> str:
    dropped = [
        f"{number:,} without {what}"
        for number, what in ((counts.without_entity, "an entity"), (counts.without_time, "a time"))
        if number
    ]
    return f"{name} {counts.events:,}" + (f" (dropped {' and '.join(dropped)})" if dropped else "")


def _open(folder: Path, fingerprint: str) -> EventStore:
    described = json.loads((folder / "store.json").read_text())
    return EventStore(
        folder=folder,
        fingerprint=fingerprint,
        entity_ids=pl.read_parquet(folder / "entities.parquet")[ENTITY_ID],
        events=open_timeline(folder / "events"),
        event_fields=[Field(**field) for field in described["event_fields"]],
        dimensions=read_columns(folder / "dimensions"),
        entity_fields=[Field(**field) for field in described["entity_fields"]],
        attributes=read_columns(folder / "attributes"),
        counts={
            name: TableCounts(
                **{
                    **counts,
                    "first": datetime.fromisoformat(counts["first"]),
                    "last": datetime.fromisoformat(counts["last"]),
                }
            )
            for name, counts in described["counts"].items()
        },
    )


# ── building ────────────────────────────────────────────────────────────────────────────────────


def _build(scenario: Scenario, folder: Path) -> dict[str, TableCounts]:
    """Write a whole store into an empty folder."""
    values = _Values(folder)
    ids = pl.concat(
        [scan_events(scenario, name, []).select(ENTITY_ID).unique() for name in scenario.data.events]
    )
    entities = ids.unique().collect(engine="streaming").sort(pl.col(ENTITY_ID).hash(seed=0), ENTITY_ID)
    entities.write_parquet(folder / "entities.parquet")
    keys = {name: _write_dimension(scenario, name, values) for name in scenario.data.dimensions}
    rows = entities.with_row_index(_ROW)
    frames = {name: _coded_events(scenario, name, rows, keys, values) for name in scenario.data.events}
    _write_events(pl.concat(frames.values(), how="diagonal"), entities.height, folder)
    event_fields = list(values.fields)
    _write_attributes(scenario, entities, values)
    counts = {name: _counts(scenario, name, frame) for name, frame in frames.items()}
    described = {
        "event_fields": [asdict(field) for field in event_fields],
        "entity_fields": [asdict(field) for field in values.fields[len(event_fields) :]],
        "counts": {name: asdict(table) for name, table in counts.items()},
    }
    write_text(folder / "store.json", json.dumps(described, indent=1, default=str))
    return counts


class _Values:
    """The fields found so far, and the dictionaries of the categories among them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fields: list[Field] = []

    def code(self, field: Field, frame: pl.LazyFrame, column: str) -> pl.Expr:
        """An expression with the numbers or codes of a column; writes the values of a category."""
        self.fields.append(field)
        if field.kind == "number":
            return pl.col(column).cast(pl.Float32).alias(field.name)
        text = pl.col(column).cast(pl.String)
        values = (
            frame.select(text.alias("value")).unique().drop_nulls().sort("value").collect(engine="streaming")
        )
        values.write_parquet(self.folder / f"values.{len(self.fields) - 1}.parquet")
        codes = text.cast(pl.Enum(values["value"])).to_physical().cast(pl.UInt32) + 1
        return codes.fill_null(0).cast(pl.UInt8 if values.height < 255 else pl.UInt32).alias(field.name)


def _fields(name: str, table: AnyTable, frame: pl.LazyFrame, unused: set[str]) -> list[tuple[Field, str]]:
    """The columns of a table that the model can use, each with its field."""
    schema = frame.collect_schema()
    columns = [column for column in schema if column not in unused and not schema[column].is_nested()]
    if not columns:
        return []
    distinct = frame.select(pl.len().alias(_ROW), *(pl.col(c).n_unique() for c in columns)).collect(
        engine="streaming"
    )
    rows = int(distinct[_ROW].item())
    found = []
    for column in columns:
        match table.encoders.get(column) or default_encoder(
            schema[column], int(distinct[column].item()), rows
        ):
            case Number():
                found.append((Field(f"{name}.{column}", "number"), column))
            case Category(min_count=min_count):
                found.append((Field(f"{name}.{column}", "category", min_count), column))
            case Ignore():
                pass
            case unreachable:
                assert_never(unreachable)
    return found


def default_encoder(dtype: pl.DataType, distinct: int, rows: int) -> Number | Category | Ignore:
    """How a column enters the model when the scenario does not say.

    Args:
        dtype: Type of the column.
        distinct: Number of its distinct values.
        rows: Number of rows.

    Examples:
        >>> default_encoder(pl.Float64(), 900, 1000).kind
        'number'
        >>> default_encoder(pl.String(), 1000, 1000).kind  # an identifier, or free text
        'ignore'
    """
    few = distinct <= _FEW_VALUES
    if dtype.is_temporal() or isinstance(dtype, pl.Binary | pl.Object):
        return Ignore()
    if dtype.is_integer():
        return Category() if few else Ignore() if distinct == rows else Number()
    if dtype.is_numeric():
        return Number()
    return Category() if few or distinct <= min(_MOST_VALUES, rows // 2) else Ignore()


def _write_dimension(scenario: Scenario, name: str, values: _Values) -> pl.DataFrame:
    """Code the columns of a dimension, row 0 for "no such row"; returns its keys with their rows."""
    table = scenario.data.dimensions[name]
    frame = scan_table(scenario, name).drop_nulls(table.key)
    start = len(values.fields)
    codes = [
        values.code(field, frame, column) for field, column in _fields(name, table, frame, set(table.key))
    ]
    values.fields[start:] = [replace(field, joined_by=name) for field in values.fields[start:]]
    coded = frame.select(*table.key, *codes).collect()
    for field in values.fields[start:]:
        missing = np.nan if field.kind == "number" else 0
        column = coded[field.name].fill_null(np.nan) if field.kind == "number" else coded[field.name]
        write_column(values.folder / "dimensions", field.name, np.insert(column.to_numpy(), 0, missing))
    return coded.select(table.key).with_row_index(_ROW, offset=1)


def _coded_events(
    scenario: Scenario, name: str, entities: pl.DataFrame, keys: Mapping[str, pl.DataFrame], values: _Values
) -> pl.DataFrame:
    """The events of one table as codes: entity row, time, a row of each dimension, own columns."""
    table = scenario.data.events[name]
    frame = scan_events(scenario, name, [])
    unused = {ENTITY_ID, TIME, table.time, table.entity or scenario.data.entity}
    codes = [values.code(field, frame, column) for field, column in _fields(name, table, frame, unused)]
    schema = frame.collect_schema()
    for dimension in table.joins:
        pairs = join_columns(table, dimension, scenario.data.dimensions[dimension])
        frame = frame.join(
            keys[dimension]
            .lazy()
            .with_columns(key_expr(key, schema[column]) for column, key in pairs)
            .rename({_ROW: f">{dimension}"}),
            left_on=[column for column, _ in pairs],
            right_on=[key for _, key in pairs],
            how="left",
            maintain_order="left",
        )
    frame = frame.join(entities.lazy(), on=ENTITY_ID, how="inner", maintain_order="left")
    joined = [pl.col(f">{dimension}").fill_null(0).cast(pl.UInt32) for dimension in table.joins]
    return frame.select(_ROW, pl.col(TIME).cast(pl.Int64), *joined, *codes).collect(engine="streaming")


def _write_events(frame: pl.DataFrame, entities: int, folder: Path) -> None:
    """Sort by (entity, time), stably, and write one file a column."""
    if not frame[TIME].is_sorted():  # files often are; two stable sorts by one column beat one by two
        frame = frame.sort(TIME, maintain_order=True)
    frame = frame.sort(_ROW, maintain_order=True)
    lengths = np.bincount(frame[_ROW].to_numpy(), minlength=entities)
    columns = {}
    for name in frame.columns:
        if name not in (_ROW, TIME):  # null: the column of another events table
            missing = float("nan") if frame[name].dtype.is_float() else 0
            columns[name] = frame[name].fill_null(missing).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    write_timeline(Timeline(offsets, frame[TIME].to_numpy(), columns), folder / "events")


def _write_attributes(scenario: Scenario, entities: pl.DataFrame, values: _Values) -> None:
    """Code the columns of the entities tables, one value for each entity row."""
    for name, table in scenario.data.entities.items():
        frame = scan_table(scenario, name).drop_nulls(table.key)
        schema = frame.collect_schema()
        own = frame.with_columns(entity_expr(table.key, schema[table.key]).alias(ENTITY_ID)).join(
            entities.lazy(), on=ENTITY_ID, how="semi"
        )
        start = len(values.fields)
        codes = [
            values.code(field, own, column)
            for field, column in _fields(name, table, own, {table.key, ENTITY_ID})
        ]
        coded = entities.join(
            own.select(ENTITY_ID, *codes).collect(), on=ENTITY_ID, how="left", maintain_order="left"
        )
        for field in values.fields[start:]:
            missing = float("nan") if field.kind == "number" else 0
            write_column(
                values.folder / "attributes", field.name, coded[field.name].fill_null(missing).to_numpy()
            )


def _counts(scenario: Scenario, name: str, frame: pl.DataFrame) -> TableCounts:
    rows, without_entity, without_time = null_counts(scenario, name)
    if not frame.height:
        found = f"of its {rows:,} rows {without_entity:,} have no entity and {without_time:,} no time"
        rule = f"{name} must have events, however: {found}; check entity, time and where"
        raise DataError(scenario.problem(("data", "tables", name), rule))
    first, last = frame[TIME].cast(pl.Datetime("us")).min(), frame[TIME].cast(pl.Datetime("us")).max()
    return TableCounts(
        frame.height, without_entity, without_time, cast(datetime, first), cast(datetime, last)
    )
