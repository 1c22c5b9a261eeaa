"""The linear part: one linear model per label on one sparse matrix of all inputs."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from mlc.evaluation.calibration import SharedMaps
from mlc.files.atomic import replacing
from mlc.models.reading.batches import ExampleBatches
from mlc.models.rows.cross_fitting import SEEDS, Folds, cross_fit
from mlc.models.rows.features import (
    Features,
    Matrix,
    TableFeatures,
    TextFeatures,
    VectorFeatures,
    fit_features,
    matrix_of,
)
from mlc.models.rows.reading import RowBuilder
from mlc.run import RunFolder
from mlc.run.schemas import of_schema
from mlc.tables import UNKNOWN

FILE = "linear.safetensors"
_DESCRIBED = "linear.json"
_SCHEMA = "mlc/linear/1"
_STRENGTHS = (0.05, 0.15, 0.5)
"""How little the coefficients are held back (scikit-learn's C); the best is chosen on rows left out."""
_TOLERANCE = 0.1


@dataclass(frozen=True)
class Linear:
    """A fitted linear part.

    Attributes:
        features: What it reads of a row.
        weights_KM: Coefficient of each feature for each label, float32.
        bias_K: What is added, float32.
        maps: From its decisions to probabilities.
        strength: The chosen C.
        rows: How many rows it was trained on.
    """

    features: Sequence[Features]
    weights_KM: np.ndarray
    bias_K: np.ndarray
    maps: SharedMaps
    strength: float
    rows: int
    file = FILE

    def scores(self, batches: ExampleBatches) -> np.ndarray:
        """See `Part`."""
        raw_NK = matrix_of(self.features, RowBuilder.of(batches)) @ self.weights_KM.T + self.bias_K
        return self.maps.probabilities(raw_NK)

    def feature_names(self) -> list[str]:
        """Return what people call each feature.

        It is empty for hashes of rare words and of letters.
        """
        return [name for each in self.features for name in each.feature_names()]

    def notes(self) -> Sequence[str]:
        """See `Part`."""
        texts = any(isinstance(each, TextFeatures) for each in self.features)
        table = any(isinstance(each, TableFeatures) for each in self.features)
        vectors = any(isinstance(each, VectorFeatures) for each in self.features)
        read = ["words and letters"] * texts + ["categories and numbers"] * table
        read += ["vectors of encoders"] * vectors
        size = f"{self.weights_KM.shape[1]:,} features, C = {self.strength:g}, {self.rows:,} rows"
        return [f"linear: a support vector machine per label on {', '.join(read)} ({size})"]

    def save(self, run: RunFolder) -> None:
        """See `Part`: `linear.safetensors` has numbers, `linear.json` what they stand for."""
        arrays = {
            "weights_KM": self.weights_KM,
            "bias_K": self.bias_K,
            "slope_K": self.maps.slope_K,
            "map_bias_K": self.maps.bias_K,
        }
        described = []
        for place, each in enumerate(self.features):
            own, facts = _taken_apart(each)
            arrays |= {f"{place}.{name}": array for name, array in own.items()}
            described.append(facts)
        with replacing(run / FILE) as temporary:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
        run.write_json(
            _DESCRIBED,
            {"schema": _SCHEMA, "strength": self.strength, "rows": self.rows, "features": described},
        )

    @classmethod
    def load(cls, run: RunFolder) -> "Linear":
        """Load what `save` has written.

        Raises:
            RunError: A file is missing or damaged.
        """
        described: dict[str, Any] = run.read_json(_DESCRIBED, partial(of_schema, schema=_SCHEMA))
        with run.reading(FILE) as path:
            arrays = load_file(path)
            features = [
                _put_together(facts, _of_place(arrays, place))
                for place, facts in enumerate(described["features"])
            ]
            maps = SharedMaps(arrays["slope_K"], arrays["map_bias_K"])
            return cls(
                features,
                arrays["weights_KM"],
                arrays["bias_K"],
                maps,
                described["strength"],
                described["rows"],
            )


def fit_linear(builder: RowBuilder, folds: Folds, seed: int) -> tuple[Linear, np.ndarray]:
    """Train the linear part.

    Args:
        builder: All rows, with targets.
        folds: The rows of training.
        seed: Fixes the order in which rows are read.

    Returns:
        It, and the probabilities of the judged rows by parts that were trained without them.
    """
    targets_NK = builder.targets
    features = fit_features(builder, folds.rows_M)
    matrix = matrix_of(features, builder)

    def fit(strength: float, rows_M: np.ndarray) -> "_Machines":
        return _Machines(matrix, *_machines(matrix[rows_M], targets_NK[rows_M], strength, seed))

    found = cross_fit(fit, _STRENGTHS, targets_NK, folds)
    weights_KM, bias_K = found.trained.weights_KM, found.trained.bias_K
    part = Linear(features, weights_KM, bias_K, found.maps, found.way, len(folds.rows_M))
    return part, found.scores_JK


@dataclass(frozen=True)
class _Machines:
    """The machines of all labels; see `Trained`."""

    matrix: Matrix
    weights_KM: np.ndarray
    bias_K: np.ndarray

    def __call__(self, rows_M: np.ndarray) -> np.ndarray:
        decisions_MK: np.ndarray = self.matrix[rows_M] @ self.weights_KM.T + self.bias_K
        return decisions_MK.astype(np.float64)


def _machines(
    matrix: Matrix, targets_MK: np.ndarray, strength: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Train one support vector machine per label on the rows whose target is known."""
    from sklearn.svm import LinearSVC  # takes a second to load

    labels = targets_MK.shape[1]
    weights_KM = np.zeros((labels, matrix.shape[1]), np.float32)
    bias_K = np.full(labels, -1.0, np.float32)

    def train(label: int) -> None:
        known_M = targets_MK[:, label] != UNKNOWN
        rows = matrix if known_M.all() else matrix[known_M]
        targets = targets_MK[known_M, label]
        if not 0 < targets.sum() < len(targets):  # nothing to tell apart
            bias_K[label] = 1.0 if len(targets) and targets[0] else -1.0
            return
        machine = LinearSVC(C=strength, tol=_TOLERANCE, random_state=seed % SEEDS, max_iter=10_000)
        machine.fit(rows, targets)
        weights_KM[label], bias_K[label] = machine.coef_[0], machine.intercept_[0]

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the solver lets go of the interpreter
        list(pool.map(train, range(labels)))
    return weights_KM, bias_K


def _taken_apart(features: Features) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return arrays and JSON of some features."""
    match features:
        case TextFeatures():
            names = {str(place): name for place, name in features.names.items()}
            arrays = {"buckets_M": features.buckets_M, "weights_M": features.weights_M}
            return arrays, {"kind": features.kind, "column": features.column, "names": names}
        case TableFeatures():
            facts = {name: list(getattr(features, name)) for name in ("categories", "values", "numbers")}
            return {"knots_FH": features.knots_FH, "scales_M": features.scales_M}, {"kind": "table", **facts}
        case VectorFeatures():
            vectors = {"kind": "vectors", "column": features.column, "scale": features.scale}
            return {"mean_D": features.mean_D}, vectors


def _put_together(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Features:
    """Undo `_taken_apart`."""
    match facts["kind"]:
        case "table":
            own = (facts["categories"], facts["values"], facts["numbers"])
            return TableFeatures(*own, arrays["knots_FH"], arrays["scales_M"])
        case "vectors":
            return VectorFeatures(facts["column"], arrays["mean_D"], facts["scale"])
        case kind:
            names = {int(place): name for place, name in facts["names"].items()}
            return TextFeatures(facts["column"], kind, arrays["buckets_M"], arrays["weights_M"], names)


def _of_place(arrays: Mapping[str, np.ndarray], place: int) -> dict[str, np.ndarray]:
    prefix = f"{place}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
