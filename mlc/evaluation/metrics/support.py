"""Which labels have enough entities with and without them for a verdict."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ENOUGH = 10
"""Entities with a positive, and with a negative, that a verdict needs: see `scripts/bench/verdicts.py`."""

VERDICT_RULE = (
    f"Verdicts, comparisons, gates and the intervals of means rest on labels for which at least {ENOUGH} "
    f"entities have a positive example and at least {ENOUGH} a negative one."
)

Integers = npt.NDArray[np.int64]
Matrix = npt.NDArray[Any]


@dataclass(frozen=True)
class Support:
    """Distinct entities behind the targets of one label.

    Thirty positives of one entity count as one.

    Attributes:
        positives: Entities with a positive example.
        negatives: Entities with a negative example; one with both counts twice.
    """

    positives: int
    negatives: int

    @classmethod
    def of(cls, targets_N: Matrix, codes_N: Integers, entities: int) -> "Support":
        """Count the entities with a positive and with a negative example.

        Args:
            targets_N: 0, 1 or 255 (unknown).
            codes_N: The entity of each example, in [0, entities).
            entities: How many there are.
        """
        positives, negatives = (_distinct(codes_N[targets_N == target], entities) for target in (1, 0))
        return cls(positives, negatives)

    @property
    def enough(self) -> bool:
        """Whether a verdict may rest on the label."""
        return min(self.positives, self.negatives) >= ENOUGH

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a variance that rests on the rarer kind."""
        return min(self.positives, self.negatives) - 1

    def lacking(self) -> str | None:
        """Why no verdict may rest on the label; None where one may.

        Examples:
            >>> Support(1, 240).lacking()
            'only 1 entity has a positive example'
            >>> Support(12, 240).lacking()
        """
        if self.enough:
            return None
        if not self.positives and not self.negatives:
            return "no example"
        if not self.positives or not self.negatives:
            return f"no {'negative' if self.positives else 'positive'} example"
        kind = "positive" if self.positives < ENOUGH else "negative"
        count = self.positives if kind == "positive" else self.negatives
        return f"only {count} {'entity has' if count == 1 else 'entities have'} a {kind} example"


def _distinct(codes_M: Integers, entities: int) -> int:
    return int(np.count_nonzero(np.bincount(codes_M, minlength=entities)))
