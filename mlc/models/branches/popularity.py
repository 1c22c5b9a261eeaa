"""The popularity branch: how popular each label is at the cutoff, among all entities."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mlc.models.branches.gathering import BranchInputs, Gather, Place

if TYPE_CHECKING:
    from mlc.models.batches import BatchBuilder

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
