"""How well the yes or no of each label does, and of all labels together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.errors import DataError
from mlc.evaluation.metrics.checking import check_scores
from mlc.tables import UNKNOWN

Matrix = npt.NDArray[Any]


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
class MeanDecision:
    """Means of precision, recall and F1, each over the labels for which it is defined."""

    precision: float | None
    recall: float | None
    f1: float | None
    precision_labels: int
    recall_labels: int
    labels: int


@dataclass(frozen=True)
class OverallDecision:
    """All decisions together; unknown targets are left out.

    Attributes:
        macro: Labels count alike.
        micro: All known cells as one label.
        weighted: Labels count by their support.
        hamming: Share of known cells that are decided wrong.
        subset_accuracy: Share of examples without a wrong cell.
        labels_predicted: Mean number of yes per example.
        labels_true: Mean number of positives per example.
        empty: Share of examples without a yes.
    """

    macro: MeanDecision
    micro: MeanDecision
    weighted: MeanDecision
    hamming: float | None
    subset_accuracy: float | None
    labels_predicted: float | None
    labels_true: float | None
    empty: float | None


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
    check_scores(decisions_NK, targets_NK, class_names)
    yes_NK, positive_NK = decisions_NK == 1, targets_NK == 1
    if not bool(np.all(yes_NK | (decisions_NK == 0))):
        raise DataError("some decisions are neither 0 nor 1")
    volumes = np.sum(yes_NK & (targets_NK != UNKNOWN), axis=0).tolist()
    supports = np.sum(positive_NK, axis=0).tolist()
    hits = np.sum(yes_NK & positive_NK, axis=0).tolist()
    scores = []
    for name, volume, support, hit in zip(class_names, volumes, supports, hits, strict=True):
        precision, recall = hit / volume if volume else None, hit / support if support else None
        f1 = 2 * hit / (volume + support) if support else None
        scores.append(DecisionScore(name, precision, recall, f1, volume))
    return scores


def overall_decisions(
    decisions_NK: Matrix, targets_NK: Matrix, decision_scores: Sequence[DecisionScore]
) -> OverallDecision:
    """Means over labels and examples of the decisions.

    Args:
        decisions_NK: As for `score_decisions`.
        targets_NK: As for `score_decisions`.
        decision_scores: The result of `score_decisions` on the same arrays.

    Examples:
        >>> decisions, targets = np.array([[1, 1], [0, 0]]), np.array([[1, 0], [0, 0]], np.uint8)
        >>> overall = overall_decisions(decisions, targets, score_decisions(decisions, targets, ["a", "b"]))
        >>> overall.hamming, overall.subset_accuracy, overall.labels_predicted, overall.empty
        (0.25, 0.5, 1.0, 0.5)
    """
    check_scores(decisions_NK, targets_NK, decision_scores)
    known_NK = targets_NK != UNKNOWN
    yes_NK, positive_NK = (decisions_NK == 1) & known_NK, targets_NK == 1
    wrong_N, has_known_N = np.sum(yes_NK != positive_NK, axis=1), np.any(known_NK, axis=1)
    support = np.sum(positive_NK, axis=0).tolist()
    micro = score_decisions(yes_NK[known_NK][:, None], targets_NK[known_NK][:, None], ["micro"])
    examples, known = int(np.sum(has_known_N)), int(np.sum(np.any(known_NK, axis=0)))

    def of_examples(count: float) -> float | None:
        return float(count) / examples if examples else None

    return OverallDecision(
        macro=_mean_decision(decision_scores, [1] * len(decision_scores)),
        micro=replace(
            _mean_decision(micro, [1]), precision_labels=known, recall_labels=known, labels=len(support)
        ),
        weighted=_mean_decision(decision_scores, support),
        hamming=float(wrong_N.sum()) / float(known_NK.sum()) if examples else None,
        subset_accuracy=of_examples(np.sum((wrong_N == 0) & has_known_N)),
        labels_predicted=of_examples(yes_NK.sum()),
        labels_true=of_examples(positive_NK.sum()),
        empty=of_examples(np.sum(has_known_N & ~np.any(yes_NK, axis=1))),
    )


def _mean_decision(scores: Sequence[DecisionScore], weights: Sequence[int]) -> MeanDecision:
    def mean(name: str) -> tuple[float | None, int]:
        pairs = [
            (value, weight)
            for score, weight in zip(scores, weights, strict=True)
            if (value := getattr(score, name)) is not None and weight
        ]
        return (sum(v * w for v, w in pairs) / sum(w for _, w in pairs), len(pairs)) if pairs else (None, 0)

    (precision, decided), (recall, supported), (f1, _) = mean("precision"), mean("recall"), mean("f1")
    return MeanDecision(precision, recall, f1, decided, supported, len(scores))
