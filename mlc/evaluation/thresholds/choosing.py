"""Cuts chosen on the validation examples by policy, each with an estimate.

Policies that look for a cut know two curves down the scores: how many positives were seen, and how many the
calibrated scores let expect. Goals go by the second, which varies less where positives are rare; `auto`
weighs both. The estimate of a cut comes from entities that had no part in the choice, and says whether a
goal is reached.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from mlc.errors import Problem, ScenarioError, did_you_mean
from mlc.evaluation.calibration import entity_folds
from mlc.evaluation.metrics import ratio_interval
from mlc.evaluation.thresholds.deciding import Estimate, Expected, Threshold, cut_value, places
from mlc.evaluation.thresholds.drifting import Counts, Drift, Windows, drifts
from mlc.evaluation.thresholds.floors import ALL_FOLDS, floors_of
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
    Thresholds,
    TopK,
    TopN,
)
from mlc.tables import UNKNOWN, check_scores_of_labels

Matrix = npt.NDArray[Any]

_WITHOUT_EVIDENCE = 0.5
_FEW_POSITIVES = 20  # with fewer, the F1 that a cut promises on validation is rarely kept
_FEWEST_YES = 10  # the best precision of fewer decisions is luck
_PRIOR_POSITIVES = 200.0  # with this many, hits as seen and hits as expected count the same
_MOST_EXTRA = 3  # decisions that a label may have beyond 1 + beta squared for each positive
_MOST_TIES = 10  # examples that share the highest score may be this many for each positive


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
    columns, policies = [], [thresholds.per_label.get(name, thresholds.default) for name in class_names]
    for label in range(len(class_names)):
        of_label = scores_NK[:, label], targets_NK[:, label], codes_N, folds_N
        ranks_N = None if places_NK is None else places_NK[:, label]
        columns.append(_Column(*of_label, ranks_N, cutoffs).known_and_sorted())
    columns = _with_floors(columns, policies)
    choices = [_choose(policy, column) for policy, column in zip(policies, columns, strict=True)]
    cuts = [
        Threshold(
            name, choice.value, policy.kind, choice.note, policy.k if isinstance(policy, TopK) else None
        )
        for name, policy, choice in zip(class_names, policies, choices, strict=True)
    ]
    changes = drifts(cuts, windows) if windows else [Drift()] * len(cuts)
    return [
        _judged(cut, policy, column, reached=choice.reached, drift=drift)
        for cut, policy, column, choice, drift in zip(cuts, policies, columns, choices, changes, strict=True)
    ]


@dataclass(frozen=True)
class _Column:
    """The validation examples of one label with a known target, from the highest score down.

    Attributes:
        scores_M: float32.
        targets_M: 0 or 1.
        codes_M: The entity of each, a number.
        folds_M: The fold of each.
        places_M: How many labels of the example score higher, where a policy asks for that.
        cutoffs: How many cutoffs they are of.
        floors: No cut of `auto` is lower: fold left out → cut; -1 where none is.
        left_out: The fold that is left out, -1 for none.
    """

    scores_M: Matrix
    targets_M: Matrix
    codes_M: Matrix
    folds_M: Matrix
    places_M: Matrix | None
    cutoffs: float
    floors: Mapping[int, float] = field(default_factory=dict)
    left_out: int = ALL_FOLDS

    def known_and_sorted(self) -> "_Column":
        """Leave out unknown targets and sort once: every fold of the column is then sorted too."""
        known = np.flatnonzero(self.targets_M != UNKNOWN)
        order = known[np.argsort(-self.scores_M[known])]
        parts = self.scores_M[order], self.targets_M[order], self.codes_M[order], self.folds_M[order]
        return _Column(*parts, None if self.places_M is None else self.places_M[order], self.cutoffs)

    @property
    def positives(self) -> int:
        """How many targets are 1."""
        return int(np.count_nonzero(self.targets_M))

    def without(self, fold: int) -> "_Column":
        """The examples of the other folds."""
        others = np.flatnonzero(self.folds_M != fold)
        share = len(others) / len(self.folds_M)
        parts = self.scores_M[others], self.targets_M[others], self.codes_M[others], self.folds_M[others]
        return _Column(*parts, None, self.cutoffs * share, self.floors, fold)


@dataclass(frozen=True)
class _Choice:
    """A threshold, what to know of it, and whether its goal is reached as far as the scores let expect."""

    value: float | None
    note: str | None = None
    reached: bool = True


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
        scores_M = column.scores_M
        last_G = np.append(np.flatnonzero(scores_M[1:] != scores_M[:-1]), len(scores_M) - 1)
        hits_M = np.cumsum(column.targets_M, dtype=np.int64)
        expected_M = np.cumsum(scores_M, dtype=np.float64)
        return cls(scores_M, last_G, last_G + 1, hits_M[last_G], expected_M[last_G])

    @property
    def positives(self) -> int:
        """How many there are in all."""
        return int(self.hits_G[-1])

    def weighed(self) -> Matrix:
        """Positives above each cut: seen, and expected by the scores; the more positives, the more as seen.

        What the scores expect is scaled to the number of positives seen, one added to both: scores of rare
        labels are often too high.
        """
        seen = self.positives
        scale = (seen + 1.0) / (float(self.expected_G[-1]) + 1.0)
        weight = seen / (seen + _PRIOR_POSITIVES)
        weighed_G: Matrix = weight * self.hits_G + (1.0 - weight) * scale * self.expected_G
        return weighed_G

    def cut_after(self, group: int) -> float:
        """Midway between the last score that is a yes and the next lower one."""
        last = self.last_G[group]
        lower = self.scores_M[last + 1] if last + 1 < len(self.scores_M) else np.float32(0)
        cut = np.float32((float(self.scores_M[last]) + float(lower)) / 2)
        if cut <= lower:  # neighbouring floats have nothing between them
            cut = self.scores_M[last]
        # The shortest decimal that is this float32: 0.3, where float(cut) would be 0.30000001192092896.
        return float(str(cut))


def _with_floors(columns: Sequence[_Column], policies: Sequence[Policy]) -> list[_Column]:
    """The columns of `auto` know the lowest cut that all labels of the same `auto` may have."""
    members: dict[float, list[int]] = {}
    for label, policy in enumerate(policies):
        if isinstance(policy, Auto):
            members.setdefault(policy.beta, []).append(label)
    known = list(columns)
    for beta, labels in members.items():
        parts = ((known[at].scores_M, known[at].targets_M, known[at].folds_M) for at in labels)
        floors = floors_of(parts, beta)
        for at in labels:
            known[at] = replace(known[at], floors=floors)
    return known


def _choose(policy: Policy, column: _Column) -> _Choice:
    match policy:
        case Fixed(value=value):
            return _Choice(value)
        case Never():
            return _Choice(None)
        case Cost(false_positive=wrong_yes, false_negative=wrong_no):
            return _Choice(wrong_yes / (wrong_yes + wrong_no))
        case TopK():
            return _Choice(0.0)
        case _:
            pass
    if not len(column.scores_M):
        note = f"no validation example: {_WITHOUT_EVIDENCE} used"
        return _Choice(_WITHOUT_EVIDENCE, note, reached=False)
    curve = _Curve.of(column)
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
            return _Choice(curve.cut_after(int(np.argmax(reached_G))))
        case TopN(n=n):
            return _at_volume(curve, n, column.cutoffs)
        case _:
            assert_never(policy)


def _best_f(hits_G: Matrix, curve: _Curve, beta: float) -> _Choice:
    """The cut of the highest F-beta among those that a label with so few positives can afford.

    Without a limit the best F-beta of a rare label may lie at hundreds of examples for each positive, and the
    decisions of all labels together are then mostly wrong. See DECISIONS.md for the simulation.

    Source: Lipton, Elkan and Naryanaswamy (2014), Optimal thresholding of classifiers to maximize F1 measure.
    """
    most = (1.0 + beta**2) * curve.positives + _MOST_EXTRA
    affordable = int(np.searchsorted(curve.yes_G, most, side="right"))
    if not affordable:
        ties = int(curve.yes_G[0])
        if ties > _MOST_TIES * curve.positives:
            note = f"{ties:,} examples share the highest score, {curve.positives:,} positive: no decisions"
            return _Choice(None, note)
        affordable = 1
    # Equal fractions are equal floats; argmax takes the first.
    f_G = (1 + beta**2) * hits_G[:affordable] / (curve.yes_G[:affordable] + beta**2 * hits_G[-1])
    return _Choice(curve.cut_after(int(np.argmax(f_G))))


def _seen_f(curve: _Curve, beta: float) -> _Choice:
    if curve.positives:
        return _best_f(curve.hits_G, curve, beta)
    note = f"no positive validation example: {_WITHOUT_EVIDENCE} used"
    if np.count_nonzero(curve.scores_M >= _WITHOUT_EVIDENCE) <= _MOST_EXTRA:
        return _Choice(_WITHOUT_EVIDENCE, note)
    return replace(_best_f(curve.expected_G, curve, beta), note="no positive validation example")


def _at_precision(curve: _Curve, goal: float) -> _Choice:
    """The lowest cut of this expected precision; it falls with the cut, since scores do."""
    precision_G = curve.expected_G / curve.yes_G
    enough = int(np.argmax(curve.yes_G >= min(_FEWEST_YES, curve.yes_G[-1])))
    reached = np.flatnonzero(precision_G >= goal)
    if len(reached) and reached[-1] >= enough:
        return _Choice(curve.cut_after(int(reached[-1])))
    return _Choice(curve.cut_after(enough), reached=False)


def _at_volume(curve: _Curve, n: int, cutoffs: float) -> _Choice:
    inside = np.flatnonzero(curve.yes_G <= n * cutoffs)
    if not len(inside):
        return _Choice(curve.cut_after(0), f"{int(curve.yes_G[0]):,} examples have the same highest score")
    every = int(curve.yes_G[-1])
    note = f"there are only {every:,} examples" if every < n * cutoffs else None
    return _Choice(curve.cut_after(int(inside[-1])), note)


def _few(policy: Policy, column: _Column) -> str | None:
    """Whether the cut rests on too few positives."""
    positives = column.positives
    if isinstance(policy, Fixed | Never | Cost | TopK | TopN) or positives >= _FEW_POSITIVES:
        return None
    return f"only {positives} positive validation example{'' if positives == 1 else 's'}"


def _judged(cut: Threshold, policy: Policy, column: _Column, *, reached: bool, drift: Drift) -> Threshold:
    """A cut with its estimate; without decisions where it misses a goal that must be reached."""
    if cut.value is None:
        return replace(cut, estimate=_estimate_of_never(column))
    estimate = _estimate(policy, column, cut.value, drift)
    if not isinstance(policy, PrecisionAtLeast | RecallAtLeast):
        return replace(cut, note=cut.note or _few(policy, column), estimate=estimate)
    missed = _missed(policy, column, estimate, reached=reached)
    if missed is None:
        return replace(cut, note=_few(policy, column), estimate=estimate)
    if policy.when_unreachable == "best":
        return replace(cut, note=f"{missed}; used all the same", estimate=estimate, reachable=False)
    return replace(
        cut,
        value=None,
        note=f"{missed}; no decisions",
        estimate=_estimate_of_never(column),
        reachable=False,
    )


def _missed(
    policy: PrecisionAtLeast | RecallAtLeast, column: _Column, estimate: Estimate | None, *, reached: bool
) -> str | None:
    """Why a goal counts as not reached, or None.

    It is reached where its cut, judged on entities without part in the choice, gives at least the goal; or
    where the scores let expect the goal and the range of that judgement does not exclude it.
    """
    name = "precision" if isinstance(policy, PrecisionAtLeast) else "recall"
    share = getattr(policy, name)
    goal = f"{name} {share:g}"
    if estimate is None:
        return f"{goal} cannot be judged: no validation example"
    found: Expected | None = getattr(estimate, name)
    if not column.positives:
        return f"{goal} cannot be judged: no positive validation example"
    if found is None or estimate.yes is None:
        return None if reached else f"{goal} cannot be judged: too few validation examples"
    if found.value >= share or (reached and found.high >= share):
        return None
    yes = round(estimate.yes.value * len(column.scores_M))
    return f"{goal} cannot be reached: best is {found.value:.3f} at {yes:,} example{'s' * (yes != 1)}"


def _estimate_of_never(column: _Column) -> Estimate | None:
    """No decisions: certain to find nothing."""
    if not len(column.scores_M):
        return None
    nothing = Expected(0.0, 0.0, 0.0)
    found = nothing if column.positives else None
    return Estimate(precision=None, recall=found, f1=found, yes=nothing)


def _estimate(policy: Policy, column: _Column, value: float, drift: Drift) -> Estimate | None:
    """What the cut gives where each fold is decided by the cut of the others."""
    if not len(column.scores_M):
        return None
    yes_M = np.zeros(len(column.scores_M), bool)
    fitted = not isinstance(policy, Fixed | Cost | TopK)
    for fold in np.unique(column.folds_M) if fitted else ():
        others = column.without(fold)
        cut = _choose(policy, others).value if len(others.scores_M) else value
        in_fold = column.folds_M == fold
        yes_M[in_fold] = column.scores_M[in_fold] >= np.float32(cut_value(cut))
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
