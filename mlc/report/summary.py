"""A report on one screen: verdict, baselines, one row per label, warnings."""

from collections.abc import Sequence

from mlc.drawing.sections import Notes, Section
from mlc.report import sections
from mlc.report.contents import JUDGED, Report
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
    parts = [
        Section("", content=[Notes([headline(report)])]),
        sections.against_baselines(report, split),
        sections.labels(report, split, _MOST_LABELS),
        Section("", content=[Notes(last)]),
    ]
    return [part for part in parts if not part.empty]


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
