"""The report of a pre-training: what is predicted, and how much better than by frequencies alone."""

from collections.abc import Mapping
from typing import Any

_QUESTIONS = {
    "set": "values within {horizon_days} days",
    "next": "at the next moment",
    "time": "time to the next moment",
}


def foundation_markdown(report: Mapping[str, Any]) -> str:
    """Return the report of a pre-training for people.

    Args:
        report: What `report.json` of a foundation holds.
    """
    lines = [
        f"# {report['name']}",
        "",
        f"Nothing after {report['until']} was seen: a scenario whose first validation cutoff lies before "
        f"that moment cannot start from this foundation. Validation from {report['validation_from']} on, "
        f"{report['validation_examples']:,} examples, {report['epochs']} epochs.",
        "",
        "Each loss says how far the predictions are off; below 1, the last column says by how much they beat "
        "the baseline, which gives each value its frequency in training. Losses are in nats per example, "
        "those of a set added up over its values.",
        "",
        "| field | what | loss | baseline | loss / baseline |",
        "|---|---|---:|---:|---:|",
    ]
    for row in report["losses"]:
        ratio = f"{row['loss'] / row['baseline']:.3f}" if row["baseline"] else ""
        what = _QUESTIONS[row["kind"]].format(**row)
        lines.append(
            f"| {row['field'] or ''} | {what} | {row['loss']:.4f} | {row['baseline']:.4f} | {ratio} |"
        )
    if report["left_out_days"]:
        left = ", ".join(str(days) for days in report["left_out_days"])
        lines += ["", f"Horizons longer than a third of the time are left out: {left} days."]
    return "\n".join(lines) + "\n"
