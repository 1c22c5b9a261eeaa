"""The obviously right versions: plain loops over lists of dicts, without Polars and without NumPy's vectors.

An event is `{"entity": …, "time": naive datetime, …columns}`. A group is label → values. Slow on purpose.
"""

from datetime import datetime, timedelta

DAY = timedelta(days=1)
WINDOWS = (7, 21, 63, 182)
HALF_LIVES = (5, 15, 45, 135)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────


def joined(events, rows, dimension, on, key):
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


def target(events, entity, cutoff, window_days, gap_days, times, column, values, where=None):
    """1 when at least `times` events with one of the values lie in `(cutoff + gap, cutoff + gap + window]`."""
    opens = cutoff + gap_days * DAY
    closes = opens + window_days * DAY
    count = 0
    for event in events:
        if event["entity"] != entity or event["time"] is None:
            continue
        if where is not None and not where(event):
            continue
        if opens < event["time"] <= closes and event[column] in values:
            count += 1
    return 1 if count >= times else 0


def history(events, entity, cutoff):
    """The events of an entity up to and with the cutoff, by time."""
    past = [e for e in events if e["entity"] == entity and e["time"] is not None and e["time"] <= cutoff]
    return sorted(past, key=lambda event: event["time"])


def eligible(events, entity, cutoff, min_history_events=1, active_within_days=None):
    """Whether an entity is an example at a cutoff."""
    past = history(events, entity, cutoff)
    if len(past) < min_history_events:
        return False
    if active_within_days is None:
        return True
    return past[-1]["time"] > cutoff - active_within_days * DAY


def examples(all_events, target_events, groups, cutoffs, question, where=None):
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
            if not eligible(
                all_events, entity, cutoff, question["min_history_events"], question["active_within_days"]
            ):
                continue
            found[entity, cutoff] = (
                split,
                [
                    target(
                        target_events,
                        entity,
                        cutoff,
                        question["window_days"],
                        question["gap_days"],
                        question["times"],
                        question["column"],
                        values,
                        where,
                    )
                    for values in groups.values()
                ],
            )
    return found


def most_frequent(events, column, top, until, where=None):
    """The most frequent values up to a moment; the alphabet decides between equals."""
    counts = {}
    for event in events:
        if event["entity"] is None or event["time"] is None or event[column] is None:
            continue
        if event["time"] <= until and (where is None or where(event)):
            counts[event[column]] = counts.get(event[column], 0) + 1
    return sorted(counts, key=lambda value: (-counts[value], value))[:top]


# ── history features and baselines ──────────────────────────────────────────────────────────────


def age_days(moment, cutoff):
    """Days from a moment to the cutoff."""
    return (cutoff - moment) / DAY


def first_moments(moments):
    """The first moment of each day, by time."""
    first = {}
    for moment in sorted(moments):
        first.setdefault(moment.date(), moment)
    return [first[day] for day in sorted(first)]


def cadence(moments, cutoff, events):
    """The 14 cadence features of some moments; None where undefined.

    Args:
        moments: All moments of the group up to the cutoff.
        cutoff: The cutoff.
        events: What to report as the number of events.
    """
    days = first_moments(moments)
    ages = [age_days(moment, cutoff) for moment in days]
    features = [float(sum(1 for age in ages if age < window)) for window in WINDOWS]
    features.append(float(len(ages)))
    features += [sum(2.0 ** (-age / half_life) for age in ages) for half_life in HALF_LIVES]
    features.append(float(events))
    if not moments:
        return [*features, None, None, None, None]
    newest, oldest = age_days(max(moments), cutoff), age_days(min(moments), cutoff)
    gap = (oldest - newest) / (len(ages) - 1) if len(ages) > 1 else None
    ratio = newest / max(gap, 0.25) if gap is not None else None
    return [*features, newest, oldest, gap, ratio]


def entity_features(all_events, label_events, entity, cutoff):
    """Cadence over the first events of each active day, and the number of labels seen."""
    moments = [event["time"] for event in history(all_events, entity, cutoff)]
    seen = {event["label"] for event in history(label_events, entity, cutoff)}
    return [*cadence(first_moments(moments), cutoff, len(moments)), float(len(seen))]


def label_features(all_events, label_events, entity, cutoff, label):
    """Cadence of one label, and its shares of the entity's active days."""
    moments = [e["time"] for e in history(label_events, entity, cutoff) if e["label"] == label]
    own = cadence(moments, cutoff, len(moments))
    whole = entity_features(all_events, label_events, entity, cutoff)
    days, days_63, decayed_45 = 4, 2, 7
    return [*own, *(own[i] / max(whole[i], 1e-6) for i in (days, days_63, decayed_45))]


def day_counts(label_events, entity, cutoff, label, half_life=60.0):
    """Distinct days with a label up to the cutoff, plain and decayed."""
    moments = [e["time"] for e in history(label_events, entity, cutoff) if e["label"] == label]
    ages = [age_days(moment, cutoff) for moment in first_moments(moments)]
    return float(len(ages)), sum(2.0 ** (-age / half_life) for age in ages)


# ── timeline ────────────────────────────────────────────────────────────────────────────────────


def end_of_history(offsets, time, row, cutoff):
    """The first position of an entity whose time is after the cutoff, or the end of its range."""
    for position in range(offsets[row], offsets[row + 1]):
        if time[position] > cutoff:
            return position
    return offsets[row + 1]


def first_of_day(offsets, time, group):
    """Which moments are the first of their (entity, day, group)."""
    result, seen = [], set()
    for row in range(len(offsets) - 1):
        for position in range(offsets[row], offsets[row + 1]):
            key = (row, time[position] // 86_400_000_000, group[position])
            result.append(key not in seen)
            seen.add(key)
    return result


def moments_of(start: datetime, step: timedelta, count: int) -> list[datetime]:
    """`count` moments, `step` apart."""
    return [start + index * step for index in range(count)]
