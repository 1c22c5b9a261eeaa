"""The event task: what an example is, and where its inputs and targets come from.

An example is an entity at a cutoff. Its inputs are the events up to the cutoff and the entity's attributes;
its targets are what happens in the window after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from mlc.events.as_of import cutoff_at, entities_at, rows_at
from mlc.events.labels import LABEL, label_line, resolve_labels, value_counts
from mlc.events.popularity import Popularity
from mlc.events.preparing import Prepared, Say, label_popularity, prepare
from mlc.events.store import EventStore, open_store
from mlc.events.timeline import Timeline
from mlc.scenario import Scenario
from mlc.sources import reading
from mlc.tables import microseconds, targets_of


@dataclass(frozen=True)
class Inputs:
    """What a model reads of N examples.

    Attributes:
        store: Events and attributes.
        label_line: Label events by entity.
        labels: Number of labels K.
        rows_N: Entity row of each example, int64.
        cutoffs_N: Cutoff of each in microseconds, int64.
        targets_NK: 0, 1 or 255 (unknown), uint8; None where the future is not known.
        popularity: Of the labels; None where the model does not look at it.
    """

    store: EventStore
    label_line: Timeline
    labels: int
    rows_N: np.ndarray
    cutoffs_N: np.ndarray
    targets_NK: np.ndarray | None = None
    popularity: Popularity | None = None

    @classmethod
    def of(cls, prepared: Prepared) -> "Inputs":
        """The inputs of all examples of a scenario."""
        examples, line = prepared.examples, prepared.label_line
        return cls(
            prepared.store,
            line,
            len(examples.labels.names),
            examples.rows,
            examples.cutoffs,
            targets_of(examples.table),
            label_popularity(prepared.scenario, examples.labels, line),
        )


class EventTask:
    """A scenario on tables of events.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs, for the event store.
        say: Receives progress in lines.
    """

    def __init__(self, scenario: Scenario, runs: Path, say: Say) -> None:
        self.scenario, self.runs, self.say = scenario, runs, say

    @cached_property
    def store(self) -> EventStore:
        """The event store of the tables."""
        with reading(self.scenario):
            return open_store(self.scenario, self.runs, self.say)

    def prepare(self) -> Prepared:
        """The examples with their targets, and what they are made of.

        Raises:
            DataError: The tables do not fit the scenario.
        """
        return prepare(self.scenario, self.runs, self.say)

    def inputs_at(
        self, moment: datetime | None, class_names: Sequence[str] | None = None
    ) -> tuple[pl.DataFrame, Inputs]:
        """Every entity with history at a moment, and what a model reads of it.

        Args:
            moment: The cutoff; by default the last observed time.
            class_names: The labels whose histories are read; none by default.

        Returns:
            `entity_id` and `cutoff`, in the order of the store, and the inputs in the same order.

        Raises:
            DataError: The tables do not reach the moment, or no entity has history at it.
        """
        store, scenario = self.store, self.scenario
        cutoff = cutoff_at(scenario, store, moment, self.say)
        nothing = np.zeros(0, dtype=np.int64)
        line = Timeline(np.zeros(len(store.entity_ids) + 1, dtype=np.int64), nothing, {LABEL: nothing})
        popularity = None
        if class_names is not None:
            with reading(scenario):
                labels = resolve_labels(scenario, value_counts(scenario, cutoff, store), class_names)
                line = label_line(scenario, labels, store)
            popularity = label_popularity(scenario, labels, line)
        rows_N = rows_at(scenario, store, cutoff, self.say)
        cutoffs_N = np.full(len(rows_N), microseconds(cutoff))
        inputs = Inputs(store, line, len(class_names or ()), rows_N, cutoffs_N, None, popularity)
        return entities_at(store, rows_N, cutoff), inputs
