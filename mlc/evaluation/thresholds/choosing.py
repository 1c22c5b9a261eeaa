"""Cuts chosen on the validation examples by policy, each with an estimate.

Policies that look for a cut know two curves down the scores: how many positives were seen, and how many the
calibrated scores let expect. Goals and `auto` go by the second, which wavers less where positives are rare;
what came out is said by an estimate on entities that had no part in the choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from mlc.errors import Problem, ScenarioError, did_you_mean
from mlc.evaluation.calibration import entity_folds
from mlc.evaluation.metrics import ratio_interval
from mlc.evaluation.thresholds.deciding import Estimate, Expected, Threshold, places
from mlc.evaluation.thresholds.drifting import Counts, Drift, Windows, drifts
from mlc.scenario import (
    Auto,
    Cost,
    Fixed,
    MaxF1,
    MaxFBeta,
    Policy,
    PrecisionAtLeast,
    RecallAtLeast,
    Thresholds,
    TopK,
    TopN,
)
from mlc.tables import UNKNOWN, check_scores_of_labels

Matrix = npt.NDArray[Any]

_WITHOUT_EVIDENCE = 0.5
_FEW_POSITIVES = 20  # with fewer, the F1 that a cut promises on validation is rarely kept
_FEWEST_YES = 10  # the best precision of fewer decisions is luck


def choose_thresholds(
    thresholds: Thresholds,
    class_names: Sequence[str],
    scores_NK: Matrix,
    targets_NK: Matrix,
    entities_N: Matrix | None = None,
    *,
    cutoffs: int = 1,
    windows: Windows | None = None,
) -> list[Threshold]:
    """The cut of each label by its policy, from the validation examples alone.

    Args:
        thresholds: The scenario's section.
        class_names: The K names, in column order.
        scores_NK: Probabilities in [0, 1] of the validation examples, calibrated out of fold, shape
            (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        entities_N: The entity of each example. Default: each is one.
        cutoffs: How many moments the examples are of: `top_n` counts for one.
        windows: Examples of several windows, for ranges that know how much figures change from one to the
            next. Default: they know chance alone.

    Returns:
        One entry a label, in order.

    Raises:
        DataError: Shapes differ, or a score is NaN or outside [0, 1].
        ScenarioError: `per_label` names labels that are not in `class_names`.

    Examples:
        >>> scores, targets = np.array([[0.75], [0.5], [0.1]]), np.array([[1], [0], [0]], np.uint8)
        >>> cut = choose_thresholds(Thresholds(default=MaxF1()), ["Dress"], scores, targets)[0]
        >>> cut.value, cut.policy, cut.note
        (0.625, 'max_f1', 'only 1 positive validation example')
    """
    check_scores_of_labels(scores_NK, targets_NK, len(class_names))
    unknown = [
        Problem(
            f"must be a label, however: it is not; {did_you_mean(name, class_names)}", f"thresholds.{name}"
        )
        for name in thresholds.per_label
        if name not in class_names
    ]
    if unknown:
        raise ScenarioError(unknown)
    entities_N = np.arange(len(targets_NK)) if entities_N is None else entities_N
    _, codes_N = np.unique(entities_N, return_inverse=True)
    folds_N = entity_folds(entities_N)
    scores_NK = scores_NK.astype(np.float32, copy=False)
    places_NK = places(scores_NK) if _ranks(thresholds) else None
    columns, policies, cuts = [], [], []
    for label, name in enumerate(class_names):
        known_N = targets_NK[:, label] != UNKNOWN
        column = _Column(
            scores_NK[known_N, label],
            targets_NK[known_N, label],
            codes_N[known_N],
            folds_N[known_N],
            None if places_NK is None else places_NK[known_N, label],
            cutoffs,
        )
        policy = thresholds.per_label.get(name, thresholds.default)
        value, note = _choose(policy, column)
        top_k = policy.k if isinstance(policy, TopK) else None
        columns.append(column)
        policies.append(policy)
        cuts.append(Threshold(name, value, policy.kind, note, top_k))
    changes = drifts(cuts, windows) if windows else [Drift()] * len(cuts)
    chosen = []
    for cut, policy, column, drift in zip(cuts, policies, columns, changes, strict=True):
        estimate = _estimate(policy, column, cut.value, drift)
        note = cut.note or _few(policy, column) or _missed(policy, estimate)
        chosen.append(replace(cut, note=note, estimate=estimate))
    return chosen


@dataclass(frozen=True)
class _Column:
    """The validation examples of one label with a known target.

    Attributes:
        scores_M: float32.
        targets_M: 0 or 1.
        codes_M: The entity of each, a number.
        folds_M: The fold of each.
        places_M: How many labels of the example score higher, where a policy asks for that.
        cutoffs: How many moments they are of.
    """

    scores_M: Matrix
    targets_M: Matrix
    codes_M: Matrix
    folds_M: Matrix
    places_M: Matrix | None
    cutoffs: float

    def without(self, fold: int) -> "_Column":
        kept = self.folds_M != fold
        share = float(np.mean(kept))
        parts = self.scores_M[kept], self.targets_M[kept], self.codes_M[kept], self.folds_M[kept]
        return _Column(*parts, None, self.cutoffs * share)


@dataclass(frozen=True)
class _Curve:
    """What a cut after each group of tied scores gives, from the highest score down.

    Attributes:
        scores_M: Sorted.
        last_G: Position of the last score that is a yes.
        yes_G: How many are.
        hits_G: How many of these are positive.
        expected_G: How many should be, by the scores.
    """

    scores_M: Matrix
    last_G: Matrix
    yes_G: Matrix
    hits_G: Matrix
    expected_G: Matrix

    @classmethod
    def of(cls, column: _Column) -> "_Curve":
        order_M = np.argsort(-column.scores_M)
        scores_M = column.scores_M[order_M]
        last_G = np.append(np.flatnonzero(scores_M[1:] != scores_M[:-1]), len(scores_M) - 1)
        hits_M = np.cumsum(column.targets_M[order_M], dtype=np.int64)
        expected_M = np.cumsum(scores_M, dtype=np.float64)
        return cls(scores_M, last_G, last_G + 1, hits_M[last_G], expected_M[last_G])

    def cut_after(self, group: int) -> float:
        """Midway between the last score that is a yes and the next lower one."""
        last = self.last_G[group]
        lower = self.scores_M[last + 1] if last + 1 < len(self.scores_M) else np.float32(0)
        cut = np.float32((float(self.scores_M[last]) + float(lower)) / 2)
        if cut <= lower:  # neighbouring floats have nothing between them
            cut = self.scores_M[last]
        # The shortest decimal that is this float32: 0.3, where float(cut) would be 0.30000001192092896.
        return float(str(cut))


def _choose(policy: Policy, column: _Column) -> tuple[float, str | None]:
    """The cut, and what to know of it."""
    match policy:
        case Fixed(value=value):
            return value, None
        case Cost(false_positive=wrong_yes, false_negative=wrong_no):
            return wrong_yes / (wrong_yes + wrong_no), None
        case TopK():
            return 0.0, None
        case _:
            pass
    if not len(column.scores_M):
        return _WITHOUT_EVIDENCE, f"no validation example: {_WITHOUT_EVIDENCE} used"
    curve, positives = _Curve.of(column), int(np.sum(column.targets_M))
    match policy:
        case Auto(beta=beta):
            return curve.cut_after(_best_f(curve.expected_G, curve, beta)), None
        case MaxF1():
            return _seen_f(curve, positives, 1.0)
        case MaxFBeta(beta=beta):
            return _seen_f(curve, positives, beta)
        case PrecisionAtLeast(precision=goal):
            return _at_precision(curve, goal)
        case RecallAtLeast(recall=goal):
            reached_G = curve.expected_G >= goal * curve.expected_G[-1]
            return curve.cut_after(int(np.argmax(reached_G))), None
        case TopN(n=n):
            return _at_volume(curve, n, column.cutoffs)
        case _:
            assert_never(policy)


def _best_f(hits_G: Matrix, curve: _Curve, beta: float) -> int:
    """The group after which F-beta is highest; of equal ones the first.

    Source: Lipton, Elkan and Naryanaswamy (2014), Optimal thresholding of classifiers to maximize F1 measure.
    """
    # Equal fractions are equal floats; argmax takes the first.
    return int(np.argmax((1 + beta**2) * hits_G / (curve.yes_G + beta**2 * hits_G[-1])))


def _seen_f(curve: _Curve, positives: int, beta: float) -> tuple[float, str | None]:
    if not positives:
        return _WITHOUT_EVIDENCE, f"no positive validation example: {_WITHOUT_EVIDENCE} used"
    return curve.cut_after(_best_f(curve.hits_G, curve, beta)), None


def _at_precision(curve: _Curve, goal: float) -> tuple[float, str | None]:
    """The lowest cut of this expected precision; it falls with the cut, since scores do."""
    precision_G = curve.expected_G / curve.yes_G
    enough = int(np.argmax(curve.yes_G >= min(_FEWEST_YES, curve.yes_G[-1])))
    reached = np.flatnonzero(precision_G >= goal)
    if len(reached) and reached[-1] >= enough:
        return curve.cut_after(int(reached[-1])), None
    best, yes = float(precision_G[enough]), int(curve.yes_G[enough])
    advice = f"precision {goal:g} cannot be reached: best is {best:.2g} at {yes:,} examples"
    return curve.cut_after(enough), advice


def _at_volume(curve: _Curve, n: int, cutoffs: float) -> tuple[float, str | None]:
    inside = np.flatnonzero(curve.yes_G <= n * cutoffs)
    if not len(inside):
        return curve.cut_after(0), f"{int(curve.yes_G[0]):,} examples have the same highest score"
    every = int(curve.yes_G[-1])
    note = f"there are only {every:,} examples" if every < n * cutoffs else None
    return curve.cut_after(int(inside[-1])), note


def _few(policy: Policy, column: _Column) -> str | None:
    """Whether the cut rests on too few positives."""
    positives = int(np.sum(column.targets_M))
    if isinstance(policy, Fixed | Cost | TopK | TopN) or positives >= _FEW_POSITIVES:
        return None
    return f"only {positives} positive validation example{'' if positives == 1 else 's'}"


def _missed(policy: Policy, estimate: Estimate | None) -> str | None:
    """Whether a goal lies outside of what entities without part in the choice gave."""
    if estimate is None:
        return None
    match policy:
        case PrecisionAtLeast(precision=goal):
            found, name = estimate.precision, "precision"
        case RecallAtLeast(recall=goal):
            found, name = estimate.recall, "recall"
        case _:
            return None
    if found is None or found.high >= goal:
        return None
    return f"{name} {goal:g} is likely missed: about {found.value:.2g} is expected"


def _estimate(policy: Policy, column: _Column, value: float, drift: Drift) -> Estimate | None:
    """What the cut gives where each fold is decided by the cut of the others."""
    if not len(column.scores_M):
        return None
    yes_M = np.zeros(len(column.scores_M), bool)
    fitted = not isinstance(policy, Fixed | Cost | TopK)
    for fold in np.unique(column.folds_M) if fitted else ():
        others = column.without(fold)
        cut = _choose(policy, others)[0] if len(others.scores_M) else value
        in_fold = column.folds_M == fold
        yes_M[in_fold] = column.scores_M[in_fold] >= np.float32(cut)
    if not fitted:
        yes_M = column.scores_M >= np.float32(value)
    if isinstance(policy, TopK):
        assert column.places_M is not None
        yes_M &= column.places_M < policy.k
    counts = Counts.of(yes_M, column.targets_M == 1, column.codes_M)
    figures = {
        name: _expected(*shares, getattr(drift, name)) for name, shares in counts.parts_and_wholes().items()
    }
    if not counts.positives_E.any():
        figures["f1"] = None
    return Estimate(**figures)


def _expected(parts_E: Matrix, wholes_E: Matrix, drift: float) -> Expected | None:
    interval = ratio_interval(parts_E, wholes_E, new_as_well=True, drift=drift)
    return None if interval is None else Expected(float(parts_E.sum() / wholes_E.sum()), *interval)


def _ranks(thresholds: Thresholds) -> bool:
    return any(isinstance(one, TopK) for one in (thresholds.default, *thresholds.per_label.values()))
