"""How good scores and decisions are, from saved tables: each label, overall, and against a rival.

Shape suffixes: N examples, K labels, M known examples of one label, P positives among them, G groups of tied
scores, R replicates. Undefined is None (NaN inside arrays of replicates), never 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.errors import DataError
from mlc.tables import UNKNOWN

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.uint8]
Matrix = npt.NDArray[Any]

_SMALLEST = float(np.finfo(np.float32).eps)  # the log-loss keeps scores so far from 0 and 1: it stays finite
_BLOCK_CELLS = 1 << 22  # replicates times examples at once: about 200 MB of working memory


@dataclass(frozen=True)
class LabelScore:
    """How well the scores of one label tell positives from negatives.

    Attributes:
        examples: Examples with a known target; all other fields are over these.
        support: Positives.
        prevalence: Share of positives.
        auroc: Area under the ROC curve; None without a positive or without a negative.
        ap: Average precision; None without a positive.
        lift: `ap / prevalence`: how many times better than random order.
        brier: Mean squared distance of score and target.
        log_loss: Mean negative log-likelihood in nats.
        undefined: None, or why `auroc` is: 'no example', 'no positive example', 'no negative example'.
    """

    name: str
    examples: int
    support: int
    prevalence: float | None
    auroc: float | None
    ap: float | None
    lift: float | None
    brier: float | None
    log_loss: float | None
    undefined: str | None


@dataclass(frozen=True)
class MeanScore:
    """Means over so many of the K labels, None where no label is defined."""

    auroc: float | None
    ap: float | None
    log_loss: float | None
    labels_defined: int
    labels: int


@dataclass(frozen=True)
class OverallScore:
    """Macro: defined labels count alike. Weighted: by their support. Micro: all known cells as one label."""

    macro: MeanScore
    micro: MeanScore
    weighted: MeanScore


@dataclass(frozen=True)
class DecisionScore:
    """How well the yes or no of one label does, over the examples with a known target.

    Attributes:
        precision: Share of the yes that are positive; None without a yes.
        recall: Share of the positives that are yes; None without a positive.
        f1: Harmonic mean of the two, 0 where no yes is right; None without a positive.
        volume: Number of yes.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    volume: int


@dataclass(frozen=True)
class Difference:
    """Model minus rival in one macro score, and its 95 % interval.

    Attributes:
        value: On the examples themselves; None where no label is defined.
        low: Lower end, inclusive; None without replicates or with a single entity.
        high: Upper end, inclusive.
        replicates: How many were used, those with a defined label.
    """

    value: float | None
    low: float | None
    high: float | None
    replicates: int


@dataclass(frozen=True)
class _Ranking:
    """One label's known examples, and its positives, from the highest score down, as positions in the arrays.

    Groups of tied scores are bounds [start, end) in the two; without a positive they are left out.
    """

    rows: Integers
    positive_rows: Integers
    starts: Integers
    ends: Integers
    positive_starts: Integers
    positive_ends: Integers


def score_labels(scores_NK: Matrix, targets_NK: Matrix, class_names: Sequence[str]) -> list[LabelScore]:
    """AUROC, average precision, Brier score and log-loss of each label.

    Args:
        scores_NK: Probabilities in [0, 1], shape (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        class_names: The K names, in column order.

    Returns:
        One entry a label, in order. Tied scores count half in AUROC and are one step of average precision.

    Raises:
        DataError: Shapes differ, a score is NaN or outside [0, 1] (logits given by mistake), or a target is
            none of 0, 1, 255.

    Examples:
        >>> score = score_labels(np.array([[0.9], [0.2]]), np.array([[1], [0]], np.uint8), ["Dress"])[0]
        >>> score.auroc, score.ap, score.lift, round(score.brier, 3)
        (1.0, 1.0, 2.0, 0.025)

    Source: Fawcett (2006), An introduction to ROC analysis, section 7; average precision as in scikit-learn.
    """
    _check(scores_NK, targets_NK, class_names)
    return [
        _score_label(name, scores_NK[:, label], targets_NK[:, label])
        for label, name in enumerate(class_names)
    ]


def overall_scores(scores_NK: Matrix, targets_NK: Matrix, label_scores: Sequence[LabelScore]) -> OverallScore:
    """Macro, micro and support-weighted means of AUROC, average precision and log-loss.

    Macro and weighted leave a label with only positives out of both: its average precision is always 1.

    Args:
        scores_NK: As for `score_labels`.
        targets_NK: As for `score_labels`.
        label_scores: The result of `score_labels` on the same arrays.

    Raises:
        DataError: As for `score_labels`.

    Examples:
        >>> scores, targets = np.array([[0.9, 0.5], [0.2, 0.6]]), np.array([[1, 0], [0, 0]], np.uint8)
        >>> overall_scores(scores, targets, score_labels(scores, targets, ["Dress", "Skirt"])).macro
        MeanScore(auroc=1.0, ap=1.0, log_loss=0.164252033486018, labels_defined=1, labels=2)
    """
    _check(scores_NK, targets_NK, label_scores)
    defined = [score for score in label_scores if score.undefined is None]
    known_NK = targets_NK != UNKNOWN
    micro = _score_label("micro", scores_NK[known_NK], targets_NK[known_NK])
    known_labels = sum(score.examples > 0 for score in label_scores)
    return OverallScore(
        macro=_mean(defined, [1] * len(defined), len(label_scores)),
        micro=MeanScore(micro.auroc, micro.ap, micro.log_loss, known_labels, len(label_scores)),
        weighted=_mean(defined, [score.support for score in defined], len(label_scores)),
    )


def score_decisions(
    decisions_NK: Matrix, targets_NK: Matrix, class_names: Sequence[str]
) -> list[DecisionScore]:
    """Precision, recall, F1 and volume of each label.

    Args:
        decisions_NK: 1 for yes and 0 for no, shape (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        class_names: The K names, in column order.

    Raises:
        DataError: Shapes differ, a decision is neither 0 nor 1, or a target none of 0, 1, 255.

    Examples:
        >>> score_decisions(np.array([[1], [1], [0]]), np.array([[1], [0], [0]], np.uint8), ["Dress"])
        [DecisionScore(name='Dress', precision=0.5, recall=1.0, f1=0.6666666666666666, volume=2)]

    Source: van Rijsbergen (1979), Information retrieval, chapter 7: F1 = 2 TP / (yes + positives).
    """
    _check(decisions_NK, targets_NK, class_names)
    yes_NK, positive_NK = decisions_NK == 1, targets_NK == 1
    if not bool(np.all(yes_NK | (decisions_NK == 0))):
        raise DataError("decisions must be 0 or 1, however: some are not")
    volumes = np.sum(yes_NK & (targets_NK != UNKNOWN), axis=0).tolist()
    supports = np.sum(positive_NK, axis=0).tolist()
    hits = np.sum(yes_NK & positive_NK, axis=0).tolist()
    scores = []
    for name, volume, support, hit in zip(class_names, volumes, supports, hits, strict=True):
        precision, recall = hit / volume if volume else None, hit / support if support else None
        f1 = 2 * hit / (volume + support) if support else None
        scores.append(DecisionScore(name, precision, recall, f1, volume))
    return scores


def macro_differences(
    scores_NK: Matrix,
    rivals: Mapping[str, Matrix],
    targets_NK: Matrix,
    entities_N: Matrix,
    *,
    replicates: int = 200,
    seed: int = 7,
) -> dict[str, dict[str, Difference]]:
    """Model minus each rival in macro AUROC, average precision and log-loss, with paired 95 % intervals.

    Each replicate gives every entity, with all its examples, a weight from Poisson(1): the bootstrap without
    a fixed total. Scores are sorted once a label; a replicate is then a weighted cumulative sum. A label
    without a positive or a negative in a replicate is left out of it, for model and rivals alike. The ends
    are 2 value - percentile, the basic interval: average precision rises when a positive is drawn twice,
    so that the percentiles alone call random scores better than constant ones (coverage 54 %, this one 94 %).

    Args:
        scores_NK: The model's probabilities in [0, 1], shape (N examples, K labels).
        rivals: Name → probabilities of the same shape, in the same order.
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        entities_N: The entity of each example, integers or text, shape (N examples,).
        replicates: How many resamples. Memory: a byte for each entity and replicate, and about 200 MB.
        seed: Fixes the weights.

    Returns:
        Rival → `auroc`, `ap` and `log_loss` → difference. A model is better where the first two are positive,
        and the log-loss negative.

    Raises:
        DataError: As for `score_labels`; or `entities_N` has another length.

    Examples:
        >>> scores, targets = np.array([[0.9], [0.2], [0.4]]), np.array([[1], [0], [0]], np.uint8)
        >>> macro_differences(scores, {"worst": 1 - scores}, targets, np.array([1, 2, 3]))["worst"]["auroc"]
        Difference(value=1.0, low=1.0, high=1.0, replicates=117)

    Source: Hanley and MacGibbon (2006), Creating non-parametric bootstrap samples using Poisson frequencies;
    basic interval: Davison and Hinkley (1997), Bootstrap methods and their application, section 5.2.
    """
    for matrix_NK in [scores_NK, *rivals.values()]:
        _check(matrix_NK, targets_NK)
    if entities_N.shape != targets_NK.shape[:1]:
        raise DataError(
            f"entities must be one an example, however: {entities_N.shape} and {targets_NK.shape}"
        )
    entities, codes_N = np.unique(entities_N, return_inverse=True)
    weights_RE = _poisson_weights(1 + replicates, len(entities), seed)
    weights_RE[0] = 1  # the examples themselves
    model_3R = _macro(scores_NK, targets_NK, weights_RE, codes_N)
    differences = {}
    for name, rival_NK in rivals.items():
        differences_3R = model_3R - _macro(rival_NK, targets_NK, weights_RE, codes_N)
        intervals = [_interval(differences_R, len(entities)) for differences_R in differences_3R]
        differences[name] = dict(zip(("auroc", "ap", "log_loss"), intervals, strict=True))
    return differences


def _check(values_NK: Matrix, targets_NK: Matrix, names: Sequence[object] | None = None) -> None:
    """Two matrices of the same shape, values in [0, 1], targets 0, 1 or unknown; and a name a column."""
    if values_NK.ndim != 2 or values_NK.shape != targets_NK.shape:
        raise DataError(
            "scores and targets must have the same shape (examples, labels), however: "
            f"{values_NK.shape} and {targets_NK.shape}"
        )
    labels = targets_NK.shape[1]
    if names is not None and len(names) != labels:
        raise DataError(f"class names must be one a label, however: {len(names)} for {labels} labels")
    if not bool(np.all((values_NK >= 0.0) & (values_NK <= 1.0))):
        raise DataError("scores must be probabilities in [0, 1], however: some are outside or NaN")
    if not bool(np.all((targets_NK <= 1) | (targets_NK == UNKNOWN))):
        raise DataError(f"targets must be 0, 1 or {UNKNOWN} (unknown), however: some are not")


def _score_label(name: str, scores_N: Matrix, targets_N: Matrix) -> LabelScore:
    known_N = targets_N != UNKNOWN
    scores_M, targets_M = scores_N[known_N].astype(np.float64), targets_N[known_N]
    examples, support = len(targets_M), int(np.sum(targets_M))
    if not examples:
        return LabelScore(name, 0, 0, None, None, None, None, None, None, "no example")
    auroc = ap = lift = undefined = None
    if support:
        once_1M, rows_M = np.ones((1, examples), np.uint8), np.arange(examples)
        auroc_1, ap_1 = _auroc_ap(_rank(scores_M, targets_M), once_1M, rows_M)
        auroc, ap = float(auroc_1[0]), float(ap_1[0])
        lift = ap * examples / support
    if support in (0, examples):
        auroc, undefined = None, "no negative example" if support else "no positive example"
    brier = float(np.mean((scores_M - targets_M) ** 2))
    log_loss = float(np.mean(_losses(scores_M, targets_M)))
    prevalence = support / examples
    return LabelScore(name, examples, support, prevalence, auroc, ap, lift, brier, log_loss, undefined)


def _losses(scores_M: Matrix, targets_M: Matrix) -> Floats:
    """The negative log-likelihood of each known target."""
    inside_M = np.clip(scores_M.astype(np.float64), _SMALLEST, 1.0 - _SMALLEST)
    return np.asarray(-np.log(np.where(targets_M == 1, inside_M, 1.0 - inside_M)))


def _mean(defined: Sequence[LabelScore], weights: Sequence[int], labels: int) -> MeanScore:
    if not defined:
        return MeanScore(None, None, None, 0, labels)
    scores = np.array([(score.auroc, score.ap, score.log_loss) for score in defined], dtype=np.float64)
    auroc, ap, log_loss = np.average(scores, axis=0, weights=weights).tolist()
    return MeanScore(auroc, ap, log_loss, len(defined), labels)


def _rank(scores_N: Matrix, targets_N: Matrix) -> _Ranking:
    """Sort one label once, for any number of weightings."""
    rows_M = np.flatnonzero(targets_N != UNKNOWN)
    rows_M = rows_M[np.argsort(-scores_N[rows_M])]
    scores_M, positive_M = scores_N[rows_M], targets_N[rows_M] == 1
    changes = np.flatnonzero(scores_M[1:] != scores_M[:-1]) + 1
    bounds = np.concatenate([[0], changes, [len(rows_M)]])
    positives_before = np.concatenate([[0], np.cumsum(positive_M)])[bounds]
    holds_positive = np.flatnonzero(np.diff(positives_before))
    return _Ranking(
        rows_M,
        rows_M[positive_M],
        starts=bounds[holds_positive],
        ends=bounds[holds_positive + 1],
        positive_starts=positives_before[holds_positive],
        positive_ends=positives_before[holds_positive + 1],
    )


def _auroc_ap(ranking: _Ranking, weights_RE: Weights, codes_N: Integers) -> tuple[Floats, Floats]:
    """Weighted AUROC and average precision of a label with a positive; NaN in replicates where undefined.

    `weights_RE` are counts of each entity; `codes_N` is the entity, a column of it, of each example.
    """
    codes_M, codes_P = codes_N[ranking.rows], codes_N[ranking.positive_rows]
    all_RM = np.cumsum(np.take(weights_RE, codes_M, axis=1), axis=1, dtype=np.int32)
    positive_RP = np.cumsum(np.take(weights_RE, codes_P, axis=1), axis=1, dtype=np.int32)
    positives_R = positive_RP[:, -1].astype(np.float64)
    negatives_R = all_RM[:, -1] - positives_R
    positive_above_RG = _before(positive_RP, ranking.positive_starts)
    positive_through_RG = _before(positive_RP, ranking.positive_ends)
    group_RG = positive_through_RG - positive_above_RG
    through_RG = _before(all_RM, ranking.ends)
    negative_above_RG = _before(all_RM, ranking.starts) - positive_above_RG
    negative_through_RG = through_RG - positive_through_RG
    # Of the negatives, those below the group are beaten and those in it count half.
    beaten_RG = negatives_R[:, None] - 0.5 * (negative_above_RG + negative_through_RG)
    precision_RG = positive_through_RG / np.maximum(through_RG, 1.0)
    with np.errstate(invalid="ignore"):
        auroc_R = np.sum(group_RG * beaten_RG, axis=1) / (positives_R * negatives_R)
        return auroc_R, np.sum(group_RG * precision_RG, axis=1) / positives_R


def _before(cumulative_RM: npt.NDArray[np.int32], positions_G: Integers) -> Floats:
    """Sum of the weights at positions [0, position), float64, so that products cannot overflow."""
    sums_RG = np.take(cumulative_RM, np.maximum(positions_G - 1, 0), axis=1).astype(np.float64)
    sums_RG[:, positions_G == 0] = 0.0
    return sums_RG


def _macro(scores_NK: Matrix, targets_NK: Matrix, weights_RE: Weights, codes_N: Integers) -> Floats:
    """Macro AUROC, average precision and log-loss of each replicate, shape (3, R); NaN without a label."""
    sums_3R, defined_R = np.zeros((3, len(weights_RE))), np.zeros(len(weights_RE))
    for label in range(targets_NK.shape[1]):
        ranking = _rank(scores_NK[:, label], targets_NK[:, label])
        if len(ranking.positive_rows) in (0, len(ranking.rows)):
            continue
        rows, entities = ranking.rows, weights_RE.shape[1]
        losses_M = _losses(scores_NK[rows, label], targets_NK[rows, label])
        loss_E = np.bincount(codes_N[rows], losses_M, entities)
        known_E = np.bincount(codes_N[rows], minlength=entities).astype(np.float64)
        size = max(1, _BLOCK_CELLS // max(len(rows), entities))
        for start in range(0, len(weights_RE), size):
            block = slice(start, start + size)
            weights = weights_RE[block]
            auroc_R, ap_R = _auroc_ap(ranking, weights, codes_N)
            defined = ~np.isnan(auroc_R)
            # No matrix product: its last digits depend on the number of threads.
            known_R = np.maximum((weights * known_E).sum(axis=1), 1.0)
            loss_R = (weights * loss_E).sum(axis=1) / known_R
            sums_3R[:, block] += np.where(defined, np.stack([auroc_R, ap_R, loss_R]), 0.0)
            defined_R[block] += defined
    return sums_3R / np.where(defined_R > 0, defined_R, np.nan)


def _poisson_weights(replicates: int, entities: int, seed: int) -> Weights:
    """Drawn row by row, because NumPy draws eight bytes for the one that is kept."""
    generator = np.random.default_rng(seed)
    weights_RE = np.empty((replicates, entities), np.uint8)
    for row in weights_RE:
        row[:] = generator.poisson(1.0, entities)
    return weights_RE


def _interval(differences_R: Floats, entities: int) -> Difference:
    """The first difference is that on the examples, the others are the replicates'."""
    value = None if np.isnan(differences_R[0]) else float(differences_R[0])
    used = differences_R[1:][~np.isnan(differences_R[1:])]
    if entities < 2 or not len(used):  # all resamples of one entity are the same, and say nothing of spread
        return Difference(value, None, None, len(used))
    low, high = (2 * differences_R[0] - np.percentile(used, [97.5, 2.5])).tolist()
    return Difference(value, low, high, len(used))
