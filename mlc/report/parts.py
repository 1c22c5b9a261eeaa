"""The test split in parts: cutoff by cutoff, and by what is known of the examples."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlc.evaluation.metrics import overall_scores, score_labels
from mlc.tables import CUTOFF, targets_of

Matrix = npt.NDArray[Any]

_MOST_PERIODS = 24


def backtest(part: pl.DataFrame, scores_NK: Matrix, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Macro scores of each cutoff; more than 24 are put into as many equal periods.

    Args:
        part: Examples of a split.
        scores_NK: Their scores, shape (N, K).
        class_names: The K labels.

    Returns:
        `first` and `last` cutoff, `examples`, `positives`, `macro`; empty where there is one cutoff only.
    """
    cutoffs_N = part[CUTOFF].cast(pl.Int64).to_numpy()
    distinct = np.unique(cutoffs_N)
    if len(distinct) < 2:
        return []
    period_N = np.searchsorted(distinct, cutoffs_N)
    if len(distinct) > _MOST_PERIODS:
        period_N = (cutoffs_N - distinct[0]) * _MOST_PERIODS // (distinct[-1] - distinct[0] + 1)
    found = []
    for period in np.unique(period_N).tolist():
        rows = np.flatnonzero(period_N == period)
        moments = part[CUTOFF].gather(rows)
        ends = (moments.sort()[at].isoformat() for at in (0, -1))
        found.append(
            dict(zip(("first", "last"), ends, strict=True)) | _macro(part, scores_NK, class_names, rows)
        )
    return found


def sliced(
    part: pl.DataFrame, scores_NK: Matrix, class_names: Sequence[str], values: Mapping[str, pl.Series]
) -> list[dict[str, Any]]:
    """Macro scores among the examples with each value.

    Args:
        part: Examples of a split.
        scores_NK: Their scores, shape (N, K).
        class_names: The K labels.
        values: What the examples are told apart by → the value of each, Enum in the order to show.

    Returns:
        `by`, and `parts`: `value`, `examples`, `positives`, `macro`.
    """
    found = []
    for by, values_N in values.items():
        parts = [
            {"value": value, **_macro(part, scores_NK, class_names, np.flatnonzero(values_N == value))}
            for value in values_N.unique().sort()
        ]
        found.append({"by": by, "parts": parts})
    return found


def _macro(part: pl.DataFrame, scores_NK: Matrix, class_names: Sequence[str], rows: Matrix) -> dict[str, Any]:
    targets_NK, chosen_NK = targets_of(part)[rows], scores_NK[rows]
    labels = score_labels(chosen_NK, targets_NK, class_names)
    macro = asdict(overall_scores(chosen_NK, targets_NK, labels).macro)
    kept = {name: macro[name] for name in ("ap", "auroc", "log_loss", "labels_defined", "labels")}
    return {"examples": len(rows), "positives": int((targets_NK == 1).sum()), "macro": kept}
