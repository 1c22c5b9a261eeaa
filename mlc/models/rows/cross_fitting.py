"""Parts are trained without some rows to score these, and then on all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from mlc.evaluation.calibration import SharedMaps
from mlc.tables import UNKNOWN

FOLDS = 3
SEEDS = 2**31
"""Seeds that every solver of scikit-learn takes are below this."""


class Trained(Protocol):
    """Scores rows by what it learned."""

    def __call__(self, rows_M: np.ndarray) -> np.ndarray:
        """Return decisions, which rise with the log-odds.

        Args:
            rows_M: Positions of M rows.

        Returns:
            float64, shape (M, K).
        """


W = TypeVar("W")
T = TypeVar("T", bound=Trained)


@dataclass(frozen=True)
class Folds:
    """Rows of training, dealt out.

    Attributes:
        rows_M: Positions of the rows.
        folds_M: The fold of each, from 0 to 2.
        every: Whether all folds are scored without themselves, or the first alone, which is enough for large
            tables.
    """

    rows_M: np.ndarray
    folds_M: np.ndarray
    every: bool

    @property
    def judged(self) -> np.ndarray:
        """Places of the rows that are scored by parts that were trained without them."""
        return np.arange(len(self.rows_M)) if self.every else np.flatnonzero(self.folds_M == 0)


@dataclass(frozen=True)
class CrossFitted(Generic[W, T]):
    """What cross-fitting found.

    Attributes:
        way: The best way.
        maps: From its decisions to probabilities.
        trained: In this way, on all rows.
        scores_JK: Probabilities of the judged rows, by parts that were trained without them.
    """

    way: W
    maps: SharedMaps
    trained: T
    scores_JK: np.ndarray


def cross_fit(
    fit: Callable[[W, np.ndarray], T], ways: Sequence[W], targets_NK: np.ndarray, folds: Folds
) -> CrossFitted[W, T]:
    """Train a part, in the way of the lowest log-loss on rows that were left out.

    Args:
        fit: Trains it in some way on rows by their positions.
        ways: Candidates.
        targets_NK: Targets of all rows.
        folds: The rows of training.
    """
    judged_J = folds.judged
    targets_JK = targets_NK[folds.rows_M[judged_J]]
    best: tuple[float, W, SharedMaps, np.ndarray] | None = None
    for way in ways:
        decisions_JK = np.zeros(targets_JK.shape)
        for fold in np.unique(folds.folds_M[judged_J]):
            inside_J = folds.folds_M[judged_J] == fold
            trained = fit(way, folds.rows_M[folds.folds_M != fold])
            decisions_JK[inside_J] = trained(folds.rows_M[judged_J[inside_J]])
        maps = SharedMaps.fit(decisions_JK, targets_JK)
        scores_JK = maps.probabilities(decisions_JK)
        loss = _log_loss(scores_JK, targets_JK)
        if best is None or loss < best[0]:
            best = loss, way, maps, scores_JK
    assert best is not None
    _, way, maps, scores_JK = best
    return CrossFitted(way, maps, fit(way, folds.rows_M), scores_JK)


def _log_loss(scores_JK: np.ndarray, targets_JK: np.ndarray) -> float:
    known_JK = targets_JK != UNKNOWN
    if not known_JK.any():
        return 0.0
    own = np.where(targets_JK == 1, scores_JK, 1.0 - scores_JK)[known_JK]
    return float(-np.log(np.maximum(own, 1e-7)).mean())
