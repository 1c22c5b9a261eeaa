"""How large the store and the targets are, and roughly how long a training takes."""

import os
from dataclasses import dataclass

from mlc.examples import Examples
from mlc.ingest import EventStore
from mlc.scenario import Scenario
from mlc.tables import SPLIT

_CELLS_PER_SECOND_AND_CORE = 85_000
"""Measured: examples times labels of preset small in training, on 2 cores; configs/ of 12 to 30 labels."""
_CORES = 8  # more of them hardly help at this width


@dataclass(frozen=True)
class Sizes:
    """Estimates.

    Attributes:
        memory_mb: MiB of the events on disk, of targets and scores in memory.
        training_minutes: All epochs on this machine's CPU, roughly; None for presets that were not measured.
    """

    memory_mb: dict[str, float]
    training_minutes: float | None


def expected_sizes(scenario: Scenario, store: EventStore, examples: Examples) -> Sizes:
    """Size of the store and the matrices, and the rough time of a training without early stopping."""
    events = store.events
    stored = (
        events.time.nbytes + events.offsets.nbytes + sum(column.nbytes for column in events.columns.values())
    )
    cells = examples.table.height * len(examples.labels.names)
    bytes_of = {"events": stored, "targets": cells, "scores": 4 * cells}
    memory = {name: round(size / 2**20, 1) for name, size in bytes_of.items()}
    if scenario.model.preset != "small":
        return Sizes(memory, None)
    train = int((examples.table[SPLIT] == "train").sum()) * len(examples.labels.names)
    limit = scenario.train.limit_train_batches
    if isinstance(limit, int):
        train = min(train, limit * scenario.train.batch_size * len(examples.labels.names))
    elif limit is not None:
        train = int(train * limit)
    cores = min(os.cpu_count() or 1, _CORES)
    seconds = scenario.train.epochs * train / (_CELLS_PER_SECOND_AND_CORE * cores)
    return Sizes(memory, round(seconds / 60, 1))
