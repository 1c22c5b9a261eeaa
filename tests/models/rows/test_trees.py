"""Trees are stored without code and score as those of scikit-learn do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import average_precision_score

from mlc.models.rows import trees as module
from mlc.models.rows.reading import RowBuilder
from mlc.models.rows.trees import Forest, Trees, fit_trees
from mlc.run import RunFolder
from mlc.tables import UNKNOWN
from tests.support.row_inputs import folds_of, reader_of, row_inputs


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    columns=st.integers(1, 4),
    labels=st.integers(1, 3),
    leaf=st.integers(1, 5),
)
def test_shares_are_the_predictions_of_scikit_learn(seed, rows, columns, labels, leaf):
    generator = np.random.default_rng(seed)
    x_MF = generator.integers(-2, 3, (rows, columns)).astype(np.float32)
    targets_MK = generator.integers(0, 2, (rows, labels))
    options = {"n_estimators": 5, "min_samples_leaf": leaf, "random_state": seed}
    new_NF = generator.normal(size=(30, columns)).astype(np.float32)
    single = targets_MK.ravel() if labels == 1 else targets_MK

    numbers = ExtraTreesRegressor(**options).fit(x_MF, single)
    forest = Forest.of(numbers.estimators_, np.zeros(columns))
    expected_NK = numbers.predict(new_NF).reshape(len(new_NF), labels)
    np.testing.assert_allclose(forest.shares(new_NF), expected_NK, atol=1e-6)


def test_shares_of_known_targets_are_those_of_a_plain_loop():
    generator = np.random.default_rng(3)
    x_MF = generator.normal(size=(60, 3)).astype(np.float32)
    targets_MK = generator.choice([0, 1, UNKNOWN], (60, 2)).astype(np.uint8)
    trees = ExtraTreesRegressor(4, min_samples_leaf=3, random_state=0).fit(x_MF, targets_MK == 1)
    forest = Forest.of(trees.estimators_, np.zeros(3)).with_known_shares(x_MF, targets_MK)
    leaves_MT = forest.leaves(x_MF)
    for label in range(2):
        known_M = targets_MK[:, label] != UNKNOWN
        every = (targets_MK[known_M, label] == 1).mean()
        for leaf in np.unique(leaves_MT):
            inside_M = (leaves_MT == leaf).any(axis=1) & known_M
            expected = (targets_MK[inside_M, label] == 1).mean() if inside_M.any() else every
            assert forest.shares_XK[leaf, label] == pytest.approx(expected)


@pytest.fixture
def few_trees(monkeypatch):
    monkeypatch.setattr(module, "_TREES", (20, 20))


@pytest.mark.usefixtures("few_trees")
def test_trees_learn_from_numbers_and_categories_and_nothing_is_lost_in_a_run(tmp_path):
    inputs, run = row_inputs(), RunFolder(tmp_path)
    batches = reader_of(inputs).batches(inputs)
    trees, held_out_NK = fit_trees(RowBuilder.of(batches), folds_of(np.arange(600)), seed=0)
    precision_K = average_precision_score(inputs.targets_NK, held_out_NK, average=None)
    assert precision_K[0] > 0.7
    assert precision_K[2] > 0.7
    trees.save(run)
    np.testing.assert_array_equal(Trees.load(run).scores(batches), trees.scores(batches))
    fresh = row_inputs(100, seed=1)
    scores_NK = trees.scores(reader_of(inputs).batches(fresh))
    alone_NK = trees.scores(reader_of(inputs).batches(row_inputs(100, seed=1)))[:10]
    np.testing.assert_array_equal(scores_NK[:10], alone_NK)


@pytest.mark.usefixtures("few_trees")
def test_a_fifth_of_the_targets_unknown_changes_little():
    inputs = row_inputs()
    assert inputs.targets_NK is not None
    hidden = np.random.default_rng(5).random(inputs.targets_NK.shape) < 0.2
    truth_NK = inputs.targets_NK.copy()
    precisions = []
    for targets_NK in (truth_NK, np.where(hidden, UNKNOWN, truth_NK).astype(np.uint8)):
        inputs.targets_NK[:] = targets_NK
        builder = RowBuilder.of(reader_of(inputs).batches(inputs))
        _, held_out_NK = fit_trees(builder, folds_of(np.arange(600)), seed=0)
        precisions.append(average_precision_score(truth_NK[:, [0, 2]], held_out_NK[:, [0, 2]]))
    assert precisions[1] == pytest.approx(precisions[0], abs=0.03)
