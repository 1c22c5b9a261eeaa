"""Small tables of rows, and what a scenario makes of them."""

from pathlib import Path

import polars as pl

from mlc.rows.preparing import PreparedRows
from mlc.rows.task import RowTask
from mlc.scenario import RowScenario, load_scenario

SCENARIO = """
name: rows
data: {tables: {rows: {kind: rows, path: rows.parquet, key: comment_id}}}
target: {table: rows, column: labels, separator: ","}
"""


def load_rows(folder: Path, *overrides: str, text: str = SCENARIO) -> RowScenario:
    """Write a scenario into a folder, and load it."""
    (folder / "rows.yaml").write_text(text)
    scenario = load_scenario(folder / "rows.yaml", overrides)
    assert isinstance(scenario, RowScenario)
    return scenario


def prepared_rows(folder: Path, table: pl.DataFrame, *overrides: str, text: str = SCENARIO) -> PreparedRows:
    """Write a table of rows, and make its examples."""
    table.write_parquet(folder / "rows.parquet")
    return RowTask(load_rows(folder, *overrides, text=text), lambda _: None).prepare()
