"""Targets: what the events in the window of a cutoff make of each label.

Label events are sorted by time, so that the events of a window are one slice. `positive_pairs` turns a slice
into the positive (entity, label) pairs by a Polars query; targets are one (N, K) matrix.

To add a rule: a config class in `mlc.scenario`, one `case` in `positive_pairs`, one loop in
`tests/reference.py`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import numpy as np
import numpy.typing as npt
import polars as pl

from mlc.cutoffs import Cutoffs
from mlc.errors import DataError
from mlc.ingest import EventStore
from mlc.labels import AMOUNT, LABEL, ROW, Labels
from mlc.scenario import CountAtLeast, Exists, Lapsed, New, Rule, Scenario, SumAtLeast
from mlc.tables import (
    CUTOFF,
    ENTITY_ID,
    MICROSECONDS_PER_DAY,
    SPLIT,
    SPLIT_TYPE,
    TARGETS,
    TIME,
    UNKNOWN,
    Split,
    array_column,
    microseconds,
)


@dataclass(frozen=True)
class FunnelStep:
    """One filter on the way from all (entity, cutoff) pairs to the examples.

    Attributes:
        reason: Why pairs were removed.
        removed: How many.
        kept: How many were left.
    """

    reason: str
    removed: int
    kept: int


@dataclass(frozen=True)
class Examples:
    """The examples of a scenario.

    Attributes:
        table: `entity_id`, `cutoff`, `split`, `targets`; by split, cutoff, entity row.
        rows: Entity row of each example, int64, shape (N).
        labels: The K labels.
        funnel: What was left out, in order.
    """

    table: pl.DataFrame
    rows: np.ndarray
    labels: Labels
    funnel: Sequence[FunnelStep]

    @property
    def cutoffs(self) -> np.ndarray:
        """Cutoff of each example in microseconds, int64, shape (N)."""
        return self.table[CUTOFF].cast(pl.Int64).to_numpy()


# ── targets ─────────────────────────────────────────────────────────────────────────────────────


def positive_pairs(rule: Rule, window: pl.LazyFrame, history: pl.LazyFrame, cutoff: int) -> pl.LazyFrame:
    """The (row, label) pairs whose target is 1.

    Args:
        rule: How events make a target.
        window: Label events in the window.
        history: Label events up to the cutoff.
        cutoff: In microseconds.

    Returns:
        `row`, `label`, each pair once.
    """
    pair = [ROW, LABEL]
    match rule:
        case Exists():
            return window.select(pair).unique()
        case CountAtLeast(times=times):
            return window.group_by(pair).agg(pl.len().alias("n")).filter(pl.col("n") >= times).select(pair)
        case SumAtLeast(amount=amount):
            sums = window.group_by(pair).agg(pl.col(AMOUNT).sum())
            return sums.filter(pl.col(AMOUNT) >= amount).select(pair)
        case New():
            return window.select(pair).unique().join(history.select(pair).unique(), on=pair, how="anti")
        case Lapsed(active_within_days=days):
            recent = history.filter(pl.col(TIME) > cutoff - days * MICROSECONDS_PER_DAY)
            return recent.select(pair).unique().join(window.select(pair).unique(), on=pair, how="anti")
        case unreachable:
            assert_never(unreachable)


def window_targets(
    scenario: Scenario, labels: Labels, events: pl.DataFrame, cutoff: datetime
) -> pl.DataFrame:
    """The positive (row, label) pairs of one cutoff.

    Args:
        scenario: Gives rule and gap.
        labels: Give the window of each label, `(cutoff + gap, cutoff + gap + window]`.
        events: From `labels.label_events`.
        cutoff: The cutoff.
    """
    at = microseconds(cutoff)
    opens = at + scenario.target.gap_days * MICROSECONDS_PER_DAY
    windows_K = np.asarray(labels.windows_days, dtype=np.int64) * MICROSECONDS_PER_DAY
    bounds = [at, opens, opens + windows_K.max()]
    past, first, last = np.searchsorted(events[TIME].to_numpy(), bounds, side="right").tolist()
    window = events.slice(first, last - first)
    if windows_K.min() < windows_K.max():
        inside = window[TIME].to_numpy() <= opens + windows_K[window[LABEL].to_numpy()]
        window = window.filter(pl.Series(inside))
    pairs = positive_pairs(scenario.target.rule, window.lazy(), events.slice(0, past).lazy(), at)
    return pairs.collect()


def build_examples(
    scenario: Scenario, store: EventStore, cutoffs: Cutoffs, labels: Labels, events: pl.DataFrame
) -> Examples:
    """All examples with their targets.

    Args:
        scenario: Checked scenario.
        store: Event store of its tables.
        cutoffs: Grid of cutoffs with their splits.
        labels: The K labels.
        events: From `label_events`.

    Raises:
        DataError: No example is left, or a label has no positive in training (unless `allow_empty`).
    """
    held_out = held_out_entities(store.entity_ids, scenario.examples.holdout_entities, scenario.train.seed)
    funnel = _Funnel(len(store.entity_ids) * (len(cutoffs.rows) + len(cutoffs.incomplete)))
    funnel.remove("windows not complete", len(store.entity_ids) * len(cutoffs.incomplete))
    all_rows, tables = [], []
    trained_K = np.zeros(len(labels.names), dtype=np.int64)  # positives in training
    for cutoff, split in cutoffs.rows:
        rows = eligible_rows(scenario, store, cutoff, funnel.remove)
        if scenario.examples.holdout_entities:
            fits = ~held_out[rows] if split == "train" else held_out[rows]
            funnel.remove("entities held out of training, or not held out for the tests", int((~fits).sum()))
            rows = rows[fits]
        positives = window_targets(scenario, labels, events, cutoff)
        targets = _matrix(positives, rows, len(store.entity_ids), len(labels.names))
        targets[:, _incomplete(scenario, labels, cutoff, cutoffs.observed_until)] = UNKNOWN
        if scenario.examples.drop_all_negative:
            positive = (targets == 1).any(axis=1)
            funnel.remove("without any positive target (drop_all_negative)", int((~positive).sum()))
            rows, targets = rows[positive], targets[positive]
        if split == "train":
            trained_K += (targets == 1).sum(axis=0)
        all_rows.append(rows)
        tables.append(_keys(store, rows, cutoff, split).with_columns(array_column(TARGETS, targets)))
    table = pl.concat(tables, rechunk=False)  # a large matrix is not copied here
    _check_examples(scenario, labels, set(table[SPLIT].unique()), trained_K, funnel.steps)
    return Examples(table, np.concatenate(all_rows), labels, funnel.steps)


def _incomplete(
    scenario: Scenario, labels: Labels, cutoff: datetime, until: datetime
) -> npt.NDArray[np.bool_]:
    """The labels whose own window passes the observed time: their targets cannot be known."""
    opens = microseconds(cutoff) + scenario.target.gap_days * MICROSECONDS_PER_DAY
    closes_K = opens + np.asarray(labels.windows_days, dtype=np.int64) * MICROSECONDS_PER_DAY
    return closes_K > microseconds(until)


def _keys(store: EventStore, rows: np.ndarray, cutoff: datetime, split: Split) -> pl.DataFrame:
    return pl.DataFrame({ENTITY_ID: store.entity_ids.gather(rows)}).with_columns(
        pl.lit(cutoff).cast(pl.Datetime("us")).alias(CUTOFF), pl.lit(split, dtype=SPLIT_TYPE).alias(SPLIT)
    )


def _matrix(positives: pl.DataFrame, rows: np.ndarray, entities: int, labels: int) -> np.ndarray:
    """0 and 1, uint8, shape (N rows, K labels), from the positive (row, label) pairs."""
    place = np.full(entities, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    targets_NK = np.zeros((len(rows), labels), dtype=np.uint8)
    at = place[positives[ROW].to_numpy()]
    kept = at >= 0
    targets_NK[at[kept], positives[LABEL].to_numpy()[kept]] = 1
    return targets_NK


def eligible_rows(
    scenario: Scenario, store: EventStore, cutoff: datetime, removed: Callable[[str, int], None]
) -> np.ndarray:
    """Entity rows that are an example at a cutoff: enough history, recent enough.

    Args:
        scenario: Gives `min_history_events` and `active_within_days`.
        store: The event store.
        cutoff: History is `time <= cutoff`.
        removed: Receives a reason and how many entities it removed.
    """
    at, least = microseconds(cutoff), scenario.examples.min_history_events
    starts, stops = store.events.offsets[:-1], store.events.offsets[1:]
    enough = stops - starts >= least
    # Enough history by the cutoff: the event that completes it is not later.
    enough[enough] = store.events.time[starts[enough] + least - 1] <= at
    removed(
        "without history" if least == 1 else f"with fewer than {least} events of history",
        int((~enough).sum()),
    )
    most = scenario.examples.max_entities
    if most is not None:  # entities lie in hash order: the first ones are a random sample
        removed(f"beyond a sample of {most:,} entities", int(enough[most:].sum()))
        enough[most:] = False
    rows = np.flatnonzero(enough)
    days = scenario.examples.active_within_days
    if days is not None:
        ends = store.events.ends(rows, np.full(len(rows), at))
        recent = store.events.time[ends - 1] > at - days * MICROSECONDS_PER_DAY
        removed(f"without an event in the last {days} days", int((~recent).sum()))
        rows = rows[recent]
    return rows


def held_out_entities(ids: pl.Series, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which entities training never sees; depends on id and seed alone, not on the other entities.

    Returns:
        bool, one for each id.
    """
    if not share:
        return np.zeros(len(ids), dtype=bool)
    key = seed.to_bytes(8, "little")
    digests = b"".join(hashlib.blake2b(str(i).encode(), digest_size=8, key=key).digest() for i in ids)
    return np.frombuffer(digests, dtype="<u8") < np.uint64(int(share * 2**64))


class _Funnel:
    """Adds up what each filter removes, over all cutoffs."""

    def __init__(self, pairs: int) -> None:
        self._pairs = pairs
        self._removed: dict[str, int] = {}

    def remove(self, reason: str, count: int) -> None:
        self._removed[reason] = self._removed.get(reason, 0) + count

    @property
    def steps(self) -> list[FunnelStep]:
        steps = [FunnelStep("all pairs of an entity and a cutoff", 0, self._pairs)]
        for reason, count in self._removed.items():
            if count:
                steps.append(FunnelStep(reason, count, steps[-1].kept - count))
        return steps


def _check_examples(
    scenario: Scenario, labels: Labels, splits: set[str], trained_K: np.ndarray, funnel: list[FunnelStep]
) -> None:
    for split in ("train", "validation", "test"):
        if split not in splits:
            story = "; ".join(f"{step.removed:,} {step.reason}" for step in funnel[1:])
            raise DataError(
                scenario.problem(
                    "examples", f"the {split} split must have examples, however: none is left ({story})"
                )
            )
    empty = [name for name, count in zip(labels.names, trained_K, strict=True) if not count]
    if len(empty) == len(labels.names):
        raise DataError(
            scenario.problem(
                "target",
                "training must have a positive target, however: all are negative; "
                "widen the window, or check column and rule",
            )
        )
    if empty and not scenario.target.allow_empty:
        raise DataError(
            scenario.problem(
                "target.class_names",
                f"each label must have a positive target in training, however: {', '.join(empty)} "
                f"{'has' if len(empty) == 1 else 'have'} none; "
                "remove or group them, or set target.allow_empty: true",
            )
        )
