"""`mlc check`: what a scenario and its tables would give, without training."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlc.errors import MlcError, Problem
from mlc.models import tasks
from mlc.scenario import Scenario
from mlc.task import Checked, Severity, error_of

_ANY_LABELS = 2  # torchmetrics takes no fewer


def as_json(checked: Checked) -> dict[str, Any]:
    """Return plain lists and mappings; `ok` is that nothing would stop a training.

    Problems are findings too.
    """
    value: dict[str, Any] = {"ok": not checked.problems}
    if checked.problems:
        value["problems"] = [
            {"location": p.location, "field": p.field, "rule": p.rule} for p in checked.problems
        ]
    value["findings"] = [asdict(f) for f in (*map(error_of, checked.problems), *checked.findings)]
    return value | dict(checked.facts)


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
    yield f"{path}: no errors, {_number(checked, 'warning')}, {_number(checked, 'note')}"
    yield from checked.lines
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
    checked = tasks.task_of(scenario, runs, lambda _: None).check()
    problems = _metric_problems(scenario, checked.class_names)
    if not problems:
        return checked
    return Checked([*checked.problems, *problems], checked.findings, checked.class_names)


def _metric_problems(scenario: Scenario, class_names: Sequence[str] | None) -> Sequence[Problem]:
    """Metrics that torchmetrics does not have, or that do not fit."""
    if not scenario.metrics:
        return ()
    from mlc.models.custom_metrics import check_metrics  # loads torch, which takes seconds

    labels = len(class_names) if class_names else _ANY_LABELS
    try:
        check_metrics([(metric.name, metric.options) for metric in scenario.metrics], labels)
    except MlcError as error:
        return [scenario.problem(problem.field, problem.rule) for problem in error.problems]
    return ()
