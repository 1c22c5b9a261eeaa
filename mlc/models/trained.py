"""What a finished run stores beside its model: scenario, vocabulary, thresholds, foundation."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from pathlib import Path

import polars as pl

from mlc.errors import DataError, Problem, RunError
from mlc.events.labels import resolve_labels, value_counts
from mlc.events.preparing import Say
from mlc.events.store import EventStore, open_store
from mlc.events.unfamiliar import gone_labels, other_id_type, unfamiliar_values
from mlc.events.vocabulary import FieldRows, Vocabulary
from mlc.models.decisions import stored_thresholds
from mlc.models.foundation import Foundation, load_foundation
from mlc.run import RunFolder, fingerprint_of
from mlc.scenario import Category, FreeText, Number, Scenario
from mlc.sources import check_tables, reading
from mlc.tables import ENTITY_ID


def stored_vocabulary(run: RunFolder) -> Vocabulary:
    """What the model knows of the columns."""
    vocabulary: Vocabulary = run.read_json("vocabulary.json", Vocabulary.from_json)
    return vocabulary


def scenario_as_trained(run: RunFolder, vocabulary: Vocabulary, runs: Path, say: Say) -> Scenario:
    """The run's scenario, with every column coded as it was in the training.

    How a column is coded by default depends on its values: with more of them, whole numbers turn from
    categories to numbers. A model must not notice.

    Raises:
        DataError: The tables no longer fit the scenario.
    """
    scenario = run.scenario()
    schemas = check_tables(scenario)
    with reading(scenario):
        store = open_store(scenario, runs, say)
    now = {field.name: field.kind for field in (*store.event_fields, *store.entity_fields)}
    tables = dict(scenario.data.tables)
    for rows in (vocabulary.attributes, vocabulary.events):
        for encoder, names in (
            (Category(), rows.categories),
            (Number(), rows.numbers),
            (FreeText(), rows.texts),
        ):
            for field in names:
                table, column = _owner(scenario, field)
                if column not in schemas[table].columns:
                    say(f"the model knows {field}, the tables no longer do: taken as missing")
                elif now.get(field) != encoder.kind:
                    if isinstance(encoder, Category) and schemas[table].columns[column].is_float():
                        found = f"dtype={schemas[table].columns[column]}; mend the table, or train again"
                        rule = f"must be a category as in the training, however: {found}"
                        raise DataError(Problem(rule, field))
                    encoders = {**tables[table].encoders, column: encoder}
                    tables[table] = tables[table].model_copy(update={"encoders": encoders})
    if tables != scenario.data.tables:
        scenario = scenario.model_copy(update={"data": scenario.data.model_copy(update={"tables": tables})})
        check_tables(scenario)
        with reading(scenario):
            store = open_store(scenario, runs, say)
    for change in _changes(run, scenario, vocabulary, store):
        say(f"warning: {change}")
    return scenario


def _changes(run: RunFolder, scenario: Scenario, vocabulary: Vocabulary, store: EventStore) -> Iterator[str]:
    """Describe what has changed in the tables since the training, so that the model does not know it."""
    yield from unfamiliar_values(store, vocabulary)
    predictions = run / "predictions.parquet"
    if not scenario.has_target or not predictions.exists():  # a foundation model has neither
        return
    yield from other_id_type(
        pl.read_parquet_schema(predictions)[ENTITY_ID], store.entity_ids.dtype, scenario.data.entity
    )
    names = [threshold.name for threshold in stored_thresholds(run)]
    with reading(scenario):
        counts = value_counts(scenario, datetime.max, store)
    labels = resolve_labels(scenario, counts, names)
    yield from gone_labels(labels, counts, ", ".join(scenario.target.column))


def _owner(scenario: Scenario, field: str) -> tuple[str, str]:
    """Table and column of a field; either may have dots in its name."""
    table = max((name for name in scenario.data.tables if field.startswith(f"{name}.")), key=len)
    return table, field.removeprefix(f"{table}.")


@dataclass(frozen=True)
class Start:
    """A foundation model that a training starts from.

    Attributes:
        model: Trunk and heads.
        events: The fields and values that it knows.
        facts: What `run.json` should say of it.
    """

    model: Foundation
    events: FieldRows
    facts: dict[str, str]


def stored_foundation(run: RunFolder) -> Start:
    """The foundation model of a finished run.

    Raises:
        RunError: The run has none, or its files do not belong together.
    """
    if "foundation" not in run.read_json("model.json"):
        raise RunError(f"{run.folder} must be a run of mlc pretrain, however: it is one of mlc train")
    facts = run.read_json("run.json", itemgetter("vocabulary", "fingerprint", "until"))
    for name, expected in zip(("vocabulary.json", "model.safetensors"), facts[:2], strict=True):
        with run.reading(name) as path:
            if fingerprint_of(path) != expected:
                raise ValueError(f"its fingerprint is {fingerprint_of(path)}, not {expected}")
    vocabulary = run.read_json("vocabulary.json", Vocabulary.from_json)
    with run.reading("model.safetensors"):
        model = load_foundation(run.folder)
    described = dict(zip(("vocabulary", "fingerprint", "until"), facts, strict=True))
    return Start(model, vocabulary.events, {"name": run.folder.name, **described})
