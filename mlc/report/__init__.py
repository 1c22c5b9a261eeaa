"""The report: one dict with every number, and two texts and a page that are written from it.

`report.json` is the dict, `report.md` is for a pull request, the text for a terminal, `report.html`
for people. Undefined is null, never NaN and never 0. The first line answers "is it good, and than what".
"""

from mlc.report.assembling import SCHEMA, build_report
from mlc.report.html import report_page
from mlc.report.schema import report_schema
from mlc.report.texts import foundation_markdown, report_markdown, report_text

__all__ = [
    "SCHEMA",
    "build_report",
    "foundation_markdown",
    "report_markdown",
    "report_page",
    "report_schema",
    "report_text",
]
