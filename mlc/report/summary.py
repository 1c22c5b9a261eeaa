"""A report on one screen: who is better, the baselines, one row per label, and one line of warnings."""

from collections.abc import Sequence

from mlc.drawing.sections import Notes, Section, Table
from mlc.drawing.text_tables import Row
from mlc.evaluation.metrics.wording import judged_text
from mlc.report.cells import (
    count_text,
    difference_text,
    number_text,
    score_text,
    scored_sides,
    size_text,
)
from mlc.report.contents import JUDGED, BaselineReport, Report
from mlc.report.trust import trust_words
from mlc.report.verdict import headline

_MOST_LABELS = 20
_MOST_NAMED = 3


def summary_sections(report: Report, split: str = JUDGED) -> list[Section]:
    """Return what fits one screen; `report_sections` has the rest.

    Args:
        report: Of `build_report`, or read back from `report.json`.
        split: Whose labels to show. Verdict, gates and differences are always those of the test split.
    """
    last = [*_gates(report), *_warnings(report)]
    sections = [
        Section("", content=[Notes([headline(report)])]),
        _baselines(report, split),
        _labels(report, split),
        Section("", content=[Notes(last)]),
    ]
    return [section for section in sections if not section.empty]


def _baselines(report: Report, split: str) -> Section:
    rows: list[Row] = []
    for name, entry in scored_sides(report, split):
        mean = entry.headline
        difference = (entry.difference or {}).get("ap") if isinstance(entry, BaselineReport) else None
        scores = score_text(mean.ap), score_text(mean.auroc), number_text(mean.log_loss, ".4f")
        rows.append((name, *scores, difference_text(difference)))
    header = ("", "macro AP", "AUROC", "log-loss", "model minus it, AP")
    table = Table(header, rows, optional=(3, 2))
    size, over = size_text(report.splits[split]), judged_text(report.splits[split])
    return Section(f"{split.capitalize()}: {size}; {over}", content=[table])


def _labels(report: Report, split: str) -> Section:
    """The most frequent labels, in their order, by name, scores, decisions and trust."""
    labels, words = report.splits[split].labels, trust_words(report.trust)
    frequent = sorted(labels, key=lambda label: -label.support)[:_MOST_LABELS]
    shown = {label.name for label in frequent}
    rows: list[Row] = [
        (
            label.name,
            count_text(label.support),
            score_text(label.ap),
            number_text(label.lift, ".1f"),
            score_text(label.auroc),
            label.threshold_text(".3f"),
            score_text(label.precision),
            score_text(label.recall),
            words[label.name],
        )
        for label in labels
        if label.name in shown
    ]
    header = (
        "label",
        "positives",
        "AP",
        "AP/prevalence",
        "AUROC",
        "threshold",
        "precision",
        "recall",
        "trust",
    )
    content: list[Table | Notes] = [Table(header, rows, optional=(3, 4, 1, 5))]
    if len(labels) > len(rows):
        content.append(Notes([f"The {len(rows)} most frequent of {len(labels):,} labels; --full shows all."]))
    return Section(f"{split.capitalize()}: each label at its threshold", content=content)


def _gates(report: Report) -> list[str]:
    gates = report.gates or ()
    failed = [f"{gate.gate} ({gate.found})" for gate in gates if not gate.passed]
    if failed:
        return [f"FAILED: {len(failed)} of {len(gates)} gates: {'; '.join(failed)}"]
    return [f"passed: {' and '.join(gate.gate for gate in gates)}"] if gates else []


def _warnings(report: Report) -> list[str]:
    """One line, however many there are."""
    if len(report.warnings) < 2:
        return [f"Warning: {sentence}" for sentence in report.warnings]
    noted = [label.name for label in report.test.labels if label.threshold_note]
    rest = len(report.warnings) - len(noted)
    parts = [f"on the thresholds of {_some_of(noted)}"] if noted else []
    parts += [f"{rest} on other things" if noted else report.warnings[0]] if rest else []
    return [f"{len(report.warnings)} warnings: {'; '.join(parts)}. --full shows them"]


def _some_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
