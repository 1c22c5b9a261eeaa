"""Batches that are built where the model works.

All that they are made of lies in the memory of its device. What depends on an example alone, such as where
its history lies, is worked out once, in NumPy. A batch is then a chain of gathers on the device. The host
knows how long each history is, and so the size of every tensor: it waits for the device nowhere, but where a
field is a text.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from mlc.events.store import EventStore, Field
from mlc.events.timeline import Timeline
from mlc.models.branches import Gatherer
from mlc.models.branches.gathering import Chosen, OfExamples, OfRows, Past
from mlc.models.reading.batch import Batch, Fields, Texts
from mlc.models.reading.batches import BatchBuilder, ExampleBatches
from mlc.models.reading.columns import Columns
from mlc.models.reading.hashing import Bags
from mlc.tables import MICROSECONDS_PER_DAY, UNKNOWN

_SHARE = 0.5
"""Of the free memory; the rest is for the model and what it computes."""
_ROWS_AT_ONCE = 1 << 22
"""Copied at a time, so that main memory never holds a whole column."""
_COUNTED = torch.device("meta")  # tensors there have a size and no memory

_Ranges = tuple[np.ndarray, np.ndarray]  # start and length, int64
_AtCutoffs = Callable[[np.ndarray], np.ndarray]  # from cutoffs in microseconds


class Moments:
    """What depends on the entity and the cutoff of an example alone.

    Each is worked out once.

    Args:
        rows_N: Entity row of each of N examples, int64.
        cutoffs_N: Cutoff of each, microseconds.
    """

    def __init__(self, rows_N: np.ndarray, cutoffs_N: np.ndarray) -> None:
        self.rows_N, self.cutoffs_N = rows_N, cutoffs_N
        self._ranges: dict[tuple[int, int | None], _Ranges] = {}
        self._cutoffs: dict[_AtCutoffs, np.ndarray] = {}
        self._days: dict[_AtCutoffs, tuple[np.ndarray, np.ndarray]] = {}

    def ranges(self, line: Timeline, most: int | None = None) -> _Ranges:
        """Start and length of the history of each example in a timeline.

        See `Timeline.ranges`.
        """
        key = id(line), most
        if key not in self._ranges:
            starts_N, ends_N = line.ranges(self.rows_N, self.cutoffs_N, most)
            self._ranges[key] = starts_N, ends_N - starts_N
        return self._ranges[key]

    def at_cutoffs(self, values: _AtCutoffs) -> np.ndarray:
        """What a function says of the cutoff of each example."""
        if values not in self._cutoffs:
            self._cutoffs[values] = values(self.cutoffs_N)
        return self._cutoffs[values]

    def at_days(self, values: _AtCutoffs) -> tuple[np.ndarray, np.ndarray]:
        """Return the day of each cutoff, of D days, and a function's values on them."""
        if values not in self._days:
            days_D, day_N = np.unique(self.cutoffs_N // MICROSECONDS_PER_DAY, return_inverse=True)
            self._days[values] = day_N, values(days_D * MICROSECONDS_PER_DAY)
        return self._days[values]


class DeviceBatches:
    """Builds the batches of a set of examples on a device.

    Bit by bit those of their `BatchBuilder`.

    Args:
        examples: The examples; what a frozen foundation makes of them stays in main memory.
        moments: Of these.
        device: Where the batches are wanted.

    Attributes:
        nbytes: Bytes that this takes there, batches apart.
    """

    def __init__(self, examples: ExampleBatches, moments: Moments, device: torch.device) -> None:
        place = _DeviceMemory(device, moments)
        builder = examples.builder
        assert isinstance(builder, BatchBuilder)
        self._device, self._labels = device, builder.inputs.labels
        self._rows_N, self._cutoffs_N = place.array(examples.rows_N), place.array(examples.cutoffs_N)
        self._targets_NK = None if examples.targets_NK is None else place.array(examples.targets_NK)
        self._gatherer = Gatherer(builder, place)
        self.nbytes = place.nbytes

    def batch(self, index_B: np.ndarray, cached_BR: np.ndarray | None) -> Batch:
        """One batch; see `BatchBuilder.build`."""
        position_B = self._moved(index_B)
        row_B, cutoff_B = (
            values_N.index_select(0, position_B) for values_N in (self._rows_N, self._cutoffs_N)
        )
        if self._targets_NK is None:
            shape = (len(index_B), self._labels)
            targets_BK = torch.full(shape, UNKNOWN, dtype=torch.uint8, device=self._device)
        else:
            targets_BK = self._targets_NK.index_select(0, position_B)
        inputs = self._gatherer.inputs(
            Chosen(index_B, position_B, row_B, cutoff_B),
            None if cached_BR is None else self._moved(cached_BR),
        )
        return Batch(position_B, targets_BK, inputs)

    def _moved(self, values: np.ndarray) -> torch.Tensor:
        """Does not wait until the device has done what it has to do before."""
        return torch.from_numpy(values).to(self._device, non_blocking=True)


def device_batches(
    examples: ExampleBatches, device: torch.device, free: int
) -> tuple[DeviceBatches | None, int]:
    """What builds the batches of some examples on a device.

    It is None where its memory has no room for that.

    Args:
        examples: All examples.
        device: Where the batches are wanted.
        free: Bytes that are free there, of which half may be taken.

    Returns:
        It, and how many bytes it takes.
    """
    moments = Moments(examples.rows_N, examples.cutoffs_N)
    needed = DeviceBatches(examples, moments, _COUNTED).nbytes
    if needed > _SHARE * free:
        return None, needed
    return DeviceBatches(examples, moments, device), needed


class _DeviceMemory:
    """The memory of a device, see `Place`.

    Copies arrays to it, part by part, and counts their bytes.

    Args:
        device: The device.
        moments: Of the examples whose batches are wanted.
    """

    def __init__(self, device: torch.device, moments: Moments) -> None:
        self.device, self.nbytes, self._moments = device, 0, moments

    def column(self, values_X: np.ndarray, dtype: type[np.generic], below: int) -> OfRows:
        stored_X, wanted = self.array(values_X, _narrowest(below)), _torch_type(dtype)
        return lambda index_X: stored_X.index_select(0, index_X).to(wanted)

    def columns(self, columns: Columns) -> Callable[[torch.Tensor], Fields]:
        return _Columns(columns, self).fields

    def line(self, line: Timeline, most: int | None = None) -> Callable[[Chosen], Past]:
        return _Line(line, self._moments.ranges(line, most), self).past

    def counts(self, line: Timeline) -> OfExamples:
        return self._of_examples(self._moments.ranges(line)[1].astype(np.float32))

    def at_cutoffs(self, values: _AtCutoffs) -> OfExamples:
        return self._of_examples(self._moments.at_cutoffs(values))

    def at_days(self, values: _AtCutoffs) -> OfExamples:
        day_N, values_D = map(self.array, self._moments.at_days(values))
        return lambda chosen: values_D.index_select(0, day_N.index_select(0, chosen.position_B))

    def _of_examples(self, values_N: np.ndarray) -> OfExamples:
        there_N = self.array(values_N)
        return lambda chosen: there_N.index_select(0, chosen.position_B)

    def array(self, values: np.ndarray, dtype: np.dtype | None = None) -> torch.Tensor:
        """An array, as another type where one is given."""
        return self._filled(values.shape, dtype or values.dtype, values.__getitem__)

    def matrix(
        self, length: int, dtype: np.dtype, columns: Sequence[Callable[[slice], np.ndarray]]
    ) -> torch.Tensor:
        """Columns side by side, shape (length, columns), each given by its parts."""
        shape = (length, len(columns))
        return self._filled(shape, dtype, lambda part: np.stack([column(part) for column in columns], axis=1))

    def _filled(
        self, shape: tuple[int, ...], dtype: np.dtype, part_of: Callable[[slice], np.ndarray]
    ) -> torch.Tensor:
        tensor = torch.empty(shape, dtype=_torch_type(dtype), device=self.device)
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

    def __init__(self, line: Timeline, ranges: _Ranges, place: _DeviceMemory) -> None:
        self._known_lengths_N = ranges[1]  # on the host
        self._starts_N, self._lengths_N = map(place.array, ranges)
        self._time_X = place.array(line.time)
        # Of the device: by a number of the host CUDA does not divide, it multiplies by its inverse.
        self._day = place.array(np.full(1, float(MICROSECONDS_PER_DAY)))

    def past(self, chosen: Chosen) -> Past:
        """The moments up to the cutoffs of some examples."""
        length = int(self._known_lengths_N[chosen.index_B].sum())
        lengths_B = self._lengths_N.index_select(0, chosen.position_B)
        shifts_B = self._starts_N.index_select(0, chosen.position_B) - (lengths_B.cumsum(0) - lengths_B)
        example_X = torch.repeat_interleave(lengths_B, output_size=length)
        index_X = torch.arange(length, device=self._day.device) + shifts_B.index_select(0, example_X)
        microseconds_X = chosen.cutoff_B.index_select(0, example_X) - self._time_X.index_select(0, index_X)
        return Past(example_X, index_X, (microseconds_X.double() / self._day).float())


class _Columns:
    """The columns of some fields on a device; see `Columns`."""

    def __init__(self, columns: Columns, place: _DeviceMemory) -> None:
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
    """The columns of one kind; those of a dimension lie by its rows, uncopied.

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
        place: _DeviceMemory,
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
            self._parts[source] = place.array(np.array(places)), place.matrix(length, dtype, parts)

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

    def __init__(self, bags: Bags, place: _DeviceMemory) -> None:
        self._starts_A, self._lengths_A = place.array(bags.starts[:-1]), place.array(np.diff(bags.starts))
        self._buckets = place.array(bags.buckets)

    def of(self, codes_XF: torch.Tensor) -> Texts:
        """Return each distinct text once.

        The host waits for the number of these, and for that of their parts.
        """
        there_A = torch.zeros_like(self._starts_A, dtype=torch.bool).index_fill_(0, codes_XF.flatten(), True)
        distinct_U = there_A.nonzero().flatten()
        place_A = there_A.cumsum(0) - 1
        starts_U, lengths_U = self._starts_A[distinct_U], self._lengths_A[distinct_U]
        ends_U = lengths_U.cumsum(0)
        text_G = torch.repeat_interleave(lengths_U)
        index_G = torch.arange(len(text_G), device=text_G.device) + (starts_U - ends_U + lengths_U)[text_G]
        return Texts(place_A[codes_XF], ends_U - lengths_U, self._buckets[index_G])


def _narrowest(values: int) -> np.dtype:
    """Return the narrowest type torch can gather from for this many values."""
    return np.dtype(np.uint8 if values <= 1 << 8 else np.int16 if values <= 1 << 15 else np.int32)


def _torch_type(dtype: type[np.generic] | np.dtype) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype
