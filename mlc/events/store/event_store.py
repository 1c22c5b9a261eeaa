"""The store as other packages see it: opened, not deserialised."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from mlc.errors import DataError, Problem
from mlc.events.timeline import Timeline, open_timeline, read_columns
from mlc.tables import ENTITY_ID

ROW = "mlc:row"  # no column of a table is called so


@dataclass(frozen=True)
class Field:
    """One coded column.

    Attributes:
        name: `table.column`.
        kind: How it enters the model.
        min_count: For a category, values seen less often share rows.
        hash_rows: For a category, how many rows these share; 0 for a single one.
        joined_by: For a dimension's column, the dimension; the events' column `>dimension` holds its row.
    """

    name: str
    kind: Literal["number", "category", "text"]
    min_count: int = 0
    hash_rows: int = 0
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
        events: All events of all tables; codes (0 is missing) and numbers by `table.column`.
        event_fields: Fields of the events and of their dimensions.
        dimensions: Columns of the dimensions by field name, by dimension row; row 0 is "no such row".
        entity_fields: Fields of the entities.
        attributes: Columns of the entities by field name, by entity row.
        counts: Events table → counts.
        contents: State of a file of the tables → digest of its content, see `sources.sources_of`.
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
    contents: Mapping[str, str]

    def values(self, field: str) -> list[str]:
        """Values of a category or text; code c stands for the (c - 1)-th."""
        index = [f.name for f in (*self.event_fields, *self.entity_fields)].index(field)
        return pl.read_parquet(self.folder / f"values.{index}.parquet")["value"].to_list()

    def field_column(self, field: Field, index: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the codes or numbers of a field, by event or by entity.

        A joined field goes through the dimension row.

        Args:
            field: One of the store's fields.
            index: Which events or entities; all by default.
        """
        rows = self.events.columns[f">{field.joined_by}"][index] if field.joined_by else index
        return np.asarray(self.stored_column(field)[rows])

    def stored_column(self, field: Field) -> np.ndarray:
        """Codes or numbers of a field as they are stored.

        By event, by entity, or by dimension row.
        """
        own = self.attributes if field.name in self.attributes else self.events.columns
        return (self.dimensions if field.joined_by else own)[field.name]

    def rows(self, ids: pl.Series) -> np.ndarray:
        """Entity rows of ids, int64; -1 for an unknown one."""
        known = pl.DataFrame({ENTITY_ID: self.entity_ids}).with_row_index(ROW)
        same = ids.cast(self.entity_ids.dtype, strict=False)
        frame = same.to_frame(ENTITY_ID).join(known, on=ENTITY_ID, how="left", maintain_order="left")
        return frame[ROW].cast(pl.Int64).fill_null(-1).to_numpy()


def opened_store(folder: Path) -> EventStore:
    """Open a whole store; its fingerprint is the name of its folder.

    Raises:
        DataError: A file of it is damaged.
    """
    try:
        return _opened(folder)
    except Exception as error:
        rule = (
            f"the event store is damaged: {type(error).__name__}: {error}. Delete this folder; the next "
            "command builds it again."
        )
        raise DataError(Problem(rule, location=str(folder))) from error


def _opened(folder: Path) -> EventStore:
    described = json.loads((folder / "store.json").read_text())
    return EventStore(
        folder=folder,
        fingerprint=folder.name,
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
        contents=described.get("contents", {}),
    )
