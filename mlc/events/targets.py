"""Targets: what the events in the window of a cutoff make of each label.

`shared_pairs` and `own_pairs` lay out the events in the windows of many examples; `positive_pairs` makes of
them the pairs of an example and a label whose target is 1, by a Polars query.

To add a rule: a config class in `mlc.scenario`, one `case` in `positive_pairs` and in `_past_days`, one loop
in `tests/reference.py`.
"""

from typing import assert_never

import numpy as np
import polars as pl

from mlc.events.label_names import AMOUNT, LABEL, ROW, Labels
from mlc.events.timeline import Timeline, packed
from mlc.events.windows import closes, opens
from mlc.scenario import CountAtLeast, EventScenario, Exists, Lapsed, New, Rule, SumAtLeast
from mlc.tables import MICROSECONDS_PER_DAY, TIME


def positive_pairs(rule: Rule, window: pl.LazyFrame, past: pl.LazyFrame) -> pl.LazyFrame:
    """The (row, label) pairs whose target is 1.

    Args:
        rule: How events make a target.
        window: Label events in the window.
        past: Label events of the history that the rule looks at, see `_past_days`.

    Returns:
        `row`, `label`; a pair may stand there more than once.
    """
    pair = [ROW, LABEL]
    match rule:
        case Exists():
            return window.select(pair)
        case CountAtLeast(times=times):
            return window.group_by(pair).agg(pl.len().alias("n")).filter(pl.col("n") >= times).select(pair)
        case SumAtLeast(amount=amount):
            sums = window.group_by(pair).agg(pl.col(AMOUNT).sum())
            return sums.filter(pl.col(AMOUNT) >= amount).select(pair)
        case New():
            return window.select(pair).join(past.select(pair), on=pair, how="anti")
        case Lapsed():
            return past.select(pair).join(window.select(pair), on=pair, how="anti")
        case unreachable:
            assert_never(unreachable)


def _past_days(rule: Rule) -> float:
    """How many days of history before the cutoff the rule looks at."""
    match rule:
        case Exists() | CountAtLeast() | SumAtLeast():
            return 0.0
        case New():
            return np.inf
        case Lapsed(active_within_days=days):
            return float(days)
        case unreachable:
            assert_never(unreachable)


def _past_from(rule: Rule, cutoffs_N: np.ndarray) -> np.ndarray:
    """Return where the history that the rule looks at lies, `(past_from, cutoff]`.

    Both are microseconds, int64, shape (N).
    """
    days = _past_days(rule)
    if np.isinf(days):
        return np.full_like(cutoffs_N, np.iinfo(np.int64).min)
    return cutoffs_N - int(days) * MICROSECONDS_PER_DAY


def by_time(scenario: EventScenario, line: Timeline, cutoffs_C: np.ndarray) -> pl.DataFrame:
    """The label events that matter for some shared cutoffs, by time.

    `row`, `time` and the line's columns.

    Args:
        scenario: Gives rule, gap and window.
        line: Label events by entity.
        cutoffs_C: Microseconds since 1970, int64.
    """
    target = scenario.target
    first = _past_from(target.rule, cutoffs_C).min()
    last = closes(target, cutoffs_C, target.longest_days).max()
    index = np.flatnonzero((line.time > first) & (line.time <= last))
    rows = np.repeat(np.arange(line.entities, dtype=np.uint32), np.diff(line.offsets))
    columns = {name: column[index] for name, column in line.columns.items()}
    return pl.DataFrame({ROW: rows[index], TIME: line.time[index], **columns}).sort(TIME)


def shared_pairs(scenario: EventScenario, labels: Labels, events: pl.DataFrame, cutoff: int) -> pl.DataFrame:
    """The positive pairs of a cutoff that all entities share.

    Args:
        scenario: Gives rule, gap and kind of window.
        labels: Give the length of each label's window.
        events: From `by_time`, for this cutoff and maybe others.
        cutoff: Microseconds since 1970.

    Returns:
        `row` (of the entity), `label`; a pair may stand there more than once.
    """
    target, at = scenario.target, np.array([cutoff])
    windows_K = np.asarray(labels.windows_days)
    past_from, opening = _past_from(target.rule, at), opens(target, at)
    bounds = np.concatenate([past_from, at, opening, closes(target, at, windows_K.max())])
    start, past, first, last = np.searchsorted(events[TIME].to_numpy(), bounds, side="right").tolist()
    window = events.slice(first, last - first)
    if windows_K.min() < windows_K.max():
        closes_K = closes(target, at, windows_K)
        window = window.filter(pl.Series(window[TIME].to_numpy() <= closes_K[window[LABEL].to_numpy()]))
    pairs = positive_pairs(target.rule, window.lazy(), events.slice(start, max(0, past - start)).lazy())
    return pairs.collect()


def own_pairs(
    scenario: EventScenario, labels: Labels, line: Timeline, rows_N: np.ndarray, cutoffs_N: np.ndarray
) -> pl.DataFrame:
    """The positive pairs of examples with a cutoff of their own.

    Args:
        scenario: Gives rule, gap and kind of window.
        labels: Give the length of each label's window.
        line: Label events by entity.
        rows_N: Entity row of each example.
        cutoffs_N: Cutoff of each, microseconds since 1970.

    Returns:
        `row` (position of the example), `label`; a pair may stand there more than once.
    """
    target = scenario.target
    windows_K = np.asarray(labels.windows_days)
    opening_N = opens(target, cutoffs_N)
    window = _between(line, rows_N, opening_N, closes(target, cutoffs_N, windows_K.max()))
    if windows_K.min() < windows_K.max():
        days_T = windows_K[window[LABEL].to_numpy()]
        closes_T = closes(target, cutoffs_N[window[ROW].to_numpy()], days_T)
        window = window.filter(pl.Series(window[TIME].to_numpy() <= closes_T))
    past = window.clear()
    if _past_days(target.rule):
        past = _between(line, rows_N, _past_from(target.rule, cutoffs_N), cutoffs_N)
    return positive_pairs(target.rule, window.lazy(), past.lazy()).collect()


def _between(line: Timeline, rows_N: np.ndarray, after_N: np.ndarray, until_N: np.ndarray) -> pl.DataFrame:
    """Return the label events of each example in `(after, until]`.

    They have `row` (the position of the example), `time` and all columns.
    """
    example_T, index_T = packed(line.ends(rows_N, after_N), line.ends(rows_N, until_N))
    columns = {name: column[index_T] for name, column in line.columns.items()}
    return pl.DataFrame({ROW: example_T, TIME: line.time[index_T], **columns})
