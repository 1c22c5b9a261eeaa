"""The report as two texts: Markdown for a pull request, aligned columns for a terminal."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlc.drawing.text_tables import Row, aligned, escaped, markdown_table, one_line
from mlc.evaluation.metrics import VERDICT_RULE
from mlc.evaluation.metrics.wording import judged_text, left_out_rows, macro_text, mean_of
from mlc.evaluation.thresholds import label_cut_text
from mlc.report.cells import (
    competitors,
    count_text,
    described,
    difference_text,
    number_text,
    range_text,
    score_text,
)
from mlc.tables import SPLITS, Split

_MOST_NAMED = 12


def report_markdown(report: Mapping[str, Any]) -> str:
    """The report for a pull request.

    Args:
        report: Of `build_report`, or read back from `report.json`.
    """
    lines = [f"**{escaped(report['scenario'])}**: {escaped(report['verdict'])}", ""]
    for section in _sections(report):
        lines += [f"## {section.title}", ""]
        if section.header:
            lines += markdown_table(section.header, section.rows)
        else:
            lines += [f"- {escaped(row[0])}" for row in section.rows]
        lines.append("")
    return "\n".join(lines)


def report_text(report: Mapping[str, Any], split: Split = "test", width: int = 100) -> str:
    """The report for a terminal: what `report_markdown` says, in aligned columns.

    Args:
        report: Of `build_report`, or read back from `report.json`.
        split: Whose labels to show. The verdict, and differences to rivals, are always those of the test.
        width: Columns of the terminal. Names are shortened to fit; below 90 the table of labels is wider.
    """
    lines = [*textwrap.wrap(f"{report['scenario']}: {one_line(report['verdict'])}", width), ""]
    for section in _sections(report, split):
        lines.append(section.title)
        if section.header:
            lines += aligned([section.header, *section.rows], width)
        else:
            for row in section.rows:
                item = one_line(row[0])
                lines += textwrap.wrap(item, width, initial_indent="  ", subsequent_indent="    ")
        lines.append("")
    return "\n".join(lines)


@dataclass(frozen=True)
class _Section:
    """A table, or a list of sentences where the header is empty."""

    title: str
    header: Row
    rows: Sequence[Row]


def _sections(report: Mapping[str, Any], split: Split = "test") -> list[_Section]:
    """What both texts show after the verdict, in order; empty lists are left out."""
    shown, title = report["splits"][split], split.capitalize()
    others = [other for other in SPLITS[::-1] if other != split]
    left_out = [(sentence,) for sentence in left_out_rows(shown["labels"])]
    funnel = [
        (step["reason"], count_text(step["removed"]), count_text(step["kept"])) for step in report["funnel"]
    ]
    means = ("", "macro AP", "macro AUROC", "micro AP", "micro AUROC", "weighted AP", "weighted AUROC")
    gates = [
        (gate["gate"], gate["found"], "passed" if gate["passed"] else "FAILED")
        for gate in report.get("gates", ())
    ]
    sections = [
        _Section("Gates", ("gate", "found", ""), gates),
        _Section(f"{title}: {described(shown)}; {judged_text(shown)}", *_against_rivals(report, split)),
        _Section(f"{title}: each label at its threshold", *_label_rows(shown)),
        *([_Section("Labels that can be trusted", (), _trust_rows(report))] if split == "test" else []),
        _Section(f"{title}: log-loss, low is good", *_log_losses(report, split)),
        _Section("Baselines", (), [(note,) for note in _baseline_notes(report)]),
        _Section(f"{title}: labels not judged", (), [*left_out, (VERDICT_RULE,)] if left_out else []),
        _Section(f"{title}: 95 % intervals, and lift among the highest scores", *_interval_rows(shown)),
        _Section(f"{title}: what the thresholds gave, and 95 % range promised", *_promise_rows(shown)),
        _Section(f"{title}: probabilities before and after calibration", *_calibration_rows(shown)),
        _Section(f"{title}: all labels together", (), _together(shown)),
        _Section(f"{title}: other means", means, _mean_rows(report, split)),
        *(
            _Section(
                f"{other.capitalize()}: {described(report['splits'][other])}",
                means,
                _mean_rows(report, other),
            )
            for other in others
        ),
        _Section("Examples", ("reason", "removed", "kept"), funnel),
        _Section("Warnings", (), [(warning,) for warning in report["warnings"]]),
    ]
    return [section for section in sections if section.rows]


def _trust_rows(report: Mapping[str, Any]) -> list[Row]:
    found: list[Row] = []
    for kind, word in (("trusted", "trusted"), ("weak", "weak"), ("not_evaluable", "not evaluable")):
        names = report["trust"][kind]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        if names:
            found.append((f"{word}, {len(names)}: {', '.join(names[:_MOST_NAMED])}{more}",))
    return [*found, (report["trust"]["rule"],)]


def _against_rivals(report: Mapping[str, Any], split: Split) -> tuple[Row, list[Row]]:
    rows = []
    for name, entry in competitors(report, split):
        difference = entry.get("difference", {})
        intervals = [difference_text(difference.get(score)) for score in ("ap", "auroc")]
        mean = mean_of(entry)
        rows.append((name, score_text(mean["ap"]), score_text(mean["auroc"]), *intervals))
    return ("", "macro AP", "macro AUROC", "model minus it: AP", "model minus it: AUROC"), rows


def _log_losses(report: Mapping[str, Any], split: Split) -> tuple[Row, list[Row]]:
    """Model and rivals whose scores are probabilities."""
    rows: list[Row] = []
    for name, entry in competitors(report, split):
        mean = mean_of(entry)
        if mean["log_loss"] is not None:
            difference = difference_text(entry.get("difference", {}).get("log_loss"), 4)
            rows.append((name, number_text(mean["log_loss"], ".4f"), difference))
    return ("", "macro log-loss", "model minus it"), rows


def _baseline_notes(report: Mapping[str, Any]) -> list[str]:
    ranking = [
        name
        for name, entry in report["baselines"].items()
        if entry["test"]["macro"]["log_loss"] is None and entry["test"]["macro"]["ap"] is not None
    ]
    reason = f"{' and '.join(ranking)}: scores that rank and are no probabilities, so without log-loss"
    return [*report["baseline_notes"], *report["missing_baselines"], *([reason] if ranking else [])]


def _mean_rows(report: Mapping[str, Any], split: Split) -> list[Row]:
    rows: list[Row] = []
    for name, entry in competitors(report, split):
        means = [entry[mean][score] for mean in ("macro", "micro", "weighted") for score in ("ap", "auroc")]
        rows.append((name, *map(score_text, means)))
    return rows


def _label_rows(test: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    header = ("label", "support", "prevalence", "AUROC", "AP", "AP/prevalence")
    rows: list[Row] = []
    for label in test["labels"]:
        counted = count_text(label["support"]), number_text(label["prevalence"], ".4f")
        ranked = score_text(label["auroc"]), score_text(label["ap"]), number_text(label["lift"], ".1f")
        decided = [label_cut_text(label, ".3f"), *(score_text(label[key]) for key in ("precision", "recall"))]
        rows.append((label["name"], *counted, *ranked, *decided))
    return (*header, "threshold", "precision", "recall"), rows


def _interval_rows(test: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    rows: list[Row] = []
    for label in test["labels"]:
        lifts = (number_text(label[f"lift_{percent}"], ".1f") for percent in (1, 5, 10))
        ranges = (range_text(label[f"{score}_interval"]) for score in ("auroc", "ap"))
        rows.append((label["name"], *ranges, *lifts))
    return ("label", "AUROC", "AP", "lift at 1 %", "at 5 %", "at 10 %"), rows


def _promise_rows(test: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    rows: list[Row] = []
    for label in test["labels"]:
        estimate, examples = label["threshold_estimate"], label["examples"]
        if estimate is None or not examples:
            continue
        cells = []
        for name in ("precision", "recall"):
            promised = estimate[name]
            cells += [score_text(label[name]), range_text(promised and (promised["low"], promised["high"]))]
        low, high = (round(estimate["yes"][end] * examples) for end in ("low", "high"))
        rows.append((label["name"], *cells, count_text(label["volume"]), f"{low:,}-{high:,}"))
    return ("label", "precision", "promised", "recall", "promised", "volume", "promised"), rows


def _calibration_rows(test: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    rows: list[Row] = []
    for label in test["labels"]:
        if "calibration" in label:
            numbers = (
                f"{name}{when}" for name in ("log_loss", "calibration_error") for when in ("_before", "")
            )
            cells = (number_text(label[number], ".4f") for number in numbers)
            rows.append((label["name"], label["calibration"], *cells))
    return ("label", "method", "log-loss before", "after", "error before", "after"), rows


def _together(test: Mapping[str, Any]) -> list[Row]:
    """Sentences on all labels and decisions at once."""
    ranked, decided = test["per_example"], test["decisions"]
    if decided["hamming"] is None:
        return []
    found = [
        *_macro_sentences(test),
        f"labels of an example, over the {ranked['examples']:,} with a positive: "
        f"LRAP {score_text(ranked['lrap'])}, coverage error {score_text(ranked['coverage_error'])}, "
        f"ranking loss {score_text(ranked['ranking_loss'])}",
    ]
    for depth in ranked["precision_at"]:
        found.append(
            f"the {depth} highest: precision {score_text(ranked['precision_at'][depth])}, "
            f"recall {score_text(ranked['recall_at'][depth])}, nDCG {score_text(ranked['ndcg_at'][depth])}"
        )
    for name in ("macro", "micro", "weighted"):
        mean = decided[name]
        found.append(
            f"decisions, {name}: precision {score_text(mean['precision'])} ({mean['precision_labels']} "
            f"labels), recall {score_text(mean['recall'])} and F1 {score_text(mean['f1'])} "
            f"({mean['recall_labels']} labels)"
        )
    found.append(
        f"decisions: Hamming loss {score_text(decided['hamming'])}, subset accuracy "
        f"{score_text(decided['subset_accuracy'])}, yes an example {score_text(decided['labels_predicted'])} "
        f"where {score_text(decided['labels_true'])} are positive, "
        f"without a yes {score_text(decided['empty'])}"
    )
    for metric in test.get("metrics", ()):
        options = "".join(f", {name} {value}" for name, value in metric["options"].items())
        values = metric["value"] if isinstance(metric["value"], list) else [metric["value"]]
        shown = metric["undefined"] or " ".join(map(score_text, values))
        found.append(f"{metric['name']}{options}: {shown} ({metric['labels']} labels)")
    return [(sentence,) for sentence in found]


def _macro_sentences(test: Mapping[str, Any]) -> list[str]:
    """The macro means over the judged labels, and over all defined labels where those are more."""
    shown, macro = mean_of(test), test["macro"]
    sentences = [
        f"macro AP {macro_text(test, 'ap')}, macro AUROC {macro_text(test, 'auroc')}, {judged_text(test)}"
    ]
    if macro["labels_defined"] > shown["labels_defined"]:
        sentences.append(
            f"macro AP {score_text(macro['ap'])}, macro AUROC {score_text(macro['auroc'])} over the "
            f"{macro['labels_defined']} labels with a positive and a negative"
        )
    return sentences


def foundation_markdown(report: dict[str, Any]) -> str:
    """The report of a pre-training: what is foreseen, and how much better than by frequencies alone."""
    told = {
        "set": "values within {horizon_days} days",
        "next": "at the next moment",
        "time": "time to the next moment",
    }
    lines = [
        f"# {report['name']}",
        "",
        f"Nothing after {report['until']} was seen: a scenario whose first validation cutoff lies before "
        f"that moment cannot start from this foundation. Validation from {report['validation_from']} on, "
        f"{report['validation_examples']:,} examples, {report['epochs']} epochs.",
        "",
        "Losses in nats an example, those of a set added up over its values; the baseline gives each value "
        "its frequency in training.",
        "",
        "| field | what | loss | baseline | loss / baseline |",
        "|---|---|---:|---:|---:|",
    ]
    for row in report["losses"]:
        ratio = f"{row['loss'] / row['baseline']:.3f}" if row["baseline"] else ""
        what = told[row["kind"]].format(**row)
        lines.append(
            f"| {row['field'] or ''} | {what} | {row['loss']:.4f} | {row['baseline']:.4f} | {ratio} |"
        )
    if report["left_out_days"]:
        left = ", ".join(str(days) for days in report["left_out_days"])
        lines += ["", f"Horizons longer than a third of the time are left out: {left} days."]
    return "\n".join(lines) + "\n"
