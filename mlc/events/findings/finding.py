"""One thing that was found, how bad it is, and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlc.errors import Problem
from mlc.scenario import Scenario

Severity = Literal["error", "warning", "note"]
_WORST_FIRST: tuple[Severity, ...] = ("error", "warning", "note")
""" An error stops a training; a warning most likely costs quality; a note is good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: How bad it is.
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
class Subject:
    """Makes the findings of one subject, each with its place in the file."""

    scenario: Scenario
    name: str

    def __call__(self, severity: Severity, field: str | tuple[str, ...], found: str, advice: str) -> Finding:
        """A finding at a field: dotted path, or its parts where a name may contain a dot."""
        place = self.scenario.problem(field, "")
        return Finding(severity, self.name, found, advice, place.field, place.location)


def error_of(problem: Problem) -> Finding:
    """What stops a training, as a finding."""
    return Finding("error", "scenario", problem.rule, "", problem.field, problem.location)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, then warnings, then notes; otherwise in the order given, each once."""
    return sorted(dict.fromkeys(findings), key=lambda finding: _WORST_FIRST.index(finding.severity))


def listed(parts: Sequence[str], most: int = 5) -> str:
    """The first few, and how many more there are.

    Examples:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more
