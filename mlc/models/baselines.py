"""The baselines of a report: those of the task, and single parts of the model."""

from collections.abc import Sequence

import numpy as np

from mlc.evaluation.calibration import calibrated, entity_folds, fit_calibration
from mlc.evaluation.held_out import PartScores, judged
from mlc.models.model import Model
from mlc.tables import SCORES, TARGETS, array_column, entity_codes, targets_of
from mlc.task import AnyTask, Baselines, Examples


def all_baselines(task: AnyTask, examples: Examples, model: Model, part_scores: PartScores) -> Baselines:
    """Return every baseline that the scenario wants.

    Those of the task, and parts of the model: see `Model.baselines`.

    Args:
        task: The task.
        examples: Its examples.
        model: The model.
        part_scores: The raw scores of each part.
    """
    counted = task.baselines(examples, part_scores.by_part)
    predictions, wanted = dict(counted.predictions), examples.scenario.baselines
    notes = list(counted.notes)
    for name in model.baselines:
        notes += model.parts[name].notes()
        if wanted is None or name in wanted:
            calibrated_NK = _calibrated(examples, part_scores.by_part[name], part_scores.judging)
            predictions[name] = examples.table.drop(TARGETS).with_columns(array_column(SCORES, calibrated_NK))
    return Baselines(predictions, counted.no_probabilities, counted.missing, notes)


def _calibrated(examples: Examples, scores_NK: np.ndarray, judging: Sequence[str]) -> np.ndarray:
    """Calibrate scores like the model's, so that log-losses compare on equal terms."""
    judged_N = judged(examples.table, judging)
    part = examples.table.filter(judged_N)
    calibrators, _ = fit_calibration(
        examples.scenario.calibration,
        examples.class_names,
        scores_NK[judged_N],
        targets_of(part),
        entity_folds(entity_codes(part)),
    )
    return calibrated(scores_NK, calibrators)
