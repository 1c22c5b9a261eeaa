"""`mlc check`: what a scenario and its tables would give, without training."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlc.errors import DataError, MlcError, Problem
from mlc.events.baselines import check_boosting
from mlc.events.findings import (
    Expected,
    Finding,
    Severity,
    all_findings,
    error_of,
    expected_of,
    label_problems,
    unmatched_problems,
    with_hint,
    worst_first,
)
from mlc.events.preparing import Prepared, prepare
from mlc.events.slices import check_slices
from mlc.events.views.label_tables import count_lines
from mlc.scenario import EventScenario, Scenario
from mlc.sources import (
    JoinRate,
    check_tables,
    duplicate_keys,
    join_rates,
    lost_text_problems,
    lost_texts,
    reading,
)

_ANY_LABELS = 2  # torchmetrics takes no fewer


@dataclass(frozen=True)
class Checked:
    """What `mlc check` found.

    Attributes:
        problems: What would stop a training; empty when nothing would.
        findings: What may surprise, worst first.
        joins: Match rate of every join.
        expected: Labels, examples and sizes; None when there are problems.
    """

    problems: Sequence[Problem]
    findings: Sequence[Finding] = ()
    joins: Sequence[JoinRate] = ()
    expected: Expected | None = None

    def count(self, severity: Severity) -> int:
        """Return how many findings have this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Plain lists and mappings; `ok` is that nothing would stop a training.

        Problems are findings too.
        """
        value: dict[str, Any] = {"ok": not self.problems}
        if self.problems:
            value["problems"] = [
                {"location": p.location, "field": p.field, "rule": p.rule} for p in self.problems
            ]
        value["findings"] = [asdict(f) for f in (*map(error_of, self.problems), *self.findings)]
        value["joins"] = [asdict(join) for join in self.joins]
        if self.expected is not None:
            value |= asdict(self.expected)
            value |= value.pop("sizes")
        return value


def problem_lines(checked: Checked) -> Iterator[str]:
    """Write what would stop a training, then what else is likely wrong, one line each."""
    yield from map(str, checked.problems)
    for finding in checked.findings:
        if finding.severity == "warning":
            yield f"{finding.place}: warning: {finding.found}; {finding.advice}"


def lines(checked: Checked, path: Path) -> Iterator[str]:
    """Write what a training of the scenario at `path` would have.

    There must be no problems.
    """
    expected = checked.expected
    assert expected is not None  # there are no problems
    yield f"{path}: no errors, {_number(checked, 'warning')}, {_number(checked, 'note')}"
    for join in checked.joins:
        yield f"join {join.table} → {join.dimension}: {join.matched:,} of {join.events:,} events match"
    yield expected.funnel
    yield from count_lines(expected.class_names, expected.splits)
    sizes = expected.sizes
    yield "memory: " + ", ".join(f"{name} {size:,.1f} MiB" for name, size in sizes.memory_mb.items())
    if sizes.training_minutes is not None:
        minutes = max(0.1, sizes.training_minutes)
        yield f"training: all epochs take roughly {minutes:,.1f} minutes on this CPU"
    for finding in checked.findings:
        yield f"\n{finding.severity}: {finding.found}\n  → {finding.advice}  ({finding.place})"


def _number(checked: Checked, severity: Severity) -> str:
    count = checked.count(severity)
    return f"{count} {severity}{'' if count == 1 else 's'}"


def check(scenario: Scenario, runs: Path) -> Checked:
    """Check the tables, count the examples, and look for all that costs people days.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs; the event store is built there when it is missing.

    Raises:
        DataError: A row cannot be read.
    """
    scenario = EventScenario.of(scenario, "mlc check")
    try:
        check_tables(scenario)
        check_boosting(scenario)
    except DataError as error:
        return Checked([with_hint(scenario, problem) for problem in error.problems])
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
        problems += _metric_problems(scenario, prepared)
        findings = worst_first(all_findings(scenario, joins, lost, prepared))
    expected = expected_of(prepared) if prepared and not problems else None
    return Checked(list(dict.fromkeys(problems)), findings, joins, expected)


def _metric_problems(scenario: Scenario, prepared: Prepared | None) -> Sequence[Problem]:
    """Metrics that torchmetrics does not have, or that do not fit."""
    if not scenario.metrics:
        return ()
    from mlc.models.custom_metrics import check_metrics  # loads torch, which takes seconds

    labels = len(prepared.examples.labels.names) if prepared else _ANY_LABELS
    try:
        check_metrics([(metric.name, metric.options) for metric in scenario.metrics], labels)
    except MlcError as error:
        return [scenario.problem(problem.field, problem.rule) for problem in error.problems]
    return ()
