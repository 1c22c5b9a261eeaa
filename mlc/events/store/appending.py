"""New events put among those of a former store, whose codes become those of today."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from mlc.events.store.event_store import ROW
from mlc.events.store.former import Former
from mlc.events.store.sorting import TABLE, EventFiles, run_rows
from mlc.events.timeline import Timeline, bisect
from mlc.scenario import EventScenario
from mlc.sources import join_columns, key_expr, scan_events
from mlc.tables import ENTITY_ID, TIME


def appendable(scenario: EventScenario, former: Former, keys: Mapping[str, pl.DataFrame]) -> bool:
    """Whether the rows of the dimensions tell all of the old events' joins.

    They do unless a key is new that an old event has: that event had no row then, and its key is not in the
    store.

    Args:
        scenario: Checked scenario.
        former: The former store.
        keys: Dimension → its keys of today, with their rows.
    """
    for dimension, table in scenario.data.dimensions.items():
        then, now = _keys_then(former, scenario, dimension), keys[dimension].drop(ROW)
        if then.schema != now.schema:
            return False
        new = now.join(then, on=table.key, how="anti")
        if not new.height:
            continue
        for name, events in scenario.data.events.items():
            if dimension in events.joins:
                old = scan_events(scenario, name, [], former.files[name])
                schema, pairs = old.collect_schema(), join_columns(events, dimension, table)
                known = new.lazy().select(key_expr(key, schema[column]) for column, key in pairs)
                columns = [column for column, _ in pairs]
                meets = old.join(known, left_on=columns, right_on=[key for _, key in pairs], how="semi")
                if meets.select(columns).head(1).collect(engine="streaming").height:
                    return False
    return True


def _keys_then(former: Former, scenario: EventScenario, dimension: str) -> pl.DataFrame:
    index = list(scenario.data.dimensions).index(dimension)
    return pl.read_parquet(former.store.folder / f"keys.{index}.parquet")


def codes_now(
    scenario: EventScenario, former: Former, keys: Mapping[str, pl.DataFrame], values: Mapping[str, pl.Series]
) -> dict[str, np.ndarray]:
    """Column of the events → code, or dimension row, of today by that of then.

    0 for a row that is gone.

    Args:
        scenario: Checked scenario.
        former: The former store.
        keys: Dimension → its keys of today, with their rows.
        values: Category → its values of today.
    """
    codes = {}
    for dimension, table in scenario.data.dimensions.items():
        then = _keys_then(former, scenario, dimension)
        now = then.join(keys[dimension], on=table.key, how="left", maintain_order="left")[ROW]
        codes[f">{dimension}"] = now.fill_null(0)
    for field in former.store.event_fields:
        if field.kind != "number" and not field.joined_by:
            known = pl.Series(former.store.values(field.name), dtype=pl.String)
            codes[field.name] = known.cast(pl.Enum(values[field.name])).to_physical().cast(pl.UInt32) + 1
    return {name: np.concatenate([[0], code.to_numpy()]).astype(np.uint32) for name, code in codes.items()}


def append_events(
    folder: Path,
    former: Former,
    new: pl.DataFrame,
    entities: pl.DataFrame,
    codes: Mapping[str, np.ndarray],
    schema: Mapping[str, np.dtype],
    limit: int,
) -> None:
    """Write the events of a former store and the new ones, sorted together.

    Args:
        folder: The new store's folder.
        former: The former store.
        new: The new events, sorted, in the codes of today.
        entities: All entities; those of then among them in the same order.
        codes: From `codes_now`.
        schema: Column → type.
        limit: Bytes of memory.
    """
    old = former.store.events
    columns = {**old.columns, TIME: old.time}
    if TABLE in schema:
        columns[TABLE] = np.load(former.store.folder / "tables.npy", mmap_mode="r")
    known = entities.with_row_index(ROW).join(former.store.entity_ids.to_frame(), on=ENTITY_ID, how="semi")
    known_E = np.zeros(entities.height, dtype=bool)
    known_E[known[ROW].to_numpy()] = True
    lengths_E = np.bincount(new[ROW].to_numpy(), minlength=entities.height)
    lengths_E[known_E] += np.diff(old.offsets)
    place_T = _places(old, columns.get(TABLE), new, known_E)
    files = EventFiles(folder, schema, len(old.time) + new.height)
    rows = run_rows(schema, limit)
    for name in files.names:
        added, code = new[name].to_numpy(), codes.get(name)
        if code is not None and np.array_equal(code, np.arange(len(code))):
            code = None
        for start in range(0, len(old.time), rows):
            stop = min(start + rows, len(old.time))
            # What comes at the end of a part belongs to the next one, unless there is none.
            first, last = np.searchsorted(place_T, [start, stop if stop < len(old.time) else stop + 1])
            part = columns[name][start:stop] if code is None else code[columns[name][start:stop]]
            inserted = np.insert(part.astype(schema[name]), place_T[first:last] - start, added[first:last])
            files.append(name, inserted)
    np.save(folder / "events" / "offsets.npy", np.concatenate([[0], np.cumsum(lengths_E)]).astype(np.int64))


def _places(old: Timeline, table: np.ndarray | None, new: pl.DataFrame, known_E: np.ndarray) -> np.ndarray:
    """Before which old event each new one comes.

    After all of its entity that are not later. Of those at the same time, the events of a former table come
    first.
    """
    begins = old.offsets[np.concatenate([[0], np.cumsum(known_E)])]  # shape (E + 1), of all entities
    row_T, time_T = new[ROW].to_numpy(), new[TIME].to_numpy()

    def comes_first(at_T: np.ndarray) -> np.ndarray:
        then_T = old.time[at_T]
        same_T = np.ones(len(at_T), dtype=bool) if table is None else table[at_T] <= new[TABLE].to_numpy()
        return np.asarray((then_T < time_T) | ((then_T == time_T) & same_T))

    return bisect(begins[row_T], begins[row_T.astype(np.int64) + 1], comes_first)
