"""The event task: an example is an entity at a cutoff.

Its inputs are the events up to the cutoff and the entity's attributes; its targets are what happens in the
window after it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlc.evaluation.thresholds import PERIODS_A_WINDOW
from mlc.events.actuals import targets_at
from mlc.events.as_of import cutoff_at, entities_at, rows_at
from mlc.events.baselines import BASELINES, NO_PROBABILITIES, baseline_predictions, missing_boosting
from mlc.events.findings import checked
from mlc.events.label_names import LABEL, Labels, label_line, resolve_labels, value_counts
from mlc.events.popularity import Popularity
from mlc.events.preparing import Prepared, label_popularity, prepare
from mlc.events.slices import slices_of
from mlc.events.store import EventStore, open_store
from mlc.events.timeline import Timeline
from mlc.progress import stage
from mlc.scenario import EventScenario, TopClasses
from mlc.sources import id_expr, reading
from mlc.sources.truth import true_probabilities
from mlc.tables import (
    CUTOFF,
    ENTITY_ID,
    MICROSECONDS_PER_DAY,
    TARGETS,
    array_column,
    microseconds,
    targets_of,
)
from mlc.task import Baselines, Checked, Say


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
    """A scenario on tables of events; see `mlc.task.Task`.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs, for the event store.
        say: Receives progress in lines.
        class_names: The labels that a trained model knows. Default: those that the tables give.
    """

    def __init__(
        self, scenario: EventScenario, runs: Path, say: Say, class_names: Sequence[str] | None = None
    ) -> None:
        self.scenario, self.runs, self.say, self.class_names = scenario, runs, say, class_names

    @cached_property
    def store(self) -> EventStore:
        """The event store of the tables."""
        with reading(self.scenario):
            return open_store(self.scenario, self.runs, self.say)

    def prepare(self) -> Prepared:
        """Make the examples with their targets.

        Raises:
            DataError: The tables do not fit the scenario.
        """
        by_support = isinstance(self.scenario.target.class_names, TopClasses)
        names = None if by_support else self.class_names
        return prepare(self.scenario, self.runs, self.say, names)

    def inputs(self, examples: Prepared) -> Inputs:
        """Return what a model reads of the examples, in their order."""
        return Inputs.of(examples)

    def inputs_at(self, moment: datetime | None) -> tuple[pl.DataFrame, Inputs]:
        """Return every entity with history at a cutoff, and what a model reads of it.

        Args:
            moment: The cutoff; by default the last observed time.

        Returns:
            `entity_id` and `cutoff`, in the order of the store, and the inputs in the same order. Without
            `class_names` they hold no label histories.

        Raises:
            DataError: The tables do not reach the moment, or no entity has history at it.
        """
        stage("reading tables")
        store, scenario = self.store, self.scenario
        cutoff = cutoff_at(scenario, store, moment, self.say)
        nothing = np.zeros(0, dtype=np.int64)
        line = Timeline(np.zeros(len(store.entity_ids) + 1, dtype=np.int64), nothing, {LABEL: nothing})
        popularity = None
        if self.class_names is not None:
            labels, line = self._labels(cutoff)
            popularity = label_popularity(scenario, labels, line)
        rows_N = rows_at(scenario, store, cutoff, self.say)
        cutoffs_N = np.full(len(rows_N), microseconds(cutoff))
        inputs = Inputs(store, line, len(self.class_names or ()), rows_N, cutoffs_N, None, popularity)
        return entities_at(store, rows_N, cutoff), inputs

    def actuals(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return keys with their targets, as far as the tables know them by now.

        Args:
            keys: `entity_id` and `cutoff` (naive; UTC where the tables have a zone), in any order.

        Returns:
            The same rows with `targets`: unknown where the window of the label has not closed by the observed
            time (`examples.observed_until`, by default the last event), or no event of the entity is known.
        """
        labels, line = self._labels(datetime.max)
        targets_NK = targets_at(self.scenario, self.store, labels, line, keys)
        return keys.with_columns(array_column(TARGETS, targets_NK))

    def _labels(self, until: datetime) -> tuple[Labels, Timeline]:
        with reading(self.scenario):
            counts = value_counts(self.scenario, until, self.store)
            labels = resolve_labels(self.scenario, counts, self.class_names)
            return labels, label_line(self.scenario, labels, self.store)

    def baselines(self, examples: Prepared, parts: Collection[str]) -> Baselines:
        """Score the examples with what only counts; see `mlc.task.Task.baselines`."""
        wanted = self.scenario.baselines
        names = [name for name in BASELINES if wanted is None or name in wanted]
        predictions = baseline_predictions(examples.examples, examples.label_line, names)
        return Baselines(predictions, NO_PROBABILITIES, missing_boosting(self.scenario, parts))

    def slices(self, examples: Prepared) -> Mapping[str, pl.Series]:
        """Return history length, cold start and the named attributes of each example."""
        return slices_of(examples)

    def shown(self, _: Prepared) -> None:
        """Return nothing: an entity is known by its id."""

    def oracle(self, examples: Prepared) -> pl.DataFrame | None:
        """Return the true probabilities of generated tables as predictions.

        None for real ones.
        """
        entity, table = self.scenario.data.entity, examples.table
        keys = {
            ENTITY_ID: (entity, id_expr(entity, table.schema[ENTITY_ID])),
            CUTOFF: (CUTOFF, pl.col(CUTOFF).cast(pl.Datetime("us"))),
        }
        return true_probabilities(self.scenario, table, examples.class_names, keys)

    def periods(self, keys: pl.DataFrame) -> np.ndarray:
        """Return how many half windows each cutoff lies before the newest.

        They are int64, of shape (N).
        """
        cutoffs_N = keys[CUTOFF].cast(pl.Int64).to_numpy()
        period = self.scenario.target.longest_days * MICROSECONDS_PER_DAY // PERIODS_A_WINDOW
        return np.asarray((cutoffs_N.max(initial=0) - cutoffs_N) // period)

    def limits(self, _: Prepared) -> Sequence[str]:
        """Return what the choice of examples means for the figures."""
        if not self.scenario.examples.drop_all_negative:
            return []
        return [
            "Examples without any positive target were left out (drop_all_negative): prevalence and "
            "precision are higher than among all entities."
        ]

    def facts(self, examples: Prepared) -> Mapping[str, Any]:
        """Return store, first validation cutoff and observed time, as in `run.json`."""
        return {
            "store": examples.store.fingerprint,
            "fit_until": examples.cutoffs.fit_until.isoformat(),
            "observed_until": examples.cutoffs.observed_until.isoformat(),
        }

    def check(self) -> Checked:
        """Check tables, labels and examples; see `mlc.task.Task.check`."""
        return checked(self.scenario, self.runs)
