"""The report: every number of a run, and its pages and texts.

`Report` holds the numbers and is `report.json`; `sections` lays them out once, as tables and lists; page,
Markdown, terminal and model card show those. Undefined is None, never NaN and never 0.
"""

from mlc.report.assembling import ReportInputs, build_report
from mlc.report.contents import MetricScore, Report
from mlc.report.foundation import foundation_markdown, foundation_sections
from mlc.report.json_form import Json, schema_of
from mlc.report.page import PageInputs, report_page
from mlc.report.sections import report_sections
from mlc.report.summary import summary_sections
from mlc.report.texts import description_of, report_markdown

__all__ = [
    "MetricScore",
    "PageInputs",
    "Report",
    "ReportInputs",
    "build_report",
    "description_of",
    "foundation_markdown",
    "foundation_sections",
    "report_markdown",
    "report_page",
    "report_schema",
    "report_sections",
    "summary_sections",
]


def report_schema() -> Json:
    """Return the JSON schema (2020-12) of `report.json`.

    Examples:
        >>> report_schema()["properties"]["schema"]
        {'const': 'mlc/report/2'}
    """
    schema = schema_of(Report)
    title = schema["properties"]["schema"]["const"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}
