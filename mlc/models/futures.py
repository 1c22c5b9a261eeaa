"""Batches for pre-training: histories up to random cutoffs, and what came next."""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from mlc.events.label_names import LABEL
from mlc.events.store import EventStore
from mlc.events.task import Inputs
from mlc.events.timeline import Timeline
from mlc.events.vocabulary import MISSING, FieldRows, Vocabulary, code_rows
from mlc.models.reading.batch import FutureBatch
from mlc.models.reading.batches import BatchBuilder, ahead
from mlc.tables import MICROSECONDS_PER_DAY

_SHARED_OUTPUTS = 32


@dataclass(frozen=True)
class Outputs:
    """Which values of the category fields are predicted, in one row of outputs.

    Attributes:
        output_R: Output of each vocabulary row, those of all fields end to end, int64; -1 for missing.
        field_V: Field of each output, int64.
    """

    output_R: np.ndarray
    field_V: np.ndarray


def choose_outputs(store: EventStore, known: FieldRows, until: int, most: int) -> Outputs:
    """Choose the most frequent values of each field; the others share outputs.

    Args:
        store: The event store.
        known: Category fields of the events and the values with a vocabulary row.
        until: Microseconds since 1970; later events are not counted.
        most: Values with an output of their own, in each field.
    """
    fields = {field.name: field for field in store.event_fields}
    past_T = np.asarray(store.events.time) <= until
    output_R, field_V, used = [], [], 0
    for place, name in enumerate(known.categories):
        rows_T = code_rows(store, known, name)[store.field_column(fields[name])[past_T]]
        counts = np.bincount(rows_T, minlength=known.sizes[place])
        counts[MISSING] = 0
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] > 0]
        output = np.full(len(counts), -1, dtype=np.int64)
        output[order[:most]] = used + np.arange(len(order[:most]))
        rest = order[most:]
        output[rest] = used + most + np.arange(len(rest)) % _SHARED_OUTPUTS
        here = min(len(order), most) + min(len(rest), _SHARED_OUTPUTS)
        output_R.append(output)
        field_V.append(np.full(here, place))
        used += here
    nothing = [np.zeros(0, dtype=np.int64)]
    return Outputs(np.concatenate(output_R or nothing), np.concatenate(field_V or nothing).astype(np.int64))


def without_labels(store: EventStore, vocabulary: Vocabulary, most_events: int | None = None) -> BatchBuilder:
    """Builds batches of histories alone, for models that have no target."""
    nothing = np.zeros(0, dtype=np.int64)
    line = Timeline(np.zeros(len(store.entity_ids) + 1, dtype=np.int64), nothing, {LABEL: nothing})
    return BatchBuilder(Inputs(store, line, 0, nothing, nothing), vocabulary, most_events)


class FutureBatches:
    """The batch of any (entity rows, cutoffs), given as int64 of shape (2, B).

    Args:
        store: The event store.
        vocabulary: Which fields and values the model knows.
        outputs: Which values are predicted.
        longest_days: Longest horizon.
        until: Nothing after this moment enters a batch; microseconds since 1970.
    """

    def __init__(
        self, store: EventStore, vocabulary: Vocabulary, outputs: Outputs, longest_days: int, until: int
    ) -> None:
        self.events, self.outputs, self.longest_days, self.until = (
            store.events,
            outputs,
            longest_days,
            until,
        )
        self._builder = without_labels(store, vocabulary)
        sizes = vocabulary.events.sizes
        self._starts_F = np.cumsum([0, *sizes[:-1]])[: len(sizes)]

    def planned(self, plan: Iterable[np.ndarray]) -> Iterator[FutureBatch]:
        """The batches of a plan; the next ones are built while the caller works."""
        return ahead(partial(self.__getitem__, pairs_2B) for pairs_2B in plan)

    def __getitem__(self, pairs_2B: np.ndarray) -> FutureBatch:
        rows_B, cutoffs_B = pairs_2B
        history = self._builder.build(np.arange(len(rows_B)), rows_B, cutoffs_B, None)
        starts_B = self.events.ends(rows_B, cutoffs_B)
        example_X, index_X, next_B = self._next_moment(rows_B, cutoffs_B, starts_B)
        categories_XF, numbers_XN = self._builder.event_columns.gather(index_X)
        return FutureBatch(
            history=history,
            seen_B=_days(self.until - cutoffs_B),
            first_BV=self._first_days(rows_B, cutoffs_B, starts_B),
            next_B=next_B,
            example_X=torch.from_numpy(example_X),
            outputs_XF=torch.from_numpy(self._outputs(categories_XF)),
            numbers_XN=torch.from_numpy(numbers_XN),
        )

    def _outputs(self, categories_XF: np.ndarray) -> np.ndarray:
        if not categories_XF.shape[1]:
            return categories_XF
        return np.asarray(self.outputs.output_R[categories_XF + self._starts_F])

    def _next_moment(
        self, rows_B: np.ndarray, cutoffs_B: np.ndarray, starts_B: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
        """Example and position of the events of the next moment, and the days to it.

        Events of one moment have no order, so that all of them are next.
        """
        time = self.events.time
        there_B = starts_B < self.events.offsets[rows_B + 1]
        at_B = np.where(there_B, time[np.minimum(starts_B, len(time) - 1)], np.iinfo(np.int64).max)
        there_B = there_B & (at_B <= self.until)
        lengths = np.where(
            there_B, self.events.ends(rows_B, np.where(there_B, at_B, cutoffs_B)) - starts_B, 0
        )
        days_B = _days(np.where(there_B, at_B, cutoffs_B) - cutoffs_B)
        days_B[torch.from_numpy(~there_B)] = torch.inf
        return *_ranges(starts_B, lengths), days_B

    def _first_days(self, rows_B: np.ndarray, cutoffs_B: np.ndarray, starts_B: np.ndarray) -> torch.Tensor:
        last_B = np.minimum(cutoffs_B + self.longest_days * MICROSECONDS_PER_DAY, self.until)
        example_W, index_W = _ranges(starts_B, self.events.ends(rows_B, last_B) - starts_B)
        outputs_WF = self._outputs(self._builder.event_columns.gather(index_W)[0])
        days_W = _days(self.events.time[index_W] - cutoffs_B[example_W]).numpy()
        first_BV = np.full((len(rows_B), len(self.outputs.field_V)), np.inf, dtype=np.float32)
        # Written from the last event to the first: of several days with a value, the earliest stays.
        for outputs_W in outputs_WF[::-1].T:
            known = outputs_W >= 0
            first_BV[example_W[::-1][known], outputs_W[known]] = days_W[::-1][known]
        return torch.from_numpy(first_BV)


class FixedFutures:
    """The batches of a set of (entity row, cutoff) pairs, by arrays of positions.

    Args:
        batches: Builds them.
        pairs_2N: Entity rows and cutoffs, int64.
    """

    def __init__(self, batches: FutureBatches, pairs_2N: np.ndarray) -> None:
        self.batches, self.pairs_2N = batches, pairs_2N

    def __len__(self) -> int:
        return int(self.pairs_2N.shape[1])

    def planned(self, plan: Iterable[np.ndarray]) -> Iterator[FutureBatch]:
        """The batches of a plan; the next ones are built while the caller works."""
        return self.batches.planned(self.pairs_2N[:, index_B] for index_B in plan)


def _ranges(starts_B: np.ndarray, lengths_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return example and position of each `[start, start + length)`, end to end."""
    lengths_B = np.maximum(lengths_B, 0)
    example = np.repeat(np.arange(len(starts_B)), lengths_B)
    firsts = np.cumsum(lengths_B) - lengths_B
    return example, np.arange(int(lengths_B.sum())) + np.repeat(starts_B - firsts, lengths_B)


def _days(microseconds: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((microseconds / MICROSECONDS_PER_DAY).astype(np.float32))


def random_midnights(first_E: np.ndarray, last: int, generator: np.random.Generator) -> np.ndarray:
    """A random midnight of each entity in `[first, last]`; -1 where there is none.

    Args:
        first_E: Microseconds since 1970, int64.
        last: Microseconds since 1970.
        generator: Draws the days.

    Examples:
        >>> day = MICROSECONDS_PER_DAY
        >>> random_midnights(np.array([day + 1, 9 * day]), 2 * day, np.random.default_rng(0)).tolist()
        [172800000000, -1]
    """
    low_E = -(-first_E // MICROSECONDS_PER_DAY)
    days_E = last // MICROSECONDS_PER_DAY - low_E + 1
    drawn_E = low_E + (generator.random(len(first_E)) * days_E).astype(np.int64)
    return np.where(days_E > 0, drawn_E * MICROSECONDS_PER_DAY, -1)


class RandomCutoffs:
    """Batches of (entity rows, cutoffs), int64 of shape (2, B).

    Random days of every entity, new each epoch.

    Args:
        store: The event store.
        first: No cutoff lies before this moment, nor before the first event of its entity; microseconds.
        last: No cutoff lies after it; microseconds.
        per_entity: Cutoffs of each entity in an epoch.
        batch_size: Examples in a batch at most.
        seed: Fixes, with the epoch, all cutoffs and their order.
    """

    rank, world = 0, 1

    def __init__(
        self,
        store: EventStore,
        first: int,
        last: int,
        per_entity: int,
        batch_size: int,
        seed: int,
    ) -> None:
        offsets = np.asarray(store.events.offsets)
        self.rows = np.flatnonzero(np.diff(offsets))
        born = np.asarray(store.events.time)[offsets[self.rows]]
        self.rows, self._first = self.rows[born <= last], np.maximum(born[born <= last], first)
        self.last, self.per_entity, self.batch_size, self.seed, self.epoch = (
            last,
            per_entity,
            batch_size,
            seed,
            0,
        )

    def share(self, rank: int, world: int) -> "RandomCutoffs":
        """Those of one of several processes; all have equally many batches."""
        own = copy(self)
        own.rank, own.world = rank, world
        return own

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells the epoch here before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, len(self.rows) * self.per_entity // (self.batch_size * self.world))

    def __iter__(self) -> Iterator[np.ndarray]:
        generator = np.random.default_rng([self.seed, self.epoch])
        rows = np.repeat(self.rows, self.per_entity)
        cutoffs = random_midnights(np.repeat(self._first, self.per_entity), self.last, generator)
        pairs = np.stack([rows, cutoffs])[:, cutoffs >= 0]
        pairs = pairs[:, generator.permutation(pairs.shape[1])]
        steps = min(len(self), pairs.shape[1] // self.world)
        parts = np.array_split(pairs, max(1, steps * self.world), axis=1)
        yield from parts[self.rank : steps * self.world : self.world]
