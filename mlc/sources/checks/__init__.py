"""Whether the tables fit the scenario.

Names and types of all columns that it uses, all problems at once.
"""

from collections.abc import Iterator

from mlc.errors import DataError, Problem
from mlc.scenario import EventScenario, Scenario
from mlc.sources.checks.entities import entity_problems
from mlc.sources.checks.fields import field_problems
from mlc.sources.checks.schemas import shape_problems, table_schema
from mlc.sources.checks.target import condition_problems, target_problems
from mlc.sources.events import conditions
from mlc.sources.failures import file_problems, reading
from mlc.sources.missing import TableSchema


def check_tables(scenario: Scenario) -> dict[str, TableSchema]:
    """Find every table and check names and types of the columns in use.

    Reads schemas only, no rows; a query is run as a whole.

    Raises:
        DataError: All problems of all tables at once.
    """
    problems: list[Problem] = []
    schemas: dict[str, TableSchema] = {}
    for name in scenario.data.tables:
        try:
            faults = file_problems(scenario, name)
            if faults:
                problems += faults
                continue
            with reading(scenario, name):
                schemas[name], computed_problems = table_schema(scenario, name)
                problems += [*computed_problems, *shape_problems(scenario, name)]
        except DataError as error:
            problems += error.problems
    for name in schemas:
        problems += field_problems(scenario, name, schemas)
    if isinstance(scenario, EventScenario):
        problems += event_problems(scenario, schemas)
    if isinstance(scenario, EventScenario) and scenario.has_target and not problems:
        for field, table, where in conditions(scenario):
            problems += condition_problems(scenario, field, table, where)
    if problems:
        raise DataError(problems)
    return schemas


def event_problems(scenario: EventScenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    """Yield what is wrong with entities, times and targets of events."""
    yield from entity_problems(scenario, schemas)
    if scenario.has_target:
        yield from target_problems(scenario, schemas)
