import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from mlc.errors import DataError, RunError
from mlc.evaluation.calibration import (
    Calibrator,
    calibrated,
    calibration_from_json,
    calibration_to_json,
    entity_folds,
    fit_calibration,
)
from tests.support.effort import drawn

METHODS = ("none", "bias", "platt", "isotonic", "auto")


def skewed(examples: int, slope: float, bias: float, seed: int = 0, rate: float = -2.0) -> Any:
    """Scores whose logits are `(true logit - bias) / slope`: what a calibration should find."""
    generator = np.random.default_rng(seed)
    truth = rate + 1.5 * generator.normal(size=(examples, 1))
    targets = (generator.random(truth.shape) < expit(truth)).astype(np.uint8)
    return expit((truth - bias) / slope).astype(np.float32), targets


def fitted(method: Any, scores: Any, targets: Any) -> Any:
    maps, outside = fit_calibration(method, ["a"], scores, targets, entity_folds(np.arange(len(scores))))
    return maps[0], outside


def test_platt_finds_slope_and_bias_as_scikit_learn_does():
    scores, targets = skewed(20_000, 0.5, -1.0)
    found, _ = fitted("platt", scores, targets)
    reference = LogisticRegression(C=1e6, tol=1e-8).fit(logit(scores.astype(float)), targets[:, 0])
    assert found.slope == pytest.approx(reference.coef_[0, 0], abs=0.002)
    assert found.bias == pytest.approx(reference.intercept_[0], abs=0.002)
    assert (found.slope, found.bias) == pytest.approx((0.5, -1.0), abs=0.1)


def test_bias_alone_makes_the_mean_score_the_prevalence():
    scores, targets = skewed(20_000, 1.0, 2.0)
    found, _ = fitted("bias", scores, targets)
    assert found.slope == 1.0
    assert calibrated(scores, [found]).mean() == pytest.approx(targets.mean(), rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_no_map_turns_the_order_of_scores_around(method):
    scores, targets = skewed(3000, 1.7, 0.7)
    found, _ = fitted(method, scores, targets)
    mapped = calibrated(scores, [found])[:, 0]
    assert np.all(np.diff(mapped[np.argsort(scores[:, 0])]) >= 0)
    tolerance = 0.01 if found.method == "isotonic" else 1e-9
    before, after = (roc_auc_score(targets[:, 0], one) for one in (scores[:, 0], mapped))
    assert after == pytest.approx(before, abs=tolerance)


@pytest.mark.parametrize(("slope", "bias"), [(0.4, 0.0), (1.0, -2.0), (2.5, 1.0)])
def test_auto_improves_skewed_scores_on_new_examples(slope, bias):
    found, _ = fitted("auto", *skewed(5000, slope, bias))
    scores, targets = skewed(5000, slope, bias, seed=1)
    before, after = (
        log_loss(targets[:, 0], scores[:, 0]),
        log_loss(targets[:, 0], calibrated(scores, [found])[:, 0]),
    )
    assert after < before - 0.005


def test_auto_leaves_good_scores_about_as_they_are():
    worse = []
    for seed in range(20):
        found, _ = fitted("auto", *skewed(500, 1.0, 0.0, seed))
        scores, targets = skewed(20_000, 1.0, 0.0, 100 + seed)
        worse.append(
            log_loss(targets[:, 0], calibrated(scores, [found])[:, 0]) - log_loss(targets[:, 0], scores[:, 0])
        )
    assert np.mean(worse) < 0.001


@pytest.mark.parametrize(
    ("positives", "allowed"),
    [(9, {"none"}), (49, {"none", "bias"}), (999, {"none", "bias", "platt"}), (1500, {"platt", "isotonic"})],
)
def test_few_positives_allow_few_parameters(positives, allowed):
    generator = np.random.default_rng(0)
    targets = np.repeat([1, 0], [positives, 4000]).astype(np.uint8)[:, None]
    scores = expit(3 * (generator.normal(size=targets.shape) + targets)).astype(np.float32)
    assert fitted("auto", scores, targets)[0].method in allowed


def test_scores_out_of_fold_know_nothing_of_their_own_targets():
    scores, targets = skewed(500, 1.0, 1.0)
    folds = entity_folds(np.arange(500))
    for method in ("bias", "platt", "isotonic"):
        _, outside = fit_calibration(method, ["a"], scores, targets, folds)
        turned = np.where(folds[:, None] == 2, 1 - targets, targets)
        _, again = fit_calibration(method, ["a"], scores, turned, folds)
        assert np.array_equal(outside[folds == 2], again[folds == 2])
        assert not np.array_equal(outside, again)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("targets", [[], [255, 255], [0, 0, 0], [1, 1], [1], [1, 0, 255]])
def test_with_too_little_to_learn_from_scores_stay_probabilities(method, targets):
    column = np.array(targets, np.uint8)[:, None]
    scores = np.linspace(0, 1, len(column), dtype=np.float32)[:, None]
    found, outside = fitted(method, scores, column)
    mapped = calibrated(np.array([[0.0], [0.5], [1.0]], np.float32), [found])
    assert np.all((mapped >= 0) & (mapped <= 1))
    assert outside.shape == scores.shape
    if len(set(targets) - {255}) < 2:
        assert found.method == "none"


@settings(deadline=None, max_examples=drawn(40))
@given(st.sampled_from(METHODS), st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=2))
def test_any_scores_stay_probabilities_and_come_back_from_json_as_they_were(method, rows):
    scores, targets = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    found, _ = fitted(method, scores.astype(np.float32), targets.astype(np.uint8))
    again = calibration_from_json(json.loads(json.dumps(calibration_to_json([found]), allow_nan=False)))
    assert again == [found]
    mapped = calibrated(scores, again)
    assert np.all((mapped >= 0) & (mapped <= 1))


def test_all_examples_of_an_entity_are_in_one_fold_and_folds_are_of_like_size():
    entities = np.random.default_rng(0).integers(0, 100, 1000)
    folds = entity_folds(entities)
    assert all(len(set(folds[entities == entity])) == 1 for entity in range(100))
    assert np.bincount([folds[entities == entity][0] for entity in np.unique(entities)]).tolist() == [20] * 5


@pytest.mark.parametrize("scores", [np.zeros((2, 1)), np.full((2, 2), np.nan), np.full((2, 2), 1.5)])
def test_scores_that_do_not_fit_are_refused(scores):
    with pytest.raises(DataError):
        fit_calibration("auto", ["a", "b"], scores, np.zeros((2, 2), np.uint8), np.zeros(2, np.int64))
    with pytest.raises(DataError):
        calibrated(scores[:, :1], [Calibrator("a", "none"), Calibrator("b", "none")])


@pytest.mark.parametrize(
    "changed", [{}, [], {"schema": "mlc/calibration/9"}, {"schema": "mlc/calibration/1", "labels": [{}]}]
)
def test_a_calibration_file_changed_by_hand_is_refused(changed):
    with pytest.raises(RunError):
        calibration_from_json(changed)
