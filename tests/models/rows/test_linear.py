"""The linear part: its features, what it learns, and how it is stored."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import average_precision_score

from mlc.models.rows.features import TableFeatures, TextFeatures
from mlc.models.rows.linear import Linear, fit_linear
from mlc.models.rows.reading import RowBuilder
from mlc.rows.inputs import RowColumns, RowInputs
from mlc.run import RunFolder
from mlc.tables import UNKNOWN
from tests.support.row_inputs import LengthEncoder, folds_of, reader_of, row_inputs

TEXTS = ["Red mug, red tea", "a red mug", "tea", None, "", "blue mug and red tea", "so it goes"]


def builder_of(frame: pl.DataFrame, columns: RowColumns):
    inputs = RowInputs(frame, columns, 1)
    return RowBuilder.of(reader_of(inputs).batches(inputs))


@pytest.mark.parametrize(("kind", "analyzer", "grams", "fewest"), [("words", "word", (1, 2), 2)])
def test_hashed_texts_are_tf_idf(kind, analyzer, grams, fewest):
    texts = [text or "" for text in TEXTS]
    features = TextFeatures.fit("note", kind, texts, 10_000)
    hashed = features.matrix(builder_of(pl.DataFrame({"note": TEXTS}), RowColumns(texts=["note"])))
    reference = TfidfVectorizer(
        analyzer=analyzer, ngram_range=grams, min_df=fewest, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"
    ).fit_transform(texts)
    assert hashed.shape == reference.shape
    # The columns lie in the order of their hashes: what all pairs of texts share is the same.
    np.testing.assert_allclose((hashed @ hashed.T).toarray(), (reference @ reference.T).toarray(), atol=1e-6)
    named = set(features.feature_names())
    assert {"red", "mug", "tea", "red mug", "red tea"} <= named


def test_the_rarest_hashes_are_left_out_where_there_are_too_many():
    texts = ["red mug"] * 5 + ["blue tea"] * 3
    features = TextFeatures.fit("note", "words", texts, 3)
    assert set(features.feature_names()) == {"red", "mug", "red mug"}


def test_heights_over_knots_draw_a_number_and_a_missing_one_has_a_feature_of_its_own():
    values = [0.0, 1.0, 2.5, 4.0, None, -9.0, 99.0]
    builder = builder_of(pl.DataFrame({"x": values}), RowColumns(numbers=["x"]))
    features = replace(TableFeatures.fit(builder, np.arange(4)), scales_M=np.ones(6, np.float32))
    heights_NH = features.matrix(builder).toarray()
    np.testing.assert_allclose(heights_NH.sum(axis=1), 1.0)
    np.testing.assert_allclose(heights_NH[:4, :5] @ features.knots_FH[0], [0.0, 1.0, 2.5, 4.0], atol=1e-5)
    assert heights_NH[4].tolist() == [0, 0, 0, 0, 0, 1]
    assert heights_NH[5].tolist() == [1, 0, 0, 0, 0, 0]
    assert heights_NH[6].tolist() == [0, 0, 0, 0, 1, 0]


def test_one_model_learns_from_all_inputs_and_nothing_is_lost_in_a_run(tmp_path):
    inputs, run = row_inputs(), RunFolder(tmp_path)
    reader = reader_of(inputs, encoders={"note": LengthEncoder()})
    batches = reader.batches(inputs)
    linear, held_out_NK = fit_linear(RowBuilder.of(batches), folds_of(np.arange(600)), seed=0)
    assert average_precision_score(inputs.targets_NK, held_out_NK, average=None).min() > 0.75
    weight_of = dict(zip(linear.feature_names(), linear.weights_KM[1], strict=True))
    assert weight_of["blue"] > 0.5 > 0.1 > abs(weight_of["mug"])
    assert weight_of["grey"] < -0.3
    linear.save(run)
    loaded = Linear.load(run)
    np.testing.assert_array_equal(loaded.scores(batches), linear.scores(batches))
    assert loaded.feature_names() == linear.feature_names()
    some = replace(inputs, frame=inputs.frame[40:50], targets_NK=None)
    np.testing.assert_allclose(linear.scores(reader.batches(some)), linear.scores(batches)[40:50], atol=1e-6)


def test_rows_with_an_unknown_target_play_no_part_for_their_label():
    inputs = row_inputs(300)
    assert inputs.targets_NK is not None
    targets_NK = inputs.targets_NK.copy()
    targets_NK[150:, 0] = UNKNOWN
    scored = []
    for other in (0, 1):  # whatever stood there
        changed = targets_NK.copy()
        changed[150:, 1] = other if other else changed[150:, 1]
        batches = reader_of(inputs).batches(replace(inputs, targets_NK=changed))
        linear, _ = fit_linear(RowBuilder.of(batches), folds_of(np.arange(300)), seed=0)
        scored.append(linear.weights_KM[0])
    np.testing.assert_array_equal(*scored)


@pytest.mark.parametrize(("only", "near"), [(0, 0.0), (1, 1.0), (UNKNOWN, 0.5)])
def test_a_label_with_one_kind_of_target_gets_its_share(only, near):
    inputs = row_inputs(200)
    assert inputs.targets_NK is not None
    inputs.targets_NK[:, 2] = only
    batches = reader_of(inputs).batches(inputs)
    linear, held_out_NK = fit_linear(RowBuilder.of(batches), folds_of(np.arange(200)), seed=0)
    assert np.isfinite(held_out_NK).all()
    scores_N = linear.scores(batches)[:, 2]
    assert np.ptp(scores_N) < 1e-6
    if only != UNKNOWN:
        assert scores_N[0] == pytest.approx(near, abs=0.1)
