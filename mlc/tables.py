"""The four tables that everything passes through.

Names, dtypes and meaning, in one place. events       one row per event                    `entity_id`,
`time`, columns examples     one row per example                  key, `split`, `targets` predictions  one row
per example                  key, `split`, `scores`, `raw_scores` scorecard    one row per split and label
support, prevalence, AUROC, …

A key identifies an example: `entity_id` and, where the task has one, `cutoff`. A table without cutoffs has
no such column, and never a null in it: Polars does not join on nulls.

Times are microseconds since 1970 in UTC, or without a zone where the tables have none. Labels have no
column of their own: `targets` and `scores` are arrays of K, in the order of the class names, which travel in
the file's metadata.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl

from mlc.errors import DataError

ENTITY_ID = "entity_id"
TIME = "time"
CUTOFF = "cutoff"
SPLIT = "split"
TARGETS = "targets"
SCORES = "scores"
RAW_SCORES = "raw_scores"
"""The scores before calibration."""

UNKNOWN = 255
"""A target that cannot be known; left out of loss and metrics."""

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SPLIT_TYPE = pl.Enum(SPLITS)

MICROSECONDS_PER_DAY = 86_400_000_000


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of a naive moment.

    Examples:
        >>> microseconds(datetime(1970, 1, 2))
        86400000000
    """
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def key_columns(table: pl.DataFrame) -> list[str]:
    """Return the columns that identify an example.

    The entity and, where the task has one, the cutoff.

    Examples:
        >>> key_columns(pl.DataFrame({"split": ["test"], "entity_id": [1]}))
        ['entity_id']
    """
    return [name for name in (ENTITY_ID, CUTOFF) if name in table.columns]


def split_names(table: pl.DataFrame) -> list[str]:
    """Return the splits of a table: those its column declares, else those it has.

    Examples:
        >>> split_names(pl.DataFrame({"split": ["fit", "fit", "judge"]}))
        ['fit', 'judge']
    """
    dtype = table.schema[SPLIT]
    if isinstance(dtype, pl.Enum):
        return dtype.categories.to_list()
    return table[SPLIT].unique(maintain_order=True).to_list()


def in_split(table: pl.DataFrame, split: str) -> np.ndarray:
    """Return which examples are in a split, bool, shape (N)."""
    return (table[SPLIT] == split).to_numpy()


def entity_codes(table: pl.DataFrame) -> np.ndarray:
    """Return a number for the entity of each example, shape (N).

    The same for all examples of one entity.
    """
    return table[ENTITY_ID].rank("dense").to_numpy()


def targets_of(examples: pl.DataFrame) -> np.ndarray:
    """The targets as a matrix, uint8, shape (N examples, K labels).

    0, 1 or 255 (unknown).
    """
    return examples[TARGETS].to_numpy()


def known_shares(targets_NK: np.ndarray) -> np.ndarray:
    """Return the share of positives among the known targets of each label, float64.

    Args:
        targets_NK: 0, 1 or 255 (unknown), uint8.

    Returns:
        Shape (K); 0 for a label without a known target.

    Examples:
        >>> known_shares(np.array([[1, 0], [0, 255], [255, 255]], np.uint8)).tolist()
        [0.5, 0.0]
    """
    known_K = (targets_NK != UNKNOWN).sum(axis=0)
    return np.asarray((targets_NK == 1).sum(axis=0) / np.maximum(known_K, 1))


def scores_of(predictions: pl.DataFrame, column: str = SCORES) -> np.ndarray:
    """The scores as a matrix, float32, shape (N examples, K labels), in [0, 1]."""
    return predictions[column].to_numpy()


def array_column(name: str, values_NK: np.ndarray) -> pl.Series:
    """A matrix as one column of K-element arrays, without a copy per label."""
    dtype = pl.UInt8 if values_NK.dtype == np.uint8 else pl.Float32
    return pl.Series(name, np.ascontiguousarray(values_NK), dtype=pl.Array(dtype, values_NK.shape[1]))


def with_class_names(class_names: Sequence[str], **more: str) -> dict[str, str]:
    """Parquet metadata that says which label stands where."""
    return {"class_names": json.dumps(list(class_names)), **more}


def check_predictions(predictions: pl.DataFrame, examples: pl.DataFrame) -> None:
    """Refuse predictions that are not one per example, or are no probabilities.

    Raises:
        DataError: Rows are missing, doubled or foreign; a score is NaN or outside [0, 1].
    """
    keys = key_columns(examples)
    doubled = predictions.height - predictions.select(keys).unique().height
    missing = examples.join(predictions, on=keys, how="anti").height
    if doubled or missing or predictions.height != examples.height:
        raise DataError(
            f"{predictions.height} predictions for {examples.height} examples: "
            f"{doubled} are doubled, {missing} are missing"
        )
    check_probabilities(scores_of(predictions))


def check_scores_of_labels(scores_NK: np.ndarray, targets_NK: np.ndarray, labels: int) -> None:
    """Refuse scores that are no probabilities or not of shape (examples, labels).

    Raises:
        DataError: They have another shape, or a score is NaN or outside [0, 1].
    """
    if scores_NK.shape != targets_NK.shape or scores_NK.shape[1:] != (labels,):
        raise DataError(
            f"scores and targets must have the shape (examples, {labels}), not "
            f"{scores_NK.shape} and {targets_NK.shape}"
        )
    check_probabilities(scores_NK)


def check_probabilities(scores: np.ndarray) -> None:
    """Refuse what is no probability.

    Raises:
        DataError: A score is NaN or outside [0, 1].
    """
    if not bool(np.all((scores >= 0.0) & (scores <= 1.0))):
        raise DataError("some scores are NaN or outside [0, 1]")
