"""Scores that mean what they say.

One monotone map per label, fitted on the validation examples. A map changes no order, so that AUROC and AP
stay, except where isotonic regression makes scores equal. The maps are stored as numbers with the model and
applied wherever scores are made.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from mlc.errors import DataError, RunError
from mlc.tables import UNKNOWN, check_scores_of_labels

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[Any]
Method = Literal["none", "bias", "platt", "isotonic"]

SCHEMA = "mlc/calibration/1"

_FOLDS = 5
_FEWEST: dict[Method, int] = {"bias": 10, "platt": 50, "isotonic": 1000}
"""A method enters the choice with at least this many positives, and this many negatives."""
_SMALLEST = 1e-7  # scores are kept so far from 0 and 1, where their logit is finite
_STEPS = 50
_OWN_STRENGTH = 0.3
"""How much the map of a label is held to that of all labels together, as inverse variance in log-odds."""


@dataclass(frozen=True)
class Calibrator:
    """The map of one label.

    Attributes:
        name: The label.
        method: `none`; `bias`: the logit plus `bias`; `platt`: the logit times `slope`, plus `bias`;
            `isotonic`: linear between the points `scores` and `shares`.
        slope: Positive.
        bias: In logits.
        scores: Increasing.
        shares: Not decreasing, one a score.
        log_loss_before: Of the validation examples as scored, in nats; None without one.
        log_loss_after: Of the same examples by maps that were fitted without their entity.
    """

    name: str
    method: Method
    slope: float = 1.0
    bias: float = 0.0
    scores: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    log_loss_before: float | None = None
    log_loss_after: float | None = None


def entity_folds(entities_N: Matrix, folds: int = _FOLDS, seed: int = 7) -> npt.NDArray[np.int64]:
    """A fold for each example; all examples of an entity are in the same one.

    Args:
        entities_N: The entity of each example, integers or text.
        folds: How many.
        seed: Fixes who is where.

    Examples:
        >>> folds = entity_folds(np.array(["a", "b", "a", "c"]))
        >>> bool(folds[0] == folds[2])
        True
    """
    entities, codes_N = np.unique(entities_N, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(entities))[codes_N] % folds


def fit_calibration(
    method: Method | Literal["auto"],
    class_names: Sequence[str],
    scores_NK: Matrix,
    targets_NK: Matrix,
    folds_N: Matrix,
) -> tuple[list[Calibrator], Matrix]:
    """Return one map per label, and the scores of maps fitted without their own fold.

    `auto` takes, of the methods that the number of positives allows, the one with the lowest log-loss out of
    fold; where none is lower than before, the scores stay as they are.

    Args:
        method: One for all labels, or `auto`.
        class_names: The K names, in column order.
        scores_NK: Probabilities in [0, 1] of the validation examples, shape (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        folds_N: Of `entity_folds`.

    Returns:
        One map per label; and the scores out of fold, float32, for whoever chooses thresholds on the same
        examples.

    Raises:
        DataError: Shapes differ, or a score is NaN or outside [0, 1].

    Examples:
        >>> generator = np.random.default_rng(0)
        >>> targets = (generator.random((4000, 1)) < 0.1).astype(np.uint8)
        >>> folds = entity_folds(np.arange(4000))
        >>> maps, _ = fit_calibration("bias", ["Dress"], np.full((4000, 1), 0.5), targets, folds)
        >>> bool(abs(calibrated(np.array([[0.5]]), maps)[0, 0] - targets.mean()) < 0.01)
        True
    """
    check_scores_of_labels(scores_NK, targets_NK, len(class_names))
    calibrators, outside_NK = [], scores_NK.astype(np.float32)
    for label, name in enumerate(class_names):
        known_N = targets_NK[:, label] != UNKNOWN
        chosen, outside_M = _fit_label(
            name, method, outside_NK[known_N, label], targets_NK[known_N, label], folds_N[known_N]
        )
        calibrators.append(chosen)
        outside_NK[known_N, label] = outside_M
        # Where the target is unknown the map of all others is out of fold.
        outside_NK[~known_N, label] = _apply(chosen, outside_NK[~known_N, label])
    return calibrators, outside_NK


def calibrated(scores_NK: Matrix, calibrators: Sequence[Calibrator]) -> Matrix:
    """The scores after the map of each label.

    Args:
        scores_NK: As the network gives them, in [0, 1], shape (N examples, K labels).
        calibrators: One per label, in column order.

    Returns:
        float32, same shape, in [0, 1].

    Raises:
        DataError: The number of maps is not K.

    Examples:
        >>> calibrated(np.array([[0.5]]), [Calibrator("Dress", "bias", bias=float(np.log(3)))]).tolist()
        [[0.75]]
    """
    if scores_NK.ndim != 2 or scores_NK.shape[1] != len(calibrators):
        raise DataError(f"scores of shape {scores_NK.shape} for {len(calibrators)} labels")
    mapped_NK = scores_NK.astype(np.float32)
    for label, calibrator in enumerate(calibrators):
        mapped_NK[:, label] = _apply(calibrator, mapped_NK[:, label])
    return mapped_NK


def calibration_to_json(calibrators: Sequence[Calibrator]) -> dict[str, Any]:
    """What `calibration.json` holds.

    Examples:
        >>> calibration_to_json([Calibrator("Dress", "none")])["labels"][0]["method"]
        'none'
    """
    return {"schema": SCHEMA, "labels": [asdict(calibrator) for calibrator in calibrators]}


def calibration_from_json(stored: dict[str, Any]) -> list[Calibrator]:
    """The maps of a `calibration.json`.

    Raises:
        RunError: It was written by another version, or changed by hand.

    Examples:
        >>> calibration_from_json(calibration_to_json([Calibrator("Dress", "bias", bias=0.25)]))[0].bias
        0.25
    """
    try:
        if stored["schema"] != SCHEMA:
            raise RunError(f"calibration.json has schema {stored['schema']!r}, not {SCHEMA}. Train again.")
        return [
            Calibrator(**{**label, "scores": tuple(label["scores"]), "shares": tuple(label["shares"])})
            for label in stored["labels"]
        ]
    except (KeyError, TypeError) as error:
        raise RunError(f"calibration.json is not as mlc wrote it: {error!r}. Train again.") from error


def _fit_label(
    name: str, method: Method | Literal["auto"], scores_M: Matrix, targets_M: Matrix, folds_M: Matrix
) -> tuple[Calibrator, Matrix]:
    """The map of one label, and its scores out of fold."""
    positives = int(np.sum(targets_M))
    fewest = min(positives, len(targets_M) - positives)
    before = _log_loss(scores_M, targets_M)
    best = Calibrator(name, "none", log_loss_before=before, log_loss_after=before), scores_M
    if method == "auto":
        methods = [candidate for candidate, needed in _FEWEST.items() if fewest >= needed]
    else:
        methods = [method] if method != "none" and fewest else []
    lowest = before if method == "auto" else None
    for candidate in methods:
        outside_M = np.empty_like(scores_M)
        for fold in np.unique(folds_M):
            inside_M = folds_M != fold
            fitted = _fit(name, candidate, scores_M[inside_M], targets_M[inside_M])
            outside_M[~inside_M] = _apply(fitted, scores_M[~inside_M])
        after = _log_loss(outside_M, targets_M)
        if lowest is None or (after is not None and after < lowest):
            lowest = after
            whole = _fit(name, candidate, scores_M, targets_M)
            best = replace(whole, log_loss_before=before, log_loss_after=after), outside_M
    return best


def _fit(name: str, method: Method, scores_M: Matrix, targets_M: Matrix) -> Calibrator:
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression  # takes a second to load

        edge = 0.5 / (
            len(scores_M) + 1
        )  # a share of 0 or 1 would promise what this many examples cannot show
        fitted = IsotonicRegression(y_min=edge, y_max=1 - edge).fit(scores_M.astype(np.float64), targets_M)
        points = fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist()
        return Calibrator(name, method, scores=tuple(points[0]), shares=tuple(points[1]))
    slope, bias = _logistic(logits(scores_M), targets_M, with_slope=method == "platt")
    return Calibrator(name, method, slope=slope, bias=bias)


@dataclass(frozen=True)
class SharedMaps:
    """Maps from decisions of any scale to log-odds.

    One for all labels, and its change for each.

    Attributes:
        slope_K: Of each label, float64, positive.
        bias_K: Of each label, float64.
    """

    slope_K: Floats
    bias_K: Floats

    @classmethod
    def fit(cls, decisions_MK: Matrix, targets_MK: Matrix) -> "SharedMaps":
        """Fit the maps.

        Labels with few positives stay near the map of all labels together: maps of their own alone would make
        the scores of such labels worse when parts are mixed.

        Args:
            decisions_MK: Any finite numbers that rise with the log-odds.
            targets_MK: 0, 1 or 255 (unknown, left out), uint8, same shape.

        Examples:
            >>> generator = np.random.default_rng(0)
            >>> log_odds = generator.normal(size=(5000, 2))
            >>> targets = (generator.random((5000, 2)) < expit(log_odds)).astype(np.uint8)
            >>> maps = SharedMaps.fit(log_odds / 10, targets)
            >>> bool(np.allclose(maps.slope_K, 10, atol=1))
            True
        """
        known_MK = targets_MK != UNKNOWN
        labels = decisions_MK.shape[1]
        if not known_MK.any():
            return cls(np.ones(labels), np.zeros(labels))
        scale = float(decisions_MK[known_MK].std()) or 1.0
        together = decisions_MK[known_MK] / scale
        slope, bias = _logistic(together, targets_MK[known_MK], with_slope=True, strength=1e-3)
        own_2K = np.zeros((2, labels))
        for label in range(labels):
            known_M = known_MK[:, label]
            shared_M = slope / scale * decisions_MK[known_M, label] + bias
            targets_M = targets_MK[known_M, label]
            own_2K[:, label] = _logistic(shared_M, targets_M, with_slope=True, strength=_OWN_STRENGTH)
        return cls(own_2K[0] * slope / scale, own_2K[0] * bias + own_2K[1])

    def probabilities(self, decisions_NK: Matrix) -> Matrix:
        """Return the probabilities that decisions stand for, float32, same shape."""
        return np.asarray(expit(self.slope_K * decisions_NK + self.bias_K), np.float32)


def _logistic(
    logits_M: Floats, targets_M: Matrix, *, with_slope: bool, strength: float = 1.0
) -> tuple[float, float]:
    """Slope and bias of highest posterior density, by Newton's method.

    A priori both are normal with variance 1 / strength around no change, so that a few positives change
    little and separated ones do not end in infinity.

    Source: Platt (1999), Probabilistic outputs for support vector machines; on logits and with a prior.
    """
    inputs_M2 = np.stack([logits_M, np.ones_like(logits_M)], axis=1)
    start_2 = np.array([1.0, 0.0])
    free = [0, 1] if with_slope else [1]
    weights_2 = start_2.copy()
    for _ in range(_STEPS):
        shares_M = expit(inputs_M2 @ weights_2)
        slopes_2 = inputs_M2.T @ (shares_M - targets_M) + strength * (weights_2 - start_2)
        curvature_22 = (inputs_M2 * (shares_M * (1.0 - shares_M))[:, None]).T @ inputs_M2 + strength * np.eye(
            2
        )
        step = np.linalg.solve(curvature_22[np.ix_(free, free)], slopes_2[free])
        weights_2[free] -= np.clip(step, -2.0, 2.0)
        if np.max(np.abs(step)) < 1e-9:
            break
    slope, bias = weights_2.tolist()
    return max(slope, 1e-3), bias  # never against the order of the scores


def _apply(calibrator: Calibrator, scores_N: Matrix) -> Matrix:
    if calibrator.method == "none":
        return scores_N
    if calibrator.method == "isotonic":
        return np.interp(scores_N, calibrator.scores, calibrator.shares).astype(np.float32)
    mapped_N = expit(calibrator.slope * logits(scores_N) + calibrator.bias)
    return np.asarray(mapped_N, np.float32)


def logits(scores_N: Matrix) -> Floats:
    """The log-odds of scores, kept finite.

    Examples:
        >>> logits(np.array([0.5])).tolist()
        [0.0]
    """
    inside_N: Floats = logit(np.clip(scores_N.astype(np.float64), _SMALLEST, 1.0 - _SMALLEST))
    return inside_N


def _log_loss(scores_M: Matrix, targets_M: Matrix) -> float | None:
    if not len(scores_M):
        return None
    inside_M = np.clip(scores_M.astype(np.float64), _SMALLEST, 1.0 - _SMALLEST)
    return float(-np.mean(np.log(np.where(targets_M == 1, inside_M, 1.0 - inside_M))))
