"""`mlc evaluate`: the report again, from the saved model and the tables."""

import math
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl

from mlc.errors import DataError, MlcError, Problem, ScenarioError
from mlc.events.baselines import check_boosting
from mlc.events.preparing import Prepared, Say, prepare
from mlc.models.baselines import make_rivals, stored_boosting
from mlc.models.batches import ExampleBatches
from mlc.models.blending import blend_notes, stored_blend, with_blend
from mlc.models.boosting import boosting_scores
from mlc.models.ensemble import AnyNetwork, score_batches
from mlc.models.reporting import make_report, with_calibration
from mlc.models.trained import (
    scenario_as_trained,
    stored_calibration,
    stored_network,
    stored_thresholds,
    stored_vocabulary,
)
from mlc.run import Run
from mlc.scenario import GatesSection, with_gates
from mlc.tables import SCORES, TARGETS, array_column
from mlc.training.hedging import hedge_notes
from mlc.training.supervised import example_batches


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        report: The report.
        tables_changed: Whether the tables are others than those of the training.
        same: Whether every number is that of the training's report, up to a millionth, since the last digits
            of a score depend on the number of threads; gates may have come since.
    """

    report: dict[str, Any]
    tables_changed: bool
    same: bool


def given_gates(run: Run, given: str | None) -> GatesSection:
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


def evaluate(run: Run, runs: Path, say: Say, gates: GatesSection | None = None) -> Evaluation:
    """Score every example again with the saved weights and the stored thresholds.

    Args:
        run: A finished run.
        runs: Folder of all runs, for the event store.
        say: Receives progress in lines.
        gates: Judged in place of those of the run's scenario.

    Raises:
        DataError: The tables no longer fit, or give other labels.
    """
    thresholds, calibrators = stored_thresholds(run), stored_calibration(run)
    network, names = stored_network(run)
    before = run.read_json("report.json")
    trained_store = run.read_json("run.json", itemgetter("store"))
    vocabulary = stored_vocabulary(run)
    scenario = scenario_as_trained(run, vocabulary, runs, say)
    if gates is not None:
        scenario = scenario.model_copy(update={"gates": gates})
    check_boosting(scenario)
    prepared = prepare(scenario, runs, say)
    if list(prepared.examples.labels.names) != names:
        raise DataError(
            f"{run.folder}: the labels must be those of the training, however: the tables have changed and "
            f"{{top: K}} now gives others; write class_names out in the scenario"
        )
    examples = example_batches(prepared, vocabulary)
    boosting, weight = stored_boosting(run), stored_blend(run)
    boosted_NK = boosting_scores(boosting, examples) if boosting else None
    raw = with_blend(_predictions(prepared, network, examples), boosted_NK, weight)
    rivals = make_rivals(prepared, boosting, boosted_NK, [*hedge_notes(network), *blend_notes(weight)])
    predictions = with_calibration(raw, calibrators)
    report = make_report(prepared, predictions, calibrators, thresholds, rivals)
    same = _same({**report, "gates": None}, {**before, "gates": None})
    return Evaluation(report, trained_store != prepared.store.fingerprint, same)


def _same(one: Any, other: Any) -> bool:
    """Whether two trees of JSON differ by at most a millionth anywhere."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0.0, abs_tol=1e-6)
    return bool(one == other)


def _predictions(prepared: Prepared, network: AnyNetwork, examples: ExampleBatches) -> pl.DataFrame:
    _, scores_NK = score_batches(network, examples.in_order())
    return prepared.examples.table.drop(TARGETS).with_columns(array_column(SCORES, scores_NK))
