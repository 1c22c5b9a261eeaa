"""The drawings of one label: curves, calibration, scores by class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from mlc.drawing.page import element, legend
from mlc.drawing.svg import Curve, curves, odds_axis, share_axis
from mlc.evaluation.thresholds import threshold_text, threshold_value
from mlc.report.cells import number_text
from mlc.report.contents import LabelReport
from mlc.report.page.scored import Scored

Matrix = npt.NDArray[Any]

_MOST_POINTS = 100
_BINS = 24
_SQUARE = (300, 220)
_WHOLE = share_axis(1.0)


def label_charts(label: LabelReport, test: Scored) -> list[Markup]:
    """Return the drawings that are defined for a label.

    Args:
        label: Its row of the report's test split.
        test: Its scores there.
    """
    return [*_ranking(label, test), *_calibration(label, test), *_histogram(label.name, test)]


# ── ROC, precision and recall ───────────────────────────────────────────────────────────────────


def _ranking(label: LabelReport, test: Scored) -> list[Markup]:
    positives = int(test.targets_M.sum())
    negatives = len(test.targets_M) - positives
    if not positives or not negatives:
        return []
    thresholds_C = _spread(test)
    yes_C, hits_C = test.counts(thresholds_C)
    roc = np.stack([(yes_C - hits_C) / negatives, hits_C / positives], axis=1).tolist()
    pr = np.stack([hits_C / positives, hits_C / np.maximum(yes_C, 1)], axis=1).tolist()
    prevalence = positives / len(test.targets_M)
    at, right = test.counts(np.array([threshold_value(label.threshold)], np.float32))
    yes, hits = int(at[0]), int(right[0])
    note = f"threshold {threshold_text(label.threshold)}: {yes:,} yes, {hits:,} right"
    roc_mark, pr_mark = [], []
    if yes and label.threshold_policy != "top_k":
        roc_mark = [Curve(1, [((yes - hits) / negatives, hits / positives)], [note])]
        pr_mark = [Curve(1, [(hits / positives, hits / yes)], [note])]
    chance = Curve(3, [(0.0, 0.0), (1.0, 1.0)])
    level = Curve(3, [(0.0, prevalence), (1.0, prevalence)])
    name = label.name
    return [
        _figure(
            "ROC",
            "Share of the negatives passed (across) and of the positives reached (up). Grey: chance. "
            "Dot: the threshold.",
            curves(f"ROC of {name}", [chance, Curve(0, [(0, 0), *roc]), *roc_mark], _WHOLE, _WHOLE, _SQUARE),
        ),
        _figure(
            "Precision and recall",
            "Recall (across) and precision (up). Grey: the prevalence.",
            curves(
                f"precision and recall of {name}", [level, Curve(0, pr), *pr_mark], _WHOLE, _WHOLE, _SQUARE
            ),
        ),
    ]


def _spread(scored: Scored) -> Matrix:
    """Return falling thresholds at equal steps of positives, negatives and log rank."""
    positive_M = scored.targets_M == 1
    share = _MOST_POINTS // 3
    ranks = [
        np.flatnonzero(rows_M)[np.linspace(0, rows_M.sum() - 1, share).astype(np.int64)]
        for rows_M in (positive_M, ~positive_M)
    ]
    ranks.append(np.geomspace(1, len(positive_M), share).astype(np.int64) - 1)
    return np.unique(scored.scores_M[np.concatenate(ranks)])[::-1]


# ── calibration ─────────────────────────────────────────────────────────────────────────────────


def _calibration(label: LabelReport, test: Scored) -> list[Markup]:
    if not len(test.targets_M):
        return []
    after, before = test.tenths(), test.tenths(raw=True)
    drawn = [(0, "after", after)]
    if label.calibration not in (None, "none"):
        drawn.insert(0, (1, "before", before))
    highest = max(max(point) for _, _, points in drawn for point in points)
    axis = share_axis(max(highest, 1e-4))
    lines = [Curve(3, [(0.0, 0.0), (axis.high, axis.high)])]
    for colour, when, points in drawn:
        notes = [f"{when}: mean score {score:.2%}, positive {share:.2%}" for score, share in points]
        lines.append(Curve(colour, points, notes))
    error = f"Calibration error {number_text(label.calibration_error, '.4f')}"
    if len(drawn) > 1:
        error += f", {number_text(label.calibration_error_before, '.4f')} before ({label.calibration})"
    return [
        _figure(
            "Calibration",
            f"Mean score (across) and share of positives (up) in ten groups of equal size. {error}.",
            curves(f"calibration of {label.name}", lines, axis, axis, _SQUARE),
            ["after", "before"] if len(drawn) > 1 else [],
        )
    ]


# ── scores by class ─────────────────────────────────────────────────────────────────────────────


def _histogram(name: str, test: Scored) -> list[Markup]:
    if not len(test.scores_M):
        return []
    odds_M = _log_odds(test.scores_M)
    low, high = float(odds_M.min()), float(odds_M.max())
    edges = np.linspace(low, max(high, low + 1e-6), _BINS + 1)
    lines, names = [], []
    for colour, (target, called) in enumerate(((0, "negative"), (1, "positive"))):
        chosen = odds_M[test.targets_M == target]
        if len(chosen):
            share = np.histogram(chosen, edges)[0] / len(chosen)
            steps = list(zip(np.repeat(edges, 2)[1:-1].tolist(), np.repeat(share, 2).tolist(), strict=True))
            lines.append(Curve(colour, steps))
            names.append((colour, called))
    top = max(height for line in lines for _, height in line.points)
    x = odds_axis(float(edges[0]), float(edges[-1]))
    return [
        _figure(
            "Scores by class",
            "Share of each class (up) by score (across, in log-odds).",
            curves(f"scores of {name} by class", lines, x, share_axis(top), _SQUARE),
            ["negative", "positive"],
        )
    ]


def _log_odds(scores_M: Matrix) -> Matrix:
    safe_M = np.clip(scores_M.astype(np.float64), 1e-5, 1 - 1e-5)
    return np.log(safe_M / (1 - safe_M))


def _figure(title: str, caption: str, drawing: Markup, names: Sequence[str] = ()) -> Markup:
    below = [*([legend(names)] if names else []), element("p", caption, class_="faint")]
    return element("figure", element("h3", title), drawing, *below)
