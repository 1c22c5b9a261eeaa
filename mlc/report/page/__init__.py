"""The report as a page for people.

One HTML file that opens from disk and loads nothing.
"""

from mlc.report.page.layout import PageInputs, report_page

__all__ = ["PageInputs", "report_page"]
