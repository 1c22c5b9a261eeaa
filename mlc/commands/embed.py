"""`mlc embed`: a vector of every entity with history.

It comes from a foundation model or a trained memory.
"""

from datetime import datetime
from operator import itemgetter
from pathlib import Path

import polars as pl

from mlc.files.atomic import replacing
from mlc.models import tasks
from mlc.models.vectors import embedder_of
from mlc.progress import stage
from mlc.run import RunFolder
from mlc.tables import array_column
from mlc.task import Say

VECTOR = "vector"


def embed(run: RunFolder, as_of: datetime | None, say: Say) -> pl.DataFrame:
    """Return a vector of every entity with history.

    Of several networks, that of the first.

    Args:
        run: A finished run of `mlc pretrain`, or of `mlc train` with a memory.
        as_of: The cutoff; by default the last observed time.
        say: Receives progress in lines.

    Returns:
        `entity_id`, `cutoff`, `vector` (an array of floats), in the order of the store.

    Raises:
        RunError: The run has no memory.
        DataError: The tables no longer fit or do not reach the cutoff, or no entity can be scored there.
    """
    run.check_place()
    embedder = embedder_of(run)
    keys, inputs = tasks.trained_task(run, say).inputs_at(as_of)
    batches = tasks.reader_of(run).batches(inputs)
    stage("scoring")
    return keys.with_columns(array_column(VECTOR, embedder(batches)))


def write_vectors(run: RunFolder, table: pl.DataFrame, path: Path) -> None:
    """Write Parquet, whole or not at all; its metadata name the run."""
    with replacing(path) as temporary:
        fingerprint = run.read_json("run.json", itemgetter("fingerprint"))
        table.write_parquet(temporary, metadata={"run": fingerprint})
