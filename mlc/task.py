"""A task: what an example is, and where inputs, targets and baselines come from.

Report, metrics, thresholds, calibration, model card, comparison and run folder know a task through this
protocol alone. The tasks that exist are listed in `mlc.models.tasks`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, Self, TypeVar

import numpy as np
import polars as pl

from mlc.errors import Problem
from mlc.scenario import Scenario

Say = Callable[[str], None]
"""Receives progress in lines."""


@dataclass(frozen=True)
class FunnelStep:
    """One filter on the way from all candidates to the examples.

    Attributes:
        reason: Why candidates were removed.
        removed: How many.
        kept: How many were left.
    """

    reason: str
    removed: int
    kept: int


class Examples(Protocol):
    """The examples of a task, with all that is known of them before a model exists."""

    @property
    def scenario(self) -> Scenario:
        """The scenario they were made from."""

    @property
    def table(self) -> pl.DataFrame:
        """Key, `split` and `targets` of each example."""

    @property
    def class_names(self) -> Sequence[str]:
        """The K labels, in the order of the targets."""

    @property
    def funnel(self) -> Sequence[FunnelStep]:
        """What was left out, in order."""

    def for_refit(self) -> Self:
        """Return the same examples, all of them in the training split."""


@dataclass(frozen=True)
class Baselines:
    """What a report compares a model with.

    Attributes:
        predictions: Name → predictions, in the order of the examples.
        no_probabilities: Those whose scores only rank, so that they have no log-loss.
        missing: Why a baseline is missing, one sentence each.
        notes: What a reader should know of them.
    """

    predictions: Mapping[str, pl.DataFrame]
    no_probabilities: Collection[str] = ()
    missing: Sequence[str] = ()
    notes: Sequence[str] = ()


Severity = Literal["error", "warning", "note"]
"""An error stops a training; a warning most likely costs quality; a note is good to know."""
_WORST_FIRST: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One finding of a task on its tables: what, how severe, and what to do.

    Attributes:
        severity: How severe.
        subject: What it is about: joins, tables, times, labels, memory or leaks.
        found: What was found, with numbers.
        advice: What to do; empty where `found` says it.
        field: Dotted path of the field of the scenario.
        location: `path:line` of that field.
    """

    severity: Severity
    subject: str
    found: str
    advice: str = ""
    field: str = ""
    location: str = ""

    @property
    def place(self) -> str:
        """Where in the scenario.

        Examples:
            >>> Finding("note", "times", "…", field="data.tables.sales", location="x.yaml:5").place
            'x.yaml:5: data.tables.sales'
        """
        return ": ".join(part for part in (self.location, self.field) if part)


@dataclass(frozen=True)
class Checked:
    """What a check of tables and examples has found.

    Attributes:
        problems: What would stop a training; empty when nothing would.
        findings: What may surprise, worst first.
        class_names: The labels; None where problems keep them unknown.
        lines: What a training would have, in words; empty when there are problems.
        facts: The same as JSON.
    """

    problems: Sequence[Problem]
    findings: Sequence[Finding] = ()
    class_names: Sequence[str] | None = None
    lines: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def count(self, severity: Severity) -> int:
        """Return how many findings have this severity."""
        return sum(finding.severity == severity for finding in self.findings)


def error_of(problem: Problem) -> Finding:
    """Return what stops a training as a finding."""
    return Finding("error", "scenario", problem.rule, "", problem.field, problem.location)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort errors before warnings before notes, stably, each once."""
    return sorted(dict.fromkeys(findings), key=lambda finding: _WORST_FIRST.index(finding.severity))


E = TypeVar("E", bound=Examples)
I_co = TypeVar("I_co", covariant=True)


class Task(Protocol[E, I_co]):
    """Where the examples of a scenario, their inputs and their targets come from.

    A task never loads torch: what a model reads of its inputs is told by a reader (`mlc.models.tasks`).
    """

    @property
    def scenario(self) -> Scenario:
        """The scenario."""

    def prepare(self) -> E:
        """Make the examples with their targets.

        Raises:
            DataError: The tables do not fit the scenario.
        """

    def inputs(self, examples: E) -> I_co:
        """Return what a model reads of the examples, in their order."""

    def inputs_at(self, moment: datetime | None) -> tuple[pl.DataFrame, I_co]:
        """Return the keys of everything that can be scored, and what a model reads of it.

        Args:
            moment: The cutoff, where the task has one; by default the last observed time.

        Raises:
            DataError: The tables do not reach the moment, or there is nothing to score.
        """

    def actuals(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the keys with their `targets`, as far as the tables know them by now.

        Args:
            keys: Keys of predictions that were made earlier, in any order.

        Returns:
            The same rows in the same order with `targets`: 0, 1, or 255 (unknown) where the window of the
            label has not closed yet or the tables do not know the entity.
        """

    def baselines(self, examples: E, parts: Collection[str]) -> Baselines:
        """Score the examples with what is not trained.

        Args:
            examples: From `prepare`.
            parts: Names of the parts of the model; it says why one that a report should show is missing.
        """

    def slices(self, examples: E) -> Mapping[str, pl.Series]:
        """Return what the report tells examples apart by, and the value of each.

        Values are Enum, in order.
        """

    def shown(self, examples: E) -> pl.Series | None:
        """Return the text that people recognise each example by, String.

        None where its key says all.
        """

    def oracle(self, examples: E) -> pl.DataFrame | None:
        """Return the true probabilities of generated tables as predictions.

        None for real ones.
        """

    def periods(self, keys: pl.DataFrame) -> np.ndarray | None:
        """Return how many half windows each example lies before the newest.

        It is None where there is no time.
        """

    def limits(self, examples: E) -> Sequence[str]:
        """Return what limits how the numbers of the report may be read, one sentence each."""

    def facts(self, examples: E) -> Mapping[str, Any]:
        """Return what `run.json` records of the examples, as JSON."""

    def check(self) -> Checked:
        """Check the tables, count the examples, and look for all that costs people days.

        Raises:
            DataError: A row cannot be read.
        """


AnyTask = Task[Any, Any]
"""A task whose examples and inputs only its own reader and learner look into."""
