"""Vectors that stand for entities, from a foundation or a trained memory."""

from collections.abc import Callable

import numpy as np
import torch

from mlc.errors import RunError
from mlc.models.ensemble import members_of
from mlc.models.part import NetworkPart
from mlc.models.reading.batch import Batch
from mlc.models.reading.batches import ExampleBatches
from mlc.models.starts import stored_foundation
from mlc.run import RunFolder
from mlc.scenario import RowScenario


def embedder_of(run: RunFolder) -> Callable[[ExampleBatches], np.ndarray]:
    """Return what makes the vectors of examples.

    They are float32, of shape (N examples, width), in the order of the examples.

    Of several networks, it is that of the first.

    Args:
        run: A finished run of `mlc pretrain`, or of `mlc train` with a memory.

    Raises:
        RunError: The run has no memory, or a file is missing or damaged.
    """
    vectors_of = _vectors_of(run)

    @torch.inference_mode()
    def embedded(batches: ExampleBatches) -> np.ndarray:
        return torch.cat([vectors_of(batch) for batch in batches.in_order()]).numpy()

    return embedded


def _vectors_of(run: RunFolder) -> Callable[[Batch], torch.Tensor]:
    """Return what makes vectors of a batch."""
    if run.kind == "foundation":
        return stored_foundation(run).model.eval().vectors
    if isinstance(run.scenario(), RowScenario):
        raise RunError(f"{run.folder}: a model of rows, which has no entities. Name a run on events.")
    network = members_of(NetworkPart.load(run).network)[0]
    if network.embedding is None:
        raise RunError(
            f"{run.folder}: no memory, which the vectors come from. Train with model.memory: true or with a "
            "model.foundation, or name a run of mlc pretrain."
        )
    return network.embedding.eval().vectors
