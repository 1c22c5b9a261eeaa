"""What tables and labels hold that costs people days.

Found before a training, each with what to do. To add a finding: a function in the file of its subject that
yields `Finding`, one line in `gathering.all_findings`, one test that shows it and one that shows silence.
"""

from mlc.events.findings.checking import checked
from mlc.events.findings.class_names import auroc_half_width
from mlc.events.findings.table_shapes import table_findings
from mlc.events.findings.texts import thousands_findings
from mlc.events.findings.times import time_findings
from mlc.events.findings.values import alike_findings, value_findings
from mlc.task import Finding, Severity, error_of, worst_first

__all__ = [
    "Finding",
    "Severity",
    "alike_findings",
    "auroc_half_width",
    "checked",
    "error_of",
    "table_findings",
    "thousands_findings",
    "time_findings",
    "value_findings",
    "worst_first",
]
