"""How much figures of thresholds change between windows, beyond chance.

A range that knows chance alone is too narrow where there are many examples: the next window has another
season, other prices, other customers. The windows of training and validation show how large such changes are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.evaluation.thresholds.deciding import Threshold, decide
from mlc.tables import UNKNOWN

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[Any]

PERIODS_A_WINDOW = 2
_FEWEST = 10  # a share of fewer says nothing of a change
_PRIOR_PAIRS = 10  # a label's own changes count as much as those of all labels once it has this many
_BISECTIONS = 50
_LARGEST = 10.0  # variance of log-odds: anything is possible


@dataclass(frozen=True)
class Windows:
    """Examples of training and validation, by when they were.

    Attributes:
        scores_NK: Calibrated, shape (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        entities_N: The entity of each example.
        periods_N: How many half windows its cutoff lies before the last, whole numbers.
    """

    scores_NK: Matrix
    targets_NK: Matrix
    entities_N: Matrix
    periods_N: Matrix


@dataclass(frozen=True)
class Drift:
    """Variance of the change of a figure's log-odds between windows, beyond chance."""

    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0
    yes: float = 0.0


@dataclass(frozen=True)
class Counts:
    """What each entity adds to the figures of one label, shape (E entities)."""

    hits_E: Floats
    yes_E: Floats
    positives_E: Floats
    all_E: Floats

    @classmethod
    def of(cls, yes_M: Matrix, positive_M: Matrix, codes_M: Matrix, entities: int = 0) -> "Counts":
        """Count by entity.

        Args:
            yes_M: Whether the decision of each known example is yes.
            positive_M: Whether its target is 1.
            codes_M: The entity of each, a number.
            entities: How many there are at least.
        """
        weights = yes_M & positive_M, yes_M, positive_M, np.ones(len(yes_M))
        return cls(*(np.bincount(codes_M, each, entities).astype(np.float64) for each in weights))

    def parts_and_wholes(self) -> dict[str, tuple[Floats, Floats]]:
        """Each figure as a share: what stands above the line, and below."""
        return {
            "precision": (self.hits_E, self.yes_E),
            "recall": (self.hits_E, self.positives_E),
            "f1": (2 * self.hits_E, self.yes_E + self.positives_E),
            "yes": (self.yes_E, self.all_E),
        }


def drifts(thresholds: Sequence[Threshold], windows: Windows) -> list[Drift]:
    """Return how the figures of each threshold changed from window to window.

    Each pair of periods that lie a window apart gives a change of the figure's log-odds and its variance by
    chance, from the same entities in both. The variance beyond chance is that with which the changes are as
    large as they should be; that of a label is averaged with that of all labels, which is steadier.

    Args:
        thresholds: One per label.
        windows: What they decide.

    Returns:
        One per label, in order; zeros where no two periods lie a window apart.

    Source: Paule and Mandel (1982), Consensus values and weighting factors.
    """
    entities, codes_N = np.unique(windows.entities_N, return_inverse=True)
    decided_NK = decide(windows.scores_NK, thresholds) == 1
    pairs: dict[str, list[Floats]] = {figure.name: [] for figure in fields(Drift)}
    labels = range(len(thresholds))
    for label in labels:
        known_N = windows.targets_NK[:, label] != UNKNOWN
        yes_M, positive_M = decided_NK[known_N, label], windows.targets_NK[known_N, label] == 1
        codes_M, periods_M = codes_N[known_N], windows.periods_N[known_N]
        changes = list(_changes(yes_M, positive_M, codes_M, periods_M, len(entities)))
        for name, arrays in pairs.items():
            arrays.append(np.array([pair for figure, *pair in changes if figure == name]).reshape(-1, 2))
    variances = {name: _shrunk(arrays) for name, arrays in pairs.items()}
    return [Drift(**{name: values[label] for name, values in variances.items()}) for label in labels]


def _changes(
    yes_M: Matrix, positive_M: Matrix, codes_M: Matrix, periods_M: Matrix, entities: int
) -> Iterator[tuple[str, float, float]]:
    """Yield each figure, its squared change between periods, and that by chance.

    The two periods are a window apart.
    """
    earlier: dict[int, dict[str, tuple[float, Floats]]] = {}
    for period in np.unique(periods_M):
        inside_M = periods_M == period
        counts = Counts.of(yes_M[inside_M], positive_M[inside_M], codes_M[inside_M], entities)
        figures = {
            name: _log_odds(*each)
            for name, each in counts.parts_and_wholes().items()
            if each[1].sum() >= _FEWEST
        }
        before = earlier.pop(period - PERIODS_A_WINDOW, {})
        earlier = {at: each for at, each in earlier.items() if at > period - PERIODS_A_WINDOW}
        earlier[period] = figures
        for name in before.keys() & figures.keys():
            (value, each_E), (other, others_E) = figures[name], before[name]
            by_chance = float(np.sum((each_E - others_E) ** 2))
            if by_chance > 0.0:
                yield name, (value - other) ** 2, by_chance


def _log_odds(parts_E: Floats, wholes_E: Floats) -> tuple[float, Floats]:
    """Return the log-odds of a share, and what each entity moves them by.

    Half an example is added on either side.
    """
    part, whole = float(parts_E.sum()), float(wholes_E.sum())
    share = (part + 0.5) / (whole + 1.0)
    return float(np.log(share / (1.0 - share))), (parts_E - share * wholes_E) / whole / (
        share * (1.0 - share)
    )


def _shrunk(pairs: Sequence[Floats]) -> list[float]:
    """The variance beyond chance of each label."""
    of_all = beyond_chance(np.concatenate(pairs))
    return [
        (len(own) * beyond_chance(own) + _PRIOR_PAIRS * of_all) / (len(own) + _PRIOR_PAIRS) for own in pairs
    ]


def beyond_chance(pairs_P2: Floats) -> float:
    """What the variances lack for squared changes to be on average as large.

    0 where they lack nothing.

    Args:
        pairs_P2: A squared change and its variance by chance in each of P rows.

    Examples:
        >>> round(beyond_chance(np.array([[4.0, 1.0], [2.0, 1.0]])), 3)
        2.0
    """
    squares_P, variances_P = pairs_P2.T
    if not len(squares_P) or np.mean(squares_P / variances_P) <= 1.0:
        return 0.0
    low, high = 0.0, _LARGEST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_small = np.mean(squares_P / (variances_P + middle)) > 1.0
        low, high = (middle, high) if too_small else (low, middle)
    return low
