"""`model.blend`: network and boosting as one model, averaged in logits."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from mlc.errors import DataError
from mlc.evaluation.calibration import entity_folds, fit_calibration, logits
from mlc.events.baselines import BOOSTING, blends
from mlc.models.part import NETWORK
from mlc.tables import UNKNOWN, entity_codes, in_split, targets_of
from mlc.task import Examples


def choose_weight(
    names: Sequence[str], validation: pl.DataFrame, network_NK: np.ndarray, boosted_NK: np.ndarray
) -> float:
    """Return the weight of the network with the lowest log-loss on validation.

    Each side's logits are first shifted label by label to fit, out of fold: a loss that makes one side too
    high by design says nothing about what it knows. The log-loss has one minimum, since it is convex in the
    weight.

    Args:
        names: The K labels.
        validation: The examples.
        network_NK: Probabilities of them, shape (N, K).
        boosted_NK: Those of boosting.

    Returns:
        From 0 to 1; one half where no target is known.
    """
    targets_NK = targets_of(validation)
    known_NK = targets_NK != UNKNOWN
    if not known_NK.any():
        return 0.5
    folds_N = entity_folds(entity_codes(validation))
    network, boosted = (
        logits(fit_calibration("bias", names, scores_NK, targets_NK, folds_N)[1])[known_NK]
        for scores_NK in (network_NK, boosted_NK)
    )
    signs = np.where(targets_NK[known_NK] == 1, -1.0, 1.0)

    def log_loss(weight: float) -> float:
        return float(np.logaddexp(0.0, signs * (weight * network + (1.0 - weight) * boosted)).mean())

    from scipy.optimize import minimize_scalar  # only training chooses a weight

    minimum = minimize_scalar(log_loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-3})
    return round(float(min((0.0, 1.0, float(minimum.x)), key=log_loss)), 3)


def mix_weights(
    examples: Examples, network_NK: np.ndarray, boosted_NK: np.ndarray | None
) -> dict[str, float]:
    """Return the weight of each part that has a say.

    Of the network alone, or of the network and boosting.

    Args:
        examples: The examples.
        network_NK: Scores of the network, of all examples, shape (N, K).
        boosted_NK: Those of boosting; None where it was not trained.

    Raises:
        DataError: The scenario wants a blend, and there is no boosting, for want of a known target.
    """
    if not blends(examples.scenario):
        return {NETWORK: 1.0}
    if boosted_NK is None:
        rule = "boosting needs a known target in training, and there is none. Set it to none."
        raise DataError(examples.scenario.problem("model.blend", rule))
    validation_N = in_split(examples.table, "validation")
    weight = choose_weight(
        examples.class_names,
        examples.table.filter(validation_N),
        network_NK[validation_N],
        boosted_NK[validation_N],
    )
    return {NETWORK: weight, BOOSTING: 1.0 - weight}
