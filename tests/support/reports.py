"""Reports in the form that tests read: the JSON of `report.json`."""

from collections.abc import Sequence
from io import StringIO
from typing import Any

import polars as pl

from mlc.cli.terminal import print_sections
from mlc.drawing.sections import Section
from mlc.report import (
    Report,
    ReportInputs,
    build_report,
    report_markdown,
    report_sections,
    summary_sections,
)


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


def as_text(report: dict[str, Any], width: int = 100, *, full: bool = True) -> str:
    """Return a report as a pipe of this width gets it, with the verdict on top."""
    typed, file = Report.from_json(report), StringIO()
    sections = report_sections(typed) if full else summary_sections(typed)
    print_sections([Section(f"{typed.scenario}: {typed.verdict}"), *sections], file, width)
    return file.getvalue()


def as_markdown(report: dict[str, Any]) -> str:
    """Return a report as a pull request shows it."""
    return report_markdown(Report.from_json(report))
