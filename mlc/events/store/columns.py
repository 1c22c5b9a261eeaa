"""A store from its tables: entities, dimensions, coded events, attributes."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl

from mlc.errors import DataError
from mlc.events.store.appending import append_events, appendable, codes_now
from mlc.events.store.event_store import ROW, EventStore, Field, opened_store
from mlc.events.store.fields import count_distinct, table_fields, usable_columns
from mlc.events.store.former import Former, data_section, find_former, section_digest
from mlc.events.store.memory import memory_limit
from mlc.events.store.plans import EventsPlan, plan_added, plan_events
from mlc.events.store.sorting import TABLE, EventSorter, final_order, run_rows
from mlc.events.timeline import write_column
from mlc.files.atomic import replacing, write_text
from mlc.files.lock import locked
from mlc.scenario import AnyTable, EventScenario
from mlc.sources import (
    conversion_problems,
    duplicate_keys,
    id_expr,
    join_columns,
    key_expr,
    lost_text_problems,
    number_expr,
    scan_table,
    source_state,
    sources_of,
    text_expr,
)
from mlc.tables import ENTITY_ID, TIME

_BATCH_ROWS = 1 << 17
_BYTES_OF_AN_ID = 800  # measured: what finding an id of 64 characters among its repetitions takes
_ID_SHARE = 3  # of the memory limit: ids that are looked for at one time


def store_fingerprint(scenario: EventScenario) -> str:
    """Return a text that changes with the data section and the rows of its tables.

    It has the size and time of files, the version of lake tables, and the rows of queries.
    """
    digest = blake2b(data_section(scenario).encode(), digest_size=10)
    for name in scenario.data.tables:
        digest.update(json.dumps(list(source_state(scenario, name))).encode())
    return digest.hexdigest()


def open_store(scenario: EventScenario, runs: Path, say: Callable[[str], None]) -> EventStore:
    """The store of the scenario's tables, built when it is not there yet.

    Where files were only added to those of a store that is there, it is made of that store and the new files.

    Args:
        scenario: Checked scenario, its tables checked by `sources.check_tables`.
        runs: The folder of all runs; the store lies in `store/<fingerprint>` there.
        say: Receives a line when the store is built.

    Raises:
        DataError: A value does not fit `types`, a dimension has doubled keys, an events table has no event.
    """
    folder = runs / "store" / store_fingerprint(scenario)
    if not (folder / "store.json").exists():
        with locked(folder, say, "builds the event store"):
            if not (folder / "store.json").exists():  # nobody has built it while this process waited
                _build_at(scenario, folder, say)
    return opened_store(folder)


def _build_at(scenario: EventScenario, folder: Path, say: Callable[[str], None]) -> None:
    """Build the store of the scenario's tables.

    What a builder that was killed left goes.
    """
    for left in folder.parent.glob(f".{folder.name}.*/"):
        shutil.rmtree(left, ignore_errors=True)
    former = find_former(scenario, folder.parent)
    added = former.added if former else None
    problems = [*conversion_problems(scenario, added), *lost_text_problems(scenario)]
    problems = problems or list(duplicate_keys(scenario))
    if problems:
        raise DataError(problems)
    with replacing(folder) as temporary:
        temporary.mkdir(parents=True)
        plans = _build(scenario, temporary, former)
    say("events: " + ", ".join(_story(name, plan) for name, plan in plans.items()))


def _story(name: str, plan: EventsPlan) -> str:
    counts = plan.counts
    dropped = [
        f"{number:,} without {what}"
        for number, what in ((counts.without_entity, "an entity"), (counts.without_time, "a time"))
        if number
    ]
    new = [] if plan.rows == counts.events else [f"{plan.rows:,} of them new"]
    details = [*new, *([f"dropped {' and '.join(dropped)}"] if dropped else [])]
    return f"{name} {counts.events:,}" + (f" ({'; '.join(details)})" if details else "")


def _build(scenario: EventScenario, folder: Path, former: Former | None) -> dict[str, EventsPlan]:
    """Write a whole store into an empty folder."""
    limit = memory_limit(scenario)
    values = _Values(folder)
    keys = {
        name: _write_dimension(scenario, name, index, values, limit)
        for index, name in enumerate(scenario.data.dimensions)
    }
    plans = None
    if former is not None:
        plans = _plans_of_added(scenario, former, keys, limit)
        former = former if plans else None
    if plans is None:
        plans = {name: plan_events(scenario, name, limit) for name in scenario.data.events}
    ids = [plan.frame.select(ENTITY_ID) for plan in plans.values()]
    if former is not None:
        ids.append(former.store.entity_ids.to_frame().lazy())
    entities = _entities(pl.concat(ids), sum(plan.counts.events for plan in plans.values()), limit)
    entities.write_parquet(folder / "entities.parquet")
    _write_events(scenario, folder, plans, entities, keys, values, former, limit)
    event_fields = list(values.fields)
    _write_attributes(scenario, entities, values, limit)
    described = {
        "section": section_digest(scenario),
        "sources": {name: plan.source.as_json() for name, plan in plans.items()},
        "event_fields": [asdict(field) for field in event_fields],
        "entity_fields": [asdict(field) for field in values.fields[len(event_fields) :]],
        "counts": {name: asdict(plan.counts) for name, plan in plans.items()},
        "contents": {
            source.state: source.content
            for name in scenario.data.tables
            for source in sources_of(scenario, name, former.store.contents if former else {})
        },
    }
    write_text(folder / "store.json", json.dumps(described, indent=1, default=str))
    return plans


def _entities(ids: pl.LazyFrame, most: int, limit: int) -> pl.DataFrame:
    """Each id once, in the order of its hash.

    Found in parts of the hashes where memory asks for it.

    Args:
        ids: `entity_id`, each any number of times.
        most: Not more than these are different.
        limit: Bytes of memory.
    """
    key = pl.col(ENTITY_ID).hash(seed=0)
    at_one_time = limit // _ID_SHARE // _BYTES_OF_AN_ID
    if most > at_one_time:
        most = ids.select(key.approx_n_unique()).collect(engine="streaming").item()
    parts = 1 + most // (at_one_time + 1)
    frames = [ids.filter(key % parts == part).unique().collect(engine="streaming") for part in range(parts)]
    return pl.concat(frames).sort(key, ENTITY_ID)


class _Values:
    """The fields found so far, and the dictionaries of the categories among them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fields: list[Field] = []
        self.dtypes: dict[str, np.dtype] = {}
        self.known: dict[str, pl.Series] = {}

    def code(self, field: Field, frame: pl.LazyFrame, column: str, former: Former | None = None) -> pl.Expr:
        """An expression with the numbers or codes of a column.

        Writes the values of a category.

        Args:
            field: How the column enters the model.
            frame: Its rows.
            column: Its name.
            former: A store that knows values already.
        """
        self.fields.append(field)
        if field.kind == "number":
            self.dtypes[field.name] = np.dtype(np.float32)
            number = number_expr(pl.col(column), frame.collect_schema()[column])
            return number.cast(pl.Float32).fill_null(float("nan")).alias(field.name)
        text = text_expr(pl.col(column))
        known = [frame.select(text.alias("value")).unique().drop_nulls()]
        if former is not None:
            known.append(pl.LazyFrame({"value": former.store.values(field.name)}, {"value": pl.String}))
        values = pl.concat(known).unique().sort("value").collect(engine="streaming")
        values.write_parquet(self.folder / f"values.{len(self.fields) - 1}.parquet")
        self.known[field.name] = values["value"]
        narrow = values.height < 255
        self.dtypes[field.name] = np.dtype(np.uint8 if narrow else np.uint32)
        codes = text.cast(pl.Enum(values["value"])).to_physical().cast(pl.UInt32) + 1
        return codes.fill_null(0).cast(pl.UInt8 if narrow else pl.UInt32).alias(field.name)


def _fields(
    name: str, table: AnyTable, frame: pl.LazyFrame, unused: set[str], limit: int
) -> list[tuple[Field, str]]:
    """The fields of a dimension or entities table, each with its column."""
    columns = usable_columns(frame, unused)
    distinct = count_distinct(frame, table, columns, limit)
    return table_fields(name, table, frame.collect_schema(), columns, distinct)


def _write_dimension(
    scenario: EventScenario, name: str, index: int, values: _Values, limit: int
) -> pl.DataFrame:
    """Code the columns of a dimension, row 0 for "no such row".

    Returns its keys with their rows.
    """
    table = scenario.data.dimensions[name]
    frame = scan_table(scenario, name).drop_nulls(table.key)
    start = len(values.fields)
    fields = _fields(name, table, frame, set(table.key), limit)
    codes = [values.code(field, frame, column) for field, column in fields]
    values.fields[start:] = [replace(field, joined_by=name) for field in values.fields[start:]]
    coded = frame.select(*table.key, *codes).collect()
    for field in values.fields[start:]:
        missing = np.nan if field.kind == "number" else 0
        column = coded[field.name].to_numpy()
        write_column(values.folder / "dimensions", field.name, np.insert(column, 0, missing))
    keys = coded.select(table.key)
    keys.write_parquet(values.folder / f"keys.{index}.parquet")
    return keys.with_row_index(ROW, offset=1)


# ── events ──────────────────────────────────────────────────────────────────────────────────────


def _plans_of_added(
    scenario: EventScenario, former: Former, keys: Mapping[str, pl.DataFrame], limit: int
) -> dict[str, EventsPlan] | None:
    """The plans of what was added since a store was made.

    It is None where that store does not help.
    """
    if not appendable(scenario, former, keys):
        return None
    plans = {}
    for name in scenario.data.events:
        plan = plan_added(scenario, name, former, limit)
        if plan is None:
            return None
        plans[name] = plan
    fields = [field for plan in plans.values() for field, _ in plan.fields]
    if fields != [field for field in former.store.event_fields if not field.joined_by]:
        return None
    schema = {**_event_schema(scenario), **{field.name: np.dtype(np.uint32) for field in fields}}
    fits = sum(plan.rows for plan in plans.values()) <= run_rows(schema, limit)
    return plans if fits else None


def _event_schema(scenario: EventScenario) -> dict[str, np.dtype]:
    """The columns of the events that are no fields."""
    tables = scenario.data.events
    joined = {f">{dimension}": np.dtype(np.uint32) for table in tables.values() for dimension in table.joins}
    several = {TABLE: np.dtype(np.uint16)} if len(tables) > 1 else {}
    return {ROW: np.dtype(np.uint32), TIME: np.dtype(np.int64), **several, **joined}


def _write_events(
    scenario: EventScenario,
    folder: Path,
    plans: Mapping[str, EventsPlan],
    entities: pl.DataFrame,
    keys: Mapping[str, pl.DataFrame],
    values: _Values,
    former: Former | None,
    limit: int,
) -> None:
    codes = {
        name: [values.code(field, plan.frame, column, former) for field, column in plan.fields]
        for name, plan in plans.items()
    }
    fields = [field.name for plan in plans.values() for field, _ in plan.fields]
    schema = {**_event_schema(scenario), **{field: values.dtypes[field] for field in fields}}
    rows = entities.with_row_index(ROW)
    frames = [
        _coded_events(scenario, name, plan.frame, rows, keys, codes[name], schema)
        for name, plan in plans.items()
    ]
    if former is not None:
        new = pl.concat(frames).collect(engine="streaming")
        new = new[final_order(new)]
        codes_of = codes_now(scenario, former, keys, values.known)
        append_events(folder, former, new, entities, codes_of, schema, limit)
        return
    sorter = EventSorter(folder, schema, entities.height, limit)
    for frame in frames:
        for batch in frame.collect_batches(chunk_size=_BATCH_ROWS, engine="streaming"):
            sorter.add(batch)
    sorter.write()


def _coded_events(
    scenario: EventScenario,
    name: str,
    frame: pl.LazyFrame,
    entities: pl.DataFrame,
    keys: Mapping[str, pl.DataFrame],
    codes: list[pl.Expr],
    columns: Mapping[str, np.dtype],
) -> pl.LazyFrame:
    """Write the events of one table as codes, with the columns of all tables.

    They are in the order of the files.
    """
    table = scenario.data.events[name]
    schema = frame.collect_schema()
    for dimension in table.joins:
        pairs = join_columns(table, dimension, scenario.data.dimensions[dimension])
        frame = frame.join(
            keys[dimension]
            .lazy()
            .with_columns(key_expr(key, schema[column]) for column, key in pairs)
            .rename({ROW: f">{dimension}"}),
            left_on=[column for column, _ in pairs],
            right_on=[key for _, key in pairs],
            how="left",
            maintain_order="left",
        )
    frame = frame.join(entities.lazy(), on=ENTITY_ID, how="inner", maintain_order="left")
    joined = [pl.col(f">{dimension}").fill_null(0).cast(pl.UInt32) for dimension in table.joins]
    number = pl.lit(list(scenario.data.events).index(name), pl.UInt16).alias(TABLE)
    coded = frame.select(ROW, pl.col(TIME).cast(pl.Int64), number, *joined, *codes)
    there = coded.collect_schema()
    return coded.with_columns(
        pl.lit(_missing(dtype), pl.Series(np.zeros(0, dtype)).dtype).alias(column)
        for column, dtype in columns.items()
        if column not in there  # of another events table
    ).select(list(columns))


def _missing(dtype: np.dtype) -> float:
    return float("nan") if dtype.kind == "f" else 0


# ── entities ────────────────────────────────────────────────────────────────────────────────────


def _write_attributes(scenario: EventScenario, entities: pl.DataFrame, values: _Values, limit: int) -> None:
    """Code the columns of the entities tables, one value for each entity row."""
    for name, table in scenario.data.entities.items():
        frame = scan_table(scenario, name).with_columns(
            id_expr(table.key, entities.schema[ENTITY_ID]).alias(ENTITY_ID)
        )
        own = frame.join(entities.lazy(), on=ENTITY_ID, how="semi")
        start = len(values.fields)
        fields = _fields(name, table, own, {table.key, ENTITY_ID}, limit)
        codes = [values.code(field, own, column) for field, column in fields]
        coded = entities.join(
            own.select(ENTITY_ID, *codes).collect(), on=ENTITY_ID, how="left", maintain_order="left"
        )
        for field in values.fields[start:]:
            missing = _missing(values.dtypes[field.name])
            column = coded[field.name].fill_null(missing).to_numpy()
            write_column(values.folder / "attributes", field.name, column)
