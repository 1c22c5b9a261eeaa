"""What has changed in the tables since a training and is new to the model."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from mlc.errors import did_you_mean
from mlc.events.label_names import VALUE, Labels
from mlc.events.store import EventStore, Field
from mlc.events.vocabulary import OTHER, FieldRows, Vocabulary, code_rows

_NEWEST = 0.1  # of the rows: a change that came lately
_NEARLY_ALL = 0.95
_FEWEST = 20


def unfamiliar_values(store: EventStore, vocabulary: Vocabulary) -> Iterator[str]:
    """Describe columns of which the model knows no value, in all or the newest rows.

    Args:
        store: The event store.
        vocabulary: What the model knows.
    """
    newest_first_T = np.argsort(-np.asarray(store.events.time), kind="stable")
    for rows, fields, index in (
        (vocabulary.events, store.event_fields, newest_first_T),
        (vocabulary.attributes, store.entity_fields, None),
    ):
        for field in fields:
            if field.kind == "category" and rows.categories.get(field.name):
                yield from _unfamiliar_field(store, rows, field, index)


def _unfamiliar_field(
    store: EventStore, known: FieldRows, field: Field, index: np.ndarray | None
) -> Iterator[str]:
    code_T = store.field_column(field, slice(None) if index is None else index)
    code_T = code_T[code_T > 0]
    unknown_C = code_rows(store, known, field.name) == OTHER
    if not len(code_T):
        return
    newest = code_T[: max(1, int(_NEWEST * len(code_T)))]
    share = float(unknown_C[code_T].mean())
    lately = float(unknown_C[newest].mean()) if index is not None and len(newest) >= _FEWEST else 0.0
    if share == 1.0:
        clause, codes = f"knows none of the {len(code_T):,} values", code_T
    elif lately >= _NEARLY_ALL and share <= 0.5:
        clause, codes = f"does not know {lately:.0%} of the newest {len(newest):,} values", newest
    else:
        return
    counts_C = np.bincount(codes[unknown_C[codes]])
    example = store.values(field.name)[int(counts_C.argmax()) - 1]
    yield (
        f"{field.name}: the model {clause}, such as {example!r}; it was trained on values such as "
        f"{known.categories[field.name][0]!r}. Write them as in the training, or train again."
    )


def new_fields(store: EventStore, vocabulary: Vocabulary) -> Iterator[str]:
    """Describe columns that were not there in the training.

    A model that reads no columns misses none.

    Args:
        store: The event store.
        vocabulary: What the model knows.
    """
    for rows, fields in (
        (vocabulary.events, store.event_fields),
        (vocabulary.attributes, store.entity_fields),
    ):
        for field in fields:
            if rows.names and field.name not in rows.names:
                yield f"{field.name} is new since the training: the model does not read it"


def gone_labels(labels: Labels, counts: pl.DataFrame, column: str) -> Iterator[str]:
    """Describe labels whose values are no longer in the tables.

    Args:
        labels: The labels that the model was trained for.
        counts: From `labels.value_counts`.
        column: Where the values stand.
    """
    present = set(counts[VALUE].to_list())
    for number, name in enumerate(labels.names):
        values = labels.values.filter(pl.col("label") == number)[VALUE].to_list()
        gone = [value for value in values if value not in present]
        if gone or not values:
            what = ", ".join(map(repr, gone)) or "its pattern"
            near = did_you_mean(gone[0], present, otherwise=0) if gone else ""
            yield (
                f"label {name}: no event has {what} in {column} any more, as there was in the training"
                + (f"; {near}" if near.startswith("did") else ".")
                + " Check how the tables write it, or train again without it."
            )


def other_id_type(trained: pl.DataType, now: pl.DataType, column: str) -> Iterator[str]:
    """Describe entity ids that have become numbers, or text, since the training."""
    if trained.is_integer() != now.is_integer():
        was, is_now = ("text", "whole numbers") if now.is_integer() else ("whole numbers", "text")
        yield (
            f"{column} is {is_now}, in the training it was {was}. Where it may begin with 0, its tables need "
            f"types: {{{column}: text}}."
        )
