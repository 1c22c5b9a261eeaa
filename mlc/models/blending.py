"""`model.blend`: the network and boosting as one model, their scores averaged in logits."""

from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import polars as pl
from scipy.optimize import minimize_scalar
from scipy.special import expit

from mlc.errors import DataError
from mlc.evaluation.calibration import entity_folds, fit_calibration, logits
from mlc.events.baselines import blends
from mlc.events.preparing import Prepared
from mlc.run import Run
from mlc.tables import ENTITY_ID, SCORES, SPLIT, UNKNOWN, array_column, scores_of, targets_of

_FILE = "blend.json"


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

    found = minimize_scalar(log_loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-3})
    return round(float(min((0.0, 1.0, float(found.x)), key=log_loss)), 3)


def fitted_blend(
    run: Run, prepared: Prepared, raw: pl.DataFrame, boosted_NK: np.ndarray | None
) -> float | None:
    """Choose the weight where the scenario wants a blend, and keep it in the run folder.

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
    weight = choose_weight(
        prepared.examples.labels.names,
        table.filter(validation),
        scores_of(raw)[validation],
        boosted_NK[validation],
    )
    run.write_json(_FILE, {"schema": "mlc/blend/1", "network": weight})
    return weight


def stored_blend(run: Run) -> float | None:
    """The weight of the network in a run; None where it is no blend."""
    if not blends(run.scenario()):
        return None
    return float(run.read_json(_FILE, itemgetter("network")))


def with_blend(raw: pl.DataFrame, boosted_NK: np.ndarray | None, weight: float | None) -> pl.DataFrame:
    """Predictions of the network as those of the blend; as they are where `weight` is None."""
    if weight is None:
        return raw
    assert boosted_NK is not None
    return raw.with_columns(array_column(SCORES, blended(scores_of(raw), boosted_NK, weight)))


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
