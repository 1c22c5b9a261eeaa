"""The event store: every event of every entity, as sorted memory-mapped columns.

One plain `.npy` a column, sorted by (entity row, time, order in the files), and `offsets` that say where the
events of an entity begin. Ranks and runs share the page cache; nothing is deserialised. Pure NumPy: what a
column means is in `store.json` beside the arrays.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from mlc.tables import MICROSECONDS_PER_DAY


@dataclass(frozen=True)
class Timeline:
    """Moments of many entities, packed.

    Those of entity e are `[offsets[e], offsets[e + 1])`, by time.

    Attributes:
        offsets: int64, shape (E + 1).
        time: int64, shape (T), microseconds since 1970.
        columns: Further columns, each of shape (T).
    """

    offsets: np.ndarray
    time: np.ndarray
    columns: Mapping[str, np.ndarray]

    @property
    def entities(self) -> int:
        """Number of entities E."""
        return len(self.offsets) - 1

    def ends(self, rows_B: np.ndarray, cutoffs_B: np.ndarray) -> np.ndarray:
        """Where the history of each example ends.

        The first moment of the entity with `time > cutoff`. A bisection over all examples at once: log2 of
        the longest history steps, each one gather.

        Args:
            rows_B: Entity rows, int64, shape (B).
            cutoffs_B: Cutoffs in microseconds, int64, shape (B).

        Returns:
            Positions in `time`, int64, shape (B).

        Examples:
            >>> line = Timeline(np.array([0, 3]), np.array([10, 20, 30]), {})
            >>> line.ends(np.array([0, 0]), np.array([20, 5])).tolist()
            [2, 0]
        """
        return bisect(
            self.offsets[rows_B],
            self.offsets[rows_B + 1],
            lambda at_B: self.time[at_B] <= cutoffs_B if len(self.time) else np.zeros(len(at_B), dtype=bool),
        )

    def history(
        self, rows_B: np.ndarray, cutoffs_B: np.ndarray, most: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The moments up to the cutoff of each example, packed.

        Args:
            rows_B: Entity rows, int64, shape (B).
            cutoffs_B: Cutoffs in microseconds, int64, shape (B).
            most: Only the newest this many of each example; all by default.

        Returns:
            `example_T`, the position in the batch (rising), and `index_T`, the position in `time`.

        Examples:
            >>> line = Timeline(np.array([0, 2, 3]), np.array([10, 20, 15]), {})
            >>> example_T, index_T = line.history(np.array([1, 0]), np.array([15, 10]))
            >>> example_T.tolist(), index_T.tolist()
            ([0, 1], [2, 0])
        """
        return packed(*self.ranges(rows_B, cutoffs_B, most))

    def ranges(
        self, rows_B: np.ndarray, cutoffs_B: np.ndarray, most: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where the moments of each example begin and end in `time`; see `history`."""
        starts, ends = self.offsets[rows_B], self.ends(rows_B, cutoffs_B)
        return starts if most is None else np.maximum(starts, ends - most), ends


def packed(starts_B: np.ndarray, ends_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges `[start, end)`, end to end.

    Returns:
        `example_T`, which range it is (rising), and `index_T`, the position in it; int64, shape (T).

    Examples:
        >>> example_T, index_T = packed(np.array([2, 7]), np.array([4, 8]))
        >>> example_T.tolist(), index_T.tolist()
        ([0, 0, 1], [2, 3, 7])
    """
    lengths_B = ends_B - starts_B
    firsts_B = np.cumsum(lengths_B) - lengths_B
    example_T = np.repeat(np.arange(len(lengths_B)), lengths_B)
    return example_T, np.arange(int(lengths_B.sum())) + np.repeat(starts_B - firsts_B, lengths_B)


def bisect(low_B: np.ndarray, high_B: np.ndarray, passes: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the first position of each `[low, high)` that fails; else `high`.

    Args:
        low_B: int64, shape (B).
        high_B: int64, shape (B).
        passes: From positions to truth, both of shape (B); true, then false, along each range.

    Examples:
        >>> numbers = np.array([1, 3, 5, 2, 4])
        >>> bisect(np.array([0, 3]), np.array([3, 5]), lambda at: numbers[at] < 4).tolist()
        [2, 4]
    """
    last = max(int(high_B.max(initial=0)) - 1, 0)
    longest = int((high_B - low_B).max(initial=0))
    for _ in range(longest.bit_length()):
        middle = (low_B + high_B) // 2
        # An empty range points past its end: clip, its answer is not used.
        passed = passes(np.minimum(middle, last))
        active = low_B < high_B
        low_B = np.where(active & passed, middle + 1, low_B)
        high_B = np.where(active & ~passed, middle, high_B)
    return low_B


def pack(
    rows_T: np.ndarray, time_T: np.ndarray, entities: int, columns: Mapping[str, np.ndarray]
) -> Timeline:
    """Sort moments by (entity row, time), stably, and note where each entity begins.

    Args:
        rows_T: Entity row of each moment, shape (T), in any order.
        time_T: Microseconds, int64, shape (T).
        entities: Number of entities E; those without a moment have an empty range.
        columns: Further columns, shape (T) each.
    """
    order = np.lexsort((time_T, rows_T))
    counts = np.bincount(rows_T, minlength=entities)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Timeline(
        offsets, time_T[order].astype(np.int64), {name: values[order] for name, values in columns.items()}
    )


def first_of_day(timeline: Timeline, group: np.ndarray | None = None) -> np.ndarray:
    """Return which events are the first of (entity, day) or (entity, day, group).

    A count of these up to a cutoff is the number of distinct days up to that cutoff, also in the middle of a
    day.

    Args:
        timeline: T moments.
        group: Integer code of each moment, shape (T), such as its label.

    Returns:
        bool, shape (T).
    """
    day_T = timeline.time // MICROSECONDS_PER_DAY
    rows_T = np.repeat(np.arange(timeline.entities), np.diff(timeline.offsets))
    keys = (day_T, rows_T) if group is None else (day_T, group, rows_T)
    order = np.lexsort(keys)  # stable: the earliest of a day stays first
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for key in keys:
        sorted_key = key[order]
        new[1:] |= sorted_key[1:] != sorted_key[:-1]
    result = np.empty(len(order), dtype=bool)
    result[order] = new
    return result


def open_timeline(folder: Path) -> Timeline:
    """Open a written timeline; the columns stay on disk until they are read."""
    return Timeline(_mapped(folder / "offsets.npy"), _mapped(folder / "time.npy"), read_columns(folder))


def write_column(folder: Path, name: str, values: np.ndarray) -> None:
    """Write one named column; any name will do."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(column_path(folder, name), values)


def column_path(folder: Path, name: str) -> Path:
    """The file of a named column."""
    return folder / f"column.{quote(name, safe='')}.npy"


class ColumnFile:
    """A `.npy` file written from front to back, never whole in memory.

    Args:
        path: The file.
        dtype: Type of the values.
        length: How many there will be.
    """

    def __init__(self, path: Path, dtype: np.dtype, length: int) -> None:
        self._path = path
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
        self._dtype = dtype

    def append(self, values: np.ndarray) -> None:
        """The next values."""
        with self._path.open("ab") as file:
            values.astype(self._dtype, copy=False).tofile(file)


def read_columns(folder: Path) -> dict[str, np.ndarray]:
    """The named columns of a folder, memory-mapped."""
    return {
        unquote(file.name.removeprefix("column.").removesuffix(".npy")): _mapped(file)
        for file in sorted(folder.glob("column.*.npy"))
    }


def _mapped(file: Path) -> np.ndarray:
    """A read-only view of a file.

    As a plain array, since NumPy's memmap class slows each gather.
    """
    large = file.stat().st_size > 1 << 16
    try:  # without pickles, which could run code
        return np.asarray(np.load(file, mmap_mode="r" if large else None, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise ValueError(f"{file.name}: {error}") from error
