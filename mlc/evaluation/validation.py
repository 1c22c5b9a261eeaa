"""Calibration and thresholds, from examples that the model had not learned from."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from mlc.evaluation.calibration import Calibrator, calibrated, entity_folds, fit_calibration
from mlc.evaluation.held_out import VALIDATION, judged
from mlc.evaluation.thresholds import Threshold, Windows, choose_thresholds
from mlc.scenario import Scenario
from mlc.tables import CUTOFF, entity_codes, in_split, targets_of


def decide_on_validation(
    scenario: Scenario,
    names: Sequence[str],
    examples: pl.DataFrame,
    raw_NK: np.ndarray,
    periods: Callable[[pl.DataFrame], np.ndarray | None],
    judging: Sequence[str] = VALIDATION,
) -> tuple[list[Calibrator], list[Threshold]]:
    """Fit calibration and choose thresholds on what the model had not learned from.

    Args:
        scenario: Says how.
        names: The K labels.
        examples: All examples.
        raw_NK: Their scores as the parts give them, in their order.
        periods: How many half windows examples lie before the newest of them, see `Task.periods`.
        judging: The splits of these examples; see `PartScores.judging`.
    """
    judged_N = judged(examples, judging)
    part, scores_NK = examples.filter(judged_N), raw_NK[judged_N]
    targets_NK, entities_N = targets_of(part), entity_codes(part)
    calibrators, outside_NK = fit_calibration(
        scenario.calibration, names, scores_NK, targets_NK, entity_folds(entities_N)
    )
    before_N = ~in_split(examples, "test")
    before, windows = examples.filter(before_N), None
    periods_N = periods(before)
    if periods_N is not None:
        scores_NK = calibrated(raw_NK[before_N], calibrators)
        windows = Windows(scores_NK, targets_of(before), entity_codes(before), periods_N)
    thresholds = choose_thresholds(
        scenario.thresholds,
        names,
        outside_NK,
        targets_NK,
        entities_N,
        cutoffs=max(1, part[CUTOFF].n_unique()) if CUTOFF in part.columns else 1,
        windows=windows,
    )
    return calibrators, thresholds
