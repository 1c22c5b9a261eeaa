"""Rows with known truth, made here: texts, a category, numbers, and vectors of a pretended encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mlc.models.rows.cross_fitting import FOLDS, Folds
from mlc.models.rows.reading import RowReader
from mlc.rows.inputs import RowColumns, RowInputs

WORDS = ("plain", "of", "the", "and", "with", "mug", "tea", "cup")
NAMES = ("warm", "blue", "old")


@dataclass(frozen=True)
class LengthEncoder:
    """Turns a text into its length and whether it names a colour; see `FrozenEncoder`."""

    size: int = 2

    def vectors(self, values: pl.Series) -> np.ndarray:
        texts = [text or "" for text in values]
        return np.array([[len(text), "blue" in text] for text in texts], np.float32).reshape(-1, 2)

    def as_json(self) -> Mapping[str, Any]:
        return {"kind": "length"}


def row_inputs(rows: int = 600, seed: int = 0) -> RowInputs:
    """`warm` shows in the number, `blue` in the text, `old` in the category; each with some noise."""
    noise = np.random.default_rng(seed)
    targets_NK: np.ndarray = noise.random((rows, 3)) < 0.35
    shown_NK = targets_NK ^ (noise.random((rows, 3)) < 0.05)
    texts = [
        " ".join(noise.permutation([*noise.choice(WORDS, 5), "Blue" if blue else "grey"]))
        for blue in shown_NK[:, 1]
    ]
    frame = pl.DataFrame(
        {
            "note": texts,
            "era": np.where(shown_NK[:, 2], "1890", "1990").tolist(),
            "heat": noise.normal(size=rows) + 4.0 * shown_NK[:, 0],
        }
    )
    there = pl.Series(noise.random(rows) > 0.05)
    frame = frame.with_columns(pl.when(there).then(pl.col(name)).alias(name) for name in frame.columns)
    columns = RowColumns(texts=["note"], categories=["era"], numbers=["heat"])
    return RowInputs(frame, columns, len(NAMES), targets_NK.astype(np.uint8))


def reader_of(inputs: RowInputs, **columns: Any) -> RowReader:
    """A reader that was fitted on all rows."""
    return RowReader.fit(inputs, np.ones(inputs.frame.height, bool), **columns)


def folds_of(rows_M: np.ndarray, *, every: bool = True) -> Folds:
    """Rows dealt out to the folds one after the other."""
    return Folds(rows_M, np.arange(len(rows_M)) % FOLDS, every)
