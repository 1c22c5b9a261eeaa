"""What tables and labels hold that costs people days.

Found before a training, each with what to do. To add a finding: a function in the file of its subject that
yields `Finding`, one line in `gathering.all_findings`, one test that shows it and one that shows silence.
"""

from mlc.events.findings.class_names import auroc_half_width
from mlc.events.findings.expected import Expected, expected_of
from mlc.events.findings.gathering import all_findings, label_problems, with_hint
from mlc.events.findings.joins import unmatched_problems
from mlc.events.findings.table_shapes import table_findings
from mlc.events.findings.texts import thousands_findings
from mlc.events.findings.times import time_findings
from mlc.events.findings.values import alike_findings, value_findings
from mlc.task import Finding, Severity, error_of, worst_first

__all__ = [
    "Expected",
    "Finding",
    "Severity",
    "alike_findings",
    "all_findings",
    "auroc_half_width",
    "error_of",
    "expected_of",
    "label_problems",
    "table_findings",
    "thousands_findings",
    "time_findings",
    "unmatched_problems",
    "value_findings",
    "with_hint",
    "worst_first",
]
