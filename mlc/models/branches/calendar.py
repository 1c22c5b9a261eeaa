"""The calendar branch: where in the year and in the week the cutoff lies."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import torch

from mlc.models.branches.gathering import BranchInputs, Gather, Place

if TYPE_CHECKING:
    from mlc.models.batches import BatchBuilder

CALENDAR = 6
_DAYS_PER_YEAR = 365.2425
_MICROSECONDS_PER_DAY = timedelta(days=1) // timedelta(microseconds=1)


@dataclass
class CalendarInputs(BranchInputs):
    """The moment of each cutoff.

    Attributes:
        calendar_BC: Sine and cosine of the year and the week, float32; see `calendar`.
    """

    calendar_BC: torch.Tensor

    @classmethod
    def gatherer(cls, source: "BatchBuilder", place: Place) -> Gather:
        """See `BranchInputs`."""
        del source
        calendar_of = place.at_cutoffs(calendar)
        return lambda chosen: cls(calendar_of(chosen))


def calendar(cutoffs_B: np.ndarray) -> np.ndarray:
    """Where in the year and in the week a cutoff lies, as points on circles.

    Args:
        cutoffs_B: Microseconds since 1970, int64.

    Returns:
        float32, shape (B, 6): sine and cosine of one and two turns a year, and of one a week.
    """
    days = cutoffs_B / _MICROSECONDS_PER_DAY
    turns = np.stack([days / _DAYS_PER_YEAR, 2 * days / _DAYS_PER_YEAR, days / 7.0], axis=1) % 1.0
    angles = 2 * np.pi * turns
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
