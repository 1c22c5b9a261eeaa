"""Intervals, calibration error, lift, ranking over labels, means of decisions, against other libraries."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics as sklearn

from mlc.errors import DataError
from mlc.evaluation.metrics import (
    overall_decisions,
    overall_scores,
    ratio_interval,
    score_decisions,
    score_examples,
    score_labels,
)
from mlc.evaluation.metrics.intervals import TieGroups, ap_influence, auroc_influence, auroc_interval
from tests.evaluation.test_metrics import names, scored
from tests.support import reference_metrics as reference
from tests.support.effort import drawn

relaxed = settings(deadline=None, max_examples=drawn(60))
columns = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), st.booleans()), min_size=2, max_size=30
)


def apart(rows: Any) -> Any:
    scores, targets = (np.array(column) for column in zip(*rows, strict=True))
    return scores.astype(np.float32), targets.astype(np.uint8)


@relaxed
@given(columns)
def test_influences_are_the_derivatives_of_the_weighted_scores_of_sklearn(rows):
    scores, targets = apart(rows)
    positives = int(targets.sum())
    if not 1 < positives < len(targets) - 1:
        return
    ties, each = TieGroups.of(scores, targets), np.arange(len(targets))
    few = {1: positives, 0: len(targets) - positives}
    step = 1e-5
    for influence, function in (
        (auroc_influence(ties, targets, each, len(targets)), sklearn.roc_auc_score),
        (ap_influence(ties, targets, each, len(targets)), sklearn.average_precision_score),
    ):
        assert influence.value == pytest.approx(function(targets, scores))
        for row in each:
            ends = []
            for weight in (1 + step, 1 - step):
                weights = np.ones(len(targets))
                weights[row] = weight
                ends.append(function(targets, scores, sample_weight=weights))
            found = influence.each_E[row]
            if function is sklearn.roc_auc_score:
                count = few[int(targets[row])]
                found /= np.sqrt(count / (count - 1))
            assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


def test_the_variance_of_auroc_is_delongs():
    generator = np.random.default_rng(3)
    targets = (generator.random(200) < 0.3).astype(np.uint8)
    scores = np.round(generator.random(200) + 0.3 * targets, 1).astype(np.float32)
    higher, lower = scores[targets == 1], scores[targets == 0]
    kernel = (higher[:, None] > lower[None, :]) + 0.5 * (higher[:, None] == lower[None, :])
    delong = kernel.mean(axis=1).var(ddof=1) / len(higher) + kernel.mean(axis=0).var(ddof=1) / len(lower)
    found = auroc_influence(TieGroups.of(scores, targets), targets, np.arange(200), 200)
    assert found.value == pytest.approx(kernel.mean())
    assert np.sum(found.each_E**2) == pytest.approx(delong)


def test_an_entity_with_the_same_row_many_times_counts_once():
    generator = np.random.default_rng(5)
    targets = (generator.random((300, 1)) < 0.3).astype(np.uint8)
    scores = generator.random((300, 1)) * 0.7 + 0.3 * targets
    once = score_labels(scores, targets, ["a"])[0]
    repeated = np.repeat(np.arange(300), 4)
    entity = score_labels(scores[repeated], targets[repeated], ["a"], repeated)[0]
    row = score_labels(scores[repeated], targets[repeated], ["a"])[0]
    for name in ("auroc_interval", "ap_interval"):
        low, high = getattr(once, name)
        assert np.diff(getattr(entity, name))[0] == pytest.approx(high - low, rel=0.06)
        assert np.diff(getattr(row, name))[0] < 0.6 * (high - low)


def test_the_mean_of_one_label_has_the_interval_of_that_label():
    generator = np.random.default_rng(1)
    targets = (generator.random((400, 2)) < [0.2, 0.0]).astype(np.uint8)
    scores, entities = generator.random((400, 2)), generator.integers(0, 90, 400)
    labels = score_labels(scores, targets, ["a", "b"], entities)
    overall = overall_scores(scores, targets, labels, entities)
    for mean in (overall.macro, overall.weighted):
        assert (mean.auroc_interval, mean.ap_interval) == (labels[0].auroc_interval, labels[0].ap_interval)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """The full table is that of scripts/bench/coverage.py; here one cell of it, fast."""
    at = np.linspace(-8.0, 10.0, 20001)
    recall, alarms = norm.sf(at - 1.5), norm.sf(at)
    precision = 0.1 * recall / (0.1 * recall + 0.9 * alarms)
    truth = {"auroc": norm.cdf(1.5 / np.sqrt(2)), "ap": np.trapezoid(precision * norm.pdf(at - 1.5), at)}
    held = dict.fromkeys(truth, 0)
    for seed in range(300):
        generator = np.random.default_rng(seed)
        targets = (generator.random((600, 1)) < 0.1).astype(np.uint8)
        scores = norm.cdf(generator.normal(size=(600, 1)) + 1.5 * targets)
        label = score_labels(scores, targets, ["a"])[0]
        for name, value in truth.items():
            low, high = getattr(label, f"{name}_interval")
            held[name] += low <= value <= high
    assert all(273 <= count <= 297 for count in held.values()), held  # 91 to 99 %


@relaxed
@given(columns)
def test_calibration_error_and_lift_are_those_of_the_plain_loops(rows):
    scores, targets = apart(rows)
    label = score_labels(scores[:, None], targets[:, None], ["a"])[0]
    s, t = scores.astype(np.float64).tolist(), targets.tolist()
    assert label.calibration_error == pytest.approx(reference.calibration_error(s, t), abs=1e-9)
    for share, lift in ((0.01, label.lift_1), (0.05, label.lift_5), (0.1, label.lift_10)):
        count = max(1, round(share * len(t)))
        if sum(t):
            expected = reference.hits_among_first(s, t, count) / count / (sum(t) / len(t))
            assert lift == pytest.approx(expected)
        else:
            assert lift is None


@relaxed
@given(scored(targets=(0, 1)))
def test_ranking_over_labels_is_that_of_sklearn(pair):
    scores, targets = pair
    if targets.shape[1] == 1:  # sklearn then takes them for two classes
        return
    has_positive = targets.any(axis=1)
    found = score_examples(scores, targets)
    assert found.examples == has_positive.sum()
    if not found.examples:
        assert found.lrap is found.coverage_error is found.ranking_loss is None
        return
    s, t = scores[has_positive].astype(np.float64), targets[has_positive]
    assert found.lrap == pytest.approx(sklearn.label_ranking_average_precision_score(t, s))
    assert found.coverage_error == pytest.approx(sklearn.coverage_error(t, s))
    mixed = ~t.all(axis=1)
    if mixed.any():
        assert found.ranking_loss == pytest.approx(sklearn.label_ranking_loss(t[mixed], s[mixed]))
    for depth, value in found.ndcg_at.items():
        assert value == pytest.approx(sklearn.ndcg_score(t, s, k=int(depth)))
    for depth in found.precision_at:
        hits = [
            reference.hits_among_first(a, b, int(depth)) for a, b in zip(s.tolist(), t.tolist(), strict=True)
        ]
        assert found.precision_at[depth] == pytest.approx(np.mean(hits) / int(depth))
        assert found.recall_at[depth] == pytest.approx(np.mean(np.array(hits) / t.sum(axis=1)))


@relaxed
@given(scored())
def test_an_unknown_label_is_as_if_it_were_not_there(pair):
    scores, targets = pair
    whole = score_examples(scores, targets)
    if whole.examples:
        parts = []
        for s, t in zip(scores, targets, strict=True):
            known = t != 255
            if (t == 1).any():
                parts.append(score_examples(s[None, known], t[None, known]))
        for name in ("lrap", "coverage_error"):
            assert getattr(whole, name) == pytest.approx(np.mean([getattr(part, name) for part in parts]))
        assert whole.ndcg_at["1"] == pytest.approx(np.mean([part.ndcg_at["1"] for part in parts]))


@relaxed
@given(scored(targets=(0, 1)), st.floats(0, 1))
def test_means_of_decisions_are_those_of_sklearn(pair, threshold):
    scores, targets = pair
    if targets.shape[1] == 1:
        return
    decisions = (scores >= threshold).astype(np.uint8)
    each = score_decisions(decisions, targets, names(scores))
    found = overall_decisions(decisions, targets, each)
    if not len(targets):
        assert found.hamming is found.subset_accuracy is found.empty is None
        return
    assert found.hamming == pytest.approx(np.mean(decisions != targets))
    assert found.subset_accuracy == pytest.approx(sklearn.accuracy_score(targets, decisions))
    assert found.labels_predicted == pytest.approx(decisions.sum(axis=1).mean())
    assert found.labels_true == pytest.approx(targets.sum(axis=1).mean())
    assert found.empty == pytest.approx((decisions.sum(axis=1) == 0).mean())
    support = targets.any(axis=0)
    if support.any():
        each_f1 = sklearn.f1_score(targets, decisions, average=None, zero_division=0)
        assert found.macro.f1 == pytest.approx(np.mean(each_f1[support]))
        expected = sklearn.f1_score(targets, decisions, average="weighted", zero_division=0)
        assert found.weighted.f1 == pytest.approx(expected)
        expected = sklearn.recall_score(targets, decisions, average="micro")
        assert found.micro.recall == pytest.approx(expected)
    else:
        assert found.macro.f1 is found.micro.recall is None
    assert found.macro.precision_labels == decisions.any(axis=0).sum()


def test_unknown_cells_are_neither_right_nor_wrong():
    decisions, targets = (
        np.array([[1, 0], [1, 1], [0, 0]]),
        np.array([[255, 0], [1, 0], [255, 255]], np.uint8),
    )
    found = overall_decisions(decisions, targets, score_decisions(decisions, targets, ["a", "b"]))
    assert found.hamming == reference.hamming(decisions.tolist(), targets.tolist()) == 1 / 3
    assert (found.subset_accuracy, found.labels_predicted, found.labels_true, found.empty) == (
        0.5,
        1.0,
        0.5,
        0.5,
    )


@pytest.mark.parametrize(
    ("targets", "scores"),
    [
        ([0, 0], [0.1, 0.2]),
        ([1, 1], [0.1, 0.2]),
        ([1, 0, 0], [0.5] * 3),
        ([], []),
        ([1], [0.5]),
    ],
)
def test_where_nothing_can_be_said_of_the_spread_there_is_no_interval(targets, scores):
    label = score_labels(np.array(scores)[:, None], np.array(targets, np.uint8)[:, None], ["a"])[0]
    assert label.auroc_interval is label.ap_interval is None


def test_positives_that_all_stand_on_top_have_an_auroc_of_one_and_an_interval_below_it():
    for positives, low in ((2, 0.3), (5, 0.6), (50, 0.95)):
        targets = np.repeat([1, 0], [positives, 200]).astype(np.uint8)[:, None]
        label = score_labels(np.linspace(1, 0, len(targets))[:, None], targets, ["a"])[0]
        assert label.auroc_interval is not None
        assert label.auroc_interval[1] == 1.0
        assert low < label.auroc_interval[0] < 1.0


def test_the_interval_for_few_positives_is_newcombes():
    """His example of method 5 is not at hand: the ends solve his equation."""
    generator = np.random.default_rng(2)
    targets = np.repeat([1, 0], [8, 60]).astype(np.uint8)
    scores = generator.normal(size=68) * 0.1 + 0.05 * targets + 0.5
    found = auroc_influence(TieGroups.of(scores, targets), targets, np.arange(68), 68)
    interval = auroc_interval(found, 8, 60)
    assert interval is not None
    for end in interval:
        variance = end * (1 - end) / 480 * (1 + 33 * ((1 - end) / (2 - end) + end / (1 + end)))
        assert abs(found.value - end) >= 1.9599 * np.sqrt(variance)  # more where DeLong's is the larger


def test_the_interval_of_a_mean_of_independent_labels_is_made_of_their_own_intervals():
    generator = np.random.default_rng(4)
    targets = (generator.random((60_000, 2)) < [0.0005, 0.1]).astype(np.uint8)
    scores = generator.normal(size=targets.shape) + 1.2 * targets
    scores = 1 / (1 + np.exp(-scores))
    labels: Any = score_labels(scores, targets, ["rare", "frequent"])
    mean: Any = overall_scores(scores, targets, labels).macro
    assert labels[0].support < 50
    for end, *each in zip(mean.auroc_interval, *(label.auroc_interval for label in labels), strict=True):
        distances = [one - label.auroc for one, label in zip(each, labels, strict=True)]
        assert abs(end - mean.auroc) == pytest.approx(np.hypot(*distances) / 2, rel=0.02)
    low, high = mean.auroc_interval
    assert mean.auroc - low > 1.2 * (high - mean.auroc)  # lopsided, as that of the rare label


def test_constant_scores_are_an_auroc_of_one_half_and_a_lift_of_one():
    targets = np.array([1, 0, 0, 1, 0] * 20, np.uint8)[:, None]
    label = score_labels(np.full(targets.shape, 0.4), targets, ["a"])[0]
    assert (label.auroc, label.ap, label.calibration_error) == pytest.approx((0.5, 0.4, 0.0))
    assert (label.lift_1, label.lift_5, label.lift_10) == pytest.approx((1, 1, 1))


def test_a_share_of_single_trials_has_wilsons_interval():
    from scipy.stats import binomtest

    hits = np.array([1] * 300 + [0] * 700)
    expected = binomtest(300, 1000).proportion_ci(method="wilson")
    assert ratio_interval(hits, np.ones(1000)) == pytest.approx((expected.low, expected.high), abs=1e-3)
    found = ratio_interval(hits, np.ones(1000), new_as_well=True)
    assert found is not None
    low, high = found
    assert high - low == pytest.approx(np.sqrt(2) * (expected.high - expected.low), rel=0.01)
    assert ratio_interval(np.zeros(3), np.zeros(3)) is None


def test_entities_must_be_one_an_example():
    with pytest.raises(DataError, match="entities"):
        score_labels(np.ones((2, 1)), np.ones((2, 1), np.uint8), ["a"], np.arange(3))
