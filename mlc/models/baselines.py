"""The baselines of a report: those that count, and boosting where LightGBM is installed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlc.evaluation.calibration import calibrated, entity_folds, fit_calibration
from mlc.events.baselines import (
    BASELINES,
    BOOSTING,
    INSTALL,
    baseline_predictions,
    blends,
    boosting_installed,
)
from mlc.events.preparing import Prepared, Say
from mlc.models.batches import ExampleBatches
from mlc.models.boosting import Boosting, fit_boosting
from mlc.scenario import Scenario
from mlc.tables import ENTITY_ID, SCORES, SPLIT, TARGETS, array_column, targets_of


@dataclass(frozen=True)
class Baselines:
    """What a report compares the model with.

    Attributes:
        predictions: Name → predictions, in the order of the examples.
        notes: What a reader should know of them.
        missing: Why one of them is not there, a sentence each.
    """

    predictions: dict[str, pl.DataFrame]
    notes: Sequence[str]
    missing: Sequence[str]


def fitted_boosting(prepared: Prepared, batches: ExampleBatches, say: Say) -> Boosting | None:
    """Train boosting where it is wanted and can run."""
    wanted = _wanted(prepared.scenario) or blends(prepared.scenario)
    if not wanted or not boosting_installed():
        return None
    splits = prepared.examples.table[SPLIT].to_numpy()
    train, validation = (np.flatnonzero(splits == split) for split in ("train", "validation"))
    boosting = fit_boosting(batches, train, validation, prepared.scenario.train.seed)
    if boosting is not None:
        say(boosting.described())
    return boosting


def make_baselines(prepared: Prepared, boosting: object | None, boosted_NK: np.ndarray | None) -> Baselines:
    """The predictions of every baseline that the scenario wants.

    Args:
        prepared: The examples.
        boosting: The one that is trained, where there is one.
        boosted_NK: Its scores of all examples, shape (N, K).
    """
    examples, wanted = prepared.examples, prepared.scenario.baselines
    names = [name for name in BASELINES if wanted is None or name in wanted]
    predictions = baseline_predictions(examples, prepared.label_line, names)
    if not isinstance(boosting, Boosting) or boosted_NK is None:
        return Baselines(predictions, [], [_why_missing()] if _wanted(prepared.scenario) else [])
    if _wanted(prepared.scenario):
        scores = array_column(SCORES, _calibrated(prepared, boosted_NK))
        predictions[BOOSTING] = examples.table.drop(TARGETS).with_columns(scores)
    return Baselines(predictions, [boosting.described()], [])


def _calibrated(prepared: Prepared, scores_NK: np.ndarray) -> np.ndarray:
    """Scores calibrated on validation as the model's are: the log-losses are then compared on equal terms."""
    table, names = prepared.examples.table, prepared.examples.labels.names
    validation = (table[SPLIT] == "validation").to_numpy()
    part = table.filter(validation)
    folds = entity_folds(part[ENTITY_ID].rank("dense").to_numpy())
    method = prepared.scenario.calibration
    calibrators, _ = fit_calibration(method, names, scores_NK[validation], targets_of(part), folds)
    return calibrated(scores_NK, calibrators)


def _wanted(scenario: Scenario) -> bool:
    return scenario.baselines is None or BOOSTING in scenario.baselines


def _why_missing() -> str:
    if boosting_installed():
        return "boosting, as a rule the strongest baseline, was not trained"
    return f"boosting, as a rule the strongest baseline, is not installed: {INSTALL}"
