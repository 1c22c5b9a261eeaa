"""The task of a scenario as a picture in words."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import assert_never

import polars as pl

from mlc.events.cutoffs import Cutoffs
from mlc.events.label_names import Labels
from mlc.events.windows import window_of
from mlc.scenario import EachEvent, EventScenario, RandomDays, Rule
from mlc.sources import join_columns

_MOST_LABELS = 8
_WIDTH = 10


def task_picture(
    scenario: EventScenario, cutoffs: Cutoffs, labels: Labels, *, full: bool = False
) -> Iterator[str]:
    """Draw the task: who, from what, when, and which labels, in lines.

    Args:
        scenario: Checked scenario.
        cutoffs: Its cutoffs and splits.
        labels: Its labels.
        full: Whether to name all of them.
    """
    count = len(labels.names)
    yield (
        f"{scenario.name}: which of {count} label{'' if count == 1 else 's'} will each "
        f"{scenario.data.entity} have in {_windows(scenario)}?"
    )
    yield ""
    yield from (f"  {line}" for line in _drawing(scenario))
    yield ""
    branches = {
        "entity": [scenario.data.entity, *_attributes(scenario)],
        "events": _tables(scenario),
        "history": _history(scenario),
        "cutoffs": _splits(scenario, cutoffs),
        "window": _window(scenario, cutoffs),
        "rule": _rule(scenario.target.rule),
        "labels": _labels(scenario, labels, len(labels.names) if full else _MOST_LABELS),
    }
    for index, (word, lines) in enumerate(branches.items()):
        last = index == len(branches) - 1
        for row, line in enumerate(lines):
            stem = ("└─ " if last else "├─ ") if row == 0 else ("   " if last else "│  ")
            yield f"{stem}{word if row == 0 else '':<{_WIDTH}}{line}"


def _drawing(scenario: EventScenario) -> Sequence[str]:
    """History, cutoff, gap and window on a line."""
    target = scenario.target
    gap = f" gap {_days(target.gap_days)} " if target.gap_days else ""
    window = f" window {_windows(scenario)} "
    past = "······ history "
    edge = "╎" if gap else ""
    return [f"{past}│{gap}{edge}▓{window}▓│", f"{' ' * len(past)}cutoff"]


def _windows(scenario: EventScenario) -> str:
    """The length of the window, or the shortest and the longest."""
    target = scenario.target
    if target.window is not None:
        return f"the {target.window.replace('_', ' ')}"
    shortest, longest = target.shortest_days, target.longest_days
    return _days(longest) if shortest == longest else f"{shortest} to {_days(longest)}"


def _days(number: int) -> str:
    return f"{number:,} day{'' if number == 1 else 's'}"


def _attributes(scenario: EventScenario) -> list[str]:
    return [f"attributes from {name} by {table.key}" for name, table in scenario.data.entities.items()]


def _tables(scenario: EventScenario) -> list[str]:
    """Each events table with its time and its joins."""
    lines = []
    for name, table in scenario.data.events.items():
        what = " (decides the labels)" if name == scenario.target.table else ""
        entity = f", entity {table.entity}" if table.entity else ""
        where = f", where {table.where}" if table.where else ""
        lines.append(f"{name} at {table.time}{entity}{where}{what}")
        for dimension in table.joins:
            pairs = join_columns(table, dimension, scenario.data.dimensions[dimension])
            on = " and ".join(f"{column} = {dimension}.{key}" for column, key in pairs)
            lines.append(f"   └─ {dimension} where {on}")
    return lines


def _history(scenario: EventScenario) -> list[str]:
    examples = scenario.examples
    least = examples.min_history_events
    lines = [
        "time <= cutoff, all events tables",
        f"an example needs {least:,} event{'' if least == 1 else 's'} or more of it",
    ]
    if examples.active_within_days is not None:
        lines.append(f"and one in the last {_days(examples.active_within_days)}")
    if examples.holdout_entities:
        lines.append(f"{examples.holdout_entities:.0%} of the entities are for validation and test alone")
    return lines


def _splits(scenario: EventScenario, cutoffs: Cutoffs) -> list[str]:
    lines = [
        f"{split:<10}  {len(moments):>3}  " + _span_text(list(moments))
        for split, moments in cutoffs.splits.items()
        if moments
    ] or [
        f"{split:<10}  {_at(scenario)} from {_short(first)} to {_short(last)}"
        for split, (first, last) in cutoffs.spans.items()
    ]
    if cutoffs.incomplete:
        lines.append(f"left out    {len(cutoffs.incomplete):>3}  whose windows are not complete")
    why = "the last event" if scenario.examples.observed_until is None else "observed_until"
    return [*lines, f"tables reach to {cutoffs.observed_until:%Y-%m-%d %H:%M} ({why})"]


def _at(scenario: EventScenario) -> str:
    """Where the entities' own cutoffs lie."""
    match scenario.examples.at:
        case EachEvent(table=table, where=where):
            return f"each event of {table or scenario.target.table}{f' where {where}' if where else ''}"
        case RandomDays(per_entity=count):
            return f"{_days(count)} of each entity, at random,"
        case None:
            return "cutoffs"
        case unreachable:
            assert_never(unreachable)


def _span_text(moments: list[datetime]) -> str:
    if len(moments) == 1:
        return _short(moments[0])
    steps = {(after - before).days for before, after in pairwise(moments)}
    every = f", every {_days(steps.pop())}" if len(steps) == 1 else ""
    return f"{_short(moments[0])} … {_short(moments[-1])}{every}"


def _short(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.time() == datetime.min.time() else f"{moment:%Y-%m-%d %H:%M}"


def _window(scenario: EventScenario, cutoffs: Cutoffs) -> list[str]:
    target = scenario.target
    _, test = cutoffs.spans["test"]
    gap = f"{_days(target.gap_days)} after the cutoff" if target.gap_days else "at the cutoff"
    if target.window is not None:
        gap += " or later"
    opens, closes = window_of(target, test, target.longest_days)
    return [
        f"{_windows(scenario)}, begins {gap}; open on the left, closed on the right",
        f"the last test window: ({_short(opens)}, {_short(closes)}]",
    ]


def _rule(rule: Rule) -> list[str]:
    """What the rule's own docstring says, and its fields."""
    sentence = (type(rule).__doc__ or "").strip().splitlines()
    given = rule.model_dump(exclude={"kind"}, exclude_none=True)
    fields = ", ".join(f"{name}: {value}" for name, value in given.items())
    return [f"{rule.kind}{f' ({fields})' if fields else ''}: {sentence[0] if sentence else ''}"]


def _labels(scenario: EventScenario, labels: Labels, most: int) -> list[str]:
    lines = [f"{len(labels.names)} by {', '.join(scenario.target.column)} of {scenario.target.table}"]
    for index, name in enumerate(labels.names[:most]):
        values = labels.values.filter(pl.col("label") == index)["value"].to_list()
        lines.append(name if values == [name] else f"{name}: any of {', '.join(values)}")
    more = len(labels.names) - most
    return [*lines, f"… and {more:,} more; --full shows all"] if more > 0 else lines
