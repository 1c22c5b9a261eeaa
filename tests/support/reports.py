"""Reports in the form that tests read: the JSON of `report.json`."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from mlc.report import Report, ReportInputs, build_report, report_markdown, report_text


def built(
    scenario: str, class_names: Sequence[str], examples: pl.DataFrame, predictions: pl.DataFrame, **more: Any
) -> dict[str, Any]:
    """Return the JSON of a report; `more` are further fields of `ReportInputs`."""
    return build_report(
        ReportInputs(
            scenario=scenario,
            class_names=class_names,
            examples=examples,
            predictions=predictions,
            **more,
        )
    ).to_json()


def as_text(report: dict[str, Any], **options: Any) -> str:
    """Return a report as a terminal shows it."""
    return report_text(Report.from_json(report), **options)


def as_markdown(report: dict[str, Any]) -> str:
    """Return a report as a pull request shows it."""
    return report_markdown(Report.from_json(report))
