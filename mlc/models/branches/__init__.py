"""The branches of the network.

Each file has the inputs of one, its module and its fit. To add a branch, write
`mlc/models/branches/<name>.py` with a class derived from `Branch`, and one from `BranchInputs` where it reads
what no other branch does. Then edit:

1. `mlc/scenario/events/model.py`: its switch in `ModelSection`, whose docstring is its documentation.
2. This file: its class in `BRANCHES`. Batches of every device, `model.json` and the weights follow.
3. `mlc/events/task.py`, only where it reads what the tables do not give yet: a field of `Inputs`.
"""

from typing import TYPE_CHECKING

import torch

from mlc.models.branches.attributes import AttributesBranch
from mlc.models.branches.branch import Branch
from mlc.models.branches.calendar import CalendarBranch
from mlc.models.branches.context import ContextBranch
from mlc.models.branches.events import EventInputs
from mlc.models.branches.foundation import CachedInputs, FoundationBranch
from mlc.models.branches.gathering import Chosen, Place
from mlc.models.branches.history import HistoryBranch
from mlc.models.branches.image import ImageBranch
from mlc.models.branches.memory import MemoryBranch
from mlc.models.branches.popularity import PopularityBranch
from mlc.models.branches.text import TextBranch
from mlc.models.branches.vectors import VectorsBranch
from mlc.models.reading.batch import Packed

if TYPE_CHECKING:
    from mlc.models.reading.batches import BatchBuilder

BRANCHES: tuple[type[Branch], ...] = (
    HistoryBranch,
    AttributesBranch,
    CalendarBranch,
    PopularityBranch,
    MemoryBranch,
    FoundationBranch,
    ContextBranch,
    ImageBranch,
    VectorsBranch,
    TextBranch,
)
"""In the order in which they draw their first weights and add to the sums."""


class Gatherer:
    """Gathers all that the branches read, whether or not they are on.

    Args:
        source: What there is to read.
        place: Where it is to be, and to be gathered.
    """

    def __init__(self, source: "BatchBuilder", place: Place) -> None:
        kinds = dict.fromkeys(kind for branch in BRANCHES for kind in branch.inputs)
        gathers = {kind: kind.gatherer(source, place) for kind in kinds}
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
