"""The lowest threshold that `auto` may choose.

It is a share of the best single threshold for all labels of `auto` together. The best threshold of a label
whose scores say little is so low that its false decisions spoil those of all labels. Half of the best single
threshold keeps micro-F1 near that of the single threshold; the share comes from scripts/bench/rare_labels.py.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[Any]

ALL_FOLDS = -1
_SHARE = 0.5
_SHIFT = 16  # of a float32 the upper 16 bits: sign, exponent and 7 bits of the fraction
_BINS = (int(np.float32(1.0).view(np.int32)) >> _SHIFT) + 1


def floors_of(columns: Iterable[tuple[Matrix, Matrix, Matrix]], beta: float) -> dict[int, float]:
    """Return the lowest threshold for all folds but one, by the fold left out.

    Scores are counted by their upper 16 bits, so that no sorting of all labels together is needed: the single
    threshold is one of 16,257, each within 1 % of the next. The key `ALL_FOLDS` leaves out no fold.

    Args:
        columns: Float32 scores in [0, 1], targets (0 or 1) and folds of the examples of each label.
        beta: How many times more recall matters than precision.

    Examples:
        >>> scores = np.array([0.75, 0.5, 0.25], np.float32)
        >>> floors_of([(scores, np.array([1, 0, 0]), np.array([0, 0, 1]))], 1.0)[ALL_FOLDS]
        0.375
    """
    counts: dict[int, Matrix] = {}
    for scores_M, targets_M, folds_M in columns:
        bins_M = (scores_M + np.float32(0)).view(np.int32) >> _SHIFT  # -0 becomes 0
        for fold in np.unique(folds_M).tolist():
            inside = np.flatnonzero(folds_M == fold)
            yes_B = np.bincount(bins_M[inside], minlength=_BINS)
            hits_B = np.bincount(bins_M[inside][targets_M[inside] == 1], minlength=_BINS)
            counts[fold] = counts.get(fold, 0) + np.stack([yes_B, hits_B])
    total = np.sum(list(counts.values()), axis=0) if counts else np.zeros((2, _BINS), np.int64)
    floors = {fold: _floor(total - own, beta) for fold, own in counts.items()}
    return {**floors, ALL_FOLDS: _floor(total, beta)}


def _floor(counts_2B: Matrix, beta: float) -> float:
    yes_B, hits_B = np.cumsum(counts_2B[:, ::-1], axis=1)[:, ::-1].astype(np.float64)
    if not hits_B[0]:
        return 0.0
    f_B = hits_B / (yes_B + beta**2 * hits_B[0])
    best = _BINS - 1 - int(np.argmax(f_B[::-1]))  # of equal ones the highest
    single = np.array([best << _SHIFT], np.int32).view(np.float32)[0]
    return float(str(np.float32(_SHARE) * single))
