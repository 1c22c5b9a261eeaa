"""The model card: what a run predicts, from what, how well, and what limits that.

For people who did not train it. Every sentence and number comes from the report and the scenario.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mlc.drawing.text_tables import Row, escaped, markdown_table
from mlc.evaluation.metrics.wording import judged_text, left_out_rows, macro_text, mean_of
from mlc.evaluation.thresholds import label_cut_text
from mlc.scenario import DimensionTable, EventsTable, Scenario

_FEW_POSITIVES = 30


def model_card(scenario: Scenario, report: Mapping[str, Any]) -> str:
    """The card, in Markdown.

    Args:
        scenario: What the run was made from.
        report: Of `build_report`.
    """
    test = report["splits"]["test"]
    parts = [
        _part("What it predicts", _question(scenario, [label["name"] for label in test["labels"]])),
        _part("Tables", _tables(scenario)),
        _part("Examples", _splits(report), [""], _table(("left out", "removed", "kept"), _funnel(report))),
        _part("How good it is, on the test examples", _means(report), [""], _labels(test)),
        _part("Gates", _gates(report)),
        _part("Probabilities and decisions", _decisions(test)),
        _part("Limits", _limits(scenario, report)),
        _part("How to use it", _usage(scenario)),
    ]
    head = [f"# Model card: {escaped(scenario.name)}", "", escaped(report["verdict"])]
    return "\n".join([*head, *(line for part in parts for line in part), ""])


def _part(title: str, *blocks: Sequence[str]) -> list[str]:
    """A heading and what stands below it; nothing where that is empty."""
    lines = [line for block in blocks for line in block]
    return ["", f"## {title}", "", *lines] if any(lines) else []


def _table(header: Row, rows: Sequence[Row]) -> list[str]:
    return markdown_table(header, rows) if rows else []


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
        f"- For each {escaped(scenario.data.entity)} and cutoff: the probability of each label in a window.",
        f"- Window: {window}{after}; open on the left, closed on the right.",
        f"- Rule `{target.rule.kind}`{escaped(given)}: {escaped(rule)}",
        f"- {len(names)} label{'' if len(names) == 1 else 's'}, by {escaped(', '.join(target.column))} of "
        f"{escaped(target.table)}: {escaped('; '.join(names))}.",
    ]


def _days(number: int) -> str:
    return f"{number:,} day{'' if number == 1 else 's'}"


def _tables(scenario: Scenario) -> list[str]:
    lines = []
    for name, table in scenario.data.tables.items():
        match table:
            case EventsTable(time=time, joins=joins, where=where):
                told = f"events at {time}"
                told += f", joined to {', '.join(joins)}" if joins else ""
                told += f", where {where}" if where else ""
            case DimensionTable():
                told = f"dimension by {', '.join(table.key)}"
            case _:
                told = f"attributes of the entities by {table.key}"
        lines.append(f"- {escaped(name)}: {escaped(told)}")
    return lines


def _splits(report: Mapping[str, Any]) -> list[str]:
    rows: list[Row] = []
    for name, split in report["splits"].items():
        cutoffs = split["cutoffs"]
        ends = (str(cutoffs[end] or "-").removesuffix("T00:00:00") for end in ("first", "last"))
        rows.append(
            (name, *(f"{split[key]:,}" for key in ("examples", "entities")), str(cutoffs["number"]), *ends)
        )
    return markdown_table(("split", "examples", "entities", "cutoffs", "first", "last"), rows)


def _funnel(report: Mapping[str, Any]) -> list[Row]:
    return [(step["reason"], f"{step['removed']:,}", f"{step['kept']:,}") for step in report["funnel"]]


def _means(report: Mapping[str, Any]) -> list[str]:
    test = report["splits"]["test"]
    intervals = [macro_text(test, score) for score in ("auroc", "ap")]
    rows: list[Row] = [("model", *intervals, _number(mean_of(test)["log_loss"], 4))]
    others = {**report["baselines"], **({"best possible": report["oracle"]} if "oracle" in report else {})}
    for name, entry in others.items():
        rival = mean_of(entry["test"])
        rows.append(
            (name, *(_number(rival[score]) for score in ("auroc", "ap")), _number(rival["log_loss"], 4))
        )
    over = f"Means {judged_text(test)}, 95 % intervals in brackets."
    notes = [f"- {escaped(note)}" for note in (*report["baseline_notes"], *report["missing_baselines"])]
    return [over, "", *markdown_table(("", "macro AUROC", "macro AP", "macro log-loss"), rows), "", *notes]


def _labels(test: Mapping[str, Any]) -> list[str]:
    rows: list[Row] = [
        (
            label["name"],
            f"{label['support']:,}",
            _number(label["prevalence"], 4),
            *(_with_interval(label, score) for score in ("auroc", "ap")),
            _number(label["lift"], 1),
        )
        for label in test["labels"]
    ]
    return markdown_table(("label", "support", "prevalence", "AUROC", "AP", "AP/prevalence"), rows)


def _gates(report: Mapping[str, Any]) -> list[str]:
    rows = [
        (gate["gate"], gate["found"], "passed" if gate["passed"] else "FAILED")
        for gate in report.get("gates", ())
    ]
    return _table(("gate", "found", ""), rows)


def _decisions(test: Mapping[str, Any]) -> list[str]:
    header = (
        "label",
        "calibration",
        "error before",
        "after",
        "threshold",
        "policy",
        "precision",
        "recall",
        "yes",
    )
    rows: list[Row] = []
    for label in test["labels"]:
        errors = (_number(label.get(f"calibration_error{when}"), 4) for when in ("_before", ""))
        cut = (label_cut_text(label, ".4f"), label["threshold_policy"])
        given = (*(_number(label[key]) for key in ("precision", "recall")), f"{label['volume']:,}")
        rows.append((label["name"], label.get("calibration", "none"), *errors, *cut, *given))
    chosen = "Scores are calibrated and thresholds chosen on validation; the figures are of the test."
    return [chosen, "", *markdown_table(header, rows)]


def _limits(scenario: Scenario, report: Mapping[str, Any]) -> list[str]:
    test = report["splits"]["test"]
    cutoffs, least = test["cutoffs"]["number"], scenario.examples.min_history_events
    active = scenario.examples.active_within_days
    recent = f", or none in the last {_days(active)}," if active is not None else ""
    found = [
        f"The figures are of {cutoffs} test cutoff{'' if cutoffs == 1 else 's'}. Intervals know chance among "
        f"the entities; they do not know that the world changes.",
        f"Entities with fewer than {least:,} event{'' if least == 1 else 's'} of history{recent} were left "
        f"out of training and figures.",
    ]
    if scenario.model.attributes and scenario.data.entities:
        found.append(
            "Attributes of the entities are taken as they are in the table, for old cutoffs too: one that "
            "changes with what the entity does would tell the future."
        )
    if "oracle" in report:
        found.append("The tables are generated: the figures say nothing about real entities.")
    few = [label["name"] for label in test["labels"] if 0 < label["support"] < _FEW_POSITIVES]
    if few:
        found.append(
            f"Fewer than {_FEW_POSITIVES} positives in the test, so hardly judged: {', '.join(few)}."
        )
    found += [f"Not judged, {sentence}." for sentence in left_out_rows(test["labels"])]
    found += report["warnings"]
    return [f"- {escaped(sentence)}" for sentence in found]


def _usage(scenario: Scenario) -> list[str]:
    name = scenario.name
    return [
        "```bash",
        f"mlc predict {name} --out scores.parquet     # scores and decisions at the last observed time",
        f"mlc evaluate {name}                         # these figures again, from model and tables",
        f"mlc thresholds {name} --policy max_f1       # other cuts, no training",
        "```",
        "",
        "Every number is in `report.json`, the scenario with every default in `resolved.yaml`, versions and "
        "fingerprints in `run.json`.",
    ]


def _with_interval(entry: Mapping[str, Any], score: str) -> str:
    ends = entry[f"{score}_interval"]
    return _number(entry[score]) + ("" if ends is None else f" ({ends[0]:.3f}-{ends[1]:.3f})")


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
