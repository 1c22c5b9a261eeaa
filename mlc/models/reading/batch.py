"""The tensors of one step.

Shape letters, here and in the model: B examples, K labels, T label events, S active days, M events whose
columns are read, C calendar values, F features or fields, P of popularity, D width; in pre-training V outputs
(values that are predicted), X events of the next moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar, cast

import torch

BUCKETS = 4096
"""Rows for the hashed parts of each text field."""


@dataclass
class Packed:
    """Tensors that belong together."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same tensors on another device."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: _moved(part, device, non_blocking) for name, part in parts.items()}
        return replace(self, **moved)


def _moved(part: Any, device: torch.device | str, non_blocking: bool) -> Any:
    if isinstance(part, Mapping):
        return {name: _moved(value, device, non_blocking) for name, value in part.items()}
    return None if part is None else part.to(device, non_blocking=non_blocking)


@dataclass
class Texts(Packed):
    """The text fields of some rows: each distinct text once, as a bag of hashed parts.

    Attributes:
        places_XF: Which of the distinct texts each field of each row has, int64.
        starts_U: Where the bag of each distinct text begins, int64.
        buckets_G: Bucket of each part, int64.
    """

    places_XF: torch.Tensor
    starts_U: torch.Tensor
    buckets_G: torch.Tensor


@dataclass
class Fields(Packed):
    """The values of the fields of some rows: entities, or events.

    Attributes:
        categories_XF: Vocabulary row of each category, int64.
        numbers_XF: Numbers, float32, NaN where missing.
        texts: None without any text field.
    """

    categories_XF: torch.Tensor
    numbers_XF: torch.Tensor
    texts: Texts | None = None


@dataclass(frozen=True)
class FieldSizes:
    """What it takes to embed `Fields`; false where there is no field.

    Attributes:
        categories: Vocabulary rows of each category.
        numbers: Number of numbers.
        texts: Number of texts.
    """

    categories: list[int] = field(default_factory=list)
    numbers: int = 0
    texts: int = 0

    def __bool__(self) -> bool:
        return bool(self.categories or self.numbers or self.texts)


_Inputs = TypeVar("_Inputs", bound=Packed)


@dataclass
class Batch(Packed):
    """One batch of B examples.

    Histories are ragged: they lie end to end, and `example_*` of the inputs says whose each row is.

    Attributes:
        index_B: Position of each example in the examples table, int64.
        targets_BK: 0, 1 or 255 (unknown), uint8; all 255 where the future is not known.
        inputs: What the branches read, by its class.
    """

    index_B: torch.Tensor
    targets_BK: torch.Tensor
    inputs: dict[type[Packed], Packed] = field(default_factory=dict)

    def of(self, kind: type[_Inputs]) -> _Inputs:
        """The inputs of one class."""
        return cast(_Inputs, self.inputs[kind])

    def __len__(self) -> int:
        return len(self.index_B)


@dataclass
class FutureBatch(Packed):
    """Histories up to random cutoffs, and what came next.

    The input and the targets of pre-training.

    Attributes:
        history: The only thing that the model sees; without labels.
        seen_B: Days from the cutoff to the end of what may be seen, float32.
        first_BV: Days from the cutoff to the first event with each value, float32; infinite where there is
            none that may be seen.
        next_B: Days to the next moment with an event, float32; infinite where there is none.
        example_X: Example of each event of that moment, int64, rising.
        outputs_XF: Output of each of its category fields, int64, shape (X, fields); -1 where missing.
        numbers_XN: Its numbers, float32, NaN where missing.
    """

    history: Batch
    seen_B: torch.Tensor
    first_BV: torch.Tensor
    next_B: torch.Tensor
    example_X: torch.Tensor
    outputs_XF: torch.Tensor
    numbers_XN: torch.Tensor

    def __len__(self) -> int:
        return len(self.seen_B)
