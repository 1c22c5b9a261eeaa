"""The report as two texts: Markdown for a pull request, aligned columns for a terminal."""

import textwrap

from mlc.drawing.sections import markdown_lines, text_lines
from mlc.drawing.text_tables import escaped, one_line
from mlc.report.contents import JUDGED, Report
from mlc.report.sections import report_sections
from mlc.scenario import Description, Scenario, describe


def description_of(scenario: Scenario, report: Report) -> Description:
    """Return what a scenario predicts, judged on the labels and test cutoffs of its report."""
    cutoffs = report.test.cutoffs
    return describe(scenario, [label.name for label in report.test.labels], cutoffs.first, cutoffs.last)


def report_markdown(report: Report) -> str:
    """Return the report for a pull request."""
    first = f"**{escaped(report.scenario)}**: {escaped(report.verdict)}"
    return "\n".join([first, "", *markdown_lines(report_sections(report))])


def report_text(report: Report, split: str = JUDGED, width: int = 100) -> str:
    """Return the report for a terminal: what `report_markdown` says, in aligned columns.

    Args:
        report: Of `build_report`, or read back from `report.json`.
        split: Whose labels to show. The verdict, and differences to baselines, are always those of the test.
        width: Columns of the terminal. Names are shortened to fit; below 90 the table of labels is wider.
    """
    first = textwrap.wrap(f"{report.scenario}: {one_line(report.verdict)}", width)
    return "\n".join([*first, "", *text_lines(report_sections(report, split), width)])
