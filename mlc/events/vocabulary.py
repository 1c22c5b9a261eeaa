"""Which values of a category have an embedding row of their own.

Fitted on the training period. Row 0 is missing, row 1 is every other value, also one never seen before; the
frequent values follow. Rarer ones can share some rows by a hash of their text: those seen at least twice,
since what was seen once is most like what was never seen, and trains row 1. Stored by value, not by code: a
model meets new tables with new codes and still knows what it learned; of the rarer ones only hashes, as they
may be names of people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

import numpy as np

from mlc.events.store import EventStore, Field
from mlc.tables import microseconds

MISSING, OTHER, FIRST = 0, 1, 2
_LEAST = 2


@dataclass(frozen=True)
class FieldRows:
    """Fields of the events, or of the entities.

    Attributes:
        categories: Field → values with a row of their own, from row 2 on.
        numbers: Fields that are numbers.
        hash_rows: Category → how many rows its rarer values share, after those of the frequent ones.
        rarer: Category → `digest` of each value that has a share in them.
        texts: Fields that are texts; nothing is kept of these.
    """

    categories: Mapping[str, Sequence[str]]
    numbers: Sequence[str]
    hash_rows: Mapping[str, int] = field(default_factory=dict)
    rarer: Mapping[str, Sequence[int]] = field(default_factory=dict)
    texts: Sequence[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """All fields."""
        return [*self.categories, *self.numbers, *self.texts]

    @property
    def sizes(self) -> list[int]:
        """Number of rows of each category."""
        return [FIRST + len(values) + self.hash_rows.get(name, 0) for name, values in self.categories.items()]


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


def _frequent(store: EventStore, fields: Sequence[Field], selection: np.ndarray) -> FieldRows:
    categories: dict[str, list[str]] = {}
    hash_rows: dict[str, int] = {}
    rarer: dict[str, list[int]] = {}
    for one in fields:
        if one.kind == "category":
            values = store.values(one.name)
            counts = np.bincount(store.field_column(one)[selection], minlength=len(values) + 1)[1:]
            counted = list(zip(values, counts.tolist(), strict=True))
            categories[one.name] = [value for value, count in counted if count >= one.min_count]
            rare = [digest(value) for value, count in counted if _LEAST <= count < one.min_count]
            if rare and one.hash_rows:
                hash_rows[one.name], rarer[one.name] = one.hash_rows, sorted(set(rare))
    numbers, texts = ([one.name for one in fields if one.kind == kind] for kind in ("number", "text"))
    return FieldRows(categories, numbers, hash_rows, rarer, texts)


def code_rows(store: EventStore, known: FieldRows, name: str) -> np.ndarray:
    """Vocabulary row of each code of a category in this store, int64."""
    values = known.categories[name]
    rows = {value: FIRST + index for index, value in enumerate(values)}
    hash_rows, rarer = known.hash_rows.get(name, 0), frozenset(known.rarer.get(name, ()))

    def row(value: str) -> int:
        own = rows.get(value)
        if own is not None or not hash_rows:
            return OTHER if own is None else own
        number = digest(value)
        return FIRST + len(values) + number % hash_rows if number in rarer else OTHER

    return np.array([MISSING, *map(row, store.values(name))], dtype=np.int64)


def digest(value: str) -> int:
    """A hash of 32 bits, the same on every machine and in every process.

    Examples:
        >>> digest("Hauptstraße 7")
        2036074282
    """
    return int.from_bytes(blake2b(value.encode(), digest_size=4).digest(), "little")
