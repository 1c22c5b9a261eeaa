"""The columns of entities and events as a model knows them.

Vocabulary rows, numbers, texts.
"""

import numpy as np
import torch

from mlc.errors import DataError
from mlc.events.store import EventStore
from mlc.events.vocabulary import FieldRows, code_rows
from mlc.models.reading.batch import Fields, FieldSizes, Texts
from mlc.models.reading.hashing import Bags, joined


class Columns:
    """The columns of some fields, gathered by event or by entity.

    Args:
        store: The event store.
        known: The fields, and which values the model knows.

    Attributes:
        categories: Each category of the store, None where it has left the tables, and the vocabulary row of
            each of its codes, int64.
        numbers: Each number of the store.
        text_fields: Each text of the store.
        first_text_F: Where the texts of each of these begin among all texts, int64.
        bags: All texts.
    """

    def __init__(self, store: EventStore, known: FieldRows) -> None:
        self.store = store
        # A column that has left the tables since training is missing everywhere.
        fields = {field.name: field for field in (*store.event_fields, *store.entity_fields)}
        for kind, names in (
            ("category", known.categories),
            ("number", known.numbers),
            ("text", known.texts),
        ):
            for name in names:
                if name in fields and fields[name].kind != kind:
                    raise DataError(
                        f"{name} was a {kind} in training and is a {fields[name].kind} now. "
                        f"Set encoders: {{{name.split('.', 1)[-1]}: {kind}}} in its table."
                    )
        self.categories = [
            (fields.get(name), code_rows(store, known, name) if name in fields else np.zeros(1, np.int64))
            for name in known.categories
        ]
        self.numbers = [fields.get(name) for name in known.numbers]
        self.text_fields = [fields.get(name) for name in known.texts]
        # The first text of each field is the missing one.
        texts = [["", *(store.values(name) if name in fields else ())] for name in known.texts]
        self.first_text_F = np.cumsum([0, *map(len, texts)])[:-1]
        self.bags = joined([Bags.of(values) for values in texts])

    def fields(self, index_X: np.ndarray) -> Fields:
        """All that stands there for some events or entities."""
        categories_XF, numbers_XF = self.gather(index_X)
        return Fields(torch.from_numpy(categories_XF), torch.from_numpy(numbers_XF), self.texts(index_X))

    def gather(self, index_X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return vocabulary rows, (X, categories), and numbers, (X, numbers).

        The former are int64, the latter float32.
        """
        categories = np.zeros((len(index_X), len(self.categories)), dtype=np.int64)
        numbers = np.full((len(index_X), len(self.numbers)), np.nan, dtype=np.float32)
        for place, (field, rows) in enumerate(self.categories):
            if field is not None:
                categories[:, place] = rows[self.store.field_column(field, index_X)]
        for place, field in enumerate(self.numbers):
            if field is not None:
                numbers[:, place] = self.store.field_column(field, index_X)
        return categories, numbers

    def texts(self, index_X: np.ndarray) -> Texts | None:
        """The texts of some events or entities, each distinct one once.

        It is None where no field is a text.
        """
        if not self.text_fields:
            return None
        codes_XF = np.tile(self.first_text_F, (len(index_X), 1))
        for place, field in enumerate(self.text_fields):
            if field is not None:
                codes_XF[:, place] += self.store.field_column(field, index_X)
        there = np.zeros(len(self.bags.starts) - 1, dtype=bool)
        there[codes_XF] = True
        distinct_U = np.flatnonzero(there)
        place_of = np.cumsum(there) - 1
        bags = self.bags.chosen(distinct_U)
        return Texts(
            torch.from_numpy(place_of[codes_XF]),
            torch.from_numpy(bags.starts[:-1]),
            torch.from_numpy(bags.buckets),
        )


def field_sizes(known: FieldRows) -> FieldSizes:
    """What a network must know of the fields."""
    return FieldSizes(known.sizes, len(known.numbers), len(known.texts))
