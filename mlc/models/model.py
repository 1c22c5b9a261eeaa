"""A model: its parts and the weight of each, calibration, thresholds; from inputs to scores and decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from mlc.evaluation.calibration import Calibrator, calibrated, calibration_to_json
from mlc.evaluation.thresholds import Threshold, decide, thresholds_to_json
from mlc.events.baselines import BOOSTING, blends, boosting_installed
from mlc.events.task import Inputs
from mlc.events.vocabulary import Vocabulary
from mlc.models.batches import ExampleBatches, input_batches
from mlc.models.blending import blend_notes, blended
from mlc.models.boosting import Boosting, boosting_scores
from mlc.models.decisions import stored_calibration, stored_thresholds
from mlc.models.ensemble import (
    REFIT,
    WEIGHTS,
    AnyNetwork,
    described_network,
    hedge_notes,
    load_network,
    save_network,
    score_batches,
)
from mlc.models.trained import stored_vocabulary
from mlc.run import RunFolder

NETWORK = "network"
_BOOSTING_FILE = "boosting.json"
_MIX_FILE = "blend.json"

Part = AnyNetwork | Boosting
"""One scorer inside a model."""


@dataclass(frozen=True)
class Model:
    """Everything that turns the inputs of a task into scores and decisions.

    Attributes:
        class_names: The K labels.
        parts: Name → part.
        weights: Name → weight of the part in the mean of the log-odds; they sum to 1. A part without a weight
            is a baseline: it is stored with the model, and has no say in its scores.
        vocabulary: Which columns and values the parts know.
        calibrators: Maps from raw scores to probabilities, one per label; none before they are fitted.
        thresholds: Where a score becomes a yes, one per label; none before they are chosen.
        most_events: How many of the newest events of an example the network sees; None for all.
    """

    class_names: Sequence[str]
    parts: Mapping[str, Part]
    weights: Mapping[str, float]
    vocabulary: Vocabulary
    calibrators: Sequence[Calibrator] = ()
    thresholds: Sequence[Threshold] = ()
    most_events: int | None = None

    @classmethod
    def load(cls, run: RunFolder, *, refit: bool = False) -> "Model":
        """The model of a finished run.

        Args:
            run: A run of `mlc train`.
            refit: With the weights that were trained once more on all examples.

        Raises:
            RunError: A file is missing or damaged, or the run is a foundation model.
        """
        thresholds, calibrators = stored_thresholds(run), stored_calibration(run)
        scenario = run.scenario()
        network, names = stored_network(run, REFIT if refit else WEIGHTS)
        parts: dict[str, Part] = {NETWORK: network}
        blend = blends(scenario)
        # LightGBM may be missing where a model is used; only a blend cannot do without it.
        if boosting_installed() and (blend or (run / _BOOSTING_FILE).exists()):
            parts[BOOSTING] = run.read_json(_BOOSTING_FILE, Boosting.from_json)
        weight = float(run.read_json(_MIX_FILE, itemgetter(NETWORK))) if blend else None
        return cls(
            names,
            parts,
            mix_weights(weight),
            stored_vocabulary(run),
            calibrators,
            thresholds,
            scenario.model.most_events,
        )

    def save_parts(self, run: RunFolder) -> None:
        """Write the parts and their weights: no pickled code, labels by name."""
        for part in self.parts.values():
            if isinstance(part, Boosting):
                part.save(run / _BOOSTING_FILE)
            else:
                save_network(part, self.class_names, run.folder)
        if len(self.weights) > 1:
            run.write_json(_MIX_FILE, {"schema": "mlc/blend/1", NETWORK: self.weights[NETWORK]})

    def save_decisions(self, run: RunFolder) -> None:
        """Write calibration and thresholds."""
        run.write_json("calibration.json", calibration_to_json(self.calibrators))
        run.write_json("thresholds.json", thresholds_to_json(self.thresholds))

    def batches(self, inputs: Inputs) -> ExampleBatches:
        """What the parts read: the batches of some inputs."""
        return input_batches(inputs, self.vocabulary, self.most_events)

    def part_scores(self, batches: ExampleBatches, *, baselines: bool = False) -> dict[str, np.ndarray]:
        """The raw scores of each part, float32, shape (N examples, K labels).

        Args:
            batches: The examples.
            baselines: Also those of the parts that have no say.
        """
        return {
            name: _scores(part, batches)
            for name, part in self.parts.items()
            if baselines or name in self.weights
        }

    def mixed(self, part_scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """The raw scores of the model, given those of its parts; same shape."""
        return mix(part_scores, self.weights)

    def score(self, batches: ExampleBatches) -> np.ndarray:
        """Calibrated probabilities, float32, shape (N examples, K labels), in the order of the examples."""
        return calibrated(self.mixed(self.part_scores(batches)), self.calibrators)

    def decide(self, scores_NK: np.ndarray, thresholds: Sequence[Threshold] | None = None) -> np.ndarray:
        """Decisions, bool, same shape; by other thresholds than the model's own where they are given."""
        return decide(scores_NK, self.thresholds if thresholds is None else thresholds).astype(bool)

    @property
    def notes(self) -> list[str]:
        """What a reader of the report should know of the model."""
        network = self.parts[NETWORK]
        assert not isinstance(network, Boosting)
        return [*hedge_notes(network), *blend_notes(self.weights[NETWORK] if len(self.weights) > 1 else None)]


def mix_weights(network: float | None) -> dict[str, float]:
    """The weight of each part, given that of the network in a blend; None where there is no blend."""
    return {NETWORK: 1.0} if network is None else {NETWORK: network, BOOSTING: 1.0 - network}


def mix(part_scores: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean of the parts in log-odds; the scores of a single part as they are.

    Examples:
        >>> mix({"network": np.array([[0.2]]), "boosting": np.array([[0.8]])}, mix_weights(0.5))
        array([[0.5]], dtype=float32)
    """
    if len(weights) == 1:
        return part_scores[NETWORK]
    return blended(part_scores[NETWORK], part_scores[BOOSTING], weights[NETWORK])


def _scores(part: Part, batches: ExampleBatches) -> np.ndarray:
    """The uncalibrated probabilities of one part, float32, shape (N, K), in the order of the examples."""
    if isinstance(part, Boosting):
        return boosting_scores(part, batches)
    return score_batches(part, batches.in_order())[1]


def stored_network(run: RunFolder, weights: str = WEIGHTS) -> tuple[AnyNetwork, list[str]]:
    """The network of a run with its weights, of the file of that name, and its class names.

    Raises:
        RunError: A file is missing or damaged.
    """
    run.read_json("model.json", described_network)  # a fault in it is reported under its own name
    with run.reading(weights):
        return load_network(run.folder, weights)
