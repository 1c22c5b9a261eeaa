"""`mlc check`: what a scenario and its tables would give, before anything is trained."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlc.errors import DataError, MlcError, Problem
from mlc.scenario import Scenario
from mlc.sources import JoinRate, check_tables, duplicate_keys, join_rates
from mlc.steps.labels import Prepared, Say, SplitCounts, funnel_line, prepare, split_counts
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


def check(scenario: Scenario, runs: Path, say: Say) -> Checked:
    """Check the tables and count the examples.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs; the event store is built there when it is missing.
        say: Receives a line when something long is done.

    Raises:
        DataError: Everything that would stop a training, as much of it at once as can be known.
    """
    problems: list[Problem] = []
    check_tables(scenario)
    problems += duplicate_keys(scenario)
    if problems:
        raise DataError(problems)
    joins = join_rates(scenario)
    try:
        prepared = prepare(scenario, runs, lambda _: None)
    except MlcError as error:
        raise type(error)([*error.problems, *_unmatched(scenario, joins)]) from None
    for line in prepared.store.counts:
        say(line)
    return _checked(prepared, joins)


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
