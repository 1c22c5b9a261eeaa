"""How well the scores of each label rank positives before negatives, and means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.errors import DataError
from mlc.evaluation.metrics.checking import check_scores, losses
from mlc.evaluation.metrics.intervals import (
    Influence,
    Interval,
    TieGroups,
    ap_influence,
    around,
    auroc_influence,
    auroc_interval,
    mean_influence,
    mean_interval,
)
from mlc.evaluation.metrics.support import Support
from mlc.tables import UNKNOWN

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Matrix = npt.NDArray[Any]

_CALIBRATION_GROUPS = 10


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
        auroc_interval: Ends of the 95 % interval, inclusive; None without two entities, or with constant
            scores.
        ap_interval: The same for `ap`; also None without two positives and two negatives, or where all
            positives stand above all negatives.
        calibration_error: Mean distance of mean score and share of positives, over ten groups of equal size.
        lift_1: Share of positives among the 1 % with the highest scores, over the prevalence; at least one.
        lift_5: The same for 5 %.
        lift_10: The same for 10 %.
        positive_entities: Entities with a positive example.
        negative_entities: Entities with a negative example; one with both counts twice.
        not_judged: Why no verdict rests on the label; None where one may.
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
    auroc_interval: Interval = None
    ap_interval: Interval = None
    calibration_error: float | None = None
    lift_1: float | None = None
    lift_5: float | None = None
    lift_10: float | None = None
    positive_entities: int = 0
    negative_entities: int = 0
    not_judged: str | None = None


@dataclass(frozen=True)
class MeanScore:
    """Means over `labels_defined` of the K labels, None where that is none.

    Intervals as for one label.
    """

    auroc: float | None
    ap: float | None
    log_loss: float | None
    labels_defined: int
    labels: int
    auroc_interval: Interval = None
    ap_interval: Interval = None


@dataclass(frozen=True)
class OverallScore:
    """Means over labels.

    Attributes:
        macro: Defined labels count alike.
        micro: All known cells as one label.
        weighted: Defined labels count by their support.
        judged: The macro mean over the labels with enough entities for a verdict.
    """

    macro: MeanScore
    micro: MeanScore
    weighted: MeanScore
    judged: MeanScore

    @property
    def headline(self) -> MeanScore:
        """Return the macro mean over the judged labels, or over all defined ones.

        The latter is for reports in which none is judged.
        """
        return self.judged if self.judged.labels_defined else self.macro


def score_labels(
    scores_NK: Matrix, targets_NK: Matrix, class_names: Sequence[str], entities_N: Matrix | None = None
) -> list[LabelScore]:
    """AUROC, average precision, calibration and lift of each label.

    Args:
        scores_NK: Probabilities in [0, 1], shape (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        class_names: The K names, in column order.
        entities_N: The entity of each example, for the intervals. Default: each example is one.

    Returns:
        One entry per label, in order. Tied scores count half in AUROC and are one step of average precision.

    Raises:
        DataError: Shapes differ, a score is NaN or outside [0, 1] (logits given by mistake), or a target is
            none of 0, 1, 255.

    Examples:
        >>> score = score_labels(np.array([[0.9], [0.2]]), np.array([[1], [0]], np.uint8), ["Dress"])[0]
        >>> score.auroc, score.ap, score.lift, round(score.brier, 3)
        (1.0, 1.0, 2.0, 0.025)

    Source: Fawcett (2006), An introduction to ROC analysis, section 7; average precision as in scikit-learn.
    """
    check_scores(scores_NK, targets_NK, class_names)
    codes_N, entities = _codes(entities_N, len(targets_NK))
    return [
        _score_label(name, _influences(scores_NK[:, label], targets_NK[:, label], codes_N, entities))
        for label, name in enumerate(class_names)
    ]


def overall_scores(
    scores_NK: Matrix,
    targets_NK: Matrix,
    label_scores: Sequence[LabelScore],
    entities_N: Matrix | None = None,
) -> OverallScore:
    """Return macro, micro and support-weighted means of AUROC, AP and log-loss.

    Macro and weighted leave a label with only positives out of both: its average precision is always 1.

    Args:
        scores_NK: As for `score_labels`.
        targets_NK: As for `score_labels`.
        label_scores: The result of `score_labels` on the same arrays.
        entities_N: As for `score_labels`.

    Raises:
        DataError: As for `score_labels`.

    Examples:
        >>> scores, targets = np.array([[0.9, 0.5], [0.2, 0.6]]), np.array([[1, 0], [0, 0]], np.uint8)
        >>> overall_scores(scores, targets, score_labels(scores, targets, ["Dress", "Skirt"])).macro.ap
        1.0
    """
    check_scores(scores_NK, targets_NK, label_scores)
    codes_N, entities = _codes(entities_N, len(targets_NK))
    defined = [
        _influences(scores_NK[:, label], targets_NK[:, label], codes_N, entities)
        for label, score in enumerate(label_scores)
        if score.undefined is None
    ]
    judged = [one for one in defined if one.support.enough]
    known_NK = targets_NK != UNKNOWN
    cells_N = np.repeat(codes_N, known_NK.sum(axis=1))
    micro = _influences(scores_NK[known_NK], targets_NK[known_NK], cells_N, entities)
    known_labels = sum(score.examples > 0 for score in label_scores)
    support = [float(np.sum(one.targets_M)) for one in defined]
    labels = len(label_scores)
    return OverallScore(
        macro=_mean(defined, [1.0] * len(defined), labels),
        micro=replace(_mean([micro], [1.0], labels), labels_defined=known_labels),
        weighted=_mean(defined, support, labels),
        judged=_mean(judged, [1.0] * len(judged), labels),
    )


@dataclass(frozen=True)
class _Known:
    """The known examples of one label, their order, and two figures with influences."""

    scores_M: Floats
    targets_M: Matrix
    support: Support
    ties: TieGroups
    auroc: Influence | None
    ap: Influence | None


def _codes(entities_N: Matrix | None, examples: int) -> tuple[Integers, int]:
    """The entity of each example as a number, and how many entities there are."""
    if entities_N is None:
        return np.arange(examples), examples
    if entities_N.shape != (examples,):
        raise DataError(f"entities of shape {entities_N.shape} for {examples} examples")
    entities, codes_N = np.unique(entities_N, return_inverse=True)
    return codes_N, len(entities)


def _influences(scores_N: Matrix, targets_N: Matrix, codes_N: Integers, entities: int) -> _Known:
    known_N = targets_N != UNKNOWN
    scores_M, targets_M, codes_M = scores_N[known_N], targets_N[known_N], codes_N[known_N]
    ties = TieGroups.of(scores_M, targets_M)
    support = Support.of(targets_M, codes_M, entities)
    mixed = support.positives and support.negatives
    return _Known(
        scores_M.astype(np.float64),
        targets_M,
        support,
        ties,
        auroc_influence(ties, targets_M, codes_M, entities) if mixed else None,
        ap_influence(ties, targets_M, codes_M, entities) if support.positives else None,
    )


def _score_label(name: str, known: _Known) -> LabelScore:
    scores_M, targets_M, ties = known.scores_M, known.targets_M, known.ties
    examples, support = len(targets_M), int(np.sum(targets_M == 1))
    if not examples:
        return LabelScore(
            name, 0, 0, None, None, None, None, None, None, "no example", not_judged="no example"
        )
    auroc, ap = (None if one is None else one.value for one in (known.auroc, known.ap))
    undefined = None
    if auroc is None:
        undefined = "no negative example" if support else "no positive example"
    prevalence = support / examples
    brier, log_loss = _distances(scores_M, targets_M)
    lift_1, lift_5, lift_10 = (_lift(ties, share, prevalence) for share in (0.01, 0.05, 0.10))
    return LabelScore(
        name,
        examples,
        support,
        prevalence,
        auroc,
        ap,
        None if ap is None else ap / prevalence,
        brier,
        log_loss,
        undefined,
        _auroc_interval(known),
        known.ap.interval() if known.ap else None,
        calibration_error(scores_M, ties),
        lift_1,
        lift_5,
        lift_10,
        known.support.positives,
        known.support.negatives,
        known.support.lacking(),
    )


def _auroc_interval(known: _Known) -> Interval:
    if known.auroc is None:
        return None
    return auroc_interval(known.auroc, known.support.positives, known.support.negatives)


def _distances(scores_M: Floats, targets_M: Matrix) -> tuple[float, float]:
    """Brier score and log-loss."""
    return float(np.mean((scores_M - targets_M) ** 2)), float(np.mean(losses(scores_M, targets_M)))


def _lift(ties: TieGroups, share: float, prevalence: float) -> float | None:
    count = max(1, round(share * len(ties.group_M)))
    return ties.hits_among_first(count) / count / prevalence if prevalence else None


def calibration_error(scores_M: Floats, ties: TieGroups, groups: int = _CALIBRATION_GROUPS) -> float:
    """Return the mean distance of score and share over groups of equal size, by score.

    Tied scores that fall into two groups share their positives evenly: the order of rows says nothing.

    Source: Nixon et al. (2019), Measuring calibration in deep learning, adaptive calibration error.
    """
    bounds = np.linspace(0, len(scores_M), min(groups, len(scores_M)) + 1).round().astype(np.int64)
    hits = np.array([ties.hits_among_first(int(bound)) for bound in bounds])
    totals = np.concatenate([[0.0], np.cumsum(np.sort(scores_M)[::-1])])[bounds]
    return float(np.sum(np.abs(np.diff(totals) - np.diff(hits))) / len(scores_M))


def _mean(known: Sequence[_Known], weights: Sequence[float], labels: int) -> MeanScore:
    """The mean of each score over the labels for which it is defined."""
    weighted = list(zip(known, weights, strict=True))
    aurocs = [(one.auroc, _auroc_interval(one), weight) for one, weight in weighted if one.auroc is not None]
    aps = [(one, one.ap, weight) for one, weight in weighted if one.ap is not None]
    losses_K = [(_distances(one.scores_M, one.targets_M)[1], w) for one, w in weighted if len(one.targets_M)]
    auroc = _average([(part.value, weight) for part, _, weight in aurocs])
    ap = _average([(part.value, weight) for _, part, weight in aps])
    return MeanScore(
        auroc,
        ap,
        _average(losses_K),
        len(known),
        labels,
        _around(auroc, mean_interval(*map(list, zip(*aurocs, strict=True))) if aurocs else None),
        _around(ap, _mean_ap_interval(*map(list, zip(*aps, strict=True))) if aps else None),
    )


def _around(value: float | None, ends: Interval) -> Interval:
    return None if value is None or ends is None else around(value, ends)


def _mean_ap_interval(known: "list[_Known]", aps: "list[Influence]", weights: "list[float]") -> Interval:
    """One variance for all labels.

    A label with too few entities for one may have any average precision.
    """
    if all(one.support.enough for one in known):
        return mean_influence(aps, weights).interval()
    return mean_interval(aps, [part.interval() or (0.0, 1.0) for part in aps], weights)


def _average(weighted: Sequence[tuple[float, float]]) -> float | None:
    values, weights = zip(*weighted, strict=True) if weighted else ((), ())
    return float(np.average(values, weights=weights)) if weighted else None
