"""Label queries: from events to the targets of every example.

Two steps. `label_query` is one lazy Polars query: the events that count, each with the number of its label.
Sorted by time, the events of a window are then one slice, and `window_targets` counts them by (entity,
label). Labels are never columns; targets are one (N, K) matrix.

To add a rule: a config class in `mlc.scenario`, one `case` in `target_expr`, one loop in
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
from mlc.errors import DataError, Problem, did_you_mean
from mlc.ingest import EventStore
from mlc.scenario import CountAtLeast, Exists, Rule, Scenario, TopClasses
from mlc.sources import rule_expr, scan_events
from mlc.store import Timeline, pack
from mlc.tables import (
    CUTOFF,
    ENTITY_ID,
    MICROSECONDS_PER_DAY,
    SPLIT,
    SPLIT_TYPE,
    TARGETS,
    TIME,
    Split,
    array_column,
    microseconds,
)

LABEL = "label"
ROW = "row"
VALUE = "value"
EVENTS = "events"


@dataclass(frozen=True)
class Labels:
    """The K labels and the values that each stands for.

    Attributes:
        names: K names, in the order of the scenario (`{top: K}`: most frequent first).
        values: One row a (value, label): `value` text, `label` UInt16. A value may belong to several labels.
    """

    names: Sequence[str]
    values: pl.DataFrame


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


# ── labels ──────────────────────────────────────────────────────────────────────────────────────


def value_counts(scenario: Scenario, fit_until: datetime) -> pl.DataFrame:
    """Values of the target column: `value`, `events` in all, `fitted` events up to `fit_until`."""
    return (
        _values(scenario)
        .group_by(VALUE)
        .agg(pl.len().alias(EVENTS), (pl.col(TIME) <= fit_until).sum().alias("fitted"))
        .collect(engine="streaming")
    )


def _values(scenario: Scenario) -> pl.LazyFrame:
    """Entity, time and value of every event that counts; events without a value are left out."""
    target = scenario.target
    owner = target.column.split(".", 1)[0] if "." in target.column else None
    dimensions = (
        list(scenario.data.events[target.table].joins) if target.rule.where else [owner] if owner else []
    )
    frame = scan_events(scenario, target.table, dimensions)
    if target.rule.where is not None:
        frame = frame.filter(rule_expr(scenario, target.rule.where))
    value = pl.col(target.column).cast(pl.String).alias(VALUE)
    return frame.select(ENTITY_ID, TIME, value).filter(pl.col(VALUE).is_not_null())


def resolve_labels(scenario: Scenario, counts: pl.DataFrame) -> Labels:
    """The labels of a scenario: as listed, as grouped, or the most frequent in the training period.

    Args:
        scenario: Checked scenario.
        counts: From `value_counts`.

    Raises:
        DataError: Class names that never occur, all at once, each with the nearest ones.
    """
    names = scenario.target.class_names
    if not counts.height:
        column = scenario.target.column
        rule = f"some event must have a value in {column}, however: none has; check where and joins"
        raise DataError(scenario.problem("target.column", rule))
    if isinstance(names, TopClasses):
        top = counts.filter(pl.col("fitted") >= names.min_support).sort(
            ["fitted", VALUE], descending=[True, False]
        )
        groups = {value: [value] for value in top[VALUE].head(names.top)}
        if not groups:
            rule = f"must find a value with {names.min_support} events in training, however: there is none"
            raise DataError(scenario.problem("target.class_names", rule))
    else:
        groups = {name: [name] for name in names} if isinstance(names, list) else dict(names)
        problems = list(_unknown_values(scenario, groups, set(counts[VALUE])))
        if problems:
            raise DataError(problems)
    pairs = [(value, index) for index, values in enumerate(groups.values()) for value in values]
    frame = pl.DataFrame(pairs, schema={VALUE: pl.String, LABEL: pl.UInt16}, orient="row").unique(
        maintain_order=True
    )
    return Labels(list(groups), frame)


def _unknown_values(scenario: Scenario, groups: dict[str, list[str]], known: set[str]) -> list[Problem]:
    listed = isinstance(scenario.target.class_names, list)
    return [
        scenario.problem(
            ("target", "class_names", index if listed else name),
            f"must occur in {scenario.target.column}, however: {value!r} never does; "
            f"{did_you_mean(value, known)}",
        )
        for index, (name, values) in enumerate(groups.items())
        for value in values
        if value not in known
    ]


def label_query(scenario: Scenario, labels: Labels) -> pl.LazyFrame:
    """The events that count: `entity_id`, `time`, `label`; a value of two labels gives two rows."""
    return _values(scenario).join(labels.values.lazy(), on=VALUE, how="inner").select(ENTITY_ID, TIME, LABEL)


def label_events(scenario: Scenario, labels: Labels, store: EventStore) -> pl.DataFrame:
    """`label_query` as numbers: `row` UInt32, `time` Int64 (microseconds), `label` UInt16; by time."""
    rows = pl.DataFrame({ENTITY_ID: store.entity_ids}).with_row_index(ROW).lazy()
    query = label_query(scenario, labels).join(rows, on=ENTITY_ID, how="inner")
    return (
        query.select(ROW, pl.col(TIME).cast(pl.Int64), LABEL)
        .collect(engine="streaming")
        .sort(TIME, ROW, LABEL)
    )


def label_timeline(events: pl.DataFrame, entities: int) -> Timeline:
    """The label events by entity, for the history features: column `label`, by (entity, time)."""
    return pack(events[ROW].to_numpy(), events[TIME].to_numpy(), entities, {LABEL: events[LABEL].to_numpy()})


# ── targets ─────────────────────────────────────────────────────────────────────────────────────


def target_expr(rule: Rule) -> pl.Expr:
    """One boolean per (entity, label) group of events in the window."""
    match rule:
        case Exists():
            return pl.len() >= 1
        case CountAtLeast(times=times):
            return pl.len() >= times
        case unreachable:
            assert_never(unreachable)


def window_targets(scenario: Scenario, events: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """The positive (row, label) pairs of one cutoff.

    Args:
        scenario: Gives rule, gap and window.
        events: From `label_events`.
        cutoff: The window is `(cutoff + gap, cutoff + gap + window]`.
    """
    opens = microseconds(cutoff) + scenario.target.gap_days * MICROSECONDS_PER_DAY
    closes = opens + scenario.target.window_days * MICROSECONDS_PER_DAY
    first, last = np.searchsorted(events[TIME].to_numpy(), [opens, closes], side="right")
    window = events.slice(int(first), int(last - first))
    met = window.lazy().group_by(ROW, LABEL).agg(target_expr(scenario.target.rule).alias("met"))
    return met.filter(pl.col("met")).select(ROW, LABEL).collect()


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
    all_rows, all_targets, tables = [], [], []
    for cutoff, split in cutoffs.rows:
        rows = eligible_rows(scenario, store, cutoff, funnel.remove)
        if scenario.examples.holdout_entities:
            fits = ~held_out[rows] if split == "train" else held_out[rows]
            funnel.remove("entities held out of training, or not held out for the tests", int((~fits).sum()))
            rows = rows[fits]
        targets = _matrix(
            window_targets(scenario, events, cutoff), rows, len(store.entity_ids), len(labels.names)
        )
        if scenario.examples.drop_all_negative:
            positive = targets.any(axis=1)
            funnel.remove("without any positive target (drop_all_negative)", int((~positive).sum()))
            rows, targets = rows[positive], targets[positive]
        all_rows.append(rows)
        all_targets.append(targets)
        tables.append(_keys(store, rows, cutoff, split))
    targets_NK = np.concatenate(all_targets)
    table = pl.concat(tables).with_columns(array_column(TARGETS, targets_NK))
    _check_examples(scenario, labels, table[SPLIT].to_numpy(), targets_NK, funnel.steps)
    return Examples(table, np.concatenate(all_rows), labels, funnel.steps)


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
    rows: np.ndarray = np.arange(len(store.entity_ids))
    at = np.full(len(rows), microseconds(cutoff))
    ends = store.events.ends(rows, at)
    enough = ends - store.events.offsets[:-1] >= scenario.examples.min_history_events
    least = scenario.examples.min_history_events
    removed(
        "without history" if least == 1 else f"with fewer than {least} events of history",
        int((~enough).sum()),
    )
    most = scenario.examples.max_entities
    if most is not None:  # entities lie in hash order: the first ones are a random sample
        removed(f"beyond a sample of {most:,} entities", int(enough[most:].sum()))
        enough[most:] = False
    rows, ends = rows[enough], ends[enough]
    days = scenario.examples.active_within_days
    if days is not None:
        recent = store.events.time[ends - 1] > microseconds(cutoff) - days * MICROSECONDS_PER_DAY
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
    scenario: Scenario, labels: Labels, splits: np.ndarray, targets_NK: np.ndarray, funnel: list[FunnelStep]
) -> None:
    for split in ("train", "validation", "test"):
        if not (splits == split).any():
            story = "; ".join(f"{step.removed:,} {step.reason}" for step in funnel[1:])
            raise DataError(
                scenario.problem(
                    "examples", f"the {split} split must have examples, however: none is left ({story})"
                )
            )
    positives = (targets_NK[splits == "train"] == 1).sum(axis=0)
    empty = [name for name, count in zip(labels.names, positives, strict=True) if not count]
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
