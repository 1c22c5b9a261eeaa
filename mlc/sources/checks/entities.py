"""Entity ids and times of all tables together."""

import re
from collections.abc import Iterator

import polars as pl

from mlc.errors import Problem, sentences
from mlc.scenario import EntitiesTable, EventScenario, EventsTable
from mlc.sources.checks.schemas import type_family
from mlc.sources.formats import names_mend
from mlc.sources.lettering import odd_file_hint
from mlc.sources.missing import Schemas, TableSchema, why_missing


def entity_problems(scenario: EventScenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    """Yield what keeps the tables from sharing one type of entity id and of time."""
    yield from _missing_entities(scenario, schemas)
    yield from _type_problems(scenario, schemas)


def _missing_entities(scenario: EventScenario, schemas: Schemas) -> Iterator[Problem]:
    """Events tables without the column that `data.entity` names."""
    entity = scenario.data.entity
    named = [name for name, table in scenario.data.events.items() if table.entity is None and name in schemas]
    without = [name for name in named if entity not in schemas[name].columns]
    everywhere = without == named and all(entity not in schemas[name].left_out for name in named)
    for name in without[:1] if everywhere else without:
        why = why_missing(scenario, schemas, name, entity)
        rule = sentences(f"{name} has no column {entity}", why)
        if everywhere:
            yield scenario.problem("data.entity", rule)
        else:
            if near := re.fullmatch(r"did you mean (\S+)\?", why):
                rule += f" Add entity: {near[1]} to this table."
            yield scenario.problem(("data", "tables", name), rule)


def _type_problems(scenario: EventScenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    ids: dict[str, tuple[str, str]] = {}
    aware: dict[str, bool] = {}
    for name, schema in schemas.items():
        table = scenario.data.tables[name]
        if isinstance(table, EventsTable):
            column = table.entity or scenario.data.entity
            moment = schema.columns.get(table.time)
            if isinstance(moment, pl.Date | pl.Datetime):
                aware[name] = isinstance(moment, pl.Datetime) and moment.time_zone is not None
        elif isinstance(table, EntitiesTable):
            column = table.key
        else:
            continue
        if column in schema.columns:
            dtype = schema.columns[column]
            ids[name] = (column, type_family(dtype))
            if type_family(dtype) not in ("integer", "text"):
                yield scenario.problem(
                    ("data", "tables", name),
                    sentences(
                        f"{name}.{column} must be text or a whole number, not {dtype}",
                        f"{names_mend(scenario, name, column)}{odd_file_hint(scenario, name, column)}",
                    ),
                )
    if len({family for _, family in ids.values()} & {"integer", "text"}) > 1:
        listed = ", ".join(f"{name}.{column} is {family}" for name, (column, family) in ids.items())
        mends = [
            f"types: {{{column}: text}} to {name}"
            for name, (column, family) in ids.items()
            if family != "text"
        ]
        rule = f"entity ids are of two types: {listed}. Add {' and '.join(mends)}."
        yield scenario.problem("data.entity", rule)
    if len(set(aware.values())) > 1:
        listed = ", ".join(f"{name} {'with' if zone else 'without'}" for name, zone in aware.items())
        yield scenario.problem("data.tables", f"times with and without a time zone: {listed}")
    yield from _moment_problems(scenario, aware)


def _moment_problems(scenario: EventScenario, aware: dict[str, bool]) -> Iterator[Problem]:
    examples = scenario.examples
    if any(aware.values()):
        return
    for field in ("validation_from", "test_from", "observed_until"):
        moment = getattr(examples, field)
        if moment is not None and moment.tzinfo is not None:
            yield scenario.problem(
                f"examples.{field}", "has a time zone, and the tables have none. Remove it."
            )
