"""Findings of one subject, each with its place in the scenario file."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlc.scenario import EventScenario
from mlc.task import Finding, Severity


@dataclass(frozen=True)
class Subject:
    """Makes the findings of one subject."""

    scenario: EventScenario
    name: str

    def __call__(
        self, severity: Severity, field: str | tuple[str, ...], message: str, advice: str
    ) -> Finding:
        """Make a finding at a field.

        The field is a dotted path, or its parts if a name may contain a dot.
        """
        place = self.scenario.problem(field, "")
        return Finding(severity, self.name, message, advice, place.field, place.location)


def listed(parts: Sequence[str], most: int = 5) -> str:
    """The first few, and how many more there are.

    Examples:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more
