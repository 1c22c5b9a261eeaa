"""How the inputs of branches are gathered.

Once for main memory and for the memory of a device. A `Place` holds arrays and gathers from them. What a
branch reads is written with these few operations alone; `reading.batches` has the place of main memory,
`reading.device` that of a device.

Shape letters, as in `batch`; X stands for whatever rows are read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from mlc.models.reading.batch import Fields, Packed

if TYPE_CHECKING:
    from mlc.events.timeline import Timeline
    from mlc.models.reading.batches import BatchBuilder
    from mlc.models.reading.columns import Columns


@dataclass(frozen=True)
class Chosen:
    """The examples of a batch; tensors lie where the place is.

    Attributes:
        index_B: Position of each in the examples table, int64, in main memory.
        position_B: The same.
        row_B: Entity row of each, int64.
        cutoff_B: Cutoff of each in microseconds, int64; no event after it is gathered.
    """

    index_B: np.ndarray
    position_B: torch.Tensor
    row_B: torch.Tensor
    cutoff_B: torch.Tensor


@dataclass(frozen=True)
class Past:
    """The moments of a timeline up to the cutoffs of some examples, end to end.

    Attributes:
        example_X: Example of each moment, int64, rising.
        index_X: Its position in the timeline, int64.
        age_X: Days from it to the cutoff, float32, at least 0.
    """

    example_X: torch.Tensor
    index_X: torch.Tensor
    age_X: torch.Tensor


Gather = Callable[[Chosen], Packed]
OfExamples = Callable[[Chosen], torch.Tensor]
OfRows = Callable[[torch.Tensor], torch.Tensor]


class Place(Protocol):
    """Where arrays lie.

    Each method takes what is to be there, and returns what gathers from it.
    """

    def column(self, values_X: np.ndarray, dtype: type[np.generic], below: int) -> OfRows:
        """Gather values by their positions.

        Args:
            values_X: Whole numbers from 0.
            dtype: Type of what is gathered.
            below: All are less than this.
        """

    def columns(self, columns: "Columns") -> Callable[[torch.Tensor], Fields]:
        """Gather the fields of entities or events, by their positions in the store."""

    def line(self, line: "Timeline", most: int | None = None) -> Callable[[Chosen], Past]:
        """Gather the moments up to each cutoff.

        Of each example the `most` newest, where that is given.
        """

    def counts(self, line: "Timeline") -> OfExamples:
        """Gather the number of moments up to each cutoff, float32."""

    def at_cutoffs(self, values: Callable[[np.ndarray], np.ndarray]) -> OfExamples:
        """Gather what a function returns for cutoffs in microseconds."""

    def at_days(self, values: Callable[[np.ndarray], np.ndarray]) -> OfExamples:
        """Gather the same of a function that is constant over a day."""


class BranchInputs(Packed):
    """What a branch reads of the examples of a batch: a dataclass of tensors."""

    @classmethod
    def gatherer(cls, source: "BatchBuilder", place: Place) -> Gather | None:
        """Return what gathers these inputs of any examples.

        It is None where there is nothing to read.

        Args:
            source: What there is to read, in main memory.
            place: Where it is to be, and to be gathered.
        """
        raise NotImplementedError
