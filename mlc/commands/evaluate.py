"""`mlc evaluate`: the report again, from the saved model and the tables."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc.errors import DataError, MlcError, Problem, ScenarioError
from mlc.evaluation.held_out import HELD_OUT, HeldOut, PartScores
from mlc.evaluation.thresholds import Threshold
from mlc.events.baselines import check_boosting
from mlc.models import tasks
from mlc.models.decisions import stored_thresholds
from mlc.models.model import Model
from mlc.models.reporting import make_report
from mlc.progress import stage
from mlc.report import Report
from mlc.run import RunFolder
from mlc.scenario import GatesSection, with_gates
from mlc.task import Say
from mlc.training.beginning import tables_changed


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        report: The report.
        tables_changed: Whether the tables are others than those of the training.
        same: Whether every number is that of the training's report, up to a millionth, since the last digits
            of a score depend on the number of threads; gates may have come since.
        thresholds: Those of the training.
    """

    report: Report
    tables_changed: bool
    same: bool
    thresholds: Sequence[Threshold]


def given_gates(run: RunFolder, given: str | None) -> GatesSection:
    """Return the gates of `--gates`, or else those of the run's scenario.

    Args:
        run: A finished run.
        given: A YAML file, of gates or with a section `gates`, or the gates themselves in YAML.

    Raises:
        MlcError: There are none, or they break a rule.
    """
    stored_thresholds(run)  # a foundation has nothing to judge
    scenario = run.scenario()
    if given is None:
        if scenario.gates is None:
            raise MlcError(
                f"--check: the scenario of {run.folder.name} has no gates. Give them, as a YAML file or "
                "here: --gates '{macro_ap: 0.25, beats: recency}'"
            )
        return scenario.gates
    if "{" in given:
        text, name = given, "--gates"
    else:
        text, name = _text_of(Path(given)), given
    try:
        gates = with_gates(scenario, text, name).gates
    except ScenarioError as error:
        if name != "--gates":
            raise
        raise MlcError(Problem(one.rule, one.field, "--gates") for one in error.problems) from None
    assert gates is not None  # that there is none is a problem
    return gates


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        rule = "no such file. Name a YAML file with gates, or write them here: {macro_ap: 0.25}."
        raise MlcError(Problem(rule, "--gates", str(path))) from None
    except UnicodeDecodeError:
        raise MlcError(Problem("not a text file in UTF-8.", "--gates", str(path))) from None


def evaluate(run: RunFolder, say: Say, gates: GatesSection | None = None) -> Evaluation:
    """Score every example again with the saved weights and the stored thresholds.

    Args:
        run: A finished run.
        say: Receives progress in lines.
        gates: Judged in place of those of the run's scenario.

    Raises:
        DataError: The tables no longer fit, or give other labels.
    """
    check_boosting(run.scenario())
    run.check_place()
    model = Model.load(run)
    before = run.read_json("report.json")
    task = tasks.trained_task(run, say, model.class_names)
    examples = task.prepare()
    if list(examples.class_names) != list(model.class_names):
        raise DataError(
            f"{run.folder}: the tables have changed, and {{top: K}} gives other labels than in training. "
            "Write class_names out in the scenario, and train again."
        )
    stage("scoring")
    by_part = model.part_scores(model.batches(task.inputs(examples)), baselines=True)
    part_scores = PartScores(by_part)
    if (run / HELD_OUT).exists():
        with run.reading(HELD_OUT) as path:
            part_scores = HeldOut.read(path).applied(examples.table, by_part)
    stage("report")
    report = make_report(task, examples, model, part_scores, gates)
    same = _same({**report.to_json(), "gates": None}, {**before, "gates": None})
    return Evaluation(report, tables_changed(run, task.scenario), same, model.thresholds)


def notes(evaluation: Evaluation, *, gated: bool) -> Iterator[str]:
    """Write whether the numbers are those of the training.

    With `gated`, also how each gate was judged.
    """
    if evaluation.tables_changed:
        yield "the tables have changed since the training: these numbers are of the new ones"
    elif evaluation.same:
        yield "the same numbers as in training"
    else:
        yield "these numbers differ from those of the training"
    for gate in (evaluation.report.gates or ()) if gated else ():
        yield f"{'passed' if gate.passed else 'FAILED'}: {gate.gate}: {gate.found}"


def _same(one: Any, other: Any) -> bool:
    """Whether two trees of JSON differ by at most a millionth anywhere."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0.0, abs_tol=1e-6)
    return bool(one == other)
