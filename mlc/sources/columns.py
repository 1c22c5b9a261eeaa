"""The columns of a table as the scenario wants them.

Converted to their types, new ones computed.
"""

from typing import assert_never

import polars as pl

from mlc.scenario import (
    AnyTable,
    BooleanType,
    ColumnType,
    DatetimeType,
    DateType,
    IntegerType,
    NumberType,
    TextType,
)
from mlc.sources.numbers import written_number
from mlc.sources.times import epoch_expr, iso_expr, names_offsets

_TRUE, _FALSE = ["true", "t", "yes", "y", "1"], ["false", "f", "no", "n", "0"]


def converted(table: AnyTable, frame: pl.LazyFrame) -> pl.LazyFrame:
    """The columns of `types` in their types; null where a value cannot be converted."""
    if not table.types:
        return frame
    schema = frame.collect_schema()
    return frame.with_columns(
        converted_expr(column, schema[column], kind, offsets_of(frame, column, kind)).alias(column)
        for column, kind in table.types.items()
        if column in schema
    )


def offsets_of(frame: pl.LazyFrame, column: str, kind: ColumnType) -> bool:
    """Return whether a column is ISO text that names offsets from UTC.

    Reads the first value of such text.
    """
    if not isinstance(kind, DatetimeType) or kind.format is not None or kind.unit is not None:
        return False
    text = isinstance(frame.collect_schema()[column], pl.String | pl.Categorical | pl.Enum)
    return text and names_offsets(frame, column)


def converted_expr(column: str, dtype: pl.DataType, kind: ColumnType, offsets: bool = False) -> pl.Expr:
    """A column in another type.

    It is null where a value cannot be converted, never a rounded or a guessed one.

    Args:
        column: Its name.
        dtype: The type it has.
        kind: The type it should have.
        offsets: From `offsets_of`.
    """
    value = pl.col(column)
    text = value.cast(pl.String, strict=False)
    match kind:
        case TextType():
            return text
        case IntegerType():
            whole = value.cast(pl.Int64, strict=False)
            if dtype.is_numeric() and not dtype.is_integer():
                return pl.when(whole.cast(pl.Float64) == value.cast(pl.Float64)).then(whole)
            return (
                whole
                if dtype.is_integer() or dtype == pl.Boolean
                else text.str.strip_chars().str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
            )
        case NumberType():
            return value.cast(pl.Float64, strict=False) if dtype.is_numeric() else written_number(text, kind)
        case BooleanType():
            if dtype == pl.Boolean:
                return value
            if dtype.is_numeric():
                return pl.when(value == 1).then(True).when(value == 0).then(False)
            word = text.str.strip_chars().str.to_lowercase()
            return pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False)
        case DateType(format=written):
            if dtype.is_temporal():
                return value.cast(pl.Date, strict=False)
            return text.str.to_date(written or "%Y-%m-%d", strict=False)
        case DatetimeType(format=written, unit=unit):
            if isinstance(dtype, pl.Datetime):
                return value
            if dtype.is_temporal():
                return value.cast(pl.Datetime("us"), strict=False)
            if unit is not None:
                return epoch_expr(value, dtype, unit)
            if written is not None:
                return text.str.to_datetime(written, time_unit="us", strict=False)
            return iso_expr(text, offsets)
        case unreachable:
            assert_never(unreachable)


def computed_columns(table: AnyTable, frame: pl.LazyFrame) -> pl.LazyFrame:
    """The frame with the columns of `computed`, each after those before it."""
    for column, expression in table.computed.items():
        frame = frame.with_columns(pl.sql_expr(expression).alias(column))
    return frame
