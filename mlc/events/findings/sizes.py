"""How large the store and the targets are, and roughly how long a training takes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from mlc.events.examples import Examples
from mlc.events.findings.finding import Subject
from mlc.events.store import EventStore, memory_limit
from mlc.scenario import EventScenario
from mlc.tables import SPLIT
from mlc.task import Finding

_CELLS_PER_SECOND_AND_CORE = 85_000
"""Measured: examples times labels of preset small in training, 2 cores; configs/public/, 12 to 30 labels."""
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


def expected_sizes(scenario: EventScenario, store: EventStore, examples: Examples) -> Sizes:
    """Size of the store and the matrices, and the rough time of a training.

    The time is without early stopping.
    """
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


def memory_findings(scenario: EventScenario, sizes: Sizes) -> Iterator[Finding]:
    """Targets and scores that do not fit into the memory limit.

    The events stay on disk.
    """
    say = Subject(scenario, "memory")
    needed = sum(size for name, size in sizes.memory_mb.items() if name != "events") * 2**20
    limit = memory_limit(scenario)
    if needed > limit:
        field = "examples.train_cutoffs" if scenario.data.memory_limit is None else "data.memory_limit"
        message = f"targets and scores take about {needed / 1e9:.3g} GB, of a limit of {limit / 1e9:.3g} GB"
        advice = "take fewer examples.train_cutoffs or labels, or set examples.max_entities"
        yield say("warning", field, message, advice)
