"""Which entities at which cutoffs are examples."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field

from mlc.scenario.fields import Count, Days, Moment, Section, Seed, Text, kind_from_text
from mlc.scenario.source_tables import RowSql


class EachEvent(Section):
    """A cutoff at the time of each event of the entity; the event itself is history."""

    kind: Literal["each_event"] = "each_event"
    table: Text | None = None
    """The events table. Default: the target's."""
    where: RowSql | None = None
    """A SQL expression; only events for which it is true make a cutoff. Joined columns are written
    `articles.price`."""


class RandomDays(Section):
    """Cutoffs at random days (midnights) of each entity, after its first event."""

    kind: Literal["random"]
    per_entity: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Cutoffs per entity in each split; fewer if the entity has fewer days."""
    seed: Seed = 7
    """Another seed draws other days; an entity's days do not depend on other entities."""


_Kinds = Annotated[EachEvent | RandomDays, Discriminator("kind")]
At = Annotated[
    _Kinds,
    BeforeValidator(kind_from_text, json_schema_input_type=_Kinds | Literal["each_event", "random"]),
]


class ExamplesSection(Section):
    """Which entities are examples, and at which cutoffs.

    A date is its midnight. Times with a zone are converted to UTC; all times have a zone or none has.
    """

    every_days: Days | None = None
    """Days between two cutoffs. Default: half a window, at least one day."""
    cutoffs: Annotated[list[Moment], Field(min_length=1)] | None = None
    """The cutoffs themselves, instead of a grid: `[2024-03-31, 2024-06-30]`. The last with a complete window
    is for the test, the last whose window ends before it for validation."""
    at: At | None = None
    """Cutoffs of their own for each entity, instead of a grid. By default the test has the last tenth of the
    time with complete windows, at least one window; validation as much before it. A cutoff whose window
    would reach into the next split is left out."""
    train_cutoffs: Count = 26
    """Train on at most this many cutoffs, the newest; with `at`, of each entity."""
    validation_from: Moment | None = None
    """First validation cutoff. Default: one window before the first test cutoff."""
    test_from: Moment | None = None
    """First test cutoff. Default: the start of the last complete window."""
    observed_until: Moment | None = None
    """Until when the tables are complete; later events make no target. Default: the time of the last
    event."""
    min_history_events: Count = 1
    """Fewest events up to the cutoff that make an entity an example."""
    active_within_days: Days | None = None
    """Only entities with an event in this many days up to the cutoff are examples. Default: no such limit."""
    holdout_entities: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the entities that training never sees; validation and test then have only these: `0.2`."""
    max_entities: Count | None = None
    """Use a random sample of at most this many entities, for a quick trial."""
    drop_all_negative: bool = False
    """Leave out examples without a positive target. The scores are then no longer those of all entities."""
