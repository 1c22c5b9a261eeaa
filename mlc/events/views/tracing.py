"""Why a target is what it is: the events around a cutoff, as a timeline."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, groupby
from typing import assert_never

import numpy as np
import polars as pl

from mlc.errors import MlcError, did_you_mean, sentences
from mlc.events.cutoffs import naive
from mlc.events.label_names import AMOUNT, LABEL
from mlc.events.preparing import Prepared
from mlc.events.windows import moment_of, window_of
from mlc.scenario import CountAtLeast, Exists, Lapsed, New, Rule, SumAtLeast
from mlc.tables import CUTOFF, SPLIT, targets_of

_MOST_HISTORY = 12
_MOST_AFTER = 3

Counted = tuple[datetime, float]
"""An event that counts: its time, and the amount that the rule adds up."""


@dataclass(frozen=True)
class Moment:
    """All events of the entity at one time.

    Attributes:
        time: The time.
        labels: Label → how many events have it.
        others: Events of all tables without a label; 0 beside labels that share values, where none can tell.
        sets: Labels whose target became 1 here.
    """

    time: datetime
    labels: dict[str, int]
    others: int
    sets: Sequence[str]


@dataclass(frozen=True)
class Trace:
    """An entity at a cutoff.

    Attributes:
        entity: Its id.
        cutoff: The cutoff; history is up to and with it.
        opens: The window is after this moment …
        closes: … up to and with this one; the longest window of the labels.
        observed_until: A window beyond it gives no target.
        split: Split of the example; None where the entity is no example at this cutoff.
        moments: All moments of the entity, rising.
        targets: Label → 0 or 1, found anew from the moments; None while the window is not complete.
        counts: Label → its events in the window.
    """

    entity: str
    cutoff: datetime
    opens: datetime
    closes: datetime
    observed_until: datetime
    split: str | None
    moments: Sequence[Moment]
    targets: dict[str, int | None]
    counts: dict[str, int]


def trace(prepared: Prepared, entity: str, cutoff: datetime | None = None) -> Trace:
    """Find out what set the targets of an entity at a cutoff.

    Args:
        prepared: The examples and what they were made of.
        entity: Its id, as text.
        cutoff: Any moment; by default the entity's newest example, or the last moment of the test.

    Raises:
        MlcError: No events table has the entity.
    """
    row = int(prepared.store.rows(pl.Series([entity]))[0])
    if row < 0:
        raise MlcError(
            sentences(f"--trace {entity}: the tables have no such entity", _nearest(prepared, entity))
        )
    own = prepared.examples.table[CUTOFF].filter(pl.Series(prepared.examples.rows == row))
    newest = prepared.cutoffs.spans["test"][1] if prepared.cutoffs.shared or own.is_empty() else own[-1]
    return _trace_row(prepared, row, naive(cutoff) or newest)


def trace_positives(prepared: Prepared, number: int) -> list[tuple[str, Trace]]:
    """Random positive (example, label) pairs: the label and the trace of its example.

    The same seed gives the same ones; a label is as likely as another, however rare.
    """
    table, names = prepared.examples.table, prepared.examples.labels.names
    positive_NK = targets_of(table) == 1
    rng = np.random.default_rng(prepared.scenario.train.seed)
    known = np.flatnonzero(positive_NK.any(axis=0))
    traces = []
    for label in rng.permutation(np.resize(known, number)) if len(known) else []:
        example = int(rng.choice(np.flatnonzero(positive_NK[:, label])))
        row = int(prepared.examples.rows[example])
        traces.append((names[label], _trace_row(prepared, row, table[CUTOFF][example])))
    return traces


def _nearest(prepared: Prepared, entity: str) -> str:
    ids = prepared.store.entity_ids.cast(pl.String)
    alike = ids.filter(ids.str.starts_with(entity[:2])) if entity else ids.head(0)
    return did_you_mean(entity, [*alike.head(3_000), *ids.head(1_000)])


def _trace_row(prepared: Prepared, row: int, cutoff: datetime) -> Trace:
    target, names = prepared.scenario.target, prepared.examples.labels.names
    opens, closes = window_of(target, cutoff, target.longest_days)
    events, line = prepared.store.events, prepared.label_line
    times = [moment_of(t) for t in events.time[events.offsets[row] : events.offsets[row + 1]]]
    own = slice(line.offsets[row], line.offsets[row + 1])
    owned = [names[k] for k in line.columns[LABEL][own]]
    labelled = [(moment_of(t), name) for t, name in zip(line.time[own], owned, strict=True)]
    amounts = line.columns[AMOUNT][own] if AMOUNT in line.columns else np.zeros(len(labelled))
    windows = {
        name: window_of(target, cutoff, days)[1]
        for name, days in zip(names, prepared.examples.labels.windows_days, strict=True)
    }
    inside: dict[str, list[Counted]] = {name: [] for name in names}
    past: dict[str, list[datetime]] = {name: [] for name in names}
    for (time, name), amount in zip(labelled, amounts, strict=True):
        if opens < time <= windows[name]:
            inside[name].append((time, float(amount)))
        elif time <= cutoff:
            past[name].append(time)
    verdicts: dict[str, tuple[int | None, datetime | None]] = {
        name: (None, None)
        if windows[name] > prepared.cutoffs.observed_until
        else decide(target.rule, inside[name], past[name], cutoff)
        for name in names
    }
    event_counts = Counter(times)
    by_time = {t: Counter(name for _, name in pairs) for t, pairs in groupby(labelled, key=lambda p: p[0])}
    shared = not prepared.examples.labels.values["value"].is_unique().all()

    def moment(time: datetime) -> Moment:
        labels = dict(by_time.get(time, {}))
        others = 0 if labels and shared else event_counts[time] - sum(labels.values())
        return Moment(time, labels, others, [name for name in names if verdicts[name][1] == time])

    return Trace(
        entity=str(prepared.store.entity_ids[row]),
        cutoff=cutoff,
        opens=opens,
        closes=closes,
        observed_until=prepared.cutoffs.observed_until,
        split=_split(prepared, row, cutoff),
        moments=[moment(time) for time in sorted(event_counts)],
        targets={name: target for name, (target, _) in verdicts.items()},
        counts={name: len(moments) for name, moments in inside.items()},
    )


def decide(
    rule: Rule, inside: Sequence[Counted], past: Sequence[datetime], cutoff: datetime
) -> tuple[int, datetime | None]:
    """A target, and the moment at which an event set it to 1.

    Args:
        rule: How events make a target.
        inside: Events with the label in the window, rising.
        past: Events with the label up to the cutoff.
        cutoff: The cutoff.

    Returns:
        0 or 1, and the moment; None where the target is 0, or 1 because nothing happened.
    """
    at: datetime | None = None
    match rule:
        case Exists():
            at = inside[0][0] if inside else None
        case CountAtLeast(times=times):
            at = inside[times - 1][0] if len(inside) >= times else None
        case SumAtLeast(amount=amount):
            sums = list(accumulate(value for _, value in inside))
            if sums and sums[-1] >= amount:
                at = next(time for (time, _), reached in zip(inside, sums, strict=True) if reached >= amount)
        case New():
            at = inside[0][0] if inside and not past else None
        case Lapsed(active_within_days=days):
            recent = any(time > cutoff - timedelta(days=days) for time in past)
            return int(recent and not inside), None
        case unreachable:
            assert_never(unreachable)
    return int(at is not None), at


def _split(prepared: Prepared, row: int, cutoff: datetime) -> str | None:
    table = prepared.examples.table
    at = np.flatnonzero((prepared.examples.rows == row) & (table[CUTOFF] == cutoff).to_numpy())
    return str(table[SPLIT][int(at[0])]) if len(at) else None


# ── text ────────────────────────────────────────────────────────────────────────────────────────


def timeline_text(trace: Trace, *, history: int = _MOST_HISTORY, label: str | None = None) -> str:
    """The timeline as text: history, cutoff, gap, window, what set which label.

    Args:
        trace: From `trace`.
        history: How many moments of history at most, the newest.
        label: Tell the target of this label only.
    """
    # A name may hold line breaks and tabs; here each thing has a line of its own.
    return "\n".join(re.sub(r"[\n\r\t]+", " ", line) for line in _lines(trace, history, label))


def _lines(trace: Trace, most: int, label: str | None) -> Iterator[str]:
    dates = all(m.time.time() == datetime.min.time() for m in trace.moments)
    date_format = "%Y-%m-%d" if dates else "%Y-%m-%d %H:%M"
    where = f"{trace.split} example" if trace.split else "no example of this scenario"
    wanted = f" · {label}" if label else ""
    yield f"{trace.entity} · cutoff {trace.cutoff:{date_format}} · {where}{wanted}"
    past = [m for m in trace.moments if m.time <= trace.cutoff]
    if len(past) > most:
        yield f"  history │ … {len(past) - most:,} earlier moments since {past[0].time:{date_format}}"
    if not past:
        yield "  history │ none"
    for moment in past[-most:] if most else []:
        yield f"  history │ {_moment_text(moment, date_format)}"
    yield f"  ────────┼─ cutoff {trace.cutoff:{date_format}}"
    if trace.opens > trace.cutoff:
        for moment in _between(trace, trace.cutoff, trace.opens):
            yield f"  gap     │ {_moment_text(moment, date_format)}"
        yield f"  ────────┼─ window opens after {trace.opens:{date_format}}"
    inside = _between(trace, trace.opens, trace.closes)
    for moment in inside:
        yield f"  window  ┃ {_moment_text(moment, date_format)}"
    if not inside:
        yield "  window  ┃ no event"
    yield f"  ────────┼─ window closes with {trace.closes:{date_format}}"
    after = [m for m in trace.moments if m.time > trace.closes]
    for moment in after[:_MOST_AFTER]:
        yield f"  after   │ {_moment_text(moment, date_format)}"
    if len(after) > _MOST_AFTER:
        yield f"  after   │ … {len(after) - _MOST_AFTER:,} later moments"
    yield from _target_lines(trace, label, date_format)


def _between(trace: Trace, after: datetime, until: datetime) -> list[Moment]:
    return [m for m in trace.moments if after < m.time <= until]


def _moment_text(moment: Moment, date_format: str) -> str:
    parts = [name + (f" ({count})" if count > 1 else "") for name, count in moment.labels.items()]
    if moment.others:
        parts.append(f"{moment.others} other event{'s' if moment.others > 1 else ''}")
    sets = f"   → {'; '.join(moment.sets)}" if moment.sets else ""
    return f"{moment.time:{date_format}}  {'; '.join(parts)}{sets}"


def _target_lines(trace: Trace, label: str | None, date_format: str) -> Iterator[str]:
    names = [label] if label else list(trace.targets)
    width = max(len(name) for name in names)
    for name in names:
        target, count = trace.targets[name], trace.counts[name]
        detail = (
            f"{count:,} event{'' if count == 1 else 's'} in the window" if count else "no event in the window"
        )
        if target is None:
            detail = f"the window is not complete: the tables reach to {trace.observed_until:{date_format}}"
        setter = next((m.time for m in trace.moments if name in m.sets), None)
        since = f", set on {setter:{date_format}}" if setter else ""
        yield f"  {name:<{width}}  {'?' if target is None else target}  {detail}{since}"
