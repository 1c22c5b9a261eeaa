"""The network: per-label cadence, entity attributes, calendar, optionally a decayed memory or a foundation.

Logit of label k = prior log-odds + shared multilayer perceptron over (features of the label's history, label
embedding, entity vector) + ⟨entity vector, label vector⟩. Whatever is off contributes nothing.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from mlc.atomic import replacing, write_text
from mlc.batch import Batch
from mlc.encoders import DecayedMemory, FieldEmbedding, PiecewiseLinear, Trunk, ValueCadence
from mlc.history import (
    ENTITY_FEATURES,
    LABEL_FEATURES,
    UNSEEN,
    entity_features,
    label_features,
    seen_label_features,
)
from mlc.scenario import ModelSection

CALENDAR = 6

_SIZES = {"nano": (32, 1, 0.1), "small": (128, 1, 0.2), "base": (256, 2, 0.2)}
"""Preset → width, depth, dropout of the entity branch."""


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
        attribute_sizes: Vocabulary rows of the entity's categories.
        attribute_numbers: Number of its numbers.
        memory_sizes: Vocabulary rows of the events' categories; without any field the memory is off.
        memory_numbers: Number of the events' numbers.
        trunk: Sizes of the pre-trained memory; None for a plain one.
    """

    labels: int
    width: int
    depth: int
    dropout: float
    history: bool = True
    calendar: bool = True
    attribute_sizes: list[int] = field(default_factory=list)
    attribute_numbers: int = 0
    memory_sizes: list[int] = field(default_factory=list)
    memory_numbers: int = 0
    trunk: TrunkSpec | None = None

    @classmethod
    def of(
        cls,
        model: ModelSection,
        labels: int,
        attributes: tuple[list[int], int],
        memory: tuple[list[int], int],
        trunk: TrunkSpec | None = None,
    ) -> "NetworkSpec":
        """The network of a scenario, given (category sizes, numbers) of the entities and of the events."""
        width, depth, dropout = _SIZES[model.preset]
        return cls(labels, width, depth, dropout, model.history, model.calendar, *attributes, *memory, trunk)

    def as_json(self) -> dict[str, Any]:
        """A plain mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "NetworkSpec":
        """The inverse of `as_json`."""
        trunk = value.get("trunk")
        return cls(**{**value, "trunk": TrunkSpec(**trunk) if trunk else None})


class Network(nn.Module):
    """From a batch to one logit for each (example, label).

    Args:
        spec: Its sizes.

    Shape:
        `Batch` of B examples → `(B, K)`.
    """

    prior_K: torch.Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        width = spec.width
        self.register_buffer("prior_K", torch.zeros(spec.labels))
        self.label_numbers = PiecewiseLinear(len(LABEL_FEATURES), width) if spec.history else None
        self.entity_numbers = PiecewiseLinear(len(ENTITY_FEATURES), width) if spec.history else None
        self.attributes = FieldEmbedding(spec.attribute_sizes, width) if spec.attribute_sizes else None
        self.attribute_numbers = (
            PiecewiseLinear(spec.attribute_numbers, width) if spec.attribute_numbers else None
        )
        self.calendar = nn.Linear(CALENDAR, width) if spec.calendar else None
        self.memory: DecayedMemory | Trunk | None = None
        self.foreseen: Foreseen | None = None
        self.trunk_rate: float | None = None
        if spec.memory_sizes or spec.memory_numbers:
            self.memory = _memory(spec)
            self.memory_out = nn.Linear(self.memory.length, width)
        if spec.trunk is not None and spec.trunk.foreseen:
            self.foreseen = Foreseen(spec.trunk, spec.labels, spec.memory_sizes)
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
        entity_BF = entity_features(batch, self.spec.labels)
        return entity_BF, label_features(batch, self.spec.labels, entity_BF)

    def vectors(self, batch: Batch) -> torch.Tensor:
        """What the memory holds of each example, shape (B, length of the memory)."""
        assert self.memory is not None
        events = (batch.categories_M, batch.numbers_M, batch.age_M, batch.example_M)
        return cast(torch.Tensor, self.memory(*events, len(batch)))

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
            entity_BF = entity_features(batch, self.spec.labels)
            entity_BD = entity_BD + self.entity_numbers(entity_BF)
            hidden_BKD = hidden_BKD + self._seen(batch, entity_BF)
        if self.attributes is not None:
            entity_BD = entity_BD + self.attributes(batch.categories_BA)
        if self.attribute_numbers is not None:
            entity_BD = entity_BD + self.attribute_numbers(batch.numbers_BN)
        if self.calendar is not None:
            entity_BD = entity_BD + self.calendar(batch.calendar_BC)
        if self.memory is not None:
            remembered_BR = batch.remembered_BR if batch.remembered_BR.numel() else self.remember(batch)
            entity_BD = entity_BD + self.memory_out(remembered_BR[:, : self.memory.length])
            if self.foreseen is not None:
                foreseen_BR = remembered_BR[:, self.memory.length :]
                foreseen_BKH = foreseen_BR.reshape(len(batch), self.spec.labels, -1)
                hidden_BKD = hidden_BKD + self.foreseen_out(foreseen_BKH)
                direct_BK = (foreseen_BKH * self.foreseen_direct_KH).sum(-1)
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
        pair_P, seen_PF = seen_label_features(batch, self.spec.labels, entity_BF)
        vectors: torch.Tensor = self.label_numbers(torch.cat([seen_PF, seen_PF.new_tensor([UNSEEN])]))
        everywhere = vectors[-1].expand(len(batch) * self.spec.labels, -1)
        return everywhere.index_copy(0, pair_P, vectors[:-1]).view(len(batch), self.spec.labels, -1)

    @torch.no_grad()
    def fit(self, batches: list[Batch], positives_K: torch.Tensor, known_K: torch.Tensor) -> None:
        """Set what is counted, not learned: quantile edges and prior log-odds.

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
        if self.attribute_numbers is not None:
            self.attribute_numbers.fit(torch.cat([batch.numbers_BN for batch in batches]))
        if isinstance(self.memory, DecayedMemory) and self.memory.numbers is not None:
            self.memory.numbers.fit(torch.cat([batch.numbers_M for batch in batches]))

    def pretrained(self) -> list[nn.Parameter]:
        """The parameters that come from a foundation model."""
        if not isinstance(self.memory, Trunk):
            return []
        return [*self.memory.parameters(), *(self.foreseen.parameters() if self.foreseen else ())]

    @property
    def frozen(self) -> bool:
        """Whether what is remembered of an example never changes in the training."""
        pretrained = self.pretrained()
        return bool(pretrained) and not any(parameter.requires_grad for parameter in pretrained)


def _memory(spec: NetworkSpec) -> DecayedMemory | Trunk:
    if spec.trunk is None:
        return DecayedMemory(spec.memory_sizes, spec.memory_numbers, 32)
    return Trunk(spec.memory_sizes, spec.memory_numbers, spec.trunk.width, spec.trunk.vector)


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
        events = (batch.categories_M, batch.age_M, batch.example_M)
        cadence_BVH = self.cadence(*events, len(batch), self.output_R, self.field_V)
        changed_BHV = self.heads(vectors).view(len(vectors), *self.usual_HV.shape) + cadence_BVH.mT
        any_BHK = self._any(self.usual_HV + changed_BHV) - self._any(self.usual_HV[None])
        return any_BHK.transpose(1, 2)

    def _any(self, logits_BHV: torch.Tensor) -> torch.Tensor:
        """Log-odds that any value of a label comes, as if values came independently of each other."""
        none_BHK = logits_BHV.new_zeros(*logits_BHV.shape[:2], self.labels)
        none_BHP = -functional.softplus(logits_BHV.index_select(-1, self.value_P))
        none_BHK = none_BHK.index_add(2, self.label_P, none_BHP).clamp_max(-1e-6)
        return torch.log(-torch.expm1(none_BHK)) - none_BHK


@torch.inference_mode()
def score_batches(network: Network, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities of the examples in some batches.

    Args:
        network: On any device.
        batches: Each example once.

    Returns:
        Their positions in the examples, int64, shape (n), and the scores, float32, shape (n, K).
    """
    network.eval()
    device = network.prior_K.device
    positions = [np.zeros(0, dtype=np.int64)]
    scores = [np.zeros((0, network.spec.labels), dtype=np.float32)]
    for batch in batches:
        logits_BK = network(batch.to(device)).float()
        positions.append(batch.index_B.numpy())
        scores.append(torch.sigmoid(logits_BK).cpu().numpy())
    return np.concatenate(positions), np.concatenate(scores)


def save_network(network: Network, class_names: Sequence[str], folder: Path) -> None:
    """Write `model.safetensors` and `model.json`: no pickled code, labels by name."""
    with replacing(folder / "model.safetensors") as temporary:
        # A safetensors file holds no shared or strided memory.
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, temporary
        )
    described = {"schema": "mlc/model/1", "class_names": list(class_names), "network": network.spec.as_json()}
    write_text(folder / "model.json", json.dumps(described, indent=1, ensure_ascii=False) + "\n")


def load_network(folder: Path) -> tuple[Network, list[str]]:
    """The network of a run with its weights, and its class names."""
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    network = Network(NetworkSpec.from_json(described["network"]))
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network, described["class_names"]
