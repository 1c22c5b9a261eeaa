"""`mlc check`: what a scenario and its tables would give, before anything is trained."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlc.errors import DataError, MlcError, Problem
from mlc.events.baselines import check_boosting
from mlc.events.findings import (
    Finding,
    Severity,
    Sizes,
    alike_findings,
    auroc_half_width,
    code_findings,
    entity_findings,
    error_of,
    expected_sizes,
    join_findings,
    label_findings,
    leak_findings,
    lost_text_findings,
    memory_findings,
    number_findings,
    support_findings,
    table_findings,
    thousands_findings,
    time_findings,
    time_hint,
    type_hint,
    unmatched_problems,
    value_findings,
    variant_findings,
    worst_first,
)
from mlc.events.labels import resolve_labels, value_counts
from mlc.events.preparing import Prepared, SplitCounts, funnel_line, prepare, split_counts
from mlc.events.slices import check_slices
from mlc.scenario import Scenario, TopClasses
from mlc.sources import (
    POLARS_ERRORS,
    JoinRate,
    LostText,
    check_tables,
    duplicate_keys,
    join_rates,
    lost_text_problems,
    lost_texts,
    reading,
)

_ANY_LABELS = 2  # torchmetrics takes no fewer


@dataclass(frozen=True)
class Expected:
    """What a training would have.

    Attributes:
        class_names: The K labels.
        splits: Examples and positives of every split.
        auroc_half_widths: Split → of each label half the 95 % interval of an AUROC, roughly; None: no AUROC.
        funnel: What was left out, in a sentence.
        sizes: Estimates of memory and time.
    """

    class_names: list[str]
    splits: list[SplitCounts]
    auroc_half_widths: dict[str, list[float | None]]
    funnel: str
    sizes: Sizes


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
        """How many findings are so bad."""
        return sum(finding.severity == severity for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Plain lists and mappings; `ok` is that nothing would stop a training. Problems are findings too."""
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


def check(scenario: Scenario, runs: Path) -> Checked:
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
        return Checked([_with_hint(scenario, problem) for problem in error.problems])
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
            problems += [*_label_problems(scenario), *unmatched_problems(scenario, joins)]
        problems += _metric_problems(scenario, prepared)
        findings = worst_first(_findings(scenario, joins, lost, prepared))
    expected = _expected(prepared) if prepared and not problems else None
    return Checked(list(dict.fromkeys(problems)), findings, joins, expected)


def _findings(
    scenario: Scenario, joins: list[JoinRate], lost: list[LostText], prepared: Prepared | None
) -> Iterator[Finding]:
    """Of the tables in any case; of labels and examples where there are some."""
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


def _with_hint(scenario: Scenario, problem: Problem) -> Problem:
    """A problem of a column's type, with what its values say."""
    try:
        hint = _hint(scenario, problem)
    except POLARS_ERRORS:
        return problem  # a hint is worth no second error
    return replace(problem, rule=f"{problem.rule}{hint}") if hint else problem


def _hint(scenario: Scenario, problem: Problem) -> str:
    match problem.field.split("."):
        case ["data", "tables", table, "time"] if "not a date or datetime" in problem.rule:
            return time_hint(scenario, table)
        case ["data", "tables", table, "joins", dimension] if "must have one type" in problem.rule:
            return f"; {type_hint(scenario, table, dimension)}"
        case _:
            return ""


def _label_problems(scenario: Scenario) -> Sequence[Problem]:
    """Labels that never occur, also where something else keeps the examples from being built."""
    if isinstance(scenario.target.class_names, TopClasses):
        return ()
    try:
        resolve_labels(scenario, value_counts(scenario, datetime.max))
    except MlcError as error:
        return error.problems
    return ()


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


def _expected(prepared: Prepared) -> Expected:
    splits = split_counts(prepared)
    return Expected(
        class_names=list(prepared.examples.labels.names),
        splits=splits,
        auroc_half_widths={
            counts.split: [
                auroc_half_width(positives, known - positives)
                for positives, known in zip(counts.positives, counts.known, strict=True)
            ]
            for counts in splits
        },
        funnel=funnel_line(prepared.examples),
        sizes=expected_sizes(prepared.scenario, prepared.store, prepared.examples),
    )
