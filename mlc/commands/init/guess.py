"""What tables seem to be, for `mlc init`: who acts, when, what is joined to what.

Every guess keeps its reasons and what else it could have been; nothing here is used by a later step.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from mlc.commands.init.texts import keep_matching, text_format, text_types
from mlc.errors import DataError, MlcError, Problem, did_you_mean, sentences
from mlc.scenario import EventScenario
from mlc.sources import (
    Reading,
    converted_expr,
    file_problems,
    offsets_of,
    read_time,
    reading,
    scan_table,
)

_ACTORS = re.compile(
    r"customer|client|user|member|household|card|account|patient|person|subject|entity|visitor|subscriber|"
    r"employee|student|player|device|driver|borrower|guest|shopper|vehicle"
)
_THINGS = re.compile(
    r"product|item|article|stock|sku|merchant|store|shop|category|code|type|invoice|order|basket|transaction|"
    r"session|event|campaign|coupon|department|brand|dest|origin|name|description|row|index"
)
_SAYS_NOTHING = {"", "part", "data", "file", "chunk", "shard", "export"}
_TIME_NAME = re.compile(r"(?i)time|date|day|stamp|epoch|moment|when|(^|_)(ts|at|on)$")
_FEWEST_ENTITIES = 10
_LEAST_MATCH = 0.5
_LEAST_VALUE_MATCH = 0.9


@dataclass(frozen=True)
class Column:
    """A column as its table has it; `distinct` counts values other than null."""

    name: str
    dtype: pl.DataType
    distinct: int
    nulls: int

    @property
    def family(self) -> str:
        """`integer` and `text` can name things; columns of two families never match."""
        if self.dtype.is_integer():
            return "integer"
        return "text" if isinstance(self.dtype, pl.String | pl.Categorical | pl.Enum) else str(self.dtype)

    @property
    def names_things(self) -> bool:
        """Whether it can be a key or an entity."""
        return self.family in ("integer", "text")

    @property
    def is_time(self) -> bool:
        """A date or a datetime."""
        return isinstance(self.dtype, pl.Date | pl.Datetime)


@dataclass(frozen=True)
class Seen:
    """A table that was looked at.

    Attributes:
        name: Its name.
        path: Its file, folder or glob.
        frame: Its rows, moments read.
        rows: How many there are.
        columns: Its columns by name.
        times: Columns of text or numbers that hold moments → the types that read them.
        written: Its `format` and `types` where its files need them.
    """

    name: str
    path: Path
    frame: pl.LazyFrame
    rows: int
    columns: Mapping[str, Column]
    times: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)

    def is_key(self, column: str) -> bool:
        """Each value stands once."""
        values = self.columns[column]
        return values.names_things and 0 < values.distinct == self.rows - values.nulls

    @property
    def time(self) -> str | None:
        """The likeliest time of an event: few nulls, datetimes before dates."""
        times = [c for c in self.columns.values() if c.is_time and c.nulls * 2 <= self.rows]
        ranked = sorted(times, key=_time_rank)
        return ranked[0].name if ranked else None


@dataclass(frozen=True)
class Candidate:
    """A column that may name the entity."""

    column: str
    table: str
    distinct: int
    days: float
    score: float


@dataclass(frozen=True)
class Join:
    """A dimension's key and the events' column that holds it; `matched` counts events."""

    dimension: str
    column: str
    key: str
    matched: int
    by_values: bool


@dataclass
class Guess:
    """What the tables are.

    Attributes:
        entity: The column that names the entity.
        other_entities: Other columns it could be, best first.
        events: Events table → its joins.
        entities: Entities table → its key and how many entities have a row there.
        dimensions: Dimension → key.
        remarks: Sentences for the file: what was left out and why, other joins.
    """

    entity: str
    other_entities: Sequence[Candidate]
    events: dict[str, list[Join]] = field(default_factory=dict)
    entities: dict[str, tuple[str, int]] = field(default_factory=dict)
    dimensions: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def order(self) -> list[str]:
        """The tables in the order of the file: events, dimensions, entities."""
        return [*self.events, *self.dimensions, *self.entities]


def look_at(paths: Sequence[Path]) -> dict[str, Seen]:
    """Open every table and count its rows, values and nulls.

    Raises:
        MlcError: Two tables would have one name, or a file cannot be read; all at once.
    """
    named: dict[str, Path] = {}
    for path in paths:
        name = _table_name(path)
        if name in named:
            raise MlcError(f"two tables have the name {name}: {named[name]} and {path}. Rename one file.")
        named[name] = path
    raw: dict[str, dict[str, Any]] = {
        name: {"kind": "events", "path": str(path.absolute()), "time": "?"} for name, path in named.items()
    }
    for find in (text_format, text_types):
        opened = scenario_of({"entity": "?", "tables": raw}, next(iter(named)), "?", 1)
        raw = {name: table | find(opened, name) for name, table in raw.items()}
    opened = scenario_of({"entity": "?", "tables": raw}, next(iter(named)), "?", 1)
    keep_matching(raw, opened)
    opened = scenario_of({"entity": "?", "tables": raw}, next(iter(named)), "?", 1)
    profiles: dict[str, Seen] = {}
    problems: list[Problem] = []
    for name, path in named.items():
        try:
            faults = file_problems(opened, name)
            if faults:
                raise DataError(faults)
            with reading(opened, name):
                profile = _profile(name, path, scan_table(opened, name))
            profiles[name] = _with_written(profile, _written(raw[name]))
        except DataError as error:
            problems += [Problem(p.rule, location=str(path)) for p in error.problems]
    if problems:
        raise DataError(problems)
    return profiles


def _table_name(path: Path) -> str:
    """Return the name of a folder or file, or what numbered files have in common."""
    stem = path.name if path.is_dir() else path.name.split(".")[0]
    if "*" in stem:
        start = stem.split("*")[0].rstrip("0123456789_-. ")
        stem = path.parent.name if start.lower() in _SAYS_NOTHING else start
    return re.sub(r"\W+", "_", stem).strip("_") or "table"


def _written(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name in ("format", "types")}


def scenario_of(data: Mapping[str, Any], table: str, column: str, window_days: int) -> EventScenario:
    """A scenario that was never a file, to ask the sources with."""
    target = {"table": table, "column": column, "class_names": {"top": 1}, "window_days": window_days}
    return EventScenario.model_validate({"name": "init", "data": data, "target": target})


def _with_written(table: Seen, written: dict[str, Any]) -> Seen:
    """Return the table with the format and types that its files need."""
    types = dict(written.get("types", {}))
    for column, readings in table.times.items():
        kind = readings[0].kind.model_dump(exclude_none=True)
        types[column] = kind if len(kind) > 1 else kind["kind"]
    return replace(table, written={**written, "types": types} if types else written)


def _profile(name: str, path: Path, frame: pl.LazyFrame) -> Seen:
    times = dict(_written_times(frame))
    frame = frame.with_columns(
        converted_expr(column, frame.collect_schema()[column], kind, offsets_of(frame, column, kind))
        for column, kind in ((column, readings[0].kind) for column, readings in times.items())
    )
    schema = frame.collect_schema()
    counted = [c for c, dtype in schema.items() if not dtype.is_nested() and not dtype.is_float()]
    row = (
        frame.select(
            pl.len().alias("rows"),
            *(pl.col(c).drop_nulls().n_unique().alias(f"{i} distinct") for i, c in enumerate(counted)),
            *(pl.col(c).null_count().alias(f"{i} nulls") for i, c in enumerate(counted)),
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    columns = {
        c: Column(c, schema[c], row[f"{i} distinct"], row[f"{i} nulls"]) for i, c in enumerate(counted)
    }
    return Seen(name, path, frame, row["rows"], columns, times)


def _written_times(frame: pl.LazyFrame) -> Iterator[tuple[str, list[Reading]]]:
    """Yield the columns of text or numbers that hold times."""
    schema = frame.collect_schema()
    if any(isinstance(dtype, pl.Date | pl.Datetime) for dtype in schema.dtypes()):
        return
    for column, dtype in schema.items():
        if dtype == pl.String or (dtype.is_numeric() and _TIME_NAME.search(column)):
            readings = read_time(frame, column)
            if readings and (_TIME_NAME.search(column) or not _is_number(frame, column)):
                yield column, readings


def _is_number(frame: pl.LazyFrame, column: str) -> bool:
    """Whether the first text of a column is a number, such as the code of an article."""
    first = frame.select(pl.col(column).drop_nulls().head(1)).collect()
    return bool(first[column].cast(pl.String).str.contains(r"^[\d\s.]*$").all())


def guess_tables(profiles: Mapping[str, Seen], entity: str | None) -> Guess:
    """Events, entities, dimensions and their joins.

    Args:
        profiles: From `look_at`.
        entity: The entity's column, where the user names it.

    Raises:
        MlcError: No table has a time, or none has the entity more than once.
    """
    timed = {name: table for name, table in profiles.items() if table.time is not None}
    if not timed:
        listed = "; ".join(f"{name} has {_columns_text(table)}" for name, table in profiles.items())
        mend = "Write times as 2024-03-31 or 2024-03-31 12:30:00 in the source. To classify rows, write a"
        mend += " scenario with kind: rows yourself: mlc demo --kind table shows one."
        raise MlcError(f"no table has a column of dates or datetimes: {listed}. {mend}")
    candidates = sorted(_candidates(profiles, timed), key=lambda c: (-c.score, c.column))
    if entity is None:
        if not candidates:
            raise MlcError(
                "no column of a table with times has the same entities on several days. "
                "Name the one with the entities: --entity COLUMN."
            )
        entity = candidates[0].column
    others = [c for c in candidates if c.column != entity]
    guess = Guess(entity, list({c.column: c for c in reversed(others)}.values())[::-1])
    _choose_events(guess, timed)
    if not guess.events:
        known = {c for table in timed.values() for c in table.columns}
        rule = "no table with times has such a column with each value several times"
        raise MlcError(f"--entity {entity}: {sentences(rule, did_you_mean(entity, known))}")
    _choose_entities(guess, profiles)
    _choose_joins(guess, profiles)
    for name, table in profiles.items():
        if name not in guess.events and name not in guess.entities and name not in guess.dimensions:
            guess.remarks.append(f"{table.path.name} is left out: {_why_left_out(guess, profiles, table)}")
    return guess


def _candidates(profiles: Mapping[str, Seen], timed: Mapping[str, Seen]) -> Iterator[Candidate]:
    keys = {column for table in profiles.values() for column in table.columns if table.is_key(column)}
    for name, table in timed.items():
        for column in table.columns.values():
            if not column.names_things or column.distinct < _FEWEST_ENTITIES:
                continue
            if table.rows - column.nulls < 2 * column.distinct:
                continue
            days = _days_each(table, column.name)
            if days < 1.5:  # an invoice or a basket: several rows, one moment
                continue
            tables = sum(column.name in other.columns for other in timed.values())
            plain_number = (
                column.family == "integer"
                and column.name not in keys
                and not _has_word(column.name, _ACTORS)
                and not re.search(r"(id|no|nr|num|number|key|code)$", column.name.lower())
            )
            if plain_number:  # an age, a week, a quantity
                continue
            score = (
                3.0 * _has_word(column.name, _ACTORS)
                - 2.0 * _has_word(column.name, _THINGS)
                + 1.5 * (column.name in keys)
                + 0.5 * math.log10(column.distinct)
                + 0.5 * (tables - 1)
            )
            yield Candidate(column.name, name, column.distinct, days, score)


def _days_each(table: Seen, column: str) -> float:
    """Mean number of distinct days on which a value of the column occurs."""
    pairs = table.frame.select(pl.col(column), pl.col(table.time or "").cast(pl.Date).alias(":day"))
    days = pairs.drop_nulls().unique().select(pl.len()).collect(engine="streaming").item()
    return float(days) / max(1, table.columns[column].distinct)


def _choose_events(guess: Guess, timed: Mapping[str, Seen]) -> None:
    """Tables with a time in which the entity stands more than once.

    The largest sets type and zone.
    """
    having = [table for table in timed.values() if guess.entity in table.columns]
    having = [table for table in having if not table.is_key(guess.entity)]
    first: Seen | None = None
    for table in sorted(having, key=lambda table: -table.rows):
        entity, moment = table.columns[guess.entity], table.columns[table.time or ""]
        if not entity.names_things:
            guess.remarks.append(f"{table.path.name}: {entity.name} must be text or a whole number: cast it")
            continue
        if first is not None:
            model = first.columns[guess.entity], first.columns[first.time or ""]
            if entity.family != model[0].family:
                guess.remarks.append(
                    f"{table.path.name}: {entity.name} is {entity.family}, in {first.name} {model[0].family}"
                )
                continue
            if _has_zone(moment) != _has_zone(model[1]):
                guess.remarks.append(f"{table.path.name}: its times and those of {first.name} differ in zone")
                continue
        first = first or table
        guess.events[table.name] = []


def _choose_entities(guess: Guess, profiles: Mapping[str, Seen]) -> None:
    events = profiles[next(iter(guess.events))]
    own = events.columns[guess.entity]
    for name, table in profiles.items():
        if name in guess.events:
            continue
        keys = [
            key
            for key in table.columns
            if table.is_key(key)
            and table.columns[key].family == own.family
            and _same_name(own.name, key, name)
        ]
        if keys:
            matched = _matching(events, own.name, table, keys[0])[1]
            if matched:
                guess.entities[name] = (keys[0], matched)


def _choose_joins(guess: Guess, profiles: Mapping[str, Seen]) -> None:
    free = [t for name, t in profiles.items() if name not in guess.events and name not in guess.entities]
    for dimension in free:
        for name, joins in guess.events.items():
            pairs = sorted(
                _possible_joins(profiles[name], dimension, guess.entity),
                key=lambda pair: (pair[0].by_values, -pair[1], pair[0].column),
            )
            fixed = guess.dimensions.get(dimension.name)
            pairs = [pair for pair in pairs if fixed in (None, pair[0].key)]
            if not pairs:
                continue
            best = pairs[0][0]
            events = profiles[name].rows
            if best.matched < _LEAST_MATCH * events:
                guess.remarks.append(
                    f"{name}.{best.column} and {dimension.name}.{best.key} are not joined: "
                    f"only {best.matched:,} of {events:,} events match"
                )
                continue
            guess.dimensions[dimension.name] = best.key
            same = [join.dimension for join in joins if join.column == best.column]
            if same:
                guess.remarks.append(
                    f"{name}.{best.column} joins {' and '.join([*same, dimension.name])}: each gives its own "
                    "columns; remove one if they hold the same"
                )
            joins.append(best)
            guess.remarks += [
                f"{name}: {dimension.name} could be joined by {other.column} instead "
                f"({other.matched:,} of {events:,} events match)"
                for other, _ in pairs[1:3]
                if other.column != best.column and other.matched >= _LEAST_MATCH * events
            ]


def _possible_joins(events: Seen, dimension: Seen, entity: str) -> Iterator[tuple[Join, int]]:
    """Joins of two tables with how many values match.

    By name, else by values of text that are no numbers.
    """
    keys = [key for key in dimension.columns if dimension.is_key(key)]
    columns = [c for c in events.columns.values() if c.names_things and c.name not in (entity, events.time)]
    pairs = [(c, k) for c in columns for k in keys if c.family == dimension.columns[k].family]
    named = [(c, k) for c, k in pairs if c.name == k] or [
        (c, k) for c, k in pairs if _same_name(c.name, k, dimension.name)
    ]
    for column, key in named:
        matched, values = _matching(events, column.name, dimension, key)
        yield Join(dimension.name, column.name, key, matched, False), values
    for column, key in [] if named else pairs:
        if column.family == "text" and 2 <= column.distinct <= dimension.rows and _is_wordy(dimension, key):
            matched, values = _matching(events, column.name, dimension, key)
            if values >= _LEAST_VALUE_MATCH * column.distinct:
                yield Join(dimension.name, column.name, key, matched, True), values


def _matching(events: Seen, column: str, dimension: Seen, key: str) -> tuple[int, int]:
    """How many events find a row, and how many different values."""
    counts = events.frame.select(pl.col(column).alias("key")).drop_nulls().group_by("key").len()
    schema = counts.collect_schema()
    rows = dimension.frame.select(pl.col(key).cast(schema["key"], strict=False).alias("key"))
    totals = counts.join(rows, on="key", how="semi").select(pl.col("len").sum(), pl.len().alias("values"))
    matched, values = totals.collect(engine="streaming").row(0)
    return int(matched or 0), int(values)


def _is_wordy(table: Seen, key: str) -> bool:
    """Numbers, written as text or not, match by accident."""
    text = pl.col(key).cast(pl.String)
    digits = table.frame.select(text.str.contains(r"^[\d.\s-]*$").mean()).collect().item()
    return float(digits or 0.0) < 0.1


def _why_left_out(guess: Guess, profiles: Mapping[str, Seen], table: Seen) -> str:
    if guess.entity in table.columns and table.time is None:
        return f"it has {guess.entity} but no time, and {guess.entity} stands more than once"
    if guess.entity in table.columns:
        return "see above"
    keys = [key for key in table.columns if table.is_key(key)]
    above = [(key, name) for key in keys for name in guess.dimensions if key in profiles[name].columns]
    if above:
        key, name = above[0]
        return f"its key {key} is a column of {name}, no events table has it; join it to {name} beforehand"
    if keys:
        return f"no events table has the values of its key ({', '.join(keys[:3])})"
    shared = [
        f"{column} has {values.distinct:,} values in {table.rows:,} rows"
        for column, values in table.columns.items()
        if any(column in profiles[name].columns for name in guess.events)
    ]
    return "no column names each row once" + (f" ({'; '.join(shared[:3])})" if shared else "")


def _columns_text(table: Seen) -> str:
    return ", ".join(f"{c.name} ({c.dtype})" for c in list(table.columns.values())[:8])


def _has_zone(column: Column) -> bool:
    return isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None


def _has_word(name: str, words: re.Pattern[str]) -> bool:
    return words.search(name.lower()) is not None


def _time_rank(column: Column) -> tuple[bool, bool, int, int]:
    """The lower, the more likely the moment of the event itself."""
    other = re.search(r"(^|_)(birth|end|expir|valid|updat|modif|load|until|due)", column.name.lower())
    return other is not None, isinstance(column.dtype, pl.Date), column.nulls, -column.distinct


def _same_name(column: str, key: str, table: str) -> bool:
    """`article` and `article_id`; `article_id` and the `id` of `articles`."""
    stems = [re.sub(r"[_ ]?(id|key|code|no|nr|num|number)$", "", name.lower()) for name in (column, key)]
    return column.lower() == key.lower() or (
        stems[0] == stems[1] != "" or (stems[1] == "" and stems[0] in (table.lower(), table.lower()[:-1]))
    )
