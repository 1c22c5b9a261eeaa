"""Which columns of a table the model can use, and how each enters it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import polars as pl

from mlc.events.store.event_store import Field
from mlc.scenario import AnyTable, Category, FreeText, Ignore, Image, Number
from mlc.tables import TIME

_MOST_VALUES = 50_000
_FEW_VALUES = 50
_ROWS = "mlc:rows"  # no column of a table is called so
_BYTES_OF_A_VALUE = 100  # memory for one cached value, with its place in a hash table
_SHARE = 4  # of the memory limit: values that are cached at one time


@dataclass(frozen=True)
class Distinct:
    """What was counted of a table.

    Attributes:
        rows: Its rows.
        values: Column → least and most that its number of distinct values can be; null is a value.
        first: Earliest time; None where there are no rows or no times.
        last: Latest time.
    """

    rows: int
    values: Mapping[str, tuple[int, int]]
    first: datetime | None = None
    last: datetime | None = None

    def added(self, more: "Distinct") -> "Distinct":
        """What can be said of both together."""
        moments = [moment for part in (self, more) for moment in (part.first, part.last) if moment]
        return Distinct(
            self.rows + more.rows,
            {
                column: (max(least, more.values[column][0]), most + more.values[column][1])
                for column, (least, most) in self.values.items()
            },
            min(moments, default=None),
            max(moments, default=None),
        )


def usable_columns(frame: pl.LazyFrame, unused: set[str]) -> list[str]:
    """The columns of a frame that are not nested and not otherwise used."""
    schema = frame.collect_schema()
    return [column for column in schema if column not in unused and not schema[column].is_nested()]


def count_distinct(frame: pl.LazyFrame, table: AnyTable, columns: Sequence[str], limit: int) -> Distinct:
    """Rows, first and last time, and distinct values where an encoder needs them.

    Values that would not fit into the memory limit are counted in parts, by their hashes.

    Args:
        frame: The rows.
        table: Names the columns that have an encoder.
        columns: Of the frame.
        limit: Bytes.
    """
    schema = frame.collect_schema()
    columns = [c for c in columns if c not in table.encoders and _depends_on_values(schema[c])]
    times = [pl.col(TIME).min().alias("first"), pl.col(TIME).max().alias("last")] if TIME in schema else []
    rows = pl.len().alias(_ROWS)
    most = limit // _SHARE // _BYTES_OF_A_VALUE  # values at one time

    def collected(*wanted: pl.Expr) -> dict[str, int]:
        return frame.select(rows, *wanted).collect(engine="streaming").row(0, named=True)

    totals = frame.select(rows, *times).collect(engine="streaming").row(0, named=True)
    if totals[_ROWS] * len(columns) <= most:
        counts = collected(*(pl.col(c).n_unique() for c in columns))
    else:
        hashes = {c: pl.col(c).hash(seed=0) for c in columns}
        roughly = collected(*(hashes[c].approx_n_unique().alias(c) for c in columns))
        counts = {}
        for c in columns:
            parts = 1 + 2 * roughly[c] // max(1, most)
            shards = [pl.col(c).filter(hashes[c] % parts == part).n_unique() for part in range(parts)]
            counts[c] = sum(collected(shard)[c] for shard in shards)
    return Distinct(
        totals[_ROWS], {c: (counts[c], counts[c]) for c in columns}, totals.get("first"), totals.get("last")
    )


def _depends_on_values(dtype: pl.DataType) -> bool:
    return len({default_encoder(dtype, distinct, 1_000_000).kind for distinct in (1, 1_000, 1_000_000)}) > 1


def table_fields(
    name: str, table: AnyTable, schema: pl.Schema, columns: Sequence[str], distinct: Distinct
) -> list[tuple[Field, str]]:
    """The fields of a table, each with its column; `distinct` must settle them all."""
    fields = []
    for column in columns:
        match table.encoders.get(column) or default_encoder(
            schema[column], distinct.values.get(column, (0, 0))[0], distinct.rows
        ):
            case Number():
                fields.append((Field(f"{name}.{column}", "number"), column))
            case Category(min_count=min_count, hash_rows=hash_rows):
                fields.append((Field(f"{name}.{column}", "category", min_count, hash_rows), column))
            case FreeText():
                fields.append((Field(f"{name}.{column}", "text"), column))
            case Ignore() | Image():  # a picture has no place among events, which the scenario refuses
                pass
            case unreachable:
                assert_never(unreachable)
    return fields


def unsettled(schema: pl.Schema, distinct: Distinct) -> list[str]:
    """Return the columns whose default encoder depends on the number of values.

    It differs between the least and the most. In between it is neither: the kinds of a column follow one
    another as its values become more.
    """
    return [
        column
        for column, bounds in distinct.values.items()
        if len({default_encoder(schema[column], bound, distinct.rows).kind for bound in bounds}) > 1
    ]


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
