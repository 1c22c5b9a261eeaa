import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from mlc.errors import DataError
from mlc.evaluation.metrics import macro_differences, overall_scores, score_decisions, score_labels
from tests.support import reference_metrics as reference
from tests.support.effort import drawn

relaxed = settings(deadline=None, max_examples=drawn(60))
few_scores = st.sampled_from(
    [0.0, 0.1, 0.3, 0.30000001192092896, 0.5, 0.9, 1.0]
)  # few, so that there are ties
any_scores = st.one_of(few_scores, st.floats(0.0, 1.0, width=32))


@st.composite
def scored(draw, most=25, targets=(0, 1, 255), most_labels=4):
    examples, labels = draw(st.integers(0, most)), draw(st.integers(1, most_labels))
    cells = examples * labels
    scores = draw(st.lists(any_scores, min_size=cells, max_size=cells))
    truth = draw(st.lists(st.sampled_from(targets), min_size=cells, max_size=cells))
    shape = (examples, labels)
    return np.array(scores, np.float32).reshape(shape), np.array(truth, np.uint8).reshape(shape)


def names(matrix: Any) -> list[str]:
    return [f"label {k}" for k in range(matrix.shape[1])]


@relaxed
@given(scored())
def test_each_label_scores_as_the_plain_loops(pair):
    scores, targets = pair
    labels: Any = score_labels(scores, targets, names(scores))
    for k, score in enumerate(labels):
        column = [
            (s, t) for s, t in zip(scores[:, k].tolist(), targets[:, k].tolist(), strict=True) if t != 255
        ]
        s, t = [s for s, _ in column], [t for _, t in column]
        assert score.name == f"label {k}"
        assert (score.examples, score.support) == (len(t), sum(t))
        assert score.auroc == pytest.approx(reference.auroc(s, t))
        assert score.ap == pytest.approx(reference.average_precision(s, t))
        assert score.brier == pytest.approx(reference.brier(s, t))
        assert score.log_loss == pytest.approx(reference.log_loss(s, t))
        assert (score.undefined is None) == (score.auroc is not None)
        if score.ap is not None:
            assert score.lift == pytest.approx(score.ap / score.prevalence)


@relaxed
@given(scored())
def test_macro_micro_and_weighted_are_those_of_sklearn_on_the_defined_labels(pair):
    scores, targets = pair
    labels = score_labels(scores, targets, names(scores))
    overall = overall_scores(scores, targets, labels)
    defined = [k for k, label in enumerate(labels) if label.undefined is None]
    support = [labels[k].support for k in defined]
    assert overall.macro.labels_defined == overall.weighted.labels_defined == len(defined)
    assert overall.macro.labels == scores.shape[1]
    for name, function in (("auroc", roc_auc_score), ("ap", average_precision_score)):
        each = []
        for k in defined:
            known = targets[:, k] != 255
            each.append(function(targets[known, k], scores[known, k]))
        if not defined:
            assert getattr(overall.macro, name) is getattr(overall.weighted, name) is None
            continue
        assert getattr(overall.macro, name) == pytest.approx(np.mean(each))
        assert getattr(overall.weighted, name) == pytest.approx(np.average(each, weights=support))
        cells = targets != 255
        assert getattr(overall.micro, name) == pytest.approx(function(targets[cells], scores[cells]))


@pytest.mark.parametrize(
    ("targets", "reason", "auroc", "ap"),
    [
        ([], "no example", None, None),
        ([255, 255], "no example", None, None),
        ([0, 0, 255], "no positive example", None, None),
        ([1, 1], "no negative example", None, 1.0),
        ([1], "no negative example", None, 1.0),
        ([0], "no positive example", None, None),
        ([1, 0], None, 0.5, 0.5),  # all scores are the same
    ],
)
def test_what_is_undefined_is_none_and_says_why(targets, reason, auroc, ap):
    targets_N1 = np.array(targets, np.uint8).reshape(-1, 1)
    scores = np.full(targets_N1.shape, 0.5, np.float32)
    label = score_labels(scores, targets_N1, ["Dress"])[0]
    assert (label.undefined, label.auroc, label.ap) == (reason, auroc, ap)
    macro = overall_scores(scores, targets_N1, [label]).macro
    assert (macro.auroc, macro.labels_defined) == (auroc, int(reason is None))


def test_a_label_with_only_positives_enters_neither_macro_mean():
    targets = np.array([[1, 1], [0, 1]], np.uint8)
    scores = np.array([[0.1, 0.5], [0.9, 0.5]], np.float32)
    overall = overall_scores(scores, targets, score_labels(scores, targets, ["a", "b"]))
    assert (overall.macro.auroc, overall.macro.ap, overall.macro.labels_defined) == (0.0, 0.5, 1)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1, np.inf])
def test_scores_that_are_no_probabilities_are_refused(wrong):
    targets = np.array([[1], [0]], np.uint8)
    with pytest.raises(DataError, match="NaN or outside"):
        score_labels(np.array([[0.5], [wrong]]), targets, ["a"])
    with pytest.raises(DataError, match="NaN or outside"):
        macro_differences(np.array([[0.5], [0.5]]), {"x": np.array([[0.5], [wrong]])}, targets, np.arange(2))


def test_shapes_that_differ_are_refused():
    scores, targets = np.array([[0.5, 0.5]]), np.array([[1, 0]], np.uint8)
    for call in (
        lambda: score_labels(scores, targets[:, :1], ["a"]),
        lambda: score_labels(scores, targets, ["a"]),
        lambda: score_labels(scores[0], targets[0], ["a", "b"]),
        lambda: score_labels(scores, np.array([[2, 0]], np.uint8), ["a", "b"]),
        lambda: overall_scores(scores, targets, []),
        lambda: score_decisions(scores > 1, targets[:, :1], ["a"]),
        lambda: score_decisions(scores, targets, ["a", "b"]),
        lambda: macro_differences(scores, {}, targets, np.arange(2)),
    ):
        with pytest.raises(DataError):
            call()


@relaxed
@given(scored(), st.floats(0, 1))
def test_precision_recall_and_f1_are_those_of_sklearn(pair, threshold):
    scores, targets = pair
    decisions = (scores >= threshold).astype(np.uint8)
    for k, score in enumerate(score_decisions(decisions, targets, names(scores))):
        known = targets[:, k] != 255
        yes, truth = decisions[known, k], targets[known, k]
        assert score.volume == yes.sum()
        assert (score.precision is None) == (not yes.any())
        assert (score.recall is None) == (score.f1 is None) == (not truth.any())
        if yes.any() and truth.any():
            precision, recall, f1, _ = precision_recall_fscore_support(truth, yes, average="binary")
            assert (score.precision, score.recall, score.f1) == pytest.approx((precision, recall, f1))


def test_f1_is_zero_where_there_are_positives_and_no_yes():
    score = score_decisions(np.array([[0], [0]]), np.array([[1], [0]], np.uint8), ["a"])[0]
    assert (score.precision, score.recall, score.f1, score.volume) == (None, 0.0, 0.0, 0)


def made_up(examples: int = 400, labels: int = 3, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    truth = generator.random((examples, labels))
    targets = (generator.random(truth.shape) < truth * 0.4).astype(np.uint8)
    return truth.astype(np.float32), targets, generator.integers(0, examples // 4, examples)


def test_the_interval_is_the_same_for_any_order_of_rows():
    truth, targets, entities = made_up()
    baseline = np.random.default_rng(1).random(truth.shape).astype(np.float32)
    order = np.random.default_rng(2).permutation(len(truth))
    first: Any = macro_differences(truth, {"r": baseline}, targets, entities)["r"]["ap"]
    again = macro_differences(truth[order], {"r": baseline[order]}, targets[order], entities[order])["r"][
        "ap"
    ]
    assert (first.low, first.high) == pytest.approx((again.low, again.high))
    assert 0 < first.low < first.high


def test_a_model_against_itself_is_a_difference_of_zero():
    truth, targets, entities = made_up()
    found = macro_differences(truth, {"same": truth}, targets, entities)["same"]["auroc"]
    assert (found.value, found.low, found.high, found.labels) == (0.0, 0.0, 0.0, 3)


def test_more_entities_make_a_narrower_interval():
    widths = []
    for examples in (400, 6400):
        truth, targets, _ = made_up(examples)
        baselines = {"constant": np.full_like(truth, 0.5)}
        found: Any = macro_differences(truth, baselines, targets, np.arange(examples))["constant"]["auroc"]
        widths.append(found.high - found.low)
    assert widths[1] < 0.5 * widths[0]


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    # `made_up` has positives of density 2u and negatives of density (1 - 0.4u) / 0.8 on [0, 1]: the AUROC is
    # the integral of 2u (u - 0.2u²) / 0.8.
    truly = (2 / 3 - 0.4 / 4) / 0.8 - 0.5
    covered = 0
    for seed in range(60):
        truth, targets, _ = made_up(300, 1, seed)
        baselines = {"coin": np.random.default_rng(1000 + seed).random(truth.shape)}
        found: Any = macro_differences(truth, baselines, targets, np.arange(300))["coin"]["auroc"]
        covered += found.low <= truly <= found.high
    assert covered >= 52  # fewer in less than 1 % of the cases at 95 % coverage


def test_random_scores_are_not_called_better_than_constant_ones():
    # The percentiles themselves call them better in three of four: average precision rises with doubled rows.
    better = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        targets = (generator.random((600, 5)) < 0.03).astype(np.uint8)
        baselines = {"constant": np.full(targets.shape, 0.5)}
        scores, entities = generator.random(targets.shape), np.arange(600)
        found: Any = macro_differences(scores, baselines, targets, entities)["constant"]["ap"]
        better += found.low > 0
    assert better <= 4


def test_one_entity_has_no_interval_and_no_rows_have_no_difference():
    targets, scores = np.array([[1], [0]], np.uint8), np.array([[0.9], [0.1]])
    found = macro_differences(scores, {"r": scores}, targets, np.array(["x", "x"]))["r"]["ap"]
    assert (found.value, found.low, found.high, found.labels) == (None, None, None, 0)
    nothing = macro_differences(scores[:0], {"r": scores[:0]}, targets[:0], np.array([], np.int64))["r"]["ap"]
    assert nothing == found


def test_arguments_are_not_changed():
    truth, targets, entities = made_up()
    copies = truth.copy(), targets.copy(), entities.copy()
    with warnings.catch_warnings(action="error"):
        macro_differences(truth, {"r": truth}, targets, entities)
        overall_scores(truth, targets, score_labels(truth, targets, ["a", "b", "c"]))
    for now, before in zip((truth, targets, entities), copies, strict=True):
        assert np.array_equal(now, before)
