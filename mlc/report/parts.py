"""The test split in parts: cutoff by cutoff, and by what is known of the examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlc.evaluation.metrics import overall_scores, score_labels
from mlc.report.contents import PartMeans, Period, Slice, SlicePart
from mlc.tables import CUTOFF, targets_of

Matrix = npt.NDArray[Any]

_MOST_PERIODS = 24


def backtest(part: pl.DataFrame, scores_NK: Matrix, class_names: Sequence[str]) -> list[Period]:
    """Return macro scores of each cutoff, or of 24 equal periods where there are more.

    Args:
        part: Examples of a split.
        scores_NK: Their scores, shape (N, K).
        class_names: The K labels.

    Returns:
        The periods in order; empty where there is one cutoff only, or none.
    """
    if CUTOFF not in part.columns:
        return []
    cutoffs_N = part[CUTOFF].cast(pl.Int64).to_numpy()
    distinct = np.unique(cutoffs_N)
    if len(distinct) < 2:
        return []
    period_N = np.searchsorted(distinct, cutoffs_N)
    if len(distinct) > _MOST_PERIODS:
        period_N = (cutoffs_N - distinct[0]) * _MOST_PERIODS // (distinct[-1] - distinct[0] + 1)
    periods = []
    for period in np.unique(period_N).tolist():
        rows = np.flatnonzero(period_N == period)
        cutoffs = part[CUTOFF].gather(rows).sort()
        ends = {"first": cutoffs[0].isoformat(), "last": cutoffs[-1].isoformat()}
        periods.append(Period(**ends, **_scored(part, scores_NK, class_names, rows)))
    return periods


def sliced(
    part: pl.DataFrame, scores_NK: Matrix, class_names: Sequence[str], values: Mapping[str, pl.Series]
) -> list[Slice]:
    """Return macro scores among the examples with each value.

    Args:
        part: Examples of a split.
        scores_NK: Their scores, shape (N, K).
        class_names: The K labels.
        values: What tells examples apart → the value of each, Enum in the order to show.
    """
    return [
        Slice(
            by,
            [
                SlicePart(
                    value=value,
                    **_scored(part, scores_NK, class_names, np.flatnonzero(values_N == value)),
                )
                for value in values_N.unique().sort()
            ],
        )
        for by, values_N in values.items()
    ]


def _scored(
    part: pl.DataFrame, scores_NK: Matrix, class_names: Sequence[str], rows: Matrix
) -> dict[str, Any]:
    """The fields of a `PartReport`."""
    targets_NK, chosen_NK = targets_of(part)[rows], scores_NK[rows]
    macro = overall_scores(chosen_NK, targets_NK, score_labels(chosen_NK, targets_NK, class_names)).macro
    means = PartMeans(macro.ap, macro.auroc, macro.log_loss, macro.labels_defined, macro.labels)
    return {"examples": len(rows), "positives": int((targets_NK == 1).sum()), "macro": means}
