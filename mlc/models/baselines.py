"""The baselines of a report: those of the task, and single parts of the model."""

from collections.abc import Mapping

import numpy as np

from mlc.evaluation.calibration import calibrated, entity_folds, fit_calibration
from mlc.models.model import Model
from mlc.models.part import NETWORK
from mlc.tables import SCORES, TARGETS, array_column, entity_codes, in_split, targets_of
from mlc.task import AnyTask, Baselines, Examples


def all_baselines(
    task: AnyTask, examples: Examples, model: Model, part_scores: Mapping[str, np.ndarray]
) -> Baselines:
    """Return every baseline that the scenario wants.

    Those of the task, and each part but the network.

    Args:
        task: The task.
        examples: Its examples.
        model: The model.
        part_scores: Name of each part → its raw scores of the examples, in their order.
    """
    counted = task.baselines(examples, part_scores)
    predictions, wanted = dict(counted.predictions), examples.scenario.baselines
    notes = list(counted.notes)
    for name, scores_NK in part_scores.items():
        if name != NETWORK:
            notes += model.parts[name].notes()
            if wanted is None or name in wanted:
                scores = array_column(SCORES, _calibrated(examples, scores_NK))
                predictions[name] = examples.table.drop(TARGETS).with_columns(scores)
    return Baselines(predictions, counted.no_probabilities, counted.missing, notes)


def _calibrated(examples: Examples, scores_NK: np.ndarray) -> np.ndarray:
    """Calibrate scores like the model's, so that log-losses compare on equal terms."""
    validation_N = in_split(examples.table, "validation")
    part = examples.table.filter(validation_N)
    calibrators, _ = fit_calibration(
        examples.scenario.calibration,
        examples.class_names,
        scores_NK[validation_N],
        targets_of(part),
        entity_folds(entity_codes(part)),
    )
    return calibrated(scores_NK, calibrators)
