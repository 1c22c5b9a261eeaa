"""The bridge from tables to tensors.

Batches are vectorised gathers, planned alike on every rank.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from mlc.events.label_names import LABEL
from mlc.events.task import Inputs
from mlc.events.timeline import Timeline, first_of_day
from mlc.events.vocabulary import Vocabulary
from mlc.models.branches import Gatherer
from mlc.models.branches.gathering import Chosen, OfExamples, OfRows, Past
from mlc.models.reading.batch import Batch, Fields
from mlc.models.reading.columns import Columns
from mlc.tables import MICROSECONDS_PER_DAY, UNKNOWN

_Built = TypeVar("_Built")
EVALUATION_BATCH = 1024
"""Examples scored at once. Fixed, since the last digits of a score depend on it."""
_AHEAD = 2
"""Batches that wait while one is worked on."""


class BatchBuilder:
    """Builds the batch of any (entity row, cutoff) pairs, in main memory.

    Args:
        inputs: What a task gives to read; its own examples play no part.
        vocabulary: Which columns and values the model knows.
        most_events: Only this many of the newest events of each example are read; all by default.

    Attributes:
        label_T: Label of each label event.
        label_first: 1 for each label event that is the first of its (entity, day, label), else 0, float32.
        active_days: The first event of each (entity, day).
        entity_columns: What the model knows of the entities.
        event_columns: What it knows of the events.
    """

    def __init__(self, inputs: Inputs, vocabulary: Vocabulary, most_events: int | None = None) -> None:
        self.inputs, self.vocabulary, self.most_events = inputs, vocabulary, most_events
        self.label_T = inputs.label_line.columns[LABEL]
        self.label_first = first_of_day(inputs.label_line, self.label_T).astype(np.float32)
        self.active_days = active_days(inputs.store.events)
        self.entity_columns = Columns(inputs.store, vocabulary.attributes)
        self.event_columns = Columns(inputs.store, vocabulary.events)
        self._gatherer = Gatherer(self, _MainMemory())

    def build(
        self,
        index_B: np.ndarray,
        rows_B: np.ndarray,
        cutoffs_B: np.ndarray,
        targets_BK: np.ndarray | None,
        cached_BR: np.ndarray | None = None,
    ) -> Batch:
        """One batch.

        Args:
            index_B: Positions in the examples table, int64.
            rows_B: Entity rows, int64.
            cutoffs_B: Cutoffs in microseconds, int64; no event after them enters the batch.
            targets_BK: uint8, or None where the future is not known.
            cached_BR: Stands for the columns of the events, float32, where it is known.
        """
        if targets_BK is None:
            targets_BK = np.full((len(rows_B), self.inputs.labels), UNKNOWN, dtype=np.uint8)
        position_B, row_B, cutoff_B = map(torch.from_numpy, (index_B, rows_B, cutoffs_B))
        inputs = self._gatherer.inputs(
            Chosen(index_B, position_B, row_B, cutoff_B),
            None if cached_BR is None else torch.from_numpy(cached_BR),
        )
        return Batch(position_B, torch.from_numpy(targets_BK), inputs)


class _MainMemory:
    """The place where everything lies already; see `Place`."""

    def column(self, values_X: np.ndarray, dtype: type[np.generic], below: int) -> OfRows:
        del below
        return lambda index_X: torch.from_numpy(values_X[index_X.numpy()].astype(dtype, copy=False))

    def columns(self, columns: Columns) -> Callable[[torch.Tensor], Fields]:
        return lambda index_X: columns.fields(index_X.numpy())

    def line(self, line: Timeline, most: int | None = None) -> Callable[[Chosen], Past]:
        def past(chosen: Chosen) -> Past:
            cutoff_B = chosen.cutoff_B.numpy()
            example_X, index_X = line.history(chosen.row_B.numpy(), cutoff_B, most)
            microseconds_X = cutoff_B[example_X] - line.time[index_X]
            age_X = (microseconds_X / MICROSECONDS_PER_DAY).astype(np.float32)
            return Past(*map(torch.from_numpy, (example_X, index_X, age_X)))

        return past

    def counts(self, line: Timeline) -> OfExamples:
        def counted(chosen: Chosen) -> torch.Tensor:
            row_B = chosen.row_B.numpy()
            ends_B = line.ends(row_B, chosen.cutoff_B.numpy())
            return torch.from_numpy((ends_B - line.offsets[row_B]).astype(np.float32))

        return counted

    def at_cutoffs(self, values: Callable[[np.ndarray], np.ndarray]) -> OfExamples:
        return lambda chosen: torch.from_numpy(values(chosen.cutoff_B.numpy()))

    at_days = at_cutoffs


def active_days(events: Timeline) -> Timeline:
    """The first event of each (entity, day)."""
    first = first_of_day(events)
    before = np.concatenate([[0], np.cumsum(first)])
    return Timeline(before[events.offsets], events.time[first], {})


class LabelCount(Protocol):
    """What batches are made of says at least how many labels there are."""

    @property
    def labels(self) -> int:
        """Number of labels K."""


class Builder(Protocol):
    """Builds batches in main memory.

    `BatchBuilder` builds those of events, others those of other tasks.
    """

    @property
    def inputs(self) -> LabelCount:
        """What a task gives to read."""

    def build(
        self,
        index_B: np.ndarray,
        rows_B: np.ndarray,
        cutoffs_B: np.ndarray,
        targets_BK: np.ndarray | None,
        cached_BR: np.ndarray | None = None,
    ) -> Batch:
        """See `BatchBuilder.build`."""


class Resident(Protocol):
    """Builder of batches on the device whose memory holds all that they need."""

    def batch(self, index_B: np.ndarray, cached_BR: np.ndarray | None) -> Batch:
        """The batch of some positions; see `BatchBuilder.build`."""


class ExampleBatches:
    """Batches of a set of examples, by arrays of positions.

    Args:
        builder: Builds them.
        rows_N: Entity row of each example.
        cutoffs_N: Cutoff of each, microseconds.
        targets_NK: Targets, uint8, or None.

    Attributes:
        cached_NR: What a frozen foundation makes of the events of each, float32; None unless computed before.
        resident: Builds the batches while a device holds all that they need; otherwise they are built here.
    """

    cached_NR: np.ndarray | None = None
    resident: Resident | None = None

    def __init__(
        self, builder: Builder, rows_N: np.ndarray, cutoffs_N: np.ndarray, targets_NK: np.ndarray | None
    ) -> None:
        self.builder, self.rows_N, self.cutoffs_N, self.targets_NK = builder, rows_N, cutoffs_N, targets_NK

    def __len__(self) -> int:
        return len(self.rows_N)

    def planned(self, plan: Iterable[np.ndarray]) -> Iterator[Batch]:
        """The batches of a plan; the next ones are built while the caller works."""
        if self.resident is not None:  # the device works on its own: a thread would gain nothing
            return map(self.__getitem__, plan)
        return ahead(partial(self.__getitem__, index_B) for index_B in plan)

    def in_order(self, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """All examples for evaluation, in the order of the table.

        With several ranks, this one's share.
        """
        return self.planned(BatchPlan(np.arange(len(self)), EVALUATION_BATCH, rank=rank, world=world))

    def __getitem__(self, index_B: np.ndarray) -> Batch:
        cached_BR = None if self.cached_NR is None else np.asarray(self.cached_NR[index_B])
        if self.resident is not None:
            return self.resident.batch(index_B, cached_BR)
        targets = None if self.targets_NK is None else self.targets_NK[index_B]
        rows_B, cutoffs_B = self.rows_N[index_B], self.cutoffs_N[index_B]
        return self.builder.build(index_B, rows_B, cutoffs_B, targets, cached_BR)


class BatchPlan:
    """Which examples are in which batch.

    The same list on every rank, of which each takes every world-th. In training the order is new in each
    epoch, from (seed, epoch); every rank has equally many batches, all examples are used, and batches are of
    nearly one size. Without `seed` the order is that of the table, every batch is full but the last, and
    batches do not depend on the number of ranks, so that neither do the scores.

    Args:
        positions: Positions of the examples in their table; in training at least one for each rank.
        batch_size: Examples in a batch at most.
        seed: Shuffle with this seed; None for evaluation.
        rank: This process.
        world: Number of processes.

    Examples:
        >>> [batch.tolist() for batch in BatchPlan(np.arange(5), 2, rank=1, world=2)]
        [[2, 3]]
    """

    def __init__(
        self, positions: np.ndarray, batch_size: int, seed: int | None = None, rank: int = 0, world: int = 1
    ) -> None:
        self.positions, self.seed, self.rank, self.world, self.epoch = positions, seed, rank, world, 0
        examples = len(positions)
        if seed is None:
            self._starts = [*range(0, examples, batch_size), examples]
        else:
            batches = -(-examples // (batch_size * world)) * world
            self._starts = [index * examples // batches for index in range(batches + 1)]

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells the epoch here before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, len(self._starts) - 1, self.world))

    def __iter__(self) -> Iterator[np.ndarray]:
        order = self.positions
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        for index in range(self.rank, len(self._starts) - 1, self.world):
            yield order[self._starts[index] : self._starts[index + 1]]


class Plan(Protocol):
    """Return which examples are in which batch of an epoch."""

    epoch: int

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells the epoch here before each one."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[np.ndarray]: ...


class Planned(Protocol):
    """What builds the batches of a plan."""

    def planned(self, plan: Iterable[np.ndarray]) -> Iterator[Any]:
        """One after the other."""


class Loader:
    """Iterator over the planned batches, the next ones built in a thread.

    Args:
        examples: Build the batches.
        plan: Which examples are in which batch.

    Attributes:
        sampler: The plan; Lightning tells it the epoch.
        given: Batches of the current epoch that the caller has got, with those before `resume`.
    """

    batch_sampler = None  # Lightning asks

    def __init__(self, examples: Planned, plan: Plan) -> None:
        self.examples, self.sampler, self.given = examples, plan, 0
        self._resumed = (-1, 0)

    def resume(self, epoch: int, given: int) -> None:
        """In that epoch, leave out the batches that were given already."""
        self._resumed = (epoch, given)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        epoch, skipped = self._resumed
        self.given = skipped if epoch == self.sampler.epoch else 0
        for batch in self.examples.planned(islice(self.sampler, self.given, None)):
            self.given += 1
            yield batch


def ahead(builds: Iterable[Callable[[], _Built]]) -> Iterator[_Built]:
    """What some functions return, in their order.

    The next ones run in a thread while the caller works.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[_Built]] = deque()
        for build in builds:
            waiting.append(pool.submit(build))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
