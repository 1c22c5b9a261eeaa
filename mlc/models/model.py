"""A model: its parts and the weight of each, calibration, thresholds.

From inputs to scores and decisions.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from mlc.errors import DataError
from mlc.evaluation.calibration import Calibrator, calibrated, calibration_to_json, logits
from mlc.evaluation.thresholds import Threshold, decide, thresholds_to_json
from mlc.events.baselines import BOOSTING, INSTALL, boosting_installed
from mlc.models import tasks
from mlc.models.decisions import stored_calibration, stored_thresholds
from mlc.models.part import NETWORK, Part
from mlc.models.reading.batches import ExampleBatches
from mlc.models.tasks import Reader
from mlc.run import RunFolder, fingerprint_of
from mlc.run.schemas import of_schema

_PARTS_FILE = "parts.json"
_SCHEMA = "mlc/parts/1"


@dataclass(frozen=True)
class Model:
    """Everything that turns the inputs of a task into scores and decisions.

    Attributes:
        class_names: The K labels.
        parts: Name → part.
        weights: Name → weight of the part in the mean of the log-odds; they sum to 1. A part without a weight
            is a baseline: it is stored with the model, and has no say in its scores.
        reader: Makes of inputs what the parts read.
        calibrators: Maps from raw scores to probabilities, one per label; none before they are fitted.
        thresholds: Where a score becomes a yes, one per label; none before they are chosen.
    """

    class_names: Sequence[str]
    parts: Mapping[str, Part]
    weights: Mapping[str, float]
    reader: Reader[Any]
    calibrators: Sequence[Calibrator] = ()
    thresholds: Sequence[Threshold] = ()

    @classmethod
    def load(cls, run: RunFolder, *, refit: bool = False) -> "Model":
        """Load the model of a finished run.

        Args:
            run: A run of `mlc train`.
            refit: With the weights that were trained once more on all examples.

        Raises:
            RunError: A file is missing or damaged, or the run is a foundation model.
            DataError: A part of the model needs a package that is not installed.
        """
        thresholds, calibrators = stored_thresholds(run), stored_calibration(run)
        described: dict[str, float | None] = run.read_json(_PARTS_FILE, _described_parts)
        parts: dict[str, Part] = {}
        for name, weight in described.items():
            if name != BOOSTING or boosting_installed():
                with run.reading(_PARTS_FILE):  # that has a name which is unknown
                    parts[name] = tasks.part_of(run, name, refit=refit)
            elif weight is not None:
                raise DataError(f"the model mixes in boosting, and LightGBM is not installed. {INSTALL}")
        weights = {name: weight for name, weight in described.items() if weight is not None}
        names = [threshold.name for threshold in thresholds]
        return cls(names, parts, weights, tasks.reader_of(run), calibrators, thresholds)

    def save_parts(self, run: RunFolder) -> None:
        """Write the parts and their weights: no pickled code, labels by name."""
        for part in self.parts.values():
            part.save(run)
        weights = {name: self.weights.get(name) for name in self.parts}
        run.write_json(_PARTS_FILE, {"schema": _SCHEMA, "weights": weights})

    def save_decisions(self, run: RunFolder) -> None:
        """Write calibration and thresholds."""
        run.write_json("calibration.json", calibration_to_json(self.calibrators))
        run.write_json("thresholds.json", thresholds_to_json(self.thresholds))

    def batches(self, inputs: Any) -> ExampleBatches:
        """Return what the parts read of the inputs of a task."""
        return self.reader.batches(inputs)

    def part_scores(self, batches: ExampleBatches, *, baselines: bool = False) -> dict[str, np.ndarray]:
        """Return the raw scores of each part, float32, shape (N examples, K labels).

        Args:
            batches: The examples.
            baselines: Also those of the parts that have no say.
        """
        return {
            name: part.scores(batches)
            for name, part in self.parts.items()
            if baselines or name in self.weights
        }

    def mixed(self, part_scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the raw scores of the model, given those of its parts; same shape."""
        return mix(part_scores, self.weights)

    def score(self, batches: ExampleBatches) -> np.ndarray:
        """Return calibrated probabilities, float32, shape (N, K), in order."""
        return calibrated(self.mixed(self.part_scores(batches)), self.calibrators)

    def decide(self, scores_NK: np.ndarray, thresholds: Sequence[Threshold] | None = None) -> np.ndarray:
        """Return decisions, bool, same shape.

        By other thresholds than the model's own where given.
        """
        return decide(scores_NK, self.thresholds if thresholds is None else thresholds).astype(bool)

    def fingerprint(self, run: RunFolder) -> str:
        """Return twelve hexadecimal digits of what the parts that have a say learned.

        Args:
            run: Where they were saved.
        """
        fingerprints = [fingerprint_of(run / self.parts[name].file) for name in sorted(self.weights)]
        if len(fingerprints) == 1:
            return fingerprints[0]
        return hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()[:12]

    @property
    def baselines(self) -> list[str]:
        """The parts that a report compares the model with.

        All but the network, and but one that is all of the model.
        """
        return [name for name in self.parts if name != NETWORK and list(self.weights) != [name]]

    @property
    def notes(self) -> list[str]:
        """What a reader of the report should know of the model.

        What it is, and how its parts are mixed. Baselines have notes of their own.
        """
        notes = [
            note for name, part in self.parts.items() if name not in self.baselines for note in part.notes()
        ]
        if len(self.weights) > 1:
            shares = [
                f"{weight:.3f} of {'the ' * (name == NETWORK)}{name}" for name, weight in self.weights.items()
            ]
            notes.append(f"the model is a blend: in logits {', '.join(shares)}, chosen on validation")
        return notes


def mix(part_scores: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Return the weighted mean of the parts in log-odds.

    The scores of a single part as they are.

    Args:
        part_scores: Name → probabilities, shape (N examples, K labels).
        weights: Name → weight; they sum to 1.

    Returns:
        float32, same shape.

    Examples:
        >>> part_scores = {"network": np.array([[0.2]]), "boosting": np.array([[0.8]])}
        >>> mix(part_scores, {"network": 0.5, "boosting": 0.5})
        array([[0.5]], dtype=float32)
    """
    if len(weights) == 1:
        (only,) = weights
        return part_scores[only]
    log_odds_NK = sum(weight * logits(part_scores[name]) for name, weight in weights.items())
    return np.asarray(expit(log_odds_NK), np.float32)


def _described_parts(value: dict[str, Any]) -> dict[str, float | None]:
    """Return the weight of each part of `parts.json`, None for a baseline.

    Raises:
        ValueError: Another version wrote it, or no part has a weight.
    """
    of_schema(value, _SCHEMA)
    given = dict(value["weights"])
    weights = {name: None if weight is None else float(weight) for name, weight in given.items()}
    if all(weight is None for weight in weights.values()):
        raise ValueError(f"no part has a weight, of {', '.join(weights) or 'none'}")
    return weights
