"""`mlc evaluate`: the report again, from the saved model and the tables."""

import math
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl

from mlc.errors import DataError
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


def evaluate(run: Run, runs: Path, say: Say) -> Evaluation:
    """Score every example again with the saved weights and the stored thresholds.

    Args:
        run: A finished run.
        runs: Folder of all runs, for the event store.
        say: Receives progress in lines.

    Raises:
        DataError: The tables no longer fit, or give other labels.
    """
    thresholds, calibrators = stored_thresholds(run), stored_calibration(run)
    network, names = stored_network(run)
    before = run.read_json("report.json")
    trained_store = run.read_json("run.json", itemgetter("store"))
    vocabulary = stored_vocabulary(run)
    scenario = scenario_as_trained(run, vocabulary, runs, say)
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
