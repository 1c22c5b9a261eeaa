"""The threshold of one label by its policy.

Policies that look for a threshold know two curves down the scores: how many positives were seen, and how many
the calibrated scores expect. Goals go by the second, which varies less where positives are rare; `auto`
weighs both.
"""

from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from mlc.evaluation.thresholds.curves import Column, Curve, Matrix
from mlc.scenario import (
    Auto,
    Cost,
    Fixed,
    MaxF1,
    MaxFBeta,
    Never,
    Policy,
    PrecisionAtLeast,
    RecallAtLeast,
    TopK,
    TopN,
)

_WITHOUT_EVIDENCE = 0.5
_FEWEST_YES = 10  # the best precision of fewer decisions is luck
_MOST_EXTRA = 3  # decisions that a label may have beyond 1 + beta squared for each positive
_MOST_TIES = 10  # examples that share the highest score may be this many for each positive


@dataclass(frozen=True)
class Choice:
    """A threshold, a note on it, and whether it is expected to reach its goal."""

    value: float | None
    note: str | None = None
    reached: bool = True


def choose(policy: Policy, column: Column) -> Choice:
    """Choose the threshold of a label by its policy, from sorted examples."""
    match policy:
        case Fixed(value=value):
            return Choice(value)
        case Never():
            return Choice(None)
        case Cost(false_positive=wrong_yes, false_negative=wrong_no):
            return Choice(wrong_yes / (wrong_yes + wrong_no))
        case TopK():
            return Choice(0.0)
        case _:
            pass
    if not len(column.scores_M):
        note = f"no validation example: {_WITHOUT_EVIDENCE} used"
        return Choice(_WITHOUT_EVIDENCE, note, reached=False)
    curve = Curve.of(column)
    match policy:
        case Auto(beta=beta):
            choice = _best_f(curve.weighed(), curve, beta)
            floor = column.floors.get(column.left_out, 0.0)
            return choice if choice.value is None else replace(choice, value=max(choice.value, floor))
        case MaxF1():
            return _seen_f(curve, 1.0)
        case MaxFBeta(beta=beta):
            return _seen_f(curve, beta)
        case PrecisionAtLeast(precision=goal):
            return _at_precision(curve, goal)
        case RecallAtLeast(recall=goal):
            reached_G = curve.expected_G >= goal * curve.expected_G[-1]
            return Choice(curve.threshold_after(int(np.argmax(reached_G))))
        case TopN(n=n):
            return _at_volume(curve, n, column.cutoffs)
        case _:
            assert_never(policy)


def _best_f(hits_G: Matrix, curve: Curve, beta: float) -> Choice:
    """Return the threshold of the highest F-beta that a label can afford.

    A label with few positives can afford few decisions. Without a limit the best F-beta of a rare label may
    lie at hundreds of examples for each positive, and the decisions of all labels together are then mostly
    wrong. See docs/results/many-labels.md.

    Source: Lipton, Elkan and Naryanaswamy (2014), Optimal thresholding of classifiers to maximize F1 measure.
    """
    most = (1.0 + beta**2) * curve.positives + _MOST_EXTRA
    affordable = int(np.searchsorted(curve.yes_G, most, side="right"))
    if not affordable:
        ties = int(curve.yes_G[0])
        if ties > _MOST_TIES * curve.positives:
            note = f"{ties:,} examples share the highest score, {curve.positives:,} positive: no decisions"
            return Choice(None, note)
        affordable = 1
    # Equal fractions are equal floats; argmax takes the first.
    f_G = (1 + beta**2) * hits_G[:affordable] / (curve.yes_G[:affordable] + beta**2 * hits_G[-1])
    return Choice(curve.threshold_after(int(np.argmax(f_G))))


def _seen_f(curve: Curve, beta: float) -> Choice:
    if curve.positives:
        return _best_f(curve.hits_G, curve, beta)
    note = f"no positive validation example: {_WITHOUT_EVIDENCE} used"
    if np.count_nonzero(curve.scores_M >= _WITHOUT_EVIDENCE) <= _MOST_EXTRA:
        return Choice(_WITHOUT_EVIDENCE, note)
    return replace(_best_f(curve.expected_G, curve, beta), note="no positive validation example")


def _at_precision(curve: Curve, goal: float) -> Choice:
    """Return the lowest threshold of this expected precision.

    It falls as scores do.
    """
    precision_G = curve.expected_G / curve.yes_G
    enough = int(np.argmax(curve.yes_G >= min(_FEWEST_YES, curve.yes_G[-1])))
    reached = np.flatnonzero(precision_G >= goal)
    if len(reached) and reached[-1] >= enough:
        return Choice(curve.threshold_after(int(reached[-1])))
    return Choice(curve.threshold_after(enough), reached=False)


def _at_volume(curve: Curve, n: int, cutoffs: float) -> Choice:
    inside = np.flatnonzero(curve.yes_G <= n * cutoffs)
    if not len(inside):
        tied = int(curve.yes_G[0])
        return Choice(curve.threshold_after(0), f"{tied:,} examples have the same highest score")
    every = int(curve.yes_G[-1])
    note = f"there are only {every:,} examples" if every < n * cutoffs else None
    return Choice(curve.threshold_after(int(inside[-1])), note)
