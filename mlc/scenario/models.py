"""The words of a scenario: one Pydantic model a section, one docstring a field.

The docstring under a field is at once the comment, the JSON schema's description and the README's
table. Families (`Rule`, `Format`, `Encoder`, `Loss`, `Policy`) are unions on `kind`; the code that acts on
one is a `match` that ends in `assert_never`, so that a forgotten case is a type error.
"""

import os
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mlc.errors import Problem, ScenarioError, did_you_mean


class Section(BaseModel):
    """A mapping of the scenario file. Unknown keys and values of the wrong type are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, validate_default=True
    )


def _kind_from_text(value: Any) -> Any:
    """`exists` is short for `{kind: exists}`."""
    return {"kind": value} if isinstance(value, str) else value


def _environment(path: str) -> str:
    """Replace `${NAME}` by the environment variable of that name."""

    def replace(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise PydanticCustomError(
                "environment",
                "the environment variable {name} must be set, however: it is not; export {name}=…",
                {"name": match[1]},
            )
        return value

    return re.sub(r"\$\{(\w+)\}", replace, path)


Text = Annotated[str, Field(min_length=1)]
Path_ = Annotated[str, Field(min_length=1), AfterValidator(_environment)]
Moment = Annotated[datetime, Field(strict=False)]
OneOrMany = Annotated[list[Text], BeforeValidator(lambda v: [v] if isinstance(v, str) else v), Field(min_length=1)]


# ── data ────────────────────────────────────────────────────────────────────────────────────────


class Parquet(Section):
    """Parquet files."""

    kind: Literal["parquet"] = "parquet"


class Csv(Section):
    """Text files with a header line."""

    kind: Literal["csv"] = "csv"
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """One character between two values."""
    null_values: list[str] = [""]
    """Texts that mean "no value"."""


Format = Annotated[Parquet | Csv, Discriminator("kind")]


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


class Table(Section):
    """What every table has."""

    path: Path_
    """A file, a glob (`data/*.parquet`) or a folder; relative to the YAML file. `${NAME}` is taken from the environment."""
    format: Annotated[Format | None, BeforeValidator(_kind_from_text)] = None
    """`parquet` or `csv`; by default from the file's ending."""
    where: Text | None = None
    """Keep only the rows for which this SQL expression on the table's own columns is true: `quantity > 0`."""
    encoders: dict[str, Annotated[Encoder, BeforeValidator(_kind_from_text)]] = {}
    """How a column enters the model: `{year: category, note: ignore}`. By default text, booleans and whole
    numbers with few values are categories, other numbers are numbers, identifiers and dates are left out."""


class EventsTable(Table):
    """What entities did, one row an event."""

    kind: Literal["events"]
    time: Text
    """The column with the moment of the event: a date or a datetime. Dates are midnights."""
    entity: Text | None = None
    """The column with the entity, where its name is not `data.entity`."""
    joins: dict[str, OneOrMany] = {}
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


# ── target ──────────────────────────────────────────────────────────────────────────────────────


class RuleSection(Section):
    """What every rule has."""

    where: Text | None = None
    """Only events for which this SQL expression is true count. Joined columns are written `"articles.price"`."""


class Exists(RuleSection):
    """The target is 1 when at least one event with the label lies in the window."""

    kind: Literal["exists"] = "exists"


class CountAtLeast(RuleSection):
    """The target is 1 when at least `times` events with the label lie in the window."""

    kind: Literal["count_at_least"]
    times: Annotated[int, Field(ge=1)]
    """How many events it takes."""


Rule = Annotated[Exists | CountAtLeast, Discriminator("kind")]


class TopClasses(Section):
    """The most frequent values of the column in the training period."""

    top: Annotated[int, Field(ge=1)]
    """How many labels."""
    min_support: Annotated[int, Field(ge=1)] = 1
    """Leave out values with fewer events than this in the training period."""


def _class_names_shape(value: Any) -> str | None:
    if isinstance(value, list):
        return "list"
    if isinstance(value, TopClasses) or (isinstance(value, dict) and isinstance(value.get("top"), int)):
        return "top"
    return "groups" if isinstance(value, dict) else None


def _distinct(names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PydanticCustomError(
            "twice", "class names must be distinct, however: {twice} twice", {"twice": ", ".join(twice)}
        )
    return names


ClassNames = Annotated[
    Annotated[list[Text], Field(min_length=1), AfterValidator(_distinct), Tag("list")]
    | Annotated[TopClasses, Tag("top")]
    | Annotated[dict[Text, OneOrMany], Field(min_length=1), Tag("groups")],
    Discriminator(
        _class_names_shape,
        custom_error_type="class_names",
        custom_error_message="must be a list of names, {top: K}, or a mapping of label to values",
    ),
]


class TargetSection(Section):
    """Which things the entities may do, and in how many days."""

    table: Text
    """The events table that decides."""
    column: Text
    """Its column with the label's value, or a joined one as `dimension.column`."""
    class_names: ClassNames
    """The labels: a list of values; `{top: 25}` for the most frequent of the training period; or
    `{Lingerie: [Casual Lingerie, Expressive Lingerie]}` for a label that stands for any of several values."""
    window_days: Annotated[int, Field(ge=1)]
    """Length of the window in days. The window is `(cutoff + gap, cutoff + gap + window]`."""
    gap_days: Annotated[int, Field(ge=0)] = 0
    """Days between the cutoff and the window, for decisions that take time to carry out."""
    rule: Annotated[Rule, BeforeValidator(_kind_from_text)] = Exists()
    """How the events in the window make a target."""
    allow_empty: bool = False
    """Go on although a label has no positive example in training."""
    true_probabilities: Path_ | None = None
    """Generated data only: Parquet with the entity, `cutoff` and a column per label of true probabilities.
    The report then shows the best score that any model could reach."""

    @property
    def window(self) -> timedelta:
        """Length of the window."""
        return timedelta(days=self.window_days)

    @property
    def gap(self) -> timedelta:
        """Time between cutoff and window."""
        return timedelta(days=self.gap_days)


# ── examples ────────────────────────────────────────────────────────────────────────────────────


class ExamplesSection(Section):
    """Which moments we learn from and which we are judged on."""

    every_days: Annotated[int, Field(ge=1)] | None = None
    """Days between two cutoffs. Default: half a window, at least one day."""
    train_cutoffs: Annotated[int, Field(ge=1)] = 12
    """At most this many training cutoffs, the newest ones. Old ones look less like the day of prediction."""
    validation_from: Moment | None = None
    """First validation cutoff. Default: the window before the test's."""
    test_from: Moment | None = None
    """First test cutoff. Default: the start of the last complete window."""
    observed_until: Moment | None = None
    """The tables are complete up to this moment, and later events are not used. Default: the time of the last event."""
    min_history_events: Annotated[int, Field(ge=1)] = 1
    """An entity is an example only with at least this many events up to the cutoff."""
    active_within_days: Annotated[int, Field(ge=1)] | None = None
    """An entity is an example only with an event in that many days up to the cutoff. Default: no such limit."""
    holdout_entities: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the entities that training never sees; validation and test then have only these."""
    drop_all_negative: bool = False
    """Leave out examples without a positive target. The scores are then no longer those of all entities."""

    @model_validator(mode="after")
    def _ordered(self) -> "ExamplesSection":
        if self.validation_from and self.test_from and self.validation_from >= self.test_from:
            raise PydanticCustomError(
                "ordered",
                "validation_from must lie before test_from, however: {validation} and {test}",
                {"validation": str(self.validation_from), "test": str(self.test_from)},
            )
        return self


# ── model, train, thresholds ────────────────────────────────────────────────────────────────────


class ModelSection(Section):
    """What the model looks at and how large it is."""

    preset: Literal["nano", "small", "base"] = "small"
    """Width and depth: `nano` for smoke tests, `small` for most tables, `base` for many labels and entities."""
    history: bool = True
    """Per label: counts, decayed counts, recency and cadence of the entity's events."""
    attributes: bool = True
    """Columns of the entities tables."""
    calendar: bool = True
    """Day of the year and of the week at the cutoff."""
    memory: bool = False
    """A decayed sum of embedded events, with learned half-lives: sees all columns of the events."""

    @model_validator(mode="after")
    def _sees_something(self) -> "ModelSection":
        if not (self.history or self.attributes or self.memory):
            raise PydanticCustomError(
                "blind", "at least one of history, attributes, memory must be on, however: all are off"
            )
        return self


class Bce(Section):
    """Binary cross-entropy of each label; keeps the scores calibrated."""

    kind: Literal["bce"] = "bce"


class Focal(Section):
    """Focal loss: well-scored examples weigh less. The scores are no longer calibrated."""

    kind: Literal["focal"]
    gamma: Annotated[float, Field(ge=0.0)] = 2.0
    """How much less; 0 is binary cross-entropy."""


Loss = Annotated[Bce | Focal, Discriminator("kind")]

Batches = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0.0, le=1.0)]


class TrainSection(Section):
    """How the model is trained. Most names are PyTorch Lightning's."""

    epochs: Annotated[int, Field(ge=1)] = 12
    """Passes over the training examples at most."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Stop after this many epochs without a better macro average precision on validation."""
    batch_size: Annotated[int, Field(ge=1)] = 512
    """Examples in a step, on each device."""
    learning_rate: Annotated[float, Field(gt=0.0)] = 2.0e-3
    """Highest learning rate; it rises for a twentieth of the steps and falls along a cosine."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.02
    """Decoupled weight decay (AdamW) on matrices."""
    loss: Annotated[Loss, BeforeValidator(_kind_from_text)] = Bce()
    """What is minimised."""
    gradient_clip_val: Annotated[float, Field(gt=0.0)] | None = 1.0
    """Largest norm of the gradient; null for none."""
    limit_train_batches: Batches | None = None
    """Use only so many training batches an epoch (whole number) or such a share of them (0 to 1)."""
    limit_val_batches: Batches | None = None
    """Use only so many validation batches (whole number) or such a share of them (0 to 1)."""
    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"] = "auto"
    """Kind of device."""
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """How many devices; `auto` is all GPUs, or one CPU process."""
    strategy: Literal["auto", "ddp"] = "auto"
    """How several devices work together."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true"
    """Number format of the computation."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 7
    """Fixes initial weights, order of the batches and hold-out entities."""


class Fixed(Section):
    """A cut that is given."""

    kind: Literal["fixed"]
    value: Annotated[float, Field(ge=0.0, le=1.0)]
    """Decide yes where `score >= value`."""


class MaxF1(Section):
    """The cut with the highest F1 on the validation examples."""

    kind: Literal["max_f1"] = "max_f1"


def _policy_short_form(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"kind": "fixed", "value": float(value)}
    return _kind_from_text(value)


Policy = Annotated[
    Annotated[Fixed | MaxF1, Discriminator("kind")], BeforeValidator(_policy_short_form)
]


class Thresholds(Section):
    """Where a score becomes a decision."""

    default: Policy = MaxF1()
    """For every label that `per_label` does not name."""
    per_label: dict[Text, Policy] = {}
    """Label → policy."""


def _thresholds_short_form(value: Any) -> Any:
    """`0.5` and `max_f1` are the default's; a mapping of labels is `per_label`."""
    if isinstance(value, str | int | float) or (isinstance(value, dict) and "kind" in value):
        return {"default": value}
    if isinstance(value, dict) and not set(value) & {"default", "per_label"}:
        return {"per_label": value}
    return value


# ── the scenario ────────────────────────────────────────────────────────────────────────────────


class Origin(BaseModel):
    """Where the fields of a scenario were written.

    Attributes:
        path: The scenario file.
        text: Its text, as given.
        places: Path of keys → `file:line`, or `--set key=value`.
        base: The folder that the paths of the tables are relative to.
    """

    path: Path
    text: str
    places: dict[tuple[str | int, ...], str]
    base: Path

    def place(self, keys: tuple[str | int, ...]) -> str:
        """`file:line` of the field, or of the nearest mapping around it."""
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, str(self.path))


class Scenario(Section):
    """One question: which of these K things will each entity do in the next N days?"""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the run's folder: letters, digits, `.`, `_`, `-`. Default: the file's name."""
    data: Tables
    """The tables, or the path of a YAML file that holds this section."""
    target: TargetSection
    """What we predict."""
    examples: ExamplesSection = ExamplesSection()
    """Which entities at which moments."""
    model: ModelSection = ModelSection()
    """What the model looks at."""
    train: TrainSection = TrainSection()
    """How it is trained."""
    thresholds: Annotated[Thresholds, BeforeValidator(_thresholds_short_form)] = Thresholds()
    """Where a score becomes a decision: `0.5`, `max_f1`, `{Dress: 0.4}`, or `default` and `per_label`."""

    _origin: Origin = PrivateAttr()

    @property
    def origin(self) -> Origin:
        """Where the fields were written."""
        return self._origin

    def problem(self, field: str, rule: str) -> Problem:
        """A problem with a field, with its place in the file.

        Args:
            field: Dotted path, `target.class_names.3`.
            rule: What should hold, however what was found, what to do.
        """
        keys = tuple(int(key) if key.isdigit() else key for key in field.split("."))
        return Problem(rule, field, self._origin.place(keys))

    def path(self, text: str) -> Path:
        """A path of the scenario, made absolute. Cloud URLs are left as they are by `sources`."""
        return (self._origin.base / text).resolve() if "://" not in text else Path(text)

    def contradictions(self) -> Iterator[Problem]:
        """Fields that are right alone and wrong together."""
        data, target = self.data, self.target
        if not data.events:
            yield self.problem("data.tables", "one table must be of kind events, however: there is none")
        for name, events in data.events.items():
            for dimension, columns in events.joins.items():
                field = f"data.tables.{name}.joins.{dimension}"
                if dimension not in data.dimensions:
                    hint = did_you_mean(dimension, data.dimensions)
                    yield self.problem(field, f"must be a table of kind dimension, however: {dimension}; {hint}")
                elif len(columns) != len(data.dimensions[dimension].key):
                    keys = ", ".join(data.dimensions[dimension].key)
                    yield self.problem(field, f"must name one column for each key column ({keys})")
        joined = {dimension for events in data.events.values() for dimension in events.joins}
        for name in data.dimensions:
            if name not in joined:
                yield self.problem(f"data.tables.{name}", "no events table joins it: add it to joins, or remove it")
        yield from self._target_contradictions()
        if isinstance(target.class_names, TopClasses):
            return
        for name in self.thresholds.per_label:
            if name not in target.class_names:
                hint = did_you_mean(name, target.class_names)
                yield self.problem(f"thresholds.per_label.{name}", f"must be one of class_names; {hint}")

    def _target_contradictions(self) -> Iterator[Problem]:
        data, target, examples = self.data, self.target, self.examples
        if target.table not in data.events:
            hint = did_you_mean(target.table, data.events)
            yield self.problem("target.table", f"must be a table of kind events, however: {target.table}; {hint}")
        elif "." in target.column:
            dimension = target.column.split(".", 1)[0]
            joins = data.events[target.table].joins
            if dimension not in joins:
                hint = did_you_mean(dimension, joins)
                yield self.problem(
                    "target.column", f"{dimension} must be joined to {target.table}, however: it is not; {hint}"
                )
        reach = target.gap + target.window
        if examples.validation_from and examples.test_from and examples.validation_from + reach > examples.test_from:
            yield self.problem(
                "examples.validation_from",
                f"the window of the first validation cutoff must end at or before test_from, however: it ends "
                f"{examples.validation_from + reach:%Y-%m-%d}; move it back by "
                f"{(examples.validation_from + reach - examples.test_from).days} days",
            )
        if target.true_probabilities and isinstance(target.class_names, TopClasses):
            yield self.problem("target.true_probabilities", "needs class_names written out, however: they are {top: K}")

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise PydanticCustomError(
                "mapping",
                "a scenario must be a mapping with data: and target:, however: it is a {kind}",
                {"kind": {list: "list", str: "text", type(None): "empty file"}.get(type(value), type(value).__name__)},
            )
        return value

    def raise_contradictions(self) -> None:
        """Raise all of `contradictions` at once."""
        problems = list(self.contradictions())
        if problems:
            raise ScenarioError(problems)


def as_moment(value: date | datetime) -> datetime:
    """A date is its midnight."""
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
