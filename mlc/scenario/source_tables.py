"""The tables of a scenario: where and what they are, and their columns."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from mlc.scenario.database import DatabaseUri
from mlc.scenario.fields import (
    Count,
    FilePath,
    MemorySize,
    OneOrMany,
    Section,
    Text,
    distinct,
    kind_from_text,
)
from mlc.scenario.row_sql import row_sql

RowSql = Annotated[Text, AfterValidator(row_sql)]
"""A SQL expression that looks at one row at a time."""


class Parquet(Section):
    """Parquet files."""

    kind: Literal["parquet"] = "parquet"


class Csv(Section):
    """Text files with a header line."""

    kind: Literal["csv"] = "csv"
    separator: Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[\x01-\x7f]$")] = ","
    """One character between two values."""
    null_values: list[str] = Field(default=[""])
    """Texts that mean "no value"."""
    encoding: Literal["utf-8", "latin-1", "cp1252", "utf-16"] = "utf-8"
    """Encoding of the text; Excel often writes `cp1252`. All but `utf-8` are converted in memory."""


class Arrow(Section):
    """Arrow IPC files, also called Feather."""

    kind: Literal["arrow"] = "arrow"


class Ndjson(Section):
    """Text files with one JSON object per line."""

    kind: Literal["ndjson"] = "ndjson"


class Delta(Section):
    """A Delta Lake table: `path` is its folder. Needs `pip install 'mlc[delta]'`."""

    kind: Literal["delta"] = "delta"


class Iceberg(Section):
    """An Iceberg table: `path` is a `metadata/*.metadata.json`, or its folder.

    The folder needs a version hint. Needs `pip install 'mlc[iceberg]'`.
    """

    kind: Literal["iceberg"] = "iceberg"


class Sql(Section):
    """The result of a query on a database, instead of a `path`.

    It is read once, into memory.
    """

    kind: Literal["sql"]
    uri: DatabaseUri
    """The database: `sqlite:///shop.db`, `duckdb:///shop.duckdb`, `postgresql://me:${PASSWORD}@host/shop`.
    Three slashes and a path relative to the YAML file, or four and an absolute one. `${NAME}` is taken from
    the environment and written nowhere. DuckDB needs `pip install 'mlc[duckdb]'`, PostgreSQL
    `mlc[postgres]`."""
    query: Text
    """One SELECT that touches nothing else: `SELECT customer_id, day, product FROM sales`."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 600
    """Stop the query after this many seconds."""


Format = Annotated[Parquet | Csv | Arrow | Ndjson | Delta | Iceberg | Sql, Discriminator("kind")]
ShortFormat = BeforeValidator(
    kind_from_text,
    json_schema_input_type=Format | Literal["parquet", "csv", "arrow", "ndjson", "delta", "iceberg"] | None,
)


class TextType(Section):
    """Text, letter for letter: an id `007` keeps its zeros."""

    kind: Literal["text"]


class IntegerType(Section):
    """A whole number."""

    kind: Literal["integer"]


class NumberType(Section):
    """A number.

    `{kind: number, decimal: ",", thousands: ".", unit: "€"}` reads `1.234,50 €`.
    """

    kind: Literal["number"]
    decimal: Literal[".", ","] = "."
    """The decimal mark."""
    thousands: Literal[",", ".", " ", "'"] | None = None
    """The thousands separator. Default: none."""
    unit: Text | None = None
    """Text before or after the number to leave out, such as `$` or `%`. Default: none."""

    @model_validator(mode="after")
    def _is_unambiguous(self) -> "NumberType":
        if self.decimal == self.thousands:
            _refuse("thousands", "must differ from decimal. Write another sign, or leave it out.")
        return self


class BooleanType(Section):
    """Yes or no.

    In text `true`, `yes`, `t`, `y`, `1` and their opposites, in numbers 1 and 0.
    """

    kind: Literal["boolean"]


class DateType(Section):
    """A day, from text such as 2024-03-31."""

    kind: Literal["date"]
    format: Text | None = None
    """How the text is written: `"%d/%m/%Y"`, `"%Y%m%d"`. Default: year, month, day with dashes."""


class DatetimeType(Section):
    """A point in time, from text such as 2024-03-31 18:30:00 or from a number.

    The number counts seconds since 1970. Text may have `T` or a space, and seconds or none. If it ends in an
    offset (`+02:00`, `+0200`, `Z` or ` UTC`) it is turned into UTC; all values of a column must then have
    one.
    """

    kind: Literal["datetime"]
    format: Text | None = None
    """How the text is written: `"%d/%m/%Y %H:%M"`, with `%z` for an offset. Default: ISO 8601."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """The values count these units since 1970 in UTC: `s`, `ms`, `us` or `ns`."""

    @model_validator(mode="after")
    def _is_read_in_one_way(self) -> "DatetimeType":
        if self.format is not None and self.unit is not None:
            raise PydanticCustomError(
                "datetime", "format is for text and unit for numbers since 1970: remove one of them"
            )
        return self


ColumnType = Annotated[
    TextType | IntegerType | NumberType | BooleanType | DateType | DatetimeType, Discriminator("kind")
]
ShortType = BeforeValidator(
    kind_from_text,
    json_schema_input_type=ColumnType | Literal["text", "integer", "number", "boolean", "date", "datetime"],
)


class Number(Section):
    """A quantity: quantile bins, and a bin of its own for a missing value."""

    kind: Literal["number"] = "number"


class Category(Section):
    """One of several values: an embedding row for each frequent one.

    The others share one row, or several.
    """

    kind: Literal["category"] = "category"
    min_count: Count = 20
    """Values seen in fewer rows of the training period share one row."""
    hash_rows: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """How many rows the rarer values share, by a hash of their text, instead of one. Values seen once or
    never use the row of all others."""


class FreeText(Section):
    """Words and parts of words, hashed, so that a new word still says something."""

    kind: Literal["text"] = "text"


class Image(Section):
    """A path of a picture, in a table of rows. Needs `pip install 'mlc[image]'`."""

    kind: Literal["image"] = "image"
    folder: FilePath | None = None
    """The folder that the paths are relative to. Default: that of this file."""
    missing: Literal["error", "leave_out"] = "error"
    """Whether pictures that are missing or damaged end in an error, or their rows are read without one."""


class Ignore(Section):
    """Not used by the model."""

    kind: Literal["ignore"] = "ignore"


Encoder = Annotated[Number | Category | FreeText | Image | Ignore, Discriminator("kind")]
ShortEncoder = BeforeValidator(
    kind_from_text, json_schema_input_type=Encoder | Literal["number", "category", "text", "image", "ignore"]
)


class Table(Section):
    """What every table has."""

    path: FilePath | None = None
    """A file, a glob (`data/*.parquet`), a folder or a cloud URL, relative to the YAML file. `${NAME}` is
    taken from the environment. Folders below it such as `year=2024` become columns. Only `format: {kind: sql,
    …}` has none."""
    format: Annotated[Format | None, ShortFormat] = None
    """`parquet`, `csv`, `arrow` or `ndjson`, by default from the file's ending; `delta`, `iceberg`, or
    `{kind: sql, uri: …, query: …}`."""
    columns: Annotated[list[Text], Field(min_length=1), AfterValidator(distinct)] | None = None
    """Read only these columns. Default: all."""
    leave_out: Annotated[list[Text], Field(min_length=1), AfterValidator(distinct)] | None = None
    """Read all columns except these, such as identifiers or attributes that know the future."""
    types: dict[Text, Annotated[ColumnType, ShortType]] = Field(default={})
    """Types that the file does not state: `{customer_id: text, day: {kind: date, format: "%d/%m/%Y"}}`. A
    value that cannot be converted is an error."""
    computed: dict[Text, RowSql] = Field(default={})
    """New columns by SQL expressions on one row: `{spend: "quantity * unit_price"}`. Each sees the table's
    own columns and the computed ones before it; `avg(price)` is refused, since it would see the future."""
    where: RowSql | None = None
    """Keep only rows for which this SQL expression on own and computed columns is true: `quantity > 0`."""
    encoders: dict[Text, Annotated[Encoder, ShortEncoder]] = Field(default={})
    """How a column enters the model: `{year: category, description: text, note: ignore}`. Default: text,
    booleans and whole numbers with few values are categories, other numbers are numbers; identifiers, dates
    and texts that hardly ever repeat are left out."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "Table":
        if isinstance(self.format, Sql):
            if self.path is not None:
                _refuse("path", "a table of format sql has no path. Remove path or format.")
        elif self.path is None:
            _refuse("path", "this field is required. Name a file, or a database by format: {kind: sql, …}.")
        if self.columns is not None and self.leave_out is not None:
            _refuse("leave_out", "columns and leave_out exclude each other. Remove one of them.")
        return self


def _refuse(field: str, rule: str) -> None:
    """Report a contradiction at one of the fields."""
    error = PydanticCustomError("table", "{rule}", {"rule": rule})
    raise ValidationError.from_exception_data(
        "Table", [InitErrorDetails(type=error, loc=(field,), input=None)]
    )


class EventsTable(Table):
    """What entities did, one row per event."""

    kind: Literal["events"]
    time: Text
    """The column with the time of the event: a date or a datetime. Dates are midnights."""
    entity: Text | None = None
    """The column with the entity, if it is not called `data.entity`."""
    joins: dict[Text, OneOrMany] = Field(default={})
    """Dimension table → the column(s) of this table that hold its key: `{articles: article_id}`."""


class DimensionTable(Table):
    """Attributes of what the events are about, joined to them by key.

    Examples are articles, merchants and airports.
    """

    kind: Literal["dimension"]
    key: OneOrMany
    """The column(s) that identify a row; each key at most once."""


class EntitiesTable(Table):
    """Attributes of the entities, one row per entity."""

    kind: Literal["entities"]
    key: Text
    """The column with the entity."""


class RowsTable(Table):
    """What is classified, one row per example: comments, patients, photos."""

    kind: Literal["rows"]
    key: Text | None = None
    """The column that names a row, each value once. Default: the number of the row, from 1."""
    time: Text | None = None
    """The column with the date or datetime of a row, to split by time. Default: there is none."""
    joins: dict[Text, OneOrMany] = Field(default={})
    """Dimension table → the column(s) of this table that hold its key: `{wards: ward_id}`."""


class LabelsTable(Table):
    """Labels in a table of their own, one row per label of a row."""

    kind: Literal["labels"]
    key: Text
    """The column with the key of the row that the label belongs to."""


AnyTable = Annotated[
    EventsTable | DimensionTable | EntitiesTable | RowsTable | LabelsTable, Discriminator("kind")
]


class Tables(Section):
    """The tables of a scenario.

    Several scenarios can share one such section in a YAML file of its own.
    """

    tables: Annotated[dict[Text, AnyTable], Field(min_length=1)]
    """Name → table."""
    memory_limit: MemorySize | None = None
    """Read within this much memory: `8GB`, `500MB`. Default: half of the machine's memory."""

    @property
    def dimensions(self) -> dict[str, DimensionTable]:
        """The dimension tables, in the order of the file."""
        return {name: table for name, table in self.tables.items() if isinstance(table, DimensionTable)}

    @property
    def joining(self) -> dict[str, EventsTable | RowsTable]:
        """The tables that dimension tables are joined to, in the order of the file."""
        return {
            name: table for name, table in self.tables.items() if isinstance(table, EventsTable | RowsTable)
        }

    @property
    def rows(self) -> dict[str, RowsTable]:
        """The tables of rows, in the order of the file."""
        return {name: table for name, table in self.tables.items() if isinstance(table, RowsTable)}

    @property
    def labels(self) -> dict[str, LabelsTable]:
        """The tables of labels, in the order of the file."""
        return {name: table for name, table in self.tables.items() if isinstance(table, LabelsTable)}


class EventTables(Tables):
    """The tables of a scenario.

    Several scenarios can share one such section in a YAML file of its own.
    """

    entity: Text
    """The column that names whom you predict for, in every events table."""
    tables: Annotated[dict[Text, AnyTable], Field(min_length=1)]
    """Name → table. At least one is of kind `events`; all events tables form one timeline."""
    memory_limit: MemorySize | None = None
    """Read and sort the events within this much memory: `8GB`, `500MB`. Entity ids and dimension tables do
    not count. Default: half of the machine's memory."""

    @property
    def events(self) -> dict[str, EventsTable]:
        """The events tables, in the order of the file."""
        return {name: table for name, table in self.tables.items() if isinstance(table, EventsTable)}

    @property
    def entities(self) -> dict[str, EntitiesTable]:
        """The tables of entity attributes, in the order of the file."""
        return {name: table for name, table in self.tables.items() if isinstance(table, EntitiesTable)}
