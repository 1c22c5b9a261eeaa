"""Rows and columns that are not what they should be.

Without entity or time, doubled, empty, of nobody.
"""

import re
from collections.abc import Iterator

import polars as pl

from mlc.events.findings.finding import Subject, listed
from mlc.events.findings.joins import EVENTS, likely_cause
from mlc.events.store import EventStore
from mlc.scenario import EventScenario
from mlc.sources import id_expr, null_counts, scan_table
from mlc.tables import ENTITY_ID
from mlc.task import Finding

_ROWS = "mlc:rows"  # no column of a table is called so
_FEW = 0.01
_CODE = re.compile(r"(?i)(^|[_ ])(id|code|key|zip|postcode)$")
_RARELY_BELOW = (0.001, 0.2)  # a larger share of negative numbers is how that quantity is


def table_findings(scenario: EventScenario) -> Iterator[Finding]:
    """Rows that are left out or doubled, and columns without any value.

    One pass per table.
    """
    say = Subject(scenario, "tables")
    for name in scenario.data.tables:
        nulls = _null_counts(scenario, name)
        rows = nulls.pop(_ROWS)
        if not rows:
            continue
        empty = [column for column, count in nulls.items() if count == rows]
        if name in scenario.data.events:
            table = scenario.data.events[name]
            entity = table.entity or scenario.data.entity
            empty = [column for column in empty if column not in (entity, table.time)]
            yield from _lost_rows(scenario, name, rows, nulls)
            yield from _doubled_rows(scenario, name, rows)
            yield from _negative_numbers(scenario, name, rows)
        if empty:
            yield say(
                "warning",
                ("data", "tables", name),
                f"{listed(empty)} of {name} {'have' if len(empty) > 1 else 'has'} no value in any row",
                "mend the source, or leave them out with encoders: {column: ignore}",
            )


def _lost_rows(scenario: EventScenario, name: str, rows: int, nulls: dict[str, int]) -> Iterator[Finding]:
    """Events that are left out: nobody's, or at no time that can be."""
    table, say = scenario.data.events[name], Subject(scenario, "tables")
    entity = table.entity or scenario.data.entity
    _, without_entity, without_time = null_counts(scenario, name)
    for what, column in (("entity", entity), ("time", table.time)):
        if nulls[column]:
            yield say(
                "warning" if nulls[column] > _FEW * rows else "note",
                ("data", "tables", name, what),
                f"{nulls[column]:,} of {rows:,} rows in {name} have no {what} and are left out",
                f"fill {column} in the source, where these events belong to somebody"
                if what == "entity"
                else f"fill {column} in the source",
            )
    blank, odd = without_entity - nulls[entity], without_time - nulls[table.time]
    if blank:
        yield say(
            "warning",
            ("data", "tables", name, "entity"),
            f"{blank:,} of {rows:,} rows in {name} have an empty or blank {entity}, which is no id, and are "
            "left out",
            f"fill {entity} in the source, where these events belong to somebody",
        )
    if odd:
        yield say(
            "warning",
            ("data", "tables", name, "time"),
            f"{odd:,} of {rows:,} rows in {name} have a {table.time} outside the years 1678 to 2261, which "
            "is no time, and are left out",
            f"years such as 1 and 9999 often stand for no date: mend {table.time} in the source if not",
        )


def _null_counts(scenario: EventScenario, name: str) -> dict[str, int]:
    """Rows, and rows without a value by column."""
    counts = scan_table(scenario, name).select(pl.len().alias(_ROWS), pl.all().null_count())
    return {
        column: int(count) for column, count in counts.collect(engine="streaming").row(0, named=True).items()
    }


def _doubled_rows(scenario: EventScenario, name: str, rows: int) -> Iterator[Finding]:
    """Rows that are equal in all columns: often a file that was loaded twice."""
    frame = scan_table(scenario, name)
    schema = frame.collect_schema()
    if len(schema) < 3 or any(dtype.is_nested() for dtype in schema.dtypes()):
        return
    distinct = frame.select(pl.struct(pl.all()).hash().n_unique()).collect().item()
    doubled = rows - int(distinct)
    if doubled <= 0:
        return
    counting = scenario.target.rule.kind in ("count_at_least", "sum_at_least")
    counted = counting and name == scenario.target.table
    yield Subject(scenario, "tables")(
        "warning" if counted or doubled > 0.1 * rows else "note",
        ("data", "tables", name),
        f"{doubled:,} of {rows:,} rows in {name} repeat another row in all columns",
        ("the rule counts them twice: " if counted else "they count twice in the history: ")
        + "remove them in the source if they are not real",
    )


def _negative_numbers(scenario: EventScenario, name: str, rows: int) -> Iterator[Finding]:
    """A few numbers below zero among many above.

    Mostly returns, which are events like any other.
    """
    schema = scan_table(scenario, name).collect_schema()
    numbers = [column for column, dtype in schema.items() if dtype.is_numeric()]
    if name != scenario.target.table or not numbers:
        return
    below = scan_table(scenario, name).select((pl.col(numbers) < 0).sum()).collect(engine="streaming")
    for column, count in below.row(0, named=True).items():
        if _RARELY_BELOW[0] * rows <= count <= _RARELY_BELOW[1] * rows and count:
            yield Subject(scenario, "tables")(
                "note",
                ("data", "tables", name),
                f"{count:,} of {rows:,} rows in {name} have a negative {column}",
                "if these are returns or corrections, they count as events with their label all the same: "
                f'leave them out with where: "{column} > 0", in the table or in the rule',
            )


def entity_findings(scenario: EventScenario, store: EventStore) -> Iterator[Finding]:
    """Entities with events that an entities table does not know."""
    say = Subject(scenario, "tables")
    events = store.entity_ids.to_frame(ENTITY_ID).with_columns(pl.lit(1).alias(EVENTS))
    for name, table in scenario.data.entities.items():
        frame = scan_table(scenario, name)
        key = id_expr(table.key, events.schema[ENTITY_ID]).alias(ENTITY_ID)
        known = frame.select(key).drop_nulls().unique().collect()
        lost = events.join(known, on=ENTITY_ID, how="anti").sort(ENTITY_ID)
        if not lost.height:
            continue
        cause = likely_cause(lost, known)
        share = lost.height / events.height
        keys = ", ".join(map(repr, lost[ENTITY_ID].head(3).to_list()))
        whole = f"{lost.height:,} of {events.height:,} entities ({share:.0%})"
        message = f"{whole} have no row in {name}, such as {keys}"
        yield say(
            "warning" if cause or lost.height == events.height else "note",
            ("data", "tables", name, "key"),
            f"{message}; {cause.found}" if cause else message,
            "write the keys alike in both tables"
            if cause
            else "add their rows, or expect less of the attributes: for these they are missing",
        )


def code_findings(scenario: EventScenario, store: EventStore) -> Iterator[Finding]:
    """Report numbers that are names.

    The model would take merchant 7 for something less than merchant 8.
    """
    for field in (*store.event_fields, *store.entity_fields):
        name, column = field.name.split(".", 1)
        table = scenario.data.tables[name]
        if field.kind == "number" and column not in table.encoders and _CODE.search(column):
            yield Subject(scenario, "tables")(
                "note",
                ("data", "tables", name),
                f"{column} of {name} enters the model as a number, though its name is that of a code",
                f"if it tells one thing from another: encoders: {{{column}: category}}, or ignore",
            )
