"""What tables and labels hold that costs people days: found before a training, each with what to do.

To add a finding: a function in the file of its subject that yields `Finding`, one line in `mlc.steps.check`,
one test that shows it and one that shows silence.
"""

from mlc.findings.finding import Finding, Severity, error_of, worst_first
from mlc.findings.formats import time_hint
from mlc.findings.joins import join_findings, type_hint, unmatched_problems
from mlc.findings.labels import auroc_half_width, label_findings, support_findings, variant_findings
from mlc.findings.leaks import leak_findings
from mlc.findings.sizes import Sizes, expected_sizes
from mlc.findings.tables import code_findings, entity_findings, table_findings
from mlc.findings.times import time_findings

__all__ = [
    "Finding",
    "Severity",
    "Sizes",
    "auroc_half_width",
    "code_findings",
    "entity_findings",
    "error_of",
    "expected_sizes",
    "join_findings",
    "label_findings",
    "leak_findings",
    "support_findings",
    "table_findings",
    "time_findings",
    "time_hint",
    "type_hint",
    "unmatched_problems",
    "variant_findings",
    "worst_first",
]
