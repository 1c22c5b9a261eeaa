"""What a reader learns of columns, how it is stored, and the batches it makes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mlc.errors import DataError, RunError
from mlc.models.branches.attributes import AttributeInputs
from mlc.models.branches.vectors import VectorInputs
from mlc.models.rows import encoders
from mlc.models.rows.reading import RowBuilder, RowReader
from mlc.rows.inputs import RowColumns, RowInputs
from mlc.run import RunFolder
from tests.support.row_inputs import LengthEncoder, reader_of, row_inputs


def test_a_missing_category_has_row_0_a_new_value_row_1_and_known_ones_their_own_by_frequency():
    frame = pl.DataFrame({"kind": ["b", "a", "b", None, "rare", "c", "c", "c"]})
    inputs = RowInputs(frame, RowColumns(categories=["kind"], min_counts={"kind": 2}), 1)
    reader = RowReader.fit(inputs, np.arange(8) != 1)  # the row with "a" is not of training
    assert reader.values == {"kind": ["c", "b"]}
    assert reader.codes(frame)[:, 0].tolist() == [3, 1, 3, 0, 1, 2, 2, 2]
    assert reader.sizes.categories == [4]


def test_a_number_beyond_float32_is_missing():
    frame = pl.DataFrame({"x": [1.5, None, np.inf, 1e300]})
    inputs = RowInputs(frame, RowColumns(numbers=["x"]), 1)
    builder = RowBuilder.of(reader_of(inputs).batches(inputs))
    np.testing.assert_array_equal(builder.numbers[:, 0], [1.5, np.nan, np.nan, np.nan])


def test_a_batch_has_fields_and_the_vectors_of_frozen_encoders():
    inputs = row_inputs(20)
    assert inputs.targets_NK is not None
    batches = reader_of(inputs, encoders={"note": LengthEncoder()}).batches(inputs)
    batch = batches[np.array([3, 1])]
    assert batch.targets_BK.tolist() == inputs.targets_NK[[3, 1]].tolist()
    fields = batch.of(AttributeInputs).fields_B
    heat_B = inputs.frame["heat"].gather([3, 1]).fill_null(float("nan")).to_numpy()
    np.testing.assert_allclose(fields.numbers_XF[:, 0], heat_B, rtol=1e-6)
    lengths = [len(text or "") for text in inputs.frame["note"].gather([3, 1])]
    assert batch.of(VectorInputs).vectors_BV[:, 0].tolist() == lengths
    unknown = reader_of(inputs).batches(replace(inputs, targets_NK=None))[np.array([0])]
    assert (unknown.targets_BK == 255).all()


def test_a_reader_that_was_stored_reads_the_same(tmp_path, monkeypatch):
    inputs, run = row_inputs(50), RunFolder(tmp_path)
    reader = reader_of(inputs, encoders={"note": LengthEncoder()})
    reader.save(run)
    found = {"length": LengthEncoder()}
    monkeypatch.setattr(encoders, "_encoder_from_json", lambda value, _: found[value["kind"]])
    assert RowReader.load(run) == reader


def test_an_encoder_of_an_unknown_kind_is_named(tmp_path):
    inputs, run = row_inputs(50), RunFolder(tmp_path)
    reader_of(inputs, encoders={"note": LengthEncoder()}).save(run)
    with pytest.raises(RunError, match=r"columns\.json.*'length' is no kind of encoder"):
        RowReader.load(run)


def test_a_column_that_has_left_the_table_is_named():
    inputs = row_inputs(20)
    reader = reader_of(inputs)
    with pytest.raises(DataError, match="the model reads era, heat"):
        reader.batches(replace(inputs, frame=inputs.frame.drop("era", "heat")))
