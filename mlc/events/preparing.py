"""`mlc labels`: from a checked scenario to its examples.

Every other step begins here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from mlc.events.cutoffs import Cutoffs, choose_cutoffs
from mlc.events.examples import Examples, build_examples
from mlc.events.label_names import LABEL, Labels, label_line, resolve_labels, value_counts
from mlc.events.popularity import Popularity
from mlc.events.store import EventStore, open_store
from mlc.events.timeline import Timeline
from mlc.files.atomic import replacing
from mlc.progress import stage
from mlc.scenario import EventScenario
from mlc.sources import check_tables, observed_span, reading
from mlc.tables import CUTOFF, SPLIT, SPLIT_TYPE, SPLITS, UNKNOWN, targets_of, with_class_names
from mlc.task import FunnelStep, Say


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

    scenario: EventScenario
    store: EventStore
    cutoffs: Cutoffs
    examples: Examples
    label_line: Timeline

    @property
    def table(self) -> pl.DataFrame:
        """`entity_id`, `cutoff`, `split` and `targets` of each example."""
        return self.examples.table

    @property
    def class_names(self) -> Sequence[str]:
        """The K labels, in the order of the targets."""
        return self.examples.labels.names

    @property
    def funnel(self) -> Sequence[FunnelStep]:
        """What was left out, in order."""
        return self.examples.funnel

    def for_refit(self) -> "Prepared":
        """Return the same examples, all of them in the training split."""
        table = self.table.with_columns(pl.lit("train", SPLIT_TYPE).alias(SPLIT))
        return replace(self, examples=replace(self.examples, table=table))


def prepare(
    scenario: EventScenario, runs: Path, say: Say, class_names: Sequence[str] | None = None
) -> Prepared:
    """Check the tables, build or open the store, build the examples.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs.
        say: Receives a line when something long is done.
        class_names: The labels of a trained model, which the tables may have lost since.

    Raises:
        DataError: The tables do not fit the scenario.
    """
    stage("reading tables")
    check_tables(scenario)
    with reading(scenario):
        store = open_store(scenario, runs, say)
        stage("labels")
        cutoffs = choose_cutoffs(scenario, *target_span(scenario, store))
        counts = value_counts(scenario, cutoffs.fit_until, store)
        labels = resolve_labels(scenario, counts, class_names)
        line = label_line(scenario, labels, store)
        examples = build_examples(scenario, store, cutoffs, labels, line)
    say(funnel_line(examples))
    return Prepared(scenario, store, cutoffs, examples, line)


def label_popularity(scenario: EventScenario, labels: Labels, line: Timeline) -> Popularity | None:
    """The popularity of a scenario's labels; None where the model does not look at it."""
    if not scenario.model.popularity:
        return None
    return Popularity(line.time, line.columns[LABEL], labels.windows_days, scenario.target.gap_days)


def target_span(scenario: EventScenario, store: EventStore) -> tuple[datetime, datetime, bool]:
    """Return what `observed_span` does, from the store if it knows it."""
    counts = store.counts[scenario.target.table]
    if scenario.target.window is not None:  # it matters whether the times are dates
        return observed_span(scenario)
    return counts.first, counts.last, False


def dropped_rows(store: EventStore) -> list[str]:
    """What was left out of the events, a sentence for each table and reason."""
    return [
        f"{dropped:,} of {counts.events + counts.without_entity + counts.without_time:,} rows in {name} "
        f"have no {what} and are left out"
        for name, counts in store.counts.items()
        for what, dropped in (("entity", counts.without_entity), ("time", counts.without_time))
        if dropped
    ]


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
        cutoffs: How many different cutoffs they have.
        first: The first of them; None where there is no example.
        last: The last.
        examples: Number of examples.
        positives: Positive targets of each label.
        known: Known targets of each label.
    """

    split: str
    cutoffs: int
    first: datetime | None
    last: datetime | None
    examples: int
    positives: list[int]
    known: list[int]


def split_counts(prepared: Prepared) -> list[SplitCounts]:
    """Examples and positives of every split."""
    table = prepared.examples.table
    targets_NK = targets_of(table)
    counts = []
    for split in SPLITS:
        inside = (table[SPLIT] == split).to_numpy()
        chosen, moments = targets_NK[inside], table[CUTOFF].filter(pl.Series(inside)).unique().sort()
        first, last = (moments[0], moments[-1]) if len(moments) else (None, None)
        positives, known = (chosen == 1).sum(axis=0), (chosen != UNKNOWN).sum(axis=0)
        supports = positives.tolist(), known.tolist()
        counts.append(SplitCounts(split, len(moments), first, last, len(chosen), *supports))
    return counts


def write_examples(
    examples: Examples, path: Path, fingerprint: str, table: pl.DataFrame | None = None
) -> None:
    """Write the examples, its class names in the metadata.

    `table` where they shall have another form.
    """
    with replacing(path) as temporary:
        metadata = with_class_names(examples.labels.names, store=fingerprint)
        (examples.table if table is None else table).write_parquet(temporary, metadata=metadata)
