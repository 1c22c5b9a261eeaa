"""The tables of a scenario: where they lie, what they are, how their columns enter the model."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field

from mlc.scenario.fields import FilePath, OneOrMany, Section, Text, kind_from_text


class Parquet(Section):
    """Parquet files."""

    kind: Literal["parquet"] = "parquet"


class Csv(Section):
    """Text files with a header line."""

    kind: Literal["csv"] = "csv"
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """One character between two values."""
    null_values: list[str] = Field(default=[""])
    """Texts that mean "no value"."""


Format = Annotated[Parquet | Csv, Discriminator("kind")]
ShortFormat = BeforeValidator(
    kind_from_text, json_schema_input_type=Format | Literal["parquet", "csv"] | None
)


class Number(Section):
    """A quantity: quantile bins with interpolation, and a bin of its own for a missing value."""

    kind: Literal["number"] = "number"


class Category(Section):
    """One of several values: an embedding row for each frequent one, one row for all others."""

    kind: Literal["category"] = "category"
    min_count: Annotated[int, Field(ge=1)] = 20
    """Values seen in fewer rows of the training period share one row."""


class Ignore(Section):
    """Not used by the model."""

    kind: Literal["ignore"] = "ignore"


Encoder = Annotated[Number | Category | Ignore, Discriminator("kind")]
ShortEncoder = BeforeValidator(
    kind_from_text, json_schema_input_type=Encoder | Literal["number", "category", "ignore"]
)


class Table(Section):
    """What every table has."""

    path: FilePath
    """A file, a glob (`data/*.parquet`) or a folder; relative to the YAML file that names it. `${NAME}` is
    taken from the environment."""
    format: Annotated[Format | None, ShortFormat] = None
    """`parquet` or `csv`; by default from the file's ending."""
    where: Text | None = None
    """Keep only the rows for which this SQL expression on the table's own columns is true: `quantity > 0`."""
    encoders: dict[Text, Annotated[Encoder, ShortEncoder]] = Field(default={})
    """How a column enters the model: `{year: category, note: ignore}`. By default text, booleans and whole
    numbers with few values are categories, other numbers are numbers, identifiers and dates are left out."""


class EventsTable(Table):
    """What entities did, one row an event."""

    kind: Literal["events"]
    time: Text
    """The column with the moment of the event: a date or a datetime. Dates are midnights."""
    entity: Text | None = None
    """The column with the entity, where its name is not `data.entity`."""
    joins: dict[Text, OneOrMany] = Field(default={})
    """Dimension table → the column(s) of this table that hold its key: `{articles: article_id}`."""


class DimensionTable(Table):
    """Attributes of what the events are about, joined to them by key: articles, merchants, airports."""

    kind: Literal["dimension"]
    key: OneOrMany
    """The column(s) that name a row; each key at most once."""


class EntitiesTable(Table):
    """Attributes of the entities, one row an entity."""

    kind: Literal["entities"]
    key: Text
    """The column with the entity."""


AnyTable = Annotated[EventsTable | DimensionTable | EntitiesTable, Discriminator("kind")]


class Tables(Section):
    """The tables of a scenario; several scenarios can share one such section in a YAML file of its own."""

    entity: Text
    """The column that names the entity we predict for, in every events table."""
    tables: Annotated[dict[Text, AnyTable], Field(min_length=1)]
    """Name → table. At least one is of kind `events`; all events tables form one timeline."""

    @property
    def events(self) -> dict[str, EventsTable]:
        """The events tables, in the order of the file."""
        return {name: table for name, table in self.tables.items() if isinstance(table, EventsTable)}

    @property
    def dimensions(self) -> dict[str, DimensionTable]:
        """The dimension tables, in the order of the file."""
        return {name: table for name, table in self.tables.items() if isinstance(table, DimensionTable)}

    @property
    def entities(self) -> dict[str, EntitiesTable]:
        """The tables of entity attributes, in the order of the file."""
        return {name: table for name, table in self.tables.items() if isinstance(table, EntitiesTable)}
