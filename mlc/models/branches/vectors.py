"""The vectors branch: what frozen encoders of texts or pictures make of a row."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.gathering import BranchInputs, Gather, Place
from mlc.models.reading.batch import Batch

if TYPE_CHECKING:
    from mlc.models.reading.batches import BatchBuilder


@dataclass
class VectorInputs(BranchInputs):
    """The vectors of each row.

    Attributes:
        vectors_BV: Those of all columns side by side, float32; V is the sum of their lengths.
    """

    vectors_BV: torch.Tensor

    @classmethod
    def gatherer(cls, source: "BatchBuilder", place: Place) -> Gather | None:
        """See `BranchInputs`: events have none."""
        del source, place
        return None


@dataclass(frozen=True)
class VectorsSpec(BranchSpec):
    """Sizes of the vectors.

    Attributes:
        sizes: Length of the vectors of each column.
    """

    sizes: list[int] = field(default_factory=list)


class VectorsBranch(Branch):
    """The sum of a linear map of each normalised vector."""

    name = "vectors"
    inputs = (VectorInputs,)
    spec_type = VectorsSpec

    def __init__(self, spec: VectorsSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.sizes = list(spec.sizes)
        self.maps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width)) for size in self.sizes
        )

    @classmethod
    def spec_of(cls, known: Known) -> None:
        """See `Branch`: off in models of events."""
        del known

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        entity_BD = sums.entity_BD
        parts = torch.split(batch.of(VectorInputs).vectors_BV, self.sizes, dim=1)
        for each, vectors_BV in zip(self.maps, parts, strict=True):
            entity_BD = entity_BD + each(vectors_BV)
        return replace(sums, entity_BD=entity_BD)
