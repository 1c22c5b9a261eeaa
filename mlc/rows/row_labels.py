"""Which label values each row has, in whatever form the tables write them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlc.errors import DataError, Problem, did_you_mean, sentences
from mlc.rows.label_lists import BITS, LabelColumn, bit_vectors, clipped, label_lists
from mlc.scenario import ColumnPrefix, RowScenario
from mlc.sources import is_blank, reading
from mlc.sources.rows import ROW, ROW_ID, scan_labels

_WORDS = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}
_PLACE = "place"
_VALUE = "value"


@dataclass(frozen=True)
class RowLabels:
    """What N rows have of V values, before it is decided which values are labels.

    Attributes:
        values: The V values in alphabetical order.
        rows_P: Row of each pair of a row and a value that it has, int64.
        codes_P: Place of the value in `values`, int64. Each pair is there once.
        rows_U: Row of each pair of which nobody knows whether the row has the value, int64.
        codes_U: Place of the value.
        empty_N: Rows without any value, bool.
        strangers: Rows of a table of labels whose key is that of no row.
    """

    values: Sequence[str]
    rows_P: np.ndarray
    codes_P: np.ndarray
    rows_U: np.ndarray
    codes_U: np.ndarray
    empty_N: np.ndarray
    strangers: int = 0

    def counts(self, rows_N: np.ndarray) -> np.ndarray:
        """Return how many of some rows have each value, int64, shape (V).

        Args:
            rows_N: Which rows count, bool.
        """
        return np.bincount(self.codes_P[rows_N[self.rows_P]], minlength=len(self.values))

    def of(self, rows_M: np.ndarray) -> "RowLabels":
        """Return the labels of some rows, in their order; each row at most once."""
        place_N = np.full(len(self.empty_N), -1)
        place_N[rows_M] = np.arange(len(rows_M))
        has_P, unknown_U = place_N[self.rows_P] >= 0, place_N[self.rows_U] >= 0
        return RowLabels(
            self.values,
            place_N[self.rows_P[has_P]],
            self.codes_P[has_P],
            place_N[self.rows_U[unknown_U]],
            self.codes_U[unknown_U],
            self.empty_N[rows_M],
            self.strangers,
        )


def label_columns(scenario: RowScenario, columns: Sequence[str]) -> dict[str, str]:
    """Return label → the column of 0 and 1 that says who has it.

    It is empty where labels are values.

    Args:
        scenario: Checked scenario.
        columns: The columns of its table.

    Raises:
        DataError: No column begins with the prefix.
    """
    match scenario.target.columns:
        case None:
            return {}
        case ColumnPrefix(prefix=prefix):
            labels = {
                name.removeprefix(prefix): name
                for name in columns
                if name.startswith(prefix) and name.removeprefix(prefix).strip()
            }
            if not labels:
                rule = sentences(f"no column begins with {prefix}", did_you_mean(prefix, columns))
                raise DataError(scenario.problem("target.columns", rule))
            return labels
        case names:
            return {name: name for name in names}


def labels_table(scenario: RowScenario) -> str | None:
    """Return the table of kind labels that the target names; None where it names none."""
    owner, _, column = (scenario.target.column or "").partition(".")
    return owner if column and owner in scenario.data.labels else None


def read_labels(scenario: RowScenario, frame: pl.DataFrame) -> RowLabels:
    """Read the labels of rows.

    Args:
        scenario: Checked scenario.
        frame: The rows with `ROW`, `ROW_ID` and the columns of the target, as far as they are there: a label
            whose column is missing is unknown.

    Raises:
        DataError: A value is none of those that the form of the labels allows.
    """
    target, name = scenario.target, scenario.target.table
    if target.columns is not None:
        return _of_columns(scenario, frame)
    assert target.column is not None  # either of the two
    owner = labels_table(scenario)
    if owner is None:
        values = frame[target.column]
        return _of_lists(
            LabelColumn(scenario, name, values, frame[ROW]), np.arange(frame.height), frame.height
        )
    with reading(scenario, owner):
        long = scan_labels(scenario, owner, frame.schema[ROW_ID]).collect()
    rows = frame.select(ROW_ID, pl.int_range(pl.len()).alias(_PLACE))
    places = long.select(ROW_ID).join(rows, on=ROW_ID, how="left", maintain_order="left")[_PLACE]
    known = places.is_not_null()
    values = long[target.column.partition(".")[2]]
    if len(values) and not known.any() and frame.height:
        key = scenario.data.labels[owner].key
        examples = f"{clipped(long[key][0])} in {owner}, {clipped(frame[ROW_ID][0])} in {name}"
        rule = f"no key of {owner} is that of a row in {name} ({examples})"
        raise DataError(scenario.problem(("data", "tables", owner, "key"), f"{rule}. Name the same keys."))
    column = LabelColumn(scenario, owner, values.filter(known), long[ROW].filter(known))
    found = _of_lists(column, places.drop_nulls().to_numpy(), frame.height)
    return RowLabels(
        found.values,
        found.rows_P,
        found.codes_P,
        found.rows_U,
        found.codes_U,
        found.empty_N,
        int((~known).sum()),
    )


def _of_lists(column: LabelColumn, rows_M: np.ndarray, rows: int) -> RowLabels:
    """The labels of a column with M values, each of one of the rows."""
    lists = label_lists(column)
    if bit_vectors(column, lists):
        return _of_vectors(column, lists, rows_M, rows)
    frame = pl.DataFrame({_PLACE: rows_M, _VALUE: lists})
    pairs = frame.explode(_VALUE).drop_nulls(_VALUE).unique().sort(_PLACE, _VALUE)
    values = pairs[_VALUE].unique().sort()
    places = pl.int_range(len(values), eager=True)
    codes = pairs[_VALUE].replace_strict(values, places, return_dtype=pl.Int64, default=None)
    rows_P = pairs[_PLACE].to_numpy()
    empty_N = np.ones(rows, dtype=bool)
    empty_N[rows_P] = False
    return RowLabels(values.to_list(), rows_P, codes.to_numpy().astype(np.int64), *_nothing(), empty_N)


def _nothing() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


def _of_vectors(column: LabelColumn, lists: pl.Series, rows_M: np.ndarray, rows: int) -> RowLabels:
    """Vectors of 0 and 1, whose places are the class names in their order."""
    names = column.scenario.target.names
    assert names is not None  # otherwise they were refused
    filled = lists.is_not_null().to_numpy()
    words = lists.drop_nulls().explode().str.to_lowercase()
    bits_MK = _bits(words).reshape(-1, len(names))
    matrix_NK = np.full((rows, len(names)), -1, dtype=np.int8)
    matrix_NK[rows_M[filled]] = bits_MK
    empty_N = np.ones(rows, dtype=bool)
    empty_N[rows_M[filled]] = False
    return _of_matrix(names, matrix_NK, empty_N)


def _bits(words: pl.Series) -> np.ndarray:
    """1, 0, or -1 where it is not known, int8."""
    return words.replace_strict(
        list(_WORDS), list(_WORDS.values()), default=-1, return_dtype=pl.Int8
    ).to_numpy()


def _of_matrix(names: Sequence[str], matrix_NK: np.ndarray, empty_N: np.ndarray) -> RowLabels:
    """The labels of a matrix of 1, 0 and -1 (unknown)."""
    order = sorted(range(len(names)), key=names.__getitem__)
    matrix_NV = matrix_NK[:, order]
    rows_P, codes_P = np.nonzero(matrix_NV == 1)
    rows_U, codes_U = np.nonzero((matrix_NV == -1) & ~empty_N[:, None])
    return RowLabels([names[k] for k in order], rows_P, codes_P, rows_U, codes_U, empty_N)


def _of_columns(scenario: RowScenario, frame: pl.DataFrame) -> RowLabels:
    """One column of 0 and 1 per label."""
    labels = label_columns(scenario, frame.columns)
    matrix_NK = np.full((frame.height, len(labels)), -1, dtype=np.int8)
    problems: list[Problem] = []
    for k, column in enumerate(labels.values()):
        if column not in frame.columns:
            continue
        bits, wrong_N = _column_bits(frame[column])
        matrix_NK[:, k] = bits
        if wrong_N.any():
            place = int(np.flatnonzero(wrong_N)[0])
            listed = isinstance(scenario.target.columns, list)
            field = ("target", "columns", k) if listed else ("target", "columns")
            rule = (
                f"row {frame[ROW][place]} of {scenario.target.table} has {clipped(frame[column][place])} as"
            )
            problems.append(scenario.problem(field, sentences(f"{rule} {column}", _advice(frame[column]))))
    if problems:
        raise DataError(problems)
    unknown_N = (matrix_NK == -1).all(axis=1)
    # A row of which nothing is known has no empty list of labels: its targets are unknown one by one.
    found = _of_matrix(list(labels), matrix_NK, np.zeros(frame.height, dtype=bool))
    return RowLabels(found.values, found.rows_P, found.codes_P, found.rows_U, found.codes_U, unknown_N)


def _column_bits(values: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """1, 0 or -1 (unknown) of each value, and which values are neither."""
    texts = values.cast(pl.String).str.strip_chars().str.to_lowercase()
    bits = _bits(texts)
    empty = values.is_null()
    if values.dtype.is_float():
        empty |= values.is_nan()
    elif values.dtype == pl.String:
        empty |= values.to_frame().select(is_blank(pl.col(values.name)))[values.name].fill_null(True)
    return bits, (bits == -1) & ~empty.to_numpy()


def _advice(values: pl.Series) -> str:
    """What to do about a label column with other values than 0 and 1."""
    column = values.name
    allowed = "a label column has 0, 1, true, false, or nothing where it is not known"
    if values.dtype.is_integer():
        return f"{allowed}. For numbers of classes, write target.column: {column} in place of columns"
    if values.dtype.is_numeric():
        return f"{allowed}; decide from which value on it is 1, with computed: {{NAME: '{column} >= 0.5'}}"
    words = set(
        values.cast(pl.String).drop_nulls().head(10_000).str.strip_chars().str.to_lowercase().to_list()
    )
    if words <= {"yes", "no", "y", "n", "t", "f", "true", "false", ""} | BITS:
        return f"{allowed}. Add types: {{{column}: boolean}} to its table, which reads yes and no"
    return f"{allowed}. For names of labels, write target.column: {column} in place of columns"
