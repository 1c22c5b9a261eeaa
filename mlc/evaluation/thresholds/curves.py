"""The validation examples of one label, and what each threshold gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.evaluation.thresholds.floors import ALL_FOLDS
from mlc.tables import UNKNOWN

Matrix = npt.NDArray[Any]

_PRIOR_POSITIVES = 200.0  # with this many, hits as seen and hits as expected count the same


@dataclass(frozen=True)
class Column:
    """The known validation examples of one label, from the highest score down.

    Attributes:
        scores_M: float32.
        targets_M: 0 or 1.
        codes_M: The entity of each, a number.
        folds_M: The fold of each.
        places_M: How many labels of the example score higher, where a policy asks for that.
        cutoffs: How many cutoffs they are of.
        floors: No threshold of `auto` is lower: fold left out → threshold; -1 where none is.
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

    def known_and_sorted(self) -> "Column":
        """Leave out unknown targets and sort once.

        Every fold of the column is then sorted too.
        """
        known = np.flatnonzero(self.targets_M != UNKNOWN)
        order = known[np.argsort(-self.scores_M[known])]
        parts = self.scores_M[order], self.targets_M[order], self.codes_M[order], self.folds_M[order]
        return Column(*parts, None if self.places_M is None else self.places_M[order], self.cutoffs)

    @property
    def positives(self) -> int:
        """How many targets are 1."""
        return int(np.count_nonzero(self.targets_M))

    def without(self, fold: int) -> "Column":
        """The examples of the other folds."""
        others = np.flatnonzero(self.folds_M != fold)
        share = len(others) / len(self.folds_M)
        parts = self.scores_M[others], self.targets_M[others], self.codes_M[others], self.folds_M[others]
        return Column(*parts, None, self.cutoffs * share, self.floors, fold)


@dataclass(frozen=True)
class Curve:
    """What a threshold after each group of tied scores gives, from the highest down.

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
    def of(cls, column: Column) -> "Curve":
        """Count the decisions and hits above each group of tied scores."""
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
        """Return the positives above each threshold, seen and expected, in a mean.

        The more positives, the more those seen count. What the scores expect is scaled to the number of
        positives seen, one added to both: scores of rare labels are often too high.
        """
        positives = self.positives
        scale = (positives + 1.0) / (float(self.expected_G[-1]) + 1.0)
        weight = positives / (positives + _PRIOR_POSITIVES)
        weighed_G: Matrix = weight * self.hits_G + (1.0 - weight) * scale * self.expected_G
        return weighed_G

    def threshold_after(self, group: int) -> float:
        """Midway between the last score that is a yes and the next lower one."""
        last = self.last_G[group]
        lower = self.scores_M[last + 1] if last + 1 < len(self.scores_M) else np.float32(0)
        threshold = np.float32((float(self.scores_M[last]) + float(lower)) / 2)
        if threshold <= lower:  # neighbouring floats have nothing between them
            threshold = self.scores_M[last]
        # The shortest decimal that is this float32: 0.3, where float(threshold) would be 0.30000001192092896.
        return float(str(threshold))
