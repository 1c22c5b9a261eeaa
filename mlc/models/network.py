"""The network: branches that each see an example, and what all labels share.

Logit of label k = prior log-odds + shared multilayer perceptron over (what the branches say of the label,
label embedding, entity vector) + ⟨entity vector, label vector⟩ + what branches add directly. Whatever is off
contributes nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self, TypeVar, cast

import torch
from torch import nn

from mlc.models.branches import BRANCHES
from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.events import EventInputs
from mlc.models.branches.foundation import FoundationBranch
from mlc.models.branches.memory import MemoryBranch
from mlc.models.reading.batch import Batch, FieldSizes
from mlc.scenario import ModelSection

SIZES = {"nano": (32, 1, 0.1), "small": (64, 1, 0.2), "base": (256, 2, 0.2), "large": (512, 3, 0.3)}
"""Preset → width, depth, dropout of the entity's side."""
_Branch = TypeVar("_Branch", bound=Branch)


@dataclass(frozen=True)
class NetworkSpec:
    """All that it takes to build the network again before its weights are loaded.

    Attributes:
        labels: Number of labels K.
        width: Length D of the hidden vectors.
        depth: Residual blocks over (entity, label).
        dropout: Dropout on the entity's side, which sees customers again at many cutoffs.
        branches: The spec of each branch that is on, by its name.
    """

    labels: int
    width: int
    depth: int
    dropout: float
    branches: Mapping[str, BranchSpec] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: ModelSection,
        labels: int,
        attributes: FieldSizes,
        events: FieldSizes,
        foundation: BranchSpec | None = None,
    ) -> "NetworkSpec":
        """Return the network of a scenario for the fields of entities and events."""
        width, depth, dropout = SIZES[model.preset]
        known = Known(model, dropout, attributes, events, foundation)
        specs = {branch.name: branch.spec_of(known) for branch in BRANCHES}
        branches = {name: spec for name, spec in specs.items() if spec is not None}
        return cls(labels, width, depth, dropout, branches)

    def without(self, name: str) -> Self:
        """Return the same network without one of its branches."""
        return replace(self, branches={key: spec for key, spec in self.branches.items() if key != name})

    def as_json(self) -> dict[str, Any]:
        """Return a plain mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "NetworkSpec":
        """Read what `as_json` made."""
        types = {branch.name: branch.spec_type for branch in BRANCHES}
        branches = {name: types[name].from_json(spec) for name, spec in value["branches"].items()}
        return cls(**{**value, "branches": branches})


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
        self.branches = nn.ModuleDict(
            {
                branch.name: branch(spec.branches[branch.name], spec.labels, width)
                for branch in BRANCHES
                if branch.name in spec.branches
            }
        )
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

    def forward(self, batch: Batch) -> torch.Tensor:
        """See Shape above."""
        sums = Sums(
            self.label_embedding.new_zeros(len(batch), self.spec.width),
            self.label_embedding.expand(len(batch), -1, -1),
            self.prior_K.new_zeros(len(batch), self.spec.labels),
        )
        for branch in self.all_branches:
            sums = branch(batch, sums)
        entity_BD = self.entity_mlp(sums.entity_BD)
        hidden_BKD = sums.hidden_BKD + self.entity_to_label(entity_BD)[:, None, :]
        for block in self.blocks:
            hidden_BKD = hidden_BKD + block(hidden_BKD)
        logits_BK = self.out(hidden_BKD).squeeze(-1)
        matched_BK = self.entity_vector(entity_BD) @ self.label_vector.T / math.sqrt(self.spec.width)
        return cast(torch.Tensor, self.prior_K + sums.direct_BK + logits_BK + matched_BK)

    @torch.no_grad()
    def fit(self, batches: Sequence[Batch], positives_K: torch.Tensor, known_K: torch.Tensor) -> None:
        """Set what is counted, not learned: prior log-odds, and what each branch counts.

        Args:
            batches: A sample of the training batches.
            positives_K: Positive training targets of each label.
            known_K: Known training targets of each label.
        """
        share_K = (positives_K + 0.5) / (known_K + 1.0)  # never 0 or 1
        self.prior_K.copy_(torch.logit(share_K))
        for branch in self.all_branches:
            branch.fit(batches)

    @property
    def all_branches(self) -> list[Branch]:
        """The branches that are on, in their order."""
        return cast(list[Branch], list(self.branches.values()))

    def branch(self, kind: type[_Branch]) -> _Branch | None:
        """Return the branch of a class; None where it is off."""
        return cast(_Branch, self.branches[kind.name]) if kind.name in self.branches else None

    @property
    def embedding(self) -> MemoryBranch | FoundationBranch | None:
        """The branch whose vectors stand for the entities.

        It is None where none sees all their events.
        """
        return self.branch(FoundationBranch) or self.branch(MemoryBranch)

    def pretrained(self) -> list[nn.Parameter]:
        """Return the parameters that come from a foundation model."""
        return [parameter for branch in self.all_branches for parameter in branch.pretrained()]

    @property
    def frozen(self) -> bool:
        """Whether nothing that is made of the events changes in the training."""
        foundation = self.branch(FoundationBranch)
        readers = [branch for branch in self.all_branches if EventInputs in branch.inputs]
        return foundation is not None and readers == [foundation] and foundation.frozen
