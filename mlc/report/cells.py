"""Numbers of a report as texts, the same in a terminal, a pull request and a page."""

from collections.abc import Sequence

from mlc.evaluation.metrics import Difference
from mlc.report.contents import BaselineReport, Report, SplitReport, SplitSize


def scored_sides(report: Report, split: str) -> list[tuple[str, SplitReport | BaselineReport]]:
    """Return model, baselines and oracle, by the name to show."""
    sides: list[tuple[str, SplitReport | BaselineReport]] = [("model", report.splits[split])]
    sides += [(name, entry[split]) for name, entry in report.baselines.items()]
    return sides + ([("best possible", report.oracle[split])] if report.oracle else [])


def range_text(ends: Sequence[float] | None) -> str:
    """Return the ends of an interval."""
    return "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def size_text(size: SplitSize) -> str:
    """Return what a split holds."""
    cutoffs = size.cutoffs
    first, last = (str(end).removesuffix("T00:00:00") for end in (cutoffs.first, cutoffs.last))
    span = f", cutoff {first}" if cutoffs.number == 1 else f", {cutoffs.number:,} cutoffs {first} to {last}"
    return f"{size.examples:,} examples of {size.entities:,} entities{span if cutoffs.number else ''}"


def number_text(value: float | None, form: str) -> str:
    """Return a number, or a dash where it is undefined."""
    return "-" if value is None else format(value, form)


def score_text(value: float | None) -> str:
    """Return a score in three digits."""
    return number_text(value, ".3f")


def count_text(value: int) -> str:
    """Return a count with its thousands apart."""
    return f"{value:,}"


def difference_text(difference: Difference | None, digits: int = 3) -> str:
    """Return a difference with its interval; empty where nothing was compared."""
    if difference is None or difference.value is None:
        return "" if difference is None else "-"
    value = f"{difference.value:+.{digits}f}"
    if difference.low is None:
        return value
    return f"{value} [{difference.low:+.{digits}f}, {difference.high:+.{digits}f}]"
