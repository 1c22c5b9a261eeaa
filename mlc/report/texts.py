"""The report in words: what it is about, and Markdown for a pull request."""

from mlc.drawing.sections import markdown_lines
from mlc.drawing.text_tables import escaped
from mlc.report.contents import Report
from mlc.report.sections import report_sections
from mlc.scenario import Description, Scenario, describe


def description_of(scenario: Scenario, report: Report) -> Description:
    """Return what a scenario predicts, with the labels and cutoffs of its report."""
    cutoffs = report.test.cutoffs
    return describe(scenario, [label.name for label in report.test.labels], cutoffs.first, cutoffs.last)


def report_markdown(report: Report) -> str:
    """Return the report for a pull request."""
    first = f"**{escaped(report.scenario)}**: {escaped(report.verdict)}"
    return "\n".join([first, "", *markdown_lines(report_sections(report))])
