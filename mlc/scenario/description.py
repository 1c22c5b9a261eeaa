"""What a scenario predicts, in words for people who did not write it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from mlc.scenario.events.question import days_text, event_question
from mlc.scenario.events.scenario import EventScenario
from mlc.scenario.nouns import noun, plural, singular
from mlc.scenario.rows.scenario import RowScenario
from mlc.scenario.scenario import Scenario
from mlc.scenario.source_tables import DimensionTable, EntitiesTable, EventsTable, LabelsTable, RowsTable


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
                event_question(scenario, labels, first, last),
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


# ── target, tables, limits ──────────────────────────────────────────────────────────────────────


def _target(scenario: EventScenario, labels: Sequence[str]) -> list[str]:
    target = scenario.target
    if target.window is not None:
        window = f"the {target.window.replace('_', ' ')}"
    elif target.shortest_days == target.longest_days:
        window = days_text(target.longest_days)
    else:
        window = f"{target.shortest_days} to {days_text(target.longest_days)}"
    after = f", beginning {days_text(target.gap_days)} after the cutoff" if target.gap_days else ""
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
    recent = f", or none in the last {days_text(active)}," if active is not None else ""
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
