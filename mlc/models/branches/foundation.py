"""The foundation branch: what a foundation model has learned from the events."""

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.events import EventInputs
from mlc.models.branches.memory import DecayedMemory
from mlc.models.reading.batch import Batch, FieldSizes, Packed

HALF_LIVES_DAYS = (3.0, 10.0, 30.0, 90.0, 270.0)
CADENCE_HALF_LIVES_DAYS = (5.0, 15.0, 45.0, 135.0, 405.0)


@dataclass
class CachedInputs(Packed):
    """What a frozen foundation makes of the events, computed once.

    Such a batch has no `EventInputs`.

    Attributes:
        cached_BR: See `FoundationBranch.to_cache`, float32.
    """

    cached_BR: torch.Tensor


@dataclass(frozen=True)
class FoundationBranchSpec(BranchSpec):
    """What a network takes from a foundation model.

    Attributes:
        sizes: Of the events' fields.
        width: Length of an event's embedding.
        vector: Length of the entity's vector.
        horizons: Over how many horizons values are predicted.
        predicted: Pairs of a label and a value that belongs to it; values are counted from 0.
    """

    sizes: FieldSizes
    width: int
    vector: int
    horizons: int
    predicted: list[tuple[int, int]]


class FoundationBranch(Branch):
    """The vector of the entity, and what is predicted for each label."""

    name = "foundation"
    inputs = (EventInputs,)
    spec_type = FoundationBranchSpec

    def __init__(self, spec: FoundationBranchSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.encoder = EventEncoder(spec.sizes, spec.width, spec.vector)
        self.out = nn.Linear(spec.vector, width)
        self.predictions: LabelPredictions | None = None
        if spec.predicted:
            self.predictions = LabelPredictions(spec, labels)
            self.predictions_out = nn.Linear(spec.horizons, width, bias=False)
            # Which horizon to believe: a new network says what the foundation says of the nearest.
            self.direct_KH = nn.Parameter(torch.zeros(labels, spec.horizons))

    @classmethod
    def spec_of(cls, known: Known) -> BranchSpec | None:
        """See `Branch`."""
        return known.foundation

    def vectors(self, batch: Batch) -> torch.Tensor:
        """Return the vector of each entity, shape (B, vector)."""
        return cast(torch.Tensor, self.encoder(batch))

    def to_cache(self, batch: Batch) -> torch.Tensor:
        """Return all that is made of the events, shape (B, R).

        The vectors, then what is predicted.
        """
        vectors_BV = self.vectors(batch)
        if self.predictions is None:
            return vectors_BV
        return torch.cat([vectors_BV, self.predictions(batch, vectors_BV).flatten(1)], dim=1)

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        cached = CachedInputs in batch.inputs
        made_BR = batch.of(CachedInputs).cached_BR if cached else self.to_cache(batch)
        length = self.encoder.length
        sums = replace(sums, entity_BD=sums.entity_BD + self.out(made_BR[:, :length]))
        if self.predictions is None:
            return sums
        predicted_BKH = made_BR[:, length:].reshape(-1, *self.direct_KH.shape)
        return replace(
            sums,
            hidden_BKD=sums.hidden_BKD + self.predictions_out(predicted_BKH),
            direct_BK=sums.direct_BK + (predicted_BKH * self.direct_KH).sum(-1),
        )

    def pretrained(self) -> list[nn.Parameter]:
        """See `Branch`."""
        return [*self.encoder.parameters(), *(self.predictions.parameters() if self.predictions else ())]

    @property
    def frozen(self) -> bool:
        """Whether nothing that is made of the events changes in the training."""
        return not any(parameter.requires_grad for parameter in self.pretrained())


class EventEncoder(nn.Module):
    """What a foundation model learns and hands on.

    From events to a vector of the entity.

    Args:
        sizes: Of the events' fields.
        width: Length D of an event's embedding.
        vector: Length of the entity's vector.

    Shape:
        batch → `(B, vector)`.
    """

    def __init__(self, sizes: FieldSizes, width: int, vector: int) -> None:
        super().__init__()
        self.memory = DecayedMemory(sizes, width, HALF_LIVES_DAYS)
        self.inner = nn.Linear(self.memory.length, vector)
        self.outer = nn.Sequential(nn.GELU(), nn.Linear(vector, vector))
        self.norm = nn.LayerNorm(vector)
        self.length = vector

    def forward(self, batch: Batch) -> torch.Tensor:
        """See Shape above."""
        inner = self.inner(self.memory(batch))
        return cast(torch.Tensor, self.norm(inner + self.outer(inner)))


class LabelPredictions(nn.Module):
    """What a foundation model predicts for each label.

    That any of its values comes within each horizon.

    Args:
        spec: Which values belong to which label, and the fields of the events.
        labels: Number of labels K.

    Shape:
        batch and vectors `(B, vector)` → log-odds `(B, K, horizons)`, less those of the frequencies; 0 for a
        label without a value.
    """

    label_P: torch.Tensor
    value_P: torch.Tensor
    usual_HV: torch.Tensor
    output_R: torch.Tensor
    field_V: torch.Tensor

    def __init__(self, spec: FoundationBranchSpec, labels: int) -> None:
        super().__init__()
        self.labels = labels
        sizes = spec.sizes.categories
        label_P, value_P = torch.tensor(spec.predicted).T
        values = int(value_P.max()) + 1
        self.register_buffer("label_P", label_P, persistent=False)
        self.register_buffer("value_P", value_P, persistent=False)
        self.register_buffer("usual_HV", torch.zeros(spec.horizons, values))
        self.register_buffer("output_R", torch.full((sum(sizes),), -1))
        self.register_buffer("field_V", torch.zeros(values, dtype=torch.int64))
        self.heads = nn.Linear(spec.vector, spec.horizons * values)
        self.cadence = ValueCadence(sizes, spec.horizons)

    def forward(self, batch: Batch, vectors: torch.Tensor) -> torch.Tensor:
        """See Shape above."""
        cadence_BVH = self.cadence(batch, self.output_R, self.field_V)
        changed_BHV = self.heads(vectors).view(len(vectors), *self.usual_HV.shape) + cadence_BVH.mT
        any_BHK = self._any(self.usual_HV + changed_BHV) - self._any(self.usual_HV[None])
        return any_BHK.transpose(1, 2)

    def _any(self, logits_BHV: torch.Tensor) -> torch.Tensor:
        """Return the log-odds that any value of a label comes, taken as independent."""
        none_BHK = logits_BHV.new_zeros(*logits_BHV.shape[:2], self.labels)
        none_BHP = -functional.softplus(logits_BHV.index_select(-1, self.value_P))
        none_BHK = none_BHK.index_add(2, self.label_P, none_BHP).clamp_max(-1e-6)
        return torch.log(-torch.expm1(none_BHK)) - none_BHK


class ValueCadence(nn.Module):
    """What the past of each value says about its return.

    One small network for all values of all fields. It sees how often the value was there, faded with several
    half-lives, the same of all events, and which field it is.

    Args:
        sizes: Vocabulary rows of each category field of the events.
        horizons: Over how many horizons values are predicted.
        width: Hidden units.

    Shape:
        batch → log-odds `(B, V, horizons)` to add to those of the frequencies.
    """

    starts: torch.Tensor
    rates: torch.Tensor

    def __init__(self, sizes: list[int], horizons: int, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("starts", torch.tensor([0, *sizes[:-1]]).cumsum(0), persistent=False)
        self.register_buffer("rates", 1.0 / torch.tensor(CADENCE_HALF_LIVES_DAYS), persistent=False)
        self.field = nn.Parameter(torch.randn(max(1, len(sizes)), width) * 0.1)
        self.inner = nn.Linear(2 * len(CADENCE_HALF_LIVES_DAYS), width)
        self.outer = nn.Linear(width, horizons)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, batch: Batch, output_R: torch.Tensor, field_V: torch.Tensor) -> torch.Tensor:
        """See Shape above.

        Args:
            batch: Categories, ages and examples of its events are seen.
            output_R: Place among the V values of each vocabulary row, fields end to end; -1 for none.
            field_V: Field of each value.
        """
        examples, values, events = len(batch), len(field_V), batch.of(EventInputs)
        age_M, example_M = events.age_M, events.example_M
        weights_MD = torch.exp2(-age_M[:, None] * self.rates)
        total_BD = weights_MD.new_zeros(examples, len(self.rates)).index_add_(0, example_M, weights_MD)
        place_MF = output_R[events.fields_M.categories_XF + self.starts]
        event_X, column_X = torch.nonzero(place_MF >= 0, as_tuple=True)
        keys_X = example_M[event_X] * values + place_MF[event_X, column_X]
        pair_P, of_X = torch.unique(keys_X, return_inverse=True)
        value_PD = weights_MD.new_zeros(len(pair_P), len(self.rates)).index_add_(0, of_X, weights_MD[event_X])
        example_P = pair_P // values
        fields = torch.arange(len(self.field), device=age_M.device)
        never_BFH = self._logits(
            torch.zeros_like(total_BD)[:, None].expand(-1, len(fields), -1),
            total_BD[:, None].expand(-1, len(fields), -1),
            fields,
        )
        logits_PH = self._logits(value_PD, total_BD[example_P], field_V[pair_P % values])
        everywhere = never_BFH.index_select(1, field_V).flatten(0, 1)
        return everywhere.index_copy(0, pair_P, logits_PH).view(examples, values, -1)

    def _logits(self, value: torch.Tensor, total: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
        # `index_select` adds up gradients in one order; indexing by brackets does so in that of the threads.
        inner = self.inner(torch.log1p(torch.cat([value, total], dim=-1))) + self.field.index_select(0, field)
        return cast(torch.Tensor, self.outer(functional.gelu(inner)))
