"""Thresholds and decisions in words.

What was chosen, what was missed, how many decisions there are.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from mlc.drawing.text_tables import one_line
from mlc.evaluation.thresholds.deciding import Threshold


def threshold_lines(chosen: Sequence[Threshold]) -> list[str]:
    """Write what was chosen and what to expect of it, one line per label."""
    width = min(40, max(len("label"), *(len(threshold.name) for threshold in chosen)))
    titles = "".join(f"{title:>20}" for title in ("precision", "recall", "share of yes"))
    rows = [f"{'label':<{width}}{'policy':>20}{'threshold':>11}{titles}"]
    for threshold in chosen:
        name = one_line(threshold.name)
        name = name if len(name) <= width else name[: width - 1] + "…"
        estimate = threshold.estimate
        cells = [None] * 3 if estimate is None else [estimate.precision, estimate.recall, estimate.yes]
        ranges = ["-" if one is None else f"{one.value:.3f} {one.low:.3f}-{one.high:.3f}" for one in cells]
        figures = "".join(f"{cell:>20}" for cell in ranges)
        rows.append(f"{name:<{width}}{threshold.policy:>20}{threshold.text:>11}{figures}")
    return rows + [one_line(f"{threshold.name}: {threshold.note}") for threshold in chosen if threshold.note]


def goals_missed(thresholds: Sequence[Threshold]) -> list[str]:
    """Return one line for each label without decisions, or whose goal is not reached."""
    missed = [threshold for threshold in thresholds if threshold.misses]
    return [f"{threshold.name}: {threshold.note or 'no decisions'}" for threshold in missed]


def volume_lines(thresholds: Sequence[Threshold], decided_NK: np.ndarray) -> Iterator[str]:
    """Write how many decisions each label has, or why it has none."""
    for threshold, decided_N in zip(thresholds, decided_NK.T, strict=True):
        if threshold.value is None:
            note = f"; {threshold.note}" if threshold.note else ""
            yield f"{threshold.name}: no decisions ({threshold.policy}{note})"
            continue
        missed = f"; {threshold.note}" if not threshold.reachable else ""
        yield (
            f"{threshold.name}: {int(decided_N.sum()):,} of {len(decided_N):,} at {threshold.value:.4g} "
            f"({threshold.policy}{missed})"
        )


def contact_lines(thresholds: Sequence[Threshold], picked_NK: np.ndarray) -> Iterator[str]:
    """Write how many pairs the budget picks, and which labels it leaves out."""
    yield f"contact: {int(picked_NK.sum()):,} pairs of {int(picked_NK.any(axis=1).sum()):,} entities"
    without = [threshold.name for threshold in thresholds if threshold.value is None]
    if without:
        yield f"contact leaves out labels without decisions: {', '.join(without)}"
