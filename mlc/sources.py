"""Tables of a scenario as Polars queries: found, checked as a whole, filtered, joined.

To add a source: a config class in `mlc.scenario`, one `case` in `_scan_files`, one test.
"""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import polars as pl

from mlc.errors import DataError, Problem, did_you_mean
from mlc.scenario import AnyTable, Csv, DimensionTable, EntitiesTable, EventsTable, Number, Parquet, Scenario
from mlc.tables import ENTITY_ID, TIME

_ENDINGS = {".parquet": "parquet", ".pq": "parquet"} | dict.fromkeys((".csv", ".tsv", ".txt", ".gz"), "csv")
POLARS_ERRORS = (pl.exceptions.PolarsError, OSError)
"""What Polars raises for files and expressions that do not fit."""


def files_of(scenario: Scenario, name: str) -> list[Path]:
    """The files of a table, sorted; a cloud URL is returned as it is.

    Raises:
        DataError: There is no such file.
    """
    table = scenario.data.tables[name]
    path = scenario.path(table.path)
    if "://" in table.path:
        return [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in _ENDINGS and not _hidden(p, path))
    elif path.is_file():
        files = [path]
    else:  # brackets and stars of the scenario's own folder are letters
        pattern = os.path.join(glob.escape(str(scenario.origin.base)), table.path)  # noqa: PTH118
        files = sorted(p.parent.resolve() / p.name for p in map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
        files = [file for file in files if file.is_file()]
    if not files:
        rule = f"a file must be at {path}, however: there is none; {_nearby(path)}"
        raise DataError(scenario.problem(("data", "tables", name, "path"), rule))
    return files


def _nearby(path: Path) -> str:
    """What lies where a file was looked for."""
    if path.is_dir():
        return f"the folder has no file that ends in {', '.join(_ENDINGS)}"
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return (
        did_you_mean(path.name, beside) if beside else f"the folder {path.parent} does not exist or is empty"
    )


def _hidden(path: Path, folder: Path) -> bool:
    """Temporary files of writers begin with a dot or an underscore."""
    return any(part[0] in "._" for part in path.relative_to(folder).parts)


def scan_table(scenario: Scenario, name: str) -> pl.LazyFrame:
    """The rows of a table for which its `where` is true, with the table's own columns.

    Raises:
        DataError: A file is missing, or is not in the format it should have.
    """
    frame, where = _scan_all(scenario, name), scenario.data.tables[name].where
    return frame if where is None else frame.filter(pl.sql_expr(where))


def _scan_all(scenario: Scenario, name: str) -> pl.LazyFrame:
    """All rows of a table, whatever its `where` says."""
    table = scenario.data.tables[name]
    files = files_of(scenario, name)
    try:
        frame = _scan_files(table, files)
        frame.collect_schema()
    except POLARS_ERRORS as error:
        kind = _format_of(table, files).kind.capitalize()
        rule = f"must be {kind} files of one shape, however: {_first_line(error)} ({files[0]})"
        raise DataError(scenario.problem(("data", "tables", name, "path"), rule)) from None
    return frame


def _format_of(table: AnyTable, files: list[Path]) -> Parquet | Csv:
    if table.format is not None:
        return table.format
    suffix = files[0].suffix.lower()
    if _ENDINGS.get(suffix) == "csv":
        return Csv(separator="\t" if suffix == ".tsv" else ",")
    return Parquet()


def _scan_files(table: AnyTable, files: list[Path]) -> pl.LazyFrame:
    # A `Path` would merge the slashes of a URL.
    paths, cloud = ([table.path], True) if "://" in table.path else ([str(file) for file in files], False)
    match _format_of(table, files):
        case Parquet():
            return pl.scan_parquet(paths, glob=cloud)
        case Csv(separator=separator, null_values=null_values):
            return pl.scan_csv(
                paths,
                separator=separator,
                null_values=null_values,
                try_parse_dates=True,
                infer_schema_length=10_000,
                glob=cloud,
            )
        case unreachable:
            assert_never(unreachable)


def join_columns(table: EventsTable, dimension: str, keys: DimensionTable) -> list[tuple[str, str]]:
    """Pairs of (column of the events, key column of the dimension)."""
    return list(zip(table.joins[dimension], keys.key, strict=True))


def scan_events(scenario: Scenario, name: str, dimensions: list[str] | None = None) -> pl.LazyFrame:
    """An events table in the shape of the timeline, not sorted.

    Args:
        scenario: Checked scenario.
        name: An events table.
        dimensions: The joined tables whose columns are wanted; all by default.

    Returns:
        `entity_id` and `time` (microseconds, UTC or without zone), never null, then the table's own columns,
        then the joined ones as `dimension.column`. Events without a row in a dimension keep nulls there. Rows
        keep the order of the files.
    """
    table = scenario.data.events[name]
    frame = scan_table(scenario, name)
    schema = frame.collect_schema()
    for dimension in table.joins if dimensions is None else dimensions:
        pairs = join_columns(table, dimension, scenario.data.dimensions[dimension])
        keys = [key for _, key in pairs]
        rows = scan_table(scenario, dimension).unique(keys, keep="first", maintain_order=True)
        frame = frame.join(
            rows.with_columns(key_expr(key, schema[column]) for column, key in pairs).rename(
                {column: f"{dimension}.{column}" for column in rows.collect_schema()}
            ),
            left_on=table.joins[dimension],
            right_on=[f"{dimension}.{key}" for key in keys],
            how="left",
            coalesce=False,
            maintain_order="left",
        )
    entity = table.entity or scenario.data.entity
    frame = frame.with_columns(
        time_expr(table.time, schema[table.time]).alias(TIME),
        entity_expr(entity, schema[entity]).alias(ENTITY_ID),
    )
    return frame.filter(pl.col(TIME).is_not_null(), pl.col(ENTITY_ID).is_not_null())


def key_expr(key: str, dtype: pl.DataType) -> pl.Expr:
    """A key of a dimension in the type of the events' column, null where that type cannot hold it.

    So a key of another integer width, or Categorical beside text, still matches.
    """
    return pl.col(key).cast(dtype, strict=False)


def time_expr(column: str, dtype: pl.DataType) -> pl.Expr:
    """A time column as naive datetime in microseconds; a date is its midnight, a zone is converted to UTC."""
    moment = pl.col(column)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        moment = moment.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return moment.cast(pl.Datetime("us"))


def entity_expr(column: str, dtype: pl.DataType) -> pl.Expr:
    """An entity column as text or as a 64-bit integer."""
    return pl.col(column).cast(pl.Int64 if dtype.is_integer() else pl.String)


def rule_expr(scenario: Scenario, where: str) -> pl.Expr:
    """A SQL expression on events, in which a joined column may be written with or without quotes.

    Examples:
        `articles.price > 5` and `"articles.price" > 5` mean the same.
    """
    names = "|".join(re.escape(name) for name in scenario.data.dimensions)
    parts = re.split(r"('[^']*'|\"[^\"]*\")", where)
    if names:
        parts[::2] = [re.sub(rf"\b({names})\.(\w+)", r'"\1.\2"', part) for part in parts[::2]]
    return pl.sql_expr("".join(parts))


# ── checks ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class TableSchema:
    """Columns and dtypes of a table as its files have them."""

    name: str
    columns: dict[str, pl.DataType]


def check_tables(scenario: Scenario) -> dict[str, TableSchema]:
    """Find every table and check names and types of the columns that the scenario uses.

    Reads schemas only, no rows.

    Raises:
        DataError: All problems of all tables at once.
    """
    problems: list[Problem] = []
    schemas: dict[str, TableSchema] = {}
    for name in scenario.data.tables:
        try:
            schemas[name] = TableSchema(name, dict(_scan_all(scenario, name).collect_schema()))
            problems += _shape_problems(scenario, name)
        except DataError as error:
            problems += error.problems
    for name, schema in schemas.items():
        problems += _where_problems(scenario, name, schema)
        problems += _column_problems(scenario, name, schema, schemas)
    problems += _entity_type_problems(scenario, schemas)
    problems += _target_problems(scenario, schemas)
    if not problems:
        for field, where in _conditions(scenario):
            problems += _condition_problems(scenario, field, where)
    if problems:
        raise DataError(problems)
    return schemas


def _shape_problems(scenario: Scenario, name: str) -> Iterator[Problem]:
    """Parquet files of one table that differ; Polars would find out in the middle of reading them."""
    table, files = scenario.data.tables[name], files_of(scenario, name)
    if len(files) == 1 or not isinstance(_format_of(table, files), Parquet):
        return
    first = pl.read_parquet_schema(files[0])
    for file in files[1:]:
        try:
            other = pl.read_parquet_schema(file)
        except POLARS_ERRORS as error:
            found = _first_line(error)
        else:
            differing = sorted(c for c in first.keys() | other.keys() if first.get(c) != other.get(c))
            if not differing:
                continue
            here, there = (schema.get(differing[0], "absent") for schema in (other, first))
            found = f"{differing[0]} is {there} in {files[0].name}, {here} here"
        rule = f"must be Parquet files of one shape, however: {found} ({file})"
        yield scenario.problem(("data", "tables", name, "path"), rule)
        return


def _where_problems(scenario: Scenario, name: str, schema: TableSchema) -> Iterator[Problem]:
    where = scenario.data.tables[name].where
    if where is not None:
        try:
            _try_filter(schema.columns, pl.sql_expr(where))
        except POLARS_ERRORS as error:
            rule = f"must be true or false for every row, however: {_first_line(error)}"
            yield scenario.problem(("data", "tables", name, "where"), rule)


def _try_filter(columns: Mapping[str, pl.DataType], where: pl.Expr) -> None:
    """Filter a table without rows: Polars compares types only when it runs."""
    pl.DataFrame(schema=dict(columns)).lazy().filter(where).collect()


def _column_problems(
    scenario: Scenario, name: str, schema: TableSchema, schemas: dict[str, TableSchema]
) -> Iterator[Problem]:
    table = scenario.data.tables[name]
    columns = schema.columns

    def missing(column: str, *field: str) -> Iterator[Problem]:
        if column not in columns:
            yield scenario.problem(
                ("data", "tables", name, *field),
                f"{name} must have a column {column}, however: {did_you_mean(column, columns)}",
            )

    for column, encoder in table.encoders.items():
        yield from missing(column, "encoders", column)
        if isinstance(encoder, Number) and column in columns and not columns[column].is_numeric():
            rule = f"must be a number, however: dtype={columns[column]}"
            yield scenario.problem(("data", "tables", name, "encoders", column), rule)
    match table:
        case EventsTable(time=time, entity=entity, joins=joins):
            yield from missing(time, "time")
            if time in columns:
                yield from _time_problems(scenario, name, time, columns[time])
            yield from missing(entity or scenario.data.entity, *(["entity"] if entity else []))
            yield from _hidden_problems(scenario, name, columns)
            for dimension, keys in joins.items():
                for column in keys:
                    yield from missing(column, "joins", dimension)
                if dimension in schemas and all(column in columns for column in keys):
                    yield from _join_type_problems(scenario, name, dimension, schema, schemas[dimension])
        case DimensionTable(key=keys):
            for column in keys:
                yield from missing(column, "key")
        case EntitiesTable(key=column):
            yield from missing(column, "key")
        case unreachable:
            assert_never(unreachable)


def _time_problems(scenario: Scenario, name: str, column: str, dtype: pl.DataType) -> Iterator[Problem]:
    if isinstance(dtype, pl.Date | pl.Datetime):
        return
    field = ("data", "tables", name, "time")
    mend = "write it as 2024-03-31 or 2024-03-31 12:30:00, or cast it in the source"
    yield scenario.problem(field, f"{column} must be a date or datetime, however: dtype={dtype}; {mend}")


def _hidden_problems(scenario: Scenario, name: str, columns: Mapping[str, pl.DataType]) -> Iterator[Problem]:
    """Columns that the scenario asks for, and that our own `time` and `entity_id` hide."""
    table, target = scenario.data.events[name], scenario.target
    asked = {column for keys in table.joins.values() for column in keys} | set(table.encoders)
    if name == target.table:
        asked |= {*target.columns_used(), *re.findall(r"\w+", target.rule.where or "")}
    for ours, used in ((TIME, table.time), (ENTITY_ID, table.entity or scenario.data.entity)):
        if ours != used and ours in columns and ours in asked:
            rule = f"{name}.{ours} cannot be used, since {used} takes its name; rename it in the source"
            yield scenario.problem(("data", "tables", name), rule)


def _join_type_problems(
    scenario: Scenario, name: str, dimension: str, events: TableSchema, rows: TableSchema
) -> Iterator[Problem]:
    table = scenario.data.events[name]
    for column, key in join_columns(table, dimension, scenario.data.dimensions[dimension]):
        left, right = events.columns[column], rows.columns.get(key)
        if right is not None and _family(left) != _family(right):
            rule = f"{name}.{column} and {dimension}.{key} must have one type, however: {left} and {right}"
            field = ("data", "tables", name, "joins", dimension)
            yield scenario.problem(field, f"{rule}; cast one in the source")


def _family(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "integer"
    return "text" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else str(dtype)


def _entity_type_problems(scenario: Scenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    found: dict[str, tuple[str, str]] = {}
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
            found[name] = (column, _family(dtype))
            if _family(dtype) not in ("integer", "text"):
                yield scenario.problem(
                    ("data", "tables", name),
                    f"{name}.{column} must be text or a whole number, however: dtype={dtype}; cast it",
                )
    if len({family for _, family in found.values()} & {"integer", "text"}) > 1:
        listed = ", ".join(f"{name}.{column} is {family}" for name, (column, family) in found.items())
        yield scenario.problem(
            "data.entity", f"entity ids must have one type, however: {listed}; cast one in the source"
        )
    if len(set(aware.values())) > 1:
        listed = ", ".join(f"{name} {'with' if zone else 'without'}" for name, zone in aware.items())
        yield scenario.problem("data.tables", f"times must all have a zone or none, however: {listed}")
    yield from _moment_problems(scenario, aware)


def _moment_problems(scenario: Scenario, aware: dict[str, bool]) -> Iterator[Problem]:
    examples = scenario.examples
    if any(aware.values()):
        return
    for field in ("validation_from", "test_from", "observed_until"):
        moment = getattr(examples, field)
        if moment is not None and moment.tzinfo is not None:
            yield scenario.problem(
                f"examples.{field}", "must have no time zone, however: it has one and the tables have none"
            )


def _target_problems(scenario: Scenario, schemas: dict[str, TableSchema]) -> Iterator[Problem]:
    target = scenario.target
    for asked, field in target.columns_used().items():
        owner, _, column = asked.rpartition(".") if "." in asked else (target.table, "", asked)
        if owner not in schemas:  # not read: already complained of
            continue
        columns = schemas[owner].columns
        if column not in columns:
            rule = f"{owner} must have a column {column}, however: {did_you_mean(column, columns)}"
            yield scenario.problem(field, rule)
            continue
        dtype = columns[column]
        if field == "target.rule.column":
            if not dtype.is_numeric():
                yield scenario.problem(
                    field, f"{owner}.{column} must be a number, however: dtype={dtype}; cast it in the source"
                )
        elif not _is_label(dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype):
            yield scenario.problem(
                field, f"{owner}.{column} must be text, however: dtype={dtype}; cast it in the source"
            )
        elif target.separator is not None and not isinstance(dtype, pl.String):
            rule = f"has no effect on {asked}, however: dtype={dtype}; leave it out"
            yield scenario.problem("target.separator", rule)


def _is_label(dtype: pl.DataType | pl.datatypes.DataTypeClass) -> bool:
    """Whether values can be read as names without a doubt: 1.0 is no name."""
    return dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)


def _conditions(scenario: Scenario) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where a SQL expression on events stands, and the expression."""
    if scenario.target.rule.where is not None:
        yield ("target", "rule", "where"), scenario.target.rule.where
    for name, spec in (scenario.target.specs or {}).items():
        if spec.where is not None:
            yield ("target", "class_names", name, "where"), spec.where


def _condition_problems(scenario: Scenario, field: tuple[str, ...], where: str) -> Iterator[Problem]:
    try:
        columns = scan_events(scenario, scenario.target.table).collect_schema()
        _try_filter(columns, rule_expr(scenario, where))
    except POLARS_ERRORS as error:
        rule = f"must be true or false for every event, however: {_first_line(error)}"
        yield scenario.problem(field, rule)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


# ── counts for `mlc check` ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class JoinRate:
    """How many events find their row in a dimension."""

    table: str
    dimension: str
    events: int
    matched: int
    unmatched_keys: tuple[str, ...]


def join_rates(scenario: Scenario) -> list[JoinRate]:
    """Match rate of every join, with up to five keys that do not match, the most frequent first."""
    rates = []
    for name, table in scenario.data.events.items():
        for dimension in table.joins:
            keys = scenario.data.dimensions[dimension]
            columns = table.joins[dimension]
            counts = scan_table(scenario, name).group_by(columns).len(name="events")
            schema = counts.collect_schema()
            known = scan_table(scenario, dimension).select(
                key_expr(key, schema[column]) for column, key in join_columns(table, dimension, keys)
            )
            lost = (
                counts.join(known, left_on=columns, right_on=keys.key, how="anti")
                .sort(["events", *columns], descending=[True] + [False] * len(columns))
                .collect()
            )
            total = int(counts.select(pl.col("events").sum()).collect().item() or 0)
            shown = tuple(
                "/".join("null" if v is None else str(v) for v in row[:-1])
                for row in lost.head(5).iter_rows()
            )
            rates.append(JoinRate(name, dimension, total, total - int(lost["events"].sum()), shown))
    return rates


def duplicate_keys(scenario: Scenario) -> Iterator[Problem]:
    """Keys that stand more than once in a dimension or entities table."""
    for name, table in scenario.data.tables.items():
        if isinstance(table, EventsTable):
            continue
        keys = table.key if isinstance(table, DimensionTable) else [table.key]
        doubled = (
            scan_table(scenario, name)
            .drop_nulls(keys)
            .group_by(keys)
            .len()
            .filter(pl.col("len") > 1)
            .sort(keys)
            .collect()
        )
        if doubled.height:
            shown = ", ".join("/".join(str(v) for v in row[:-1]) for row in doubled.head(3).iter_rows())
            rule = f"each key must stand once in {name}, however: {doubled.height} stand more often ({shown})"
            field = ("data", "tables", name, "key")
            yield scenario.problem(field, f"{rule}; remove the doubles, or add a where")


def null_counts(scenario: Scenario, name: str) -> tuple[int, int, int]:
    """Rows of an events table, rows without an entity, rows without a time."""
    table = scenario.data.events[name]
    entity = table.entity or scenario.data.entity
    row = (
        scan_table(scenario, name)
        .select(
            pl.len(),
            pl.col(entity).is_null().sum().alias("entity"),
            pl.col(table.time).is_null().sum().alias("time"),
        )
        .collect()
        .row(0)
    )
    return int(row[0]), int(row[1]), int(row[2])
