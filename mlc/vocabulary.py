"""Which values of a category have an embedding row of their own; fitted on the training period.

Row 0 is missing, row 1 is every other value, also one never seen before; the frequent values follow. Stored
by value, not by code, so that a model meets new tables with new codes and still knows what it learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from mlc.ingest import EventStore, Field
from mlc.tables import microseconds

MISSING, OTHER, FIRST = 0, 1, 2


@dataclass(frozen=True)
class FieldRows:
    """Fields of the events, or of the entities.

    Attributes:
        categories: Field → values with a row of their own, from row 2 on.
        numbers: Fields that are numbers.
    """

    categories: Mapping[str, Sequence[str]]
    numbers: Sequence[str]

    @property
    def sizes(self) -> list[int]:
        """Number of rows of each category."""
        return [FIRST + len(values) for values in self.categories.values()]


@dataclass(frozen=True)
class Vocabulary:
    """What the model knows of the columns.

    Attributes:
        attributes: Fields of the entities.
        events: Fields of the events and their dimensions.
    """

    attributes: FieldRows
    events: FieldRows

    def as_json(self) -> dict[str, Any]:
        """Plain lists and mappings."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Vocabulary":
        """The inverse of `as_json`."""
        return cls(FieldRows(**value["attributes"]), FieldRows(**value["events"]))


def fit_vocabulary(store: EventStore, fit_until: datetime, attributes: bool, memory: bool) -> Vocabulary:
    """Keep the values that are frequent up to a moment.

    Args:
        store: The event store.
        fit_until: Values of later events are not seen.
        attributes: Whether the model looks at the entities' columns.
        memory: Whether it looks at the events' columns.
    """
    past_T = np.asarray(store.events.time) <= microseconds(fit_until)
    starts = np.asarray(store.events.offsets)
    known_E = (
        store.events.ends(np.arange(len(starts) - 1), np.full(len(starts) - 1, microseconds(fit_until)))
        > starts[:-1]
    )
    return Vocabulary(
        attributes=_frequent(store, store.entity_fields if attributes else (), known_E),
        events=_frequent(store, store.event_fields if memory else (), past_T),
    )


def _frequent(store: EventStore, fields: Sequence[Field], seen: np.ndarray) -> FieldRows:
    categories: dict[str, list[str]] = {}
    for field in fields:
        if field.kind == "category":
            values = store.values(field.name)
            counts = np.bincount(store.field_column(field)[seen], minlength=len(values) + 1)[1:]
            categories[field.name] = [
                v for v, count in zip(values, counts, strict=True) if count >= field.min_count
            ]
    return FieldRows(categories, [field.name for field in fields if field.kind == "number"])


def code_rows(store: EventStore, name: str, values: Sequence[str]) -> np.ndarray:
    """Vocabulary row of each code of a category in this store, int64."""
    rows = {value: FIRST + index for index, value in enumerate(values)}
    return np.array([MISSING, *(rows.get(value, OTHER) for value in store.values(name))], dtype=np.int64)
