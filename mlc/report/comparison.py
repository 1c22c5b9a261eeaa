"""The comparison of two runs as texts: for a terminal, and Markdown for a pull request."""

import textwrap
from collections.abc import Mapping
from typing import Any, get_args

from mlc.drawing.text_tables import Row, aligned, escaped, markdown_table
from mlc.evaluation.comparison import Outcome
from mlc.evaluation.metrics import ENOUGH, VERDICT_RULE
from mlc.evaluation.metrics.wording import left_out_rows
from mlc.evaluation.outcomes import MARGINS, OUTCOME_WORDS, SCORE_NAMES

_VERBS = {"better": "is", "worse": "is", "equal": "is", "no_detectable_difference": "has"}


def verdict(compared: Mapping[str, Any]) -> str:
    """Who is better in what, in a sentence or two."""
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
    for score, shown in SCORE_NAMES.items():
        entry = macro[score]
        margin = f" within ±{MARGINS[score]:g}" if entry["outcome"] == "equal" else ""
        words = f"{_VERBS[entry['outcome']]} {OUTCOME_WORDS[entry['outcome']]}"
        clauses.append(
            f"{words} {compared['first']} in macro {shown}{margin}: "
            f"{entry['second']:.4f} against {entry['first']:.4f}, {_difference(entry)}"
        )
    counts = {outcome.replace("_", " "): len(names) for outcome, names in _counted(compared).items()}
    by_label = ", ".join(f"{count} {said}" for said, count in counts.items() if count)
    return f"{compared['second']} {'; '.join(clauses)}. Labels by AP: {by_label}. {shared}"


def _counted(compared: Mapping[str, Any]) -> dict[Outcome, list[str]]:
    """Outcome in AP → labels."""
    return {
        said: [label["name"] for label in compared["labels"] if label["ap"]["outcome"] == said]
        for said in get_args(Outcome)
    }


def comparison_text(compared: Mapping[str, Any], width: int = 110) -> str:
    """The comparison for a terminal."""
    found = textwrap.wrap(verdict(compared), width)
    found += ["", f"{compared['second']} minus {compared['first']}, with 95 % intervals"]
    found += aligned(_rows(compared), width)
    for sentence in [*_notes(compared), *compared["left_out"]]:
        found += textwrap.wrap(sentence, width, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(found)


def comparison_markdown(compared: Mapping[str, Any]) -> str:
    """The comparison for a pull request."""
    header, *rows = _rows(compared)
    notes = [f"- {escaped(sentence)}" for sentence in [*_notes(compared), *compared["left_out"]]]
    return "\n".join([escaped(verdict(compared)), "", *markdown_table(header, rows), "", *notes])


def _rows(compared: Mapping[str, Any]) -> list[Row]:
    """Winners first, then losers, then the rest; each by the size of its difference in AP."""
    rows: list[Row] = [("label", "support", "by AP", *SCORE_NAMES.values())]
    order = list(_counted(compared))
    for label in sorted(
        compared["labels"],
        key=lambda label: (order.index(label["ap"]["outcome"]), -abs(label["ap"]["value"] or 0.0)),
    ):
        ranked, loss = (_difference(label[score], 3) for score in ("ap", "auroc")), label["log_loss"]["value"]
        counted = label["name"], f"{label['support']:,}", label["ap"]["outcome"].replace("_", " ")
        rows.append((*counted, *ranked, "-" if loss is None else f"{loss:+.4f}"))
    return rows


def _difference(entry: Mapping[str, Any], digits: int = 4) -> str:
    """The value with its interval, where there is one."""
    if entry["value"] is None:
        return "-"
    keys = ("value",) if entry["low"] is None else ("value", "low", "high")
    value, *ends = (f"{entry[key]:+.{digits}f}" for key in keys)
    return f"{value} [{', '.join(ends)}]" if ends else value


def _notes(compared: Mapping[str, Any]) -> list[str]:
    judged = compared["macro"]["labels_defined"]
    margins = ", ".join(f"±{MARGINS[score]:g} in {shown}" for score, shown in SCORE_NAMES.items())
    left_out = left_out_rows((label["name"], label["not_judged"]) for label in compared["labels"])
    return [
        f"{0.05 * judged:.1f} of {judged} labels would be called better or worse by chance alone",
        f"equal: the interval lies within {margins}; no detectable difference: it contains 0",
        "a low log-loss is good",
        *([VERDICT_RULE, *left_out] if left_out else []),
    ]
