"""Why a column is not there, and where it is.

Misspelt, left out by the scenario, or in another table.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from mlc.errors import did_you_mean
from mlc.errors.names import similarity
from mlc.scenario import EventsTable, Scenario

_NEAR = "did you mean"


@dataclass(frozen=True)
class TableSchema:
    """Columns and dtypes of a table: those wanted, then the computed ones.

    Attributes:
        name: The table.
        columns: Column → dtype.
        left_out: Columns of the source that the scenario does not want.
    """

    name: str
    columns: dict[str, pl.DataType]
    left_out: frozenset[str] = frozenset()

    def why_missing(self, column: str) -> str:
        """Why a column is not there: left out by the scenario, or misspelt."""
        if column in self.left_out:
            return "columns or leave_out removes it"
        return did_you_mean(column, self.columns)


Schemas = Mapping[str, TableSchema]


def why_missing(scenario: Scenario, schemas: Schemas, name: str, column: str, *, joined: bool = False) -> str:
    """Why a table has no such column, and what to write instead.

    Args:
        scenario: Checked scenario.
        schemas: Of all tables that could be read.
        name: The table.
        column: What was asked for.
        joined: Whether the field may also be a column of a joined table, as `dimension.column`.
    """
    own = schemas[name]
    if column in own.left_out:
        return own.why_missing(column)
    bare = column.replace('"', "").replace("`", "")
    if bare != column:
        return f"write {bare}, without quotes"
    if "." in column:
        owner, _, rest = column.partition(".")
        if owner == name and rest in own.columns:
            return f"columns of {name} itself stand without its name: write {rest}"
        if owner in schemas and rest in schemas[owner].columns:
            return f"it is in {owner}, and this field takes a column of {name} itself"
    for other in _others(scenario, schemas, name):
        if column in other.columns:
            return _elsewhere(scenario, name, other.name, column, joined=joined)
    return _nearest(scenario, schemas, name, column) if joined else own.why_missing(column)


def _others(scenario: Scenario, schemas: Schemas, name: str) -> list[TableSchema]:
    """The other tables, those first that this one joins."""
    joins = _joins(scenario, name)
    return sorted(
        (schema for other, schema in schemas.items() if other != name), key=lambda one: one.name not in joins
    )


def _joins(scenario: Scenario, name: str) -> Collection[str]:
    table = scenario.data.tables[name]
    return table.joins if isinstance(table, EventsTable) else ()


def _elsewhere(scenario: Scenario, name: str, owner: str, column: str, *, joined: bool) -> str:
    if not joined:
        return f"it is in {owner}, and this field takes a column of {name} itself"
    if owner in _joins(scenario, name):
        return f"did you mean {owner}.{column}?"
    if owner in scenario.data.dimensions:
        return f"it is in {owner}: add joins: {{{owner}: …}} to {name}, then write {owner}.{column}"
    return f"it is in {owner}, which is no dimension that {name} joins"


def _nearest(scenario: Scenario, schemas: Schemas, name: str, column: str) -> str:
    """The nearest of the table's own columns and of those that it joins."""
    dimensions = [other for other in _joins(scenario, name) if other in schemas]
    candidates = {one: f"{other}.{one}" for other in dimensions for one in schemas[other].columns}
    candidates |= {one: one for one in schemas[name].columns}
    best = max(candidates, key=lambda one: similarity(column, one), default="")
    hint = did_you_mean(column, [best])
    return f"{_NEAR} {candidates[best]}?" if hint.startswith(_NEAR) else schemas[name].why_missing(column)
