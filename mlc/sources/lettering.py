"""Names that lose letters when a CSV file is read as numbers.

`007` becomes 7, and two ids become one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import polars as pl

from mlc.errors import Problem
from mlc.scenario import (
    Csv,
    DimensionTable,
    EntitiesTable,
    EventsTable,
    EventTables,
    LabelsTable,
    RowsTable,
    Scenario,
)
from mlc.sources.events import join_columns
from mlc.sources.files.shapes import kind_name, known_types, odd_file
from mlc.sources.files.text_files import scan_texts, shapes_of
from mlc.sources.reading import files_of, format_of, scan_source

_ZERO_FIRST = r"^[-+]?0[0-9]"


@dataclass(frozen=True)
class LostText:
    """A column of names in CSV files that is read as numbers, unlike its texts.

    Attributes:
        table: Its table.
        column: The column.
        role: What it holds: ids, keys or labels.
        rows: Rows whose text is changed.
        of: Rows with a value.
        example: A text and what it becomes.
        doubled: How many numbers stand for more than one text.
        pair: Two texts that become one number; empty where `doubled` is 0.
    """

    table: str
    column: str
    role: str
    rows: int
    of: int
    example: tuple[str, str]
    doubled: int
    pair: tuple[str, ...]


def lost_texts(scenario: Scenario) -> list[LostText]:
    """Find ids, keys and labels of CSV files that reading as numbers changes.

    Reads whole columns, letter for letter. Columns in `types` are as the scenario wants them.
    """
    return [
        lost
        for name, columns in named_columns(scenario).items()
        if isinstance(format_of(scenario.data.tables[name], files_of(scenario, name)), Csv)
        for lost in _lost_in_table(scenario, name, columns)
    ]


def lost_text_problems(scenario: Scenario, texts: Sequence[LostText] | None = None) -> Iterator[Problem]:
    """Report columns in which two different texts become one number.

    Args:
        scenario: Checked scenario.
        texts: From `lost_texts`, where that is known.
    """
    for lost in lost_texts(scenario) if texts is None else texts:
        if lost.doubled:
            one, other = lost.pair
            whole = "number stands" if lost.doubled == 1 else "numbers stand"
            rule = (
                f"{lost.column} of {lost.table} is read as numbers, and {lost.doubled:,} {whole} for more "
                f"than one of its {lost.role}: {one!r} and {other!r} become one. If they are different, add "
                f"{types_advice(scenario, lost)}; if they are the same, add types: "
                f"{{{lost.column}: integer}} to {lost.table}"
            )
            yield scenario.problem(("data", "tables", lost.table), rule)


def types_advice(scenario: Scenario, lost: LostText) -> str:
    """Return the `types` that keep the texts, here and in matched tables.

    Examples:
        `types: {cust: text} to sales, and types: {id: text} to customers`
    """
    same = next(group for group in linked_columns(scenario) if (lost.table, lost.column) in group)
    parts = []
    for name, column in [(lost.table, lost.column), *same]:
        part = f"types: {{{column}: text}} to {name}"
        table = scenario.data.tables[name]
        dtype = scan_source(scenario, name).collect_schema().get(column)
        is_text = isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
        if part not in parts and not is_text and column not in table.types:
            parts.append(part)
    return ", and ".join(parts)


def linked_columns(scenario: Scenario) -> list[list[tuple[str, str]]]:
    """Group the columns whose values are matched with each other.

    Entities, each key with its columns.
    """
    data = scenario.data
    groups: list[list[tuple[str, str]]] = []
    if isinstance(data, EventTables):
        groups.append(
            [
                *((name, table.entity or data.entity) for name, table in data.events.items()),
                *((name, table.key) for name, table in data.entities.items()),
            ]
        )
    if data.labels:
        rows = [(name, table.key) for name, table in data.rows.items() if table.key is not None]
        groups.append([*rows, *((name, table.key) for name, table in data.labels.items())])
    for dimension, keys in data.dimensions.items():
        for position, key in enumerate(keys.key):
            columns = [
                (name, join_columns(table, dimension, keys)[position][0])
                for name, table in data.joining.items()
                if dimension in table.joins
            ]
            groups.append([*columns, (dimension, key)])
    if scenario.has_target:
        groups += [[place] for place in _target_columns(scenario)]
    return groups


def named_columns(scenario: Scenario) -> dict[str, dict[str, str]]:
    """Return the columns of each table that hold names.

    Table → column → what they are.
    """
    by_table: dict[str, dict[str, str]] = {}
    for name, table in scenario.data.tables.items():
        columns = by_table.setdefault(name, {})
        match table:
            case EventsTable():
                columns |= {column: "keys" for keys in table.joins.values() for column in keys}
                if isinstance(scenario.data, EventTables):
                    columns[table.entity or scenario.data.entity] = "ids"
            case RowsTable():
                columns |= {column: "keys" for keys in table.joins.values() for column in keys}
                if table.key is not None:
                    columns[table.key] = "ids"
            case DimensionTable():
                columns |= dict.fromkeys(table.key, "keys")
            case EntitiesTable() | LabelsTable():
                columns[table.key] = "ids"
            case unreachable:
                assert_never(unreachable)
    for name, column in _target_columns(scenario) if scenario.has_target else ():
        by_table[name].setdefault(column, "labels")
    return by_table


def _target_columns(scenario: Scenario) -> Iterator[tuple[str, str]]:
    for column in scenario.target.value_columns:
        owner, _, own = column.partition(".") if "." in column else (scenario.target.table, "", column)
        if owner in scenario.data.tables:
            yield owner, own


def _lost_in_table(scenario: Scenario, name: str, columns: Mapping[str, str]) -> Iterator[LostText]:
    table, schema = scenario.data.tables[name], scan_source(scenario, name).collect_schema()
    numbers = {
        column: schema[column]
        for column in columns
        if column in schema and schema[column].is_numeric() and column not in table.types
    }
    if not numbers:
        return
    raw = letters(scenario, name, list(numbers))
    for column, counts in _changed(raw, numbers).items():
        if not counts["changed"]:
            continue
        text, dtype = pl.col(column), numbers[column]
        doubled = pl.DataFrame()
        if not (counts["digits"] and counts["shortest"] == counts["longest"]):  # zeros that fill a width
            values = raw.select(text, _read_as(column, dtype).alias("value")).drop_nulls().unique()
            groups = values.group_by("value").agg(
                text.len().alias("texts"),
                text.sort().head(2),
                (_changes(column, dtype)).any().alias("changed"),
            )
            doubled = groups.filter(pl.col("texts") > 1, "changed").sort("value").collect(engine="streaming")
        example = str(counts["example"])
        as_number = str(pl.Series([example]).cast(dtype).cast(pl.String)[0])
        yield LostText(
            table=name,
            column=column,
            role=columns[column],
            rows=int(counts["changed"]),
            of=int(counts["rows"]),
            example=(example, as_number),
            doubled=doubled.height,
            pair=tuple(doubled[column][0]) if doubled.height else (),
        )


def odd_file_hint(scenario: Scenario, name: str, column: str) -> str:
    """Return which CSV file makes a column what it is, to end a message, or nothing.

    Examples:
        `; it is text in c.csv, a datetime in a.csv`
    """
    table, files = scenario.data.tables[name], files_of(scenario, name)
    csv = format_of(table, files)
    if len(files) < 2 or not isinstance(csv, Csv):
        return ""
    known = known_types(shapes_of(files, csv, list(table.types)), column)
    if len(set(known.values())) < 2:
        return ""
    odd, usual = odd_file(known)
    return f"; it is {kind_name(known[odd])} in {odd.name}, {kind_name(known[usual])} in {usual.name}"


def letters(scenario: Scenario, name: str, columns: Sequence[str]) -> pl.LazyFrame:
    """Return columns of a table of CSV files letter for letter."""
    table, files = scenario.data.tables[name], files_of(scenario, name)
    csv = format_of(table, files)
    assert isinstance(csv, Csv)
    return scan_texts(files, csv, [*table.types, *columns], files).select(columns)


def _changed(raw: pl.LazyFrame, types: Mapping[str, pl.DataType]) -> dict[str, dict[str, Any]]:
    """Count the texts that are not what they are read as; column → counts."""
    names = ("rows", "changed", "example", "shortest", "longest", "digits")
    exprs = []
    for index, (column, dtype) in enumerate(types.items()):
        text = pl.col(column)
        changes = _changes(column, dtype)
        counts = [
            text.count(),
            changes.sum(),
            text.filter(changes).min(),
            text.str.len_bytes().min(),
            text.str.len_bytes().max(),
            text.str.contains(r"^[0-9]+$").all(),
        ]
        exprs += [expr.alias(f"{index} {name}") for name, expr in zip(names, counts, strict=True)]
    row = raw.select(exprs).collect(engine="streaming").row(0, named=True)
    return {column: {name: row[f"{index} {name}"] for name in names} for index, column in enumerate(types)}


def _read_as(column: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(column).cast(dtype, strict=False)


def _changes(column: str, dtype: pl.DataType) -> pl.Expr:
    """Whether a text is lost by reading it as a number.

    Of other numbers than whole ones only zeros are.
    """
    text = pl.col(column)
    if not dtype.is_integer():
        return text.str.contains(_ZERO_FIRST)
    return (_read_as(column, dtype).cast(pl.String) != text).fill_null(value=False)
