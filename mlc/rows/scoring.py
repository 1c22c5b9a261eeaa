"""A scenario for tables that are scored: what only a training needs may be absent."""

from mlc.rows.inputs import RowColumns
from mlc.scenario import RowExamples, RowScenario
from mlc.sources import check_tables, scan_table
from mlc.task import Say


def scoring_scenario(scenario: RowScenario, columns: RowColumns | None, say: Say) -> RowScenario:
    """Return a scenario that names only what its table of rows has.

    Args:
        scenario: Checked scenario, perhaps on another table than that of its training.
        columns: What the model reads.
        say: Receives a warning for each column that the model knows and the table no longer has.

    Raises:
        DataError: A table cannot be read.
    """
    name, table = scenario.target.table, scenario.table
    there = set(scan_table(scenario, name).collect_schema())
    joins = {dimension: keys for dimension, keys in table.joins.items() if there >= set(keys)}
    for column in columns.names if columns is not None else ():
        owner = column.partition(".")[0]
        if column not in there and (owner not in table.joins or owner not in joins):
            say(f"warning: the model knows {column}, the table does not have it: taken as missing")
    changes = {
        "key": table.key if table.key in there else None,
        "time": None,
        "joins": joins,
        "encoders": {column: given for column, given in table.encoders.items() if column in there},
        "types": {column: kind for column, kind in table.types.items() if column in there},
    }
    if table.key is not None and table.key not in there:
        say(f"warning: the table has no column {table.key}: rows are named by their numbers, from 1")
    tables = {
        other: one
        for other, one in scenario.data.tables.items()
        if other not in scenario.data.dimensions or other in joins
    }
    tables = {other: one for other, one in tables.items() if other not in scenario.data.labels}
    tables[name] = table.model_copy(update=changes)
    data = scenario.data.model_copy(update={"tables": tables})
    reduced = scenario.model_copy(update={"data": data, "examples": RowExamples()})
    check_tables(reduced)
    return reduced
