"""What scores and targets must be before they are judged, and the loss of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.errors import DataError
from mlc.tables import UNKNOWN, check_probabilities

Matrix = npt.NDArray[Any]

_SMALLEST = float(np.finfo(np.float32).eps)  # the log-loss keeps scores so far from 0 and 1: it stays finite


def check_scores(values_NK: Matrix, targets_NK: Matrix, names: Sequence[object] | None = None) -> None:
    """Refuse unequal shapes, values outside [0, 1], or too few or many names."""
    if values_NK.ndim != 2 or values_NK.shape != targets_NK.shape:
        raise DataError(
            "scores and targets must have one shape (examples, labels), not "
            f"{values_NK.shape} and {targets_NK.shape}"
        )
    labels = targets_NK.shape[1]
    if names is not None and len(names) != labels:
        raise DataError(f"{len(names)} class names for {labels} labels")
    check_probabilities(values_NK)
    if not bool(np.all((targets_NK <= 1) | (targets_NK == UNKNOWN))):
        raise DataError(f"some targets are neither 0 nor 1 nor {UNKNOWN} (unknown)")


def losses(scores_M: Matrix, targets_M: Matrix) -> npt.NDArray[np.float64]:
    """The negative log-likelihood of each known target, in nats."""
    inside_M = np.clip(scores_M.astype(np.float64), _SMALLEST, 1.0 - _SMALLEST)
    return np.asarray(-np.log(np.where(targets_M == 1, inside_M, 1.0 - inside_M)))
