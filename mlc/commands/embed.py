"""`mlc embed`: a vector of every entity with history, from a foundation model or a trained memory."""

from collections.abc import Callable
from datetime import datetime
from operator import itemgetter
from pathlib import Path

import polars as pl
import torch

from mlc.atomic import replacing
from mlc.errors import RunError
from mlc.events.preparing import Say
from mlc.events.task import EventTask
from mlc.models.batch import Batch
from mlc.models.batches import input_batches
from mlc.models.ensemble import members_of
from mlc.models.model import stored_network
from mlc.models.trained import scenario_as_trained, stored_foundation, stored_vocabulary
from mlc.run import RunFolder
from mlc.tables import array_column

VECTOR = "vector"


def embed(run: RunFolder, as_of: datetime | None, say: Say) -> pl.DataFrame:
    """Return a vector of every entity with history; of several networks, that of the first.

    Args:
        run: A finished run of `mlc pretrain`, or of `mlc train` with a memory.
        as_of: The cutoff; by default the last observed time.
        say: Receives progress in lines.

    Returns:
        `entity_id`, `cutoff`, `vector` (an array of floats), in the order of the store.

    Raises:
        RunError: The run has no memory.
        DataError: The tables no longer fit, do not reach the moment, or no entity has history at it.
    """
    vectors_of, most_events = _vectors_of(run)
    vocabulary = stored_vocabulary(run)
    runs = run.folder.parent
    scenario = scenario_as_trained(run, vocabulary, runs, say)
    keys, inputs = EventTask(scenario, runs, say).inputs_at(as_of)
    batches = input_batches(inputs, vocabulary, most_events)
    with torch.inference_mode():
        vectors = torch.cat([vectors_of(batch) for batch in batches.in_order()])
    return keys.with_columns(array_column(VECTOR, vectors.numpy()))


def _vectors_of(run: RunFolder) -> tuple[Callable[[Batch], torch.Tensor], int | None]:
    """From a batch to vectors, and how many events of each entity they may see."""
    if "foundation" in run.read_json("model.json"):
        return stored_foundation(run).model.eval().vectors, None
    network = members_of(stored_network(run)[0])[0]
    if network.memory is None:
        raise RunError(
            f"{run.folder} must be of mlc pretrain, or have a memory, however: it has none; "
            "train with model.memory: true or with a model.foundation"
        )
    return network.eval().vectors, run.scenario().model.most_events


def write_vectors(run: RunFolder, table: pl.DataFrame, path: Path) -> None:
    """Write Parquet, whole or not at all; its metadata name the run."""
    with replacing(path) as temporary:
        fingerprint = run.read_json("run.json", itemgetter("fingerprint"))
        table.write_parquet(temporary, metadata={"run": fingerprint})
