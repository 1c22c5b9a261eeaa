"""Thresholds and decisions in words: what was chosen, what was missed, how many decisions there are."""

from collections.abc import Iterator, Sequence

import numpy as np

from mlc.drawing.text_tables import one_line
from mlc.evaluation.thresholds.deciding import Threshold


def threshold_lines(chosen: Sequence[Threshold]) -> list[str]:
    """Write what was chosen and what to expect of it, one line per label."""
    width = min(40, max(len("label"), *(len(cut.name) for cut in chosen)))
    rows = [f"{'label':<{width}}{'policy':>20}{'cut':>9}{'precision':>20}{'recall':>20}{'share of yes':>20}"]
    for cut in chosen:
        name = one_line(cut.name)
        name = name if len(name) <= width else name[: width - 1] + "…"
        estimate = cut.estimate
        cells = [None] * 3 if estimate is None else [estimate.precision, estimate.recall, estimate.yes]
        ranges = ["-" if one is None else f"{one.value:.3f} {one.low:.3f}-{one.high:.3f}" for one in cells]
        rows.append(
            f"{name:<{width}}{cut.policy:>20}{cut.text:>9}" + "".join(f"{cell:>20}" for cell in ranges)
        )
    return rows + [one_line(f"{cut.name}: {cut.note}") for cut in chosen if cut.note]


def goals_missed(thresholds: Sequence[Threshold]) -> list[str]:
    """Return one line for each label without decisions, or whose goal is not reached."""
    return [f"{cut.name}: {cut.note or 'no decisions'}" for cut in thresholds if cut.misses]


def volume_lines(thresholds: Sequence[Threshold], decided_NK: np.ndarray) -> Iterator[str]:
    """Write how many decisions each label has, or why it has none."""
    for cut, decided_N in zip(thresholds, decided_NK.T, strict=True):
        if cut.value is None:
            yield f"{cut.name}: no decisions ({cut.policy}{'; ' if cut.note else ''}{cut.note or ''})"
            continue
        missed = f"; {cut.note}" if not cut.reachable else ""
        yield (
            f"{cut.name}: {int(decided_N.sum()):,} of {len(decided_N):,} at {cut.value:.4g} "
            f"({cut.policy}{missed})"
        )


def contact_lines(thresholds: Sequence[Threshold], picked_NK: np.ndarray) -> Iterator[str]:
    """Write how many pairs the budget picks, and which labels it leaves out."""
    yield f"contact: {int(picked_NK.sum()):,} pairs of {int(picked_NK.any(axis=1).sum()):,} entities"
    without = [cut.name for cut in thresholds if cut.value is None]
    if without:
        yield f"contact leaves out labels without decisions: {', '.join(without)}"
