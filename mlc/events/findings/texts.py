"""What is lost between the text of a file and what the model sees.

Zeros of ids, decimal commas.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from mlc.events.findings.finding import Subject, listed
from mlc.scenario import Csv, EventScenario, NumberType
from mlc.sources import (
    LostText,
    NumberText,
    files_of,
    first_row,
    format_of,
    letters,
    named_columns,
    number_text,
    scan_table,
    types_advice,
    written_number,
)
from mlc.task import Finding, Severity

_SAMPLE_ROWS = 50_000
_SAMPLE_VALUES = 2_000
_MOSTLY = 0.9


def lost_text_findings(scenario: EventScenario, texts: Sequence[LostText]) -> Iterator[Finding]:
    """Report ids, keys and labels whose text is changed by reading them as numbers.

    Args:
        scenario: Checked scenario.
        texts: From `sources.lost_texts`; those that make two texts one are errors and are left out.
    """
    say = Subject(scenario, "tables")
    for lost in texts:
        if lost.doubled:
            continue
        text, number = lost.example
        severity: Severity = "note" if lost.role == "keys" else "warning"
        yield say(
            severity,
            ("data", "tables", lost.table),
            f"{lost.column} of {lost.table} is read as numbers, which changes the text of {lost.rows:,} of "
            f"{lost.of:,} {lost.role}: {text!r} becomes {number}",
            f"to keep the text, add {types_advice(scenario, lost)}; if numbers are right, add types: "
            f"{{{lost.column}: integer}} to {lost.table}",
        )


def number_findings(scenario: EventScenario) -> Iterator[Finding]:
    """Report text columns whose values are numbers.

    The model would see categories, or nothing.
    """
    named = named_columns(scenario)
    for name, table in scenario.data.tables.items():
        schema = scan_table(scenario, name).collect_schema()
        columns = [
            column
            for column, dtype in schema.items()
            if dtype == pl.String
            and column not in named[name]
            and not {column} & {*table.types, *table.encoders, *table.computed}
        ]
        if columns:
            sample = _sample(scan_table(scenario, name), columns)
            for column in columns:
                written = number_text(sample[column])
                if written is not None:
                    yield from _number_finding(scenario, name, column, written)


def thousands_findings(scenario: EventScenario) -> Iterator[Finding]:
    """Report numbers such as 1.234 in files separated by semicolons.

    There the dot sets thousands apart.
    """
    for name, table in scenario.data.tables.items():
        csv = format_of(table, files_of(scenario, name))
        if not isinstance(csv, Csv) or csv.separator != ";":
            continue
        schema = scan_table(scenario, name).collect_schema()
        columns = [
            column
            for column, dtype in schema.items()
            if dtype.is_float() and not {column} & {*table.types, *table.computed}
        ]
        if not columns:
            continue
        text = pl.col(columns)
        dotted = letters(scenario, name, columns).select(
            pl.struct(
                text.str.contains(".", literal=True).sum().name.suffix(" dots"),
                text.str.contains(r"^[-+]?[1-9][0-9]{0,2}(\.[0-9]{3})+$").sum().name.suffix(" thousands"),
                text.filter(text.str.contains(".", literal=True)).first().name.suffix(" example"),
            )
        )
        counts = dotted.collect(engine="streaming").item()
        for column in columns:
            dots = counts[f"{column} dots"]
            if dots and dots == counts[f"{column} thousands"]:
                example = counts[f"{column} example"]
                mend = f'{{{column}: {{kind: number, decimal: ",", thousands: "."}}}}'
                yield Subject(scenario, "tables")(
                    "warning",
                    ("data", "tables", name),
                    f"{column} of {name} has three digits after each of its {dots:,} dots, such as "
                    f"{example!r}, which is read as {float(example):g}",
                    f"if the dot sets thousands apart, add types: {mend} to {name}; else types: "
                    f"{{{column}: number}}",
                )


def _sample(frame: pl.LazyFrame, columns: Sequence[str]) -> dict[str, pl.Series]:
    """Return some different values of each column."""
    rows = frame.select(columns).head(_SAMPLE_ROWS).collect()
    return {
        column: rows[column].drop_nulls().unique(maintain_order=True).head(_SAMPLE_VALUES)
        for column in columns
    }


def _number_finding(
    scenario: EventScenario, name: str, column: str, written: NumberText
) -> Iterator[Finding]:
    table, files = scenario.data.tables[name], files_of(scenario, name)
    csv = format_of(table, files)
    kind = written.kinds[0]
    text = pl.col(column)
    lost = text.is_not_null() & (text.str.strip_chars() != "") & written_number(text, kind).is_null()
    rows, others, examples = (
        scan_table(scenario, name)
        .select(
            text.count(),
            lost.sum().alias("others"),
            text.filter(lost).unique().sort().head(4).implode().alias("examples"),
        )
        .collect(engine="streaming")
        .row(0)
    )
    otherwise = f"; if it is no number, encoders: {{{column}: category}}"
    what = f"{column} of {name} is text, and so no number for the model"
    say, field = Subject(scenario, "tables"), ("data", "tables", name)
    if not written.plain:
        some = f"; {others:,} others are not, such as {examples[0]!r}" if others else ""
        yield say(
            "warning",
            field,
            f"{what}: {rows - others:,} of {rows:,} values look like numbers with {written.written}, "
            f"such as {written.example!r}{some}",
            f"add {written.types(column)} to {name}"
            + (", and mend the other values in the source" if others else "")
            + otherwise,
        )
    elif others and (rows - others >= _MOSTLY * rows or NumberText([kind], "", examples).no_value):
        place = _place(files, csv, column, examples[0]) if isinstance(csv, Csv) and not table.where else ""
        yield say(
            "warning",
            field,
            f"{what}: {rows - others:,} of {rows:,} values are numbers, and {others:,} are not: "
            f"{listed([repr(value) for value in examples], 3)}{place}",
            _mend(csv, examples) + otherwise,
        )
    elif not others and isinstance(csv, Csv):
        yield say(
            "warning",
            field,
            f"{what}, though all of its {rows:,} values are numbers, such as {written.example!r}",
            f"add types: {{{column}: number}} to {name}{otherwise}",
        )


def _place(files: Sequence[Path], csv: Csv, column: str, value: str) -> str:
    first = first_row(files, csv, column, value)
    return f" (the first in {first[0].name}, row {first[1]:,})" if first else ""


def _mend(csv: object, examples: Sequence[str]) -> str:
    """Return what to do about values that are no numbers among numbers."""
    if not isinstance(csv, Csv) or not NumberText([NumberType(kind="number")], "", examples).no_value:
        return "mend these values in the source"
    words = ", ".join(f'"{word}"' for word in [*csv.null_values, *examples] if '"' not in word)
    separator = "" if csv.separator == "," else f', separator: "{csv.separator}"'.replace("\t", "\\t")
    return f"if they mean no value, add format: {{kind: csv{separator}, null_values: [{words}]}}"
