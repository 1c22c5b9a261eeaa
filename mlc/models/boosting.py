"""The strong baseline: LightGBM on the model's history features.

One model is pooled over all labels. A row is an (example, label), the label a categorical feature. Features
come from `history`, as the network's do, in the same batches. So it knows all that counting knows of a label
and of the entity, and nothing of attributes, calendar and other columns: what the model gains must come from
there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from mlc.models.branches.history import (
    ENTITY_FEATURES,
    LABEL_FEATURES,
    HistoryInputs,
    entity_features,
    label_features,
)
from mlc.models.reading.batch import Batch
from mlc.models.reading.batches import EVALUATION_BATCH, BatchPlan, ExampleBatches
from mlc.run import RunFolder
from mlc.tables import UNKNOWN

FILE = "boosting.json"
MOST_ROWS = 3_000_000
"""Rows that are trained on at most: 0.4 GB of features. A third of it chooses leaves and trees."""
COLUMNS = len(LABEL_FEATURES) + len(ENTITY_FEATURES) + 1
_LEAVES = (15, 31)
_MOST_TREES = 1_000
_PATIENCE = 30
_PARAMETERS = {
    "objective": "binary",
    "metric": "binary_logloss",
    "learning_rate": 0.05,
    "feature_fraction": 0.5,
    "min_data_in_leaf": 100,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Boosting:
    """A fitted boosting baseline.

    Attributes:
        trees: LightGBM's text of the model.
        rounds: Number of trees.
        leaves: Leaves of a tree at most.
        examples: Training examples that were used, a random sample where they are not all.
        of_examples: Training examples there are.
    """

    trees: str
    rounds: int
    leaves: int
    examples: int
    of_examples: int
    file = FILE

    def described(self) -> str:
        """What a reader of the report should know.

        Examples:
            >>> Boosting("", 146, 31, 75_000, 123_456).described().partition("trained on ")[2]
            'a random 75,000 of 123,456 training examples'
        """
        which = "all" if self.examples == self.of_examples else f"a random {self.examples:,} of"
        return (
            "boosting: LightGBM pooled over labels on the history features, "
            f"{self.rounds} trees of {self.leaves} leaves, "
            f"trained on {which} {self.of_examples:,} training examples"
        )

    def notes(self) -> Sequence[str]:
        """See `Part`."""
        return [self.described()]

    def scores(self, batches: ExampleBatches) -> np.ndarray:
        """Return the probabilities of all examples, float32, shape (N, K)."""
        import lightgbm

        booster = lightgbm.Booster(model_str=self.trees)
        labels = batches.builder.inputs.labels
        scores_NK = np.zeros((len(batches), labels), dtype=np.float32)
        for batch in batches.in_order():
            scores_R = np.asarray(booster.predict(feature_rows(batch, labels)))
            scores_NK[batch.index_B.numpy()] = scores_R.reshape(-1, labels)
        return scores_NK

    def save(self, run: RunFolder) -> None:
        """Write it as JSON; no pickled code."""
        run.write_json(FILE, {"schema": "mlc/boosting/1", **asdict(self)})

    @classmethod
    def load(cls, run: RunFolder) -> "Boosting":
        """Load what `save` has written.

        Raises:
            RunError: The file is missing or damaged.
        """
        loaded: Boosting = run.read_json(FILE, cls._from_json)
        return loaded

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> "Boosting":
        return cls(**{key: value[key] for key in cls.__dataclass_fields__})


def feature_rows(batch: Batch, labels: int) -> np.ndarray:
    """Return what boosting sees of a batch.

    Args:
        batch: B examples.
        labels: Number of labels K.

    Returns:
        float32, shape (B * K, `COLUMNS`), rows by example, then label: history features of the label, those
        of the entity, the label's number; NaN where undefined.
    """
    history = batch.of(HistoryInputs)
    entity_BF = entity_features(history, labels)
    label_BKF = label_features(history, labels, entity_BF)
    number_BK1 = torch.arange(labels, dtype=torch.float32)[None, :, None].expand(len(batch), -1, -1)
    parts = [label_BKF, entity_BF[:, None].expand(-1, labels, -1), number_BK1]
    return torch.cat(parts, dim=2).flatten(0, 1).numpy()


def fit_boosting(
    batches: ExampleBatches,
    train: np.ndarray,
    validation: np.ndarray,
    seed: int,
    most_rows: int = MOST_ROWS,
) -> Boosting | None:
    """Train boosting; validation chooses leaves and trees by log-loss.

    Unknown targets are left out. Where there are too many rows, a random sample of whole examples is used,
    so that scores stay calibrated. The same seed gives the same model, with any number of threads.

    Args:
        batches: All examples, with targets.
        train: Positions of the training examples, int64.
        validation: Positions of the validation examples.
        seed: Fixes sample and trees.
        most_rows: (example, label) rows to train on at most.

    Returns:
        The trained model, or None where training has no known target.
    """
    import lightgbm

    sample = _sample(batches, train, most_rows, seed)
    x_RF, y_R = _rows(batches, sample)
    if not len(y_R):
        return None
    label = [COLUMNS - 1]
    fitted = lightgbm.Dataset(x_RF, y_R, categorical_feature=label, params=_PARAMETERS).construct()
    del x_RF  # LightGBM has its own copy, in bins
    x_RF, y_R = _rows(batches, _sample(batches, validation, most_rows // 3, seed))
    judge = None
    if len(y_R):
        judge = lightgbm.Dataset(x_RF, y_R, fitted, categorical_feature=label).construct()
    del x_RF

    best, best_loss = None, np.inf
    for leaves in _LEAVES if judge else _LEAVES[:1]:
        booster = lightgbm.train(
            {**_PARAMETERS, "num_leaves": leaves, "seed": seed},
            fitted,
            _MOST_TREES if judge else 100,
            valid_sets=[judge] if judge else None,
            callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)] if judge else None,
        )
        loss = booster.best_score["valid_0"]["binary_logloss"] if judge else 0.0
        if best is None or loss < best_loss:
            rounds = booster.best_iteration if judge else booster.current_iteration()
            text = booster.model_to_string(num_iteration=rounds)
            best, best_loss = Boosting(text, rounds, leaves, len(sample), len(train)), loss
    return best


def _sample(batches: ExampleBatches, positions: np.ndarray, most_rows: int, seed: int) -> np.ndarray:
    """Return the positions of examples with at most `most_rows` rows, in order."""
    most = max(1, most_rows // batches.builder.inputs.labels)
    if len(positions) <= most:
        return positions
    return np.sort(np.random.default_rng(seed).choice(positions, most, replace=False))


def _rows(batches: ExampleBatches, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of the rows with a known target.

    float32 (R, `COLUMNS`), uint8 (R).
    """
    assert batches.targets_NK is not None
    targets_NK = batches.targets_NK[positions]
    known_R = (targets_NK != UNKNOWN).ravel()
    x_RF = np.empty((int(known_R.sum()), COLUMNS), dtype=np.float32)
    done = start = 0
    for batch in batches.planned(BatchPlan(positions, EVALUATION_BATCH)):
        rows_RF = feature_rows(batch, batches.builder.inputs.labels)
        known_RF = rows_RF[known_R[start : start + len(rows_RF)]]
        x_RF[done : done + len(known_RF)] = known_RF
        done, start = done + len(known_RF), start + len(rows_RF)
    return x_RF, targets_NK.ravel()[known_R]
