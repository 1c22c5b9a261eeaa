"""The report of a pre-training: how much better than frequencies alone it is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlc.drawing.sections import Notes, Section, Table

_QUESTIONS = {
    "set": "values within {horizon_days} days",
    "next": "at the next moment",
    "time": "time to the next moment",
}

_MOST = 12  # columns on a screen
_LEAST = 0.01
"""The least gain that counts as one."""


def foundation_sections(report: Mapping[str, Any], *, full: bool) -> Iterator[Section]:
    """Yield what a pre-training has learned, in percent against plain frequencies.

    Args:
        report: What `report.json` of a foundation holds.
        full: Whether to add every loss.
    """
    until, start = report["until"][:10], report["validation_from"][:10]
    epochs = "1 epoch" if report["epochs"] == 1 else f"{report['epochs']} epochs"
    yield Section(
        f"{report['name']}: learned to predict what happens next",
        f"From events up to {start}, in {epochs}; judged on "
        f"{report['validation_examples']:,} examples up to {until}. A scenario whose first validation "
        f"cutoff is {until} or later can start from it.",
    )
    gains: dict[str, dict[int | str, float]] = {}
    for row in report["losses"]:
        if row["baseline"] > 0:
            when = row["horizon_days"] or "next"
            gains.setdefault(row["field"] or "time to the next moment", {})[when] = (
                1 - row["loss"] / row["baseline"]
            )
    yield _gains(gains, report["horizons_days"])
    if full:
        rows = [
            (
                row["field"] or "",
                _QUESTIONS[row["kind"]].format(**row),
                f"{row['loss']:.4f}",
                f"{row['baseline']:.4f}",
            )
            for row in report["losses"]
        ]
        lead = "In nats per example, those of several values added up; next to those of plain frequencies."
        yield Section("Losses", lead, [Table(("column", "what", "loss", "frequencies"), rows, texts=2)])


def _gains(gains: Mapping[str, Mapping[int | str, float]], horizons: Sequence[int]) -> Section:
    """Return a row per column that is predicted, the best first, then the others."""
    best = {name: max(values.values()) for name, values in gains.items()}
    names = sorted(gains, key=lambda name: -best[name])
    predicted = [name for name in names if best[name] >= _LEAST]
    places: list[int | str] = [*horizons, "next"]
    rows = [
        (name, *(f"{gain:.0%}" if (gain := gains[name].get(at, 0)) >= _LEAST else "-" for at in places))
        for name in predicted[:_MOST]
    ]
    header = ("column", *(f"in {days} days" for days in horizons), "next moment")
    notes = []
    if len(predicted) > _MOST:
        notes.append(f"And {len(predicted) - _MOST} more columns; --full shows the losses of all.")
    if len(predicted) < len(names):
        notes.append(f"No better than frequencies: {', '.join(names[len(predicted) :][:_MOST])}.")
    optional = tuple(range(1, len(horizons)))
    return Section(
        "Better than plain frequencies by",
        "How much lower the loss is: of which values come within some days, and at the next moment.",
        [Table(header, rows, optional=optional), Notes(notes)],
    )


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
