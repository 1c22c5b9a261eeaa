"""Numbers of a report as texts, the same in a terminal, a pull request and a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlc.tables import Split

ORACLE = "oracle"


def competitors(report: Mapping[str, Any], split: Split) -> list[tuple[str, Mapping[str, Any]]]:
    """Model, baselines and oracle, by the name to show."""
    named = [("model", report["splits"][split])]
    named += [(name, entry[split]) for name, entry in report["baselines"].items()]
    return named + ([("best possible", report[ORACLE][split])] if ORACLE in report else [])


def range_text(ends: Sequence[float] | None) -> str:
    """The ends of an interval."""
    return "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def described(entry: Mapping[str, Any]) -> str:
    """What a split holds."""
    number = entry["cutoffs"]["number"]
    first, last = (str(entry["cutoffs"][word]).removesuffix("T00:00:00") for word in ("first", "last"))
    moments = f", cutoff {first}" if number == 1 else f", {number:,} cutoffs {first} to {last}"
    return f"{entry['examples']:,} examples of {entry['entities']:,} entities{moments if number else ''}"


def number_text(value: float | None, form: str) -> str:
    """A number, or a dash where it is undefined."""
    return "-" if value is None else format(value, form)


def score_text(value: float | None) -> str:
    """A score in three digits."""
    return number_text(value, ".3f")


def count_text(value: int) -> str:
    """A count with its thousands apart."""
    return f"{value:,}"


def difference_text(difference: Mapping[str, Any] | None, digits: int = 3) -> str:
    """A difference with its interval; empty where nothing was compared."""
    if difference is None or difference["value"] is None:
        return "" if difference is None else "-"
    value = f"{difference['value']:+.{digits}f}"
    if difference["low"] is None:
        return value
    return f"{value} [{difference['low']:+.{digits}f}, {difference['high']:+.{digits}f}]"
