"""The rows that a scenario classifies, joined to their dimensions."""

import polars as pl

from mlc.scenario import RowScenario
from mlc.sources.columns import computed_columns
from mlc.sources.reading import files_of, scan_table, scan_typed
from mlc.sources.values import id_expr, id_type

ROW = "mlc:row"
"""The number of a row in its table, from 1. No column of a table is called so, nor as the next two."""
ROW_ID = "mlc:id"
"""The key of a row; where the table has none, its number."""
ROW_FILE = "mlc:file"
"""The place of a row's file in `files_of`."""


def scan_rows(scenario: RowScenario, *, by_file: bool = False) -> pl.LazyFrame:
    """Return the rows of the target's table for which its `where` is true.

    Args:
        scenario: Checked scenario.
        by_file: Whether the file of each row is wanted, in `ROW_FILE`.

    Returns:
        `ROW` (UInt32), `ROW_ID` (Int64, UInt64 or String; null where a row has no key), the table's own
        columns, then the joined ones as `dimension.column`, null where the dimension has no such row. Rows
        keep the order of the files.

    Raises:
        DataError: A file is missing, or is not in the format it should have.
    """
    name, table = scenario.target.table, scenario.table
    if by_file:
        frame = pl.concat(
            scan_typed(scenario, name, [file]).with_columns(pl.lit(place, pl.UInt32).alias(ROW_FILE))
            for place, file in enumerate(files_of(scenario, name))
        )
    else:
        frame = scan_typed(scenario, name)
    frame = computed_columns(table, frame).with_row_index(ROW, offset=1)
    if table.where is not None:  # after the numbers, which are those of the table
        frame = frame.filter(pl.sql_expr(table.where))
    for dimension in table.joins:
        frame = _joined(scenario, frame, dimension)
    ids = pl.col(ROW).cast(pl.Int64)
    if table.key is not None:
        ids = id_expr(table.key, id_type([frame.collect_schema()[table.key]]))
    return frame.with_columns(ids.alias(ROW_ID))


def scan_labels(scenario: RowScenario, name: str, ids: pl.DataType) -> pl.LazyFrame:
    """Return a table of labels with the key of the row that each labels.

    The number of each of its own rows is there too.

    Args:
        scenario: Checked scenario.
        name: A table of kind labels.
        ids: Type of the keys of the rows.

    Returns:
        `ROW`, `ROW_ID` in the type of `ids` (null where it has no key), and its own columns.
    """
    key = scenario.data.labels[name].key
    frame = scan_table(scenario, name).with_row_index(ROW, offset=1)
    return frame.with_columns(id_expr(key, ids).cast(ids, strict=False).alias(ROW_ID))


def _joined(scenario: RowScenario, frame: pl.LazyFrame, dimension: str) -> pl.LazyFrame:
    """The rows with the columns of a dimension, whose keys count once."""
    keys, columns = scenario.data.dimensions[dimension].key, scenario.table.joins[dimension]
    schema = frame.collect_schema()
    rows = scan_table(scenario, dimension).unique(keys, keep="first", maintain_order=True)
    typed = [
        pl.col(key).cast(schema[column], strict=False) for key, column in zip(keys, columns, strict=True)
    ]
    named = {column: f"{dimension}.{column}" for column in rows.collect_schema()}
    return frame.join(
        rows.with_columns(typed).rename(named),
        left_on=columns,
        right_on=[f"{dimension}.{key}" for key in keys],
        how="left",
        coalesce=False,
        maintain_order="left",
    )
