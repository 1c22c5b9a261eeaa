"""A part: one scorer inside a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

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
from mlc.models.reading.batches import ExampleBatches
from mlc.run import RunFolder

NETWORK = "network"


class Part(Protocol):
    """Turns examples into scores; a model mixes those of its parts.

    Attributes:
        file: Name of the file in a run that has what it learned.
    """

    @property
    def file(self) -> str:
        """See Attributes."""

    def scores(self, batches: ExampleBatches) -> np.ndarray:
        """Return uncalibrated probabilities, float32, shape (N, K), in order."""

    def save(self, run: RunFolder) -> None:
        """Write it into a run; no pickled code."""

    def notes(self) -> Sequence[str]:
        """Return what a reader of the report should know of it."""


@dataclass(frozen=True)
class NetworkPart:
    """A network, or several that were trained side by side, as one part.

    Attributes:
        network: On any device.
        class_names: The K labels, in the order of its outputs.
    """

    network: AnyNetwork
    class_names: Sequence[str]
    file = WEIGHTS

    @classmethod
    def load(cls, run: RunFolder, *, refit: bool = False) -> "NetworkPart":
        """Load the network of a run.

        Args:
            run: A finished run.
            refit: With the weights that were trained once more on all examples.

        Raises:
            RunError: A file is missing or damaged.
        """
        weights = REFIT if refit else WEIGHTS
        run.read_json("model.json", described_network)  # a fault in it is reported under its own name
        with run.reading(weights):
            return cls(*load_network(run.folder, weights))

    def scores(self, batches: ExampleBatches) -> np.ndarray:
        """See `Part`."""
        return score_batches(self.network, batches.in_order())[1]

    def save(self, run: RunFolder) -> None:
        """See `Part`."""
        save_network(self.network, self.class_names, run.folder)

    def notes(self) -> Sequence[str]:
        """See `Part`."""
        return hedge_notes(self.network)
