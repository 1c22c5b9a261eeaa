"""What the parts of a model read of rows.

Vocabularies of categories, numbers, vectors of frozen encoders, batches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import polars as pl
import torch

from mlc.errors import DataError
from mlc.models.branches.attributes import AttributeInputs
from mlc.models.branches.vectors import VectorInputs
from mlc.models.reading.batch import Batch, Fields, FieldSizes, Packed
from mlc.models.reading.batches import ExampleBatches
from mlc.models.rows.encoders import FrozenEncoder, stored_encoders
from mlc.rows.inputs import RowColumns, RowInputs
from mlc.run import RunFolder
from mlc.run.schemas import of_schema
from mlc.tables import UNKNOWN

FILE = "columns.json"
_SCHEMA = "mlc/columns/1"
_MISSING, _OTHER, _FIRST = 0, 1, 2
_OWN_COLUMN = 16
"""The most frequent values of a category that have a 0/1 column of their own."""
_MOST_VALUES = 10_000
"""Values of a category that have a place of their own at most: the most frequent ones."""


class InputsMaker(Protocol):
    """Makes what a branch with a trained encoder reads of rows."""

    def of(self, inputs: RowInputs) -> Callable[[np.ndarray], Packed]:
        """Return what makes the inputs of some rows, by their positions."""

    def save(self, run: RunFolder) -> None:
        """Write what it takes to make the same again."""


@dataclass(frozen=True)
class RowReader:
    """What a model knows of the columns of rows; see `mlc.models.tasks.Reader`.

    Attributes:
        columns: How each column enters the model.
        values: Category → the values that have a place of their own, the most frequent first.
        encoders: Column of texts or pictures → the frozen encoder that turns it into vectors.
        makers: What the branches with trained encoders read.
    """

    columns: RowColumns
    values: Mapping[str, Sequence[str]]
    encoders: Mapping[str, FrozenEncoder] = field(default_factory=dict)
    makers: Sequence[InputsMaker] = ()

    @classmethod
    def fit(
        cls,
        inputs: RowInputs,
        train_N: np.ndarray,
        encoders: Mapping[str, FrozenEncoder] | None = None,
        makers: Sequence[InputsMaker] = (),
    ) -> "RowReader":
        """Learn the values of categories from training rows.

        Args:
            inputs: All rows.
            train_N: Which of them are of training, bool.
            encoders: Column → its frozen encoder.
            makers: What the branches with trained encoders read.
        """
        training = inputs.frame.filter(train_N)
        columns = inputs.columns
        values = {
            name: _frequent(training[name], columns.min_counts.get(name, 1)) for name in columns.categories
        }
        return cls(columns, values, encoders or {}, makers)

    @property
    def sizes(self) -> FieldSizes:
        """What a network must know of categories and numbers."""
        rows = [_FIRST + len(self.values[name]) for name in self.columns.categories]
        return FieldSizes(rows, len(self.columns.numbers))

    @property
    def has_dense(self) -> bool:
        """Whether there is anything that trees can read."""
        return bool(self.columns.numbers or self.columns.categories or self.vector_columns)

    @property
    def vector_columns(self) -> list[str]:
        """The columns that frozen encoders turn into vectors, in the order of the columns."""
        return [name for name in self.columns.names if name in self.encoders]

    def batches(self, inputs: RowInputs) -> ExampleBatches:
        """See `Reader`.

        Raises:
            DataError: A column of the training is not there.
        """
        absent = [name for name in self.columns.names if name not in inputs.frame.columns]
        if absent:
            raise DataError(f"the model reads {', '.join(absent)}, which the table no longer has. Add it.")
        rows_N = np.arange(inputs.frame.height)
        return ExampleBatches(RowBuilder(inputs, self), rows_N, rows_N, inputs.targets_NK)

    def codes(self, frame: pl.DataFrame) -> np.ndarray:
        """Return the vocabulary rows of categories, int64, shape (N, categories).

        0 is a missing value, 1 one that is not in the vocabulary.
        """
        columns = []
        for name in self.columns.categories:
            known = self.values[name]
            places = np.arange(_FIRST, _FIRST + len(known))
            texts = frame[name].cast(pl.String)
            coded = texts.replace_strict(known, places, default=_OTHER, return_dtype=pl.Int64)
            columns.append(coded.set(texts.is_null(), _MISSING).to_numpy())
        return np.stack(columns, axis=1) if columns else np.zeros((frame.height, 0), np.int64)

    def save(self, run: RunFolder) -> None:
        """Write `columns.json`, and what makers need; weights stay where they are."""
        run.write_json(FILE, self.as_json())
        for maker in self.makers:
            maker.save(run)

    def as_json(self) -> dict[str, Any]:
        """Return what `columns.json` holds."""
        return {
            "schema": _SCHEMA,
            "columns": self.columns.as_json(),
            "values": {name: list(values) for name, values in self.values.items()},
            "encoders": {name: dict(encoder.as_json()) for name, encoder in self.encoders.items()},
        }

    @classmethod
    def load(
        cls,
        run: RunFolder,
        makers_of: Callable[[RunFolder, RowColumns], Sequence[InputsMaker]] = lambda *_: (),
    ) -> "RowReader":
        """Load what `save` has written.

        Args:
            run: A finished run.
            makers_of: Loads what the branches with trained encoders read.

        Raises:
            RunError: The file is missing or damaged, or an encoder is no longer there.
        """
        stored: dict[str, Any] = run.read_json(FILE, _checked)
        with run.reading(FILE):
            columns = RowColumns.from_json(stored["columns"])
            encoders = stored_encoders(stored["encoders"], columns)
        return cls(columns, stored["values"], encoders, makers_of(run, columns))


class RowBuilder:
    """Builds batches of rows, and gives parts that are not networks all rows at once.

    Args:
        inputs: The rows.
        reader: What the model knows of their columns.

    Attributes:
        hashed: Texts as the linear part has hashed them, kept from its training to its scoring.
    """

    def __init__(self, inputs: RowInputs, reader: RowReader) -> None:
        self.inputs, self.reader = inputs, reader
        self.hashed: dict[str, Any] = {}
        self._vectors: dict[str, np.ndarray] = {}

    @classmethod
    def of(cls, batches: ExampleBatches) -> "RowBuilder":
        """Return the builder of batches of rows."""
        assert isinstance(batches.builder, cls)
        return batches.builder

    @property
    def targets(self) -> np.ndarray:
        """The targets of all rows, which a training knows, uint8, shape (N, K)."""
        assert self.inputs.targets_NK is not None
        return self.inputs.targets_NK

    @cached_property
    def categories(self) -> np.ndarray:
        """Vocabulary row of each category, int64."""
        return self.reader.codes(self.inputs.frame)

    @cached_property
    def numbers(self) -> np.ndarray:
        """The numbers, float32; NaN where they are missing or infinite."""
        names = list(self.reader.columns.numbers)
        if not names:
            return np.zeros((self.inputs.frame.height, 0), np.float32)
        with np.errstate(over="ignore"):  # beyond float32: infinite, and so missing
            numbers_NF = self.inputs.frame.select(names).cast(pl.Float64).to_numpy().astype(np.float32)
        numbers_NF[~np.isfinite(numbers_NF)] = np.nan
        return numbers_NF

    def vectors(self, column: str) -> np.ndarray | None:
        """Return the vectors of a column, float32, shape (N, D).

        None where the column has no frozen encoder. It is computed when it is first asked for.
        """
        encoder = self.reader.encoders.get(column)
        if encoder is None:
            return None
        if column not in self._vectors:
            self._vectors[column] = encoder.vectors(self.inputs.frame[column])
        return self._vectors[column]

    @cached_property
    def dense(self) -> np.ndarray:
        """What trees read of all rows, float32, shape (N, columns).

        Numbers, coded categories, and vectors. A missing number is NaN. A category is its place among the
        values by frequency, and 0/1 columns of its most frequent values.
        """
        blocks = [self.numbers]
        for place, name in enumerate(self.reader.columns.categories):
            codes_N = self.categories[:, place]
            own = min(_OWN_COLUMN, len(self.reader.values[name]))
            blocks += [codes_N[:, None], codes_N[:, None] == np.arange(_FIRST, _FIRST + own)]
        for column in self.reader.vector_columns:
            vectors_ND = self.vectors(column)
            assert vectors_ND is not None
            blocks.append(vectors_ND)
        return np.concatenate(blocks, axis=1, dtype=np.float32)

    @cached_property
    def _gathers(self) -> list[Callable[[np.ndarray], Packed]]:
        return [maker.of(self.inputs) for maker in self.reader.makers]

    def build(
        self,
        index_B: np.ndarray,
        rows_B: np.ndarray,
        cutoffs_B: np.ndarray,
        targets_BK: np.ndarray | None,
        cached_BR: np.ndarray | None = None,
    ) -> Batch:
        """Return one batch; see `Builder`."""
        del cutoffs_B, cached_BR
        if targets_BK is None:
            targets_BK = np.full((len(rows_B), self.inputs.labels), UNKNOWN, dtype=np.uint8)
        categories_BC, numbers_BF = self.categories[rows_B], self.numbers[rows_B]
        fields = Fields(torch.from_numpy(categories_BC), torch.from_numpy(numbers_BF))
        inputs: dict[type[Packed], Packed] = {AttributeInputs: AttributeInputs(fields)}
        vectors = [self.vectors(column) for column in self.reader.vector_columns]
        if vectors:
            side_by_side = [each[rows_B] for each in vectors if each is not None]
            inputs[VectorInputs] = VectorInputs(torch.from_numpy(np.concatenate(side_by_side, axis=1)))
        for gather in self._gathers:
            packed = gather(rows_B)
            inputs[type(packed)] = packed
        return Batch(torch.from_numpy(index_B), torch.from_numpy(targets_BK), inputs)


def _frequent(values: pl.Series, fewest: int) -> list[str]:
    """Return the values that enough rows have, the most frequent first, then by name."""
    counted = values.cast(pl.String).drop_nulls().alias("value").value_counts(name="rows")
    kept = counted.filter(pl.col("rows") >= fewest).sort(["rows", "value"], descending=[True, False])
    return kept["value"].head(_MOST_VALUES).to_list()


def _checked(stored: dict[str, Any]) -> dict[str, Any]:
    """Return what `columns.json` holds.

    Raises:
        ValueError: Another version wrote it.
    """
    of_schema(stored, _SCHEMA)
    return {key: dict(stored[key]) for key in ("columns", "values", "encoders")}
