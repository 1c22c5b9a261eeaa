"""`mlc labels`: from a checked scenario to its examples; every other step begins here."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from mlc.atomic import replacing
from mlc.cutoffs import Cutoffs, choose_cutoffs
from mlc.ingest import EventStore, open_store
from mlc.scenario import Scenario
from mlc.sources import check_tables
from mlc.store import Timeline
from mlc.tables import SPLIT, SPLITS, UNKNOWN, targets_of, with_class_names
from mlc.targets import (
    Examples,
    Labels,
    build_examples,
    label_events,
    label_timeline,
    resolve_labels,
    value_counts,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """All that is known before a model exists.

    Attributes:
        scenario: The scenario.
        store: Event store of its tables.
        cutoffs: Cutoffs and their splits.
        examples: Examples with their targets.
        label_line: Label events by entity.
    """

    scenario: Scenario
    store: EventStore
    cutoffs: Cutoffs
    examples: Examples
    label_line: Timeline


def prepare(scenario: Scenario, runs: Path, say: Say) -> Prepared:
    """Check the tables, build or open the store, build the examples.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs.
        say: Receives a line when something long is done.

    Raises:
        DataError: The tables do not fit the scenario.
    """
    check_tables(scenario)
    store = open_store(scenario, runs, say)
    counts = store.counts[scenario.target.table]
    cutoffs = choose_cutoffs(scenario, counts.first, counts.last)
    labels = resolve_labels(scenario, value_counts(scenario, cutoffs.fit_until))
    events = label_events(scenario, labels, store)
    examples = build_examples(scenario, store, cutoffs, labels, events)
    say(funnel_line(examples))
    return Prepared(scenario, store, cutoffs, examples, label_timeline(events, len(store.entity_ids)))


def label_line_of(scenario: Scenario, store: EventStore, labels: Labels) -> Timeline:
    """Label events by entity, without examples: what a prediction needs."""
    return label_timeline(label_events(scenario, labels, store), len(store.entity_ids))


def funnel_line(examples: Examples) -> str:
    """The funnel in a sentence.

    Examples:
        `kept 54,969 of 56,602 examples: 1,633 without history`
    """
    first, *rest = examples.funnel
    story = ", ".join(f"{step.removed:,} {step.reason}" for step in rest) or "nothing removed"
    return f"kept {examples.table.height:,} of {first.kept:,} examples: {story}"


@dataclass(frozen=True)
class SplitCounts:
    """Examples and positives of a split.

    Attributes:
        split: Its name.
        cutoffs: Its cutoffs, rising.
        examples: Number of examples.
        positives: Positive targets of each label.
        known: Known targets of each label.
    """

    split: str
    cutoffs: list[datetime]
    examples: int
    positives: list[int]
    known: list[int]


def split_counts(prepared: Prepared) -> list[SplitCounts]:
    """Examples and positives of every split."""
    targets_NK = targets_of(prepared.examples.table)
    splits = prepared.examples.table[SPLIT]
    counts = []
    for split in SPLITS:
        chosen = targets_NK[(splits == split).to_numpy()]
        positives, known = (chosen == 1).sum(axis=0), (chosen != UNKNOWN).sum(axis=0)
        cutoffs = list(prepared.cutoffs.splits[split])
        counts.append(
            SplitCounts(
                split, cutoffs, len(chosen), np.asarray(positives).tolist(), np.asarray(known).tolist()
            )
        )
    return counts


def write_examples(examples: Examples, path: Path, fingerprint: str) -> None:
    """Write the examples table, its class names in the metadata."""
    with replacing(path) as temporary:
        metadata = with_class_names(examples.labels.names, store=fingerprint)
        examples.table.write_parquet(temporary, metadata=metadata)


def read_table(path: Path) -> pl.DataFrame:
    """A table that a step wrote."""
    return pl.read_parquet(path)
