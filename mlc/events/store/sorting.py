"""The events in their final order, sorted within the memory limit.

Rows are collected into runs as large as memory allows, each run sorted and set aside; then block after block
of entities is gathered from all runs, sorted and written. What fits into one run is written at once.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from mlc.events.store.event_store import ROW
from mlc.events.timeline import ColumnFile, column_path
from mlc.tables import TIME

TABLE, _PLACE = "mlc:table", "mlc:place"  # no column of a table is called so
_SHARE = 12  # of the memory limit: a run; reading, sorting and coding take the rest


def run_rows(schema: Mapping[str, np.dtype], limit: int) -> int:
    """How many events of these columns may be sorted at one time.

    Args:
        schema: Column → type.
        limit: Bytes.
    """
    return max(1, limit // _SHARE // sum(dtype.itemsize for dtype in schema.values()))


def final_order(events: pl.DataFrame) -> pl.Series:
    """Positions of the events by (entity row, time), ties as they are."""
    keys = events.select(ROW, TIME).with_row_index(_PLACE)
    if not keys[TIME].is_sorted():  # files often are; two stable sorts by one column beat one by two
        keys = keys.sort(TIME, maintain_order=True)
    return keys.drop(TIME).sort(ROW, maintain_order=True)[_PLACE]


class EventFiles:
    """The files of a timeline, all of one length, written from front to back.

    Args:
        folder: The store's folder.
        schema: Column → type: `mlc:row` is not written, `mlc:table` lies beside the timeline.
        events: How many there will be.
    """

    def __init__(self, folder: Path, schema: Mapping[str, np.dtype], events: int) -> None:
        timeline = folder / "events"
        timeline.mkdir()
        places = {TIME: timeline / "time.npy", TABLE: folder / "tables.npy"}
        self._files = {
            name: ColumnFile(places.get(name) or column_path(timeline, name), dtype, events)
            for name, dtype in schema.items()
            if name != ROW
        }

    @property
    def names(self) -> list[str]:
        """The columns that are written."""
        return list(self._files)

    def append(self, name: str, values: np.ndarray) -> None:
        """The next values of a column."""
        self._files[name].append(values)

    def append_sorted(self, events: pl.DataFrame) -> None:
        """The next events, in their final order."""
        order = final_order(events)
        for name, file in self._files.items():
            file.append(events[name].gather(order).to_numpy())


class EventSorter:
    """Takes events in the order of the sources, and writes them in that of the store.

    Args:
        folder: The store's folder.
        schema: Column → type; `mlc:row` the first, `time` among them.
        entities: Number of entities E.
        limit: Bytes of memory.
    """

    def __init__(self, folder: Path, schema: Mapping[str, np.dtype], entities: int, limit: int) -> None:
        self._folder, self._schema, self._entities = folder, dict(schema), entities
        self._most = run_rows(schema, limit)
        self._waiting: list[pl.DataFrame] = []
        self._runs: list[Path] = []
        self._lengths_E = np.zeros(entities, dtype=np.int64)

    def add(self, batch: pl.DataFrame) -> None:
        """The next events."""
        for start in range(0, batch.height, self._most):
            part = batch.slice(start, self._most)
            if sum(frame.height for frame in self._waiting) + part.height > self._most:
                self._set_aside(self._run())
            self._lengths_E += np.bincount(part[ROW].to_numpy(), minlength=self._entities)
            self._waiting.append(part)

    def write(self) -> np.ndarray:
        """Write all events; returns the offsets, int64, shape (E + 1)."""
        offsets = np.concatenate([[0], np.cumsum(self._lengths_E)]).astype(np.int64)
        files = EventFiles(self._folder, self._schema, int(offsets[-1]))
        if not self._runs:
            files.append_sorted(self._run())
        else:
            self._set_aside(self._run())
            for block in self._blocks(offsets):
                files.append_sorted(block)
            shutil.rmtree(self._folder / "runs")
        np.save(self._folder / "events" / "offsets.npy", offsets)
        return offsets

    def _run(self) -> pl.DataFrame:
        run = pl.concat([self._frame({}), *self._waiting], rechunk=True)
        self._waiting = []
        return run

    def _frame(self, columns: Mapping[str, np.ndarray]) -> pl.DataFrame:
        return pl.DataFrame({n: columns.get(n, np.zeros(0, dtype)) for n, dtype in self._schema.items()})

    def _set_aside(self, run: pl.DataFrame) -> None:
        place = self._folder / "runs" / str(len(self._runs))
        place.mkdir(parents=True)
        order = final_order(run)
        for index, name in enumerate(self._schema):
            run[name].gather(order).to_numpy().tofile(place / str(index))
        self._runs.append(place)

    def _blocks(self, offsets: np.ndarray) -> Iterator[pl.DataFrame]:
        """The events of one range of entities after the other.

        At least one entity at a time.
        """
        first = 0
        done = [0] * len(self._runs)  # events of each run that lie in former blocks
        while first < self._entities:
            last = int(np.searchsorted(offsets, offsets[first] + self._most, side="right")) - 1
            last = max(last, first + 1)
            parts = []
            for index, run in enumerate(self._runs):
                rows = np.memmap(run / "0", self._schema[ROW], mode="r")
                end = int(np.searchsorted(rows, last))
                parts.append(self._slice(run, done[index], end))
                done[index] = end
            yield pl.concat(parts, rechunk=True)
            first = last

    def _slice(self, run: Path, start: int, end: int) -> pl.DataFrame:
        return self._frame(
            {
                name: np.fromfile(run / str(index), dtype, end - start, offset=start * dtype.itemsize)
                for index, (name, dtype) in enumerate(self._schema.items())
            }
        )
