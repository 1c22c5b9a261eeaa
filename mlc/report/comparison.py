"""The comparison of two runs as texts.

For a terminal, and Markdown for a pull request.
"""

from collections.abc import Mapping
from typing import Any, get_args

from mlc.drawing.sections import Notes, Section, Table, markdown_lines
from mlc.drawing.text_tables import Row, escaped
from mlc.evaluation.comparison import Outcome
from mlc.evaluation.metrics import ENOUGH, VERDICT_RULE
from mlc.evaluation.metrics.wording import left_out_rows
from mlc.evaluation.outcomes import MARGINS, OUTCOME_WORDS, SCORE_NAMES

_VERBS = {"better": "is", "worse": "is", "equal": "is", "no_detectable_difference": "has"}


def verdict(compared: Mapping[str, Any]) -> str:
    """Return who is better in what, in a sentence or two."""
    macro = compared["macro"]
    judged = f"{macro['labels_defined']} of {macro['labels']} labels judged"
    shared = (
        f"On {compared['examples']:,} shared test examples of {compared['entities']:,} entities; {judged}."
    )
    if not macro["labels_defined"]:
        return (
            f"No verdict on {compared['second']} against {compared['first']}: for none of the labels do at "
            f"least {ENOUGH} entities have a positive and {ENOUGH} a negative test example. {shared}"
        )
    clauses = []
    for score, name in SCORE_NAMES.items():
        entry = macro[score]
        margin = f" within ±{MARGINS[score]:g}" if entry["outcome"] == "equal" else ""
        words = f"{_VERBS[entry['outcome']]} {OUTCOME_WORDS[entry['outcome']]}"
        clauses.append(
            f"{words} {compared['first']} in macro {name}{margin}: "
            f"{entry['second']:.4f} against {entry['first']:.4f}, {_difference(entry)}"
        )
    counts = {outcome.replace("_", " "): len(names) for outcome, names in _counted(compared).items()}
    by_label = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return f"{compared['second']} {'; '.join(clauses)}. Labels by AP: {by_label}. {shared}"


def _counted(compared: Mapping[str, Any]) -> dict[Outcome, list[str]]:
    """Outcome in AP → labels."""
    return {
        outcome: [label["name"] for label in compared["labels"] if label["ap"]["outcome"] == outcome]
        for outcome in get_args(Outcome)
    }


def comparison_sections(compared: Mapping[str, Any]) -> list[Section]:
    """Return the comparison for a terminal.

    The verdict, and the labels with what to know of them.
    """
    return [Section("", content=[Notes([verdict(compared)])]), _labels(compared)]


def comparison_markdown(compared: Mapping[str, Any]) -> str:
    """Return the comparison for a pull request."""
    return "\n".join([escaped(verdict(compared)), "", *markdown_lines([_labels(compared)])])


def _labels(compared: Mapping[str, Any]) -> Section:
    """Winners first, then losers, then the rest.

    Each by the size of its difference in AP.
    """
    rows: list[Row] = []
    order = list(_counted(compared))
    for label in sorted(
        compared["labels"],
        key=lambda label: (order.index(label["ap"]["outcome"]), -abs(label["ap"]["value"] or 0.0)),
    ):
        ranked, loss = (_difference(label[score], 3) for score in ("ap", "auroc")), label["log_loss"]["value"]
        counted = label["name"], f"{label['support']:,}", label["ap"]["outcome"].replace("_", " ")
        rows.append((*counted, *ranked, "-" if loss is None else f"{loss:+.4f}"))
    table = Table(("label", "support", "by AP", *SCORE_NAMES.values()), rows, optional=(5, 1, 4))
    title = f"{compared['second']} minus {compared['first']}, with 95 % intervals"
    return Section(title, content=[table, Notes([*_notes(compared), *compared["left_out"]])])


def _difference(entry: Mapping[str, Any], digits: int = 4) -> str:
    """The value with its interval, where there is one."""
    if entry["value"] is None:
        return "-"
    keys = ("value",) if entry["low"] is None else ("value", "low", "high")
    value, *ends = (f"{entry[key]:+.{digits}f}" for key in keys)
    return f"{value} [{', '.join(ends)}]" if ends else value


def _notes(compared: Mapping[str, Any]) -> list[str]:
    judged = compared["macro"]["labels_defined"]
    margins = ", ".join(f"±{MARGINS[score]:g} in {name}" for score, name in SCORE_NAMES.items())
    left_out = left_out_rows((label["name"], label["not_judged"]) for label in compared["labels"])
    return [
        f"{0.05 * judged:.1f} of {judged} labels would be called better or worse by chance alone",
        f"equal: the interval lies within {margins}; no detectable difference: it contains 0",
        "a low log-loss is good",
        *([VERDICT_RULE, *left_out] if left_out else []),
    ]
