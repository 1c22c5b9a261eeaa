"""The known examples of one label in one split, by falling score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlc.tables import RAW_SCORES, SCORES, UNKNOWN, in_split, scores_of, targets_of

Matrix = npt.NDArray[Any]

_GROUPS = 10


@dataclass(frozen=True)
class Scored:
    """The known examples of one label in one split, by falling score.

    Attributes:
        scores_M: float32.
        raw_M: The scores before calibration, in the same order.
        targets_M: 0 or 1.
    """

    scores_M: Matrix
    raw_M: Matrix
    targets_M: Matrix

    @classmethod
    def of(cls, scores_N: Matrix, raw_N: Matrix, targets_N: Matrix) -> "Scored":
        """Leave out unknown targets, and sort."""
        known_N = targets_N != UNKNOWN
        order_M = np.argsort(-scores_N[known_N], kind="stable")
        return cls(scores_N[known_N][order_M], raw_N[known_N][order_M], targets_N[known_N][order_M])

    def counts(self, thresholds_C: Matrix) -> tuple[Matrix, Matrix]:
        """Return how many scores reach each threshold, and how many of these are positive."""
        yes_C = len(self.scores_M) - np.searchsorted(self.scores_M[::-1], thresholds_C, side="left")
        return yes_C, np.concatenate([[0], np.cumsum(self.targets_M, dtype=np.int64)])[yes_C]

    @property
    def positives(self) -> int:
        """How many examples have the label."""
        return int(self.targets_M.sum())

    def gains(self, shares: Matrix) -> Matrix:
        """Return the share of positives in shares of the examples, by falling score.

        Examples with the same score count alike: their order says nothing.
        """
        counts = np.round(shares * len(self.targets_M))
        ends = np.concatenate([[0], np.flatnonzero(np.diff(self.scores_M)) + 1, [len(self.targets_M)]])
        hits = np.concatenate([[0], np.cumsum(self.targets_M, dtype=np.int64)])[ends]
        reached: Matrix = np.interp(counts, ends, hits) / max(1, self.positives)
        return reached

    def tenths(self, *, raw: bool = False) -> list[tuple[float, float]]:
        """Return mean score and share of positives of ten equal groups, by rising score.

        Args:
            raw: Take the scores before calibration.
        """
        scores_M = self.raw_M if raw else self.scores_M
        order_M = np.argsort(scores_M, kind="stable")
        groups = np.array_split(order_M, min(_GROUPS, len(order_M)))
        return [(float(scores_M[rows].mean()), float(self.targets_M[rows].mean())) for rows in groups]


@dataclass(frozen=True)
class ScoredSplit:
    """Scores and targets of one split, shape (N examples, K labels)."""

    scores_NK: Matrix
    raw_NK: Matrix
    targets_NK: Matrix

    @classmethod
    def of(cls, examples: pl.DataFrame, predictions: pl.DataFrame, split: str) -> "ScoredSplit":
        """Take the rows of a split; predictions are in the order of the examples."""
        rows = in_split(examples, split)
        scores_NK, raw_NK = (scores_of(predictions, column)[rows] for column in (SCORES, RAW_SCORES))
        return cls(scores_NK, raw_NK, targets_of(examples)[rows])

    def label(self, k: int) -> Scored:
        """Return one label."""
        return Scored.of(self.scores_NK[:, k], self.raw_NK[:, k], self.targets_NK[:, k])

    def pooled(self) -> Scored:
        """Return all labels as if they were one."""
        return Scored.of(self.scores_NK.ravel(), self.raw_NK.ravel(), self.targets_NK.ravel())
