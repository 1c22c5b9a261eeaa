"""How well the labels of each example are ordered.

Ranking metrics over labels, averaged over examples. scikit-learn's versions loop over examples in Python and
know no unknown targets; these sort each block once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.tables import UNKNOWN

Matrix = npt.NDArray[Any]

_BLOCK_CELLS = 1 << 20
_DEPTHS = (1, 3, 5)


@dataclass(frozen=True)
class ExampleScore:
    """Means over the examples with a positive among their known targets.

    It is None where there is none.

    Attributes:
        examples: How many examples that are.
        lrap: Label ranking average precision.
        coverage_error: Mean number of labels down to the last positive; ties count in full.
        ranking_loss: Share of (positive, negative) pairs of an example in the wrong order, a tie too; over
            those examples that also have a negative.
        precision_at: Depth → share of positives among the labels with this many highest scores.
        recall_at: Depth → share of the positives that are among them.
        ndcg_at: Depth → discounted gain of these, over the best possible.
    """

    examples: int
    lrap: float | None
    coverage_error: float | None
    ranking_loss: float | None
    precision_at: dict[str, float | None]
    recall_at: dict[str, float | None]
    ndcg_at: dict[str, float | None]


def score_examples(scores_NK: Matrix, targets_NK: Matrix) -> ExampleScore:
    """Ranking metrics over the labels of each example.

    Args:
        scores_NK: Probabilities in [0, 1], shape (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.

    Returns:
        Means. Where a depth splits tied labels, each counts with its chance to be above it.

    Examples:
        >>> score_examples(np.array([[0.9, 0.2, 0.4]]), np.array([[1, 0, 1]], np.uint8)).lrap
        1.0

    Source: Tsoumakas, Katakis and Vlahavas (2010), Mining multi-label data, section 7; ties as
    in scikit-learn.
    """
    labels = targets_NK.shape[1]
    depths = [depth for depth in _DEPTHS if depth <= labels]
    sums, counts = np.zeros(3 + 3 * len(depths)), np.zeros(3 + 3 * len(depths))
    eligible_N = np.flatnonzero(np.any(targets_NK == 1, axis=1))
    size = max(1, _BLOCK_CELLS // max(labels, 1))
    for start in range(0, len(eligible_N), size):
        rows = eligible_N[start : start + size]
        values = _each(scores_NK[rows], targets_NK[rows], depths)
        sums += np.nansum(values, axis=1)
        counts += np.sum(~np.isnan(values), axis=1)
    means = [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]
    at = [dict(zip(map(str, depths), means[3 + part :: 3], strict=True)) for part in range(3)]
    return ExampleScore(len(eligible_N), means[0], means[1], means[2], *at)


def _each(scores_BK: Matrix, targets_BK: Matrix, depths: list[int]) -> Matrix:
    """Return one row per metric and one column per example; NaN where undefined."""
    # Unknown labels go below all known ones, where they change nothing.
    scores_BK = np.where(targets_BK == UNKNOWN, -1.0, scores_BK)
    order_BK = np.argsort(-scores_BK, axis=1, kind="stable")
    scores_BK = np.take_along_axis(scores_BK, order_BK, axis=1)
    targets_BK = np.take_along_axis(targets_BK, order_BK, axis=1)
    hit_BK, miss_BK = (targets_BK == 1).astype(np.float64), (targets_BK == 0).astype(np.float64)
    start_BK, end_BK = _bounds(scores_BK)
    hits_BK, misses_BK = _cumulative(hit_BK), _cumulative(miss_BK)
    hits_through_BK = np.take_along_axis(hits_BK, end_BK, axis=1)
    misses_through_BK = np.take_along_axis(misses_BK, end_BK, axis=1)
    positives_B, negatives_B = hits_BK[:, -1], misses_BK[:, -1]
    known_B = positives_B + negatives_B
    lrap_B = np.sum(hit_BK * hits_through_BK / end_BK, axis=1) / positives_B
    coverage_B = np.max(hit_BK * end_BK, axis=1)
    with np.errstate(invalid="ignore"):
        loss_B = np.sum(hit_BK * misses_through_BK, axis=1) / (positives_B * negatives_B)
    gain_BK = (hits_through_BK - np.take_along_axis(hits_BK, start_BK, axis=1)) / (end_BK - start_BK)
    discount_K = 1.0 / np.log2(np.arange(2, scores_BK.shape[1] + 2))
    best_K = np.concatenate([[0.0], np.cumsum(discount_K)])
    metrics = [lrap_B, coverage_B, loss_B]
    for depth in depths:
        among_B = np.sum(gain_BK[:, :depth], axis=1)
        metrics += [among_B / np.minimum(depth, known_B), among_B / positives_B]
        ideal_B = best_K[np.minimum(positives_B, depth).astype(np.int64)]
        metrics.append(np.sum(gain_BK[:, :depth] * discount_K[:depth], axis=1) / ideal_B)
    return np.array(metrics)


def _cumulative(values_BK: Matrix) -> Matrix:
    """Sums of the first j values, j from 0 to K."""
    return np.concatenate([np.zeros((len(values_BK), 1)), np.cumsum(values_BK, axis=1)], axis=1)


def _bounds(sorted_BK: Matrix) -> tuple[Matrix, Matrix]:
    """First position of the tie group of each position, and the one after its last."""
    labels = sorted_BK.shape[1]
    new_BK = np.ones(sorted_BK.shape, bool)
    new_BK[:, 1:] = sorted_BK[:, 1:] != sorted_BK[:, :-1]
    start_BK = np.maximum.accumulate(np.where(new_BK, np.arange(labels), 0), axis=1)
    ends = np.ones(sorted_BK.shape, bool)
    ends[:, :-1] = new_BK[:, 1:]
    last_BK = np.where(ends, np.arange(1, labels + 1), labels)
    return start_BK, np.minimum.accumulate(last_BK[:, ::-1], axis=1)[:, ::-1]
