"""How much each part of a model counts: weights in log-odds."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from mlc.evaluation.calibration import entity_folds, fit_calibration, logits
from mlc.evaluation.held_out import PartScores, judged
from mlc.tables import SPLIT, UNKNOWN, entity_codes, targets_of
from mlc.task import Examples


def choose_weights(
    names: Sequence[str], held_out: pl.DataFrame, by_part: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Return the weights of parts that have the lowest log-loss.

    The log-odds of each part are first shifted label by label to fit, out of fold: a loss that makes one part
    too high by design says nothing about what it knows. The log-loss has one minimum, since it is convex in
    the weights.

    Args:
        names: The K labels.
        held_out: N examples that the parts had not learned from.
        by_part: Name of a part → its probabilities of them, shape (N, K).

    Returns:
        Name → weight, from 0 to 1; they sum to 1, and are equal where no target is known.
    """
    targets_NK = targets_of(held_out)
    known_NK = targets_NK != UNKNOWN
    parts = len(by_part)
    if parts == 1 or not known_NK.any():
        return dict.fromkeys(by_part, 1.0 / parts)
    folds_N = entity_folds(entity_codes(held_out))
    signs = np.where(targets_NK[known_NK] == 1, -1.0, 1.0)
    signed_PC = np.stack(
        [
            signs * logits(fit_calibration("bias", names, scores_NK, targets_NK, folds_N)[1])[known_NK]
            for scores_NK in by_part.values()
        ]
    )
    weights_P = _lowest(signed_PC).round(3)
    weights_P[-1] = 1.0 - weights_P[:-1].sum()
    return dict(zip(by_part, weights_P.tolist(), strict=True))


def _lowest(signed_PC: np.ndarray) -> np.ndarray:
    """Return the weights that make the mean of log(1 + exp(mix)) lowest, shape (P).

    Args:
        signed_PC: Log-odds of each part for each of C cells, against the target.
    """

    def log_loss(weights_P: np.ndarray) -> float:
        return float(np.logaddexp(0.0, weights_P @ signed_PC).mean())

    from scipy.optimize import minimize, minimize_scalar  # only training chooses weights
    from scipy.special import expit

    if len(signed_PC) == 2:
        ends = np.eye(2)
        minimum = minimize_scalar(
            lambda weight: log_loss(np.array([weight, 1.0 - weight])),
            bounds=(0.0, 1.0),
            method="bounded",
            options={"xatol": 1e-3},
        )
        between = np.array([minimum.x, 1.0 - minimum.x])
        return min((*ends[::-1], between), key=log_loss)
    start_P = np.full(len(signed_PC), 1.0 / len(signed_PC))
    found = minimize(
        log_loss,
        start_P,
        jac=lambda weights_P: (signed_PC * expit(weights_P @ signed_PC)).mean(axis=1),
        bounds=[(0.0, 1.0)] * len(start_P),
        constraints={"type": "eq", "fun": lambda weights_P: weights_P.sum() - 1.0},
        method="SLSQP",
        options={"ftol": 1e-9},
    )
    inside_P = np.clip(found.x, 0.0, 1.0)
    return min((*np.eye(len(start_P)), inside_P / inside_P.sum()), key=log_loss)


def mix_weights(
    examples: Examples, part_scores: PartScores, parts: Sequence[str], *, cautious: bool = False
) -> dict[str, float]:
    """Return the weight of each of some parts, chosen on what was held out.

    Args:
        examples: The examples.
        part_scores: The scores of the parts.
        parts: Those that may have a say.
        cautious: Leave out what does not help beyond doubt: parts without weight, and all but the best part
            where the mix is not better than it by two standard errors.
    """
    if len(parts) == 1:
        return {parts[0]: 1.0}
    held_out = examples.table.filter(judged(examples.table, part_scores.judging))
    all_scores = part_scores.only(examples.table[SPLIT]).by_part
    own = {name: all_scores[name] for name in parts}
    weights = choose_weights(examples.class_names, held_out, own)
    if not cautious:
        return weights
    weights = {name: weight for name, weight in weights.items() if weight > 0.0}
    targets_NK = targets_of(held_out)
    losses = {name: _losses(logits(scores_NK), targets_NK) for name, scores_NK in own.items()}
    best = min(losses, key=lambda name: float(losses[name].mean()))
    mixed_NK = np.sum([weight * logits(own[name]) for name, weight in weights.items()], axis=0)
    gains_N = losses[best] - _losses(mixed_NK, targets_NK)
    error = float(gains_N.std()) / np.sqrt(max(1, len(gains_N)))
    return weights if float(gains_N.mean()) > 2.0 * error else {best: 1.0}


def _losses(log_odds_NK: np.ndarray, targets_NK: np.ndarray) -> np.ndarray:
    """Return the log-loss of each example: the mean over its known targets."""
    known_NK = targets_NK != UNKNOWN
    each_NK = np.logaddexp(0.0, np.where(targets_NK == 1, -log_odds_NK, log_odds_NK))
    means_N: np.ndarray = (each_NK * known_NK).sum(axis=1) / np.maximum(known_NK.sum(axis=1), 1)
    return means_N
