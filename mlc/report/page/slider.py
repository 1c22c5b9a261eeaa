"""A slider over the thresholds of one label, and what each gives."""

import numpy as np
from markupsafe import Markup

from mlc.drawing.page import element, html_table
from mlc.drawing.sections import Table
from mlc.evaluation.thresholds import NEVER, threshold_value
from mlc.report.contents import LabelReport
from mlc.report.page.scored import Scored

_STEPS = 80


def threshold_slider(label: LabelReport, validation: Scored, test: Scored) -> Markup:
    """Return a slider whose right end is the strictest threshold.

    The page's script shows what each threshold gives.

    Args:
        label: Its row of the report's test split.
        validation: Its scores there, from which one may choose.
        test: Its scores there, to see what the choice would have given.
    """
    name = label.name
    both = np.concatenate([validation.scores_M, test.scores_M])
    if not len(both):
        return Markup()
    shares = np.concatenate([np.geomspace(1 / len(both), 1, _STEPS // 2), np.linspace(0, 1, _STEPS // 2)])
    near = np.quantile(both, 1 - np.unique(shares))
    chosen = np.float32(threshold_value(label.threshold))
    rounded = np.array([float(f"{value:.3g}") for value in near.tolist()], np.float32)
    thresholds_C = np.unique(np.append(rounded, chosen))
    slider = element(
        "input",
        type="range",
        min=0,
        max=len(thresholds_C) - 1,
        step=1,
        value=int(np.flatnonzero(thresholds_C == chosen)[0]),
        aria_label=f"threshold of {name}",
        autocomplete="off",
    )
    ends = element(
        "p", element("span", "looser: more yes"), element("span", "stricter: fewer yes"), class_="ends"
    )
    rows = [(source, "", "", "", "") for source in ("expected, from validation", "on the test")]
    header = ("", "decided yes", "share of all", "precision", "recall")
    return element(
        "div",
        element("h4", "Try a threshold: yes from ", element("output"), " on"),
        slider,
        ends,
        html_table(Table(header, rows)),
        class_="explorer",
        data_label=name,
        data_thresholds=" ".join(
            NEVER if np.isinf(value) else f"{value:.9g}" if value == chosen else f"{value:.3g}"
            for value in thresholds_C.tolist()
        ),
        **_counts("validation", validation, thresholds_C),
        **_counts("test", test, thresholds_C),
    )


def _counts(split: str, scored: Scored, thresholds_C: np.ndarray) -> dict[str, object]:
    """Return what the page's script reads: yes and hits of each threshold."""
    yes_C, hits_C = scored.counts(thresholds_C)
    return {
        f"data_{split}_yes": " ".join(map(str, yes_C.tolist())),
        f"data_{split}_hits": " ".join(map(str, hits_C.tolist())),
        f"data_{split}_known": len(scored.targets_M),
        f"data_{split}_positives": scored.positives,
    }
