"""The columns of the events: what memory, foundation and context read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mlc.models.branches.gathering import BranchInputs, Chosen, Gather, Place
from mlc.models.reading.batch import Fields

if TYPE_CHECKING:
    from mlc.models.reading.batches import BatchBuilder


@dataclass
class EventInputs(BranchInputs):
    """The events of each example up to its cutoff, those of all examples end to end.

    Attributes:
        example_M: Example of each event, int64, rising.
        age_M: Days from the event to the cutoff, float32, at least 0.
        fields_M: Its fields.
    """

    example_M: torch.Tensor
    age_M: torch.Tensor
    fields_M: Fields

    @classmethod
    def gatherer(cls, source: "BatchBuilder", place: Place) -> Gather | None:
        """See `BranchInputs`; None where no column of the events is known."""
        if not source.vocabulary.events.names:
            return None
        past_of = place.line(source.inputs.store.events, source.most_events)
        fields_of = place.columns(source.event_columns)

        def gather(chosen: Chosen) -> EventInputs:
            past = past_of(chosen)
            return cls(past.example_X, past.age_X, fields_of(past.index_X))

        return gather
