"""Values that mean nothing, and values that look alike but are not.

Numbers, texts and ids.
"""

from collections.abc import Iterator
from typing import cast

import polars as pl

from mlc.errors.names import spelled_out
from mlc.events.findings.finding import Subject, listed
from mlc.events.store import EventStore, Field
from mlc.scenario import EntitiesTable, EventScenario, EventsTable, Ignore
from mlc.sources import (
    LARGEST,
    is_blank,
    may_be_unusable,
    number_expr,
    scan_events,
    scan_table,
    visible_expr,
)
from mlc.tables import ENTITY_ID
from mlc.task import Finding, Severity

_FEW = 0.01
_LONG = 1_000  # characters; names are shorter
_SHOWN = 3
_PLAIN = "^[ -~]*$"  # printable ASCII
_CLIPPED = 60  # characters of a value in a finding
_NUMBER, _ROWS = "mlc:number", "mlc:rows"  # no column of a table is called so


def value_findings(scenario: EventScenario) -> Iterator[Finding]:
    """Report numbers and texts that count as missing, and how many rows have them."""
    for name, table in scenario.data.tables.items():
        frame = scan_table(scenario, name)
        used = [c for c in frame.collect_schema() if not isinstance(table.encoders.get(c), Ignore)]
        yield from _number_findings(scenario, name, frame.select(used))
        own = [table.entity or scenario.data.entity] if isinstance(table, EventsTable) else []
        own += [table.key] if isinstance(table, EntitiesTable) else []
        if scenario.has_target and name == scenario.target.table:
            own += scenario.target.column
        yield from _blank_findings(scenario, name, frame.select(c for c in used if c not in own))
    if scenario.has_target:
        yield from _nameless_findings(scenario)


def _number_findings(scenario: EventScenario, name: str, frame: pl.LazyFrame) -> Iterator[Finding]:
    schema = frame.collect_schema()
    columns = [c for c, dtype in schema.items() if may_be_unusable(dtype)]
    if not columns:
        return
    counts = frame.select(
        pl.len().alias(_ROWS),
        *(
            (number_expr(pl.col(c), schema[c]).is_null() & pl.col(c).cast(pl.Float64).is_not_nan())
            .sum()
            .alias(f"large {place}")
            for place, c in enumerate(columns)
        ),
        *(pl.col(c).cast(pl.Float64).is_nan().sum().alias(f"nan {place}") for place, c in enumerate(columns)),
    )
    row = counts.collect(engine="streaming").row(0, named=True)
    say, field = Subject(scenario, "tables"), ("data", "tables", name)
    for place, column in enumerate(columns):
        large, undefined = row[f"large {place}"] or 0, row[f"nan {place}"] or 0
        if large:
            yield say(
                "warning",
                field,
                f"{large:,} of {row[_ROWS]:,} rows in {name} have a {column} that is infinite or beyond "
                f"±{LARGEST:.0e}: it counts as missing",
                "mend the source; a quotient by zero is infinite: guard it with nullif(divisor, 0)",
            )
        if undefined:
            yield say(
                "note",
                field,
                f"{undefined:,} of {row[_ROWS]:,} rows in {name} have NaN as {column}: it counts as missing",
                "nothing, where NaN means that the number is not known",
            )


def _blank_findings(scenario: EventScenario, name: str, frame: pl.LazyFrame) -> Iterator[Finding]:
    columns = [c for c, dtype in frame.collect_schema().items() if dtype == pl.String]
    if not columns:
        return
    row = frame.select(pl.len().alias(_ROWS), *(is_blank(pl.col(c)).sum() for c in columns))
    counts = row.collect(engine="streaming").row(0, named=True)
    blank = [f"{column} ({counts[column]:,})" for column in columns if counts[column]]
    if blank:
        yield Subject(scenario, "tables")(
            "note",
            ("data", "tables", name),
            f"empty or blank text of {name} counts as missing, by column and rows of {counts[_ROWS]:,}: "
            f"{listed(blank)}",
            "nothing, where an empty text means that the value is not known",
        )


def _nameless_findings(scenario: EventScenario) -> Iterator[Finding]:
    """Events whose label is an empty or blank text."""
    target = scenario.target
    frame = scan_events(scenario, target.table)
    schema = frame.collect_schema()
    for column in target.column:
        dtype, value = schema[column], pl.col(column)
        if dtype.is_nested():
            names = value.cast(pl.List(pl.String))
        elif not isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
            continue
        else:
            text = value.cast(pl.String)
            names = pl.concat_list(text) if target.separator is None else text.str.split(target.separator)
        blank = names.list.drop_nulls().list.eval(is_blank(pl.element()))
        rows, some, whole = (
            frame.select(pl.len(), blank.list.any().sum().alias("some"), _all(blank).sum().alias("all"))
            .collect(engine="streaming")
            .row(0)
        )
        say = Subject(scenario, "labels")
        if whole:
            yield say(
                "warning" if whole > _FEW * rows else "note",
                "target.column",
                f"{whole:,} of {rows:,} events in {target.table} have an empty or blank {column}, which is "
                "no label",
                "nothing, where these events have no label; otherwise fill it in the source",
            )
        if some > whole:
            yield say(
                "note",
                "target.column",
                f"{some - whole:,} of {rows:,} events in {target.table} have an empty or blank name among "
                f"others in {column}, which is no label",
                "nothing: such names are left out",
            )


def _all(blank: pl.Expr) -> pl.Expr:
    """Whether a list has names and all of them are blank."""
    return blank.list.all() & (blank.list.len() > 0)


def alike_findings(scenario: EventScenario, store: EventStore) -> Iterator[Finding]:
    """Report ids and categories that differ only in form.

    That is Unicode form, invisible characters, space around, or case.
    """
    say = Subject(scenario, "tables")
    if store.entity_ids.dtype == pl.String:
        column = f"{scenario.data.entity}"
        yield from _alike(say, "data.entity", f"ids of {column}", store.entity_ids)
        yield from _long(say, "data.entity", f"ids of {column}", store.entity_ids)
    for field in (*store.event_fields, *store.entity_fields):
        if field.kind == "category":
            values = pl.Series(ENTITY_ID, store.values(field.name), dtype=pl.String)
            place = _place(field)
            yield from _alike(say, place, f"values of {field.name}", values)
            yield from _long(say, place, f"values of {field.name}", values)


def _place(field: Field) -> tuple[str, ...]:
    return ("data", "tables", field.name.split(".", 1)[0])


def _alike(say: Subject, field: str | tuple[str, ...], what: str, values: pl.Series) -> Iterator[Finding]:
    """Yield groups of values that look the same, then groups that differ in case."""
    text, same = pl.col("value"), pl.col("same")
    every = values.rename("value").to_frame()
    is_plain = text.str.contains(_PLAIN)
    plain = every.filter(is_plain).with_columns(text.str.strip_chars(" ").alias("same"))
    odd = every.filter(~is_plain).with_columns(visible_expr(text).alias("same"))  # this takes long
    frame = pl.concat([plain, odd]).with_columns(same.str.to_lowercase().alias("lower"))
    frame = frame.filter(pl.col("lower").is_duplicated())
    forms = frame.group_by("same").agg(text)
    cases = frame.group_by("same").agg(text.min(), pl.col("lower").first()).group_by("lower").agg(text)
    for severity, difference, groups in (
        ("warning", "Unicode form, invisible characters or space around", forms),
        ("note", "upper and lower case", cases),
    ):
        count, examples = _spelled(groups.filter(text.list.len() > 1))
        if count:
            yield say(
                cast(Severity, severity),
                field,
                f"{count:,} of {len(values):,} {what} differ from another only in {difference}: {examples}",
                "text is compared as it is: write them alike in the source where they are one thing",
            )


def _spelled(alike: pl.DataFrame) -> tuple[int, str]:
    """How many values the groups have, and the first few of them, spelled out."""
    first = alike.select(pl.col("value").list.sort()).sort(pl.col("value").list.first()).head(_SHOWN)
    groups = [" and ".join(_clipped(value) for value in group[:_SHOWN]) for group in first["value"].to_list()]
    left = alike.height - len(groups)
    return int(alike["value"].list.len().sum()), ", ".join(groups) + (f" and {left:,} more" if left else "")


def _clipped(value: str) -> str:
    """A value spelled out, both ends of it where it is long."""
    short = value if len(value) <= _CLIPPED else f"{value[: _CLIPPED // 2]}...{value[-_CLIPPED // 2 :]}"
    return spelled_out(short)


def _long(say: Subject, field: str | tuple[str, ...], what: str, values: pl.Series) -> Iterator[Finding]:
    lengths = values.str.len_chars().to_numpy()
    long = int((lengths > _LONG).sum())
    if long:
        yield say(
            "note",
            field,
            f"{long:,} of {len(values):,} {what} have more than {_LONG:,} characters, "
            f"up to {lengths.max():,}",
            "such text is kept whole; leave the column out where it is not a name",
        )
