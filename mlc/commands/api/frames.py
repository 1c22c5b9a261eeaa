"""Frames in place of the tables of a run, of Polars or pandas.

Pandas is never loaded from here.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlc.commands.api.progress import log
from mlc.errors import MlcError, Problem, did_you_mean
from mlc.files.lock import locked
from mlc.run import OtherTables, RunFolder, fingerprint_of

_GIVEN = "data="
_FOLDER = ".tables"  # beside the event stores
_PLAIN = "biufM"
"""Kinds of NumPy types that Polars reads as they are: booleans, numbers, datetimes."""


def is_pandas(table: object) -> bool:
    """Return whether a table is a frame of pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)


def as_polars(table: Any) -> pl.DataFrame:
    """Return a frame of pandas as one of Polars, without pyarrow.

    Missing values become null.
    """
    if isinstance(table, pl.DataFrame):
        return table
    return pl.DataFrame([_column(str(name), table[name]) for name in table.columns])


def _column(name: str, values: Any) -> pl.Series:
    kind = getattr(values.dtype, "kind", "O")
    if isinstance(values.dtype, np.dtype) and kind in _PLAIN:
        series = pl.Series(name, values.to_numpy())
        return series.fill_nan(None) if kind == "f" else series
    missing = values.isna().to_numpy()
    plain = [None if absent else value for value, absent in zip(values.tolist(), missing, strict=True)]
    return pl.Series(name, plain)


def as_pandas(frame: pl.DataFrame) -> Any:
    """Return a frame of Polars as one of pandas, without pyarrow."""
    pandas = sys.modules["pandas"]
    columns = {
        series.name: series.to_numpy()
        if series.dtype.is_numeric() or series.dtype.is_temporal()
        else series.to_list()
        for series in frame.iter_columns()
    }
    return pandas.DataFrame(columns)


@contextmanager
def _folder(folder: Path) -> Iterator[Path]:
    """Make a folder that no other process uses, and remove it at the end."""
    with locked(folder, log, "another process uses the tables in {}: waiting"):
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _written(frame: pl.DataFrame, name: str, folder: Path) -> Path:
    """Write a frame; name and time of the file depend on nothing but what it holds."""
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    path = path.rename(folder / f"{name}-{fingerprint_of(path)}.parquet")
    os.utime(path, ns=(0, 0))
    return path


@contextmanager
def with_tables(run: RunFolder, tables: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Put frames or files in the place of a run's tables while the block runs.

    A frame lies beside the run as a Parquet file named by its content, always with the same time: the event
    store of the same frame is found again.

    Args:
        run: A finished run.
        tables: Name → a frame of Polars or pandas, or the path of a file.

    Raises:
        MlcError: The run's scenario has no such table.
    """
    data = run.scenario().data
    unknown = [name for name in tables if name not in data.tables]
    if unknown:
        raise MlcError(f"tables: there is no table {unknown[0]}, {did_you_mean(unknown[0], data.tables)}")
    if not tables:
        yield run
        return
    section = data.model_dump(mode="json")
    with _folder(run.folder.absolute().parent / _FOLDER) as folder:
        for name, table in tables.items():
            entry = section["tables"][name]
            if isinstance(table, str | Path):
                entry["path"] = str(Path(table).absolute())
                continue
            frame = as_polars(table)
            entry |= {"path": str(_written(frame, name, folder)), "format": None}
            texts = frame.select(pl.col(pl.String)).columns
            entry["types"] = {column: kind for column, kind in entry["types"].items() if column in texts}
        try:
            yield RunFolder(run.folder, OtherTables(overrides=[f"{_GIVEN}{json.dumps(section)}"]))
        except MlcError as error:
            raise type(error)(map(_placed, error.problems)) from error


def _placed(problem: Problem) -> Problem:
    """Locate a problem of the tables in the argument that gave them."""
    own = problem.location.startswith(f"--set {_GIVEN}")
    return replace(problem, location="tables") if own else problem
