"""What a model reads of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

Missing = Literal["error", "leave_out"]
"""Whether pictures that cannot be read end in an error, or their rows are read without one."""


@dataclass(frozen=True)
class RowColumns:
    """The columns that a model reads, by how each enters it; fixed in training.

    Attributes:
        texts: Columns of free text.
        categories: Columns of categories.
        numbers: Columns of numbers.
        images: Column of paths of pictures → what to do about those that cannot be read.
        min_counts: Category → fewest training rows that give a value a place of its own.
    """

    texts: Sequence[str] = ()
    categories: Sequence[str] = ()
    numbers: Sequence[str] = ()
    images: Mapping[str, Missing] = field(default_factory=dict)
    min_counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """All columns."""
        return [*self.texts, *self.categories, *self.numbers, *self.images]

    def as_json(self) -> dict[str, Any]:
        """Return plain lists and mappings."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RowColumns":
        """Return what `as_json` made."""
        return cls(**value)


@dataclass(frozen=True)
class RowInputs:
    """What a model reads of N rows.

    Attributes:
        frame: The columns of `columns` in the order of the rows. Texts and categories are String, numbers
            Float64, pictures String: absolute paths. Null where a value is missing.
        columns: How each column enters the model.
        labels: Number of labels K.
        targets_NK: 0, 1 or 255 (unknown), uint8; None where they are not known.
    """

    frame: pl.DataFrame
    columns: RowColumns
    labels: int
    targets_NK: np.ndarray | None = None
