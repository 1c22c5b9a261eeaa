"""Macro means and the labels left out of them in words, from a split of `report.json`."""

from collections.abc import Mapping, Sequence
from typing import Any


def mean_of(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The macro mean to show: over the judged labels, or over all defined ones where none is judged."""
    mean: Mapping[str, Any] = entry["judged" if entry["judged"]["labels_defined"] else "macro"]
    return mean


def macro_text(entry: Mapping[str, Any], score: str) -> str:
    """The macro mean with its interval, or why it has none."""
    mean = mean_of(entry)
    if mean[score] is None:
        return "undefined"
    ends = mean[f"{score}_interval"]
    perfect = "every positive scores above every negative"
    why = perfect if mean[score] == 1 else "the scores or the entities do not differ"
    return f"{mean[score]:.3f} ({f'{ends[0]:.3f}-{ends[1]:.3f}' if ends else f'no interval: {why}'})"


def judged_text(entry: Mapping[str, Any]) -> str:
    """Over which labels the macro mean is."""
    mean = mean_of(entry)
    return f"over {mean['labels_defined']} of {mean['labels']} labels"


def left_out_rows(labels: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each reason, with the names of the labels that no verdict rests on."""
    reasons: dict[str, list[str]] = {}
    for label in labels:
        if label["not_judged"]:
            reasons.setdefault(label["not_judged"], []).append(label["name"])
    return [f"{why}: {', '.join(names)}" for why, names in reasons.items()]
