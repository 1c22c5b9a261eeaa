"""What a scenario predicts, in words for people who did not write it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from mlc.scenario.events.scenario import EventScenario
from mlc.scenario.events.target import CountAtLeast, Lapsed, New, SumAtLeast, TargetSection
from mlc.scenario.rows.scenario import RowScenario
from mlc.scenario.scenario import Scenario
from mlc.scenario.source_tables import DimensionTable, EntitiesTable, EventsTable, LabelsTable, RowsTable

_KEY_ENDING = re.compile(r"[ _-]*(id|ID|Id|key|uuid)$")


@dataclass(frozen=True)
class Description:
    """What is predicted, for whom and when.

    Attributes:
        question: What the scores answer: "Which of 12 departments will …?"
        target: Sentences on when a target is 1.
        tables: A sentence per table.
        limits: What the choice of examples and inputs means for the figures.
    """

    question: str
    target: Sequence[str]
    tables: Sequence[str]
    limits: Sequence[str]


def describe(scenario: Scenario, labels: Sequence[str], first: str | None, last: str | None) -> Description:
    """Return a scenario in words.

    Args:
        scenario: Checked scenario with a target.
        labels: The labels in their order.
        first: First cutoff that is judged, ISO 8601; None where there is none.
        last: Last cutoff that is judged.
    """
    match scenario:
        case EventScenario():
            return Description(
                _question(scenario, labels, first, last),
                _target(scenario, labels),
                _tables(scenario),
                _limits(scenario),
            )
        case RowScenario():
            return Description(
                _row_question(scenario, labels), _row_target(scenario, labels), _tables(scenario), []
            )
        case _:
            raise TypeError(type(scenario))


# ── the question ────────────────────────────────────────────────────────────────────────────────


def _question(scenario: EventScenario, labels: Sequence[str], first: str | None, last: str | None) -> str:
    target = scenario.target
    of_whom = f"each {noun(scenario.data.entity)}'s {noun(target.table)}"
    named = plural(noun(target.column[0])) if len(target.column) == 1 else "labels"
    which = f"which of {len(labels):,} {named}"
    match target.rule:
        case SumAtLeast(column=column, amount=amount):
            question = f"for {which} will the {noun(column)} in {of_whom} add up to {amount:g} or more"
        case CountAtLeast(times=times):
            question = f"{which} will {of_whom} include at least {times:,} times"
        case New():
            question = f"{which} will {of_whom} include for the first time"
        case Lapsed():
            question = f"{which} will {of_whom} no longer include"
        case _:
            question = f"{which} will {of_whom} include"
    return f"{question[0].upper()}{question[1:]} {_window(target)} {_dates(first, last)}?"


def _window(target: TargetSection) -> str:
    if target.window is not None:
        length = f"in the calendar {target.window.removeprefix('next_')} that begins"
        return f"{length} {_days(target.gap_days)} after" if target.gap_days else f"{length} after"
    days = sorted({target.shortest_days, target.longest_days})
    span = " to ".join(f"{one:,}" for one in days) + (" day" if days == [1] else " days")
    begin = f" that begin {_days(target.gap_days)} after" if target.gap_days else " after"
    return f"in the {span}{begin}"


def _dates(first: str | None, last: str | None) -> str:
    if first is None or last is None:
        return "a cutoff"
    dates = [date_text(first), date_text(last)]
    return dates[0] if first == last else f"each cutoff from {dates[0]} to {dates[1]}"


def date_text(moment: str) -> str:
    """Return a time in ISO 8601 as people write it, without midnight.

    Examples:
        >>> date_text("2020-09-01T00:00:00"), date_text("2020-09-01T14:30:00")
        ('1 September 2020', '1 September 2020, 14:30')
    """
    time = datetime.fromisoformat(moment)
    date = f"{time.day} {time:%B %Y}"
    return date if (time.hour, time.minute) == (0, 0) else f"{date}, {time:%H:%M}"


def noun(column: str) -> str:
    """Return what a column or table is named after.

    Examples:
        >>> noun("customer_id"), noun("articles.product_type"), noun("userId"), noun("id")
        ('customer', 'product type', 'user', 'entity')
    """
    name = _KEY_ENDING.sub("", column.rpartition(".")[2])
    return name.replace("_", " ").strip() or "entity"


def plural(word: str) -> str:
    """Return the plural of a noun, as far as simple rules go.

    Examples:
        >>> plural("department"), plural("category"), plural("class"), plural("genres")
        ('departments', 'categories', 'classes', 'genres')
    """
    if re.search(r"(ss|x|ch|sh)$", word):
        return f"{word}es"
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    return word if word.endswith("s") else f"{word}s"


# ── target, tables, limits ──────────────────────────────────────────────────────────────────────


def _target(scenario: EventScenario, labels: Sequence[str]) -> list[str]:
    target = scenario.target
    if target.window is not None:
        window = f"the {target.window.replace('_', ' ')}"
    elif target.shortest_days == target.longest_days:
        window = _days(target.longest_days)
    else:
        window = f"{target.shortest_days} to {_days(target.longest_days)}"
    after = f", beginning {_days(target.gap_days)} after the cutoff" if target.gap_days else ""
    rule = (type(target.rule).__doc__ or "").strip().splitlines()[0]
    fields = target.rule.model_dump(exclude={"kind"}, exclude_none=True)
    details = f" ({', '.join(f'{name}: {value}' for name, value in fields.items())})" if fields else ""
    return [
        f"For each {scenario.data.entity} and cutoff: the probability of each label in a window.",
        f"Window: {window}{after}; open on the left, closed on the right.",
        f"Rule {target.rule.kind}{details}: {rule}",
        f"{len(labels)} label{'' if len(labels) == 1 else 's'}, by {', '.join(target.column)} of "
        f"{target.table}: {'; '.join(labels)}.",
    ]


def _days(number: int) -> str:
    return f"{number:,} day{'' if number == 1 else 's'}"


def _tables(scenario: Scenario) -> list[str]:
    sentences = []
    for name, table in scenario.data.tables.items():
        match table:
            case EventsTable(time=time, joins=joins, where=where):
                what = f"events at {time}"
                what += f", joined to {', '.join(joins)}" if joins else ""
                what += f", where {where}" if where else ""
            case DimensionTable():
                what = f"dimension by {', '.join(table.key)}"
            case EntitiesTable():
                what = f"attributes of the entities by {table.key}"
            case RowsTable(key=key, joins=joins, where=where):
                what = f"rows by {key}" if key is not None else "rows by their number"
                what += f", joined to {', '.join(joins)}" if joins else ""
                what += f", where {where}" if where else ""
            case LabelsTable():
                what = f"labels of the rows by {table.key}"
            case unreachable:
                assert_never(unreachable)
        sentences.append(f"{name}: {what}")
    return sentences


def _limits(scenario: EventScenario) -> list[str]:
    least, active = scenario.examples.min_history_events, scenario.examples.active_within_days
    recent = f", or none in the last {_days(active)}," if active is not None else ""
    limits = [
        f"Entities with fewer than {least:,} event{'' if least == 1 else 's'} of history{recent} were left "
        f"out of training and figures."
    ]
    if scenario.model.attributes and scenario.data.entities:
        limits.append(
            "Attributes of the entities are taken as they are in the table, for old cutoffs too: one that "
            "changes with what the entity does would tell the future."
        )
    return limits


# ── rows ────────────────────────────────────────────────────────────────────────────────────────


def _row_question(scenario: RowScenario, labels: Sequence[str]) -> str:
    column = scenario.target.column
    named = "labels" if column is None else plural(noun(column))
    return f"Which of {len(labels):,} {named} does each {singular(noun(scenario.target.table))} have?"


def _row_target(scenario: RowScenario, labels: Sequence[str]) -> list[str]:
    target = scenario.target
    place = f"column {target.column}" if target.column is not None else "one column per label"
    return [
        f"For each row of {target.table}: the probability of each label.",
        f"{len(labels)} label{'' if len(labels) == 1 else 's'}, by {place}: {'; '.join(labels)}.",
    ]


def singular(word: str) -> str:
    """Return the singular of a noun, as far as simple rules go.

    Examples:
        >>> singular("comments"), singular("categories"), singular("classes"), singular("data")
        ('comment', 'category', 'class', 'data')
    """
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if re.search(r"(ss|x|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^s]s$", word) else word
