"""The model card: what a run predicts, from what, how well, and what limits that.

For people who did not train it. Every sentence and number comes from the report and the scenario.
"""

from mlc.drawing.sections import Block, Code, Notes, Section, Table, markdown_lines
from mlc.drawing.text_tables import Row, escaped
from mlc.evaluation.metrics.wording import left_out_rows
from mlc.report import sections
from mlc.report.cells import count_text
from mlc.report.contents import JUDGED, Report
from mlc.scenario import Description

_FEW_POSITIVES = 30


def model_card(report: Report, description: Description) -> str:
    """Return the card, in Markdown.

    Args:
        report: Of `build_report`.
        description: What the scenario predicts.
    """
    test = report.test
    parts = [
        Section("What it predicts", content=[Notes([description.question, *description.target])]),
        Section("Tables", content=[Notes(description.tables)]),
        Section("Examples", content=[_splits(report), *sections.funnel(report).content]),
        sections.against_baselines(report, JUDGED),
        sections.log_losses(report, JUDGED),
        sections.baseline_notes(report),
        sections.gates(report),
        sections.labels(report, JUDGED),
        sections.intervals(test, "Test"),
        sections.calibration(test, "Test"),
        sections.all_labels(test, "Test"),
        Section("Limits", content=[Notes(_limits(report, description))]),
        Section("How to use it", content=_usage(report.scenario)),
    ]
    head = [f"# Model card: {escaped(report.scenario)}", "", escaped(report.verdict), ""]
    return "\n".join([*head, *markdown_lines(part for part in parts if not part.empty)])


def _splits(report: Report) -> Table:
    rows: list[Row] = []
    for name, split in report.splits.items():
        cutoffs = split.cutoffs
        ends = ((end or "-").removesuffix("T00:00:00") for end in (cutoffs.first, cutoffs.last))
        rows.append(
            (name, count_text(split.examples), count_text(split.entities), str(cutoffs.number), *ends)
        )
    return Table(("split", "examples", "entities", "cutoffs", "first", "last"), rows)


def _limits(report: Report, description: Description) -> list[str]:
    test = report.test
    cutoffs = test.cutoffs.number
    number, unit = (cutoffs, "test cutoff") if cutoffs else (test.examples, "test example")
    figures = f"{number:,} {unit}{'' if number == 1 else 's'}"
    limits = [
        f"The figures are of {figures}. Intervals know chance among the entities; they do not know that the "
        "world changes.",
        *description.limits,
    ]
    if report.oracle is not None:
        limits.append("The tables are generated: the figures say nothing about real entities.")
    few = [label.name for label in test.labels if 0 < label.support < _FEW_POSITIVES]
    if few:
        limits.append(
            f"Fewer than {_FEW_POSITIVES} positives in the test, so hardly judged: {', '.join(few)}."
        )
    reasons = left_out_rows((label.name, label.not_judged) for label in test.labels)
    return [*limits, *(f"Not judged, {sentence}." for sentence in reasons), *report.warnings]


def _usage(name: str) -> list[Block]:
    commands = (
        f"mlc predict {name} --out scores.parquet     # scores and decisions at the last observed time\n"
        f"mlc evaluate {name}                         # these figures again, from model and tables\n"
        f"mlc thresholds {name} --policy max_f1       # other thresholds, no training"
    )
    files = (
        "Every number is in `report.json`, the scenario with every default in `resolved.yaml`, versions and "
        "fingerprints in `run.json`."
    )
    return [Code(commands), Notes([files])]
