"""The popularity branch: how popular each label is among all entities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.gathering import BranchInputs, Gather, Place
from mlc.models.encoders import PiecewiseLinear
from mlc.models.reading.batch import Batch

if TYPE_CHECKING:
    from mlc.models.reading.batches import BatchBuilder

POPULARITY = 4


@dataclass
class PopularityInputs(BranchInputs):
    """The popularity of the labels.

    Attributes:
        popularity_BKP: Of each label at each cutoff, float32, NaN where unknown; see `Popularity.at`.
    """

    popularity_BKP: torch.Tensor

    @classmethod
    def gatherer(cls, source: "BatchBuilder", place: Place) -> Gather | None:
        """See `BranchInputs`; None where nobody has counted it."""
        if source.inputs.popularity is None:
            return None
        popularity_of = place.at_days(source.inputs.popularity.at)
        return lambda chosen: cls(popularity_of(chosen))


class PopularityBranch(Branch):
    """The share of each label, its trend, its season."""

    name = "popularity"
    inputs = (PopularityInputs,)

    def __init__(self, spec: BranchSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        # One bin: a line within what training saw, level beyond it.
        self.numbers = PiecewiseLinear(POPULARITY, width, 1)

    @classmethod
    def spec_of(cls, known: Known) -> BranchSpec | None:
        """See `Branch`."""
        return BranchSpec() if known.model.popularity else None

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        popularity_BKP = batch.of(PopularityInputs).popularity_BKP
        return replace(sums, hidden_BKD=sums.hidden_BKD + self.numbers(popularity_BKP))

    def fit(self, batches: Sequence[Batch]) -> None:
        """Set the least and the greatest of what training saw."""
        popularity = [batch.of(PopularityInputs).popularity_BKP.flatten(0, 1) for batch in batches]
        self.numbers.fit(torch.cat(popularity))
