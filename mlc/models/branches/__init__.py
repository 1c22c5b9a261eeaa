"""The branches of the network: each file has what one of them reads."""

from typing import TYPE_CHECKING

import torch

from mlc.models.batch import Packed
from mlc.models.branches.attributes import AttributeInputs
from mlc.models.branches.calendar import CalendarInputs
from mlc.models.branches.events import EventInputs
from mlc.models.branches.foundation import CachedInputs
from mlc.models.branches.gathering import BranchInputs, Chosen, Place
from mlc.models.branches.history import HistoryInputs
from mlc.models.branches.popularity import PopularityInputs

if TYPE_CHECKING:
    from mlc.models.batches import BatchBuilder

INPUTS: tuple[type[BranchInputs], ...] = (
    CalendarInputs,
    PopularityInputs,
    HistoryInputs,
    AttributeInputs,
    EventInputs,
)


class Gatherer:
    """Gathers all that the branches read.

    Args:
        source: What there is to read.
        place: Where it is to be, and to be gathered.
    """

    def __init__(self, source: "BatchBuilder", place: Place) -> None:
        gathers = {kind: kind.gatherer(source, place) for kind in INPUTS}
        self._gathers = {kind: gather for kind, gather in gathers.items() if gather is not None}

    def inputs(self, chosen: Chosen, cached_BR: torch.Tensor | None = None) -> dict[type[Packed], Packed]:
        """Return the inputs of some examples, by their class.

        Args:
            chosen: The examples.
            cached_BR: What is known of their events already; they are then not gathered.
        """
        left_out = None if cached_BR is None else EventInputs
        inputs: dict[type[Packed], Packed] = {
            kind: gather(chosen) for kind, gather in self._gathers.items() if kind is not left_out
        }
        if cached_BR is not None:
            inputs[CachedInputs] = CachedInputs(cached_BR)
        return inputs
