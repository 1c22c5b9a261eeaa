"""Where a score becomes a decision: cuts chosen on the validation examples, replaced by hand, applied.

Policies that look for a cut know two curves down the scores: how many positives were seen, and how many the
calibrated scores let expect. Goals and `auto` go by the second, which wavers less where positives are rare;
what came out is said by an estimate on entities that had no part in the choice.

Scores and thresholds meet as float32, the type that scores are stored in: a score written as 0.7 is a yes at
the threshold 0.7, although the two differ as float64.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from mlc.calibration import entity_folds
from mlc.errors import DataError, MlcError, Problem, RunError, ScenarioError, did_you_mean
from mlc.metrics import ratio_interval
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
from mlc.tables import UNKNOWN

Matrix = npt.NDArray[Any]

SCHEMA = "mlc/thresholds/2"

_WITHOUT_EVIDENCE = 0.5
_FEW_POSITIVES = 20  # with fewer, the F1 that a cut promises on validation is rarely kept
_FEWEST_YES = 10  # the best precision of fewer decisions is luck


@dataclass(frozen=True)
class Expected:
    """A figure that a cut is expected to give on new examples, as many as there were to choose it.

    Attributes:
        value: On the validation examples, each decided by a cut that was chosen without its entity.
        low: Lower end of the range that holds the new figure in 95 of 100 cases, inclusive.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What a cut is expected to give, None where undefined; `yes` is the share of examples decided yes."""

    precision: Expected | None
    recall: Expected | None
    f1: Expected | None
    yes: Expected | None


@dataclass(frozen=True)
class Threshold:
    """The cut of one label.

    Attributes:
        name: The label.
        value: In [0, 1]; the decision is yes where `score >= value`.
        policy: Where the value comes from: a kind of `thresholds`, or `given` on the command line.
        note: What to know before relying on it, or None.
        top_k: Yes also needs one of the so many highest scores of the example; None for no such rule.
        estimate: What to expect of it; None where there was nothing to estimate from.
    """

    name: str
    value: float
    policy: str
    note: str | None = None
    top_k: int | None = None
    estimate: Estimate | None = None


def choose_thresholds(
    thresholds: Thresholds,
    class_names: Sequence[str],
    scores_NK: Matrix,
    targets_NK: Matrix,
    entities_N: Matrix | None = None,
    *,
    cutoffs: int = 1,
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
    if scores_NK.shape != targets_NK.shape or scores_NK.shape[1:] != (len(class_names),):
        raise DataError(
            f"scores and targets must have the shape (examples, {len(class_names)}), however: "
            f"{scores_NK.shape} and {targets_NK.shape}"
        )
    if not bool(np.all((scores_NK >= 0.0) & (scores_NK <= 1.0))):
        raise DataError("scores must be probabilities in [0, 1], however: some are outside or NaN")
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
    places_NK = _places(scores_NK) if _ranks(thresholds) else None
    chosen = []
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
        estimate = _estimate(policy, column, value)
        note = note or _few(policy, column) or _missed(policy, estimate)
        chosen.append(Threshold(name, value, policy.kind, note, top_k, estimate))
    return chosen


def replace_thresholds(text: str, stored: Sequence[Threshold]) -> list[Threshold]:
    """The thresholds that `--threshold` asks for.

    Args:
        text: `stored`; or one number for all labels, `0.4`; or `Dress=.3,Skirt=.5`, where labels that are not
            named keep what is stored. Label names may hold commas, `=` and quotes.
        stored: The run's thresholds, one a label.

    Returns:
        One entry a label, in the order of `stored`.

    Raises:
        MlcError: Labels do not exist or are named twice, values are no numbers in [0, 1]; all at once.

    Examples:
        >>> stored = [Threshold("Food, Fresh", 0.2, "max_f1"), Threshold("Men's Wear", 0.5, "max_f1")]
        >>> [threshold.value for threshold in replace_thresholds("Food, Fresh=.3", stored)]
        [0.3, 0.5]
    """
    text = text.strip()
    if text == "stored":
        return list(stored)
    names = [threshold.name for threshold in stored]
    if "=" in text:
        values = _assignments(text, names)
    else:
        value = _probability(text)
        if value is None:
            rule = "must be stored, a number in [0, 1], or label=number,label=number"
            raise MlcError(Problem(f"{rule}, however: {text!r}", "--threshold"))
        values = dict.fromkeys(names, value)
    return [
        replace(threshold, value=values[threshold.name], policy="given", note=None, top_k=None, estimate=None)
        if threshold.name in values
        else threshold
        for threshold in stored
    ]


def decide(scores_NK: Matrix, thresholds: Sequence[Threshold]) -> npt.NDArray[np.uint8]:
    """1 where `score >= threshold`, and among the `top_k` of its row where the label asks for that; else 0.

    Args:
        scores_NK: Probabilities in [0, 1], shape (N examples, K labels).
        thresholds: One a label, in column order.

    Returns:
        The decisions, same shape. A score equal to its threshold is a yes.

    Raises:
        DataError: The number of thresholds is not K.

    Examples:
        >>> decide(np.array([[0.7], [0.69]], np.float32), [Threshold("Dress", 0.7, "fixed")]).tolist()
        [[1], [0]]
    """
    if scores_NK.ndim != 2 or scores_NK.shape[1] != len(thresholds):
        raise DataError(f"scores must have {len(thresholds)} labels, however: shape {scores_NK.shape}")
    cuts_K = np.array([threshold.value for threshold in thresholds], np.float32)
    scores_NK = scores_NK.astype(np.float32, copy=False)
    yes_NK = scores_NK >= cuts_K
    tops = [threshold.top_k for threshold in thresholds]
    if any(tops):
        yes_NK &= _places(scores_NK) < np.array([top or len(tops) for top in tops])
    return yes_NK.astype(np.uint8)


def pick_pairs(
    scores_NK: Matrix, values_K: Matrix, *, per_entity: int | None, total: int | None
) -> npt.NDArray[np.bool_]:
    """The (entity, label) pairs of highest expected value that fit a budget.

    Args:
        scores_NK: Probabilities in [0, 1], a row an entity, shape (N entities, K labels).
        values_K: What a hit is worth, at least 0.
        per_entity: At most so many labels an entity; None for no such limit.
        total: At most so many pairs; None for no such limit.

    Returns:
        Which pairs, same shape. Of equal ones the first by row, then by column; none that is worth nothing.

    Examples:
        >>> scores = np.array([[0.9, 0.8], [0.7, 0.1]])
        >>> pick_pairs(scores, np.array([1.0, 1.0]), per_entity=1, total=2).tolist()
        [[True, False], [True, False]]

    Source: picking greedily is optimal on a matroid, and these two limits are one: Edmonds (1971), Matroids
    and the greedy algorithm.
    """
    worth_NK = scores_NK.astype(np.float64) * values_K
    picked_NK = worth_NK > 0.0
    if per_entity is not None:
        picked_NK &= _places(worth_NK) < per_entity
    candidates = np.flatnonzero(picked_NK)
    if total is not None and len(candidates) > total:
        order = np.argsort(-worth_NK.reshape(-1)[candidates], kind="stable")
        picked_NK = np.zeros(worth_NK.shape, bool)
        picked_NK.reshape(-1)[candidates[order[:total]]] = True
    return picked_NK


def thresholds_to_json(thresholds: Sequence[Threshold]) -> dict[str, Any]:
    """What `thresholds.json` holds.

    Examples:
        >>> thresholds_to_json([Threshold("Dress", 0.7, "fixed")])["thresholds"]
        [{'name': 'Dress', 'value': 0.7, 'policy': 'fixed', 'note': None, 'top_k': None, 'estimate': None}]
    """
    return {"schema": SCHEMA, "thresholds": [asdict(threshold) for threshold in thresholds]}


def thresholds_from_json(stored: dict[str, Any]) -> list[Threshold]:
    """The thresholds of a `thresholds.json`.

    Raises:
        RunError: It was written by another version, or changed by hand.

    Examples:
        >>> thresholds_from_json(thresholds_to_json([Threshold("Dress", 0.7, "fixed")]))
        [Threshold(name='Dress', value=0.7, policy='fixed', note=None, top_k=None, estimate=None)]
    """
    try:
        if stored["schema"] != SCHEMA:
            raise RunError(f"thresholds.json must have the schema {SCHEMA}, however: {stored['schema']!r}")
        thresholds = [
            Threshold(**{**entry, "estimate": _estimate_from_json(entry["estimate"])})
            for entry in stored["thresholds"]
        ]
        if all(0.0 <= threshold.value <= 1.0 for threshold in thresholds):
            return thresholds
    except (KeyError, TypeError) as error:
        raise RunError(f"thresholds.json must be as written by mlc, however: {error!r}") from error
    raise RunError("thresholds.json must have values in [0, 1], however: some are outside")


def _estimate_from_json(stored: dict[str, Any] | None) -> Estimate | None:
    if stored is None:
        return None
    return Estimate(**{name: None if one is None else Expected(**one) for name, one in stored.items()})


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


def _estimate(policy: Policy, column: _Column, value: float) -> Estimate | None:
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
    positive_M = column.targets_M == 1
    hits_E, yes_E, positives_E, all_E = (
        np.bincount(column.codes_M, weights=part)
        for part in (yes_M & positive_M, yes_M, positive_M, np.ones(len(yes_M)))
    )
    return Estimate(
        _expected(hits_E, yes_E),
        _expected(hits_E, positives_E),
        _expected(2 * hits_E, yes_E + positives_E) if positives_E.any() else None,
        _expected(yes_E, all_E),
    )


def _expected(parts_E: Matrix, wholes_E: Matrix) -> Expected | None:
    interval = ratio_interval(parts_E, wholes_E, new_as_well=True)
    return None if interval is None else Expected(float(parts_E.sum() / wholes_E.sum()), *interval)


def _ranks(thresholds: Thresholds) -> bool:
    return any(isinstance(one, TopK) for one in (thresholds.default, *thresholds.per_label.values()))


def _places(scores_NK: Matrix) -> Matrix:
    """How many labels of the example score higher, or as high and stand before it."""
    order_NK = np.argsort(-scores_NK, axis=1, kind="stable")
    places_NK = np.empty_like(order_NK)
    np.put_along_axis(places_NK, order_NK, np.arange(scores_NK.shape[1])[None, :], axis=1)
    return places_NK


def _probability(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 <= value <= 1.0 else None


def _assignments(text: str, names: Sequence[str]) -> dict[str, float]:
    """Parse `label=number,label=number`.

    Where the text goes on with a known label and `=`, that label is meant, the longest one first. What stands
    between two known labels is an unknown one: it ends at the first `=` that a number follows.
    """
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    known = re.compile(rf"\s*({longest_first})\s*=([^,]*)")
    before_known = re.compile(rf"(?=,\s*(?:{longest_first})\s*=)|$")
    unknown = re.compile(r"\s*(.*?)\s*=(\s*[-+]?[.\d][^,=]*)(?=,|$)", re.DOTALL)
    problems: list[str] = []
    values: dict[str, float] = {}
    while text:
        end = next(before_known.finditer(text)).start()
        match = known.match(text) or unknown.match(text, 0, end)
        if match is None:
            problems.append(f"must be label=number, however: {text[:end]!r}")
            text = text[end:].removeprefix(",")
            continue
        text = text[match.end() :].removeprefix(",")
        name, number = match[1], match[2].strip()
        value = _probability(number)
        if name not in names:
            problems.append(f"{name!r} must be a label, however: it is not; {did_you_mean(name, names)}")
        elif name in values:
            problems.append(f"{name!r} must be given once, however: twice")
        if value is None:
            problems.append(f"{name!r} must have a number in [0, 1], however: {number!r}")
        values.setdefault(name, 0.0 if value is None else value)
    if problems:
        raise MlcError(Problem(problem, "--threshold") for problem in problems)
    return values
