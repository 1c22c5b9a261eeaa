"""`model.blend`: the network and boosting as one model, their scores averaged in logits."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import expit

from mlc.errors import DataError
from mlc.evaluation.calibration import entity_folds, fit_calibration, logits
from mlc.events.baselines import blends
from mlc.events.preparing import Prepared
from mlc.tables import ENTITY_ID, SPLIT, UNKNOWN, targets_of


def blended(network_NK: np.ndarray, boosted_NK: np.ndarray, weight: float) -> np.ndarray:
    """The weighted mean of two scores in logits.

    Args:
        network_NK: Probabilities, shape (N examples, K labels).
        boosted_NK: Others, same shape.
        weight: Of the first, from 0 to 1.

    Returns:
        float32, same shape.

    Examples:
        >>> blended(np.array([[0.2]]), np.array([[0.8]]), 0.5).tolist()
        [[0.5]]
    """
    mixed_NK = weight * logits(network_NK) + (1.0 - weight) * logits(boosted_NK)
    return np.asarray(expit(mixed_NK), np.float32)


def choose_weight(
    names: Sequence[str], validation: pl.DataFrame, network_NK: np.ndarray, boosted_NK: np.ndarray
) -> float:
    """The weight of the network that has the lowest log-loss on the validation examples.

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
    folds_N = entity_folds(validation[ENTITY_ID].rank("dense").to_numpy())
    network, boosted = (
        logits(fit_calibration("bias", names, scores_NK, targets_NK, folds_N)[1])[known_NK]
        for scores_NK in (network_NK, boosted_NK)
    )
    signs = np.where(targets_NK[known_NK] == 1, -1.0, 1.0)

    def log_loss(weight: float) -> float:
        return float(np.logaddexp(0.0, signs * (weight * network + (1.0 - weight) * boosted)).mean())

    from scipy.optimize import minimize_scalar  # only training chooses a weight

    found = minimize_scalar(log_loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-3})
    return round(float(min((0.0, 1.0, float(found.x)), key=log_loss)), 3)


def fitted_blend(prepared: Prepared, network_NK: np.ndarray, boosted_NK: np.ndarray | None) -> float | None:
    """The weight of the network where the scenario wants a blend; None where it wants none.

    Args:
        prepared: The examples.
        network_NK: Scores of the network, of all examples, shape (N, K).
        boosted_NK: Those of boosting.

    Raises:
        DataError: There is no boosting, for want of a known target in training.
    """
    if not blends(prepared.scenario):
        return None
    if boosted_NK is None:
        rule = "boosting needs a known target in training, however: there is none; set it to none"
        raise DataError(prepared.scenario.problem("model.blend", rule))
    table = prepared.examples.table
    validation = (table[SPLIT] == "validation").to_numpy()
    names = prepared.examples.labels.names
    return choose_weight(names, table.filter(validation), network_NK[validation], boosted_NK[validation])


def blend_notes(weight: float | None) -> list[str]:
    """What a reader of the report should know; nothing where the model is no blend.

    Examples:
        >>> blend_notes(0.62)
        ['the model is a blend: in logits 0.620 of the network, 0.380 of boosting, chosen on validation']
    """
    if weight is None:
        return []
    shares = f"{weight:.3f} of the network, {1.0 - weight:.3f} of boosting"
    return [f"the model is a blend: in logits {shares}, chosen on validation"]
