"""The tensors of one step.

Shape letters, here and in the model: B examples, K labels, T label events, S active days, M events of memory
and context, C calendar values, F features or fields, P of popularity, D width; in pre-training V outputs
(values that are foreseen), X events of the next moment.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Self, TypeVar

import torch

_Packed = TypeVar("_Packed", bound="Texts | Fields | Batch | FutureBatch")

BUCKETS = 4096
"""Of each text field, so many rows for its hashed parts."""


@dataclass
class Texts:
    """The text fields of some rows: each distinct text once, as a bag of hashed parts.

    Attributes:
        places_XF: Which of the distinct texts each field of each row has, int64.
        starts_U: Where the bag of each distinct text begins, int64.
        buckets_G: Bucket of each part, int64.
    """

    places_XF: torch.Tensor
    starts_U: torch.Tensor
    buckets_G: torch.Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same texts on another device."""
        return _moved(self, device, non_blocking)


@dataclass
class Fields:
    """What stands in the fields of some rows: entities, or events.

    Attributes:
        categories_XF: Vocabulary row of each category, int64.
        numbers_XF: Numbers, float32, NaN where missing.
        texts: None without any text field.
    """

    categories_XF: torch.Tensor
    numbers_XF: torch.Tensor
    texts: Texts | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same fields on another device."""
        return _moved(self, device, non_blocking)


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


@dataclass
class Batch:
    """One packed batch: ragged histories lie end to end, `example_*` says whose each row is.

    Attributes:
        index_B: Position of each example in the examples table, int64.
        targets_BK: 0, 1 or 255 (unknown), uint8; all 255 where the future is not known.
        calendar_BC: Sine and cosine of the year and the week at the cutoff, float32.
        popularity_BKP: Popularity of each label at the cutoff, float32, NaN where unknown; without any column
            when it is off.
        label_T: Label of each label event up to the cutoff, int64.
        example_T: Its example, int64, rising.
        age_T: Days from the event to the cutoff, float32, at least 0.
        first_T: 1 for the first event of its (entity, day, label), else 0, float32.
        example_S: Example of each active day up to the cutoff, int64, rising.
        age_S: Days from the first event of that day to the cutoff, float32.
        events_B: Number of events up to the cutoff, float32.
        attributes_B: Fields of each entity.
        example_M: Example of each event of memory and context, int64, rising; empty when both are off.
        age_M: Days from that event to the cutoff, float32.
        fields_M: Its fields.
        remembered_BR: What a frozen memory makes of its events (`Network.remember`), float32; without columns
            unless it was asked before. The batch has then no events of the memory.
    """

    index_B: torch.Tensor
    targets_BK: torch.Tensor
    calendar_BC: torch.Tensor
    popularity_BKP: torch.Tensor
    label_T: torch.Tensor
    example_T: torch.Tensor
    age_T: torch.Tensor
    first_T: torch.Tensor
    example_S: torch.Tensor
    age_S: torch.Tensor
    events_B: torch.Tensor
    attributes_B: Fields
    example_M: torch.Tensor
    age_M: torch.Tensor
    fields_M: Fields
    remembered_BR: torch.Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def __len__(self) -> int:
        return len(self.index_B)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same batch on another device."""
        return _moved(self, device, non_blocking)


@dataclass
class FutureBatch:
    """Histories up to random cutoffs, and what came next: the input and the targets of pre-training.

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

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same batch on another device."""
        return _moved(self, device, non_blocking)


def _moved(packed: _Packed, device: torch.device | str, non_blocking: bool) -> _Packed:
    """All parts that are there, on another device."""
    parts = {field.name: getattr(packed, field.name) for field in fields(packed)}
    return replace(
        packed,
        **{
            name: part.to(device, non_blocking=non_blocking)
            for name, part in parts.items()
            if part is not None
        },
    )
