"""Moments that cannot be or that mislead.

Far off, in the future, missing months, partial days.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlc.events.cutoffs import Cutoffs
from mlc.events.findings.finding import Subject, listed
from mlc.events.windows import window_of
from mlc.scenario import EventScenario
from mlc.sources import scan_events
from mlc.tables import MICROSECONDS_PER_DAY, TIME
from mlc.task import Finding

_FAR_DAYS = 366  # a few events so far from all others are a mistake
_STRAY = 0.01
_EMPTY_DAYS = 21  # a shorter pause is a holiday
_HARDLY = 0.05  # of the usual number of events
_EXPECTED = 20
_PARTIAL = 0.3  # of what the same weekday usually has


@dataclass(frozen=True)
class Days:
    """The events of a table by day.

    Attributes:
        day: Days since 1970 with an event, rising, int64.
        events: Events of each.
        midnight: Events at exactly 00:00.
        first_hour: Other events before 01:00.
    """

    day: np.ndarray
    events: np.ndarray
    midnight: int
    first_hour: int

    @property
    def dates_only(self) -> bool:
        """Whether no event has a time of day."""
        return self.midnight == int(self.events.sum())

    def between(self, first: int, last: int) -> "Days":
        """The days from the first to the last."""
        inside = (self.day >= first) & (self.day <= last)
        return Days(self.day[inside], self.events[inside], self.midnight, self.first_hour)


def events_by_day(scenario: EventScenario, name: str) -> Days:
    """One query: events by day, and how many stand at midnight."""
    moment = pl.col(TIME).cast(pl.Int64)
    of_day = moment % MICROSECONDS_PER_DAY
    table = (
        scan_events(scenario, name, [])
        .group_by((moment // MICROSECONDS_PER_DAY).alias("day"))
        .agg(
            pl.len().alias("events"),
            (of_day == 0).sum().alias("midnight"),
            (of_day < MICROSECONDS_PER_DAY // 24).sum().alias("hour"),
        )
        .sort("day")
        .collect()
    )
    midnight = int(table["midnight"].sum())
    return Days(
        table["day"].to_numpy(),
        table["events"].cast(pl.Int64).to_numpy(),
        midnight,
        int(table["hour"].sum()) - midnight,
    )


def time_findings(scenario: EventScenario, cutoffs: Cutoffs | None, now: datetime) -> Iterator[Finding]:
    """What is odd about the times of each events table.

    Args:
        scenario: Checked scenario.
        cutoffs: Its cutoffs; None where something keeps them from being known.
        now: Later events cannot have happened; naive, UTC.
    """
    for name in scenario.data.events:
        days = events_by_day(scenario, name)
        if not len(days.day):
            continue
        yield from _clock_findings(scenario, name, days)
        main = _main_block(days)
        yield from _stray_findings(scenario, name, days, main)
        yield from _future_findings(scenario, name, main, now)
        windows = _windows(scenario, cutoffs) if cutoffs and name == scenario.target.table else []
        until = _day(cutoffs.observed_until) if windows and cutoffs else int(main.day[-1])
        yield from _pause_findings(scenario, name, main.between(int(main.day[0]), until), windows)
        if windows and cutoffs:
            yield from _end_findings(scenario, name, main, cutoffs, windows)


@dataclass(frozen=True)
class _Window:
    """The days of a window, both included.

    The first is the cutoff's where that is not a midnight.
    """

    split: str
    first: int
    last: int


def _windows(scenario: EventScenario, cutoffs: Cutoffs) -> list[_Window]:
    """The window of each shared cutoff.

    Of the entities' own cutoffs all windows of a split as one.
    """
    target, days = scenario.target, scenario.target.longest_days
    spans = [(cutoff, cutoff, split) for cutoff, split in cutoffs.rows] or [
        (first, last, split) for split, (first, last) in cutoffs.spans.items()
    ]
    return [
        _Window(split, _day(window_of(target, first, days)[0]), _day(window_of(target, last, days)[1]))
        for first, last, split in spans
    ]


def _day(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)) // timedelta(days=1)


def _date(day: int) -> str:
    return str(np.datetime64(day, "D"))


def _clock_findings(scenario: EventScenario, name: str, days: Days) -> Iterator[Finding]:
    say, field = Subject(scenario, "times"), ("data", "tables", name, "time")
    total = int(days.events.sum())
    if days.dates_only:
        yield say(
            "note",
            field,
            f"{scenario.data.events[name].time} of {name} has dates without a time of day",
            "nothing; all events on the day of a cutoff count as history, none of them as target",
        )
    elif days.midnight >= 20 and days.midnight > 5 * days.first_hour:
        yield say(
            "warning",
            field,
            f"{days.midnight:,} of {total:,} events in {name} stand at exactly 00:00, "
            f"{days.first_hour:,} in the rest of that hour: probably days whose time is not known",
            "they lie in the history of a cutoff at that midnight, even if they happened later in the day: "
            "leave them out with where, or give them the end of the day",
        )


def _main_block(days: Days) -> Days:
    """Without the few events that lie years away from all others."""
    breaks = np.flatnonzero(np.diff(days.day) > _FAR_DAYS) + 1
    if not len(breaks):
        return days
    total = int(days.events.sum())
    blocks = np.split(np.arange(len(days.day)), breaks)
    # However many events stand at one day: it is what a missing date was filled with.
    main = [block for block in blocks if len(block) > 1 and int(days.events[block].sum()) > _STRAY * total]
    return days.between(int(days.day[main[0][0]]), int(days.day[main[-1][-1]])) if main else days


def _stray_findings(scenario: EventScenario, name: str, days: Days, main: Days) -> Iterator[Finding]:
    first, last = int(main.day[0]), int(main.day[-1])
    for side, chosen in (("before", days.day < first), ("after", days.day > last)):
        count = int(days.events[chosen].sum())
        if not count:
            continue
        edge = _date(first if side == "before" else last)
        dates = [_date(int(day)) for day in days.day[chosen]]
        # A day more: these are days in UTC, the column may be in another zone.
        bound = (">=", first - 1) if side == "before" else ("<", last + 2)
        yield Subject(scenario, "times")(
            "warning",
            ("data", "tables", name, "time"),
            f"{count:,} of {int(days.events.sum()):,} events in {name} lie years {side} all others: "
            f"{listed(dates, 3)}, the others {'from' if side == 'before' else 'until'} {edge}",
            "such dates often stand for one that is not known: leave them out with "
            f"{_where(scenario, name, *bound)}",
        )


def _where(scenario: EventScenario, name: str, sign: str, day: int) -> str:
    """The whole `where` of an events table that also bounds its times."""
    table = scenario.data.events[name]
    bound = f"{table.time} {sign} date('{_date(day)}')"
    condition = bound if table.where is None else f"({table.where}) AND {bound}"
    return f"where: {json.dumps(condition, ensure_ascii=False)} at {name}"


def _future_findings(scenario: EventScenario, name: str, main: Days, now: datetime) -> Iterator[Finding]:
    today = _day(now)
    late = main.day > today
    if late.any():
        yield Subject(scenario, "times")(
            "warning",
            ("data", "tables", name, "time"),
            f"{int(main.events[late].sum()):,} events in {name} lie in the future, "
            f"{_date(int(main.day[late][0]))} to {_date(int(main.day[-1]))}",
            "events that have not happened are plans or mistakes: leave them out with "
            f"{_where(scenario, name, '<', today + 1)}, or set examples.observed_until: {_date(today)}",
        )


@dataclass(frozen=True)
class Pause:
    """A stretch of days with hardly any event.

    `usual` is what as many days around it have.
    """

    first: int
    last: int
    events: int
    usual: int


def pauses(days: Days) -> list[Pause]:
    """Weeks with hardly any event between weeks with many.

    Also at the end, not at a slow beginning.

    Args:
        days: Days with events. Where they are weeks apart, a pause is longer than three of these steps.
    """
    if len(days.day) < 20:
        return []
    step = float(np.quantile(np.diff(days.day), 0.95))
    width = int(max(_EMPTY_DAYS, 3 * step))
    counts = np.zeros(int(days.day[-1] - days.day[0]) + 1)
    counts[days.day - days.day[0]] = days.events
    if len(counts) < 4 * width:
        return []
    sums = np.convolve(counts, np.ones(width), "valid")
    usual = float(np.median(sums))
    low = np.zeros(len(counts) + 1, dtype=np.int64)
    np.add.at(low, np.flatnonzero(sums < _HARDLY * usual), 1)
    np.add.at(low, np.flatnonzero(sums < _HARDLY * usual) + width, -1)
    quiet = np.concatenate([[False], np.cumsum(low[:-1]) > 0, [False]])
    gaps = []
    for start, end in np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2).tolist():
        busy = counts[start:end] >= usual / width / 4
        while end - start > 1 and busy[0]:
            start, busy = start + 1, busy[1:]
        while end - start > 1 and busy[-1]:
            end, busy = end - 1, busy[:-1]
        before, after = (
            float(part.mean()) if len(part) else 0.0 for part in _around(counts, start, end, width)
        )
        rate = min(before, after) if end < len(counts) else before
        events, expected = int(counts[start:end].sum()), rate * (end - start)
        if end - start >= _EMPTY_DAYS and events < _HARDLY * expected and expected >= _EXPECTED:
            first = int(days.day[0]) + start
            gaps.append(Pause(first, first + end - start - 1, events, round(expected)))
    return gaps


def _around(counts: np.ndarray, start: int, end: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return counts[max(0, start - 2 * width) : start], counts[end : end + 2 * width]


def _pause_findings(
    scenario: EventScenario, name: str, days: Days, windows: Sequence[_Window]
) -> Iterator[Finding]:
    """Missing months."""
    say, field = Subject(scenario, "times"), ("data", "tables", name)
    for pause in pauses(days):
        message = (
            f"{name} has {pause.events:,} events from {_date(pause.first)} to {_date(pause.last)} "
            f"({pause.last - pause.first + 1} days), usually {pause.usual:,} in as many days"
        )
        hit = [window for window in windows if window.first < pause.last and window.last >= pause.first]
        splits = ", ".join(dict.fromkeys(window.split for window in hit))
        if hit:
            yield say(
                "warning",
                field,
                f"{message}; windows of {splits} reach into it and have too few positives",
                "add the missing events, or move the splits away with examples.observed_until, test_from, "
                "validation_from and train_cutoffs",
            )
        else:
            yield say(
                "note",
                field,
                message,
                "add the missing events, if there are any; no window reaches into these days, "
                "however histories do",
            )


def _end_findings(
    scenario: EventScenario, name: str, main: Days, cutoffs: Cutoffs, windows: Sequence[_Window]
) -> Iterator[Finding]:
    say = Subject(scenario, "times")
    last, until = int(main.day[-1]), _day(cutoffs.observed_until)
    gaps = np.diff(main.day)
    usual = float(np.quantile(gaps, 0.95)) if len(gaps) else 1.0
    if until - last > max(2.0, 3 * usual):
        beyond = ", ".join(dict.fromkeys(window.split for window in windows if window.last > last + 1))
        yield say(
            "warning",
            ("examples", "observed_until"),
            f"the tables count as complete until {_date(until)}, {until - last} days after the last event in "
            f"{name} ({_date(last)}){f'; windows of {beyond} reach beyond the data' if beyond else ''}",
            f"set examples.observed_until: {_date(last)}, or add the newer events",
        )
        return
    day = min(last, until)
    days = main.between(int(main.day[0]), day)
    same = days.events[:-1][(days.day[-1] - days.day[:-1]) % 7 == 0][-8:]
    inside = any(window.first <= day < window.last or _counts(window, day, main) for window in windows)
    if inside and len(same) >= 4 and np.median(same) >= 20 and days.events[-1] < _PARTIAL * np.median(same):
        yield say(
            "warning",
            ("examples", "observed_until"),
            f"the last day, {_date(day)}, has {int(days.events[-1]):,} events in {name}, "
            f"the same weekday before it usually {np.median(same):,.0f}: probably it is not complete",
            f"set examples.observed_until: {_date(day - 1)}",
        )


def _counts(window: _Window, day: int, main: Days) -> bool:
    """Whether the day that a window ends on counts.

    Where times are dates it does, as its midnight.
    """
    return window.last == day and main.dates_only
