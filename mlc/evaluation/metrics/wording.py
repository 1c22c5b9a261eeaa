"""Macro means and the labels left out of them in words."""

from collections.abc import Iterable

from mlc.evaluation.metrics.intervals import Interval
from mlc.evaluation.metrics.ranking import MeanScore, OverallScore


def macro_text(value: float | None, interval: Interval) -> str:
    """Return a macro mean with its interval, or why it has none.

    Examples:
        >>> macro_text(0.31234, (0.3, 0.33)), macro_text(1.0, None)
        ('0.312 (0.300-0.330)', '1.000 (no interval: every positive scores above every negative)')
    """
    if value is None:
        return "undefined"
    if interval is not None:
        return f"{value:.3f} ({interval[0]:.3f}-{interval[1]:.3f})"
    perfect = "every positive scores above every negative"
    why = perfect if value == 1 else "the scores or the entities do not differ"
    return f"{value:.3f} (no interval: {why})"


def judged_text(scores: OverallScore) -> str:
    """Return over which labels the macro mean to show is."""
    mean: MeanScore = scores.headline
    return f"over {mean.labels_defined} of {mean.labels} labels"


def left_out_rows(labels: Iterable[tuple[str, str | None]]) -> list[str]:
    """Return a sentence per reason, naming the labels that no verdict rests on.

    Args:
        labels: Name of each, and why no verdict rests on it, or None.

    Examples:
        >>> left_out_rows([("Dress", None), ("Shoes", "no example"), ("Hats", "no example")])
        ['no example: Shoes, Hats']
    """
    reasons: dict[str, list[str]] = {}
    for name, why in labels:
        if why:
            reasons.setdefault(why, []).append(name)
    return [f"{why}: {', '.join(names)}" for why, names in reasons.items()]
