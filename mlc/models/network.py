"""The network: per-label cadence, entity attributes, calendar; optionally a memory or foundation, a context.

Logit of label k = prior log-odds + shared multilayer perceptron over (features of the label's history, label
embedding, entity vector) + ⟨entity vector, label vector⟩. Whatever is off contributes nothing.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from mlc.models.batch import Batch, FieldSizes
from mlc.models.branches.attributes import AttributeInputs
from mlc.models.branches.calendar import CALENDAR, CalendarInputs
from mlc.models.branches.events import EventInputs
from mlc.models.branches.foundation import CachedInputs
from mlc.models.branches.history import (
    ENTITY_FEATURES,
    LABEL_FEATURES,
    UNSEEN,
    HistoryInputs,
    entity_features,
    label_features,
    seen_label_features,
)
from mlc.models.branches.popularity import POPULARITY, PopularityInputs
from mlc.models.context import Context, ContextSpec
from mlc.models.encoders import DecayedMemory, FieldEmbedding, PiecewiseLinear, Trunk, ValueCadence
from mlc.scenario import ModelSection

YEAR_GAP_DAYS = 60.0
"""Training that knows nothing of so many days of the year does not know the year."""
_YEAR = [0, 1, 3, 4]
"""Which values of `batches.calendar` are of the year; the others are of the week."""

_SIZES = {"nano": (32, 1, 0.1), "small": (64, 1, 0.2), "base": (256, 2, 0.2), "large": (512, 3, 0.3)}
"""Preset → width, depth, dropout of the entity branch."""
_CONTEXT_SIZES = {
    "gru": {"nano": (32, 1), "small": (64, 1), "base": (128, 1), "large": (256, 2)},
    "transformer": {"nano": (32, 1), "small": (64, 2), "base": (128, 2), "large": (256, 4)},
}
"""Kind and preset → width, layers of the context."""


@dataclass(frozen=True)
class TrunkSpec:
    """What a network has of a foundation model.

    Attributes:
        width: Length of an event's embedding.
        vector: Length of the entity's vector.
        horizons: Over how many horizons values are foreseen.
        foreseen: Pairs of a label and a value that belongs to it; values are counted from 0.
    """

    width: int
    vector: int
    horizons: int
    foreseen: list[tuple[int, int]]


@dataclass(frozen=True)
class NetworkSpec:
    """All that it takes to build the network again before its weights are loaded.

    Attributes:
        labels: Number of labels K.
        width: Length D of the hidden vectors.
        depth: Residual blocks over (entity, label).
        dropout: Dropout on the entity's side, which sees customers again at many cutoffs.
        history: Whether the label histories are seen.
        calendar: Whether the calendar is seen.
        popularity: Whether the popularity of the labels is seen.
        attributes: Of the entity's fields.
        memory: Of the events' fields; without any the memory is off.
        trunk: Sizes of the pre-trained memory; None for a plain one.
        context: Sizes of the sequence encoder; None where it is off.
    """

    labels: int
    width: int
    depth: int
    dropout: float
    history: bool = True
    calendar: bool = True
    popularity: bool = False
    attributes: FieldSizes = field(default_factory=FieldSizes)
    memory: FieldSizes = field(default_factory=FieldSizes)
    trunk: TrunkSpec | None = None
    context: ContextSpec | None = None

    @classmethod
    def of(
        cls,
        model: ModelSection,
        labels: int,
        attributes: FieldSizes,
        events: FieldSizes,
        trunk: TrunkSpec | None = None,
    ) -> "NetworkSpec":
        """The network of a scenario, given the fields of the entities and of the events."""
        width, depth, dropout = _SIZES[model.preset]
        context = None
        if model.context != "none" and events:
            context = ContextSpec(
                model.context, *_CONTEXT_SIZES[model.context][model.preset], dropout, events
            )
        memory = events if model.memory or trunk is not None else FieldSizes()
        seen = (model.history, model.calendar, model.popularity, attributes, memory, trunk, context)
        return cls(labels, width, depth, dropout, *seen)

    def as_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "NetworkSpec":
        """The inverse of `as_json`."""
        trunk, context = value["trunk"], value["context"]
        parts = {
            "attributes": FieldSizes(**value["attributes"]),
            "memory": FieldSizes(**value["memory"]),
            "trunk": TrunkSpec(**trunk) if trunk else None,
            "context": ContextSpec(**{**context, "sizes": FieldSizes(**context["sizes"])})
            if context
            else None,
        }
        return cls(**{**value, **parts})


class Network(nn.Module):
    """From a batch to one logit for each (example, label).

    Args:
        spec: Its sizes.

    Shape:
        `Batch` of B examples → `(B, K)`.
    """

    prior_K: torch.Tensor
    calendar_known_C: torch.Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        width = spec.width
        self.register_buffer("prior_K", torch.zeros(spec.labels))
        self.label_numbers = PiecewiseLinear(len(LABEL_FEATURES), width) if spec.history else None
        self.entity_numbers = PiecewiseLinear(len(ENTITY_FEATURES), width) if spec.history else None
        self.attributes = FieldEmbedding(spec.attributes, width) if spec.attributes else None
        self.calendar = nn.Linear(CALENDAR, width) if spec.calendar else None
        if spec.calendar:
            self.register_buffer("calendar_known_C", torch.ones(CALENDAR))
        # One bin: a line within what training saw, level beyond it.
        self.popularity = PiecewiseLinear(POPULARITY, width, 1) if spec.popularity else None
        self.memory: DecayedMemory | Trunk | None = None
        self.foreseen: Foreseen | None = None
        self.trunk_rate: float | None = None
        if spec.memory:
            trunk = spec.trunk
            self.memory = (
                Trunk(spec.memory, trunk.width, trunk.vector) if trunk else DecayedMemory(spec.memory, 32)
            )
            self.memory_out = nn.Linear(self.memory.length, width)
        self.context = Context(spec.context) if spec.context is not None else None
        if spec.context is not None:
            self.context_out = nn.Linear(spec.context.width, width)
        if spec.trunk is not None and spec.trunk.foreseen:
            self.foreseen = Foreseen(spec.trunk, spec.labels, spec.memory.categories)
            self.foreseen_out = nn.Linear(spec.trunk.horizons, width, bias=False)
            # Which horizon to believe: a new network says what the foundation says of the nearest.
            self.foreseen_direct_KH = nn.Parameter(torch.zeros(spec.labels, spec.trunk.horizons))
        self.entity_mlp = nn.Sequential(
            nn.GELU(), nn.Dropout(spec.dropout), nn.Linear(width, width), nn.GELU(), nn.Dropout(spec.dropout)
        )
        self.entity_to_label = nn.Linear(width, width)
        self.label_embedding = nn.Parameter(torch.randn(spec.labels, width) * 0.1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(spec.depth)
        )
        self.out = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Linear(width, 1))
        self.entity_vector = nn.Linear(width, width)
        self.label_vector = nn.Parameter(torch.zeros(spec.labels, width))

    def features(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """History features of entities, (B, F), and of labels, (B, K, F)."""
        entity_BF = entity_features(batch.of(HistoryInputs), self.spec.labels)
        return entity_BF, label_features(batch.of(HistoryInputs), self.spec.labels, entity_BF)

    def vectors(self, batch: Batch) -> torch.Tensor:
        """What the memory holds of each example, shape (B, length of the memory)."""
        assert self.memory is not None
        return cast(torch.Tensor, self.memory(batch))

    def remember(self, batch: Batch) -> torch.Tensor:
        """All that is made of the events of the memory, shape (B, R): the vector, then what is foreseen."""
        vectors = self.vectors(batch)
        if self.foreseen is None:
            return vectors
        return torch.cat([vectors, self.foreseen(batch, vectors).flatten(1)], dim=1)

    def forward(self, batch: Batch) -> torch.Tensor:
        """See Shape above."""
        entity_BD = self.label_embedding.new_zeros(len(batch), self.spec.width)
        hidden_BKD = self.label_embedding.expand(len(batch), -1, -1)
        direct_BK = self.prior_K.new_zeros(len(batch), self.spec.labels)
        if self.label_numbers is not None and self.entity_numbers is not None:
            entity_BF = entity_features(batch.of(HistoryInputs), self.spec.labels)
            entity_BD = entity_BD + self.entity_numbers(entity_BF)
            hidden_BKD = hidden_BKD + self._seen(batch, entity_BF)
        if self.popularity is not None:
            hidden_BKD = hidden_BKD + self.popularity(batch.of(PopularityInputs).popularity_BKP)
        if self.attributes is not None:
            entity_BD = self.attributes(batch.of(AttributeInputs).fields_B, entity_BD)
        if self.calendar is not None:
            entity_BD = entity_BD + self.calendar(
                batch.of(CalendarInputs).calendar_BC * self.calendar_known_C
            )
        if self.memory is not None:
            remembered_BR = (
                batch.of(CachedInputs).cached_BR if CachedInputs in batch.inputs else self.remember(batch)
            )
            entity_BD = entity_BD + self.memory_out(remembered_BR[:, : self.memory.length])
            if self.foreseen is not None:
                foreseen_BR = remembered_BR[:, self.memory.length :]
                foreseen_BKH = foreseen_BR.reshape(len(batch), self.spec.labels, -1)
                hidden_BKD = hidden_BKD + self.foreseen_out(foreseen_BKH)
                direct_BK = (foreseen_BKH * self.foreseen_direct_KH).sum(-1)
        if self.context is not None:
            entity_BD = entity_BD + self.context_out(self.context(batch))
        entity_BD = self.entity_mlp(entity_BD)
        hidden_BKD = hidden_BKD + self.entity_to_label(entity_BD)[:, None, :]
        for block in self.blocks:
            hidden_BKD = hidden_BKD + block(hidden_BKD)
        logits_BK = self.out(hidden_BKD).squeeze(-1)
        matched_BK = self.entity_vector(entity_BD) @ self.label_vector.T / math.sqrt(self.spec.width)
        return cast(torch.Tensor, self.prior_K + direct_BK + logits_BK + matched_BK)

    def _seen(self, batch: Batch, entity_BF: torch.Tensor) -> torch.Tensor:
        """What the history says of each label, (B, K, D); all labels without an event share one vector."""
        assert self.label_numbers is not None
        pair_P, seen_PF = seen_label_features(batch.of(HistoryInputs), self.spec.labels, entity_BF)
        vectors: torch.Tensor = self.label_numbers(torch.cat([seen_PF, seen_PF.new_tensor([UNSEEN])]))
        everywhere = vectors[-1].expand(len(batch) * self.spec.labels, -1)
        return everywhere.index_copy(0, pair_P, vectors[:-1]).view(len(batch), self.spec.labels, -1)

    @torch.no_grad()
    def fit(self, batches: list[Batch], positives_K: torch.Tensor, known_K: torch.Tensor) -> None:
        """Set what is counted, not learned: quantile edges, prior log-odds, what is known of the calendar.

        Args:
            batches: A sample of the training batches.
            positives_K: Positive training targets of each label.
            known_K: Known training targets of each label.
        """
        share_K = (positives_K + 0.5) / (known_K + 1.0)  # never 0 or 1
        self.prior_K.copy_(torch.logit(share_K))
        if self.label_numbers is not None and self.entity_numbers is not None:
            features = [self.features(batch) for batch in batches]
            self.entity_numbers.fit(torch.cat([entity for entity, _ in features]))
            self.label_numbers.fit(torch.cat([label.flatten(0, 1) for _, label in features]))
        if self.calendar is not None:
            self.calendar_known_C.copy_(
                known_calendar(torch.cat([batch.of(CalendarInputs).calendar_BC for batch in batches]))
            )
        if self.attributes is not None:
            self.attributes.fit([batch.of(AttributeInputs).fields_B for batch in batches])
        if self.popularity is not None:
            self.popularity.fit(
                torch.cat([batch.of(PopularityInputs).popularity_BKP.flatten(0, 1) for batch in batches])
            )
        if isinstance(self.memory, DecayedMemory):
            self.memory.fields.fit([batch.of(EventInputs).fields_M for batch in batches])
        if self.context is not None:
            self.context.fit(batches)

    def pretrained(self) -> list[nn.Parameter]:
        """The parameters that come from a foundation model."""
        if not isinstance(self.memory, Trunk):
            return []
        return [*self.memory.parameters(), *(self.foreseen.parameters() if self.foreseen else ())]

    @property
    def frozen(self) -> bool:
        """Whether nothing that is made of the events changes in the training."""
        pretrained = self.pretrained()
        fixed = not any(parameter.requires_grad for parameter in pretrained)
        return bool(pretrained) and fixed and self.context is None


def known_calendar(calendar_NC: torch.Tensor) -> torch.Tensor:
    """What of the calendar a training can learn from: all of it, or only the week.

    What training says of a season that it does not know is a guess.

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


class Foreseen(nn.Module):
    """What a foundation model foresees for each label: that any of its values comes within each horizon.

    Args:
        trunk: Which values belong to which label.
        labels: Number of labels K.
        sizes: Vocabulary rows of each category field of the events.

    Shape:
        batch and vectors `(B, vector)` → log-odds `(B, K, horizons)`, less those of the frequencies; 0 for a
        label without a value.
    """

    label_P: torch.Tensor
    value_P: torch.Tensor
    usual_HV: torch.Tensor
    output_R: torch.Tensor
    field_V: torch.Tensor

    def __init__(self, trunk: TrunkSpec, labels: int, sizes: list[int]) -> None:
        super().__init__()
        self.labels = labels
        label_P, value_P = torch.tensor(trunk.foreseen).T
        values = int(value_P.max()) + 1
        self.register_buffer("label_P", label_P, persistent=False)
        self.register_buffer("value_P", value_P, persistent=False)
        self.register_buffer("usual_HV", torch.zeros(trunk.horizons, values))
        self.register_buffer("output_R", torch.full((sum(sizes),), -1))
        self.register_buffer("field_V", torch.zeros(values, dtype=torch.int64))
        self.heads = nn.Linear(trunk.vector, trunk.horizons * values)
        self.cadence = ValueCadence(sizes, trunk.horizons)

    def forward(self, batch: Batch, vectors: torch.Tensor) -> torch.Tensor:
        """See Shape above."""
        cadence_BVH = self.cadence(batch, self.output_R, self.field_V)
        changed_BHV = self.heads(vectors).view(len(vectors), *self.usual_HV.shape) + cadence_BVH.mT
        any_BHK = self._any(self.usual_HV + changed_BHV) - self._any(self.usual_HV[None])
        return any_BHK.transpose(1, 2)

    def _any(self, logits_BHV: torch.Tensor) -> torch.Tensor:
        """Log-odds that any value of a label comes, as if values came independently of each other."""
        none_BHK = logits_BHV.new_zeros(*logits_BHV.shape[:2], self.labels)
        none_BHP = -functional.softplus(logits_BHV.index_select(-1, self.value_P))
        none_BHK = none_BHK.index_add(2, self.label_P, none_BHP).clamp_max(-1e-6)
        return torch.log(-torch.expm1(none_BHK)) - none_BHK
