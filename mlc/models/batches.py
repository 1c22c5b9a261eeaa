"""The bridge from tables to tensors: batches are vectorised gathers, planned alike on every rank."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from mlc.errors import DataError
from mlc.events.labels import LABEL
from mlc.events.popularity import Popularity
from mlc.events.preparing import Prepared
from mlc.events.store import EventStore
from mlc.events.task import Inputs
from mlc.events.timeline import Timeline, first_of_day
from mlc.events.vocabulary import FieldRows, Vocabulary, code_rows
from mlc.models.batch import Batch, Fields, FieldSizes, Texts
from mlc.models.text import Bags, joined
from mlc.tables import MICROSECONDS_PER_DAY, UNKNOWN

_Built = TypeVar("_Built")
FIRST = "first"
EVALUATION_BATCH = 1024
"""Examples scored at once. Fixed, since the last digits of a score depend on it."""
_AHEAD = 2
"""Batches that wait while one is worked on."""
_DAYS_PER_YEAR = 365.2425


class BatchBuilder:
    """Builds the batch of any (entity row, cutoff) pairs.

    Args:
        store: The event store.
        label_line: Label events by entity, from `labels.label_line`.
        vocabulary: Which columns and values the model knows.
        labels: Number of labels K.
        popularity: Of the labels; None where the model does not look at it.
        most_events: Only the newest so many events of each example enter the memory; all by default.

    Attributes:
        label_first: 1 for each label event that is the first of its (entity, day, label), else 0, float32.
        activity: The first event of each (entity, day).
        entity_columns: What the model knows of the entities.
        event_columns: What it knows of the events.
        sees_events: Whether there is any of the latter.
    """

    def __init__(
        self,
        store: EventStore,
        label_line: Timeline,
        vocabulary: Vocabulary,
        labels: int,
        popularity: Popularity | None = None,
        most_events: int | None = None,
    ) -> None:
        self.store = store
        self.popularity = popularity
        self.labels = labels
        self.most_events = most_events
        self.label_line = label_line
        self.label_first = first_of_day(label_line, label_line.columns[LABEL]).astype(np.float32)
        self.activity = active_days(store.events)
        self.entity_columns = Columns(store, vocabulary.attributes)
        self.event_columns = Columns(store, vocabulary.events)
        self.sees_events = bool(vocabulary.events.names)

    def build(
        self,
        index_B: np.ndarray,
        rows_B: np.ndarray,
        cutoffs_B: np.ndarray,
        targets_BK: np.ndarray | None,
        remembered_BR: np.ndarray | None = None,
    ) -> Batch:
        """One batch.

        Args:
            index_B: Positions in the examples table, int64.
            rows_B: Entity rows, int64.
            cutoffs_B: Cutoffs in microseconds, int64; no event after them enters the batch.
            targets_BK: uint8, or None where the future is not known.
            remembered_BR: Stands for the events of the memory, float32, where it is known.
        """
        example_T, index_T = self.label_line.history(rows_B, cutoffs_B)
        example_S, index_S = self.activity.history(rows_B, cutoffs_B)
        events = self.store.events
        if remembered_BR is None:
            remembered_BR = np.zeros((len(rows_B), 0), dtype=np.float32)
        example_M = index_M = np.zeros(0, dtype=np.int64)
        if self.sees_events and not remembered_BR.size:
            example_M, index_M = events.history(rows_B, cutoffs_B, self.most_events)
        if targets_BK is None:
            targets_BK = np.full((len(rows_B), self.labels), UNKNOWN, dtype=np.uint8)
        return Batch(
            index_B=torch.from_numpy(index_B),
            targets_BK=torch.from_numpy(targets_BK),
            calendar_BC=torch.from_numpy(calendar(cutoffs_B)),
            popularity_BKP=torch.from_numpy(self.popularity_at(cutoffs_B)),
            label_T=torch.from_numpy(self.label_line.columns[LABEL][index_T].astype(np.int64)),
            example_T=torch.from_numpy(example_T),
            age_T=_ages(cutoffs_B, example_T, self.label_line.time, index_T),
            first_T=torch.from_numpy(self.label_first[index_T]),
            example_S=torch.from_numpy(example_S),
            age_S=_ages(cutoffs_B, example_S, self.activity.time, index_S),
            events_B=torch.from_numpy(
                (events.ends(rows_B, cutoffs_B) - events.offsets[rows_B]).astype(np.float32)
            ),
            attributes_B=self.entity_columns.fields(rows_B),
            example_M=torch.from_numpy(example_M),
            age_M=_ages(cutoffs_B, example_M, events.time, index_M),
            fields_M=self.event_columns.fields(index_M),
            remembered_BR=torch.from_numpy(remembered_BR),
        )

    def popularity_at(self, cutoffs_B: np.ndarray) -> np.ndarray:
        """Popularity of each label at some moments, float32, shape (B, K, P)."""
        if self.popularity is None:
            return np.zeros((len(cutoffs_B), self.labels, 0), dtype=np.float32)
        return self.popularity.at(cutoffs_B)

    def event_fields(self, index_X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vocabulary rows, int64, (X, categories), and numbers, float32, (X, numbers), of some events."""
        return self.event_columns.gather(index_X)


class Columns:
    """The columns of some fields, gathered by event or by entity.

    Args:
        store: The event store.
        known: The fields, and which values the model knows.

    Attributes:
        categories: Each category of the store, None where it has left the tables, and the vocabulary row of
            each of its codes, int64.
        numbers: Each number of the store.
        text_fields: Each text of the store.
        first_text_F: Where the texts of each of these begin among all texts, int64.
        bags: All texts.
    """

    def __init__(self, store: EventStore, known: FieldRows) -> None:
        self.store = store
        # A column that has left the tables since training is missing everywhere.
        fields = {field.name: field for field in (*store.event_fields, *store.entity_fields)}
        for kind, names in (
            ("category", known.categories),
            ("number", known.numbers),
            ("text", known.texts),
        ):
            for name in names:
                if name in fields and fields[name].kind != kind:
                    raise DataError(
                        f"{name} must be a {kind}, as in training, however: it is a {fields[name].kind} now; "
                        f"set encoders: {{{name.split('.', 1)[-1]}: {kind}}} of its table"
                    )
        self.categories = [
            (fields.get(name), code_rows(store, known, name) if name in fields else np.zeros(1, np.int64))
            for name in known.categories
        ]
        self.numbers = [fields.get(name) for name in known.numbers]
        self.text_fields = [fields.get(name) for name in known.texts]
        # The first text of each field is the missing one.
        texts = [["", *(store.values(name) if name in fields else ())] for name in known.texts]
        self.first_text_F = np.cumsum([0, *map(len, texts)])[:-1]
        self.bags = joined([Bags.of(values) for values in texts])

    def fields(self, index_X: np.ndarray) -> Fields:
        """All that stands there for some events or entities."""
        categories_XF, numbers_XF = self.gather(index_X)
        return Fields(torch.from_numpy(categories_XF), torch.from_numpy(numbers_XF), self.texts(index_X))

    def gather(self, index_X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vocabulary rows, int64, shape (X, categories), and numbers, float32, shape (X, numbers)."""
        categories = np.zeros((len(index_X), len(self.categories)), dtype=np.int64)
        numbers = np.full((len(index_X), len(self.numbers)), np.nan, dtype=np.float32)
        for place, (field, rows) in enumerate(self.categories):
            if field is not None:
                categories[:, place] = rows[self.store.field_column(field, index_X)]
        for place, field in enumerate(self.numbers):
            if field is not None:
                numbers[:, place] = self.store.field_column(field, index_X)
        return categories, numbers

    def texts(self, index_X: np.ndarray) -> Texts | None:
        """The texts of some events or entities, each distinct one once; None where no field is a text."""
        if not self.text_fields:
            return None
        codes_XF = np.tile(self.first_text_F, (len(index_X), 1))
        for place, field in enumerate(self.text_fields):
            if field is not None:
                codes_XF[:, place] += self.store.field_column(field, index_X)
        there = np.zeros(len(self.bags.starts) - 1, dtype=bool)
        there[codes_XF] = True
        distinct_U = np.flatnonzero(there)
        place_of = np.cumsum(there) - 1
        bags = self.bags.chosen(distinct_U)
        return Texts(
            torch.from_numpy(place_of[codes_XF]),
            torch.from_numpy(bags.starts[:-1]),
            torch.from_numpy(bags.buckets),
        )


def field_sizes(known: FieldRows) -> FieldSizes:
    """What a network must know of the fields."""
    return FieldSizes(known.sizes, len(known.numbers), len(known.texts))


def active_days(events: Timeline) -> Timeline:
    """The first event of each (entity, day)."""
    first = first_of_day(events)
    before = np.concatenate([[0], np.cumsum(first)])
    return Timeline(before[events.offsets], events.time[first], {})


def calendar(cutoffs_B: np.ndarray) -> np.ndarray:
    """Where in the year and in the week a cutoff lies, as points on circles.

    Args:
        cutoffs_B: Microseconds since 1970, int64.

    Returns:
        float32, shape (B, 6): sine and cosine of one and two turns a year, and of one a week.
    """
    days = cutoffs_B / MICROSECONDS_PER_DAY
    turns = np.stack([days / _DAYS_PER_YEAR, 2 * days / _DAYS_PER_YEAR, days / 7.0], axis=1) % 1.0
    angles = 2 * np.pi * turns
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _ages(cutoffs_B: np.ndarray, example: np.ndarray, time: np.ndarray, index: np.ndarray) -> torch.Tensor:
    """Days from each event to its example's cutoff, float32."""
    microseconds = cutoffs_B[example] - time[index]
    return torch.from_numpy((microseconds / MICROSECONDS_PER_DAY).astype(np.float32))


class Resident(Protocol):
    """Builds the batches of a set of examples on the device whose memory holds all that they need."""

    def batch(self, index_B: np.ndarray, remembered_BR: np.ndarray | None) -> Batch:
        """The batch of some positions; see `BatchBuilder.build`."""


class ExampleBatches:
    """Batches of a set of examples, by arrays of positions.

    Args:
        builder: Builds them.
        rows_N: Entity row of each example.
        cutoffs_N: Cutoff of each, microseconds.
        targets_NK: Targets, uint8, or None.

    Attributes:
        remembered_NR: What a frozen memory makes of the events of each, float32; None unless computed before.
        resident: Builds the batches while a device holds all that they need; otherwise they are built here.
    """

    remembered_NR: np.ndarray | None = None
    resident: Resident | None = None

    def __init__(
        self, builder: BatchBuilder, rows_N: np.ndarray, cutoffs_N: np.ndarray, targets_NK: np.ndarray | None
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
        """All examples for evaluation, in the order of the table; with several ranks, this one's share."""
        return self.planned(BatchPlan(np.arange(len(self)), EVALUATION_BATCH, rank=rank, world=world))

    def __getitem__(self, index_B: np.ndarray) -> Batch:
        remembered = None if self.remembered_NR is None else np.asarray(self.remembered_NR[index_B])
        if self.resident is not None:
            return self.resident.batch(index_B, remembered)
        targets = None if self.targets_NK is None else self.targets_NK[index_B]
        rows_B, cutoffs_B = self.rows_N[index_B], self.cutoffs_N[index_B]
        return self.builder.build(index_B, rows_B, cutoffs_B, targets, remembered)


def input_batches(inputs: Inputs, vocabulary: Vocabulary, most_events: int | None = None) -> ExampleBatches:
    """Batches of the inputs of a task.

    Args:
        inputs: The examples and what is read of them.
        vocabulary: Which columns and values the model knows.
        most_events: Only the newest so many events of each example enter the memory; all by default.
    """
    builder = BatchBuilder(
        inputs.store, inputs.label_line, vocabulary, inputs.labels, inputs.popularity, most_events
    )
    return ExampleBatches(builder, inputs.rows_N, inputs.cutoffs_N, inputs.targets_NK)


def example_batches(prepared: Prepared, vocabulary: Vocabulary) -> ExampleBatches:
    """Batches of all examples of a scenario."""
    return input_batches(Inputs.of(prepared), vocabulary, prepared.scenario.model.most_events)


class BatchPlan:
    """Which examples stand in which batch; the same list on every rank, of which each takes every world-th.

    In training the order is new in each epoch, from (seed, epoch); every rank has equally many batches, all
    examples are used, and batches are of nearly one size. Without `seed` the order is that of the table,
    every batch is full but the last, and batches do not depend on the number of ranks, so that neither do the
    scores.

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
    """Which examples stand in which batch of an epoch."""

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
    """Yields the planned batches, and builds the next ones in a thread while the caller works.

    Args:
        examples: Build the batches.
        plan: Which examples stand in which batch.

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
    """What some functions return, in their order; the next ones run in a thread while the caller works."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[_Built]] = deque()
        for build in builds:
            waiting.append(pool.submit(build))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
