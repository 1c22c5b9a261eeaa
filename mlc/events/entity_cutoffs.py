"""Cutoffs of each entity's own: at its events, or at random days."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import polars as pl

from mlc.events.cutoffs import Cutoffs
from mlc.events.store import EventStore
from mlc.scenario import EachEvent, EventScenario, RandomDays
from mlc.sources import rule_expr, scan_events
from mlc.tables import ENTITY_ID, MICROSECONDS_PER_DAY, SPLITS, TIME, microseconds

_ROW = "row"
_MULTIPLY = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class EntityCutoffs:
    """Pairs of an entity and a moment, each once; by split, cutoff, entity row.

    Attributes:
        rows: Entity rows, int64, shape (N).
        cutoffs: Microseconds since 1970, int64, shape (N).
        split: Position in `tables.SPLITS`, int8, shape (N).
        removed: Reason → how many pairs were removed for it.
    """

    rows: np.ndarray
    cutoffs: np.ndarray
    split: np.ndarray
    removed: Mapping[str, int]


def entity_cutoffs(scenario: EventScenario, store: EventStore, cutoffs: Cutoffs) -> EntityCutoffs:
    """Return the cutoffs that `examples.at` asks for.

    Those of training are the newest `train_cutoffs` of each entity.

    Args:
        scenario: With `examples.at`.
        store: Event store of its tables.
        cutoffs: Between which moments the cutoffs of each split lie.
    """
    match scenario.examples.at:
        case EachEvent() as at:
            pairs = _event_times(scenario, at, store)
        case RandomDays() as at:
            pairs = _random_days(at, store, cutoffs)
        case None:
            raise AssertionError("all entities have the same cutoffs")
        case unreachable:
            assert_never(unreachable)
    rows, times = pairs[_ROW].cast(pl.Int64).to_numpy(), pairs[TIME].to_numpy()
    split = cutoffs.split_of(times)
    late = times > microseconds(cutoffs.spans["test"][1])
    between = int((split[~late] < 0).sum())
    rows, times, split = (values[split >= 0] for values in (rows, times, split))
    order = np.lexsort((rows, times, split))
    rows, times, split = rows[order], times[order], split[order]
    most = scenario.examples.train_cutoffs
    is_newest = _newest(rows, split, most)
    removed = {
        "windows not complete": int(late.sum()),
        "whose window reaches into the next split": between,
        f"older than the newest {most} training cutoffs of an entity": int((~is_newest).sum()),
    }
    return EntityCutoffs(rows[is_newest], times[is_newest], split[is_newest], removed)


def _newest(rows: np.ndarray, split: np.ndarray, most: int) -> np.ndarray:
    """Which training cutoffs are among the newest of their entity.

    All of the other splits. In time order.
    """
    is_newest = np.ones(len(rows), dtype=bool)
    train = np.flatnonzero(split == SPLITS.index("train"))
    by_entity = train[np.argsort(rows[train], kind="stable")]
    _, first, counts = np.unique(rows[by_entity], return_index=True, return_counts=True)
    rank = np.arange(len(by_entity)) - np.repeat(first, counts)
    is_newest[by_entity] = rank >= np.repeat(counts, counts) - most
    return is_newest


def _event_times(scenario: EventScenario, at: EachEvent, store: EventStore) -> pl.DataFrame:
    """`row` and `time` of the events, each pair once."""
    frame = scan_events(scenario, at.table or scenario.target.table, None if at.where else [])
    if at.where is not None:
        frame = frame.filter(rule_expr(scenario, at.where))
    rows = pl.DataFrame({ENTITY_ID: store.entity_ids}).with_row_index(_ROW).lazy()
    pairs = frame.select(ENTITY_ID, pl.col(TIME).cast(pl.Int64)).unique()
    return pairs.join(rows, on=ENTITY_ID).select(_ROW, TIME).collect(engine="streaming")


def _random_days(at: RandomDays, store: EventStore, cutoffs: Cutoffs) -> pl.DataFrame:
    """Return `row` and `time` of random days of each entity, each pair once.

    They are drawn with replacement from the days after its first event.
    """
    keys = entity_keys(store.entity_ids, at.seed)
    born = store.events.time[store.events.offsets[:-1]]
    rows, times = [], []
    for index, split in enumerate(SPLITS):
        first, last = map(microseconds, cutoffs.spans[split])
        # Midnights from the first event on, within the span of the split.
        low = -(-np.maximum(born, first) // MICROSECONDS_PER_DAY)
        days = last // MICROSECONDS_PER_DAY - low + 1
        alive = np.flatnonzero(days > 0)
        for draw in range(at.per_entity):
            step = (index * at.per_entity + draw + 1) * _STEP % 2**64
            noise = _mixed(keys[alive] + np.uint64(step))
            # The upper half of the product of two 32-bit numbers: uniform over the days, without a division.
            day = (noise >> np.uint64(32)) * days[alive].astype(np.uint64) >> np.uint64(32)
            rows.append(alive)
            times.append((low[alive] + day.astype(np.int64)) * MICROSECONDS_PER_DAY)
    return pl.DataFrame({_ROW: np.concatenate(rows), TIME: np.concatenate(times)}).unique()


def entity_keys(ids: pl.Series, seed: int) -> np.ndarray:
    """Return a random number for each id, which depends on id and seed alone.

    Returns:
        uint64, one for each id.
    """
    key = seed.to_bytes(8, "little")
    digests = b"".join(hashlib.blake2b(str(i).encode(), digest_size=8, key=key).digest() for i in ids)
    return np.frombuffer(digests, dtype="<u8")


def _mixed(keys: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64.

    Source: Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators.
    """
    keys = (keys ^ (keys >> np.uint64(30))) * _MULTIPLY[0]
    keys = (keys ^ (keys >> np.uint64(27))) * _MULTIPLY[1]
    return np.asarray(keys ^ (keys >> np.uint64(31)))
