"""`mlc runs`: every run of a folder with its headline numbers.

Loads neither torch nor Polars.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlc.drawing.sections import Notes, Section, Table
from mlc.drawing.text_tables import Row
from mlc.errors import RunError
from mlc.evaluation.outcomes import OUTCOME_WORDS
from mlc.run import Kind, RunFolder


@dataclass(frozen=True)
class ListedRun:
    """A run in one line.

    Attributes:
        name: The folder's name.
        scenario: The scenario's name.
        state: Whether the training came to its end; `damaged` where a file cannot be read.
        kind: A model of `mlc train`, or a foundation of `mlc pretrain`, which has no labels to score.
        started: Moment in UTC, ISO 8601.
        finished: Likewise; None while it has not.
        macro_auroc: Of the test split; None where undefined or not there.
        macro_ap: Likewise.
        verdict: `better`, `equal`, `worse`, `no_detectable_difference` or `undecided` against the best
            baseline in macro AP; None where the report has no verdict.
        baseline: That baseline.
        until: Of a finished foundation: it has seen no event after this moment, ISO 8601.
        note: What is damaged, or how to go on.
    """

    name: str
    scenario: str | None
    state: Literal["finished", "unfinished", "damaged"]
    kind: Literal["model", "foundation"] = "model"
    started: str | None = None
    finished: str | None = None
    macro_auroc: float | None = None
    macro_ap: float | None = None
    verdict: str | None = None
    baseline: str | None = None
    until: str | None = None
    note: str | None = None


def runs(folder: Path) -> list[ListedRun]:
    """List every run of a folder, the newest first, damaged ones too.

    Raises:
        RunError: There is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder of runs. Name another with --runs-dir.")
    marks = ("run.json", "report.json")
    places = [path for path in folder.iterdir() if any((path / mark).exists() for mark in marks)]
    entries = [_listed(RunFolder(path)) for path in sorted(places)]
    return sorted(entries, key=lambda run: run.finished or run.started or "", reverse=True)


def _listed(run: RunFolder) -> ListedRun:
    name = run.folder.name
    kind: Kind = "model"
    try:
        kind = run.kind
        scenario, started, finished = run.read_json("run.json", _moments)
        if finished is None:
            holder = run.holder
            how = f"{holder} is working on it" if holder else f"mlc {run.verb} with --resume goes on"
            return ListedRun(name, scenario, "unfinished", kind, started, note=how)
        if kind == "foundation":
            until = run.read_json("report.json", _until)
            return ListedRun(name, scenario, "finished", kind, started, finished, until=until)
        numbers = run.read_json("report.json", _headline)
    except RunError as error:
        return ListedRun(name, None, "damaged", kind, note=str(error))
    return ListedRun(name, scenario, "finished", kind, started, finished, *numbers)


def _moments(facts: Any) -> tuple[str, str, str | None]:
    """Scenario, begin and end; whatever else is there is damage."""
    scenario, started, finished = facts["name"], facts["started"], facts.get("finished")
    if not all(isinstance(text, str) for text in (scenario, started, finished or "")):
        raise TypeError("name, started and finished must be text")
    return scenario, started, finished


def _until(report: Any) -> str:
    """What a foundation has seen: its report has losses in place of scores."""
    if not isinstance(report["until"], str):
        raise TypeError("until must be text")
    return report["until"]


def _headline(report: Any) -> tuple[float | None, float | None, str | None, str | None]:
    macro, compared = report["splits"]["test"]["macro"], report["comparison"]["ap"]
    auroc, ap = (None if macro[score] is None else float(macro[score]) for score in ("auroc", "ap"))
    if not compared:
        return auroc, ap, None, None
    outcome = compared["outcome"]
    if report["schema"] == "mlc/report/1" and outcome == "equal":  # it meant that the interval contains 0
        outcome = "no_detectable_difference"
    return auroc, ap, outcome, compared["baseline"]


def runs_section(runs: Sequence[ListedRun]) -> Section:
    """Return the runs as a table, then what is wrong with some."""
    rows: list[Row] = []
    for run in runs:
        when = run.state if run.finished is None else run.finished[:16].replace("T", " ")
        numbers = ("-" if value is None else f"{value:.3f}" for value in (run.macro_auroc, run.macro_ap))
        verdict = "-" if run.state != "finished" else "no verdict"
        if run.verdict is not None:
            verdict = f"{OUTCOME_WORDS.get(run.verdict, run.verdict)} {run.baseline}"
        if run.kind == "foundation":
            verdict = "foundation" + (f", sees events up to {run.until[:10]}" if run.until else "")
        rows.append((run.name, when, *numbers, verdict))
    header = ("run", "finished", "macro AUROC", "macro AP", "against the best baseline")
    notes = [f"{run.name}: {run.note}" for run in runs if run.note]
    return Section("", content=[Table(header, rows, optional=(2, 1)), Notes(notes)])
