"""All findings of a scenario, also if a training cannot begin."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from mlc.errors import MlcError, Problem
from mlc.events.findings.class_names import label_findings, support_findings, variant_findings
from mlc.events.findings.formats import time_hint
from mlc.events.findings.joins import join_findings, type_hint
from mlc.events.findings.leaks import leak_findings
from mlc.events.findings.sizes import expected_sizes, memory_findings
from mlc.events.findings.table_shapes import code_findings, entity_findings, table_findings
from mlc.events.findings.texts import lost_text_findings, number_findings, thousands_findings
from mlc.events.findings.times import time_findings
from mlc.events.findings.values import alike_findings, value_findings
from mlc.events.label_names import resolve_labels, value_counts
from mlc.events.preparing import Prepared
from mlc.scenario import EventScenario, TopClasses
from mlc.sources import POLARS_ERRORS, JoinRate, LostText
from mlc.task import Finding


def all_findings(
    scenario: EventScenario, joins: list[JoinRate], lost: list[LostText], prepared: Prepared | None
) -> Iterator[Finding]:
    """Look for all that may surprise.

    In the tables always, in labels and examples where there are some.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    yield from join_findings(scenario, joins)
    yield from lost_text_findings(scenario, lost)
    yield from number_findings(scenario)
    yield from thousands_findings(scenario)
    yield from table_findings(scenario)
    yield from value_findings(scenario)
    yield from time_findings(scenario, prepared.cutoffs if prepared else None, now)
    if prepared:
        examples, cutoffs = prepared.examples, prepared.cutoffs
        counts = value_counts(scenario, cutoffs.fit_until, prepared.store)
        yield from variant_findings(scenario, examples.labels, counts)
        yield from label_findings(scenario, cutoffs, examples, prepared.label_line)
        yield from support_findings(scenario, examples)
        yield from entity_findings(scenario, prepared.store)
        yield from code_findings(scenario, prepared.store)
        yield from alike_findings(scenario, prepared.store)
        yield from leak_findings(scenario, prepared.store, examples)
        yield from memory_findings(scenario, expected_sizes(scenario, prepared.store, examples))


def with_hint(scenario: EventScenario, problem: Problem) -> Problem:
    """Add to a problem of a column's type what its values say."""
    try:
        hint = _hint(scenario, problem)
    except POLARS_ERRORS:
        return problem  # a hint is worth no second error
    return replace(problem, rule=f"{problem.rule}{hint}") if hint else problem


def _hint(scenario: EventScenario, problem: Problem) -> str:
    match problem.field.split("."):
        case ["data", "tables", table, "time"] if "not a date or datetime" in problem.rule:
            return time_hint(scenario, table)
        case ["data", "tables", table, "joins", dimension] if "are of two types" in problem.rule:
            return f" {type_hint(scenario, table, dimension)}."
        case _:
            return ""


def label_problems(scenario: EventScenario) -> Sequence[Problem]:
    """Return labels that never occur, even if no examples can be built."""
    if isinstance(scenario.target.class_names, TopClasses):
        return ()
    try:
        resolve_labels(scenario, value_counts(scenario, datetime.max))
    except MlcError as error:
        return error.problems
    return ()
