"""The model card: what a run predicts, from what, how well, and what limits that.

For people who did not train it. Every sentence and number comes from the report and the scenario.
"""

from collections.abc import Sequence

from mlc.drawing.sections import Block, Code, Notes, Section, Table, markdown_lines
from mlc.drawing.text_tables import Row, escaped
from mlc.evaluation.metrics.wording import left_out_rows
from mlc.report import sections
from mlc.report.cells import count_text
from mlc.report.contents import JUDGED, Report
from mlc.scenario import DimensionTable, EventsTable, Scenario

_FEW_POSITIVES = 30


def model_card(scenario: Scenario, report: Report) -> str:
    """Return the card, in Markdown.

    Args:
        scenario: What the run was made from.
        report: Of `build_report`.
    """
    test = report.test
    names = [label.name for label in test.labels]
    parts = [
        Section("What it predicts", content=[Notes(_question(scenario, names))]),
        Section("Tables", content=[Notes(_tables(scenario))]),
        Section("Examples", content=[_splits(report), *sections.funnel(report).content]),
        sections.against_baselines(report, JUDGED),
        sections.log_losses(report, JUDGED),
        sections.baseline_notes(report),
        sections.gates(report),
        sections.labels(test, "Test"),
        sections.intervals(test, "Test"),
        sections.calibration(test, "Test"),
        sections.all_labels(test, "Test"),
        Section("Limits", content=[Notes(_limits(scenario, report))]),
        Section("How to use it", content=_usage(scenario)),
    ]
    head = [f"# Model card: {escaped(scenario.name)}", "", escaped(report.verdict), ""]
    return "\n".join([*head, *markdown_lines(part for part in parts if not part.empty)])


def _question(scenario: Scenario, names: Sequence[str]) -> list[str]:
    target = scenario.target
    if target.window is not None:
        window = f"the {target.window.replace('_', ' ')}"
    elif target.shortest_days == target.longest_days:
        window = _days(target.longest_days)
    else:
        window = f"{target.shortest_days} to {_days(target.longest_days)}"
    after = f", beginning {_days(target.gap_days)} after the cutoff" if target.gap_days else ""
    rule = (type(target.rule).__doc__ or "").strip().splitlines()[0]
    fields = target.rule.model_dump(exclude={"kind"}, exclude_none=True)
    given = f" ({', '.join(f'{name}: {value}' for name, value in fields.items())})" if fields else ""
    return [
        f"For each {scenario.data.entity} and cutoff: the probability of each label in a window.",
        f"Window: {window}{after}; open on the left, closed on the right.",
        f"Rule {target.rule.kind}{given}: {rule}",
        f"{len(names)} label{'' if len(names) == 1 else 's'}, by {', '.join(target.column)} of "
        f"{target.table}: {'; '.join(names)}.",
    ]


def _days(number: int) -> str:
    return f"{number:,} day{'' if number == 1 else 's'}"


def _tables(scenario: Scenario) -> list[str]:
    sentences = []
    for name, table in scenario.data.tables.items():
        match table:
            case EventsTable(time=time, joins=joins, where=where):
                what = f"events at {time}"
                what += f", joined to {', '.join(joins)}" if joins else ""
                what += f", where {where}" if where else ""
            case DimensionTable():
                what = f"dimension by {', '.join(table.key)}"
            case _:
                what = f"attributes of the entities by {table.key}"
        sentences.append(f"{name}: {what}")
    return sentences


def _splits(report: Report) -> Table:
    rows: list[Row] = []
    for name, split in report.splits.items():
        cutoffs = split.cutoffs
        ends = ((end or "-").removesuffix("T00:00:00") for end in (cutoffs.first, cutoffs.last))
        rows.append(
            (name, count_text(split.examples), count_text(split.entities), str(cutoffs.number), *ends)
        )
    return Table(("split", "examples", "entities", "cutoffs", "first", "last"), rows)


def _limits(scenario: Scenario, report: Report) -> list[str]:
    test = report.test
    cutoffs, least = test.cutoffs.number, scenario.examples.min_history_events
    active = scenario.examples.active_within_days
    recent = f", or none in the last {_days(active)}," if active is not None else ""
    limits = [
        f"The figures are of {cutoffs} test cutoff{'' if cutoffs == 1 else 's'}. Intervals know chance among "
        f"the entities; they do not know that the world changes.",
        f"Entities with fewer than {least:,} event{'' if least == 1 else 's'} of history{recent} were left "
        f"out of training and figures.",
    ]
    if scenario.model.attributes and scenario.data.entities:
        limits.append(
            "Attributes of the entities are taken as they are in the table, for old cutoffs too: one that "
            "changes with what the entity does would tell the future."
        )
    if report.oracle is not None:
        limits.append("The tables are generated: the figures say nothing about real entities.")
    few = [label.name for label in test.labels if 0 < label.support < _FEW_POSITIVES]
    if few:
        limits.append(
            f"Fewer than {_FEW_POSITIVES} positives in the test, so hardly judged: {', '.join(few)}."
        )
    reasons = left_out_rows((label.name, label.not_judged) for label in test.labels)
    return [*limits, *(f"Not judged, {sentence}." for sentence in reasons), *report.warnings]


def _usage(scenario: Scenario) -> list[Block]:
    name = scenario.name
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
