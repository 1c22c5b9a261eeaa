"""The calendar branch: where in the year and in the week the cutoff lies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.gathering import BranchInputs, Gather, Place
from mlc.models.reading.batch import Batch

if TYPE_CHECKING:
    from mlc.models.reading.batches import BatchBuilder

CALENDAR = 6
YEAR_GAP_DAYS = 60.0
"""Training that does not know this many days of the year does not know the year."""
_YEAR = [0, 1, 3, 4]
"""Which values of `calendar` are of the year; the others are of the week."""
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


class CalendarBranch(Branch):
    """The season and the day of the week of the cutoff."""

    name = "calendar"
    inputs = (CalendarInputs,)
    known_C: torch.Tensor

    def __init__(self, spec: BranchSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.linear = nn.Linear(CALENDAR, width)
        self.register_buffer("known_C", torch.ones(CALENDAR))

    @classmethod
    def spec_of(cls, known: Known) -> BranchSpec | None:
        """See `Branch`."""
        return BranchSpec() if known.model.calendar else None

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        calendar_BC = batch.of(CalendarInputs).calendar_BC * self.known_C
        return replace(sums, entity_BD=sums.entity_BD + self.linear(calendar_BC))

    def fit(self, batches: Sequence[Batch]) -> None:
        """Set what of the calendar the training can know."""
        calendar_NC = torch.cat([batch.of(CalendarInputs).calendar_BC for batch in batches])
        self.known_C.copy_(known_calendar(calendar_NC))


def calendar(cutoffs_B: np.ndarray) -> np.ndarray:
    """Return where in the year and in the week cutoffs lie, as points on circles.

    Args:
        cutoffs_B: Microseconds since 1970, int64.

    Returns:
        float32, shape (B, 6): sine and cosine of one and two turns a year, and of one a week.
    """
    days = cutoffs_B / _MICROSECONDS_PER_DAY
    turns = np.stack([days / _DAYS_PER_YEAR, 2 * days / _DAYS_PER_YEAR, days / 7.0], axis=1) % 1.0
    angles = 2 * np.pi * turns
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def known_calendar(calendar_NC: torch.Tensor) -> torch.Tensor:
    """Return what of the calendar a training can learn from.

    All of it, or only the week. What training says of a season that it does not know is a guess.

    Args:
        calendar_NC: Of a sample of the training examples, shape (N, 6).

    Returns:
        1 or 0 for each value, shape (6): 0 for those of the year where `YEAR_GAP_DAYS` of it lie between one
        example and the next.

    Examples:
        >>> days = torch.arange(0.0, 365.0, 30.0)
        >>> angles = 2 * torch.pi * days[:, None] / torch.tensor([365.0, 182.5, 7.0])
        >>> known_calendar(torch.cat([angles.sin(), angles.cos()], dim=1)).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
        >>> known_calendar(torch.cat([angles.sin(), angles.cos()], dim=1)[:-2]).tolist()
        [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """
    turns_N = (torch.atan2(calendar_NC[:, 0], calendar_NC[:, 3]) / (2 * math.pi)).sort().values
    known_C = torch.ones(CALENDAR)
    gaps_N = torch.cat([turns_N, turns_N[:1] + 1]).diff()
    if not len(gaps_N) or gaps_N.max() * 365.25 >= YEAR_GAP_DAYS:
        known_C[_YEAR] = 0.0
    return known_C
