"""One dense matrix of what trees read: numbers, coded categories, vectors."""

import numpy as np

from mlc.models.rows.reading import RowBuilder, RowReader

_OWN_COLUMN = 16
"""The most frequent values of a category that have a 0/1 column of their own."""


def has_dense(reader: RowReader) -> bool:
    """Whether there is anything that trees can read."""
    return bool(reader.columns.numbers or reader.columns.categories or reader.vector_columns)


def dense_matrix(builder: RowBuilder) -> np.ndarray:
    """Return what trees read of all rows, float32, shape (N, columns).

    A missing number is NaN. A category is its place among the values by frequency, and 0/1 columns of its
    most frequent values.
    """
    blocks = [builder.numbers]
    for place, name in enumerate(builder.reader.columns.categories):
        codes_N = builder.categories[:, place]
        own = min(_OWN_COLUMN, len(builder.reader.values[name]))
        blocks += [codes_N[:, None], codes_N[:, None] == np.arange(2, 2 + own)]
    for column in builder.reader.vector_columns:
        vectors_ND = builder.vectors(column)
        assert vectors_ND is not None
        blocks.append(vectors_ND)
    return np.concatenate(blocks, axis=1, dtype=np.float32)
