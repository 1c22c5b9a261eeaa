"""The strong baseline of tables: LightGBM per label on what the trees read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.evaluation.calibration import SharedMaps
from mlc.models.reading.batches import ExampleBatches
from mlc.models.rows.cross_fitting import Folds, cross_fit
from mlc.models.rows.reading import RowBuilder
from mlc.run import RunFolder
from mlc.run.schemas import of_schema
from mlc.tables import UNKNOWN

FILE = "row_boosting.json"
_SCHEMA = "mlc/row_boosting/1"
_TREES = 120
_FEW_ROWS = 20_000
"""With fewer, threads wait for each other more than they work."""
_PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "feature_fraction": 0.5,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class RowBoosting:
    """A fitted baseline.

    Attributes:
        models: LightGBM's text of the model of each label; empty where all targets were the same.
        maps: From its log-odds to probabilities.
        rows: How many rows it was trained on.
    """

    models: Sequence[str]
    maps: SharedMaps
    rows: int
    file = FILE

    def scores(self, batches: ExampleBatches) -> np.ndarray:
        """See `Part`."""
        return self.maps.probabilities(_log_odds(self.models, RowBuilder.of(batches).dense))

    def notes(self) -> Sequence[str]:
        """See `Part`."""
        return [f"boosting: LightGBM, {_TREES} trees per label ({self.rows:,} rows)"]

    def save(self, run: RunFolder) -> None:
        """Write it as JSON; no pickled code."""
        maps = {"slope": self.maps.slope_K.tolist(), "bias": self.maps.bias_K.tolist()}
        run.write_json(FILE, {"schema": _SCHEMA, "models": list(self.models), "rows": self.rows, **maps})

    @classmethod
    def load(cls, run: RunFolder) -> "RowBoosting":
        """Load what `save` has written.

        Raises:
            RunError: The file is missing or damaged.
        """
        loaded: RowBoosting = run.read_json(FILE, cls._from_json)
        return loaded

    @classmethod
    def _from_json(cls, stored: dict[str, Any]) -> "RowBoosting":
        of_schema(stored, _SCHEMA)
        maps = SharedMaps(np.array(stored["slope"]), np.array(stored["bias"]))
        return cls(stored["models"], maps, stored["rows"])


def fit_row_boosting(builder: RowBuilder, folds: Folds, seed: int) -> tuple[RowBoosting, np.ndarray]:
    """Train the baseline.

    Args:
        builder: All rows, with targets.
        folds: The rows of training.
        seed: Fixes which columns a tree sees.

    Returns:
        It, and the probabilities of the judged rows by models that were trained without them.
    """
    targets_NK = builder.targets
    x_NF = builder.dense

    def fit(_: None, rows_M: np.ndarray) -> _Boosted:
        return _Boosted(x_NF, [_boosted(x_NF[rows_M], targets_M, seed) for targets_M in targets_NK[rows_M].T])

    found = cross_fit(fit, [None], targets_NK, folds)
    return RowBoosting(found.trained.models, found.maps, len(folds.rows_M)), found.scores_JK


@dataclass(frozen=True)
class _Boosted:
    """The models of all labels; see `Trained`."""

    x_NF: np.ndarray
    models: Sequence[str]

    def __call__(self, rows_M: np.ndarray) -> np.ndarray:
        return _log_odds(self.models, self.x_NF[rows_M])


def _boosted(x_MF: np.ndarray, targets_M: np.ndarray, seed: int) -> str:
    """Return LightGBM's text of the model of one label."""
    import lightgbm

    known_M = targets_M != UNKNOWN
    targets = targets_M[known_M]
    if not 0 < targets.sum() < len(targets):
        return ""
    data = lightgbm.Dataset(x_MF[known_M], targets, params={"verbosity": -1})
    threads = 1 if len(targets) < _FEW_ROWS else os.cpu_count()
    parameters = {**_PARAMETERS, "seed": seed, "num_threads": threads}
    return str(lightgbm.train(parameters, data, _TREES).model_to_string())


def _log_odds(models: Sequence[str], x_NF: np.ndarray) -> np.ndarray:
    import lightgbm

    columns = [
        lightgbm.Booster(model_str=text).predict(x_NF, raw_score=True) if text else np.zeros(len(x_NF))
        for text in models
    ]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
