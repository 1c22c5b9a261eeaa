"""`mlc compare`: two runs on the test examples that they share, label by label.

Nothing is trained.
"""

import json
from typing import Any

import polars as pl

from mlc.evaluation.comparison import Side, compare_sides
from mlc.run import RunFolder
from mlc.tables import SCORES, TARGETS, in_split, key_columns


def compare(first: RunFolder, second: RunFolder) -> dict[str, Any]:
    """Compare two runs on the test examples and labels that they share.

    Args:
        first: A finished run.
        second: The run that may be better.

    Returns:
        What `compare_sides` returns.

    Raises:
        RunError: The runs share no test example or no label.
    """
    same = first.folder.name == second.folder.name
    return compare_sides(
        *(_side(run, str(run.folder) if same else run.folder.name) for run in (first, second))
    )


def _side(run: RunFolder, name: str) -> Side:
    with run.reading("predictions.parquet") as path:
        names = json.loads(pl.read_parquet_metadata(path)["class_names"])
        predictions = _test(pl.read_parquet(path), SCORES)
    with run.reading("examples.parquet") as path:
        examples = _test(pl.read_parquet(path), TARGETS)
        keys = key_columns(examples)
        table = examples.join(predictions, on=keys, validate="1:1", maintain_order="left")
    return Side(name, names, table)


def _test(table: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the keys of the test split, and one column."""
    return table.filter(in_split(table, "test")).select(*key_columns(table), column)
