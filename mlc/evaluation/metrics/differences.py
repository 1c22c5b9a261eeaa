"""The model minus a baseline, for each label and their mean, paired by entity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.errors import DataError
from mlc.evaluation.metrics.checking import check_scores, losses
from mlc.evaluation.metrics.intervals import (
    Influence,
    TieGroups,
    ap_jackknife,
    auroc_influence,
    difference_interval,
    freedom_of,
    loss_influence,
)
from mlc.evaluation.metrics.support import Support
from mlc.tables import UNKNOWN

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Matrix = npt.NDArray[Any]

_SCORES = ("auroc", "ap", "log_loss")


@dataclass(frozen=True)
class Difference:
    """Model minus baseline in one score, with its 95 % interval.

    The score is of one label or a mean over labels.

    Attributes:
        value: On the examples themselves; None where undefined.
        low: Lower end, inclusive and never above the value; None where too few entities are positive or
            negative.
        high: Upper end, inclusive and never below the value.
        labels: How many labels value and interval are over.
    """

    value: float | None
    low: float | None
    high: float | None
    labels: int


def macro_differences(
    scores_NK: Matrix, baselines: Mapping[str, Matrix], targets_NK: Matrix, entities_N: Matrix
) -> dict[str, dict[str, Difference]]:
    """Return model minus each baseline in the macro scores, with 95 % intervals.

    Value and interval are over the same labels: those with enough entities with and without a positive
    (`Support.enough`). The other labels are left out of both, because one or two positives say nothing of how
    another sample would come out.

    Args:
        scores_NK: The model's probabilities in [0, 1], shape (N examples, K labels).
        baselines: Name of each baseline → probabilities of the same shape, in the same order.
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        entities_N: The entity of each example, integers or text, shape (N examples,).

    Returns:
        Baseline → `auroc`, `ap` and `log_loss` → difference. A model is better where the first two are
        positive, and the log-loss negative. All None where no label has enough entities.

    Raises:
        DataError: As for `score_labels`; or `entities_N` has another length.

    Examples:
        >>> targets = np.repeat([[1], [0]], 20, axis=0).astype(np.uint8)
        >>> scores = np.linspace(0.9, 0.1, 40)[:, None]
        >>> macro_differences(scores, {"worst": 1 - scores}, targets, np.arange(40))["worst"]["auroc"]
        Difference(value=1.0, low=1.0, high=1.0, labels=1)
    """
    codes_N, entities = _entities([scores_NK, *baselines.values()], targets_NK, entities_N)
    totals = {name: {score: _Total(score, entities) for score in _SCORES} for name in baselines}
    for label, targets_N in enumerate(targets_NK.T):
        if not Support.of(targets_N, codes_N, entities).enough:
            continue
        known = _Known.of(targets_N, codes_N, entities)
        model = known.figures(scores_NK[:, label])
        for name, baseline_NK in baselines.items():
            baseline = known.figures(baseline_NK[:, label])
            for score, total in totals[name].items():
                total.add(model[score], baseline[score], known.group_E)
    return {
        name: {score: total.difference() for score, total in each.items()} for name, each in totals.items()
    }


def label_differences(
    scores_NK: Matrix, baseline_NK: Matrix, targets_NK: Matrix, entities_N: Matrix
) -> list[dict[str, Difference]]:
    """Return model minus baseline in the scores of each label, with 95 % intervals.

    Over many labels, one in twenty intervals is expected to leave out a difference of 0 by chance.

    Args:
        scores_NK: The model's probabilities in [0, 1], shape (N examples, K labels).
        baseline_NK: Probabilities of the same shape, in the same order.
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        entities_N: The entity of each example, integers or text, shape (N examples,).

    Returns:
        One entry per label, in order: `auroc`, `ap` and `log_loss` → difference. Without a positive or a
        negative all are None; with too few entities only the intervals are.

    Raises:
        DataError: As for `macro_differences`.

    Examples:
        >>> scores, targets = np.array([[0.9], [0.2], [0.4]]), np.array([[1], [0], [0]], np.uint8)
        >>> [label] = label_differences(scores, 1 - scores, targets, np.array([1, 2, 3]))
        >>> label["auroc"]
        Difference(value=1.0, low=None, high=None, labels=1)
    """
    codes_N, entities = _entities([scores_NK, baseline_NK], targets_NK, entities_N)
    differences = []
    for label, targets_N in enumerate(targets_NK.T):
        support = Support.of(targets_N, codes_N, entities)
        if not support.positives or not support.negatives:
            differences.append(dict.fromkeys(_SCORES, Difference(None, None, None, 0)))
            continue
        known = _Known.of(targets_N, codes_N, entities)
        model, baseline = (known.figures(matrix_NK[:, label]) for matrix_NK in (scores_NK, baseline_NK))
        each = {}
        for score in _SCORES:
            total = _Total(score, entities)
            total.add(model[score], baseline[score], known.group_E)
            each[score] = total.difference(interval=support.enough)
        differences.append(each)
    return differences


@dataclass(frozen=True)
class _Known:
    """The known examples of one label.

    Attributes:
        rows_M: Their places among all examples.
        targets_M: 0 or 1.
        codes_M: Their entities.
        group_E: Of each entity: 0 without a known example, 1 with negatives only, 2 with a positive.
    """

    rows_M: Integers
    targets_M: Matrix
    codes_M: Integers
    group_E: Integers

    @classmethod
    def of(cls, targets_N: Matrix, codes_N: Integers, entities: int) -> "_Known":
        rows_M = np.flatnonzero(targets_N != UNKNOWN)
        targets_M, codes_M = targets_N[rows_M], codes_N[rows_M]
        group_E = np.zeros(entities, np.int64)
        group_E[codes_M] = 1
        group_E[codes_M[targets_M == 1]] = 2
        return cls(rows_M, targets_M, codes_M, group_E)

    def figures(self, scores_N: Matrix) -> dict[str, Influence]:
        """AUROC, average precision and log-loss of a label with a positive and a negative."""
        scores_M, entities = scores_N[self.rows_M], len(self.group_E)
        ties = TieGroups.of(scores_M, self.targets_M)
        return {
            "auroc": auroc_influence(ties, self.targets_M, self.codes_M, entities),
            "ap": ap_jackknife(ties, self.targets_M, self.codes_M, entities),
            "log_loss": loss_influence(losses(scores_M, self.targets_M), self.codes_M, entities),
        }


class _Total:
    """One score of model and baseline, summed over labels, by entity."""

    def __init__(self, score: str, entities: int) -> None:
        self._skewed = score == "ap"
        self._labels = 0
        self._sums = [Influence(0.0, 0.0, np.zeros(entities), 0.0) for _ in range(2)]
        self._variance_E = np.zeros(entities)

    def add(self, model: Influence, baseline: Influence, group_E: Integers) -> None:
        """Add one label; `group_E` as for `_Known`."""
        self._labels += 1
        self._sums = [whole.plus(part) for whole, part in zip(self._sums, (model, baseline), strict=True)]
        counts = np.maximum(np.bincount(group_E, minlength=3), 1)
        squares_E = (model.each_E - baseline.each_E) ** 2
        self._variance_E += (np.bincount(group_E, squares_E, minlength=3) / counts)[group_E]

    def difference(self, *, interval: bool = True) -> Difference:
        """The mean over the labels added."""
        if not self._labels:
            return Difference(None, None, None, 0)
        model, baseline = (whole.times(1.0 / self._labels) for whole in self._sums)
        ends: tuple[float | None, float | None] = None, None
        if interval:
            freedom = freedom_of(self._variance_E)
            ends = difference_interval(model, baseline, freedom, skewed=self._skewed)
        return Difference(model.value - baseline.value, *ends, self._labels)


def _entities(matrices: Sequence[Matrix], targets_NK: Matrix, entities_N: Matrix) -> tuple[Integers, int]:
    """The entity of each example as a number, and how many entities there are."""
    for matrix_NK in matrices:
        check_scores(matrix_NK, targets_NK)
    if entities_N.shape != targets_NK.shape[:1]:
        raise DataError(f"expected one entity per example, got {entities_N.shape} for {targets_NK.shape}.")
    entities, codes_N = np.unique(entities_N, return_inverse=True)
    return codes_N, len(entities)
