"""The tables of a finished run, read as its model learned to read them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from mlc.errors import DataError, Problem
from mlc.events.label_names import resolve_labels, value_counts
from mlc.events.store import EventStore, open_store
from mlc.events.unfamiliar import gone_labels, new_fields, other_id_type, unfamiliar_values
from mlc.events.vocabulary import Vocabulary
from mlc.run import RunFolder
from mlc.scenario import Category, EventScenario, FreeText, Number
from mlc.sources import check_tables, reading
from mlc.tables import ENTITY_ID
from mlc.task import Say


def stored_vocabulary(run: RunFolder) -> Vocabulary:
    """Return what the model of a run knows of the columns.

    Raises:
        RunError: The file is missing or damaged.
    """
    vocabulary: Vocabulary = run.read_json("vocabulary.json", Vocabulary.from_json)
    return vocabulary


def scenario_as_trained(
    run: RunFolder, vocabulary: Vocabulary, runs: Path, say: Say, class_names: Sequence[str] | None = None
) -> EventScenario:
    """Return the run's scenario, with every column coded as it was in the training.

    How a column is coded by default depends on its values: with more of them, whole numbers turn from
    categories to numbers. A model must not notice.

    Args:
        run: A finished run.
        vocabulary: Its vocabulary.
        runs: Folder of all runs, for the event store.
        say: Receives warnings of what the model does not know in the tables.
        class_names: The labels of the run; None for a foundation model, which has none.

    Raises:
        DataError: The tables no longer fit the scenario.
    """
    scenario = EventScenario.of(run.scenario(), "its model")
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
                    say(f"warning: the model knows {field}, the tables no longer do: taken as missing")
                elif now.get(field) != encoder.kind:
                    if isinstance(encoder, Category) and schemas[table].columns[column].is_float():
                        dtype = schemas[table].columns[column]
                        rule = f"a category in training, now {dtype}. Mend the table, or train again."
                        raise DataError(Problem(rule, field))
                    encoders = {**tables[table].encoders, column: encoder}
                    tables[table] = tables[table].model_copy(update={"encoders": encoders})
    if tables != scenario.data.tables:
        scenario = scenario.model_copy(update={"data": scenario.data.model_copy(update={"tables": tables})})
        check_tables(scenario)
        with reading(scenario):
            store = open_store(scenario, runs, say)
    changes = list(unfamiliar_values(store, vocabulary))
    if "foundation" not in run.read_json("run.json"):  # which need not have known all columns
        changes += new_fields(store, vocabulary)
    if class_names is not None:
        changes += _changes(run, scenario, class_names, store)
        # A label that is gone is a warning here, where a training would refuse it.
        target = scenario.target.model_copy(update={"allow_empty": True})
        scenario = scenario.model_copy(update={"target": target})
    for change in changes:
        say(f"warning: {change}")
    for name in run.changed_environment():
        say(f"warning: ${{{name}}} has changed since the training, and the tables are read from there")
    return scenario


def _changes(
    run: RunFolder, scenario: EventScenario, class_names: Sequence[str], store: EventStore
) -> Iterator[str]:
    """Describe what has changed in entities and labels since the training."""
    with run.reading("predictions.parquet") as path:
        trained_type = pl.read_parquet_schema(path)[ENTITY_ID]
    yield from other_id_type(trained_type, store.entity_ids.dtype, scenario.data.entity)
    with reading(scenario):
        counts = value_counts(scenario, datetime.max, store)
    labels = resolve_labels(scenario, counts, class_names)
    yield from gone_labels(labels, counts, ", ".join(scenario.target.column))


def _owner(scenario: EventScenario, field: str) -> tuple[str, str]:
    """Table and column of a field; either may have dots in its name."""
    table = max((name for name in scenario.data.tables if field.startswith(f"{name}.")), key=len)
    return table, field.removeprefix(f"{table}.")
