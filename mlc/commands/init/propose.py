"""What could be predicted, for `mlc init`.

Complete until when, window, column, labels.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, cast

import numpy as np
import polars as pl

from mlc.commands.init.guess import Guess, Seen, scenario_of
from mlc.errors import MlcError
from mlc.scenario import EventScenario
from mlc.sources import scan_events
from mlc.tables import ENTITY_ID, TIME

_WINDOWS = (28, 14, 7, 3, 1)
_MOST_LABELS = 12
_MOST_VALUES = 500
_SUPPORT = 20
_DAY = timedelta(days=1)
_LABEL_WORDS = re.compile(r"categor|depart|class|type|group|kind|genre|segment|topic|dest|action|activity")
_KEY_WORDS = re.compile(r"(^|_|\.)(id|code|key|no|nr|num|number)$|id$")
_LEFTOVERS = re.compile(
    r"\W*|(other|others|misc\w*|unknown|none|null|n/?a|undefined|non-product|not specified)\W*", re.IGNORECASE
)


@dataclass(frozen=True)
class Span:
    """The time that a table covers.

    Attributes:
        first: Day of the first event.
        last: Day of the last event.
        complete: The last day that does not look partial.
        gaps: Longer times without events in between, first and last day.
        by_day: The times are dates.
        end: Time of the last event.
    """

    first: date
    last: date
    complete: date
    gaps: Sequence[tuple[date, date]]
    by_day: bool
    end: datetime

    @property
    def observed_until(self) -> date | None:
        """What `observed_until` should say; None where its default will do."""
        if self.complete >= self.last:
            return None
        return self.complete if self.by_day else self.complete + _DAY

    @property
    def until(self) -> datetime:
        """Up to when windows may reach."""
        moment = self.observed_until
        return self.end if moment is None else datetime(moment.year, moment.month, moment.day)


@dataclass(frozen=True)
class Label:
    """A value that could be a label.

    It has its events before validation, and the entities with it in the last window.
    """

    name: str
    events: int
    positives: int


@dataclass(frozen=True)
class Proposal:
    """A column to predict.

    Attributes:
        table: Its events table.
        column: The column, `dimension.column` for a joined one.
        labels: Values with enough support, most frequent first.
        skipped: Values left out because they say nothing, such as Other.
        examples: Entities with history at the last cutoff.
        window_days: The window that was counted with.
        span: The time of the table.
        score: Higher is better.
        codes: Columns with the same labels under other names.
    """

    table: str
    column: str
    labels: Sequence[Label]
    skipped: Sequence[str]
    examples: int
    window_days: int
    span: Span
    score: float
    codes: Sequence[str] = ()


def propose(guess: Guess, profiles: Mapping[str, Seen], data: Mapping[str, Any]) -> list[Proposal]:
    """Columns to predict, best first.

    Args:
        guess: The tables.
        profiles: What they hold.
        data: The scenario's data section.

    Raises:
        MlcError: No column has two values that entities do again and again.
    """
    proposals: list[Proposal] = []
    short: list[str] = []
    for name in guess.events:
        scenario = scenario_of(data, name, "?", 1)
        span = _span(scenario, name, profiles[name])
        window = window_that_fits(span)
        if window is None:
            short.append(f"{name} reaches from {span.first} to {span.complete}")
            continue
        proposals += _proposals(scenario, guess, profiles, name, (span, window))
    if not proposals:
        reason = "; ".join(short) or "all are numbers, identifiers, rare, or never change for an entity"
        raise MlcError(
            "no column of an events table, or of one joined to it, has values that entities have "
            f"in one window and not in another: {reason}"
        )
    rows = {name: profiles[name].rows for name in guess.events}
    largest = max(rows, key=lambda name: rows[name])
    proposals.sort(key=lambda p: (-p.score - 0.5 * (p.table == largest), p.column))
    codes = [other.column for other in proposals[1:] if _same_labels(other, proposals[0])]
    return [
        replace(proposals[0], codes=codes),
        *(other for other in proposals[1:] if other.column not in codes),
    ]


def _same_labels(one: Proposal, other: Proposal) -> bool:
    """Whether two columns part the events alike, as a code and its name do."""
    counts = [sorted((label.events, label.positives) for label in p.labels) for p in (one, other)]
    return one.table == other.table and counts[0] == counts[1]


def window_that_fits(span: Span) -> int | None:
    """28 days, or what leaves three windows and some history before them."""
    days = (span.until - datetime(span.first.year, span.first.month, span.first.day)) / _DAY
    for least in (5, 3):  # with two windows of history where possible
        for window in _WINDOWS:
            if days >= least * window + 1:
                return window
    return None


def _span(scenario: EventScenario, name: str, table: Seen) -> Span:
    frame = scan_events(scenario, name, [])
    days = frame.group_by(pl.col(TIME).dt.date().alias("day")).len().sort("day").collect(engine="streaming")
    if not days.height:
        raise MlcError(f"{table.path}: no row has both an entity and a time")
    first, last = days["day"][0], days["day"][-1]
    counts = np.zeros((last - first).days + 1, dtype=np.int64)
    counts[(days["day"] - first).dt.total_days().to_numpy()] = days["len"].to_numpy()
    gaps, complete = _holes(counts)
    by_day = isinstance(table.columns[table.time or ""].dtype, pl.Date)
    end = cast(datetime, frame.select(pl.col(TIME).max()).collect(engine="streaming").item())
    if not by_day and complete >= len(counts) - 2:  # a window ends at a midnight anyway
        complete = len(counts) - 1
    between = [(first + a * _DAY, first + b * _DAY) for a, b in gaps if b < complete]
    return Span(first, last, first + complete * _DAY, between, by_day, end)


def _holes(counts: np.ndarray) -> tuple[list[tuple[int, int]], int]:
    """Return runs of a week or more with hardly an event, and the last whole day."""
    busy = np.sort(counts[counts > 0])
    typical = float(np.median(busy))
    total = np.cumsum(counts)
    core = counts[np.searchsorted(total, 0.01 * total[-1]) : np.searchsorted(total, 0.99 * total[-1]) + 1]
    complete = len(counts) - 1
    if typical < 10 or (core > 0).mean() < 0.5:
        return [], complete
    low = np.concatenate([[0], (counts < 0.1 * typical).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(low))
    runs = [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= 7]
    late = [run for run in runs if run[1] >= complete - 91 and run[0] > 0.5 * len(core)]
    if late:
        complete = late[0][0] - 1
    for _ in range(7):
        weeks = counts[max(0, complete - 56) : complete : 7] if complete >= 7 else counts[:0]
        if len(weeks) < 4 or np.median(weeks) < 20 or counts[complete] >= 0.25 * np.median(weeks):
            break
        complete -= 1
    while complete > 0 and not counts[complete]:
        complete -= 1
    return runs, complete


def _proposals(
    scenario: EventScenario, guess: Guess, profiles: Mapping[str, Seen], name: str, when: tuple[Span, int]
) -> Iterator[Proposal]:
    joined = {join.dimension: join for join in guess.events[name]}
    own = {guess.entity, profiles[name].time}
    columns = [(name, column, column) for column in profiles[name].columns if column not in own]
    columns += [
        (dimension, f"{dimension}.{column}", column)
        for dimension, join in joined.items()
        for column in profiles[dimension].columns
        if column != join.key
    ]
    for table, written, column in columns:
        values = profiles[table].columns[column]
        right = values.names_things or values.dtype == pl.Boolean
        if right and 2 <= values.distinct <= _MOST_VALUES:
            proposal = _evaluate(scenario, name, written, [] if table == name else [table], when)
            if proposal is not None:
                yield proposal


def _evaluate(
    scenario: EventScenario, name: str, column: str, dimensions: list[str], when: tuple[Span, int]
) -> Proposal | None:
    """Count the values of a column.

    It is None where they say who an entity is, or where they are too rare.
    """
    span, days = when
    window = timedelta(days=days)
    test = (span.until - window).replace(hour=0, minute=0, second=0, microsecond=0)
    validation, train = test - window, test - 2 * window

    def within(start: datetime, split: str) -> pl.Expr:
        return ((pl.col(TIME) > start) & (pl.col(TIME) <= start + window)).any().alias(split)

    pairs = (
        scan_events(scenario, name, dimensions)
        .group_by(ENTITY_ID, pl.col(column).cast(pl.String).alias("value"))
        .agg(
            pl.len().alias("events"),
            (pl.col(TIME) <= validation).sum().alias("fitted"),
            pl.col(TIME).min().alias("first"),
            within(test, "test"),
            within(validation, "val"),
            within(train, "fit"),
        )
        .collect(engine="streaming")
        .with_columns(pl.col("first").min().over(ENTITY_ID))
    )
    valued = pairs.filter(pl.col("value").is_not_null())
    each = valued.group_by(ENTITY_ID).agg(pl.len().alias("values"), pl.col("events").sum())
    varied = each.filter(pl.col("events") >= 5)
    if not varied.height or cast(float, (varied["values"] > 1).mean()) < 0.2:
        return None
    examples = pairs.filter(pl.col("first") <= test)[ENTITY_ID].n_unique()
    table = (
        valued.group_by("value")
        .agg(
            pl.col("fitted").sum(),
            (pl.col("test") & (pl.col("first") <= test)).sum().alias("test"),
            (pl.col("val") & (pl.col("first") <= validation)).sum().alias("val"),
            (pl.col("fit") & (pl.col("first") <= train)).sum().alias("fit"),
        )
        .sort("fitted", "value", descending=[True, False])
    )
    good, support = _frequent(table, examples)
    labels = [Label(v, e, t) for v, e, t, _, _ in good.iter_rows() if not _LEFTOVERS.fullmatch(v)]
    if not labels:
        return None
    skipped = [v for v in good["value"] if _LEFTOVERS.fullmatch(v)]
    plain = column.rsplit(".", 1)[-1].lower()
    score = (
        min(len(labels), _MOST_LABELS) / _MOST_LABELS
        + 0.5 * bool(_LABEL_WORDS.search(plain))
        - 0.3 * bool(_KEY_WORDS.search(plain))
        - 0.5 * bool(all(re.fullmatch(r"[\d.-]+", label.name) for label in labels))
        - 0.3 * (support < _SUPPORT)
    )
    return Proposal(name, column, labels, skipped, examples, days, span, score)


def _frequent(table: pl.DataFrame, examples: int) -> tuple[pl.DataFrame, int]:
    """The values with enough examples in each window, and how many that is."""
    for support in (_SUPPORT, 5, 1):
        enough = (pl.col("fit") >= support) & (pl.col("test") >= support) & (pl.col("val") >= 1)
        good = table.filter(enough)
        if good.height >= 2:
            break
    usual = good.filter(pl.col("test") <= 0.9 * examples)  # what nearly all do needs no model
    return usual if usual.height >= 3 else good, support
