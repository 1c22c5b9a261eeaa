"""Prevalence over time: examples with a label by split and cutoff, and a drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from markupsafe import Markup

from mlc.drawing.page import element
from mlc.drawing.svg import Axis, Curve, curves, seconds, share_axis
from mlc.tables import CUTOFF, SPLIT, UNKNOWN, targets_of

MOST_POINTS = 60


@dataclass(frozen=True)
class Point:
    """Examples of one split at one cutoff, or in one period of many cutoffs.

    Attributes:
        split: Name of the split.
        cutoff: The cutoff, or the first of them.
        examples: How many.
        positives_K: Positive targets of each label, int64.
        known_K: Known targets of each label, int64.
    """

    split: str
    cutoff: datetime
    examples: int
    positives_K: np.ndarray
    known_K: np.ndarray

    @property
    def prevalence(self) -> np.ndarray:
        """Share of positives among known targets; NaN where none is known."""
        return np.where(self.known_K > 0, self.positives_K / np.maximum(self.known_K, 1), np.nan)


def prevalence_points(examples: pl.DataFrame) -> list[Point]:
    """Return a point per split and cutoff, split by split, by rising cutoff.

    More than `MOST_POINTS` cutoffs, as where each entity has its own, are put into as many equal periods.

    Args:
        examples: `cutoff`, `split`, `targets`.
    """
    targets_NK = targets_of(examples)
    cutoffs_N = examples[CUTOFF].cast(pl.Int64).to_numpy()
    period_N, distinct = cutoffs_N, len(np.unique(cutoffs_N))
    if distinct > MOST_POINTS:
        first, last = cutoffs_N.min(), cutoffs_N.max()
        period_N = (cutoffs_N - first) * MOST_POINTS // (last - first + 1)
    table = examples.select(SPLIT, CUTOFF, period=pl.Series(period_N)).with_row_index("rows")
    groups = table.group_by(SPLIT, "period").agg("rows", pl.col(CUTOFF).min()).sort(SPLIT, "period")
    points = []
    for split, cutoff, rows_n in zip(groups[SPLIT], groups[CUTOFF], groups["rows"], strict=True):
        chosen = targets_NK[rows_n.to_numpy()]
        positives_K, known_K = (chosen == 1).sum(axis=0), (chosen != UNKNOWN).sum(axis=0)
        points.append(Point(split, cutoff, len(chosen), positives_K, known_K))
    return points


def splits_of(points: Sequence[Point]) -> list[str]:
    """Return the splits that are drawn, in the order of their colours."""
    return list(dict.fromkeys(point.split for point in points))


def prevalence_chart(name: str, k: int, points: Sequence[Point], x: Axis, *below: Markup) -> Markup:
    """Return the prevalence of label k over the cutoffs, and what goes `below` it."""
    drawn, highest = [], 0.0
    for colour, split in enumerate(splits_of(points)):
        known = [point for point in points if point.split == split and point.known_K[k]]
        shares = [float(point.positives_K[k] / point.known_K[k]) for point in known]
        notes = [
            f"{split} {point.cutoff:%Y-%m-%d}: {share:.2%}, {point.positives_K[k]:,} of {point.known_K[k]:,}"
            for point, share in zip(known, shares, strict=True)
        ]
        highest = max([highest, *shares])
        places = [(seconds(point.cutoff), share) for point, share in zip(known, shares, strict=True)]
        drawn.append(Curve(colour, places, notes))
    chart = curves(f"prevalence of {name} over the cutoffs", drawn, x, share_axis(highest))
    return element("figure", element("h3", name), chart, *below)
