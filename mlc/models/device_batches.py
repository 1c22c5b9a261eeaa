"""Batches that are built where the model works: all that they are made of lies in the memory of its device.

What depends on an example alone, such as where its history lies, is worked out once, in NumPy. A batch is
then a chain of gathers on the device. The host knows how long each history is, and so the size of every
tensor: it waits for the device nowhere, but where a field is a text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from mlc.events.labels import LABEL
from mlc.events.store import EventStore, Field
from mlc.events.timeline import Timeline
from mlc.models.batch import Batch, Fields, Texts
from mlc.models.batches import BatchBuilder, Columns, ExampleBatches, calendar
from mlc.models.text import Bags
from mlc.tables import MICROSECONDS_PER_DAY, UNKNOWN

_SHARE = 0.5
"""Of the free memory; the rest is for the model and what it computes."""
_ROWS_AT_ONCE = 1 << 22
"""Copied at a time, so that main memory never holds a whole column."""
_COUNTED = torch.device("meta")  # tensors there have a size and no memory

_Ranges = tuple[np.ndarray, np.ndarray]  # start and length, int64


@dataclass(frozen=True)
class Moments:
    """What depends on the entity and the cutoff of an example alone, of all N examples.

    Attributes:
        calendar_NC: See `Batch`, as for what follows.
        events_N: Number of events up to the cutoff.
        label_events: Where in the timeline of the label events those of each example lie.
        active_days: Where in that of the active days.
        memory: Where in that of the events those lie that enter the memory.
        day_N: Which of D days each cutoff is on, int64.
        popularity_DKP: At these days.
    """

    calendar_NC: np.ndarray
    events_N: np.ndarray
    label_events: _Ranges
    active_days: _Ranges
    memory: _Ranges
    day_N: np.ndarray
    popularity_DKP: np.ndarray

    @classmethod
    def of(cls, builder: BatchBuilder, rows_N: np.ndarray, cutoffs_N: np.ndarray) -> "Moments":
        """Those of some entity rows and cutoffs."""

        def ranges(line: Timeline, most: int | None = None) -> _Ranges:
            starts_N, ends_N = line.ranges(rows_N, cutoffs_N, most)
            return starts_N, ends_N - starts_N

        events = builder.store.events
        days_D, day_N = np.unique(cutoffs_N // MICROSECONDS_PER_DAY, return_inverse=True)
        return cls(
            calendar_NC=calendar(cutoffs_N),
            events_N=ranges(events)[1].astype(np.float32),
            label_events=ranges(builder.label_line),
            active_days=ranges(builder.activity),
            memory=ranges(events, builder.most_events),
            day_N=day_N,
            popularity_DKP=builder.popularity_at(days_D * MICROSECONDS_PER_DAY),
        )


class DeviceBatches:
    """Builds the batches of a set of examples on a device: bit by bit those of their `BatchBuilder`.

    Args:
        examples: The examples; what a frozen memory makes of them stays in main memory.
        moments: What depends on these alone.
        device: Where the batches are wanted.

    Attributes:
        nbytes: Bytes that this takes there, batches apart.
    """

    def __init__(self, examples: ExampleBatches, moments: Moments, device: torch.device) -> None:
        builder, place = examples.builder, _Place(device)
        line = builder.label_line
        self._device, self._labels = device, builder.labels
        self._rows_N, self._cutoffs_N = place.array(examples.rows_N), place.array(examples.cutoffs_N)
        self._targets_NK = None if examples.targets_NK is None else place.array(examples.targets_NK)
        self._calendar_NC, self._events_N = place.array(moments.calendar_NC), place.array(moments.events_N)
        self._day_N, self._popularity_DKP = place.array(moments.day_N), place.array(moments.popularity_DKP)
        self._label_events = _Line(line, moments.label_events, place)
        self._label_T = place.array(line.columns[LABEL], _narrowest(self._labels))
        self._first_T = place.array(builder.label_first, np.dtype(bool))
        self._active_days = _Line(builder.activity, moments.active_days, place)
        self._attributes = _Columns(builder.entity_columns, place)
        self._memory = _Line(builder.store.events, moments.memory, place) if builder.sees_events else None
        self._events = _Columns(builder.event_columns, place)
        self.nbytes = place.nbytes

    def batch(self, index_B: np.ndarray, remembered_BR: np.ndarray | None) -> Batch:
        """One batch; see `BatchBuilder.build`."""
        there_B = self._moved(index_B)
        rows_B, cutoffs_B = self._rows_N.index_select(0, there_B), self._cutoffs_N.index_select(0, there_B)
        example_T, index_T, age_T = self._label_events.history(index_B, there_B, cutoffs_B)
        example_S, _, age_S = self._active_days.history(index_B, there_B, cutoffs_B)
        example_M = index_M = there_B.new_zeros(0)
        age_M = self._events_N.new_zeros(0)
        if self._memory is not None and (remembered_BR is None or not remembered_BR.size):
            example_M, index_M, age_M = self._memory.history(index_B, there_B, cutoffs_B)
        if self._targets_NK is None:
            shape = (len(index_B), self._labels)
            targets_BK = torch.full(shape, UNKNOWN, dtype=torch.uint8, device=self._device)
        else:
            targets_BK = self._targets_NK.index_select(0, there_B)
        return Batch(
            index_B=there_B,
            targets_BK=targets_BK,
            calendar_BC=self._calendar_NC.index_select(0, there_B),
            popularity_BKP=self._popularity_DKP.index_select(0, self._day_N.index_select(0, there_B)),
            label_T=self._label_T.index_select(0, index_T).long(),
            example_T=example_T,
            age_T=age_T,
            first_T=self._first_T.index_select(0, index_T).float(),
            example_S=example_S,
            age_S=age_S,
            events_B=self._events_N.index_select(0, there_B),
            attributes_B=self._attributes.fields(rows_B),
            example_M=example_M,
            age_M=age_M,
            fields_M=self._events.fields(index_M),
            remembered_BR=self._events_N.new_zeros(len(index_B), 0)
            if remembered_BR is None
            else self._moved(remembered_BR),
        )

    def _moved(self, values: np.ndarray) -> torch.Tensor:
        """Does not wait until the device has done what it has to do before."""
        return torch.from_numpy(values).to(self._device, non_blocking=True)


def device_batches(
    examples: ExampleBatches, device: torch.device, free: int
) -> tuple[DeviceBatches | None, int]:
    """What builds the batches of some examples on a device; None where its memory has no room for that.

    Args:
        examples: All examples.
        device: Where the batches are wanted.
        free: Bytes that are free there, of which half may be taken.

    Returns:
        It, and how many bytes it takes.
    """
    moments = Moments.of(examples.builder, examples.rows_N, examples.cutoffs_N)
    needed = DeviceBatches(examples, moments, _COUNTED).nbytes
    if needed > _SHARE * free:
        return None, needed
    return DeviceBatches(examples, moments, device), needed


class _Place:
    """Copies arrays to a device, part by part, and counts their bytes."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.nbytes = device, 0

    def array(self, values: np.ndarray, dtype: np.dtype | None = None) -> torch.Tensor:
        """An array, as another type where one is given."""
        return self._filled(values.shape, dtype or values.dtype, values.__getitem__)

    def columns(
        self, length: int, dtype: np.dtype, columns: Sequence[Callable[[slice], np.ndarray]]
    ) -> torch.Tensor:
        """Columns side by side, shape (length, columns), each given by its parts."""
        shape = (length, len(columns))
        return self._filled(shape, dtype, lambda part: np.stack([column(part) for column in columns], axis=1))

    def _filled(
        self, shape: tuple[int, ...], dtype: np.dtype, part_of: Callable[[slice], np.ndarray]
    ) -> torch.Tensor:
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
        tensor = torch.empty(shape, dtype=kind, device=self.device)
        self.nbytes += tensor.nbytes
        if self.device != _COUNTED:
            for start in range(0, shape[0], _ROWS_AT_ONCE):
                part = part_of(slice(start, start + _ROWS_AT_ONCE))
                tensor.narrow(0, start, len(part)).copy_(torch.from_numpy(part.astype(dtype)))
        return tensor


class _Line:
    """A timeline on a device, and where in it the history of each example lies.

    Args:
        line: The timeline.
        ranges: Start and length of each history.
        place: On the device.
    """

    def __init__(self, line: Timeline, ranges: _Ranges, place: _Place) -> None:
        self._known_lengths_N = ranges[1]  # on the host
        self._starts_N, self._lengths_N = map(place.array, ranges)
        self._time_T = place.array(line.time)
        # Of the device: by a number of the host CUDA does not divide, it multiplies by its inverse.
        self._day = place.array(np.full(1, float(MICROSECONDS_PER_DAY)))

    def history(
        self, index_B: np.ndarray, there_B: torch.Tensor, cutoffs_B: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`example_T` and `index_T` of `Timeline.history`, and days to the cutoff.

        Args:
            index_B: Positions of the examples, on the host.
            there_B: The same on the device.
            cutoffs_B: Their cutoffs, on the device.
        """
        length = int(self._known_lengths_N[index_B].sum())
        lengths_B = self._lengths_N.index_select(0, there_B)
        shifts_B = self._starts_N.index_select(0, there_B) - (lengths_B.cumsum(0) - lengths_B)
        example_T = torch.repeat_interleave(lengths_B, output_size=length)
        index_T = torch.arange(length, device=there_B.device) + shifts_B.index_select(0, example_T)
        microseconds_T = cutoffs_B.index_select(0, example_T) - self._time_T.index_select(0, index_T)
        return example_T, index_T, (microseconds_T.double() / self._day).float()


class _Columns:
    """The columns of some fields on a device; see `Columns`."""

    def __init__(self, columns: Columns, place: _Place) -> None:
        categories = [(field, rows.__getitem__) for field, rows in columns.categories]
        numbers = [(field, np.asarray) for field in columns.numbers]
        texts = [
            (field, partial(np.add, first))
            for field, first in zip(columns.text_fields, columns.first_text_F, strict=True)
        ]
        rows = max((int(rows.max()) + 1 for _, rows in columns.categories), default=0)
        store = columns.store
        self._categories = _Matrix(store, categories, np.zeros(len(categories), int), _narrowest(rows), place)
        nan_F = np.full(len(numbers), np.nan, np.float32)
        self._numbers = _Matrix(store, numbers, nan_F, np.dtype(np.float32), place)
        self._texts = _Matrix(store, texts, columns.first_text_F, np.dtype(np.int32), place)
        self._bags = _Bags(columns.bags, place) if texts else None
        known = {field for field, _ in (*categories, *numbers, *texts) if field is not None}
        self._joined = {
            dimension: place.array(store.events.columns[f">{dimension}"], np.dtype(np.int32))
            for dimension in sorted({field.joined_by for field in known if field.joined_by})
        }

    def fields(self, index_X: torch.Tensor) -> Fields:
        """All that stands there for some events or entities."""
        rows = {dimension: rows_T.index_select(0, index_X) for dimension, rows_T in self._joined.items()}
        rows[""] = index_X
        texts = None if self._bags is None else self._bags.of(self._texts.at(rows))
        return Fields(self._categories.at(rows), self._numbers.at(rows), texts)


class _Matrix:
    """The columns of one kind; those of a dimension lie there by its rows, not copied to each event.

    Args:
        store: The event store.
        columns: The field of each, None where it has left the tables, and what is made of its stored values.
        missing_F: What stands for one that has left the tables, of the type that a batch has.
        dtype: Type on the device.
        place: On the device.
    """

    def __init__(
        self,
        store: EventStore,
        columns: Sequence[tuple[Field | None, Callable[[np.ndarray], np.ndarray]]],
        missing_F: np.ndarray,
        dtype: np.dtype,
        place: _Place,
    ) -> None:
        self._missing_F = place.array(missing_F)
        self._parts: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for source in sorted({field.joined_by for field, _ in columns if field is not None}):
            places, parts, length = [], [], 0
            for at, (field, made) in enumerate(columns):
                if field is not None and field.joined_by == source:
                    stored = store.stored_column(field)
                    places.append(at)
                    parts.append(partial(_made, stored, made))
                    length = len(stored)
            self._parts[source] = place.array(np.array(places)), place.columns(length, dtype, parts)

    def at(self, rows: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The values of X events or entities, shape (X, columns).

        Args:
            rows: Dimension → its row for each; "" → the event or entity itself.
        """
        values_XF = self._missing_F.repeat(len(rows[""]), 1)
        for source, (places, matrix) in self._parts.items():
            values_XF.index_copy_(1, places, matrix.index_select(0, rows[source]).to(values_XF.dtype))
        return values_XF


def _made(stored: np.ndarray, made: Callable[[np.ndarray], np.ndarray], part: slice) -> np.ndarray:
    return made(stored[part])


class _Bags:
    """The texts of some fields on a device; see `Bags`."""

    def __init__(self, bags: Bags, place: _Place) -> None:
        self._starts_A, self._lengths_A = place.array(bags.starts[:-1]), place.array(np.diff(bags.starts))
        self._buckets = place.array(bags.buckets)

    def of(self, codes_XF: torch.Tensor) -> Texts:
        """Each distinct text once; the host waits for the number of these, and for that of their parts."""
        there_A = torch.zeros_like(self._starts_A, dtype=torch.bool).index_fill_(0, codes_XF.flatten(), True)
        distinct_U = there_A.nonzero().flatten()
        place_A = there_A.cumsum(0) - 1
        starts_U, lengths_U = self._starts_A[distinct_U], self._lengths_A[distinct_U]
        ends_U = lengths_U.cumsum(0)
        text_G = torch.repeat_interleave(lengths_U)
        index_G = torch.arange(len(text_G), device=text_G.device) + (starts_U - ends_U + lengths_U)[text_G]
        return Texts(place_A[codes_XF], ends_U - lengths_U, self._buckets[index_G])


def _narrowest(values: int) -> np.dtype:
    """The narrowest type that holds so many values from 0 on and that torch can gather from."""
    return np.dtype(np.uint8 if values <= 1 << 8 else np.int16 if values <= 1 << 15 else np.int32)
