"""`mlc compare`: two runs on the test examples that they share, label by label; nothing is trained."""

import json
from typing import Any

import polars as pl

from mlc.evaluation.comparison import KEYS, Side, compare_sides
from mlc.run import RunFolder
from mlc.tables import SCORES, SPLIT, TARGETS


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
        predictions = pl.read_parquet(path, columns=[*KEYS, SPLIT, SCORES])
    with run.reading("examples.parquet") as path:
        examples = pl.read_parquet(path, columns=[*KEYS, SPLIT, TARGETS])
        test = [table.filter(pl.col(SPLIT) == "test").drop(SPLIT) for table in (examples, predictions)]
        table = test[0].join(test[1], on=KEYS, validate="1:1", maintain_order="left")
    return Side(name, names, table)
