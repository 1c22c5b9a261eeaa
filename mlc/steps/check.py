"""`mlc check`: what a scenario and its tables would give, before anything is trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlc.errors import DataError, MlcError, Problem
from mlc.labels import resolve_labels, value_counts
from mlc.scenario import Scenario, TopClasses
from mlc.sources import JoinRate, check_tables, duplicate_keys, join_rates
from mlc.steps.labels import (
    Prepared,
    SplitCounts,
    dropped_rows,
    funnel_line,
    prepare,
    reading_rows,
    split_counts,
)
from mlc.tables import SCORES, TARGETS

_FEW_POSITIVES = 10


@dataclass(frozen=True)
class Checked:
    """What `mlc check` found in a scenario without errors.

    Attributes:
        joins: Match rate of every join.
        class_names: The K labels.
        splits: Examples and positives of every split.
        funnel: What was left out, in a sentence.
        warnings: What may surprise, each with what to do.
        memory_mb: Estimates in MiB: events on disk, targets and scores in memory.
    """

    joins: list[JoinRate]
    class_names: list[str]
    splits: list[SplitCounts]
    funnel: str
    warnings: list[str]
    memory_mb: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Plain lists and mappings."""
        return asdict(self)


def check(scenario: Scenario, runs: Path) -> Checked:
    """Check the tables and count the examples.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs; the event store is built there when it is missing.

    Raises:
        DataError: Everything that would stop a training, as much of it at once as can be known.
    """
    check_tables(scenario)
    with reading_rows(scenario):
        joins = join_rates(scenario)
        problems = list(duplicate_keys(scenario))
        if not problems:
            try:
                return _checked(prepare(scenario, runs, lambda _: None), joins)
            except DataError as error:
                problems += error.problems
        problems += [*_label_problems(scenario), *_unmatched(scenario, joins)]
    raise DataError(dict.fromkeys(problems))


def _label_problems(scenario: Scenario) -> Sequence[Problem]:
    """Labels that never occur, also where something else keeps the examples from being built."""
    if isinstance(scenario.target.class_names, TopClasses):
        return ()
    try:
        resolve_labels(scenario, value_counts(scenario, datetime.max))
    except MlcError as error:
        return error.problems
    return ()


def _unmatched(scenario: Scenario, joins: list[JoinRate]) -> list[Problem]:
    """Joins that match nothing explain most labels that are never seen."""
    return [
        scenario.problem(
            f"data.tables.{join.table}.joins.{join.dimension}",
            f"keys must match, however: none of {join.events:,} events has a row in {join.dimension} "
            f"(first keys: {', '.join(join.unmatched_keys)})",
        )
        for join in joins
        if join.events and not join.matched
    ]


def _checked(prepared: Prepared, joins: list[JoinRate]) -> Checked:
    splits = split_counts(prepared)
    examples, events = prepared.examples, prepared.store.events
    cells = examples.table.height * len(examples.labels.names)
    stored = (
        events.time.nbytes + events.offsets.nbytes + sum(column.nbytes for column in events.columns.values())
    )
    return Checked(
        joins=joins,
        class_names=list(examples.labels.names),
        splits=splits,
        funnel=funnel_line(examples),
        warnings=[
            *dropped_rows(prepared.store),
            *_join_warnings(joins),
            *_support_warnings(prepared, splits),
            *_snapshot_warnings(prepared.scenario),
        ],
        memory_mb={
            "events": round(stored / 2**20, 1),
            TARGETS: round(cells / 2**20, 1),
            SCORES: round(4 * cells / 2**20, 1),
        },
    )


def _join_warnings(joins: list[JoinRate]) -> list[str]:
    return [
        f"{join.events - join.matched:,} of {join.events:,} events in {join.table} have no row in "
        f"{join.dimension} (keys: {', '.join(join.unmatched_keys)})"
        for join in joins
        if join.matched < join.events
    ]


def _support_warnings(prepared: Prepared, splits: list[SplitCounts]) -> list[str]:
    warnings = []
    for counts in splits:
        few = [
            f"{name} ({positives})"
            for name, positives in zip(prepared.examples.labels.names, counts.positives, strict=True)
            if positives < _FEW_POSITIVES
        ]
        if few:
            warnings.append(
                f"fewer than {_FEW_POSITIVES} positives in {counts.split}: {', '.join(few)}; "
                "their metrics say little"
            )
    return warnings


def _snapshot_warnings(scenario: Scenario) -> list[str]:
    if not scenario.model.attributes or not scenario.data.entities:
        return []
    names = ", ".join(scenario.data.entities)
    return [
        f"{names}: attributes are taken as they are today for every cutoff; one that changes with what the "
        f"entity does (a status, a total) tells the future: exclude it with encoders: {{column: ignore}}"
    ]
