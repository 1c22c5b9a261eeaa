"""What a branch of the network is.

Some inputs, a module that adds to what others have added, a fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import nn

from mlc.models.branches.gathering import BranchInputs
from mlc.models.reading.batch import Batch, FieldSizes
from mlc.scenario import ModelSection


@dataclass(frozen=True)
class BranchSpec:
    """All that it takes to build a branch again before its weights are loaded.

    Here nothing.
    """

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` made."""
        return cls(
            **{name: FieldSizes(**part) if isinstance(part, dict) else part for name, part in value.items()}
        )


@dataclass(frozen=True)
class Known:
    """What a branch makes its spec of.

    Attributes:
        model: What the scenario says.
        dropout: Dropout on the entity's side.
        attributes: Sizes of the entity's fields.
        events: Sizes of the events' fields.
        foundation: Spec of the branch of a foundation; None without one.
    """

    model: ModelSection
    dropout: float
    attributes: FieldSizes
    events: FieldSizes
    foundation: BranchSpec | None = None


@dataclass(frozen=True)
class Sums:
    """What the branches have added so far.

    Attributes:
        entity_BD: To the vector of each entity.
        hidden_BKD: To the hidden vector of each (example, label).
        direct_BK: To the logits.
    """

    entity_BD: torch.Tensor
    hidden_BKD: torch.Tensor
    direct_BK: torch.Tensor


class Branch(nn.Module):
    """One way to see an example.

    Args:
        spec: Its sizes, as `spec_of` gave them.
        labels: Number of labels K.
        width: Length D of the network's vectors.

    Shape:
        `Batch` of B examples and `Sums` → `Sums`.

    Attributes:
        name: Names it in `model.json` and among the weights.
        inputs: What it reads of a batch.
        spec_type: Class of its spec.
        learning_rate: Highest one of what is pre-trained; None for that of the network.
    """

    name: ClassVar[str]
    inputs: ClassVar[tuple[type[BranchInputs], ...]]
    spec_type: ClassVar[type[BranchSpec]] = BranchSpec

    def __init__(self, spec: BranchSpec, labels: int, width: int) -> None:
        super().__init__()
        self.learning_rate: float | None = None
        del spec, labels, width

    @classmethod
    def spec_of(cls, known: Known) -> BranchSpec | None:
        """Return the spec of the branch in the network of a scenario.

        It is None where it is off.
        """
        raise NotImplementedError

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See Shape above."""
        raise NotImplementedError

    def fit(self, batches: Sequence[Batch]) -> None:
        """Set what is counted, not learned, from a sample of the training batches.

        By default nothing.
        """

    def pretrained(self) -> list[nn.Parameter]:
        """Return the parameters that come from a foundation model."""
        return []

    def rates(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Return parameters with a learning rate of their own, and the highest one."""
        return [] if self.learning_rate is None else [(self.learning_rate, self.pretrained())]
