"""The memory branch: a sum of embedded events that fade."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.events import EventInputs
from mlc.models.encoders import FieldEmbedding
from mlc.models.reading.batch import Batch, FieldSizes

_WIDTH = 32
"""Length of an event's embedding."""


@dataclass(frozen=True)
class MemorySpec(BranchSpec):
    """Sizes of the memory.

    Attributes:
        sizes: Of the events' fields.
    """

    sizes: FieldSizes


class MemoryBranch(Branch):
    """All columns of the events, in no order.

    Off where there is a foundation, which is a memory itself.
    """

    name = "memory"
    inputs = (EventInputs,)
    spec_type = MemorySpec

    def __init__(self, spec: MemorySpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.memory = DecayedMemory(spec.sizes, _WIDTH)
        self.out = nn.Linear(self.memory.length, width)

    @classmethod
    def spec_of(cls, known: Known) -> MemorySpec | None:
        """See `Branch`."""
        return MemorySpec(known.events) if known.model.memory and known.events else None

    def vectors(self, batch: Batch) -> torch.Tensor:
        """Return what the memory holds of each example, shape (B, length of the memory)."""
        return cast(torch.Tensor, self.memory(batch))

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        return replace(sums, entity_BD=sums.entity_BD + self.out(self.vectors(batch)))

    def fit(self, batches: Sequence[Batch]) -> None:
        """Set the edges of the bins of numbers."""
        self.memory.fields.fit([batch.of(EventInputs).fields_M for batch in batches])


class DecayedMemory(nn.Module):
    """A sum of embedded events that fade with several learned half-lives.

    Order-free, without padding.

    Args:
        sizes: Of the events' fields.
        width: Length D of an event's embedding.
        half_lives_days: Where the half-lives begin.

    Shape:
        batch → `(B, half-lives * D)`.
    """

    def __init__(
        self, sizes: FieldSizes, width: int, half_lives_days: tuple[float, ...] = (7.0, 30.0, 120.0)
    ) -> None:
        super().__init__()
        self.fields = FieldEmbedding(sizes, width)
        self.log_rates = nn.Parameter(-torch.tensor(half_lives_days).log())
        self.length = len(half_lives_days) * width
        self.norm = nn.LayerNorm(self.length)

    def forward(self, batch: Batch) -> torch.Tensor:
        """See Shape above."""
        events = batch.of(EventInputs)
        event_MD = self.fields(events.fields_M)
        weights_MH = torch.exp2(-events.age_M[:, None] * self.log_rates.exp())
        faded = (weights_MH[:, :, None] * event_MD[:, None, :]).flatten(1)
        memory = faded.new_zeros(len(batch), faded.shape[1]).index_add_(0, events.example_M, faded)
        # Sums grow with activity; their direction, and how far they reach on a log scale, is what matters.
        return cast(torch.Tensor, self.norm(torch.sign(memory) * torch.log1p(memory.abs())))
