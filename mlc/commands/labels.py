"""`mlc labels`: the examples with their targets, or why one entity has its own."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, assert_never

import polars as pl

from mlc.events.examples import Examples
from mlc.events.preparing import dropped_rows, prepare, split_counts, write_examples
from mlc.events.views import label_tables
from mlc.events.views.labels_page import labels_page
from mlc.events.views.tracing import timeline_text, trace, trace_positives
from mlc.files.atomic import write_text
from mlc.scenario import EventScenario, Scenario
from mlc.task import Say

Form = Literal["arrays", "wide", "long"]
"""Targets as one array per example, as one column per label, or as one row per label."""


@dataclass(frozen=True)
class Files:
    """What is written.

    Attributes:
        table: A Parquet file for the examples.
        page: An HTML file.
        form: How the table holds the targets.
    """

    table: Path
    page: Path
    form: Form = "arrays"


@dataclass(frozen=True)
class Written:
    """What there is to say of the examples that were written.

    Attributes:
        warnings: Rows of the tables that were left out.
        lines: Filters, counts, prevalence over time, pairs of labels, and some positives.
    """

    warnings: list[str]
    lines: list[str]


def labels(scenario: Scenario, runs: Path, say: Say, form: Form = "wide") -> pl.DataFrame:
    """Build the examples of a scenario with their targets.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs, for the event store.
        say: Receives progress in lines.
        form: How the table holds the targets.

    Raises:
        DataError: The tables do not fit the scenario.
    """
    return _table(prepare(EventScenario.of(scenario, "mlc labels"), runs, say).examples, form)


def _table(examples: Examples, form: Form) -> pl.DataFrame:
    match form:
        case "arrays":
            return examples.table
        case "wide":
            return label_tables.wide(examples)
        case "long":
            return label_tables.long(examples)
        case unreachable:
            assert_never(unreachable)


def write_labels(scenario: Scenario, runs: Path, files: Files, positives: int) -> Written:
    """Build the examples, and write them as a table and a page.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs, for the event store.
        files: Where to, and how.
        positives: How many random positives to trace.

    Raises:
        DataError: The tables do not fit the scenario.
    """
    prepared = prepare(EventScenario.of(scenario, "mlc labels"), runs, lambda _: None)
    examples = prepared.examples
    write_examples(examples, files.table, prepared.store.fingerprint, _table(examples, files.form))
    traces = trace_positives(prepared, positives)
    lines = [
        *label_tables.funnel_lines(prepared),
        *label_tables.count_lines(list(examples.labels.names), split_counts(prepared)),
        *label_tables.spark_lines(examples),
        *label_tables.pair_lines(examples),
        *("\n" + timeline_text(one, history=3, label=name) for name, one in traces),
    ]
    write_text(files.page, labels_page(prepared, traces))
    return Written(dropped_rows(prepared.store), lines)


def trace_entity(scenario: Scenario, runs: Path, entity: str, cutoff: datetime | None) -> str:
    """Draw the events of an entity around a cutoff, and what set its targets.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs, for the event store.
        entity: Its id, as text.
        cutoff: Any moment; by default the entity's newest example, or the last moment of the test.

    Raises:
        DataError: The tables do not fit the scenario.
        MlcError: No events table has the entity.
    """
    return timeline_text(
        trace(prepare(EventScenario.of(scenario, "mlc labels"), runs, lambda _: None), entity, cutoff)
    )
