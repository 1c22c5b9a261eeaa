"""What tables and labels hold that costs people days: found before a training, each with what to do.

To add a finding: a function in the file of its subject that yields `Finding`, one line in
`mlc.commands.check`, one test that shows it and one that shows silence.
"""

from mlc.events.findings.class_names import (
    auroc_half_width,
    label_findings,
    support_findings,
    variant_findings,
)
from mlc.events.findings.finding import Finding, Severity, error_of, worst_first
from mlc.events.findings.formats import time_hint
from mlc.events.findings.joins import join_findings, type_hint, unmatched_problems
from mlc.events.findings.leaks import leak_findings
from mlc.events.findings.sizes import Sizes, expected_sizes, memory_findings
from mlc.events.findings.table_shapes import code_findings, entity_findings, table_findings
from mlc.events.findings.texts import lost_text_findings, number_findings, thousands_findings
from mlc.events.findings.times import time_findings
from mlc.events.findings.values import alike_findings, value_findings

__all__ = [
    "Finding",
    "Severity",
    "Sizes",
    "alike_findings",
    "auroc_half_width",
    "code_findings",
    "entity_findings",
    "error_of",
    "expected_sizes",
    "join_findings",
    "label_findings",
    "leak_findings",
    "lost_text_findings",
    "memory_findings",
    "number_findings",
    "support_findings",
    "table_findings",
    "thousands_findings",
    "time_findings",
    "time_hint",
    "type_hint",
    "unmatched_problems",
    "value_findings",
    "variant_findings",
    "worst_first",
]
