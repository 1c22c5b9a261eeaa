"""The obviously right versions: plain loops over lists of dicts, without Polars and without NumPy's vectors.

An event is `{"entity": …, "time": naive datetime, …columns}`. A group is label → values. Slow on purpose.
"""

import math
import struct
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

Event = dict[str, Any]
Where = Callable[[Event], bool] | None
DAY = timedelta(days=1)
WINDOWS = (7, 21, 63, 182)
HALF_LIVES = (5, 15, 45, 135)


# ── time ────────────────────────────────────────────────────────────────────────────────────────


def next_period(kind: str, after: datetime) -> tuple[datetime, datetime]:
    """First day of the first week or month that begins after a moment, and of the period after it."""

    def first(day: datetime) -> bool:
        return day.weekday() == 0 if kind == "next_week" else day.day == 1

    start = datetime(after.year, after.month, after.day) + DAY
    while not first(start):
        start += DAY
    end = start + DAY
    while not first(end):
        end += DAY
    return start, end


def window(question: Event, cutoff: datetime) -> tuple[datetime, datetime]:
    """The first moment of a window and the first after it, in microseconds."""
    after = cutoff + question["gap_days"] * DAY
    if question.get("window"):
        return next_period(question["window"], after)
    tick = timedelta(microseconds=1)
    return after + tick, after + question["window_days"] * DAY + tick


# ── rows ────────────────────────────────────────────────────────────────────────────────────────


def joined(events: list[Event], rows: list[Event], dimension: str, on: str, key: str) -> list[Event]:
    """Every event with the columns of its dimension row as `dimension.column`; None where there is no row."""
    columns = [column for row in rows[:1] for column in row]
    found = []
    for event in events:
        match = [
            row for row in rows if row[key] == event[on] and row[key] is not None and event[on] is not None
        ]
        more = {f"{dimension}.{column}": match[0][column] if match else None for column in columns}
        found.append({**event, **more})
    return found


# ── examples and targets ────────────────────────────────────────────────────────────────────────


def target(
    events: list[Event],
    entity: object,
    cutoff: datetime,
    question: Event,
    values: Sequence[str],
    where: Where = None,
) -> int:
    """1 when at least `times` events with a value lie in the window."""
    first, end = window(question, cutoff)
    count = 0
    for event in events:
        if event["entity"] != entity or event["time"] is None:
            continue
        if where is not None and not where(event):
            continue
        if first <= event["time"] < end and event[question["column"]] in values:
            count += 1
    return 1 if count >= question["times"] else 0


def history(events: list[Event], entity: object, cutoff: datetime) -> list[Event]:
    """The events of an entity up to and with the cutoff, by time."""
    past = [e for e in events if e["entity"] == entity and e["time"] is not None and e["time"] <= cutoff]
    return sorted(past, key=lambda event: event["time"])


def eligible(events: list[Event], entity: object, cutoff: datetime, question: Event) -> bool:
    """Whether an entity is an example at a cutoff."""
    past = history(events, entity, cutoff)
    if len(past) < question["min_history_events"]:
        return False
    if question["active_within_days"] is None:
        return True
    return bool(past[-1]["time"] > cutoff - question["active_within_days"] * DAY)


def examples(
    all_events: list[Event],
    target_events: list[Event],
    groups: dict[str, list[str]],
    cutoffs: list[tuple[datetime, Any]],
    question: Event,
    where: Where = None,
) -> dict[tuple[Any, datetime], tuple[str, list[int]]]:
    """(entity, cutoff) → (split, targets), for every entity with enough history.

    Args:
        all_events: Events of all tables: they make the history.
        target_events: Those of the target's table.
        groups: Label → values.
        cutoffs: Pairs of cutoff and split.
        question: window_days, gap_days, times, column, min_history_events, active_within_days.
        where: Only events for which it is true count.
    """
    entities = {e["entity"] for e in all_events if e["entity"] is not None and e["time"] is not None}
    found = {}
    for cutoff, split in cutoffs:
        for entity in entities:
            if eligible(all_events, entity, cutoff, question):
                targets = [
                    target(target_events, entity, cutoff, question, values, where)
                    for values in groups.values()
                ]
                found[entity, cutoff] = (split, targets)
    return found


def most_frequent(
    events: list[Event], column: str, top: int, until: datetime, where: Where = None
) -> list[str]:
    """The most frequent values up to a moment; the alphabet decides between equals."""
    counts: dict[str, int] = {}
    for event in events:
        if event["entity"] is None or event["time"] is None or event[column] is None:
            continue
        if event["time"] <= until and (where is None or where(event)):
            counts[event[column]] = counts.get(event[column], 0) + 1
    return sorted(counts, key=lambda value: (-counts[value], value))[:top]


# ── history features and baselines ──────────────────────────────────────────────────────────────


def age_days(moment: datetime, cutoff: datetime) -> float:
    """Days from a moment to the cutoff."""
    return (cutoff - moment) / DAY


def in_float32(age: float) -> float:
    """An age as the batch holds it: an event a microsecond inside a window counts as at its edge."""
    return float(struct.unpack("f", struct.pack("f", age))[0])


def decayed(ages: list[float], half_life: float) -> float:
    """The sum of 2^(-age / half-life)."""
    return float(sum(2.0 ** (-age / half_life) for age in ages))


def first_moments(moments: Iterable[datetime]) -> list[datetime]:
    """The first moment of each day, by time."""
    first: dict[date, datetime] = {}
    for moment in sorted(moments):
        first.setdefault(moment.date(), moment)
    return [first[day] for day in sorted(first)]


def cadence(moments: list[datetime], cutoff: datetime, events: int) -> list[float | None]:
    """The 14 cadence features of some moments; None where undefined.

    Args:
        moments: All moments of the group up to the cutoff.
        cutoff: The cutoff.
        events: What to report as the number of events.
    """
    days = first_moments(moments)
    ages = [age_days(moment, cutoff) for moment in days]
    features: list[float | None] = [
        float(sum(1 for age in ages if in_float32(age) < window)) for window in WINDOWS
    ]
    features.append(float(len(ages)))
    features += [decayed(ages, half_life) for half_life in HALF_LIVES]
    features.append(float(events))
    if not moments:
        return [*features, None, None, None, None]
    newest, oldest = age_days(max(moments), cutoff), age_days(min(moments), cutoff)
    gap = (oldest - newest) / (len(ages) - 1) if len(ages) > 1 else None
    ratio = newest / max(gap, 0.25) if gap is not None else None
    return [*features, newest, oldest, gap, ratio]


def entity_features(
    all_events: list[Event], label_events: list[Event], entity: object, cutoff: datetime
) -> list[float | None]:
    """Cadence over the first events of each active day, and the number of labels seen."""
    moments = [event["time"] for event in history(all_events, entity, cutoff)]
    seen = {event["label"] for event in history(label_events, entity, cutoff)}
    return [*cadence(first_moments(moments), cutoff, len(moments)), float(len(seen))]


def label_features(
    all_events: list[Event], label_events: list[Event], entity: object, cutoff: datetime, label: int
) -> list[float | None]:
    """Cadence of one label, and its shares of the entity's active days."""
    moments = [e["time"] for e in history(label_events, entity, cutoff) if e["label"] == label]
    own = cadence(moments, cutoff, len(moments))
    whole = entity_features(all_events, label_events, entity, cutoff)
    days, days_63, decayed_45 = 4, 2, 7
    shares = [(own[i] or 0.0) / max(whole[i] or 0.0, 1e-6) for i in (days, days_63, decayed_45)]
    return [*own, *shares]


def day_counts(
    label_events: list[Event], entity: object, cutoff: datetime, label: int, half_life: float = 60.0
) -> tuple[float, float]:
    """Distinct days with a label up to the cutoff, plain and decayed."""
    moments = [e["time"] for e in history(label_events, entity, cutoff) if e["label"] == label]
    ages = [age_days(moment, cutoff) for moment in first_moments(moments)]
    return float(len(ages)), decayed(ages, half_life)


# ── timeline ────────────────────────────────────────────────────────────────────────────────────


def end_of_history(offsets: list[int], time: list[int], row: int, cutoff: int) -> int:
    """The first position of an entity whose time is after the cutoff, or the end of its range."""
    for position in range(offsets[row], offsets[row + 1]):
        if time[position] > cutoff:
            return position
    return offsets[row + 1]


def first_of_day(offsets: list[int], time: list[int], group: list[int]) -> list[bool]:
    """Which moments are the first of their (entity, day, group)."""
    result: list[bool] = []
    seen: set[tuple[int, int, int]] = set()
    for row in range(len(offsets) - 1):
        for position in range(offsets[row], offsets[row + 1]):
            key = (row, time[position] // 86_400_000_000, group[position])
            result.append(key not in seen)
            seen.add(key)
    return result


# ── popularity ──────────────────────────────────────────────────────────────────────────────────


def popularity(
    label_events: list[tuple[datetime, int]], cutoff: datetime, label: int, windows: list[int], gap: int
) -> list[float | None]:
    """Share, two trends and the season of a label among (time, label) of all entities."""

    def midnight(moment: datetime) -> datetime:
        return datetime(moment.year, moment.month, moment.day)

    now = midnight(cutoff)
    known = []
    for moment, which in label_events:
        day = midnight(moment) if moment == midnight(moment) else midnight(moment) + DAY
        if day <= now:
            known.append((day, which))

    def faded(half_life: float, which: int) -> float:
        return decayed([age_days(day, now) for day, other in known if other == which], half_life)

    def share(half_life: float) -> float:
        counts = [faded(half_life, which) for which in range(len(windows))]
        return (counts[label] + 1) / (sum(counts) + len(windows))

    def drawn(found: float, expected: float) -> float:
        return math.log((found + 5) / (expected + 5))

    def trend(short: float, long: float) -> float:
        total = sum(faded(short, which) for which in range(len(windows)))
        return drawn(faded(short, label), total * share(long))

    begin = now - 364 * DAY
    season = None
    if any(day <= begin for day, _ in known):
        length = min(windows[label], max(0, 364 - gap))
        opens = begin + gap * DAY
        own = [day for day, which in known if which == label]
        year = sum(begin < day for day in own)
        within = sum(opens < day <= opens + length * DAY for day in own)
        season = drawn(within, year * length / 364)
    return [math.log(share(112)), trend(7, 28), trend(28, 112), season]


def is_blank(value: object) -> bool:
    """Whether a value is a text without a visible character."""
    fillers = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0"
    return isinstance(value, str) and all(
        unicodedata.category(letter) in ("Zs", "Zl", "Zp", "Cc", "Cf") or letter in fillers
        for letter in value
    )
