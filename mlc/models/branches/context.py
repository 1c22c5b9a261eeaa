"""The context branch: the newest events of each example, read one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never, cast

import torch
from torch import nn

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.calendar import CalendarInputs
from mlc.models.branches.events import EventInputs
from mlc.models.branches.sequences import Recurrent, Sequences, Transformer
from mlc.models.encoders import FieldEmbedding
from mlc.models.reading.batch import Batch, Fields, FieldSizes

_SIZES = {
    "gru": {"nano": (32, 1), "small": (64, 1), "base": (128, 1), "large": (256, 2)},
    "transformer": {"nano": (32, 1), "small": (64, 2), "base": (128, 2), "large": (256, 4)},
}
"""Kind and preset → width, layers."""
_DAYS_PER_WEEK = 7.0
_SINE_OF_WEEK, _COSINE_OF_WEEK = 2, 5  # of the cutoff, in `calendar`
_TIMES = 4


@dataclass(frozen=True)
class ContextSpec(BranchSpec):
    """Sizes of the context.

    Attributes:
        kind: What reads the sequence.
        width: Length D of an event's embedding and of the vector; for attention a multiple of 32.
        layers: Layers of it.
        dropout: Dropout on the embedded events.
        sizes: Of the events' fields.
    """

    kind: Literal["gru", "transformer"]
    width: int
    layers: int
    dropout: float
    sizes: FieldSizes


class ContextBranch(Branch):
    """One vector for each example, from the sequence of its events.

    It sees all columns of the events, how long ago each was, how long after the one before, and the day of
    the week. A learned token stands before the events, so that an example without any has a vector too.
    """

    name = "context"
    inputs = (EventInputs, CalendarInputs)
    spec_type = ContextSpec

    def __init__(self, spec: ContextSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        sizes = replace(spec.sizes, numbers=spec.sizes.numbers + _TIMES)
        self.fields = FieldEmbedding(sizes, spec.width)
        self.first = nn.Parameter(torch.randn(spec.width) * 0.1)
        self.dropout = nn.Dropout(spec.dropout)
        self.encoder: Recurrent | Transformer
        match spec.kind:
            case "gru":
                self.encoder = Recurrent(spec.width, spec.layers)
            case "transformer":
                self.encoder = Transformer(spec.width, spec.layers)
            case _:
                assert_never(spec.kind)
        self.out = nn.Linear(spec.width, width)

    @classmethod
    def spec_of(cls, known: Known) -> ContextSpec | None:
        """See `Branch`."""
        kind = known.model.context
        if kind == "none" or not known.events:
            return None
        return ContextSpec(kind, *_SIZES[kind][known.model.preset], known.dropout, known.events)

    def vectors(self, batch: Batch) -> torch.Tensor:
        """Return the vector of each example, shape (B, width of the context)."""
        sequences = Sequences.of(batch.of(EventInputs).example_M, len(batch))
        event_MD = self.dropout(self.fields(with_times(batch, sequences)))
        first_BD = self.first.to(event_MD.dtype).expand(len(batch), -1)
        return cast(torch.Tensor, self.encoder(torch.cat([first_BD, event_MD]), sequences))

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        return replace(sums, entity_BD=sums.entity_BD + self.out(self.vectors(batch)))

    def fit(self, batches: Sequence[Batch]) -> None:
        """Set the edges of the bins of numbers."""
        self.fields.fit(
            [
                with_times(batch, Sequences.of(batch.of(EventInputs).example_M, len(batch)))
                for batch in batches
            ]
        )


def with_times(batch: Batch, sequences: Sequences) -> Fields:
    """Return the fields of each event, with four more numbers.

    These are the logs of its age and of the days since the event before, NaN for the first, and the day of
    the week as a point on a circle.
    """
    events = batch.of(EventInputs)
    age_M = events.age_M
    since_M = age_M.roll(1) - age_M
    since_M = since_M.masked_fill(sequences.position_X[len(batch) :] == 1, torch.nan)
    # The week's angle at the event is that at the cutoff, turned back by the age.
    turned_M = 2 * torch.pi / _DAYS_PER_WEEK * age_M
    cutoff_MC = batch.of(CalendarInputs).calendar_BC.index_select(0, events.example_M)
    sine_M, cosine_M = cutoff_MC[:, _SINE_OF_WEEK], cutoff_MC[:, _COSINE_OF_WEEK]
    times = (
        torch.log1p(age_M),
        torch.log1p(since_M),
        sine_M * turned_M.cos() - cosine_M * turned_M.sin(),
        cosine_M * turned_M.cos() + sine_M * turned_M.sin(),
    )
    numbers_MF = torch.cat([events.fields_M.numbers_XF, torch.stack(times, dim=1)], dim=1)
    return replace(events.fields_M, numbers_XF=numbers_MF)
