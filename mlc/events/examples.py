"""Examples: entities at cutoffs with their targets, and what was left out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from mlc.errors import DataError
from mlc.events.cutoffs import Cutoffs
from mlc.events.entity_cutoffs import entity_cutoffs, entity_keys
from mlc.events.label_names import LABEL, ROW, Labels
from mlc.events.store import EventStore
from mlc.events.targets import by_time, own_pairs, shared_pairs
from mlc.events.timeline import Timeline
from mlc.events.windows import closes
from mlc.scenario import EventScenario
from mlc.tables import (
    CUTOFF,
    ENTITY_ID,
    MICROSECONDS_PER_DAY,
    SPLIT,
    SPLIT_TYPE,
    SPLITS,
    TARGETS,
    UNKNOWN,
    Split,
    array_column,
    microseconds,
)
from mlc.task import FunnelStep

_MOST_TOGETHER = 1 << 18  # examples with cutoffs of their own whose windows are laid out at once


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


def build_examples(
    scenario: EventScenario, store: EventStore, cutoffs: Cutoffs, labels: Labels, line: Timeline
) -> Examples:
    """All examples with their targets.

    Args:
        scenario: Checked scenario.
        store: Event store of its tables.
        cutoffs: The cutoffs with their splits.
        labels: The K labels.
        line: Label events by entity, from `label_line`.

    Raises:
        DataError: No example is left, or a label has no positive in training (unless `allow_empty`).
    """
    funnel = Funnel()
    moments = _shared_moments if cutoffs.shared else _own_moments
    held_out = held_out_entities(store.entity_ids, scenario.examples.holdout_entities, scenario.train.seed)
    parts, all_rows = [], []
    trained_K = np.zeros(len(labels.names), dtype=np.int64)  # positives in training
    for chosen in moments(scenario, store, cutoffs, labels, line, funnel):
        eligible_N = eligible(scenario, store, chosen.rows, chosen.cutoffs, funnel.remove)
        if scenario.examples.holdout_entities:
            fits = held_out[chosen.rows] != (chosen.split == "train")
            reason = "entities held out of training, or not held out for the tests"
            funnel.remove(reason, int((eligible_N & ~fits).sum()))
            eligible_N &= fits
        rows, times = chosen.rows[eligible_N], chosen.cutoffs[eligible_N]
        targets = target_matrix(chosen.pairs(eligible_N), len(rows), len(labels.names))
        mark_unknown(scenario, labels, times, cutoffs.observed_until, targets)
        if scenario.examples.drop_all_negative:
            positive = (targets == 1).any(axis=1)
            funnel.remove("without any positive target (drop_all_negative)", int((~positive).sum()))
            rows, times, targets = rows[positive], times[positive], targets[positive]
        if chosen.split == "train":
            trained_K += (targets == 1).sum(axis=0)
        all_rows.append(rows)
        parts.append(_part(store, rows, times, chosen.split, targets))
    table = pl.concat(parts, rechunk=False)  # a large matrix is not copied here
    _check_examples(scenario, labels, set(table[SPLIT].unique()), trained_K, funnel.steps)
    return Examples(table, np.concatenate(all_rows), labels, funnel.steps)


def mark_unknown(
    scenario: EventScenario, labels: Labels, cutoffs_N: np.ndarray, until: datetime, targets_NK: np.ndarray
) -> None:
    """Set targets to unknown where the label's own window passes the observed time."""
    windows_K = np.asarray(labels.windows_days)
    for days in np.unique(windows_K).tolist():
        incomplete_N = closes(scenario.target, cutoffs_N, days) > microseconds(until)
        if incomplete_N.any():
            targets_NK[np.ix_(incomplete_N, windows_K == days)] = UNKNOWN


@dataclass(frozen=True)
class _Moments:
    """Candidates for examples of one split.

    Entity rows, cutoffs, and the positive pairs of those kept.
    """

    split: Split
    rows: np.ndarray
    cutoffs: np.ndarray
    pairs: Callable[[np.ndarray], pl.DataFrame]


def _shared_moments(
    scenario: EventScenario,
    store: EventStore,
    cutoffs: Cutoffs,
    labels: Labels,
    line: Timeline,
    funnel: "Funnel",
) -> Iterator[_Moments]:
    """All entities at one cutoff after the other."""
    entities = len(store.entity_ids)
    funnel.pairs = entities * (len(cutoffs.rows) + len(cutoffs.incomplete))
    funnel.remove("windows not complete", entities * len(cutoffs.incomplete))
    times = np.array([microseconds(cutoff) for cutoff, _ in cutoffs.rows])
    events = by_time(scenario, line, times)
    rows = np.arange(entities)
    for at, (_, split) in zip(times.tolist(), cutoffs.rows, strict=True):

        def pairs(eligible_N: np.ndarray, at: int = at) -> pl.DataFrame:
            positives = shared_pairs(scenario, labels, events, at)
            place = np.where(eligible_N, np.cumsum(eligible_N) - 1, -1)  # of the entity among the examples
            return positives.with_columns(pl.Series(ROW, place[positives[ROW].to_numpy()])).filter(
                pl.col(ROW) >= 0
            )

        yield _Moments(split, rows, np.full(entities, at), pairs)


def _own_moments(
    scenario: EventScenario,
    store: EventStore,
    cutoffs: Cutoffs,
    labels: Labels,
    line: Timeline,
    funnel: "Funnel",
) -> Iterator[_Moments]:
    """The entities' own cutoffs, this many at once."""
    own = entity_cutoffs(scenario, store, cutoffs)
    funnel.pairs = len(own.rows) + sum(own.removed.values())
    for reason, count in own.removed.items():
        funnel.remove(reason, count)
    for index, split in enumerate(SPLITS):
        chosen = np.flatnonzero(own.split == index)
        for start in range(0, len(chosen), _MOST_TOGETHER):
            part = chosen[start : start + _MOST_TOGETHER]
            rows, times = own.rows[part], own.cutoffs[part]

            def pairs(
                eligible_N: np.ndarray, rows: np.ndarray = rows, times: np.ndarray = times
            ) -> pl.DataFrame:
                return own_pairs(scenario, labels, line, rows[eligible_N], times[eligible_N])

            yield _Moments(split, rows, times, pairs)


def _part(
    store: EventStore, rows: np.ndarray, times: np.ndarray, split: Split, targets: np.ndarray
) -> pl.DataFrame:
    return pl.DataFrame(
        {ENTITY_ID: store.entity_ids.gather(rows), CUTOFF: pl.Series(times).cast(pl.Datetime("us"))}
    ).with_columns(pl.lit(split, dtype=SPLIT_TYPE).alias(SPLIT), array_column(TARGETS, targets))


def target_matrix(pairs: pl.DataFrame, examples: int, labels: int) -> np.ndarray:
    """Return targets 0 and 1, uint8, shape (N examples, K labels).

    The positive pairs become 1.
    """
    targets_NK = np.zeros((examples, labels), dtype=np.uint8)
    targets_NK[pairs[ROW].to_numpy(), pairs[LABEL].to_numpy()] = 1
    return targets_NK


def eligible_rows(
    scenario: EventScenario, store: EventStore, cutoff: datetime, removed: Callable[[str, int], None]
) -> np.ndarray:
    """Entity rows that are an example at a cutoff; see `eligible`."""
    rows = np.arange(len(store.entity_ids))
    return rows[eligible(scenario, store, rows, np.full(len(rows), microseconds(cutoff)), removed)]


def eligible(
    scenario: EventScenario,
    store: EventStore,
    rows: np.ndarray,
    cutoffs: np.ndarray,
    removed: Callable[[str, int], None],
) -> npt.NDArray[np.bool_]:
    """Which pairs of an entity and a cutoff are an example.

    Enough history, recent enough.

    Args:
        scenario: Gives `min_history_events` and `active_within_days`.
        store: The event store.
        rows: Entity rows, int64, shape (N).
        cutoffs: Microseconds since 1970, shape (N); history is `time <= cutoff`.
        removed: Receives a reason and how many pairs it removed.

    Returns:
        bool, shape (N).
    """
    least, time = scenario.examples.min_history_events, store.events.time
    starts, stops = store.events.offsets[rows], store.events.offsets[rows + 1]
    eligible_N = stops - starts >= least
    # Enough history by the cutoff: the event that completes it is not later.
    eligible_N[eligible_N] = time[starts[eligible_N] + least - 1] <= cutoffs[eligible_N]
    removed(
        "without history" if least == 1 else f"with fewer than {least} events of history",
        int((~eligible_N).sum()),
    )
    most = scenario.examples.max_entities
    if most is not None:  # entities lie in hash order: the first ones are a random sample
        removed(f"beyond a sample of {most:,} entities", int((eligible_N & (rows >= most)).sum()))
        eligible_N &= rows < most
    days = scenario.examples.active_within_days
    if days is not None:
        ends = store.events.ends(rows[eligible_N], cutoffs[eligible_N])
        recent = time[ends - 1] > cutoffs[eligible_N] - days * MICROSECONDS_PER_DAY
        removed(f"without an event in the last {days} days", int((~recent).sum()))
        eligible_N[eligible_N] = recent
    return np.asarray(eligible_N)


def held_out_entities(ids: pl.Series, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which entities training never sees.

    Depends on id and seed alone, not on the other entities.

    Returns:
        bool, one for each id.
    """
    if not share:
        return np.zeros(len(ids), dtype=bool)
    return np.asarray(entity_keys(ids, seed) < np.uint64(int(share * 2**64)))


class Funnel:
    """Adds up what each filter removes, over all cutoffs.

    Attributes:
        pairs: Pairs of an entity and a cutoff before any filter.
    """

    def __init__(self) -> None:
        self.pairs = 0
        self._removed: dict[str, int] = {}

    def remove(self, reason: str, count: int) -> None:
        """Note that a filter removed this many pairs."""
        self._removed[reason] = self._removed.get(reason, 0) + count

    @property
    def steps(self) -> list[FunnelStep]:
        """The filters that removed something, in order."""
        steps = [FunnelStep("all pairs of an entity and a cutoff", 0, self.pairs)]
        for reason, count in self._removed.items():
            if count:
                steps.append(FunnelStep(reason, count, steps[-1].kept - count))
        return steps


def _check_examples(
    scenario: EventScenario, labels: Labels, splits: set[str], trained_K: np.ndarray, funnel: list[FunnelStep]
) -> None:
    for split in ("train", "validation", "test"):
        if split not in splits:
            story = "; ".join(f"{step.removed:,} {step.reason}" for step in funnel[1:])
            raise DataError(scenario.problem("examples", f"the {split} split has no example left ({story})"))
    empty = [name for name, count in zip(labels.names, trained_K, strict=True) if not count]
    if len(empty) == len(labels.names):
        raise DataError(
            scenario.problem(
                "target",
                "all targets in training are negative. Widen the window, or check column and rule.",
            )
        )
    if empty and not scenario.target.allow_empty:
        raise DataError(
            scenario.problem(
                "target.class_names",
                f"no positive target in training for {', '.join(empty)}. "
                "Remove or group these labels, or set target.allow_empty: true.",
            )
        )
