"""A scenario of events and its tables, checked without a training."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mlc.errors import DataError
from mlc.events.baselines import check_boosting
from mlc.events.findings.expected import Expected, expected_of
from mlc.events.findings.gathering import all_findings, label_problems, with_hint
from mlc.events.findings.joins import unmatched_problems
from mlc.events.preparing import prepare
from mlc.events.slices import check_slices
from mlc.events.views.label_tables import count_lines
from mlc.scenario import EventScenario
from mlc.sources import (
    JoinRate,
    check_tables,
    duplicate_keys,
    join_rates,
    lost_text_problems,
    lost_texts,
    reading,
)
from mlc.task import Checked, worst_first


def checked(scenario: EventScenario, runs: Path) -> Checked:
    """Check the tables, count the examples, and look for all that costs people days.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs; the event store is built there when it is missing.

    Raises:
        DataError: A row cannot be read.
    """
    try:
        check_tables(scenario)
        check_boosting(scenario)
    except DataError as error:
        problems = [with_hint(scenario, problem) for problem in error.problems]
        return Checked(problems, facts={"joins": []})
    with reading(scenario):
        joins = join_rates(scenario)
        lost = lost_texts(scenario)
        problems = list(lost_text_problems(scenario, lost)) or list(duplicate_keys(scenario))
        prepared = None
        if not problems:
            try:
                prepared = prepare(scenario, runs, lambda _: None)
                check_slices(scenario, prepared.store)
            except DataError as error:
                problems += error.problems
        if problems:
            problems += [*label_problems(scenario), *unmatched_problems(scenario, joins)]
        findings = worst_first(all_findings(scenario, joins, lost, prepared))
    facts = {"joins": [asdict(join) for join in joins]}
    if prepared is None or problems:
        names = None if prepared is None else prepared.class_names
        return Checked(list(dict.fromkeys(problems)), findings, names, facts=facts)
    expected = expected_of(prepared)
    counted = asdict(expected)
    facts |= counted | counted.pop("sizes")
    return Checked([], findings, prepared.class_names, list(_lines(joins, expected)), facts)


def _lines(joins: list[JoinRate], expected: Expected) -> Iterator[str]:
    for join in joins:
        yield f"join {join.table} → {join.dimension}: {join.matched:,} of {join.events:,} events match"
    yield expected.funnel
    yield from count_lines(expected.class_names, expected.splits)
    sizes = expected.sizes
    yield "memory: " + ", ".join(f"{name} {size:,.1f} MiB" for name, size in sizes.memory_mb.items())
    if sizes.training_minutes is not None:
        minutes = max(0.1, sizes.training_minutes)
        yield f"training: all epochs take roughly {minutes:,.1f} minutes on this CPU"
