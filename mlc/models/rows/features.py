"""One sparse matrix of all that a row holds.

Words and their letters, categories, numbers, vectors of frozen encoders.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from mlc.models.rows.reading import RowBuilder

_WORDS = {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"\w+|[^\w\s]", "n_features": 1 << 20}
_LETTERS = {"analyzer": "char_wb", "ngram_range": (3, 4), "n_features": 1 << 18}
_KINDS: Mapping[str, Mapping[str, Any]] = {"words": _WORDS, "letters": _LETTERS}
_FEWEST_TEXTS = {"words": 2, "letters": 5}
"""A hashed column counts with at least this many texts of training."""
_MOST_NUMBERS = 100_000_000
"""Coefficients of all labels together at most; the columns of the fewest texts are left out."""
_MOST_LETTERS = 10_000
"""Letters of a text that are read; what follows is left out."""
_NAMED_TEXTS = 20_000
"""Texts of training whose words get a name."""
_KNOTS = 5
_KNOT_ROWS = 100_000

Matrix = Any  # SciPy has no types
"""A sparse matrix by rows."""
_csr = sparse.csr_matrix


@dataclass(frozen=True)
class TextFeatures:
    """The hashed words, or groups of letters, of a column of texts.

    They are weighed by how rare they are (TF-IDF).

    Attributes:
        column: The column.
        kind: `words`: words and pairs of them; `letters`: three or four letters within a word.
        buckets_M: The hash of each feature, int64, rising.
        weights_M: Inverse document frequency of each, float32.
        names: Feature → the word or pair that has its hash most often, for the frequent ones.
    """

    column: str
    kind: str
    buckets_M: np.ndarray
    weights_M: np.ndarray
    names: Mapping[int, str]

    @classmethod
    def fit(
        cls, column: str, kind: str, texts: Sequence[str], most: int, counts: Matrix | None = None
    ) -> "TextFeatures":
        """Choose the features of the texts of training.

        Args:
            column: The column.
            kind: See Attributes.
            texts: Those of training.
            most: At most this many features.
            counts: How often the texts have each hash, where that is known already.
        """
        counts = _hashed(kind, texts) if counts is None else counts
        frequency = np.bincount(counts.indices, minlength=counts.shape[1])
        buckets_M = np.flatnonzero(frequency >= _FEWEST_TEXTS[kind])
        if len(buckets_M) > most:
            order = np.argsort(-frequency[buckets_M], kind="stable")
            buckets_M = np.sort(buckets_M[order[:most]])
        weights_M = np.log((1 + len(texts)) / (1 + frequency[buckets_M])) + 1.0
        names = _names(buckets_M, texts[:_NAMED_TEXTS]) if kind == "words" else {}
        return cls(column, kind, buckets_M, weights_M.astype(np.float32), names)

    def matrix(self, builder: RowBuilder) -> Matrix:
        """Return the features of all rows, each row of length 1 or 0."""
        every = _counts(builder, self.column, self.kind)
        place = np.full(every.shape[1], -1)
        place[self.buckets_M] = np.arange(len(self.buckets_M))
        columns = place[every.indices]
        kept = every.data * (columns >= 0)
        shape = (every.shape[0], len(self.buckets_M))
        counts = _csr((kept, np.maximum(columns, 0), every.indptr.copy()), shape)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        counts.data = (1.0 + np.log(counts.data)).astype(np.float32) * self.weights_M[counts.indices]
        return _of_length_1(counts)

    def feature_names(self) -> list[str]:
        """Return what people call each feature; empty where that is not known."""
        return [self.names.get(place, "") for place in range(len(self.buckets_M))]


@dataclass(frozen=True)
class TableFeatures:
    """Categories as one feature per value, numbers as heights over a few knots.

    All are of a like size. A number lies between two knots, and its two features say how near it is to each:
    so that a linear model draws any curve through the knots. Knots are quantiles.

    Attributes:
        categories: The categories.
        values: The values of each that have a feature of their own.
        numbers: The numbers.
        knots_FH: The knots of each number, rising, float64, shape (F, H).
        scales_M: What each feature is multiplied by, float32.
    """

    categories: Sequence[str]
    values: Sequence[Sequence[str]]
    numbers: Sequence[str]
    knots_FH: np.ndarray
    scales_M: np.ndarray

    @classmethod
    def fit(cls, builder: RowBuilder, rows_M: np.ndarray) -> "TableFeatures":
        """Set knots and scales from rows of training."""
        reader, sample = builder.reader, rows_M[:: max(1, len(rows_M) // _KNOT_ROWS)]
        numbers_NF = builder.numbers[sample].astype(np.float64)
        at = np.linspace(0, 1, _KNOTS)
        knots_FH = np.zeros((numbers_NF.shape[1], _KNOTS))
        for place, column in enumerate(numbers_NF.T):
            known = column[~np.isnan(column)]
            knots_FH[place] = np.quantile(known, at) if len(known) else at
        columns = reader.columns
        values = [list(reader.values[name]) for name in columns.categories]
        width = sum(2 + len(each) for each in values) + knots_FH.shape[0] * (_KNOTS + 1)
        plain = cls(columns.categories, values, columns.numbers, knots_FH, np.ones(width, np.float32))
        raw = plain._raw(builder.categories[rows_M], builder.numbers[rows_M])
        mean_M = np.asarray(raw.mean(axis=0)).ravel()
        variance_M = np.asarray(raw.multiply(raw).mean(axis=0)).ravel() - mean_M**2
        fields = max(1, len(columns.categories) + len(columns.numbers))
        deviation_M = np.sqrt(np.maximum(variance_M, 1e-4))
        return cls(
            columns.categories,
            values,
            columns.numbers,
            knots_FH,
            (1.0 / (deviation_M * np.sqrt(fields * _KNOTS))).astype(np.float32),
        )

    def matrix(self, builder: RowBuilder) -> Matrix:
        """Return the features of all rows."""
        raw = self._raw(builder.categories, builder.numbers)
        return _csr(raw @ sparse.diags(self.scales_M)).astype(np.float32)

    def _raw(self, categories_NC: np.ndarray, numbers_NF: np.ndarray) -> Matrix:
        rows = len(categories_NC)
        blocks = []
        for place, values in enumerate(self.values):
            ones = np.ones(rows, np.float32)
            blocks.append(_csr((ones, categories_NC[:, place], np.arange(rows + 1)), (rows, 2 + len(values))))
        blocks += [
            _heights(column, knots_H) for column, knots_H in zip(numbers_NF.T, self.knots_FH, strict=True)
        ]
        return _csr(sparse.hstack(blocks)) if blocks else _csr((rows, 0), dtype=np.float32)

    def feature_names(self) -> list[str]:
        """Return what people call each feature."""
        names = []
        for category, values in zip(self.categories, self.values, strict=True):
            names += [
                f"{category}: missing",
                f"{category}: other",
                *(f"{category}: {value}" for value in values),
            ]
        for number, knots_H in zip(self.numbers, self.knots_FH, strict=True):
            names += [*(f"{number} near {knot:.4g}" for knot in knots_H), f"{number}: missing"]
        return names


@dataclass(frozen=True)
class VectorFeatures:
    """The vectors of a frozen encoder, centred, and scaled to a length of about 1.

    Attributes:
        column: The column.
        mean_D: Of training, float32.
        scale: What centred vectors are multiplied by.
    """

    column: str
    mean_D: np.ndarray
    scale: float

    @classmethod
    def fit(cls, column: str, vectors_MD: np.ndarray) -> "VectorFeatures":
        """Set mean and scale from the vectors of training."""
        mean_D = vectors_MD.mean(axis=0)
        length = float(np.sqrt(np.square(vectors_MD - mean_D).sum(axis=1).mean()))
        return cls(column, mean_D.astype(np.float32), 1.0 / max(length, 1e-6))

    def matrix(self, builder: RowBuilder) -> Matrix:
        """Return the features of all rows."""
        vectors_ND = builder.vectors(self.column)
        assert vectors_ND is not None  # the reader of the run has the encoder
        return _csr((vectors_ND - self.mean_D) * np.float32(self.scale))

    def feature_names(self) -> list[str]:
        """Return what people call each feature."""
        return [f"{self.column}: dimension {place}" for place in range(len(self.mean_D))]


Features = TextFeatures | TableFeatures | VectorFeatures


def fit_features(builder: RowBuilder, rows_M: np.ndarray) -> list[Features]:
    """Choose the features of rows of training.

    Args:
        builder: All rows.
        rows_M: Positions of those of training.
    """
    reader, labels = builder.reader, builder.inputs.labels
    features: list[Features] = []
    texts = len(reader.columns.texts) * len(_KINDS)
    for column in reader.columns.texts:
        training = texts_of(builder.inputs.frame[column].gather(rows_M))
        most = max(1000, _MOST_NUMBERS // (labels * texts))
        features += [
            TextFeatures.fit(column, kind, training, most, _counts(builder, column, kind)[rows_M])
            for kind in _KINDS
        ]
    if reader.columns.categories or reader.columns.numbers:
        features.append(TableFeatures.fit(builder, rows_M))
    for column in reader.vector_columns:
        vectors_ND = builder.vectors(column)
        assert vectors_ND is not None
        features.append(VectorFeatures.fit(column, vectors_ND[rows_M]))
    return features


def matrix_of(features: Sequence[Features], builder: RowBuilder) -> Matrix:
    """Return the features of all rows side by side, float32."""
    blocks = [each.matrix(builder) for each in features]
    rows = builder.inputs.frame.height
    return _csr(sparse.hstack(blocks, format="csr")) if blocks else _csr((rows, 0), dtype=np.float32)


def texts_of(column: pl.Series) -> list[str]:
    """Return the texts of a column as far as they are read; a missing one is empty."""
    texts: list[str] = column.cast(pl.String).fill_null("").str.slice(0, _MOST_LETTERS).to_list()
    return texts


def _counts(builder: RowBuilder, column: str, kind: str) -> Matrix:
    """Return how often each text has each hash; texts are hashed once."""
    key = f"{kind} of {column}"
    if key not in builder.hashed:
        builder.hashed[key] = _hashed(kind, texts_of(builder.inputs.frame[column]))
    return builder.hashed[key]


def _hashed(kind: str, texts: Sequence[str]) -> Matrix:
    from sklearn.feature_extraction.text import HashingVectorizer  # takes a second to load

    options = {**_KINDS[kind], "alternate_sign": False, "norm": None, "dtype": np.float32}
    return HashingVectorizer(**options).transform(texts)


def _names(buckets_M: np.ndarray, texts: Sequence[str]) -> dict[int, str]:
    """Return the most frequent word or pair of each feature."""
    from sklearn.feature_extraction.text import HashingVectorizer

    analyze = HashingVectorizer(**_WORDS).build_analyzer()
    counted = Counter(word for text in texts for word in analyze(text))
    words = [
        word for word, count in sorted(counted.items(), key=lambda item: (item[1], item[0])) if count > 1
    ]
    if not words:
        return {}
    plain = HashingVectorizer(
        analyzer=_as_it_is, alternate_sign=False, norm=None, n_features=_WORDS["n_features"]
    )
    buckets_W = plain.transform(words).indices
    place_W = np.searchsorted(buckets_M, buckets_W)
    inside_W = np.minimum(place_W, len(buckets_M) - 1)
    # Of words with one hash the last, which is the most frequent, stays.
    return {
        int(place): word
        for place, bucket, word in zip(inside_W, buckets_W, words, strict=True)
        if len(buckets_M) and buckets_M[place] == bucket
    }


def _as_it_is(word: str) -> list[str]:
    return [word]


def _of_length_1(matrix: Matrix) -> Matrix:
    lengths_N = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    matrix.data /= np.repeat(np.maximum(lengths_N, 1e-12), np.diff(matrix.indptr)).astype(np.float32)
    return matrix


def _heights(column: np.ndarray, knots_H: np.ndarray) -> Matrix:
    """Return how near a number is to the knots beside it, and whether it is missing."""
    rows, steps = len(column), len(knots_H) - 1
    missing_N = np.isnan(column)
    inside_N = np.clip(np.where(missing_N, knots_H[0], column), knots_H[0], knots_H[-1])
    left_N = np.clip(np.searchsorted(knots_H, inside_N, side="right") - 1, 0, steps - 1)
    width_N = knots_H[left_N + 1] - knots_H[left_N]
    share_N = np.where(width_N > 0, (inside_N - knots_H[left_N]) / np.where(width_N > 0, width_N, 1.0), 0.0)
    data_N2 = np.stack([np.where(missing_N, 1.0, 1.0 - share_N), np.where(missing_N, 0.0, share_N)], axis=1)
    places_N2 = np.stack([np.where(missing_N, steps + 1, left_N), np.where(missing_N, 0, left_N + 1)], axis=1)
    starts = np.arange(0, 2 * rows + 1, 2)
    heights = _csr((data_N2.ravel().astype(np.float32), places_N2.ravel(), starts), (rows, steps + 2))
    heights.sort_indices()
    return heights
